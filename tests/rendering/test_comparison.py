"""Pages of comparisons, read back: bars, tolerance, the first layer over it, and what has no counterpart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fmwidget.analysis.comparison import Comparison
from fmwidget.rendering.canvas import EDGE, FAINT, STRONG, grey
from fmwidget.rendering.charts.comparison import (
    TALL_ROW,
    comparison_in_words,
    comparison_layout,
    draw_comparison,
    layer_difference_in_words,
)
from fmwidget.rendering.charts.layer_bars import ROW_GAP, ROW_HEIGHT
from fmwidget.rendering.figure import feature_figure
from fmwidget.rendering.palette import NAN, PAPER

TOPS = (0, TALL_ROW + ROW_GAP, TALL_ROW + ROW_HEIGHT + 2 * ROW_GAP)
HEIGHTS = (TALL_ROW, ROW_HEIGHT, ROW_HEIGHT)


def comparison_of(relative_l2: Any, **values: Any) -> Comparison:
    count = len(relative_l2)
    paths = tuple(f"block_{place}/conv" for place in range(count))
    relative_l2 = np.asarray(relative_l2, float)
    defaults = {
        "other_paths": paths,
        "shapes": np.array([(8, 9, 4)] * count).reshape(-1, 3),
        "cosine": np.ones(count),
        "max_abs": np.where(np.isfinite(relative_l2), relative_l2, 1),
        "not_finite": np.zeros(count, int),
        "left_out": np.zeros(count, int),
        "only_a": (),
        "only_b": (),
        "different_shapes": {},
        "by_order": (),
        "tolerance": 1e-4,
    }
    changed = {
        name: np.asarray(value) if isinstance(defaults[name], np.ndarray) else value
        for name, value in values.items()
    }
    return Comparison(paths, relative_l2=relative_l2, **(defaults | changed))


def bars(comparison: Comparison, row: int, ratio: int = 1, width: int = 600) -> list[tuple[int, set[int]]]:
    """Return height in device pixels and color of each layer's bar in a row, without the line across it."""
    page, layout = draw_comparison(comparison, width, ratio), comparison_layout(comparison, width)
    assert layout is not None
    first = (layout.plot.y + TOPS[row]) * ratio
    area = page.indices[first : first + HEIGHTS[row] * ratio]
    found = []
    for layer in range(layout.count):
        box = layout.column(layer)
        column = area[:, round((box.x + box.width / 2) * ratio)]
        drawn = np.flatnonzero(np.isin(column[::-1], [grey(STRONG), grey(FAINT)]))
        # From the bottom to the first gap that is wider than the line across the bars.
        steps = np.diff(drawn, prepend=-1)
        end = int(np.argmax(steps > ratio + 1)) if (steps > ratio + 1).any() else len(drawn)
        height = int(drawn[end - 1]) + 1 if end else 0
        found.append((height, {int(index) for index in column[len(column) - height :]} - {PAPER}))
    return found


def written(comparison: Comparison, **options: Any) -> list[str]:
    return [text.text for text in draw_comparison(comparison, **options).texts]


@pytest.mark.parametrize("ratio", [1, 2])
def test_bars_stand_for_powers_of_ten(ratio):
    """Check a scale from 1e-5 to 1 by hand: a decade takes a fifth of the height."""
    comparison = comparison_of([1, 1e-1, 1e-2, 2e-5, 0], tolerance=1e-3)
    heights = bars(comparison, 0, ratio)
    full = TALL_ROW * ratio
    expected = [1, 0.8, 0.6, (np.log10(2e-5) + 5) / 5]
    for (height, _), share in zip(heights, expected, strict=False):
        assert height == pytest.approx(share * full, abs=1)
    texts = written(comparison)
    assert [texts[place] for place in (1, 2, 3)] == ["1", "1e−5", "0.001"]
    assert texts[0] == "relative L2 (log)"
    # The tolerance is a line across the row, at two fifths of it: dark on the paper, light on the bars.
    page, layout = draw_comparison(comparison, 600, ratio), comparison_layout(comparison, 600)
    row = (layout.plot.y + TALL_ROW) * ratio - round(2 / 5 * full) - 1
    over, nothing = (
        page.indices[row, round((box.x + box.width / 2) * ratio)] for box in map(layout.column, (0, 4))
    )
    assert (over, nothing) == (PAPER, grey(STRONG))


def test_layers_over_the_tolerance_are_darker():
    comparison = comparison_of([1e-6, 1e-2, 2e-5, 0.5])
    for row in (0, 2):
        inks = [inks for _, inks in bars(comparison, row)]
        assert [grey(STRONG) in each and grey(FAINT) not in each for each in inks][1::2] == [True, True]
        assert all(grey(FAINT) in each for each in inks[::2])


def test_cosines_and_largest_differences_are_drawn_as_they_are():
    comparison = comparison_of(
        [1, 1, 1, 1, 1], cosine=[1, 0.99, 0.9, 0, np.nan], max_abs=[0, 1, 10, 1000, 100]
    )
    full = ROW_HEIGHT
    assert [height for height, _ in bars(comparison, 1)] == [
        0,
        pytest.approx(full / 3, abs=1),
        pytest.approx(2 * full / 3, abs=1),
        full,
        0,
    ]
    assert [height for height, _ in bars(comparison, 2)] == [
        0,
        pytest.approx(full / 4, abs=1),
        pytest.approx(full / 2, abs=1),
        full,
        pytest.approx(3 * full / 4, abs=1),
    ]
    texts = written(comparison)
    assert texts[texts.index("1 − cosine (log)") + 1 :][:2] == ["1", "0.001"]
    assert texts[texts.index("max |A − B| (log)") + 1 :][:2] == ["1000", "0.1"]


def test_any_difference_has_a_bar_and_an_infinite_one_a_full_bar():
    comparison = comparison_of([0, 1e-300, np.inf, 1])
    heights = [height for height, _ in bars(comparison, 0)]
    assert heights == [0, 1, TALL_ROW, TALL_ROW]


def test_equal_sides_have_no_bars_but_the_line():
    comparison = comparison_of([0, 0, 0])
    with np.errstate(all="raise"):
        page = draw_comparison(comparison, 600)
    layout = comparison_layout(comparison, 600)
    plot = page.area(layout.plot)
    lines = (plot == grey(STRONG)).all(axis=1)
    assert lines.sum() == 1
    assert set(np.unique(plot[~lines])) <= {PAPER, grey(EDGE)}
    assert "3 layers, the same in all" in comparison_in_words(comparison)
    assert not any("first" in text for text in written(comparison))


@pytest.mark.parametrize("tolerance", [0.0, np.inf])
def test_a_tolerance_that_has_no_place_on_the_scale_is_no_line(tolerance):
    comparison = comparison_of([1e-3, 1], tolerance=tolerance)
    assert written(comparison)[:3] == ["relative L2 (log)", "1", "1e−4"]
    assert (comparison.first_over is None) == (tolerance == np.inf)


@pytest.mark.parametrize("place", [0, 3, 39])
@pytest.mark.parametrize("width", [360, 848])
def test_the_first_layer_over_the_tolerance_is_pointed_at_and_named(place, width):
    comparison = comparison_of([0] * place + [1] + [0.5] * (39 - place))
    page, layout = draw_comparison(comparison, width), comparison_layout(comparison, width)
    above = page.indices[layout.plot.y - 12 : layout.plot.y - 1] == grey(STRONG)
    columns = np.flatnonzero(above.any(axis=0))
    box = layout.column(place)
    assert columns.mean() == pytest.approx(box.x + box.width / 2, abs=1)
    (label,) = [text for text in page.texts if text.y < layout.plot.y]
    assert label.text.endswith(f"block_{place}/conv")
    end = label.x + (1 if label.align == "left" else -1) * 6 * len(label.text)
    assert 0 <= min(label.x, end) <= max(label.x, end) <= width


def test_differences_in_what_is_not_finite_are_marked():
    comparison = comparison_of([0, 0, 0], not_finite=[0, 7, 0], left_out=[0, 9, 0])
    page, layout = draw_comparison(comparison, 600), comparison_layout(comparison, 600)
    marked = np.flatnonzero((page.indices == NAN).any(axis=0))
    box = layout.column(1)
    assert (marked.min(), marked.max()) == (box.x, box.x + box.width - 1)
    assert "1 over the tolerance of 0.0001: first block_1/conv (relative L2 0, 7 NaN" in comparison_in_words(
        comparison
    )
    assert "9 values NaN or infinite left out" in layer_difference_in_words(comparison, 1)


def test_layers_without_a_counterpart_are_listed():
    comparison = comparison_of(
        [0, 1],
        other_paths=("conv2d_3", "block_1/conv"),
        by_order=("block_0/conv",),
        only_a=("mine", "own"),
        only_b=("theirs",),
        different_shapes={"wide": ((6, 8, 3), (6, 8, 5))},
    )
    lines = [
        "1 layer paired by order: block_0/conv = conv2d_3",
        "2 layers in A only: mine, own",
        "1 layer in B only: theirs",
        "1 layer of different shapes: wide (6 × 8 × 3 and 6 × 8 × 5)",
    ]
    page = draw_comparison(comparison, 848)
    assert [text.text for text in page.texts[-4:]] == lines
    assert all(text.y < page.height for text in page.texts)
    assert comparison_in_words(comparison).endswith("· 4 layers without a counterpart")
    assert layer_difference_in_words(comparison, 0).startswith("block_0/conv and conv2d_3: relative L2 0, ")
    long = comparison_of([0], only_a=tuple(f"a_rather_long_name_{place}" for place in range(99)))
    assert "…" in written(long, width=848)[-1]


def test_models_without_a_layer_in_common_have_a_page():
    comparison = comparison_of([], only_a=("x", "y"))
    assert comparison_layout(comparison, 600) is None
    texts = written(comparison, width=600, title="a · comparison")
    assert texts == ["a · comparison", "no layers correspond", "2 layers in A only: x, y"]
    assert draw_comparison(comparison_of([])).height > 0


def test_a_layer_is_described():
    comparison = comparison_of([0.25, np.inf, 1e-7], cosine=[0.5, np.nan, 1 - 1e-9], max_abs=[3, 2, 1e-6])
    assert [layer_difference_in_words(comparison, layer) for layer in range(3)] == [
        "block_0/conv: relative L2 0.25, cosine 0.5, max |A − B| 3, 8 × 9 × 4",
        "block_1/conv: A is zero everywhere, B is not, max |A − B| 2, 8 × 9 × 4",
        "block_2/conv: relative L2 1e−7, 1 − cosine 1e−9, max |A − B| 1e−6, 8 × 9 × 4",
    ]
    assert comparison_in_words(comparison) == (
        "3 layers, 2 over the tolerance of 0.0001: first block_0/conv (relative L2 0.25)"
    )
    assert comparison_in_words(comparison_of([1e-5])) == "1 layer, none over the tolerance of 0.0001"


@pytest.mark.parametrize("count", [1, 3, 40, 700, 3000])
def test_any_number_of_layers_can_be_read_and_pointed_at(count):
    comparison = comparison_of(np.logspace(-6, 0, count))
    for width in (200, 360, 848, 1200):
        layout, page = comparison_layout(comparison, width), draw_comparison(comparison, width)
        assert page.indices.shape == (page.height, width)
        left, top, room, height = layout.plot
        assert left + room <= width
        for layer in {0, count // 2, count - 1}:
            middle = left + (layer + 0.5) * room / count
            assert layout.layer_at(middle, top + height / 2) == layer
            assert layout.column(layer).x <= middle <= layout.column(layer).x + layout.column(layer).width
        assert layout.layer_at(left - 1, top + 5) is None
        assert layout.tiles()["count"] == count


def test_labels_of_a_row_do_not_overlap():
    for tolerance in (1e-7, 1e-4, 1e-3, 0.1, 0.9, 5):
        for values in ([0, 0], [1e-9, 1], [1e-3, 2e-3], [1e-30, 1e5]):
            page = draw_comparison(comparison_of(values, tolerance=tolerance), 848)
            layout = comparison_layout(comparison_of(values, tolerance=tolerance), 848)
            lines = sorted(
                text.y
                for text in page.texts
                if text.align == "right" and text.x < layout.plot.x and text.text and text.y >= layout.plot.y
            )
            assert (np.diff(lines) >= 11).all()


def test_the_figure_says_the_same():
    comparison = comparison_of([0, 1e-2], only_b=("theirs",))
    for dark in (False, True):
        figure = feature_figure(draw_comparison(comparison, 848, 2, title="small · comparison"), dark=dark)
        texts = [text.get_text() for text in figure.axes[0].texts]
        assert texts[:2] == ["small · comparison", comparison_in_words(comparison)]
        assert texts[-1] == "1 layer in B only: theirs"
        assert figure._repr_png_()
