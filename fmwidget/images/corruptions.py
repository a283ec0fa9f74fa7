"""Corruptions of images: noise, blur, a covered part, a shift, each under a name that says what was done."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fmwidget._errors import brief, quote

from .arrays import Array, ImageError
from .loading import MANY_IMAGES, free_name, usable_images

Corrupt = Callable[[Array, float | None, str], Array]

REACH = 4  # standard deviations of a blur, beyond which a pixel counts for nothing


def noise(
    image: Any, amount: float, seed: int = 0, *, bands: Sequence[int] | None = None
) -> dict[str, Array]:
    """Add Gaussian noise to one or more images.

    Each image gets noise of its own seed, so that it does not depend on the other images. Values are clipped
    to those from black to white; the opacity of an RGBA image is left alone.

    Args:
        image: One or more images of any source that `FeatureMapWidget` takes.
        amount: Standard deviation, as a share of the way from black to white, 0 to 1; of the range of each
            channel for an array of bands, whose values are not clipped.
        seed: Seed of the noise, 0 or more. Another one gives other noise.
        bands: As for `FeatureMapWidget`: says that the channels of an array of four are not RGBA.

    Returns:
        Each image as a new array of the number type and shape of the array given, or uint8 `(H, W, 3)` for a
        file. Its key is the name of the image and what was done, such as `"cat + noise 0.1"`. The dict can be
        passed as `images` or `against`, and to another corruption.

    Raises:
        ValueError: If `amount` is not from 0 to 1, or `seed` not a whole number from 0.
        ImageError: If an image cannot be used.

    Example:
        FeatureMapWidget(model, "cat.png", against=noise("cat.png", 0.1))
    """
    amount = _number(amount, "amount", "a share of the way from black to white, 0 to 1", 0, 1)
    seed = _whole(seed, "seed", "a whole number, 0 or more", 0)

    def corrupt(array: Array, white: float | None, _name: str) -> Array:
        values = _as_numbers(array)
        opacity = 1 if white is not None and values.shape[2] == 4 else 0
        colors = values[..., : values.shape[2] - opacity]
        drawn = np.random.default_rng(seed).standard_normal(colors.shape, np.float32)
        with np.errstate(all="ignore"):  # bands may hold any numbers
            colors += drawn * (amount * _span(colors, white))
        return _in_type(values, array.dtype, white)

    what = f"noise {amount:g}" + (f", seed {seed}" if seed else "")
    return _corrupted(image, what, corrupt, bands)


def blur(image: Any, radius: float, *, bands: Sequence[int] | None = None) -> dict[str, Array]:
    """Blur one or more images with a Gaussian; beyond the border its pixels are repeated.

    Args:
        image: One or more images of any source that `FeatureMapWidget` takes.
        radius: Standard deviation of the Gaussian, in pixels of the image, 0 to 100.
        bands: As for `noise`.

    Returns:
        The blurred images, as for `noise`: `"cat + blur 2"`.

    Raises:
        ValueError: If `radius` is not from 0 to 100.
        ImageError: If an image cannot be used.
    """
    radius = _number(radius, "radius", "a number of pixels, 0 to 100", 0, 100)

    def corrupt(array: Array, white: float | None, _name: str) -> Array:
        values = _as_numbers(array)
        with np.errstate(all="ignore"):
            for axis in (0, 1):
                values = _blurred(values, radius, axis)
        return _in_type(values, array.dtype, white)

    return _corrupted(image, f"blur {radius:g}", corrupt, bands)


def occlude(
    image: Any, rows: tuple[int, int], columns: tuple[int, int], *, bands: Sequence[int] | None = None
) -> dict[str, Array]:
    """Cover a rectangle of one or more images with grey.

    Args:
        image: One or more images of any source that `FeatureMapWidget` takes.
        rows: First row of the rectangle and the one below it, as in a slice, in pixels of the image.
        columns: First column of the rectangle and the one after it.
        bands: As for `noise`. Bands are covered with the middle of the range of each.

    Returns:
        The covered images, as for `noise`: `"cat + occlusion 40:90, 60:120"`.

    Raises:
        ValueError: If `rows` or `columns` is not two whole numbers of which the second is larger.
        ImageError: If an image cannot be used, or has no such rows and columns.
    """
    (top, bottom), (left, right) = _interval(rows, "rows"), _interval(columns, "columns")

    def corrupt(array: Array, white: float | None, name: str) -> Array:
        height, width = array.shape[:2]
        if bottom > height or right > width:
            raise ImageError(
                f"{quote(name)} has {height} rows and {width} columns. Received rows={(top, bottom)} and "
                f"columns={(left, right)}; pass a part of the image."
            )
        covered = array.copy()
        covered[top:bottom, left:right] = _in_type(_middle(array, white), array.dtype, white)
        return covered

    return _corrupted(image, f"occlusion {top}:{bottom}, {left}:{right}", corrupt, bands)


def shift(image: Any, rows: int, columns: int, *, bands: Sequence[int] | None = None) -> dict[str, Array]:
    """Move the content of one or more images; the pixels of the border are repeated behind it.

    Args:
        image: One or more images of any source that `FeatureMapWidget` takes.
        rows: Pixels to move down, or up if negative.
        columns: Pixels to move right, or left if negative.
        bands: As for `noise`.

    Returns:
        The moved images, as for `noise`: `"cat + shift 3, -2"`. No value is changed.

    Raises:
        ValueError: If `rows` or `columns` is not a whole number.
        ImageError: If an image cannot be used, or nothing of it would be left.
    """
    rows = _whole(rows, "rows", "a whole number of pixels")
    columns = _whole(columns, "columns", "a whole number of pixels")

    def corrupt(array: Array, _white: float | None, name: str) -> Array:
        height, width = array.shape[:2]
        if abs(rows) >= height or abs(columns) >= width:
            raise ImageError(
                f"{quote(name)} has {height} rows and {width} columns. Received rows={rows} and "
                f"columns={columns}, which leaves nothing of it; pass smaller numbers."
            )
        sources = (np.clip(np.arange(n) - by, 0, n - 1) for n, by in ((height, rows), (width, columns)))
        moved: Array = array[np.ix_(*sources)]
        return moved

    return _corrupted(image, f"shift {rows}, {columns}", corrupt, bands)


# ------------------------------------------------------------------ images


def _corrupted(image: Any, what: str, corrupt: Corrupt, bands: Sequence[int] | None) -> dict[str, Array]:
    """Return images after a corruption, by their new names.

    Args:
        image: A source of images.
        what: The words for what is done.
        corrupt: Takes an array `(H, W, C)`, the value of white in it or `None`, and the image's name.
        bands: As for `noise`.
    """
    found: dict[str, Array] = {}
    for name, each in usable_images(image, bands, MANY_IMAGES).items():
        array, white = each.given()
        shaped = array if array.ndim == 3 else array[..., np.newaxis]
        found[free_name(f"{name} + {what}", found)] = corrupt(shaped, white, name).reshape(array.shape)
    return found


def _as_numbers(array: Array) -> Array:
    """Return a copy of an array in floating point that represents its numbers."""
    is_known = array.dtype.kind in "biuf"
    return array.astype(np.result_type(array, np.float32) if is_known else np.float32)


def _in_type(values: Array, dtype: np.dtype[Any], white: float | None) -> Array:
    """Return numbers in a type, clipped to those from black to white, or else to the range of the type."""
    if white is not None:
        values = np.clip(values, 0, white)
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)


def _span(values: Array, white: float | None) -> Any:
    """Return how far white is from black; for bands the range of each, 0 without a finite value."""
    if white is not None:
        return white
    low, high = _limits(values)
    return np.maximum(high - low, 0)


def _middle(array: Array, white: float | None) -> Array:
    """Return the grey between black and white, opaque; for bands the middle of the range of each."""
    channels = array.shape[2]
    if white is not None:
        return np.array([white / 2] * 3 + [white])[:channels]
    low, high = _limits(_as_numbers(array))
    with np.errstate(invalid="ignore"):  # of a band without a finite value
        return np.where(low <= high, low / 2 + high / 2, 0)


def _limits(values: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest finite value of each channel, in float64."""
    finite = np.isfinite(values)
    low = values.min(axis=(0, 1), where=finite, initial=np.inf)
    high = values.max(axis=(0, 1), where=finite, initial=-np.inf)
    return low.astype(np.float64), high.astype(np.float64)


def _blurred(values: Array, radius: float, axis: int) -> Array:
    """Return the weighted mean of each value and its neighbours along an axis."""
    reach = math.ceil(REACH * radius)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / max(radius, 1e-9)) ** 2)
    weights /= weights.sum()
    last = values.shape[axis] - 1
    places = np.arange(last + 1)
    total = np.zeros_like(values)
    for offset, weight in zip(offsets, weights, strict=True):
        total += values.dtype.type(weight) * np.take(values, np.clip(places + offset, 0, last), axis)
    return total


# ------------------------------------------------------------------ arguments


def _number(value: Any, name: str, expected: str, low: float, high: float) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise ValueError(f"{name} must be {expected}. Received {brief(value)}.")
    return float(value)


def _whole(value: Any, name: str, expected: str, low: float = -math.inf) -> int:
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < low:
        raise ValueError(f"{name} must be {expected}. Received {brief(value)}.")
    return int(value)


def _interval(value: Any, name: str) -> tuple[int, int]:
    expected = "the first pixel and the one after the last, such as (40, 90)"
    is_pair = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and len(value) == 2
    if is_pair:
        first, end = (_whole(each, name, expected, 0) for each in value)
        if first < end:
            return first, end
    raise ValueError(f"{name} must be {expected}. Received {brief(value)}.")
