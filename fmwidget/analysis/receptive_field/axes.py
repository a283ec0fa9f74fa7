"""What a unit sees along one axis, rows or columns: windows, and windows read backwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Window:
    """Unit `o` sees the positions `o * stride - padding + t * dilation` for each `t` below `kernel`."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def ratio(self) -> Fraction:
        """Positions of the input for one of the output."""
        return Fraction(self.stride)

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """What the units from `first` to `last` see, as if the input had no edge."""
        start, reach = -self.padding, (self.kernel - 1) * self.dilation
        return first * self.stride + start, last * self.stride + start + reach

    def taps(self, unit: Any) -> Any:
        """The positions that a unit sees, or each of a column of units; some may be beyond the edge."""
        return unit * self.stride - self.padding + np.arange(self.kernel) * self.dilation

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Which of the outputs (rows) see which of the inputs (columns)."""
        return _marked(self.taps(np.arange(outputs)[:, None]), outputs, inputs)


@dataclass(frozen=True, slots=True)
class TransposedWindow:
    """Position `i` is seen by the units `i * stride - padding + t * dilation` for each `t` below `kernel`."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1

    @property
    def ratio(self) -> Fraction:
        """Positions of the input for one of the output."""
        return Fraction(1, self.stride)

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """What the units from `first` to `last` see, as if the input had no edge; at times nothing."""
        reach = (self.kernel - 1) * self.dilation
        start = -(-(first + self.padding - reach) // self.stride)
        return start, (last + self.padding) // self.stride

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Which of the outputs (rows) see which of the inputs (columns)."""
        return Window(self.kernel, self.stride, self.padding, self.dilation).matrix(inputs, outputs).T


@dataclass(frozen=True, slots=True)
class Resample:
    """Unit `o` is read at the position `(o + ½) * ratio - ½`: the nearest one, or between two."""

    ratio: Fraction
    linear: bool

    def interval(self, first: int, last: int) -> tuple[int, int]:
        """What the units from `first` to `last` see, as if the input had no edge."""
        return self._ends(first)[0], self._ends(last)[1]

    def matrix(self, outputs: int, inputs: int) -> Mask:
        """Which of the outputs (rows) see which of the inputs (columns)."""
        taps = np.array([self._ends(unit) for unit in range(outputs)])
        return _marked(np.clip(taps, 0, inputs - 1), outputs, inputs)

    def _ends(self, unit: int) -> tuple[int, int]:
        place = (unit + Fraction(1, 2)) * self.ratio
        if not self.linear:
            return math.floor(place), math.floor(place)
        return math.floor(place - Fraction(1, 2)), math.ceil(place - Fraction(1, 2))


Axis = Window | TransposedWindow | Resample


def _marked(taps: Any, outputs: int, inputs: int) -> Mask:
    matrix = np.zeros((outputs, inputs), bool)
    inside = (taps >= 0) & (taps < inputs)
    matrix[np.nonzero(inside)[0], taps[inside]] = True
    return matrix


@lru_cache(maxsize=256)
def axis_matrix(axis: Axis, outputs: int, inputs: int) -> Mask:
    """`axis.matrix`, remembered: the layers of a network have few sizes."""
    return axis.matrix(outputs, inputs)
