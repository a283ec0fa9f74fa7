"""Finds out how a model wants its pictures scaled: whether it does so itself, or comes from a known family.

A black and a white picture are sent from the input through all that has no weights, layer by layer, to the
first layers that have some. What has become of black and white there tells what the model does with a picture
before it looks at it, whether in layers, in operations such as `x / 127.5` or in code of the user's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from .families import find_family

_RESCALING = (keras.layers.Rescaling, keras.layers.Normalization)

# Layers of these kinds pass pictures on in their scale; asked of those only that cannot be tried yet.
_PASSIVE_KINDS = {"preprocessing", "reshaping", "pooling", "regularization"}

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
    if not _has_graph(model):
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
        if not isinstance(arrival.layer, keras.Model) and _parts(arrival.layer):
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


def _has_graph(model: Any) -> bool:
    return isinstance(model, keras.Sequential) or (
        isinstance(model, keras.Model) and hasattr(model, "operations")
    )


def _picture(model: keras.Model) -> tuple[_Probe, str]:
    """Black and white, as large as the input that takes the picture; and that input's number type."""
    tensor = _picture_input(model)
    shape = (None, None, 3) if tensor is None else tensor.shape[1:]
    size = [1, *(_FREE_SIZE if side is None else side for side in shape)]
    dtype = "float32" if tensor is None else str(tensor.dtype)
    return _Probe(np.zeros(size, np.float32), np.full(size, 255, np.float32)), dtype


def _picture_input(model: keras.Model) -> Any:
    def likeness(tensor: Any) -> tuple[bool, bool, float]:
        sides = [side or 1_000_000 for side in tensor.shape[1:]]
        is_coloured = len(sides) == 3 and bool({sides[0], sides[-1]} & {1, 3, 4})
        return len(sides) == 3, is_coloured, float(np.prod(sides))

    return max(_input_tensors(model), key=likeness, default=None)


def _input_tensors(model: keras.Model) -> list[Any]:
    try:
        return list(keras.tree.flatten(model.inputs))
    except (AttributeError, ValueError):  # a Sequential that is not built yet
        return []


def _visit(
    layer: Any, args: Any, kwargs: Any, models: tuple[keras.Model, ...], arrivals: list[_Arrival]
) -> list[_Probe]:
    """Sends the probes among the arguments through one call; no outputs where they have arrived."""
    probes = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _Probe)]
    if isinstance(layer, keras.Sequential):
        return _visit_in_turn(layer, probes[0], (*models, layer), arrivals)
    if _has_graph(layer):
        return _visit_graph(layer, probes, (*models, layer), arrivals)
    if isinstance(layer, keras.Layer) and not layer.built:
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
    tensors = _input_tensors(model)
    if len(inputs) != len(tensors):  # the picture is one of several inputs
        tensors = [_picture_input(model)]
    reached = {id(tensor): probe for tensor, probe in zip(tensors, inputs, strict=False)}
    waiting = list(_calls(model))
    while ready := [call for call in waiting if all(id(tensor) in reached for tensor in call.input_tensors)]:
        waiting = [call for call in waiting if call not in ready]
        for call in ready:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: reached.get(id(leaf), leaf), (call.arguments.args, call.arguments.kwargs)
            )
            outputs = _visit(call.operation, args, kwargs, models, arrivals)
            reached.update(zip(map(id, call.output_tensors), outputs, strict=False))
    return [reached[id(tensor)] for tensor in keras.tree.flatten(model.outputs) if id(tensor) in reached]


def _calls(model: keras.Model) -> Iterator[Any]:
    """The calls a functional model is made of; its layers may have been called for other models too."""
    seen = {id(tensor) for tensor in _input_tensors(model)}
    waiting = keras.tree.flatten(model.outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        # Keras has no public way to the call that made a tensor.
        operation, index, _ = tensor._keras_history  # noqa: SLF001
        call = operation._inbound_nodes[index]  # noqa: SLF001
        seen.update(map(id, call.output_tensors))
        waiting.extend(call.input_tensors)
        yield call


def _run(layer: Any, args: Any, kwargs: Any, probes: list[_Probe]) -> list[_Probe]:
    """Calls a layer or operation without weights on black and on white."""
    if isinstance(layer, keras.Layer) and "training" in inspect.signature(layer.call).parameters:
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


def _is_passive(layer: Any) -> bool:
    if layer.built:
        return not layer.weights
    module = type(layer).__module__.split(".")
    return module[0] == "keras" and bool(_PASSIVE_KINDS.intersection(module))


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
    for part in _parts(layer):
        if isinstance(part, _RESCALING):
            return Scaling("raw", known=False, reason=f"{part.name} is the first of its layers")
        if not _parts(part):
            if _is_passive(part):
                continue
            break
        scaling = detect_scaling(part) if isinstance(part, keras.Model) else _by_parts(part)
        if scaling.name != _ASSUMED.name:
            return Scaling(scaling.name, known=False, reason=scaling.reason)
        if not all(map(_is_passive, _parts(part))):
            break
    return _by_backbone(layer)


def _by_backbone(layer: Any) -> Scaling:
    """What a model somewhere inside suggests, if only by being there."""
    for part in _parts(layer, recursive=True):
        if _has_graph(part):
            scaling = detect_scaling(part)
            if scaling.known:
                return Scaling(scaling.name, known=False, reason=f"{part.name} inside it: {scaling.reason}")
    return _ASSUMED


_ASSUMED = Scaling("unit", known=False, reason="the model does not say")


def _parts(layer: Any, *, recursive: bool = False) -> list[Any]:
    if not isinstance(layer, keras.Layer):
        return []
    # Keras has no public walk over the layers of a layer.
    return list(layer._flatten_layers(recursive=recursive, include_self=False))  # noqa: SLF001
