"""A picture's file, or a PIL image, becomes 8-bit RGB pixels here."""

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
            raise ImageError(f"{quote(os.fspath(path))} is a folder; expected the file of one picture.")
        if not stat.S_ISREG(mode):
            raise ImageError(f"{quote(path.name)} is not a regular file; expected the file of one picture.")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"There is no file {quote(os.fspath(path))}; check the path.") from None
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{quote(path.name)} cannot be opened ({reason}); check its permissions.") from error


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
        raise ImageError(f"{quote(name)} is empty (0 bytes); expected a picture file.")
    if size > MAX_BYTES:
        raise ImageError(
            f"{quote(name)} has {size:,} bytes; at most {MAX_BYTES:,} are read: save it smaller."
        )
    try:
        with _open_image(file, name) as image:
            if draft_size is not None:
                image.draft(None, (draft_size, draft_size))
            return from_image(image, name)
    except ImageError:
        raise
    except Exception as error:  # PIL's readers raise whatever malformed data makes them stumble over
        raise ImageError(_damaged(name, error)) from error


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
    raise ImageError(
        f"{quote(name)} is not a picture that can be read; expected PNG, JPEG, GIF, WebP, TIFF, BMP, PPM, "
        "AVIF or JPEG 2000: save it as PNG or JPEG."
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
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_damaged(name, error)) from error
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
            raise ImageError(
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
