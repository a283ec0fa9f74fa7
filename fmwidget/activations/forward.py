"""One forward pass of a model with its feature maps captured: run eagerly, or compiled to be run again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmwidget.models.backends import tensorflow as backend
from fmwidget.models.backends.state import untouched
from fmwidget.models.inputs import Batch

from .layers import CallTracker, FeatureLayer
from .recorder import Call, Tensor, is_building, record

if TYPE_CHECKING:
    import keras


class ForwardError(RuntimeError):
    """The model raised an error in its own forward pass."""


@dataclass(frozen=True)
class Forward:
    """What a forward pass left behind.

    Attributes:
        layers: Every output that can be shown, whether its maps were kept or not.
        maps: The maps that were kept, by path.
        outputs: What the model returned, in its own structure.
        nbytes: Bytes held by `maps`.
    """

    layers: tuple[FeatureLayer, ...]
    maps: dict[str, Tensor]
    outputs: Any
    nbytes: int

    @property
    def is_complete(self) -> bool:
        """Whether the maps of every layer were kept, those before activations aside."""
        return all(layer.path in self.maps for layer in self.layers if layer.after is None)


def run_eagerly(
    model: keras.Model, batch: Batch, *, budget: int, wanted: str | None = None, before: bool = False
) -> Forward:
    """Runs the model in inference mode, keeping the maps that fit.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input, holding one picture.
        budget: Bytes of maps to hold at any moment. When they run over, those held so far are let go, so
            that the pass never needs more than this beside its own memory.
        wanted: Path of a map to keep whatever its size.
        before: Whether to keep the maps before activations too.

    Raises:
        ForwardError: If the model fails on this input.
    """
    walk = CallTracker()
    maps: dict[str, Tensor] = {}
    held: dict[int, int] = {}  # bytes by tensor: dropout and nested models hand theirs on, each counts once

    def keep(path: str, tensor: Tensor) -> None:
        maps[path] = tensor
        held[id(tensor)] = backend.nbytes(tensor)

    def visit(call: Call) -> None:
        for path, tensor in walk.track(call):
            keep(path, tensor)
            if sum(held.values()) > budget:
                survivor = maps.get(wanted) if wanted is not None else None
                maps.clear()
                held.clear()
                if wanted is not None and survivor is not None:
                    keep(wanted, survivor)

    outputs = run_recorded(model, batch, visit, before=before)
    return Forward(walk.layers(), maps, outputs, sum(held.values()))


def record_call(model: keras.Model, batch: Batch, path: str) -> Call:
    """Runs the model in inference mode and returns the one call that a layer's maps come from.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input, holding one picture.
        path: Of maps that are not those before an activation: the call holds both.

    Raises:
        ForwardError: If the model fails on this input.
        LookupError: If it does not make that call.
    """
    walk = CallTracker()
    calls: list[Call] = []

    def visit(call: Call) -> None:
        if path in dict(walk.track(call)):
            calls.append(call)

    run_recorded(model, batch, visit, before=True)
    if not calls:
        raise LookupError(f"The model made no call of {path!r} on this input.")
    return calls[0]


def measure_eagerly(
    model: keras.Model, batch: Batch, measure: Callable[[str, Tensor], Any]
) -> dict[str, Any]:
    """Runs the model in inference mode, and keeps of each map only what `measure` makes of it.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input, holding one picture.
        measure: Called with the path and the tensor of each output that can be shown, as it is made.

    Returns:
        What `measure` returned, by path.

    Raises:
        ForwardError: If the model fails on this input.
    """
    walk = CallTracker()
    found: dict[str, Any] = {}

    def visit(call: Call) -> None:
        found.update((path, measure(path, tensor)) for path, tensor in walk.track(call))

    run_recorded(model, batch, visit)
    return found


def compile_forward(
    model: keras.Model, batch: Batch, shapes: tuple[Any, ...], pause: Callable[[], None] = lambda: None
) -> Callable[[Batch], Forward]:
    """Compiles the forward pass with all maps captured, for batches like `batch`.

    The compiled pass reads the weights at each run: it need not be compiled again when they change.

    Args:
        model: The model; nothing about it is changed.
        batch: An example of its input.
        shapes: The shape of each input; `None` where it may differ from run to run.
        pause: Called after each call that the model makes while it is traced.

    Raises:
        Exception: Whatever tracing raises for a model that branches on its data.
    """
    layers: tuple[FeatureLayer, ...] = ()
    places: dict[str, int] = {}  # path -> position among the tensors returned; several paths may share one

    def traced(inputs: Any) -> Any:
        nonlocal layers
        walk = CallTracker()
        maps: dict[str, Tensor] = {}

        def visit(call: Call) -> None:
            maps.update(walk.track(call))
            pause()

        outputs = run_recorded(model, inputs, visit)
        layers = walk.layers()
        unique = {id(tensor): tensor for tensor in maps.values()}
        order = {key: position for position, key in enumerate(unique)}
        places.update({path: order[id(tensor)] for path, tensor in maps.items()})
        return list(unique.values()), outputs

    compiled = backend.compile_function(traced, batch, shapes)
    nbytes = 0  # asked of each tensor in turn, this takes a millisecond: once will do where sizes are fixed
    fixed = not any(None in layer.shape for layer in layers)

    def forward(batch: Batch) -> Forward:
        nonlocal nbytes
        tensors, outputs = compiled(batch)
        maps = {path: tensors[position] for path, position in places.items()}
        if fixed and nbytes:
            return Forward(layers, maps, outputs, nbytes)
        seen = tuple(layer.with_shape_of(maps[layer.after or layer.path]) for layer in layers)
        nbytes = sum(map(backend.nbytes, tensors))
        return Forward(seen, maps, outputs, nbytes)

    return forward


def run_recorded(
    model: keras.Model, inputs: Any, visit: Callable[[Call], None], *, before: bool = False
) -> Any:
    """Runs the model in inference mode, shows `visit` each call it makes, and leaves it as it was.

    Returns:
        What the model returns.

    Raises:
        ForwardError: If the model fails on this input.
    """

    def call() -> Any:
        return model(inputs, training=False)

    def recorded() -> Any:
        return record(call, visit, scope=backend.graph_scope, before=before)

    try:
        return untouched(recorded, is_building)
    except Exception as error:
        place = " ".join(getattr(error, "__notes__", []))
        cause = f"{type(error).__name__}: {_message(error)}"
        sentences = ("The model failed on this input.", place, cause, _advice(cause))
        raise ForwardError(" ".join(filter(None, sentences))) from error


def _message(error: Exception) -> str:
    """What an error says, without what Keras and TensorFlow put around it."""
    bold = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)  # Keras sets the cause in bold
    message = bold[1] if bold else str(error)
    return re.sub(r"\{\{.*?\}\} |\[Op:.*?\].*$", "", message, flags=re.DOTALL).strip()


def _advice(cause: str) -> str:
    if "NHWC" not in cause:
        return ""
    return (
        "(On this device TensorFlow computes the layer with channels last only: run the model on a GPU, or "
        "build it with `data_format='channels_last'`.)"
    )
