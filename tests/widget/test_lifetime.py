"""The end of a widget's life: closed or without references, alone or beside others on the same model."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from types import SimpleNamespace
from typing import Any

import comm
import numpy as np
import pytest
import traitlets
from ipywidgets.widgets import widget as registry

import fmwidget.activations.background
import fmwidget.widget.jupyter.lifetime
from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.widget.jupyter.lifetime import hold, release
from fmwidget.widget.jupyter.widget_tree import all_widgets

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}


def counts():
    """Count the widgets and comms that are referenced."""
    gc.collect()
    return len(registry._instances), len(comm.get_comm_manager().comms)


# ---------------------------------------------------------------- without references


def test_a_widget_without_references_leaves_nothing_behind(model):
    FeatureMapWidget(model, PICTURES)
    before = counts()
    widget = FeatureMapWidget(model, PICTURES)
    widget.layer = widget.layers[-1]
    widget.channel = 1
    gone = weakref.ref(widget)
    assert counts() > before
    del widget
    assert counts() == before
    assert gone() is None


def test_one_that_cannot_be_made_leaves_nothing_behind(model):
    FeatureMapWidget(model, PICTURES)
    before = counts()
    cases: list[dict[str, Any]] = [
        {"layer": "no"},
        {"channel": 99},
        {"class_names": ["one"]},
        {"norm": "no"},
        {"images": []},
    ]
    for wrong in cases:
        with contextlib.suppress(ValueError, traitlets.TraitError):
            FeatureMapWidget(model, **{"images": PICTURES, **wrong})
            pytest.fail(f"was made with {wrong}")
    assert counts() == before


class Shell:
    """IPython's shell as far as cells go: the one that runs, and the results it keeps."""

    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {"Out": {}}
        self.user_ns_hidden: dict[str, Any] = {}
        self.history_manager = SimpleNamespace(output_hist=self.user_ns["Out"])
        self.displayhook = SimpleNamespace(_=None, __=None, ___=None)
        self.runs = 0

    def get_parent(self):
        return self.parent

    def run(self, cell: str | None, expression):
        """Run a cell of one expression, and display its result as the page does."""
        self.runs += 1
        self.parent = {
            "header": {"msg_id": str(self.runs)},
            "metadata": {} if cell is None else {"cellId": cell},
        }
        result = expression()
        result._repr_mimebundle_()
        hook, names = self.displayhook, self.user_ns
        hook.___, hook.__, hook._ = hook.__, hook._, result
        hidden = {"_": hook._, "__": hook.__, "___": hook.___, f"_{self.runs}": result}
        names.update(hidden)
        self.user_ns_hidden.update(hidden)
        names["Out"][self.runs] = result


@pytest.fixture
def shell(monkeypatch):
    made = Shell()
    monkeypatch.setattr(fmwidget.widget.jupyter.lifetime, "get_ipython", lambda: made)
    monkeypatch.setattr(fmwidget.widget.jupyter.lifetime, "_cells", {})
    monkeypatch.setattr(fmwidget.widget.jupyter.lifetime, "_collect_soon", lambda: None)
    return made


def make(model):
    return lambda: FeatureMapWidget(model, PICTURES)


def test_a_cell_run_again_and_again_keeps_only_what_it_shows(model, shell):
    shell.run("a", make(model))
    shell.run("a", make(model))
    steady = counts()
    for _ in range(10):
        shell.run("a", make(model))
    assert counts() == steady
    assert [name for name in shell.user_ns if name.strip("_").isdecimal()] == [f"_{shell.runs}"]


def test_a_widget_without_references_is_collected_soon(model, shell, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(fmwidget.widget.jupyter.lifetime, "COLLECT_AFTER", 0.05)
    widget = FeatureMapWidget(model, PICTURES)
    gone = weakref.ref(widget)
    hold(widget)
    del widget
    gc.collect()
    release(gone())
    deadline = time.monotonic() + 20
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone() is None


def test_a_widget_in_a_variable_outlives_its_cell_and_can_be_shown_again(model, shell):
    mine = FeatureMapWidget(model, PICTURES)
    shell.run("a", lambda mine=mine: mine)
    shell.run("a", make(model))
    gc.collect()
    mine.layer = mine.layers[1]
    assert mine.comm.comm_id in comm.get_comm_manager().comms
    shell.run("b", lambda mine=mine: mine)
    gone = weakref.ref(mine)
    del mine
    gc.collect()
    assert gone() is not None, "it is on a page"


def test_what_is_shown_in_another_cell_or_by_a_page_is_kept(model, shell):
    kept = []
    for case in ("another cell", "a page", "no cell"):
        widget = FeatureMapWidget(model, PICTURES)
        kept.append(weakref.ref(widget))
        shell.run("a" if case != "no cell" else None, lambda widget=widget: widget)
        if case == "another cell":
            shell.run("b", lambda widget=widget: widget)
        if case == "a page":
            widget.comm.handle_msg(update(_view_count=1))
        del widget
    for _ in range(4):
        shell.run("a", make(model))
    gc.collect()
    assert [case() is not None for case in kept] == [True] * 3
    page = kept[1]()
    assert page is not None
    page.comm.handle_msg(update(_view_count=0))
    del page
    for _ in range(4):
        shell.run("a", make(model))
    gc.collect()
    assert [case() is not None for case in kept] == [True, False, True]


def update(**state):
    return {"content": {"data": {"method": "update", "state": state}}, "buffers": []}


# ---------------------------------------------------------------- closed


def test_close_detaches_everything_and_may_be_called_twice(model):
    am = ActivationModel(model)
    widget = FeatureMapWidget(am, PICTURES)
    heard: list[Any] = []
    widget.observe(heard.append, names="channel")
    all_parts = list(all_widgets(widget))
    held = [weakref.ref(each) for each in (widget._pipeline, widget._am, *widget._screen.panels)]
    del am
    threads = threading.active_count()
    for _ in range(2):
        widget.close()
    assert all(part.comm is None for part in all_parts)
    del all_parts
    fmwidget.activations.background._executor.submit(lambda: None).result()  # which may be running
    gc.collect()
    assert [each() for each in held if each() is not None] == []
    assert threading.active_count() <= threads
    widget.channel = 3
    assert heard == []
    assert repr(widget) == "FeatureMapWidget(closed)"


@pytest.mark.parametrize(
    "call",
    [
        lambda widget: widget.layers,
        lambda widget: widget.images,
        lambda widget: widget.feature_maps,
        lambda widget: widget.png,
        lambda widget: widget.figure(),
        lambda widget: widget.savefig("never.png"),
        lambda widget: widget.code(),
        lambda widget: widget.snapshot(),
        lambda widget: widget.refresh(),
    ],
)
def test_a_closed_widget_says_so(model, call):
    widget = FeatureMapWidget(model, PICTURES)
    widget.close()
    with pytest.raises(RuntimeError, match=r"has been closed. Make a new one: `FeatureMapWidget\(model\)`"):
        call(widget)


def test_a_message_that_arrives_after_closing_is_dropped(model, caplog):
    widget = FeatureMapWidget(model, PICTURES)
    late = [(part.comm, part) for part in all_widgets(widget)]
    widget.close()
    for channel, _ in late:
        channel.handle_msg(update(value=1))
        channel.handle_msg({"content": {"data": {"method": "custom", "content": {"event": "click"}}}})
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# ---------------------------------------------------------------- beside others


@pytest.mark.parametrize("shared", [True, False])
def test_two_widgets_on_one_model_do_not_affect_each_other(model, shared):
    am = ActivationModel(model)
    first = FeatureMapWidget(am, PICTURES, layer="conv")
    second = FeatureMapWidget(am if shared else model, PICTURES, layer="conv_1")
    expected = {name: FeatureMapWidget(model, PICTURES, layer=name).png for name in ("conv", "conv_1")}
    assert (first.png, second.png) == (expected["conv"], expected["conv_1"])
    kernel = model.get_layer("conv").kernel
    before = kernel.numpy()
    kernel.assign(before * -2)
    first.refresh()
    assert first.png != expected["conv"]
    first.layer = second.layer
    second.refresh()
    assert first.png == second.png != expected["conv_1"]
    kernel.assign(before)
    first.close()
    second.refresh()
    assert second.png == expected["conv_1"]
    second.layer = "conv"
    assert second.png == expected["conv"]


def test_closing_one_of_two_linked_widgets_leaves_the_other(model):
    first, second = FeatureMapWidget(model, PICTURES), FeatureMapWidget(model, PICTURES)
    traitlets.link((first, "layer"), (second, "layer"))
    first.close()
    second.layer = "conv_1"
    assert second._screen.frame.layer.path == "conv_1"
