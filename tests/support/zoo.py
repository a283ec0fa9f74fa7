"""Small models, one for each way a Keras model can be put together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

SIZE = (20, 24, 3)  # H, W and C all differ, so that a swapped axis shows


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Conv2D(5, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Dropout(0.5, name="drop"),
            layers.Conv2D(17, 3, name="conv_1"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ],
        name="sequential",
    )


def branches() -> keras.Model:
    """Operations that are no layers, a residual sum and a concatenation."""
    picture = keras.Input(SIZE)
    x = picture / 127.5 - 1.0
    a = layers.Conv2D(4, 3, padding="same", name="left")(x)
    b = layers.Conv2D(4, 5, padding="same", name="right")(x)
    x = ops.relu(layers.Add(name="sum")([a, b]))
    x = layers.Concatenate(name="both")([x, a])
    return keras.Model(picture, layers.GlobalAveragePooling2D()(x), name="branches")


def _backbone(name: str = "backbone", channels: int = 3) -> keras.Model:
    picture = keras.Input((*SIZE[:2], channels))
    x = layers.Conv2D(6, 3, strides=2, name="stem")(picture)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    return keras.Model(picture, layers.ReLU(6.0, name="out")(x), name=name)


def nested() -> keras.Model:
    picture = keras.Input(SIZE)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(picture)
    x = layers.Conv2D(3, 1, name="head_conv")(_backbone()(x))
    return keras.Model(picture, layers.Dense(2)(layers.Flatten()(x)), name="nested")


def doubly_nested() -> keras.Model:
    picture = keras.Input(SIZE)
    inner = keras.Model(picture, layers.Conv2D(2, 1, name="tail")(_backbone("inner")(picture)), name="middle")
    outer = keras.Input(SIZE)
    return keras.Model(outer, layers.GlobalMaxPooling2D()(inner(outer)), name="outer")


def twins() -> keras.Model:
    """One encoder called on two inputs."""
    left, right = keras.Input(SIZE, name="left"), keras.Input(SIZE, name="right")
    encoder = _backbone("encoder")
    distance = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    return keras.Model([left, right], layers.Flatten()(distance), name="twins")


def called_twice() -> keras.Model:
    """One layer, and one model, used twice on the way."""
    picture = keras.Input(SIZE)
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    block = keras.Sequential([keras.Input(SIZE), layers.Conv2D(3, 1, name="one")], name="block")
    x = block(shared(block(shared(picture))))
    return keras.Model(picture, x, name="called_twice")


class Block(layers.Layer):
    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = layers.Conv2D(channels, 3, padding="same", name="conv")
        self.second = layers.Conv2D(channels, 3, padding="same", name="conv")  # the same name on purpose
        self.scale = tf.Variable(0.5)

    def call(self, x: Any) -> Any:
        return tf.nn.relu(self.second(self.first(x))) * self.scale


class Subclassed(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = Block(4, name="block")
        self.backbone = _backbone(channels=4)
        self.dense = layers.Dense(2, name="dense")

    def call(self, x: Any, *, training: bool = False) -> Any:
        x = self.block(tf.cast(x, tf.float32) / 255.0, training=training)
        return self.dense(tf.reduce_mean(self.backbone(x), axis=(1, 2)))


def subclassed() -> keras.Model:
    model = Subclassed(name="subclassed")
    model(np.zeros((1, *SIZE), "float32"))
    return model


def unbuilt_subclassed() -> keras.Model:
    return Subclassed(name="unbuilt")


def unbuilt_sequential() -> keras.Model:
    return keras.Sequential(
        [layers.Conv2D(4, 3, name="a"), layers.ReLU(name="b"), layers.Flatten(), layers.Dense(2)]
    )


def functional_in_subclassed_in_functional() -> keras.Model:
    picture = keras.Input(SIZE)
    return keras.Model(picture, Subclassed(name="inside")(picture), name="sandwich")


class Hidden(layers.Layer):
    """A layer that compiles its own call, which would hide the layers it runs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(3, 3, name="conv")

    @tf.function
    def call(self, x: Any) -> Any:
        return self.conv(x) + 1.0


def compiled_layer() -> keras.Model:
    return keras.Sequential(
        [keras.Input(SIZE), Hidden(name="hidden"), layers.ReLU(name="relu")], name="compiled_layer"
    )


class Branching(keras.Model):
    """A model with Python control flow on the data, which cannot be traced."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dark = layers.Conv2D(2, 3, name="dark")
        self.light = layers.Conv2D(2, 3, name="light")

    def call(self, x: Any) -> Any:
        return self.light(self.dark(x)) if float(ops.mean(x)) > -1e9 else self.dark(x)


def branching() -> keras.Model:
    return Branching(name="branching")


class Splits(layers.Layer):
    def call(self, x: Any) -> dict[str, Any]:
        return {"low": x * 2.0, "rest": [x + 1.0, ops.mean(x, axis=(1, 2))]}


def many_outputs() -> keras.Model:
    picture = keras.Input(SIZE)
    parts = Splits(name="splits")(layers.Conv2D(4, 3, name="conv")(picture))
    return keras.Model(
        picture, [layers.ReLU(name="relu")(parts["low"]), parts["rest"][1]], name="many_outputs"
    )


def channels_first() -> keras.Model:
    picture = keras.Input((SIZE[2], *SIZE[:2]))
    x = picture / 255.0
    x = layers.ZeroPadding2D(1, data_format="channels_first", name="pad")(x)
    x = layers.AveragePooling2D(2, data_format="channels_first", name="pool")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Permute((2, 3, 1), name="permute")(x)
    x = layers.Conv2D(5, 3, name="conv")(x)
    return keras.Model(picture, layers.Flatten()(x), name="channels_first")


def free_size() -> keras.Model:
    picture = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, name="conv")(picture)
    return keras.Model(picture, layers.GlobalAveragePooling2D()(x), name="free_size")


def half_precision() -> keras.Model:
    picture = keras.Input(SIZE)
    x = layers.Conv2D(4, 3, dtype="mixed_float16", name="mixed")(picture)
    x = layers.Conv2D(4, 3, dtype="float16", name="half")(x)
    x = layers.Activation("relu", dtype="bfloat16", name="brain")(x)
    x = layers.Conv2D(3, 3, dtype="float32", name="full")(x)
    return keras.Model(picture, layers.Flatten()(x), name="half_precision")


def at_least_a_tenth(x: Any) -> Any:
    return ops.maximum(x, 0.1)


def activated() -> keras.Model:
    """A model of every kind of layer with an activation of its own, by name, by function and by layer."""
    picture = keras.Input(SIZE)
    shared = layers.Conv2D(3, 3, padding="same", activation="tanh", name="shared")
    x = shared(shared(picture / 255.0))
    x = layers.DepthwiseConv2D(3, activation=keras.activations.relu, name="depthwise")(x)
    x = layers.SeparableConv2D(4, 3, activation=at_least_a_tenth, name="separable")(x)
    x = layers.Conv2DTranspose(3, 3, activation=layers.LeakyReLU(name="leak"), name="transpose")(x)
    x = layers.Conv2D(2, 1, activation="linear", name="plain")(layers.Dense(5, "gelu", name="dense")(x))
    x = layers.Activation("elu", name="elu")(x)
    return keras.Model(
        picture, layers.Dense(2, "softmax", name="scores")(layers.Flatten()(x)), name="activated"
    )


def with_penalties() -> keras.Model:
    """Layers that write losses into the model in every call."""
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Conv2D(4, 3, activity_regularizer=keras.regularizers.L2(0.1), name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(2, activation="softmax"),
        ],
        name="with_penalties",
    )


def not_a_number() -> keras.Model:
    model = sequential()
    kernel, bias = model.layers[0].get_weights()
    kernel[0, 0, 0, 1] = np.nan
    bias[2] = np.inf
    model.layers[0].set_weights([kernel, bias])
    return model


MODELS = {
    make.__name__: make
    for make in (
        sequential,
        branches,
        nested,
        doubly_nested,
        twins,
        called_twice,
        subclassed,
        unbuilt_subclassed,
        unbuilt_sequential,
        functional_in_subclassed_in_functional,
        compiled_layer,
        branching,
        many_outputs,
        channels_first,
        free_size,
        half_precision,
        activated,
        with_penalties,
        not_a_number,
    )
}


def batch_for(model: keras.Model, seed: int = 0) -> Any:
    """Return a random input of one image, in the structure the model takes."""
    random = np.random.default_rng(seed)
    try:
        structure = model.input
    except (AttributeError, ValueError):
        built = (model.get_build_config() or {}).get("input_shape") or (1, *SIZE)
        return random.uniform(0, 255, (1, *built[1:])).astype("float32")

    def array(each: keras.KerasTensor) -> np.ndarray[Any, Any]:
        default = (*SIZE, 1)
        shape = [default[axis] if size is None else size for axis, size in enumerate(each.shape[1:])]
        return random.uniform(0, 255, (1, *shape)).astype(each.dtype)

    return keras.tree.map_structure(array, structure)
