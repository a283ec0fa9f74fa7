"""Requests of an `ActivationModel` with the weights of a snapshot."""

from __future__ import annotations

import concurrent.futures
import gc
import random
import threading
import time

import keras
import numpy as np
import pytest

from fmwidget import ActivationModel, WeightSnapshots
from fmwidget.analysis.depth_profile import depth_profile
from fmwidget.models import backends
from fmwidget.snapshots.snapshot import NamedValues, Snapshot, match_variables
from tests.support import custom_models, zoo
from tests.support.snapshots import change_variables

MODELS = zoo.MODELS | custom_models.MODELS


def snapshot_of(model: keras.Model, step: int = 0) -> Snapshot:
    named = backends.current().named_variables(model)
    values = backends.current().read(list(named.values()))
    return Snapshot(step=step, source=NamedValues(list(named), values))


def maps_of(am: ActivationModel, batch: object) -> list[np.ndarray]:
    am.predictions(batch)
    return [am.batch_activations(batch, layer.path) for layer in am.layers if layer.after is None]


@pytest.mark.parametrize("name", MODELS)
def test_maps_at_a_step_are_those_of_the_model_when_it_was_taken(name):
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    batch = zoo.batch_for(model)
    ActivationModel(model).predictions(batch)  # builds it
    snapshots, expected = [], []
    for step in range(3):
        snapshots.append(snapshot_of(model, step))
        expected.append(maps_of(ActivationModel(model), batch))  # a fresh one, with the weights of the moment
        change_variables(model, step)
    live = maps_of(ActivationModel(model), batch)

    am = ActivationModel(model)
    for step in (2, 0, 1, 0):
        for ours, theirs in zip(maps_of(am.at(snapshots[step]), batch), expected[step], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(maps_of(am, batch), live, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_clone_whose_weights_were_set_computes_the_same():
    keras.utils.set_random_seed(1)
    model = zoo.nested()
    batch = zoo.batch_for(model)
    snapshot, weights = snapshot_of(model), model.get_weights()
    change_variables(model, 0)
    clone = zoo.nested()
    clone.set_weights(weights)
    np.testing.assert_array_equal(
        ActivationModel(model).at(snapshot).predictions(batch), np.asarray(clone(batch))[0]
    )


def test_weights_that_fit_has_created_are_replaced_too():
    """Made while a graph is traced, they are of another class than those made eagerly."""
    model = zoo.unbuilt_subclassed()
    batch = zoo.batch_for(model)
    model.compile("adam", "mse")
    model.fit(batch, np.zeros(np.asarray(zoo.unbuilt_subclassed()(batch)).shape), verbose=0)
    assert len({type(weight.value) for weight in model.weights}) > 1
    am = ActivationModel(model)
    snapshot, expected = snapshot_of(model), am.predictions(batch)
    change_variables(model, 0)
    live = [weight.numpy() for weight in model.weights]
    np.testing.assert_array_equal(am.at(snapshot).predictions(batch), expected)
    assert not np.array_equal(am.predictions(batch), expected)
    for weight, value in zip(model.weights, live, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_a_step_seen_before_costs_no_forward_pass():
    model = zoo.sequential()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    first, second = snapshot_of(model), snapshot_of(model, 1)
    for view in (am, am.at(first), am.at(second)):
        view.activations(batch, "conv")
    forwards = am.stats.forwards
    for view in (am.at(second), am.at(first), am, am.at(first)):
        view.activations(batch, "conv_1")
        view.predictions(batch)
    assert am.stats.forwards == forwards == 3


def test_training_drops_live_maps_and_keeps_those_of_snapshots():
    model = zoo.sequential()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    view = am.at(snapshot_of(model))
    held = view.activations(batch, "conv").copy()
    before = am.activations(batch, "conv").copy()
    change_variables(model, 0)
    forwards = am.stats.forwards
    np.testing.assert_array_equal(view.activations(batch, "conv"), held)
    assert am.stats.forwards == forwards
    assert not np.array_equal(am.activations(batch, "conv"), before)
    assert am.stats.forwards == forwards + 1


def test_compiled_passes_read_the_snapshot():
    model = zoo.sequential()
    am = ActivationModel(model)
    snapshot, weights = snapshot_of(model), model.get_weights()
    am.activations(zoo.batch_for(model), "conv")
    am.warm_up()
    (compiled,) = am._compiler.passes.values()
    compiled.result()
    change_variables(model, 0)
    clone = zoo.sequential()
    clone.set_weights(weights)
    batch = zoo.batch_for(model, seed=5)
    expected = ActivationModel(clone).activations(batch, "conv_1")
    np.testing.assert_allclose(am.at(snapshot).activations(batch, "conv_1"), expected, rtol=1e-5, atol=1e-6)
    assert am.stats.traces == 1


def test_the_same_view_for_the_same_weights():
    am = ActivationModel(zoo.sequential())
    snapshot = snapshot_of(am.model)
    view = am.at(snapshot)
    assert view.at(snapshot) is view
    assert view.at(None) is am.at(None) is am
    assert view.snapshot is snapshot
    assert "'step 0'" in repr(view)


def test_measurements_records_and_functions_read_the_snapshot():
    model = zoo.sequential()
    batch = zoo.batch_for(model)
    am = ActivationModel(model, cache_bytes=1)  # nothing fits: maps are measured in a pass of their own
    view, bias = am.at(snapshot_of(model)), model.get_layer("conv").bias
    before, profile = np.asarray(bias), depth_profile(am, [batch])
    bias.assign(before + 1)
    np.testing.assert_array_equal(depth_profile(view, [batch]).mean, profile.mean)
    recorded = np.asarray(view.recorded_call(batch, "conv").outputs)[0]
    np.testing.assert_array_equal(recorded, view.activations(batch, "conv"))
    np.testing.assert_array_equal(np.asarray(view.evaluate(lambda: bias + 0)), before)
    np.testing.assert_array_equal(np.asarray(am.evaluate(lambda: bias + 0)), before + 1)
    np.testing.assert_array_equal(np.asarray(bias), before + 1)


def test_a_replaced_layer_is_seen_through_a_snapshot():
    model = zoo.subclassed()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    am.predictions(batch)
    view = am.at(snapshot_of(model))
    recorded = view.recorded_call(batch, "block/conv")
    model.block._tracker.unlock()
    model.block.first = keras.layers.Conv2D(4, 1, name="new")
    expected = np.asarray(model(batch))[0]
    snapshot = snapshot_of(model, 1)
    change_variables(model, 3)
    np.testing.assert_allclose(am.at(snapshot).predictions(batch), expected, rtol=1e-5)
    assert "block/new" in [layer.path for layer in am.at(snapshot).layers]
    assert view.recorded_call(batch, "block/conv") is not recorded


def test_a_model_that_was_never_called_is_built_first():
    model = zoo.unbuilt_sequential()
    batch = zoo.batch_for(zoo.sequential())
    model(batch)
    snapshot, expected = snapshot_of(model), np.asarray(model(batch))[0]
    for fresh in (zoo.unbuilt_sequential(), zoo.unbuilt_sequential()):
        am = ActivationModel(fresh)
        np.testing.assert_allclose(am.at(snapshot).predictions(batch), expected, rtol=1e-5)
        assert [layer.path for layer in am.at(snapshot).layers] == [layer.path for layer in am.layers]


def test_a_snapshot_that_cannot_be_read_leaves_the_compiled_pass_in_use():
    model = zoo.sequential()
    am = ActivationModel(model)
    am.predictions(zoo.batch_for(model))
    am.warm_up()
    (compiled,) = am._compiler.passes.values()
    compiled.result()
    with pytest.raises(ValueError, match="does not fit"):
        am.at(snapshot_of(zoo.nested())).predictions(zoo.batch_for(model, seed=1))
    assert list(am._compiler.passes.values()) == [compiled]


def test_the_layers_of_a_batch_are_those_of_its_own_pass():
    model = zoo.branching()
    am = ActivationModel(model)
    ones = np.ones((1, *zoo.SIZE), np.float32)
    paths = {}
    for value in (1, -1e10):  # the model takes another branch for each
        _, layers = ActivationModel(model).predictions_and_layers(value * ones)
        paths[value] = [layer.path for layer in layers]
    assert paths[1] != paths[-1e10]
    for value in (1, -1e10, 1):  # the last one from the cache
        _, layers = am.predictions_and_layers(value * ones)
        assert [layer.path for layer in layers] == paths[value]


def test_snapshots_of_another_model_are_refused():
    snapshot = snapshot_of(zoo.sequential())
    am = ActivationModel(zoo.nested())
    with pytest.raises(ValueError, match="does not fit the model 'nested': it holds"):
        am.at(snapshot).predictions(zoo.batch_for(am.model))
    assert np.isfinite(am.predictions(zoo.batch_for(am.model))).all()


def test_another_shape_is_refused():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1, name="c")], name="m")
    with pytest.raises(ValueError, match=r"holds 'm/c/kernel' of shape \(3, 3, 1, 2\), the model has it of"):
        match_variables(model, ["m/c/kernel"], [(3, 3, 1, 2)])


def test_numbered_names_are_matched_by_position():
    def build() -> keras.Model:
        return keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1), keras.layers.Conv2D(2, 1)]
        )

    first, second = build(), build()
    assert set(backends.current().named_variables(first)) != set(backends.current().named_variables(second))
    batch = np.ones((1, 4, 4, 1), np.float32)
    expected = ActivationModel(first).predictions(batch)
    np.testing.assert_array_equal(ActivationModel(second).at(snapshot_of(first)).predictions(batch), expected)


def test_variables_of_one_name_are_told_apart():
    shared = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1, name="c")], name="m")
    other = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1, name="c")], name="m")
    wrapped = keras.Sequential([keras.Input((4, 4, 1)), other], name="w")
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, wrapped(shared(image)))
    names = list(backends.current().named_variables(model))
    assert names == ["m/c/kernel", "m/c/bias", "m/c/kernel (2)", "m/c/bias (2)"]


def test_threads_that_use_different_steps_do_not_mix_them_up():
    model = zoo.sequential()
    am = ActivationModel(model)
    batches = [zoo.batch_for(model, seed) for seed in range(4)]
    snapshots, expected = [], {}
    for step in range(3):
        snapshots.append(snapshot_of(model, step))
        for number, batch in enumerate(batches):
            expected[step, number] = ActivationModel(model).predictions(batch)
        change_variables(model, step)

    def check(job: int) -> None:
        step, number = job % 3, job % 4
        ours = am.at(snapshots[step]).predictions(batches[number])
        np.testing.assert_allclose(ours, expected[step, number], rtol=1e-5, atol=1e-6)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(48)))


@pytest.mark.slow
def test_training_beside_many_requests_is_bit_identical_and_so_is_every_step():
    def build() -> keras.Model:
        keras.utils.set_random_seed(1)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((16, 20, 3)),
                layers.Conv2D(4, 3, activity_regularizer="l2", name="conv"),
                layers.BatchNormalization(name="norm"),
                layers.Conv2D(3, 3, activation="relu", name="last"),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.3),
                layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    rng = np.random.default_rng(0)
    x, y = rng.random((96, 16, 20, 3), np.float32), rng.integers(0, 2, 96)
    plain = build()
    plain.fit(x, y, epochs=30, verbose=0)

    model, run = build(), WeightSnapshots()
    weights = [model.get_weights()]
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _epoch, _logs: weights.append(model.get_weights())
    )
    am, stop = ActivationModel(model, cache_bytes=2**19), threading.Event()
    batches = [x[number : number + 1] for number in range(4)]
    seen: dict[tuple[int, int, str], list[np.ndarray]] = {}

    def request(seed: int) -> None:
        choices = random.Random(seed)  # noqa: S311 - the same requests every time
        while not stop.is_set():
            if not run.snapshots:
                time.sleep(0.01)
                continue
            snapshot, number = choices.choice(run.snapshots), choices.randrange(len(batches))
            path = choices.choice(["conv", "norm", "last"])
            if choices.random() < 0.2:
                assert np.isfinite(am.activations(batches[number], path)).all()  # of the moment
            else:
                maps = am.at(snapshot).activations(batches[number], path)
                seen.setdefault((snapshot.step, number, path), []).append(maps)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(request, seed) for seed in range(20)]
        try:
            model.fit(x, y, epochs=30, verbose=0, callbacks=[run, keep])
        finally:
            stop.set()
        for job in jobs:
            job.result()
    for ours, theirs in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    clone = build()
    outputs = {path: clone.get_layer(path).output for path in ("conv", "norm", "last")}
    oracle, before = keras.Model(clone.inputs[0], outputs), -1
    for (step, number, path), found in sorted(seen.items(), key=lambda item: item[0]):
        if step != before:
            before = step
            clone.set_weights(weights[step])
        expected = np.asarray(oracle(batches[number], training=False)[path])[0]
        for maps in found:
            np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)
    assert len({step for step, _, _ in seen}) > 10
    print(f"{sum(map(len, seen.values()))} requests, {am.stats}")  # noqa: T201


def test_a_dropped_snapshot_is_not_kept_alive():
    import weakref

    am = ActivationModel(zoo.sequential())
    batch = zoo.batch_for(am.model)
    first, second = snapshot_of(am.model), snapshot_of(am.model, 1)
    am.at(first).activations(batch, "conv")
    am.at(second).activations(batch, "conv")
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_maps_of_dropped_snapshots_leave_the_cache():
    am = ActivationModel(zoo.sequential())
    batch = zoo.batch_for(am.model)
    am.activations(batch, "conv")
    of_one_pass = am.stats.bytes
    for step in range(5):
        snapshot = snapshot_of(am.model, step)
        am.at(snapshot).activations(batch, "conv")
    del snapshot
    gc.collect()
    am.at(snapshot_of(am.model)).activations(batch, "conv")
    assert am.stats.bytes == 2 * of_one_pass
    assert am.stats.evictions == 0


def test_a_measurement_may_leave_the_cache_to_others():
    model = zoo.sequential()
    am = ActivationModel(model)
    first, second = (zoo.batch_for(model, seed) for seed in (0, 1))
    am.activations(first, "conv")
    am.cache_bytes = am.stats.bytes  # room for one
    am.measure(second, np.max, evict=False)
    forwards = am.stats.forwards
    am.activations(first, "conv_1")
    assert am.stats.forwards == forwards
    am.measure(second, np.max)
    am.activations(first, "conv_1")
    assert am.stats.forwards == forwards + 2
