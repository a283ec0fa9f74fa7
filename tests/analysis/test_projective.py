"""The units that depend on a pixel, against the units that change with the pixel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from fmwidget import field_of
from fmwidget.analysis.receptive_field.projective import projective_field
from tests.analysis.test_receptive_field import SIZE, build, conv, image_input, last_path, simple, stack
from tests.support import zoo


def units_that_change(model: keras.Model, row: int, column: int) -> np.ndarray[Any, Any]:
    """Return the units of a linear model's output that change when a pixel does."""
    before = np.random.default_rng(1).random((1, *model.input_shape[1:]))
    after = before.copy()
    after[0, row, column] += 100
    changed: np.ndarray[Any, Any] = np.any(np.asarray(model(after)) != np.asarray(model(before)), axis=-1)[0]
    return changed


def some_pixels(height: int, width: int) -> list[tuple[int, int]]:
    return [(row, column) for row in (0, height // 2, height - 1) for column in (0, width // 2, width - 1)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(simple, st.tuples(simple, simple)), min_size=1, max_size=5))
def test_the_units_that_see_a_pixel_are_those_that_change_with_it(makes):
    linear, model = build(makes, linear=True), build(makes, linear=False)
    path = last_path(model)
    for pixel in some_pixels(*SIZE[:2]):
        viewers = projective_field(model, path, *pixel)
        changed = units_that_change(linear, *pixel)
        assert np.array_equal(viewers.units, changed)
        assert (viewers.nearest is None) == (not changed.any())
        assert viewers.nearest is None or changed[viewers.nearest]


def check_against_fields(model: keras.Model) -> None:
    """Compare with the units whose field holds a pixel, for models without holes in their windows."""
    path = last_path(model)
    _, height, width, _ = model.output_shape
    boxes = {
        (row, column): field_of(model, path, row, column).box
        for row in range(height)
        for column in range(width)
    }
    for row, column in some_pixels(*SIZE[:2]):
        viewers = projective_field(model, path, row, column)
        held = np.zeros((height, width), bool)
        for unit, box in boxes.items():
            held[unit] = box is not None and box[0] <= row < box[2] and box[1] <= column < box[3]
        assert np.array_equal(viewers.units, held)
        rows, columns = np.flatnonzero(held.any(1)), np.flatnonzero(held.any(0))
        assert viewers.box == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        assert not viewers.has_gaps


def test_a_pixel_lies_in_the_fields_of_the_units_that_see_it():
    check_against_fields(stack(conv(3), conv((2, 4), padding="same"), layers.MaxPooling2D(2), conv(3)))
    inside = keras.Input((None, None, 2), dtype="float64")
    block = keras.Model(inside, layers.Add(dtype="float64")([inside, conv(3, padding="same")(inside)]))
    start = image_input()
    check_against_fields(keras.Model(start, conv(1)(block(block(start)))))


def test_the_nearest_is_centred_on_the_pixel():
    odd = stack(conv(5, padding="same"), conv(3, padding="same"))  # unit and pixel have the same position
    for row, column in some_pixels(*SIZE[:2]):
        assert projective_field(odd, last_path(odd), row, column).nearest == (row, column)
    pooled = stack(layers.MaxPooling2D(4))
    assert projective_field(pooled, last_path(pooled), 9, 3).nearest == (2, 0)
    unpadded = stack(conv(5))  # the pixel of the unit in a corner is two pixels further in
    assert projective_field(unpadded, last_path(unpadded), 8, 8).nearest == (6, 6)
    assert projective_field(unpadded, last_path(unpadded), 0, 1).nearest == (0, 0)


def test_units_between_which_a_kernel_steps():
    model = stack(conv(2, dilation_rate=3))
    viewers = projective_field(model, last_path(model), 5, 6)
    assert np.argwhere(viewers.units).tolist() == [[2, 3], [2, 6], [5, 3], [5, 6]]
    assert viewers.box == (2, 3, 6, 7)
    assert viewers.has_gaps


def test_a_pixel_that_no_unit_sees():
    model = stack(layers.Cropping2D(((2, 0), (0, 3)), dtype="float64"), conv(1, strides=2))
    for row, column in ((0, 0), (5, 13), (3, 4)):
        viewers = projective_field(model, last_path(model), row, column)
        assert not viewers.units.any()
        assert viewers.nearest is None
        assert viewers.box is None
        assert not viewers.unknown


def test_every_unit_sees_a_pixel_of_a_global_path():
    start = keras.Input((12, 10, 3))
    x = layers.Conv2D(4, 3)(start)
    squeezed = layers.Reshape((1, 1, 4))(layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    model = keras.Model(start, layers.Multiply(name="excited")([x, squeezed]))
    viewers = projective_field(model, "excited", 11, 0)
    assert viewers.box == (0, 0, 10, 8)
    assert viewers.nearest == (9, 0)  # the maps stretched over the whole image


def test_an_unknown_layer_is_named():
    viewers = projective_field(zoo.compiled_layer(), "hidden", 0, 0)
    assert "'hidden' (Hidden)" in viewers.unknown
    assert viewers.nearest is None


def test_maps_with_channels_first():
    model = zoo.channels_first()
    viewers = projective_field(model, "conv", 0, 0)
    assert viewers.box == (0, 0, 1, 1)


def test_a_pixel_must_exist():
    model = stack(conv(3))
    with pytest.raises(IndexError, match=r"17×14 input. Received row=17, column=0"):
        projective_field(model, last_path(model), 17, 0)
    with pytest.raises(ValueError, match="nonsense"):
        projective_field(model, "nonsense", 0, 0)


def test_in_a_video_a_pixel_is_one_of_every_time_step():
    video = keras.Input((3, 9, 8, 2), dtype="float64")
    weak: dict[str, Any] = {
        "dtype": "float64",
        "kernel_initializer": keras.initializers.Constant(0.01),
        "recurrent_initializer": keras.initializers.Constant(0.01),
    }
    x = layers.TimeDistributed(conv(2, strides=2), dtype="float64")(video)
    model = keras.Model(
        video, layers.ConvLSTM2D(1, 2, padding="same", return_sequences=True, name="memory", **weak)(x)
    )
    before = np.random.default_rng(1).random((1, 3, 9, 8, 2))
    for row, column in [(0, 0), (4, 4), (8, 7)]:
        after = before.copy()
        after[0, :, row, column] += 1
        changed = np.any(np.asarray(model(after)) != np.asarray(model(before)), axis=-1)[0]
        for step in range(3):
            assert np.array_equal(
                projective_field(model, f"memory[{step}]", row, column).units, changed[step]
            )
