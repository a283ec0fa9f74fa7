"""What can be looked at in a model: a `FeatureLayer` for each output of each call that is maps."""

from __future__ import annotations

import re
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras

from fmwidget.models import introspection
from fmwidget.models.outputs import Flow, is_maps, is_video, maps_shape, resolve_formats, stacks

from .preactivation import activation_name, has_activation
from .recorder import Call, Tensor


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

    @property
    def has_kernel(self) -> bool:
        """Whether the layer has filters; others only prepare or pass on what they are given."""
        return hasattr(self.layer, "kernel")

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
    step: int | None
    after: str | None = None


class CallTracker:
    """Follows the calls of one forward pass, names what they return and remembers how it hangs together.

    It keeps no tensor alive, so that a forward pass needs no more memory than it would alone.
    """

    def __init__(self) -> None:
        self._found: list[_Found] = []
        self._flows: list[Flow] = []
        self._calls: Counter[keras.Operation] = Counter()
        self._paths: set[str] = set()
        self._lasting: set[int] = set()  # the layers of the model, by identity
        self.numbers = TensorNumbers()
        self._returned: defaultdict[int, list[int]] = defaultdict(list)  # by depth, not yet claimed

    def track(self, call: Call) -> Iterator[tuple[str, Tensor]]:
        """Yields path and tensor of each stack of maps that `call` returned.

        The maps before an activation are on the list in any case, right behind those after it, but yielded
        only if the call noted them.
        """
        if any(map(introspection.is_recurrent, call.parents)):
            return  # one step of a loop, which a compiled pass runs out of sight
        self._calls[call.operation] += 1
        depth = len(call.parents)
        children = tuple(self._returned.pop(depth + 1, ()))
        inputs = tuple(self.numbers.of(tensor) for tensor in call.inputs if _is_followed(tensor))
        outputs = [each for each in keras.tree.flatten_with_path(call.outputs) if _is_followed(each[1])]
        seen_before = [tensor in self.numbers for _, tensor in outputs]
        numbers = tuple(self.numbers.of(tensor) for _, tensor in outputs)
        self._flows.append(Flow(call.operation, inputs, numbers, children))
        self._returned[depth] += numbers
        name = self.name(call)
        for (key, output), number, is_old in zip(outputs, numbers, seen_before, strict=True):
            if depth == 0 and is_old:
                continue  # the model returns what a layer of its own returned: that layer is on the list
            for step, (suffix, tensor) in enumerate(stacks(call.operation, output)):
                path = self._unique("".join([name, *(f"[{part}]" for part in key), suffix]))
                found = _Found(
                    path,
                    call.operation,
                    self._calls[call.operation],
                    tuple(tensor.shape),
                    number,
                    None if tensor is output else step,
                )
                self._found.append(found)
                yield path, tensor
                if has_activation(call.operation):
                    before = replace(found, path=self._unique(f"{path}@pre"), after=path)
                    self._found.append(before)
                    if call.before is not None:
                        yield before.path, call.before

    def layers(self) -> tuple[FeatureLayer, ...]:
        """What was found, in the order data flows."""
        formats = self.formats()
        layers = []
        for found in self._found:
            data_format = formats.get(found.number, keras.config.image_data_format())
            shape = maps_shape(found.shape, data_format)
            layers.append(
                FeatureLayer(found.path, found.operation, found.call_index, shape, data_format, found.after)
            )
        return tuple(layers)

    def formats(self) -> dict[int, str]:
        """Where the channels of each numbered tensor are; what no layer speaks for is absent."""
        return resolve_formats(self._flows)

    def origins(self) -> dict[str, tuple[int, int | None]]:
        """For each path the tensor that it shows, and which frame of it if that is a film."""
        return {found.path: (found.number, found.step) for found in self._found}

    def name(self, call: Call) -> str:
        """The names of all that a call ran inside, but for the model, and its own, joined by `/`."""
        chain = (*call.parents, call.operation)
        names = [
            self._name(each, holder, chain[0]) for each, holder in zip(chain, (None, *chain), strict=False)
        ]
        return "/".join(names[1:] or names)

    def _name(self, operation: Any, holder: Any, model: Any) -> str:
        """Its own; where it was made on the fly, without the number at the end that no other pass has."""
        lasts = operation is model or self._lasts(operation, holder, model)
        return str(operation.name if lasts else re.sub(r"_\d+$", "", operation.name))

    def _lasts(self, operation: Any, holder: Any, model: Any) -> bool:
        if not introspection.is_layer(operation):
            return any(each is operation for each in introspection.operations(holder))
        if id(operation) not in self._lasting:
            self._lasting = set(
                map(id, introspection.all_sublayers(model))
            )  # anew: the pass may have made layers
        return id(operation) in self._lasting

    def _unique(self, name: str) -> str:
        path, count = name, 1
        while path in self._paths:
            count += 1
            path = f"{name}@{count}"
        self._paths.add(path)
        return path


def _is_followed(value: Any) -> bool:
    return hasattr(value, "shape") and (is_maps(value) or is_video(value))


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
            self._numbered[id(tensor)] = (weakref.ref(tensor), self.new())
        return self._numbered[id(tensor)][1]

    def new(self) -> int:
        """A number that no tensor has."""
        self._count += 1
        return self._count - 1
