"""The pictures on offer: found wherever people keep them, each under a name of its own."""

from __future__ import annotations

import glob
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fmwidget._errors import quote

from .arrays import ImageError, number_array
from .source import NamedImage, as_path, unknown_source

MAX_IMAGES = 60
# Of an iterable nobody knows how long it is, or what its next element costs.
FIRST_OF_ITERABLE = 16

# What counts as a picture in a folder; HEIC is told what is wrong with it rather than passed over.
_PICTURE_NAME = re.compile(
    r"[^.].*\.(a?png|jpe?g|jpe|jfif|mpo|gif|webp|tiff?|bmp|dib|p[bgnp]m|avif|jp2|j2k|hei[cf])",
    re.IGNORECASE | re.DOTALL,
)


def load_images(source: Any) -> tuple[dict[str, NamedImage], list[str]]:
    """Finds the pictures in whatever people have at hand.

    A file is called by its name without the suffix, an entry of a dict by its key, anything else `picture 1`,
    `picture 2`, …; a name that is taken gets ` (2)`.

    Args:
        source: A path, a folder (its picture files in natural order, not those of its subfolders), a glob
            pattern, the bytes of a file, a PIL image, an array or tensor of one picture or of a batch
            `(N, H, W, C)`, a list of any of these, a dict from name to any of these; or a `tf.data.Dataset`
            or other iterable, of which the first few pictures are taken. A tuple in a list or an iterable is
            a picture and its label.

    Returns:
        The pictures by name, in order, at most `MAX_IMAGES`; and a sentence for each that cannot be
        offered. Where there is no picture there is at least one sentence.
    """
    pictures: dict[str, NamedImage] = {}
    sentences: list[str] = []
    unnamed = itertools.count(1)
    found = _find(source, "")
    for offer in itertools.islice(found, MAX_IMAGES):
        if isinstance(offer, ImageError):
            sentences.append(str(offer))
            continue
        picture = offer if offer.name else offer.renamed(f"picture {next(unnamed)}")
        try:
            picture.thumbnail()
        except ImageError as error:
            sentences.append(str(error))
            continue
        name = free_name(picture.name, pictures)
        pictures[name] = picture if picture.name == name else picture.renamed(name)
    if next(found, None) is not None:
        sentences.append(f"Only the first {MAX_IMAGES} pictures are offered; pass fewer to choose them.")
    if not pictures and not sentences:
        sentences.append(f"There is no picture in the {type(source).__name__} given; it is empty.")
    return pictures, sentences


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """A name that no other picture has.

    Args:
        name: What the picture would be called.
        taken: The names that others have.

    Returns:
        The name, with ` (2)` or the next number that is free where it is taken.
    """
    if name not in taken:
        return name
    return next(free for n in itertools.count(2) if (free := f"{name} ({n})") not in taken)


def _find(source: Any, name: str) -> Iterator[NamedImage | ImageError]:
    """Every picture of a source, and an error where there should be one; `name` is empty if there is none."""
    if isinstance(source, NamedImage):
        yield source.renamed(name) if name else source
    elif isinstance(source, str | os.PathLike):
        yield from _find_files(source, name)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield NamedImage(bytes(source), name)
    elif isinstance(source, Image.Image):
        yield NamedImage(source, name)
    elif isinstance(source, Mapping):
        for key, value in source.items():
            yield from _find(value, _clean(str(key)))
    elif isinstance(source, list | tuple):
        for element in source:
            yield from _find(_without_label(element), name)
    elif hasattr(source, "__array__"):
        yield from _find_in_array(source, name)
    elif isinstance(source, Iterable):
        yield from itertools.islice(_find_in_iterable(source, name), FIRST_OF_ITERABLE)
    else:
        yield unknown_source(source, name or "picture")


def _find_files(source: str | os.PathLike[str], name: str) -> Iterator[NamedImage | ImageError]:
    try:
        path = as_path(source)
        if path.is_dir():
            files = _picture_files(path.iterdir())
            if not files:
                yield ImageError(
                    f"The folder {quote(str(path))} holds no picture file; for those in its subfolders pass "
                    f"{quote(str(path / '**' / '*'))}."
                )
        elif any(character in str(path) for character in "*?[") and not path.exists():
            matches = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = _picture_files(map(Path, matches))
            if not files:
                yield ImageError(f"No picture file matches {quote(str(path))}; check the pattern.")
        else:
            files = [path]
    except ImageError as error:
        yield error
    except OSError as error:
        yield ImageError(f"{quote(os.fspath(source))} cannot be read ({error.strerror or error}).")
    else:
        for file in files:
            yield NamedImage(file, name or _clean(file.stem))


def _picture_files(paths: Iterable[Path]) -> list[Path]:
    """Those that look like pictures, `2.png` before `10.png`."""
    # Hidden ones are what systems leave behind beside pictures, under the same suffix.
    files = [path for path in paths if _PICTURE_NAME.fullmatch(path.name)]
    return sorted((path for path in files if not path.is_dir()), key=_natural)


def _natural(path: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", str(path).casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _find_in_array(source: Any, name: str) -> Iterator[NamedImage | ImageError]:
    try:
        array = number_array(source, name or "array")
    except ImageError as error:
        yield error
        return
    if array.ndim == 1 and array.dtype.kind in "OUS":  # a column of paths or pictures
        yield from _find(array.tolist(), name)
    elif array.ndim == 4:
        if not len(array):
            yield ImageError(f"{quote(name or 'batch')} has shape {array.shape}; it holds no pictures.")
        batch = array[:MAX_IMAGES]
        # NaN and infinity are their own picture's trouble.
        peak = float(batch.max(initial=0, where=np.isfinite(batch))) if batch.dtype.kind == "f" else None
        for picture in array:
            yield NamedImage(picture, name, peak=peak)
    else:
        yield NamedImage(array, name)


def _find_in_iterable(source: Iterable[Any], name: str) -> Iterator[NamedImage | ImageError]:
    try:
        for element in itertools.islice(source, FIRST_OF_ITERABLE):
            picture = _without_label(element)
            if hasattr(picture, "__array__") and not isinstance(picture, Image.Image):
                # The iterable may fill the same memory again for its next element.
                picture = np.array(number_array(picture, name or "element"))
            yield from _find(picture, name)
    except Exception as error:  # noqa: BLE001 - other people's code may raise anything; what came before it is kept
        reason = " ".join(str(error).split())
        yield ImageError(
            f"Reading on in the {type(source).__name__} failed: {type(error).__name__} ({reason})."
        )


def _without_label(element: Any) -> Any:
    """The picture of an element of a dataset: `(picture, label)`, or a dict that has it under `image`."""
    if isinstance(element, tuple) and element:
        return element[0]
    if isinstance(element, Mapping) and "image" in element:
        return element["image"]
    return element


def _clean(name: str) -> str:
    """A name that can be sent to a browser and stays on one line."""
    return "".join("�" if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} else each for each in name)
