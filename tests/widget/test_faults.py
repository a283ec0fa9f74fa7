"""An exception anywhere on the way to the screen: error message, traceback, log record, and recovery."""

from __future__ import annotations

import linecache
import logging
import sys
import threading
from operator import attrgetter
from typing import Any, Self

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fmwidget.activations.background
from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.activations.cache import ForwardCache
from fmwidget.images.source import NamedImage
from fmwidget.widget.jupyter.widget_tree import child_widgets
from tests.support.driving import deliver, described, status

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}
LAYER, NORM, ORDER, PICTURE, CHANNEL = "Layer", "Norm", "Order", "Picture", "Channel"


class FaultError(Exception):
    """An exception of a type that no code expects."""


def fails(*_args: Any, **_options: Any) -> Any:
    raise FaultError("<b>broken</b> on purpose")


@pytest.fixture
def widget(model):
    made = FeatureMapWidget(model, PICTURES, preprocess=scaled)
    yield made
    made.close()


def scaled(pixels):
    return np.asarray(pixels[:20, :24], "float32")[np.newaxis] / 255


# ---------------------------------------------------------------- user actions


def thumbnails(widget):
    return next(part for part in child_widgets(widget) if hasattr(part, "thumbs"))


def choose(widget, what, index):
    """Make a choice in the browser: of an option, a thumbnail, a number."""
    if what == PICTURE:
        deliver(thumbnails(widget), method="update", state={"value": index})
        return
    control = described(widget, what)
    name = "index" if hasattr(control, "options") else "value"
    deliver(control, method="update", state={name: index})


def point(widget, kind):
    x, y, *_ = widget._screen.panels.grid.box.mark
    deliver(widget._screen.panels.grid.box, method="custom", content={"type": kind, "x": x + 3, "y": y + 3})


def screen(widget):
    """Return all of a widget on screen but its status line."""
    names = ("png", "alt", "value", "options", "readout", "mark")
    return [
        (type(part).__name__, name, getattr(part, name, None))
        for part in child_widgets(widget)
        for name in names
        if "fmw-status" not in str(getattr(part, "value", ""))
    ]


# ---------------------------------------------------------------- where it fails


def latest(name):
    return lambda widget, patch: patch.setattr(attrgetter(name)(widget._pipeline), "_function", fails)


SEAMS: dict[str, tuple[Any, str]] = {
    "decoding": (lambda _, patch: patch.setattr(NamedImage, "pixels", fails), PICTURE),
    "preprocessing": (latest("_own._batch"), PICTURE),
    "seen": (latest("_own.input_image"), PICTURE),
    "forward": (lambda _, patch: patch.setattr(keras.layers.Conv2D, "call", fails), PICTURE),
    "cache": (lambda _, patch: patch.setattr(ForwardCache, "put", fails), PICTURE),
    "weights": (lambda _, patch: patch.setattr(ActivationModel, "version", fails), NORM),
    "maps": (latest("_own._maps"), LAYER),
    "outputs": (latest("_own._answer"), PICTURE),
    "statistics": (latest("_statistics"), LAYER),
    "order": (latest("_order"), LAYER),
    "layout": (latest("_layout"), ORDER),
    "layers": (lambda widget, patch: patch.setattr(widget._pipeline, "layers", fails), LAYER),
    "draw": (
        lambda widget, patch: patch.setattr(widget._screen.panels.grid._drawing.page, "_function", fails),
        NORM,
    ),
    "compose": (
        lambda widget, patch: patch.setattr(widget._screen.panels.grid._drawing._indices, "_function", fails),
        NORM,
    ),
    "encode": (
        lambda widget, patch: patch.setattr(widget._screen.panels.grid._drawing._png, "_function", fails),
        NORM,
    ),
    "send": (
        lambda widget, patch: patch.setattr(widget._screen.panels.grid.box.comm, "publish_msg", fails),
        NORM,
    ),
    "controls": (lambda widget, patch: patch.setattr(widget._screen.controls, "update", fails), NORM),
    "pointed at": (
        lambda widget, patch: patch.setattr(widget._screen.interactions._selector, "select", fails),
        "hover",
    ),
    "tile": (lambda widget, patch: patch.setattr(widget._screen.panels.grid, "unit_at", fails), "click"),
    "display": (lambda widget, patch: patch.setattr(widget._pipeline, "layout", fails), "display"),
}


def act(widget, how, index=1):
    match how:
        case "hover" | "click":
            point(widget, how)
        case "display":
            content = {"type": "display", "ratio": 2, "dark": index == 1, "width": 700}
            deliver(widget._screen.panels.grid.box, method="custom", content=content)
        case _:
            choose(widget, how, index)


@pytest.fixture
def break_at(widget, model, monkeypatch, caplog):
    """Break something during an action, and check that it is reported, and then recovered from."""

    def check(inject, action):
        """Return the picture that was on screen at the fault."""
        caplog.clear()
        with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "fmwidget"):
            inject(widget, patch)
            act(widget, action)
        said = status(widget)
        assert 'role="status"' in said
        assert "&lt;b&gt;broken&lt;/b&gt; on purpose" in said
        assert "<details>" in said
        assert "Traceback (most recent call last)" in said
        assert "FaultError" in said
        records = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(records) == 1
        assert records[0].exc_info is not None
        good = widget.png
        assert good, "a picture stays"
        choose(widget, CHANNEL, 2)
        assert "broken" not in status(widget)
        for what, index in ((LAYER, 1), (NORM, 2), (PICTURE, 1), (PICTURE, 0), (CHANNEL, 1)):
            choose(widget, what, index)
        state = {name: getattr(widget, name) for name in ("layer", "channel", "image", "norm", "order")}
        fresh = FeatureMapWidget(model, PICTURES, preprocess=scaled, **state)
        fresh._display_changed(widget._display)
        assert widget.png == fresh.png
        assert "broken" not in status(widget)
        fresh.close()
        return good

    return check


@pytest.mark.parametrize("seam", SEAMS)
def test_a_fault_is_told_logged_once_and_got_over(widget, break_at, seam):
    before = widget.png
    good = break_at(*SEAMS[seam])
    if seam in ("decoding", "preprocessing", "forward", "cache", "maps", "draw", "compose", "encode"):
        assert good == before


def test_a_fault_in_any_panel_is_got_over(widget, break_at):
    for panel in widget._screen.panels:
        widget.layer = "conv"
        break_at(lambda _, patch, panel=panel: patch.setattr(panel, "update", fails), LAYER)


# ---------------------------------------------------------------- interrupts


class Interrupting:
    """Raise `KeyboardInterrupt` in this thread at the n-th executed line of ours or of a library we use."""

    ROOMS = ("fmwidget", "ipywidgets", "traitlets", "keras", "contextlib")

    def __init__(self, after: int) -> None:
        self.left = after

    def __enter__(self) -> Self:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: Any, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        # Not in `__del__`: Python would only print an exception there.
        if any(room in name for room in self.ROOMS) and frame.f_code.co_name != "__del__":
            return self._line
        return None

    def _line(self, frame: Any, event: str, _argument: Any) -> Any:
        # Python itself is never interrupted on its way out of a `with`, before `__exit__` is called.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno) if event == "line" else "with"
        if not source.lstrip().startswith("with"):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self._line


def test_a_fault_in_a_program_reaches_the_program_and_the_screen(widget, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(widget._screen.panels.grid, "update", fails)
        with pytest.raises(FaultError):
            widget.norm = "shared"
    assert "on purpose" in status(widget)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_an_observer_that_fails_is_told_and_does_no_harm(widget, caplog):
    widget.observe(fails, names="norm")
    choose(widget, NORM, 2)
    assert "on purpose" in status(widget)
    assert widget.norm == "shared"
    widget.unobserve(fails, names="norm")
    choose(widget, NORM, 1)
    assert "on purpose" not in status(widget)


def test_what_observers_set_in_the_middle_of_a_redraw_is_part_of_it():
    convolutions = [keras.layers.Conv2D(count, 1, name=f"of_{count}") for count in (300, 100, 4)]
    wide = keras.Sequential([keras.Input((20, 24, 3)), *convolutions])
    widget = FeatureMapWidget(wide, PICTURES, channel=299)
    assert widget.page > 0
    widget.observe(lambda _: setattr(widget, "layer", "of_4"), names="page")
    choose(widget, LAYER, widget.layers.index("of_100"))
    frame = widget._screen.frame
    assert (frame.layer.path, frame.channel, frame.page, widget.channel) == ("of_4", 3, 0, 3)
    assert "<details>" not in status(widget)
    assert widget._screen.controls.layer.list.value == "of_4"
    widget.close()


def test_observers_that_answer_one_another_for_ever_are_an_error():
    fine, coarse = (
        keras.layers.Conv2D(300, 1, name="fine"),
        keras.layers.Conv2D(300, 9, strides=9, name="coarse"),
    )
    widget = FeatureMapWidget(keras.Sequential([keras.Input((20, 24, 3)), fine, coarse]), PICTURES, ncols=1)
    pages = {}
    for layer in widget.layers:
        widget.layer = layer
        pages[layer] = [widget._screen.frame.layout.page_of(channel) for channel in range(300)]
    channel = next(n for n in range(300) if pages["fine"][n] != pages["coarse"][n])
    widget.layer, widget.channel = "fine", channel

    def turn(_change):
        widget.layer = "fine" if widget.layer == "coarse" else "coarse"

    widget.observe(turn, names="page")
    with pytest.raises(RuntimeError, match="still change after 20 rounds"):
        widget.layer = "coarse"
    assert "still change after 20 rounds" in status(widget)
    widget.unobserve(turn, names="page")
    widget.layer = "fine"
    assert (widget._screen.frame.layer.path, widget._screen.frame.page) == ("fine", pages["fine"][channel])
    widget.close()


def test_a_forward_that_cannot_be_compiled_stays_eager_and_is_logged_once(model, monkeypatch, caplog):
    monkeypatch.setattr(fmwidget.activations.background, "compile_forward", fails)
    am = ActivationModel(model)
    with caplog.at_level(logging.INFO, "fmwidget"):
        batches = [np.full((1, 20, 24, 3), value, "float32") for value in np.linspace(0, 1, 6)]
        for batch in batches:
            assert np.allclose(am.activations(batch, "conv"), np.asarray(model.get_layer("conv")(batch)[0]))
            fmwidget.activations.background._executor.submit(lambda: None).result()
    assert am.stats.forwards == len(batches)
    assert am.stats.traces == 0
    assert len([record for record in caplog.records if "stays eager" in record.message]) == 1


def test_a_compiled_forward_that_fails_is_given_up_for_an_eager_one(model, monkeypatch, caplog):
    am = ActivationModel(model)
    batches = [np.full((1, 20, 24, 3), value, "float32") for value in np.linspace(0, 1, 6)]
    for batch in batches[:2]:
        am.activations(batch, "conv")
    fmwidget.activations.background._executor.submit(lambda: None).result()
    (shapes,) = am._compiler.passes
    assert am._compiler.passes[shapes].done()
    monkeypatch.setattr(am._compiler.passes[shapes], "_result", fails)
    with caplog.at_level(logging.INFO, "fmwidget"):
        for batch in batches[2:]:
            assert np.allclose(am.activations(batch, "conv"), np.asarray(model.get_layer("conv")(batch)[0]))
    assert len([record for record in caplog.records if "stays eager" in record.message]) == 1


def assert_works(widget, model):
    """Check that every action draws as in a new widget, and that Keras is unchanged."""
    free = threading.Thread(target=lambda: widget._lock.acquire(timeout=5) and widget._lock.release())
    free.start()
    free.join(10)
    assert not free.is_alive()
    for what, index in (
        (NORM, 2),
        (LAYER, 2),
        (PICTURE, 1),
        (NORM, 0),
        (LAYER, 0),
        (PICTURE, 0),
        (CHANNEL, 1),
    ):
        choose(widget, what, index)
        assert "<details>" not in status(widget), status(widget)
    fresh = FeatureMapWidget(model, PICTURES, preprocess=scaled, channel=1)
    assert screen(widget) == screen(fresh)
    fresh.close()
    fmwidget.activations.background._executor.submit(
        lambda: None
    ).result()  # which may be recording at this moment
    assert keras.Operation.__call__.__module__.startswith("keras.")
    assert keras.Layer.add_loss.__module__.startswith("keras.")


@pytest.mark.parametrize("count", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_an_interrupt_at_any_line_leaves_a_widget_that_works(model, count):
    @settings(max_examples=count, deadline=None, database=None)
    @given(st.integers(1, 20_000), st.sampled_from([PICTURE, LAYER, NORM, CHANNEL]))
    def interrupt(line, what):
        interrupted_at(model, line, what)

    interrupt()


@pytest.mark.parametrize("what", [CHANNEL, PICTURE])
def test_a_control_that_an_interrupt_left_holding_its_news_tells_them_again(widget, what):
    names = {CHANNEL: "channel", PICTURE: "image"}
    before = getattr(widget, names[what])
    control = thumbnails(widget) if what == PICTURE else described(widget, what)
    # The state that traitlets has meanwhile.
    control.notify_change, control._cross_validation_lock = lambda _: None, True
    choose(widget, what, 1)
    assert getattr(widget, names[what]) != before


def interrupted_at(model, line, what):
    widget = FeatureMapWidget(model, PICTURES, preprocess=scaled)
    try:
        with Interrupting(line):
            choose(widget, what, 1)
            widget.refresh()
    except KeyboardInterrupt:
        pass
    assert_works(widget, model)
    widget.close()
