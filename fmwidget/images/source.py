"""One picture: named, decoded when it is looked at, never out of date."""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from fmwidget._errors import quote

from .arrays import ImageError, Pixels, from_array, number_array
from .decoding import decode, from_image, open_file

THUMBNAIL_SIZE = 144  # twice what is shown, for high-density screens

_Source = Path | bytes | Image.Image | np.ndarray


def to_pixels(picture: Any, name: str = "picture") -> Pixels:
    """The pixels of one picture.

    Args:
        picture: A path, the bytes of a file, a PIL image, a `NamedImage`, or an array or tensor of shape
            `(H, W)`, `(H, W, 1)`, `(H, W, 3)`, `(H, W, 4)` or any of these as a batch of one: uint8, uint16
            (scaled to 8 bits), booleans, or floating-point numbers in 0…1 or 0…255.
        name: What messages call it, where it has no file name of its own.

    Returns:
        Read-only uint8 array of shape `(H, W, 3)`: upright as its EXIF data asks, transparency laid on white.

    Raises:
        PictureError: It cannot be used; the message says why and what to do.
    """
    if isinstance(picture, NamedImage):
        return picture.pixels()
    if isinstance(picture, str | os.PathLike):
        picture = as_path(picture)
    elif isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    elif hasattr(picture, "__array__") and not isinstance(picture, Image.Image):
        picture = number_array(picture, name)
    elif not isinstance(picture, bytes | Image.Image):
        raise unknown_source(picture, name)
    return NamedImage(picture, name).pixels()


class NamedImage:
    """A named picture, decoded when it is asked for and again when its source has changed.

    Pixels of files are not kept beyond their last user, so that an album does not sit in memory.

    Args:
        source: A file's path or its bytes, a PIL image or an array as in `to_pixels`. Arrays and images stay
            yours: what is shown is what they hold when they are looked at.
        name: What the picture is called.
        peak: The largest number of the batch that a floating-point array is part of.
    """

    def __init__(self, source: _Source, name: str, *, peak: float | None = None) -> None:
        self.name = name
        self._source = source
        self._peak = peak
        self._lock = threading.Lock()
        self._version: Any = None  # of the source, when `_pixels` were made of it
        self._pixels: Pixels | None = None
        self._decoded: weakref.ref[Pixels] = weakref.ref(np.empty(0))
        self._thumbnail: tuple[Any, int, bytes] | None = None  # of which version or pixels, how large

    def __repr__(self) -> str:
        return f"Picture({self.name!r})"

    def pixels(self) -> Pixels:
        """The pixels: the same array for as long as the source is unchanged and somebody holds it.

        Returns:
            Read-only uint8 array of shape `(H, W, 3)`.

        Raises:
            PictureError: The source cannot be used, or no longer.
        """
        with self._lock:
            if isinstance(self._source, np.ndarray):
                return self._from_array(self._source)
            if isinstance(self._source, Image.Image):
                return self._from_image(self._source)
            return self._from_file(self._source)

    def thumbnail(self, size: int = THUMBNAIL_SIZE) -> bytes:
        """A small JPEG of the picture.

        Args:
            size: Pixels that it is wide and high at most.

        Returns:
            The bytes of a JPEG file.

        Raises:
            PictureError: The source cannot be used, or no longer.
        """
        if not isinstance(self._source, Path | bytes):
            pixels, kept = self.pixels(), self._thumbnail
            if kept is None or kept[0] is not pixels or kept[1] != size:
                self._thumbnail = kept = (pixels, size, _jpeg(pixels, size))
            return kept[2]
        with self._lock, _open(self._source) as file:
            version = _file_version(file)
            if self._thumbnail is None or self._thumbnail[:2] != (version, size):
                small = _jpeg(decode(file, self._label, draft_size=2 * size), size)
                self._thumbnail = (version, size, small)
            return self._thumbnail[2]

    def renamed(self, name: str) -> NamedImage:
        """The same picture under another name."""
        return NamedImage(self._source, name, peak=self._peak)

    @property
    def _label(self) -> str:
        """What messages call it: a file is easier to find by its whole name."""
        return self._source.name if isinstance(self._source, Path) else self.name

    def _from_array(self, array: np.ndarray) -> Pixels:
        if self._pixels is None or not np.array_equal(array, self._version):
            copy = np.array(array)
            self._pixels = from_array(copy, self._label, self._peak)
            # Of most arrays the pixels are a copy already.
            same = copy.dtype == np.uint8 and copy.shape == self._pixels.shape
            self._version = self._pixels if same else copy
        return self._pixels

    def _from_image(self, image: Image.Image) -> Pixels:
        pixels = from_image(image, self._label)
        if self._pixels is None or not np.array_equal(pixels, self._pixels):
            self._pixels = pixels
        return self._pixels

    def _from_file(self, source: Path | bytes) -> Pixels:
        with _open(source) as file:
            version = _file_version(file)
            pixels = self._decoded()
            if pixels is None or version != self._version:
                pixels = decode(file, self._label)
                self._version = version
                self._decoded = weakref.ref(pixels)
            return pixels


def _open(source: Path | bytes) -> IO[bytes]:
    return open_file(source) if isinstance(source, Path) else io.BytesIO(source)


def _file_version(file: IO[bytes]) -> tuple[int, ...]:
    if isinstance(file, io.BytesIO):
        return ()
    status = os.fstat(file.fileno())
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _jpeg(pixels: Pixels, size: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def as_path(source: str | os.PathLike[str]) -> Path:
    """A path as people write it, `~` for their home.

    Args:
        source: The path.

    Returns:
        The path with the home folder filled in.

    Raises:
        PictureError: It is empty, or no path at all.
    """
    text = os.fspath(source)
    if not text or "\0" in text:
        raise ImageError(f"Received the path {quote(text)}; expected that of a picture, folder or pattern.")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no home to find
        return Path(text)


def unknown_source(source: object, name: str) -> ImageError:
    """What to raise for something that is no picture.

    Args:
        source: What was received.
        name: What the message calls it.

    Returns:
        The error.
    """
    return ImageError(
        f"{quote(name)} is of type {type(source).__name__}; expected a path, the bytes of a file, a PIL "
        "image or an array: pass one of these."
    )
