"""Whether a model is being trained: nothing says so, but its weights move, and go on moving.

One change may be a fit that is over, or weights that were loaded. So after a look that found other weights
they are watched for a while: where they change again, somebody trains.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from .model import ActivationModel

EVERY = 0.5  # seconds between two checks
PATIENCE = 8.0  # seconds that the second change may take: as long as a step of training
CALM = 2.0  # seconds without a change after which training is over, if its steps were quick

_ending = threading.Event()  # the interpreter is: no more calls into the backend
atexit.register(_ending.set)


class TrainingDetector:
    """What a series of checks says about training.

    Args:
        now: Seconds, at the look that found other weights.
    """

    def __init__(self, now: float) -> None:
        self._moved_at = now
        self._longest = 0.0  # seconds between two changes
        self.training = False
        self.over = False  # there is nothing more to find out

    def check(self, now: float, *, moved: bool) -> None:
        """Takes in whether the weights have changed since the last check."""
        still = now - self._moved_at
        if moved:
            self._longest = max(self._longest, still)
            self._moved_at = now
            self.training = True
        elif still > (max(CALM, 3 * self._longest) if self.training else PATIENCE):
            self.training, self.over = False, True


class TrainingMonitor:
    """Watches a model's weights for as long as there is something to find out, on a thread of its own.

    Args:
        activations: Knows of a change of the weights; it is not kept alive.
        tell: A method, whose object is not kept alive either: called with whether the model is being trained,
            when that is found out and when it is over.
    """

    def __init__(self, activations: ActivationModel, tell: Callable[[bool], None]) -> None:
        self._activations = weakref.ref(activations)
        self._tell = weakref.WeakMethod(tell)
        self._steps: int | None = None
        self._version: int | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def begin(self) -> None:
        """Begins to watch, if that is not under way: a look has found other weights."""
        if self._thread is None and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._watch, name="fmwidget-training", daemon=True)
            self._moved()
            self._thread.start()

    def stop(self) -> None:
        """Stops watching, for ever."""
        self._stopped.set()

    def _watch(self) -> None:
        motion = TrainingDetector(time.monotonic())
        while not motion.over and not self._stopped.wait(EVERY):
            before, moved = motion.training, self._moved()
            if moved is None or _ending.is_set():
                break
            motion.check(time.monotonic(), moved=moved)
            tell = self._tell()
            if motion.training != before and tell is not None:
                tell(motion.training)
            del tell  # or a widget that nobody else holds would live on
        self._thread = None

    def _moved(self) -> bool | None:
        """Whether the weights have changed since last asked; `None` when nobody wants to know any more."""
        activations = self._activations()
        if activations is None or self._tell() is None:
            return None
        before, self._steps = self._steps, steps_of(activations.model)
        if self._steps != before:
            self._version = None  # not asked for: reading a counter is cheaper than comparing all weights
            return True
        version, self._version = self._version, activations.version()
        return version not in (None, self._version)


def steps_of(model: Any) -> int | None:
    """How many steps the model's optimizer has made, if it has one."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return None if iterations is None else int(iterations)
