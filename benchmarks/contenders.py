"""Contenders that `fmwidget` is compared with: the tutorial's loop, and floors that bound it from below."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import keras
import matplotlib as mpl
import numpy as np
import tensorflow as tf
from PIL import Image

from fmwidget import sample_model

if "ipykernel" not in sys.modules:  # a notebook chooses its own backend
    mpl.use("agg")

import matplotlib.pyplot as plt

Array = np.ndarray[Any, Any]

IMAGES_PER_ROW = 16

MODELS: dict[str, Callable[[], keras.Model]] = {
    "tutorial's CNN": sample_model,
    "MobileNetV2": lambda: keras.applications.MobileNetV2(weights=None),
    "ResNet50": lambda: keras.applications.ResNet50(weights=None),
    "VGG16": lambda: keras.applications.VGG16(weights=None),
    "EfficientNetB0": lambda: keras.applications.EfficientNetB0(weights=None),
}


class TutorialLoop:
    """The tutorial's code: `predict` for all layers at each draw, a Python loop over channels, `plt.figure`.

    Args:
        model: A functional model.

    Attributes:
        layers: Names of the layers that it draws.
    """

    def __init__(self, model: keras.Model) -> None:
        layers = [layer for layer in model.layers if len(getattr(layer.output, "shape", ())) == 4]
        self.layers = [layer.name for layer in layers]
        self._model = keras.Model(model.inputs, [layer.output for layer in layers])

    def grid(self, batch: Array, layer: str) -> bytes:
        """Return the layer's channels, sixteen in a row, as a PNG."""
        self.draw(batch, layer)
        return _take_figure()

    def channel(self, batch: Array, layer: str, channel: int) -> bytes:
        """Return one channel as a PNG."""
        self.draw_channel(batch, layer, channel)
        return _take_figure()

    def draw(self, batch: Array, layer: str) -> None:
        """Draw the layer's channels in a new pyplot figure."""
        maps = self._maps(batch, layer)
        _, height, width, channels = maps.shape
        rows = channels // IMAGES_PER_ROW
        canvas = np.zeros((rows * height, IMAGES_PER_ROW * width))
        for row in range(rows):
            for column in range(IMAGES_PER_ROW):
                channel = maps[0, :, :, row * IMAGES_PER_ROW + column]
                with np.errstate(all="ignore"):  # a channel that is zero everywhere
                    levels = np.clip((channel - channel.mean()) / channel.std() * 64 + 128, 0, 255).astype(
                        "uint8"
                    )
                top, left = row * height, column * width
                canvas[top : top + height, left : left + width] = levels
        plt.figure(figsize=(canvas.shape[1] / width, canvas.shape[0] / height))
        plt.title(layer)
        plt.grid(visible=False)
        plt.imshow(canvas, aspect="auto", cmap="viridis")

    def draw_channel(self, batch: Array, layer: str, channel: int) -> None:
        """Draw one channel in a new pyplot figure."""
        plt.matshow(self._maps(batch, layer)[0, :, :, channel], cmap="viridis")

    def _maps(self, batch: Array, layer: str) -> Array:
        outputs = self._model.predict(batch, verbose=0)
        maps: Array = outputs[self.layers.index(layer)]
        return maps


def _take_figure() -> bytes:
    file = io.BytesIO()
    plt.savefig(file)
    plt.close()
    return file.getvalue()


def bare_forward(model: keras.Model) -> Callable[[Array], Array]:
    """Return the floor of a new image: the compiled model, which computes its output and nothing else."""
    compiled = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    return lambda batch: np.asarray(compiled(tf.constant(batch)).numpy())


def eager_forward(model: keras.Model) -> Callable[[Array], Array]:
    """Return the floor of a first image: the model called eagerly, for its output and nothing else."""
    return lambda batch: np.asarray(model(batch, training=False).numpy())


def ready_made() -> tuple[bytes, bytes]:
    """Return the floor of a redraw: two pictures of 8 by 8 pixels, as PNG."""

    def png(grey: int) -> bytes:
        file = io.BytesIO()
        Image.new("L", (8, 8), grey).save(file, "PNG")
        return file.getvalue()

    return png(60), png(200)


def build_wide_model() -> keras.Model:
    """Build a model whose layers have 32, 128 and 2,048 channels, all with maps of 14 by 14."""
    image = keras.Input((14, 14, 3))
    x = keras.layers.Conv2D(32, 3, padding="same", name="c32")(image)
    x = keras.layers.Conv2D(128, 3, padding="same", name="c128")(x)
    return keras.Model(image, keras.layers.Conv2D(2048, 1, name="c2048")(x))
