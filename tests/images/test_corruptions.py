"""Corruptions: their values against numpy, number types, channels and names kept, and nothing written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fmwidget.images.arrays import ImageError
from fmwidget.images.corruptions import blur, noise, occlude, shift
from fmwidget.images.loading import load_images
from fmwidget.images.source import NamedImage
from tests.support.images import PHOTO, encoded

HEIGHT, WIDTH = PHOTO.shape[:2]
RNG = np.random.default_rng(5)
BANDS = RNG.normal(100, 400, (9, 8, 6)).astype(np.float32)
UINT16 = RNG.integers(0, 65_536, (9, 8), np.uint16)
FLOATS = RNG.random((9, 8, 3))

CORRUPTIONS = {
    "noise 0.4": lambda image, **options: noise(image, 0.4, **options),
    "noise 0.4, seed 7": lambda image, **options: noise(image, 0.4, seed=7, **options),
    "blur 1.5": lambda image, **options: blur(image, 1.5, **options),
    "occlusion 2:5, 1:7": lambda image, **options: occlude(image, (2, 5), (1, 7), **options),
    "shift 2, -3": lambda image, **options: shift(image, 2, -3, **options),
}
each_corruption = pytest.mark.parametrize(("what", "corrupt"), CORRUPTIONS.items())


def only(found):
    ((_, array),) = found.items()
    return array


IMAGES = {
    "photo": PHOTO,
    "grey": PHOTO[..., 0],
    "one channel": PHOTO[..., :1],
    "rgba": np.concatenate([PHOTO, 255 - PHOTO[..., :1]], axis=2),
    "bool": PHOTO > 100,
    "uint16": UINT16,
    "int32": PHOTO.astype(np.int32),
    "float16": FLOATS.astype(np.float16),
    "float32": FLOATS.astype(np.float32),
    "float64": FLOATS,
    "0…255": PHOTO.astype(np.float32),
    "bands": BANDS,
    "int bands": BANDS.astype(np.int16),
    "many bands": RNG.integers(0, 4096, (9, 8, 13), np.uint16),
}


@each_corruption
@pytest.mark.parametrize("kind", IMAGES)
def test_types_shapes_and_names_are_kept_and_the_image_is_not_written_to(kind, what, corrupt):
    image = IMAGES[kind].copy()
    image.flags.writeable = False
    before = image.tobytes()
    with np.errstate(all="raise"):
        found = corrupt({"cat": image})
    assert list(found) == [f"cat + {what}"]
    array = only(found)
    assert (array.dtype, array.shape) == (image.dtype, image.shape)
    assert image.tobytes() == before
    assert not np.shares_memory(array, image)
    assert not np.array_equal(array, image)
    images, messages = load_images(found)
    assert (list(images), messages) == (list(found), [])


@each_corruption
def test_any_source_is_taken_and_each_image_keeps_its_name(what, corrupt, tmp_path):
    (tmp_path / "cat.png").write_bytes(encoded(PHOTO))
    expected = only(corrupt(PHOTO))
    for source, name in (
        (str(tmp_path / "cat.png"), "cat"),
        (tmp_path, "cat"),
        (encoded(PHOTO), "picture 1"),
        (Image.fromarray(PHOTO), "picture 1"),
        (NamedImage(PHOTO, "pet"), "pet"),
        (NamedImage(PHOTO[np.newaxis], "pet"), "pet"),
        ([PHOTO], "picture 1"),
    ):
        found = corrupt(source)
        assert list(found) == [f"{name} + {what}"]
        np.testing.assert_array_equal(only(found), expected)
        assert only(found).dtype == np.uint8
    several = corrupt(np.stack([255 - PHOTO, PHOTO]))  # no image depends on the others
    assert list(several) == [f"picture 1 + {what}", f"picture 2 + {what}"]
    np.testing.assert_array_equal(several[f"picture 2 + {what}"], expected)


def test_one_is_applied_to_the_result_of_another():
    found = noise(blur({"cat": PHOTO}, 2), 0.1)
    assert list(found) == ["cat + blur 2 + noise 0.1"]
    assert list(shift([{"cat": PHOTO}, {"cat": PHOTO}], 1, 1)) == [
        "cat + shift 1, 1",
        "cat (2) + shift 1, 1",
    ]
    assert len(noise(np.zeros((100, 4, 5, 3), np.uint8), 0.5)) == 100


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("image", "white"),
    [
        (np.full((90, 80, 3), 128, np.uint8), 255),
        (np.full((90, 80), 30_000, np.uint16), 65_535),
        (np.full((90, 80, 3), 0.5), 1),
        (np.full((90, 80, 3), 100, np.float32), 255),
    ],
)
def test_noise_has_its_standard_deviation_as_a_share_of_white(image, white):
    array = only(noise(image, 0.05)).astype(float)
    assert (array - image).std() == pytest.approx(0.05 * white, rel=0.03)
    assert array.mean() == pytest.approx(image.mean(), abs=0.003 * white)
    np.testing.assert_array_equal(only(noise(image, 0.05)), array)
    other = only(noise(image, 0.05, seed=1)).astype(float)
    assert abs(np.corrcoef((array - image).ravel(), (other - image).ravel())[0, 1]) < 0.05


def test_noise_of_bands_follows_the_range_of_each_and_leaves_nan():
    image = np.random.default_rng(0).random((90, 80, 5)) * [1, 10, 100, 1000, 0]
    image[3, 4] = np.nan
    with np.errstate(all="raise"):
        array = only(noise(image, 0.1))
    added = array - image
    span = np.nanmax(image, axis=(0, 1)) - np.nanmin(image, axis=(0, 1))
    np.testing.assert_allclose(np.nanstd(added, axis=(0, 1)), 0.1 * span, rtol=0.05)
    np.testing.assert_array_equal(np.isnan(array), np.isnan(image))
    assert only(noise(image, 1)).min(where=~np.isnan(array), initial=0) < image.min(
        where=~np.isnan(image), initial=0
    )


def test_noise_is_clipped_and_leaves_opacity_alone():
    image = IMAGES["rgba"]
    array = only(noise(image, 1))
    np.testing.assert_array_equal(array[..., 3], image[..., 3])
    assert {0, 255} <= set(np.unique(array))
    floats = only(noise(FLOATS, 1))
    assert (floats.min(), floats.max()) == (0, 1)
    np.testing.assert_array_equal(only(noise(PHOTO, 0)), PHOTO)
    bands = only(noise(image, 1, bands=(3, 1, 0)))  # four channels that are not RGBA
    assert not np.array_equal(bands[..., 3], image[..., 3])


def blurred(image, radius):
    """Return the weighted mean over a square around each pixel, window by window."""
    reach = int(np.ceil(4 * radius))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * radius**2))
    weights /= weights.sum()
    padded = np.pad(image.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape, axis=(0, 1))
    return np.einsum("hwcij,ij->hwc", windows, weights)


@pytest.mark.parametrize("radius", [0.3, 1, 2.5])
def test_a_blur_is_the_mean_weighted_by_a_gaussian(radius):
    np.testing.assert_allclose(only(blur(FLOATS, radius)), blurred(FLOATS, radius), rtol=1e-12)
    np.testing.assert_allclose(only(blur(BANDS, radius)), blurred(BANDS, radius), rtol=1e-4, atol=0.01)
    levels = only(blur(PHOTO, radius)).astype(int)
    np.testing.assert_array_less(np.abs(levels - blurred(PHOTO, radius)), 0.501)
    np.testing.assert_array_equal(only(blur(PHOTO, 0)), PHOTO)
    white = np.full((4, 90, 3), 255, np.uint8)
    np.testing.assert_array_equal(only(blur(white, 30)), white)  # wider than the image


def test_a_rectangle_is_covered_with_grey_and_nothing_else():
    for image, grey in (
        (PHOTO, 128),
        (UINT16, 32_768),
        (FLOATS, 0.5),
        (IMAGES["rgba"], [128, 128, 128, 255]),
    ):
        array = only(occlude(image, (2, 5), (1, 7)))
        expected = image.copy()
        expected[2:5, 1:7] = grey
        np.testing.assert_array_equal(array, expected)
    image = BANDS.copy()
    image[0, 0, 1], image[..., 2] = np.inf, np.nan
    with np.errstate(all="raise"):
        array = only(occlude(image, (2, 5), (1, 7)))
    low, high = BANDS.min(axis=(0, 1)), BANDS.max(axis=(0, 1))
    low[1], high[1] = np.delete(BANDS[..., 1].ravel(), 0).min(), np.delete(BANDS[..., 1].ravel(), 0).max()
    expected = (low + high) / 2
    expected[2] = 0
    np.testing.assert_allclose(array[2:5, 1:7], np.broadcast_to(expected, (3, 6, 6)), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(array[5:], image[5:])
    whole = only(occlude(PHOTO, (0, HEIGHT), (0, WIDTH)))
    assert (whole == 128).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))),
    st.data(),
)
def test_a_shift_moves_every_pixel_and_repeats_the_border(image, data):
    height, width = image.shape[:2]
    rows = data.draw(st.integers(1 - height, height - 1))
    columns = data.draw(st.integers(1 - width, width - 1))
    array = only(shift(image, rows, columns))
    for y, x in np.ndindex(height, width):
        source = min(max(y - rows, 0), height - 1), min(max(x - columns, 0), width - 1)
        assert array[y, x].tolist() == image[source].tolist()


# ------------------------------------------------------------------ what is refused

TEXT: Any = "0.1"
NUMBER: Any = 5
HALF: Any = 1.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise(PHOTO, 25), r"amount must be .* 0 to 1. Received 25"),
        (lambda: noise(PHOTO, float("nan")), "Received nan"),
        (lambda: noise(PHOTO, TEXT), "Received '0.1'"),
        (lambda: noise(PHOTO, True), "Received True"),  # noqa: FBT003 - the wrong type, on purpose
        (lambda: noise(PHOTO, 0.1, seed=-1), "seed must be a whole number, 0 or more. Received -1"),
        (lambda: blur(PHOTO, -1), r"radius must be a number of pixels, 0 to 100. Received -1"),
        (lambda: blur(PHOTO, 1000), "Received 1000"),
        (lambda: occlude(PHOTO, NUMBER, (1, 7)), r"rows must be the first pixel .* Received 5"),
        (lambda: occlude(PHOTO, (5, 5), (1, 7)), r"rows must be .* Received \(5, 5\)"),
        (lambda: occlude(PHOTO, (1, 5), (-1, 7)), r"columns must be .* Received -1"),
        (lambda: occlude(PHOTO, (1, 5), TEXT), r"columns must be .* Received '0.1'"),
        (lambda: shift(PHOTO, HALF, 0), r"rows must be a whole number of pixels. Received 1.5"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_image_that_is_too_small_or_cannot_be_used_is_named(tmp_path):
    with pytest.raises(
        ImageError, match=rf"'cat' has {HEIGHT} rows and {WIDTH} columns. Received rows=\(1, 500"
    ):
        occlude({"cat": PHOTO}, (1, 500), (1, 7))
    with pytest.raises(
        ImageError, match=rf"'cat' has {HEIGHT} rows .* columns=-{WIDTH}, which leaves nothing"
    ):
        shift({"cat": PHOTO}, 0, -WIDTH)
    with pytest.raises(ImageError, match="There is no file"):
        blur(tmp_path / "none.png", 1)
    with pytest.raises(ImageError, match="expected 0…1 or 0…255"):
        noise(FLOATS * 1000, 0.1)
