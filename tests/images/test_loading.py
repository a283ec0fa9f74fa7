"""Images from every kind of source: their names, and the messages on those that fail."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import MAX_IMAGES, load_images, usable_images
from fmwidget.images.source import NamedImage, to_pixels
from tests.support.images import PHOTO, encoded


def png_header(width, height):
    """Return a PNG that claims to be large and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def album(tmp_path):
    """A folder like those of users."""
    for name in ("10.png", "2.png", "1.PNG"):
        (tmp_path / name).write_bytes(encoded(PHOTO))
    (tmp_path / "._2.png").write_bytes(b"left behind by another system")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more.jpg").mkdir()
    return tmp_path


# ------------------------------------------------------------------ sources and names


def names(source):
    pictures, sentences = load_images(source)
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
        3: NamedImage(PHOTO, "own name"),
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
            frame[:] = count  # the same memory for every frame
            yield frame, "label"

    pictures, sentences = load_images(camera())
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
    images = np.arange(40 * 4 * 4 * 3, dtype=np.uint8).reshape(40, 4, 4, 3)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(40)))
    for source in (
        dataset,
        dataset.batch(8),
        dataset.map(lambda image, label: {"image": image, "label": label}),
    ):
        pictures, sentences = load_images(source)
        assert sentences == []
        np.testing.assert_array_equal([picture.pixels() for picture in pictures.values()], images[:16])
    assert names(tf.constant(images[0]))[0] == ["picture 1"]


def test_at_most_so_many_are_offered():
    found, sentences = names([PHOTO] * (MAX_IMAGES + 1))
    assert len(found) == MAX_IMAGES
    assert sentences == [f"Only the first {MAX_IMAGES} images are offered; pass fewer to choose them."]
    assert len(names(np.zeros((MAX_IMAGES, 2, 2, 3)))[1]) == 0


def test_more_are_offered_on_demand():
    batch = np.zeros((70, 2, 2, 3), np.uint8)
    for source in (batch, list(batch), iter(batch), tf.data.Dataset.from_tensor_slices(batch).batch(32)):
        assert len(usable_images(source, limit=70)) == 70
    for source in (iter(batch), itertools.repeat(batch[:7])):
        with pytest.raises(ImageError, match="Only the first 69 images are offered"):
            usable_images(source, limit=69)
    dark = np.full((70, 2, 2, 3), 0.5)
    dark[65] = 200  # so that all are 0…255
    assert not next(iter(usable_images(dark, limit=70).values())).pixels().any()


# ------------------------------------------------------------------ what fails


def broken_files():
    jpeg = encoded(Image.fromarray(PHOTO).resize((640, 480)), "JPEG")
    return {
        "bomb.png": (png_header(60_000, 60_000), "60,000 × 60,000"),
        "large.png": (png_header(9_000, 9_000), "9,000 × 9,000"),
        "panorama.png": (png_header(30_000, 1_000), "30,000 × 1,000"),
        "panorama.jpg": (encoded(Image.new("L", (20_000, 16)), "JPEG"), "20,000 × 16"),
        "nothing.jpg": (b"", "0 bytes"),
        "cut off.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header only.png": (encoded(PHOTO)[:30], "damaged"),
        "text.png": (b"this is no picture", "is not an image"),
        "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
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
        str(tmp_path / "*.bmp"): "No image file matches",
        str(pipe): "not a regular file",
        str(album / "notes.txt"): "is not an image",
        "": "''",
        "a\0b": "path",
        "x" * 5000: "xxx",
    }.items():
        found, sentences = names(source)
        assert found == []
        assert len(sentences) == 1
        assert says in sentences[0]
        assert len(sentences[0]) < 600
        with pytest.raises(ImageError):
            to_pixels(source)


@pytest.mark.parametrize("source", [[], {}, (), None, 7, object(), np.zeros((0, 4, 4, 3)), iter(())])
def test_nothing_to_show_is_a_sentence(source):
    found, sentences = names(source)
    assert found == []
    assert len(sentences) == 1


def test_a_pil_image_whose_file_is_cut_off_is_told(tmp_path):
    data, _ = broken_files()["cut off.jpg"]
    with pytest.raises(ImageError, match="truncated"):
        to_pixels(Image.open(io.BytesIO(data)), "mine")
