"""`ActivationModel`: every feature map of a model for an image, from one forward pass, cached.

It runs every forward pass, also those for the depth profile, the model graph of receptive fields and the
contributions to a value, so that there is one lock, one cache and one count.
"""

from __future__ import annotations

import copy
import math
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np

from fmwidget._errors import did_you_mean
from fmwidget.models import backends, introspection
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

from .background import BackgroundCompiler
from .cache import ForwardCache, Stats
from .forward import Forward, measure_eagerly, record_call, run_eagerly, run_recorded
from .layers import FeatureLayer
from .recorder import is_building
from .snapshot_weights import SnapshotWeights

if TYPE_CHECKING:
    from fmwidget.models.backends import StandIns, WeightMonitor
    from fmwidget.snapshots.snapshot import Snapshot

    from .recorder import Call, Visit

DEFAULT_CACHE_BYTES = 512 * 2**20

Array = np.ndarray[Any, Any]
Graph = TypeVar("Graph")
Result = TypeVar("Result")

# The model graph of each model for the latest sizes of its input, and the key it is valid for. It is
# kept with the model, for all activation models of it: `receptive_field(model, path)` creates one each time.
_graphs: weakref.WeakKeyDictionary[keras.Model, tuple[Any, Any]] = weakref.WeakKeyDictionary()


class ActivationModel:
    """Every feature map of a Keras model, read from the model's own forward pass.

    The model is only ever called, in inference mode: never compiled, cloned, renamed, re-wired or trained.
    What its layers write to variables in a call (the state of a recurrent layer, a seed, a counter) is
    undone. A model that branches on its data is always run eagerly.

    One forward pass fills all layers of an image. The first passes run eagerly, so that the first
    maps appear soon; from the second image on a compiled pass is prepared in the background, and used once it
    is ready. Before every request the weights are checked: after any change the maps are computed again.

    The maps before a layer's own activation function are listed too, behind those after it. The first request
    for one of them takes one more pass for the image.

    Args:
        model: A Keras 3 model, on the TensorFlow backend.
        cache_bytes: Memory for feature maps, in bytes. The least recently used images are dropped first; a
            model whose maps do not fit for even one image is run again for each layer requested.

    Raises:
        TypeError: If `model` is not a Keras 3 model.

    Example:
        am = ActivationModel(model)
        maps = am.activations(batch, "conv2d")  # (148, 148, 32), read-only
    """

    def __init__(self, model: keras.Model, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        introspection.require_model(model)
        self._backend = backends.current()
        self.model = model
        self.cache_bytes = cache_bytes
        self.stats = stats = Stats()
        self._cache = ForwardCache(stats)
        self._layers: dict[str, FeatureLayer] = {}
        self._monitor = monitor = self._backend.weight_monitor()
        self._compiler = BackgroundCompiler(model, lambda: _on_compiled(stats, monitor))
        self._snapshot: Snapshot | None = None  # whose weights are read, in place of the model's own
        self._snapshot_weights = SnapshotWeights(model)
        self._live = self
        self._views: weakref.WeakValueDictionary[Snapshot, ActivationModel] = weakref.WeakValueDictionary()
        self._recorded: tuple[Any, Call] | None = None  # the latest call recorded, by batch and path
        self._last: Batch = None
        self._growth = math.inf  # bytes of maps per byte of input
        # The version of the weights and the variables for which all of the above is valid.
        self._version, self._variables = 0, monitor.held.variables
        self._compiler.variables = monitor.held.variables
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        at = "" if self._snapshot is None else f", at {self._snapshot.name!r}"
        return f"ActivationModel({self.model.name!r}{at}, {len(self._layers)} layers seen, {self.stats})"

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot whose weights are used; `None` for the model's own."""
        return self._snapshot

    def at(self, snapshot: Snapshot | None) -> ActivationModel:
        """Return an activation model of the same model, with the weights of a snapshot.

        The model itself keeps its weights. Both share the compiled passes, the cache, the counters and the
        lock, so that a step of training that was seen before is in the cache.

        Args:
            snapshot: The snapshot; `None` for the model's own weights.
        """
        if snapshot is self._snapshot:
            return self
        if snapshot is None:
            return self._live
        with self._lock:
            view = self._views.get(snapshot)
            if view is None:
                view = copy.copy(self)
                vars(view).update(_snapshot=snapshot, _recorded=None)
                self._views[snapshot] = view
            return view

    def evaluate(self, function: Callable[[], Result]) -> Result:
        """Run a function that reads variables of the model: those of the snapshot, if there is one."""
        if self._snapshot is None:
            return function()
        with self._lock:
            return self._backend.isolated(function, is_building, self._weights())

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """The inputs of the model, the one for the image marked."""
        return model_inputs(self.model)

    @property
    def layers(self) -> tuple[FeatureLayer, ...]:
        """The outputs that can be shown, in the order data flows, for the latest image.

        These are all outputs `(batch, height, width, channels)` of every call of a layer or operation, at any
        depth, and for a video, at each time step, the outputs of `TimeDistributed` and `ConvLSTM2D`. The
        steps inside a recurrent layer's loop are not on the list: a compiled pass cannot record them.

        Before the first image, the model is run on one of zeros to list them.
        """
        return self.layers_at(None)

    def layers_at(self, version: int | None) -> tuple[FeatureLayer, ...]:
        """Return `layers`; where `version` is what `version()` has just returned, without another check."""
        with self._lock:
            if version != self._version:
                self._drop_stale()
            if not self._layers:
                self._take_in(self._run_eagerly(empty_batch(self.model), budget=0))
            return tuple(self._layers.values())

    def layer(self, path: str) -> FeatureLayer:
        """Return the layer at a path, as of the latest image.

        Raises:
            ValueError: If `path` is not on the list.
        """
        self._require_path(path)
        return self._layers[path]

    def activations(self, batch: Batch, path: str, *, version: int | None = None) -> Array:
        """Return the feature maps of one layer for one image.

        Args:
            batch: A ready input of the model holding one image: arrays in the structure the model takes,
                each with a batch axis of one. It is identified by its content.
            path: A `FeatureLayer.path`.
            version: What `version()` has just returned, to skip the check of the weights.

        Returns:
            A read-only array `(H, W, C)`, channels last, in the number type that the model computes in.

        Raises:
            ValueError: If `path` is not on the list, or `batch` holds more than one image.
            ForwardError: If the model fails on this input.
        """
        require_one_image(batch)
        maps: Array = self.batch_activations(batch, path, version=version)[0]
        return maps

    def batch_activations(self, batch: Batch, path: str, *, version: int | None = None) -> Array:
        """Return the feature maps of one layer for a batch of any size, from one forward pass.

        Args:
            batch: A ready input of the model, each array with the same batch axis.
            path: As for `activations`, like `version`.
            version: What `version()` has just returned.

        Returns:
            A read-only array `(N, H, W, C)`, channels last.

        Raises:
            ValueError: If `path` is not on the list.
            ForwardError: If the model fails on this input.
        """
        with self._lock:
            tensor = self._forward(batch, path, version).maps[path]
            layer = self._layers[path]
        return layer.examples(self._backend.to_numpy(tensor))

    def predictions(self, batch: Batch, *, version: int | None = None) -> Any:
        """Return the model's own output for one image, from the same forward pass as its maps.

        Args:
            batch: As for `activations`, like `version`.
            version: What `version()` has just returned.

        Returns:
            Arrays in the structure of the model's output, without the batch axis; leaves without one, or that
            are no tensors, as they are.
        """
        return self.predictions_and_layers(batch, version=version)[0]

    def predictions_and_layers(
        self, batch: Batch, *, version: int | None = None
    ) -> tuple[Any, tuple[FeatureLayer, ...]]:
        """Return `predictions`, and the layers of that pass: `layers` may be those of another by now.

        Args:
            batch: As for `activations`, like `version`.
            version: What `version()` has just returned.
        """
        require_one_image(batch)
        with self._lock:
            forward = self._forward(batch, None, version)
        return keras.tree.map_structure(self._first, forward.outputs), forward.layers

    def measure(
        self, batch: Batch, function: Callable[[Array], Any], *, evict: bool = True
    ) -> dict[str, Any]:
        """Apply a function to every layer's maps for one image, those before activations aside.

        Maps that are not all in the cache, since they are more than it may hold, are measured one after
        another in one more pass that keeps none of them.

        Args:
            batch: A ready input of the model, as for `activations`.
            function: Takes maps `(H, W, C)`, channels last.
            evict: Whether the maps may take the place of others in the cache.

        Returns:
            The results, by path, in the order data flows.

        Raises:
            ForwardError: If the model fails on this input.
        """
        require_one_image(batch)
        return self.measure_batch(batch, lambda _, maps: function(maps[0]), evict=evict)

    def measure_batch(
        self, batch: Batch, function: Callable[[str, Array], Any], *, evict: bool = True
    ) -> dict[str, Any]:
        """Apply a function to every layer's maps for a batch of any size, as `measure` does for one image.

        Args:
            batch: A ready input of the model, as for `batch_activations`.
            function: Takes a path, and maps `(N, H, W, C)`, channels last.
            evict: As for `measure`.

        Returns:
            The results, by path, in the order data flows.

        Raises:
            ForwardError: If the model fails on this input.
        """

        def measured(path: str, tensor: Any) -> Any:
            return function(path, layers[path].examples(self._backend.to_numpy(tensor)))

        with self._lock:
            forward = self._forward(batch, None, None, evict=evict)
            layers = {layer.path: layer for layer in forward.layers if layer.after is None}
            if not forward.is_complete:
                self.stats.forwards += 1
                results = measure_eagerly(self.model, batch, measured, self._weights())
                return {path: results[path] for path in layers}
        return {path: measured(path, forward.maps[path]) for path in layers}

    def record(self, batch: Batch, visit: Visit) -> Any:
        """Run one eager forward pass and pass each call it makes to `visit`.

        Args:
            batch: A ready input of the model.
            visit: Called with each finished `Call`.

        Returns:
            What the model returns.

        Raises:
            ForwardError: If the model fails on this input.
        """
        with self._lock:
            self.stats.forwards += 1
            outputs = run_recorded(self.model, batch, visit, weights=self._weights())
            self._adopt_variables()
            return outputs

    def recorded_call(self, batch: Batch, path: str, *, version: int | None = None) -> Call:
        """Return the call that a layer's maps come from; the latest one is kept.

        Args:
            batch: A ready input of the model.
            path: Of maps that are not those before an activation: the call holds both.
            version: What `version()` has just returned, to skip the check of the weights.

        Raises:
            ForwardError: If the model fails on this input.
            LookupError: If it does not make that call.
        """
        with self._lock:
            if version != self._version:
                self._drop_stale()
            key = content_key(batch), path
            if self._recorded is None or self._recorded[0] != key:
                self.stats.forwards += 1
                self._recorded = key, record_call(self.model, batch, path, self._weights())
            return self._recorded[1]

    def model_graph(
        self, batch: Batch | None, build: Callable[[ActivationModel, Batch | None], Graph]
    ) -> Graph:
        """Return the model graph for inputs of the sizes of `batch`; the one of the latest sizes is kept.

        Args:
            batch: A ready input of the model; `None` for any.
            build: Builds the graph from passes that `record` runs.
        """
        sizes = None if batch is None else tuple(np.shape(leaf) for leaf in keras.tree.flatten(batch))
        with self._lock:
            key, graph = _graphs.get(self.model, (None, None))
            if graph is None or key != (sizes, self._layer_ids()):
                graph = build(self, batch)
                _graphs[self.model] = (sizes, self._layer_ids()), graph  # the pass may have created layers
            return graph

    def version(self) -> int:
        """Return a number that changes whenever the weights do: maps of another number are stale."""
        with self._lock:
            self._drop_stale()
            return self._version

    def warm_up(self) -> None:
        """Begin to compile the forward pass for input like the latest, in the background."""
        with self._lock:
            if self._last is not None and math.isfinite(self._growth):
                shapes = input_shapes(self._last, self.inputs)
                self._compiler.begin(self._last, shapes, tuple(self._layers))

    def _forward(self, batch: Batch, path: str | None, version: int | None, *, evict: bool = True) -> Forward:
        """Return the forward pass of a batch: from the cache if it is there, up to date, and holds `path`."""
        if version != self._version:
            self._drop_stale()
        key = self._snapshot and weakref.ref(self._snapshot), content_key(batch)
        forward = self._cache.get(key)
        if forward is not None:
            self._list(forward)
            self._require_path(path)
        if forward is None or (path is not None and path not in forward.maps):
            forward = self._run(batch, path)
            if path in self._layers and path not in forward.maps:
                forward = self._run(batch, path)  # the first pass has listed it as maps before an activation
            # Those of snapshots that a training has dropped would only wait to be evicted.
            self._cache.drop(lambda other: other[0] is not None and other[0]() is None)
            self._cache.put(key, forward, self.cache_bytes, evict=evict)
        else:
            self.stats.hits += 1
        self._require_path(path)
        return forward

    def _run(self, batch: Batch, path: str | None) -> Forward:
        """Run the pass: compiled if it is ready and its maps fit, else eagerly."""
        self._last = batch
        budget = self.cache_bytes
        if path in self._layers and self._layers[path].after is not None:
            return self._take_in(self._run_eagerly(batch, budget=budget, wanted=path, pre_activations=True))
        shapes = input_shapes(batch, self.inputs)
        compiled = self._compiler.ready(shapes)
        if self._growth * input_bytes(batch) <= budget and compiled is not None:
            weights = self._weights()  # outside of `try`: that they cannot be read is no fault of the pass
            try:
                return self._take_in(compiled(batch, weights), compiled=True)
            except Exception as error:  # noqa: BLE001 - an eager pass raises it again, or there is no error
                self._compiler.give_up(shapes, error)
        forward = self._take_in(self._run_eagerly(batch, budget=budget, wanted=path))
        self._growth = forward.nbytes / input_bytes(batch) if forward.is_complete else math.inf
        if self.stats.forwards > 1:
            self.warm_up()
        return forward

    def _run_eagerly(self, batch: Batch, **options: Any) -> Forward:
        if self._snapshot is not None and not self.model.built:
            # The first call creates the variables that the snapshot's values are matched to.
            self._live._take_in(self._live._run_eagerly(batch, budget=0))  # noqa: SLF001 - of this class
        return run_eagerly(self.model, batch, weights=self._weights(), **options)

    def _weights(self) -> StandIns | None:
        """Return stand-ins with the weights of the snapshot; `None` for the model's own."""
        return None if self._snapshot is None else self._snapshot_weights.stand_ins(self._snapshot)

    def _take_in(self, forward: Forward, *, compiled: bool = False) -> Forward:
        self.stats.forwards += 1
        self._list(forward)
        if not compiled:
            self._adopt_variables()
        return forward

    def _adopt_variables(self) -> None:
        """Take note of the variables that the model's first call has created."""
        self._variables = self._compiler.variables = self._monitor.adopt(self.model).variables

    def _list(self, forward: Forward) -> None:
        """List the layers of a pass: those that a model calls, and their sizes, may depend on the image."""
        self._layers = {layer.path: layer for layer in forward.layers}

    def _drop_stale(self) -> None:
        """Drop what is stale: the maps after a change of weights, all after a change of layers.

        An interrupt may come between any two steps. Until the last of them the version stays as it was, so
        that the next request repeats them all.
        """
        self._compiler.last_request = time.monotonic()
        weights = self._monitor.check(self.model)
        if weights.version == self._version:
            return
        if weights.variables is not self._compiler.variables:  # shared with the views of `at`
            self._cache.clear()
            self._compiler.passes.clear()
            self._snapshot_weights.clear()
            self._compiler.variables = weights.variables
        if weights.variables is not self._variables:
            self._layers.clear()
            self._recorded = None
            self._growth = math.inf
        if self._snapshot is None:
            self._cache.drop(lambda key: key[0] is None)
            self._recorded = None
        self._variables = weights.variables
        self._version = weights.version

    def _layer_ids(self) -> tuple[int, ...]:
        return tuple(map(id, introspection.all_sublayers(self.model)))

    def _require_path(self, path: str | None) -> None:
        if path is not None and path not in self._layers:
            hint = did_you_mean(path, self._layers, "`.layers` lists them.")
            raise ValueError(f"The model has no layer {path!r} that can be shown. {hint}")

    def _first(self, output: Any) -> Any:
        """Return a leaf of the model's output for the first example of a batch."""
        if not hasattr(output, "shape"):
            return output
        array = self._backend.to_numpy(output)
        return array[0] if array.ndim else array


def activation_model(model: keras.Model | ActivationModel) -> ActivationModel:
    """Return an `ActivationModel` of a Keras model, or the one that is passed."""
    return model if isinstance(model, ActivationModel) else ActivationModel(model)


def _on_compiled(stats: Stats, monitor: WeightMonitor) -> None:
    # A function of these two arguments, not a method: the compiler's thread must not keep an
    # `ActivationModel` alive.
    stats.traces += 1
    monitor.compile_reader()
