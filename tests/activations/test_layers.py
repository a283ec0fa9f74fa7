"""The list of a model's layers, their paths, and the model's inputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from fmwidget import ActivationModel
from fmwidget.models import outputs as layout
from fmwidget.models.inputs import model_inputs
from tests.support import combinations, zoo


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


def test_each_time_step_of_a_video_is_an_entry_and_the_steps_of_a_recurrent_loop_are_none():
    frames = [f"each[{step}]" for step in range(4)]
    assert paths(combinations.over_time()) == [*frames, "conv_lstm", "after"]


def test_a_network_for_each_time_step_is_listed_once_for_each():
    am = ActivationModel(combinations.frame_by_frame())
    am.predictions(zoo.batch_for(am.model))
    assert {layer.path: layer.shape for layer in am.layers} == {
        "each/true_divide": (6, 7, 3),
        "each/conv": (6, 7, 4),
        "each/conv@pre": (6, 7, 4),
        "each/norm": (6, 7, 4),
        "each/true_divide@2": (6, 7, 3),
        "each/conv@2": (6, 7, 4),
        "each/conv@2@pre": (6, 7, 4),
        "each/norm@2": (6, 7, 4),
        "each[0]": (6, 7, 4),
        "each[1]": (6, 7, 4),
        "pools[0]": (3, 3, 4),
        "pools[1]": (3, 3, 4),
        "memory[0]": (3, 3, 5),
        "memory[1]": (3, 3, 5),
        "relus[0]": (3, 3, 5),
        "relus[1]": (3, 3, 5),
    }
    assert {layer.data_format for layer in am.layers} == {"channels_first"}


def test_videos_of_any_length_are_listed_by_their_length():
    video = keras.Input((None, 6, 7, 3))
    model = keras.Model(video, layers.TimeDistributed(layers.Conv2D(2, 3), name="each")(video))
    am = ActivationModel(model)
    for length in (2, 3, 2):
        batch = np.random.default_rng(length).random((1, length, 6, 7, 3)).astype("float32")
        last = am.activations(batch, f"each[{length - 1}]")
        am.warm_up()
        assert [layer.path for layer in am.layers] == [f"each[{step}]" for step in range(length)]
        assert np.array_equal(last, model(batch)[0, -1])


def test_channels_first_is_decided_for_each_layer():
    am = ActivationModel(combinations.channels_first_network())
    last = {layer.path for layer in am.layers if layer.data_format == "channels_last"}
    assert last == {"permute", "last", "last_norm"}
    shapes = {layer.path: layer.shape for layer in am.layers}
    assert shapes["conv"] == (10, 12, 6)
    assert shapes["transpose"] == (15, 19, 8 // 8 * 5)
    assert shapes["squeeze"] == (1, 1, 5)
    am = ActivationModel(combinations.made_under_channels_first())
    shapes = {layer.path: layer.shape for layer in am.layers}
    assert shapes == {
        "plain/conv": (18, 22, 5),
        "plain/conv@pre": (18, 22, 5),
        "plain/pool": (9, 11, 5),
        "plain": (9, 11, 5),
    }


def test_sizes_left_free_follow_the_picture():
    am = ActivationModel(zoo.free_size())
    for size in ((30, 40), (17, 12)):
        am.activations(np.zeros((1, *size, 3), "float32"), "conv")
        assert am.layers[0].shape == (size[0] - 2, size[1] - 2, 4)


def test_the_input_that_takes_the_picture_is_found():
    numbers, picture = keras.Input((7,), name="numbers"), keras.Input((32, 40, 3), name="picture")
    joined = layers.Concatenate()([layers.Flatten()(picture), numbers])
    model = keras.Model([numbers, picture], layers.Dense(1)(joined))
    assert [(each.name, each.shape, each.is_image) for each in model_inputs(model)] == [
        ("numbers", (7,), False),
        ("picture", (32, 40, 3), True),
    ]
    (only,) = model_inputs(zoo.channels_first())
    assert only.data_format == "channels_first"
    (stated,) = model_inputs(keras.Sequential([keras.Input((8, 9, 3), dtype="uint8"), layers.Flatten()]))
    assert (stated.shape, stated.dtype, stated.is_stated) == ((8, 9, 3), "uint8", True)
    (assumed,) = model_inputs(zoo.unbuilt_subclassed())
    assert assumed.shape == (None, None, 3)
    assert not assumed.is_stated


class Around(keras.Model):
    def __init__(self, backbone: keras.Model) -> None:
        super().__init__()
        self.small = keras.Sequential([keras.Input((4, 4, 7)), layers.Conv2D(7, 1)])
        self.backbone = backbone


def test_a_free_size_is_that_of_the_model_inside_that_takes_the_picture_as_it_is():
    fixed = keras.Sequential([keras.Input((20, 24, 3)), layers.Conv2D(2, 3), layers.Flatten()])
    free = keras.Input((None, None, 3))
    within = keras.Model(free, fixed(free))
    again = keras.Sequential([keras.Input((None, None, 3)), within])
    for model in (within, again):
        (only,) = model_inputs(model)
        assert (only.shape, only.is_stated) == ((20, 24, 3), True)
        assert "conv2d" in ActivationModel(model).layers[0].path
    resized = keras.Model(free, fixed(layers.Resizing(20, 24)(free)))
    assert model_inputs(resized)[0].shape == (None, None, 3)


@pytest.mark.parametrize(
    ("wrap", "shape"),
    [
        (lambda model: keras.Sequential([layers.RandomFlip(), model, layers.Flatten()]), zoo.SIZE),
        (lambda model: keras.Sequential([keras.Sequential([layers.ReLU(), model])]), zoo.SIZE),
        (Around, zoo.SIZE),
        (lambda model: keras.Sequential([layers.Resizing(*zoo.SIZE[:2]), model]), (None, None, 3)),
        (lambda model: keras.Sequential([layers.MaxPooling2D(2), model]), (None, None, 3)),
    ],
)
def test_a_model_that_is_not_built_takes_pictures_in_the_size_its_backbone_wants(wrap, shape):
    backbone = keras.Sequential([keras.Input(zoo.SIZE), layers.Conv2D(2, 3)])
    (only,) = model_inputs(wrap(backbone))
    assert only.shape == shape
    assert not only.is_stated


class OnTheFly(layers.Layer):
    """A model that makes layers and operations in each call, as users do for layers without weights."""

    def call(self, x):
        x = layers.Resizing(9, 7)(x)
        x = keras.ops.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
        return layers.Rescaling(2.0, name="twice")(layers.Rescaling(0.5)(x))


def test_what_is_made_on_the_fly_has_the_same_name_in_every_pass():
    start = keras.Input((5, 6, 3))
    x = layers.Conv2D(2, 1, name="conv_1")(start)
    model = keras.Model(start, OnTheFly(name="fly")(x))
    am = ActivationModel(model)
    for seed in range(3):
        batch = np.random.default_rng(seed).random((1, 5, 6, 3)).astype("float32")
        am.predictions(batch)
        names = ["resizing", "pad", "rescaling", "twice"]
        assert [layer.path for layer in am.layers] == ["conv_1", *(f"fly/{name}" for name in names), "fly"]
        resized = layers.Resizing(9, 7)(model.layers[1](batch))
        np.testing.assert_allclose(am.activations(batch, "fly/resizing"), resized[0], rtol=1e-5)
        padded = np.pad(resized[0], ((1, 1), (0, 0), (0, 0)))
        np.testing.assert_allclose(am.activations(batch, "fly/pad"), padded, rtol=1e-5)
        np.testing.assert_allclose(am.activations(batch, "fly/rescaling"), padded / 2, rtol=1e-5)
        am.warm_up()
        for future in am._compiler.passes.values():
            future.result(timeout=120)
    assert am.stats.forwards == 3
    assert am.stats.traces == 1


def test_the_next_kind_of_layer_is_one_addition_in_one_place(monkeypatch):
    video = keras.Input((4, 9, 8, 3))
    model = keras.Model(video, layers.Conv3D(2, 3, activation="relu", name="volume")(video))
    assert ActivationModel(model).layers == ()
    monkeypatch.setattr(layout, "_OVER_TIME", (*layout._OVER_TIME, layers.Conv3D))
    am = ActivationModel(model)
    batch = np.random.default_rng(0).random((1, 4, 9, 8, 3)).astype("float32")
    assert [each.path for each in am.layers if each.after is None] == ["volume[0]", "volume[1]"]
    for step in range(2):
        expected = model(batch, training=False)[0, step]
        np.testing.assert_array_equal(am.activations(batch, f"volume[{step}]"), expected)
