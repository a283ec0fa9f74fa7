"""Normalization of feature maps to 8-bit levels, in numpy. The maps are never written to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget.analysis.channel_stats import Array, ChannelStatistics, as_floats, moments, pick, squares_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import ChannelScale

NORMS = ("standardize", "channel", "shared", "symmetric")
SHARED_NORMS = ("shared", "symmetric")  # one scale for all channels: a page can have one colour bar

MID_LEVEL = 128
MARK_NAN, MARK_POSINF, MARK_NEGINF = 1, 2, 3


def require_norm(norm: str) -> None:
    """Raise a `ValueError` if `norm` is not one of `NORMS`."""
    if norm not in NORMS:
        raise ValueError(f"Unknown norm {norm!r}. Pass one of {', '.join(map(repr, NORMS))}.")


def channel_limits(
    statistics: ChannelStatistics, norm: str, scale: ChannelScale | None = None
) -> tuple[Array, Array]:
    """Return the activations drawn as level 0 and as level 255, for each channel.

    Args:
        statistics: Statistics of the layer's maps.
        norm: One of `NORMS`.
        scale: The range to normalize by; that of the maps if `None`.

    Returns:
        Two arrays `(C,)`, float64. They are equal where there is nothing to scale by and all values are drawn
        at mid-level, and NaN for a channel without a finite value.

    Raises:
        ValueError: If `norm` is not one of `NORMS`.
    """
    require_norm(norm)
    if norm in SHARED_NORMS:
        shared_low, shared_high = shared_limits(statistics, norm, scale)
        return np.full_like(statistics.min, shared_low), np.full_like(statistics.max, shared_high)
    ranges = statistics if scale is None else scale
    low, high = ranges.min, ranges.max
    with np.errstate(all="ignore"):
        if norm == "standardize":
            low, high = ranges.mean - 2 * ranges.std, ranges.mean + 127 / 64 * ranges.std
        overflow = np.isinf(high - low)
    return np.where(overflow, 0, low), np.where(overflow, 0, high)


def shared_limits(
    statistics: ChannelStatistics, norm: str, scale: ChannelScale | None = None
) -> tuple[float, float]:
    """Return the activations drawn as level 0 and as level 255 under `"shared"` or `"symmetric"`.

    They are equal if all finite values of the layer are, or of the scale if there is one, and 0 if there is
    none.
    """
    ranges = statistics if scale is None else scale
    low, high = float(np.fmin.reduce(ranges.min)), float(np.fmax.reduce(ranges.max))
    if norm == "symmetric":
        low, high = min(low, -high), max(-low, high)
    return (low, high) if high - low < np.inf else (0.0, 0.0)


def to_levels(
    maps: Array,
    norm: str,
    channels: Sequence[int] | Array,
    statistics: ChannelStatistics,
    shrink: int = 1,
    *,
    scale: ChannelScale | None = None,
) -> tuple[Array, Array | None]:
    """Normalize some channels of a layer to 8-bit levels.

    `"standardize"` is `(x - mean) / std * 64 + 128` for each channel, clipped to 0...255 and truncated;
    `"channel"` maps each channel's own range to 0...255, `"shared"` the range of all channels, and
    `"symmetric"` plus and minus the largest magnitude of all channels. Where there is nothing to scale by (a
    constant map under the first two, a constant layer) every level is `MID_LEVEL`.

    With a `scale`, its ranges, means and standard deviations take the place of those of the maps: a value has
    one level in all maps of the layer that are normalized by it, and a larger value never a lower one. Values
    beyond the scale are clipped.

    Args:
        maps: Feature maps, `(H, W, C)`.
        norm: One of `NORMS`.
        channels: The channels to normalize, in the order of the result.
        statistics: Statistics of `maps`.
        shrink: Side of the blocks of values that are averaged, 1 for none. Blocks at the bottom and right
            edges may be partial. NaN and infinities are left out of the mean.
        scale: The range to normalize by; that of the maps if `None`.

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

    ranges = statistics if scale is None else scale
    low, high = ranges.min[channels], ranges.max[channels]
    finite = statistics.finite[channels]
    if norm in SHARED_NORMS:
        low[:], high[:] = shared_limits(statistics, norm, scale)
    if norm in SHARED_NORMS or scale is not None:
        # By the limits alone, so that all maps drawn by one scale are rounded alike; but where values are
        # averaged, those beyond the limits may overflow.
        squarable = squares_fit(low, high, statistics.maps.dtype) & np.ones_like(finite)
        if scale is not None and shrink > 1:
            squarable &= statistics.squarable[channels]
    else:
        squarable = statistics.squarable[channels]
    # Also where the user has set numpy to raise: a float64 map beyond 1e150 has an infinite variance.
    with np.errstate(all="ignore"):
        zero, span = low, high - low
        own_moments = norm == "standardize" and scale is None
        if norm == "standardize" and scale is not None:
            zero, span = scale.mean[channels], scale.std[channels]
        draw = partial(_finite_levels, maps, norm=norm, shrink=shrink, own_moments=own_moments)
        if (finite & squarable).all():
            return draw(channels, zero, span), None
        height, width = (-(-side // shrink) for side in maps.shape[:2])
        levels, marks = np.zeros((2, len(channels), height, width), np.uint8)
        for chosen, least in ((finite & squarable, np.float32), (finite & ~squarable, np.float64)):
            levels[chosen] = draw(channels[chosen], zero[chosen], span[chosen], least=least)
        for place in np.flatnonzero(~finite):
            channel_map = as_floats(maps[:, :, channels[place]])
            least = np.float32 if scale is not None and squarable[place] else np.float64
            levels[place], marks[place] = _masked_levels(
                channel_map, zero[place], span[place], norm, shrink, own_moments=own_moments, least=least
            )
    return levels, marks if marks.any() else None


def _finite_levels(
    maps: Array,
    channels: Array,
    zero: Array,
    span: Array,
    *,
    norm: str,
    shrink: int,
    own_moments: bool,
    least: type[np.floating[Any]] = np.float32,
) -> Array:
    """Return the levels of channels without NaN and infinities, all at once.

    The arithmetic is done in the maps' own type of number, but at least in `least`.

    Args:
        maps: Feature maps `(H, W, C)`.
        channels: The channels `(n,)`.
        zero: The value that is subtracted from each channel, `(n,)`.
        span: The value that the rest is divided by, `(n,)`.
        norm: One of `NORMS`.
        shrink: Side of the blocks of values that are averaged.
        own_moments: Whether to subtract each channel's own mean instead, and divide by its deviation.
        least: The least precise type for the arithmetic.
    """
    places = np.argsort(channels)  # neighbours in the layer are read without a copy
    channels, zero, span = channels[places], zero[places], span[places]
    page = as_floats(pick(maps, channels))
    page = page.astype(np.promote_types(page.dtype, least), copy=False)
    drawn = page if shrink == 1 else _block_sums(page, shrink) / _block_counts(page, shrink)
    height, width, count = drawn.shape
    values = np.ascontiguousarray(drawn.reshape(height * width, count).T)
    if own_moments:
        values, std = _deviations(page, values, shrink)
        scale = np.minimum(std, span)  # rounding may leave a constant map a deviation above 0
    else:
        values, scale = values - zero.astype(values.dtype)[:, np.newaxis], span
    levels = np.empty(values.shape, np.uint8)
    levels[places] = _scaled_to_levels(values, scale, norm)
    return levels.reshape(count, height, width)


def _deviations(page: Array, values: Array, shrink: int) -> tuple[Array, Array]:
    """Return values `(n, P)` less the mean of their channel in `page`, and its standard deviation `(n,)`.

    Over contiguous copies of single channels numpy sums in the same order as over the strided views of the
    tutorials' loop, so a map drawn in full has that loop's levels to the bit. A map drawn smaller has no
    counterpart there, so its moments are taken without copying the page.
    """
    if shrink > 1:
        mean, std = (moment.astype(page.dtype) for moment in moments(page, page.dtype))
        return values - mean[:, np.newaxis], std
    values = values - values.mean(axis=1, keepdims=True)
    return values, values.std(axis=1)


def _scaled_to_levels(values: Array, scale: Array, norm: str) -> Array:
    """Divide values `(n, P)`, in place, by the scale of their channel, and map them to 0...255.

    Channels whose scale is zero are set to `MID_LEVEL`.
    """
    factor, offset = (64, 128) if norm == "standardize" else (255, 0.5)
    flat = ~(scale > 0)
    values /= np.where(flat, 1, scale).astype(values.dtype, copy=False)[:, np.newaxis]
    values *= factor
    values += offset
    np.clip(values, 0, 255, out=values)
    values[flat] = MID_LEVEL
    return values


def _masked_levels(
    channel_map: Array,
    zero: float,
    span: float,
    norm: str,
    shrink: int,
    *,
    own_moments: bool,
    least: type[np.floating[Any]],
) -> tuple[Array, Array]:
    """Return levels and marks of one map `(H, W)` with NaN or infinities; see `_finite_levels`."""
    finite = np.isfinite(channel_map)
    values = np.where(finite, channel_map, 0).astype(np.promote_types(channel_map.dtype, least))
    means = _block_sums(values, shrink) / np.maximum(_block_sums(finite.astype(values.dtype), shrink), 1)
    levels = np.full(means.shape, MID_LEVEL, np.uint8)
    if span > 0:
        scale = span
        if own_moments:
            present = values[finite]
            zero, scale = present.mean(), present.std()
        levels[:] = _scaled_to_levels(means - means.dtype.type(zero), np.full(len(means), scale), norm)

    marks = np.zeros(means.shape, np.uint8)
    for mark, marked in (
        (MARK_NEGINF, np.isneginf(channel_map)),
        (MARK_POSINF, np.isposinf(channel_map)),
        (MARK_NAN, np.isnan(channel_map)),
    ):
        marks[_block_sums(marked.astype(np.float32), shrink) > 0] = mark
    return levels, marks


def _block_sums(maps: Array, side: int) -> Array:
    """Return sums over blocks of `side` by `side`, of `(H, W)` or `(H, W, C)`."""
    for axis in (0, 1):
        lines = np.moveaxis(maps, axis, 0)
        sums = lines[::side].copy()
        for offset in range(1, min(side, len(lines))):
            part = lines[offset::side]
            sums[: len(part)] += part
        maps = np.moveaxis(sums, 0, axis)
    return maps


def _block_counts(maps: Array, side: int) -> Array:
    """Return the number of values in each block, `(h, w, 1)`, in the maps' own type."""
    rows, columns = (np.minimum(side, length - np.arange(0, length, side)) for length in maps.shape[:2])
    return np.outer(rows, columns)[:, :, np.newaxis].astype(maps.dtype)
