"""The panels below the grid: each against numpy, and against what a person reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget.channels import channel_statistics
from fmwidget.numbers import (
    BINS,
    PLOT,
    channel_summary,
    draw_histogram,
    histogram,
    layer_summary,
    numbers_html,
    percent,
)
from fmwidget.page import FAINT, grey

MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)


@settings(deadline=None, max_examples=60)
@given(MAPS)
def test_the_numbers_are_numpy_s_over_the_finite_values(maps):
    statistics = channel_statistics(maps)
    pairs = [(layer_summary(statistics), maps)]
    pairs += [(channel_summary(statistics, c), maps[..., c]) for c in range(maps.shape[-1])]
    for summary, values in pairs:
        finite = values[np.isfinite(values)].astype(np.float64)
        assert summary.nan == np.isnan(values).sum()
        assert summary.inf == np.isinf(values).sum()
        assert summary.zeros == pytest.approx(float((values == 0).mean()))
        found = [summary.min, summary.max, summary.mean, summary.std]
        if finite.size:
            expected = [finite.min(), finite.max(), finite.mean(), finite.std()]
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(finite).max())
        else:
            assert np.isnan(found).all()


def test_numbers_of_any_size_are_summed():
    for factor in (1e300, 1e-300):
        maps = factor * np.array([[[1.0, 3.0], [-1.0, 5.0]]])
        summary = layer_summary(channel_statistics(maps))
        assert summary.mean == pytest.approx(2 * factor)
        assert summary.std / factor == pytest.approx(np.std([1, 3, -1, 5]))


def test_a_histogram_counts_all_but_zeros():
    values = np.array([[0, 0, 0, 1], [2, 2, -2, np.nan], [np.inf, 0, 2, 0.5]], np.float32)
    spread = histogram(values)
    assert spread is not None
    counts, low, high = spread
    assert (low, high) == (-2, 2)
    expected, _ = np.histogram([1, 2, 2, -2, 2, 0.5], BINS, (-2, 2))
    assert np.array_equal(counts, expected)
    for one_value in (np.zeros((3, 3)), np.full((3, 3), 7.0), np.full((3, 3), np.nan)):
        assert histogram(one_value) is None


@pytest.mark.parametrize("norm", ["standardize", "channel", "shared", "symmetric"])
@pytest.mark.parametrize("ratio", [1, 2])
def test_bars_are_as_high_as_they_are_many(norm, ratio):
    values = np.repeat([0.0, 1.0, 2.0], [10, 4, 2]).reshape(4, 4, 1)
    page = draw_histogram(channel_statistics(values), 0, norm, ratio)
    bars = (page.area(PLOT) == grey(FAINT)).sum(axis=0)[:: 4 * ratio]
    assert bars.max() == bars[BINS // 2] == PLOT.height * ratio
    assert bars[-1] == PLOT.height * ratio // 2
    assert np.count_nonzero(bars) == 2


@pytest.mark.parametrize("extreme", [1.7e308, 5e-324])
def test_values_of_any_size_are_drawn(extreme):
    maps = np.array([-extreme, extreme, 0, extreme]).reshape(2, 2, 1)
    with np.errstate(all="raise", under="ignore"):
        assert draw_histogram(channel_statistics(maps), 0, "channel").composed().any()


def test_what_is_not_finite_is_not_overlooked():
    maps = np.array([[[1.0, np.nan], [2.0, np.nan]]])
    statistics = channel_statistics(maps)
    layer = layer_summary(statistics)
    html = numbers_html(channel_summary(statistics, 1), layer, 1)
    assert '<tr class="fmw-loud"><th scope="row">NaN</th><td>2</td><td>2</td></tr>' in html
    assert '<th scope="row">mean</th><td>none</td><td>1.5</td>' in html
    assert '<tr><th scope="row">±inf</th>' in html


def test_only_none_is_0_percent_and_only_all_is_100():
    shares = {0.0: "0 %", 1e-9: "<0.1 %", 0.125: "12.5 %", 0.9999: ">99.9 %", 1.0: "100 %"}
    assert {share: percent(share) for share in shares} == shares
