"""The Python half of the front-end pieces: what they show, and that nothing the browser sends does harm."""

from __future__ import annotations

import collections
import logging
import math
import pathlib
import re
from typing import Any

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

import fmwidget.frontend.picture_view
from fmwidget.frontend.bundle import EXPORT, FOLDER, IMPORT, joined
from fmwidget.frontend.messages import (
    MAX_ID,
    MAX_PLACES,
    MAX_PX,
    MAX_VALUES,
    Close,
    Hover,
    HoveredUnit,
    Nudge,
    Open,
    Pin,
    Place,
    Point,
    Window,
    asked_by,
    parse_message,
)
from fmwidget.frontend.picture_view import PictureView
from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from fmwidget.pipeline import DisplayContext
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
                *("point", "hover", "place", "nudge", "release", "open"),
                *("unit", "pin", "window", "close", "display"),
            )
        )
        | junk
    },
    optional=dict.fromkeys(
        ("x", "y", "place", "row", "column", "rows", "columns", "ratio", "dark", "width", "id"), junk
    ),
)


@pytest.fixture(name="sent")
def recorded_messages(monkeypatch) -> list[dict[str, Any]]:
    """The messages that widgets send to the front end during the test."""
    messages: list[dict[str, Any]] = []

    def record(widget, message, **_buffers):
        if widget.comm is not None:  # else nothing would be sent: the widget is being made
            messages.append(message)

    monkeypatch.setattr("ipywidgets.Widget._send", record)
    return messages


def from_browser(widget, **state):
    """Delivers traits the way a kernel does."""
    widget._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})


@given(x=pixels, y=pixels, place=st.integers(0, MAX_PLACES), ratio=st.floats(0.0625, 16), dark=st.booleans())
def test_what_the_view_means_to_say_is_understood(x, y, place, ratio, dark):
    assert parse_message({"type": "point", "x": x, "y": y}) == Point(x, y)
    assert parse_message({"type": "hover", "x": x, "y": y, "id": "a-1"}) == Hover(Point(x, y))
    assert parse_message({"type": "hover", "id": "a-1"}) == Hover(None)
    assert parse_message({"type": "place", "place": place}) == Place(place)
    assert parse_message({"type": "open", "place": place, "id": "a"}) == Open(place)
    assert parse_message({"type": "open"}) == Open(None)
    assert parse_message({"type": "unit", "row": 0, "column": place % 9}) == HoveredUnit((0, place % 9))
    assert parse_message({"type": "unit", "id": "a"}) == HoveredUnit(None)
    assert parse_message({"type": "pin", "row": place % 7, "column": 3}) == Pin((place % 7, 3))
    window = {"type": "window", "row": 1, "column": 2, "rows": 20, "columns": 30}
    assert parse_message(window) == Window(1, 2, 20, 30)
    assert parse_message({"type": "close"}) == Close()
    assert parse_message({"type": "nudge", "rows": -3, "columns": place % 9}) == Nudge(-3, place % 9)
    display = {"type": "display", "ratio": ratio, "dark": dark, "width": 848}
    assert parse_message(display) == DisplayContext(ratio, dark, 848)


@given(junk | almost)
def test_whatever_else_comes_is_nothing_or_within_bounds(content):
    assert 0 < len(asked_by(content) or "none") <= MAX_ID
    match parse_message(content):
        case None | Hover(None) | Open(None) | HoveredUnit(None) | Close():
            pass
        case Point(x, y) | Hover(Point(x, y)):
            assert 0 <= x <= MAX_PX
            assert 0 <= y <= MAX_PX
        case Place(place) | Open(int(place)):
            assert 0 <= place <= MAX_PLACES
        case HoveredUnit((row, column)) | Pin((row, column)):
            assert 0 <= min(row, column) <= max(row, column) <= MAX_PX
        case Window(row, column, rows, columns):
            assert min(row, column) >= 0
            assert 0 < rows * columns <= MAX_VALUES
        case Nudge(rows, columns):
            assert max(abs(rows), abs(columns)) <= MAX_PX
        case DisplayContext(ratio, dark, width):
            assert 0 < ratio <= 16
            assert dark in (True, False)
            assert 1 <= width <= MAX_PX


@pytest.mark.parametrize(
    "content",
    [
        {"type": "point", "x": math.nan, "y": 1},
        {"type": "point", "x": math.inf, "y": 1},
        {"type": "point", "x": -1, "y": 1},
        pytest.param({"type": "point", "x": HUGE, "y": 1}, id="huge"),
        {"type": "point", "x": True, "y": 1},
        {"type": "point", "x": "1", "y": 1},
        {"type": "point", "x": 1},
        {"type": ["point"], "x": 1, "y": 1},
        {"type": "hover", "x": 1},
        {"type": "hover", "x": None, "y": None},
        {"type": "hover", "x": math.nan, "y": 1},
        {"type": "place", "place": -1},
        {"type": "place", "place": 1.5},
        {"type": "place", "place": True},
        pytest.param({"type": "place", "place": HUGE}, id="no such place"),
        {"type": "open", "place": -1},
        {"type": "open", "place": None},
        {"type": "unit", "row": 1},
        {"type": "pin"},
        {"type": "pin", "row": 0.5, "column": 1},
        {"type": "window", "row": 0, "column": 0, "rows": 100, "columns": 100},
        {"type": "window", "row": 0, "column": 0, "rows": 0, "columns": 1},
        {"type": "window", "row": -1, "column": 0, "rows": 1, "columns": 1},
        {"type": "nudge", "rows": 1},
        {"type": "nudge", "rows": 1, "columns": math.inf},
        {"type": "nudge", "rows": MAX_PX + 1, "columns": 0},
        {"type": "display", "ratio": 0, "dark": True, "width": 848},
        {"type": "display", "ratio": 1, "dark": 1, "width": 848},
        {"type": "display", "ratio": 1, "dark": True, "width": 0},
        {"type": "__init__"},
        {},
        [],
        None,
        "point",
    ],
)
def test_a_message_that_means_nothing_is_ignored_and_logged_once(content, caplog):
    view = PictureView()
    calls: list[Any] = []
    for listen in (
        view.on_point,
        view.on_hover,
        view.on_place,
        view.on_nudge,
        view.on_release,
        view.on_open,
        view.on_display,
    ):
        listen(lambda *arguments: calls.append(arguments))
    with caplog.at_level(logging.DEBUG, "fmwidget"):
        view._handle_custom_msg(content, [])
    assert calls == []
    assert len(caplog.records) == 1
    assert len(caplog.text) < 1000
    assert caplog.text.count("\n") == 1


def test_each_callback_hears_of_its_own_kind_only():
    view = PictureView()
    points: list[Any] = []
    places: list[int] = []
    nudges: list[Any] = []
    released: list[None] = []
    display: list[DisplayContext] = []
    view.on_release(lambda: released.append(None))
    view.on_point(lambda x, y: points.append((x, y)))
    view.on_point(lambda x, y: points.append((y, x)))
    view.on_place(places.append)
    view.on_nudge(lambda rows, columns: nudges.append((rows, columns)))
    view.on_display(display.append)
    view._handle_custom_msg({"type": "point", "x": 3.5, "y": 4}, [])
    view._handle_custom_msg({"type": "place", "place": 130}, [])
    view._handle_custom_msg({"type": "nudge", "rows": 0, "columns": -2}, [])
    view._handle_custom_msg({"type": "release"}, [])
    view._handle_custom_msg({"type": "display", "ratio": 2, "dark": True, "width": 600.7}, [])
    assert released == [None]
    assert points == [(3.5, 4.0), (4.0, 3.5)]
    assert places == [130]
    assert nudges == [(0, -2)]
    assert display == [DisplayContext(2.0, dark=True, width=600)]


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


def test_the_browser_is_told_what_is_listened_to(sent):
    view = PictureView()
    view.on_place(lambda _place: None)
    view.on_place(lambda _place: None)
    view.on_display(lambda _display: None)
    assert [message["state"] for message in sent] == [
        {"_listening": ["place"]},
        {"_listening": ["place", "display"]},
    ]


def test_a_picture_and_what_belongs_to_it_travel_in_one_message(sent):
    view = PictureView(label="Feature maps")
    tiles = grid_layout((5, 5, 32)).tiles()
    view.show(b"png", 848, 600.5, alt="32 maps", mark=(1, 2, 3, 4), tiles=tiles, place=7)
    assert [message["method"] for message in sent] == ["update"]
    assert sent[0]["buffer_paths"] == [["png"]]
    assert sent[0]["state"] == {
        "width": 848.0,
        "height": 600.5,
        "alt": "32 maps",
        "mark": [1.0, 2.0, 3.0, 4.0],
        "tiles": tiles,
        "place": 7,
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
    from_browser(view, alt="<b>theirs</b>", _esm="alert(1)", _listening=["point"], png=None)
    assert (view.png, view.alt, view._esm, view._listening) == (b"ours", "ours", code, [])
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
    # The browser is told what is chosen still, or it would go on showing what was refused.
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

    with pytest.raises(traitlets.TraitError, match="1 pictures"):
        picker.offer(["f"], [b"6"], value=1)
    assert (picker.names, picker.value) == (["c", "d", "e"], 2)


def test_fewer_names_drop_a_choice_that_is_gone():
    picker = ThumbnailPicker(names=["a", "b"], thumbs=[b"", b""], value=1)
    picker.names = ["a"]
    assert picker.value == -1


@pytest.mark.parametrize("widget", [PictureView, ThumbnailPicker])
def test_the_front_end_comes_from_the_package(widget):
    package = pathlib.Path(fmwidget.frontend.picture_view.__file__).parent
    thumbnails = (package / "js" / "thumbnails.js").read_text(encoding="utf-8")
    assert widget()._esm == (joined("view.js") if widget is PictureView else thumbnails)
    sheets = [path.read_text(encoding="utf-8") for path in (package / "css").iterdir()]
    assert all(widget()._css.count(sheet) == 1 for sheet in sheets)
    assert max(len(sheet.splitlines()) for sheet in sheets) < 200


MODULES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}


def test_joined_modules_hold_each_module_once_and_no_import():
    whole = joined("view.js")
    assert "import " not in whole
    assert re.findall(r"^export.*", whole, re.MULTILINE) == ["export default { render };"]
    for name, text in MODULES.items():
        first = text.splitlines()[0]
        assert whole.count(first) <= 1, name
    # What a module uses at once, not only in functions that are called later, is there before it.
    assert (
        whole.index("function element(") < whole.index("function outlines(") < whole.index("function render(")
    )


@pytest.mark.parametrize("name", MODULES)
def test_modules_keep_to_what_can_be_joined(name):
    text = MODULES[name]
    assert len(text.splitlines()) < 200
    imports = IMPORT.findall(text)
    assert len(imports) == len(re.findall(r"\bimport\b", text))
    exports = EXPORT.findall(text)
    assert len(exports) == len(re.findall(r"^export (?!default)", text, re.MULTILINE))
    for names, other in imports:
        wanted = {one.strip() for one in names.split(",") if one.strip()}
        assert wanted <= set(EXPORT.findall(MODULES[other])), f"{name} imports what {other} does not export"


ENTRIES = [name for name, text in MODULES.items() if "export default" in text]


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_two_modules_give_one_name_to_different_things(entry):
    top = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
    names = collections.Counter(top.findall(joined(entry)))
    assert [name for name, count in names.items() if count > 1] == []
