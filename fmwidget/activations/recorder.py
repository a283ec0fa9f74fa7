"""Records every call of every Keras layer and operation that one thread makes.

Keras runs each call, at any depth of nesting, through `keras.Operation.__call__`. While a recording is
under way that method is wrapped; the wrapper acts on the recording thread alone, so that a training loop
on another thread runs as if nothing were there. Neither the model nor its layers are touched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fmwidget.models.patching import Wrappers

from .preactivation import has_activation, run_noting

Tensor = Any  # a tensor of the backend in use


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call of a layer or operation.

    `parents` are the operations whose calls this one ran inside, outermost first; `inputs` are the tensors
    it was given; `outputs` is what it returned, in the structure it returned it; `before` is what it handed
    to an activation function of its own, if that was asked for.
    """

    operation: keras.Operation
    parents: tuple[keras.Operation, ...]
    inputs: list[Tensor]
    outputs: Any
    before: Tensor | None = None


@dataclass(slots=True)
class _Recording:
    visit: Callable[[Call], None]
    scope: Callable[[], object]
    before: bool
    home: object
    stack: list[keras.Operation]
    failed: tuple[keras.Operation, ...] = ()
    getting_ready: int = 0  # layers called whose own code has not begun: they build themselves, if need be


_here = threading.local()


def record(
    function: Callable[[], Any],
    visit: Callable[[Call], None],
    *,
    scope: Callable[[], object],
    before: bool = False,
) -> Any:
    """Runs `function` and shows `visit` each layer and operation call it made, innermost first.

    Calls on symbolic tensors (a model that builds itself) and calls in another graph than the one the
    recording began in (a loop inside an RNN) are passed over: their outputs have no value here.

    Args:
        function: What to run, usually one forward pass.
        visit: Called with each finished `Call`.
        scope: Identifies the graph that the current thread builds, if any.
        before: Whether to note what layers hand to activation functions of their own.

    Returns:
        What `function` returned.

    Raises:
        Exception: Whatever `function` raises, with a note that names the innermost layer it came from.
    """
    if _recording() is not None:
        raise RuntimeError("A recording is already under way on this thread.")
    recording = _Recording(visit, scope, before, home=scope(), stack=[])

    def run() -> Any:
        try:
            _here.recording = recording
            return function()
        except Exception as error:
            if recording.failed:
                model, *inner = (operation.name for operation in recording.failed)
                place = "/".join(inner) or model
                error.add_note(f"Raised in {type(recording.failed[-1]).__name__} {place!r}.")
            raise
        finally:
            _here.recording = None

    return _wrappers.around(run)


def _recording() -> _Recording | None:
    return getattr(_here, "recording", None)


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf of what a call takes or returns is a tensor or an array; NumPy's numbers are neither."""
    return hasattr(leaf, "shape") and not isinstance(leaf, np.generic)


def is_building() -> bool:
    """Whether a layer is about to run on this thread and still making its weights, as far as is recorded."""
    recording = _recording()
    return recording is not None and recording.getting_ready > 0


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        recording = _recording()
        if recording is None or recording.scope() is not recording.home:
            return original(self, *args, **kwargs)
        inputs = list(filter(is_tensor, keras.tree.flatten((args, kwargs))))
        if any(isinstance(leaf, keras.KerasTensor) for leaf in inputs):
            return original(self, *args, **kwargs)
        parents = tuple(recording.stack)
        recording.stack.append(self)
        getting_ready, recording.getting_ready = recording.getting_ready, 0
        before = None
        try:
            if recording.before and has_activation(self) and self.built:
                outputs, before = run_noting(self, lambda layer: original(layer, *args, **kwargs))
            else:
                outputs = original(self, *args, **kwargs)
        except Exception:
            recording.failed = recording.failed or (*parents, self)
            raise
        finally:
            recording.stack.pop()
            recording.getting_ready = getting_ready
        recording.visit(Call(self, parents, inputs, outputs, before))
        return outputs

    return call


def _ready_first(original: Callable[..., Any]) -> Callable[..., Any]:
    """A layer's whole call, which builds it and casts its inputs before it becomes that of an operation."""

    def call(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        recording = _recording()
        if recording is None:
            return original(self, *args, **kwargs)
        recording.getting_ready += 1
        try:
            return original(self, *args, **kwargs)
        finally:
            recording.getting_ready -= 1

    return call


def _muted(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that does nothing on a recording thread: a forward to look at adds no loss to the model."""

    def method(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return None if _recording() is not None else original(self, *args, **kwargs)

    return method


# Operations of Keras' that do not pass through the call of all others: `Cond`.
_APART = [
    kind for kind in keras.Operation.__subclasses__() if "__call__" in vars(kind) and kind is not keras.Layer
]

# A layer with an activity regularizer writes to its model's list of losses in every call. A training loop
# on another thread reads that list: left alone, a recording would change the trained weights.
_wrappers = Wrappers(
    *((kind, "__call__", _recorded) for kind in (keras.Operation, *_APART)),
    (keras.Layer, "__call__", _ready_first),
    (keras.Layer, "add_loss", _muted),
    (keras.Layer, "_clear_losses", _muted),
)
