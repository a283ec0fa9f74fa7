"""How the tensors of a model hang together, from one recorded forward pass."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import keras
import numpy as np

from fmwidget.activations.layers import CallTracker
from fmwidget.activations.model import ActivationModel
from fmwidget.activations.recorder import Call, Tensor, is_tensor
from fmwidget.models import introspection
from fmwidget.models.inputs import Batch, empty_batch, model_inputs
from fmwidget.models.outputs import is_video

from .relations import Global, Identity, Relation, StackedSteps, TensorLayout, TimeStep, Unknown
from .rules import is_known, relation


@dataclass(frozen=True, slots=True)
class Upstream:
    """All between the picture and one tensor: `order` begins with the tensor, the picture comes last."""

    order: list[int]
    steps: list[tuple[int, int, Relation]]  # tensor, one that it was made from, how
    unknown: str
    is_global: bool


def sees_all(how: Relation, source: TensorLayout) -> bool:
    """Whether a unit sees all of more than one position."""
    return isinstance(how, Global) and math.prod(source.positions) > 1


@dataclass
class Graph:
    """What one forward pass made from what; tensors are known by number."""

    picture: int
    lies: dict[int, TensorLayout]
    paths: dict[str, int]
    sources: dict[int, list[tuple[int, Relation]]]
    known: dict[str, Upstream] = field(default_factory=dict)

    def upstream(self, path: str) -> Upstream:
        """All that the maps of a layer come from; `ValueError` if there is no such layer."""
        if path not in self.paths:
            raise ValueError(f"Expected the path of a layer of the model, received {path!r}.")
        if path not in self.known:
            self.known[path] = self._trace(self.paths[path])
        return self.known[path]

    def _trace(self, target: int) -> Upstream:
        needs: dict[int, list[int]] = {}
        todo = [target]
        while todo:
            number = todo.pop()
            if number not in needs:
                needs[number] = [source for source, _ in self.sources.get(number, [])]
                todo += needs[number]
        fed = {self.picture}  # what depends on the picture at all
        forwards = list(TopologicalSorter(needs).static_order())
        for number in forwards:
            if not fed.isdisjoint(needs[number]):
                fed.add(number)
        order = [number for number in reversed(forwards) if number in fed or number == target]
        steps = [(n, source, how) for n in order for source, how in self.sources.get(n, []) if source in fed]
        unknown = next((how.reason for _, _, how in steps if isinstance(how, Unknown)), "")
        return Upstream(order, steps, unknown, any(sees_all(how, self.lies[s]) for _, s, how in steps))


@dataclass(frozen=True, slots=True)
class _Made:
    """How a tensor came to be: by which call of a layer, or as in `hows`, one for each of its inputs."""

    inputs: tuple[int, ...]
    operation: keras.Operation | None = None
    name: str = ""
    hows: tuple[Relation, ...] = (Identity(),)


_Samples = dict[int, Tensor]


class _Recorder:
    """Notes what each tensor of a forward pass was made from, without keeping it alive.

    Keras casts what a layer is given before the layer's call begins, which nobody records. A tensor of open
    origin that holds the same values as one returned beside it, or given to the call around it, is taken
    for that one; any other was made by code between the layers. Samples of the values are kept to tell.
    """

    def __init__(self) -> None:
        self.walk = CallTracker()
        self.numbers = self.walk.numbers
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.made: dict[int, _Made] = {}
        self.inputs: list[int] = []
        self._open: defaultdict[int, _Samples] = defaultdict(dict)  # by depth
        self._returned: defaultdict[int, _Samples] = defaultdict(dict)

    def visit(self, call: Call) -> None:
        depth = len(call.parents)
        name = self.walk.name(call)
        for _ in self.walk.track(call):
            pass  # it numbers what is returned, and must not find it numbered before
        given = {self._number(tensor): _sample(tensor) for tensor in call.inputs}
        returned = self._returned.pop(depth + 1, {})
        for each in filter(is_tensor, introspection.constants(call.operation)):
            self.made.setdefault(self._number(each), _Made((), hows=()))
        for number, sample in self._open.pop(depth + 1, {}).items():
            if number not in self.made and number not in given:
                handed_on = self._handed_on(call, given, number, sample)
                self.made[number] = handed_on or _Made((), call.operation, name)
        for number, sample in given.items():
            if number not in self.made:
                self._find_origin(number, sample, depth)
        for tensor in keras.tree.flatten(call.outputs):
            if is_tensor(tensor):
                number = self._number(tensor)
                self._returned[depth][number] = _sample(tensor)
                if number not in given and (number not in self.made or is_known(call.operation)):
                    film = None if is_known(call.operation) else self._film_of(tensor, returned)
                    self.made[number] = film or _Made(tuple(given), call.operation, name)
        if depth == 0:
            self.inputs = list(given)

    def _find_origin(self, number: int, sample: Tensor, depth: int) -> None:
        for before, each in self._returned[depth].items():
            # Tensors are numbered as they are first seen: one seen later is not where this one is from.
            if before < number and self._is_cast(before, each, number, sample):
                self.made[number] = _Made((before,))
                return
        self._open[depth][number] = sample

    def _handed_on(self, call: Call, given: _Samples, number: int, sample: Tensor) -> _Made | None:
        """What a call gave to one inside it, if that is something it was given itself, or a frame of it."""
        for before, each in given.items():
            if self._is_cast(before, each, number, sample):
                return _Made((before,))
        for film in filter(is_video, call.inputs):
            for step, frame in enumerate(_frames(film)):
                if tuple(film.shape[2:]) == self.shapes[number][1:] and _is_cast(frame, sample):
                    return _Made((self._number(film),), hows=(TimeStep(step),))
        return None

    def _film_of(self, tensor: Tensor, returned: _Samples) -> _Made | None:
        """A film of which calls inside have returned each frame, as those of a model in `TimeDistributed`."""
        found: list[int] = []
        for frame in _frames(tensor) if is_video(tensor) else ():
            shape = (tensor.shape[0], *tensor.shape[2:])
            twins = (n for n, each in returned.items() if self.shapes[n] == shape and _is_cast(each, frame))
            found += itertools.islice(twins, 1)
        if not found or len(found) < tensor.shape[1]:
            return None
        return _Made(tuple(found), hows=tuple(map(StackedSteps, range(len(found)))))

    def _is_cast(self, before: int, given: Tensor, number: int, sample: Tensor) -> bool:
        return self.shapes[before] == self.shapes[number] and _is_cast(given, sample)

    def shown(self, number: int, step: int | None) -> int:
        """The number of what is shown of a tensor: its own, or of a film that of a frame."""
        if step is None:
            return number
        batch, _, *rest = self.shapes[number]
        frame = self.numbers.new()
        self.shapes[frame] = batch, *rest
        self.made[frame] = _Made((number,), hows=(TimeStep(step),))
        return frame

    def _number(self, tensor: Tensor) -> int:
        number = self.numbers.of(tensor)
        self.shapes[number] = tuple(int(size) for size in tensor.shape)
        return number


def _is_cast(given: Tensor, sample: Tensor) -> bool:
    """Whether a tensor holds another's values, cast to its type: at once, or by way of a coarser one."""
    values = np.asarray(sample)
    if not np.any(values != values[:1]):
        return False
    types = dict.fromkeys((str(values.dtype), "float32", "float16", "bfloat16"))
    twins = (keras.ops.cast(keras.ops.cast(given, each), str(values.dtype)) for each in types)
    return any(np.array_equal(np.asarray(each), values) for each in twins)


def _frames(film: Tensor) -> Iterator[Tensor]:
    """Samples of the frames of a film."""
    return (_sample(film[:, step]) for step in range(film.shape[1]))


def _sample(tensor: Tensor) -> Tensor:
    """Some hundred values from all over a tensor."""
    return keras.ops.reshape(tensor, (-1,))[:: max(1, math.prod(tensor.shape) // 256)]


def model_graph(model: Any, batch: Batch) -> Graph:
    """Return the graph of a model for inputs of the sizes of `batch`; the activation model keeps the last."""
    am = model if isinstance(model, ActivationModel) else ActivationModel(introspection.model_of(model))
    return am.model_graph(batch, _record_graph)


def _noise(batch: Batch) -> Batch:
    """An input of the same sizes in which no two tensors are equal by chance."""
    random = np.random.default_rng(0)

    def noise(array: Any) -> Any:
        array = np.asarray(array)
        return random.random(array.shape).astype(array.dtype) if array.dtype.kind == "f" else array

    return keras.tree.map_structure(noise, batch)


def _record_graph(am: ActivationModel, batch: Batch | None) -> Graph:
    recorder = _Recorder()
    am.record(_noise(empty_batch(am.model) if batch is None else batch), recorder.visit)
    stated = model_inputs(am.model)
    taken = dict(zip(recorder.inputs, stated, strict=False))
    picture = next((n for n, each in taken.items() if each.is_image), recorder.inputs[0])
    paths = {path: recorder.shown(*origin) for path, origin in recorder.walk.origins().items()}
    formats = recorder.walk.formats() | {n: each.data_format for n, each in taken.items()}
    for number, made in recorder.made.items():
        if made.operation is None and made.inputs and made.inputs[0] in formats:
            formats.setdefault(number, formats[made.inputs[0]])
    lies = {
        n: TensorLayout(shape, formats.get(n, keras.config.image_data_format()))
        for n, shape in recorder.shapes.items()
    }
    sources = {number: list(_sources(number, made, lies, picture)) for number, made in recorder.made.items()}
    return Graph(picture, lies, paths, sources)


def _sources(
    number: int, made: _Made, lies: dict[int, TensorLayout], picture: int
) -> Iterator[tuple[int, Relation]]:
    if made.operation is None:
        yield from zip(made.inputs, made.hows, strict=True)
    elif not made.inputs:
        kind = type(made.operation).__name__
        yield picture, Unknown(f"It is not known what {made.name!r} ({kind}) computes between its layers.")
    for source in made.inputs if made.operation else ():
        how = relation(made.operation, made.name, lies[source], lies[number])
        yield source, Global(made.name) if isinstance(how, Global) else how
