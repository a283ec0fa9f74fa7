"""Page of a depth profile: rows of bars, with one column per layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .canvas import FAINT, SOFT, STRONG, Page, grey
from .formatting import number, percent, shape_text
from .grid_layout import MARGIN, PAGE_WIDTH, Box
from .palette import NAN
from .text import printable, text_width

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.analysis.depth_profile import DepthProfile

# In CSS pixels.
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 15, 12, 11
TITLE_LINE, FACTS_LINE = 21, 42  # baselines
ROW_GAP, ROW_HEIGHT = 8, 44
NAMES_HEIGHT = 20  # of the line of layer names
MARK_HEIGHT = 4  # of the marks of layers with NaN or infinities
WIDEST_COLUMN = 96

ROWS = 4
SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)  # shares at the top of a row


@dataclass(frozen=True)
class ProfileLayout:
    """Layout of the columns of a profile, in CSS pixels.

    Attributes:
        count: Number of layers.
        plot: Box of all rows of bars.
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


def profile_layout(profile: DepthProfile, width: int = PAGE_WIDTH, *, titled: bool = False) -> ProfileLayout:
    """Lay out a profile on a page.

    Args:
        profile: The depth profile.
        width: Width of the page in CSS pixels.
        titled: Whether there are two lines of title above the rows.
    """
    rows = _rows(profile)
    ticks = max(text_width(label, TICK_SIZE) for row in rows for label in row.ticks)
    gutter = max(ticks, *(text_width(row.title, LABEL_SIZE) for row in rows)) + 8
    left, count = MARGIN + gutter, len(profile.paths)
    top = (FACTS_LINE if titled else 0) + MARGIN
    room = min(width - left - MARGIN, WIDEST_COLUMN * count)
    return ProfileLayout(count, Box(left, top, room, ROWS * (ROW_HEIGHT + ROW_GAP) - ROW_GAP))


def draw_profile(
    profile: DepthProfile, width: int = PAGE_WIDTH, ratio: int = 1, *, title: str | None = None
) -> Page:
    """Draw a depth profile: inactive channels, zeros, mean activation and resolution of every layer.

    Where there are more layers than pixels, the highest bar of each pixel is drawn.

    Args:
        profile: The depth profile.
        width: Width of the page in CSS pixels.
        ratio: Device pixels per CSS pixel.
        title: Title above a line that describes the profile; `None` for neither.
    """
    layout = profile_layout(profile, width, titled=title is not None)
    left, top, room, height = layout.plot
    page = Page(width, top + height + NAMES_HEIGHT + MARGIN, ratio)
    if title is not None:
        page.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=width - 2 * MARGIN)
        facts = profile_in_words(profile)
        page.write(MARGIN, FACTS_LINE, facts, LABEL_SIZE, room=width - 2 * MARGIN)
    for index, row in enumerate(_rows(profile)):
        box = Box(left, top + index * (ROW_HEIGHT + ROW_GAP), room, ROW_HEIGHT)
        page.edge(box)
        _bars(page, box, row)
        page.write(left - 6, box.y + ROW_HEIGHT / 2 + 4, row.title, LABEL_SIZE, ink=STRONG, align="right")
        for label, y in zip(row.ticks, (box.y + TICK_SIZE - 2, box.y + ROW_HEIGHT), strict=True):
            page.write(left - 6, y, label, TICK_SIZE, align="right")
    marks = page.area(Box(left, top + height + 2, room, MARK_HEIGHT))
    marks[:, _by_column(profile.not_finite > 0, marks.shape[1])] = NAN
    _write_names(page, layout, profile)
    return page


def profile_in_words(profile: DepthProfile) -> str:
    """Describe a profile: the layer with most channels inactive, and the first with NaN or infinities."""
    count, most = len(profile.paths), int(np.argmax(profile.inactive))
    text = f"{count} {'layer' if count == 1 else 'layers'}"
    if profile.pictures > 1:
        text += f", mean of {profile.pictures} pictures"
    if profile.inactive[most] > 0:
        text += f": most channels inactive in {profile.paths[most]} ({percent(profile.inactive[most])})"
    else:
        text += ": no channel inactive in any of them"
    not_finite = np.flatnonzero(profile.not_finite)
    if not_finite.size:
        first = profile.paths[not_finite[0]]
        text += f" · NaN or infinite values in {not_finite.size}, first in {first}"
    return text


def layer_in_words(profile: DepthProfile, layer: int) -> str:
    """Describe one layer of a profile."""
    height, width, channels = profile.shapes[layer]
    facts = [
        f"{percent(profile.inactive[layer])} of {channels} channels inactive",
        f"{percent(profile.zeros[layer])} zeros",
        f"mean {number(profile.mean[layer])}" if np.isfinite(profile.mean[layer]) else "no finite value",
        shape_text((height, width)),
    ]
    if profile.not_finite[layer]:
        facts.append(f"{profile.not_finite[layer]} values NaN or infinite")
    return f"{profile.paths[layer]}: {', '.join(facts)}"


@dataclass(frozen=True)
class _Row:
    """Bars from `zero` to `values`, all from 0 (bottom) to 1 (top), with labels of top and bottom."""

    title: str
    values: Array
    ticks: tuple[str, str]
    zero: float = 0.0
    ink: float = FAINT


def _rows(profile: DepthProfile) -> tuple[_Row, ...]:
    means = np.where(np.isfinite(profile.mean), profile.mean, 0)
    low, high = min(0.0, float(means.min())), max(0.0, float(means.max()))
    span = high - low or 1.0
    with np.errstate(all="ignore"):  # float64 means may be too far apart to subtract
        positions = (means - low) / span
    sides = np.sqrt(profile.shapes[:, 0].astype(float) * profile.shapes[:, 1])
    largest = shape_text(profile.shapes[int(np.argmax(sides))][:2])
    return (
        _share_row("inactive channels", profile.inactive, ink=STRONG),
        _share_row("zeros", profile.zeros),
        _Row("mean activation", positions, (number(high), number(low)), zero=-low / span),
        _Row("size (log scale)", np.log2(sides + 1) / np.log2(sides.max() + 1), (largest, "")),
    )


def _share_row(title: str, shares: Array, ink: float = FAINT) -> _Row:
    top = next(scale for scale in SCALES if shares.max() <= scale)
    return _Row(title, shares / top, (percent(top), "0"), ink=ink)


def _bars(page: Page, box: Box, row: _Row) -> None:
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
    area[drawn] = grey(row.ink)
    if 0 < zero < height:
        area[height - zero - page.ratio : height - zero] = grey(SOFT)


def _by_column(values: Array, width: int) -> Array:
    """Return the value drawn in each column of pixels: its layer's, or the largest of its layers."""
    if len(values) <= width:
        return values[np.arange(width) * len(values) // width]
    return np.maximum.reduceat(values, np.arange(width) * len(values) // width)


def _write_names(page: Page, layout: ProfileLayout, profile: DepthProfile) -> None:
    """Write the names of the layers, or of as many as there is room for."""
    left, top, width, height = layout.plot
    pitch = width / layout.count
    longest = max(profile.paths, key=len)  # measuring hundreds of names would take a second
    widest = min(text_width(printable(longest), TICK_SIZE), 140) + 12
    step = math.ceil(widest / pitch)
    y = top + height + MARK_HEIGHT + TICK_SIZE + 3
    for layer in range(0, layout.count, step):
        x = left + layer * pitch
        if page.width - x >= widest or layer == 0:
            page.write(x, y, profile.paths[layer], TICK_SIZE, room=min(step * pitch - 10, page.width - x))
