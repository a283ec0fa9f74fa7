"""The Python half of uploading: accepted files, their names, and harmless handling of any message."""

from __future__ import annotations

import io
import logging
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fmwidget.frontend.uploader import MAX_BYTES, MAX_NAME, Upload, Uploader, parse_upload, plain_name
from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import MAX_IMAGES
from fmwidget.widget.feature_map_widget import FeatureMapWidget

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
almost = st.fixed_dictionaries(
    {"type": st.just("picture") | junk},
    optional={"id": st.text(max_size=70) | junk, "name": st.text() | junk},
)
some_bytes = st.binary(max_size=40)
views: Any = st.builds(memoryview, some_bytes)
some_buffers = st.lists(some_bytes | views | junk, max_size=2) | junk


def png(color=(200, 30, 30), size=(20, 12)):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "png")
    return file.getvalue()


def message(name="cat.png", message_id="a1"):
    return {"type": "picture", "id": message_id, "name": name}


@pytest.fixture(name="taken")
def uploader_images_and_answers(monkeypatch):
    """Return an uploader, the images it passed on and the answers it sent."""
    pictures: list[tuple[str, bytes]] = []
    answers: list[Any] = []
    uploader = Uploader(lambda name, data: pictures.append((name, data)))
    monkeypatch.setattr(uploader, "send", answers.append)
    return uploader, pictures, answers


# ---------------------------------------------------------------- messages


def test_a_picture_is_passed_on_and_answered(taken):
    uploader, pictures, answers = taken
    uploader._handle_custom_msg(message("holiday.cat.JPG", "x7"), [memoryview(b"bytes")])
    assert pictures == [("holiday.cat", b"bytes")]
    assert answers == [{"type": "answer", "id": "x7", "error": ""}]


@given(junk | almost, some_buffers)
def test_whatever_else_comes_is_nothing_or_within_bounds(content, buffers):
    upload = parse_upload(content, buffers)
    if upload is not None:
        assert 0 < len(upload.id) <= 64
        assert upload.id.isascii()
        assert upload.name == plain_name(content["name"])
        assert isinstance(upload.data, bytes)


@pytest.mark.parametrize(
    ("content", "buffers"),
    [
        (message(), []),
        (message(), [b"1", b"2"]),
        (message(), ["text"]),
        (message(), None),
        (message(message_id=""), [b"1"]),
        (message(message_id="x" * 65), [b"1"]),
        (message(message_id="é"), [b"1"]),
        pytest.param(message(message_id=10**5000), [b"1"], id="huge number"),
        (message(name=None), [b"1"]),
        pytest.param(message(name="x" * 10**6), [b"1"], id="huge name"),
        ({"type": "picture"}, [b"1"]),
        ({"type": "__init__"}, []),
        (None, []),
    ],
)
def test_a_message_that_means_nothing_is_ignored_and_logged_once(taken, content, buffers, caplog):
    uploader, pictures, answers = taken
    with caplog.at_level(logging.DEBUG, "fmwidget"):
        uploader._handle_custom_msg(content, buffers)
    assert (pictures, answers) == ([], [])
    assert len(caplog.records) == 1
    assert len(caplog.text) < 1000
    assert caplog.text.count("\n") == 1


def test_a_message_of_more_than_8_mib_is_refused_with_a_sentence(taken):
    uploader, pictures, answers = taken
    # As numbers of 8 bytes: their count is not their size.
    wide = memoryview(bytes(MAX_BYTES + 8)).cast("d")
    for data in (bytes(MAX_BYTES + 1), wide):
        uploader._handle_custom_msg(message(), [data])
    assert pictures == []
    assert [answer["error"] for answer in answers] == [
        "'cat' is larger than 8,388,608 bytes: save it smaller."
    ] * 2
    uploader._handle_custom_msg(message(), [bytes(MAX_BYTES)])
    assert len(pictures) == 1


def test_refusals_and_failures_are_answered_and_no_picture_is_taken_without_room(taken, monkeypatch, caplog):
    uploader, _, answers = taken
    for error in (ImageError("'cat' is damaged."), RuntimeError("out of\nluck")):

        def refuse(_name, _data, error=error):
            raise error

        monkeypatch.setattr(uploader, "_add", refuse)
        uploader._handle_custom_msg(message(), [b"1"])
    uploader.room = 0
    uploader._handle_custom_msg(message(), [b"1"])
    assert [answer["error"] for answer in answers] == [
        "'cat' is damaged.",
        "'cat' could not be added: RuntimeError ('out of\\nluck').",
        "'cat' was left out: at most 60 pictures are offered.",
    ]
    assert "out of\nluck" in caplog.text, "with all its details, for whoever can mend it"


def test_the_browser_sets_nothing(taken):
    uploader, *_ = taken
    uploader._handle_msg({"content": {"data": {"method": "update", "state": {"room": 9999}}}, "buffers": []})
    assert uploader.room == MAX_IMAGES


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("cat.jpg", "cat"),
        ("cat.of.2024.jpeg", "cat.of.2024"),
        ("v1.final version", "v1.final version"),
        ("../../etc/passwd.png", "passwd"),
        ("C:\\pictures\\cat.png", "cat"),
        (".png", ".png"),
        ("a\nb\x00\x1b[31mc\ud800.png", "a b[31mc"),
        ("\u202egnp.exe", "gnp"),
        ("\u110b\u1175\u1106\u1175\u110c\u1175.png", "이미지"),
        ("👩‍🔬.png", "👩‍🔬"),
        ("<b>&amp;.png", "<b>&amp;"),
        ("x" * 300 + ".png", "x" * (MAX_NAME - 1) + "…"),
        ("", ""),
    ],
)
def test_a_picture_is_called_after_its_file(file_name, name):
    assert plain_name(file_name) == name


@given(st.text(alphabet=st.characters()))
def test_a_name_is_one_short_line(file_name):
    name = plain_name(file_name)
    assert len(name) <= MAX_NAME
    assert name == " ".join(name.split())
    assert not any(ord(character) < 32 for character in name)
    name.encode()  # half a character would break the next message


def test_an_upload_without_a_name_is_a_picture(taken):
    uploader, pictures, _ = taken
    uploader._handle_custom_msg(message("\u202e"), [b"1"])
    assert pictures == [("picture", b"1")]
    assert parse_upload(message("\u202e"), [b"1"]) == Upload("a1", "", b"1")


# ---------------------------------------------------------------- in the widget


@pytest.fixture(name="widget")
def tiny_widget():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv")])
    widget = FeatureMapWidget(model, {"cat": np.zeros((9, 9, 3), np.uint8)})
    yield widget
    widget.close()


def upload(widget, name, data):
    """Deliver a message as the browser sends it, and return the answer's sentence."""
    answers: list[Any] = []
    uploader = widget._screen.controls.upload
    uploader.send = answers.append
    uploader._handle_custom_msg(message(name), [memoryview(data)])
    return answers[0]["error"]


def test_an_upload_is_offered_and_shown_under_a_name_of_its_own(widget):
    before = np.array(widget.feature_maps)
    assert upload(widget, "cat.png", png()) == ""
    assert upload(widget, "cat.jpg", png((0, 0, 250))) == ""
    assert widget.images == ("cat", "cat (2)", "cat (3)")
    assert widget.image == "cat (3)"
    picker = widget._screen.controls.image
    assert picker.names == ["cat", "cat (2)", "cat (3)"]
    assert picker.value == 2
    assert widget._screen.controls.upload.room == MAX_IMAGES - 3
    blue = np.zeros((1, 8, 8, 3), np.float32)
    blue[..., 2] = 250 / 255
    np.testing.assert_allclose(widget.feature_maps, widget._am.model(blue)[0], atol=1e-5)
    widget.image = "cat"
    np.testing.assert_array_equal(widget.feature_maps, before)


def test_what_is_no_picture_is_refused_and_changes_nothing(widget):
    png_before = widget.png
    whole = png(size=(400, 300))
    assert "'notes' is not an image" in upload(widget, "notes.png", b"hello")
    assert "'half'" in upload(widget, "half.png", whole[: len(whole) // 2])
    assert "'none' is empty" in upload(widget, "none.png", b"")
    assert widget.images == ("cat",)
    assert widget._screen.controls.image.names == ["cat"]
    assert widget.png == png_before
    assert upload(widget, "whole.png", whole) == "", "the next one is taken"
