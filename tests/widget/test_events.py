"""Events of the front end: each enters the widget once, and a hover sends only the traits it changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest

from fmwidget import FeatureMapWidget
from fmwidget.frontend.picture_view import PictureView
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.jupyter.widget_tree import child_widgets
from tests.support.driving import deliver, described, until

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}


@pytest.fixture(scope="module", name="all_entries")
def entries_of_all_widgets():
    entered: list[Callable[[], None]] = []
    run = FeatureMapWidget._run

    def counted(self: FeatureMapWidget, action: Callable[[], None]) -> None:
        entered.append(action)
        run(self, action)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureMapWidget, "_run", counted)
        yield entered


@pytest.fixture(name="entries")
def entries_of_a_test(all_entries):
    """Record one item for each action that enters a widget."""
    all_entries.clear()
    return all_entries


@pytest.fixture(scope="module", name="shown")
def shown_widget(all_entries):
    """A widget with enough layers for a filter, and enough channels for pages."""
    keras.utils.set_random_seed(7)
    wide = keras.layers.Conv2D(300, 1, name="wide")
    layers = [keras.layers.Conv2D(2, 1, name=f"{'odd' if n % 2 else 'even'}_{n}") for n in range(41)]
    made = FeatureMapWidget(keras.Sequential([keras.Input((20, 24, 3)), wide, *layers]), PICTURES)
    made._screen.interactions.pin(Unit(0, 1, 1))
    until(lambda: made._screen.panels.input.view.region)  # its model graph has been traced
    yield made
    made.close()


@pytest.fixture
def widget(shown, entries):
    """The widget in its first state, but for its selection."""
    shown._screen.controls.pause()
    custom(shown._screen.panels.zoom.box, type="close")
    described(shown, "Filter").value = ""
    shown.layer, shown.channel, shown.image, shown.norm, shown.profile = "wide", 0, "one", "shared", False
    entries.clear()
    return shown


def custom(part: Any, **content: Any) -> None:
    deliver(part, method="custom", content=content)


def update(part: Any, **state: Any) -> None:
    deliver(part, method="update", state=state)


def thumbnails(widget: FeatureMapWidget) -> Any:
    return next(part for part in child_widgets(widget) if hasattr(part, "thumbs"))


EVENTS: dict[str, Callable[[Any], None]] = {
    "slider": lambda widget: update(described(widget, "Channel"), value=2),
    "depth slider": lambda widget: update(described(widget, "Depth"), value=3),
    "overlay slider": lambda widget: update(described(widget, "Overlay %"), value=40),
    "dropdown": lambda widget: update(described(widget, "Norm"), index=1),
    "layer dropdown": lambda widget: update(described(widget, "Layer"), index=1),
    "step button": lambda widget: custom(widget._screen.controls.layer.on, event="click"),
    "page button": lambda widget: custom(widget._screen.controls.page._on, event="click"),
    "toggle button": lambda widget: update(described(widget, "Depth profile"), value=True),
    "filter keystroke": lambda widget: update(described(widget, "Filter"), value="o"),
    "thumbnail": lambda widget: update(thumbnails(widget), value=1),
    "play": lambda widget: custom(widget._screen.controls.play_layers, type="play"),
    "save": lambda widget: custom(widget._screen.controls.save, type="save", id="a"),
    "hover": lambda widget: custom(widget._screen.panels.grid.box, type="hover", x=20, y=80),
    "click": lambda widget: custom(widget._screen.panels.grid.box, type="click", x=20, y=80),
    "click on the image": lambda widget: custom(widget._screen.panels.input.view, type="click", x=20, y=80),
    "click on the profile": lambda widget: custom(
        widget._screen.panels.profile._view, type="click", x=20, y=80
    ),
    "key": lambda widget: custom(widget._screen.panels.grid.box, type="tile", tile=2),
    "nudge": lambda widget: custom(widget._screen.panels.detail.box, type="nudge", rows=1, columns=0),
    "open": lambda widget: custom(widget._screen.panels.grid.box, type="open", tile=2),
    "display": lambda widget: custom(
        widget._screen.panels.grid.box, type="display", ratio=2, dark=True, width=700
    ),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_enters_once(widget, entries, kind):
    EVENTS[kind](widget)
    assert len(entries) == 1
    assert "<details>" not in widget._screen.status.box.value


def test_a_program_that_sets_a_trait_does_not_enter(widget, entries):
    widget.channel = 2
    described(widget, "Channel").value = 3
    assert (widget.channel, entries) == (3, [])


def test_the_fields_of_a_unit_enter_when_they_are_ready(entries):
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Conv2D(2, 3)])
    widget = FeatureMapWidget(model, PICTURES)
    entries.clear()
    widget._screen.interactions.pin(Unit(0, 1, 1))
    until(lambda: widget._screen.panels.input.view.region)
    assert len(entries) == 1
    widget.close()


def test_a_keystroke_in_the_filter_lists_layers_again_and_chooses_none(widget, monkeypatch):
    checks: list[Any] = []
    monkeypatch.setattr(widget._pipeline, "check_weights", lambda: checks.append(1))
    frame = widget._screen.frame
    update(described(widget, "Filter"), value="odd")
    assert [path for _, path in described(widget, "Layer").options] == [
        "wide",
        *(f"odd_{n}" for n in range(1, 41, 2)),
    ]
    assert (widget._screen.frame is frame, widget.layer, checks) == (True, "wide", [])


def test_playing_stops_where_the_filter_changes_what_is_played(widget):
    custom(widget._screen.controls.play_layers, type="play")
    assert widget._screen.controls.play_layers.playing
    update(described(widget, "Filter"), value="odd")
    assert not widget._screen.controls.play_layers.playing


def sent_by(widget: FeatureMapWidget, event: Callable[[], None]) -> dict[tuple[str, str], Any]:
    """Return the traits that the widget sends for an event, by the label of the picture, or else the type."""
    sent: dict[tuple[str, str], Any] = {}
    parts = list(child_widgets(widget))
    for part in parts:
        name = part.label if isinstance(part, PictureView) else type(part).__name__
        part._send = lambda message, name=name, **_: sent.update(
            {(name, trait): value for trait, value in message.get("state", {}).items()}
        )
    try:
        event()
    finally:
        for part in parts:
            del part._send
    return sent


def test_a_hover_sends_no_more_than_what_it_changes(widget):
    views = ("Feature maps of the layer", "Chosen channel")
    expected = {(view, trait) for view in views for trait in ("region", "readout")}
    expected |= {("Picture as the model sees it", "region"), ("HTML", "value")}
    layout, ratio = widget._screen.frame.layout, widget._screen.frame.ratio
    for unit in (Unit(0, 5, 7), Unit(1, 5, 8), Unit(7, 0, 0)):
        widget._screen.interactions.pin(None)
        x, y, width, height = layout.unit_box(unit, ratio)
        hover = {"type": "hover", "x": x + width / 2, "y": y + height / 2}
        sent = sent_by(widget, partial(custom, widget._screen.panels.grid.box, **hover))
        assert widget._screen.selection.unit == unit
        assert sent.keys() == expected


def test_a_frame_that_is_on_screen_is_drawn_no_second_time(widget, monkeypatch):
    widget.profile = True
    custom(widget._screen.panels.grid.box, type="open", tile=2)
    assert sent_by(widget, widget._screen.update) == {}
    drawn: list[Any] = []
    for panel in (
        widget._screen.panels.grid,
        widget._screen.panels.detail,
        widget._screen.panels.input,
        widget._screen.panels.zoom,
    ):
        monkeypatch.setattr(panel, "_draw", drawn.append)
    widget._screen.update()
    assert drawn == []
    widget.channel = 3
    assert len(drawn) == 4
