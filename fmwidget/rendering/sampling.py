"""How a map becomes pixels, and where among them each of its values is. Arithmetic only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

VALUE_LIMIT = 32  # a map of few values does not fill its room
SHORTEST_SIDE = 4  # a map of one row or column is drawn wider than true, or it could not be seen
FILL = 0.9  # a finer drawing may leave a tenth of its tile empty, not more

Area = tuple[float, float, float, float]  # x, y, width and height of a box with parts of pixels


@dataclass(frozen=True)
class Unit:
    """A unit of a layer: one value of one of its maps.

    Attributes:
        channel: Index of the map.
        row: Row in the map, counted from 0 at the top; never a pixel.
        column: Column in the map, counted from 0 at the left.
    """

    channel: int
    row: int
    column: int


class Sampling(NamedTuple):
    """How a map becomes pixels: means over `shrink` by `shrink` values, each `rows` by `columns` pixels."""

    shrink: int
    rows: int
    columns: int


def fit_map(
    height: int, width: int, room_height: int, room_width: int, largest: int = VALUE_LIMIT
) -> Sampling:
    """How a map is drawn as large as a room allows, by whole numbers: enlarged if it fits, else shrunk."""
    shrink = max(-(-height // room_height), -(-width // room_width), 1)
    scale = min(room_height // height, room_width // width, largest) if shrink == 1 else 1
    rows, columns = (
        scale * max(1, -(-SHORTEST_SIDE // (-(-side // shrink) * scale))) for side in (height, width)
    )
    return Sampling(shrink, rows, columns)


def refine(sampling: Sampling, height: int, width: int, ratio: int) -> Sampling:
    """The same drawing at `ratio` device pixels to a CSS pixel: showing more values of a shrunk map."""
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
    """The row and column of the value that is drawn at a place; `None` beside the drawing.

    Where a pixel is the mean of several values, its upper left part is the first of them, and so on.

    Args:
        sampling: How the map is drawn.
        map_shape: `(H, W)` of the map.
        x: Pixels of the drawing from its left edge.
        y: Pixels from its top edge.
    """
    unit = []
    for place, pixels, side in ((y, sampling.rows, map_shape[0]), (x, sampling.columns, map_shape[1])):
        block = math.floor(place / pixels)
        first = block * sampling.shrink
        values = min(sampling.shrink, side - first)  # the last block may hold fewer
        if place < 0 or values < 1:
            return None
        unit.append(first + min(int((place / pixels - block) * values), values - 1))
    return unit[0], unit[1]


def unit_box(sampling: Sampling, map_shape: tuple[int, int], row: int, column: int) -> Area:
    """Where the value of a row and column is drawn, in pixels of the drawing: the inverse of `unit_at`."""
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
