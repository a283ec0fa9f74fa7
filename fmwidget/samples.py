"""Built-in images and a small trained model, available without a download.

The photographs are in the public domain or under CC0 (`data/LICENCES.md` names the source and licence of
each); the test patterns are drawn here. The model was trained by `scripts/train_sample_model.py`.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ._quiet_imports import quiet_imports

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import keras

PHOTOGRAPHS = ("cat", "astronaut", "coffee", "photographer")

# Twice the side of the sample model's input: halving blurs no edge and changes no period.
PATTERN_SIZE = 300


def sample_images() -> dict[str, np.ndarray]:
    """Return the built-in images: four photographs, the cat first, and three test patterns.

    The patterns make filters easy to read: `"gratings"` shows six orientations (columns) at five
    frequencies (rows), `"colour wheel"` every hue and saturation, `"shapes"` a disc, a square and a
    triangle as dark, as light and as outlined figures.

    Returns:
        A dict from name to image, a read-only uint8 array of shape `(height, width, 3)`. The dict is new in
        each call, the arrays are shared.
    """
    return dict(_images())


def sample_model() -> keras.Model:
    """Return a small convolutional network that recognises the built-in images.

    Four convolutions of 3 by 3 (32, 64, 128 and 128 filters, ReLU), each followed by max pooling of 2 by 2,
    under a global-average-pooling head. It was trained on thirty images, one a class: any other image is
    classified as the one that it resembles.

    Returns:
        A new `keras.Model`, not compiled. It maps images of shape `(n, 150, 150, 3)`, scaled to 0…1,
        to probabilities of shape `(n, 30)`, in the order of `sample_class_names()`.
    """
    with quiet_imports():
        import keras

    with resources.as_file(_data("sample_model.keras")) as path:
        return keras.saving.load_model(path, compile=False)


def sample_class_names() -> tuple[str, ...]:
    """Return the names of the classes of `sample_model()`.

    Returns:
        Thirty names. Every name in `sample_images()` is one of them.
    """
    names: list[str] = json.loads(_data("sample_class_names.json").read_text("utf-8"))
    return tuple(names)


@functools.cache
def _images() -> dict[str, np.ndarray]:
    images = {name: _photograph(name) for name in PHOTOGRAPHS}
    images |= {"gratings": _gratings(), "colour wheel": _colour_wheel(), "shapes": _shapes()}
    for pixels in images.values():
        pixels.flags.writeable = False
    return images


def _data(name: str) -> Traversable:
    return resources.files(__package__).joinpath("data", name)


def _photograph(name: str) -> np.ndarray:
    with _data(f"{name}.jpg").open("rb") as file, Image.open(file) as image:
        return np.array(image.convert("RGB"))


def _gratings() -> np.ndarray:
    """Draw discs of sinusoidal stripes: 30° more in each column, shorter periods down the rows."""
    periods = (24, 17, 12, 8.5, 6)
    rows, columns = len(periods), 6
    width, height = PATTERN_SIZE // columns, PATTERN_SIZE // rows
    x = np.arange(width) - (width - 1) / 2
    y = np.arange(height)[:, None] - (height - 1) / 2
    # A soft rim keeps the disc's own outline from exciting every orientation.
    window = np.clip((0.48 * min(width, height) - np.hypot(x, y)) / 4, 0, 1)
    angles = np.pi * np.arange(columns) / columns
    patches = [
        [np.cos(2 * np.pi / period * (x * np.cos(a) + y * np.sin(a))) * window for a in angles]
        for period in periods
    ]
    grey = np.rint(127.5 + 127.5 * np.block(patches)).astype(np.uint8)
    return np.stack([grey] * 3, axis=-1)


def _colour_wheel() -> np.ndarray:
    """Draw hue by angle and saturation by distance from a white centre, on mid grey."""
    offset = np.arange(PATTERN_SIZE) - (PATTERN_SIZE - 1) / 2
    x, y = offset, offset[:, None]
    outer = 0.47 * PATTERN_SIZE
    radius = np.hypot(x, y)
    sextant = (np.arctan2(-y, x) * 3 / np.pi)[..., None] + np.array([0, 4, 2])
    pure = np.clip(np.abs(sextant % 6 - 3) - 1, 0, 1)
    wheel = 1 - np.clip(radius / outer, 0, 1)[..., None] * (1 - pure)
    cover = np.clip(outer - radius + 0.5, 0, 1)[..., None]
    return np.rint(255 * (cover * wheel + (1 - cover) * 0.5)).astype(np.uint8)


def _shapes() -> np.ndarray:
    """Draw disc, square and triangle (columns) in black, in white and as outlines (rows), on mid grey."""
    oversampling = 4  # PIL draws hard edges: draw large, then average
    cell = PATTERN_SIZE * oversampling // 3
    image = Image.new("L", (3 * cell, 3 * cell), 128)
    pen = ImageDraw.Draw(image)
    radius = 0.34 * cell
    disc, square, triangle = (np.arange(3) + 0.5) * cell
    styles = ({"fill": 0}, {"fill": 255}, {"outline": 0, "width": cell // 20})
    for row, style in enumerate(styles):
        y = (row + 0.5) * cell
        pen.ellipse((disc - radius, y - radius, disc + radius, y + radius), **style)
        pen.rectangle((square - radius, y - radius, square + radius, y + radius), **style)
        pen.regular_polygon((triangle, y + radius / 4, 1.25 * radius), 3, **style)
    small = image.resize((PATTERN_SIZE, PATTERN_SIZE), Image.Resampling.BOX)
    return np.array(small.convert("RGB"))
