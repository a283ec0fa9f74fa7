"""Arrays of other channels than grey, RGB and RGBA: which are images, and the bands on display."""

from __future__ import annotations

import io

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import load_images
from fmwidget.images.source import to_image, to_pixels
from tests.support.images import PHOTO, encoded

RNG = np.random.default_rng(3)
DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int64", "float16", "float32", "float64", "bfloat16"]


def scene(channels, height=6, width=5, dtype="float32"):
    """Build an image whose values lie outside the ranges of ordinary images."""
    return RNG.normal(500, 3000, (height, width, channels)).astype(dtype)


def stretched(band):
    """Stretch a band from its minimum to its maximum, in Python numbers."""
    values = band.astype(float)
    low, high = values.min(), values.max()
    return np.rint((values - low) / (high - low) * 255) if high > low else np.zeros(band.shape)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 5, 6, 13])),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.data(),
)
def test_an_array_of_any_channels_and_type_is_an_image_of_its_first_bands(shape, dtype, is_batch, data):
    channels = shape[2]
    kind = hnp.arrays(np.int8, shape, elements=st.integers(-99, 99))
    array = data.draw(kind).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    image = to_image(array[np.newaxis] if is_batch else array, bands=(0, 1, 2) if channels > 2 else (0,))
    expected = [stretched(array[..., band]) for band in ((0, 1, 2) if channels > 2 else (0, 0, 0))]
    assert np.abs(image.pixels() - np.stack(expected, axis=-1)).max() <= 1
    assert image.pixels().dtype == np.uint8
    (kept,) = image.arrays()
    assert kept.dtype == array.dtype
    np.testing.assert_array_equal(kept, array)


@pytest.mark.parametrize("channels", [2, 5])
def test_the_first_three_bands_are_displayed_or_the_first_of_two(channels):
    array = scene(channels)
    first = (0, 1, 2) if channels == 5 else (0, 0, 0)
    np.testing.assert_array_equal(to_pixels(array), np.stack([stretched(array[..., n]) for n in first], -1))


@pytest.mark.parametrize("bands", [(4, 2, 0), [1, 1, 3], (3,), np.array([0, 4, 1])])
def test_the_bands_that_are_displayed_can_be_chosen(bands):
    array = scene(5)
    (image,) = load_images(array, bands)[0].values()
    chosen = [stretched(array[..., band]) for band in bands]
    np.testing.assert_array_equal(image.pixels(), np.stack(chosen * (3 // len(chosen)), axis=-1))
    thumbnail = np.asarray(Image.open(io.BytesIO(image.thumbnail())), int)
    assert thumbnail.shape == (6, 5, 3)
    assert np.abs(thumbnail.mean() - image.pixels().mean()) < 10


@pytest.mark.parametrize(
    "bands", [(0, 1), (), (0, 1, 2, 3), 1, "012", (0.0,), (-1,), (True,), (None,), {0: 1}, object()], ids=repr
)
def test_bands_that_are_not_one_or_three_indices_are_refused(bands):
    with pytest.raises(ValueError, match=r"bands must be one or three channel indices.*Received"):
        load_images(scene(5), bands)


def test_a_band_that_an_image_does_not_have_is_told():
    images, messages = load_images({"wide": scene(9), "narrow": scene(5)}, (8, 0, 1))
    assert list(images) == ["wide"]
    assert messages == ["'narrow' has the channels 0 to 4. Received bands=(8, 0, 1); pass other indices."]


def test_bands_leave_other_images_as_they_are(tmp_path):
    (tmp_path / "file.png").write_bytes(encoded(PHOTO))
    sources = {"rgb": PHOTO, "grey": PHOTO[..., 0], "one": PHOTO[..., :1], "file": tmp_path / "file.png"}
    images, messages = load_images(sources, (4, 5, 6))
    assert messages == []
    for name, image in load_images(sources)[0].items():
        np.testing.assert_array_equal(images[name].pixels(), image.pixels())
        (pixels,) = images[name].arrays()
        assert pixels is images[name].pixels()


def test_four_channels_are_rgba_unless_bands_are_chosen():
    rgba = RNG.integers(0, 256, (6, 5, 4), np.uint8)
    image = to_image(rgba)
    pixels, array = image.arrays()
    np.testing.assert_array_equal(pixels, to_pixels(Image.fromarray(rgba)))
    assert pixels is image.pixels()
    np.testing.assert_array_equal(array, rgba)
    (image,) = load_images(rgba, (3, 2, 1))[0].values()
    (array,) = image.arrays()
    np.testing.assert_array_equal(array, rgba)
    np.testing.assert_array_equal(image.pixels()[..., 0], stretched(rgba[..., 3]))
    assert to_image(scene(4), bands=(0,)).pixels().shape == (6, 5, 3)


def test_what_is_not_finite_does_not_change_how_the_rest_is_displayed():
    array = np.arange(12.0).reshape(3, 4, 1) + np.zeros(5)
    array[0, :3, 1] = np.nan, np.inf, -np.inf
    array[..., 2] = 7
    array[..., 3] = np.nan
    array[0, :2, 4] = 1.7e308, -1.7e308  # their difference is no number
    grey = {band: to_image(array, bands=(band,)).pixels()[..., 0] for band in range(5)}
    np.testing.assert_array_equal(grey[0], stretched(array[..., 0]))
    assert grey[1][0, :3].tolist() == [0, 255, 0]
    np.testing.assert_array_equal(grey[1].ravel()[3:], stretched(np.arange(3.0, 12)))
    assert not grey[2].any()
    assert not grey[3].any()


def test_a_batch_is_as_many_images():
    batch = RNG.normal(size=(3, 6, 5, 7)).astype(np.float32)
    images, messages = load_images(batch, (6, 1, 2))
    assert (list(images), messages) == (["picture 1", "picture 2", "picture 3"], [])
    for image, expected in zip(images.values(), batch, strict=True):
        np.testing.assert_array_equal(image.arrays()[0], expected)
        np.testing.assert_array_equal(image.pixels()[..., 0], stretched(expected[..., 6]))
    assert [image.arrays()[0].shape for image in load_images(list(batch))[0].values()] == [(6, 5, 7)] * 3


# Height, width and channels of images, and shapes that are more likely channels first or batches of grey.
IMAGES = [
    *((64, 64, 2), (20, 24, 5), (6, 5, 5), (6, 7, 13), (9, 9, 200), (8, 10, 200), (100, 400, 13)),
    *((512, 217, 204), (1, 1, 6), (13, 13, 13)),
]
OTHERS = [(5, 64, 64), (3, 64, 64), (3, 8, 8), (13, 120, 100), (10, 28, 28), (100, 28, 28), (1, 28, 28)]


@pytest.mark.parametrize("shape", IMAGES)
def test_the_last_axis_holds_the_channels(shape):
    assert to_pixels(np.zeros(shape)).shape == (*shape[:2], 3)
    assert to_pixels(np.zeros((1, *shape))).shape == (*shape[:2], 3)


@pytest.mark.parametrize("shape", OTHERS)
def test_a_shape_of_another_order_is_refused_unless_bands_are_chosen(shape):
    for array in (np.zeros(shape), np.zeros((1, *shape))):
        with pytest.raises(ImageError) as raised:
            to_pixels(array)
        assert ("np.moveaxis" in str(raised.value)) == (shape != (100, 28, 28))
        assert f"np.moveaxis(x, {array.ndim - 3}, -1)" in str(raised.value) or shape == (100, 28, 28)
        assert ("np.newaxis" in str(raised.value)) == (shape[0] not in (1, 3))
        assert to_image(array, bands=(0,)).pixels().shape == (*shape[:2], 3)


@pytest.mark.parametrize(
    "array", [scene(5), scene(5)[np.newaxis], scene(4)], ids=lambda array: str(array.shape)
)
def test_an_array_keeps_its_copy_until_it_is_changed(array):
    array[..., 0, 0, 0] = np.nan
    image = to_image(array, bands=(0,))
    (first,), pixels = image.arrays(), image.pixels()
    assert first.shape == array.shape[-3:]
    assert not first.flags.writeable
    assert not np.shares_memory(first, array)
    assert image.arrays()[0] is first
    assert image.pixels() is pixels
    array[..., 1, 1, 3] = -1e6  # in a band that is not displayed
    (changed,) = image.arrays()
    assert changed[1, 1, 3] == -1e6
    assert first[1, 1, 3] != -1e6
    assert image.arrays()[0] is changed
