"""The list of what can be shown: a `FeatureLayer` for each output of each call that is maps."""

from __future__ import annotations

import re
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras

from fmwidget.models import introspection
from fmwidget.models.outputs import MAPS, Flow, OutputKind, is_maps, is_video, resolve_formats, shown_parts

from .preactivation import activation_name, has_activation
from .recorder import Call, Tensor

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class FeatureLayer:
    """One output of one call of a layer or operation that can be shown.

    Attributes:
        path: Unique name in the model: the names of the models it is nested in and its own, joined by `/`,
            with `@2` for a second call and `@pre` for the maps before an activation function. Look it up as a
            whole; names may hold any of these characters.
        layer: The Keras layer or operation.
        call_index: Number of the call among those of `layer` in a forward pass, counted from 1.
        shape: The size along each of `axes`, for the latest image: `(H, W, C)` for maps.
        data_format: Position of the channels in the model's own tensors, `"channels_last"` or
            `"channels_first"`.
        after: If these are the maps before the layer's own activation function, the path of those after it.
        output: The kind of output, which defines the axes.
    """

    path: str
    layer: keras.Operation
    call_index: int
    shape: tuple[int, int, int]
    data_format: str
    after: str | None = None
    output: OutputKind = MAPS

    @property
    def kind(self) -> str:
        """The name of the kind of output: `"maps"`."""
        return self.output.name

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of the array that is shown: `("height", "width", "channel")` for maps."""
        return self.output.axes

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.shape[self.axes.index("channel")]

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """The sizes along all axes but the channels: `(H, W)` for maps."""
        return tuple(size for size, axis in zip(self.shape, self.axes, strict=True) if axis != "channel")

    @property
    def type_name(self) -> str:
        """The class name of the layer or operation; before an activation function, the name of that too."""
        name = type(self.layer).__name__
        return name if self.after is None else f"{name} before {activation_name(self.layer)}"

    @property
    def has_kernel(self) -> bool:
        """True if the layer has filters; others only prepare or pass on their input."""
        return hasattr(self.layer, "kernel")

    def examples(self, output: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return all examples of an output of the layer as they are shown, `(N, H, W, C)` for maps."""
        return self.output.examples(output, self.data_format)

    def with_shape_of(self, tensor: Tensor) -> FeatureLayer:
        """Return the same layer with the shape of one of its outputs, batch axis included."""
        return replace(self, shape=self.output.shape(tensor.shape, self.data_format))


@dataclass(frozen=True, slots=True)
class _Listed:
    path: str
    operation: keras.Operation
    call_index: int
    shape: tuple[Any, ...]
    kind: OutputKind
    number: int
    step: int | None
    after: str | None = None


class CallTracker:
    """The paths of the outputs of one forward pass, and the tensors that each was computed from.

    It keeps no tensor alive, so that a forward pass needs no more memory than it would alone.
    """

    def __init__(self) -> None:
        self.numbers = TensorNumbers()
        self._listed: list[_Listed] = []
        self._flows: list[Flow] = []
        self._calls: Counter[keras.Operation] = Counter()
        self._paths: set[str] = set()
        self._lasting: set[int] = set()  # the layers of the model, by identity
        self._returned: defaultdict[int, list[int]] = defaultdict(list)  # by depth, not yet claimed

    def track(self, call: Call) -> Iterator[tuple[str, Tensor]]:
        """Yield path and tensor of each stack of maps that `call` returned.

        The maps before an activation are listed in any case, next to those after it, but yielded only if
        the call recorded them.
        """
        if any(map(introspection.is_recurrent, call.parents)):
            return  # one step of a loop, whose calls a compiled pass cannot record
        self._calls[call.operation] += 1
        depth = len(call.parents)
        children = tuple(self._returned.pop(depth + 1, ()))
        inputs = tuple(self.numbers.of(tensor) for tensor in call.inputs if _is_tracked(tensor))
        outputs = [leaf for leaf in keras.tree.flatten_with_path(call.outputs) if _is_tracked(leaf[1])]
        seen_before = [tensor in self.numbers for _, tensor in outputs]
        numbers = tuple(self.numbers.of(tensor) for _, tensor in outputs)
        self._flows.append(Flow(call.operation, inputs, numbers, children))
        self._returned[depth] += numbers
        name = self.name(call)
        for (key, output), number, is_old in zip(outputs, numbers, seen_before, strict=True):
            if depth == 0 and is_old:
                continue  # the model returns what a layer of its own returned: that layer is on the list
            if output.shape[0] == 0:
                continue  # its first axis is no batch axis: there is no first example
            for step, (suffix, tensor, kind) in enumerate(shown_parts(call.operation, output)):
                path = self._unique("".join([name, *(f"[{part}]" for part in key), suffix]))
                listed = _Listed(
                    path,
                    call.operation,
                    self._calls[call.operation],
                    tuple(tensor.shape),
                    kind,
                    number,
                    None if tensor is output else step,
                )
                self._listed.append(listed)
                yield path, tensor
                if has_activation(call.operation):
                    before = replace(listed, path=self._unique(f"{path}@pre"), after=path)
                    self._listed.append(before)
                    if call.pre_activation is not None:
                        yield before.path, call.pre_activation

    def layers(self) -> tuple[FeatureLayer, ...]:
        """Return the layers of all outputs listed so far, in the order data flows."""
        formats = self.formats()
        layers = []
        for listed in self._listed:
            data_format = formats.get(listed.number, keras.config.image_data_format())
            shape: Any = listed.kind.shape(listed.shape, data_format)
            layers.append(
                FeatureLayer(
                    listed.path,
                    listed.operation,
                    listed.call_index,
                    shape,
                    data_format,
                    listed.after,
                    listed.kind,
                )
            )
        return tuple(layers)

    def formats(self) -> dict[int, str]:
        """Return the data format of each numbered tensor; absent where no layer declares one."""
        return resolve_formats(self._flows)

    def origins(self) -> dict[str, tuple[int, int | None]]:
        """Return, by path, the number of the tensor shown, and the time step of it for a video."""
        return {listed.path: (listed.number, listed.step) for listed in self._listed}

    def name(self, call: Call) -> str:
        """Return the names of the calls around a call, the model's aside, and its own, joined by `/`."""
        chain = (*call.parents, call.operation)
        names = [
            self._name(each, holder, chain[0]) for each, holder in zip(chain, (None, *chain), strict=False)
        ]
        return "/".join(names[1:] or names)

    def _name(self, operation: Any, holder: Any, model: Any) -> str:
        """Return an operation's name; if it was made on the fly, without the number that varies by pass."""
        lasts = operation is model or self._lasts(operation, holder, model)
        return str(operation.name if lasts else re.sub(r"_\d+$", "", operation.name))

    def _lasts(self, operation: Any, holder: Any, model: Any) -> bool:
        if not introspection.is_layer(operation):
            return any(each is operation for each in introspection.operations(holder))
        if id(operation) not in self._lasting:
            # Collected again: the pass may have created layers.
            self._lasting = set(map(id, introspection.all_sublayers(model)))
        return id(operation) in self._lasting

    def _unique(self, name: str) -> str:
        path, count = name, 1
        while path in self._paths:
            count += 1
            path = f"{name}@{count}"
        self._paths.add(path)
        return path


def _is_tracked(value: Any) -> bool:
    return hasattr(value, "shape") and (is_maps(value) or is_video(value))


class TensorNumbers:
    """Numbers of tensors, by identity, without keeping the tensors alive."""

    def __init__(self) -> None:
        self._numbered: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._count = 0

    def __contains__(self, tensor: Tensor) -> bool:
        reference, _ = self._numbered.get(id(tensor), (None, 0))
        return reference is not None and reference() is tensor

    def of(self, tensor: Tensor) -> int:
        """Return the tensor's number: a new one where it has none."""
        if tensor not in self:
            self._numbered[id(tensor)] = (weakref.ref(tensor), self.new())
        return self._numbered[id(tensor)][1]

    def new(self) -> int:
        """Return a number that no tensor has."""
        self._count += 1
        return self._count - 1
