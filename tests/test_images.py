"""Pictures from everywhere: what they look like, what they are called, what is said of those that fail."""

from __future__ import annotations

import gc
import io
import itertools
import os
import struct
import weakref
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from fmwidget.images import MAX_PICTURES, Picture, PictureError, load_pictures, to_pixels

RNG = np.random.default_rng(0)
PHOTO = np.asarray(Image.fromarray(RNG.integers(0, 256, (5, 7, 3), np.uint8)).resize((70, 50)))


def encoded(image, file_format="PNG", **options):
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, file_format, **options)
    return file.getvalue()


def png_header(width, height):
    """A PNG that claims to be large and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def album(tmp_path):
    """A folder as people have them."""
    for name in ("10.png", "2.png", "1.PNG"):
        (tmp_path / name).write_bytes(encoded(PHOTO))
    (tmp_path / "._2.png").write_bytes(b"left behind by another system")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more.jpg").mkdir()
    return tmp_path


# ------------------------------------------------------------------ pixels

LAYOUTS = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.sampled_from([size, (*size, 1), (*size, 3), (1, *size, 3)])
)


def expected_layout(levels):
    """The same values as (H, W, 3), written out pixel by pixel."""
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
        return  # such a picture is taken as 0…1
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
    pictures = {
        "palette": (encoded(palette, transparency=1), [10, 20, 30]),
        "palette, GIF": (encoded(palette, "GIF", transparency=1), [10, 20, 30]),
        "LA": (grey_and_alpha, [7, 7, 7]),
        "PA": (palette.convert("RGBA").convert("PA"), None),
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
    quality: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(file_format, {})
    file = encoded(PHOTO, file_format, exif=exif, **quality)
    plain = to_pixels(encoded(PHOTO, file_format, **quality))
    tagged = Image.fromarray(plain)
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    np.testing.assert_array_equal(to_pixels(file), expected)
    np.testing.assert_array_equal(to_pixels(Image.open(io.BytesIO(file))), expected)
    thumbnail = Image.open(io.BytesIO(Picture(file, "photo").thumbnail(20)))
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
        (np.zeros((8, 8, 2)), ["(8, 8, 2)", "(H, W, 3)"]),
        (np.zeros((2, 8, 8, 3)), ["(2, 8, 8, 3)", "one picture"]),
        (np.zeros(9), ["(9,)"]),
        (np.zeros((0, 4, 3)), ["no pixels"]),
        (np.array([[-1.0, 1.0]]), ["-1 to 1", "0…1 or 0…255", "preprocess="]),
        (np.array([[0.0, 256.0]]), ["0 to 256"]),
        (np.array([[0, 300]]), ["0 to 300", "0…255"]),
        (np.array([[np.nan, 1.0, np.inf]]), ["2 NaN or infinite"]),
        (np.array([[1j]]), ["complex128"]),
        (np.array([["a"]]), ["<U1"]),
        (np.zeros((1, 20_000, 3), np.uint8), ["20,000 × 1", "16,384"]),
    ],
    ids=lambda value: str(getattr(value, "shape", "")),
)
def test_an_array_that_is_no_picture_is_told_why(array, says):
    with pytest.raises(PictureError) as raised:
        to_pixels(array, "my array")
    for words in ["'my array'", *says]:
        assert words in str(raised.value)


def test_a_dark_picture_in_a_bright_batch_is_dark():
    batch = np.zeros((2, 4, 4, 3), np.float32)
    batch[0], batch[1] = 1, 200
    dark, bright = (picture.pixels() for picture in load_pictures(batch)[0].values())
    assert (dark == 1).all()
    assert (bright == 200).all()


# ------------------------------------------------------------------ freshness and memory


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_an_array_changed_in_place_is_seen_and_an_unchanged_one_keeps_its_pixels(scale):
    array = np.full((4, 4, 3), 40) * scale if scale != 1 else np.full((4, 4, 3), 40, np.uint8)
    picture = load_pictures({"mine": array})[0]["mine"]
    first = picture.pixels()
    assert picture.pixels() is first
    array[0, 0] = 80 * scale
    changed = picture.pixels()
    assert changed[0, 0].tolist() == [80] * 3
    assert first[0, 0].tolist() == [40] * 3
    assert picture.pixels() is changed


def test_a_pil_image_drawn_on_is_seen():
    image = Image.new("RGB", (4, 4))
    picture = Picture(image, "drawing")
    first = picture.pixels()
    assert picture.pixels() is first
    image.putpixel((0, 0), (9, 9, 9))
    assert picture.pixels()[0, 0].tolist() == [9] * 3


def test_a_file_written_anew_is_seen(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PHOTO))
    picture = load_pictures(path)[0]["a"]
    first, thumbnail = picture.pixels(), picture.thumbnail()
    assert picture.pixels() is first
    path.write_bytes(encoded(255 - PHOTO))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(picture.pixels(), 255 - PHOTO)
    assert picture.thumbnail() != thumbnail
    path.unlink()
    with pytest.raises(PictureError, match=r"no file .*a\.png"):
        picture.pixels()


def test_the_pixels_of_a_file_live_no_longer_than_their_user(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PHOTO))
    pixels = weakref.ref(load_pictures(tmp_path)[0]["a"].pixels())
    gc.collect()
    assert pixels() is None


def test_thumbnails_are_small_and_keep_proportions():
    large = Image.fromarray(PHOTO).resize((1400, 1000))
    for picture in (Picture(encoded(large, "JPEG"), "file"), Picture(np.asarray(large), "array")):
        thumbnail = Image.open(io.BytesIO(picture.thumbnail(140)))
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (140, 100))
        assert np.abs(np.asarray(thumbnail, int) - np.asarray(large.resize((140, 100)))).mean() < 4


# ------------------------------------------------------------------ sources and names


def names(source):
    pictures, sentences = load_pictures(source)
    assert all(picture.name == name for name, picture in pictures.items())
    return list(pictures), sentences


def test_a_folder_offers_its_pictures_in_natural_order(album):
    assert names(album) == (["1", "2", "10"], [])
    assert names(str(album)) == (["1", "2", "10"], [])


def test_a_pattern_offers_what_matches(album):
    assert names(str(album / "*")) == (["1", "2", "10"], [])
    assert names(album / "*0.png") == (["10"], [])
    odd = album / "a[1]*.png"
    odd.write_bytes(encoded(PHOTO))
    assert names(odd) == (["a[1]*"], [])


def test_a_list_may_mix_sources_and_repeat_names(album):
    source = [album / "2.png", PHOTO, [album / "2.png", Image.fromarray(PHOTO)], encoded(PHOTO), (PHOTO, 7)]
    assert names(source)[0] == ["2", "picture 1", "2 (2)", "picture 2", "picture 3", "picture 4"]
    assert names([*[album / "2.png"] * 2, {"2 (2)": PHOTO}])[0] == ["2", "2 (2)", "2 (2) (2)"]


def test_a_dict_names_its_pictures(album):
    source = {
        "cat": PHOTO,
        "file": album / "1.PNG",
        "upload.png": encoded(PHOTO),
        3: Picture(PHOTO, "own name"),
    }
    assert names(source) == (["cat", "file", "upload.png", "3"], [])
    assert names({"batch": np.zeros((2, 4, 4, 1))}) == (["batch", "batch (2)"], [])


def test_names_can_be_sent_to_a_browser(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(encoded(PHOTO))
    assert names(tmp_path) == (["caf�"], [])
    assert names({"a\nb\x00": PHOTO, "<b>&amp;": PHOTO, "شکل 👩‍🍳": PHOTO})[0] == [
        "a�b�",
        "<b>&amp;",
        "شکل 👩‍🍳",
    ]


def test_arrays_are_one_picture_or_a_batch():
    assert names(PHOTO)[0] == ["picture 1"]
    assert names(np.zeros((2, 4, 4, 3)))[0] == ["picture 1", "picture 2"]
    assert names(np.array(["nowhere.png"]))[1] == ["There is no file 'nowhere.png'; check the path."]


def test_of_an_iterable_only_the_first_few_are_read():
    read = []

    def camera():
        frame = np.zeros((4, 4, 3), np.uint8)
        for count in itertools.count():
            read.append(count)
            frame[:] = count  # the same memory again and again
            yield frame, "label"

    pictures, sentences = load_pictures(camera())
    assert sentences == []
    assert [int(picture.pixels()[0, 0, 0]) for picture in pictures.values()] == list(range(16))
    assert len(read) == 16


def test_an_iterable_that_fails_keeps_what_came_before():
    def frames():
        yield PHOTO
        raise RuntimeError("camera unplugged")

    found, sentences = names(frames())
    assert found == ["picture 1"]
    assert len(sentences) == 1
    assert "camera unplugged" in sentences[0]


def test_a_tensorflow_dataset_offers_its_first_pictures():
    tf = pytest.importorskip("tensorflow")
    images = np.arange(40 * 4 * 4 * 3, dtype=np.uint8).reshape(40, 4, 4, 3)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(40)))
    for source in (
        dataset,
        dataset.batch(8),
        dataset.map(lambda image, label: {"image": image, "label": label}),
    ):
        pictures, sentences = load_pictures(source)
        assert sentences == []
        np.testing.assert_array_equal([picture.pixels() for picture in pictures.values()], images[:16])
    assert names(tf.constant(images[0]))[0] == ["picture 1"]


def test_at_most_so_many_are_offered():
    found, sentences = names([PHOTO] * (MAX_PICTURES + 1))
    assert len(found) == MAX_PICTURES
    assert sentences == [f"Only the first {MAX_PICTURES} pictures are offered; pass fewer to choose them."]
    assert len(names(np.zeros((MAX_PICTURES, 2, 2, 3)))[1]) == 0


# ------------------------------------------------------------------ what fails


def broken_files():
    jpeg = encoded(Image.fromarray(PHOTO).resize((640, 480)), "JPEG")
    return {
        "bomb.png": (png_header(60_000, 60_000), "60,000 × 60,000"),
        "large.png": (png_header(9_000, 9_000), "9,000 × 9,000"),
        "panorama.png": (png_header(30_000, 1_000), "30,000 × 1,000"),
        "nothing.jpg": (b"", "0 bytes"),
        "cut off.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header only.png": (encoded(PHOTO)[:30], "damaged"),
        "text.png": (b"this is no picture", "is not a picture"),
        "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    }


def test_each_broken_file_gets_one_sentence_that_names_it_and_the_others_load(album):
    for name, (data, _) in broken_files().items():
        (album / name).write_bytes(data)
    found, sentences = names(album)
    assert found == ["1", "2", "10"]
    assert len(sentences) == len(broken_files())
    for name, (_, says) in broken_files().items():
        (sentence,) = (sentence for sentence in sentences if repr(name) in sentence)
        assert says in sentence
        assert sentence.count("\n") == 0
        assert sentence.endswith(".")


def test_what_is_not_there_is_said(tmp_path, album):
    (tmp_path / "empty").mkdir()
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for source, says in {
        str(tmp_path / "nowhere.png"): "There is no file",
        str(tmp_path / "empty"): "**",
        str(tmp_path / "*.bmp"): "No picture file matches",
        str(pipe): "not a regular file",
        str(album / "notes.txt"): "is not a picture",
        "": "''",
        "a\0b": "path",
        "x" * 5000: "xxx",
    }.items():
        found, sentences = names(source)
        assert found == []
        assert len(sentences) == 1
        assert says in sentences[0]
        assert len(sentences[0]) < 600
        with pytest.raises(PictureError):
            to_pixels(source)


@pytest.mark.parametrize("source", [[], {}, (), None, 7, object(), np.zeros((0, 4, 4, 3)), iter(())])
def test_nothing_to_show_is_a_sentence(source):
    found, sentences = names(source)
    assert found == []
    assert len(sentences) == 1


def test_a_pil_image_whose_file_is_cut_off_is_told(tmp_path):
    data, _ = broken_files()["cut off.jpg"]
    with pytest.raises(PictureError, match="truncated"):
        to_pixels(Image.open(io.BytesIO(data)), "mine")


def test_the_limits_of_pil_are_neither_used_nor_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(to_pixels(encoded(PHOTO)), PHOTO)
    assert Image.MAX_IMAGE_PIXELS == 10
