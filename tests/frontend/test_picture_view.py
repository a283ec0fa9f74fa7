"""The Python half of the front-end pieces: the state they send, and harmless handling of any message."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

from fmwidget.frontend.messages import (
    MAX_ID,
    MAX_PX,
    MAX_STEPS,
    MAX_TILES,
    MAX_VALUES,
    ChooseTile,
    Click,
    CloseZoom,
    Flip,
    Hover,
    HoverUnit,
    Nudge,
    OpenChannel,
    PinUnit,
    Point,
    Step,
    Unpin,
    ValuesRequest,
    message_id,
    parse_message,
)
from fmwidget.frontend.picture_view import PictureView
from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from fmwidget.frontend.zoom_view import ZoomView
from fmwidget.pipeline.frame import DisplayContext
from fmwidget.rendering.grid_layout import grid_layout

HUGE = 10**5000  # more digits than Python writes out

pixels = st.floats(0, MAX_PX) | st.integers(0, MAX_PX)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
almost = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            (
                *("click", "hover", "tile", "nudge", "unpin", "open"),
                *("unit", "pin", "values", "close", "display", "flip", "step"),
            )
        )
        | junk
    },
    optional=dict.fromkeys(
        ("x", "y", "tile", "row", "column", "rows", "columns", "ratio", "dark", "width", "id", "by"), junk
    ),
)


@pytest.fixture(name="sent")
def recorded_messages(monkeypatch) -> list[dict[str, Any]]:
    """Record the messages that widgets send to the front end during the test."""
    messages: list[dict[str, Any]] = []

    def record(widget, message, **_buffers):
        if widget.comm is not None:  # else nothing would be sent: the widget is under construction
            messages.append(message)

    monkeypatch.setattr("ipywidgets.Widget._send", record)
    return messages


def from_browser(widget, **state):
    """Deliver traits the way a kernel does."""
    widget._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})


@given(x=pixels, y=pixels, tile=st.integers(0, MAX_TILES), ratio=st.floats(0.0625, 16), dark=st.booleans())
def test_what_the_view_means_to_say_is_understood(x, y, tile, ratio, dark):
    assert parse_message({"type": "click", "x": x, "y": y}) == Click(Point(x, y))
    assert parse_message({"type": "hover", "x": x, "y": y, "id": "a-1"}) == Hover(Point(x, y))
    assert parse_message({"type": "hover", "id": "a-1"}) == Hover(None)
    assert parse_message({"type": "tile", "tile": tile}) == ChooseTile(tile)
    assert parse_message({"type": "open", "tile": tile, "id": "a"}) == OpenChannel(tile)
    assert parse_message({"type": "open"}) == OpenChannel(None)
    assert parse_message({"type": "unit", "row": 0, "column": tile % 9}) == HoverUnit((0, tile % 9))
    assert parse_message({"type": "unit", "id": "a"}) == HoverUnit(None)
    assert parse_message({"type": "pin", "row": tile % 7, "column": 3}) == PinUnit((tile % 7, 3))
    request = {"type": "values", "row": 1, "column": 2, "rows": 20, "columns": 30}
    assert parse_message(request) == ValuesRequest(1, 2, 20, 30)
    assert parse_message({"type": "close"}) == CloseZoom()
    assert parse_message({"type": "unpin"}) == Unpin()
    assert parse_message({"type": "flip", "id": "a"}) == Flip()
    assert parse_message({"type": "step", "by": -(tile % 9), "id": "a"}) == Step(-(tile % 9))
    assert parse_message({"type": "nudge", "rows": -3, "columns": tile % 9}) == Nudge(-3, tile % 9)
    display = {"type": "display", "ratio": ratio, "dark": dark, "width": 848}
    assert parse_message(display) == DisplayContext(ratio, dark, 848)


@given(junk | almost)
def test_whatever_else_comes_is_nothing_or_within_bounds(content):
    assert 0 < len(message_id(content) or "none") <= MAX_ID
    match parse_message(content):
        case None | Hover(None) | OpenChannel(None) | HoverUnit(None) | CloseZoom():
            pass
        case Click(Point(x, y)) | Hover(Point(x, y)):
            assert 0 <= x <= MAX_PX
            assert 0 <= y <= MAX_PX
        case ChooseTile(tile) | OpenChannel(int(tile)):
            assert 0 <= tile <= MAX_TILES
        case HoverUnit((row, column)) | PinUnit((row, column)):
            assert 0 <= min(row, column) <= max(row, column) <= MAX_PX
        case ValuesRequest(row, column, rows, columns):
            assert min(row, column) >= 0
            assert 0 < rows * columns <= MAX_VALUES
        case Nudge(rows, columns):
            assert max(abs(rows), abs(columns)) <= MAX_PX
        case Step(by):
            assert abs(by) <= MAX_STEPS
        case DisplayContext(ratio, dark, width):
            assert 0 < ratio <= 16
            assert dark in (True, False)
            assert 1 <= width <= MAX_PX


@pytest.mark.parametrize(
    "content",
    [
        {"type": "click", "x": math.nan, "y": 1},
        {"type": "click", "x": math.inf, "y": 1},
        {"type": "click", "x": -1, "y": 1},
        pytest.param({"type": "click", "x": HUGE, "y": 1}, id="huge"),
        {"type": "click", "x": True, "y": 1},
        {"type": "click", "x": "1", "y": 1},
        {"type": "click", "x": 1},
        {"type": ["click"], "x": 1, "y": 1},
        {"type": "hover", "x": 1},
        {"type": "hover", "x": None, "y": None},
        {"type": "hover", "x": math.nan, "y": 1},
        {"type": "tile", "tile": -1},
        {"type": "tile", "tile": 1.5},
        {"type": "tile", "tile": True},
        pytest.param({"type": "tile", "tile": HUGE}, id="no such tile"),
        {"type": "open", "tile": -1},
        {"type": "open", "tile": None},
        {"type": "unit", "row": 1},
        {"type": "pin"},
        {"type": "pin", "row": 0.5, "column": 1},
        {"type": "values", "row": 0, "column": 0, "rows": 100, "columns": 100},
        {"type": "values", "row": 0, "column": 0, "rows": 0, "columns": 1},
        {"type": "values", "row": -1, "column": 0, "rows": 1, "columns": 1},
        {"type": "nudge", "rows": 1},
        {"type": "nudge", "rows": 1, "columns": math.inf},
        {"type": "nudge", "rows": MAX_PX + 1, "columns": 0},
        {"type": "step"},
        {"type": "step", "by": 0.5},
        {"type": "step", "by": True},
        {"type": "step", "by": MAX_STEPS + 1},
        {"type": "display", "ratio": 0, "dark": True, "width": 848},
        {"type": "display", "ratio": 1, "dark": 1, "width": 848},
        {"type": "display", "ratio": 1, "dark": True, "width": 0},
        {"type": "__init__"},
        {},
        [],
        None,
        "click",
    ],
)
def test_a_message_that_means_nothing_is_ignored_and_logged_once(content, caplog):
    view = PictureView()
    calls: list[Any] = []
    for add in (
        view.on_click,
        view.on_hover,
        view.on_tile,
        view.on_nudge,
        view.on_unpin,
        view.on_open,
        view.on_display,
        view.on_flip,
        view.on_step,
    ):
        add(lambda *arguments: calls.append(arguments))
    with caplog.at_level(logging.DEBUG, "fmwidget"):
        view._handle_custom_msg(content, [])
    assert calls == []
    assert len(caplog.records) == 1
    assert len(caplog.text) < 1000
    assert caplog.text.count("\n") == 1


def test_each_callback_gets_messages_of_its_own_type_only():
    view = PictureView()
    points: list[Any] = []
    tiles: list[int] = []
    nudges: list[Any] = []
    released: list[None] = []
    display: list[DisplayContext] = []
    view.on_unpin(lambda: released.append(None))
    view.on_click(lambda x, y: points.append((x, y)))
    view.on_click(lambda x, y: points.append((y, x)))
    view.on_tile(tiles.append)
    view.on_nudge(lambda rows, columns: nudges.append((rows, columns)))
    view.on_display(display.append)
    view._handle_custom_msg({"type": "click", "x": 3.5, "y": 4}, [])
    view._handle_custom_msg({"type": "tile", "tile": 130}, [])
    view._handle_custom_msg({"type": "nudge", "rows": 0, "columns": -2}, [])
    view._handle_custom_msg({"type": "unpin"}, [])
    view._handle_custom_msg({"type": "display", "ratio": 2, "dark": True, "width": 600.7}, [])
    assert released == [None]
    assert points == [(3.5, 4.0), (4.0, 3.5)]
    assert tiles == [130]
    assert nudges == [(0, -2)]
    assert display == [DisplayContext(2.0, dark=True, width=600)]


@pytest.mark.parametrize("view", [PictureView(), ZoomView()], ids=["picture", "zoom view"])
def test_both_views_of_maps_report_flips_and_steps(view):
    assert not {"flip", "step"} & set(view._events)
    calls: list[Any] = []
    view.on_flip(lambda: calls.append("flip"))
    view.on_step(calls.append)
    assert view._events == ["flip", "step"]
    for content in ({"type": "step", "by": -2}, {"type": "flip"}, {"type": "step", "by": 1}):
        view._handle_custom_msg(content, [])
    assert calls == [-2, "flip", 1]


def test_what_is_asked_is_answered_once_all_has_been_done_whatever_happens(sent):
    view = PictureView()
    order: list[Any] = []

    def show(point: Point | None) -> None:
        order.append(point)
        view.readout = f"at {point}"
        if point is None:
            raise ZeroDivisionError

    view.on_hover(show)
    sent.clear()
    view._handle_custom_msg({"type": "hover", "x": 3, "y": 4, "id": "v-1"}, [])
    with pytest.raises(ZeroDivisionError):
        view._receive(view, {"type": "hover", "id": "v-2"}, [])
    view._handle_custom_msg({"type": "hover", "x": -3, "y": 4, "id": "v-3"}, [])
    assert order == [Point(3.0, 4.0), None]
    assert [message.get("state", message.get("content")) for message in sent] == [
        {"readout": "at Point(x=3.0, y=4.0)"},
        {"type": "answered", "id": "v-1"},
        {"readout": "at None"},
        {"type": "answered", "id": "v-2"},
        {"type": "answered", "id": "v-3"},
    ]
    for nothing in ("", "x" * (MAX_ID + 1), 7, None, ["a"]):
        view._handle_custom_msg({"type": "hover", "x": 3, "y": 4, "id": nothing}, [])
    assert len(order) == 7
    assert sum(message["method"] == "custom" for message in sent) == 3


def test_the_browser_receives_the_events_that_have_callbacks(sent):
    view = PictureView()
    view.on_tile(lambda _tile: None)
    view.on_tile(lambda _tile: None)
    view.on_display(lambda _display: None)
    assert [message["state"] for message in sent] == [
        {"_events": ["tile"]},
        {"_events": ["tile", "display"]},
    ]


def test_a_picture_and_what_belongs_to_it_travel_in_one_message(sent):
    view = PictureView(label="Feature maps")
    tiles = grid_layout((5, 5, 32)).tiles()
    view.show(b"png", 848, 600.5, alt="32 maps", mark=(1, 2, 3, 4), tiles=tiles, tile=7)
    assert [message["method"] for message in sent] == ["update"]
    assert sent[0]["buffer_paths"] == [["png"]]
    assert sent[0]["state"] == {
        "width": 848.0,
        "height": 600.5,
        "alt": "32 maps",
        "mark": [1.0, 2.0, 3.0, 4.0],
        "tiles": tiles,
        "tile": 7,
    }


@pytest.mark.parametrize("trait", ["mark", "region"])
@pytest.mark.parametrize(
    "value",
    [[1, 2, 3], [1, 2, 3, 4, 5], [0, 0, -1, 1], [math.nan, 0, 1, 1], ["1", 0, 1, 1], [0, 2 * MAX_PX, 1, 1]],
)
def test_an_outline_that_is_no_box_raises_and_changes_nothing(trait, value):
    view = PictureView(**{trait: [1, 2, 3, 4]})
    with pytest.raises(traitlets.TraitError, match=trait):
        setattr(view, trait, value)
    assert getattr(view, trait) == [1, 2, 3, 4]


def test_a_region_may_reach_beyond_the_picture_and_a_mark_may_not():
    view = PictureView()
    view.region = [-20, -5.5, 1000, 30]
    assert view.region == [-20, -5.5, 1000, 30]
    with pytest.raises(traitlets.TraitError, match="mark"):
        view.mark = [-1, 0, 1, 1]


def test_the_browser_cannot_set_a_picture(caplog):
    view = PictureView(png=b"ours", alt="ours")
    code = view._esm
    from_browser(view, alt="<b>theirs</b>", _esm="alert(1)", _events=["click"], png=None)
    assert (view.png, view.alt, view._esm, view._events) == (b"ours", "ours", code, [])
    assert len(caplog.records) == 1


@pytest.mark.parametrize("value", [-2, 3, pytest.param(HUGE, id="huge"), 1.5, "1", None, True, [1]])
def test_a_choice_out_of_range_is_refused(value, caplog, sent):
    picker = ThumbnailPicker(names=["a", "b", "c"], thumbs=[b""] * 3, value=1)
    with pytest.raises(traitlets.TraitError, match="value"):
        picker.value = value
    assert picker.value == 1

    from_browser(picker, value=value)
    assert picker.value == 1
    assert len(caplog.records) == 1
    # The browser is sent the current choice, or it would go on showing the refused one.
    assert [message["state"] for message in sent] == [{"value": 1}]


def test_the_browser_can_set_the_choice_and_nothing_else():
    picker = ThumbnailPicker(names=["a", "b", "c"], thumbs=[b""] * 3)
    from_browser(picker, value=2)
    assert picker.value == 2
    from_browser(picker, value=0, names=["a"])
    from_browser(picker, names=["a"])
    from_browser(picker, _esm="alert(1)")
    assert (picker.value, picker.names) == (2, ["a", "b", "c"])


def test_other_pictures_are_offered_in_one_message_and_one_change(sent):
    picker = ThumbnailPicker(names=["a", "b"], thumbs=[b"1", b"2"], value=1)
    seen = []
    picker.observe(lambda change: seen.append((change.new, picker.names)), names="value")
    picker.offer(["c", "d", "e"], [b"3", b"4", b"5"], value=2)
    assert seen == [(2, ["c", "d", "e"])]
    assert len(sent) == 1

    with pytest.raises(traitlets.TraitError, match="below 1"):
        picker.offer(["f"], [b"6"], value=1)
    assert (picker.names, picker.value) == (["c", "d", "e"], 2)


def test_fewer_names_drop_a_choice_that_is_gone():
    picker = ThumbnailPicker(names=["a", "b"], thumbs=[b"", b""], value=1)
    picker.names = ["a"]
    assert picker.value == -1
