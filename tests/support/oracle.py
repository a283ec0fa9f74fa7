"""The outputs of a plain forward pass, recorded by the model itself; no part of the package is in it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import keras
import tensorflow as tf
from keras import layers


@dataclass
class Output:
    """One tensor that a layer call returned in a plain forward pass."""

    operation: keras.Operation
    call_index: int
    value: Any
    before_activation: bool = False


ENDING_IN_ACTIVATION = {"Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D"}


def instrumented(model: keras.Model, batch: Any) -> Callable[[Any], list[Output]]:
    """Return a plain forward pass with every 4-D output of every call, and every time step of a video.

    Each operation object gets a `call` of its own that records its result, and an activation that records
    its input. Operations made on the fly, as `ZeroPadding2D` makes one in every call, get theirs by
    their class, for as long as a pass takes. What the model returns itself comes last, if no call inside did.
    The model is unusable afterwards: pass one that nothing else uses.
    """
    model(batch, training=False)  # build unbuilt layers
    seen: list[Output] = []
    counts: Counter[int] = Counter()
    returned: dict[int, Any] = {}
    lasting = {id(each): each for each in _operations(model)}

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: keras.Operation, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if id(self) not in lasting and len(getattr(result, "shape", ())) == 4:
                seen.append(Output(self, 1, result.numpy()))
            return result

        return call

    def instrument(operation: keras.Operation) -> None:
        for name in dir(type(operation)):  # a `@tf.function` would hide the layers it runs
            if hasattr(getattr(type(operation), name, None), "python_function"):
                operation.__dict__[name] = getattr(operation, name).python_function
        if operation is model:
            return
        # Keras' own, in place of `call`, once `quantize` was asked for.
        code = "quantized_call" if getattr(operation, "quantization_mode", None) else "call"
        inner = getattr(operation, code)
        noted: list[Any] = []
        if (
            type(operation).__name__ in ENDING_IN_ACTIVATION
            and operation.activation is not keras.activations.linear
        ):
            activation = operation.activation

            def note(x: Any) -> Any:
                noted.append(x)
                return activation(x)

            operation.__dict__["activation"] = note

        def call(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs)
            counts[id(operation)] += 1
            leaves = [leaf for leaf in keras.tree.flatten(result) if len(getattr(leaf, "shape", ())) == 4]
            if isinstance(operation, layers.TimeDistributed | layers.ConvLSTM2D) and len(result.shape) == 5:
                leaves = [result[:, step] for step in range(result.shape[1])]
            returned.update((id(leaf), leaf) for leaf in leaves)
            seen.extend(Output(operation, counts[id(operation)], leaf.numpy()) for leaf in leaves)
            if noted and leaves:
                seen.append(
                    Output(operation, counts[id(operation)], noted.pop().numpy(), before_activation=True)
                )
            return result

        operation.__dict__[code] = call

    for operation in lasting.values():
        instrument(operation)

    def forward(batch: Any) -> list[Output]:
        seen.clear()
        counts.clear()
        returned.clear()
        with contextlib.ExitStack() as patches:
            for kind in _kinds_of_operations(keras.Operation):
                patches.enter_context(mock.patch.object(kind, "call", noting(kind.call)))
            outputs = model(batch, training=False)
        own = [leaf for leaf in keras.tree.flatten(outputs) if len(getattr(leaf, "shape", ())) == 4]
        return seen + [Output(model, 1, leaf.numpy()) for leaf in own if id(leaf) not in returned]

    return forward


def _operations(root: keras.Operation) -> list[keras.Operation]:
    found = [root]
    if isinstance(root, layers.RNN):
        return found  # their cells run step by step in a loop
    if isinstance(root, layers.TimeDistributed):  # uses its layer's code, and never calls the layer itself
        return found + _operations(root.layer)[1:]
    for layer in getattr(root, "_layers", []):
        found += _operations(layer)
    return found + [each for each in getattr(root, "operations", []) if not isinstance(each, keras.Layer)]


def _kinds_of_operations(base: type) -> Iterator[Any]:
    """Yield the classes of Keras' operations that are no layers and that define a `call` of their own."""
    kinds: list[type] = base.__subclasses__()
    for kind in kinds:
        if not issubclass(kind, keras.Layer) and kind.__module__.startswith("keras.src.ops."):
            if "call" in vars(kind):
                yield kind
            yield from _kinds_of_operations(kind)


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy weights, states, seeds, and TensorFlow variables from one model to the other."""
    for theirs, ours in zip(state(source), state(target), strict=True):
        ours.assign(theirs)


def state(model: keras.Model) -> list[Any]:
    """Return all variables of a model, those included that Keras does not count among them."""
    held = [value for layer in model._flatten_layers() for value in vars(layer).values()]
    states = [layer.states for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    return [
        *model.variables,
        *(value for value in held if isinstance(value, tf.Variable)),
        *keras.tree.flatten(states),
    ]
