"""The terms of a convolution's value: the product of each weight with the input under it, and the bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fmwidget.analysis.receptive_field.rules import sliding_windows
from fmwidget.models import backends
from fmwidget.models.outputs import CHANNELS_FIRST, maps_shape

Array = np.ndarray[Any, Any]

# Machine epsilon (the step from 1 to the next number) and the smallest number that is not rounded to 0.
_EPSILON_AND_TINY = {
    "float64": (2.0**-52, 2.0**-1022),
    "float32": (2.0**-23, 2.0**-126),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-126),
}
# Bounds on the rounding error that is tolerated, relative to the sum of the terms' magnitudes. At least this:
# accelerators may round 32-bit factors to ten bits (TF32). At most this: a sum further off is another sum.
_MIN_TOLERANCE, _MAX_TOLERANCE = 2.0**-9, 2.0**-4


@dataclass(frozen=True, eq=False)
class Contributions:
    """The terms whose sum is one value of a convolution, before its activation function.

    Attributes:
        channels: The input channels that the filter reads, `(C,)`: all of them, those of its group, or one.
        window: The input under the kernel, `(kh, kw, C)`, float64; 0 beyond the input's edge.
        inside: A mask of the window's positions within the input, `(kh, kw)`.
        kernel: The weights, `(kh, kw, C)`, float64.
        bias: The bias of the output channel; `None` for a layer without.
        dtype: The dtype that the layer computes in. The terms are rounded to it, their sum is not.
    """

    channels: Array
    window: Array
    inside: Array
    kernel: Array
    bias: float | None
    dtype: str

    @property
    def products(self) -> Array:
        """Input times weight, `(kh, kw, C)`; 0 beyond the edge, even where the weight is not finite."""
        with np.errstate(all="ignore"):
            return np.where(self.inside[:, :, np.newaxis], self.window * self.kernel, 0.0)

    @property
    def by_channel(self) -> Array:
        """The sum of the products of each input channel, `(C,)`."""
        with np.errstate(all="ignore"):
            sums: Array = self.products.sum(axis=(0, 1))
        return sums

    @property
    def total(self) -> float:
        """The sum of all products and the bias."""
        with np.errstate(all="ignore"):
            return float(self.by_channel.sum() + (self.bias or 0.0))

    def sums_to(self, value: float) -> bool:
        """Return whether `value` is the sum of the terms, but for rounding in any order of addition.

        Also true if one of the two is not finite: whether partial sums overflow depends on the order.
        """
        if not np.isfinite([self.total, value]).all():
            return True
        epsilon, tiny = _EPSILON_AND_TINY[self.dtype]
        terms = self.kernel.size + 1
        magnitude = np.abs(self.products).sum() + abs(self.bias or 0.0)
        tolerance = min(max(terms * epsilon, _MIN_TOLERANCE), _MAX_TOLERANCE)
        return bool(abs(self.total - value) <= tolerance * magnitude + terms * tiny)


def is_convolution(layer: keras.Operation) -> bool:
    """Return whether `contributions` can split the values of a layer."""
    return isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)


def contributions(layer: keras.Layer, inputs: Array, channel: int, row: int, column: int) -> Contributions:
    """Split one value of a convolution into the terms that it is the sum of.

    Args:
        layer: A `Conv2D` or `DepthwiseConv2D` that has been called.
        inputs: The layer's input, `(H, W, C)`, channels last for any data format of the layer.
        channel: Channel of the value, counted from 0.
        row: Row of the value in its feature map.
        column: Column of the value in its feature map.

    Raises:
        TypeError: If `layer` is of another type.
        IndexError: If the layer's output has no such value.
    """
    if not is_convolution(layer):
        raise TypeError(f"`layer` must be a Conv2D or DepthwiseConv2D. Received {type(layer).__name__}.")
    _require_value(layer, inputs.shape, row, column, channel)
    height, width, depth = inputs.shape
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
    row_window, column_window = sliding_windows(layer, (height, width))
    rows, columns = row_window.input_positions(row), column_window.input_positions(column)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    under = inputs[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)][..., channels]
    window = np.where(inside[..., np.newaxis], under.astype(layer.compute_dtype).astype(np.float64), 0.0)
    bias = float(_weights(layer, layer.bias)[channel]) if layer.use_bias else None
    return Contributions(channels, window, inside, kernel, bias, layer.compute_dtype)


def _require_value(layer: keras.Layer, inputs: tuple[int, ...], row: int, column: int, channel: int) -> None:
    height, width, depth = inputs
    is_first = layer.data_format == CHANNELS_FIRST
    output = layer.compute_output_shape((1, depth, height, width) if is_first else (1, *inputs))
    rows, columns, channels = maps_shape(output, layer.data_format)
    if not (0 <= row < rows and 0 <= column < columns and 0 <= channel < channels):
        raise IndexError(
            f"`row`, `column` and `channel` must be within {rows}×{columns} maps in {channels} channels. "
            f"Received row={row}, column={column}, channel={channel}."
        )


def _weights(layer: keras.Layer, weights: Any) -> Array:
    """Return weights rounded to the dtype that the layer computes in."""
    array = backends.current().to_numpy(keras.ops.convert_to_tensor(weights))
    return array.astype(layer.compute_dtype).astype(np.float64)
