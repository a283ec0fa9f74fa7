"""A named image, decoded on demand and always up to date with its source."""

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

from .arrays import Array, Bands, ImageError, Pixels, from_array, has_bands, number_array, white_level
from .decoding import decode, from_image, open_file

THUMBNAIL_SIZE = 144  # twice what is shown, for high-density screens

_Source = Path | bytes | Image.Image | Array


def to_image(source: Any, name: str = "image", bands: Bands | None = None) -> NamedImage:
    """Return a single image as a `NamedImage`.

    Args:
        source: A path, the bytes of a file, a PIL image, a `NamedImage`, or an array or tensor of shape
            `(H, W)`, `(H, W, C)` or `(1, H, W, C)`: see `arrays.from_array`.
        name: Name of the image in messages, if it has no file name.
        bands: Indices of the channels to display, if they are not grey, RGB or RGBA.

    Raises:
        ImageError: If the type of `source` is not supported.
    """
    if isinstance(source, NamedImage):
        return source
    if isinstance(source, str | os.PathLike):
        source = as_path(source)
    elif isinstance(source, bytearray | memoryview):
        source = bytes(source)
    elif hasattr(source, "__array__") and not isinstance(source, Image.Image):
        source = number_array(source, name)
    elif not isinstance(source, bytes | Image.Image):
        raise unknown_source(source, name)
    return NamedImage(source, name, bands=bands)


def to_pixels(source: Any, name: str = "image") -> Pixels:
    """Return the pixels of a single image.

    Args:
        source: The image, as for `to_image`.
        name: Name of the image in messages, if it has no file name.

    Returns:
        Read-only uint8 array of shape `(H, W, 3)`: rotated as its EXIF data states, blended with white.

    Raises:
        ImageError: If the image cannot be used.
    """
    return to_image(source, name).pixels()


class NamedImage:
    """A named image, decoded on demand and again when its source has changed.

    The pixels of a file are not kept beyond their last use, so that large collections take little memory.

    Args:
        source: The path or the bytes of a file, a PIL image or an array, as in `to_image`. Arrays and PIL
            images are not copied: changes made to them later are shown.
        name: Name of the image.
        peak: Largest value of the batch that a floating-point array is part of.
        bands: Indices of the channels to display, of an array with other channels than grey, RGB or RGBA.
    """

    def __init__(
        self, source: _Source, name: str, *, peak: float | None = None, bands: Bands | None = None
    ) -> None:
        self.name = name
        self.bands = bands
        self._source = source
        self._peak = peak
        self._lock = threading.Lock()
        self._version: Any = None  # of the source that the pixels were decoded from
        self._pixels: Pixels | None = None
        self._array: Array | None = None  # the version (H, W, C) of an array that is not grey or RGB
        self._decoded: weakref.ref[Pixels] = weakref.ref(np.empty(0))
        self._thumbnail: tuple[Any, int, bytes] | None = None  # the version or pixels, the size, the JPEG

    def __repr__(self) -> str:
        return f"NamedImage({self.name!r})"

    def pixels(self) -> Pixels:
        """Return the pixels to display, the same array while the source is unchanged and the array in use.

        Returns:
            Read-only uint8 array of shape `(H, W, 3)`.

        Raises:
            ImageError: If the source cannot be used, or no longer.
        """
        with self._lock:
            if isinstance(self._source, np.ndarray):
                return self._from_array(self._source)
            if isinstance(self._source, Image.Image):
                return self._from_image(self._source)
            return self._from_file(self._source)

    def arrays(self) -> tuple[Array, ...]:
        """Return the arrays that can be given to a model, the preferred one first.

        These are the pixels; of an RGBA array also the array as given; of an array of bands that array
        alone. Like the pixels, each is the same object while the source is unchanged.

        Returns:
            Read-only arrays: the pixels, and copies of the source of shape `(H, W, C)`.

        Raises:
            ImageError: If the source cannot be used, or no longer.
        """
        pixels, array = self.pixels(), self._array
        if array is None:
            return (pixels,)
        return (array,) if has_bands(array.shape[2], self.bands) else (pixels, array)

    def given(self) -> tuple[Array, float | None]:
        """Return the array as given, or the pixels of a file or a PIL image; and the value of white in it.

        Returns:
            A read-only array `(H, W)` or `(H, W, C)`; and `None` for the white of one that holds bands.

        Raises:
            ImageError: If the source cannot be used, or no longer.
        """
        pixels = self.pixels()
        if not isinstance(self._source, np.ndarray):
            return pixels, 255
        array = self._source[0].view() if self._source.ndim == 4 else self._source.view()
        array.flags.writeable = False
        if array.ndim == 3 and has_bands(array.shape[2], self.bands):
            return array, None
        return array, white_level(array, self._peak)

    def thumbnail(self, size: int = THUMBNAIL_SIZE) -> bytes:
        """Return a small JPEG of the image, at most `size` pixels wide and high.

        Raises:
            ImageError: If the source cannot be used, or no longer.
        """
        if not isinstance(self._source, Path | bytes):
            pixels, thumbnail = self.pixels(), self._thumbnail
            if thumbnail is None or thumbnail[0] is not pixels or thumbnail[1] != size:
                self._thumbnail = thumbnail = (pixels, size, _jpeg(pixels, size))
            return thumbnail[2]
        with self._lock, _open(self._source) as file:
            version = _file_version(file)
            if self._thumbnail is None or self._thumbnail[:2] != (version, size):
                small = _jpeg(decode(file, self._label, draft_size=2 * size), size)
                self._thumbnail = (version, size, small)
            return self._thumbnail[2]

    def copy(self, name: str, bands: Bands | None = None) -> NamedImage:
        """Return the same image under another name, and with other bands unless they are `None`."""
        return NamedImage(self._source, name, peak=self._peak, bands=bands or self.bands)

    @property
    def _label(self) -> str:
        """Name in messages: a file is found more easily by its name with the suffix."""
        return self._source.name if isinstance(self._source, Path) else self.name

    def _from_array(self, array: Array) -> Pixels:
        if self._pixels is None or not _is_equal(array, self._version):
            copy = np.array(array)
            copy.flags.writeable = False
            self._pixels = from_array(copy, self._label, self._peak, self.bands)
            # The pixels of most arrays are a copy of them already.
            is_same = copy.dtype == np.uint8 and copy.shape == self._pixels.shape
            self._version = self._pixels if is_same else copy
            has_other_channels = copy.ndim > 2 and copy.shape[-1] not in (1, 3)
            self._array = copy.reshape(copy.shape[-3:]) if has_other_channels else None
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


def _is_equal(array: Array, version: Array) -> bool:
    return np.array_equal(array, version) or (
        array.dtype.kind in "fV" and np.array_equal(array, version, equal_nan=True)
    )


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
    """Return a path with `~` replaced by the home folder.

    Raises:
        ImageError: If it is empty or holds a null character.
    """
    text = os.fspath(source)
    if not text or "\0" in text:
        raise ImageError(f"Received the path {quote(text)}; expected that of an image, folder or pattern.")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no home folder
        return Path(text)


def unknown_source(source: object, name: str) -> ImageError:
    """Return the error for a source of an unsupported type."""
    return ImageError(
        f"{quote(name)} is of type {type(source).__name__}; expected a path, the bytes of a file, a PIL "
        "image or an array: pass one of these."
    )
