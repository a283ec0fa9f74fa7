"""A picture given as numbers becomes 8-bit RGB pixels here, or is refused in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmwidget._errors import quote

Pixels = np.ndarray  # (H, W, 3) uint8, read-only

MAX_SIDE = 16_384
MAX_PIXELS = 64_000_000

# Resizing in floating point overshoots a little; more than this is another scale.
_OVERSHOOT = 1e-3


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence that names it and says what to do."""


def check_size(width: int, height: int, name: str) -> None:
    """Raises `ImageError` for a picture without pixels, or with more than can be shown.

    Args:
        width: Pixels in a row.
        height: Rows.
        name: What the message calls the picture.
    """
    if width < 1 or height < 1:
        raise ImageError(f"{quote(name)} has no pixels ({width} × {height}).")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{quote(name)} is {width:,} × {height:,} pixels; at most {MAX_SIDE:,} on a side and "
            f"{MAX_PIXELS:,} in all can be shown: make it smaller first."
        )


def from_array(array: np.ndarray, name: str, peak: float | None = None) -> Pixels:
    """The pixels of one picture given as numbers.

    Booleans are black and white; `uint8` is taken as it is, `uint16` is scaled to 8 bits, other whole numbers
    must lie in 0…255. Floating-point numbers up to 1 are taken as 0…1, larger ones as 0…255.

    Args:
        array: Shape `(H, W)`, `(H, W, 1)`, `(H, W, 3)`, `(H, W, 4)` (the last of them is opacity), or any of
            the last three with a batch axis of one before them.
        name: What messages call the picture.
        peak: The largest number of the batch a floating-point picture belongs to, for a dark picture in a
            batch of 0…255 is dark. By default its own.

    Returns:
        Read-only uint8 array of shape `(H, W, 3)`; a copy.

    Raises:
        PictureError: Another shape, type or range.
    """
    shape = array.shape
    if array.ndim == 4 and shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(_wrong_shape(shape, name))
    check_size(array.shape[1], array.shape[0], name)
    levels = _to_8_bit(array, name, peak)
    if levels.shape[2] == 4:
        opacity = levels[..., 3:].astype(np.uint16)
        blend = levels[..., :3] * opacity + 255 * (255 - opacity)
        levels = ((blend + 127) // 255).astype(np.uint8)
    pixels = np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)), order="C")
    pixels.flags.writeable = False
    return pixels


def _wrong_shape(shape: tuple[int, ...], name: str) -> str:
    advice = "pass one picture."
    if len(shape) in (3, 4) and shape[-3] in (1, 3, 4):
        advice = f"move the channels to the end: `np.moveaxis(x, {len(shape) - 3}, -1)`."
    elif len(shape) == 3:
        advice = "a batch of grey pictures needs a last axis of one: `x[..., np.newaxis]`."
    return f"{quote(name)} has shape {shape}; expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): {advice}"


def _to_8_bit(array: np.ndarray, name: str, peak: float | None) -> np.ndarray:
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
    peak = float(values.max()) if peak is None else peak
    scale = 255 if peak <= 1 + _OVERSHOOT else 1
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _to_float(array: np.ndarray, name: str) -> np.ndarray:
    try:
        if array.dtype.kind == "f":
            return array.astype(np.result_type(array, np.float32), copy=False)
        if array.dtype.kind in "VO":  # bfloat16 and its kin are types NumPy does not know, lists hold objects
            return array.astype(np.float32)
    except (TypeError, ValueError):
        pass
    raise ImageError(
        f"{quote(name)} holds values of type {array.dtype}; expected real numbers: 0…1 or 0…255."
    )


def _check_range(array: np.ndarray, lowest: float, highest: float, expected: str, name: str) -> None:
    low, high = array.min(), array.max()
    if low < lowest or high > highest:
        raise ImageError(
            f"{quote(name)} holds values from {low:.4g} to {high:.4g}; expected {expected}: undo its scaling "
            "first, or pass `preprocess=`, a function that returns the model's input."
        )


def number_array(value: Any, name: str) -> np.ndarray:
    """A tensor or other array-like as a NumPy array.

    Args:
        value: Anything with `__array__`.
        name: What the message calls it.

    Returns:
        The array, sharing memory where it can.

    Raises:
        PictureError: It cannot be read as one.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # tensors on a device or in a graph raise types of their own
        kind = type(value).__name__
        reason = " ".join(str(error).split())
        raise ImageError(f"{quote(name)}, a {kind}, cannot be read as an array ({reason}).") from error
