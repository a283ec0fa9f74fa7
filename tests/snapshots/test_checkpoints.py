"""Files of weights that Keras has written: read for a model that stays as it is, and found by patterns."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from fmwidget import ActivationModel, WeightSnapshots
from fmwidget.models import backends
from fmwidget.snapshots.checkpoints import file_source
from fmwidget.snapshots.snapshot import Snapshot
from tests.support import zoo
from tests.support.snapshots import values_at
from tests.support.training import change_weights, small_model

# Keras writes its tensors with h5py in a way that numpy 2 advises against.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

NAMES = ["sequential", "nested", "doubly_nested", "twins", "called_twice", "subclassed", "half_precision"]


def bytes_of(model: keras.Model) -> list[bytes]:
    return [
        np.asarray(each.read_value()).tobytes() for each in backends.current().named_variables(model).values()
    ]


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_file_are_used_and_the_model_stays_as_it_is(name, ending, tmp_path):
    model = zoo.MODELS[name]()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    am.predictions(batch)
    path = tmp_path / f"saved{ending}"
    (model.save if ending == ".keras" else model.save_weights)(path)
    saved, expected = bytes_of(model), ActivationModel(model).predictions(batch)
    change_weights(model, 1)
    changed = bytes_of(model)
    assert changed != saved
    snapshot = Snapshot(step=0, source=file_source(path))
    values = backends.current().named_variables(model)
    read = dict(zip(map(id, snapshot.weights(model).variables), snapshot.weights(model).values, strict=True))
    assert [np.asarray(read[id(each)]).tobytes() for each in values.values()] == saved
    np.testing.assert_array_equal(am.at(snapshot).predictions(batch), expected)
    assert bytes_of(model) == changed


def test_a_model_in_training_keeps_its_optimizer(tmp_path):
    model = small_model()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = np.ones((4, 20, 24, 3), np.float32), np.zeros(4)
    path = tmp_path / "saved.weights.h5"
    model.fit(x, y, verbose=0)
    model.save_weights(path)
    weights = model.get_weights()
    model.fit(x, y, epochs=2, verbose=0)
    before = [np.asarray(each).tobytes() for each in (*model.weights, *model.optimizer.variables)]
    read = values_at(Snapshot(step=0, source=file_source(path)), model)
    for ours, theirs in zip(read, weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [np.asarray(each).tobytes() for each in (*model.weights, *model.optimizer.variables)] == before
    # Another model of the architecture has no optimizer, or one that has not begun.
    for other in (small_model(), small_model("other")):
        read = values_at(Snapshot(step=0, source=file_source(path)), other)
        np.testing.assert_array_equal(read[0], weights[0])
        other.compile("sgd", "sparse_categorical_crossentropy")
        values_at(Snapshot(step=0, source=file_source(path)), other)


def test_another_architecture_is_refused(tmp_path):
    path = tmp_path / "saved.weights.h5"
    small_model().save_weights(path)
    for other in (small_model("wide", filters=7), zoo.nested()):
        before = bytes_of(other)
        with pytest.raises(ValueError, match=rf"saved\.weights\.h5 do not fit the model '{other.name}'"):
            file_source(path).weights(other)
        assert bytes_of(other) == before


def test_constants_of_a_layer_stay_and_other_ones_are_refused(tmp_path):
    def model_of(scale: float) -> keras.Model:
        layer = keras.layers.Normalization(axis=-1, name="norm")
        layer.adapt(scale * np.random.default_rng(0).normal(size=(50, 3)))
        return keras.Sequential(
            [keras.Input((4, 4, 3)), layer, keras.layers.Conv2D(2, 1, name="c")], name="m"
        )

    model, same, other = model_of(1), model_of(1), model_of(5)
    batch = np.ones((1, 4, 4, 3), np.float32)
    before, mean = model.predict(batch, verbose=0), model.layers[0].mean
    for name, each in {"same": same, "other": other}.items():
        each.save_weights(tmp_path / f"{name}.weights.h5")
    file_source(tmp_path / "same.weights.h5").weights(model)
    with pytest.raises(ValueError, match="holds other constants for 'norm'"):
        file_source(tmp_path / "other.weights.h5").weights(model)
    assert model.layers[0].mean is mean
    np.testing.assert_array_equal(model.predict(batch, verbose=0), before)


def test_files_that_cannot_be_used_are_named(tmp_path):
    model = small_model()
    with pytest.raises(FileNotFoundError, match=r"none\.weights\.h5"):
        file_source(tmp_path / "none.weights.h5")
    with pytest.raises(ValueError, match="Weights are read from"):
        file_source(tmp_path / "saved.ckpt")
    for name in ("text.weights.h5", "text.keras", "text.h5"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises((OSError, ValueError), match=name):
            file_source(tmp_path / name).weights(model)
    path = tmp_path / "gone.weights.h5"
    model.save_weights(path)
    source = file_source(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"gone\.weights\.h5"):
        source.weights(model)
    unbuilt = zoo.unbuilt_subclassed()
    model.save_weights(path)
    with pytest.raises(ValueError, match="has no weights yet"):
        source.weights(unbuilt)


@pytest.fixture(scope="module", name="checkpoints")
def checkpoints_of_keras(tmp_path_factory):
    """Return a folder of files of `ModelCheckpoint`, its history, and the weights after each epoch."""
    folder, copies = tmp_path_factory.mktemp("checkpoints"), []
    model = small_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            folder / "w-{epoch}-{val_loss:.2f}-{accuracy:.1e}.weights.h5", save_weights_only=True
        ),
        keras.callbacks.ModelCheckpoint(folder / "sub" / "model{epoch:02d}.keras"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: copies.append(model.get_weights())),
    ]
    (folder / "sub").mkdir()
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 255, (4, 20, 24, 3)).astype(np.float32), np.arange(4) % 2
    history = model.fit(x, y, epochs=11, verbose=0, callbacks=callbacks, validation_data=(x, y)).history
    (folder / "notes.txt").write_text("mine")
    (folder / "w-x-0.10-1.0e+00.weights.h5").write_text("matches a glob, not the pattern")
    return folder, history, copies


def check(run: WeightSnapshots, copies: list[list[np.ndarray]]) -> None:
    model = small_model()
    for snapshot, copy in zip(run, copies, strict=True):
        for ours, theirs in zip(values_at(snapshot, model), copy, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_pattern_gives_epochs_and_metrics(checkpoints):
    folder, history, copies = checkpoints
    run = WeightSnapshots.load(folder / "w-{epoch}-{val_loss:.2f}-{accuracy:.1e}.weights.h5")
    assert [each.step for each in run] == [each.epoch for each in run] == list(range(1, 12))
    assert [each.name for each in run][:2] == ["epoch 1", "epoch 2"]
    for snapshot, loss, accuracy in zip(run, history["val_loss"], history["accuracy"], strict=True):
        assert snapshot.logs == {"val_loss": pytest.approx(loss, abs=0.006), "accuracy": accuracy}
    check(run, copies)


def test_a_glob_and_a_folder_are_read_in_natural_order(checkpoints):
    folder, _, copies = checkpoints
    for path in (folder / "w-[0-9]*.weights.h5", str(folder / "**" / "model*.keras"), folder / "sub"):
        run = WeightSnapshots.load(path)
        assert [each.step for each in run] == list(range(11))
        assert run[0].epoch is None
        check(run, copies)
    assert [each.name for each in run] == [f"model{epoch:02d}" for epoch in range(1, 12)]


def test_one_file_is_one_snapshot(checkpoints):
    folder, _, copies = checkpoints
    run = WeightSnapshots.load(folder / "sub" / "model03.keras")
    assert [each.name for each in run] == ["model03"]
    check(run, copies[2:3])


def test_epochs_that_occur_twice_are_numbered(tmp_path):
    for name in ("0.1-10", "0.5-9", "0.4-9"):
        small_model().save_weights(tmp_path / f"{name}.weights.h5")
    run = WeightSnapshots.load(tmp_path / "{loss:.1f}-{epoch}.weights.h5")
    assert [(each.step, each.epoch, each.name) for each in run] == [
        *((0, 9, "0.4-9"), (1, 9, "0.5-9")),
        (2, 10, "0.1-10"),
    ]


def test_training_that_goes_on_from_files_is_held_in_memory(checkpoints):
    folder, _, _ = checkpoints
    run, model = WeightSnapshots.load(folder / "sub" / "model{epoch:02d}.keras"), small_model()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.ones((4, 20, 24, 3), np.float32), np.zeros(4), verbose=0, callbacks=[run])
    assert [each.step for each in run] == list(range(1, 14))
    assert run[13].epoch == 12
    for ours, theirs in zip(values_at(run[13], model), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("path", ["", "nothing", "*.weights.h5", "{epoch}.keras", "{", "notes.txt"])
def test_paths_without_snapshots_are_named(path, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileNotFoundError, match="There are no snapshots and no files of weights"):
        WeightSnapshots.load(tmp_path / path)
