"""Large images, wide layers and deep networks, in an `ActivationModel` and in the widget."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from fmwidget import ActivationModel, FeatureMapWidget


def wide(channels: int) -> keras.Model:
    """Build a model whose channel c is the mean of the colours plus c."""
    conv = layers.Conv2D(channels, 1, name="wide")
    model = keras.Sequential([keras.Input((6, 7, 3)), conv])
    kernel = np.full((1, 1, 3, channels), 1 / 3, "float32")
    conv.set_weights([kernel, np.arange(channels, dtype="float32")])
    return model


def test_thousands_of_channels_are_all_there_in_order_and_each_can_be_shown():
    picture = np.full((6, 7, 3), 255, np.uint8)
    widget = FeatureMapWidget(wide(4096), picture, preprocess="unit", norm="shared")
    maps = widget.feature_maps
    assert maps.shape == (6, 7, 4096)
    np.testing.assert_allclose(maps[2, 3], np.arange(4096) + 1, rtol=1e-5)
    shown = set()
    for channel in (0, 4095, 2048):
        widget.channel = channel
        shown.add(bytes(widget.png))
    assert len(shown) == 3


@pytest.mark.slow
def test_a_picture_of_a_thousand_pixels_goes_through_engine_and_widget():
    side = 1024
    picture = np.random.default_rng(0).integers(0, 256, (side, side + 40, 3), np.uint8)
    source = keras.Input((side, side + 40, 3))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="full")(source)
    x = layers.MaxPooling2D(4, name="pool")(x)
    model = keras.Model(source, layers.Conv2D(2048, 3, strides=4, name="deep")(x))
    widget = FeatureMapWidget(model, picture, preprocess="raw", layer="full")
    x = picture[np.newaxis].astype("float32")
    for layer in model.layers[1:]:
        x = layer(x)
        if layer.name in widget.layers:
            widget.layer = layer.name
            assert widget.png
            expected = np.asarray(x)[0]
            difference = np.abs(widget.feature_maps - expected).max()
            assert difference <= 1e-4 * np.abs(expected).max()
            assert widget.feature_maps.shape == expected.shape


@pytest.mark.slow
def test_hundreds_of_layers_are_listed_and_each_can_be_shown():
    x = source = keras.Input((9, 11, 3))
    for number in range(600):
        x = layers.Conv2D(3, 1, activation="tanh", name=f"conv_{number}")(x)
    am = ActivationModel(keras.Model(source, x))
    batch = np.random.default_rng(0).random((1, 9, 11, 3)).astype("float32")
    assert len(am.layers) == 1200
    y = batch
    for number, layer in enumerate(am.model.layers[1:]):
        y = layer(y)
        if number % 100 == 99:
            assert np.allclose(am.activations(batch, layer.name), y[0], atol=1e-5)
    before = am.stats.forwards
    for layer in am.layers[::50]:
        am.activations(batch, layer.path)
    assert am.stats.forwards <= before + 1  # for the maps before activations
