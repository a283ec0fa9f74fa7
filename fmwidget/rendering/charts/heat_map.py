"""Page of a heat map: a table of numbers as colours, with named rows and columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import SOFT, STRONG, Page, colour_bar
from fmwidget.rendering.grid_layout import MARGIN, PAGE_WIDTH, Box
from fmwidget.rendering.palette import INACTIVE, NAN, NEGINF, PAPER, POSINF, STEPS
from fmwidget.rendering.text import printable, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array

# In CSS pixels.
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 15, 12, 11
TITLE_LINE, FACTS_LINE = 21, 42  # baselines
HEAD = 30  # of the colour bar with its ticks
FOOT = 38  # of the columns' labels and title
BAR_WIDTH, BAR_THICKNESS = 200, 8
TALLEST = 460  # of all rows, unless each is one pixel high
TALLEST_ROW, WIDEST_COLUMN = 18, 64
NARROWEST_HEAD = 420  # of title, colour bar and legend, beside few columns
NARROWEST_GUTTER = 54  # of the names of the rows
LABEL_GAP = 6
LONGEST_LABEL = 220
SMALLEST_MARK = 3

LARGEST = 8e307  # limits beyond which the difference of two overflows


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Numbers to draw as colours, with the names of their rows and columns.

    Attributes:
        values: `(rows, columns)` numbers. NaN and infinities are marked as in the grid of feature maps.
        rows: Name of each row.
        columns: Name of each column.
        row_title: What the rows are.
        column_title: What the columns are.
        scale_title: What the numbers are, with their unit.
        limits: Values drawn as the first and as the last color; those of the values if `None`.
        known: `(rows, columns)` booleans: False where there is no number, which is drawn pale. `None` if all
            are known.
    """

    values: Array
    rows: Sequence[str]
    columns: Sequence[str]
    row_title: str
    column_title: str
    scale_title: str
    limits: tuple[float, float] | None = None
    known: Array | None = None

    @property
    def known_cells(self) -> Array:
        """`(rows, columns)` booleans: True where there is a number."""
        return np.ones(self.values.shape, bool) if self.known is None else self.known

    @property
    def scale(self) -> tuple[float, float]:
        """Values drawn as the first and as the last color, the second above the first."""
        if self.limits is None:
            values = self.values[np.isfinite(self.values) & self.known_cells]
            low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        else:
            low, high = self.limits
        low, high = (min(max(limit, -LARGEST), LARGEST) for limit in (low, high))
        if low < high:
            return low, high
        return min(low, 0.0), max(low, 0.0) or (1.0 if low == 0 else 0.0)


@dataclass(frozen=True)
class HeatMapLayout:
    """Layout of the cells of a heat map, in CSS pixels.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        plot: Box of all cells.
    """

    rows: int
    columns: int
    plot: Box

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column of the cell at a point of the page, or `None`."""
        row = math.floor((y - self.plot.y) * self.rows / self.plot.height)
        column = math.floor((x - self.plot.x) * self.columns / self.plot.width)
        return (row, column) if 0 <= row < self.rows and 0 <= column < self.columns else None

    def box(self, row: int, column: int) -> Box:
        """Return the box of a cell, at least three pixels wide and high, so that its outline is seen."""
        left, width = _span(self.plot.x, self.plot.width, column, self.columns)
        top, height = _span(self.plot.y, self.plot.height, row, self.rows)
        return Box(left, top, width, height)

    def tiles(self) -> dict[str, float]:
        """Return the cells as rows of tiles, for a `PictureView`."""
        right, down = self.plot.width / self.columns, self.plot.height / self.rows
        return {
            **self.plot._asdict(),
            "width": max(SMALLEST_MARK, right),
            "height": max(SMALLEST_MARK, down),
            "right": right,
            "down": down,
            "label": 0,
            "columns": self.columns,
            "first": 0,
            "count": self.rows * self.columns,
            "all": self.rows * self.columns,
            "page": self.columns * max(1, self.rows // 10),  # Page Up and Page Down cross it in ten steps
        }


def _span(start: int, length: int, place: int, count: int) -> tuple[int, int]:
    first, last = (start + length * edge / count for edge in (place, place + 1))
    size = max(SMALLEST_MARK, round(last) - round(first))
    return max(0, round((first + last - size) / 2)), size


def heat_map_layout(heat_map: HeatMap, width: int = PAGE_WIDTH, *, titled: bool = False) -> HeatMapLayout:
    """Lay out the cells of a heat map on a page.

    Args:
        heat_map: The heat map.
        width: Width of the page in CSS pixels.
        titled: Whether there are two lines of title above it.
    """
    rows, columns = heat_map.values.shape
    # Measuring hundreds of names would take a second: the longest, but for a few pixels, is enough.
    longest = text_width(printable(max(heat_map.rows, key=len)), TICK_SIZE)
    gutter = max(
        NARROWEST_GUTTER,
        min(
            longest + LABEL_GAP,
            LONGEST_LABEL,
            max(3 * width // 10, width - 2 * MARGIN - WIDEST_COLUMN * columns),
        ),
        text_width(printable(heat_map.row_title), LABEL_SIZE) + LABEL_GAP,
    )
    left, top = MARGIN + gutter, HEAD + (FACTS_LINE + MARGIN if titled else MARGIN)
    room = min(width - left - MARGIN, WIDEST_COLUMN * columns)
    return HeatMapLayout(rows, columns, Box(left, top, room, max(rows, min(TALLEST, TALLEST_ROW * rows))))


def draw_heat_map(
    heat_map: HeatMap,
    width: int = PAGE_WIDTH,
    ratio: int = 1,
    *,
    title: str | None = None,
    facts: str = "",
) -> Page:
    """Draw a heat map, its colour bar above it.

    Where there are more columns than pixels, a pixel has the color of the largest magnitude in it, or the
    mark of a value that is not finite.

    Args:
        heat_map: The heat map, of at least one row and column.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Device pixels per CSS pixel.
        title: Title above a line of facts; `None` for neither.
        facts: The line of facts below the title.
    """
    layout = heat_map_layout(heat_map, width, titled=title is not None)
    left, top, room, height = layout.plot
    page = Page(width, top + height + FOOT, ratio)
    if title is not None:
        page.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=width - 2 * MARGIN)
        page.write(MARGIN, FACTS_LINE, facts, LABEL_SIZE, room=width - 2 * MARGIN)
    page.edge(layout.plot)
    indices = _cells(heat_map)
    for axis, pixels in enumerate(page.area(layout.plot).shape):
        indices = _to_pixels(indices, pixels, axis, heat_map.scale)
    page.area(layout.plot)[:] = indices
    right = min(width - MARGIN, left + max(room, NARROWEST_HEAD))
    _write_scale(page, heat_map, right, top - HEAD)
    title_room = left - LABEL_GAP - MARGIN
    page.write(
        left - LABEL_GAP, top - 6, heat_map.row_title, LABEL_SIZE, ink=STRONG, align="right", room=title_room
    )
    _write_rows(page, heat_map, layout)
    _write_columns(page, heat_map, layout, right)
    return page


def _cells(heat_map: HeatMap) -> Array:
    """Return the palette index of each cell, `(rows, columns)`."""
    values = np.asarray(heat_map.values, np.float64)
    low, high = heat_map.scale
    with np.errstate(all="ignore"):
        shares = np.clip(np.nan_to_num((values - low) / (high - low)), 0, 1)
        steps = np.rint(shares * (STEPS - 1))
    indices = steps.astype(np.uint8)
    indices[np.isnan(values)] = NAN
    indices[np.isposinf(values)] = POSINF
    indices[np.isneginf(values)] = NEGINF
    indices[~heat_map.known_cells] = INACTIVE
    return indices


def _to_pixels(indices: Array, pixels: int, axis: int, scale: tuple[float, float]) -> Array:
    """Repeat the cells along an axis, or choose one cell where several fall into a pixel."""
    count = indices.shape[axis]
    if count <= pixels:
        return np.take(indices, np.arange(pixels) * count // pixels, axis)
    low, high = scale
    zero = min(max(-low / (high - low), 0.0), 1.0) * (STEPS - 1)
    # Marks come before all colors, and the pale fill of what is not known behind them.
    weight = np.abs(indices - zero)
    weight[indices >= PAPER] = 2 * STEPS
    weight[indices == INACTIVE] = -1
    starts = np.arange(pixels) * count // pixels
    ends = np.append(starts[1:], count)
    chosen = [
        first + np.argmax(np.take(weight, range(first, last), axis), axis)
        for first, last in zip(starts, ends, strict=True)
    ]
    return np.take_along_axis(indices, np.stack(chosen, axis), axis)


def _write_scale(page: Page, heat_map: HeatMap, right: int, top: int) -> None:
    """Draw the colour bar, and its title to the left of it."""
    bar_width = min(BAR_WIDTH, page.width // 3)
    bar = Box(right - 20 - bar_width, top + 1, bar_width, BAR_THICKNESS)
    colour_bar(page, bar, heat_map.scale, vertical=False, size=TICK_SIZE)
    x = bar.x - 10
    page.write(x, bar.y + 8, heat_map.scale_title, LABEL_SIZE, ink=STRONG, align="right", room=x - MARGIN)


def row_names(heat_map: HeatMap, room: float) -> Sequence[str]:
    """Return the names of the rows; where one is wider than `room`, without the parts that all share.

    Layer paths begin with the names of the models around them, which would leave no room for their own.
    """
    names = heat_map.rows
    if len(names) < 2 or text_width(printable(max(names, key=len)), TICK_SIZE) <= room:
        return names
    parts = [name.split("/") for name in names]
    shortest = min(map(len, parts)) - 1
    shared = [len({tuple(each[:count]) for each in parts}) == 1 for count in range(1, shortest + 1)]
    before = shared.index(False) if False in shared else shortest
    shared = [len({tuple(each[-count:]) for each in parts}) == 1 for count in range(1, shortest - before + 1)]
    after = shared.index(False) if False in shared else shortest - before
    return [
        "/".join(["…"] * (before > 0) + each[before : len(each) - after] + ["…"] * (after > 0))
        for each in parts
    ]


def _write_rows(page: Page, heat_map: HeatMap, layout: HeatMapLayout) -> None:
    """Write the names of the rows, or of as many as there is room for."""
    left, top, _, height = layout.plot
    pitch = height / layout.rows
    step = math.ceil((TICK_SIZE + 2) / pitch)
    room = left - LABEL_GAP - MARGIN
    names = row_names(heat_map, room)
    for row in range(0, layout.rows, step):
        y = top + (row + 0.5) * pitch + 0.36 * TICK_SIZE
        page.write(left - LABEL_GAP, y, names[row], TICK_SIZE, align="right", room=room)


def _write_columns(page: Page, heat_map: HeatMap, layout: HeatMapLayout, right: int) -> None:
    """Write the names of the columns, or of as many as there is room for, their title and the legend."""
    left, top, width, height = layout.plot
    pitch = width / layout.columns
    widest = min(text_width(printable(max(heat_map.columns, key=len)), TICK_SIZE), 120) + 10
    step = math.ceil(widest / pitch)
    y = top + height + 5 + TICK_SIZE
    # The last is always named: it is the newest of the steps, the output of the layers.
    for column in [*range(0, layout.columns - step, step), layout.columns - 1]:
        x = left + (column + 0.5) * pitch
        x = min(x, page.width - widest / 2)
        page.write(x, y, heat_map.columns[column], TICK_SIZE, align="center", room=widest - 6)
    y += LABEL_SIZE + 4
    end = _write_legend(page, heat_map, right, y)
    page.write(left, y, heat_map.column_title, LABEL_SIZE, ink=STRONG, room=end - left)


def _write_legend(page: Page, heat_map: HeatMap, right: int, y: int) -> float:
    """Explain the marks in a line that ends at `right`, and return where it begins."""
    known = heat_map.known_cells
    legend = [
        ("NaN", NAN, np.isnan(heat_map.values) & known),
        ("+inf", POSINF, np.isposinf(heat_map.values) & known),
        ("−inf", NEGINF, np.isneginf(heat_map.values) & known),
        ("no value", INACTIVE, ~known),
    ]
    x = float(right)
    for name, index, cells in reversed(legend):
        if not cells.any():
            continue
        x -= text_width(name, TICK_SIZE)
        page.write(x, y, name, TICK_SIZE, ink=SOFT)
        swatch = Box(round(x) - 14, y - 9, 9, 9)
        page.area(swatch)[:] = index
        if index == INACTIVE:
            page.edge(swatch)
            page.area(swatch)[:] = index
        x = swatch.x - 12.0
    return x
