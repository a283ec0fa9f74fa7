"""The panels over the steps of training: what they show, and where a click or a key goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fmwidget.analysis.step_history import StepHistory
from fmwidget.rendering.charts.heat_map import heat_map_layout
from fmwidget.rendering.charts.step_history import DRAWN, cell_in_words, history_map
from fmwidget.rendering.charts.training_curves import curves_layout, training_curves
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from fmwidget.widget.panels.step_history import StepHistoryPanel
from fmwidget.widget.panels.training_curves import TrainingCurvesPanel
from fmwidget.widget.selection import Selection

STEPS = 5
PATHS = ("<b>a</b>", "backbone/b", "c")
RUN = tuple(
    Snapshot(
        step=step,
        epoch=step,
        label="<i>mine</i>" if step == 2 else "",
        logs={"loss": 1 / step} if step else {},
        source=NamedValues([], []),
    )
    for step in range(STEPS)
)


def history_of(steps: int = STEPS, total: int = STEPS) -> StepHistory:
    shares = np.linspace(0, 1, steps * len(PATHS)).reshape(steps, len(PATHS))
    zeros = np.zeros_like(shares)
    return StepHistory(
        tuple(range(steps)),
        tuple(each.name for each in RUN[:steps]),
        tuple(range(-1, steps - 1)),
        PATHS,
        shares,
        shares,
        shares,
        shares,
        zeros,
        zeros,
        total=total,
        note="",
        _pools={},
    )


def frame_of(
    step: int | None = None, path: str = "c", history: StepHistory | None = None, **changes: Any
) -> Any:
    fields = {
        "run": RUN,
        "snapshot": None if step is None else RUN[step],
        "history": history,
        "shows_history": history is not None,
        "layer": SimpleNamespace(path=path, after=None),
        "layout": SimpleNamespace(width=700),
        "ratio": 1,
        "norm": "standardize",
        "cmap": "viridis",
        "image": "cat <1>",
        "display": SimpleNamespace(dark=False),
    }
    return SimpleNamespace(**(fields | changes))


def deliver(view: Any, **message: Any) -> None:
    view._receive(view, message, [])


def count_messages(view: Any) -> list[Any]:
    sent: list[Any] = []
    view.observe(sent.append)
    return sent


# ------------------------------------------------------------------ training curves


@pytest.fixture
def chosen() -> list[Any]:
    return []


@pytest.fixture
def curves(chosen):
    return TrainingCurvesPanel(chosen.append)


def test_curves_are_hidden_without_a_run(curves, chosen):
    curves.update(frame_of(run=()), Selection())
    assert curves.box.layout.display == "none"
    deliver(curves.box, type="click", x=300, y=20)
    assert chosen == []
    curves.update(frame_of(), Selection())
    assert curves.box.layout.display is None
    assert curves.box.png
    curves.update(frame_of(run=()), Selection())
    assert curves.box.layout.display == "none"


def test_the_cursor_is_at_the_step_on_screen_and_nothing_is_drawn_again(curves):
    curves.update(frame_of(1), Selection())
    png, layout = curves.box.png, curves_layout(training_curves(RUN), 700)
    assert tuple(curves.box.mark) == layout.box(1)
    assert curves.box.readout == "epoch 1: loss 1"
    assert "Chosen is epoch 1" in curves.box.alt
    curves.update(frame_of(3), Selection())
    assert tuple(curves.box.mark) == layout.box(3)
    assert curves.box.png is png
    curves.update(frame_of(None), Selection())
    assert curves.box.mark == []
    assert curves.box.readout.startswith("5 steps: loss from 1 to 0.25")
    assert "Chosen" not in curves.box.alt


def test_the_same_frame_sends_nothing(curves):
    frame = frame_of(1)
    curves.update(frame, Selection())
    sent = count_messages(curves.box)
    curves.update(frame, Selection())
    assert sent == []


def test_a_click_goes_to_the_nearest_step(curves, chosen):
    curves.update(frame_of(), Selection())
    layout = curves_layout(training_curves(RUN), 700)
    for step in (3, 0, 4):
        deliver(curves.box, type="click", x=layout.x(step) + 5, y=layout.plot.y + 5)
    deliver(curves.box, type="click", x=1, y=1)
    assert chosen == [3, 0, 4]


def test_arrow_keys_go_from_step_to_step(curves, chosen):
    for step, columns, expected in ((None, -1, 4), (2, 1, 3), (2, -1, 1), (0, -1, 0), (4, 3, 4)):
        curves.update(frame_of(step), Selection())
        deliver(curves.box, type="nudge", rows=0, columns=columns, id="a")
        assert chosen.pop() == expected
    deliver(curves.box, type="nudge", rows=1, columns=0, id="a")
    assert chosen == []


def test_the_step_under_the_pointer_is_told(curves):
    curves.update(frame_of(1), Selection())
    layout = curves_layout(training_curves(RUN), 700)
    deliver(curves.box, type="hover", x=layout.x(4), y=layout.plot.y + 5, id="a")
    assert curves.box.readout == "epoch 4: loss 0.25"
    deliver(curves.box, type="hover", id="b")
    assert curves.box.readout == "epoch 1: loss 1"


# ------------------------------------------------------------------ step history


@pytest.fixture
def panel(chosen):
    return StepHistoryPanel(lambda path, step: chosen.append((path, step)), lambda: chosen.append("changed"))


def test_it_is_hidden_until_it_is_asked_for(panel, chosen):
    panel.update(frame_of(), Selection())
    assert panel.box.layout.display == "none"
    deliver(panel._view, type="tile", tile=0, id="a")
    assert chosen == []


def test_it_says_that_it_is_measuring_and_how_far_it_is(panel):
    panel.update(frame_of(shows_history=True), Selection())
    assert panel.box.layout.display == "flex"
    assert "being measured" in panel._caption.value
    assert panel._view.png == b""
    panel.update(frame_of(history=history_of(2)), Selection())
    assert "2 of 5 steps so far" in panel._caption.value
    assert panel._view.png


def test_text_from_outside_is_escaped(panel):
    inactive = history_of()
    inactive.inactive[:, 0] = 1
    panel.update(frame_of(2, "<b>a</b>", inactive), Selection())
    assert "<b>a</b>" not in panel._caption.value
    assert "&lt;b&gt;a&lt;/b&gt;" in panel._caption.value
    assert "<b>a</b>, <i>mine</i>" in panel._view.readout  # plain text in the browser


def test_the_layer_at_the_step_on_screen_is_marked(panel):
    history = history_of()
    layout = heat_map_layout(history_map(history, "inactive"), 700)
    panel.update(frame_of(3, "backbone/b", history), Selection())
    assert tuple(panel._view.mark) == layout.box(1, 3)
    assert panel._view.tile == 1 * STEPS + 3
    assert panel._view.readout == cell_in_words(history, 1, 3)
    assert cell_in_words(history, 1, 3) in panel._view.alt
    panel.update(frame_of(None, "backbone/b", history), Selection())
    row = layout.box(1, 0)
    assert panel._view.mark == [row.x, row.y, layout.plot.width, row.height]
    assert panel._view.readout == ""
    before = SimpleNamespace(path="c@pre", after="c")
    panel.update(frame_of(0, history=history, layer=before), Selection())
    assert tuple(panel._view.mark) == layout.box(2, 0)
    panel.update(frame_of(0, "elsewhere", history), Selection())
    assert panel._view.mark == []


def test_a_click_or_a_key_goes_to_a_layer_at_a_step(panel, chosen):
    history = history_of()
    panel.update(frame_of(3, "c", history), Selection())
    layout = heat_map_layout(history_map(history, "inactive"), 700)
    x, y, width, height = layout.box(1, 2)
    deliver(panel._view, type="click", x=x + width / 2, y=y + height / 2)
    deliver(panel._view, type="click", x=1, y=1)
    for tile in (0, STEPS + 3, 10_000):
        deliver(panel._view, type="tile", tile=tile, id="a")
    assert chosen == [("backbone/b", 2), ("<b>a</b>", 0), ("backbone/b", 3), ("c", 10_000 % STEPS)]
    panel.update(frame_of(shows_history=True), Selection())
    deliver(panel._view, type="click", x=x + width / 2, y=y + height / 2)
    assert len(chosen) == 4, "what is not shown is not pointed at"


def test_another_quantity_is_drawn_for_the_same_frame(panel, chosen):
    frame = frame_of(3, "c", history_of())
    panel.update(frame, Selection())
    seen = {panel._view.png}
    for quantity in list(DRAWN)[1:]:
        panel._quantity.value = quantity
        assert chosen.pop() == "changed"
        panel.update(frame, Selection())
        seen.add(panel._view.png)
        assert DRAWN[quantity] in panel._view.alt
    assert len(seen) == len(DRAWN)
    sent = count_messages(panel._view)
    panel.update(frame, Selection())
    assert sent == []


def test_a_dark_page_has_other_colors_and_the_same_layout(panel):
    history = history_of()
    panel.update(frame_of(3, "c", history), Selection())
    light, mark = panel._view.png, panel._view.mark
    panel.update(frame_of(3, "c", history, display=SimpleNamespace(dark=True)), Selection())
    assert panel._view.png != light
    assert panel._view.mark == mark


def test_the_cell_under_the_pointer_is_told(panel):
    history = history_of()
    panel.update(frame_of(3, "c", history), Selection())
    x, y, *_ = heat_map_layout(history_map(history, "inactive"), 700).box(0, 4)
    deliver(panel._view, type="hover", x=x + 1, y=y + 1, id="a")
    assert panel._view.readout == cell_in_words(history, 0, 4)
    deliver(panel._view, type="hover", id="b")
    assert panel._view.readout == cell_in_words(history, 2, 3)
