"""Untrusted input: names are text wherever they are shown, and messages do only what a user could."""

from __future__ import annotations

import html.parser
import io
import logging

import ipywidgets
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fmwidget import FeatureMapWidget
from fmwidget.widget.jupyter.visible_text import visible
from fmwidget.widget.jupyter.widget_tree import all_widgets, child_widgets

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}
HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;\"'"
TURNED = "cat\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
CONTROLS = "bell\x07 escape\x1b[31m null\x00 line\u2028"
HIDDEN = "\N{RIGHT-TO-LEFT OVERRIDE}\x07\x1b\x00\u2028"


@pytest.fixture
def named(tmp_path):
    """A widget all of whose names are hostile."""
    names = (HTML.replace("/", "\N{DIVISION SLASH}"), TURNED, CONTROLS.replace("\x00", ""))
    for seed, name in enumerate(names):
        Image.fromarray(PICTURES["one"] + np.uint8(seed)).save(tmp_path / f"{name}.png")
    picture = keras.Input((20, 24, 3))
    x = picture
    for name in (HTML.replace("/", ":"), TURNED, CONTROLS):
        x = keras.layers.Conv2D(3, 3, name=name)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(picture, keras.layers.Softmax()(x), name="m")
    model.name = f"<b>{TURNED}"
    widget = FeatureMapWidget(model, tmp_path, class_names=[HTML, TURNED, CONTROLS])
    yield widget
    widget.close()


class Tags(html.parser.HTMLParser):
    """Collect the names of tags and attributes, and the text, of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}

    def handle_data(self, data: str) -> None:
        self.text += data


def sent_to_the_page(widget):
    """Return every text that is sent to the front end, by its path."""

    def texts(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            for each in value:
                yield from texts(each)

    for part in all_widgets(widget):
        for name, value in part.get_state().items():
            if name not in ("_esm", "_css"):
                yield from ((part, name, text) for text in texts(value))


def test_names_are_text_wherever_they_are_shown(named):
    for layer in named.layers:
        named.layer = layer
        for image in named.images:
            named.image = image
            for part, name, text in sent_to_the_page(named):
                assert not set(HIDDEN) & set(text), (type(part).__name__, name, text)
                if isinstance(part, ipywidgets.HTML) and name == "value":
                    tags = Tags(text)
                    assert not tags.names & {"img", "script", "src", "onerror"}, text
    values = [text for _, _, text in sent_to_the_page(named)]
    for expected in (
        "<img src=x onerror=alert(1)>",
        "cat\N{REPLACEMENT CHARACTER}gnp.exe",
        "bell\u2407 escape\u241b[31m",
    ):
        assert any(expected in text for text in values), expected
        assert any(expected in Tags(text).text for text in values), expected


def test_names_keep_what_they_are_for_a_program(named):
    assert TURNED in named.layers
    named.layer = CONTROLS
    assert named.layer == CONTROLS
    code = named.code()
    assert "\\x07" in code
    assert not set(HIDDEN) & set(code)
    compile(code, "cell", "exec")


def test_a_saved_notebook_holds_names_as_text(named):
    named.layer = TURNED
    data, metadata = named._repr_mimebundle_()
    assert "text/html" not in data
    for text in (data["text/plain"], metadata["image/png"]["alt"]):
        assert not set(HIDDEN) & set(text)
    assert Image.open(io.BytesIO(named.png)).size[0] > 0


def test_sentences_show_names_as_text(named):
    picker = next(part for part in child_widgets(named) if hasattr(part, "thumbs"))
    named.observe(lambda _: 1 / 0, names="image")
    picker.comm.handle_msg({"content": {"data": {"method": "update", "state": {"value": 1}}}})
    named.unobserve_all("image")
    with pytest.raises(ValueError, match="no layer") as caught:
        named._am.layer(TURNED + HTML)
    assert not set(HIDDEN) & set(str(caught.value))


@given(st.text())
def test_visible_text_keeps_all_that_can_be_seen(text):
    shown = visible(text)
    assert len(shown) == len(text)
    assert not set(HIDDEN) & set(shown)
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


def test_letters_of_all_scripts_stay():
    text = "고양이 고양이 שלום สวัสดี 👩\N{ZERO WIDTH JOINER}🔬\nline\ttab"
    assert visible(text) == text


# ---------------------------------------------------------------- messages


@pytest.fixture(scope="module")
def widget():
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((20, 24, 3)), layers.Conv2D(5, 3, name="a"), layers.Conv2D(9, 3, name="b")]
    )
    made = FeatureMapWidget(model, PICTURES)
    yield made
    made.close()


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TRAITS = [
    "value",
    "index",
    "options",
    "_options_labels",
    "description",
    "disabled",
    "min",
    "max",
    "children",
    "comm",
]
TRAITS += [
    "_dom_classes",
    "layout",
    "style",
    "_esm",
    "_css",
    "_view_name",
    "_view_module",
    "_model_name",
    "tooltip",
]
TRAITS += [
    "names",
    "thumbs",
    "png",
    "alt",
    "room",
    "placeholder",
    "width",
    "display",
    "_view_count",
    "__class__",
]
names = st.sampled_from(TRAITS) | st.text(max_size=8)
messages = st.fixed_dictionaries(
    {"method": st.sampled_from(["update", "custom", "request_state", "close", "__del__"]) | junk},
    optional={
        "state": st.dictionaries(names, junk | st.integers(-3, 12), max_size=3) | junk,
        "content": st.fixed_dictionaries(
            {"type": st.text(max_size=9) | junk, "event": st.just("click") | junk}
        )
        | junk,
        "buffer_paths": junk,
    },
)
USED = {"value", "index", "_view_count"}  # the control's own trait, and those that follow from it


def fixed(widget):
    """Return all state that no message may change."""
    state: dict[tuple[int, str], object] = {}
    for number, part in enumerate(all_widgets(widget)):
        for name in (
            "_esm",
            "_css",
            "_view_name",
            "_view_module",
            "_model_name",
            "_dom_classes",
            "names",
            "layout",
        ):
            if name in part.keys:
                state[number, name] = repr(getattr(part, name))
        if isinstance(part, ipywidgets.Layout):
            state[number, "size"] = part.width, part.height, part.flex_flow
        if isinstance(part, ipywidgets.Dropdown | ipywidgets.Text | ipywidgets.Button):
            state[number, "description"] = part.description
    return state


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 400), messages | junk)
def test_no_message_does_more_than_a_user_could(widget, number, data):
    before = fixed(widget)
    all_parts = list(all_widgets(widget))
    part = all_parts[number % len(all_parts)]
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    logging.getLogger("fmwidget").addHandler(handler)
    try:
        part.comm.handle_msg({"content": {"data": data}, "buffers": []})
    finally:
        logging.getLogger("fmwidget").removeHandler(handler)
    assert fixed(widget) == before
    assert list(all_widgets(widget)) == all_parts
    assert not [record for record in records if record.exc_info]
    assert all(len(record.getMessage()) < 1000 and "\n" not in record.getMessage() for record in records)
    assert 0 <= widget.channel < 9
    assert widget.layer in widget.layers
    assert "<details>" not in widget._screen.status.box.value


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (ipywidgets.HTML, {"value": "<script>alert(1)</script>"}),
        (ipywidgets.Dropdown, {"index": 99}),
        (ipywidgets.Dropdown, {"index": -1}),
        (ipywidgets.Dropdown, {"index": True}),
        (ipywidgets.Dropdown, {"_options_labels": ["x"]}),
        (ipywidgets.IntSlider, {"value": 10**400}),
        (ipywidgets.IntSlider, {"max": 5000}),
        (ipywidgets.Text, {"value": "x" * 10**6}),
        (ipywidgets.Button, {"description": "press me"}),
        (ipywidgets.Layout, {"display": "none"}),
        (ipywidgets.VBox, {"children": []}),
        (ipywidgets.VBox, {"_dom_classes": ["x"]}),
    ],
)
def test_what_no_user_could_do_is_ignored_with_a_log_line(widget, kind, state, caplog):
    part = next(part for part in all_widgets(widget) if type(part) is kind)
    before = part.get_state()
    part.comm.handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})
    assert part.get_state() == before
    assert len(caplog.records) == 1
    assert len(caplog.text) < 1000


@pytest.mark.parametrize(
    "message", [None, [], "x", {}, {"content": 1}, {"content": {"data": None}}, {"buffers": [b""]}]
)
def test_what_is_no_message_is_ignored_with_a_log_line(widget, message, caplog):
    widget.comm.handle_msg(message)
    assert len(caplog.records) == 1
