"""Loading of images from files, arrays, data sets and collections of these, each under its own name."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fmwidget._errors import quote
from fmwidget._text import REPLACEMENT, is_control

from .arrays import ImageError, check_bands, has_bands, number_array
from .source import NamedImage, as_path, unknown_source

MAX_IMAGES = 60
MANY_IMAGES = 2000  # at most, where they are not shown side by side
# An iterable may be endless, and its elements expensive.
FIRST_OF_ITERABLE = 16
MOST_NAMES = 8  # of images in a message

# Names of the image files in a folder. HEIC may not be supported: then it is reported rather than skipped.
_IMAGE_FILE = re.compile(
    r"[^.].*\.(a?png|jpe?g|jpe|jfif|mpo|gif|webp|tiff?|bmp|dib|p[bgnp]m|avif|jp2|j2k|hei[cf])",
    re.IGNORECASE | re.DOTALL,
)


def load_images(
    source: Any, bands: Sequence[int] | None = None, limit: int | None = None
) -> tuple[dict[str, NamedImage], list[str]]:
    """Load the images of any supported source.

    A file is named by its name without the suffix, an entry of a dict by its key, any other image
    `picture 1`, `picture 2`, …; ` (2)` is added to a name that is taken.

    Args:
        source: A path, a folder (its image files in natural order, without subfolders), a glob pattern, the
            bytes of a file, a PIL image, an array or tensor of one image `(H, W)` or `(H, W, C)` or of a
            batch `(N, H, W, C)`, a list of any of these, a dict from name to any of these; or a
            `tf.data.Dataset` or other iterable, of which the first few images are taken. A tuple in a list
            or an iterable is an image and its label.
        bands: Indices of the channels to display, three as RGB or one as grey, of arrays with another number
            of channels than 1 or 3. By default the first three, or the first of two; four are then RGBA.
        limit: Most images, of an iterable too; if `None`, `MAX_IMAGES`, and the first few of an iterable.

    Returns:
        The images by name, in order; and a message for each that cannot be used, and if there are too many.
        If there is no image there is at least one message.

    Raises:
        ValueError: If `bands` is not one or three channel indices.
    """
    bands = check_bands(bands)
    images: dict[str, NamedImage] = {}
    messages: list[str] = []
    numbers = itertools.count(1)
    most = MAX_IMAGES if limit is None else limit
    found = _find(source, "", limit)
    for offer in itertools.islice(found, most):
        if isinstance(offer, ImageError):
            messages.append(str(offer))
            continue
        image = offer.copy(offer.name or f"picture {next(numbers)}", bands)
        try:
            image.thumbnail()
        except ImageError as error:
            messages.append(str(error))
            continue
        image.name = free_name(image.name, images)
        images[image.name] = image
    if next(found, None) is not None:
        messages.append(f"Only the first {most} images are offered; pass fewer to choose them.")
    if not images and not messages:
        messages.append(f"There is no image in the {type(source).__name__}; it is empty.")
    return images, messages


def usable_images(
    source: Any, bands: Sequence[int] | None = None, limit: int | None = None
) -> dict[str, NamedImage]:
    """Return the images of any source that `load_images` takes, all of which can be used.

    Raises:
        ImageError: If there is none, there are too many, or one cannot be used.
    """
    return _all_usable(*load_images(source, bands, limit))


def single_image(source: Any, bands: Sequence[int] | None = None) -> tuple[str, dict[str, NamedImage]]:
    """Return the image of a source that holds one, by its name.

    Raises:
        ImageError: If there is none, or it cannot be used.
        ValueError: If there are several.
    """
    is_file_content = isinstance(source, bytes | bytearray | memoryview)
    is_collection = isinstance(source, Iterable) and not (is_file_content or hasattr(source, "__array__"))
    has_names = is_collection or isinstance(source, str | os.PathLike | NamedImage)
    images, messages = load_images(source if has_names else {"image": source}, bands)  # the parameter's name
    if len(images) > 1:
        names = [*map(repr, images)]
        listed = ", ".join([*names[:MOST_NAMES], "…"] if len(names) > MOST_NAMES else names)
        example = f", such as images[{next(iter(source))!r}]" if isinstance(source, Mapping) else ""
        raise ValueError(
            f"image must hold one image. Received {len(names)}: {listed}. Pass one of them{example}, or plot "
            "them in a loop."
        )
    (name,) = _all_usable(images, messages)
    return name, images


def _all_usable(images: dict[str, NamedImage], messages: list[str]) -> dict[str, NamedImage]:
    if messages or not images:
        raise ImageError(" ".join(messages))
    return images


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, with ` (2)` or the next free number if it is among those taken."""
    if name not in taken:
        return name
    return next(free for n in itertools.count(2) if (free := f"{name} ({n})") not in taken)


def _find(source: Any, name: str, limit: int | None) -> Iterator[NamedImage | ImageError]:
    """Yield each image of a source, or an error in its place.

    Args:
        source: The source.
        name: Name of the image; empty for unnamed ones.
        limit: As in `load_images`.
    """
    if isinstance(source, NamedImage):
        yield source.copy(name) if name else source
    elif isinstance(source, str | os.PathLike):
        yield from _find_files(source, name)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield NamedImage(bytes(source), name)
    elif isinstance(source, Image.Image):
        yield NamedImage(source, name)
    elif isinstance(source, Mapping):
        for key, value in source.items():
            yield from _find(value, _clean(str(key)), limit)
    elif isinstance(source, list | tuple):
        for element in source:
            yield from _find(_without_label(element), name, limit)
    elif hasattr(source, "__array__"):
        yield from _find_in_array(source, name, limit)
    elif isinstance(source, Iterable):
        yield from itertools.islice(_find_in_iterable(source, name, limit), _elements(limit))
    else:
        yield unknown_source(source, name or "image")


def _find_files(source: str | os.PathLike[str], name: str) -> Iterator[NamedImage | ImageError]:
    try:
        path = as_path(source)
        if path.is_dir():
            files = _image_files(path.iterdir())
            if not files:
                yield ImageError(
                    f"The folder {quote(str(path))} holds no image files; for those in its subfolders pass "
                    f"{quote(str(path / '**' / '*'))}."
                )
        elif any(character in str(path) for character in "*?[") and not path.exists():
            matches = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = _image_files(map(Path, matches))
            if not files:
                yield ImageError(f"No image file matches {quote(str(path))}; check the pattern.")
        else:
            files = [path]
    except ImageError as error:
        yield error
    except OSError as error:
        yield ImageError(f"{quote(os.fspath(source))} cannot be read ({error.strerror or error}).")
    else:
        for file in files:
            yield NamedImage(file, name or _clean(file.stem))


def _image_files(paths: Iterable[Path]) -> list[Path]:
    """Return the paths of image files in natural order, `2.png` before `10.png`."""
    # Hidden files are left out: systems store metadata beside images, in files with the same suffix.
    files = (path for path in paths if _IMAGE_FILE.fullmatch(path.name) and not path.is_dir())
    return sorted(files, key=_natural_key)


def _natural_key(path: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", str(path).casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _find_in_array(source: Any, name: str, limit: int | None) -> Iterator[NamedImage | ImageError]:
    try:
        array = number_array(source, name or "array")
    except ImageError as error:
        yield error
        return
    if array.ndim == 1 and array.dtype.kind in "OUS":  # a column of paths or images
        yield from _find(array.tolist(), name, limit)
    elif array.ndim == 4:
        if not len(array):
            yield ImageError(f"{quote(name or 'batch')} has shape {array.shape}; it holds no images.")
        batch = array[: MAX_IMAGES if limit is None else limit]
        needs_peak = batch.dtype.kind == "f" and not has_bands(batch.shape[-1], bands=None)
        # An image with NaN or infinity is refused by itself, and does not change the scale of the others.
        peak = float(batch.max(initial=0, where=np.isfinite(batch))) if needs_peak else None
        for image in array:
            yield NamedImage(image, name, peak=peak)
    else:
        yield NamedImage(array, name)


def _find_in_iterable(
    source: Iterable[Any], name: str, limit: int | None
) -> Iterator[NamedImage | ImageError]:
    try:
        for element in itertools.islice(source, _elements(limit)):
            image = _without_label(element)
            if hasattr(image, "__array__") and not isinstance(image, Image.Image):
                # The iterable may reuse the memory for its next element.
                image = np.array(number_array(image, name or "element"))
            yield from _find(image, name, limit)
    except Exception as error:  # noqa: BLE001 - the user's iterable may raise anything; earlier images are kept
        reason = " ".join(str(error).split())
        yield ImageError(
            f"Iterating over the {type(source).__name__} failed: {type(error).__name__} ({reason})."
        )


def _elements(limit: int | None) -> int:
    """Return how many elements of an iterable to take: one above a limit, which tells of more."""
    return FIRST_OF_ITERABLE if limit is None else limit + 1


def _without_label(element: Any) -> Any:
    """Return the image of a data set's element: `(image, label)`, or a dict with the key `image`."""
    if isinstance(element, tuple) and element:
        return element[0]
    if isinstance(element, Mapping) and "image" in element:
        return element["image"]
    return element


def _clean(name: str) -> str:
    """Return a name without characters that cannot be sent to a browser or shown on one line."""
    return "".join(REPLACEMENT if is_control(character) else character for character in name)
