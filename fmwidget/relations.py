"""How the positions of one tensor hang on those of another it was made from, read in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layout import CHANNELS_FIRST
from .windows import Axis, Mask, axis_matrix


@dataclass(frozen=True, slots=True)
class Local:
    """Each unit sees a window of rows and columns."""

    rows: Axis
    columns: Axis

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input, which has this many, that the marked units see."""
        (height, width), (units_high, units_wide) = positions, mask.shape
        down = axis_matrix(self.rows, units_high, height)
        return _spread(mask, down, axis_matrix(self.columns, units_wide, width))

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units, of which there are this many, that see a marked position of the input."""
        (height, width), (units_high, units_wide) = mask.shape, units
        down = axis_matrix(self.rows, units_high, height)
        return _spread(mask, down.T, axis_matrix(self.columns, units_wide, width).T)


def _spread(mask: Mask, down: Mask, across: Mask) -> Mask:
    """The positions that the marked ones lead to, row by row (`down`) and column by column."""
    rows, columns = mask.any(1), mask.any(0)
    marked, down, across = mask[rows][:, columns], down[rows], across[columns]
    if marked.all():  # a rectangle, as most are, or a lattice
        return np.outer(down.any(0), across.any(0))
    return (down.T.astype("float32") @ marked.astype("float32") @ across.astype("float32")) > 0


@dataclass(frozen=True, slots=True)
class Same:
    """Each unit sees its own position; tokens may be laid out anew, in the same order."""

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see."""
        return mask.reshape(positions)

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        return mask.reshape(units)


@dataclass(frozen=True, slots=True)
class Everything:
    """Each unit sees all positions; `through` is the name of the layer whose doing it is."""

    through: str = ""

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see."""
        return np.full(positions, mask.any())

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        return np.full(units, mask.any())


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say; `reason` is a sentence that names the layer."""

    reason: str


Relation = Local | Same | Everything | Unknown


@dataclass(frozen=True, slots=True)
class Lies:
    """A tensor's shape, batch axis included, and where its channels are."""

    shape: tuple[int, ...]
    data_format: str

    @property
    def channel_axis(self) -> int:
        """Maps may keep their channels first; anything else has them last."""
        return 1 if self.data_format == CHANNELS_FIRST and len(self.shape) == 4 else len(self.shape) - 1

    @property
    def place_axes(self) -> list[int]:
        """The axes that tell positions apart: rows and columns for maps."""
        return [axis for axis in range(1, len(self.shape)) if axis != self.channel_axis]

    @property
    def positions(self) -> tuple[int, ...]:
        """The size along each of them."""
        return tuple(self.shape[axis] for axis in self.place_axes)
