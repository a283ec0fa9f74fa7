"""Feature maps to 8-bit levels. Arrays in, arrays out, numpy only; what is given is never written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget.analysis.channel_stats import (
    Array,
    ChannelStatistics,
    as_floats,
    channel_statistics,
    is_moderate,
    moments,
    pick,
    scaled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MARK_NAN",
    "MARK_NEGINF",
    "MARK_POSINF",
    "MID_LEVEL",
    "NORMS",
    "SHARED_NORMS",
    "ChannelStatistics",
    "channel_limits",
    "channel_statistics",
    "require_norm",
    "shared_limits",
    "to_levels",
]

NORMS = ("standardize", "channel", "shared", "symmetric")
SHARED_NORMS = (
    "shared",
    "symmetric",
)  # one scale for all channels: only these have one colour bar for a page

MID_LEVEL = 128
MARK_NAN, MARK_POSINF, MARK_NEGINF = 1, 2, 3


def channel_limits(statistics: ChannelStatistics, norm: str) -> tuple[Array, Array]:
    """The activations that are drawn as level 0 and as level 255, for each channel.

    Args:
        statistics: What `channel_statistics` found.
        norm: One of `NORMS`.

    Returns:
        Two arrays `(C,)`, float64. They are equal where there is nothing to scale by (all of it is drawn at
        mid-level), and NaN for a channel without a finite value.

    Raises:
        ValueError: If `norm` is not one of `NORMS`.
    """
    require_norm(norm)
    if norm == "standardize":
        mean, std, largest = statistics.mean, statistics.std, np.finfo(np.float64).max
        with np.errstate(all="ignore"):
            return np.maximum(mean - 2 * std, -largest), np.minimum(mean + 127 / 64 * std, largest)
    if norm == "channel":
        return statistics.min, statistics.max
    low, high = shared_limits(statistics, norm)
    return np.full_like(statistics.min, low), np.full_like(statistics.max, high)


def shared_limits(statistics: ChannelStatistics, norm: str) -> tuple[float, float]:
    """The one scale of `"shared"` or `"symmetric"`: the activations at level 0 and at level 255.

    They are equal if all finite values of the layer are, and 0 if there is none.
    """
    low, high = float(np.fmin.reduce(statistics.min)), float(np.fmax.reduce(statistics.max))
    if np.isnan(low):
        return 0.0, 0.0
    largest = max(-low, high)
    return (-largest, largest) if norm == "symmetric" else (low, high)


def to_levels(
    maps: Array,
    norm: str,
    channels: Sequence[int] | Array,
    statistics: ChannelStatistics,
    shrink: int = 1,
) -> tuple[Array, Array | None]:
    """Turns some channels of a layer into 8-bit levels.

    `"standardize"` is `(x - mean) / std * 64 + 128` of each channel, clipped to 0...255 and truncated;
    `"channel"` spreads each channel's own range over 0...255, `"shared"` the range of all channels, and
    `"symmetric"` plus and minus the largest magnitude of all channels. Where there is nothing to scale by (a
    constant map under one of the first two, a constant layer) every level is `MID_LEVEL`.

    Args:
        maps: Feature maps, `(H, W, C)`.
        norm: One of `NORMS`.
        channels: Which channels, in which order: only these are worked on.
        statistics: What `channel_statistics` found in `maps`.
        shrink: Draw the mean of each block of `shrink` by `shrink` values; blocks at the bottom and right
            edges may be partial. Values that are not finite are left out of the mean.

    Returns:
        Levels `(n, ceil(H / shrink), ceil(W / shrink))`, uint8; and marks of the same shape: `MARK_NAN`,
        `MARK_POSINF` or `MARK_NEGINF`, in this precedence, for blocks that hold such a value, else 0. The
        marks are `None` when there is nothing to mark.

    Raises:
        ValueError: If `norm` is not one of `NORMS`, or `shrink` is less than 1.
        IndexError: If a channel does not exist.
    """
    require_norm(norm)
    if shrink < 1:
        raise ValueError(f"shrink must be at least 1. Received {shrink}.")
    maps, channels = np.asarray(maps), np.asarray(channels, np.intp)
    count = maps.shape[-1]
    if channels.size and not 0 <= channels.min() <= channels.max() < count:
        raise IndexError(f"Channels must be from 0 to {count - 1}. Received {channels.tolist()}.")

    awkward = statistics.awkward[channels]
    limits = shared_limits(statistics, norm) if norm in SHARED_NORMS else None
    if limits and not is_moderate(*limits, statistics.maps.dtype):
        awkward = np.ones_like(awkward)
    # Differences too small for the type are zero, even where numpy was told to raise errors.
    with np.errstate(under="ignore"):
        if not awkward.any():
            return _plain_levels(maps, norm, channels, statistics, shrink), None
        height, width = (-(-side // shrink) for side in maps.shape[:2])
        levels, marks = np.zeros((2, len(channels), height, width), np.uint8)
        levels[~awkward] = _plain_levels(maps, norm, channels[~awkward], statistics, shrink)
        wide = awkward & statistics.wide[channels]
        levels[wide] = _plain_levels(maps, norm, channels[wide], statistics, shrink, least=np.float64)
        for place in np.flatnonzero(awkward & ~wide):
            channel_map = as_floats(maps[:, :, channels[place]])
            levels[place], marks[place] = _awkward_levels(channel_map, norm, limits, shrink)
    return levels, marks if marks.any() else None


def require_norm(norm: str) -> None:
    """Raises a `ValueError` if `norm` is not one of `NORMS`."""
    if norm not in NORMS:
        raise ValueError(f"Unknown norm {norm!r}. Pass one of {', '.join(map(repr, NORMS))}.")


def _plain_levels(
    maps: Array,
    norm: str,
    channels: Array,
    statistics: ChannelStatistics,
    shrink: int,
    *,
    least: type[np.floating[Any]] = np.float32,
) -> Array:
    """Levels of finite maps, of moderate size for a type of number no smaller than `least`; all at once."""
    places = np.argsort(channels)  # neighbours in the layer side by side: they can be read without a copy
    channels = channels[places]
    page = as_floats(pick(maps, channels))
    page = page.astype(np.promote_types(page.dtype, least), copy=False)
    drawn = page if shrink == 1 else _block_sums(page, shrink) / _block_counts(page, shrink)
    height, width, count = drawn.shape
    values = np.ascontiguousarray(drawn.reshape(height * width, count).T)

    low, high = statistics.min[channels], statistics.max[channels]
    if norm in SHARED_NORMS:
        low[:], high[:] = shared_limits(statistics, norm)
    level = low == high
    if norm == "standardize":
        values, std = _centred(page, values, shrink)
        values /= np.where(level[:, np.newaxis], 1, std)
        values *= 64
        values += 128
    else:
        span = np.where(level, 1, high - low)
        values = values - low.astype(values.dtype)[:, np.newaxis]
        values /= span.astype(values.dtype)[:, np.newaxis]
        values *= 255
        values += 0.5
    levels = np.empty(values.shape, np.uint8)
    levels[places] = np.clip(values, 0, 255, out=values)
    levels[places[level]] = MID_LEVEL
    return levels.reshape(count, height, width)


def _centred(page: Array, values: Array, shrink: int) -> tuple[Array, Array]:
    """Values `(n, P)` about the mean of their channel in `page`, and its standard deviation, `(n, 1)`.

    Over contiguous copies of single channels numpy sums in the same order as over the strided views of the
    classic loop, so a map drawn in full has the loop's levels to the bit. A map drawn smaller has no such
    twin, and need not be copied in full.
    """
    if shrink > 1:
        mean, std = (each.astype(page.dtype)[:, np.newaxis] for each in moments(page, page.dtype))
        return values - mean, std
    values = values - values.mean(axis=1, keepdims=True)
    return values, values.std(axis=1, keepdims=True)


def _awkward_levels(
    channel_map: Array, norm: str, limits: tuple[float, float] | None, shrink: int
) -> tuple[Array, Array]:
    """Levels and marks of one map `(H, W)` with non-finite, very large or very small values."""
    values, finite, exponent = scaled(channel_map, max(map(abs, limits)) if limits else 0.0)
    means = _block_sums(values, shrink) / np.maximum(_block_sums(finite.astype(np.float64), shrink), 1)
    levels = np.full(means.shape, MID_LEVEL, np.uint8)
    present = values[finite]
    if present.size:
        low, high = np.ldexp(limits, -exponent) if limits else (present.min(), present.max())
        if low < high and norm == "standardize":
            levels = np.clip((means - present.mean()) / present.std() * 64 + 128, 0, 255).astype(np.uint8)
        elif low < high:
            levels = np.clip((means - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)

    marks = np.zeros(means.shape, np.uint8)
    for mark, marked in (
        (MARK_NEGINF, np.isneginf(channel_map)),
        (MARK_POSINF, np.isposinf(channel_map)),
        (MARK_NAN, np.isnan(channel_map)),
    ):
        marks[_block_sums(marked.astype(np.float32), shrink) > 0] = mark
    return levels, marks


def _block_sums(maps: Array, side: int) -> Array:
    """Sums over blocks of `side` by `side`, of `(H, W)` or `(H, W, C)`."""
    for axis in (0, 1):
        lines = np.moveaxis(maps, axis, 0)
        sums = lines[::side].copy()
        for offset in range(1, min(side, len(lines))):
            part = lines[offset::side]
            sums[: len(part)] += part
        maps = np.moveaxis(sums, 0, axis)
    return maps


def _block_counts(maps: Array, side: int) -> Array:
    """How many values each block holds, `(h, w, 1)`, in the maps' own type."""
    rows, columns = (np.minimum(side, length - np.arange(0, length, side)) for length in maps.shape[:2])
    return np.outer(rows, columns)[:, :, np.newaxis].astype(maps.dtype)
