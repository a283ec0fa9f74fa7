"""Detect that a model is being trained: its weights change, and go on changing.

Keras does not report training to other code. One change may be a fit that is over, or weights that were
loaded. So after a check that found changed weights they are polled for a while: where they change again, the
model is in training.
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

_exiting = threading.Event()  # the interpreter shuts down: no more calls into the backend
atexit.register(_exiting.set)


class TrainingDetector:
    """Distinction of training from single changes of the weights, by the times at which checks find changes.

    Args:
        now: Seconds, at the check that found the first change.

    Attributes:
        training: Whether the model is in training.
        over: Whether no further check is needed.
    """

    def __init__(self, now: float) -> None:
        self._changed_at = now
        self._longest = 0.0  # seconds between two changes
        self.training = False
        self.over = False

    def check(self, now: float, *, moved: bool) -> None:
        """Update the state after a check of the weights.

        Args:
            now: Seconds, at this check.
            moved: Whether the weights have changed since the check before.
        """
        unchanged_for = now - self._changed_at
        if moved:
            self._longest = max(self._longest, unchanged_for)
            self._changed_at = now
            self.training = True
        elif unchanged_for > (max(CALM, 3 * self._longest) if self.training else PATIENCE):
            self.training, self.over = False, True


class TrainingMonitor:
    """Polling of a model's weights on a thread, after a change, for as long as the model may be in training.

    Args:
        activations: Checks the weights; the monitor does not keep it alive.
        on_change: A method, whose object is not kept alive either. Called with whether the model is in
            training, when training is detected and when it is over.
    """

    def __init__(self, activations: ActivationModel, on_change: Callable[[bool], None]) -> None:
        self._activations = weakref.ref(activations)
        self._on_change = weakref.WeakMethod(on_change)
        self._steps: int | None = None
        self._version: int | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def begin(self) -> None:
        """Begin to poll, unless that is under way: a check has found changed weights."""
        if self._thread is None and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._poll, name="fmwidget-training", daemon=True)
            self._has_changed()
            self._thread.start()

    def stop(self) -> None:
        """Stop polling, for good."""
        self._stopped.set()

    def _poll(self) -> None:
        detector = TrainingDetector(time.monotonic())
        while not detector.over and not self._stopped.wait(EVERY):
            before, changed = detector.training, self._has_changed()
            if changed is None or _exiting.is_set():
                break
            detector.check(time.monotonic(), moved=changed)
            on_change = self._on_change()
            if detector.training != before and on_change is not None:
                on_change(detector.training)
            del on_change  # or a widget with no other reference would live on
        self._thread = None

    def _has_changed(self) -> bool | None:
        """Return whether the weights have changed since the last call; `None` when the widget is gone."""
        activations = self._activations()
        if activations is None or self._on_change() is None:
            return None
        before, self._steps = self._steps, steps_of(activations.model)
        if self._steps != before:
            self._version = None  # to read a counter is cheaper than to compare all weights
            return True
        version, self._version = self._version, activations.version()
        return version not in (None, self._version)


def steps_of(model: Any) -> int | None:
    """Return the number of steps that the model's optimizer has made; `None` without an optimizer."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return None if iterations is None else int(iterations)
