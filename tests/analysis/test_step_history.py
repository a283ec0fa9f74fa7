"""The step history: its numbers against numpy on clones whose weights were set to each step."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget import ActivationModel, StepHistory, step_history
from fmwidget.analysis.channel_stats import channel_statistics
from fmwidget.analysis.step_history import QUANTITIES, GrowingHistory, _distance, _norm, _Pool
from fmwidget.models import backends
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from tests.support import zoo

layers = keras.layers
SIZE = (9, 7, 3)
STEPS = 5
DIES_AT = 3


def build():
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(5, 2, activation="relu", name="dying"),
            layers.Conv2D(2, 1, name="signed"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build()


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).random((1, *SIZE), np.float32)


@pytest.fixture(scope="module")
def weights(model):
    """Return the weights of each step; from one on, a bias silences a layer."""
    rng = np.random.default_rng(1)
    steps = [
        [array + step * rng.normal(0, 0.1, array.shape) for array in model.get_weights()]
        for step in range(STEPS)
    ]
    for arrays in steps[DIES_AT:]:
        arrays[3] = np.full_like(arrays[3], -1e3)
    return [[array.astype(np.float32) for array in arrays] for arrays in steps]


def snapshots_of(model, weights):
    named = backends.current().named_variables(model)
    return [
        Snapshot(step=step, epoch=step, source=NamedValues(list(named), arrays))
        for step, arrays in enumerate(weights)
    ]


@pytest.fixture(scope="module")
def snapshots(model, weights):
    return snapshots_of(model, weights)


@pytest.fixture(scope="module")
def maps(weights, batch):
    """Return each layer's maps at each step, from a clone that is called layer by layer."""
    clone, steps = build(), []
    for arrays in weights:
        clone.set_weights(arrays)
        tensor, maps = batch, {}
        for layer in clone.layers:
            tensor = layer(tensor)
            maps[layer.name] = np.asarray(tensor[0], np.float64)
        steps.append(maps)
    return steps


def relative(maps, other):
    difference, norm = np.linalg.norm(maps - other), np.linalg.norm(other)
    return difference / norm if norm else (0.0 if difference == 0 else np.inf)


def check(history, maps):
    assert history.paths == tuple(maps[0]) == ("first", "pool", "dying", "signed")
    assert history.steps == tuple(range(STEPS))
    for row, step in enumerate(maps):
        for place, path in enumerate(history.paths):
            ours, first = step[path], maps[0][path]
            assert history.inactive[row, place] == (ours == 0).all(axis=(0, 1)).mean()
            assert history.mean[row, place] == pytest.approx(ours.mean(), rel=1e-5, abs=1e-7)
            assert history.from_first[row, place] == pytest.approx(relative(ours, first), rel=1e-4)
            if row:
                previous = relative(ours, maps[row - 1][path])
                assert history.from_previous[row, place] == pytest.approx(previous, rel=1e-4)
            else:
                assert np.isnan(history.from_previous[row, place])
    assert not history.nan.any()
    assert not history.inf.any()
    for path in history.paths:
        stacked = np.stack([step[path] for step in maps])
        scale = history.scale(path)
        np.testing.assert_allclose(scale.min, stacked.min(axis=(0, 1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scale.max, stacked.max(axis=(0, 1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scale.mean, stacked.mean(axis=(0, 1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scale.std, stacked.std(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)


def test_the_numbers_are_those_of_clones_in_one_pass_a_step(model, batch, snapshots, maps):
    am = ActivationModel(model)
    history = step_history(am, batch, reversed(snapshots))
    assert isinstance(history, StepHistory)
    check(history, maps)
    assert am.stats.forwards == STEPS
    assert (history.total, history.is_complete, history.note) == (STEPS, True, "")
    assert history.previous == (-1, 0, 1, 2, 3)
    assert history.names[:2] == ("before training", "epoch 1")
    assert history.scale("first@pre") is None
    step_history(am, batch, snapshots)
    assert am.stats.forwards == STEPS


def test_a_layer_that_dies_is_named_with_its_step(model, batch, snapshots, maps):
    history = step_history(model, batch, snapshots)
    assert history.died("dying") == DIES_AT
    assert history.deaths() == {"dying": DIES_AT}
    assert history.died("first") is None
    assert history.died("signed") is None, "its bias is left"
    shares = [(step["first"] == 0).all(axis=(0, 1)).mean() for step in maps]
    assert (history.died("first", 0.25) is None) == (shares[-1] < 0.25)
    with pytest.raises(ValueError, match="Did you mean 'dying'"):
        history.died("dyin")
    with pytest.raises(ValueError, match="at most 1"):
        history.deaths(0)


@pytest.mark.parametrize(
    ("inactive", "died"),
    [
        ([0, 0.5, 1, 1], 2),
        ([1, 1, 1, 1], 0),
        ([1, 1, 1, 0], None),
        ([0, 1, 0, 1], 3),
        ([0, np.nan, 1, 1], 2),
        ([1, 1, np.nan, np.nan], None),
    ],
)
def test_a_layer_has_died_only_if_it_stays_inactive_to_the_end(inactive, died):
    inactive = np.array(inactive, float)[:, np.newaxis]
    history = StepHistory(
        (0, 1, 2, 3), ("", "", "", ""), (-1, 0, 1, 2), ("a",), *[inactive] * 6, total=4, note="", _pools={}
    )
    assert history.died("a") == died


def test_rows_are_ready_for_pandas(model, batch, snapshots):
    history = step_history(model, batch, snapshots)
    rows = history.rows()
    assert len(rows) == STEPS * len(history.paths)
    row = next(row for row in rows if row["step"] == 3 and row["layer"] == "signed")
    place = history.paths.index("signed")
    assert row["name"] == "epoch 3"
    assert {name: row[name] for name in QUANTITIES} == {
        name: getattr(history, name)[3, place] for name in QUANTITIES
    }


def test_a_growing_run_costs_one_pass_a_new_step(model, batch, snapshots, maps):
    am = ActivationModel(model)
    growing = GrowingHistory(am, batch)
    for count in range(1, STEPS + 1):
        run = tuple(snapshots[:count])
        assert growing.advance(run)
        assert not growing.advance(run)
        assert am.stats.forwards == count
        history = growing.history(run)
        assert history.steps == tuple(range(count))
        assert history.is_complete
        assert not growing.history(snapshots).is_complete or count == STEPS
    check(growing.history(snapshots), maps)


def test_it_goes_on_after_its_maps_were_released(model, batch, snapshots, maps):
    am = ActivationModel(model, cache_bytes=2**14)
    growing = GrowingHistory(am, batch)
    for _ in range(3):
        growing.advance(snapshots)
    growing.release()
    while growing.advance(snapshots):
        pass
    check(growing.history(snapshots), maps)


def test_a_step_that_the_run_drops_goes_and_its_snapshot_is_not_kept(model, batch, weights, maps):
    run = snapshots_of(model, weights)
    growing = GrowingHistory(ActivationModel(model), batch)
    while growing.advance(run[:4]):
        pass
    alive = [run[1]]
    del run[1]
    gc.collect()
    run_now = tuple(run)
    growing.advance(run_now)
    history = growing.history(run_now)
    assert history.steps == (0, 2, 3, 4)
    assert history.previous == (-1, 1, 2, 3)  # as they were measured
    place = history.paths.index("first")
    assert history.from_previous[1, place] == pytest.approx(
        relative(maps[2]["first"], maps[1]["first"]), 1e-4
    )
    dropped = weakref.ref(alive.pop())
    gc.collect()
    assert dropped() is None


def test_another_first_step_begins_anew(model, batch, weights):
    growing = GrowingHistory(ActivationModel(model), batch)
    first, second = snapshots_of(model, weights), snapshots_of(model, weights[::-1])
    for run in (first, second):
        while growing.advance(run):
            pass
        history = growing.history(run)
        assert history.is_complete
        assert not history.from_first[0].any()
        alone = step_history(model, batch, run)
        np.testing.assert_array_equal(history.from_first, alone.from_first)
        ours, theirs = history.scale("first"), alone.scale("first")
        assert ours is not None
        assert theirs is not None
        np.testing.assert_array_equal(ours.std, theirs.std)


def test_maps_that_do_not_fit_have_no_distances_and_the_reason_is_said(model, batch, snapshots, maps):
    am = ActivationModel(model, cache_bytes=0)
    history = step_history(am, batch, snapshots)
    assert am.stats.forwards == 2 * STEPS, "two passes a step, not one a layer"
    assert np.isnan(history.from_first).all()
    assert np.isnan(history.from_previous).all()
    assert "Distances are not known" in history.note
    assert "cache_bytes" in history.note
    assert history.died("dying") == DIES_AT
    for place, path in enumerate(history.paths):
        assert history.mean[2, place] == pytest.approx(maps[2][path].mean(), rel=1e-5, abs=1e-7)


def test_nothing_to_measure_is_refused_with_a_sentence(model, batch):
    with pytest.raises(ValueError, match="at least one snapshot"):
        step_history(model, batch, [])
    flat = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    (snapshot,) = snapshots_of(flat, [flat.get_weights()])
    with pytest.raises(ValueError, match="no feature maps"):
        step_history(flat, np.zeros((1, 4), np.float32), [snapshot])


@pytest.mark.parametrize("name", ["nested", "twins", "called_twice", "subclassed", "branching"])
def test_models_of_all_kinds_have_a_history(name):
    keras.utils.set_random_seed(0)
    model = zoo.MODELS[name]()
    batch = zoo.batch_for(model)
    ActivationModel(model).predictions(batch)  # builds it
    named = backends.current().named_variables(model)
    run = [
        Snapshot(
            step=step, source=NamedValues(list(named), [np.asarray(each) * scale for each in named.values()])
        )
        for step, scale in enumerate((1.0, 1.0, 0.0))
    ]
    am = ActivationModel(model)
    history = step_history(am, batch, run)
    assert history.paths == tuple(layer.path for layer in am.at(run[-1]).layers if layer.after is None)
    assert not history.from_first[1].any()
    assert history.inactive[-1, -1] == 1


# ------------------------------------------------------------------ the parts

FLOATS = st.floats(-100, 100, width=32)
MAPS = hnp.arrays(np.float32, (3, 4, 2), elements=FLOATS | st.sampled_from([0.0, np.nan, np.inf, -np.inf]))


@settings(deadline=None, max_examples=80)
@given(st.lists(MAPS, min_size=1, max_size=5))
def test_the_range_over_all_steps_is_numpy_s_over_what_is_finite(steps):
    pool = _Pool.of(channel_statistics(steps[0]))
    for maps in steps[1:]:
        pool = pool.joined(_Pool.of(channel_statistics(maps)))
    scale = pool.scale
    for channel in range(2):
        finite = [
            maps[..., channel][np.isfinite(maps[..., channel])].astype(np.float64)
            for maps in steps
            if np.isfinite(maps[..., channel]).any()
        ]
        if not finite:
            assert all(np.isnan(getattr(scale, name)[channel]) for name in ("min", "max", "mean", "std"))
            continue
        assert scale.min[channel] == min(values.min() for values in finite)
        assert scale.max[channel] == max(values.max() for values in finite)
        mean = np.mean([values.mean() for values in finite])
        square = np.mean([((values - mean) ** 2).mean() for values in finite])
        assert scale.mean[channel] == pytest.approx(mean, rel=1e-5, abs=1e-5)
        assert scale.std[channel] == pytest.approx(np.sqrt(square), rel=1e-4, abs=1e-3)


@settings(deadline=None, max_examples=80)
@given(MAPS, MAPS)
def test_a_distance_is_numpy_s_or_says_that_it_is_none(maps, other):
    distance = _distance((maps, _norm(maps)), (other, _norm(other)))
    if np.isfinite(maps).all() and np.isfinite(other).all():
        expected = relative(maps.astype(np.float64), other.astype(np.float64))
        assert distance == pytest.approx(expected, rel=1e-9)
    else:
        assert np.isnan(distance)


@pytest.mark.parametrize("shape", [(300, 40, 30), (1, 1, 1), (5, 2000, 300)])
def test_large_maps_are_read_in_blocks(shape):
    a, b = np.random.default_rng(0).normal(0, 1, (2, *shape)).astype(np.float32)
    assert _norm(a, b) == pytest.approx(np.linalg.norm(a.astype(float) - b), rel=1e-9)


def test_distances_of_extreme_values():
    zero, one = np.zeros((2, 2, 1), np.float32), np.ones((2, 2, 1), np.float32)
    huge = np.full((2, 2, 1), 3e38, np.float32)
    pair = lambda maps: (maps, _norm(maps))  # noqa: E731
    assert _distance(pair(zero), pair(zero.copy())) == 0
    assert _distance(pair(one), pair(zero)) == np.inf
    assert _distance(pair(zero), pair(one)) == 1
    assert _distance(pair(huge), pair(-huge)) == pytest.approx(2)
    assert np.isnan(_distance(pair(one), pair(np.ones((2, 3, 1), np.float32))))
    assert np.isnan(_distance(pair(one), None))
