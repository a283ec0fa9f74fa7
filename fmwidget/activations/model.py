"""`ActivationModel`: every feature map of a model for a picture, from one forward pass, cached."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from fmwidget._errors import did_you_mean
from fmwidget.models.backends import tensorflow as backend
from fmwidget.models.inputs import (
    Batch,
    ModelInput,
    content_key,
    empty_batch,
    input_bytes,
    input_shapes,
    model_inputs,
    require_one_image,
)
from fmwidget.models.introspection import require_model
from fmwidget.models.outputs import to_maps

from .background import BackgroundCompiler
from .forward import Forward, measure_eagerly, run_eagerly
from .layers import FeatureLayer

if TYPE_CHECKING:
    import numpy as np

DEFAULT_CACHE_BYTES = 512 * 2**20


@dataclass
class Stats:
    """What an `ActivationModel` has done so far.

    Attributes:
        forwards: Forward passes run.
        traces: Times the forward pass was compiled.
        hits: Looks answered from the cache.
        evictions: Pictures dropped from the cache to make room.
        bytes: Bytes of feature maps now in the cache.
    """

    forwards: int = 0
    traces: int = 0
    hits: int = 0
    evictions: int = 0
    bytes: int = 0


class ActivationModel:
    """Every feature map of a Keras model, read from the model's own forward pass.

    The model is only ever called, in inference mode: never compiled, cloned, renamed, re-wired or trained.
    What its layers write to variables in a call (the state of a recurrent layer, a seed, a counter) is
    undone; a model that does so, or that branches on its data, is always run eagerly.

    One forward pass fills all layers of a picture. The first passes run eagerly, so that there is something
    to see soon; from the second picture on a compiled pass is made ready in the background, and used once it
    is. Before every look the weights are checked: after any change of them the maps are computed anew.

    The maps before a layer's own activation function are listed too, behind those after it. The first look
    at one of them takes one more pass for the picture.

    Args:
        model: A Keras 3 model, on the TensorFlow backend.
        cache_bytes: Memory for feature maps, in bytes. The pictures not looked at for longest go first; a
            model whose maps do not fit for even one picture is run again for each layer asked for.

    Raises:
        TypeError: If `model` is not a Keras 3 model.

    Example:
        am = ActivationModel(model)
        maps = am.activations(batch, "conv2d")  # (148, 148, 32), read-only
    """

    def __init__(self, model: keras.Model, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        require_model(model)
        backend.require_tensorflow()
        self.model = model
        self.cache_bytes = cache_bytes
        self.stats = stats = Stats()
        self._cache: OrderedDict[bytes, Forward] = OrderedDict()
        self._layers: dict[str, FeatureLayer] = {}
        self._watch = watch = backend.WeightWatch()
        self._compiler = BackgroundCompiler(model, lambda: _compiled(stats, watch))
        self._last: Batch = None
        self._growth = math.inf  # bytes of maps for a byte of input
        self._version, self._variables = 0, watch.held.variables  # those that all of this is of
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"ActivationModel({self.model.name!r}, {len(self._layers)} layers seen, {self.stats})"

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What the model takes, the input for the picture marked."""
        return model_inputs(self.model)

    @property
    def layers(self) -> tuple[FeatureLayer, ...]:
        """What can be looked at, in the order data flows, as of the picture seen last.

        That is every output `(batch, height, width, channels)` of every call of a layer or operation, at any
        depth; and of a film, for each of its frames, what `TimeDistributed` and `ConvLSTM2D` return. The
        steps inside a recurrent layer's loop are not on the list: a compiled pass runs them out of sight.

        Before the first picture, an empty one is sent through the model to find out.
        """
        return self.layers_at(None)

    def layers_at(self, version: int | None) -> tuple[FeatureLayer, ...]:
        """As `layers`; where `version` is what `version()` has just returned, without another check."""
        with self._lock:
            if version != self._version:
                self._freshen()
            if not self._layers:
                self._note(run_eagerly(self.model, empty_batch(self.model), budget=0))
            return tuple(self._layers.values())

    def layer(self, path: str) -> FeatureLayer:
        """What is known of a layer, as of the picture seen last.

        Raises:
            ValueError: If `path` is not on the list.
        """
        self._require_path(path)
        return self._layers[path]

    def activations(self, batch: Batch, path: str, *, version: int | None = None) -> np.ndarray[Any, Any]:
        """The feature maps of one layer for one picture.

        Args:
            batch: A ready input of the model holding one picture: arrays in the structure the model takes,
                each with a batch axis of one. It is told from others by its content.
            path: A `FeatureLayer.path`.
            version: What `version` has just returned: the weights are not checked again so soon.

        Returns:
            A read-only array `(H, W, C)`, channels last, in the type of number the model computes.

        Raises:
            ValueError: If `path` is not on the list, or `batch` holds more than one picture.
            ForwardError: If the model fails on this input.
        """
        with self._lock:
            tensor = self._look(batch, path, version).maps[path]
            data_format = self._layers[path].data_format
        return to_maps(backend.to_numpy(tensor), data_format)

    def predictions(self, batch: Batch, *, version: int | None = None) -> Any:
        """What the model itself returns for one picture, from the same forward pass as its maps.

        Args:
            batch: As in `activations`, like `version`.
            version: What `version` has just returned.

        Returns:
            Arrays in the structure of the model's output, without the batch axis; what has none, or is no
            tensor, as it is.
        """
        with self._lock:
            outputs = self._look(batch, None, version).outputs
        return keras.tree.map_structure(_first, outputs)

    def measure(self, batch: Batch, function: Callable[[np.ndarray[Any, Any]], Any]) -> dict[str, Any]:
        """What a function makes of every layer's maps for one picture, those before activations aside.

        Maps that are not all in the cache, since they are more than it may hold, are measured one after
        another in one more pass that keeps none of them.

        Args:
            batch: A ready input of the model, as for `activations`.
            function: Takes maps `(H, W, C)`, channels last.

        Returns:
            What the function returned, by path, in the order data flows.

        Raises:
            ForwardError: If the model fails on this input.
        """

        def measured(path: str, tensor: Any) -> Any:
            return function(to_maps(backend.to_numpy(tensor), layers[path].data_format))

        with self._lock:
            forward = self._look(batch, None, None)
            layers = {layer.path: layer for layer in forward.layers if layer.after is None}
            if not forward.is_complete:
                self.stats.forwards += 1
                found = measure_eagerly(self.model, batch, measured)
                return {path: found[path] for path in layers}
        return {path: measured(path, forward.maps[path]) for path in layers}

    def version(self) -> int:
        """A number that changes whenever the weights have: maps seen under another number are out of date."""
        with self._lock:
            self._freshen()
            return self._version

    def warm_up(self) -> None:
        """Begins to compile the forward pass for input like the last, beside whatever else is going on."""
        with self._lock:
            if self._last is not None and math.isfinite(self._growth):
                shapes = input_shapes(self._last, self.inputs)
                self._compiler.begin(self._last, shapes, tuple(self._layers))

    def _look(self, batch: Batch, path: str | None, version: int | None) -> Forward:
        """The forward pass of a picture: from the cache if it is there, still true, and holds `path`."""
        require_one_image(batch)
        if version != self._version:
            self._freshen()
        key = content_key(batch)
        forward = self._cache.get(key)
        if forward is not None:
            self._list(forward)
            self._require_path(path)
        if forward is None or (path is not None and path not in forward.maps):
            forward = self._run(batch, path)
            if path in self._layers and path not in forward.maps:
                forward = self._run(batch, path)  # only now is it known to come before an activation
            self._cache[key] = forward
        else:
            self.stats.hits += 1
        self._cache.move_to_end(key)
        self._evict()
        self._require_path(path)
        return forward

    def _run(self, batch: Batch, path: str | None) -> Forward:
        self._last = batch
        if path in self._layers and self._layers[path].after is not None:
            budget = self.cache_bytes
            return self._note(run_eagerly(self.model, batch, budget=budget, wanted=path, before=True))
        shapes = input_shapes(batch, self.inputs)
        compiled = self._compiler.ready(shapes)
        fits = self._growth * input_bytes(batch) <= self.cache_bytes
        if fits and compiled is not None:
            try:
                return self._note(compiled(batch), compiled=True)
            except Exception as error:  # noqa: BLE001 - an eager pass says what is wrong, or there is nothing
                self._compiler.give_up(shapes, error)
        forward = self._note(run_eagerly(self.model, batch, budget=self.cache_bytes, wanted=path))
        self._growth = forward.nbytes / input_bytes(batch) if forward.is_complete else math.inf
        if self.stats.forwards > 1:
            self.warm_up()
        return forward

    def _note(self, forward: Forward, *, compiled: bool = False) -> Forward:
        self.stats.forwards += 1
        self._list(forward)
        if not compiled:
            self._variables = self._watch.adopt(self.model).variables  # the first call may have built it
        return forward

    def _list(self, forward: Forward) -> None:
        """Takes the list from a picture: what a model calls, and at which size, may depend on it."""
        self._layers = {layer.path: layer for layer in forward.layers}

    def _freshen(self) -> None:
        """Forgets what no longer holds: the maps after a change of weights, all after a change of layers.

        An interrupt may come between any two steps. Until the last of them, which version this is of is as it
        was, so that the next look takes them all again.
        """
        self._compiler.asked = time.monotonic()
        weights = self._watch.look(self.model)
        if weights.version == self._version:
            return
        self._cache.clear()
        self.stats.bytes = 0
        if weights.variables is not self._variables:
            self._layers.clear()
            self._compiler.passes.clear()
            self._growth = math.inf
        self._variables = weights.variables
        self._version = weights.version

    def _evict(self) -> None:
        """Drops the pictures looked at least recently until the rest fit; the last one always stays."""
        held = sum(forward.nbytes for forward in self._cache.values())
        while held > self.cache_bytes and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            held -= dropped.nbytes
            self.stats.evictions += 1
        self.stats.bytes = held

    def _require_path(self, path: str | None) -> None:
        if path is not None and path not in self._layers:
            hint = did_you_mean(path, self._layers, "`.layers` lists them.")
            raise ValueError(f"The model has no layer {path!r} that can be shown. {hint}")


def _compiled(stats: Stats, watch: backend.WeightWatch) -> None:
    """Holds no `ActivationModel`: one that nobody wants any more goes at once."""
    stats.traces += 1
    watch.compile()


def _first(output: Any) -> Any:
    """What a model returned for the first of a batch."""
    if not hasattr(output, "shape"):
        return output
    array = backend.to_numpy(output)
    return array[0] if array.ndim else array
