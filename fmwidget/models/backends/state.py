"""Lets a model run as if nobody had called it: what a pass writes to variables is gone when it ends.

Layers may keep state: recurrent ones that are stateful, seeds of random numbers, a counter of one's own. A
look must not advance it, and putting back old values afterwards would undo what a training loop on another
thread has written meanwhile. So the first write of a pass gives the variable a stand-in that this thread
alone sees, for as long as the pass lasts; every read and write of a variable goes by its `handle`.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

from fmwidget.models.patching import Wrappers

Result = TypeVar("Result")


class _Pass(threading.local):
    is_building: Callable[[], bool] | None = None  # set while a pass is under way on this thread
    is_eager = True
    stand_ins: dict[int, tuple[tf.Variable, tf.Variable]]  # the variable itself, so that its id stays its own


_here = _Pass()


def untouched(function: Callable[[], Result], is_building: Callable[[], bool]) -> Result:
    """Runs a function; what it writes to variables that exist is seen by this thread alone, meanwhile.

    Functions that people compiled with `@tf.function` run as plain Python meanwhile, so that what they do can
    be followed like all else; Keras' and TensorFlow's own stay as they are.

    Args:
        function: What to run.
        is_building: Tells whether a layer is making its weights just now: those are there to stay.

    Raises:
        NotImplementedError: If variables are written to while a graph is traced, since the graph would do it
            in every run.
    """

    def run() -> Result:
        try:
            _here.is_eager, _here.stand_ins = tf.executing_eagerly(), {}
            _here.is_building = is_building
            return function()
        finally:
            _here.is_building = None
            _here.stand_ins = {}

    return _wrappers().around(run)


def _writing(original: Callable[..., Any]) -> Callable[..., Any]:
    def write(self: tf.Variable, *args: Any, **kwargs: Any) -> Any:
        if _here.is_building is not None and not _here.is_building() and id(self) not in _here.stand_ins:
            if not _here.is_eager:
                raise NotImplementedError("it writes to variables of its own")
            if tf.executing_eagerly():
                stand_in = tf.Variable(self.read_value(), trainable=False, shape=self.shape)
                _here.stand_ins[id(self)] = self, stand_in
        return original(self, *args, **kwargs)

    return write


def _redirected(original: property) -> property:
    def handle(self: tf.Variable) -> Any:
        if _here.is_building is not None and id(self) in _here.stand_ins:
            _, self = _here.stand_ins[id(self)]
        return original.fget(self)  # type: ignore[misc]

    return property(handle)


def _inlined(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _here.is_building is None or _is_of_the_stack(self.python_function):
            return original(self, *args, **kwargs)
        return self.python_function(*args, **kwargs)

    return call


def _is_of_the_stack(function: Callable[..., Any]) -> bool:
    module = str(getattr(inspect.unwrap(function), "__module__", ""))
    return module.startswith(("keras.", "tensorflow."))


_WRITES = ("assign", "scatter_", "batch_scatter_", "_strided_slice_assign")


@functools.cache
def _wrappers() -> Wrappers:
    """Made when first needed: a variable starts TensorFlow, and people set its devices up before."""
    variable, function = type(tf.Variable(0.0)), type(tf.function(lambda: None))
    writes = (name for name in dir(variable) if name.startswith(_WRITES))
    return Wrappers(
        (variable, "handle", _redirected),
        *((variable, name, _writing) for name in writes),
        (function, "__call__", _inlined),
    )
