"""Training curves: lines read back from the pixels, positions of the steps, words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmwidget.rendering.canvas import EDGE, Page, grey
from fmwidget.rendering.charts.lines import draw_line, spread
from fmwidget.rendering.charts.training_curves import (
    ROW_HEIGHT,
    TrainingCurves,
    curves_in_words,
    curves_layout,
    draw_training_curves,
    step_in_words,
    training_curves,
)
from fmwidget.rendering.grid_layout import Box
from fmwidget.rendering.palette import PAPER
from fmwidget.rendering.text import text_width
from fmwidget.snapshots.snapshot import NamedValues, Snapshot

NOTHING = NamedValues([], [])


def run_of(*logs, steps=None, epochs=True):
    steps = range(len(logs)) if steps is None else steps
    return tuple(
        Snapshot(step=step, epoch=step if epochs else None, logs=each, source=NOTHING)
        for step, each in zip(steps, logs, strict=True)
    )


def curves_of(count, **curves):
    return TrainingCurves(
        tuple(range(count)),
        tuple(f"epoch {step}" for step in range(count)),
        "epoch",
        {name: np.asarray(values, float) for name, values in curves.items()},
    )


def inked(page, box):
    """Return the pixels of a box that are neither paper nor edge."""
    area = page.area(box)
    return (area != PAPER) & (area != grey(EDGE))


# ------------------------------------------------------------------ the data


def test_curves_are_the_logs_without_the_learning_rate():
    run = run_of({}, {"loss": 2.0, "learning_rate": 0.1}, {"loss": 1, "val_loss": np.float32(3)})
    curves = training_curves(run)
    assert (curves.steps, curves.unit) == ((0, 1, 2), "epoch")
    assert curves.names == ("before training", "epoch 1", "epoch 2")
    assert list(curves.curves) == ["loss", "val_loss"]
    np.testing.assert_array_equal(curves.curves["loss"], [np.nan, 2, 1])
    np.testing.assert_array_equal(curves.curves["val_loss"], [np.nan, np.nan, 3])
    assert training_curves(run_of({}, {}, epochs=False)).unit == "step"


def test_curves_are_told_in_words():
    curves = curves_of(4, loss=[np.nan, 2, 1, 0.5], val_loss=[np.nan, 2, 1, 1.5], accuracy=[np.nan] * 4)
    assert curves_in_words(curves) == (
        "4 steps: loss from 2 to 0.5, val_loss from 2 to 1.5 (lowest 1 at epoch 2), "
        "accuracy without a finite value"
    )
    assert step_in_words(curves, 2) == "epoch 2: loss 1, val_loss 1"
    assert step_in_words(curves, 0) == "epoch 0"
    assert curves_in_words(curves_of(1)) == "1 step, without logs"
    assert curves_in_words(curves_of(2, loss=[np.nan, 1])) == "2 steps: loss 1"
    assert "inf" in step_in_words(curves_of(1, loss=[np.inf]), 0)


# ------------------------------------------------------------------ the layout


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=50, unique=True), st.sampled_from([360, 560, 1150])
)
def test_a_click_chooses_the_nearest_step(steps, width):
    steps = sorted(steps)
    curves = training_curves(run_of(*({"loss": 1.0} for _ in steps), steps=steps))
    layout = curves_layout(curves, width)
    left, top, room, height = layout.plot
    assert left + room <= width
    for step in steps:
        x = layout.x(step)
        assert layout.step_at(x, top + height / 2) == step
        box = layout.box(step)
        assert box.x <= x <= box.x + box.width
        assert left <= box.x
        assert box.x + box.width <= left + room
    middle = (layout.x(steps[0]) + layout.x(steps[-1])) / 2
    nearest = layout.step_at(middle, top + 1)
    assert nearest is not None
    assert nearest in steps
    assert all(abs(layout.x(nearest) - middle) <= abs(layout.x(step) - middle) for step in steps)
    assert layout.step_at(left - 1, top + 1) is None
    assert layout.step_at(middle, top - 1) is None
    assert layout.step_at(left + room, top) is None


# ------------------------------------------------------------------ the drawing


@pytest.mark.parametrize("ratio", [1, 2])
def test_curves_rise_and_fall_with_their_values(ratio):
    curves = curves_of(5, loss=[4, 3, 2, 1, 0], accuracy=[0, 0.25, 0.5, 0.75, 1])
    layout, page = curves_layout(curves, 848), draw_training_curves(curves, 848, ratio)
    left, top, room, _ = layout.plot
    for row, values in enumerate(([4, 3, 2, 1, 0], [0, 1, 2, 3, 4])):
        box = Box(left, top + row * (ROW_HEIGHT + 6), room, ROW_HEIGHT)
        drawn = inked(page, box)
        for step, value in enumerate(values):
            column = drawn[:, round((layout.x(step) - left) * ratio)]
            middle = np.flatnonzero(column).mean() / ratio
            assert middle == pytest.approx(2.7 + (1 - value / 4) * (ROW_HEIGHT - 5.4), abs=1.5), (
                f"step {step} of row {row}"
            )


def test_a_missing_value_leaves_a_gap_and_a_lone_one_is_a_dot():
    box = Box(0, 0, 90, 30)
    x = np.array([5, 25, 45, 65, 85])

    def columns(values):
        page = Page(90, 30)
        draw_line(page, box, x, np.array(values), ink=1)
        return inked(page, box).any(axis=0)

    assert columns([0.5] * 5)[5:86].all()
    for missing in (np.nan, np.inf, -np.inf):
        drawn = columns([0.5, 0.5, missing, 0.5, missing])
        assert drawn[5:26].all()
        assert not drawn[29:61].any()
        assert drawn[65]
        assert not drawn[69:].any()
    assert not columns([np.nan] * 5).any()


def test_validation_is_dashed_and_training_is_not():
    page = Page(100, 60)
    x = np.linspace(2, 98, 60)
    draw_line(page, Box(0, 0, 100, 30), x, np.full(60, 0.5), ink=1)
    draw_line(page, Box(0, 30, 100, 30), x, np.full(60, 0.5), ink=1, dashed=True)
    whole, dashed = (inked(page, Box(0, top, 100, 30)).any(axis=0)[3:97] for top in (0, 30))
    assert whole.all()
    assert 0.4 < dashed.mean() < 0.8


def test_a_peak_between_two_pixels_is_drawn():
    """Draw every value of a run with more steps than pixels."""
    values = np.zeros(5000)
    values[1234] = 1
    page = Page(100, 30)
    draw_line(page, Box(0, 0, 100, 30), np.linspace(2, 98, 5000), values, ink=1)
    assert inked(page, Box(0, 0, 100, 5)).any()
    assert inked(page, Box(0, 0, 100, 5)).any(axis=0).sum() <= 3


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-50, 150), min_size=1, max_size=6))
def test_labels_are_spread_within_their_row(places):
    moved = spread(places, 13, 0, 100)
    ordered = sorted(moved)
    assert all(b - a >= 13 - 1e-9 for a, b in pairwise(ordered))
    assert min(moved) >= -1e-9
    assert max(moved) <= 100 + 1e-9
    order = np.argsort(places, kind="stable")
    assert (np.diff(np.asarray(moved)[order]) > 0).all()
    if len(places) == 1:
        assert moved == [min(max(places[0], 0), 100)]


def test_metrics_are_beside_those_of_their_kind():
    """Draw losses, shares and others in a row each, every one beside its counterpart of validation."""
    values = np.linspace(0.1, 0.9, 4)
    curves = curves_of(4, loss=values * 3, mae=values * 9, val_mae=values, acc=values, val_loss=values)
    page, layout = draw_training_curves(curves, 848), curves_layout(curves, 848)
    top = {
        text.text.split()[0]: (text.y - layout.plot.y) // (ROW_HEIGHT + 6)
        for text in page.texts
        if text.x > layout.plot.x + layout.plot.width
    }
    assert top == {"loss": 0, "val_loss": 0, "acc": 1, "mae": 2, "val_mae": 2}


def test_a_loss_over_decades_has_a_logarithmic_scale():
    curves = curves_of(3, loss=[100, 1, 0.01])
    page, layout = draw_training_curves(curves, 848), curves_layout(curves, 848)
    assert any("log scale" in text.text for text in page.texts)
    left, top, room, _ = layout.plot
    column = inked(page, Box(left, top, room, ROW_HEIGHT))[:, round(layout.x(1) - left)]
    assert np.flatnonzero(column).mean() == pytest.approx(ROW_HEIGHT / 2, abs=1.5)
    assert not any("log scale" in text.text for text in draw_training_curves(curves_of(2, loss=[2, 1])).texts)


@pytest.mark.parametrize("count", [1, 2, 3, 60, 1000])
@pytest.mark.parametrize("names", [(), ("loss",), tuple(f"a_long_name_of_head_{n}_loss" for n in range(9))])
@pytest.mark.parametrize("width", [360, 1150])
def test_any_run_is_drawn_within_its_page(count, names, width):
    rng = np.random.default_rng(0)
    curves = curves_of(count, **{name: rng.random(count) for name in names})
    page = draw_training_curves(curves, width)
    assert page.indices.shape == (page.height, width)
    ruler = [text for text in page.texts if text.align == "center"]
    assert ruler[0].text == "0"
    ends = [text.x + text_width(text.text, text.size) / 2 for text in ruler]
    starts = [text.x - text_width(text.text, text.size) / 2 for text in ruler]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    assert ends[-1] <= width
    assert any("and 3 more" in text.text for text in page.texts) == (len(names) == 9)
    marks = page.indices[curves_layout(curves, width).plot.y + curves_layout(curves, width).plot.height - 2]
    assert (marks != PAPER).sum() == count or count == 1000


@pytest.mark.parametrize("values", [[3e38, 1], [1e-300, 1e300], [-1, -2], [0, 0], [np.inf, np.nan]])
def test_extreme_losses_are_drawn(values):
    with np.errstate(all="raise", under="ignore"):
        draw_training_curves(curves_of(2, loss=values))
