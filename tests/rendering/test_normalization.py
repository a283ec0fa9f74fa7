"""Feature maps to levels, against the classic loop, a brute-force area mean and plain float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget.analysis.channel_stats import (
    ORDERS,
    ChannelScale,
    channel_order,
    channel_statistics,
    pooled_scale,
)
from fmwidget.rendering.normalization import (
    MARK_NAN,
    MARK_NEGINF,
    MARK_POSINF,
    MID_LEVEL,
    NORMS,
    channel_limits,
    to_levels,
)

HUGE = float(np.finfo(np.float32).max)


def levels(maps, norm="standardize", channels=None, shrink=1):
    statistics = channel_statistics(maps)
    channels = range(maps.shape[-1]) if channels is None else channels
    return to_levels(maps, norm, channels, statistics, shrink)


def classic_grid(maps, images_per_row=16):
    """Run the loop of every tutorial, up to its `display_grid` of uint8 levels."""
    size_y, size_x, n_features = maps.shape
    n_cols = n_features // images_per_row
    display_grid = np.zeros((size_y * n_cols, images_per_row * size_x))
    layer_activation = maps[np.newaxis].copy()
    for col in range(n_cols):
        for row in range(images_per_row):
            channel_image = layer_activation[0, :, :, col * images_per_row + row]
            channel_image -= channel_image.mean()
            channel_image /= channel_image.std()
            channel_image *= 64
            channel_image += 128
            channel_image = np.clip(channel_image, 0, 255).astype("uint8")
            display_grid[col * size_y : (col + 1) * size_y, row * size_x : (row + 1) * size_x] = channel_image
    return display_grid.astype("uint8")


def feature_maps(shape, seed=0):
    """Sparse, skewed maps of very different ranges, like those of a network."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-3, 3, shape[-1])
    maps = np.maximum(rng.normal(size=shape) + rng.normal(size=shape[-1]), 0) * scale
    maps[0, 0] = scale  # no map is constant
    return maps.astype(np.float32)


def in_float64(channel_map, norm, low, high):
    """Return one finite map's levels before rounding, in plain float64."""
    values = channel_map.astype(np.float64)
    if norm == "standardize":
        return np.clip((values - values.mean()) / values.std() * 64 + 128, 0, 255)
    return (values - low) / (high - low) * 255


@pytest.mark.parametrize(
    "shape",
    [
        (148, 148, 32),
        (74, 74, 32),
        (36, 36, 64),
        (34, 34, 128),
        (7, 7, 128),
        (1, 2, 16),
        (31, 5, 16),
        (3, 200, 32),
    ],
)
def test_standardize_is_the_classic_display_grid_to_the_bit(shape):
    maps = feature_maps(shape)
    drawn, marks = levels(maps)
    rows = drawn.reshape(-1, 16, *shape[:2]).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(rows.reshape(-1, 16 * shape[1]), classic_grid(maps))
    assert marks is None


@pytest.mark.parametrize("norm", NORMS)
def test_levels_follow_the_formula_and_the_limits_say_what_they_mean(norm):
    maps = feature_maps((9, 11, 6), seed=1) - 0.5
    drawn, _ = levels(maps, norm)
    low, high = channel_limits(channel_statistics(maps), norm)
    for channel in range(6):
        channel_map = maps[:, :, channel]
        exact = in_float64(channel_map, norm, low[channel], high[channel])
        assert np.abs(drawn[channel] - exact).max() <= 1
        # Read backwards: a level stands for an activation between the limits.
        inside = (channel_map >= low[channel]) & (channel_map <= high[channel])
        read = low[channel] + drawn[channel] / 255 * (high[channel] - low[channel])
        step = (high[channel] - low[channel]) / 255
        assert np.abs(read - channel_map)[inside].max() <= 1.01 * step


def test_shared_norms_darken_a_scaled_channel_and_others_report_its_range():
    maps = np.abs(feature_maps((8, 8, 4), seed=2))
    maps /= maps.max(axis=(0, 1))
    faint = maps * np.array([1, 1, 1e-3, 1], np.float32)
    for norm in ("standardize", "channel"):
        np.testing.assert_allclose(levels(faint, norm)[0], levels(maps, norm)[0].astype(int), atol=1)
        before, after = (np.array(channel_limits(channel_statistics(m), norm)) for m in (maps, faint))
        np.testing.assert_allclose(after[:, 2], before[:, 2] * 1e-3, rtol=1e-5)
    assert levels(faint, "shared")[0][2].max() == 0
    assert set(np.unique(levels(faint, "symmetric")[0][2])) <= {127, 128}


def test_symmetric_has_zero_in_the_middle():
    maps = np.array([[[-1.0, 4.0], [0.0, 2.0]]], np.float32)
    assert levels(maps, "symmetric")[0].tolist() == [[[96, 128]], [[255, 191]]]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16, "uint8", "int8", "int32", "bool"]
)
def test_every_type_of_number_gives_the_levels_of_its_values(norm, dtype):
    maps = (np.arange(60).reshape(3, 4, 5) * 7 % 23).astype(dtype)
    np.testing.assert_array_equal(levels(maps, norm)[0], levels(maps.astype(np.float64), norm)[0])


# Every entry: a map that breaks naive arithmetic, and its levels under "standardize" and "channel".
AWKWARD = {
    "zero": ([0, 0, 0, 0], [128] * 4, [128] * 4),
    "constant": ([3.3, 3.3, 3.3, 3.3], [128] * 4, [128] * 4),
    "huge constant": ([HUGE] * 4, [128] * 4, [128] * 4),
    "zero sum": ([-1, 1, -1, 1], [64, 192, 64, 192], [0, 255, 0, 255]),
    "tiny": ([0, 1e-30, 0, 1e-30], [64, 192, 64, 192], [0, 255, 0, 255]),
    "denormal": ([0, 1e-44, 0, 1e-44], [64, 192, 64, 192], [0, 255, 0, 255]),
    "smallest denormal": ([0, 1e-45, 0, 1e-45], [64, 192, 64, 192], [0, 255, 0, 255]),
    "huge": ([-HUGE, HUGE, -HUGE, HUGE], [64, 192, 64, 192], [0, 255, 0, 255]),
    "large, barely varied": ([1e38, 1.0001e38, 1e38, 1.0001e38], [64, 192, 64, 192], [0, 255, 0, 255]),
    "huge and tiny": ([HUGE, 1e-40, HUGE, 0], [192, 64, 192, 64], [255, 0, 255, 0]),
}


@pytest.mark.parametrize(("values", "standardized", "by_channel"), AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("beside", [0.0, 1.0, np.nan, HUGE])
def test_awkward_maps_raise_no_warning_and_do_not_spread(values, standardized, by_channel, beside):
    awkward = np.array(values, np.float32).reshape(2, 2)
    plain = np.array([[1, 2], [3, beside]], np.float32)
    maps = np.stack([awkward, plain], axis=-1)
    with np.errstate(all="raise"):
        for norm, expected in (("standardize", standardized), ("channel", by_channel)):
            drawn, marks = levels(maps, norm)
            np.testing.assert_allclose(drawn[0].ravel(), expected, atol=1)
            assert marks is None or not marks[0].any()
        statistics = channel_statistics(maps)
        assert statistics.inactive[0] == (set(values) == {0})
        assert statistics.constant[0] == (len(set(values)) == 1 and set(values) != {0})
        for norm in NORMS:
            levels(maps, norm)
            channel_limits(statistics, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_values_that_are_not_finite_are_marked_counted_and_left_out(norm):
    finite = feature_maps((5, 6, 3), seed=3)
    maps = finite.copy()
    maps[0, 1, 0], maps[2, 2, 0], maps[4, 5, 0] = np.nan, np.inf, -np.inf
    maps[:, :, 2] = np.nan
    statistics = channel_statistics(maps)
    assert (statistics.nan.tolist(), statistics.posinf.tolist(), statistics.neginf.tolist()) == (
        [1, 0, 30],
        [1, 0, 0],
        [1, 0, 0],
    )
    present = maps[:, :, 0][np.isfinite(maps[:, :, 0])].astype(np.float64)
    found = [statistics.min[0], statistics.max[0], statistics.mean[0], statistics.std[0]]
    np.testing.assert_allclose(
        found, [present.min(), present.max(), present.mean(), present.std()], rtol=1e-6
    )

    with np.errstate(all="raise"):
        drawn, marks = levels(maps, norm)
    assert marks is not None
    expected = np.zeros((5, 6), int)
    expected[0, 1], expected[2, 2], expected[4, 5] = MARK_NAN, MARK_POSINF, MARK_NEGINF
    np.testing.assert_array_equal(marks[0], expected)
    assert not marks[1].any()
    assert (marks[2] == MARK_NAN).all()
    low, high = (limit[0] for limit in channel_limits(statistics, norm))
    exact = np.clip((present - low) / (high - low) * 255, 0, 255)
    assert np.abs(drawn[0][np.isfinite(maps[:, :, 0])] - exact).max() <= 1.01


def brute_force_means(values, side):
    height, width = values.shape
    return np.array(
        [
            [values[y : y + side, x : x + side].mean() for x in range(0, width, side)]
            for y in range(0, height, side)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    shrink=st.integers(1, 25),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 9),
)
def test_shrinking_takes_the_mean_of_values_then_the_scale(height, width, shrink, norm, seed):
    maps = feature_maps((height, width, 2), seed)
    drawn, marks = levels(maps, norm, shrink=shrink)
    low, high = channel_limits(channel_statistics(maps), norm)
    assert marks is None
    for channel in range(2):
        means = brute_force_means(maps[:, :, channel].astype(np.float64), shrink)
        assert drawn[channel].shape == means.shape
        if low[channel] == high[channel]:
            assert (drawn[channel] == MID_LEVEL).all()
        else:
            exact = np.clip((means - low[channel]) / (high[channel] - low[channel]) * 255, 0, 255)
            assert np.abs(drawn[channel] - exact).max() <= 1.01


@settings(max_examples=60, deadline=None)
@given(
    place=st.tuples(st.integers(0, 12), st.integers(0, 16)),
    shrink=st.integers(1, 20),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_one_marked_value_survives_any_shrink(place, shrink, value):
    maps = feature_maps((13, 17, 1), seed=4)
    maps[*place, 0] = value
    _, marks = levels(maps, shrink=shrink)
    assert marks is not None
    assert np.argwhere(marks[0]).tolist() == [[place[0] // shrink, place[1] // shrink]]


def test_the_graver_mark_wins_in_a_block():
    maps = np.zeros((2, 6, 1))
    maps[0, :, 0] = [np.nan, np.inf, np.inf, -np.inf, 0, -np.inf]
    assert levels(maps, shrink=2)[1].tolist() == [[[MARK_NAN, MARK_POSINF, MARK_NEGINF]]]


@settings(max_examples=150, deadline=None)
@example(maps=np.array([[[5e-324], [0]]]), norm="standardize", shrink=1)
@given(
    maps=hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements={"allow_nan": True, "allow_infinity": True, "allow_subnormal": True},
    ),
    norm=st.sampled_from(NORMS),
    shrink=st.integers(1, 3),
)
def test_any_maps_at_all(maps, norm, shrink):
    maps.flags.writeable = False
    before = maps.tobytes()
    with np.errstate(all="raise"):
        statistics = channel_statistics(maps)
        drawn, marks = to_levels(maps, norm, range(maps.shape[-1]), statistics, shrink)
        limits = channel_limits(statistics, norm)
    assert maps.tobytes() == before
    assert drawn.dtype == np.uint8
    finite = np.isfinite(maps).all(axis=(0, 1))
    np.testing.assert_array_equal(statistics.inactive, (maps == 0).all(axis=(0, 1)))
    np.testing.assert_array_equal(statistics.zeros, (maps == 0).mean(axis=(0, 1)))
    assert (marks is None) == bool(finite.all())
    # Brighter is never smaller: the order of values is the order of levels. (Squares of larger float64 values
    # overflow.)
    magnitudes = np.abs(maps[np.isfinite(maps)]).astype(np.float64)
    if shrink == 1 and magnitudes.max(initial=0) < 1e150:
        for channel, (low, high) in enumerate(zip(*limits, strict=True)):
            values, seen = maps[:, :, channel], drawn[channel]
            keep = np.isfinite(values)
            ranked = seen[keep][np.argsort(values[keep], kind="stable")].astype(int)
            assert (np.diff(ranked) >= 0).all()
            if norm == "channel" and keep.any() and low < high:
                assert (seen[keep].min(), seen[keep].max()) == (0, 255)


# ------------------------------------------------------------------ one scale for several maps


def levels_by_scale(maps, norm, scale, shrink=1):
    return to_levels(maps, norm, range(maps.shape[-1]), channel_statistics(maps), shrink, scale=scale)


def scale_of(*steps):
    return pooled_scale([channel_statistics(maps) for maps in steps])


def two_steps(dtype, magnitudes):
    """Return a strategy for the maps of one layer at two steps; NaN and infinities are among the values."""
    values = hnp.from_dtype(np.dtype(dtype), min_value=-magnitudes, max_value=magnitudes)
    values |= st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf])
    shape = st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
    return hnp.arrays(dtype, shape, elements=values)


@settings(max_examples=200, deadline=None)
@given(
    steps=two_steps(np.float32, 2.0**20)
    | two_steps(np.float32, HUGE)
    | two_steps(np.float16, 65504)
    | two_steps(np.float64, 1e100),
    norm=st.sampled_from(NORMS),
    covers=st.sampled_from([(0, 1), (0,)]),
)
def test_under_one_scale_a_larger_value_is_never_darker_at_any_step(steps, norm, covers):
    with np.errstate(all="raise"):
        scale = scale_of(*(steps[step] for step in covers))
        drawn = np.stack([levels_by_scale(maps, norm, scale)[0] for maps in steps])
    for channel in range(steps.shape[-1]):
        values, seen = steps[..., channel].ravel(), drawn[:, channel].ravel().astype(int)
        values, seen = values[np.isfinite(values)], seen[np.isfinite(values)]
        order = np.argsort(values, kind="stable")
        assert (np.diff(seen[order]) >= 0).all()
        for value in values:
            assert len(set(seen[values == value])) == 1, "equal values have one level"


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
def test_maps_are_drawn_by_their_own_scale_as_without_one(norm, shrink):
    maps = feature_maps((9, 11, 8), seed=7) - 0.5
    maps[:, :, 3], maps[:, :, 4], maps[:, :, 5] = 0, 3.3, 0
    maps[2, 3, 6], maps[:, :, 7] = np.inf, np.nan
    statistics, scale = channel_statistics(maps), scale_of(maps)
    plain, marks = levels(maps, norm, shrink=shrink)
    scaled, scaled_marks = levels_by_scale(maps, norm, scale, shrink)
    assert np.abs(scaled.astype(int) - plain).max() <= 1
    np.testing.assert_array_equal(scaled_marks, marks)
    np.testing.assert_array_equal(channel_limits(statistics, norm, scale), channel_limits(statistics, norm))


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
def test_levels_by_a_scale_follow_its_formula(norm, shrink):
    maps = feature_maps((6, 8, 4), seed=8)
    maps[1, 1, 2] = np.nan
    scale = scale_of(maps, 3 * maps - 1, np.zeros_like(maps))
    drawn, _ = levels_by_scale(maps, norm, scale, shrink)
    low, high = channel_limits(channel_statistics(maps), norm, scale)
    if norm == "channel":
        np.testing.assert_array_equal((low, high), (scale.min, scale.max))
    for channel in range(4):
        means = brute_force_means(maps[:, :, channel].astype(np.float64), shrink)
        if norm == "standardize":
            exact = (means - scale.mean[channel]) / scale.std[channel] * 64 + 128
        elif norm == "symmetric":
            largest = max(-scale.min.min(), scale.max.max())
            exact = (means + largest) / (2 * largest) * 255
        else:
            exact = (means - low[channel]) / (high[channel] - low[channel]) * 255
        known = ~np.isnan(exact)  # blocks with a NaN are marked
        assert np.abs(drawn[channel] - np.clip(exact, 0, 255))[known].max() <= 1


def test_a_constant_map_has_its_place_on_a_scale():
    maps = np.broadcast_to(np.array([0, 1, 2, 9], np.float32), (2, 2, 4))
    scale = ChannelScale(np.zeros(4), np.full(4, 4.0), np.ones(4), np.ones(4))
    places = {
        "standardize": [64, 128, 192, 255],
        "channel": [0, 64, 128, 255],
        "shared": [0, 64, 128, 255],
        "symmetric": [128, 159, 191, 255],
    }
    for norm, expected in places.items():
        drawn, marks = levels_by_scale(maps, norm, scale)
        assert marks is None
        np.testing.assert_array_equal(drawn[:, 0, 0], expected)
        assert all(len(np.unique(tile)) == 1 for tile in drawn)


@pytest.mark.parametrize("norm", NORMS)
def test_where_a_scale_has_no_extent_all_values_are_at_mid_level(norm):
    maps = feature_maps((3, 4, 2), seed=9)
    for value in (0.0, np.nan):
        at = np.full(2, value)
        with np.errstate(all="raise"):
            drawn, _ = levels_by_scale(maps, norm, ChannelScale(at, at, at, np.zeros(2) + value))
        assert (drawn == MID_LEVEL).all()


@pytest.mark.parametrize("shrink", [1, 3])
@pytest.mark.parametrize("norm", NORMS)
def test_asking_for_some_channels_gives_theirs_in_that_order(norm, shrink):
    maps = feature_maps((10, 12, 40), seed=5)
    maps[2, 2, 7] = np.inf
    every, marks = levels(maps, norm, shrink=shrink)
    assert marks is not None
    for channels in ([7], [39, 0, 7, 7, 12], range(8, 24), range(23, 3, -1), []):
        some, some_marks = levels(maps, norm, channels, shrink)
        np.testing.assert_array_equal(some, every[list(channels)])
        if some_marks is not None:
            np.testing.assert_array_equal(some_marks, marks[list(channels)])


def test_statistics_are_those_of_each_channel():
    maps = feature_maps((33, 21, 5), seed=6)
    maps[:, :, 3] = 0
    statistics = channel_statistics(maps)
    exact = maps.astype(np.float64)
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, exact.std(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_array_equal(statistics.min, exact.min(axis=(0, 1)))
    np.testing.assert_array_equal(statistics.max, exact.max(axis=(0, 1)))
    np.testing.assert_allclose(statistics.zeros, (maps == 0).mean(axis=(0, 1)), atol=1e-12)
    assert statistics.inactive.tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(("order", "expected"), [("index", (0, 1, 2, 3, 4)), ("mean", (1, 0, 3, 2, 4))])
def test_strongest_channels_first_and_silent_ones_last(order, expected):
    maps = np.ones((2, 2, 5)) * [1, 5, 0, -1, np.nan]
    assert channel_order(channel_statistics(maps), order) == expected
    assert set(ORDERS) == {"index", "mean", "max", "variance", "difference"}


def test_channels_that_differ_most_come_first_whatever_their_strength():
    statistics = channel_statistics(np.ones((2, 2, 5)) * [9, 0, 1, np.nan, 2])
    differences = np.array([0, 3, np.inf, np.nan, 3])
    assert channel_order(statistics, "difference", differences) == (2, 1, 4, 0, 3)
    assert channel_order(statistics, "index", differences) == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"'difference' .* no differences\. Pass against="):
        channel_order(statistics, "difference")


@pytest.mark.parametrize("shape", [(4, 4), (0, 3, 2), (1, 2, 3, 4)])
def test_maps_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(H, W, C\)"):
        channel_statistics(np.zeros(shape))


def test_arguments_out_of_range_are_refused():
    maps = feature_maps((3, 3, 4))
    with pytest.raises(ValueError, match=r"Unknown norm 'std'.*'standardize'"):
        levels(maps, "std")
    with pytest.raises(ValueError, match="shrink"):
        levels(maps, shrink=0)
    for channel in (-1, 4):
        with pytest.raises(IndexError, match="0 to 3"):
            levels(maps, channels=[channel])
    with pytest.raises(TypeError, match="complex64"):
        channel_statistics(maps.astype(np.complex64))
