"""More small models: combinations of Keras features that interfere with each other, and rare layers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from tests.support.zoo import SIZE


def shared_channels_first_half() -> keras.Model:
    """A backbone two levels deep, used twice, channels first and in mixed precision."""
    first: Any = {"data_format": "channels_first", "dtype": "mixed_float16"}
    size = (SIZE[2], *SIZE[:2])
    picture = keras.Input(size)
    x = layers.AveragePooling2D(3, strides=1, padding="same", name="pool", **first)(picture)
    x = layers.BatchNormalization(axis=1, dtype="mixed_float16", name="norm")(x)
    x = layers.ReLU(dtype="mixed_float16", name="relu")(x)
    core = keras.Model(picture, x, name="core")
    picture = keras.Input(size)
    x = layers.ZeroPadding2D(1, name="pad", **first)(core(picture))
    body = keras.Model(picture, layers.Cropping2D(1, name="crop", **first)(x), name="body")
    left, right = keras.Input(size, name="left"), keras.Input(size, name="right")
    x = layers.Add(name="sum")([body(left / 255.0), body(right / 255.0)])
    x = layers.Permute((2, 3, 1), dtype="mixed_float16", name="turn")(x)
    x = layers.Conv2D(4, 3, activation="relu", dtype="mixed_bfloat16", name="conv")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model([left, right], x, name="shared_channels_first_half")


class Backbones(keras.Model):
    """A model that calls one functional model twice, and another of its name with other channels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = self._backbone(3, "mixed_float16")
        self.second = self._backbone(6, "float32")

    @staticmethod
    def _backbone(channels: int, dtype: str) -> keras.Model:
        picture = keras.Input((None, None, channels))
        x = layers.Conv2D(channels, 3, padding="same", activation="tanh", dtype=dtype, name="conv")(picture)
        return keras.Model(picture, layers.LayerNormalization(dtype=dtype, name="norm")(x), name="backbone")

    def call(self, x: Any) -> Any:
        both = [tf.cast(self.first(self.first(x / 255.0)), tf.float32), x / 255.0]
        return self.second(tf.concat(both, axis=-1))


def subclassed_of_shared_functionals() -> keras.Model:
    return Backbones(name="subclassed_of_shared_functionals")


def siamese_of_subclassed() -> keras.Model:
    left, right = keras.Input(SIZE), keras.Input(SIZE)
    encoder = Backbones(name="encoder")
    x = layers.Maximum(name="larger")([encoder(left), encoder(right)])
    return keras.Model([left, right], x, name="siamese_of_subclassed")


class Halves(layers.Layer):
    def call(self, x: Any) -> tuple[Any, Any]:
        return x[:, :, ::2], x[:, :, 1::2]


def tuples() -> keras.Model:
    picture = keras.Input(SIZE)
    even, odd = Halves(name="halves")(picture)
    again, _ = Halves(name="quarters")(layers.Subtract(name="edges")([even, odd]))
    return keras.Model(picture, again, name="tuples")


def dicts() -> keras.Model:
    """A model with an image and a few numbers as a dict of inputs, maps and numbers as a dict of outputs."""
    inputs = {"picture": keras.Input(SIZE, name="picture"), "numbers": keras.Input((3,), name="numbers")}
    scale = layers.Reshape((1, 1, 3), name="reshape")(inputs["numbers"])
    x = layers.Multiply(name="scaled")([inputs["picture"], scale])
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    return keras.Model(inputs, {"maps": x, "mean": layers.GlobalAveragePooling2D()(x)}, name="dicts")


def whole_numbers() -> keras.Model:
    picture = keras.Input(SIZE, dtype="uint8")
    counts = layers.Lambda(lambda x: tf.cast(x, tf.int32) // 16, name="lambda")(picture)
    bright = ops.greater(counts, 8)
    x = ops.where(bright, counts, -counts)
    return keras.Model(picture, ops.cast(x, "int64"), name="whole_numbers")


def over_time() -> keras.Model:
    """A video of four time steps made of the image's rows: an image of maps for each, and loops."""
    picture = keras.Input(SIZE)
    video = layers.Reshape((4, SIZE[0] // 4, *SIZE[1:]), name="film")(picture)
    x = layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu", name="conv"), name="each")(video)
    last = layers.ConvLSTM2D(3, 2, padding="same", name="conv_lstm")(x)
    steps = layers.Reshape((-1, 3), name="steps")(layers.Conv2D(3, 1, name="after")(last))
    x = layers.Dense(2)(layers.Bidirectional(layers.GRU(4, name="gru"))(steps))
    return keras.Model(picture, x, name="over_time")


def frame_by_frame() -> keras.Model:
    """A whole network for each time step of a video, channels first."""
    first: Any = {"data_format": "channels_first"}
    frame = keras.Input((3, 6, 7))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv", **first)(frame / 255.0)
    backbone = keras.Model(frame, layers.BatchNormalization(axis=1, name="norm")(x), name="backbone")
    video = keras.Input((2, 3, 6, 7), name="film")
    x = layers.TimeDistributed(backbone, name="each")(video)
    x = layers.TimeDistributed(layers.MaxPooling2D(2, name="pool", **first), name="pools")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.ConvLSTM2D(5, 2, padding="same", return_sequences=True, name="memory", **first)(x)
    x = layers.TimeDistributed(layers.ReLU(), name="relus")(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D(**first), name="means")(x)
    return keras.Model(video, layers.Flatten()(x), name="frame_by_frame")


def channels_first_network() -> keras.Model:
    """A model of every kind of layer that takes channels first, and one after them that takes them last."""
    first: Any = {"data_format": "channels_first"}
    picture = keras.Input((SIZE[2], *SIZE[:2]))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv", **first)(picture)
    x = layers.BatchNormalization(axis=-3, name="norm")(x)
    x = layers.Conv2D(6, 3, groups=2, padding="same", name="grouped", **first)(x)
    x = layers.PReLU(shared_axes=[2, 3], name="prelu")(layers.GroupNormalization(2, axis=1, name="group")(x))
    x = layers.SeparableConv2D(4, 3, activation="tanh", name="separable", **first)(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise", **first)(x)
    x = layers.Conv2DTranspose(5, 3, strides=2, activation="relu", name="transpose", **first)(x)
    x = layers.MaxPooling2D(2, name="pool", **first)(layers.UpSampling2D(2, name="up", **first)(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze", **first)(x)
    gate = layers.Conv2D(5, 1, activation="sigmoid", name="gate", **first)(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.Permute((2, 3, 1), name="permute")(layers.SpatialDropout2D(0.5, name="drop", **first)(x))
    x = layers.BatchNormalization(name="last_norm")(layers.Conv2D(2, 3, name="last")(x))
    return keras.Model(picture, layers.GlobalMaxPooling2D()(x), name="channels_first_network")


class Plain(keras.Model):
    """A model that states no data format: its layers took the setting they were made under."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(5, 3, activation="relu", name="conv")
        self.pool = layers.MaxPooling2D(2, name="pool")

    def call(self, x: Any) -> Any:
        return tf.nn.relu(self.pool(self.conv(x / 255.0))) + 1.0


def made_under_channels_first() -> keras.Model:
    """A model built while Keras' setting was another than it is when the model is used."""
    setting = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        picture = keras.Input((SIZE[2], *SIZE[:2]))
        model = keras.Model(picture, Plain(name="plain")(picture), name="made_under_channels_first")
    finally:
        keras.config.set_image_data_format(setting)
    return model


def attention() -> keras.Model:
    """A model of patches as tokens, whose heads have four axes too."""
    picture = keras.Input(SIZE)
    x = layers.Conv2D(8, 4, strides=4, activation="gelu", name="patches")(picture / 255.0)
    tokens = layers.Reshape((-1, 8), name="tokens")(x)
    tokens = layers.Add(name="sum")([tokens, layers.MultiHeadAttention(2, 4, name="heads")(tokens, tokens)])
    tokens = layers.LayerNormalization(name="norm")(tokens)
    maps = layers.Reshape((SIZE[0] // 4, SIZE[1] // 4, 8), name="maps")(tokens)
    return keras.Model(picture, layers.Conv2D(2, 1, name="conv")(maps), name="attention")


def augmented() -> keras.Model:
    """A model of layers that do nothing in inference: flips, noise, dropout of whole maps."""
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.RandomFlip(seed=1, name="flip"),
            layers.GaussianNoise(0.9, seed=1, name="noise"),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.SpatialDropout2D(0.5, seed=1, name="drop"),
            layers.UnitNormalization(name="unit"),
        ],
        name="augmented",
    )


MODELS = {
    make.__name__: make
    for make in (
        shared_channels_first_half,
        subclassed_of_shared_functionals,
        siamese_of_subclassed,
        tuples,
        dicts,
        whole_numbers,
        over_time,
        frame_by_frame,
        channels_first_network,
        made_under_channels_first,
        attention,
        augmented,
    )
}
