"""One image: its pixels from any source, its thumbnail, and its changes."""

from __future__ import annotations

import gc
import io
import itertools
import os
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import load_images
from fmwidget.images.source import NamedImage, to_pixels
from tests.support.images import PHOTO, encoded

# ------------------------------------------------------------------ pixels

LAYOUTS = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.sampled_from([size, (*size, 1), (*size, 3), (1, *size, 3)])
)


def expected_layout(levels):
    """Return the same values as (H, W, 3), written out pixel by pixel."""
    levels = levels.reshape(levels.shape[-3:] if levels.ndim == 4 else levels.shape)
    height, width = levels.shape[:2]
    picture = np.empty((height, width, 3), np.uint8)
    for y, x in itertools.product(range(height), range(width)):
        picture[y, x] = levels[y, x]
    return picture


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.uint8, LAYOUTS), st.sampled_from(["uint8", "0…1", "0…255", "uint16", "int64", "float16"])
)
def test_an_array_shows_the_same_levels_in_every_type(levels, kind):
    array = {
        "uint8": levels,
        "0…1": levels / 255,
        "0…255": levels.astype(np.float32),
        "uint16": levels.astype(np.uint16) * 257,
        "int64": levels.astype(np.int64),
        "float16": (levels / 255).astype(np.float16),
    }[kind]
    if kind == "0…255" and levels.max() == 1:
        return  # such an image is taken as 0…1
    before = array.tobytes()
    pixels = to_pixels(array)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable
    np.testing.assert_array_equal(pixels, expected_layout(levels))
    assert array.tobytes() == before
    assert not np.shares_memory(pixels, array)


def test_a_boolean_array_is_black_and_white():
    assert to_pixels(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4))))
def test_transparency_is_laid_on_white(rgba):
    rgb, opacity = rgba[..., :3].astype(float), rgba[..., 3:] / 255
    expected = rgb * opacity + 255 * (1 - opacity)
    for picture in (rgba, rgba / 255, Image.fromarray(rgba), encoded(rgba)):
        assert np.abs(to_pixels(picture) - expected).max() <= 1


def test_every_kind_of_transparency_is_laid_on_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putdata([0, 1])
    grey_and_alpha = Image.new("LA", (2, 1), (7, 255))
    grey_and_alpha.putpixel((1, 0), (7, 0))
    palette_and_alpha = Image.new("PA", (2, 1))
    palette_and_alpha.putpalette([10, 20, 30, 200, 0, 0])
    palette_and_alpha.putdata([(0, 255), (1, 255)])
    pictures = {
        "palette": (encoded(palette, transparency=1), [10, 20, 30]),
        "palette, GIF": (encoded(palette, "GIF", transparency=1), [10, 20, 30]),
        "LA": (grey_and_alpha, [7, 7, 7]),
        "PA": (palette_and_alpha, None),
        "one colour of RGB": (encoded(palette.convert("RGB"), transparency=(200, 0, 0)), [10, 20, 30]),
        "one level of grey": (encoded(np.array([[7, 9]], np.uint8), transparency=9), [7, 7, 7]),
        "1 bit": (encoded(Image.fromarray(np.array([[0, 1]], bool)), transparency=1), [0, 0, 0]),
    }
    for name, (picture, left) in pictures.items():
        if left:
            assert to_pixels(picture).tolist() == [[left, [255] * 3]], name
    assert to_pixels(pictures["PA"][0]).tolist() == [[[10, 20, 30], [200, 0, 0]]]


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_honoured(orientation, file_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    qualities: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}
    quality = qualities.get(file_format, {})
    file = encoded(PHOTO, file_format, exif=exif, **quality)
    plain = to_pixels(encoded(PHOTO, file_format, **quality))
    tagged = Image.fromarray(plain)
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    np.testing.assert_array_equal(to_pixels(file), expected)
    np.testing.assert_array_equal(to_pixels(Image.open(io.BytesIO(file))), expected)
    thumbnail = Image.open(io.BytesIO(NamedImage(file, "photo").thumbnail(20)))
    assert thumbnail.size == Image.fromarray(expected).resize(thumbnail.size).size
    assert (thumbnail.width > thumbnail.height) == (orientation < 5)


def test_broken_exif_data_leaves_the_picture_as_it_is():
    file = encoded(PHOTO, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    np.testing.assert_array_equal(to_pixels(file), PHOTO)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "RGBX", "PA"])
def test_pil_images_of_every_mode_show_what_pil_shows(mode):
    image = Image.fromarray(PHOTO).convert(mode)
    expected = np.asarray(image.convert("RGB"), int)
    assert np.abs(to_pixels(image) - expected).max() <= 1


def test_pictures_of_more_than_8_bits_are_scaled():
    ramp = np.linspace(0, 65535, 12).reshape(3, 4)
    expected = np.rint(ramp / 257).astype(np.uint8)
    sixteen = Image.fromarray(ramp.astype(np.uint16))
    pictures = {
        "16-bit PNG": encoded(sixteen),
        "16-bit TIFF": encoded(sixteen, "TIFF"),
        "16-bit PGM": encoded(Image.fromarray(ramp.astype(np.int32)), "PPM"),
        "32-bit image": Image.fromarray(ramp.astype(np.int32)),
        "float TIFF, 0…1": encoded(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF"),
        "float TIFF, 0…255": encoded(Image.fromarray((ramp / 257).astype(np.float32)), "TIFF"),
    }
    for name, picture in pictures.items():
        np.testing.assert_array_equal(to_pixels(picture)[..., 0], expected, err_msg=name)


def test_of_an_animation_the_first_frame_is_shown():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    for file_format, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        file = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
        assert (to_pixels(file) == [255, 0, 0]).all(), file_format


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 224, 200)), ["(3, 224, 200)", "np.moveaxis(x, 0, -1)"]),
        (np.zeros((1, 3, 224, 200)), ["(1, 3, 224, 200)", "np.moveaxis(x, 1, -1)"]),
        (np.zeros((10, 28, 28)), ["(10, 28, 28)", "x[..., np.newaxis]"]),
        (np.zeros((5, 64, 60)), ["(5, 64, 60)", "np.moveaxis(x, 0, -1)", "bands="]),
        (np.zeros((60, 28, 28)), ["(60, 28, 28)", "x[..., np.newaxis]", "bands="]),
        (np.zeros((2, 8, 8, 3)), ["(2, 8, 8, 3)", "one image"]),
        (np.zeros((8, 8, 0)), ["(8, 8, 0)", "(H, W, C)"]),
        (np.zeros(9), ["(9,)"]),
        (np.zeros((0, 4, 3)), ["no pixels"]),
        (np.array([[-1.0, 1.0]]), ["-1 to 1", "0…1 or 0…255", "preprocess="]),
        (np.array([[0.0, 256.0]]), ["0 to 256"]),
        (np.full((4, 5, 4), 3000.0), ["3000", "pass `bands=` if", "or `preprocess=`"]),
        (np.array([[0, 300]]), ["0 to 300", "0…255"]),
        (np.array([[np.nan, 1.0, np.inf]]), ["2 NaN or infinite"]),
        (np.array([[1j]]), ["complex128"]),
        (np.array([["a"]]), ["<U1"]),
        (np.ones((4, 6, 5), complex), ["complex128", "real numbers"]),
        (np.zeros((1, 20_000, 3), np.uint8), ["20,000 × 1", "16,384"]),
    ],
    ids=lambda value: str(getattr(value, "shape", "")),
)
def test_an_array_that_is_no_picture_is_told_why(array, says):
    with pytest.raises(ImageError) as raised:
        to_pixels(array, "my array")
    for words in ["'my array'", *says]:
        assert words in str(raised.value)


def test_a_dark_picture_in_a_bright_batch_is_dark():
    batch = np.zeros((2, 4, 4, 3), np.float32)
    batch[0], batch[1] = 1, 200
    dark, bright = (picture.pixels() for picture in load_images(batch)[0].values())
    assert (dark == 1).all()
    assert (bright == 200).all()


# ------------------------------------------------------------------ freshness and memory


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_an_array_changed_in_place_is_seen_and_an_unchanged_one_keeps_its_pixels(scale):
    array = np.full((4, 4, 3), 40) * scale if scale != 1 else np.full((4, 4, 3), 40, np.uint8)
    picture = load_images({"mine": array})[0]["mine"]
    first = picture.pixels()
    assert picture.pixels() is first
    array[0, 0] = 80 * scale
    changed = picture.pixels()
    assert changed[0, 0].tolist() == [80] * 3
    assert first[0, 0].tolist() == [40] * 3
    assert picture.pixels() is changed


def test_a_pil_image_drawn_on_is_seen():
    image = Image.new("RGB", (4, 4))
    picture = NamedImage(image, "drawing")
    first = picture.pixels()
    assert picture.pixels() is first
    image.putpixel((0, 0), (9, 9, 9))
    assert picture.pixels()[0, 0].tolist() == [9] * 3


def test_a_file_written_anew_is_seen(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PHOTO))
    picture = load_images(path)[0]["a"]
    first, thumbnail = picture.pixels(), picture.thumbnail()
    assert picture.pixels() is first
    path.write_bytes(encoded(255 - PHOTO))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(picture.pixels(), 255 - PHOTO)
    assert picture.thumbnail() != thumbnail
    path.unlink()
    with pytest.raises(ImageError, match=r"no file .*a\.png"):
        picture.pixels()


def test_the_pixels_of_a_file_live_no_longer_than_their_user(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PHOTO))
    pixels = weakref.ref(load_images(tmp_path)[0]["a"].pixels())
    gc.collect()
    assert pixels() is None


def test_thumbnails_are_small_and_keep_proportions():
    large = Image.fromarray(PHOTO).resize((1400, 1000))
    for picture in (NamedImage(encoded(large, "JPEG"), "file"), NamedImage(np.asarray(large), "array")):
        thumbnail = Image.open(io.BytesIO(picture.thumbnail(140)))
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (140, 100))
        assert np.abs(np.asarray(thumbnail, int) - np.asarray(large.resize((140, 100)))).mean() < 4


def test_a_thumbnail_is_made_once_and_again_when_the_array_or_the_size_is_another():
    array = PHOTO.copy()
    picture = NamedImage(array, "array")
    first = picture.thumbnail(20)
    assert picture.thumbnail(20) is first
    assert Image.open(io.BytesIO(picture.thumbnail(10))).width == 10
    array[:] = 0
    assert np.asarray(Image.open(io.BytesIO(picture.thumbnail(20)))).max() < 4


def test_the_limits_of_pil_are_neither_used_nor_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(to_pixels(encoded(PHOTO)), PHOTO)
    assert Image.MAX_IMAGE_PIXELS == 10
