"""The numbers behind the pictures: of the chosen channel and of its layer, and how the values are spread."""

from __future__ import annotations

import html
from dataclasses import dataclass

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.analysis.channel_stats import Array, ChannelStatistics, scaled
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline import Frame
from fmwidget.rendering.canvas import FAINT, Page, grey, nice_ticks, number, tick_labels
from fmwidget.rendering.grid_layout import Box
from fmwidget.rendering.normalization import channel_limits
from fmwidget.rendering.palette import STEPS

from .maps import CachedPage

TABLE = 560  # CSS px that the longest numbers need
BINS = 56
PLOT = Box(20, 18, 3 * BINS, 32)  # CSS px
STRIP = Box(PLOT.x, PLOT.y + PLOT.height + 1, PLOT.width, 6)
WIDTH, HEIGHT = PLOT.width + 2 * PLOT.x, STRIP.y + STRIP.height + 18


@dataclass(frozen=True)
class Summary:
    """A few numbers about a channel or a layer; what is not finite is counted, and left out of the rest.

    Attributes:
        min: Smallest finite value; NaN if there is none, as for the next three.
        max: Largest finite value.
        mean: Mean of the finite values.
        std: Their standard deviation.
        zeros: Share of all values that are zero, 0 to 1.
        nan: Number of NaN.
        inf: Number of +inf and -inf.
    """

    min: float
    max: float
    mean: float
    std: float
    zeros: float
    nan: int
    inf: int


def channel_summary(statistics: ChannelStatistics, channel: int) -> Summary:
    """The numbers of one channel."""
    numbers = {
        name: float(getattr(statistics, name)[channel]) for name in ("min", "max", "mean", "std", "zeros")
    }
    inf = int(statistics.posinf[channel] + statistics.neginf[channel])
    return Summary(**numbers, nan=int(statistics.nan[channel]), inf=inf)


def layer_summary(statistics: ChannelStatistics) -> Summary:
    """The numbers of a whole layer, put together from those of its channels."""
    low, high = float(np.fmin.reduce(statistics.min)), float(np.fmax.reduce(statistics.max))
    inf = statistics.posinf + statistics.neginf
    height, width, _ = statistics.maps.shape
    weights = (height * width - statistics.nan - inf).astype(np.float64)
    mean = std = float("nan")
    if weights.any():
        weights /= weights.sum()
        present = weights > 0
        weights, means, stds = (each[present] for each in (weights, statistics.mean, statistics.std))
        exponent = int(np.frexp(max(-low, high))[1])  # squares of what is left neither overflow nor vanish
        with np.errstate(under="ignore"):
            means, stds = np.ldexp(means, -exponent), np.ldexp(stds, -exponent)
            middle = weights @ means
            variance = weights @ (stds**2 + (means - middle) ** 2)
            mean, std = float(np.ldexp(middle, exponent)), float(np.ldexp(np.sqrt(variance), exponent))
    zeros = float(statistics.zeros.mean())
    return Summary(low, high, mean, std, zeros, int(statistics.nan.sum()), int(inf.sum()))


class NumbersPanel:
    """The numbers of the chosen channel beside those of its layer, and a histogram of the channel."""

    def __init__(self) -> None:
        self._table = ipywidgets.HTML()
        self._view = PictureView(label="Histogram of the chosen channel", layout={"width": f"{WIDTH}px"})
        layout = {"flex_flow": "row wrap", "flex": f"1 1 {TABLE}px"}
        self.box = ipywidgets.HBox([self._table, self._view], layout=layout)
        self.box.add_class("fmw-panel")
        self._layer = Latest(layer_summary)
        self._drawing = CachedPage(draw_histogram)

    def show(self, frame: Frame) -> None:
        """Shows the numbers of what is looked at."""
        channel = channel_summary(frame.statistics, frame.channel)
        self._table.value = numbers_html(channel, self._layer(frame.statistics), frame.channel)
        page = self._drawing.page(frame.statistics, frame.channel, frame.norm, frame.ratio)
        alt = f"How the values of channel {frame.channel} are spread, zeros left out."
        self._view.show(self._drawing.png(frame, page), page.width, page.height, alt=alt)


def numbers_html(channel: Summary, layer: Summary, index: int) -> str:
    """A table of two summaries."""
    columns = [
        (name, *(_number(getattr(each, name)) for each in (channel, layer)))
        for name in ("min", "max", "mean", "std")
    ]
    columns.append(("zeros", *(percent(each.zeros) for each in (channel, layer))))
    columns += [(label, *(str(getattr(each, name)) for each in (channel, layer))) for label, name in _COUNTS]
    names, ours, theirs = (
        "".join(f"<{tag}{_loud(column)}>{html.escape(column[row])}</{tag[:2]}>" for column in columns)
        for row, tag in enumerate(('th scope="col"', "td", "td"))
    )
    return (
        f'<table class="fmw-numbers"><tr><td></td>{names}</tr><tr><th scope="row">channel {index}</th>{ours}'
        f'</tr><tr><th scope="row">layer</th>{theirs}</tr></table>'
    )


_COUNTS = (("NaN", "nan"), ("±inf", "inf"))


def _loud(column: tuple[str, ...]) -> str:
    """What is not finite is not to be overlooked."""
    name, *counts = column
    is_loud = name in ("NaN", "±inf") and any(each != "0" for each in counts)
    return ' class="fmw-loud"' if is_loud else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else number(value)


def percent(share: float) -> str:
    """A share as people write it; only none is 0 % and only all is 100 %."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %".replace(".0 %", " %")


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
