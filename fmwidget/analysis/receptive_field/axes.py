"""Dependencies along one axis, rows or columns: the input positions that each output position depends on.

Convolutions, pooling, padding and resizing treat rows and columns independently, which is why they are
described one axis at a time. Each class below has:

- `stride`: input positions per output position, a fraction where the output is the larger of the two;
- `interval(first, last)`: the first and the last input position that the outputs `first` to `last` depend on,
  as if the input had no edge. The last one may lie before the first: then there are none;
- `matrix(outputs, inputs)`: a mask `(outputs, inputs)` of which output depends on which input, for axes of
  these sizes. Unlike the interval it is exact at the edges, and shows the gaps that dilation leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from .layout import Mask

Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True, slots=True)
class Window:
    """Output `o` depends on the inputs `o * stride - padding + t * dilation` for `0 <= t < kernel`.

    The padding is that before the first input; it is negative where the input is cropped.
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last input of a range of outputs, without edges."""
        extent = (self.kernel - 1) * self.dilation
        return first * self.stride - self.padding, last * self.stride - self.padding + extent

    def input_positions(self, outputs: int | Integers) -> Integers:
        """Return the inputs of each output along a new last axis, `(…, kernel)`; some lie beyond the edge."""
        first = np.asarray(outputs)[..., np.newaxis] * self.stride - self.padding
        return first + np.arange(self.kernel) * self.dilation

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Mark which output depends on which input."""
        return _marked(self.input_positions(np.arange(outputs)), inputs)


@dataclass(frozen=True, slots=True)
class TransposedWindow:
    """Output and input of a window exchanged: output `o` depends on the inputs whose window holds `o`."""

    window: Window

    @property
    def stride(self) -> Fraction:
        """Inputs per output."""
        return Fraction(1, self.window.stride)

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last input of a range of outputs, without edges."""
        stride, (start, end) = self.window.stride, self.window.interval(0, 0)
        return -((end - first) // stride), (last - start) // stride  # the first one rounded up

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Mark which output depends on which input."""
        return self.window.matrix(inputs, outputs).T


@dataclass(frozen=True, slots=True)
class Resample:
    """Output `o` reads the input at `(o + ½) * stride - ½`: the nearest position, or the two around it."""

    stride: Fraction
    is_linear: bool

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last input of a range of outputs, without edges."""
        return int(self._neighbours(first)[0]), int(self._neighbours(last)[1])

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Mark which output depends on which input; beyond an edge its last position is read."""
        neighbours = np.stack(self._neighbours(np.arange(outputs)), axis=-1)
        return _marked(neighbours.clip(0, inputs - 1), inputs)

    def _neighbours(self, outputs: Any) -> tuple[Any, Any]:
        # In integers, since floats would round some positions to the wrong side: `center / unit` is
        # (o + ½) * stride, and `position / unit` half a position less.
        center, unit = (2 * outputs + 1) * self.stride.numerator, 2 * self.stride.denominator
        if not self.is_linear:
            return center // unit, center // unit
        position = center - self.stride.denominator
        return position // unit, -(-position // unit)


AxisRelation = Window | TransposedWindow | Resample


def _marked(positions: Integers, size: int) -> Mask:
    """Mark each row's positions `(rows, n)` on an axis `(rows, size)`, those beyond the edge left out."""
    mask = np.zeros((len(positions), size), bool)
    row, column = np.nonzero((positions >= 0) & (positions < size))
    mask[row, positions[row, column]] = True
    return mask


@lru_cache(maxsize=256)  # a network has many layers but few sizes
def dependency_matrix(relation: AxisRelation, outputs: int, inputs: int) -> Mask:
    """Return `relation.matrix(outputs, inputs)`, cached."""
    return relation.matrix(outputs, inputs)
