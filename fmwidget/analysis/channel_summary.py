"""Summary statistics of one channel and of a whole layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .channel_stats import ChannelStatistics


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
