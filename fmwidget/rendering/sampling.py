"""From the values of a map to pixels, and from a pixel back to the value it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from fmwidget.analysis.channel_stats import Array

VALUE_LIMIT = 32  # most pixels per value: a map of few values does not fill its box
SHORTEST_SIDE = 4  # pixels: a map of one row or column is stretched until it can be seen
FILL = 0.9  # least share of a tile's sides that a finer sampling must fill

Area = tuple[float, float, float, float]  # x, y, width and height in fractional pixels


@dataclass(frozen=True)
class Unit:
    """A unit of a layer: one position of one channel.

    Attributes:
        channel: Index of the channel.
        row: Row of the value in the map (not of a pixel), from 0 at the top.
        column: Column of the value in the map, from 0 at the left.
    """

    channel: int
    row: int
    column: int


class Sampling(NamedTuple):
    """Sampling of a map: means over `shrink` by `shrink` values, each drawn as `rows` by `columns` pixels."""

    shrink: int
    rows: int
    columns: int


def fit_map(
    height: int, width: int, room_height: int, room_width: int, largest: int = VALUE_LIMIT
) -> Sampling:
    """Return the largest sampling of a map that fits a box, by whole numbers: enlarged, or else shrunk."""
    shrink = max(-(-height // room_height), -(-width // room_width), 1)
    scale = min(room_height // height, room_width // width, largest) if shrink == 1 else 1
    rows, columns = (
        scale * max(1, -(-SHORTEST_SIDE // (-(-side // shrink) * scale))) for side in (height, width)
    )
    return Sampling(shrink, rows, columns)


def refine(sampling: Sampling, height: int, width: int, ratio: int) -> Sampling:
    """Return the sampling for `ratio` device pixels per CSS pixel; it shows more values of a shrunk map."""
    shrink, rows, columns = sampling
    if rows == columns:
        room_height, room_width = (-(-side // shrink) * rows * ratio for side in (height, width))
        for finer in range(1, shrink):
            drawn_height, drawn_width = -(-height // finer), -(-width // finer)
            scale = min(room_height // drawn_height, room_width // drawn_width)
            if scale * drawn_height >= FILL * room_height and scale * drawn_width >= FILL * room_width:
                return Sampling(finer, scale, scale)
    return Sampling(shrink, rows * ratio, columns * ratio)


def unit_at(sampling: Sampling, map_shape: tuple[int, int], x: float, y: float) -> tuple[int, int] | None:
    """Return row and column of the value that is drawn at a point, or `None` outside of the drawing.

    A pixel that is the mean of several values is divided among them, as they are arranged in the map.

    Args:
        sampling: Sampling of the map.
        map_shape: `(H, W)` of the map.
        x: Pixels from the left edge of the drawing.
        y: Pixels from its top edge.
    """
    unit = []
    for point, pixels, side in ((y, sampling.rows, map_shape[0]), (x, sampling.columns, map_shape[1])):
        block = math.floor(point / pixels)
        first = block * sampling.shrink
        values = min(sampling.shrink, side - first)  # the last block may hold fewer
        if point < 0 or values < 1:
            return None
        unit.append(first + min(int((point / pixels - block) * values), values - 1))
    return unit[0], unit[1]


def unit_box(sampling: Sampling, map_shape: tuple[int, int], row: int, column: int) -> Area:
    """Return where a value is drawn, in pixels of the drawing: the inverse of `unit_at`."""
    edges = []
    for index, pixels, side in (
        (column, sampling.columns, map_shape[1]),
        (row, sampling.rows, map_shape[0]),
    ):
        block, within = divmod(index, sampling.shrink)
        values = min(sampling.shrink, side - block * sampling.shrink)
        edges.append(((block + within / values) * pixels, pixels / values))
    (x, width), (y, height) = edges
    return x, y, width, height


def resize(pixels: Array, width: int, height: int) -> Array:
    """Resize an image `(h, w, C)`: along each axis pixels are repeated, or averaged to fewer."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    for size in ((width, image.height), (width, height)):
        grows = size[0] >= image.width and size[1] >= image.height
        image = image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BOX)
    return np.array(image)  # a copy that can be written to, which Agg needs
