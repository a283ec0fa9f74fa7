"""The inputs of a model: their shapes, and which of them takes the image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from . import introspection
from .outputs import CHANNELS_FIRST, CHANNELS_LAST, declared_format, is_maps, maps_shape

Batch = Any  # arrays in the structure of a model's inputs, each with a batch axis of one

_FREE_SIZE = 224  # large enough for every network in keras.applications


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: Name of the input.
        shape: Shape without the batch axis; free sizes are `None`.
        dtype: Name of its number type.
        data_format: `"channels_last"` or `"channels_first"`.
        is_image: Whether it is the input that takes the image.
        is_stated: Whether the model defines the input; otherwise all this is assumed.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    data_format: str
    is_image: bool
    is_stated: bool = True

    @property
    def sizes(self) -> tuple[int | None, int | None, int | None]:
        """Height, width and channels of an image input; free or unknown ones are `None`."""
        height, width, channels = maps_shape((1, *self.shape), self.data_format)
        is_assumed = not self.is_stated and height is None and width is None
        return height, width, None if is_assumed else channels


def model_inputs(model: keras.Model) -> tuple[ModelInput, ...]:
    """Return the inputs of a model, one of them marked as the image input.

    A model without a symbolic graph (subclassed, or not built yet) does not define its inputs: it is assumed
    to have one, for RGB images of any size.
    """
    tensors = introspection.input_tensors(model)
    if not tensors:
        shape = _built_shape(model)
        data_format = _image_format(model, shape)
        return (ModelInput("input", shape, "float32", data_format, is_image=True, is_stated=False),)
    shapes = [_stated_shape(model, tensor) for tensor in tensors]
    formats = [_image_format(model, shape) for shape in shapes]
    candidates = [index for index, tensor in enumerate(tensors) if is_maps(tensor)]

    def likelihood(index: int) -> tuple[bool, float]:
        height, width, channels = maps_shape(tensors[index].shape, formats[index])
        return channels in (1, 3, 4), (height or 1e6) * (width or 1e6)

    image = max(candidates, key=likelihood, default=None)
    return tuple(
        ModelInput(tensor.name, shape, str(tensor.dtype), data_format, is_image=index == image)
        for index, (tensor, shape, data_format) in enumerate(zip(tensors, shapes, formats, strict=True))
    )


def _stated_shape(model: keras.Model, tensor: Any) -> tuple[int | None, ...]:
    """Return the shape of an input; where it is free, that of a model inside which takes it unchanged."""
    shape = tuple(tensor.shape[1:])
    for call in introspection.graph_calls(model) if None in shape else ():
        is_model = introspection.is_model(call.operation)
        inner = introspection.input_tensors(call.operation) if is_model else []
        if len(inner) == 1 and any(each is tensor for each in call.input_tensors):
            inner_shape = _stated_shape(call.operation, inner[0])
            if len(inner_shape) == len(shape):
                shape = tuple(own or other for own, other in zip(shape, inner_shape, strict=True))
    return shape


def _built_shape(model: keras.Model) -> tuple[int | None, ...]:
    """Return the image shape a model was built with, or that of a model inside, or else RGB of any size."""
    if shape := introspection.built_shape(model):
        return shape[1:]
    if shape := _inner_shape(model):
        return shape
    return (3, None, None) if keras.config.image_data_format() == CHANNELS_FIRST else (None, None, 3)


def _inner_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Return the image shape of the first model inside, such as a backbone behind augmentation, or `None`."""
    is_chain = introspection.is_sequential(model)
    for layer in model.layers:
        if introspection.is_model(layer):
            tensors = introspection.input_tensors(layer)
            shapes = (tuple(each.shape[1:]) for each in tensors if is_maps(each))
            shape = next(shapes, None) if tensors else _inner_shape(layer)
            # The models of a subclassed one may be called in any order, on maps of many channels.
            if shape is not None and (is_chain or shape[0] in (1, 3) or shape[-1] in (1, 3)):
                return shape
        elif is_chain and not _keeps_size(layer):
            return None
    return None


def _keeps_size(layer: keras.Layer) -> bool:
    """Return whether the output of a layer is as large as its input, as for augmentation."""
    changing = keras.layers.CenterCrop | keras.layers.RandomCrop | keras.layers.Resizing
    keeping = "activations", "preprocessing", "regularization"
    return introspection.keras_category(layer) in keeping and not isinstance(layer, changing)


def _image_format(model: keras.Model, shape: tuple[int | None, ...]) -> str:
    """Return the data format of an input, by its shape if that is unambiguous, else by the model's layers."""
    if len(shape) == 3:
        first, last = shape[0] in (1, 3, 4), shape[-1] in (1, 3, 4)
        if first != last:
            return CHANNELS_FIRST if first else CHANNELS_LAST
    declared = map(declared_format, (model, *introspection.all_sublayers(model)))
    return next(filter(None, declared), keras.config.image_data_format())


def pack_inputs(model: keras.Model, arrays: list[Any]) -> Any:
    """Pack arrays, one for each of `model_inputs`, into the structure that the model takes."""
    structure = introspection.input_structure(model)
    return arrays[0] if structure is None else keras.tree.pack_sequence_as(structure, arrays)


def empty_batch(model: keras.Model) -> Any:
    """Return an input of zeros, of some size wherever the model leaves it free."""

    def zeros(model_input: ModelInput) -> np.ndarray[Any, Any]:
        free = _FREE_SIZE if model_input.is_image else 1
        shape = (free if size is None else size for size in model_input.shape)
        return np.zeros((1, *shape), model_input.dtype)

    return pack_inputs(model, list(map(zeros, model_inputs(model))))


def input_shapes(batch: Batch, inputs: tuple[ModelInput, ...]) -> tuple[Any, ...]:
    """Return the shapes to compile for: the model's own if it defines all its inputs, else the batch's."""
    arrays = keras.tree.flatten(batch)
    if len(arrays) == len(inputs) and all(each.is_stated for each in inputs):
        return tuple((batch_size(batch), *each.shape) for each in inputs)
    return tuple(array.shape for array in arrays)


def batch_size(batch: Batch) -> int:
    """Return the number of examples in a model's input."""
    shapes = (np.shape(leaf) for leaf in keras.tree.flatten(batch))
    return next((int(shape[0]) for shape in shapes if shape), 1)


def content_key(batch: Batch) -> bytes:
    """Return a hash of the content of a batch."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path, leaf in keras.tree.flatten_with_path(batch):
        array = np.ascontiguousarray(leaf)
        digest.update(repr((path, array.shape, array.dtype.str)).encode())
        digest.update(array.view(np.uint8).data)
    return digest.digest()


def input_bytes(batch: Batch) -> int:
    """Return the size of a batch in bytes, at least 1."""
    return max(1, sum(np.asarray(leaf).nbytes for leaf in keras.tree.flatten(batch)))


def require_one_image(batch: Batch) -> None:
    """Raise `ValueError` if the arrays of a batch do not hold exactly one image."""
    for leaf in keras.tree.flatten(batch):
        shape = np.shape(leaf)
        if len(shape) == 0 or shape[0] != 1:
            raise ValueError(
                "Expected a model input that holds one image, with a batch axis of 1. Received an array of "
                f"shape {shape}. For one image `x` of it, pass `x[np.newaxis]`."
            )
