"""What a model takes: its inputs, and which one of them is for the picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from . import introspection
from .outputs import CHANNELS_FIRST, CHANNELS_LAST, declared_format, is_maps, maps_shape

Batch = Any  # arrays in the structure of a model's input, each with a batch axis of one


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: Its name.
        shape: Its shape without the batch axis; `None` where the model leaves it free.
        dtype: The type of number it takes.
        data_format: Where a picture keeps its channels there.
        is_picture: Whether it is the input that takes the picture.
        is_stated: Whether the model says all this itself; otherwise it is assumed.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    data_format: str
    is_image: bool
    is_stated: bool = True


def model_inputs(model: keras.Model) -> tuple[ModelInput, ...]:
    """The inputs of a model, the one that takes the picture marked.

    A model without a symbolic graph (subclassed, or not built yet) says nothing of its inputs: it is taken
    to have one, for colour pictures of any size.
    """
    tensors = introspection.input_tensors(model)
    if not tensors:
        shape = _built_shape(model)
        data_format = _picture_format(model, shape)
        return (ModelInput("input", shape, "float32", data_format, is_image=True, is_stated=False),)
    shapes = [_stated_shape(model, tensor) for tensor in tensors]
    formats = [_picture_format(model, shape) for shape in shapes]
    candidates = [index for index, tensor in enumerate(tensors) if is_maps(tensor)]

    def likeness(index: int) -> tuple[bool, float]:
        height, width, channels = maps_shape(tensors[index].shape, formats[index])
        return channels in (1, 3, 4), (height or 1e6) * (width or 1e6)

    picture = max(candidates, key=likeness, default=None)
    return tuple(
        ModelInput(each.name, shape, str(each.dtype), data_format, is_image=index == picture)
        for index, (each, shape, data_format) in enumerate(zip(tensors, shapes, formats, strict=True))
    )


def _stated_shape(model: keras.Model, tensor: Any) -> tuple[int | None, ...]:
    """The shape of an input; where it is free, that of a model inside which takes the input as it is."""
    shape = tuple(tensor.shape[1:])
    for call in introspection.graph_calls(model) if None in shape else ():
        taken = introspection.input_tensors(call.operation) if introspection.is_model(call.operation) else []
        if len(taken) == 1 and any(each is tensor for each in call.input_tensors):
            inside = _stated_shape(call.operation, taken[0])
            if len(inside) == len(shape):
                shape = tuple(own or other for own, other in zip(shape, inside, strict=True))
    return shape


def _built_shape(model: keras.Model) -> tuple[int | None, ...]:
    """The picture's shape a model was built with, or that a model inside it states; else that of any size."""
    if shape := introspection.built_shape(model):
        return shape[1:]
    if shape := _inner_shape(model):
        return shape
    return (3, None, None) if keras.config.image_data_format() == CHANNELS_FIRST else (None, None, 3)


def _inner_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """The shape of the picture that the first model inside takes, such as a backbone behind augmentation."""
    for layer in model.layers:
        if introspection.is_model(layer):
            tensors = introspection.input_tensors(layer)
            shapes = (tuple(each.shape[1:]) for each in tensors if is_maps(each))
            shape = next(shapes, None) if tensors else _inner_shape(layer)
            if shape is not None and (shape[0] in (1, 3) or shape[-1] in (1, 3)):
                return shape
        elif introspection.is_sequential(model) and not _keeps_size(layer):
            return None
    return None


def _keeps_size(layer: keras.Layer) -> bool:
    """Whether a layer hands pictures on in their size, as augmentation does."""
    changing = keras.layers.CenterCrop | keras.layers.RandomCrop | keras.layers.Resizing
    keeping = "activations", "preprocessing", "regularization"
    return introspection.keras_category(layer) in keeping and not isinstance(layer, changing)


def _picture_format(model: keras.Model, shape: tuple[int | None, ...]) -> str:
    """Where an input of `shape` has its channels: by its numbers if they are telling, else by its layers."""
    if len(shape) == 3:
        first, last = shape[0] in (1, 3, 4), shape[-1] in (1, 3, 4)
        if first != last:
            return CHANNELS_FIRST if first else CHANNELS_LAST
    declared = map(declared_format, (model, *introspection.all_sublayers(model)))
    return next(filter(None, declared), keras.config.image_data_format())


def pack_inputs(model: keras.Model, arrays: list[Any]) -> Any:
    """Arrays, one for each of `model_inputs`, in the structure that the model takes them in."""
    structure = introspection.input_structure(model)
    return arrays[0] if structure is None else keras.tree.pack_sequence_as(structure, arrays)


def empty_batch(model: keras.Model) -> Any:
    """An input of zeros, with some size wherever the model leaves it free."""

    def empty(each: ModelInput) -> np.ndarray[Any, Any]:
        free = _FREE_SIZE if each.is_image else 1
        return np.zeros((1, *(free if size is None else size for size in each.shape)), each.dtype)

    return pack_inputs(model, [empty(each) for each in model_inputs(model)])


# Large enough for every network in keras.applications.
_FREE_SIZE = 224


def input_shapes(batch: Batch, inputs: tuple[ModelInput, ...]) -> tuple[Any, ...]:
    """The shapes to compile for: the model's own where it states them for every input, else the batch's."""
    arrays = keras.tree.flatten(batch)
    if len(arrays) == len(inputs) and all(each.is_stated for each in inputs):
        return tuple((batch_size(batch), *each.shape) for each in inputs)
    return tuple(array.shape for array in arrays)


def batch_size(batch: Batch) -> int:
    """Return the number of examples in a model's input."""
    shapes = (np.shape(leaf) for leaf in keras.tree.flatten(batch))
    return next((int(shape[0]) for shape in shapes if shape), 1)


def content_key(batch: Batch) -> bytes:
    """A key that is equal for inputs of equal content, whichever objects hold it."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path, leaf in keras.tree.flatten_with_path(batch):
        array = np.ascontiguousarray(leaf)
        digest.update(repr((path, array.shape, array.dtype.str)).encode())
        digest.update(array.view(np.uint8).data)
    return digest.digest()


def input_bytes(batch: Batch) -> int:
    """Bytes of a model's input, at least one."""
    return max(1, sum(np.asarray(leaf).nbytes for leaf in keras.tree.flatten(batch)))


def require_one_image(batch: Batch) -> None:
    """Raises `ValueError` for an input of the model that holds more or less than one picture."""
    for leaf in keras.tree.flatten(batch):
        shape = np.shape(leaf)
        if len(shape) == 0 or shape[0] != 1:
            raise ValueError(
                "Expected a model input that holds one picture, with a batch axis of 1; received an array "
                f"of shape {shape}. For one picture `x` of it, pass `x[np.newaxis]`."
            )
