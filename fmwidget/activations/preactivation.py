"""Layers that apply an activation function of their own, and what they hand to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from fmwidget.models import introspection

Tensor = Any

# Keras' own layers that end in their activation. Recurrent ones use it on the way; a class of somebody
# else's may do anything with an attribute of that name.
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
    """Whether a layer ends in an activation function of its own, other than none."""
    return (
        isinstance(operation, _ENDING_IN_ACTIVATION)
        and introspection.is_builtin(operation)
        and operation.activation not in (None, keras.activations.linear)
    )


def activation_name(layer: keras.Layer) -> str:
    """What people call the activation function of a layer."""
    function = layer.activation
    return str(getattr(function, "__name__", None) or getattr(function, "name", type(function).__name__))


def run_noting(layer: keras.Layer, run: Callable[[keras.Layer], Any]) -> tuple[Any, Tensor | None]:
    """Calls `run` and notes what `layer` hands to its activation function, at no further cost.

    Args:
        layer: A layer that `has_activation`. It is left alone: `run` is given a stand-in that shares its
            weights, and whose activation function notes its argument.
        run: Calls the layer it is given.

    Returns:
        What `run` returned, and the argument; `None` unless there was just one.
    """
    noted: list[Tensor] = []

    def activation(x: Tensor) -> Tensor:
        noted.append(x)
        return layer.activation(x)

    stand_in = object.__new__(type(layer))
    stand_in.__dict__.update(layer.__dict__, activation=activation)
    outputs = run(stand_in)
    return outputs, noted[0] if len(noted) == 1 else None
