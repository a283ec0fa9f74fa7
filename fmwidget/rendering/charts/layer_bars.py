"""Rows of bars with one column per layer, whose columns can be pointed at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import FAINT, SOFT, STRONG, Page, grey
from fmwidget.rendering.grid_layout import MARGIN, Box
from fmwidget.rendering.palette import GREYS, PAPER
from fmwidget.rendering.text import printable, text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fmwidget.analysis.channel_stats import Array

# In CSS pixels.
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 15, 12, 11
TITLE_LINE, FACTS_LINE = 21, 42  # baselines
ROW_GAP, ROW_HEIGHT = 8, 44
NAMES_HEIGHT = 20  # of the line of layer names
MARK_HEIGHT = 4  # of the marks of layers with NaN or infinities
WIDEST_COLUMN = 96
LABELS_APART = 13


@dataclass(frozen=True)
class BarRow:
    """Bars from `zero` to `values`, all from 0 (bottom) to 1 (top), with labels.

    Attributes:
        title: What the values are.
        values: Height of each layer's bar.
        ticks: Labels, each with its height.
        zero: Height that the bars begin at.
        ink: Share of ink of all bars, or of each.
        line: Height of a line across the bars; `None` for none.
        height: Height of the row in CSS pixels.
    """

    title: str
    values: Array
    ticks: tuple[tuple[str, float], ...]
    zero: float = 0.0
    ink: float | Array = FAINT
    line: float | None = None
    height: int = ROW_HEIGHT


@dataclass(frozen=True)
class BarLayout:
    """Layout of the columns of rows of bars, in CSS pixels.

    Attributes:
        count: Number of layers.
        plot: Box of all rows.
    """

    count: int
    plot: Box

    def layer_at(self, x: float, y: float) -> int | None:
        """Return the layer whose column is at a point of the page, or `None`."""
        layer = math.floor((x - self.plot.x) * self.count / self.plot.width)
        inside = 0 <= layer < self.count and self.plot.y <= y < self.plot.y + self.plot.height
        return layer if inside else None

    def tiles(self) -> dict[str, float]:
        """Return the columns as one row of tiles, for a `PictureView`."""
        pitch = self.plot.width / self.count
        return {
            **self.plot._asdict(),
            "width": max(3, pitch),
            "right": pitch,
            "down": self.plot.height,
            "label": 0,
            "columns": self.count,
            "first": 0,
            "count": self.count,
            "all": self.count,
            "page": max(1, self.count // 10),  # Page Up and Page Down cross the network in ten steps
        }

    def column(self, layer: int) -> Box:
        """Return the column of a layer; with more layers than pixels it is still 3 pixels wide."""
        left, right = (self.plot.x + self.plot.width * edge / self.count for edge in (layer, layer + 1))
        width = max(3, round(right) - round(left))
        return Box(round((left + right - width) / 2), self.plot.y, width, self.plot.height)


def bar_layout(rows: Sequence[BarRow], width: int, head: int) -> BarLayout:
    """Lay out rows of bars on a page.

    Args:
        rows: The rows, of at least one layer.
        width: Width of the page in CSS pixels.
        head: Height of what is above them.
    """
    ticks = max(text_width(label, TICK_SIZE) for row in rows for label, _ in row.ticks)
    gutter = max(ticks, *(text_width(row.title, LABEL_SIZE) for row in rows)) + 8
    left, count = MARGIN + gutter, len(rows[0].values)
    room = min(width - left - MARGIN, WIDEST_COLUMN * count)
    height = sum(row.height + ROW_GAP for row in rows) - ROW_GAP
    return BarLayout(count, Box(left, head, room, height))


def write_title(page: Page, title: str, facts: str) -> None:
    """Write a title, and a line of facts below it, at the top of a page."""
    room = page.width - 2 * MARGIN
    page.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=room)
    page.write(MARGIN, FACTS_LINE, facts, LABEL_SIZE, room=room)


def draw_bars(
    page: Page, layout: BarLayout, rows: Sequence[BarRow], paths: Sequence[str], marks: Mapping[int, Array]
) -> None:
    """Draw rows of bars, and below them the names of the layers.

    Where there are more layers than pixels, the highest bar of each pixel is drawn.

    Args:
        page: Page to draw on.
        layout: The layout of the rows.
        rows: The rows.
        paths: Path of each layer.
        marks: By palette index, True for the layers with a mark of that color below their bars. Of several
            marks of a layer the last is drawn.
    """
    left, top, room, height = layout.plot
    for row in rows:
        box = Box(left, top, room, row.height)
        page.edge(box)
        _bars(page, box, row)
        _write_labels(page, box, row)
        top += row.height + ROW_GAP
    area = page.area(Box(left, layout.plot.y + height + 2, room, MARK_HEIGHT))
    for index, marked in marks.items():
        area[:, _by_column(marked, area.shape[1])] = index
    _write_names(page, layout, paths)


def _write_labels(page: Page, box: Box, row: BarRow) -> None:
    """Write the ticks of a row, and its title where it has room between them."""
    lines = [box.y + box.height - height * (box.height - TICK_SIZE + 2) for _, height in row.ticks]
    middle = box.y + box.height / 2 + 4
    steps = range(0, box.height // 2 - LABELS_APART, 2)
    places = [middle + sign * step for step in steps for sign in (1, -1)] or [middle]
    apart = [min(abs(place - line) for line in lines) for place in places]
    fits = [place for place, room in zip(places, apart, strict=True) if room >= LABELS_APART]
    place = fits[0] if fits else places[apart.index(max(apart))]
    page.write(box.x - 6, place, row.title, LABEL_SIZE, ink=STRONG, align="right")
    for (label, _), line in zip(row.ticks, lines, strict=True):
        page.write(box.x - 6, line, label, TICK_SIZE, align="right")


def _bars(page: Page, box: Box, row: BarRow) -> None:
    area = page.area(box)
    height, width = area.shape
    up, down = (_by_column(np.maximum(sign * (row.values - row.zero), 0), width) for sign in (1, -1))
    zero = round(row.zero * height)
    heights, depths = (np.where(part > 0, np.maximum(np.rint(part * height), 1), 0) for part in (up, down))
    from_bottom = np.arange(height)[::-1, np.newaxis]
    drawn = (from_bottom < zero + heights) & (from_bottom >= zero - depths)
    columns = len(row.values)
    if width >= 4 * page.ratio * columns:  # room to keep neighbours apart
        starts = np.ceil(np.arange(columns) * width / columns).astype(int)
        for offset in range(page.ratio):
            drawn[:, np.minimum(starts + offset, width - 1)] = False
    inks = _by_column(np.broadcast_to(row.ink, columns), width)
    greys = (PAPER + np.rint(inks * (GREYS - 1))).astype(np.uint8)
    np.copyto(area, greys, where=drawn)
    if 0 < zero < height:
        area[height - zero - page.ratio : height - zero] = grey(SOFT)
    if row.line is not None:
        bottom = height - min(round(row.line * height), height - page.ratio)
        line = area[bottom - page.ratio : bottom]
        line[:] = np.where(line == PAPER, grey(STRONG), PAPER)  # seen on the paper and on the bars


def _by_column(values: Array, width: int) -> Array:
    """Return the value drawn in each column of pixels: its layer's, or the largest of its layers."""
    if len(values) <= width:
        return values[np.arange(width) * len(values) // width]
    return np.maximum.reduceat(values, np.arange(width) * len(values) // width)


def _write_names(page: Page, layout: BarLayout, paths: Sequence[str]) -> None:
    """Write the names of the layers, or of as many as there is room for."""
    left, top, width, height = layout.plot
    pitch = width / layout.count
    longest = max(paths, key=len)  # measuring hundreds of names would take a second
    widest = min(text_width(printable(longest), TICK_SIZE), 140) + 12
    step = math.ceil(widest / pitch)
    y = top + height + MARK_HEIGHT + TICK_SIZE + 3
    for layer in range(0, layout.count, step):
        x = left + layer * pitch
        if page.width - x >= widest or layer == 0:
            page.write(x, y, paths[layer], TICK_SIZE, room=min(step * pitch - 10, page.width - x))
