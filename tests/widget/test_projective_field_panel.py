"""A click on the image: the units that depend on the pixel, and the values there across channels."""

from __future__ import annotations

import html
import re
from typing import Any

import keras
import numpy as np
import pytest

from fmwidget import FeatureMapWidget
from fmwidget.frontend.channel_list import ChannelList
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.panels.projective_field import bar_lengths, strongest
from tests.support import zoo
from tests.support.driving import until
from tests.support.frames import compared
from tests.support.images import encoded

layers = keras.layers
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.fixture(autouse=True)
def same_weights():
    keras.utils.set_random_seed(2)


class Page:
    """A widget, and its parts that concern pixels."""

    def __init__(self, model: keras.Model, picture: Any = PICTURE, **options: Any) -> None:
        self.widget = FeatureMapWidget(model, {"noise": picture}, **options)
        self.picture = self.widget._screen.panels.input.view
        self.detail = self.widget._screen.panels.detail.box
        self.panel = self.widget._screen.panels.projective_field.box
        self.title, self.list = self.panel.children

    def click(self, row: int, column: int) -> None:
        """Click on the middle of a pixel of the model's input, as the browser reports it."""
        height, width = self.widget._screen.frame.sizes
        x, y = (column + 0.5) / width * self.picture.width, (row + 0.5) / height * self.picture.height
        self.picture._receive(self.picture, {"type": "click", "x": x, "y": y}, [])
        until(lambda: "finding out" not in self.title.value)

    def words(self) -> str:
        return html.unescape(re.sub("<.*?>", " ", self.title.value))

    def marked(self) -> tuple[float, ...]:
        """Return the marked box of units on the chosen channel: top, left, bottom, right."""
        height, width, _ = self.widget.feature_maps.shape
        area = np.array(self.detail.mark) - [8, 42, 0, 0]  # the map's offset in its picture
        scale = min(300 // height, 300 // width)
        x, y, wide, high = area / scale
        return tuple(float(edge) for edge in (y, x, y + high, x + wide))


def stride_two() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            layers.Conv2D(20, 5, padding="same", name="conv"),
            layers.Conv2D(4, 3, strides=2, name="half"),
            layers.GlobalAveragePooling2D(keepdims=True, name="all"),
        ]
    )


def test_the_units_that_see_a_pixel_are_marked_and_the_nearest_is_pinned():
    page = Page(stride_two(), layer="conv")
    assert page.panel.layout.display == "none"
    page.click(10, 0)
    assert page.panel.layout.display == "flex"
    assert page.marked() == pytest.approx((8, 0, 13, 3))  # two to each side, cut at the edge
    assert "row 10, column 0 of the picture: seen from 5 × 3 of 20 × 24 positions" in page.words()
    assert page.widget._screen.selection.unit == Unit(0, 10, 0)
    x, y, width, height = page.picture.mark
    assert (y / page.picture.height * 20, x) == pytest.approx((10, 0))
    assert (height / page.picture.height * 20, width / page.picture.width * 24) == pytest.approx((1, 1))


def test_of_a_difference_those_that_differ_most_come_first():
    page = Page(stride_two(), layer="conv")
    page.click(3, 7)
    screen = page.widget._screen
    values = screen.frame.maps[3, 7]
    screen.panels.projective_field.update(
        compared(screen.frame, -2 * screen.frame.maps, "difference"), screen.selection
    )
    order = np.argsort(-np.abs(values))[:12].tolist()
    assert page.list.channels == (order if 0 in order else [*order, 0])
    assert [float(text.replace("−", "-")) for text in page.list.texts] == pytest.approx(
        3 * values[page.list.channels], rel=1e-3
    )
    assert "A − B, values at row 3, column 7, strongest first: 12 of 20 channels" in page.words()


def test_the_values_there_come_strongest_first():
    page = Page(stride_two(), layer="conv")
    page.click(3, 7)
    values = page.widget.feature_maps[3, 7]
    order = np.argsort(-values)
    expected = [*order[:12], *([0] if 0 not in order[:12] else [])]
    assert page.list.channels == expected
    assert [float(text.replace("−", "-")) for text in page.list.texts] == pytest.approx(
        values[page.list.channels], rel=1e-3
    )
    sizes = np.abs(values[page.list.channels])
    assert page.list.lengths == pytest.approx(values[page.list.channels] / sizes.max())
    assert "row 3, column 7, strongest first: 12 of 20 channels" in page.words()
    page.list._handle_custom_msg({"type": "choose", "channel": int(order[4])}, [])
    assert page.widget.channel == order[4]
    assert page.list.chosen == order[4]
    assert page.list.channels == order[:12].tolist()


def test_a_pixel_is_followed_from_layer_to_layer_and_dropped_by_another_click():
    page = Page(stride_two(), layer="conv")
    page.click(10, 12)
    page.widget.layer = "half"  # unit r depends on rows 2r - 2 to 2r + 4
    assert page.marked() == pytest.approx((3, 4, 7, 8))
    assert "4 × 4 of 9 × 11 positions" in page.words()
    nearest = page.widget._screen.selection.unit
    assert nearest is not None
    row, column = nearest.row, nearest.column
    assert 3 <= row < 7
    assert 4 <= column < 8
    assert abs(2 * row + 1 - 10) <= 1
    assert len(page.list.channels) == 4
    page.widget.layer = "all"
    assert page.marked() == pytest.approx((0, 0, 1, 1))
    page.widget.layer = "conv"
    assert page.widget._screen.selection.unit == Unit(0, 10, 12)
    page.widget._screen.interactions.pin(Unit(1, 2, 3))
    assert page.panel.layout.display == "none"
    assert page.detail.mark == page.picture.mark == []
    assert page.widget._screen.selection.unit is not None


def test_a_hover_does_not_compute_the_projective_field_again(monkeypatch):
    page = Page(stride_two(), layer="conv")
    page.click(10, 12)
    computed: list[tuple[int, ...]] = []
    lookout = page.widget._screen.receptive_fields
    answer = lookout.projective_field

    def counted(frame: Any, *pixel: int) -> Any:
        computed.append(pixel)
        return answer(frame, *pixel)

    monkeypatch.setattr(lookout, "projective_field", counted)
    for x in range(60, 160, 5):
        page.detail._receive(page.detail, {"type": "hover", "x": x, "y": 100}, [])
    assert page.widget._screen.selection.unit != Unit(0, 10, 12)
    assert computed == []
    page.widget.channel = 1
    assert computed == [(10, 12)]


def test_a_picture_of_another_size_has_other_pixels():
    page = Page(zoo.free_size(), layer="conv")
    page.click(12, 6)
    page.widget._add_image("same size", encoded(PICTURE[::-1].copy()))
    assert page.picture.mark != []
    page.widget._add_image("wide", encoded(np.zeros((10, 50, 3), np.uint8)))
    assert page.picture.mark == page.detail.mark == []
    assert page.panel.layout.display == "none"


def test_a_pixel_of_no_unit_and_an_unknown_field_are_stated():
    step = keras.Sequential([keras.Input((20, 24, 3)), layers.Conv2D(2, 1, strides=3, name="conv")])
    page = Page(step)
    page.click(1, 1)
    assert "row 1, column 1 of the picture: no position of these maps sees it" in page.words()
    assert page.list.channels == page.detail.mark == []
    assert page.widget._screen.selection.unit is None
    hidden = Page(zoo.compiled_layer(), layer="relu")
    hidden.click(5, 5)
    assert (
        "Receptive fields are unavailable: that of layer 'hidden' (Hidden) is not defined in fmwidget."
        in hidden.words()
    )
    assert hidden.list.channels == []
    holes = keras.Sequential([keras.Input((20, 24, 3)), layers.Conv2D(2, 2, dilation_rate=3)])
    gaps = Page(holes)
    gaps.click(8, 8)
    assert "seen from 4 × 4 of 17 × 21 positions, with gaps" in gaps.words()


def test_arrow_keys_move_the_pixel():
    page = Page(stride_two(), layer="conv")
    nudge = {"type": "nudge", "rows": 1, "columns": 0}
    page.picture._receive(page.picture, nudge, [])
    until(lambda: "finding out" not in page.title.value)
    assert "row 11, column 12 of the picture" in page.words()  # starting in the middle
    page.click(19, 23)
    page.picture._receive(page.picture, nudge, [])
    assert "row 19, column 23 of the picture" in page.words()


def test_the_page_may_choose_only_what_is_listed(caplog):
    listed = ChannelList(channels=[3, 1])
    chosen: list[int] = []
    listed.on_choice(chosen.append)
    for bad in ({"type": "choose", "channel": 2}, {"type": "choose", "channel": "1"}, {}, None, "choose", 5):
        listed._handle_custom_msg(bad, [])
    listed._handle_custom_msg({"type": "choose", "channel": 3}, [])
    listed.set_state({"channels": [9]})
    assert chosen == [3]
    assert listed.channels == [3, 1]
    assert len(caplog.records) == 7


def test_nan_comes_before_all_others_and_has_no_bar():
    values = np.array([1, np.nan, -np.inf, 5, np.inf, -2], np.float32)
    assert strongest(values, 0) == [1, 4, 3, 0, 5, 2]
    assert bar_lengths(values) == pytest.approx([0.2, 0, -1, 1, 1, -0.4])
    assert bar_lengths(np.zeros(3)) == [0, 0, 0]
    assert strongest(np.arange(20.0), 2) == [*range(19, 7, -1), 2]
