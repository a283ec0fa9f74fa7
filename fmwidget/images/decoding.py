"""Conversion of image files and PIL images to 8-bit RGB pixels."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile

from fmwidget._errors import quote

from .arrays import ImageError, Pixels, check_size, from_array

MAX_BYTES = 512 * 2**20

# PIL's names of the formats that are read. Others are left out: EPS starts another program, ICO decodes
# before its size is known. HEIF needs pillow-heif to be registered.
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


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading; reading a pipe or a device could block.

    Raises:
        ImageError: If there is no such file, it is not a regular one, or its permissions forbid it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{quote(os.fspath(path))} is a folder; expected an image file.")
        if not stat.S_ISREG(mode):
            raise ImageError(f"{quote(path.name)} is not a regular file; expected an image file.")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"There is no file {quote(os.fspath(path))}; check the path.") from None
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{quote(path.name)} cannot be opened ({reason}); check its permissions.") from error


def decode(file: IO[bytes], name: str, draft_size: int | None = None) -> Pixels:
    """Decode an image file, upright and without transparency.

    An image within the limits takes at most about 1.5 GB while it is decoded; a larger one is refused before
    any pixel is decoded.

    Args:
        file: The file, open for reading; only its first frame or page is read.
        name: Name of the image in messages.
        draft_size: If given, sides of at least this many pixels suffice: large JPEGs are decoded much faster.

    Returns:
        Read-only uint8 array of shape `(height, width, 3)`.

    Raises:
        ImageError: If the file is empty, too large, damaged or of an unsupported format.
    """
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise ImageError(f"{quote(name)} is empty (0 bytes); expected an image file.")
    if size > MAX_BYTES:
        raise ImageError(
            f"{quote(name)} has {size:,} bytes; at most {MAX_BYTES:,} are read: reduce it first."
        )
    try:
        with _open_image(file, name) as image:
            if draft_size is not None:
                image.draft(None, (draft_size, draft_size))
            return from_image(image, name)
    except ImageError:
        raise
    except Exception as error:  # PIL's readers raise errors of any type on malformed data
        raise ImageError(_damaged(name, error)) from error


def _open_image(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Open as `Image.open` does, but refuse a large image by our own limit where PIL warns by its own."""
    Image.init()
    file.seek(0)
    start = file.read(16)
    for format_name in _FORMATS:
        reader, accepts = Image.OPEN.get(format_name, (None, None))
        accepted = accepts(start) if reader and accepts else False
        if reader and accepted and not isinstance(accepted, str):  # a string names what PIL was built without
            file.seek(0)
            image = reader(file, "")
            check_size(image.width, image.height, name)
            return image
    raise ImageError(
        f"{quote(name)} is not an image that can be read; expected PNG, JPEG, GIF, WebP, TIFF, BMP, PPM, "
        "AVIF or JPEG 2000: save it as PNG or JPEG."
    )


def from_image(image: Image.Image, name: str) -> Pixels:
    """Return the pixels of a PIL image, rotated as its EXIF data states and blended with white.

    Args:
        image: Any PIL image; it is not changed.
        name: Name of the image in messages.

    Returns:
        Read-only uint8 array of shape `(height, width, 3)`.

    Raises:
        ImageError: If it cannot be decoded, is too large or holds numbers of an unknown scale.
    """
    check_size(image.width, image.height, name)
    try:
        image.load()
        # After loading, which rotates a TIFF and removes its tag.
        if (rotation := _UPRIGHT.get(_orientation(image))) is not None:
            image = image.transpose(rotation)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _from_numbers(image, name)
        if image.has_transparency_data:
            transparent = image.convert("RGBA")
            image = Image.new("RGBA", image.size, "white")
            image.alpha_composite(transparent)
        pixels = np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_damaged(name, error)) from error
    pixels.flags.writeable = False
    return pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - unreadable EXIF data is ignored, as in browsers
        return 1


def _from_numbers(image: Image.Image, name: str) -> Pixels:
    """Convert a grey image of more than 8 bits, which PIL would clip at 255."""
    numbers = np.asarray(image)
    if image.mode != "F":
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high > 65_535:
            raise ImageError(
                f"{quote(name)} holds whole numbers from {low} to {high}; expected 0…65535 (16 bits): scale "
                "them, and pass the image as an array."
            )
        numbers = numbers.astype(np.uint16)
    return from_array(numbers, name)


def _damaged(name: str, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return (
        f"{quote(name)} is damaged, incomplete or of a kind that cannot be decoded ({reason}); save it again "
        "as PNG or JPEG."
    )
