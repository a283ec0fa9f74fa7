"""What is listed for a model, how it is named, and what the model's inputs are."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from fmwidget import ActivationModel
from fmwidget.layers import model_inputs
from tests import combinations, zoo


def paths(model: keras.Model) -> list[str]:
    am = ActivationModel(model)
    batch = zoo.batch_for(model)
    am.predictions(batch)
    return [layer.path for layer in am.layers]


def test_nested_models_join_their_names():
    assert paths(zoo.nested()) == [
        "rescale",
        *(f"backbone/{n}" for n in ("stem", "depthwise", "out")),
        "backbone",
        "head_conv",
    ]
    assert paths(zoo.doubly_nested())[:4] == [
        "middle/inner/stem",
        "middle/inner/depthwise",
        "middle/inner/out",
        "middle/inner",
    ]


def test_a_second_call_is_numbered():
    assert paths(zoo.called_twice()) == ["shared", "block/one", "block", "shared@2", "block/one@2", "block@2"]
    model = zoo.called_twice()
    am = ActivationModel(model)
    assert [layer.call_index for layer in am.layers] == [1, 1, 1, 2, 2, 2]


def test_two_layers_of_one_name_stay_apart():
    am = ActivationModel(zoo.subclassed())
    first, second = am.layers[:2]
    assert (first.path, second.path) == ("block/conv", "block/conv@2")
    assert first.layer is not second.layer
    assert (first.call_index, second.call_index) == (1, 1)


@pytest.mark.parametrize("name", ["conv@2", "a.b", "conv[0]", "ünïcode 层", "<img src=x>"])
def test_any_name_is_a_path(name):
    model = keras.Sequential(
        [keras.Input((8, 9, 3)), layers.Conv2D(2, 1, name="conv"), layers.Conv2D(3, 1, name=name)]
    )
    am = ActivationModel(model)
    assert am.layers[1].path == name
    assert am.activations(np.zeros((1, 8, 9, 3), "float32"), name).shape == (8, 9, 3)


def test_a_name_like_a_second_call_does_not_collide():
    conv = layers.Conv2D(3, 1, name="conv")
    picture = keras.Input((8, 9, 3))
    model = keras.Model(picture, conv(layers.Conv2D(3, 1, name="conv@2")(conv(picture))))
    assert len(set(paths(model))) == 3


def test_lists_and_dicts_of_outputs_are_entries_of_their_own():
    found = paths(zoo.many_outputs())
    assert found == ["conv", "splits[low]", "splits[rest][0]", "relu"]


def test_operations_that_are_no_layers_are_listed():
    model = zoo.branches()
    types = [layer.type_name for layer in ActivationModel(model).layers]
    assert types == ["TrueDivide", "Subtract", "Conv2D", "Conv2D", "Add", "Relu", "Concatenate"]


def test_shapes_are_channels_last_whatever_the_model_keeps():
    am = ActivationModel(zoo.channels_first())
    shapes = {layer.path: layer.shape for layer in am.layers}
    formats = {layer.path: layer.data_format for layer in am.layers}
    assert shapes["pad"] == (22, 26, 3)
    assert shapes["pool"] == shapes["relu"] == shapes["permute"] == (11, 13, 3)
    assert shapes["conv"] == (9, 11, 5)
    assert formats["relu"] == "channels_first"
    assert formats["permute"] == "channels_last"
    (division,) = (layer for layer in am.layers if layer.type_name == "TrueDivide")
    assert division.shape == (20, 24, 3)


def test_outputs_over_time_are_left_out_and_the_steps_of_a_loop_too():
    assert paths(combinations.over_time()) == ["conv_lstm", "after"]


def test_sizes_left_free_follow_the_picture():
    am = ActivationModel(zoo.free_size())
    for size in ((30, 40), (17, 12)):
        am.activations(np.zeros((1, *size, 3), "float32"), "conv")
        assert am.layers[0].shape == (size[0] - 2, size[1] - 2, 4)


def test_the_input_that_takes_the_picture_is_found():
    numbers, picture = keras.Input((7,), name="numbers"), keras.Input((32, 40, 3), name="picture")
    joined = layers.Concatenate()([layers.Flatten()(picture), numbers])
    model = keras.Model([numbers, picture], layers.Dense(1)(joined))
    assert [(each.name, each.shape, each.is_picture) for each in model_inputs(model)] == [
        ("numbers", (7,), False),
        ("picture", (32, 40, 3), True),
    ]
    (only,) = model_inputs(zoo.channels_first())
    assert only.data_format == "channels_first"
    (assumed,) = model_inputs(zoo.unbuilt_subclassed())
    assert assumed.shape == (None, None, 3)
    assert not assumed.is_stated
