"""Finds out how a model wants its pictures scaled: whether it does so itself, or comes from a known family.

A black and a white picture are sent from the input through all that has no weights, layer by layer, to the
first layers that have some. What has become of black and white there tells what the model does with a picture
before it looks at it, whether in layers, in operations such as `x / 127.5` or in code of the user's own.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
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

# Layers of these chapters pass pictures on in their scale; asked of those only that cannot be tried yet.
_PASSIVE_CHAPTERS = {"preprocessing", "reshaping", "pooling", "regularization"}

_FREE_SIZE = 32


@dataclass(frozen=True)
class Scaling:
    """How a model's input is to be scaled.

    Attributes:
        name: One of `preprocessing.SCALINGS`.
        known: Whether the model says so; otherwise it is assumed.
        reason: What that rests on, a clause to show beside it.
    """

    name: str
    known: bool
    reason: str


def detect_scaling(model: keras.Model) -> Scaling:
    """Finds out how a model wants its pictures scaled.

    Nothing is called symbolically and no layer with weights at all, so the model stays as it is.

    Args:
        model: Any Keras model.

    Returns:
        `"raw"` where the model scales its input itself; else the convention of the `keras.applications`
        family that the model or its backbone belongs to; else `"unit"`, assumed. Of a model without a
        symbolic graph only the parts can be seen, not what it does with them: all is assumed then.
    """
    if not has_symbolic_graph(model):
        return _by_parts(model)
    probe, dtype = _picture(model)
    if "int" in dtype:
        return Scaling("raw", known=True, reason=f"its input takes whole numbers ({dtype})")
    arrivals: list[_Arrival] = []
    outputs = _visit(model, (probe,), {}, (), arrivals)
    arrivals = arrivals or [_Arrival(output, model, ()) for output in outputs]  # no weights: what it returns
    scaled = [arrival.probe for arrival in arrivals if arrival.probe.scaled_by]
    if scaled and len(scaled) == len(arrivals):
        return _by_what_came_of(scaled[0])
    if scaled:
        return Scaling("raw", known=False, reason=f"{scaled[0].scaled_by} scales it for a part of the model")
    for arrival in arrivals:
        if found := find_family(arrival.layer, arrival.models):
            family, confirmed = found
            reason = f"convention of {family.title}" if confirmed else f"its name is {family.title}'s"
            return Scaling(family.scaling, confirmed, reason)
    for arrival in arrivals:
        if not is_model(arrival.layer) and sublayers(arrival.layer):
            return _by_parts(arrival.layer)
    return _by_backbone(model)


# ------------------------------------------------------------------ the walk


@dataclass(frozen=True)
class _Probe:
    """What has become of a black and a white picture, and the name of what changed their scale first."""

    black: np.ndarray
    white: np.ndarray
    scaled_by: str = ""


@dataclass(frozen=True)
class _Arrival:
    """A layer with weights that the pictures have reached, and the models it is in, outermost first."""

    probe: _Probe
    layer: Any
    models: tuple[keras.Model, ...] = field(repr=False)


def _picture(model: keras.Model) -> tuple[_Probe, str]:
    """Black and white, as large as the input that takes the picture; and that input's number type."""
    _, picture = _picture_input(model)
    size = [1, *(_FREE_SIZE if side is None else side for side in picture.shape)]
    return _Probe(np.zeros(size, np.float32), np.full(size, 255, np.float32)), picture.dtype


def _picture_input(model: keras.Model) -> tuple[int, ModelInput]:
    """The input that takes the picture, the first one if none does, and which it is."""
    inputs = model_inputs(model)
    return next((each for each in enumerate(inputs) if each[1].is_image), (0, inputs[0]))


def _visit(
    layer: Any, args: Any, kwargs: Any, models: tuple[keras.Model, ...], arrivals: list[_Arrival]
) -> list[_Probe]:
    """Sends the probes among the arguments through one call; no outputs where they have arrived."""
    probes = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _Probe)]
    if is_sequential(layer):
        return _visit_in_turn(layer, probes[0], (*models, layer), arrivals)
    if has_symbolic_graph(layer):
        return _visit_graph(layer, probes, (*models, layer), arrivals)
    if not _is_built(layer):
        if isinstance(layer, _RESCALING):
            return [_rescaled(layer, probes[0])]
        if _is_passive(layer):
            return probes[:1]
    elif isinstance(layer, _RESCALING) or not getattr(layer, "weights", None):
        return _run(layer, args, kwargs, probes)
    arrivals.extend(_Arrival(probe, layer, models) for probe in probes)
    return []


def _visit_in_turn(
    model: keras.Sequential, probe: _Probe, models: tuple[keras.Model, ...], arrivals: list[_Arrival]
) -> list[_Probe]:
    outputs = [probe]
    for layer in model.layers:
        outputs = _visit(layer, (outputs[0],), {}, models, arrivals)[:1]
        if not outputs:
            break
    return outputs


def _visit_graph(
    model: keras.Model, inputs: list[_Probe], models: tuple[keras.Model, ...], arrivals: list[_Arrival]
) -> list[_Probe]:
    tensors = input_tensors(model)
    if len(inputs) != len(tensors):  # the picture is one of several inputs
        tensors = [tensors[_picture_input(model)[0]]]
    reached = {id(tensor): probe for tensor, probe in zip(tensors, inputs, strict=False)}
    waiting = list(graph_calls(model))
    while ready := [call for call in waiting if all(id(tensor) in reached for tensor in call.input_tensors)]:
        waiting = [call for call in waiting if call not in ready]
        for call in ready:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: reached.get(id(leaf), leaf), (call.arguments.args, call.arguments.kwargs)
            )
            outputs = _visit(call.operation, args, kwargs, models, arrivals)
            reached.update(zip(map(id, call.output_tensors), outputs, strict=False))
    return [reached[id(tensor)] for tensor in keras.tree.flatten(model.outputs) if id(tensor) in reached]


def _run(layer: Any, args: Any, kwargs: Any, probes: list[_Probe]) -> list[_Probe]:
    """Calls a layer or operation without weights on black and on white."""
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}

    def run(shade: str) -> list[np.ndarray]:
        filled = keras.tree.map_structure(
            lambda leaf: getattr(leaf, shade) if isinstance(leaf, _Probe) else leaf, (args, kwargs)
        )
        outputs = layer(*filled[0], **filled[1])
        return [np.asarray(keras.ops.convert_to_numpy(output)) for output in keras.tree.flatten(outputs)]

    try:
        shades = list(zip(run("black"), run("white"), strict=True))
    except Exception:  # noqa: BLE001 - code of the user's; if it is wrong the forward pass will say so
        return probes[:1]
    scaled_by = next((probe.scaled_by for probe in probes if probe.scaled_by), "")
    return [
        _Probe(black, white, scaled_by or (layer.name if _is_scaled(layer, black, white) else ""))
        for black, white in shades
    ]


def _is_scaled(layer: Any, black: np.ndarray, white: np.ndarray) -> bool:
    # Edges may be padded with zeros, and weights that make grey of colours may not sum up to one exactly.
    return isinstance(layer, _RESCALING) or bool(black.any() or abs(white.max(initial=0) - 255) > 0.5)


def _rescaled(layer: Any, probe: _Probe) -> _Probe:
    """What a layer that is not built, and must not be by us, will do."""
    scaled_by = probe.scaled_by or layer.name
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
        return _Probe(probe.black * scale + offset, probe.white * scale + offset, scaled_by)
    return _Probe(probe.black, probe.white, scaled_by)


def _is_built(layer: Any) -> bool:
    return bool(getattr(layer, "built", True))  # operations that are no layers need not be


def _is_passive(layer: Any) -> bool:
    if layer.built:
        return not layer.weights
    return keras_category(layer) in _PASSIVE_CHAPTERS


# ------------------------------------------------------------------ the verdict


def _by_what_came_of(probe: _Probe) -> Scaling:
    """A model that scales its input wants 0…255, unless that would leave it larger than it came."""
    offset = float(probe.black.mean())
    gain = abs(float(probe.white.mean()) - offset) / 255
    if gain > 1.05:
        return Scaling("unit", known=False, reason=f"the model multiplies its input by {gain:.3g}")
    if gain > 0.95 and 0 < abs(offset) <= 1:
        return Scaling("unit", known=False, reason=f"the model shifts its input by only {offset:.3g}")
    return Scaling("raw", known=True, reason=f"{probe.scaled_by} scales it inside the model")


def _by_parts(layer: Any) -> Scaling:
    """What the parts of a layer or model suggest whose graph cannot be seen."""
    for part in sublayers(layer):
        if isinstance(part, _RESCALING):
            return Scaling("raw", known=False, reason=f"{part.name} is the first of its layers")
        if not sublayers(part):
            if _is_passive(part):
                continue
            break
        scaling = detect_scaling(part) if is_model(part) else _by_parts(part)
        if scaling.name != _ASSUMED.name:
            return Scaling(scaling.name, known=False, reason=scaling.reason)
        if not all(map(_is_passive, sublayers(part))):
            break
    return _by_backbone(layer)


def _by_backbone(layer: Any) -> Scaling:
    """What a model somewhere inside suggests, if only by being there."""
    for part in all_sublayers(layer):
        if has_symbolic_graph(part):
            scaling = detect_scaling(part)
            if scaling.known:
                return Scaling(scaling.name, known=False, reason=f"{part.name} inside it: {scaling.reason}")
    return _ASSUMED


_ASSUMED = Scaling("unit", known=False, reason="the model does not say")
