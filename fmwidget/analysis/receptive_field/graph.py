"""The tensor dependency graph of a model: which tensors a forward pass computes from which.

The graph is recorded, not read from the model, so that subclassed models, nested ones and layers that are
called twice have one too. Its nodes are tensors, identified by number since none is kept alive; its edges
carry the `Relation` of a tensor to one that it was computed from.

Not every tensor that a layer takes was returned by a recorded call. Keras casts inputs to the layer's dtype
(autocast) before the part of the call that is recorded; `TimeDistributed` slices videos and stacks them
again; custom code may compute anything between its layers. Casts and slices are new objects, which only
their values connect with the tensors they are made of: they are matched by a sample of these. A tensor
without a match was computed by custom code, and the receptive field of all that depends on it is unknown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any

import keras
import numpy as np

from fmwidget.activations.layers import CallTracker
from fmwidget.activations.model import ActivationModel
from fmwidget.activations.recorder import Call, Tensor, is_tensor
from fmwidget.models import introspection
from fmwidget.models.inputs import Batch, ModelInput, empty_batch, model_inputs
from fmwidget.models.outputs import is_video

from .layout import TensorLayout
from .relations import Identity, Relation, TimeSlice, TimeStack, Unknown, is_global
from .rules import is_known, relation_of


@dataclass(frozen=True, slots=True)
class Upstream:
    """All between the image and one tensor, the target.

    Attributes:
        edges: A tensor, one of its sources and their relation, for all tensors that depend on the image, in
            topological order from the target to the image. A tensor may be reached along several branches,
            whose masks are united. In this order, and in reverse from the image, its mask is complete before
            it is passed on, and each edge is followed only once.
        depends_on_image: False for a target computed from other inputs or constants alone.
        is_global: True if some tensor on the way depends on all positions of another.
        unknown: The reason, if a relation on the way is not defined (it is not in `edges`); else empty.
    """

    edges: list[tuple[int, int, Relation]]
    depends_on_image: bool
    is_global: bool
    unknown: str


@dataclass
class ModelGraph:
    """The tensors of one forward pass.

    Attributes:
        image_input: The tensor that holds the image.
        layouts: The layout of each tensor.
        sources: The tensors that each tensor was computed from, and the relation to each of them.
        paths: The tensor that each `FeatureLayer.path` shows.
    """

    image_input: int
    layouts: dict[int, TensorLayout]
    sources: dict[int, list[tuple[int, Relation | Unknown]]]
    paths: dict[str, int]
    _upstream: dict[str, Upstream] = field(default_factory=dict, init=False)

    def upstream(self, path: str) -> Upstream:
        """Return all that the feature maps of a layer are computed from.

        Raises:
            ValueError: If there is no such layer.
        """
        if path not in self.paths:
            raise ValueError(f"`path` must be the path of a layer of the model. Received path={path!r}.")
        if path not in self._upstream:
            self._upstream[path] = self._trace(self.paths[path])
        return self._upstream[path]

    def _trace(self, target: int) -> Upstream:
        sources: dict[int, list[int]] = {}
        pending = [target]
        while pending:  # no recursion: networks are deeper than Python's stack
            tensor = pending.pop()
            if tensor not in sources:
                sources[tensor] = [source for source, _ in self.sources.get(tensor, [])]
                pending += sources[tensor]
        order = list(TopologicalSorter(sources).static_order())  # sources first
        from_image = {self.image_input}
        for tensor in order:
            if not from_image.isdisjoint(sources[tensor]):
                from_image.add(tensor)
        edges = [
            (tensor, source, relation)
            for tensor in reversed(order)
            for source, relation in self.sources.get(tensor, [])
            if source in from_image
        ]
        known = [(tensor, source, r) for tensor, source, r in edges if not isinstance(r, Unknown)]
        return Upstream(
            edges=known,
            depends_on_image=target in from_image,
            is_global=any(is_global(relation, self.layouts[source]) for _, source, relation in known),
            unknown=next((relation.reason for *_, relation in edges if isinstance(relation, Unknown)), ""),
        )


def model_graph(model: Any, batch: Batch) -> ModelGraph:
    """Return the graph of a model for inputs of the sizes of `batch`; that of the last sizes is kept.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        batch: An input of the model. `None` for one of the model's own sizes.
    """
    am = model if isinstance(model, ActivationModel) else ActivationModel(introspection.model_of(model))
    return am.model_graph(batch, _record_graph)


def _record_graph(am: ActivationModel, batch: Batch | None) -> ModelGraph:
    recorder = _GraphRecorder()
    am.record(_noise(empty_batch(am.model) if batch is None else batch), recorder.visit)
    return recorder.graph(model_inputs(am.model))


def _noise(batch: Batch) -> Batch:
    """Return an input of the same sizes in which no two tensors are equal by chance."""
    random = np.random.default_rng(0)

    def noise(array: Any) -> Any:
        array = np.asarray(array)
        return random.random(array.shape).astype(array.dtype) if array.dtype.kind == "f" else array

    return keras.tree.map_structure(noise, batch)


@dataclass(frozen=True, slots=True)
class _CallOrigin:
    """A tensor that a call returned: its relation to the call's inputs follows from the rules.

    Without `inputs`, a tensor that the operation's own code computed between the calls that it made.
    """

    operation: keras.Operation
    name: str
    inputs: tuple[int, ...] = ()


_Sources = tuple[tuple[int, Relation], ...]  # sources and the relations to them; none for a constant
_Origin = _CallOrigin | _Sources
_Samples = dict[int, Tensor]  # some values of each tensor, by its number


class _GraphRecorder:
    """Recorder of the origins of all tensors of a forward pass.

    A call is visited when it has ended, after all calls inside it. Most of its inputs were returned by other
    calls and have an origin. One that has none is matched with what calls beside have returned, or, once the
    call around them ends, with what that one took:

        model(image)                    # depth 0
            conv(cast(image))           # depth 1: no match beside; `image`, once `model` ends
            relu(cast(conv's output))   # depth 1: matched at once
    """

    def __init__(self) -> None:
        self._tracker = CallTracker()
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._origins: dict[int, _Origin] = {}
        self._model_inputs: list[int] = []
        # By depth, of the calls inside one that has not ended yet: inputs without an origin, and outputs.
        self._unmatched: defaultdict[int, _Samples] = defaultdict(dict)
        self._returned: defaultdict[int, _Samples] = defaultdict(dict)

    def visit(self, call: Call) -> None:
        """Record the origins of what a call returned, of its own inputs and of those of calls inside it."""
        depth = len(call.parents)
        for _ in self._tracker.track(call):
            pass  # before the outputs get numbers here: the tracker recognizes new ones by having none
        inputs = {self._number(tensor): _sample(tensor) for tensor in call.inputs}
        origin = _CallOrigin(call.operation, self._tracker.name(call), tuple(inputs))
        for constant in filter(is_tensor, introspection.constants(call.operation)):
            self._origins.setdefault(self._number(constant), ())
        self._resolve_inner_inputs(call, inputs, replace(origin, inputs=()))
        self._resolve_inputs(inputs, depth)
        self._record_outputs(call, inputs, origin)
        if depth == 0:
            self._model_inputs = list(inputs)

    def _resolve_inner_inputs(self, call: Call, inputs: _Samples, own_code: _CallOrigin) -> None:
        """Match what calls inside took with what the call itself took; its own code computed the rest."""
        for number, sample in self._unmatched.pop(len(call.parents) + 1, {}).items():
            if number not in self._origins and number not in inputs:
                source = self._cast_of(number, sample, inputs) or self._slice_of(number, sample, call)
                self._origins[number] = source or own_code

    def _resolve_inputs(self, inputs: _Samples, depth: int) -> None:
        """Match what a call took with what calls beside it have returned."""
        for number, sample in inputs.items():
            if number not in self._origins:
                # Numbers count up as tensors are first seen: one with a higher number is no source.
                earlier = {other: values for other, values in self._returned[depth].items() if other < number}
                source = self._cast_of(number, sample, earlier)
                if source:
                    self._origins[number] = source
                else:
                    self._unmatched[depth][number] = sample

    def _record_outputs(self, call: Call, inputs: _Samples, origin: _CallOrigin) -> None:
        depth = len(call.parents)
        inner_outputs = self._returned.pop(depth + 1, {})
        is_whole = is_known(call.operation)
        for tensor in filter(is_tensor, keras.tree.flatten(call.outputs)):
            number = self._number(tensor)
            self._returned[depth][number] = _sample(tensor)
            if number in inputs:
                continue  # returned as it was taken
            if is_whole:  # in place of the calls inside
                self._origins[number] = origin
            elif number not in self._origins:
                self._origins[number] = self._stack_of(tensor, inner_outputs) or origin

    def _cast_of(self, number: int, sample: Tensor, candidates: _Samples) -> _Sources | None:
        """Return the origin of a cast of one of some tensors."""
        for source, values in candidates.items():
            if self._shapes[source] == self._shapes[number] and _is_cast(values, sample):
                return ((source, Identity()),)
        return None

    def _slice_of(self, number: int, sample: Tensor, call: Call) -> _Sources | None:
        """Return the origin of a time step of a video that a call took, as in `TimeDistributed`."""
        for video in filter(is_video, call.inputs):
            if tuple(video.shape[2:]) == self._shapes[number][1:]:
                for step, values in enumerate(_time_step_samples(video)):
                    if _is_cast(values, sample):
                        return ((self._number(video), TimeSlice(step)),)
        return None

    def _stack_of(self, tensor: Tensor, inner_outputs: _Samples) -> _Sources | None:
        """Return the origin of a video stacked from what calls inside returned, as in `TimeDistributed`."""
        sources = []
        for values in _time_step_samples(tensor) if is_video(tensor) else ():
            shape = (tensor.shape[0], *tensor.shape[2:])
            alike = (n for n, sample in inner_outputs.items() if self._shapes[n] == shape)
            source = next((n for n in alike if _is_cast(inner_outputs[n], values)), None)
            if source is None:
                return None
            sources.append(source)
        return tuple((source, TimeStack(step)) for step, source in enumerate(sources)) or None

    def _number(self, tensor: Tensor) -> int:
        number = self._tracker.numbers.of(tensor)
        self._shapes[number] = tuple(int(size) for size in tensor.shape)
        return number

    def graph(self, inputs: tuple[ModelInput, ...]) -> ModelGraph:
        """Build the graph of the recorded pass.

        Layouts, and the relations that depend on them, are built after the pass has ended: the data format of
        a tensor may follow from a layer that takes it.
        """
        stated = dict(zip(self._model_inputs, inputs, strict=False))
        images = (number for number, stated_input in stated.items() if stated_input.is_image)
        image_input = next(images, self._model_inputs[0])
        paths = {path: self._shown(*origin) for path, origin in self._tracker.origins().items()}
        layouts = self._layouts({number: stated_input.data_format for number, stated_input in stated.items()})
        sources = {
            number: list(_sources(number, origin, layouts, image_input))
            for number, origin in self._origins.items()
        }
        return ModelGraph(image_input, layouts, sources, paths)

    def _layouts(self, stated_formats: dict[int, str]) -> dict[int, TensorLayout]:
        formats = self._tracker.formats() | stated_formats
        for number, origin in self._origins.items():
            if origin and not isinstance(origin, _CallOrigin):  # a cast or slice, laid out as its source
                (source, _), *_ = origin
                if source in formats:
                    formats.setdefault(number, formats[source])
        default = keras.config.image_data_format()
        return {
            number: TensorLayout(shape, formats.get(number, default))
            for number, shape in self._shapes.items()
        }

    def _shown(self, number: int, step: int | None) -> int:
        """Return the tensor that a path shows: one that was recorded, or a time step of it."""
        if step is None:
            return number
        batch, _, *rest = self._shapes[number]
        maps = self._tracker.numbers.new()
        self._shapes[maps] = batch, *rest
        self._origins[maps] = ((number, TimeSlice(step)),)
        return maps


def _sources(
    number: int, origin: _Origin, layouts: dict[int, TensorLayout], image_input: int
) -> Iterable[tuple[int, Relation | Unknown]]:
    """Return the sources of a tensor, and the relation to each of them."""
    if not isinstance(origin, _CallOrigin):
        return origin
    operation, name = origin.operation, origin.name
    if not origin.inputs:  # it may depend on the image in any way
        kind = type(operation).__name__
        reason = (
            f"Receptive fields are unavailable: layer {name!r} ({kind}) computes tensors by code of its own, "
            "between its layers."
        )
        return [(image_input, Unknown(reason))]
    return [
        (source, relation_of(operation, name, layouts[source], layouts[number])) for source in origin.inputs
    ]


# ------------------------------------------------------------------ matching tensors by value


def _sample(tensor: Tensor) -> Tensor:
    """Return some hundred values from all over a tensor."""
    return keras.ops.reshape(tensor, (-1,))[:: max(1, math.prod(tensor.shape) // 256)]


def _time_step_samples(video: Tensor) -> Iterator[Tensor]:
    return (_sample(video[:, step]) for step in range(video.shape[1]))


def _is_cast(source: Tensor, sample: Tensor) -> bool:
    """Return whether values are those of a source, cast to their dtype.

    With mixed precision the cast may lead through a coarser dtype, which rounds on the way. A tensor that has
    one value everywhere is no evidence: it would match any other that has.
    """
    values = np.asarray(sample)
    if not np.any(values != values[:1]):
        return False
    dtypes = dict.fromkeys((str(values.dtype), "float32", "float16", "bfloat16"))
    casts = (keras.ops.cast(keras.ops.cast(source, dtype), str(values.dtype)) for dtype in dtypes)
    return any(np.array_equal(np.asarray(cast), values) for cast in casts)
