"""One forward pass of a model with its feature maps captured: run eagerly, or compiled to be run again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmwidget.models import backends
from fmwidget.models.inputs import Batch

from .layers import CallTracker, FeatureLayer
from .recorder import Call, Tensor, Visit, is_building, record

if TYPE_CHECKING:
    import keras

    from fmwidget.models.backends import StandIns


class ForwardError(RuntimeError):
    """The model raised an error in its own forward pass."""


@dataclass(frozen=True)
class Forward:
    """The result of a forward pass.

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
        """True if the maps of every layer were kept, those before activations aside."""
        return all(layer.path in self.maps for layer in self.layers if layer.after is None)


def run_eagerly(
    model: keras.Model,
    batch: Batch,
    *,
    budget: int,
    wanted: str | None = None,
    pre_activations: bool = False,
    weights: StandIns | None = None,
) -> Forward:
    """Run the model in inference mode and keep the maps that fit.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input.
        budget: Bytes of maps to hold at any moment. When they run over, those held so far are released, so
            that the pass never needs more than this beside its own memory.
        wanted: Path of a map to keep, even if it alone exceeds `budget`.
        pre_activations: Whether to keep the maps before activations too.
        weights: Stand-ins to read in place of the model's variables.

    Raises:
        ForwardError: If the model fails on this input.
    """
    tracker = CallTracker()
    maps: dict[str, Tensor] = {}
    held: dict[int, int] = {}  # bytes by tensor: dropout and nested models pass theirs on, each counts once
    nbytes = backends.current().nbytes

    def keep(path: str, tensor: Tensor) -> None:
        maps[path] = tensor
        held[id(tensor)] = nbytes(tensor)

    def visit(call: Call) -> None:
        for path, tensor in tracker.track(call):
            keep(path, tensor)
            if sum(held.values()) > budget:
                survivor = maps.get(wanted) if wanted is not None else None
                maps.clear()
                held.clear()
                if wanted is not None and survivor is not None:
                    keep(wanted, survivor)

    outputs = run_recorded(model, batch, visit, pre_activations=pre_activations, weights=weights)
    return Forward(tracker.layers(), maps, outputs, sum(held.values()))


def record_call(model: keras.Model, batch: Batch, path: str, weights: StandIns | None = None) -> Call:
    """Run the model in inference mode and return the one call that a layer's maps come from.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input.
        path: Of maps that are not those before an activation: the call holds both.
        weights: Stand-ins to read in place of the model's variables.

    Raises:
        ForwardError: If the model fails on this input.
        LookupError: If it does not make that call.
    """
    tracker = CallTracker()
    calls: list[Call] = []

    def visit(call: Call) -> None:
        if path in dict(tracker.track(call)):
            calls.append(call)

    run_recorded(model, batch, visit, pre_activations=True, weights=weights)
    if not calls:
        raise LookupError(f"The model made no call of {path!r} on this input.")
    return calls[0]


def measure_eagerly(
    model: keras.Model,
    batch: Batch,
    measure: Callable[[str, Tensor], Any],
    weights: StandIns | None = None,
) -> dict[str, Any]:
    """Run the model in inference mode and keep only a measurement of each map.

    Args:
        model: The model; nothing about it is changed.
        batch: Its input.
        measure: Called with the path and the tensor of each output that can be shown, as it is made.
        weights: Stand-ins to read in place of the model's variables.

    Returns:
        The results of `measure`, by path.

    Raises:
        ForwardError: If the model fails on this input.
    """
    tracker = CallTracker()
    measured: dict[str, Any] = {}

    def visit(call: Call) -> None:
        measured.update((path, measure(path, tensor)) for path, tensor in tracker.track(call))

    run_recorded(model, batch, visit, weights=weights)
    return measured


def compile_forward(
    model: keras.Model, batch: Batch, shapes: tuple[Any, ...], pause: Callable[[], None] = lambda: None
) -> Callable[..., Forward]:
    """Compile the forward pass with all maps captured, for batches like `batch`.

    Args:
        model: The model; nothing about it is changed.
        batch: An example of its input.
        shapes: The shape of each input; `None` where it may differ from run to run.
        pause: Called after each call that the model makes while it is traced.

    Returns:
        `forward(batch, weights=None)`. It reads the weights at each run, so that it need not be compiled
        again when they change: the model's own, or stand-ins.

    Raises:
        Exception: Any error of tracing, as for a model that branches on its data.
    """
    layers: tuple[FeatureLayer, ...] = ()
    places: dict[str, int] = {}  # path -> position among the tensors returned; several paths may share one
    nbytes_of = backends.current().nbytes

    def traced(inputs: Any) -> Any:
        nonlocal layers
        tracker = CallTracker()
        maps: dict[str, Tensor] = {}

        def visit(call: Call) -> None:
            maps.update(tracker.track(call))
            pause()

        outputs = run_recorded(model, inputs, visit)
        layers = tracker.layers()
        unique = {id(tensor): tensor for tensor in maps.values()}
        order = {key: position for position, key in enumerate(unique)}
        places.update({path: order[id(tensor)] for path, tensor in maps.items()})
        return list(unique.values()), outputs

    compiled = backends.current().compile_function(traced, batch, shapes)
    nbytes = 0  # summed over all tensors this takes a millisecond, so only once where sizes are fixed
    fixed = not any(None in layer.shape for layer in layers)

    def forward(batch: Batch, weights: StandIns | None = None) -> Forward:
        nonlocal nbytes
        tensors, outputs = compiled(batch, weights)
        maps = {path: tensors[position] for path, position in places.items()}
        if fixed and nbytes:
            return Forward(layers, maps, outputs, nbytes)
        seen = tuple(layer.with_shape_of(maps[layer.after or layer.path]) for layer in layers)
        nbytes = sum(map(nbytes_of, tensors))
        return Forward(seen, maps, outputs, nbytes)

    return forward


def run_recorded(
    model: keras.Model,
    inputs: Any,
    visit: Visit,
    *,
    pre_activations: bool = False,
    weights: StandIns | None = None,
) -> Any:
    """Run the model in inference mode, pass each call it makes to `visit`, and leave it as it was.

    Args:
        model: The model.
        inputs: Its input.
        visit: Called with each finished call. What it returns replaces the call's outputs in the rest of the
            pass; `None` leaves them.
        pre_activations: Whether to record the arguments of layers' own activation functions.
        weights: Stand-ins to read in place of the model's variables.

    Returns:
        What the model returns.

    Raises:
        ForwardError: If the model fails on this input.
    """
    backend = backends.current()

    def call() -> Any:
        return model(inputs, training=False)

    def recorded() -> Any:
        return record(call, visit, scope=backend.graph_scope, pre_activations=pre_activations)

    try:
        return backend.isolated(recorded, is_building, weights)
    except Exception as error:
        place = " ".join(getattr(error, "__notes__", []))
        cause = f"{type(error).__name__}: {backend.readable_message(_message(error))}"
        sentences = ("The model failed on this input.", place, cause)
        raise ForwardError(" ".join(filter(None, sentences))) from error


def _message(error: Exception) -> str:
    """Return the message of an error without what Keras puts around it."""
    cause = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)  # Keras sets it in bold
    return cause[1] if cause else str(error)
