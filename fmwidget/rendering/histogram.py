"""Histogram of a channel's values, above the colors they are drawn in."""

from __future__ import annotations

import numpy as np

from fmwidget.analysis.channel_stats import ChannelStatistics, scaled

from .canvas import FAINT, Page, grey
from .formatting import nice_ticks, tick_labels
from .grid_layout import Box
from .normalization import channel_limits
from .palette import STEPS, Array

BINS = 56


PLOT = Box(20, 18, 3 * BINS, 32)  # CSS px


STRIP = Box(PLOT.x, PLOT.y + PLOT.height + 1, PLOT.width, 6)


WIDTH, HEIGHT = PLOT.width + 2 * PLOT.x, STRIP.y + STRIP.height + 18


def histogram(channel_map: Array) -> tuple[Array, float, float] | None:
    """How many of a map's values lie in each of `BINS` equal steps from its smallest to its largest.

    Zeros are left out: after a ReLU they would dwarf all else, and their share is told in numbers.

    Returns:
        The counts, and the smallest and largest finite value; `None` if there are not two values.
    """
    values, finite, exponent = scaled(channel_map)
    present = values[finite]
    if not present.size or present.min() == present.max():
        return None
    low, high = present.min(), present.max()
    places = np.floor((present[present != 0] - low) / (high - low) * BINS).astype(int)
    counts = np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    return counts, float(np.ldexp(low, exponent)), float(np.ldexp(high, exponent))


def draw_histogram(statistics: ChannelStatistics, channel: int, norm: str, ratio: int = 1) -> Page:
    """Draws how a channel's values are spread, above the colours that they are drawn in.

    Args:
        statistics: What `channel_statistics` found.
        channel: Which channel.
        norm: One of `NORMS`.
        ratio: Device pixels to a CSS pixel.
    """
    page = Page(WIDTH, HEIGHT, ratio)
    spread = histogram(statistics.maps[:, :, channel])
    if spread is None:
        page.write(PLOT.x, PLOT.y - 6, "no two values to compare", 11, room=PLOT.width)
        return page
    counts, low, high = spread
    zeros = statistics.zeros[channel] > 0
    page.write(PLOT.x, PLOT.y - 6, "values other than 0" if zeros else "all values", 11)
    heights = np.rint(counts / counts.max() * PLOT.height * ratio).astype(int)
    heights[(counts > 0) & (heights == 0)] = 1
    area = page.area(PLOT)
    columns = heights.repeat(area.shape[1] // BINS)
    area[np.arange(len(area))[::-1, np.newaxis] < columns] = grey(FAINT)

    page.edge(STRIP)
    strip = page.area(STRIP)
    bottom, top = (float(limit[channel]) for limit in channel_limits(statistics, norm))
    places = (np.arange(strip.shape[1]) + 0.5) / strip.shape[1]
    start, end, bottom, top = _to_one(low, high, bottom, top)
    values = start + places * (end - start)
    levels = (values - bottom) / (top - bottom) if bottom < top else np.full(len(values), 0.5)
    strip[:] = np.rint(np.clip(levels, 0, 1) * (STEPS - 1)).astype(np.uint8)
    start, end = _to_one(low, high)
    ticks = nice_ticks(low, high, 3)
    for label, tick in zip(tick_labels(ticks), _to_one(*ticks, low, high), strict=False):
        x = PLOT.x + (tick - start) / (end - start) * PLOT.width
        page.write(x, HEIGHT - 4, label, 11, align="center")
    return page


def _to_one(*values: float) -> list[float]:
    """Brings values to magnitudes up to 1, exactly, so that no difference of them overflows."""
    exponent = int(np.frexp(max(map(abs, values)))[1])
    with np.errstate(under="ignore"):
        return [float(value) for value in np.ldexp(values, -exponent)]
