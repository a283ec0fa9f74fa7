"""Forward passes with other weights, with replaced outputs, and for batches of several examples."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fmwidget import ActivationModel
from fmwidget.activations.forward import Forward, compile_forward, run_eagerly, run_recorded
from fmwidget.analysis.receptive_field.graph import model_graph
from fmwidget.models import backends
from fmwidget.models.backends import tensorflow
from fmwidget.models.inputs import input_shapes, model_inputs
from tests.support import combinations, custom_models, oracle, zoo

MODELS = zoo.MODELS | combinations.MODELS | custom_models.MODELS
# Data-dependent branches and names that TensorFlow allows in no graph.
EAGER = {"branching", "choosing", "named_oddly"}


def with_other_weights(model: keras.Model) -> tuple[list[tf.Variable], list[np.ndarray[Any, Any]]]:
    """Return the variables of a model, raw ones included, and other values for them."""
    rng = np.random.default_rng(0)
    variables = backends.current().weight_monitor().check(model).variables
    values = []
    for variable in variables:
        value = np.asarray(variable.read_value())
        is_float = value.dtype.kind == "f" or value.dtype.name == "bfloat16"
        values.append((value + rng.uniform(0, 0.1, value.shape)).astype(value.dtype) if is_float else value)
    return variables, values


def require_same_maps(ours: Forward, theirs: Forward) -> None:
    """Compare bit by bit, in order: operations have other numbers in the paths of a clone."""
    for path, tensor, expected in zip(ours.maps, ours.maps.values(), theirs.maps.values(), strict=True):
        np.testing.assert_array_equal(tensor, expected, err_msg=path)


@pytest.mark.parametrize("name", MODELS)
def test_a_pass_with_other_weights_is_that_of_a_clone_that_has_them(name):
    keras.utils.set_random_seed(1)
    model, clone = MODELS[name](), MODELS[name]()
    batch = zoo.batch_for(model)
    ActivationModel(model).predictions(batch)  # builds both if they are not built
    ActivationModel(clone).predictions(batch)
    variables, values = with_other_weights(model)
    before = [np.asarray(each.read_value()).tobytes() for each in variables]
    own = backends.current().weight_monitor().check(clone).variables
    for variable, value in zip(own, values, strict=True):
        variable.assign(value)
    others = backends.current().stand_ins(variables, values)

    eager = run_eagerly(model, batch, budget=2**30, weights=others)
    require_same_maps(eager, run_eagerly(clone, batch, budget=2**30))
    if name not in EAGER:
        forward, of_clone = (
            compile_forward(each, batch, input_shapes(batch, model_inputs(each))) for each in (model, clone)
        )
        live, expected = forward(batch), of_clone(batch)
        for _ in range(2):  # the first run's writes are undone before the second
            require_same_maps(forward(batch, others), expected)
        require_same_maps(forward(batch), live)
    assert [np.asarray(each.read_value()).tobytes() for each in variables] == before


def test_stand_ins_take_other_values():
    model = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.Conv2D(2, 3, name="conv")])
    batch = np.ones((1, 6, 5, 3), "float32")
    variables, values = with_other_weights(model)
    others = backends.current().stand_ins(variables, values)
    forward = compile_forward(model, batch, ((1, 6, 5, 3),))
    for scale in (1.0, 2.0):
        others.load([value * scale for value in values])
        expected = keras.ops.conv(batch, values[0] * scale, padding="valid") + values[1] * scale
        np.testing.assert_allclose(forward(batch, others).maps["conv"], expected, rtol=1e-5)


def test_what_a_raw_variable_is_advanced_to_is_read_in_the_same_pass():
    class Advancing(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="advancing")
            self.n = tf.Variable(1.0)

        def call(self, x: Any) -> Any:
            self.n.assign_add(1.0)
            return x * self.n

    layer = Advancing()
    am = ActivationModel(keras.Sequential([keras.Input((4, 5, 3)), layer]))
    batches = [np.full((1, 4, 5, 3), value, "float32") for value in (1, 2, 3)]
    for batch in batches:
        np.testing.assert_array_equal(am.activations(batch, "advancing"), 2 * batch[0])
        for future in am._compiler.passes.values():
            future.result(timeout=120)
    assert am.stats.traces == 1
    assert float(layer.n) == 1
    assert "_handle" not in vars(type(layer.n))


def test_what_visit_returns_goes_on_in_the_model():
    """Compare with a model whose kernel for one channel, and its bias, are zero."""
    model, silenced = zoo.sequential(), zoo.sequential()
    silenced.set_weights(model.get_weights())
    kernel, bias = silenced.get_layer("conv").weights
    kernel.assign(kernel.numpy() * (np.arange(kernel.shape[-1]) != 3))
    bias.assign(bias.numpy() * (np.arange(bias.shape[-1]) != 3))
    batch = zoo.batch_for(model) / 2550
    mask = np.arange(kernel.shape[-1]) != 3

    def visit(call: Any) -> Any:
        return call.outputs * mask if call.operation.name == "conv" else None

    outputs = run_recorded(model, batch, visit)
    np.testing.assert_allclose(outputs, silenced(batch, training=False), rtol=1e-5, atol=1e-7)
    assert not np.allclose(outputs, model(batch, training=False))


def test_a_batch_of_several_examples_takes_one_pass():
    model = zoo.nested()
    am = ActivationModel(model)
    batch = np.concatenate([zoo.batch_for(model, seed) for seed in range(3)])
    twin = zoo.nested()
    twin.set_weights(model.get_weights())
    plain = oracle.instrumented(twin, batch)
    am.batch_activations(batch, am.layers[0].path)
    expected = [each for each in plain(batch) if not each.before_activation]
    layers = [layer for layer in am.layers if layer.after is None]
    for layer, output in zip(layers, expected, strict=True):
        maps = am.batch_activations(batch, layer.path)
        assert maps.shape == (3, *layer.shape)
        np.testing.assert_allclose(maps, output.value, rtol=1e-5, atol=1e-6)
    assert am.stats.forwards == 2  # listing the layers before the first image took one


def test_an_output_without_a_first_example_is_not_listed():
    class Resized(keras.layers.Layer):
        """A position embedding that is resized beside the image: its first axis is no batch axis."""

        def call(self, x: Any) -> Any:
            self.inner(tf.zeros((0, 7, 7, 4)))
            return x

        def __init__(self) -> None:
            super().__init__(name="resized")
            self.inner = keras.layers.Activation("linear", name="embedding")

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv"), Resized()])
    am = ActivationModel(model)
    assert [layer.path for layer in am.layers] == ["conv", "resized"]
    batch = np.ones((1, 8, 8, 3), "float32")
    np.testing.assert_array_equal(am.activations(batch, "resized"), model(batch)[0])


def test_a_layer_states_its_kind_and_axes():
    layer = ActivationModel(zoo.sequential()).layers[0]
    assert (layer.kind, layer.axes) == ("maps", ("height", "width", "channel"))
    assert layer.channels == layer.shape[-1]
    assert layer.unit_shape == layer.shape[:2]


def test_the_model_graph_and_a_recorded_call_are_counted_and_kept():
    model = zoo.sequential()
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    am.activations(batch, "conv")
    before = am.stats.forwards
    call = am.recorded_call(batch, "conv")
    assert am.recorded_call(batch.copy(), "conv") is call
    assert am.stats.forwards == before + 1
    model.get_layer("conv").bias.assign_add(np.ones(model.get_layer("conv").bias.shape))
    assert am.recorded_call(batch, "conv") is not call
    assert am.stats.forwards == before + 2
    graph = model_graph(am, batch)
    assert am.stats.forwards == before + 3
    assert model_graph(am, batch) is graph
    assert model_graph(model, batch) is graph
    assert am.stats.forwards == before + 3


def test_the_tensorflow_backend_offers_what_a_backend_states():
    backend: backends.Backend = tensorflow  # mypy compares the signatures
    assert backends.current() is backend


def test_another_backend_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "numpy")
    with pytest.raises(RuntimeError, match=r"TensorFlow backend\. This session runs Keras on 'numpy'"):
        backends.current.__wrapped__()
