"""How a layer's output lies in memory as feature maps: which outputs are maps, and which axis is channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

CHANNELS_LAST = "channels_last"
CHANNELS_FIRST = "channels_first"
# These move axes about, so what they return need not lie as what they were given.
_MOVES_AXES = frozenset({"Lambda", "Moveaxis", "Permute", "Reshape", "Swapaxes", "Transpose"})


@dataclass(frozen=True, slots=True)
class Flow:
    """A call that took tensors and returned some, known by number; `children` were returned inside it."""

    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    children: tuple[int, ...] = ()


def is_maps(tensor: Any) -> bool:
    """Whether a tensor is a stack of feature maps: a batch of pictures with a channel axis."""
    return len(tensor.shape) == 4


def is_video(tensor: Any) -> bool:
    """Whether a tensor has one axis more than maps do: time, if the layer says so."""
    return len(tensor.shape) == 5


def stacks(operation: keras.Operation, tensor: Any) -> list[tuple[str, Any]]:
    """The stacks of maps in what an operation returned, each with a suffix that tells it from the others.

    A tensor of maps is one. A layer that does the same for each step in time returns one for each step, if it
    is known how many there are.
    """
    if is_maps(tensor):
        return [("", tensor)]
    if is_video(tensor) and isinstance(operation, _OVER_TIME) and tensor.shape[1] is not None:
        return [(f"[{step}]", tensor[:, step]) for step in range(tensor.shape[1])]
    return []


_OVER_TIME = keras.layers.TimeDistributed, keras.layers.ConvLSTM2D


def maps_shape(shape: Sequence[Any], data_format: str) -> tuple[Any, Any, Any]:
    """`(H, W, C)` of an output of that shape, batch axis included."""
    _, *rest = shape
    height, width, channels = (*rest[1:], rest[0]) if data_format == CHANNELS_FIRST else rest
    return height, width, channels


def to_maps(output: np.ndarray[Any, Any], data_format: str) -> np.ndarray[Any, Any]:
    """The maps `(H, W, C)` of the one picture in a batch."""
    return np.moveaxis(output[0], 0, -1) if data_format == CHANNELS_FIRST else output[0]


def declared_format(operation: keras.Operation) -> str | None:
    """Where a layer itself says it keeps its channels, or `None` if it works on either layout."""
    declared = getattr(operation, "data_format", None)
    if declared in (CHANNELS_FIRST, CHANNELS_LAST):
        return str(declared)
    if isinstance(operation, keras.layers.BatchNormalization | keras.layers.GroupNormalization):
        return {1: CHANNELS_FIRST, -3: CHANNELS_FIRST, 3: CHANNELS_LAST, -1: CHANNELS_LAST}.get(
            operation.axis
        )
    return declared_format(operation.layer) if isinstance(operation, keras.layers.TimeDistributed) else None


def resolve_formats(flows: Sequence[Flow]) -> dict[int, str]:
    """Decides for each numbered tensor where its channels are.

    A convolution or pooling says so of what it takes and returns; other operations (activations, additions,
    dropout) keep the layout they are given; a model or custom layer returns what its last inner call did.
    A film is followed like maps: it has time before its other axes.
    What no layer speaks for is absent from the result.
    """
    known: dict[int, str] = {}
    alike: list[tuple[int, ...]] = []
    for flow in flows:
        declared = None if flow.children else declared_format(flow.operation)
        if declared:
            known.update(dict.fromkeys(flow.outputs, declared))
            for tensor in flow.inputs:
                known.setdefault(tensor, declared)
        elif flow.children:
            alike.append((flow.children[-1], *flow.outputs))
        elif flow.outputs and type(flow.operation).__name__ not in _MOVES_AXES:
            alike.append((*flow.inputs, *flow.outputs))
    # Forwards, then backwards, until nothing is learned: layouts spread along the graph in both directions.
    before = -1
    while len(known) != before:
        before = len(known)
        for tensors in (*alike, *reversed(alike)):
            spoken = [known[tensor] for tensor in tensors if tensor in known]
            if spoken:
                for tensor in tensors:
                    known.setdefault(tensor, spoken[0])
    return known
