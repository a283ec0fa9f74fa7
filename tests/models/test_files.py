"""Models from files: a saved model gives its own maps, anything else an error message."""

from __future__ import annotations

import gzip
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.models.batch import model_batch
from fmwidget.models.introspection import require_model
from tests.support import zoo

# Written by tf_keras 2.21, which is Keras 2: Rescaling(1/255), Conv2D(2, 3, "relu"), BatchNormalization and
# the sum of the last two, MaxPooling2D, Flatten, Dense(2, "softmax"); a functional model for images of
# (6, 7, 3), compiled, fitted for one step, `model.save("keras_2.h5")`, gzip.
KERAS_2 = Path(__file__).parent / "data" / "keras_2.h5.gz"
PICTURE = np.arange(6 * 7 * 3, dtype="uint8").reshape(6, 7, 3)
# The values that Keras 2 itself computed for it.
FIRST_ROW_OF_CONV = [
    [0.0767223909, 0.00027132593],
    *([each, 0.0] for each in (0.0822709799, 0.0878195837, 0.0933681801, 0.0989167765)),
]
POOL = [
    [[0.2398985922, 0.00100273907], [0.2621596456, 0.00046036896]],
    [[0.3957258463, 0.00046036896], [0.4179868400, 0.00046036896]],
]
ANSWER = [0.4596742392, 0.5403257608]


@pytest.mark.parametrize("target", [ActivationModel, FeatureMapWidget])
def test_a_file_written_by_keras_2_shows_what_keras_2_computed(target, tmp_path):
    path = tmp_path / "keras_2.h5"
    path.write_bytes(gzip.decompress(KERAS_2.read_bytes()))
    model = keras.models.load_model(path)
    if target is ActivationModel:
        am = ActivationModel(model)
        batch = model_batch(model, PICTURE, "raw")
        maps = {path: am.activations(batch, path) for path in ("conv", "pool")}
        np.testing.assert_allclose(am.predictions(batch), ANSWER, rtol=1e-4)
    else:
        widget = FeatureMapWidget(model, PICTURE, layer="conv")
        maps = {"conv": widget.feature_maps}
        widget.layer = "pool"
        maps["pool"] = widget.feature_maps
    np.testing.assert_allclose(maps["conv"][0], FIRST_ROW_OF_CONV, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(maps["pool"], POOL, rtol=1e-4)


def foreign(module: str, name: str = "Model") -> type:
    """Derive a class of the user's own from one that another library has in `module`."""
    return type("Mine", (type(name, (), {"__module__": module}),), {"__module__": "__main__"})


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (keras.Sequential, "the class Sequential. Call it first"),
        (keras.applications.VGG16, "the function 'VGG16'. Call it first"),
        ("model.keras", "keras.models.load_model"),
        (Path("models") / "model.h5", "the path 'models/model.h5'. Load it first"),
        (foreign("tf_keras.src.engine.training")(), "the Keras 2 model Mine. Save it with `model.save("),
        (foreign("tensorflow.python.keras.engine.training")(), "the Keras 2 model Mine. Save it"),
        (foreign("tf_keras.src.engine.base_layer", "Layer")(), "the Keras 2 object Mine. Pass a model"),
        (foreign("tf_keras.src.engine.training"), "the Keras 2 class Mine. Use that of Keras 3"),
        (foreign("torch.nn.modules.module", "Module")(), "the PyTorch module Mine. Only Keras 3 models"),
        (foreign("torch.nn.modules.module", "Module"), "the PyTorch class Mine. Only Keras 3 models"),
        (foreign("torch._tensor", "Tensor")(), "the PyTorch object Mine"),
        (tf.Module(), "the TensorFlow object Module. The result of `tf.saved_model.load` has no layers"),
        (keras.layers.Dense(2, name="top"), "the layer 'top' (Dense). Pass the model that contains it"),
        ([keras.layers.ReLU(), keras.layers.Dense(2)], "a list of layers. Build a model of them"),
        ([], "type list"),
        (keras.Input((8, 8, 3)), "type KerasTensor"),
        (None, "type NoneType"),
        (3, "type int"),
    ],
)
def test_what_is_no_model_is_refused_with_advice(thing, sentence):
    with pytest.raises(TypeError, match="Expected a Keras 3 model") as caught:
        require_model(thing)
    assert sentence in str(caught.value)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, on saving
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["nested", "called_twice", "sequential"])
def test_a_model_from_a_file_is_the_model_that_was_saved(name, suffix, tmp_path):
    model = zoo.MODELS[name]()
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}")
    before, after = ActivationModel(model), ActivationModel(loaded)
    assert [layer.path for layer in after.layers] == [layer.path for layer in before.layers]
    batch = zoo.batch_for(model)
    for layer in before.layers:
        assert np.array_equal(after.activations(batch, layer.path), before.activations(batch, layer.path))
