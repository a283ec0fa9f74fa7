"""Heat maps: their cells read back from the pixels, their layout, their labels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmwidget.rendering.charts.heat_map import HeatMap, draw_heat_map, heat_map_layout, row_names
from fmwidget.rendering.palette import INACTIVE, NAN, NEGINF, PAPER, POSINF, STEPS


def heat_map(values, limits=None, known=None, name="layer_{}"):
    rows, columns = np.shape(values)
    return HeatMap(
        np.asarray(values, float),
        [name.format(row) for row in range(rows)],
        [str(column) for column in range(columns)],
        "layer",
        "step",
        "share",
        limits,
        known,
    )


def cells(drawn, width=848, ratio=1):
    """Return the palette index in the middle of each cell."""
    page, layout = draw_heat_map(drawn, width, ratio), heat_map_layout(drawn, width)
    indices = np.zeros(drawn.values.shape, int)
    for row, column in np.ndindex(indices.shape):
        x, y, box_width, box_height = layout.box(row, column)
        indices[row, column] = page.indices[
            int((y + box_height / 2) * ratio), int((x + box_width / 2) * ratio)
        ]
    return indices


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (20, 60), (153, 12)])
def test_every_cell_has_the_color_of_its_value(shape, ratio):
    values = np.random.default_rng(0).random(shape)
    expected = np.rint(values * (STEPS - 1))
    assert np.array_equal(cells(heat_map(values, (0, 1)), ratio=ratio), expected)


def test_what_is_not_finite_or_not_known_has_its_mark_and_its_legend():
    values = [[np.nan, np.inf, -np.inf], [0, 1, 2]]
    known = np.array([[True, True, True], [True, True, False]])
    drawn = heat_map(values, (0, 2), known)
    assert np.array_equal(cells(drawn), [[NAN, POSINF, NEGINF], [0, round((STEPS - 1) / 2), INACTIVE]])
    written = [text.text for text in draw_heat_map(drawn).texts]
    assert {"NaN", "+inf", "−inf", "no value"} <= set(written)
    plain = [text.text for text in draw_heat_map(heat_map([[0, 1]])).texts]
    assert not {"NaN", "+inf", "−inf", "no value"} & set(plain)


@pytest.mark.parametrize(
    ("values", "known", "scale"),
    [
        ([[1, 3]], None, (1, 3)),
        ([[1, np.inf, np.nan, 3]], None, (1, 3)),
        ([[1, 3, 9]], np.array([[True, True, False]]), (1, 3)),
        ([[2, 2]], None, (0, 2)),
        ([[-2, -2]], None, (-2, 0)),
        ([[0, 0]], None, (0, 1)),
        ([[np.nan]], None, (0, 1)),
    ],
)
def test_the_scale_is_that_of_the_known_finite_values_and_never_empty(values, known, scale):
    assert heat_map(values, known=known).scale == scale


@pytest.mark.parametrize("largest", [3.4e38, 1.7e308])
def test_values_as_large_as_floats_get_are_drawn(largest):
    with np.errstate(all="raise"):
        assert np.array_equal(cells(heat_map([[-largest, largest]])), [[0, STEPS - 1]])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([360, 848, 1200]), st.data())
def test_a_point_and_the_box_of_its_cell_agree(rows, columns, width, data):
    drawn = heat_map(np.zeros((rows, columns)))
    layout = heat_map_layout(drawn, width)
    left, top, room, height = layout.plot
    assert left + room <= width
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    x, y = left + (column + 0.5) * room / columns, top + (row + 0.5) * height / rows
    assert layout.cell_at(x, y) == (row, column)
    box = layout.box(row, column)
    assert min(box.width, box.height) >= 3
    assert box.x <= x <= box.x + box.width
    assert box.y <= y <= box.y + box.height
    tiles = layout.tiles()
    assert abs(tiles["x"] + tiles["right"] * column - box.x) <= 3, "where the browser puts the mark"
    assert abs(tiles["y"] + tiles["down"] * row - box.y) <= 3
    assert layout.cell_at(left - 1, y) is None
    assert layout.cell_at(x, top + height) is None


@pytest.mark.parametrize("count", [1, 5, 60, 150, 700])
@pytest.mark.parametrize("width", [360, 848])
def test_labels_lie_on_the_page_and_not_on_each_other(count, width):
    drawn = heat_map(np.zeros((count, count)), name="backbone/a_long_name_of_a_stage/block_{}/conv")
    page, layout = draw_heat_map(drawn, width), heat_map_layout(drawn, width)
    _, top, room, height = layout.plot
    assert page.height > top + height
    beside = sorted(text.y for text in page.texts if text.align == "right" and text.y > top)
    assert all(b - a >= 11 for a, b in pairwise(beside))
    below = [text for text in page.texts if text.align == "center" and text.y > top + height]
    assert below[-1].text == str(count - 1)
    assert all(b.x - a.x >= 8 * len(b.text) for a, b in pairwise(below))
    assert room >= min(64 * count, 0.6 * width)


def test_one_loud_cell_among_thousands_is_seen():
    """Draw the largest magnitude, or the mark of what is not finite, in a pixel that holds several cells."""
    values = np.zeros((2, 5000))
    values[0, 1234], values[1, 4321], values[0, 77] = 1, -1, np.nan
    page = draw_heat_map(heat_map(values, (-1, 1)))
    layout = heat_map_layout(heat_map(values, (-1, 1)))
    area = page.area(layout.plot)
    assert {0, STEPS - 1, NAN} <= set(np.unique(area))
    assert (area < PAPER).sum() > 0.9 * area.size
    known = np.zeros((2, 5000), bool)
    known[:, ::40] = True  # what is known is seen beside what is not
    area = draw_heat_map(heat_map(values, (-1, 1), known)).area(layout.plot)
    assert (area != INACTIVE).any(axis=0).sum() >= 120


def test_a_title_and_its_facts_are_above():
    drawn = heat_map(np.zeros((3, 3)))
    page = draw_heat_map(drawn, title="CKA", facts="3 layers")
    assert [text.text for text in page.texts[:2]] == ["CKA", "3 layers"]
    assert heat_map_layout(drawn, titled=True).plot.y > heat_map_layout(drawn).plot.y
    assert {"layer", "step", "share"} <= {text.text for text in page.texts}


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["backbone/a/conv", "backbone/b/conv"], ["…/a/…", "…/b/…"]),
        (["backbone/a", "backbone/b/conv"], ["…/a", "…/b/conv"]),
        (["a/conv", "b/conv"], ["a/…", "b/…"]),
        (["backbone/a", "backbone/a@2"], ["…/a", "…/a@2"]),
        (["a", "b"], ["a", "b"]),
        (["m/a/c", "m/a/d", "m/b/d"], ["…/a/c", "…/a/d", "…/b/d"]),
        (["m/a/a", "m/a"], ["…/a/a", "…/a"]),
    ],
)
def test_names_without_room_lose_what_they_share(names, short):
    drawn = HeatMap(np.zeros((len(names), 1)), names, ["0"], "layer", "step", "share")
    assert row_names(drawn, 0) == short
    assert row_names(drawn, 1000) == names
    assert len(set(short)) == len(names)
