"""Images of other channels than RGB, from the array to a model's input and its maps."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
import traitlets
from keras import layers
from PIL import Image

from fmwidget import FeatureMapWidget, plot_channel, plot_depth_profile, plot_feature_maps
from fmwidget.images.arrays import ImageError
from fmwidget.images.source import to_image
from fmwidget.models.batch import image_array, model_batch, resolve_scaling
from fmwidget.models.input_scaling import AS_GIVEN
from fmwidget.models.inputs import model_inputs
from fmwidget.widget.jupyter.widget_tree import child_widgets
from tests.support.driving import status

SIZE = (20, 24)
RNG = np.random.default_rng(5)
PHOTO = RNG.integers(0, 256, (30, 28, 3), np.uint8)


def whole_numbers(shape, dtype=None):
    """Initialize a kernel to small whole numbers, whose sums are exact in any order."""
    return RNG.integers(-3, 4, shape).astype("float32")


def convolution(**options: Any) -> keras.Layer:
    return layers.Conv2D(4, 3, kernel_initializer=whole_numbers, name="conv", **options)


def network(channels, size=SIZE):
    picture = keras.Input((*size, channels))
    return keras.Model(picture, layers.GlobalAveragePooling2D()(convolution()(picture)))


def scene(channels, size=SIZE, dtype="int16"):
    return RNG.integers(-3000, 9000, (*size, channels)).astype(dtype)


def maps_of(model, array):
    """Return the maps of an independent forward pass."""
    forward = keras.Model(model.input, model.get_layer("conv").output)
    return np.asarray(forward(array[np.newaxis].astype("float32")))[0]


def captions(widget):
    """Return the text beside the model's input."""
    return " ".join(
        str(part.value) for part in child_widgets(widget) if "fmw-caption" in str(getattr(part, "value", ""))
    )


def displayed_input(widget):
    """Return the pixels of the image as the model receives it."""
    label = "Picture as the model sees it"
    view = next(part for part in child_widgets(widget) if getattr(part, "label", "") == label)
    return np.asarray(Image.open(io.BytesIO(view.png)))


@pytest.mark.parametrize("channels", [2, 5, 6, 13])
def test_the_widget_shows_what_the_model_computes_of_an_array_as_it_is(channels):
    model, array = network(channels), scene(channels)
    widget = FeatureMapWidget(model, {"scene": array, "other": scene(channels)}, layer="conv")
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, array))
    assert f"not scaled <i>(known: {AS_GIVEN.reason})</i>" in captions(widget)
    widget.preprocess = "caffe"
    widget.opacity = 40
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, array))
    assert 'role="status"></div>' in status(widget)
    array[3, 4] += 100  # in place
    widget.refresh()
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, array))


def test_four_channels_are_given_to_a_model_that_takes_four_and_blended_for_others():
    rgba = RNG.integers(0, 256, (*SIZE, 4), np.uint8)
    four, three = network(4), network(3)
    np.testing.assert_array_equal(
        FeatureMapWidget(four, rgba, layer="conv").feature_maps, maps_of(four, rgba)
    )
    blended = to_image(rgba).pixels()
    widget = FeatureMapWidget(three, rgba, layer="conv", preprocess="raw")
    np.testing.assert_array_equal(widget.feature_maps, maps_of(three, blended))
    reflectance = scene(4, dtype="float32")
    widget = FeatureMapWidget(four, reflectance, layer="conv", bands=(2, 1, 0))
    np.testing.assert_array_equal(widget.feature_maps, maps_of(four, reflectance))
    with pytest.raises(ValueError, match=r"takes 3 channels\. Received an image with 4"):
        FeatureMapWidget(three, reflectance, bands=(2, 1, 0))


def test_an_array_of_another_size_is_resized_band_by_band():
    model, array = network(5), scene(5, (33, 50), "float32")
    bands = [Image.fromarray(array[..., band]) for band in range(5)]
    resized = [band.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR) for band in bands]
    expected = np.stack([np.asarray(band) for band in resized], axis=-1)
    np.testing.assert_array_equal(model_batch(model, array), expected[np.newaxis])
    widget = FeatureMapWidget(model, array, layer="conv")
    np.testing.assert_allclose(widget.feature_maps, maps_of(model, expected), rtol=1e-5, atol=1)


def test_a_function_is_given_the_array_and_what_it_returns_is_the_input():
    received = []

    def indices(array):
        received.append(array)
        near, red = array[..., 4:5].astype(float), array[..., :1].astype(float)
        return np.concatenate([near, red], axis=-1)[np.newaxis]

    model, array = network(2), scene(5)
    widget = FeatureMapWidget(model, array, layer="conv", preprocess=indices, bands=(4, 3, 2))
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, array[..., [4, 0]]))
    np.testing.assert_array_equal(received[0], array)
    assert received[0].dtype == array.dtype
    assert "scaled by your function" in captions(widget)
    shown = displayed_input(
        widget
    )  # the bands are the image's; of an input of two channels the first is shown
    assert (shown == shown[..., :1]).all()
    assert shown.std() > 20


def test_an_rgb_image_is_refused_with_advice_that_works():
    model = network(5)
    with pytest.raises(ValueError, match=r"takes 5 channels\. Received an image with 3") as raised:
        FeatureMapWidget(model, PHOTO)
    assert "preprocess=" in str(raised.value)
    received = []

    def five(pixels):
        received.append(pixels)
        return np.concatenate([pixels, pixels[..., :2]], axis=-1)[np.newaxis, : SIZE[0], : SIZE[1]]

    widget = FeatureMapWidget(model, PHOTO, layer="conv", preprocess=five)
    np.testing.assert_array_equal(received[0], PHOTO)
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, five(PHOTO)[0]))
    with pytest.raises(traitlets.TraitError, match="takes 5 channels"):
        widget.preprocess = "unit"
    np.testing.assert_array_equal(widget.feature_maps, maps_of(model, five(PHOTO)[0]))


def test_the_chosen_bands_of_the_input_are_displayed():
    array = np.zeros((*SIZE, 5), np.float32)
    array[:10, :, 3] = 7
    widget = FeatureMapWidget(network(5), array, bands=(3, 0, 0))
    shown = displayed_input(widget)
    assert shown[0, 0].tolist() == [255, 0, 0]
    assert shown[-1, -1].tolist() == [0, 0, 0]
    assert "bands=(3, 0, 0)" in widget.code()
    with pytest.raises(ValueError, match=r"channels 0 to 4. Received bands=\(5,\)"):
        FeatureMapWidget(network(5), array, bands=(5,))
    with pytest.raises(ValueError, match="bands must be one or three channel indices"):
        FeatureMapWidget(network(5), array, bands=(0, 1))


def test_plots_take_bands():
    model, array = network(4), scene(4, dtype="float32")
    for plot in (
        lambda **options: plot_feature_maps(model, array, "conv", **options),
        lambda **options: plot_channel(model, array, "conv", 2, **options),
        lambda **options: plot_depth_profile(model, {"scene": array}, **options),
    ):
        assert plot(bands=(3, 1, 0)).get_size_inches().all()
        with pytest.raises(ImageError, match="bands="):
            plot()  # as RGBA its values are out of range
        with pytest.raises(ImageError, match="channels 0 to 3"):
            plot(bands=(4,))
        with pytest.raises(ValueError, match="bands must be"):
            plot(bands=3)


def test_only_rgb_images_are_scaled():
    model = network(3)
    assert resolve_scaling(model, "auto", 5) is AS_GIVEN
    assert resolve_scaling(model, "torch", 5) is AS_GIVEN
    assert resolve_scaling(model, "torch").name == "torch"
    assert resolve_scaling(model, lambda array: array, 5).name == "custom"
    with pytest.raises(ValueError, match="Unknown preprocess 'imagenet'"):
        resolve_scaling(model, "imagenet", 5)


class OwnCode(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = convolution()

    def call(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    "build",
    [
        OwnCode,
        lambda: keras.Sequential([layers.RandomFlip(), convolution()]),
        lambda: keras.Sequential([layers.RandomFlip(), network(5)]),
    ],
)
def test_a_model_that_is_not_built_takes_an_array_of_any_channels(build):
    array = scene(5)
    np.testing.assert_array_equal(model_batch(build(), array), array[np.newaxis])
    model = build()
    widget = FeatureMapWidget(model, array)
    widget.layer = next(path for path in widget.layers if path.endswith("conv"))
    kernel = next(each for each in model.trainable_variables if len(each.shape) == 4)
    top_left = np.einsum("hwc,hwcn->n", array[:3, :3].astype(float), np.asarray(kernel))
    np.testing.assert_array_equal(widget.feature_maps[0, 0], top_left)


def test_an_unbuilt_chain_has_the_size_of_its_backbone_whatever_its_channels():
    (only,) = model_inputs(keras.Sequential([layers.RandomFlip(), network(5)]))
    assert only.shape == (*SIZE, 5)
    batch = model_batch(keras.Sequential([layers.RandomFlip(), network(5)]), scene(5, (40, 48)))
    assert batch.shape == (1, *SIZE, 5)


def test_channels_first_and_whole_numbers():
    picture = keras.Input((5, *SIZE), dtype="int16")
    pool = layers.MaxPooling2D(2, data_format="channels_first")
    first = keras.Model(picture, pool(keras.ops.cast(picture, "float32")))
    array = scene(5)
    batch = model_batch(first, array)
    assert batch.dtype == np.int16
    np.testing.assert_array_equal(batch, np.moveaxis(array, -1, 0)[np.newaxis])
    fractions = array.astype("float32") + 0.25
    np.testing.assert_array_equal(model_batch(first, fractions), batch)


def test_an_image_is_the_array_that_the_model_takes():
    rgba = to_image(RNG.integers(0, 256, (*SIZE, 4), np.uint8))
    assert image_array(network(4), rgba).shape == (*SIZE, 4)
    for channels in (1, 3, 5, None):
        assert image_array(network(channels or 3), rgba) is rgba.pixels()
    photo = to_image(PHOTO)
    assert image_array(network(5), photo) is photo.pixels()
