"""One scale for several maps, against numpy on all of their values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget.analysis.channel_stats import ChannelScale, channel_statistics, pooled_scale

STEPS = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    elements=st.floats(-1000, 1000, width=16),
)


def pooled(steps):
    return pooled_scale([channel_statistics(maps) for maps in steps])


@settings(deadline=None, max_examples=100)
@given(STEPS)
def test_the_scale_of_several_steps_is_that_of_all_their_values(steps):
    with np.errstate(all="raise"):
        scale = pooled(steps)
    exact = steps.astype(np.float64)
    everywhere = (0, 1, 2)
    np.testing.assert_array_equal(scale.min, exact.min(axis=everywhere))
    np.testing.assert_array_equal(scale.max, exact.max(axis=everywhere))
    np.testing.assert_allclose(scale.mean, exact.mean(axis=everywhere), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scale.std, exact.std(axis=everywhere), rtol=1e-6, atol=1e-6)
    assert (scale.std[scale.min == scale.max] == 0).all()
    assert {array.dtype for array in vars(scale).values()} == {np.dtype(np.float64)}


def test_values_that_are_not_finite_are_left_out_of_the_scale():
    steps = np.random.default_rng(0).normal(size=(3, 4, 5, 4)).astype(np.float32)
    steps[1, :, :, 0] = np.nan  # a channel that has diverged at one step
    steps[2, :, :, 1] = np.inf
    steps[:, :, :, 2] = np.nan  # and one at all of them
    with np.errstate(all="raise"):
        scale = pooled(steps)
    for channel, kept in ((0, [0, 2]), (1, [0, 1]), (3, [0, 1, 2])):
        values = steps[kept, :, :, channel].astype(np.float64)
        found = [getattr(scale, name)[channel] for name in ("min", "max", "mean", "std")]
        assert found == pytest.approx([values.min(), values.max(), values.mean(), values.std()])
    assert np.isnan([getattr(scale, name)[2] for name in ("min", "max", "mean", "std")]).all()


def test_every_step_counts_the_same_whatever_its_size():
    small, large = np.zeros((1, 1, 1)), np.ones((9, 9, 1))
    scale = pooled([small, large])
    assert (scale.min[0], scale.max[0], scale.mean[0], scale.std[0]) == (0, 1, 0.5, 0.5)


def test_a_constant_that_sums_cannot_hold_has_no_deviation():
    assert pooled(np.full((3, 2, 2, 1), 0.1)).std == [0]


def test_the_scale_of_one_part_is_its_own():
    statistics = channel_statistics(np.random.default_rng(1).normal(size=(5, 6, 3)))
    for part in (statistics, pooled_scale([statistics])):
        scale = pooled_scale([part])
        assert isinstance(scale, ChannelScale)
        for name in ("min", "max", "mean", "std"):
            np.testing.assert_array_equal(getattr(scale, name), getattr(statistics, name))
