"""`WeightSnapshots`: a callback that records the weights of a model while it is trained.

The thread that trains only reads the variables, which copies nothing: as long as such a tensor is held,
TensorFlow writes new values of its variable elsewhere. All else is done on a thread of the run's own.
"""

from __future__ import annotations

import atexit
import inspect
import os
import queue
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from fmwidget.models import backends, introspection

from .checkpoints import find_checkpoints
from .snapshot import Snapshot
from .store import Array, SnapshotFolder, StoredWeights, Value, read_values, same_bytes
from .thinning import AUTO, best_place, kept_places

EPOCH = "epoch"
MAX_BYTES = 2**31
MAX_COUNT = 1000  # of snapshots: no slider has more places
OVERHEAD = 512  # bytes that a file takes for one array beside its values, at most
MANY_VARIABLES = 64  # from here on a compiled read pays; with fewer, reading takes less than a millisecond

_runs: weakref.WeakSet[WeightSnapshots] = weakref.WeakSet()  # to be finished when the interpreter exits
_exiting = threading.Event()  # the interpreter shuts down: no more calls into the backend


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
        self._folder = None if folder is None else SnapshotFolder(Path(folder))
        if self._folder is not None and self._folder.holds_a_run and not overwrite:
            raise FileExistsError(
                f"The folder {str(folder)!r} holds a run already. Choose another folder, pass overwrite=True "
                f"to replace the run, or go on with it: WeightSnapshots.load({str(folder)!r})."
            )
        self._every, self._max_bytes, self._monitor = every, max_bytes, monitor
        if every != EPOCH:
            # As a method of the class it would switch off Keras' asynchronous callbacks for every run.
            self.on_train_batch_end = self._batch_end
        self._reader = _Reader()
        # Counts of what the model has been trained on, as far as this object has seen.
        self._epochs = 0
        self._batches: Any = 0  # `None` if that is not known
        self._batches_of_epoch = 0
        self._batches_since = 0
        self._recording: tuple[int, int] | None = None  # thread and frame that train
        self._lock = threading.Lock()  # for the two below
        self._snapshots: tuple[Snapshot, ...] = ()
        self._fresh: deque[Snapshot] = deque()
        self._next_step = 0
        self._storing = threading.RLock()  # for the five below
        self._bytes = 0  # that the snapshots take at most
        self._latest: dict[str, tuple[Value, Array]] = {}  # the values of the newest snapshot, by variable
        self._unwritten: list[Snapshot] = []
        self._written: tuple[Snapshot, ...] = ()  # those in the index
        self._sizes: dict[Path, int] = {}  # bytes of files
        self._callbacks: list[Callable[[], Callable[[], None] | None]] = []
        self._announced: tuple[Snapshot, ...] = ()
        self._training_announced = True
        self._queue: queue.SimpleQueue[WeightSnapshots | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        _runs.add(self)

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
            run._folder = folder
            run._snapshots = run._written = run._announced = tuple(folder.read_index())
            run._bytes = MAX_BYTES + 1  # not counted yet
        else:
            run._snapshots = run._announced = tuple(find_checkpoints(path))
        if run._snapshots:
            last = run._snapshots[-1]
            run._next_step = last.step + 1
            run._epochs, run._batches = last.epoch or 0, last.batches
        return run

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots, by step; another tuple whenever they change. A new one is here at once."""
        return self._snapshots

    @property
    def is_recording(self) -> bool:
        """Whether the model is being trained, or the last snapshots of training are still being announced.

        `fit` does not report that it was interrupted: what counts is whether it still runs.
        """
        if self._callbacks and not self._training_announced:
            return True
        return self._is_training()

    def _is_training(self) -> bool:
        if self._recording is None:
            return False
        thread, expected = self._recording
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented; its name warns of what it costs
        while frame is not None and id(frame) != expected:
            frame = frame.f_back
        return frame is not None

    def __len__(self) -> int:
        return len(self._snapshots)

    def __bool__(self) -> bool:
        return True  # Keras drops a callback that is false

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots)

    def __getitem__(self, step: int) -> Snapshot:
        snapshots = self._snapshots
        for snapshot in snapshots:
            if snapshot.step == step:
                return snapshot
        steps = [snapshot.step for snapshot in snapshots]
        raise KeyError(
            f"There is no step {step!r}. "
            + (f"Steps are {_in_words(steps)}." if steps else "There are no snapshots yet.")
        )

    def __repr__(self) -> str:
        place = "in memory" if self._folder is None else f"in {str(self._folder.path)!r}"
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
        is_method = inspect.ismethod(callback)
        self._callbacks.append(weakref.WeakMethod(callback) if is_method else lambda: callback)

    def flush(self) -> None:
        """Wait until all snapshots are stored; those of `fit` are when it ends."""
        self._store()

    # -------------------------------------------------------------- training: Keras calls these

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras' name
        """Record the state before training, unless it is that of the newest snapshot."""
        if self._recording is not None and self._every == EPOCH:
            self._batches = None  # the last training was interrupted in an epoch, after some batches
        self._enter()
        self._batches = self._batches_now()
        self._batches_of_epoch = self._batches_since = 0
        if not self.model.built:
            self._next_step = max(self._next_step, 1)
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
            snapshots = self._snapshots
            has_more_batches = not snapshots or snapshots[-1].batches != self._batches
            # With as many batches, something else has changed the weights: averaging, or going back to the
            # best ones. The logs are not theirs.
            label = "" if has_more_batches else "end of training"
            self._record_training(logs if has_more_batches else None, label)
        self._recording = None
        self._store()

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
        source = StoredWeights(names, list(map(Value, tensors)))
        numbers = {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}
        with self._lock:
            snapshot = Snapshot(
                step=self._next_step, epoch=epochs, batches=batches, label=label, logs=numbers, source=source
            )
            self._next_step += 1
            self._fresh.append(snapshot)  # first: an interrupt may come between any two lines
            self._snapshots += (snapshot,)
            self._training_announced &= not in_training
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_serve, args=(self._queue,), name="fmwidget-snapshots", daemon=True
                )
                self._thread.start()
                weakref.finalize(self, self._queue.put, None).atexit = False
        self._queue.put(self)
        return snapshot

    # -------------------------------------------------------------- storing: mostly on the run's own thread

    def _is_newest(self, model: keras.Model) -> bool:
        """Return whether a model's weights are those of the newest snapshot, to the byte."""
        with self._storing:
            self._share()
            names, tensors = self._reader.read(model)
            latest = self._values_of_newest()
            return (
                list(latest) == list(names)
                and len(self) > 0
                and all(
                    same_bytes(Value(tensor).to_array(), latest[name][1])
                    for name, tensor in zip(names, tensors, strict=True)
                )
            )

    def _store(self) -> None:
        """Store what has been recorded, on whichever thread comes first.

        So the thread that trains never waits for callbacks, which may wait for it.
        """
        with self._storing:
            self._share()
            self._thin()
            try:
                self._write()
            except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
                folder, self._folder = self._folder, None
                warnings.warn(
                    f"Snapshots can no longer be written to {str(folder and folder.path)!r} ({error}). The "
                    "next ones are held in memory alone. Make room, and begin another run to write again.",
                    stacklevel=2,
                )
                self._unwritten.clear()

    def _share(self) -> None:
        """Replace values that have not changed by those of the snapshot before."""
        while self._fresh:
            snapshot = self._fresh[0]  # it leaves when all is done: an interrupt may come between
            latest = self._values_of_newest()
            source: Any = snapshot.source
            newest = {}
            for at, (name, value) in enumerate(zip(source.names, source.values, strict=True)):
                array = value.to_array()
                known = latest.get(name)
                if known is not None and same_bytes(known[1], array):
                    source.values[at] = known[0]
                    newest[name] = known
                else:
                    newest[name] = value, array
                    self._bytes += array.nbytes + OVERHEAD
            self._latest = newest
            if self._folder is not None:
                self._unwritten.append(snapshot)
            self._fresh.popleft()

    def _values_of_newest(self) -> dict[str, tuple[Value, Array]]:
        """Return the values of the newest stored snapshot; those of a run that was loaded are read now."""
        if not self._latest and self._written:
            source: Any = self._written[-1].source
            try:
                arrays = [Value(each).to_array() for each in read_values(source.values)]
            except OSError:  # they cannot be compared, so that the next values are all new
                return {}
            self._latest = dict(zip(source.names, zip(source.values, arrays, strict=True), strict=True))
        return self._latest

    def _thin(self) -> None:
        """Drop snapshots until the others take no more bytes than they may."""
        snapshots = self._snapshots
        if self._bytes <= self._max_bytes and len(snapshots) <= MAX_COUNT:
            return
        sizes: dict[Hashable, int] = {}
        parts = [self._parts(each, sizes) for each in snapshots]
        best = best_place([each.logs for each in snapshots], self._monitor)
        kept = kept_places(
            [each.step for each in snapshots],
            parts,
            sizes,
            max_bytes=self._max_bytes,
            max_count=MAX_COUNT,
            keep=[] if best is None else [best],
        )
        gone = set(range(len(snapshots))) - set(kept)
        if gone:
            dropped = {id(snapshots[place]) for place in gone}
            with self._lock:  # others may have come meanwhile
                self._snapshots = tuple(each for each in self._snapshots if id(each) not in dropped)
            self._unwritten = [each for each in self._unwritten if id(each) not in dropped]
        self._bytes = sum({part: sizes[part] for place in kept for part in parts[place]}.values())

    def _parts(self, snapshot: Snapshot, sizes: dict[Hashable, int]) -> set[Hashable]:
        """Return what a snapshot takes room with: arrays and files. Their bytes are added to `sizes`."""
        parts: set[Hashable] = set()
        if isinstance(snapshot.source, StoredWeights):
            for value in snapshot.source.values:
                if value.place is None:
                    part: Hashable = id(value)
                    sizes[part] = value.nbytes + (0 if self._folder is None else OVERHEAD)
                else:
                    part = path = value.place.file
                    if path not in self._sizes:
                        self._sizes[path] = path.stat().st_size if path.exists() else 0
                    sizes[part] = self._sizes[path]
                parts.add(part)
        return parts

    def _write(self) -> None:
        """Write what is not in the folder yet."""
        folder = self._folder
        if folder is None:
            return
        while self._unwritten:
            snapshot = self._unwritten[0]
            source: Any = snapshot.source
            folder.write_values(snapshot.step, source.values)
            for value in source.values:
                value.release()
            del self._unwritten[0]
        with self._lock:
            fresh = {id(each) for each in self._fresh}
            stored = tuple(each for each in self._snapshots if id(each) not in fresh)
        if list(map(id, stored)) != list(map(id, self._written)):
            folder.write_index(stored)
            self._written = stored

    def _announce(self) -> None:
        """Call back, if the snapshots have changed."""
        snapshots = self._snapshots
        if snapshots is not self._announced:
            self._announced = snapshots
            for reference in list(self._callbacks):
                callback = reference()
                if callback is None:
                    self._callbacks.remove(reference)
                    continue
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - the others are called, and recording goes on
                    warnings.warn(f"A callback of snapshots has failed: {error!r}", stacklevel=2)
                del callback  # or an object with no other reference would live on
        with self._lock:
            self._training_announced |= snapshots is self._snapshots


class _Reader:
    """Reading of all variables of a model.

    With many variables, one compiled graph reads them in a fraction of the time. It is made beside training.
    """

    def __init__(self) -> None:
        self._variables: list[Any] = []
        self._compiled: tuple[list[int], Callable[[], list[Any]]] = [], list

    def read(self, model: keras.Model) -> tuple[Sequence[str], list[Any]]:
        """Return the names of a model's variables, and their values as they are now."""
        named = backends.current().named_variables(model)
        self._variables = variables = list(named.values())
        compiled_for, read_all = self._compiled
        if compiled_for and compiled_for == list(map(id, variables)):
            return list(named), read_all()
        return list(named), backends.current().read(variables)

    def compile(self) -> None:
        """Prepare to read the variables that were read last in one graph, if they are many."""
        variables, backend = self._variables, backends.current()
        ids = list(map(id, variables))
        if len(variables) >= MANY_VARIABLES and ids != self._compiled[0]:
            compiled = backend.compile_function(lambda _: backend.read(variables), (), ())
            compiled(())  # the first run, which prepares the graph, takes a hundred times as long
            self._compiled = ids, lambda: compiled(())


def _serve(requests: queue.SimpleQueue[WeightSnapshots | None]) -> None:
    """Store and announce what runs have recorded, until there is none any more."""
    while True:
        run = requests.get()
        if run is None or _exiting.is_set():
            return
        with run._storing:  # noqa: SLF001 - the run's own thread
            run._store()  # noqa: SLF001
            if run._recording is not None:  # noqa: SLF001
                run._reader.compile()  # noqa: SLF001
        run._announce()  # noqa: SLF001
        del run  # or a run with no other reference would live on


@atexit.register
def _finish() -> None:
    """Store what is recorded before the interpreter exits."""
    _exiting.set()
    for run in list(_runs):
        run.flush()


def _is_callback_code(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module == __name__ or module.startswith("keras.src.callbacks")


def _is_number(value: Any) -> bool:
    return getattr(value, "shape", ()) == () and not isinstance(value, str)


def _in_words(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{steps[0]}, {steps[1]} … {steps[-1]}"
