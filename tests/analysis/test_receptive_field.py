"""The field of a unit against the footprint of its gradient, and against published sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from fmwidget import ActivationModel, ReceptiveField, field_of, receptive_field
from fmwidget.analysis.receptive_field import rules
from tests.support import zoo

# The models of these tests are linear and their kernels positive, so that a gradient is 0 only at inputs that
# a unit does not depend on. In float64 it does not underflow either, and the kernels of oneDNN, some of which
# crash on so thin layers, are not used.
THIN: dict[str, Any] = {"dtype": "float64", "kernel_initializer": "ones", "use_bias": False}
THIN_DEPTHWISE: dict[str, Any] = {"dtype": "float64", "depthwise_initializer": "ones", "use_bias": False}
SIZE = (17, 14, 2)


def conv(kernel: Any, **kwargs: Any) -> layers.Layer:
    return layers.Conv2D(2, kernel, **THIN, **kwargs)


def footprint(model: keras.Model, row: int, column: int) -> tuple[int, int, int, int] | None:
    """Return the box of the input where the gradient of one unit of the model's output is not 0."""
    image = tf.constant(np.random.default_rng(0).random((1, *model.input_shape[1:])), "float64")
    with tf.GradientTape() as tape:
        tape.watch(image)
        unit = tf.reduce_sum(model(image)[0, row, column])
    gradient = tape.gradient(unit, image)
    seen = np.zeros(SIZE[:2], bool) if gradient is None else np.any(gradient.numpy()[0] != 0, axis=-1)
    if not seen.any():
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def last_path(model: keras.Model) -> str:
    return [layer.path for layer in ActivationModel(model).layers if "@pre" not in layer.path][-1]


def check_some_units(model: keras.Model, twin: keras.Model | None = None) -> None:
    """Check corners, edges and centre; `twin` has max pooling and activations where `model` has none."""
    _, height, width, _ = model.output_shape
    tested = twin or model
    path = last_path(tested)
    for row in {0, height // 2, height - 1}:
        for column in {0, width // 2, width - 1}:
            field = field_of(tested, path, row, column)
            assert field.box == footprint(model, row, column)
            assert not field.unknown


def image_input() -> Any:
    return keras.Input(SIZE, dtype="float64")


def stack(*stacked: layers.Layer) -> keras.Model:
    return keras.Sequential([image_input(), *stacked])


# ------------------------------------------------------------------ against gradients

pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
factors = st.tuples(st.integers(1, 3), st.integers(1, 3))
edges = st.tuples(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3))
)
padding = st.sampled_from(["same", "valid"])
Make = Callable[[bool], layers.Layer]  # of the linear twin or of the model


def convolution(kernel, stride, dilation, padding, kind):
    strides, dilation_rate = ((stride, stride), (1, 1)) if stride > 1 else ((1, 1), dilation)
    options = {"strides": strides, "dilation_rate": dilation_rate, "padding": padding}
    if kind == "depthwise":
        return lambda _: layers.DepthwiseConv2D(kernel, **THIN_DEPTHWISE, **options)
    return lambda linear: conv(kernel, activation=None if linear else "relu", **options)


def pooling(size, strides, padding):
    def make(linear):
        kind = layers.AveragePooling2D if linear else layers.MaxPooling2D
        return kind(size, strides, padding, dtype="float64")

    return make


simple = st.one_of(
    st.builds(convolution, pair, st.integers(1, 3), factors, padding, st.sampled_from(["full", "depthwise"])),
    st.builds(pooling, factors, factors, padding),
    edges.map(lambda each: lambda _: layers.ZeroPadding2D(each, dtype="float64")),
    edges.map(lambda each: lambda _: layers.Cropping2D(each, dtype="float64")),
    st.tuples(factors, st.sampled_from(["nearest", "bilinear"])).map(
        lambda each: lambda _: layers.UpSampling2D(each[0], interpolation=each[1], dtype="float64")
    ),
    st.tuples(pair, factors, padding).map(lambda each: lambda _: layers.Conv2DTranspose(2, *each, **THIN)),
    st.just(lambda linear: layers.Activation("linear" if linear else "relu", dtype="float64")),
)


def build(makes: list[Make | tuple[Make, Make]], *, linear: bool) -> keras.Model:
    """Build a model of the layers that fit; a pair of them are branches, added where they agree in size."""
    x = start = image_input()
    for make in makes:
        outputs = []
        for make_branch in make if isinstance(make, tuple) else (make,):
            layer = make_branch(linear)
            try:
                y = layer(x)
            except ValueError:  # the maps are too small for it
                continue
            if all(0 < size < 40 for size in y.shape[1:3]):
                outputs.append(y)
        agree = len({tuple(each.shape) for each in outputs}) == 1
        x = layers.Add(dtype="float64")(outputs) if agree and len(outputs) > 1 else (outputs or [x])[0]
    return keras.Model(start, layers.Identity(dtype="float64")(conv(1)(x)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(simple, st.tuples(simple, simple)), min_size=1, max_size=5))
def test_a_field_is_the_footprint_of_the_gradient(makes):
    check_some_units(build(makes, linear=True), build(makes, linear=False))


def test_nested_shared_and_branching_models():
    inside = keras.Input((None, None, 2), dtype="float64")
    short = conv(1, strides=2)(inside)
    long = conv(3, padding="same")(conv(3, strides=2, padding="same")(inside))
    block = keras.Model(inside, layers.Add(dtype="float64")([short, long]), name="block")
    start = image_input()
    x = block(block(start))
    y = layers.ZeroPadding2D(((0, 0), (1, 2)), dtype="float64")(
        layers.AveragePooling2D(4, dtype="float64")(start)
    )
    y = layers.Resizing(*x.shape[1:3], dtype="float64")(y)
    check_some_units(keras.Model(start, layers.Concatenate(dtype="float64")([x, y])))
    check_some_units(keras.Model(start, block(x)))
    separable = layers.SeparableConv2D(
        2, 3, dilation_rate=2, dtype="float64", depthwise_initializer="ones", pointwise_initializer="ones"
    )
    check_some_units(
        stack(separable, layers.CenterCrop(6, 5, dtype="float64"), conv((2, 3), dilation_rate=2))
    )


def test_a_field_holds_all_that_a_nonlinear_network_depends_on():
    keras.utils.set_random_seed(3)
    start = keras.Input(SIZE)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(start)
    x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Add()([x, layers.Conv2D(6, 1)(y)])
    model = keras.Model(start, layers.Conv2DTranspose(2, 3, strides=2)(x))
    path, (_, height, width, _) = ActivationModel(model).layers[-1].path, model.output_shape
    smaller = 0
    for row in {0, 5, height // 2, height - 1}:
        for column in {0, 5, width // 2, width - 1}:
            box, used = field_of(model, path, row, column).box, footprint(model, row, column)
            assert box is not None
            if used is not None:
                top, left, bottom, right = used
                assert box[0] <= top < bottom <= box[2]
                assert box[1] <= left < right <= box[3]
            smaller += used != box
    assert smaller  # pooling and rectifiers drop inputs, or this would repeat the test above


def test_holes_of_dilated_windows_are_minded_at_the_edges():
    model = stack(conv(3, dilation_rate=4, padding="same"), conv(2, strides=3), layers.Identity())
    check_some_units(model)


def test_a_second_call_has_a_field_of_its_own():
    model = zoo.called_twice()
    one, two = (receptive_field(model, f"block/one{call}").size for call in ("", "@2"))
    assert one < two


def test_maps_with_channels_first():
    model = zoo.channels_first()
    assert receptive_field(model, "conv") == ReceptiveField((6, 6), (2, 2), (1, 1))
    assert field_of(model, "conv", 0, 0).box == (0, 0, 5, 5)


def test_casts_between_layers():
    assert receptive_field(zoo.half_precision(), "full").size == (7, 7)


def test_mixed_precision_casts_between_models():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = zoo.nested()
    finally:
        keras.config.set_dtype_policy(before)
    assert receptive_field(model, "head_conv") == receptive_field(zoo.nested(), "head_conv")
    assert not receptive_field(model, "head_conv").unknown


# ------------------------------------------------------------------ what has no window


def test_global_paths_say_so():
    start = keras.Input((12, 10, 3))
    x = before = layers.Conv2D(4, 3, name="before")(start)
    squeezed = layers.Dense(4)(layers.GlobalAveragePooling2D(name="squeezed")(x))
    squeezed = layers.Reshape((1, 1, 4))(squeezed)
    x = layers.Multiply(name="excited")([x, squeezed])
    tokens = layers.Reshape((-1, 4))(before)
    tokens = layers.MultiHeadAttention(2, 2, name="attention")(tokens, tokens)
    y = layers.Reshape((10, 8, 4), name="attended")(tokens)
    model = keras.Model(start, [x, y])
    assert not receptive_field(model, "before").is_global
    for path in ("excited", "attended"):
        assert receptive_field(model, path) == ReceptiveField((12, 10), is_global=True)
        field = field_of(model, path, 0, 0)
        assert (field.box, field.is_global) == ((0, 0, 12, 10), True)
    assert field_of(model, "excited", 0, 0).through == "squeezed"
    assert field_of(model, "attended", 0, 0).through == "attention"
    assert field_of(model, "before", 0, 0).through == ""


def test_unknown_layers_are_named_not_guessed():
    class Mirrored(layers.Conv2D):
        def call(self, inputs):
            return super().call(inputs[:, ::-1])

    model = keras.Sequential(
        [
            keras.Input((9, 9, 3)),
            layers.Conv2D(2, 3, name="known"),
            Mirrored(2, 3, name="own"),
            layers.ReLU(name="after"),
        ]
    )
    assert receptive_field(model, "known").size == (3, 3)
    for path in ("own", "after"):
        assert "'own' (Mirrored)" in receptive_field(model, path).unknown
        assert field_of(model, path, 0, 0).box is None
        assert "'own' (Mirrored)" in field_of(model, path, 0, 0).unknown
    sandwich = zoo.functional_in_subclassed_in_functional()  # divides by 255 in its own code
    assert "'inside' (Subclassed)" in receptive_field(sandwich, "inside/block/conv").unknown
    assert "'hidden' (Hidden)" in receptive_field(zoo.compiled_layer(), "hidden").unknown


def test_constants_are_no_part_of_the_image():
    start = image_input()
    mean, spread = tf.constant([0.4, 0.5], "float64"), np.array([0.2, 0.3])
    check_some_units(keras.Model(start, conv(3)((start - mean) / spread * np.float64(2) + np.float32(1))))
    inside = keras.Model(start, (start - mean) / spread)
    check_some_units(keras.Model(start, conv(3)(inside(conv(3, padding="same")(start)))))


def test_what_is_asked_for_must_exist():
    model = keras.Sequential([keras.Input((9, 8, 3)), layers.Conv2D(2, 3, name="conv")])
    with pytest.raises(ValueError, match="nonsense"):
        receptive_field(model, "nonsense")
    with pytest.raises(IndexError, match=r"7×6 maps. Received row=7, column=0"):
        field_of(ActivationModel(model), "conv", 7, 0)


def test_a_free_size_follows_the_batch():
    model = zoo.free_size()
    assert field_of(model, "conv", 30, 40, batch=np.zeros((1, 50, 60, 3), "float32")).box == (30, 40, 33, 43)
    with pytest.raises(IndexError):
        field_of(model, "conv", 30, 40, batch=np.zeros((1, 20, 20, 3), "float32"))


OPERATIONS = {name for name in rules._POINTWISE if not hasattr(layers, name)} - {
    "CustomScaleLayer",
    "LayerScale",
}
OTHERS: dict[str, list[Any]] = {
    "Cast": ["float64"],
    "Clip": [0.2, 0.8],
    "LogicalOr": [np.zeros((4, 5, 3))],
    "Threshold": [0.5, 0.0],
}
BINARY = {"Equal", "FloorDivide", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "TrueDivide"}
BINARY |= {"Divide", "Logaddexp", "LogicalAnd", "Mod", "Power"}


@pytest.mark.parametrize("name", sorted(OPERATIONS - {"StochasticDepth"}))
def test_operations_that_are_known_to_see_one_position_do(name):
    operation = getattr(keras.ops, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    before = np.random.default_rng(0).uniform(0.1, 0.9, (1, 4, 5, 3))
    after = before.copy()
    after[0, 1, 2] = [0.0, -3.6, 1.7]
    others = [before] if name in BINARY else OTHERS.get(name, [])
    if name == "Where":
        one, other = (np.asarray(operation(each > 0, each, 2 * each)) for each in (before, after))
    else:
        one, other = (np.asarray(operation(each, *others)) for each in (before, after))
    apart = (one != other) & ~(np.isnan(one) & np.isnan(other))
    assert np.argwhere(apart.any(axis=-1)[0]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "operate",
    [
        lambda x: keras.ops.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0))),
        lambda x: keras.ops.average_pool(x, 3, 2, padding="same"),
        lambda x: keras.ops.average_pool(x, (2, 4)),
        lambda x: keras.ops.image.resize(x, (9, 20), interpolation="nearest"),
        lambda x: keras.ops.image.resize(x, (30, 11)),
    ],
)
def test_operations_with_windows(operate):
    start = image_input()
    check_some_units(keras.Model(start, conv(3)(operate(conv((2, 3))(start)))))


def test_pooling_along_other_axes_is_not_known():
    start = keras.Input((12, 10, 3))
    tokens = keras.ops.max_pool(layers.Reshape((-1, 3))(start), 2)
    model = keras.Model(start, layers.Conv2D(2, 3, name="conv")(layers.Reshape((6, 10, 3))(tokens)))
    assert "(MaxPool)" in receptive_field(model, "conv").unknown
    assert "(MaxPool)" in field_of(model, "conv", 0, 0).unknown


def test_a_mirror_at_the_edge_is_not_known():
    start = image_input()
    model = keras.Model(
        start, conv(3)(keras.ops.pad(start, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"))
    )
    assert "(Pad)" in receptive_field(model, ActivationModel(model).layers[-1].path).unknown


def test_operations_on_parts_of_the_channels():
    start = image_input()
    left, right = keras.ops.split(conv(3, padding="same")(start), 2, axis=-1)
    x = keras.ops.where(left > right, left + right, left * 2.0)
    check_some_units(keras.Model(start, conv(2)(x)))
    rows = keras.Model(start, conv(1)(keras.ops.split(start[:, :16], 2, axis=1)[0]))
    path = ActivationModel(rows).layers[-1].path
    assert receptive_field(rows, path).unknown


# ------------------------------------------------------------------ videos

VIDEO = (3, 13, 11, 2)
# Small positive weights, so that no gate closes.
REMEMBERING: dict[str, Any] = {
    "dtype": "float64",
    "kernel_initializer": keras.initializers.Constant(0.05),
    "recurrent_initializer": keras.initializers.Constant(0.05),
}


def per_time_step(layer: layers.Layer) -> layers.Layer:
    return layers.TimeDistributed(layer, dtype="float64")


def video_footprint(model: keras.Model, step: int | None, row: int, column: int) -> Any:
    """Return the box where the gradient of a unit of a time step, or of maps, is not 0 in any step."""
    video = tf.constant(np.random.default_rng(0).random((1, *VIDEO)) / 1e6, "float64")
    with tf.GradientTape() as tape:
        tape.watch(video)
        output = model(video)[0]
        unit = tf.reduce_sum((output if step is None else output[step])[row, column])
    seen = np.any(tape.gradient(unit, video).numpy()[0] != 0, axis=(0, -1))
    if not seen.any():
        return None
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def check_video(model: keras.Model, name: str) -> None:
    """Check units of every time step that a layer returns, or of its maps; the layer is the model's last."""
    *time, height, width, _ = model.output_shape[1:]
    for step in range(time[0]) if time else [None]:
        path = name if step is None else f"{name}[{step}]"
        for row, column in {(0, 0), (height // 2, width // 2), (height - 1, 0)}:
            field = field_of(model, path, row, column)
            assert not field.unknown
            assert field.box == video_footprint(model, step, row, column), (path, row, column)


@settings(max_examples=8, deadline=None)
@given(pair, st.tuples(st.integers(1, 2), st.integers(1, 2)), padding, st.booleans())
def test_the_field_of_a_state_grows_with_every_time_step_before_it(kernel, strides, padding, backwards):
    video = keras.Input(VIDEO, dtype="float64")
    options = {"strides": strides, "padding": padding, "go_backwards": backwards, **REMEMBERING}
    memory = layers.ConvLSTM2D(1, kernel, return_sequences=True, name="memory", **options)
    check_video(keras.Model(video, memory(video)), "memory")


def test_fields_in_videos_of_many_layers():
    inside = keras.Input((None, None, 2), dtype="float64")
    short = conv(1, strides=2)(inside)
    long = conv(3, padding="same")(conv(3, strides=2, padding="same")(inside))
    block = keras.Model(inside, layers.Add(dtype="float64")([short, long]), name="block")
    video = keras.Input(VIDEO, dtype="float64")
    x = per_time_step(conv(2))(video)
    x = per_time_step(block)(x)
    x = layers.ConvLSTM2D(2, 2, padding="same", return_sequences=True, **REMEMBERING)(x)
    x = layers.Activation("linear", dtype="float64")(x)
    steps = layers.TimeDistributed(conv((1, 2)), dtype="float64", name="steps")(x)
    check_video(keras.Model(video, steps), "steps")
    last = layers.ConvLSTM2D(1, (2, 3), go_backwards=True, **REMEMBERING)(steps)
    check_video(keras.Model(video, layers.Conv2D(2, 1, name="conv", **THIN)(last)), "conv")


def test_sizes_in_videos():
    video = keras.Input((4, 20, 18, 3))
    x = layers.TimeDistributed(layers.Conv2D(4, 3, strides=2), name="each")(video)
    x = layers.ConvLSTM2D(3, (3, 5), padding="same", return_sequences=True, name="memory")(x)
    pooling = keras.Sequential([layers.MaxPooling2D(2)])
    model = keras.Model(video, layers.TimeDistributed(pooling, name="pool")(x))
    assert receptive_field(model, "each[3]") == ReceptiveField((3, 3), (2, 2), (0, 0))
    for step in range(4):
        rows, columns = 1 + 2 * (step + 1), 1 + 4 * (step + 1)  # of `each`
        size, before = (2 * rows + 1, 2 * columns + 1), (rows - 1, columns - 1)
        assert receptive_field(model, f"memory[{step}]") == ReceptiveField(size, (2, 2), before)
        pooled = receptive_field(model, f"pool[{step}]")
        assert (pooled.size, pooled.stride) == ((size[0] + 2, size[1] + 2), (4, 4))


def test_videos_with_channels_first():
    video = keras.Input((2, 3, 12, 10))
    x = layers.ConvLSTM2D(2, 3, data_format="channels_first", return_sequences=True, name="memory")(video)
    model = keras.Model(video, x)
    assert receptive_field(model, "memory[1]") == ReceptiveField((5, 5), (1, 1), (1, 1))


def test_what_mixes_time_steps_in_another_way_is_not_known():
    video = keras.Input((4, 9, 8, 3))
    x = layers.Conv3D(2, 3, padding="same", name="volume")(video)
    model = keras.Model(video, layers.TimeDistributed(layers.Conv2D(2, 3), name="each")(x))
    assert "'volume' (Conv3D)" in receptive_field(model, "each[0]").unknown
    assert "'volume' (Conv3D)" in field_of(model, "each[0]", 0, 0).unknown
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(video)
    gate = layers.Reshape((4, 1, 1, 3))(pooled)
    gated = layers.Multiply(name="gated")([video, gate])
    model = keras.Model(video, layers.TimeDistributed(layers.Conv2D(2, 3), name="each")(gated))
    assert "'gated' (Multiply)" in receptive_field(model, "each[0]").unknown


# ------------------------------------------------------------------ published sizes


def test_vgg16_has_its_published_size():
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    assert receptive_field(model, "block5_conv3") == ReceptiveField((196, 196), (16, 16), (90, 90))
    assert receptive_field(model, "block5_pool") == ReceptiveField((212, 212), (32, 32), (90, 90))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path", "size"),
    [
        ("MobileNet", "conv_pw_13", 315),
        ("MobileNetV2", "Conv_1", 491),
        ("ResNet50", "conv5_block3_out", 483),
        ("InceptionV3", "mixed10", 1311),
        ("InceptionResNetV2", "conv_7b_ac", 3039),
    ],
)
def test_networks_have_their_published_size(name, path, size):
    model = getattr(keras.applications, name)(weights=None, include_top=False)
    field = receptive_field(model, path)
    assert (field.size, field.stride) == ((size, size), (32, 32))
