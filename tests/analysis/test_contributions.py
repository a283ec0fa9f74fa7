"""The terms of a convolution's value, against the value that the layer itself computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from fmwidget import ActivationModel
from fmwidget.activations.forward import record_call
from fmwidget.analysis.contributions import Contributions, contributions
from tests.support import zoo

EPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def random_weights(layer: keras.Layer, seed: int) -> None:
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=each.shape) for each in layer.get_weights()])


def check(parts: Contributions, value: float, dtype: str = "float32") -> None:
    """Check that the sum is the value, up to rounding of each addition, and the sum of the shown terms."""
    size = np.abs(parts.window * parts.kernel).sum() + abs(parts.bias or 0)
    assert abs(parts.total - value) <= EPS[dtype] * (parts.kernel.size + 1) * size
    assert parts.total == pytest.approx(
        float((parts.window * parts.kernel).sum() + (parts.bias or 0)), rel=1e-12
    )
    assert parts.by_channel == pytest.approx((parts.window * parts.kernel).sum(axis=(0, 1)), rel=1e-9)
    assert parts.sums_to(value)
    assert not parts.sums_to(value + 0.1 * size + 1)


pair = st.tuples(st.integers(1, 4), st.integers(1, 4))


kinds = st.sampled_from([("conv", 1), ("conv", 2), ("conv", 3), ("depthwise", 1), ("depthwise", 2)])


@settings(max_examples=40, deadline=None)
@given(
    *(pair, st.integers(1, 3), pair, st.sampled_from(["same", "valid"])),
    *(kinds, st.tuples(st.integers(1, 11), st.integers(1, 11)), st.booleans(), st.booleans(), st.data()),
)
def test_the_sum_is_the_value_to_float_precision(  # noqa: PLR0917
    kernel, stride, dilation, padding, kind, size, use_bias, first, data
):
    stride, dilation = (stride, (1, 1)) if stride > 1 else (1, dilation)
    name, number = kind
    options = {
        "strides": stride,
        "dilation_rate": dilation,
        "padding": padding,
        "use_bias": use_bias,
        "data_format": "channels_first" if first else "channels_last",
    }
    if name == "conv":
        layer: Any = layers.Conv2D(6, kernel, groups=number, **options)
    else:
        layer = layers.DepthwiseConv2D(kernel, depth_multiplier=number, **options)
    inputs = np.random.default_rng(len(name)).normal(size=(*size, 6)).astype("float32")
    given_to = np.moveaxis(inputs, -1, 0) if first else inputs
    try:
        layer.build((1, *given_to.shape))
        shape = layer.compute_output_shape((1, *given_to.shape))
    except ValueError:
        return  # the kernel is larger than its input
    if min(shape[1:]) < 1:
        return
    random_weights(layer, seed=sum(kernel))
    output = np.asarray(layer(given_to[np.newaxis]))[0]
    output = np.moveaxis(output, 0, -1) if first else output
    row, column, channel = (data.draw(st.integers(0, side - 1)) for side in output.shape)
    check(contributions(layer, inputs, channel, row, column), float(output[row, column, channel]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_half_precision(dtype):
    layer = layers.Conv2D(3, 3, padding="same", dtype=dtype)
    inputs = np.random.default_rng(0).normal(size=(6, 5, 4)).astype("float32")
    layer.build((1, *inputs.shape))
    random_weights(layer, seed=1)
    output = np.asarray(keras.ops.cast(layer(inputs[np.newaxis]), "float32"))[0]
    for row, column in ((0, 0), (3, 2), (5, 4)):
        parts = contributions(layer, inputs, 1, row, column)
        check(parts, float(output[row, column, 1]), dtype.removeprefix("mixed_"))


def test_the_terms_are_those_of_the_filter():
    layer = layers.Conv2D(4, 2, groups=2, use_bias=True)
    inputs = np.arange(3 * 3 * 4, dtype="float32").reshape(3, 3, 4)
    layer.build((1, 3, 3, 4))
    random_weights(layer, seed=2)
    kernel, bias = layer.get_weights()
    parts = contributions(layer, inputs, 3, 1, 0)
    assert parts.channels.tolist() == [2, 3]
    assert np.array_equal(parts.window, inputs[1:3, 0:2, 2:4])
    assert np.array_equal(parts.kernel, kernel[..., 3])
    assert parts.bias == bias[3]
    deep = layers.DepthwiseConv2D(1, depth_multiplier=3)
    deep.build((1, 3, 3, 4))
    parts = contributions(deep, inputs, 7, 2, 2)
    assert parts.channels.tolist() == [2]
    assert parts.window.ravel().tolist() == [34]
    assert parts.kernel.ravel() == pytest.approx(np.asarray(deep.kernel)[0, 0, 2, 1])


def test_beyond_the_edge_nothing_is_added():
    layer = layers.Conv2D(1, 3, padding="same", use_bias=False, kernel_initializer="ones")
    inputs = np.ones((4, 4, 1), "float32")
    layer.build((1, 4, 4, 1))
    parts = contributions(layer, inputs, 0, 0, 3)
    assert parts.bias is None
    assert parts.inside.tolist() == [[False, False, False], [True, True, False], [True, True, False]]
    assert parts.total == 4
    layer.set_weights([np.full((3, 3, 1, 1), np.inf, "float32")])
    assert contributions(layer, inputs, 0, 0, 0).total == np.inf  # not NaN


def test_what_is_not_finite_stays_so():
    layer = layers.Conv2D(1, 1, kernel_initializer="ones")
    inputs = np.array([[[np.nan], [np.inf], [1.0]]], "float32")
    layer.build((1, 1, 3, 1))
    output = np.asarray(layer(inputs[np.newaxis]))[0]
    for column in range(3):
        parts = contributions(layer, inputs, 0, 0, column)
        assert np.array_equal(parts.total, output[0, column, 0], equal_nan=True)
        assert parts.sums_to(output[0, column, 0])


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (zoo.sequential, None),
        (zoo.doubly_nested, None),
        (zoo.called_twice, "block/one@2"),
        (zoo.channels_first, "conv"),
        (zoo.subclassed, None),
        (zoo.half_precision, None),
    ],
)
def test_the_input_of_a_call_inside_a_model(make, path):
    model = make()
    batch = zoo.batch_for(model)
    am = ActivationModel(model)
    am.activations(batch, am.layers[0].path)
    convolutions = [
        each
        for each in am.layers
        if isinstance(each.layer, layers.Conv2D | layers.DepthwiseConv2D) and path in (None, each.path)
    ]
    assert convolutions
    for layer in convolutions:
        call = record_call(model, batch, layer.after or layer.path)
        before = call.outputs if call.pre_activation is None else call.pre_activation
        dtype = str(layer.layer.compute_dtype)
        given_to = layer.examples(np.asarray(call.inputs[0]))[0]
        maps = layer.examples(np.asarray(before))[0]
        for row, column, channel in ((0, 0, 0), tuple(side - 1 for side in layer.shape)):
            parts = contributions(layer.layer, given_to, channel, row, column)
            check(parts, float(maps[row, column, channel]), dtype)


def test_what_is_asked_for_must_exist():
    layer = layers.Conv2D(2, 3)
    layer.build((1, 5, 4, 1))
    with pytest.raises(IndexError, match=r"3×2 maps in 2 channels. Received row=3, column=0, channel=1"):
        contributions(layer, np.zeros((5, 4, 1), "float32"), 1, 3, 0)
    with pytest.raises(TypeError, match="Received MaxPooling2D"):
        contributions(layers.MaxPooling2D(), np.zeros((5, 4, 1), "float32"), 0, 0, 0)
    with pytest.raises(LookupError, match="nonsense"):
        record_call(zoo.sequential(), zoo.batch_for(zoo.sequential()), "nonsense")
