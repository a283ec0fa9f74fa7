"""Summary statistics of one channel and of a whole layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .channel_stats import ChannelStatistics


@dataclass(frozen=True)
class Summary:
    """Statistics of a channel or a layer; NaN and infinities are counted and left out of the rest.

    Attributes:
        min: Smallest finite value; NaN if there is none, as for the next three.
        max: Largest finite value.
        mean: Mean of the finite values.
        std: Standard deviation of the finite values.
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
    """Return the statistics of one channel."""
    numbers = {
        name: float(getattr(statistics, name)[channel]) for name in ("min", "max", "mean", "std", "zeros")
    }
    inf = int(statistics.posinf[channel] + statistics.neginf[channel])
    return Summary(**numbers, nan=int(statistics.nan[channel]), inf=inf)


def layer_summary(statistics: ChannelStatistics) -> Summary:
    """Return the statistics of a whole layer, pooled from those of its channels."""
    low, high = float(np.fmin.reduce(statistics.min)), float(np.fmax.reduce(statistics.max))
    inf = statistics.posinf + statistics.neginf
    height, width, _ = statistics.maps.shape
    counts = height * width - statistics.nan - inf
    present = counts > 0
    mean = std = float("nan")
    if present.any():
        weights = counts[present] / counts.sum()
        means, stds = statistics.mean[present], statistics.std[present]
        with np.errstate(all="ignore"):
            mean = float(weights @ means)
            # The variance within the channels, and the variance between their means.
            std = float(np.sqrt(weights @ (stds**2 + (means - mean) ** 2)))
    zeros = float(statistics.zeros.mean())
    return Summary(low, high, mean, std, zeros, int(statistics.nan.sum()), int(inf.sum()))
