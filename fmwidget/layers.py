"""What can be looked at in a model: a `FeatureLayer` for each output of each call that is maps."""

from __future__ import annotations

import os
import re
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import keras
import numpy as np

from .capture import Call, Tensor
from .layout import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Flow,
    declared_format,
    is_film,
    is_maps,
    maps_shape,
    resolve_formats,
    stacks,
)
from .preactivation import activation_name, has_activation


@dataclass(frozen=True)
class FeatureLayer:
    """One output of one call of a layer or operation, shown as feature maps.

    Attributes:
        path: Unique name in the model: the names of the models it is nested in and its own, joined by `/`,
            with `@2` for a second call and `@pre` for the maps before an activation function. Look it up as a
            whole; names may hold any of these characters.
        layer: The Keras layer or operation.
        call_index: Which call of `layer` in a forward pass this is, counted from 1.
        shape: `(H, W, C)`: the maps' height, width and number, for the picture seen last.
        data_format: Where the model keeps the channels, `"channels_last"` or `"channels_first"`.
        after: If these are the maps before the layer's own activation function, the path of those after it.
    """

    path: str
    layer: keras.Operation
    call_index: int
    shape: tuple[int, int, int]
    data_format: str
    after: str | None = None

    @property
    def type_name(self) -> str:
        """The class name of the layer or operation, and the activation function that is yet to come."""
        name = type(self.layer).__name__
        return name if self.after is None else f"{name} before {activation_name(self.layer)}"

    def with_shape_of(self, output: Tensor) -> FeatureLayer:
        """The same layer with the shape of an output of its own."""
        return replace(self, shape=maps_shape(output.shape, self.data_format))


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    operation: keras.Operation
    call_index: int
    shape: tuple[Any, ...]
    number: int
    after: str | None = None


class Walk:
    """Follows the calls of one forward pass, names what they return and remembers how it hangs together.

    It keeps no tensor alive, so that a forward pass needs no more memory than it would alone.
    """

    def __init__(self) -> None:
        self._found: list[_Found] = []
        self._flows: list[Flow] = []
        self._calls: Counter[keras.Operation] = Counter()
        self._paths: set[str] = set()
        self._numbers = TensorNumbers()
        self._returned: defaultdict[int, list[int]] = defaultdict(list)  # by depth, not yet claimed

    def follow(self, call: Call) -> Iterator[tuple[str, Tensor]]:
        """Yields path and tensor of each stack of maps that `call` returned.

        The maps before an activation are on the list in any case, right behind those after it, but yielded
        only if the call noted them.
        """
        if any(isinstance(parent, keras.layers.RNN) for parent in call.parents):
            return  # one step of a loop, which a compiled pass runs out of sight
        self._calls[call.operation] += 1
        depth = len(call.parents)
        children = tuple(self._returned.pop(depth + 1, ()))
        inputs = tuple(self._numbers.of(tensor) for tensor in call.inputs if _is_followed(tensor))
        outputs = [each for each in keras.tree.flatten_with_path(call.outputs) if _is_followed(each[1])]
        seen_before = [tensor in self._numbers for _, tensor in outputs]
        numbers = tuple(self._numbers.of(tensor) for _, tensor in outputs)
        self._flows.append(Flow(call.operation, inputs, numbers, children))
        self._returned[depth] += numbers
        name = "/".join([*(parent.name for parent in call.parents[1:]), _name(call)])
        for (key, output), number, is_old in zip(outputs, numbers, seen_before, strict=True):
            if depth == 0 and is_old:
                continue  # the model returns what a layer of its own returned: that layer is on the list
            for suffix, tensor in stacks(call.operation, output):
                path = self._unique("".join([name, *(f"[{part}]" for part in key), suffix]))
                found = _Found(path, call.operation, self._calls[call.operation], tuple(tensor.shape), number)
                self._found.append(found)
                yield path, tensor
                if has_activation(call.operation):
                    before = replace(found, path=self._unique(f"{path}@pre"), after=path)
                    self._found.append(before)
                    if call.before is not None:
                        yield before.path, call.before

    def layers(self) -> tuple[FeatureLayer, ...]:
        """What was found, in the order data flows."""
        formats = resolve_formats(self._flows)
        layers = []
        for found in self._found:
            data_format = formats.get(found.number, keras.config.image_data_format())
            shape = maps_shape(found.shape, data_format)
            layers.append(
                FeatureLayer(found.path, found.operation, found.call_index, shape, data_format, found.after)
            )
        return tuple(layers)

    def _unique(self, name: str) -> str:
        path, count = name, 1
        while path in self._paths:
            count += 1
            path = f"{name}@{count}"
        self._paths.add(path)
        return path


def _is_followed(value: Any) -> bool:
    return hasattr(value, "shape") and (is_maps(value) or is_film(value))


def _name(call: Call) -> str:
    """The operation's name; its class's where it was made on the fly, with a name that no other pass has."""
    operation = call.operation
    graph = getattr(call.parents[-1], "operations", ()) if call.parents else ()
    if isinstance(operation, keras.Layer) or any(each is operation for each in graph):
        return str(operation.name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(operation).__name__).lower()


class TensorNumbers:
    """Numbers tensors by identity without keeping them alive."""

    def __init__(self) -> None:
        self._numbered: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._count = 0

    def __contains__(self, tensor: Tensor) -> bool:
        reference, _ = self._numbered.get(id(tensor), (None, 0))
        return reference is not None and reference() is tensor

    def of(self, tensor: Tensor) -> int:
        """The tensor's number: a new one where it has none."""
        if tensor not in self:
            self._numbered[id(tensor)] = (weakref.ref(tensor), self._count)
            self._count += 1
        return self._numbered[id(tensor)][1]


# ------------------------------------------------------------------ what a model takes


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
    is_picture: bool
    is_stated: bool = True


def model_inputs(model: keras.Model) -> tuple[ModelInput, ...]:
    """The inputs of a model, the one that takes the picture marked.

    A model without a symbolic graph (subclassed, or not built yet) says nothing of its inputs: it is taken
    to have one, for colour pictures of any size.
    """
    structure = _input_structure(model)
    tensors = [] if structure is None else keras.tree.flatten(structure)
    if not tensors:
        shape = _built_shape(model)
        data_format = _picture_format(model, shape)
        return (ModelInput("input", shape, "float32", data_format, is_picture=True, is_stated=False),)
    formats = [_picture_format(model, tuple(tensor.shape[1:])) for tensor in tensors]
    candidates = [index for index, tensor in enumerate(tensors) if is_maps(tensor)]

    def likeness(index: int) -> tuple[bool, float]:
        height, width, channels = maps_shape(tensors[index].shape, formats[index])
        return channels in (1, 3, 4), (height or 1e6) * (width or 1e6)

    picture = max(candidates, key=likeness, default=None)
    return tuple(
        ModelInput(
            each.name, tuple(each.shape[1:]), str(each.dtype), data_format, is_picture=index == picture
        )
        for index, (each, data_format) in enumerate(zip(tensors, formats, strict=True))
    )


def _input_structure(model: keras.Model) -> Any:
    """The symbolic inputs in the structure the model takes them in, `None` where it has no graph (yet)."""
    try:  # a Sequential has an `input` only once it was called
        return model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):
        return None


def _built_shape(model: keras.Model) -> tuple[int | None, ...]:
    """The picture's shape a model was built with, or that a model inside it states; else that of any size."""
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    for shape in shapes.values():
        if isinstance(shape, tuple | list) and len(shape) == 4:
            return tuple(shape[1:])
    if shape := _inner_shape(model):
        return shape
    return (3, None, None) if keras.config.image_data_format() == CHANNELS_FIRST else (None, None, 3)


def _inner_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """The shape of the picture that the first model inside takes, such as a backbone behind augmentation."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            structure = _input_structure(layer)
            tensors = [] if structure is None else keras.tree.flatten(structure)
            shapes = (tuple(each.shape[1:]) for each in tensors if is_maps(each))
            shape = _inner_shape(layer) if structure is None else next(shapes, None)
            if shape is not None and (shape[0] in (1, 3) or shape[-1] in (1, 3)):
                return shape
        elif isinstance(model, keras.Sequential) and not _keeps_size(layer):
            return None
    return None


def _keeps_size(layer: keras.Layer) -> bool:
    """Whether a layer hands pictures on in their size, as augmentation does."""
    kinds = "activations", "preprocessing", "regularization"
    changing = keras.layers.CenterCrop | keras.layers.RandomCrop | keras.layers.Resizing
    return type(layer).__module__.startswith(tuple(f"keras.src.layers.{kind}." for kind in kinds)) and (
        not isinstance(layer, changing)
    )


def _picture_format(model: keras.Model, shape: tuple[int | None, ...]) -> str:
    """Where an input of `shape` has its channels: by its numbers if they are telling, else by its layers."""
    if len(shape) == 3:
        first, last = shape[0] in (1, 3, 4), shape[-1] in (1, 3, 4)
        if first != last:
            return CHANNELS_FIRST if first else CHANNELS_LAST
    declared = (declared_format(layer) for layer in model._flatten_layers())  # noqa: SLF001 - Keras has no public walk
    return next(filter(None, declared), keras.config.image_data_format())


def pack_inputs(model: keras.Model, arrays: list[Any]) -> Any:
    """Arrays, one for each of `model_inputs`, in the structure that the model takes them in."""
    structure = _input_structure(model)
    return arrays[0] if structure is None else keras.tree.pack_sequence_as(structure, arrays)


def empty_batch(model: keras.Model) -> Any:
    """An input of zeros, with some size wherever the model leaves it free."""

    def empty(each: ModelInput) -> np.ndarray[Any, Any]:
        free = _FREE_SIZE if each.is_picture else 1
        return np.zeros((1, *(free if size is None else size for size in each.shape)), each.dtype)

    return pack_inputs(model, [empty(each) for each in model_inputs(model)])


# Large enough for every network in keras.applications.
_FREE_SIZE = 224


def require_model(model: object) -> None:
    """Raises `TypeError` with a sentence on what to do, unless `model` is a Keras 3 model."""
    if isinstance(model, keras.Model):
        return
    kind = type(model)
    origins = [base.__module__ for base in kind.__mro__]
    if isinstance(model, type | FunctionType):
        name = model.__name__
        received = f"the class {name}" if isinstance(model, type) else f"the function {name!r}"
        advice = "Call it first, if it makes a model: `model = ...()`."
    elif isinstance(model, str | os.PathLike):
        received, advice = f"the path {os.fspath(model)!r}", "Load it first: `keras.models.load_model(path)`."
    elif any(origin.startswith(("tf_keras.", "tensorflow.python.keras.")) for origin in origins):
        received = f"a Keras 2 {kind.__name__}"
        advice = (
            "Save it with `model.save('model.h5')` and load that with Keras 3's `keras.models.load_model`; "
            "where Keras 3 cannot read it, build the model anew and give it the weights: "
            "`new.set_weights(old.get_weights())`."
        )
    elif any(origin.startswith("torch.") for origin in origins):
        received, advice = f"the PyTorch module {kind.__name__}", "Only Keras 3 models can be looked into."
    elif isinstance(model, keras.Layer):
        received = f"the layer {model.name!r} ({kind.__name__})"
        advice = "Pass the model it is in, or make one of it: `keras.Sequential([keras.Input(...), layer])`."
    elif isinstance(model, list | tuple) and any(isinstance(each, keras.Layer) for each in model):
        received, advice = f"a {kind.__name__} of layers", "Make a model of them: `keras.Sequential(layers)`."
    else:
        received, advice = f"an object of type {kind.__name__}", "Pass the model itself."
    raise TypeError(f"Expected a Keras 3 model, received {received}. {advice}")
