"""Step histories for a widget: measured on a background thread, step by step, while the run grows."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.step_history import GrowingHistory, StepHistory
from fmwidget.models.inputs import content_key

if TYPE_CHECKING:
    from fmwidget.models.inputs import Batch
    from fmwidget.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

INTERVAL = 0.4  # least seconds between two calls of `ready` while a history grows
KEPT = 3  # histories, each of one image

# Seconds that measuring pauses after each request, and at most between two steps: the pass of a step would
# make a user who goes through steps or images wait for it.
_PAUSE, _LONGEST_PAUSE = 0.1, 0.5

Key = tuple[ActivationModel, bytes]


class StepHistoryService:
    """Histories of the latest images, each measured as far as it has come.

    One thread at a time measures the image asked for last, and ends when it has no more steps. Until another
    image is asked for, the maps of two of its steps are held for the steps to come.

    Args:
        ready: Called on that thread when more of a history is there, or there is a `problem`.

    Attributes:
        problem: The reason why the history asked for last does not go on; empty if it does.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self.problem = ""
        self._ready: Callable[[], None] | None = ready
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._job: _Job | None = None  # what is measured, or to be measured next
        self._thread: threading.Thread | None = None
        self._asked = 0.0  # time of the last request
        self._lock = threading.Lock()

    def history(self, am: ActivationModel, batch: Batch, snapshots: Sequence[Snapshot]) -> StepHistory | None:
        """Return what is there of a history, and measure the rest; `None` while there is nothing.

        Args:
            am: Runs the model.
            batch: The model's input, of one image.
            snapshots: The snapshots of the run as it is now, in ascending order.
        """
        key = am, content_key(batch)
        with self._lock:
            self._asked = time.monotonic()
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(GrowingHistory(am, batch))
            self._entries.move_to_end(key)
            if len(self._entries) > KEPT:
                self._entries.popitem(last=False)
            if snapshots and self._ready is not None and entry.tried != _references(snapshots):
                job = _Job(entry, tuple(snapshots))
                self._job = self._job if self._job == job else job
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="fmwidget-step-history", daemon=True
                    )
                    self._thread.start()
            elif self._job is not None and self._job.entry is not entry:
                self._job = None  # of an image that is not on screen any more
            self.problem = entry.problem
            return entry.history

    def close(self) -> None:
        """Measure no more, and never call `ready` again."""
        with self._lock:
            self._ready = self._job = None
            self._entries.clear()

    def _run(self) -> None:
        try:
            self._measure_all()
        except BaseException:  # of `ready`: the next request starts another thread
            self._thread = None
            raise

    def _measure_all(self) -> None:
        """Measure until there is nothing left, on a thread of its own."""
        measuring: _Entry | None = None
        reported = time.monotonic()
        while True:
            with self._lock:
                job = self._job
                if job is None:
                    self._thread = None
                    return
            if measuring is not None and measuring is not job.entry:
                measuring.growing.release()
            measuring = job.entry
            is_over = self._step(job)
            if is_over or time.monotonic() - reported >= INTERVAL:
                reported = time.monotonic()
                ready = self._ready  # read once: the widget may be closed at the same time
                if ready is not None:
                    ready()
            if not is_over:
                self._give_way()

    def _step(self, job: _Job) -> bool:
        """Measure one step; return whether that was the last one, or failed."""
        entry, snapshots, problem = job.entry, job.snapshots, ""
        history = None
        try:
            entry.growing.advance(snapshots)
            history = entry.growing.history(snapshots)
        except Exception as error:
            log.info("The history over the steps could not go on.", exc_info=error)
            problem = f"The history over the steps could not be computed: {error}"
        is_over = history is None or history.is_complete
        with self._lock:
            entry.problem = problem
            if history is not None:
                entry.history = history
            if is_over:
                entry.tried = _references(snapshots)
                if self._job is job:
                    self._job = None
            self.problem = next(reversed(self._entries.values())).problem if self._entries else ""
        return is_over

    def _give_way(self) -> None:
        """Wait until the last request is `_PAUSE` ago, but no longer than `_LONGEST_PAUSE`."""
        began = time.monotonic()
        while (wait := self._asked + _PAUSE - time.monotonic()) > 0:
            if time.monotonic() - began > _LONGEST_PAUSE:
                return
            time.sleep(wait)


class _Entry:
    """The history of one image.

    Attributes:
        growing: Measures it; used on the service's thread alone.
        history: What is there; `None` at first.
        problem: The reason why it does not go on, or empty.
        tried: The snapshots that have all been measured, or of which one failed. They are not kept alive.
    """

    def __init__(self, growing: GrowingHistory) -> None:
        self.growing = growing
        self.history: StepHistory | None = None
        self.problem = ""
        self.tried: tuple[weakref.ref[Snapshot], ...] = ()


class _Job(NamedTuple):
    entry: _Entry
    snapshots: tuple[Snapshot, ...]


def _references(snapshots: Sequence[Snapshot]) -> tuple[weakref.ref[Snapshot], ...]:
    return tuple(map(weakref.ref, snapshots))
