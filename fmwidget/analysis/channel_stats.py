"""What is known of each channel of a layer: range, moments, what is inactive, what is not finite. Numpy only.

Maps are `(H, W, C)` arrays of real numbers of any type; they are read, never written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLOCK = 2**17  # values worked on at a time: few enough to stay in a processor's cache


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """What is known of each channel of a layer; every array is `(C,)`.

    Values that are not finite are counted and left out of everything else. Mean, standard deviation and share
    of zeros are worked out when they are first asked for, since drawing a page of a large layer needs none of
    them; for this the maps are kept.

    Attributes:
        maps: The maps described, as float32 or float64.
        min: Smallest finite value; NaN for a channel without one.
        max: Largest finite value; NaN for a channel without one.
        nan: Number of NaN.
        posinf: Number of +inf.
        neginf: Number of -inf.
        inactive: Whether a channel is zero everywhere.
        constant: Whether a channel has one value everywhere, other than zero.
        awkward: Channels that plain arithmetic gets wrong: with values that are not finite, or that are too
            large or too small to be squared.
    """

    maps: Array
    min: Array
    max: Array
    nan: Array
    posinf: Array
    neginf: Array
    inactive: Array
    constant: Array
    awkward: Array

    @property
    def mean(self) -> Array:
        """Mean of the finite values; NaN for a channel without one."""
        return self._moments[0]

    @property
    def std(self) -> Array:
        """Standard deviation of the finite values; NaN for a channel without one."""
        return self._moments[1]

    @property
    def wide(self) -> Array:
        """Channels that are not awkward in 64 bits: single-precision ones whose values are all finite."""
        finite = self.nan + self.posinf + self.neginf == 0
        return finite & (self.maps.dtype == np.float32)

    @cached_property
    def zeros(self) -> Array:
        """Share of values that are zero, 0 to 1."""
        height, width, _ = self.maps.shape
        nonzero: Array = np.count_nonzero(self.maps, axis=0).sum(axis=0)
        share: Array = (height * width - nonzero) / (height * width)
        return share

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        means, stds = np.full((2, len(self.awkward)), np.nan)
        plain = ~self.awkward | self.wide
        means[plain], stds[plain] = moments(pick(self.maps, np.flatnonzero(plain)), np.dtype(np.float64))
        for channel in np.flatnonzero(~plain):
            values, finite, exponent = scaled(self.maps[:, :, channel])
            if finite.any():
                with np.errstate(under="ignore"):
                    means[channel] = np.ldexp(values[finite].mean(), exponent)
                    stds[channel] = np.ldexp(values[finite].std(), exponent)
        return means, stds


def channel_statistics(maps: Array) -> ChannelStatistics:
    """Finds out about each channel of a layer.

    Args:
        maps: Feature maps, `(H, W, C)`.

    Raises:
        ValueError: If `maps` does not have that shape, or holds no value.
        TypeError: If `maps` does not hold real numbers.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or maps.size == 0:
        raise ValueError(f"Feature maps must be a non-empty array (H, W, C). Received shape {maps.shape}.")
    maps = as_floats(maps)
    with np.errstate(invalid="ignore"):
        low, high = (
            extreme(extreme(maps, axis=0), axis=0).astype(np.float64) for extreme in (np.min, np.max)
        )
    finite = np.isfinite(low) & np.isfinite(high)
    nan, posinf, neginf = np.zeros((3, len(low)), np.int64)
    for channel in np.flatnonzero(~finite):
        values = maps[:, :, channel]
        nan[channel] = np.isnan(values).sum()
        posinf[channel] = np.isposinf(values).sum()
        neginf[channel] = np.isneginf(values).sum()
        present = values[np.isfinite(values)]
        low[channel], high[channel] = (present.min(), present.max()) if present.size else (np.nan, np.nan)
    flat = finite & (low == high)
    awkward = ~finite | ~is_moderate(low, high, maps.dtype)
    return ChannelStatistics(
        maps,
        low,
        high,
        nan,
        posinf,
        neginf,
        inactive=flat & (low == 0),
        constant=flat & (low != 0),
        awkward=awkward,
    )


def as_floats(maps: Array) -> Array:
    """Maps in the type arithmetic is done in: their own, but no less than 32 bits and no more than 64."""
    if maps.dtype.kind in "cOSUMm":
        raise TypeError(f"Feature maps must hold real numbers. Received an array of {maps.dtype}.")
    wide = np.promote_types(maps.dtype, np.float32)
    return maps.astype(np.float32 if wide == np.float32 else np.float64, copy=False)


def pick(maps: Array, channels: Array) -> Array:
    """Some channels of the maps: a view where they are neighbours, since copying a large layer costs more."""
    if len(channels) and np.array_equal(channels, np.arange(channels[0], channels[0] + len(channels))):
        return maps[:, :, channels[0] : channels[-1] + 1]
    return maps[:, :, channels]


def moments(maps: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel, float64; only short stretches are summed in `dtype`."""
    height, width, channels = maps.shape
    rows = max(1, BLOCK // (width * max(1, channels)))
    blocks = [maps[top : top + rows] for top in range(0, height, rows)]
    mean, variance = np.zeros((2, channels))
    for block in blocks:
        mean += block.sum(axis=0, dtype=dtype).sum(axis=0, dtype=np.float64)
    mean /= height * width
    with np.errstate(under="ignore"):
        for block in blocks:
            deviation = np.subtract(block, mean.astype(dtype), dtype=dtype)
            np.multiply(deviation, deviation, out=deviation)
            variance += deviation.sum(axis=0).sum(axis=0, dtype=np.float64)
    variance /= height * width
    return mean, np.sqrt(variance)


def is_moderate(low: Array | float, high: Array | float, dtype: np.dtype[Any]) -> Any:
    """Whether squares of values between `low` and `high` can be summed without overflow or vanishing."""
    exponent = np.finfo(dtype).maxexp
    with np.errstate(under="ignore"):
        spread = np.asarray(high) / 2 - np.asarray(low) / 2
    largest = np.maximum(np.abs(low), np.abs(high))
    return (largest < 2.0 ** (0.4 * exponent)) & ((low == high) | (spread > 2.0 ** (-0.3 * exponent)))


def scaled(channel_map: Array, largest: float = 0.0) -> tuple[Array, Array, int]:
    """Brings a map's finite values, and `largest`, to magnitudes up to 1 by a power of two, which is exact.

    Returns:
        The finite values times `2**-exponent`, 0 elsewhere; where the map is finite; and the exponent.
    """
    finite = np.isfinite(channel_map)
    values = np.where(finite, channel_map, 0).astype(np.float64)
    exponent = int(np.frexp(max(np.abs(values).max(), largest))[1])
    with np.errstate(under="ignore"):
        return np.ldexp(values, -exponent), finite, exponent


# ------------------------------------------------------------------ which comes first

ORDERS = ("index", "mean", "max", "variance")


def channel_order(statistics: ChannelStatistics, order: str) -> tuple[int, ...]:
    """The channels of a layer in the order they are shown.

    Args:
        statistics: What `channel_statistics` found.
        order: `"index"`, or `"mean"`, `"max"` or `"variance"`: the strongest first, inactive channels and
            those without a finite value last.

    Raises:
        ValueError: If `order` is not one of `ORDERS`.
    """
    if order not in ORDERS:
        raise ValueError(f"Unknown order {order!r}. Pass one of {', '.join(map(repr, ORDERS))}.")
    if order == "index":
        return tuple(range(len(statistics.min)))
    key = {"mean": statistics.mean, "max": statistics.max, "variance": statistics.std}[order]
    strength = np.where(statistics.inactive | np.isnan(key), -np.inf, key)
    return tuple(np.argsort(-strength, kind="stable").tolist())
