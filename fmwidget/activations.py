"""`ActivationModel`: every feature map of a model for a picture, from one forward pass, cached."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from . import backend
from .forward import Batch, Forward, compile_forward, input_shapes, measure_eagerly, run_eagerly
from .hints import did_you_mean
from .inputs import ModelInput, empty_batch, model_inputs
from .kinds import require_model
from .layers import FeatureLayer
from .layout import to_maps

log = logging.getLogger(__name__)

DEFAULT_CACHE_BYTES = 512 * 2**20

# Seconds that compiling stands still once somebody looks, and at most for one call of a layer: the two would
# take the interpreter from each other, and a look that takes 10 ms would take 100.
_STAND_STILL, _AT_MOST = 0.06, 0.3

# One thread for all models: compiling holds the interpreter, two at once would only slow each other.
_compiler = ThreadPoolExecutor(1, thread_name_prefix="fmwidget-compile")


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
        self.stats = Stats()
        self._cache: OrderedDict[bytes, Forward] = OrderedDict()
        self._layers: dict[str, FeatureLayer] = {}
        self._watch = backend.WeightWatch()
        self._compiled: dict[Any, Future[Callable[[Batch], Forward]]] = {}
        self._last: Batch = None
        self._growth = math.inf  # bytes of maps for a byte of input
        self._version = 0
        self._asked = 0.0  # when somebody last looked
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
                self._compile(self._last)

    def _look(self, batch: Batch, path: str | None, version: int | None) -> Forward:
        """The forward pass of a picture: from the cache if it is there, still true, and holds `path`."""
        _require_one_picture(batch)
        if version != self._version:
            self._freshen()
        key = _content(batch)
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
        compiled = self._compiled.get(input_shapes(batch, self.inputs))
        fits = self._growth * _nbytes(batch) <= self.cache_bytes
        if fits and compiled is not None and compiled.done() and compiled.exception() is None:
            try:
                return self._note(compiled.result()(batch), compiled=True)
            except Exception as error:  # noqa: BLE001 - an eager pass says what is wrong, or there is nothing
                log.info("%s stays eager, since its compiled forward pass failed: %s", self.model.name, error)
                self._compiled[input_shapes(batch, self.inputs)] = Future()  # never done
        forward = self._note(run_eagerly(self.model, batch, budget=self.cache_bytes, wanted=path))
        self._growth = forward.nbytes / _nbytes(batch) if forward.is_complete else math.inf
        if self.stats.forwards > 1:
            self.warm_up()
        return forward

    def _note(self, forward: Forward, *, compiled: bool = False) -> Forward:
        self.stats.forwards += 1
        self._list(forward)
        if not compiled:
            self._watch.adopt(self.model)  # the first call may have built the model
        return forward

    def _list(self, forward: Forward) -> None:
        """Takes the list from a picture: what a model calls, and at which size, may depend on it."""
        self._layers = {layer.path: layer for layer in forward.layers}

    def _freshen(self) -> None:
        """Forgets what no longer holds: the maps after a change of weights, all after a change of layers."""
        self._asked = time.monotonic()
        change = self._watch.change(self.model)
        if change is backend.Change.NONE:
            return
        self._version += 1
        self._cache.clear()
        self.stats.bytes = 0
        if change is backend.Change.VARIABLES:
            self._layers.clear()
            self._compiled.clear()
            self._growth = math.inf

    def _evict(self) -> None:
        """Drops the pictures looked at least recently until the rest fit; the last one always stays."""
        held = sum(forward.nbytes for forward in self._cache.values())
        while held > self.cache_bytes and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            held -= dropped.nbytes
            self.stats.evictions += 1
        self.stats.bytes = held

    def _compile(self, batch: Batch) -> None:
        shapes = input_shapes(batch, self.inputs)
        if shapes not in self._compiled:
            self._compiled[shapes] = _compiler.submit(
                _compile_for, weakref.ref(self), batch, shapes, tuple(self._layers)
            )

    def _require_path(self, path: str | None) -> None:
        if path is not None and path not in self._layers:
            hint = did_you_mean(path, self._layers, "`.layers` lists them.")
            raise ValueError(f"The model has no layer {path!r} that can be shown. {hint}")


def _compile_for(
    owner: weakref.ref[ActivationModel], batch: Batch, shapes: tuple[Any, ...], paths: tuple[str, ...]
) -> Callable[[Batch], Forward]:
    """Compiles on the compiler's thread, unless nobody is left who wants it."""
    am = owner()
    if am is None:
        raise ReferenceError("The ActivationModel is gone.")
    try:
        compiled = compile_forward(am.model, batch, shapes, pause=lambda: _give_way(am))
        _require_same_calls(compiled(batch), paths)
    except Exception as error:
        log.info("%s stays eager, since its forward pass cannot be compiled: %s", am.model.name, error)
        raise
    am.stats.traces += 1
    am._watch.compile()  # noqa: SLF001
    return compiled


def _give_way(am: ActivationModel) -> None:
    began = time.monotonic()
    while (wait := am._asked + _STAND_STILL - time.monotonic()) > 0:  # noqa: SLF001
        if time.monotonic() - began > _AT_MOST:
            return  # or somebody who looks without end would never see it compiled
        time.sleep(wait)


def _require_same_calls(forward: Forward, paths: tuple[str, ...]) -> None:
    if tuple(layer.path for layer in forward.layers) != paths:
        raise ValueError("it makes other calls when it is compiled")


def _content(batch: Batch) -> bytes:
    """A key that is equal for equal content, whichever objects hold it."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path, leaf in keras.tree.flatten_with_path(batch):
        array = np.ascontiguousarray(leaf)
        digest.update(repr((path, array.shape, array.dtype.str)).encode())
        digest.update(array.view(np.uint8).data)
    return digest.digest()


def _first(output: Any) -> Any:
    """What a model returned for the first of a batch."""
    if not hasattr(output, "shape"):
        return output
    array = backend.to_numpy(output)
    return array[0] if array.ndim else array


def _nbytes(batch: Batch) -> int:
    return max(1, sum(np.asarray(leaf).nbytes for leaf in keras.tree.flatten(batch)))


def _require_one_picture(batch: Batch) -> None:
    for leaf in keras.tree.flatten(batch):
        shape = np.shape(leaf)
        if len(shape) == 0 or shape[0] != 1:
            raise ValueError(
                "Expected a model input that holds one picture, with a batch axis of 1; received an array "
                f"of shape {shape}. For one picture `x` of it, pass `x[np.newaxis]`."
            )
