"""Detection of the scaling that a model expects of its input images.

A black and a white reference image are propagated from the input through layers and operations without
weights to the first layers with weights. Their values there show how the model scales its input, whether in
layers, in operations such as `x / 127.5` or in the user's code. If it does not, the scaling is that of its
architecture family.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .inputs import ModelInput, model_inputs
from .introspection import (
    all_sublayers,
    graph_calls,
    has_symbolic_graph,
    input_tensors,
    is_model,
    is_sequential,
    keras_category,
    sublayers,
)
from .keras_applications import find_family

_RESCALING = (keras.layers.Rescaling, keras.layers.Normalization)

# Layers in these parts of Keras keep the scale of images; needed for unbuilt layers, which cannot be called.
_KEEPS_SCALE = {"preprocessing", "reshaping", "pooling", "regularization"}

_FREE_SIZE = 32


@dataclass(frozen=True)
class Scaling:
    """The scaling of a model's input.

    Attributes:
        name: One of `preprocessing.SCALINGS`, or `"custom"` for a function of the user's.
        known: Whether the scaling is certain; otherwise it is assumed.
        reason: What it is derived from, a clause to show beside it.
    """

    name: str
    known: bool
    reason: str


AS_GIVEN = Scaling("raw", known=True, reason="channels other than grey and RGB are given as they are")
_ASSUMED = Scaling("unit", known=False, reason="the model does not say")


def detect_scaling(model: keras.Model) -> Scaling:
    """Detect the scaling that a model expects of its input images.

    No layer is called symbolically and none with weights at all, so the model remains unchanged.

    Args:
        model: Any Keras model.

    Returns:
        `"raw"` if the model scales its input itself; else the convention of the `keras.applications` family
        of the model or its backbone; else `"unit"`, assumed. The layers of a model without a symbolic graph
        are available, but not the order of its calls: its scaling is never known.
    """
    if not has_symbolic_graph(model):
        return _from_sublayers(model)
    _, image_input = _find_image_input(model)
    if "int" in image_input.dtype:
        return Scaling("raw", known=True, reason=f"its input takes whole numbers ({image_input.dtype})")
    reached: list[_WeightedLayer] = []
    outputs = _propagate(model, (_references(image_input),), {}, (), reached)
    reached = reached or [_WeightedLayer(output, model, ()) for output in outputs]  # a model without weights
    scaled = [each.input for each in reached if each.input.scaled_by]
    if scaled and len(scaled) == len(reached):
        return _from_references(scaled[0])
    if scaled:
        return Scaling("raw", known=False, reason=f"{scaled[0].scaled_by} scales it for a part of the model")
    for each in reached:
        if found := find_family(each.layer, each.models):
            family, is_certain = found
            reason = f"convention of {family.title}" if is_certain else f"its name is {family.title}'s"
            return Scaling(family.scaling, is_certain, reason)
    for each in reached:
        if not is_model(each.layer) and sublayers(each.layer):
            return _from_sublayers(each.layer)
    return _from_backbone(model)


# ------------------------------------------------------------------ propagation of the reference images


@dataclass(frozen=True)
class _References:
    """The values of a black and a white image somewhere in a model, and the first operation to scale them."""

    black: np.ndarray
    white: np.ndarray
    scaled_by: str = ""


@dataclass(frozen=True)
class _WeightedLayer:
    """A first layer with weights that the references reach, and the models that hold it, outermost first."""

    input: _References
    layer: Any
    models: tuple[keras.Model, ...]


def _find_image_input(model: keras.Model) -> tuple[int, ModelInput]:
    """Return index and description of the image input, or of the first input if there is none."""
    inputs = model_inputs(model)
    return next((each for each in enumerate(inputs) if each[1].is_image), (0, inputs[0]))


def _references(image_input: ModelInput) -> _References:
    size = [1, *(_FREE_SIZE if side is None else side for side in image_input.shape)]
    return _References(np.zeros(size, np.float32), np.full(size, 255, np.float32))


def _propagate(
    layer: Any, args: Any, kwargs: Any, models: tuple[keras.Model, ...], reached: list[_WeightedLayer]
) -> list[_References]:
    """Propagate the references among the arguments of a call.

    Args:
        layer: The layer or operation that is called.
        args: Positional arguments.
        kwargs: Keyword arguments.
        models: The models that hold it, outermost first.
        reached: Layers with weights are appended to this list.

    Returns:
        The outputs; none if the references ended at layers with weights.
    """
    inputs = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _References)]
    if is_sequential(layer):
        return _propagate_chain(layer, inputs[0], (*models, layer), reached)
    if has_symbolic_graph(layer):
        return _propagate_graph(layer, inputs, (*models, layer), reached)
    if not getattr(layer, "built", True):  # operations that are no layers need not be built
        if isinstance(layer, _RESCALING):
            return [_rescale(layer, inputs[0])]
        if _keeps_scale(layer):
            return inputs[:1]
    elif isinstance(layer, _RESCALING) or not getattr(layer, "weights", None):
        return _call(layer, args, kwargs, inputs)
    reached.extend(_WeightedLayer(each, layer, models) for each in inputs)
    return []


def _propagate_chain(
    model: keras.Sequential,
    references: _References,
    models: tuple[keras.Model, ...],
    reached: list[_WeightedLayer],
) -> list[_References]:
    outputs = [references]
    for layer in model.layers:
        outputs = _propagate(layer, (outputs[0],), {}, models, reached)[:1]
        if not outputs:
            break
    return outputs


def _propagate_graph(
    model: keras.Model,
    inputs: list[_References],
    models: tuple[keras.Model, ...],
    reached: list[_WeightedLayer],
) -> list[_References]:
    tensors = input_tensors(model)
    if len(inputs) != len(tensors):  # the image is one of several inputs
        tensors = [tensors[_find_image_input(model)[0]]]
    values = {id(tensor): references for tensor, references in zip(tensors, inputs, strict=False)}
    pending = list(graph_calls(model))
    while ready := [call for call in pending if all(id(tensor) in values for tensor in call.input_tensors)]:
        pending = [call for call in pending if call not in ready]
        for call in ready:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: values.get(id(leaf), leaf), (call.arguments.args, call.arguments.kwargs)
            )
            outputs = _propagate(call.operation, args, kwargs, models, reached)
            values.update(zip(map(id, call.output_tensors), outputs, strict=False))
    return [values[id(tensor)] for tensor in keras.tree.flatten(model.outputs) if id(tensor) in values]


def _call(layer: Any, args: Any, kwargs: Any, inputs: list[_References]) -> list[_References]:
    """Call a layer or operation without weights on black and on white."""
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}

    def call(shade: str) -> list[np.ndarray]:
        own_args, own_kwargs = keras.tree.map_structure(
            lambda leaf: getattr(leaf, shade) if isinstance(leaf, _References) else leaf, (args, kwargs)
        )
        outputs = keras.tree.flatten(layer(*own_args, **own_kwargs))
        return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]

    try:
        outputs = list(zip(call("black"), call("white"), strict=True))
    except Exception:  # noqa: BLE001 - the user's code may raise anything; the forward pass will report it
        return inputs[:1]
    scaled_by = next((each.scaled_by for each in inputs if each.scaled_by), "")
    return [
        _References(black, white, scaled_by or (layer.name if _is_scaled(layer, black, white) else ""))
        for black, white in outputs
    ]


def _is_scaled(layer: Any, black: np.ndarray, white: np.ndarray) -> bool:
    # The maximum, since edges may be padded with zeros; and half a level, since weights that turn colors into
    # grey may not sum up to exactly one.
    return isinstance(layer, _RESCALING) or bool(black.any() or abs(white.max(initial=0) - 255) > 0.5)


def _rescale(layer: Any, references: _References) -> _References:
    """Compute the output of a rescaling layer that is not built, and must not be built here."""
    scaled_by = references.scaled_by or layer.name
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
        return _References(references.black * scale + offset, references.white * scale + offset, scaled_by)
    return _References(references.black, references.white, scaled_by)


def _keeps_scale(layer: Any) -> bool:
    return not layer.weights if layer.built else keras_category(layer) in _KEEPS_SCALE


# ------------------------------------------------------------------ conclusions


def _from_references(references: _References) -> Scaling:
    """Return raw for a model that scales its input, unless that enlarges 0…1 or shifts it a little."""
    offset = float(references.black.mean())
    gain = abs(float(references.white.mean()) - offset) / 255
    if gain > 1.05:
        return Scaling("unit", known=False, reason=f"the model multiplies its input by {gain:.3g}")
    if gain > 0.95 and 0 < abs(offset) <= 1:
        return Scaling("unit", known=False, reason=f"the model shifts its input by only {offset:.3g}")
    return Scaling("raw", known=True, reason=f"{references.scaled_by} scales it inside the model")


def _from_sublayers(layer: Any) -> Scaling:
    """Guess the scaling of a layer or model without a symbolic graph from its sublayers."""
    for sublayer in sublayers(layer):
        if isinstance(sublayer, _RESCALING):
            return Scaling("raw", known=False, reason=f"{sublayer.name} is the first of its layers")
        if not sublayers(sublayer):
            if _keeps_scale(sublayer):
                continue
            break
        scaling = detect_scaling(sublayer) if is_model(sublayer) else _from_sublayers(sublayer)
        if scaling.name != _ASSUMED.name:
            return Scaling(scaling.name, known=False, reason=scaling.reason)
        if not all(map(_keeps_scale, sublayers(sublayer))):
            break
    return _from_backbone(layer)


def _from_backbone(layer: Any) -> Scaling:
    """Guess the scaling from any model inside, wherever it is called."""
    for sublayer in all_sublayers(layer):
        if has_symbolic_graph(sublayer):
            scaling = detect_scaling(sublayer)
            if scaling.known:
                reason = f"{sublayer.name} inside it: {scaling.reason}"
                return Scaling(scaling.name, known=False, reason=reason)
    return _ASSUMED
