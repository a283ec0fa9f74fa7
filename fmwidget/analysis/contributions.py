"""Where a value of a convolution comes from: what each weight, and each input under it, adds to the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fmwidget.analysis.receptive_field.rules import sliding_windows
from fmwidget.models import backends
from fmwidget.models.outputs import CHANNELS_FIRST, maps_shape

Array = np.ndarray[Any, Any]

# Of each type of number: the step from 1 to the next one, and the smallest one that is not rounded to 0.
_PRECISION = {
    "float64": (2.0**-52, 2.0**-1022),
    "float32": (2.0**-23, 2.0**-126),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-126),
}
# Of the terms' magnitudes, the share that rounding may make up: accelerators may round 32-bit factors to ten
# bits (TF32); and a sum that is off by more than a sixteenth is another sum.
_LEAST_SHARE, _MOST_SHARE = 2.0**-9, 2.0**-4


@dataclass(frozen=True, eq=False)
class Contributions:
    """The terms whose sum is one value of a convolution, before its activation function.

    Attributes:
        channels: The input channels that the filter reads, `(C,)`: all of them, those of its group, or one.
        window: The input under the kernel, `(kh, kw, C)`, float64; 0 beyond the input's edge.
        inside: Which positions of the window lie within the input, `(kh, kw)`.
        kernel: The weights, `(kh, kw, C)`, float64.
        bias: What is added to all of it; `None` for a layer without.
        dtype: The type of number that the layer computes in; the terms are rounded to it, their sum is not.
    """

    channels: Array
    window: Array
    inside: Array
    kernel: Array
    bias: float | None
    dtype: str

    @property
    def products(self) -> Array:
        """Input times weight, `(kh, kw, C)`; beyond the edge nothing is added, whatever the weight is."""
        with np.errstate(all="ignore"):
            return np.where(self.inside[:, :, np.newaxis], self.window * self.kernel, 0.0)

    @property
    def by_channel(self) -> Array:
        """What each input channel adds, `(C,)`."""
        with np.errstate(all="ignore"):
            sums: Array = self.products.sum(axis=(0, 1))
        return sums

    @property
    def total(self) -> float:
        """The sum of it all, the bias included."""
        with np.errstate(all="ignore"):
            return float(self.by_channel.sum() + (self.bias or 0.0))

    def is_sum(self, value: float) -> bool:
        """Whether a layer that adds up these terms may have found `value`, whatever the order it adds in."""
        if not np.isfinite([self.total, value]).all():
            return True
        step, least = _PRECISION[self.dtype]
        terms = self.kernel.size + 1
        size = np.abs(self.products).sum() + abs(self.bias or 0.0)
        share = min(max(terms * step, _LEAST_SHARE), _MOST_SHARE)
        return bool(abs(self.total - value) <= share * size + terms * least)


def is_convolution(layer: keras.Operation) -> bool:
    """Whether the values of a layer can be taken apart."""
    return isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)


def contributions(layer: keras.Layer, inputs: Array, channel: int, row: int, column: int) -> Contributions:
    """Takes one value of a convolution apart.

    Args:
        layer: A `Conv2D` or `DepthwiseConv2D` that has been called.
        inputs: What it was given, `(H, W, C)`, channels last whatever the layer's own layout is.
        channel: Which of its maps, counted from 0.
        row: Row of the value in the map.
        column: Column of the value in the map.

    Raises:
        TypeError: If `layer` is no such layer.
        IndexError: If it has no such value.
    """
    if not is_convolution(layer):
        raise TypeError(f"Expected a Conv2D or DepthwiseConv2D layer, received {type(layer).__name__}.")
    height, width, depth = inputs.shape
    _check(layer, inputs.shape, (row, column, channel))
    filters = _weights(layer, layer.kernel)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        source, multiple = divmod(channel, layer.depth_multiplier)
        channels = np.array([source])
        kernel = filters[:, :, channels, multiple]
    else:
        size = depth // layer.groups
        first = channel // (layer.filters // layer.groups) * size
        channels = np.arange(first, first + size)
        kernel = filters[..., channel]
    down, across = sliding_windows(layer, (height, width))
    rows, columns = down.taps(row), across.taps(column)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    under = inputs[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)][..., channels]
    window = np.where(inside[..., np.newaxis], under.astype(layer.compute_dtype).astype(np.float64), 0.0)
    bias = float(_weights(layer, layer.bias)[channel]) if layer.use_bias else None
    return Contributions(channels, window, inside, kernel, bias, layer.compute_dtype)


def _check(layer: keras.Layer, shape: tuple[int, ...], place: tuple[int, int, int]) -> None:
    first = layer.data_format == CHANNELS_FIRST
    height, width, depth = shape
    output = layer.compute_output_shape((1, depth, height, width) if first else (1, *shape))
    sizes = maps_shape(output, layer.data_format)
    if not all(0 <= at < size for at, size in zip(place, sizes, strict=True)):
        row, column, channel = place
        raise IndexError(
            f"Expected a value of {sizes[0]}×{sizes[1]} maps in {sizes[2]} channels, received row {row}, "
            f"column {column}, channel {channel}."
        )


def _weights(layer: keras.Layer, weights: Any) -> Array:
    """Weights as the layer computes with them: rounded to its own type of number."""
    array = backends.current().to_numpy(keras.ops.convert_to_tensor(weights))
    return array.astype(layer.compute_dtype).astype(np.float64)
