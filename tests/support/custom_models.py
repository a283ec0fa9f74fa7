"""Models like those of users: with state of their own, compiled calls, odd names and loops."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from tests.support.zoo import SIZE, Subclassed, nested


class Counting(layers.Layer):
    """A layer that writes to its variables in every call (Keras, TensorFlow, whole, part) and reads them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
        self.means = tf.Variable(tf.zeros(3))

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        self.means.assign(0.9 * self.means + 0.1 * ops.mean(x, axis=(0, 1, 2)))
        self.means[1].assign(7.0)
        self.means.scatter_nd_update([[2]], [5.0])
        return tf.add(x, self.means) * self.calls + tf.gather(self.means, [0])


def counting() -> keras.Model:
    return keras.Sequential(
        [keras.Input(SIZE), Counting(name="counting"), layers.Conv2D(4, 3, activation="relu", name="conv")],
        name="counting",
    )


class Late(layers.Layer):
    """A layer that makes and writes its weights in its first call, and advances them in every call."""

    def build(self, _: Any) -> None:
        self.phase = self.add_weight(shape=(), initializer="zeros", trainable=False, name="phase")
        self.phase.assign(0.25)
        self.raw = tf.Variable(1.0)
        self.raw.assign(3.0)

    def call(self, x: Any) -> Any:
        y = x * self.phase + self.raw
        self.phase.assign(1.0 - self.phase)
        self.raw.assign_sub(0.5)
        return y


def unbuilt_counting() -> keras.Model:
    return keras.Sequential([Late(name="late"), layers.Conv2D(2, 3, name="conv")], name="unbuilt_counting")


def remembering() -> keras.Model:
    """Recurrent layers that carry their state from one call to the next, and noise that is always on."""
    picture = keras.Input(SIZE, batch_size=1)
    video = layers.Reshape((4, SIZE[0] // 4, *SIZE[1:]), name="film")(picture / 255.0)
    x = layers.ConvLSTM2D(3, 2, padding="same", stateful=True, name="conv_lstm")(video)
    x = layers.GaussianNoise(0.5, name="noise")(x, training=True)
    rows = layers.Reshape((5, -1), name="rows")(x)
    x = layers.GRU(4, stateful=True, return_sequences=True, name="gru")(rows)
    maps = layers.Reshape((5, 2, 2), name="maps")(x)
    return keras.Model(picture, layers.Conv2D(2, 1, name="after")(maps), name="remembering")


class Compiled(keras.Model):
    """A layer that compiles its call, in half precision, and a method beside it that branches on the data."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(3, 3, name="conv")
        self.norm = layers.BatchNormalization(name="norm")
        self.drop = layers.Dropout(0.5, name="drop")
        self.inside = Subclassed(name="inside")

    @tf.function(jit_compile=True)
    def features(self, x: Any, training: bool) -> Any:  # noqa: FBT001 - as users write it
        return self.drop(self.norm(self.conv(x), training=training), training=training)

    @tf.function
    def call(self, x: Any, training: bool) -> Any:  # noqa: FBT001
        y = self.features(x / 255.0, training)
        return self.inside(y) if training else y

    def build(self, shape: Any) -> None:
        self.conv.build(shape)
        self.norm.build(self.conv.compute_output_shape(shape))


def compiled_in_half_precision() -> keras.Model:
    return Compiled(dtype="mixed_float16", name="compiled_in_half_precision")


def named_oddly() -> keras.Model:
    picture = keras.Input(SIZE, name="a.b")
    x = layers.Conv2D(3, 1, name="conv@2")(layers.Conv2D(3, 1, name="conv")(picture))
    x = layers.Conv2D(3, 1, name="conv@pre")(layers.Conv2D(3, 1, activation="relu", name="größe.層[0]")(x))
    inner = keras.Sequential([keras.Input(SIZE), layers.Conv2D(2, 1, name="..")], name="conv@2@2")
    return keras.Model(picture, inner(x), name="named_oddly")


class Pyramid(layers.Layer):
    """A model that calls one layer in a loop at different sizes, and returns a nest of maps."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
        self.pool = layers.AveragePooling2D(2, name="pool")

    def call(self, x: Any) -> dict[str, Any]:
        levels = []
        for _ in range(3):
            x = self.pool(self.shared(x))
            levels.append(x)
        return {"levels": levels, "last": {"mean": ops.mean(x, axis=(1, 2)), "maps": (x, ops.max(x))}}


def pyramid() -> keras.Model:
    picture = keras.Input((None, None, 3))
    found = Pyramid(name="pyramid")(picture / 255.0)
    lifted = layers.UpSampling2D(2, name="up")(found["last"]["maps"][0])
    return keras.Model(picture, {"seen": found, "lifted": lifted}, name="pyramid")


def from_a_file() -> keras.Model:
    """A model compiled, trained for a step, saved, read back and wrapped, as in transfer learning."""
    model = nested()
    model.compile("sgd", "mse", jit_compile=True)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras' own, on saving
        model.save(Path(folder) / "model.keras")
        loaded = keras.models.load_model(Path(folder) / "model.keras")
    loaded.trainable = False
    head = [layers.Reshape((1, 1, 2), name="as_maps"), layers.Dense(4, activation="gelu", name="dense")]
    wrapped = keras.Sequential([layers.RandomContrast(0.2, name="contrast"), loaded, *head], name="wrapped")
    wrapped.compile("adam", "mse", jit_compile=True)
    return wrapped


def lambdas() -> keras.Model:
    picture = keras.Input(SIZE)
    x = layers.Lambda(lambda x: tf.image.rgb_to_yuv(x / 255.0), name="yuv")(picture)
    x = layers.Lambda(lambda x: [x[..., :1], x[..., 1:]], name="split")(x)
    x = layers.Lambda(lambda parts: tf.concat(parts[::-1], -1), name="back")(x)
    return keras.Model(picture, layers.Conv2D(2, 3, name="conv")(x), name="lambdas")


def quantized() -> keras.Model:
    picture = keras.Input(SIZE)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(picture)
    x = layers.Dense(6, activation="relu", name="dense")(x)
    einsum = layers.EinsumDense("bhwc,cd->bhwd", output_shape=(None, None, 5), name="einsum")
    model = keras.Model(picture, einsum(x), name="quantized")
    model.get_layer("conv").enable_lora(2)
    model.get_layer("conv").lora_kernel_b.assign(ops.ones((2, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convolutions are not quantized, and how Keras reads variables
        model.quantize("int8")
    return model


class Own(keras.Model):
    """A model whose output is its own and no layer's, its kernel too; a model inside has two outputs."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.kernel = self.add_weight(shape=(3, 3, 3, 4), initializer="glorot_uniform", name="kernel")
        self.scale = tf.Variable(2.0)
        maps = keras.Input((None, None, 4))
        heads = [layers.Conv2D(count, 1, name=f"head_{count}")(maps) for count in (2, 3)]
        self.heads = keras.Model(maps, heads, name="heads")

    @tf.function
    def call(self, x: Any) -> Any:
        x = tf.nn.conv2d(x, self.kernel * self.scale, 1, "SAME")
        left, right = self.heads(x)
        again, _ = self.heads(x * 2.0)
        return {"maps": tf.concat([left, right, again], -1), "nothing": None, "count": 3}


class Chooses(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wide, self.narrow = (
            layers.Conv2D(3, size, padding="same", name=f"of_{size}") for size in (3, 1)
        )

    def build(self, shape: Any) -> None:
        self.wide.build(shape)
        self.narrow.build(shape)

    def call(self, x: Any) -> Any:
        return ops.cond(ops.mean(x) > 127, lambda: self.wide(x), lambda: self.narrow(x))


def choosing() -> keras.Model:
    picture = keras.Input(SIZE)
    return keras.Model(picture, layers.ReLU(name="relu")(Chooses(name="chooses")(picture)), name="choosing")


class Stages(keras.Model):
    """Layers in lists, dicts and tuples; heads that share their first layers."""

    def __init__(self) -> None:
        super().__init__(name="stages")
        self.stages = [
            keras.Sequential(
                [layers.Conv2D(4 * n, 3), layers.BatchNormalization(), layers.ReLU()], name=f"stage_{n}"
            )
            for n in (1, 2)
        ]
        self.heads = {
            "two": [layers.Conv2D(n, 1, name=f"of_{n}") for n in (1, 2)],
            "one": (layers.Conv2D(3, 1),),
        }
        self.normalized = layers.SpectralNormalization(
            layers.Conv2D(4, 3, activation="relu"), name="spectral"
        )

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.normalized(x, training=training)
        for stage in self.stages:
            x = stage(x, training=training)
        return {name: [head(x) for head in heads] for name, heads in self.heads.items()}


def windows() -> keras.Model:
    """Attention within windows that are cut out of the maps and put back, as in Swin."""
    picture = keras.Input((16, 24, 3))
    x = layers.Conv2D(8, 2, strides=2, name="patches")(picture)
    tokens = ops.transpose(ops.reshape(x, (-1, 2, 4, 3, 4, 8)), (0, 1, 3, 2, 4, 5))
    tokens = ops.reshape(tokens, (-1, 16, 8))
    tokens = layers.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)
    tokens = ops.transpose(ops.reshape(tokens, (-1, 2, 3, 4, 4, 8)), (0, 1, 3, 2, 4, 5))
    return keras.Model(
        picture, layers.Add(name="add")([x, ops.reshape(tokens, (-1, 8, 12, 8))]), name="windows"
    )


MODELS = {
    make.__name__: make
    for make in (
        counting,
        unbuilt_counting,
        remembering,
        compiled_in_half_precision,
        named_oddly,
        pyramid,
        from_a_file,
        lambdas,
        quantized,
        Own,
        choosing,
        Stages,
        windows,
    )
}
