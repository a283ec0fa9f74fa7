"""A picture as the whole input of a model: scaled as it wants, beside whatever else it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from fmwidget.images.arrays import ImageError, Pixels
from fmwidget.images.preprocessing import SCALINGS, prepare

from .input_scaling import Scaling, detect_scaling
from .inputs import Batch, ModelInput, model_inputs, pack_inputs
from .outputs import CHANNELS_FIRST, CHANNELS_LAST

Preprocess = str | Callable[[Pixels], Any]  # "auto", a name in SCALINGS, or a function of the picture
ExtraInputs = Mapping[str, Any]  # inputs beside the picture, by name: a value, or a function of the picture

# A model that takes any size would be given whole photographs; their maps fill memory long before they teach.
LONGEST_FREE_SIDE = 512


def resolve_scaling(model: keras.Model, preprocess: Preprocess) -> Scaling:
    """How pictures will be scaled: found out, as named, or by a function of the user's own.

    Raises:
        ValueError: If `preprocess` is none of these.
    """
    if callable(preprocess):
        return Scaling("custom", known=True, reason="scaled by the given function")
    if preprocess == "auto":
        return detect_scaling(model)
    if preprocess in SCALINGS:
        return Scaling(preprocess, known=True, reason="as chosen")
    raise ValueError(
        f"Unknown preprocess {preprocess!r}. Pass 'auto', one of {', '.join(map(repr, SCALINGS))}, or a "
        "function of the picture (H, W, 3) that returns the model's input."
    )


def model_batch(
    model: keras.Model,
    pixels: Pixels,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    others: ExtraInputs | None = None,
) -> Batch:
    """Makes a picture the input of a model.

    Args:
        model: The model.
        pixels: The picture, uint8 `(H, W, 3)`, in its own size.
        preprocess: `"auto"`, one of `SCALINGS`, or a function that is given `pixels` and returns the model's
            whole input, a batch of one.
        fit: One of `FITS`: how the picture fills an input of other proportions.
        others: What the model takes beside the picture, by the inputs' names: arrays with or without the
            batch axis, or functions of the picture that return them.

    Returns:
        Arrays in the structure the model takes, each with a batch axis of one.

    Raises:
        ValueError: If an input has no value, or a name is unknown.
    """
    if callable(preprocess):
        return _as_batch(preprocess(pixels))
    scaling = resolve_scaling(model, preprocess)
    inputs = model_inputs(model)
    others = dict(others or {})
    arrays = [
        _picture(pixels, each, scaling.name, fit) if each.is_image else _other(each, others, pixels)
        for each in inputs
    ]
    if others:
        names = (
            ", ".join(repr(each.name) for each in inputs if not each.is_image) or "none beside the picture"
        )
        raise ValueError(f"The model has no input named {', '.join(map(repr, others))}. It takes {names}.")
    if not any(each.is_image for each in inputs):
        raise ValueError(
            "The model takes no picture: none of its inputs has the shape (H, W, C). Pass `preprocess=`, a "
            "function of the picture that returns the model's input."
        )
    return pack_inputs(model, arrays)


def input_image(model: keras.Model, batch: Batch) -> tuple[np.ndarray[Any, Any] | None, str]:
    """The picture in a model's input, as the model has it, or `None`; and where its channels are."""
    arrays = keras.tree.flatten(batch)
    inputs = model_inputs(model)
    data_format = next((each.data_format for each in inputs if each.is_image), CHANNELS_LAST)
    if len(arrays) == len(inputs):
        pictures = [array for array, each in zip(arrays, inputs, strict=True) if each.is_image]
    else:
        pictures = [array for array in arrays if np.ndim(array) == 4]
    return (pictures[0] if pictures else None), data_format


def _picture(pixels: Pixels, each: ModelInput, scaling: str, fit: str) -> np.ndarray[Any, Any]:
    shape = each.shape
    if len(shape) == 3:
        first = each.data_format == CHANNELS_FIRST
        height, width = shape[1:] if first else shape[:2]
        if height is None and width is None:
            factor = min(1.0, LONGEST_FREE_SIDE / max(pixels.shape[:2]))
            sides = [max(1, round(side * factor)) for side in pixels.shape[:2]]
            shape = (shape[0], *sides) if first else (*sides, shape[2])
    batch = prepare(pixels, shape, scaling, fit, each.data_format)
    return batch if each.dtype.startswith(("float", "bfloat")) else batch.astype(each.dtype)


def _other(each: ModelInput, others: dict[str, Any], pixels: Pixels) -> np.ndarray[Any, Any]:
    if each.name not in others:
        raise ValueError(
            f"The model also takes an input {each.name!r} of shape {each.shape}. Pass its value as "
            f"`inputs={{{each.name!r}: ...}}`: an array, or a function of the picture that returns one."
        )
    value = others.pop(each.name)
    array = np.asarray(value(pixels) if callable(value) else value)
    if array.dtype == np.float64 or (array.dtype.kind in "iub" and each.dtype.startswith("float")):
        array = array.astype(each.dtype)
    return array[np.newaxis] if array.ndim == len(each.shape) else array


def _as_batch(returned: Any) -> Batch:
    def array(leaf: Any) -> np.ndarray[Any, Any]:
        value = np.asarray(leaf)
        if value.dtype.kind not in "fiub" and value.dtype.name != "bfloat16":
            raise ImageError(
                f"`preprocess` returned {type(leaf).__name__}; expected the model's input: arrays of numbers."
            )
        return value.astype(np.float32) if value.dtype == np.float64 else value

    return keras.tree.map_structure(array, returned)
