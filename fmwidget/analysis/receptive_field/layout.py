"""The axes of a tensor: batch, channels, and the grid of positions that is left.

A unit is one position of one channel. What it depends on does not differ between channels here, so that
receptive fields are computed on the grid alone: `(rows, columns)` of feature maps, `(time steps, rows,
columns)` of a video, `(tokens,)` of a sequence, `()` of a vector. A mask marks positions of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmwidget.models.outputs import CHANNELS_FIRST, is_video

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Grid = tuple[int, ...]  # the size along each axis of positions
Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two not included


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """The shape of a tensor, batch axis included, and where its channels are."""

    shape: tuple[int, ...]
    data_format: str

    @property
    def channel_axis(self) -> int:
        """The axis of channels: the last one, unless maps have it first (behind time, in a video)."""
        is_first = self.data_format == CHANNELS_FIRST and len(self.shape) in (4, 5)
        return len(self.shape) - 3 if is_first else len(self.shape) - 1

    @property
    def grid_axes(self) -> list[int]:
        """The axes of positions."""
        return [axis for axis in range(1, len(self.shape)) if axis != self.channel_axis]

    @property
    def grid(self) -> Grid:
        """The size along each axis of positions."""
        return tuple(self.shape[axis] for axis in self.grid_axes)

    @property
    def time_steps(self) -> int:
        """The number of time steps; 1 for anything but a video."""
        return self.shape[1] if is_video(self) else 1

    @property
    def without_time(self) -> TensorLayout:
        """The layout of one time step."""
        return TensorLayout((self.shape[0], *self.shape[2:]), self.data_format)


def bounding_box(mask: Mask) -> Box | None:
    """Return the smallest box that holds all marked positions, of a video in any time step."""
    if not mask.any():
        return None
    marked = np.any(mask.reshape(-1, *mask.shape[-2:]), axis=0)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
