"""Anything that is one picture, a file's bytes, a PIL image or an array, becomes 8-bit RGB pixels here."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

Pixels = np.ndarray  # (H, W, 3) uint8, read-only

MAX_SIDE = 16_384
MAX_PIXELS = 64_000_000
MAX_BYTES = 512 * 2**20

# Formats by the names PIL has for them. The rest of what it reads stays out: EPS starts another program, ICO
# decodes before its size is known. HEIF is there where pillow-heif has been registered.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "HEIF")

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Resizing in floating point overshoots a little; more than this is another scale.
_OVERSHOOT = 1e-3


class PictureError(ValueError):
    """A picture that cannot be used; the message is one sentence that names it and says what to do."""


def quote(name: str) -> str:
    """A name as messages show it: between quotes, on one line, never endless.

    Args:
        name: Any text.

    Returns:
        Its `repr`, its middle left out where it is long.
    """
    return repr(name if len(name) <= 160 else f"{name[:80]}…{name[-79:]}")


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for reading, but nothing that a read could wait for (a pipe, a device).

    Args:
        path: The file.

    Returns:
        The open file.

    Raises:
        PictureError: There is no such file, or it is none, or it may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise PictureError(f"{quote(os.fspath(path))} is a folder; expected the file of one picture.")
        if not stat.S_ISREG(mode):
            raise PictureError(f"{quote(path.name)} is not a regular file; expected the file of one picture.")
        return path.open("rb")
    except FileNotFoundError:
        raise PictureError(f"There is no file {quote(os.fspath(path))}; check the path.") from None
    except OSError as error:
        reason = error.strerror or error
        raise PictureError(
            f"{quote(path.name)} cannot be opened ({reason}); check its permissions."
        ) from error


def decode(file: IO[bytes], name: str, draft_size: int | None = None) -> Pixels:
    """Decodes a picture file, upright, without transparency, all of it or (JPEG) at a reduced size.

    A picture within the limits takes at most about 1.5 GB while it is decoded; one beyond them is refused
    before any pixel is.

    Args:
        file: The file, open for reading; only its first frame or page is read.
        name: What messages call it.
        draft_size: Sides of at least this many pixels are enough, which makes large JPEGs much faster.

    Returns:
        Read-only uint8 array of shape `(height, width, 3)`.

    Raises:
        PictureError: Whatever is wrong with the file, in one sentence.
    """
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise PictureError(f"{quote(name)} is empty (0 bytes); expected a picture file.")
    if size > MAX_BYTES:
        raise PictureError(
            f"{quote(name)} has {size:,} bytes; at most {MAX_BYTES:,} are read: save it smaller."
        )
    try:
        with _open_image(file, name) as image:
            if draft_size is not None:
                image.draft(None, (draft_size, draft_size))
            return from_image(image, name)
    except PictureError:
        raise
    except Exception as error:  # PIL's readers raise whatever malformed data makes them stumble over
        raise PictureError(_damaged(name, error)) from error


def _open_image(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """What `Image.open` does, but a large picture is refused, by our own limit, instead of warned about."""
    Image.init()
    file.seek(0)
    start = file.read(16)
    for format_name in _FORMATS:
        reader, accepts = Image.OPEN.get(format_name, (None, None))
        accepted = accepts(start) if reader and accepts else False
        if reader and accepted and not isinstance(accepted, str):  # a string says what PIL was built without
            file.seek(0)
            image = reader(file, "")
            check_size(image.width, image.height, name)
            return image
    raise PictureError(
        f"{quote(name)} is not a picture that can be read; expected PNG, JPEG, GIF, WebP, TIFF, BMP, PPM, "
        "AVIF or JPEG 2000: save it as PNG or JPEG."
    )


def check_size(width: int, height: int, name: str) -> None:
    """Raises `PictureError` for a picture without pixels, or with more than can be shown.

    Args:
        width: Pixels in a row.
        height: Rows.
        name: What the message calls the picture.
    """
    if width < 1 or height < 1:
        raise PictureError(f"{quote(name)} has no pixels ({width} × {height}).")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureError(
            f"{quote(name)} is {width:,} × {height:,} pixels; at most {MAX_SIDE:,} on a side and "
            f"{MAX_PIXELS:,} in all can be shown: make it smaller first."
        )


def from_image(image: Image.Image, name: str) -> Pixels:
    """The pixels of a PIL image, turned upright as its EXIF data asks and laid on white where transparent.

    Args:
        image: Any PIL image; it is left as it is.
        name: What messages call it.

    Returns:
        Read-only uint8 array of shape `(height, width, 3)`.

    Raises:
        PictureError: It cannot be decoded, is too large or holds numbers of an unknown scale.
    """
    check_size(image.width, image.height, name)
    try:
        image.load()
        # Only now: reading a TIFF's pixels already turns it, and takes the tag away.
        if (turn := _UPRIGHT.get(_orientation(image))) is not None:
            image = image.transpose(turn)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _from_numbers(image, name)
        if image.has_transparency_data:
            picture = image.convert("RGBA")
            image = Image.new("RGBA", picture.size, "white")
            image.alpha_composite(picture)
        pixels = np.asarray(image.convert("RGB"))
    except PictureError:
        raise
    except Exception as error:
        raise PictureError(_damaged(name, error)) from error
    pixels.flags.writeable = False
    return pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - EXIF data that cannot be read leaves the picture as it is, as in browsers
        return 1


def _from_numbers(image: Image.Image, name: str) -> Pixels:
    """Grey pictures of more than 8 bits; PIL's own conversion cuts them off at 255."""
    numbers = np.asarray(image)
    if image.mode != "F":
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high > 65_535:
            raise PictureError(
                f"{quote(name)} holds whole numbers from {low} to {high}; expected 0…65535 (16 bits): scale "
                "them, and pass the picture as an array."
            )
        numbers = numbers.astype(np.uint16)
    return from_array(numbers, name)


def _damaged(name: str, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return (
        f"{quote(name)} is damaged, incomplete or of a kind that cannot be decoded ({reason}); save it again "
        "as PNG or JPEG."
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
        raise PictureError(_wrong_shape(shape, name))
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
        raise PictureError(
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
    raise PictureError(
        f"{quote(name)} holds values of type {array.dtype}; expected real numbers: 0…1 or 0…255."
    )


def _check_range(array: np.ndarray, lowest: float, highest: float, expected: str, name: str) -> None:
    low, high = array.min(), array.max()
    if low < lowest or high > highest:
        raise PictureError(
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
        raise PictureError(f"{quote(name)}, a {kind}, cannot be read as an array ({reason}).") from error
