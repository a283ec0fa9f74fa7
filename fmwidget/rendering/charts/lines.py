"""Lines of a chart: numbers over positions, as smooth curves of grey, and the room for their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import Page
from fmwidget.rendering.palette import GREYS, PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array
    from fmwidget.rendering.grid_layout import Box

# In CSS pixels.
THICKNESS = 1.5
DOT = 2.2  # radius
DASH, DASH_PITCH = 4, 7
ROOM_FOR_DOTS = 14  # between neighbours


def draw_line(page: Page, box: Box, x: Array, y: Array, *, ink: float, dashed: bool = False) -> None:
    """Draw a line through points in ascending order of x, clipped to a box.

    A value that is not finite leaves a gap, and a value between two gaps is a dot. Where there is room, all
    values are.

    Args:
        page: Page to draw on.
        box: The box.
        x: Position of each value in CSS pixels of the page.
        y: Height of each value in the box, 0 (bottom) to 1 (top), or not finite.
        ink: Share of ink.
        dashed: Whether to draw dashes.
    """
    ratio = page.ratio
    area = page.area(box)
    height, width = area.shape
    across = (np.asarray(x, float) - box.x) * ratio
    inset = (DOT + 0.5) * ratio  # a whole dot at the top or bottom of the box is within it
    down = inset + (1 - np.asarray(y, float)) * (height - 2 * inset)
    finite = np.isfinite(down)
    coverage = np.zeros((height, width))
    starts = np.flatnonzero(finite & ~np.append(False, finite[:-1]))
    ends = np.flatnonzero(finite & ~np.append(finite[1:], False)) + 1
    dotted = np.zeros(len(across), bool)
    for start, end in zip(starts, ends, strict=True):
        if end - start == 1:
            dotted[start] = True
        else:
            _cover_line(coverage, across[start:end], down[start:end], dashed=dashed, ratio=ratio)
    if len(across) < 2 or np.diff(across).min() >= ROOM_FOR_DOTS * ratio:
        dotted = finite
    for place in np.flatnonzero(dotted):
        _cover_dot(coverage, across[place], down[place], DOT * ratio)
    greys = (PAPER + np.rint(coverage * ink * (GREYS - 1))).astype(np.uint8)
    # Where lines cross, the darker one is on top.
    np.copyto(area, np.maximum(area, greys), where=coverage > 0)


def _cover_line(coverage: Array, x: Array, y: Array, *, dashed: bool, ratio: int) -> None:
    """Cover the pixels of a line: in each column those that it passes, from its highest to its lowest."""
    height, width = coverage.shape
    half = THICKNESS * ratio / 2
    first, last = max(0, int(np.floor(x[0]))), min(width, int(np.ceil(x[-1])) + 1)
    # The edges of the columns, and all points between them, so that no peak is missed.
    places = np.unique(np.concatenate([np.arange(first, last + 1), x]))
    places = places[(places >= x[0]) & (places <= x[-1])]
    values = np.interp(places, x, y)
    columns = np.clip(np.floor(places).astype(int), 0, width - 1)
    top, bottom = np.full(width, np.inf), np.full(width, -np.inf)
    # An edge belongs to the columns on both of its sides.
    for each in (columns, np.clip(np.ceil(places).astype(int) - 1, 0, width - 1)):
        np.minimum.at(top, each, values)
        np.maximum.at(bottom, each, values)
    rows = np.arange(height)[:, np.newaxis]
    with np.errstate(invalid="ignore"):  # of the columns that the line does not reach
        covered = np.minimum(rows + 1, bottom + half) - np.maximum(rows, top - half)
    covered = np.clip(np.nan_to_num(covered), 0, 1)
    if dashed:
        covered[:, np.arange(width) % (DASH_PITCH * ratio) >= DASH * ratio] = 0
    np.maximum(coverage, covered, out=coverage)


def _cover_dot(coverage: Array, x: float, y: float, radius: float) -> None:
    height, width = coverage.shape
    rows, columns = np.arange(height)[:, np.newaxis] + 0.5, np.arange(width) + 0.5
    distance = np.hypot(rows - y, columns - x)
    np.maximum(coverage, np.clip(radius + 0.5 - distance, 0, 1), out=coverage)


def spread(places: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that all are `apart` from each other, and between two ends.

    Args:
        places: The wanted places, in any order.
        apart: Least distance between two.
        low: Lowest place.
        high: Highest place; there is to be room for all of them.
    """
    order = np.argsort(places, kind="stable")
    moved = np.clip(np.asarray(places, float)[order], low, high)
    for place in range(1, len(moved)):
        moved[place] = max(moved[place], moved[place - 1] + apart)
    for place in reversed(range(len(moved))):
        moved[place] = min(moved[place], high - apart * (len(moved) - 1 - place))
    result = np.empty(len(moved))
    result[order] = moved
    return result.tolist()
