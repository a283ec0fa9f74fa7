"""Conversion of arrays to 8-bit RGB pixels.

Arrays of 1, 3 or 4 channels are grey, RGB or RGBA images. Those of any other number of channels, such as
satellite images, hold *bands*: numbers of any range, of which one or three are displayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmwidget._errors import brief, quote

Array = np.ndarray[Any, Any]
Pixels = Array  # (H, W, 3) uint8, read-only
Bands = tuple[int, ...]  # indices of the channels that are displayed: one as grey, or three as RGB

MAX_SIDE = 16_384
MAX_PIXELS = 64_000_000

_SMALLEST_GREY = 16  # a row of pixels shorter than this may as well be channels

# Resizing in floating point overshoots a little; more than this is another scale.
_OVERSHOOT = 1e-3


class ImageError(ValueError):
    """An image that cannot be used. The message is one line that names it and the remedy."""


def check_size(width: int, height: int, name: str) -> None:
    """Raise `ImageError` for an image without pixels, or with too many.

    Args:
        width: Pixels in a row.
        height: Rows.
        name: Name of the image in the message.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{quote(name)} has no pixels ({width} × {height}).")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{quote(name)} is {width:,} × {height:,} pixels; at most {MAX_SIDE:,} on a side and "
            f"{MAX_PIXELS:,} in all can be shown: make it smaller first."
        )


def check_bands(bands: Sequence[int] | None) -> Bands | None:
    """Return the argument `bands` as a tuple.

    Raises:
        ValueError: If it is not `None` and not one or three channel indices.
    """
    if bands is None:
        return None
    is_sequence = isinstance(bands, Sequence | np.ndarray) and not isinstance(bands, str | bytes)
    indices = list(bands) if is_sequence else []
    is_index = [isinstance(each, int | np.integer) and not isinstance(each, bool) for each in indices]
    if len(indices) not in (1, 3) or not all(is_index) or min(indices) < 0:
        raise ValueError(
            "bands must be one or three channel indices, counted from 0, such as (0,) or (3, 2, 1). "
            f"Received {brief(bands)}."
        )
    return tuple(map(int, indices))


def has_bands(channels: int, bands: Bands | None) -> bool:
    """Return whether an array of this many channels holds bands, rather than grey, RGB or RGBA.

    Four channels are RGBA unless `bands` were chosen.
    """
    return channels not in (1, 3) and (channels != 4 or bands is not None)


def from_array(array: Array, name: str, peak: float | None = None, bands: Bands | None = None) -> Pixels:
    """Return the pixels of an image given as an array.

    Of grey, RGB and RGBA images, booleans are black and white, `uint8` is taken unchanged, `uint16` is scaled
    to 8 bits, other whole numbers must lie in 0…255; floating-point numbers up to 1 are taken as 0…1, larger
    ones as 0…255. RGBA is blended with white. Bands may hold any real numbers; see `band_pixels`.

    A shape with another number of channels than 1, 3 or 4 is ambiguous. It is taken as channels first if the
    first axis is less than half as long as each of the others, or the last two are equal and longer; and as a
    batch of grey images if the last two are equal, shorter and longer than 16. Both are refused, unless
    `bands` is given: then the last axis holds the channels.

    Args:
        array: Shape `(H, W)`, `(H, W, C)` or `(1, H, W, C)`.
        name: Name of the image in messages.
        peak: Largest value of the batch that a floating-point image is part of, since a dark image in a
            batch of 0…255 is dark. Its own largest value by default.
        bands: Indices of the channels to display.

    Returns:
        Read-only uint8 array `(H, W, 3)`, a copy.

    Raises:
        ImageError: If its shape, type or range is not supported.
    """
    image = _as_height_width_channels(array, name, bands)
    check_size(image.shape[1], image.shape[0], name)
    if has_bands(image.shape[2], bands):
        pixels = band_pixels(image, bands, name)
    else:
        levels = _to_8_bit(image, name, peak)
        if levels.shape[2] == 4:
            opacity = levels[..., 3:].astype(np.uint16)
            blend = levels[..., :3] * opacity + 255 * (255 - opacity)
            levels = ((blend + 127) // 255).astype(np.uint8)
        pixels = np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)), order="C")
    pixels.flags.writeable = False
    return pixels


def band_pixels(image: Array, bands: Bands | None, name: str = "image") -> Pixels:
    """Return one band as grey or three as RGB, each stretched from its own finite range to 0…255.

    Args:
        image: Real numbers of shape `(H, W, C)`.
        bands: Indices of the channels; by default the first three, or the first if there are fewer.
        name: Name of the image in messages.

    Returns:
        uint8 array `(H, W, 3)`.

    Raises:
        ImageError: If there is no such channel, or the numbers are not real.
    """
    channels = image.shape[2]
    bands = bands or ((0, 1, 2) if channels >= 3 else (0,))
    if max(bands) >= channels:
        raise ImageError(
            f"{quote(name)} has the channels 0 to {channels - 1}. Received bands={bands}; pass other indices."
        )
    levels = [stretch(_to_float(image[..., band], name)) for band in bands]
    return np.stack(levels * (3 // len(levels)), axis=-1)


def stretch(values: Array) -> Array:
    """Map floating-point numbers linearly from their finite range to 0…255.

    Returns:
        uint8 array of the same shape. NaN and constant values become 0, infinite ones 0 or 255.
    """
    finite = np.isfinite(values)
    low = values.min(where=finite, initial=np.inf)
    high = values.max(where=finite, initial=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # a range wider than its type, and no finite value
        levels = (values - low) / (high - low or 1) * 255
    return to_levels(levels)


def to_levels(values: Array) -> Array:
    """Round and clip numbers to 0…255, uint8; NaN becomes 0."""
    return np.clip(np.rint(np.nan_to_num(values, nan=0, posinf=255, neginf=0)), 0, 255).astype(np.uint8)


def white_level(array: Array, peak: float | None = None) -> int:
    """Return the value of white in a grey, RGB or RGBA image, as `from_array` takes it.

    Args:
        array: The image.
        peak: Largest value of the batch that a floating-point image is part of.
    """
    if array.dtype.kind in "iu":
        return 65_535 if array.dtype == np.uint16 else 255
    peak = float(array.max()) if peak is None else peak
    return 1 if peak <= 1 + _OVERSHOOT else 255


def _as_height_width_channels(array: Array, name: str, bands: Bands | None) -> Array:
    shape = array.shape
    image = array[0] if array.ndim == 4 and shape[0] == 1 else array
    image = image[..., np.newaxis] if image.ndim == 2 else image
    if image.ndim != 3 or not image.shape[2]:
        raise ImageError(f"{quote(name)} has shape {shape}; expected (H, W) or (H, W, C): pass one image.")
    first, second, last = image.shape
    is_channels_first = 2 * first < min(second, last) or first < second == last
    is_grey_batch = _SMALLEST_GREY < second == last < first
    if last in (1, 3, 4) or bands or not (is_channels_first or is_grey_batch):
        return image
    advice = []
    if is_channels_first:
        advice.append(f"move its channels to the end: `np.moveaxis(x, {array.ndim - 3}, -1)`")
    if first not in (1, 3, 4):
        advice.append("add an axis to a batch of grey images: `x[..., np.newaxis]`")
    advice.append("pass `bands=` if its last axis holds the channels")
    raise ImageError(
        f"{quote(name)} has shape {shape}; expected (H, W) or (H, W, C): {', or '.join(advice)}."
    )


def _to_8_bit(array: Array, name: str, peak: float | None) -> Array:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind in "iu":
        _check_range(array, 0, 255, "0…255", name)
        return array.astype(np.uint8)
    values = _to_float(array, name)
    if bad := int(values.size - np.count_nonzero(np.isfinite(values))):
        raise ImageError(
            f"{quote(name)} holds {bad} NaN or infinite values; expected 0…1 or 0…255: replace them first."
        )
    _check_range(values, -_OVERSHOOT, 255 + _OVERSHOOT, "0…1 or 0…255", name)
    scale = 255 / white_level(values, peak)
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _to_float(array: Array, name: str) -> Array:
    try:
        if array.dtype.kind in "biuf":
            return array.astype(np.result_type(array, np.float32), copy=False)
        if array.dtype.kind in "VO":  # bfloat16 and other types from outside NumPy; objects, as from lists
            return array.astype(np.float32)
    except (TypeError, ValueError):
        pass
    raise ImageError(f"{quote(name)} holds values of type {array.dtype}; expected real numbers.")


def _check_range(array: Array, lowest: float, highest: float, expected: str, name: str) -> None:
    low, high = array.min(), array.max()
    if low < lowest or high > highest:
        bands = " `bands=` if its four channels are not RGBA, or" if array.shape[2] == 4 else ""
        raise ImageError(
            f"{quote(name)} holds values from {low:.4g} to {high:.4g}; expected {expected}: undo its scaling "
            f"first, or pass{bands} `preprocess=`, a function that returns the model's input."
        )


def number_array(value: Any, name: str) -> Array:
    """Return a tensor or other array-like as a NumPy array, sharing memory if possible.

    Args:
        value: Anything with `__array__`.
        name: Name of the image in messages.

    Raises:
        ImageError: If the conversion fails.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # tensors on a device or in a graph raise types of their own
        kind = type(value).__name__
        reason = " ".join(str(error).split())
        raise ImageError(f"{quote(name)}, a {kind}, cannot be read as an array ({reason}).") from error
