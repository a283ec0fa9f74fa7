"""Conversion of an image to all inputs of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from fmwidget.images.arrays import Array, ImageError
from fmwidget.images.preprocessing import CUSTOM, SCALINGS, prepare, prepare_bands
from fmwidget.images.source import NamedImage

from .input_scaling import AS_GIVEN, Scaling, detect_scaling
from .inputs import Batch, ModelInput, model_inputs, pack_inputs
from .outputs import CHANNELS_FIRST, CHANNELS_LAST

Preprocess = str | Callable[[Array], Any]  # "auto", a name in SCALINGS, or a function of the image
ExtraInputs = Mapping[str, Any]  # the other inputs by name: arrays, or functions of the image

# Longest side of an image for a model that takes any size: the maps of a whole photograph fill the memory.
LONGEST_FREE_SIDE = 512


def image_array(model: keras.Model, image: NamedImage) -> Array:
    """Return the array that represents an image to a model.

    Returns:
        Read-only array: uint8 `(H, W, 3)`, or the array as given, `(H, W, C)`, if it holds bands, or is RGBA
        and the model takes four channels.

    Raises:
        ImageError: If the image cannot be used.
    """
    preferred, *others = image.arrays()
    if others:
        channels = next((each.sizes[2] for each in model_inputs(model) if each.is_image), None)
        return next((array for array in others if array.shape[2] == channels), preferred)
    return preferred


def resolve_scaling(model: keras.Model, preprocess: Preprocess, channels: int = 3) -> Scaling:
    """Return the scaling of images for a model: detected, named, or that of a function of the user's.

    Args:
        model: The model.
        preprocess: As for `model_batch`.
        channels: Number of channels of the array that represents the image; only RGB images are scaled.

    Raises:
        ValueError: If `preprocess` is an unknown name.
    """
    if callable(preprocess):
        return Scaling(CUSTOM, known=True, reason="scaled by the given function")
    if preprocess != "auto" and preprocess not in SCALINGS:
        raise ValueError(
            f"Unknown preprocess {preprocess!r}. Pass 'auto', one of {', '.join(map(repr, SCALINGS))}, or a "
            "function of the image (H, W, C) that returns the model's input."
        )
    if channels != 3:
        return AS_GIVEN
    if preprocess == "auto":
        return detect_scaling(model)
    return Scaling(preprocess, known=True, reason="as chosen")


def model_batch(
    model: keras.Model,
    array: Array,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    others: ExtraInputs | None = None,
) -> Batch:
    """Convert an image to the inputs of a model.

    Args:
        model: The model.
        array: The image in its own size: uint8 `(H, W, 3)`, or numbers `(H, W, C)` with another number of
            channels, which are resized only; see `image_array`.
        preprocess: `"auto"`, one of `SCALINGS`, or a function that takes `array` and returns the model's
            whole input, a batch of one.
        fit: One of `FITS`: how the image fills an input of other proportions.
        others: The model's other inputs by name: arrays with or without the batch axis, or functions that
            take `array` and return them.

    Returns:
        Arrays in the structure the model takes, each with a batch axis of one.

    Raises:
        ValueError: If an input has no value, a name is unknown, or the numbers of channels differ.
    """
    if callable(preprocess):
        return keras.tree.map_structure(_numbers, preprocess(array))
    scaling = resolve_scaling(model, preprocess, array.shape[2]).name
    inputs = model_inputs(model)
    others = dict(others or {})
    arrays = [
        _image_batch(array, each, scaling, fit) if each.is_image else _other_batch(each, others, array)
        for each in inputs
    ]
    if others:
        names = ", ".join(repr(each.name) for each in inputs if not each.is_image) or "only the image"
        raise ValueError(f"The model has no input named {', '.join(map(repr, others))}. It takes {names}.")
    if not any(each.is_image for each in inputs):
        raise ValueError(
            "The model takes no image: none of its inputs has the shape (H, W, C). Pass `preprocess=`, a "
            "function of the image that returns the model's input."
        )
    return pack_inputs(model, arrays)


def input_image(model: keras.Model, batch: Batch) -> tuple[Array | None, str]:
    """Return the image among a model's inputs, with its batch axis, or `None`; and its data format."""
    arrays = keras.tree.flatten(batch)
    inputs = model_inputs(model)
    data_format = next((each.data_format for each in inputs if each.is_image), CHANNELS_LAST)
    if len(arrays) == len(inputs):
        images = [array for array, each in zip(arrays, inputs, strict=True) if each.is_image]
    else:
        images = [array for array in arrays if np.ndim(array) == 4]
    return (images[0] if images else None), data_format


def _image_batch(array: Array, image_input: ModelInput, scaling: str, fit: str) -> Array:
    height, width, channels = image_input.sizes
    if height is None and width is None:
        factor = min(1.0, LONGEST_FREE_SIDE / max(array.shape[:2]))
        height, width = (max(1, round(side * factor)) for side in array.shape[:2])
    data_format, dtype = image_input.data_format, image_input.dtype
    is_first = data_format == CHANNELS_FIRST
    shape = (channels, height, width) if is_first else (height, width, channels)
    if array.shape[2] == 3:
        batch = prepare(array, shape, scaling, fit, data_format)
    else:
        batch = prepare_bands(array, shape, fit, data_format)
        if "int" in dtype and batch.dtype.kind == "f":
            batch = np.rint(batch)
    with np.errstate(invalid="ignore"):  # NaN is no whole number
        return batch.astype(np.float32 if "float" in dtype else dtype, copy=False)


def _other_batch(model_input: ModelInput, others: dict[str, Any], image: Array) -> Array:
    if model_input.name not in others:
        raise ValueError(
            f"The model also takes an input {model_input.name!r} of shape {model_input.shape}. Pass its "
            f"value as `inputs={{{model_input.name!r}: ...}}`: an array, or a function of the image that "
            "returns one."
        )
    value = others.pop(model_input.name)
    array = np.asarray(value(image) if callable(value) else value)
    if array.dtype == np.float64 or (array.dtype.kind in "iub" and model_input.dtype.startswith("float")):
        array = array.astype(model_input.dtype)
    return array[np.newaxis] if array.ndim == len(model_input.shape) else array


def _numbers(leaf: Any) -> Array:
    """Return a part of what `preprocess` returned as an array."""
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise ImageError(
            f"`preprocess` returned {type(leaf).__name__}; expected the model's input: arrays of numbers."
        )
    return array.astype(np.float32) if array.dtype == np.float64 else array
