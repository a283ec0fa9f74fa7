"""Outputs of layers: which tensors can be shown, the axes they have, and where their channels are in memory.

`KINDS` lists the kinds of output that can be shown. The rest of the package takes the axes of
a tensor from the kind of its layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

CHANNELS_LAST = "channels_last"
CHANNELS_FIRST = "channels_first"
# These move axes, so their outputs need not have the layout of their inputs.
_MOVES_AXES = frozenset({"Lambda", "Moveaxis", "Permute", "Reshape", "Swapaxes", "Transpose"})


@dataclass(frozen=True)
class OutputKind:
    """A kind of output that can be shown.

    Attributes:
        name: Its name.
        axes: Names of the axes of one example as it is shown, the channels last.
    """

    name: str
    axes: tuple[str, ...]

    def matches(self, tensor: Any) -> bool:
        """Return whether a tensor has these axes and a batch axis, by their number."""
        return len(tensor.shape) == len(self.axes) + 1

    def shape(self, shape: Sequence[Any], data_format: str) -> tuple[Any, ...]:
        """Return the shape of one example as it is shown, for a tensor of `shape` with a batch axis."""
        _, *rest = shape
        return (*rest[1:], rest[0]) if data_format == CHANNELS_FIRST else tuple(rest)

    def examples(self, output: np.ndarray[Any, Any], data_format: str) -> np.ndarray[Any, Any]:
        """Return all examples of a batch as they are shown, `(batch, *axes)`; a view."""
        return np.moveaxis(output, 1, -1) if data_format == CHANNELS_FIRST else output


MAPS = OutputKind("maps", ("height", "width", "channel"))
KINDS = (MAPS,)  # in the order they are tried


@dataclass(frozen=True, slots=True)
class Flow:
    """A call with its input and output tensors, by number; `children` were returned by calls inside it."""

    operation: keras.Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    children: tuple[int, ...] = ()


def is_maps(tensor: Any) -> bool:
    """Return whether a tensor has the axes of feature maps: batch, height, width and channel."""
    return MAPS.matches(tensor)


def is_video(tensor: Any) -> bool:
    """Return whether a tensor has one more axis than maps: time, if its layer iterates over it."""
    return len(tensor.shape) == len(MAPS.axes) + 2


def shown_parts(operation: keras.Operation, tensor: Any) -> list[tuple[str, Any, OutputKind]]:
    """Return the parts of an output that can be shown: the suffix of its path, the tensor and its kind.

    A tensor of one of `KINDS` is one part. A layer that repeats the same computation at each time step
    returns one for each step, if their number is known.
    """
    kind = next((kind for kind in KINDS if kind.matches(tensor)), None)
    if kind is not None:
        return [("", tensor, kind)]
    if is_video(tensor) and isinstance(operation, _OVER_TIME) and tensor.shape[1] is not None:
        return [(f"[{step}]", tensor[:, step], MAPS) for step in range(tensor.shape[1])]
    return []


_OVER_TIME = keras.layers.TimeDistributed, keras.layers.ConvLSTM2D


def maps_shape(shape: Sequence[Any], data_format: str) -> tuple[Any, Any, Any]:
    """Return `(H, W, C)` of an output of `shape`, batch axis included."""
    height, width, channels = MAPS.shape(shape, data_format)
    return height, width, channels


def declared_format(operation: keras.Operation) -> str | None:
    """Return where a layer itself declares its channels, or `None` if it works on either layout."""
    declared = getattr(operation, "data_format", None)
    if declared in (CHANNELS_FIRST, CHANNELS_LAST):
        return str(declared)
    if isinstance(operation, keras.layers.BatchNormalization | keras.layers.GroupNormalization):
        return {1: CHANNELS_FIRST, -3: CHANNELS_FIRST, 3: CHANNELS_LAST, -1: CHANNELS_LAST}.get(
            operation.axis
        )
    return declared_format(operation.layer) if isinstance(operation, keras.layers.TimeDistributed) else None


def resolve_formats(flows: Sequence[Flow]) -> dict[int, str]:
    """Return the data format of each numbered tensor.

    A convolution or pooling declares it for what it takes and returns; other operations (activations,
    additions, dropout) keep the layout of their inputs; a model or custom layer returns what its last inner
    call did. A video is treated like maps: its time axis comes before the others.

    Returns:
        The data format by number; a tensor that no layer declares anything for is absent.
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
    # Forwards, then backwards, until nothing changes: layouts spread along the graph in both directions.
    before = -1
    while len(known) != before:
        before = len(known)
        for tensors in (*alike, *reversed(alike)):
            formats = [known[tensor] for tensor in tensors if tensor in known]
            if formats:
                for tensor in tensors:
                    known.setdefault(tensor, formats[0])
    return known
