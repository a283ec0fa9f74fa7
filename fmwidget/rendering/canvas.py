"""Pages: pixels as palette indices, and lines of text that are drawn on top of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from .formatting import nice_ticks, tick_labels
from .grid_layout import Box
from .palette import GREYS, PAPER, STEPS
from .text import elide, printable, rasterize, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array

Align = Literal["left", "center", "right"]

# Shares of ink, 0 (paper) to 1: of text, and of the edges of tiles.
STRONG, SOFT, FAINT = 1.0, 0.75, 0.6
EDGE = 0.2


class Text(NamedTuple):
    """A line of text; `x`, the baseline `y` and `size` are in CSS pixels."""

    x: float
    y: float
    text: str
    size: float
    ink: float = SOFT
    bold: bool = False
    align: Align = "left"


@dataclass
class Page:
    """A page to draw on.

    Attributes:
        width: Width in CSS pixels.
        height: Height in CSS pixels.
        ratio: Device pixels per CSS pixel.
        indices: Pixels without text, `(height * ratio, width * ratio)` palette indices.
        texts: Lines of text.
    """

    width: int
    height: int
    ratio: int = 1
    indices: Array = field(init=False)
    texts: list[Text] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.indices = np.full((self.height * self.ratio, self.width * self.ratio), PAPER, np.uint8)

    def area(self, box: Box) -> Array:
        """Return a view of the pixels in a box."""
        left, top, width, height = (side * self.ratio for side in box)
        return self.indices[top : top + height, left : left + width]

    def edge(self, box: Box) -> None:
        """Draw a hairline around a box, whose content may have the colour of the paper."""
        frame, line = self.area(Box(box.x - 1, box.y - 1, box.width + 2, box.height + 2)), self.ratio
        frame[:line] = frame[-line:] = grey(EDGE)
        frame[:, :line] = frame[:, -line:] = grey(EDGE)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        ink: float = SOFT,
        bold: bool = False,
        align: Align = "left",
        room: float = math.inf,
    ) -> str:
        """Write a line of text, its middle elided if it is wider than `room`, and return it."""
        text = printable(text)
        if room < math.inf:
            text = elide(text, room, lambda part: text_width(part, size, bold=bold))
        self.texts.append(Text(x, y, text, size, ink, bold, align))
        return text

    def composed(self) -> Array:
        """Return the pixels of the page with its text."""
        indices = self.indices.copy()
        for text in self.texts:
            _stamp(indices, text, self.ratio)
        return indices


def stack(pages: Sequence[Page], gap: int = 0) -> Page:
    """Stack pages of the same ratio below each other, `gap` CSS pixels apart."""
    height = sum(page.height for page in pages) + gap * (len(pages) - 1)
    whole = Page(max(page.width for page in pages), height, pages[0].ratio)
    top = 0
    for page in pages:
        rows, columns = page.indices.shape
        whole.indices[top * page.ratio : top * page.ratio + rows, :columns] = page.indices
        whole.texts += [text._replace(y=text.y + top) for text in page.texts]
        top += page.height + gap
    return whole


def _stamp(indices: Array, text: Text, ratio: int) -> None:
    coverage, ascent = rasterize(text.text, text.size * ratio, bold=text.bold)
    rows, columns = coverage.shape
    offset = {"left": 0.0, "center": columns / 2, "right": columns}[text.align]
    top, left = round(text.y * ratio) - ascent, round(text.x * ratio - offset)
    # Text may reach over the edges of the page.
    skip_rows, skip_columns = max(0, -top), max(0, -left)
    area = indices[top + skip_rows : top + rows, left + skip_columns : left + columns]
    inside = coverage[skip_rows : skip_rows + area.shape[0], skip_columns : skip_columns + area.shape[1]]
    np.copyto(area, _grey_of_coverage(text.ink)[inside], where=inside > 0)


@lru_cache(maxsize=16)
def _grey_of_coverage(ink: float) -> Array:
    return (PAPER + np.rint(np.arange(256) / 255 * ink * (GREYS - 1))).astype(np.uint8)


def grey(ink: float) -> int:
    """Return the palette index of a grey, 0 (paper) to 1 (ink)."""
    return PAPER + round(ink * (GREYS - 1))


# ------------------------------------------------------------------ colour bar


def colour_bar(
    page: Page,
    box: Box,
    limits: tuple[float, float],
    *,
    ends: tuple[float, float] | None = None,
    vertical: bool,
    size: float,
) -> None:
    """Draw a colour bar in a box, with ticks in activation units below it or to its right.

    Args:
        page: Page to draw on.
        box: Box of the bar.
        limits: Activations drawn as the first and as the last level.
        ends: Activations at the ends of the bar; `limits` if `None`. Beyond the limits the colours of the
            first and the last level continue.
        vertical: Whether the bar is vertical.
        size: Size of the labels in CSS pixels.
    """
    low, high = limits if ends is None else ends
    page.edge(box)
    area = page.area(box)
    length = area.shape[0] if vertical else area.shape[1]

    def position(activation: float) -> float:
        """Return where an activation is on the bar, 0 to 1."""
        return (activation - low) / (high - low)

    first, last = map(position, limits)
    levels = (np.linspace(0, 1, length) - first) / (last - first)
    steps = np.rint(np.clip(levels, 0, 1) * (STEPS - 1)).astype(np.uint8)
    area[:] = steps[::-1, np.newaxis] if vertical else steps

    extent = box.height if vertical else box.width
    for most in (6, 5, 4, 3, 2):  # as many ticks as their labels leave room for
        ticks = nice_ticks(low, high, most)
        labels = tick_labels(ticks)
        needed = 2 * size if vertical else size + max(text_width(label, size) for label in labels)
        if extent * (position(ticks[1]) - position(ticks[0])) >= needed:
            break
    for tick, label in zip(ticks, labels, strict=True):
        if vertical:
            y = box.y + (1 - position(tick)) * (box.height - 1)
            _tick_mark(page, box.x + box.width, y, 3, 1)
            page.write(box.x + box.width + 6, round(y) + 0.36 * size, label, size)
        else:
            x = box.x + position(tick) * (box.width - 1)
            _tick_mark(page, x, box.y + box.height, 1, 3)
            page.write(x, box.y + box.height + 3 + size, label, size, align="center")


def _tick_mark(page: Page, x: float, y: float, width: int, height: int) -> None:
    top, left = round(y * page.ratio), round(x * page.ratio)
    page.indices[top : top + height * page.ratio, left : left + width * page.ratio] = grey(FAINT)
