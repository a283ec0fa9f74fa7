"""Histogram of a channel's values, above the colours they are drawn in."""

from __future__ import annotations

import math

import numpy as np

from fmwidget.analysis.channel_stats import Array, ChannelScale, ChannelStatistics

from .canvas import FAINT, Page, grey
from .formatting import nice_ticks, tick_labels
from .grid_layout import Box
from .normalization import channel_limits
from .palette import STEPS

BINS = 56

# In CSS pixels.
PLOT = Box(20, 18, 3 * BINS, 32)
STRIP = Box(PLOT.x, PLOT.y + PLOT.height + 1, PLOT.width, 6)
WIDTH, HEIGHT = PLOT.width + 2 * PLOT.x, STRIP.y + STRIP.height + 18


def histogram(channel_map: Array) -> tuple[Array, float, float] | None:
    """Count the values of a map in `BINS` equal steps from its smallest to its largest.

    Zeros are left out: after a ReLU they would dwarf all else, and their share is among the statistics.

    Returns:
        The counts, and the smallest and largest finite value; `None` if there are not two values, or
        their difference overflows.
    """
    present = channel_map[np.isfinite(channel_map)].astype(np.float64)
    if not present.size:
        return None
    low, high = float(present.min()), float(present.max())
    if not 0 < high - low < math.inf:
        return None
    with np.errstate(under="ignore"):
        steps = ((present[present != 0] - low) / (high - low) * BINS).astype(int)
    return np.bincount(np.minimum(steps, BINS - 1), minlength=BINS), low, high


def draw_histogram(
    statistics: ChannelStatistics, channel: int, norm: str, ratio: int = 1, scale: ChannelScale | None = None
) -> Page:
    """Draw the histogram of a channel's values, above the colours that they are drawn in.

    Args:
        statistics: Statistics of the layer's maps.
        channel: Index of the channel.
        norm: One of `NORMS`.
        ratio: Device pixels per CSS pixel.
        scale: The range that the map is normalized by; its own if `None`.
    """
    page = Page(WIDTH, HEIGHT, ratio)
    counted = histogram(statistics.maps[:, :, channel])
    if counted is None:
        page.write(PLOT.x, PLOT.y - 6, "no two values to compare", 11, room=PLOT.width)
        return page
    counts, low, high = counted
    has_zeros = statistics.zeros[channel] > 0
    page.write(PLOT.x, PLOT.y - 6, "values other than 0" if has_zeros else "all values", 11)
    heights = np.rint(counts / counts.max() * PLOT.height * ratio).astype(int)
    heights[(counts > 0) & (heights == 0)] = 1
    area = page.area(PLOT)
    columns = heights.repeat(area.shape[1] // BINS)
    area[np.arange(len(area))[::-1, np.newaxis] < columns] = grey(FAINT)

    page.edge(STRIP)
    strip = page.area(STRIP)
    values = np.linspace(low, high, 2 * strip.shape[1] + 1)[1::2]  # in the middle of each pixel
    first, last = (float(limit[channel]) for limit in channel_limits(statistics, norm, scale))
    levels = (values - first) / (last - first) if first < last else np.full(len(values), 0.5)
    strip[:] = np.rint(np.clip(levels, 0, 1) * (STEPS - 1)).astype(np.uint8)
    ticks = nice_ticks(low, high, 3)
    for label, tick in zip(tick_labels(ticks), ticks, strict=True):
        x = PLOT.x + (tick - low) / (high - low) * PLOT.width
        page.write(x, HEIGHT - 4, label, 11, align="center")
    return page
