"""Statistics of each channel of a layer's feature maps, in numpy.

Maps are `(H, W, C)` arrays of real numbers of any type. They are never written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

BLOCK = 2**17  # values summed at a time: few enough to stay in a processor's cache


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Statistics of each channel of a layer; every array is `(C,)`.

    NaN and infinities are counted and left out of everything else. Mean, standard deviation and share of
    zeros are computed on first access, since most pages need none of them; the maps are kept for that.
    float64 maps with magnitudes beyond about 1e150 may have an infinite standard deviation.

    Attributes:
        maps: The feature maps `(H, W, C)`, float32 or float64.
        min: Smallest finite value; NaN for a channel without one.
        max: Largest finite value; NaN for a channel without one.
        nan: Number of NaN.
        posinf: Number of +inf.
        neginf: Number of -inf.
        inactive: True for channels that are zero everywhere.
        constant: True for channels that have one value other than zero everywhere.
    """

    maps: Array
    min: Array
    max: Array
    nan: Array
    posinf: Array
    neginf: Array
    inactive: Array
    constant: Array

    @cached_property
    def finite(self) -> Array:
        """True for channels without NaN and infinities."""
        finite: Array = self.nan + self.posinf + self.neginf == 0
        return finite

    @cached_property
    def squarable(self) -> Array:
        """True for channels without NaN and infinities that can be squared in the type of `maps`."""
        squarable: Array = self.finite & squares_fit(self.min, self.max, self.maps.dtype)
        return squarable

    @property
    def mean(self) -> Array:
        """Mean of the finite values; NaN for a channel without one."""
        return self._moments[0]

    @property
    def std(self) -> Array:
        """Standard deviation of the finite values; NaN for a channel without one."""
        return self._moments[1]

    @cached_property
    def zeros(self) -> Array:
        """Share of values that are zero, 0 to 1."""
        height, width, _ = self.maps.shape
        nonzero: Array = np.count_nonzero(self.maps, axis=0).sum(axis=0)
        share: Array = (height * width - nonzero) / (height * width)
        return share

    @cached_property
    def _moments(self) -> tuple[Array, Array]:
        means, stds = np.full((2, len(self.min)), np.nan)
        finite = self.finite
        means[finite], stds[finite] = moments(pick(self.maps, np.flatnonzero(finite)), np.dtype(np.float64))
        for channel in np.flatnonzero(~finite & ~np.isnan(self.min)):
            values = self.maps[:, :, channel]
            values = values[np.isfinite(values)].astype(np.float64)
            with np.errstate(all="ignore"):
                means[channel], stds[channel] = values.mean(), values.std()
        stds[self.min == self.max] = 0  # rounding may leave a constant channel a deviation above 0
        return means, stds


def channel_statistics(maps: Array) -> ChannelStatistics:
    """Compute the statistics of each channel of a layer.

    Args:
        maps: Feature maps, `(H, W, C)`.

    Raises:
        ValueError: If `maps` does not have that shape, or is empty.
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
    return ChannelStatistics(
        maps, low, high, nan, posinf, neginf, inactive=flat & (low == 0), constant=flat & (low != 0)
    )


def as_floats(maps: Array) -> Array:
    """Return maps as float64, or as float32 if that represents their type exactly.

    Raises:
        TypeError: If `maps` does not hold real numbers.
    """
    if maps.dtype.kind in "cOSUMm":
        raise TypeError(f"Feature maps must hold real numbers. Received an array of {maps.dtype}.")
    single = np.promote_types(maps.dtype, np.float32) == np.float32
    return maps.astype(np.float32 if single else np.float64, copy=False)


def squares_fit(low: Array | float, high: Array | float, dtype: np.dtype[Any]) -> Any:
    """Return whether sums of squares of values from `low` to `high` stay in the range of float32.

    They neither overflow nor vanish for up to 2**26 values. float64 always passes: it represents the
    squares of all float32 values.
    """
    if dtype != np.float32:
        return np.True_
    span = high - low
    return (np.maximum(-low, high) < 2.0**51) & ((span > 2.0**-37) | (span == 0))


def pick(maps: Array, channels: Array) -> Array:
    """Return some channels of the maps: a view if they are neighbours, since copies take long."""
    if len(channels) and np.array_equal(channels, np.arange(channels[0], channels[0] + len(channels))):
        return maps[:, :, channels[0] : channels[-1] + 1]
    return maps[:, :, channels]


def moments(maps: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Return mean and standard deviation of each channel, `(C,)` float64.

    The maps are read in blocks of rows that stay in the processor's cache. Only sums over the rows of a block
    are of type `dtype`, all others are float64.
    """
    height, width, channels = maps.shape
    rows = max(1, BLOCK // (width * max(1, channels)))
    blocks = [maps[top : top + rows] for top in range(0, height, rows)]
    mean, variance = np.zeros((2, channels))
    with np.errstate(all="ignore"):
        for block in blocks:
            mean += block.sum(axis=0, dtype=dtype).sum(axis=0, dtype=np.float64)
        mean /= height * width
        for block in blocks:
            deviation = np.subtract(block, mean.astype(dtype), dtype=dtype)
            np.multiply(deviation, deviation, out=deviation)
            variance += deviation.sum(axis=0).sum(axis=0, dtype=np.float64)
        variance /= height * width
        return mean, np.sqrt(variance)


# ------------------------------------------------------------------ one scale for several maps


@dataclass(frozen=True, eq=False)
class ChannelScale:
    """The range of activations that maps are normalized by; every array is `(C,)`, float64.

    Several maps of one layer that are normalized by the same scale can be compared by their colours.

    Attributes:
        min: Smallest finite value; NaN for a channel without one, as for the next three.
        max: Largest finite value.
        mean: Mean of the finite values.
        std: Standard deviation of the finite values.
    """

    min: Array
    max: Array
    mean: Array
    std: Array


def pooled_scale(parts: Sequence[ChannelStatistics | ChannelScale]) -> ChannelScale:
    """Return the scale of all values of several maps of one layer, at several steps for example.

    Every part has the same weight, whatever the number of its values. A channel without a finite value in
    some parts has the scale of the others.

    Args:
        parts: Statistics of each map, or their scales; at least one.
    """
    low, high, mean, std = (
        np.stack([getattr(part, name) for part in parts]) for name in ("min", "max", "mean", "std")
    )
    with np.errstate(all="ignore"):
        count = (~np.isnan(mean)).sum(axis=0)
        pooled_mean = np.nansum(mean, axis=0) / count  # 0 / 0 is NaN
        # The variance within the parts, and the variance between their means.
        variance = np.nansum(std**2 + (mean - pooled_mean) ** 2, axis=0) / count
    scale = ChannelScale(np.fmin.reduce(low), np.fmax.reduce(high), pooled_mean, np.sqrt(variance))
    scale.std[scale.min == scale.max] = 0  # rounding may leave a constant channel a deviation above 0
    return scale


# ------------------------------------------------------------------ order of the channels

ORDERS = ("index", "mean", "max", "variance", "difference")


def channel_order(
    statistics: ChannelStatistics, order: str, differences: Array | None = None
) -> tuple[int, ...]:
    """Return the channels of a layer in the order in which they are shown.

    Args:
        statistics: Statistics of the layer's maps.
        order: `"index"`, or `"mean"`, `"max"` or `"variance"` for the strongest first, with inactive channels
            and those without a finite value last, or `"difference"` for those first that differ most from
            their counterpart, with those last whose difference is not known.
        differences: The difference of each channel from its counterpart `(C,)`, for `"difference"` alone.

    Raises:
        ValueError: If `order` is not one of `ORDERS`, or `"difference"` without differences.
    """
    if order not in ORDERS:
        raise ValueError(f"Unknown order {order!r}. Pass one of {', '.join(map(repr, ORDERS))}.")
    if order == "index":
        return tuple(range(len(statistics.min)))
    if order == "difference":
        if differences is None:
            raise ValueError(
                "The order 'difference' is of channels that are compared with others. Received no "
                "differences. Pass against=, or another order."
            )
        strength = np.where(np.isnan(differences), -np.inf, differences)
    else:
        key = {"mean": statistics.mean, "max": statistics.max, "variance": statistics.std}[order]
        strength = np.where(statistics.inactive | np.isnan(key), -np.inf, key)
    return tuple(np.argsort(-strength, kind="stable").tolist())
