"""Record every call of a Keras layer or operation that one thread makes.

Keras runs each call, at any depth of nesting, through `keras.Operation.__call__`. While a recording is
under way that method is wrapped; the wrapper acts on the recording thread alone, so that a training loop
on another thread is not affected. Neither the model nor its layers are touched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fmwidget.models.patching import Wrappers

from .preactivation import has_activation, run_with_pre_activation

Tensor = Any  # a tensor of the backend in use


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call of a layer or operation.

    Attributes:
        operation: The layer or operation.
        parents: The operations whose calls it ran inside, outermost first.
        inputs: The tensors among its arguments.
        outputs: Its result, in its own structure.
        pre_activation: The argument of the layer's own activation function, if that was to be recorded.
    """

    operation: keras.Operation
    parents: tuple[keras.Operation, ...]
    inputs: list[Tensor]
    outputs: Any
    pre_activation: Tensor | None = None


# Called with each finished call. What it returns, in the same structure, replaces the call's outputs in the
# rest of the pass; `None` leaves them as they are.
Visit = Callable[[Call], Any]


@dataclass(slots=True)
class _Recording:
    visit: Visit
    scope: Callable[[], object]
    pre_activations: bool
    home: object
    stack: list[keras.Operation]
    failed: tuple[keras.Operation, ...] = ()
    preparing: int = 0  # layers called whose own code has not begun: they build themselves, if need be


_thread = threading.local()


def record(
    function: Callable[[], Any],
    visit: Visit,
    *,
    scope: Callable[[], object],
    pre_activations: bool = False,
) -> Any:
    """Run `function` and pass each layer and operation call it makes to `visit`, innermost first.

    Calls on symbolic tensors (a model that builds itself) and calls in another graph than the one the
    recording began in (a loop inside an RNN) are passed over: their outputs have no value here.

    Args:
        function: The function to run, usually one forward pass.
        visit: Called with each finished `Call`; see `Visit`.
        scope: Returns the graph that the current thread builds, if any.
        pre_activations: Whether to record the arguments of layers' own activation functions.

    Returns:
        The result of `function`.

    Raises:
        Exception: Any error of `function`, with a note that names the innermost layer it came from.
    """
    if _recording() is not None:
        raise RuntimeError("A recording is already under way on this thread.")
    recording = _Recording(visit, scope, pre_activations, home=scope(), stack=[])

    def run() -> Any:
        try:
            _thread.recording = recording
            return function()
        except Exception as error:
            if recording.failed:
                model, *inner = (operation.name for operation in recording.failed)
                place = "/".join(inner) or model
                error.add_note(f"Raised in {type(recording.failed[-1]).__name__} {place!r}.")
            raise
        finally:
            _thread.recording = None

    return _patches.around(run)


def _recording() -> _Recording | None:
    return getattr(_thread, "recording", None)


def is_tensor(leaf: Any) -> bool:
    """Return whether a leaf of arguments or results is a tensor or array; NumPy scalars are neither."""
    return hasattr(leaf, "shape") and not isinstance(leaf, np.generic)


def is_building() -> bool:
    """Return whether a layer is about to run on this thread and still creating its weights."""
    recording = _recording()
    return recording is not None and recording.preparing > 0


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `Operation.__call__`: run the call, then visit it."""

    def call(self: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        recording = _recording()
        if recording is None or recording.scope() is not recording.home:
            return original(self, *args, **kwargs)
        inputs = list(filter(is_tensor, keras.tree.flatten((args, kwargs))))
        if any(isinstance(leaf, keras.KerasTensor) for leaf in inputs):
            return original(self, *args, **kwargs)
        parents = tuple(recording.stack)
        recording.stack.append(self)
        # The layer's own code begins: until a layer inside it is called, nothing builds itself.
        preparing, recording.preparing = recording.preparing, 0
        pre_activation = None
        try:
            if recording.pre_activations and has_activation(self) and self.built:
                outputs, pre_activation = run_with_pre_activation(
                    self, lambda layer: original(layer, *args, **kwargs)
                )
            else:
                outputs = original(self, *args, **kwargs)
        except Exception:
            recording.failed = recording.failed or (*parents, self)
            raise
        finally:
            recording.stack.pop()
            recording.preparing = preparing
        replacement = recording.visit(Call(self, parents, inputs, outputs, pre_activation))
        return outputs if replacement is None else replacement

    return call


def _preparing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `Layer.__call__`, which builds a layer and casts its inputs before `Operation.__call__`."""

    def call(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        recording = _recording()
        if recording is None:
            return original(self, *args, **kwargs)
        recording.preparing += 1
        try:
            return original(self, *args, **kwargs)
        finally:
            recording.preparing -= 1

    return call


def _muted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method so that it does nothing on a recording thread."""

    def method(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return None if _recording() is not None else original(self, *args, **kwargs)

    return method


# Operations of Keras that do not pass through `Operation.__call__`: `Cond`.
_WITH_OWN_CALL = [
    kind for kind in keras.Operation.__subclasses__() if "__call__" in vars(kind) and kind is not keras.Layer
]

# A layer with an activity regularizer writes to its model's list of losses in every call. A training loop
# on another thread reads that list: unmuted, a recording would change the trained weights.
_patches = Wrappers(
    *((kind, "__call__", _recorded) for kind in (keras.Operation, *_WITH_OWN_CALL)),
    (keras.Layer, "__call__", _preparing),
    (keras.Layer, "add_loss", _muted),
    (keras.Layer, "_clear_losses", _muted),
)
