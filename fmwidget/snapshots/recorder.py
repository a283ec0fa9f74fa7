"""`WeightSnapshots`: a callback that records the weights of a model while it is trained.

The thread that trains only reads the variables, which copies nothing: as long as such a tensor is held,
TensorFlow writes new values of its variable elsewhere. All else is done on a thread of the run's own, by its
`Keeper`.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from fmwidget.models import introspection

from .checkpoints import find_checkpoints
from .keeper import Keeper
from .reader import Reader
from .snapshot import Snapshot
from .store import SnapshotFolder, StoredWeights, Value
from .thinning import AUTO

EPOCH = "epoch"
MAX_BYTES = 2**31


class WeightSnapshots(keras.callbacks.Callback):
    """The weights of a model at moments of its training: a callback for `model.fit`, and the run it records.

    The state before training is step 0; with one snapshot an epoch the step is the epoch. All variables that
    a forward pass may read are recorded, trainable or not, and nothing of the optimizer. A value that has
    not changed since the snapshot before is kept once. Training gives the same numbers with and without it.

    Args:
        folder: Folder to write the snapshots to as training goes on; memory alone if `None`. What is
            written is not held in memory.
        every: `"epoch"`, or the number of batches between two snapshots. With batches, Keras waits for
            each batch before it goes on to the next.
        max_bytes: Bytes that all snapshots together may take, in memory or in the folder. Beyond that some
            are dropped, so that those that stay are spaced evenly in the logarithm of the step; the first,
            the last and the best always stay. So it is with more than 1,000.
        monitor: Name of the loss or metric by which the best is found; `"auto"` for the validation loss if
            there is one, else the loss.
        overwrite: Replace the run that the folder holds, when the first snapshot is written.

    Raises:
        FileExistsError: If the folder holds a run already.
        ValueError: If an argument is out of range.

    Examples:
        >>> run = WeightSnapshots("run1")
        >>> model.fit(x, y, epochs=10, callbacks=[run])
        >>> FeatureMapWidget(model, images, snapshots=run)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        every: str | int = EPOCH,
        max_bytes: int = MAX_BYTES,
        monitor: str = AUTO,
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        if every != EPOCH and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            raise ValueError(f"every must be 'epoch' or a number of batches from 1 on. Received {every!r}.")
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be a number of bytes from 1 on. Received {max_bytes!r}.")
        target = None if folder is None else SnapshotFolder(Path(folder))
        if target is not None and target.holds_a_run and not overwrite:
            raise FileExistsError(
                f"The folder {str(folder)!r} holds a run already. Choose another folder, pass overwrite=True "
                f"to replace the run, or go on with it: WeightSnapshots.load({str(folder)!r})."
            )
        self._every = every
        if every != EPOCH:
            # As a method of the class it would switch off Keras' asynchronous callbacks for every run.
            self.on_train_batch_end = self._batch_end
        self._reader = Reader()
        self._keeper = Keeper(target, max_bytes, monitor, self._reader.compile)
        # Counts of what the model has been trained on, as far as this object has seen.
        self._epochs = 0
        self._batches: Any = 0  # `None` if that is not known
        self._batches_of_epoch = 0
        self._batches_since = 0
        self._recording: tuple[int, int] | None = None  # thread and frame that train

    # -------------------------------------------------------------- the run

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WeightSnapshots:
        """Return the run that a folder holds, or one of files that `ModelCheckpoint` has written.

        Weights are read when they are used. Passed to `fit`, the run goes on, in the same folder.

        Args:
            path: A folder that a run was written to; or a file, a folder or a pattern of `.weights.h5` or
                `.keras` files: `"run/*.weights.h5"`, or as `ModelCheckpoint` was given it,
                `"run/{epoch:02d}-{val_loss:.2f}.weights.h5"`, from which epochs and metrics are read.

        Raises:
            FileNotFoundError: If there is nothing to load.
            ValueError: If the index of the folder is damaged.
        """
        run = cls()
        folder = SnapshotFolder(Path(path))
        if folder.holds_a_run:
            run._keeper.resume(folder.read_index(), folder)
        else:
            run._keeper.resume(find_checkpoints(path))
        if run.snapshots:
            last = run.snapshots[-1]
            run._epochs, run._batches = last.epoch or 0, last.batches
        return run

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots, by step; another tuple whenever they change. A new one is here at once."""
        return self._keeper.snapshots

    @property
    def is_recording(self) -> bool:
        """True if the model is being trained, or the last snapshots of training are still being announced.

        `fit` does not report that it was interrupted: what counts is whether it still runs.
        """
        return self._keeper.is_announcing or self._is_training()

    def _is_training(self) -> bool:
        if self._recording is None:
            return False
        thread, expected = self._recording
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented; its name warns of what it costs
        while frame is not None and id(frame) != expected:
            frame = frame.f_back
        return frame is not None

    def __len__(self) -> int:
        return len(self._keeper.snapshots)

    def __bool__(self) -> bool:
        return True  # Keras drops a callback that is false

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._keeper.snapshots)

    def __getitem__(self, step: int) -> Snapshot:
        snapshots = self._keeper.snapshots
        for snapshot in snapshots:
            if snapshot.step == step:
                return snapshot
        steps = [snapshot.step for snapshot in snapshots]
        raise KeyError(
            f"There is no step {step!r}. "
            + (f"Steps are {_in_words(steps)}." if steps else "There are no snapshots yet.")
        )

    def __repr__(self) -> str:
        folder = self._keeper.folder
        place = "in memory" if folder is None else f"in {str(folder.path)!r}"
        return f"<{type(self).__name__} {place}: {len(self)} snapshots>"

    def take(
        self, label: str = "", logs: Mapping[str, Any] | None = None, model: keras.Model | None = None
    ) -> Snapshot:
        """Record the weights as they are now, as in a training loop of one's own.

        Args:
            label: Words for this moment.
            logs: Losses and metrics, by name.
            model: The model; that of `fit` if `None`.

        Returns:
            The snapshot.

        Raises:
            ValueError: If there is no model, or it has no weights yet.
            TypeError: If `model` is no model.
        """
        model = self.model if model is None else model
        if model is None:
            raise ValueError(
                "There is no model to record. Pass model=, or pass the run to fit as a callback."
            )
        if not introspection.is_model(model):
            raise TypeError(f"model must be a Keras model. Received a {type(model).__name__}.")
        if not model.built:
            raise ValueError(f"The model {model.name!r} has no weights yet. Call it on a batch first.")
        is_counted = self._is_training() and model is self.model
        epochs, batches = (self._epochs, self._batches_now()) if is_counted else (None, None)
        return self._record(model, label, logs, epochs, batches)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call a function whenever the snapshots have changed, on the run's own thread.

        Args:
            callback: The function. The object of a bound method is not kept alive.
        """
        self._keeper.on_change(callback)

    def flush(self) -> None:
        """Wait until all snapshots are stored; those of `fit` are when it ends."""
        self._keeper.store()

    # -------------------------------------------------------------- training: Keras calls these

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras' name
        """Record the state before training, unless it is that of the newest snapshot."""
        if self._recording is not None and self._every == EPOCH:
            self._batches = None  # the last training was interrupted in an epoch, after some batches
        self._enter()
        self._batches = self._batches_now()
        self._batches_of_epoch = self._batches_since = 0
        self._reader.begin()
        if not self.model.built:
            self._keeper.skip_first()
            warnings.warn(
                f"The model {self.model.name!r} has no weights before training, so the first snapshot is the "
                "one after that. Call the model on a batch first.",
                stacklevel=2,
            )
        elif not self._is_newest(self.model):
            self._record_training()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Begin to count the batches of an epoch."""
        self._enter()
        self._batches_of_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the state after an epoch."""
        self._enter()
        self._reader.settle()
        self._epochs = max(self._epochs, epoch) + 1
        if self._every == EPOCH:
            of_epoch = (self.params or {}).get("steps")
            self._batches = None if None in (self._batches, of_epoch) else self._batches + of_epoch
            self._record_training(logs)
        else:
            self._batches = self._batches_now()
        self._batches_of_epoch = 0

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Record the state after training if it is another than the last, and wait until all is stored."""
        self._enter()
        if self.model.built and not self._is_newest(self.model):
            snapshots = self._keeper.snapshots
            has_more_batches = not snapshots or snapshots[-1].batches != self._batches
            # With as many batches, something else has changed the weights: averaging, or going back to the
            # best ones. The logs are not theirs.
            label = "" if has_more_batches else "end of training"
            self._record_training(logs if has_more_batches else None, label)
        self._recording = None
        self._keeper.store()

    def _batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the state after some batches; `on_train_batch_end` of a run that was asked for batches."""
        if self._recording is not None and threading.get_ident() != self._recording[0]:
            # Weights read beside training would be partly those of one batch, partly those of the next.
            warnings.warn(
                "Snapshots every few batches need Keras to wait for them, which it does for a list of "
                "callbacks only. None is recorded: pass callbacks=[run].",
                stacklevel=2,
            )
            return
        self._enter()
        self._reader.settle()
        done = batch + 1
        self._batches_since += done - self._batches_of_epoch
        self._batches_of_epoch = done
        if self._batches_since >= int(self._every):
            self._batches_since = 0
            is_last = done == (self.params or {}).get("steps")
            self._record_training(logs, batches=self._batches_now(), epochs=self._epochs + is_last)

    def _enter(self) -> None:
        """Keep in mind what trains: the thread, and the frame that has called back."""
        frame: FrameType | None = inspect.currentframe()
        while frame is not None and _is_callback_code(frame):
            frame = frame.f_back
        self._recording = threading.get_ident(), id(frame)

    def _batches_now(self) -> int | None:
        return None if self._batches is None else self._batches + self._batches_of_epoch

    def _record_training(
        self,
        logs: Mapping[str, Any] | None = None,
        label: str = "",
        *,
        epochs: int | None = None,
        batches: int | None = None,
    ) -> None:
        self._record(
            self.model,
            label,
            logs,
            self._epochs if epochs is None else epochs,
            self._batches if batches is None else batches,
            in_training=True,
        )

    def _record(
        self,
        model: keras.Model,
        label: str,
        logs: Mapping[str, Any] | None,
        epochs: int | None,
        batches: int | None,
        *,
        in_training: bool = False,
    ) -> Snapshot:
        names, tensors = self._reader.read(model)
        return self._keeper.keep(
            StoredWeights(names, list(map(Value, tensors))),
            epoch=epochs,
            batches=batches,
            label=label,
            logs={name: float(value) for name, value in (logs or {}).items() if _is_number(value)},
            in_training=in_training,
        )

    def _is_newest(self, model: keras.Model) -> bool:
        """Return whether a model's weights are those of the newest snapshot, to the byte."""
        return self._keeper.is_newest(*self._reader.read(model))


def _is_callback_code(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module == __name__ or module.startswith("keras.src.callbacks")


def _is_number(value: Any) -> bool:
    return getattr(value, "shape", ()) == () and not isinstance(value, str)


def _in_words(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{steps[0]}, {steps[1]} … {steps[-1]}"
