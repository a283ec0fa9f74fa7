"""Images as a model's input: the numbers are Keras' own, the geometry is that of the fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fmwidget.images.preprocessing import CUSTOM, FITS, SCALINGS, prepare, prepare_bands, restore

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
SIDES = st.integers(1, 90)
FORMATS = ("channels_last", "channels_first")


def keras_scaling(scaling, batch, data_format):
    """Return Keras' own scaling of a batch in 0…255."""
    if scaling in ("raw", "unit"):
        return batch / np.float32(255 if scaling == "unit" else 1)
    return keras.applications.imagenet_utils.preprocess_input(batch, data_format=data_format, mode=scaling)


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.sampled_from(sorted(SCALINGS)), st.sampled_from(FORMATS), st.sampled_from(FITS))
def test_a_picture_of_the_right_size_becomes_what_keras_makes_of_it(pixels, scaling, data_format, fit):
    batch = pixels[np.newaxis].astype(np.float32)
    if data_format == "channels_first":
        batch = np.moveaxis(batch, -1, 1)
    before = pixels.tobytes()
    prepared = prepare(pixels, batch.shape[1:], scaling, fit, data_format)
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, keras_scaling(scaling, batch.copy(), data_format))
    assert pixels.tobytes() == before


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.sampled_from(sorted(SCALINGS)), st.sampled_from(FORMATS))
def test_restoring_undoes_preparing(pixels, scaling, data_format):
    free = (None, None)
    colour = prepare(
        pixels, (3, *free) if data_format == "channels_first" else (*free, 3), scaling, "stretch", data_format
    )
    np.testing.assert_array_equal(restore(colour, scaling, data_format), pixels)
    grey = prepare(
        pixels, (1, *free) if data_format == "channels_first" else (*free, 1), scaling, "stretch", data_format
    )
    luma = np.rint(pixels @ [0.299, 0.587, 0.114])
    assert np.abs(restore(grey, scaling, data_format) - luma[..., np.newaxis]).max() <= 1


def test_a_grey_picture_stays_the_same_grey():
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    np.testing.assert_array_equal(prepare(pixels, (16, 16, 1), "raw")[0], pixels[..., :1])


def test_restoring_shows_whatever_it_is_given():
    batch = np.array([np.nan, np.inf, -np.inf, -5.0, 300.0, 7.4]).reshape(1, 2, 3, 1)
    assert restore(batch, "raw")[..., 0].tolist() == [[0, 255, 0], [0, 255, 7]]


# ------------------------------------------------------------------ geometry


@settings(max_examples=100, deadline=None)
@given(PICTURES, SIDES, SIDES, st.sampled_from(FITS))
def test_every_size_is_reached_without_a_new_brightest_or_darkest_pixel(pixels, height, width, fit):
    prepared = prepare(pixels, (height, width, 3), "raw", fit)
    assert prepared.shape == (1, height, width, 3)
    low = 0 if fit == "pad" else pixels.min(axis=(0, 1))
    assert (prepared >= low).all()
    assert (prepared <= pixels.max(axis=(0, 1))).all()


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_padding_keeps_proportions_and_centres_the_picture(height, width, to_height, to_width):
    padded = prepare(np.full((height, width, 3), 200, np.uint8), (to_height, to_width, 3), "raw", "pad")[0]
    rows, columns = np.flatnonzero(padded.any(axis=(1, 2))), np.flatnonzero(padded.any(axis=(0, 2)))
    inside = padded[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (inside == 200).all()
    assert inside.shape[0] == to_height or inside.shape[1] == to_width
    scale = min(to_height / height, to_width / width)
    assert abs(inside.shape[0] - height * scale) <= 1
    assert abs(inside.shape[1] - width * scale) <= 1
    assert 0 <= (to_height - 1 - rows[-1]) - rows[0] <= 1
    assert 0 <= (to_width - 1 - columns[-1]) - columns[0] <= 1


def ramps(height, width):
    """Build an image whose red grows to the right and green downwards, as evenly as 8 bits allow."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([255 * (x + 0.5) / width, 255 * (y + 0.5) / height, np.zeros((height, width))], axis=-1)
    return np.rint(ramp).astype(np.uint8)


LARGE = st.integers(40, 200)


@settings(max_examples=60, deadline=None)
@given(LARGE, LARGE, LARGE, LARGE)
def test_cropping_keeps_proportions_and_the_middle(height, width, to_height, to_width):
    cropped = prepare(ramps(height, width), (to_height, to_width, 3), "raw", "crop")[0]
    seen_width = cropped[:, :, 0].mean(axis=0) * width / 255  # where each column comes from, in pixels
    seen_height = cropped[:, :, 1].mean(axis=1) * height / 255
    assert abs(np.mean(seen_width) - width / 2) < 1
    assert abs(np.mean(seen_height) - height / 2) < 1
    scale = min(height / to_height, width / to_width)
    # The outermost pixels of an enlarged picture repeat its rim: measured between the quarters.
    for seen, side in ((seen_width, to_width), (seen_height, to_height)):
        a, b = side // 4, side - 1 - side // 4
        assume(b - a > 8)
        assert abs((seen[b] - seen[a]) / (b - a) - scale) < 0.1 * scale + 2 / (b - a)


@settings(max_examples=40, deadline=None)
@given(LARGE, LARGE, LARGE, LARGE)
def test_stretching_shows_the_whole_picture(height, width, to_height, to_width):
    stretched = prepare(ramps(height, width), (to_height, to_width, 3), "raw", "stretch")[0]
    assert np.abs(stretched - ramps(to_height, to_width)).max() < 10


@settings(max_examples=40, deadline=None)
@given(PICTURES, SIDES, SIDES, st.sampled_from(["stretch", "crop"]), st.sampled_from([0, 1]))
def test_no_side_is_preferred(pixels, height, width, fit, axis):
    shape = (height, width, 3)
    mirrored = prepare(np.ascontiguousarray(np.flip(pixels, axis)), shape, "raw", fit)
    assert np.abs(np.flip(mirrored, axis + 1) - prepare(pixels, shape, "raw", fit)).max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_shrinking_skips_no_pixel(fit):
    checkerboard = np.indices((128, 128)).sum(axis=0) % 2 * 255
    pixels = np.repeat(checkerboard[..., np.newaxis], 3, axis=-1).astype(np.uint8)
    shrunk = prepare(pixels, (16, 16, 3), "raw", fit)[0, 2:-2, 2:-2]
    assert np.abs(shrunk - 127.5).max() < 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, None, 3), (30, 40, 3)),
        ((None, None, None), (30, 40, 3)),
        ((None, None, 1), (30, 40, 1)),
        ((60, None, 3), (60, 80, 3)),
        ((None, 20, 3), (15, 20, 3)),
    ],
)
def test_free_sides_keep_the_picture_s_size_or_proportions(shape, expected):
    pixels = ramps(30, 40)
    assert prepare(pixels, shape, "raw").shape == (1, *expected)
    first = (shape[2], *shape[:2])
    assert prepare(pixels, first, "raw", data_format="channels_first").shape == (
        1,
        expected[2],
        *expected[:2],
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scaling": "imagenet"}, ["'imagenet'", "'caffe'"]),
        ({"fit": "cover"}, ["'cover'", "'crop'"]),
        ({"data_format": "NCHW"}, ["'NCHW'", "'channels_first'"]),
        ({"shape": (8, 8, 4)}, ["takes 4 channels", "3 (RGB)", "preprocess=", "(H, W, 4)"]),
        ({"shape": (64,)}, ["(64,)", "preprocess="]),
        ({"pixels": np.zeros((8, 8, 3))}, ["float64", "(8, 8, 3)", "to_pixels"]),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_told(arguments, says):
    with pytest.raises(ValueError) as raised:
        prepare(**{"pixels": ramps(8, 8), "shape": (8, 8, 3), **arguments})
    for words in says:
        assert words in str(raised.value)


# ------------------------------------------------------------------ other channels


RNG = np.random.default_rng(4)


@settings(max_examples=60, deadline=None)
@given(PICTURES, SIDES, SIDES, st.sampled_from(FITS), st.sampled_from(FORMATS))
def test_bands_are_fitted_like_the_colours_of_an_image(pixels, height, width, fit, data_format):
    array = np.concatenate([pixels, 255 - pixels], axis=-1)
    shape = (6, height, width) if data_format == "channels_first" else (height, width, 6)
    prepared = prepare_bands(array, shape, fit, data_format)
    assert prepared.shape == (1, *shape)
    image = np.moveaxis(prepared[0], 0, -1) if data_format == "channels_first" else prepared[0]
    colours = [prepare(part, (height, width, 3), "raw", fit)[0] for part in (pixels, 255 - pixels)]
    assert np.abs(image - np.concatenate(colours, axis=-1)).max() <= 1.01  # those are rounded, in two passes


def test_bands_are_resized_in_floating_point_each_by_itself():
    array = RNG.normal(size=(30, 40, 5)).astype(np.float32) * [1e-6, 1, 1e3, 1e6, 1]
    prepared = prepare_bands(array, (12, 50, 5))
    for band in range(5):
        alone = Image.fromarray(array[..., band].astype(np.float32))
        expected = alone.resize((50, 12), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(prepared[0, ..., band], np.asarray(expected))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("dtype", ["int16", "uint32", "float64", "bool"])
def test_bands_of_the_right_size_are_given_as_they_are(dtype, fit):
    array = (RNG.normal(size=(8, 9, 5)) * 1e5).astype(dtype)
    before = array.tobytes()
    for shape in ((8, 9, 5), (None, None, 5), (None, 9, None), (None, None, None)):
        prepared = prepare_bands(array, shape, fit)
        assert prepared.dtype == array.dtype
        np.testing.assert_array_equal(prepared, array[np.newaxis])
    assert array.tobytes() == before


def test_nan_stays_where_it_was_in_its_own_band():
    array = np.ones((40, 40, 2), np.float32)
    array[:20, :20, 1] = np.nan
    prepared = prepare_bands(array, (20, 20, 2))[0]
    assert (prepared[..., 0] == 1).all()
    assert np.isnan(prepared[:9, :9, 1]).all()
    assert (prepared[11:, :, 1] == 1).all()
    assert (prepared[:, 11:, 1] == 1).all()


def test_bands_that_the_model_does_not_take_are_told():
    with pytest.raises(ValueError, match=r"takes 13 channels. Received an image with 5. Pass `preprocess=`"):
        prepare_bands(np.zeros((8, 8, 5)), (8, 8, 13))


@pytest.mark.parametrize("scaling", ["raw", CUSTOM])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("channels", [2, 4, 5, 13])
def test_an_input_of_any_channels_is_displayed(channels, data_format, scaling):
    image = RNG.normal(size=(6, 7, channels)) * 1e4
    image[0, 0, 0] = np.nan
    batch = image[np.newaxis] if data_format == "channels_last" else np.moveaxis(image, -1, 0)[np.newaxis]

    def grey(band):
        low, high = np.nanmin(image[..., band]), np.nanmax(image[..., band])
        return np.nan_to_num(np.rint((image[..., band] - low) / (high - low) * 255))

    first = (0, 1, 2) if channels > 2 else (0, 0, 0)
    for bands, shown in ((None, first), ((0, 1, 99), first), ((1,), (1, 1, 1))):
        restored = restore(batch, scaling, data_format, bands)
        assert restored.dtype == np.uint8
        assert np.abs(restored - np.stack([grey(band) for band in shown], axis=-1)).max() <= 1


def test_the_range_of_a_custom_input_is_stretched_over_all_its_colours():
    batch = np.array([[-2.0, 0, 2], [np.nan, 1, -1]]).reshape(1, 2, 1, 3)
    assert restore(batch, CUSTOM).tolist() == [[[0, 128, 255]], [[0, 191, 64]]]
