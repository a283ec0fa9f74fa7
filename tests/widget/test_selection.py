"""The unit under the pointer: where it lies, held against the drawing, and its readout."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fmwidget import FeatureMapWidget
from fmwidget.analysis.channel_stats import channel_statistics
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.formatting import channel_text, unit_text, value_text
from fmwidget.rendering.grid_layout import grid_layout
from fmwidget.rendering.palette import STEPS
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.jupyter.widget_tree import child_widgets
from fmwidget.widget.panels.maps import ChannelPanel
from fmwidget.widget.selection import Selection
from tests.support import zoo

sides = st.integers(1, 12) | st.integers(1, 400)


def one_unit(shape, unit):
    """Return maps of one unit that is not zero."""
    maps = np.zeros(shape, np.float32)
    maps[unit.row, unit.column, unit.channel] = 1
    return maps


def lit(page):
    """Return the device pixels, row and column, that hold some of the unit that is not zero."""
    indices = page.indices
    return {tuple(each) for each in np.argwhere((indices > 0) & (indices < STEPS)).tolist()}


def check(found_at, page, unit, *, shrink, area, around):
    """Check that a unit is found at the pixels that hold it, and nowhere else.

    Args:
        found_at: Function of a point in CSS px that returns the unit found there.
        page: The page, with the unit drawn.
        unit: The unit.
        shrink: The number of units along each side that a pixel may average.
        area: The expected area of the unit.
        around: Pixels to check.
    """
    ratio, pixels = page.ratio, lit(page)
    assert pixels, "the unit is not seen at all"
    for row, column in pixels:
        found = found_at((column + 0.5) / ratio, (row + 0.5) / ratio)
        assert found is not None
        assert found.channel == unit.channel
        assert max(abs(found.row - unit.row), abs(found.column - unit.column)) < shrink
    if shrink > 1:  # it has its own part of those pixels
        parts = (np.arange(2 * shrink) + 0.5) / (2 * shrink)
        places = [(column + x, row + y) for row, column in pixels for x in parts for y in parts]
        assert unit in {found_at(x / ratio, y / ratio) for x, y in places}
    for row, column in around:
        if found_at((column + 0.5) / ratio, (row + 0.5) / ratio) == unit:
            assert (row, column) in pixels
    # The outline surrounds these pixels: all of them if they hold nothing else, or the unit's part of them.
    x, y, width, height = (edge * ratio for edge in area)
    rows, columns = zip(*pixels, strict=True)
    assert min(rows) <= y + 1e-6
    assert y + height <= max(rows) + 1 + 1e-6
    assert min(columns) <= x + 1e-6
    assert x + width <= max(columns) + 1 + 1e-6
    if shrink == 1:
        assert (width, height) == pytest.approx((np.ptp(columns) + 1, np.ptp(rows) + 1))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), height=sides, width=sides, count=st.integers(1, 40), ratio=st.integers(1, 2))
def test_the_unit_at_a_point_is_the_one_that_is_drawn_there(data, height, width, count, ratio):
    shape = (height, width, count)
    ncols, page_width = data.draw(st.integers(1, 16)), data.draw(st.integers(200, 500))
    order = data.draw(st.permutations(range(count)))
    layout = grid_layout(shape, width=page_width, ncols=ncols, max_rows=3, order=order)
    assume(layout.sampling.shrink <= 14)  # the mean of more units, one of them 1, is drawn as none
    unit = Unit(*(data.draw(st.integers(0, side - 1)) for side in (count, height, width)))
    number, maps = layout.page_of(unit.channel), one_unit(shape, unit)
    page = draw_grid(
        layout,
        maps,
        channel_statistics(maps),
        path="",
        type_name="",
        norm="channel",
        page=number,
        ratio=ratio,
    )
    page.indices[: layout.tile_box(layout.order[0]).y * ratio - 2] = 0  # above it is no map
    x, y, wide, high = layout.tile_box(unit.channel)
    rows = np.random.default_rng(0).integers((y - 3) * ratio, (y + high + 3) * ratio, 200)
    columns = np.random.default_rng(1).integers((x - 3) * ratio, (x + wide + 3) * ratio, 200)

    def found_at(x, y):
        return layout.unit_at(x, y, number, ratio)

    around = zip(rows.tolist(), columns.tolist(), strict=True)
    check(
        found_at,
        page,
        unit,
        shrink=layout.sampling.shrink,
        area=layout.unit_box(unit, ratio),
        around=around,
    )
    assert found_at(x + wide / 2, y - 4) is None  # its label


@settings(max_examples=25, deadline=None)
@given(data=st.data(), height=sides, width=sides, ratio=st.integers(1, 2))
def test_the_unit_in_the_large_picture_is_the_one_that_is_drawn_there(data, height, width, ratio):
    unit = Unit(0, *(data.draw(st.integers(0, side - 1)) for side in (height, width)))
    maps = one_unit((height, width, 1), unit)
    page = draw_channel(maps, 0, channel_statistics(maps), norm="channel", ratio=ratio)
    if maps.size > 1:  # the title and the colour bar are those of another unit too
        another = np.roll(maps, maps.size // 2).reshape(maps.shape)
        other = draw_channel(another, 0, channel_statistics(another), norm="channel", ratio=ratio)
        assume(not np.array_equal(page.indices, other.indices))  # both in one averaged block
        page.indices[page.indices == other.indices] = 0
    panel, frame = ChannelPanel(), frame_of(maps, ratio=ratio)
    panel._frame = frame  # drawn above
    panel.update(frame, Selection(unit))

    def found_at(x, y):
        return panel.unit_at(frame, x, y)

    around = np.random.default_rng(0).integers(0, min(page.indices.shape), (200, 2)).tolist()
    check(found_at, page, unit, shrink=-(-max(height, width) // 300), area=panel.box.region, around=around)


def frame_of(maps, *, channel=0, ratio=1) -> Any:
    layout = grid_layout(maps.shape)
    return SimpleNamespace(maps=maps, channel=channel, ratio=ratio, layout=layout, page=0, contrast=None)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_value_is_written_so_that_it_reads_back(value):
    for kind in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        with np.errstate(over="ignore"):
            number = kind(value)
        if np.isfinite(number):
            assert kind(float(value_text(number))) == number
    assert int(value_text(np.int32(-7))) == -7
    assert value_text(np.float32(0.1)) == "0.1"


def test_what_is_no_number_is_a_word():
    maps = np.array([[[np.nan], [np.inf], [-np.inf]]], np.float32)
    assert [unit_text(maps, Unit(0, 0, column)).split()[-1] for column in range(3)] == ["NaN", "+inf", "-inf"]
    assert unit_text(maps, None) == ""


def test_parts_of_the_line_keep_their_places():
    maps = np.zeros((7, 120, 64), np.float32)
    lines = {unit_text(maps, Unit(*each)) for each in [(0, 0, 0), (63, 6, 119), (7, 3, 12)]}
    assert "channel 63  row 6  column 119  value 0.0" in lines
    for part in ("channel", "row", "column", "value"):
        assert len({line.index(part) for line in lines}) == 1


# In the widget

PICTURES = {name: np.random.default_rng(seed).integers(0, 256, (30, 36, 3)) for seed, name in enumerate("ab")}


class Follower:
    """A panel that records its updates: each new frame, and each unit."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel  # gets the same updates
        self.updates: list[Any] = []
        self.frame: Any = None

    def update(self, frame: Any, selection: Selection) -> None:
        self.panel.update(frame, selection)
        if frame is not self.frame:
            self.frame = frame
            self.updates.append("frame")
        self.updates.append(selection.unit)


@pytest.fixture(name="widget", scope="module")
def shown_widget():
    keras.utils.set_random_seed(7)
    made = FeatureMapWidget(zoo.sequential(), {k: v.astype("uint8") for k, v in PICTURES.items()})
    yield made
    made.close()


@pytest.fixture(name="follower")
def panel_that_follows(widget):
    panels = widget._screen.panels
    follower = Follower(panels.numbers)
    widget._screen.panels = panels._replace(numbers=follower)
    widget.layer, widget.channel, widget.image = "conv", 0, "a"
    send(widget._screen.panels.grid, "click", 1, 1)  # beside all tiles
    follower.updates.clear()
    yield follower
    widget._screen.panels = panels


def send(panel, kind, *place):
    """Click a panel's picture, or point at it, as the browser does."""
    content = {"type": kind, "id": "x", **dict(zip("xy", place, strict=False))}
    panel.box._handle_custom_msg(content, [])


def centre(widget, unit):
    """Return a unit's position in the grid, in CSS px."""
    x, y, width, height = widget._screen.frame.layout.unit_box(unit, widget._screen.frame.ratio)
    return x + width / 2, y + height / 2


def test_panels_that_follow_the_pointer_are_told_and_nothing_is_drawn(widget, follower):
    pictures = [part.png for part in child_widgets(widget) if hasattr(part, "png")]
    unit = Unit(3, 5, 7)
    send(widget._screen.panels.grid, "hover", *centre(widget, unit))
    send(widget._screen.panels.grid, "hover", 1, 1)
    send(widget._screen.panels.detail, "hover", 8 + 150, 42 + 100)
    send(widget._screen.panels.detail, "hover")
    assert follower.updates[:2] == [unit, None]
    assert follower.updates[2].channel == widget.channel
    assert follower.updates[3:] == [None]
    assert [part.png for part in child_widgets(widget) if hasattr(part, "png")] == pictures


def test_the_readout_is_the_value_that_the_model_computed(widget, follower):
    for unit in (Unit(3, 5, 7), Unit(0, 17, 21)):
        send(widget._screen.panels.grid, "hover", *centre(widget, unit))
        value = widget.feature_maps[unit.row, unit.column, unit.channel]
        words = widget._screen.panels.grid.box.readout.split()
        assert words[1::2] == [str(unit.channel), str(unit.row), str(unit.column), repr(float(words[-1]))]
        assert np.float32(words[-1]) == value
        assert widget._screen.panels.detail.box.readout.split()[1] == str(widget.channel)
    send(widget._screen.panels.grid, "hover")
    assert widget._screen.panels.grid.box.readout.startswith("channel 0  min ")
    assert widget._screen.panels.detail.box.readout == ""
    assert widget._screen.panels.grid.box.region == widget._screen.panels.detail.box.region == []


def test_a_click_pins_a_unit_which_then_follows_the_channel(widget, follower):
    unit = Unit(2, 4, 6)
    send(widget._screen.panels.grid, "hover", *centre(widget, unit))
    send(widget._screen.panels.grid, "click", *centre(widget, unit))
    send(widget._screen.panels.grid, "hover", *centre(widget, Unit(1, 0, 0)))
    assert (widget.channel, widget._screen.selection.unit) == (2, Unit(1, 0, 0))
    send(widget._screen.panels.grid, "hover")
    assert widget._screen.selection.unit == unit
    widget.channel = 1
    assert widget._screen.selection.unit == Unit(1, 4, 6)
    widget.image = "b"
    assert widget._screen.panels.grid.box.readout.endswith(value_text(widget.feature_maps[4, 6, 1]))
    shown = len(follower.updates) - follower.updates[::-1].index("frame")
    assert set(follower.updates[shown:]) == {Unit(1, 4, 6)}  # again when its field is known


def test_a_pinned_unit_is_dropped_where_maps_have_another_size(widget, follower):
    send(widget._screen.panels.grid, "click", *centre(widget, Unit(2, 0, 0)))
    widget.layer = "pool"
    assert widget._screen.selection.unit is None
    assert widget._screen.panels.grid.box.region == []
    widget.layer = "conv"
    assert widget._screen.selection.unit is None


def test_the_pointer_stays_where_it_is_when_the_maps_change_below_it(widget, follower):
    x, y = centre(widget, Unit(1, 1, 1))
    send(widget._screen.panels.grid, "hover", x, y)
    for layer in ("pool", "conv_1", "conv"):
        widget.layer = layer
        assert widget._screen.selection.unit == widget._screen.frame.layout.unit_at(
            x, y, 0, widget._screen.frame.ratio
        )


def test_a_click_on_the_large_picture_pins_and_a_click_beside_it_lets_go(widget, follower):
    widget.channel = 4
    send(widget._screen.panels.detail, "click", 10, 52)
    assert widget._screen.selection.unit == Unit(4, 0, 0)
    send(widget._screen.panels.detail, "click", 1, 1)
    assert widget._screen.selection.unit is None


@pytest.mark.parametrize("place", ["grid", "detail", "input"])
def test_a_key_releases_the_pinned_unit(widget, follower, place):
    boxes = {
        "grid": widget._screen.panels.grid.box,
        "detail": widget._screen.panels.detail.box,
        "input": widget._screen.panels.input.view,
    }
    widget.channel = 4
    send(widget._screen.panels.detail, "click", 10, 52)
    assert widget._screen.panels.grid.box.region
    boxes[place]._handle_custom_msg({"type": "unpin"}, [])
    assert widget._screen.selection.unit is None
    assert [each.region for each in boxes.values()] == [[], [], []]

    boxes["input"]._handle_custom_msg({"type": "click", "x": 30, "y": 30}, [])
    assert boxes["input"].mark
    boxes[place]._handle_custom_msg({"type": "unpin"}, [])
    assert [boxes["input"].mark, boxes["detail"].mark] == [[], []]
    assert widget.channel == 4


def test_keys_move_the_unit_within_the_chosen_map_and_stop_at_its_edges(widget, follower):
    widget.channel = 3
    height, width, _ = widget.feature_maps.shape
    nudges = [(0, 1), (1, 0), (-100, 0), (0, 100), (100, -1)]
    for rows, columns in nudges:
        content = {"type": "nudge", "rows": rows, "columns": columns, "id": "x"}
        widget._screen.panels.grid.box._handle_custom_msg(content, [])
    middle = ((height - 1) // 2, (width - 1) // 2)
    expected = [
        (middle[0], middle[1] + 1),
        (middle[0] + 1, middle[1] + 1),
        (0, middle[1] + 1),
        (0, width - 1),
        (height - 1, width - 2),
    ]
    assert follower.updates[2:] == [Unit(3, *unit) for unit in expected]
    assert widget._screen.panels.grid.box.readout.endswith(
        value_text(widget.feature_maps[height - 1, width - 2, 3])
    )


def test_the_line_speaks_of_the_chosen_channel_where_no_unit_is_pointed_at():
    maps = np.zeros((2, 2, 12), np.float32)
    maps[..., 1] = np.array([[0.5, 2], [-3, 0]])
    statistics = channel_statistics(maps)
    assert channel_text(statistics, 1) == "channel  1  min −3 · max 2"
    assert channel_text(statistics, 11) == "channel 11  inactive: zero everywhere"
