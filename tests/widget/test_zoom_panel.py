"""The kernel's side of one channel alone, against numpy."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from fmwidget import FeatureMapWidget
from fmwidget.frontend.messages import MAX_VALUES
from fmwidget.rendering.formatting import number, short_value_text
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.selection import Selection
from tests.support import zoo
from tests.support.frames import compared

CHANNEL, OTHER = 2, 0  # none of them constant


@pytest.fixture(name="widget", scope="module")
def shown_widget():
    keras.utils.set_random_seed(7)
    picture = np.random.default_rng(0).integers(0, 256, (30, 36, 3), np.uint8)
    made = FeatureMapWidget(zoo.sequential(), {"one": picture, "two": picture[::-1]}, norm="channel")
    yield made
    made.close()


@pytest.fixture(name="zoom")
def opened(widget):
    """Open the map alone by Enter; its messages to the browser are in `sent`."""
    widget.layer, widget.channel, widget.image = "conv", CHANNEL, "one"
    zoom = widget._screen.panels.zoom.box
    zoom.sent = sent = list[Any]()
    zoom.send = sent.append
    say(widget._screen.panels.grid.box, "open", tile=CHANNEL)
    say(zoom, "pin", row=4000, column=0)  # releases the unit that another test has pinned
    sent.clear()
    yield zoom
    del zoom.send
    say(zoom, "close")


def say(box, kind, **content):
    box._handle_custom_msg({"type": kind, "id": "x", **content}, [])


def picture_of(zoom) -> Any:
    return np.asarray(Image.open(io.BytesIO(zoom.png)))


def test_it_opens_with_the_chosen_channel_and_one_pixel_for_each_value(widget, zoom):
    values = widget.feature_maps[..., CHANNEL]
    assert zoom.shown
    assert (zoom.rows, zoom.columns) == values.shape
    assert zoom.title == f"channel {CHANNEL} of conv, {values.shape[0]} × {values.shape[1]}"
    indices = picture_of(zoom)
    expected = (values - values.min()) / (values.max() - values.min()) * 219
    assert np.abs(indices - expected).max() <= 1


def test_a_tile_is_chosen_and_opened_in_one_step_and_its_picture_opens_what_it_shows(widget, zoom):
    say(zoom, "close")
    assert not zoom.shown
    widget.order = "max"
    say(widget._screen.panels.grid.box, "open", tile=0)
    strongest = int(widget.feature_maps.max(axis=(0, 1)).argmax())
    assert (zoom.shown, widget.channel) == (True, strongest)
    widget.order = "index"
    say(zoom, "close")
    say(widget._screen.panels.detail.box, "open")
    assert zoom.shown
    assert zoom.title.startswith(f"channel {strongest} ")


def test_values_are_sent_for_the_part_that_is_asked_for_and_no_more(widget, zoom):
    say(zoom, "values", row=2, column=5, rows=3, columns=4)
    values, answered = zoom.sent
    assert answered == {"type": "answered", "id": "x"}
    assert values | {"texts": None} == {
        "type": "values", "stamp": zoom.stamp, "row": 2, "column": 5, "texts": None,
    }  # fmt: skip
    part = widget.feature_maps[2:5, 5:9, CHANNEL]
    numbers = np.array([[float(text.replace("−", "-")) for text in line] for line in values["texts"]])
    np.testing.assert_allclose(numbers, part, rtol=5e-4)

    height, width = widget.feature_maps.shape[:2]
    for row, column, rows, columns in ((0, 0, 30, 20), (height - 1, width - 2, 9, 9), (500, 500, 2, 2)):
        say(zoom, "values", row=row, column=column, rows=rows, columns=columns)
        texts = zoom.sent[-2]["texts"]
        expected = widget.feature_maps[row : row + rows, column : column + columns, CHANNEL]
        assert len(texts) == len(expected)
        assert all(len(line) == expected.shape[1] for line in texts)
        assert sum(map(len, texts)) <= MAX_VALUES


def test_what_fits_a_cell():
    kinds = {0.0: "0", -0.5: "−0.5", 0.123456: "0.1235", 12345.678: "1.235e4", -1e-7: "−1e−7"}
    assert {value: short_value_text(np.float32(value)) for value in kinds} == kinds
    assert [short_value_text(np.float32(value)) for value in (np.nan, np.inf, -np.inf)] == [
        "NaN",
        "+inf",
        "−inf",
    ]
    assert short_value_text(np.float16(0.1)) == "0.09998"


def test_the_unit_under_the_pointer_is_read_out_and_a_click_keeps_it(widget, zoom):
    say(zoom, "unit", row=4, column=6)
    assert zoom.unit == [4, 6]
    assert np.float32(zoom.readout.split()[-1]) == widget.feature_maps[4, 6, CHANNEL]
    assert widget._screen.selection.unit == Unit(CHANNEL, 4, 6)
    say(zoom, "unit")
    assert (zoom.unit, zoom.readout) == ([], "")
    say(zoom, "pin", row=1, column=2)
    say(zoom, "unit", row=0, column=0)
    say(zoom, "unit")
    assert zoom.unit == [1, 2]
    say(zoom, "unit", row=4000, column=0)  # of a map that is gone
    assert zoom.unit == [1, 2]
    say(zoom, "pin", row=0, column=4000)
    assert zoom.unit == []


def test_it_follows_the_channel_the_picture_and_the_layer(widget, zoom):
    say(zoom, "pin", row=1, column=2)
    stamps = [zoom.stamp]
    for name, value in (("channel", OTHER), ("image", "two"), ("norm", "shared"), ("layer", "pool")):
        before = zoom.png
        setattr(widget, name, value)
        assert zoom.png != before
        stamps.append(zoom.stamp)
        assert zoom.unit == ([1, 2] if name != "layer" else [])
    assert len(set(stamps)) == len(stamps)
    assert zoom.title.startswith(f"channel {OTHER} of pool, {zoom.rows} × {zoom.columns}")
    assert picture_of(zoom).shape == widget.feature_maps.shape[:2]
    widget.norm = "channel"


@pytest.mark.parametrize("side", ["a", "b", "difference"])
def test_of_a_comparison_it_shows_one_side_and_reads_out_both(widget, zoom, side):
    frame, other = widget._screen.frame, widget.feature_maps[::-1] ** 2
    frame = compared(frame, other, side)
    panel = widget._screen.panels.zoom
    panel.update(frame, Selection(Unit(CHANNEL, 1, 2)))
    a, b = float(widget.feature_maps[1, 2, CHANNEL]), float(other[1, 2, CHANNEL])
    assert f" A {number(a)} · B {number(b)} · A − B {number(a - b)}" in zoom.readout
    assert zoom.title.endswith({"a": " · A: cat", "b": " · B: dog"}.get(side, " · A − B: cat − dog"))
    say(zoom, "values", row=1, column=2, rows=1, columns=1)
    shown = {"a": a, "b": b, "difference": a - b}[side]
    assert zoom.sent[-2]["texts"] == [[number(shown)]]


def test_put_away_it_draws_no_more(widget, zoom):
    say(zoom, "unit", row=4, column=6)
    say(zoom, "close")
    assert not zoom.shown
    assert widget._screen.selection.unit is None
    before = zoom.png
    widget.channel = OTHER
    assert zoom.png == before
