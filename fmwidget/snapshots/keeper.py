"""Keeping of a run's snapshots: within their bytes, in memory or in a folder, on a thread of the run's own.

A snapshot is among the others as soon as it is taken. Later the thread stores it: unchanged values are shared
with the snapshot before, snapshots are dropped if there are too many, new values are written. Then it tells
those who asked.
"""

from __future__ import annotations

import atexit
import inspect
import queue
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .snapshot import Snapshot
from .store import Array, SnapshotFolder, StoredWeights, Value, is_same_value, read_values
from .thinning import best_place, kept_places

MAX_COUNT = 1000  # of snapshots: no slider has more places
OVERHEAD = 512  # bytes that a file takes for one array beside its values, at most

_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()  # to be finished when the interpreter exits
_exiting = threading.Event()  # the interpreter shuts down: no more calls into the backend


class Keeper:
    """The snapshots of a run, and the thread that stores and announces them.

    Args:
        folder: Folder to write them to; they are held in memory if `None`.
        max_bytes: Bytes that all together may take; beyond that some are dropped.
        monitor: Name of the loss or metric by which the best is found, which stays; see `best_place`.
        prepare: Function called on the thread after it has stored, for what makes the next snapshot quicker.
    """

    def __init__(
        self, folder: SnapshotFolder | None, max_bytes: int, monitor: str, prepare: Callable[[], None]
    ) -> None:
        self._folder, self._max_bytes, self._monitor, self._prepare = folder, max_bytes, monitor, prepare
        self._lock = threading.Lock()  # for the five below
        self._snapshots: tuple[Snapshot, ...] = ()
        self._fresh: deque[Snapshot] = deque()  # not stored yet
        self._next_step = 0
        self._training_announced = True
        self._thread: threading.Thread | None = None
        self._storing = threading.RLock()  # for the five below; the other lock may be taken inside
        self._bytes = 0  # that the snapshots take at most
        self._latest: dict[str, tuple[Value, Array]] = {}  # the values of the newest snapshot, by variable
        self._unwritten: list[Snapshot] = []
        self._written: tuple[Snapshot, ...] = ()  # those in the index
        self._sizes: dict[Path, int] = {}  # bytes of files
        self._callbacks: list[Callable[[], Callable[[], None] | None]] = []
        self._announced: tuple[Snapshot, ...] = ()
        self._queue: queue.SimpleQueue[Keeper | None] = queue.SimpleQueue()
        _keepers.add(self)

    def resume(self, snapshots: Sequence[Snapshot], folder: SnapshotFolder | None = None) -> None:
        """Go on from snapshots that exist.

        Args:
            snapshots: The snapshots, by step.
            folder: The folder whose index names them, which the next ones are written to.
        """
        self._snapshots = self._announced = tuple(snapshots)
        if folder is not None:
            self._folder, self._written = folder, self._snapshots
            self._bytes = self._max_bytes + 1  # not counted yet
        if snapshots:
            self._next_step = snapshots[-1].step + 1

    @property
    def folder(self) -> SnapshotFolder | None:
        """The folder that snapshots are written to; `None` too after it could not be written."""
        return self._folder

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The snapshots, by step; another tuple whenever they change."""
        return self._snapshots

    @property
    def is_announcing(self) -> bool:
        """True if the last snapshots of training are still being announced."""
        return bool(self._callbacks) and not self._training_announced

    # -------------------------------------------------------------- called by the run

    def skip_first(self) -> None:
        """Leave out step 0, the state before training, if nothing has been taken yet."""
        with self._lock:
            self._next_step = max(self._next_step, 1)

    def keep(
        self,
        source: StoredWeights,
        *,
        epoch: int | None,
        batches: int | None,
        label: str,
        logs: Mapping[str, float],
        in_training: bool,
    ) -> Snapshot:
        """Add the next snapshot, and have it stored.

        Args:
            source: Its weights, held in memory.
            epoch: As of `Snapshot`.
            batches: As of `Snapshot`.
            label: As of `Snapshot`.
            logs: As of `Snapshot`.
            in_training: `fit` has taken it, and not the user: `is_announcing` until it is announced.

        Returns:
            The snapshot.
        """
        with self._lock:
            snapshot = Snapshot(
                step=self._next_step, epoch=epoch, batches=batches, label=label, logs=logs, source=source
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

    def is_newest(self, names: Sequence[str], tensors: Sequence[Any]) -> bool:
        """Return whether named values are those of the newest snapshot, to the byte."""
        with self._storing:
            self._share()
            latest = self._values_of_newest()
            return (
                list(latest) == list(names)
                and len(self._snapshots) > 0
                and all(
                    is_same_value(Value(tensor).to_array(), latest[name][1])
                    for name, tensor in zip(names, tensors, strict=True)
                )
            )

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call a function on the thread whenever the snapshots have changed; a method is held weakly."""
        is_method = inspect.ismethod(callback)
        self._callbacks.append(weakref.WeakMethod(callback) if is_method else lambda: callback)

    # -------------------------------------------------------------- storing: mostly on the thread

    def serve(self) -> None:
        """Store and announce what has been added; the thread calls this after each snapshot."""
        with self._storing:
            self.store()
            self._prepare()
        self._announce()

    def store(self) -> None:
        """Store what has been added, on whichever thread comes first.

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
                if known is not None and is_same_value(known[1], array):
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


def _serve(requests: queue.SimpleQueue[Keeper | None]) -> None:
    """Store and announce what has been added, until there is no keeper any more."""
    while True:
        keeper = requests.get()
        if keeper is None or _exiting.is_set():
            return
        keeper.serve()
        del keeper  # or one with no other reference would live on


@atexit.register
def _finish() -> None:
    """Store what has been added before the interpreter exits."""
    _exiting.set()
    for keeper in list(_keepers):
        keeper.store()
