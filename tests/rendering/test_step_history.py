"""The page of a step history: colors of its cells, the line of a layer, words."""

from __future__ import annotations

import numpy as np
import pytest

from fmwidget.analysis.step_history import StepHistory
from fmwidget.rendering.charts.heat_map import heat_map_layout
from fmwidget.rendering.charts.step_history import (
    DRAWN,
    cell_in_words,
    death_in_words,
    draw_step_history,
    history_cmap,
    history_in_words,
    history_map,
)
from fmwidget.rendering.palette import INACTIVE, NAN, POSINF, STEPS


def history_of(inactive, *, mean=None, first=None, nan=None, note="", total=None, previous=None):
    inactive = np.asarray(inactive, float)
    steps, layers = inactive.shape
    first = np.arange(steps)[:, np.newaxis] * np.ones(layers) if first is None else np.asarray(first, float)
    before = np.vstack([np.full((1, layers), np.nan), np.abs(np.diff(first, axis=0))])
    return StepHistory(
        tuple(range(steps)),
        ("before training", *(f"epoch {step}" for step in range(1, steps))),
        tuple(range(-1, steps - 1)) if previous is None else previous,
        tuple(f"block_{layer}/conv" for layer in range(layers)),
        inactive,
        np.ones((steps, layers)) if mean is None else np.asarray(mean, float),
        first,
        before,
        np.zeros((steps, layers)) if nan is None else np.asarray(nan, float),
        np.zeros((steps, layers)),
        total=steps if total is None else total,
        note=note,
        _pools={},
    )


def cells(history, quantity):
    drawn = history_map(history, quantity)
    page, layout = draw_step_history(history, quantity), heat_map_layout(drawn)
    indices = np.zeros(drawn.values.shape, int)
    for row, column in np.ndindex(indices.shape):
        x, y, width, height = layout.box(row, column)
        indices[row, column] = page.indices[y + height // 2, x + width // 2]
    return indices


def test_rows_are_layers_and_columns_are_steps():
    drawn = history_map(history_of([[0, 0.1, 0.2], [0.3, 0.4, 0.5]]), "inactive")
    assert tuple(drawn.rows) == ("block_0/conv", "block_1/conv", "block_2/conv")
    assert list(drawn.columns) == ["0", "1"]
    assert (drawn.row_title, drawn.column_title) == ("layer", "epoch")
    np.testing.assert_array_equal(drawn.values, [[0, 0.3], [0.1, 0.4], [0.2, 0.5]])


@pytest.mark.parametrize(("largest", "top"), [(0, 0.05), (0.04, 0.05), (0.2, 0.25), (0.9, 1), (1, 1)])
def test_shares_have_a_scale_that_starts_at_nothing(largest, top):
    assert history_map(history_of([[0, largest]]), "inactive").scale == (0, top)


def test_means_are_relative_to_the_largest_of_their_layer():
    history = history_of(np.zeros((2, 3)), mean=[[1, -400, 0], [2, -100, 0]])
    np.testing.assert_array_equal(cells(history, "mean")[:, 1], [STEPS - 1, round(0.375 * (STEPS - 1)), 110])
    np.testing.assert_array_equal(history_map(history, "mean").values, [[0.5, 1], [-1, -0.25], [0, 0]])


def test_the_first_step_has_no_previous_and_a_map_with_nan_has_its_mark():
    history = history_of(np.zeros((3, 2)), first=[[0, 0], [1, 2], [2, np.nan]])
    assert (cells(history, "from_previous")[:, 0] == INACTIVE).all()
    assert cells(history, "from_previous")[1, 2] == NAN
    assert cells(history, "from_first")[1, 2] == NAN
    assert cells(history_of(np.zeros((2, 1)), first=[[0], [np.inf]]), "from_first")[0, 1] == POSINF


def test_distances_that_are_not_known_are_pale_and_the_reason_is_said():
    history = history_of(np.zeros((3, 2)), first=np.full((3, 2), np.nan), note="Distances are not known.")
    assert (cells(history, "from_first") == INACTIVE).all()
    assert "Distances are not known." in history_in_words(history)
    assert NAN not in cells(history, "inactive")


def test_a_layer_that_was_not_called_is_pale():
    history = history_of([[0, 0], [0, np.nan]], mean=[[1, 1], [1, np.nan]])
    for quantity in DRAWN:
        assert cells(history, quantity)[1, 1] == INACTIVE
    assert cell_in_words(history, 1, 1) == "block_1/conv, epoch 1: not called"


def test_one_far_layer_does_not_hide_the_others():
    first = np.linspace(0, 1, 100)[np.newaxis] * np.ones((2, 1))
    first[1, 0] = 1000
    drawn = history_map(history_of(np.zeros((2, 100)), first=first), "from_first")
    assert drawn.scale[1] == pytest.approx(0.96, abs=0.02)
    assert drawn.scale_title.endswith("or more")
    plain = history_map(history_of(np.zeros((2, 3)), first=[[0, 0, 0], [1, 2, 3]]), "from_first")
    assert plain.scale == pytest.approx((0, 3))
    assert "or more" not in plain.scale_title


@pytest.mark.parametrize("quantity", DRAWN)
@pytest.mark.parametrize(("steps", "layers"), [(1, 1), (3, 5), (60, 150)])
@pytest.mark.parametrize("width", [360, 1150])
def test_any_history_is_drawn_with_the_line_of_a_layer(quantity, steps, layers, width):
    history = history_of(np.random.default_rng(0).random((steps, layers)))
    with np.errstate(all="raise", under="ignore"):
        page = draw_step_history(history, quantity, "block_0/conv", width)
    alone = draw_step_history(history, quantity, None, width)
    assert page.width == alone.width == width
    np.testing.assert_array_equal(page.indices[: alone.height - 3], alone.indices[: alone.height - 3])
    has_values = steps > 1 or quantity != "from_previous"
    assert (page.height > alone.height) == has_values
    drawn_below = page.indices[alone.height + 3 :]
    assert np.unique(drawn_below).size > 2 or not has_values


def test_a_colormap_with_a_middle_is_for_means_alone():
    assert history_cmap("mean", "viridis") == "RdBu_r"
    assert history_cmap("mean", "PiYG") == "PiYG"
    assert history_cmap("inactive", "PiYG_r") == "viridis"
    assert history_cmap("inactive", "gray") == "gray"


def test_a_history_is_told_in_words():
    inactive = [[0, 0, 0.5], [0, 1, 0.5], [0, 1, 1]]
    history = history_of(inactive, first=[[0, 0, 0], [1, 2, 1], [3, 1, 1]], nan=[[0] * 3, [0] * 3, [0, 0, 4]])
    assert history_in_words(history) == (
        "3 steps, 3 layers: all channels of block_1/conv are inactive from epoch 1 on, and of 1 layer more "
        "at the end · NaN or infinite values first in block_2/conv at epoch 2 · block_0/conv moved most "
        "(distance 3 from the first step)"
    )
    assert death_in_words(history, "block_2/conv") == "inactive from epoch 2 on"
    assert death_in_words(history, "block_0/conv") == ""
    assert death_in_words(history_of([[1], [1]]), "block_0/conv") == "inactive at all steps"
    quiet = history_of([[0.0]], first=[[0.0]], total=4)
    assert history_in_words(quiet) == "1 of 4 steps so far, 1 layer: no layer is inactive at the end"
    assert cell_in_words(history, 2, 2) == (
        "block_2/conv, epoch 2: 100 % inactive, mean 1, distance 1 from first step, 0 from previous, "
        "4 values NaN"
    )
    assert "distance 0 from first step" in cell_in_words(history, 0, 0)
    assert "previous" not in cell_in_words(history, 0, 0)
