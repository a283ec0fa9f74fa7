"""The Python half of the save button: it answers the view that asks, with a picture and a safe name."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from fmwidget import FeatureMapWidget
from fmwidget.frontend.save_button import SaveButton, file_name
from tests.support import zoo


@pytest.fixture
def sent(monkeypatch):
    messages: list[Any] = []
    monkeypatch.setattr(SaveButton, "send", lambda _self, *message: messages.append(message))
    return messages


def press(button, content):
    for callback in button._msg_callbacks.callbacks:
        callback(button, content, [])


def test_the_view_that_asks_is_sent_what_is_on_screen(sent):
    widget = FeatureMapWidget(zoo.sequential())
    widget.image = "coffee"
    press(widget._screen.controls.save, {"type": "save", "id": "a1"})
    ((message, buffers),) = sent
    assert message == {"type": "file", "id": "a1", "name": f"coffee {widget.layer}.png"}
    picture = Image.open(io.BytesIO(buffers[0]))
    assert picture.width == 3 * widget._screen.panels.grid.box.width
    widget.close()


@pytest.mark.parametrize(
    "content", [None, "save", {"type": "save"}, {"type": "save", "id": "a", "file": "/etc"}, {"id": "a"}, {}]
)
def test_anything_else_is_dropped(sent, caplog, content):
    press(SaveButton(lambda: ("", b"")), content)
    assert not sent
    assert "invalid message" in caplog.text


def test_the_front_end_sets_nothing(caplog):
    button = SaveButton(lambda: ("", b""))
    before = button._esm
    button.set_state({"_esm": "alert(1)"})
    assert button._esm == before


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat block/conv@2", "cat block_conv@2"),
        ("../../etc/passwd", "_etc_passwd"),
        ("고양이 conv", "고양이 conv"),
        ('a"b\nc\x00:<>|?*', "a_b_c_"),
        ("", "picture"),
        ("x" * 500, "x" * 80),
    ],
)
def test_names_are_ones_that_any_file_may_have(text, name):
    assert file_name(text) == name
