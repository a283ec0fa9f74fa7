"""Recording of weights: what is recorded, what training pays for it, and what comes of faults."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from fmwidget import ActivationModel, WeightSnapshots
from fmwidget.models import backends
from fmwidget.snapshots import keeper, reader
from tests.support import custom_models, zoo
from tests.support.driving import until
from tests.support.snapshots import stored, values_at

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 8, 8, 3)).astype(np.float32), np.arange(12) % 2
BATCHES = 3  # of an epoch


def network(optimizer: object = "adam", **compiled: object) -> keras.Model:
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(2, activation="softmax", name="head"),
        ],
        name="network",
    )
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.deserialize(optimizer)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    return model


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, epochs: int = 3, **arguments: object):
    keras.utils.set_random_seed(6)
    return model.fit(
        X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=list(callbacks), **arguments
    ).history


def assert_same(some, others):
    for a, b in zip(some, others, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


class Copies(keras.callbacks.Callback):
    """Copies of the weights at the moments of a run, made by Keras itself."""

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        self.copies: list[list[np.ndarray]] = []
        self.count = 0
        if every is not None:
            self.on_train_batch_end = lambda *_, **__: self.batch(every)

    def batch(self, every):
        self.count += 1
        if self.count % every == 0:
            self.copies.append(self.model.get_weights())

    def on_train_begin(self, logs=None):  # noqa: ARG002 - Keras' names
        self.copies.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        if "on_train_batch_end" not in vars(self):
            self.copies.append(self.model.get_weights())


OPTIMIZERS = {
    "adam": "adam",
    "sgd": {"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.9}},
    "ema": {"class_name": "Adam", "config": {"use_ema": True, "ema_overwrite_frequency": 2}},
}


@pytest.mark.parametrize(
    ("optimizer", "every", "place"),
    [
        *(("adam", "epoch", "memory"), ("adam", 1, "folder"), ("sgd", "epoch", "folder")),
        *(("sgd", 1, "memory"), ("ema", "epoch", "memory")),
    ],
)
def test_training_gives_the_same_numbers_with_and_without(optimizer, every, place, tmp_path):
    plain = network(OPTIMIZERS[optimizer])
    history = fit(plain)
    model = network(OPTIMIZERS[optimizer])
    run = WeightSnapshots(tmp_path / "run" if place == "folder" else None, every=every)
    assert fit(model, run) == history
    assert_same(model.get_weights(), plain.get_weights())
    assert_same(
        [v.numpy() for v in model.optimizer.variables], [v.numpy() for v in plain.optimizer.variables]
    )


@pytest.mark.parametrize(
    ("compiled", "place"),
    [({}, "folder"), ({"jit_compile": True}, "memory"), ({"run_eagerly": True}, "memory")],
)
def test_every_step_holds_the_weights_of_its_moment(compiled, place, tmp_path):
    model, copies = network(**compiled), Copies()
    run = WeightSnapshots(tmp_path / "run" if place == "folder" else None)
    history = fit(model, copies, run)
    assert [each.step for each in run] == [0, 1, 2, 3]
    assert [each.name for each in run] == ["before training", "epoch 1", "epoch 2", "epoch 3"]
    assert [each.batches for each in run] == [0, 3, 6, 9]
    assert [each.logs.get("loss") for each in run] == [None, *history["loss"]]
    for snapshot, copy in zip(run, copies.copies, strict=True):
        assert_same(values_at(snapshot, model), copy)
    if place == "folder":
        for snapshot, copy in zip(WeightSnapshots.load(tmp_path / "run"), copies.copies, strict=True):
            assert_same(values_at(snapshot, model), copy)
            assert run[snapshot.step].logs == snapshot.logs


@pytest.mark.parametrize(("every", "steps"), [(1, 1), (2, 1), (4, 1), (3, 3)])
def test_every_few_batches(every, steps):
    model, copies = network(steps_per_execution=steps), Copies(every)
    run = WeightSnapshots(every=every)
    if steps > 1:
        fit(model, run)
        assert [each.batches for each in run] == [0, 3, 6, 9]
        return
    fit(model, run, copies)
    batches = [0, *range(every, 10, every)]
    assert [each.batches for each in run][: len(batches)] == batches
    assert run.snapshots[-1].batches == 9  # the end of training is there too
    for snapshot, copy in zip(run, copies.copies, strict=False):
        assert_same(values_at(snapshot, model), copy)
    assert_same(values_at(run.snapshots[-1], model), model.get_weights())
    assert [each.epoch for each in run] == [(each.batches or 0) // BATCHES for each in run]
    assert all("loss" in each.logs for each in run.snapshots[1:])


ASYNCHRONOUS = "keras.src.callbacks.callback_list.backend.IS_THREAD_SAFE"  # whether Keras calls back beside


def test_only_a_run_of_batches_makes_keras_wait_for_batches(monkeypatch):
    monkeypatch.setattr(ASYNCHRONOUS, True)
    model = network()
    assert keras.callbacks.CallbackList([WeightSnapshots()], model=model)._async_train
    assert not keras.callbacks.CallbackList([WeightSnapshots(every=3)], model=model)._async_train


def test_a_run_that_is_no_list_is_recorded_too():
    model, run = network(), WeightSnapshots()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=run)
    assert len(run) == 3


def test_batches_that_keras_does_not_wait_for_are_not_recorded(monkeypatch):
    monkeypatch.setattr(ASYNCHRONOUS, True)
    model, run = network(), WeightSnapshots(every=2)
    with pytest.warns(UserWarning, match=r"None is recorded: pass callbacks=\[run\]"):
        model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=run)
    assert {each.batches for each in run} == {0}


def test_a_second_fit_goes_on_counting_and_takes_nothing_twice():
    model, run = network(), WeightSnapshots()
    fit(model, run, epochs=2)
    fit(model, run, epochs=2)
    assert [each.step for each in run] == [0, 1, 2, 3, 4]
    assert [each.epoch for each in run] == [0, 1, 2, 3, 4]
    assert [each.batches for each in run] == [0, 3, 6, 9, 12]
    model.get_layer("head").bias.assign_add([1.0, 0.0])  # now the state before is another one
    fit(model, run, epochs=4, initial_epoch=3)
    assert [each.step for each in run] == [0, 1, 2, 3, 4, 5, 6]
    assert [each.epoch for each in run] == [0, 1, 2, 3, 4, 4, 5]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_batches_of_a_data_set_of_unknown_length_are_not_known():
    model, run = network(), WeightSnapshots()

    def batches():
        while True:
            yield X[:4], Y[:4]

    data = tf.data.Dataset.from_generator(
        batches, output_signature=(tf.TensorSpec((4, 8, 8, 3)), tf.TensorSpec((4,), tf.int64))
    ).take(2)
    model.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[run])
    assert [each.batches for each in run] == [0, None, None]
    assert [each.name for each in run] == ["before training", "epoch 1", "epoch 2"]


def test_averaged_weights_at_the_end_are_a_step_of_their_own():
    model = network({"class_name": "SGD", "config": {"learning_rate": 0.1, "use_ema": True}})
    run = WeightSnapshots()
    fit(model, run, epochs=2)
    assert [each.name for each in run] == ["before training", "epoch 1", "epoch 2", "end of training"]
    assert_same(values_at(run[3], model), model.get_weights())
    assert run[3].logs == {}


def test_unchanged_values_take_no_room(tmp_path):
    model = network()
    model.get_layer("conv").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    for folder in (None, tmp_path / "run"):
        run = WeightSnapshots(folder)
        fit(model, run)
        by_name = [dict(zip(stored(each).names, stored(each).values, strict=True)) for each in run]
        for name in by_name[0]:
            distinct = len({id(values[name]) for values in by_name})
            assert distinct == (1 if "conv" in name else 4), name
    loaded = WeightSnapshots.load(tmp_path / "run")
    assert len({value.place and value.place.file for each in loaded for value in stored(each).values}) == 4
    kernels = [np.asarray(values_at(each, model)[0]) for each in loaded]
    for kernel in kernels:
        np.testing.assert_array_equal(kernel, model.get_layer("conv").kernel)


def test_taking_in_a_loop_of_ones_own():
    model, run, copies = network(), WeightSnapshots(), []
    optimizer = keras.optimizers.SGD(0.1)
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def train(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    for step in range(4):
        copies.append(model.get_weights())
        run.take(f"round {step}", logs={"loss": train(X, Y), "note": "text", "map": X}, model=model)
        copies[-1] = model.get_weights()
    for snapshot, copy in zip(run, copies, strict=True):
        assert_same(values_at(snapshot, model), copy)
        assert set(snapshot.logs) == {"loss"}
    assert [each.name for each in run] == ["round 0", "round 1", "round 2", "round 3"]
    assert run[0].epoch is run[0].batches is None
    assert run.take(model=model).name == "step 4"


def test_taking_while_fit_runs_knows_the_epoch():
    model, run = network(), WeightSnapshots()
    taken = []
    at_begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: taken.append(run.take("now")))
    fit(model, run, at_begin, epochs=2)
    assert [(each.epoch, each.batches) for each in taken] == [(0, 0), (1, 3)]


@pytest.mark.parametrize("name", ["counting", "Own", "half_precision", "remembering", "quantized"])
def test_variables_that_keras_does_not_know_of_and_other_types(name, tmp_path):
    model = (custom_models.MODELS | zoo.MODELS)[name]()
    ActivationModel(model).predictions(zoo.batch_for(model))
    run, expected = WeightSnapshots(tmp_path / "run"), []
    for step in range(3):
        expected.append(
            {
                key: np.asarray(variable.read_value())
                for key, variable in backends.current().named_variables(model).items()
            }
        )
        run.take(model=model)
        for variable in backends.current().named_variables(model).values():
            if variable.dtype.is_floating:
                variable.assign(variable.read_value() + tf.cast(step + 1, variable.dtype))
    run.flush()
    for each in (run, WeightSnapshots.load(tmp_path / "run")):
        for snapshot, values in zip(each, expected, strict=True):
            assert list(stored(snapshot).names) == list(values)
            assert_same([np.asarray(value) for value in snapshot.weights(model).values], values.values())


def test_mixed_precision_in_training():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, copies, run = network(), Copies(), WeightSnapshots()
    finally:
        keras.config.set_dtype_policy("float32")
    fit(model, copies, run)
    for snapshot, copy in zip(run, copies.copies, strict=True):
        assert_same(values_at(snapshot, model), copy)


def test_a_model_without_weights_has_no_state_before_training():
    model, run = zoo.unbuilt_subclassed(), WeightSnapshots()
    model.compile("sgd", "mse")
    batch = zoo.batch_for(model)
    target = np.zeros(np.asarray(zoo.unbuilt_subclassed()(batch)).shape)
    with pytest.warns(UserWarning, match="'unbuilt' has no weights before training"):
        model.fit(batch, target, epochs=2, verbose=0, callbacks=[run])
    assert [each.name for each in run] == ["epoch 1", "epoch 2"]
    assert_same(values_at(run[2], model), model.get_weights())


def test_many_variables_are_read_in_one_graph():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(3) for _ in range(40))])
    assert len(model.weights) >= reader.MANY_VARIABLES
    model.compile("adam", "mse")
    copies, run = Copies(), WeightSnapshots()
    ready = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _: epoch < 2 or until(lambda: run._reader._read_all)
    )
    model.fit(RNG.normal(size=(8, 3)), np.zeros((8, 3)), epochs=4, verbose=0, callbacks=[run, ready, copies])
    for snapshot, copy in zip(run, copies.copies, strict=True):
        assert_same(values_at(snapshot, model), copy)
    read = run._reader.read(model)[1]
    assert_same([np.asarray(value) for value in read], model.get_weights())


# ------------------------------------------------------------------ the interface for the widget


def test_changes_are_called_back_on_the_thread_of_the_run_while_it_is_recording():
    model, run, seen = network(), WeightSnapshots(), []
    steps = []

    class Listener:
        def changed(self):
            seen.append((threading.current_thread().name, run.is_recording, len(run)))

    listener, ignored = Listener(), Listener()
    run.on_change(listener.changed)
    run.on_change(ignored.changed)
    run.on_change(lambda: steps.append(run.snapshots[-1].step))
    gone = weakref.ref(ignored)
    del ignored
    gc.collect()
    assert gone() is None
    assert not run.is_recording
    fit(model, run)
    until(lambda: seen[-1][2] == 4)
    assert {each[:2] for each in seen} == {("fmwidget-snapshots", True)}
    assert [each[2] for each in seen] == sorted({each[2] for each in seen})
    until(lambda: not run.is_recording)
    assert steps[-1] == 3


def test_a_callback_that_fails_or_waits_for_training_does_no_harm():
    model, run, seen = network(), WeightSnapshots(), []
    over = threading.Event()

    def fails():
        raise RuntimeError("no screen")

    def waits():  # as a widget does whose lock is held by the thread that trains
        over.wait(30)
        seen.append(len(run))

    run.on_change(fails)
    run.on_change(waits)

    def train():
        fit(model, run)
        over.set()
        until(lambda: seen[-1:] == [4])

    with pytest.warns(UserWarning, match="no screen"):
        train()


def test_a_new_snapshot_is_there_at_once_in_another_tuple():
    model, run = network(), WeightSnapshots()
    before = run.snapshots
    taken = run.take(model=model)
    assert run.snapshots == (taken,)
    assert before == ()
    assert run[0] is taken
    assert run.snapshots is run.snapshots


def test_steps_that_do_not_exist_are_named():
    model, run = network(), WeightSnapshots()
    with pytest.raises(KeyError, match="There are no snapshots yet"):
        run[0]
    run.take(model=model)
    run.take(model=model)
    with pytest.raises(KeyError, match=r"There is no step -1\. Steps are 0, 1\."):
        run[-1]


def test_an_interrupt_leaves_all_epochs_before_and_no_recording(tmp_path):
    model, run = network(), WeightSnapshots(tmp_path / "run")

    def interrupt(epoch, logs):
        assert run.is_recording
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, run, keras.callbacks.LambdaCallback(on_epoch_begin=interrupt), epochs=5)
    until(lambda: not run.is_recording)
    run.flush()
    assert len(WeightSnapshots.load(tmp_path / "run")) == 3
    fit(model, run, epochs=1)
    assert [each.step for each in run] == [0, 1, 2, 3]
    assert run[3].epoch == 3
    assert not run.is_recording


def test_a_run_with_no_other_reference_and_its_thread_go():
    model, run = network(), WeightSnapshots()
    fit(model, run, epochs=1)
    thread, gone = run._keeper._thread, weakref.ref(run)
    model.history = None  # Keras keeps the callbacks of the last fit beside it
    del run
    until(lambda: gc.collect() >= 0 and gone() is None)
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()


# ------------------------------------------------------------------ room


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_a_run_stays_within_its_bytes(place, tmp_path):
    model, copies = network(), Copies()
    size = sum(weight.nbytes for weight in model.get_weights())
    folder = tmp_path / "run" if place == "folder" else None
    max_bytes = 5 * (size if folder is None else size + keeper.OVERHEAD * len(model.weights))
    run = WeightSnapshots(folder, max_bytes=max_bytes, monitor="accuracy")
    history = fit(model, copies, run, epochs=30)
    steps = [each.step for each in run]
    assert 4 <= len(steps) < 20
    assert steps[0] == 0
    assert steps[-1] == 30
    assert 1 + int(np.argmax(history["accuracy"])) in steps
    for snapshot in run:
        assert_same(values_at(snapshot, model), copies.copies[snapshot.step])
    if folder is None:
        held = {id(value): value.nbytes for each in run for value in stored(each).values}
        assert sum(held.values()) <= max_bytes
    else:
        assert [each.step for each in WeightSnapshots.load(folder)] == steps
        assert sum(path.stat().st_size for path in folder.glob("*.npz")) <= max_bytes
        assert all(value.held is None for each in run for value in stored(each).values)


def test_a_run_has_no_more_snapshots_than_a_slider_has_places(monkeypatch):
    monkeypatch.setattr(keeper, "MAX_COUNT", 10)
    model, run = network(), WeightSnapshots()
    for _ in range(50):
        run.take(model=model)
    run.flush()
    assert len(run) == 10
    assert (run.snapshots[0].step, run.snapshots[-1].step) == (0, 49)


# ------------------------------------------------------------------ folders


def test_a_run_is_not_overwritten_by_accident(tmp_path):
    model, run = network(), WeightSnapshots(tmp_path / "run")
    fit(model, run, epochs=2)
    with pytest.raises(FileExistsError, match="holds a run already"):
        WeightSnapshots(tmp_path / "run")
    other = WeightSnapshots(tmp_path / "run", overwrite=True)
    assert len(WeightSnapshots.load(tmp_path / "run")) == 3
    other.take("new", model=model)
    other.flush()
    (loaded,) = WeightSnapshots.load(tmp_path / "run")
    assert loaded.label == "new"
    assert len(list((tmp_path / "run").iterdir())) == 2


def test_a_run_that_was_loaded_goes_on(tmp_path):
    model, copies = network(), Copies()
    fit(model, copies, WeightSnapshots(tmp_path / "run"), epochs=2)
    loaded = WeightSnapshots.load(tmp_path / "run")
    assert not loaded.is_recording
    assert len(loaded.snapshots) == 3
    fit(model, loaded, copies, epochs=1)
    again = WeightSnapshots.load(tmp_path / "run")
    assert [each.name for each in again] == ["before training", "epoch 1", "epoch 2", "epoch 3"]
    assert [each.batches for each in again] == [0, 3, 6, 9]
    assert_same(values_at(again[3], model), copies.copies[-1])
    assert_same(values_at(again[1], model), copies.copies[1])


def test_a_full_disk_is_reported_once_and_training_goes_on(tmp_path, monkeypatch):
    model, copies, run = network(), Copies(), WeightSnapshots(tmp_path / "run")
    sync, count = os.fsync, [0]

    def full(descriptor):
        count[0] += 1
        if count[0] > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="can no longer be written") as warned:
        fit(model, copies, run, epochs=8)
    assert len([each for each in warned if "can no longer" in str(each.message)]) == 1
    assert "No space left" in str(warned[0].message)
    assert len(run) == 9
    for snapshot, copy in zip(run, copies.copies, strict=True):
        assert_same(values_at(snapshot, model), copy)
    loaded = WeightSnapshots.load(tmp_path / "run")
    assert 1 <= len(loaded) <= 5
    for snapshot in loaded:
        assert_same(values_at(snapshot, model), copies.copies[snapshot.step])


@pytest.mark.parametrize("every", [0, -1, "batch", 1.5, True])
def test_an_interval_that_is_none_is_refused(every):
    with pytest.raises(ValueError, match="every must be 'epoch' or a number of batches"):
        WeightSnapshots(every=every)


def test_other_arguments_are_checked():
    with pytest.raises(ValueError, match="max_bytes"):
        WeightSnapshots(max_bytes=0)
    with pytest.raises(ValueError, match="There is no model to record"):
        WeightSnapshots().take()
    with pytest.raises(TypeError, match="Received a list"):
        WeightSnapshots().take(model=[])
    with pytest.raises(ValueError, match="has no weights yet"):
        WeightSnapshots().take(model=zoo.unbuilt_subclassed())


SCRIPT = """
import sys
import keras
from fmwidget import WeightSnapshots
model = keras.Sequential([keras.Input((500,)), keras.layers.Dense(500)])
run = WeightSnapshots(sys.argv[1])
for step in range(5):
    model.layers[0].kernel.assign_add(model.layers[0].kernel)
    run.take(model=model)
"""


@pytest.mark.slow
def test_what_was_taken_is_stored_when_the_interpreter_exits(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(WeightSnapshots.load(tmp_path / "run")) == 5
