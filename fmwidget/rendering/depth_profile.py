"""Draws a depth profile as a page: rows of bars, a column for each layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .canvas import FAINT, SOFT, STRONG, Page, grey
from .formatting import number, shape_text
from .grid_layout import MARGIN, PAGE_WIDTH, Box
from .palette import NAN
from .text import printable, text_width

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.analysis.depth_profile import DepthProfile

TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 15, 12, 11
TITLE_LINE, FACTS_LINE = 21, 42  # baselines
ROW_GAP, ROW_HEIGHT = 8, 44
ROWS = 4
NAMES = 20  # height of the line of layers' names
LOUD = 4  # height of the marks of layers with values that are not finite
WIDEST_COLUMN = 96
SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)  # what the highest bar of a row of shares may stand for


@dataclass(frozen=True)
class ProfileLayout:
    """Where the columns of a profile lie, in CSS pixels.

    Attributes:
        count: Number of layers.
        plot: The box that holds all rows of bars.
    """

    count: int
    plot: Box

    def layer_at(self, x: float, y: float) -> int | None:
        """The layer whose column is at a point of the page, or `None`."""
        place = math.floor((x - self.plot.x) * self.count / self.plot.width)
        inside = 0 <= place < self.count and self.plot.y <= y < self.plot.y + self.plot.height
        return place if inside else None

    def tiles(self) -> dict[str, float]:
        """The columns as tiles in one row, for a `PictureView`; Page Up and Down go a tenth of the way."""
        wide = self.plot.width / self.count
        sizes = {"width": max(3, wide), "right": wide, "down": self.plot.height, "label": 0}
        counts = {"first": 0, "count": self.count, "all": self.count, "columns": self.count}
        return {**self.plot._asdict(), **sizes, **counts, "page": max(1, self.count // 10)}

    def column(self, layer: int) -> Box:
        """The column of a layer; a few pixels wide even where there are more layers than pixels."""
        left, right = (self.plot.x + self.plot.width * place / self.count for place in (layer, layer + 1))
        width = max(3, round(right) - round(left))
        return Box(round((left + right - width) / 2), self.plot.y, width, self.plot.height)


def profile_layout(profile: DepthProfile, width: int = PAGE_WIDTH, *, titled: bool = False) -> ProfileLayout:
    """Lays out a profile on a page `width` CSS pixels wide.

    Args:
        profile: What to lay out.
        width: Width of the page.
        titled: Whether there are two lines of title above.
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
    """Draws a depth profile: channels inactive, zeros, mean activation and resolution, layer by layer.

    Where there are more layers than pixels, the highest bar of each pixel is drawn.

    Args:
        profile: What to draw.
        width: Width of the page in CSS pixels.
        ratio: Device pixels to a CSS pixel.
        title: A title, below which the profile is told in words; without one there is neither.
    """
    layout = profile_layout(profile, width, titled=title is not None)
    left, top, room, height = layout.plot
    page = Page(width, top + height + NAMES + MARGIN, ratio)
    if title is not None:
        page.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=width - 2 * MARGIN)
        facts = profile_in_words(profile)
        page.write(MARGIN, FACTS_LINE, facts, LABEL_SIZE, room=width - 2 * MARGIN)
    for place, row in enumerate(_rows(profile)):
        box = Box(left, top + place * (ROW_HEIGHT + ROW_GAP), room, ROW_HEIGHT)
        page.edge(box)
        _bars(page, box, row)
        page.write(left - 6, box.y + ROW_HEIGHT / 2 + 4, row.title, LABEL_SIZE, ink=STRONG, align="right")
        for label, y in zip(row.ticks, (box.y + TICK_SIZE - 2, box.y + ROW_HEIGHT), strict=True):
            page.write(left - 6, y, label, TICK_SIZE, align="right")
    loud = _by_column(profile.not_finite > 0, page.area(Box(left, 0, room, 1)).shape[1])
    page.area(Box(left, top + height + 2, room, LOUD))[:, loud > 0] = NAN
    _names(page, layout, profile)
    return page


def profile_in_words(profile: DepthProfile) -> str:
    """The profile in a sentence or two: where most channels are inactive, and where values are not finite."""
    count, pictures = len(profile.paths), profile.pictures
    of = f"{count} {'layer' if count == 1 else 'layers'}"
    if pictures > 1:
        of += f", mean of {pictures} pictures"
    most = int(np.argmax(profile.inactive))
    told = "no channel inactive in any of them"
    if profile.inactive[most] > 0:
        told = f"most channels inactive in {profile.paths[most]} ({_percent(profile.inactive[most])})"
    loud = np.flatnonzero(profile.not_finite)
    first = (
        f" · NaN or infinite values in {len(loud)}, first in {profile.paths[loud[0]]}" if loud.size else ""
    )
    return f"{of}: {told}{first}"


def layer_in_words(profile: DepthProfile, layer: int) -> str:
    """What the profile says of one layer."""
    height, width, channels = profile.shapes[layer]
    facts = [
        f"{_percent(profile.inactive[layer])} of {channels} channels inactive",
        f"{_percent(profile.zeros[layer])} zeros",
        f"mean {number(profile.mean[layer])}" if np.isfinite(profile.mean[layer]) else "no finite value",
        shape_text((height, width)),
    ]
    if profile.not_finite[layer]:
        facts.append(f"{profile.not_finite[layer]} values NaN or infinite")
    return f"{profile.paths[layer]}: {', '.join(facts)}"


@dataclass(frozen=True)
class _Row:
    """Bars from `zero` to values, all from 0 (bottom) to 1 (top), and what top and bottom stand for."""

    title: str
    values: Array
    ticks: tuple[str, str]
    zero: float = 0.0
    ink: float = FAINT


def _rows(profile: DepthProfile) -> tuple[_Row, ...]:
    means = np.where(np.isfinite(profile.mean), profile.mean, 0)
    low, high = min(0.0, float(means.min())), max(0.0, float(means.max()))
    scale = max(-low, high) or 1.0  # means may be as large as floats get: their differences may not overflow
    span = high / scale - low / scale or 1.0
    sides = np.sqrt(profile.shapes[:, 0].astype(float) * profile.shapes[:, 1])
    largest = shape_text(profile.shapes[int(np.argmax(sides))][:2])
    return (
        _share_row("inactive channels", profile.inactive, ink=STRONG),
        _share_row("zeros", profile.zeros),
        _Row(
            "mean activation",
            (means / scale - low / scale) / span,
            (number(high), number(low)),
            zero=-low / scale / span,
        ),
        _Row("size (log scale)", np.log2(sides + 1) / np.log2(sides.max() + 1), (largest, "")),
    )


def _share_row(title: str, shares: Array, ink: float = FAINT) -> _Row:
    top = next(each for each in SHARES if shares.max() <= each)
    return _Row(title, shares / top, (_percent(top), "0"), ink=ink)


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.3g} %"


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
    """The value drawn in each of `width` columns: its layer's, or the largest where it stands for several."""
    if len(values) <= width:
        return values[np.arange(width) * len(values) // width]
    return np.maximum.reduceat(values, np.arange(width) * len(values) // width)


def _names(page: Page, layout: ProfileLayout, profile: DepthProfile) -> None:
    """Names every layer, or every so many that the names have room."""
    left, top, width, height = layout.plot
    pitch = width / layout.count
    longest = max(profile.paths, key=len)  # to measure hundreds would take a second
    widest = min(text_width(printable(longest), TICK_SIZE), 140) + 12
    step = math.ceil(widest / pitch)
    y = top + height + LOUD + TICK_SIZE + 3
    for layer in range(0, layout.count, step):
        x = left + layer * pitch
        if page.width - x >= widest or layer == 0:
            page.write(x, y, profile.paths[layer], TICK_SIZE, room=min(step * pitch - 10, page.width - x))
