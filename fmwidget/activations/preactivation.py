"""Layers that end in an activation function of their own, and the argument they pass to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from fmwidget.models import introspection

Tensor = Any

# Keras' own layers that end in their activation. Recurrent ones apply it within their loop; a custom class
# may use an attribute of that name in any way.
_ENDING_IN_ACTIVATION = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3D,
    keras.layers.Conv3DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.EinsumDense,
    keras.layers.SeparableConv2D,
)


def has_activation(operation: keras.Operation) -> bool:
    """Return whether a layer ends in an activation function of its own, other than none."""
    return (
        isinstance(operation, _ENDING_IN_ACTIVATION)
        and introspection.is_builtin(operation)
        and operation.activation not in (None, keras.activations.linear)
    )


def activation_name(layer: keras.Layer) -> str:
    """Return the name of a layer's activation function."""
    function = layer.activation
    return str(getattr(function, "__name__", None) or getattr(function, "name", type(function).__name__))


def run_with_pre_activation(
    layer: keras.Layer, run: Callable[[keras.Layer], Any]
) -> tuple[Any, Tensor | None]:
    """Call `run` and record the argument of the layer's activation function, at no further cost.

    Args:
        layer: A layer that `has_activation`. It is not changed: `run` receives a copy that shares its
            weights, and whose activation function records its argument.
        run: Calls the layer that it receives.

    Returns:
        The result of `run`, and the argument; `None` unless the function was called exactly once.
    """
    arguments: list[Tensor] = []

    def activation(x: Tensor) -> Tensor:
        arguments.append(x)
        return layer.activation(x)

    copy = object.__new__(type(layer))
    copy.__dict__.update(layer.__dict__, activation=activation)
    outputs = run(copy)
    return outputs, arguments[0] if len(arguments) == 1 else None
