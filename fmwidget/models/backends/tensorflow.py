"""The TensorFlow backend: compile a pass, isolate what it writes, watch the weights, read tensors.

No other module of the package imports TensorFlow. The interface is `models.backends.Backend`.

Variables are the difficult part. A forward pass may write to some (stateful recurrent layers, seeds, a
counter of a custom layer) and must not: it would advance the model's state, and to put old values back
afterwards would undo what a training loop on another thread has written meanwhile. Every read and write of a
`tf.Variable` goes by its handle, a reference to the resource that holds the value. So a pass is given other
handles: an eager pass through a property in the place of the attribute `_handle`, a compiled pass through
its captured inputs. That serves other weights as well: the handles of stand-ins that hold them.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf

from fmwidget._buffers import CHUNK, Bytes, same_bytes
from fmwidget.models import introspection
from fmwidget.models.patching import Wrappers

Tensor = Any
Result = TypeVar("Result")

# ------------------------------------------------------------------ tensors

# TensorFlow exports these to Python's buffer protocol, but not bfloat16 and the 8-bit floats.
_BUFFER_DTYPES = frozenset(
    {tf.bool, tf.float16, tf.float32, tf.float64, tf.complex64, tf.complex128}
    | {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64}
)


def graph_scope() -> object:
    """Return the graph that the current thread builds, or `None` while it runs eagerly."""
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def nbytes(tensor: Tensor) -> int:
    """Return the bytes that a tensor's values take."""
    return math.prod(map(int, tensor.shape)) * int(tensor.dtype.size)


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor's values, read-only: its own memory where numpy can read that, else a copy."""
    array = np.asarray(memoryview(tensor) if tensor.dtype in _BUFFER_DTYPES else tensor.numpy())
    array.flags.writeable = False
    return array


def readable_message(message: str) -> str:
    """Return the message of an error without node names, and with advice where the device is the cause."""
    text = re.sub(r"\{\{.*?\}\} |\[Op:.*?\].*$", "", message, flags=re.DOTALL).strip()
    if "NHWC" not in text:
        return text
    return (
        f"{text} (On this device TensorFlow computes the layer with channels last only: run the model on a "
        "GPU, or build it with `data_format='channels_last'`.)"
    )


# ------------------------------------------------------------------ variables in place of others


class StandIns:
    """Variables that a pass reads and writes in place of the model's own.

    Args:
        variables: The model's variables.
        values: A tensor or array for each.
    """

    def __init__(self, variables: Sequence[tf.Variable], values: Sequence[Any]) -> None:
        pairs = zip(variables, values, strict=True)
        # Each variable is kept beside its stand-in, so that its id stays its own.
        self.of = {id(variable): (variable, _stand_in(variable, value)) for variable, value in pairs}

    def load(self, values: Sequence[Any]) -> None:
        """Assign other values to the stand-ins, a tensor or array to each, in the order of the variables."""
        for (_, stand_in), value in zip(self.of.values(), values, strict=True):
            # `stand_in.assign(value)` takes three times as long, and there may be hundreds.
            tensor = tf.convert_to_tensor(value, stand_in.dtype)
            tf.raw_ops.AssignVariableOp(resource=stand_in.handle, value=tensor)

    def handles(self) -> dict[int, Tensor]:
        """Return the handle of each stand-in by the id of the handle that it replaces."""
        return {id(variable.handle): stand_in.handle for variable, stand_in in self.of.values()}


def stand_ins(variables: Sequence[tf.Variable], values: Sequence[Any]) -> StandIns:
    """Return stand-ins for variables, to run a pass with other weights."""
    return StandIns(variables, values)


def _stand_in(variable: tf.Variable, value: Any) -> tf.Variable:
    return tf.Variable(value, dtype=variable.dtype, trainable=False, shape=variable.shape)


def named_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Return every variable that a forward pass may read, by a name of its own.

    These are the model's weights, seeds and states under their paths in Keras, and TensorFlow variables of
    custom layers under TensorFlow's names. A name that occurs again is numbered.
    """
    paths = {id(variable.value): variable.path for variable in model.variables}
    named: dict[str, tf.Variable] = {}
    seen: Counter[str] = Counter()
    for variable in {id(each): each for each in _variables(model)}.values():
        name = paths.get(id(variable)) or variable.name.partition(":")[0]
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name} ({seen[name]})"] = variable
    return named


def read(variables: Sequence[tf.Variable]) -> list[Tensor]:
    """Return the values of variables as they are now, without a copy.

    As long as such a tensor is held, TensorFlow writes new values of its variable elsewhere.
    """
    return [tf.raw_ops.ReadVariableOp(resource=each.handle, dtype=each.dtype) for each in variables]


class _Pass(threading.local):
    """The isolated pass on this thread, if one is under way."""

    is_building: Callable[[], bool] | None = None  # set for as long as the pass lasts
    stand_ins: Mapping[int, tuple[tf.Variable, tf.Variable]] = {}  # by the id of the variable
    written: frozenset[int] = frozenset()  # ids of variables whose stand-in is this pass's own
    traced: dict[int, tf.Variable] | None = None  # variables that the graph being traced writes to


_pass = _Pass()


def isolated(
    function: Callable[[], Result], is_building: Callable[[], bool], weights: StandIns | None = None
) -> Result:
    """Run a function whose writes to existing variables no other thread sees, nor this one afterwards.

    Functions that the user compiled with `@tf.function` run as plain Python meanwhile, so that the calls in
    them can be recorded; those of Keras and TensorFlow stay compiled.

    Args:
        function: The function to run, usually one forward pass.
        is_building: Returns whether a layer is creating its weights at the moment. Those writes are kept.
        weights: Stand-ins to read in place of the model's variables; the model's own if `None`.

    Returns:
        The function's result.
    """

    def run() -> Result:
        try:
            _pass.stand_ins, _pass.written = {} if weights is None else weights.of, frozenset()
            _pass.is_building = is_building
            return function()
        finally:
            _pass.is_building = None
            _pass.stand_ins, _pass.written = {}, frozenset()

    return _patches().around(run)


def _writing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method that writes to a variable: the first write of a pass gives it a stand-in.

    While a graph is traced the write is recorded in the graph, and the variable is listed: each run of the
    graph receives the handle of a stand-in instead.
    """

    def write(self: tf.Variable, *args: Any, **kwargs: Any) -> Any:
        if _pass.is_building is None or _pass.is_building():
            return original(self, *args, **kwargs)
        if tf.executing_eagerly():
            if id(self) not in _pass.written:
                own = self, _stand_in(self, self.read_value())
                _pass.stand_ins = {**_pass.stand_ins, id(self): own}
                _pass.written |= {id(self)}
        elif _pass.traced is not None:
            _pass.traced[id(self)] = self
        return original(self, *args, **kwargs)

    return write


def _redirected(_: None) -> property:
    """Return a property in the place of the attribute `_handle` that variables have as instances.

    It must be that attribute: the public property `handle` reads it, and TensorFlow's C++ fast path, which
    converts a variable among the arguments of an operation (`x * variable`), reads it directly.
    """

    def get(self: tf.Variable) -> Any:
        if _pass.is_building is not None and id(self) in _pass.stand_ins:
            _, self = _pass.stand_ins[id(self)]
        return self.__dict__["_handle"]

    def set_(self: tf.Variable, handle: Any) -> None:
        self.__dict__["_handle"] = handle

    return property(get, set_)


def _inlined(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the call of a `tf.function`: the user's own run as plain Python in an isolated pass."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _pass.is_building is None or _is_library_code(self.python_function):
            return original(self, *args, **kwargs)
        return self.python_function(*args, **kwargs)

    return call


def _is_library_code(function: Callable[..., Any]) -> bool:
    module = str(getattr(inspect.unwrap(function), "__module__", ""))
    return module.startswith(("keras.", "tensorflow."))


_WRITES = ("assign", "scatter_", "batch_scatter_", "_strided_slice_assign")


@functools.cache
def _patches() -> Wrappers:
    """Return the patches of an isolated pass.

    They are created when first needed: creating a variable initializes TensorFlow's devices, which users
    configure before.
    """
    classes = type(tf.Variable(0.0)).__mro__
    # Variables made inside a `tf.function`, as when `fit` builds a model, are of another class, which has
    # the one with handles in common with those made outside.
    with_handles = next(each for each in classes if "handle" in vars(each))
    owners = classes[: classes.index(with_handles) + 1]
    function = type(tf.function(lambda: None))
    writes = ((owner, name) for owner in owners for name in vars(owner) if name.startswith(_WRITES))
    return Wrappers(
        (with_handles, "_handle", _redirected),
        *((owner, name, _writing) for owner, name in writes),
        (function, "__call__", _inlined),
    )


# ------------------------------------------------------------------ compiled passes

_TENSOR = object()  # stands for a tensor in the structure of a result


def compile_function(
    function: Callable[[Any], Any], batch: Any, shapes: Sequence[tuple[int | None, ...]]
) -> Callable[..., Any]:
    """Compile `function` for batches like `batch`, tracing it now.

    Autograph stays off: it would move Python branches of a model's own code into graphs of their own, where
    their tensors cannot be captured. A model whose branches depend on data therefore fails here. The graph
    optimizer stays off too, or the numbers would be its own and not the model's: it fuses a convolution with
    its ReLU into one kernel that turns NaN into 0, and divides by multiplying, which changes results in half
    precision. With every map captured it saves nothing: a pass takes as long without it, and compiling takes
    less.

    Args:
        function: Takes a model input (tensors in any structure) and returns tensors in any structure; leaves
            that are no tensors are returned as they are.
        batch: An example of that input.
        shapes: The shape of each tensor of the input; entries may be `None`.

    Returns:
        `compiled(batch, weights=None)`. `weights` are `StandIns` to read in place of the variables that
        `function` reads, which are read as they are at each run otherwise. Variables that it writes to keep
        their values: each run writes to copies.
    """
    arrays = keras.tree.flatten(batch)
    specs = [tf.TensorSpec(shape, array.dtype) for array, shape in zip(arrays, shapes, strict=True)]
    structure: Any = None  # of the result, with `_TENSOR` for each tensor

    def flat(*tensors: Tensor) -> list[Tensor]:
        nonlocal structure
        result = function(keras.tree.pack_sequence_as(batch, tensors))
        structure = keras.tree.map_structure(lambda leaf: _TENSOR if hasattr(leaf, "shape") else leaf, result)
        return [leaf for leaf in keras.tree.flatten(result) if hasattr(leaf, "shape")]

    traced: dict[int, tf.Variable] = {}
    try:
        _pass.traced = traced
        concrete = tf.function(flat, autograph=False).get_concrete_function(*specs)
    finally:
        _pass.traced = None
    written = list(traced.values())
    copies = StandIns(written, [variable.read_value() for variable in written])
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    settings = {
        "Tout": [tensor.dtype for tensor in concrete.outputs],
        "f": concrete,
        "config": "",
        "config_proto": config.SerializeToString(),
        "executor_type": "",
    }

    def captured(weights: StandIns | None) -> list[Tensor]:
        handles = {} if weights is None else weights.handles()
        if written:
            replaced = {} if weights is None else weights.of
            copies.load([replaced.get(id(each), (each, each))[1].read_value() for each in written])
            handles |= copies.handles()
        inputs = concrete.captured_inputs
        return [handles.get(id(each), each) for each in inputs] if handles else list(inputs)

    def compiled(batch: Any, weights: StandIns | None = None) -> Any:
        arrays = keras.tree.flatten(batch)
        tensors = [tf.convert_to_tensor(array, spec.dtype) for array, spec in zip(arrays, specs, strict=True)]
        results = tf.raw_ops.StatefulPartitionedCall(args=[*tensors, *captured(weights)], **settings)
        remaining = iter(results)
        leaves = [next(remaining) if each is _TENSOR else each for each in keras.tree.flatten(structure)]
        return keras.tree.pack_sequence_as(structure, leaves)

    return compiled


# ------------------------------------------------------------------ watching the weights


class HeldWeights(NamedTuple):
    """The weights of a model as they were last read.

    Attributes:
        variables: The variables that hold them; the same list for as long as there are no others.
        values: The memory that each was read as.
        addresses: Its address.
        version: A number that differs after every change.
    """

    variables: list[tf.Variable]
    values: list[Bytes]
    addresses: list[int]
    version: int


class WeightMonitor:
    """Exact detection of changes of a model's weights from one check to the next.

    It holds the tensor that each variable was last read as. Reading copies nothing, and as long as the tensor
    is held TensorFlow writes new values elsewhere; so a buffer at the same address is unchanged, and only one
    that moved has to be compared. The old values stay in memory until the next check.

    Attributes:
        held: The weights as of the last check.
    """

    def __init__(self) -> None:
        self.held = HeldWeights([], [], [], 0)
        self._compiled: tuple[list[tf.Variable], Callable[[], list[Tensor]]] = [], list

    def check(self, model: keras.Model) -> HeldWeights:
        """Return the weights as they are now, under a new version where they have changed.

        An interrupt may come between any two steps: only the last one changes what is held.
        """
        old, variables = self.held, _variables(model)
        if not _are_same(variables, old.variables):
            self.held = self._read(variables, old.version + 1)
            return self.held
        new = self._read(old.variables, old.version)
        moved = [at for at, address in enumerate(old.addresses) if address != new.addresses[at]]
        large = [at for at in moved if old.values[at].nbytes > CHUNK]
        for at in large:
            # Once a part of a variable was written to, TensorFlow copies it at every read, unless this is
            # disabled.
            tf.raw_ops.DisableCopyOnRead(resource=old.variables[at].handle)
        if large:
            new = self._read(old.variables, old.version)
        moved.sort(key=lambda at: old.values[at].nbytes)
        if not all(same_bytes(new.values[at], old.values[at]) for at in moved):
            new = new._replace(version=old.version + 1)
        self.held = new
        return new

    def adopt(self, model: keras.Model) -> HeldWeights:
        """Add variables that the model has gained, such as in its first call, without a new version."""
        variables = _variables(model)
        if not _are_same(variables, self.held.variables):
            self.held = self._read(variables, self.held.version)
        return self.held

    def compile_reader(self) -> None:
        """Prepare one graph that reads all variables at once, which takes a fifth of the time."""
        variables = self.held.variables
        if variables:
            compiled = compile_function(lambda _: read(variables), (), ())
            self._compiled = variables, lambda: compiled(())

    def _read(self, variables: list[tf.Variable], version: int) -> HeldWeights:
        # The reader may have been set on another thread, for variables that are no longer these.
        compiled_for, read_all = self._compiled
        tensors = read_all() if compiled_for is variables else read(variables)
        values = list(map(_bytes, tensors))
        addresses = [value.__array_interface__["data"][0] for value in values]
        return HeldWeights(variables, values, addresses, version)


def weight_monitor() -> WeightMonitor:
    """Return a monitor that has seen no weights yet."""
    return WeightMonitor()


def _are_same(some: list[tf.Variable], others: list[tf.Variable]) -> bool:
    return list(map(id, some)) == list(map(id, others))


def _variables(model: keras.Model) -> list[tf.Variable]:
    """Return every variable a forward pass may read: Keras' own, states of recurrent layers, raw ones."""
    found = [variable.value for variable in model.variables]
    for layer in (model, *introspection.all_sublayers(model)):
        if not introspection.is_builtin(layer):  # Keras' own layers hold no raw ones
            found += _raw_variables(vars(layer))
        if getattr(layer, "stateful", False):
            states = keras.tree.flatten(getattr(layer, "states", None))
            found += [state.value for state in states if isinstance(state, keras.Variable)]
    return found


def _raw_variables(attributes: Any) -> Iterator[tf.Variable]:
    """Yield TensorFlow's own variables among attributes, in lists and dicts too."""
    if isinstance(attributes, tf.Variable):
        yield attributes
    elif isinstance(attributes, dict | list | tuple):
        # Copied at once: a training loop on another thread may set attributes meanwhile.
        for value in list(attributes.values() if isinstance(attributes, dict) else attributes):
            yield from _raw_variables(value)


def _bytes(tensor: Tensor) -> Bytes:
    """Return the tensor's own memory, without a copy."""
    if tensor.dtype not in _BUFFER_DTYPES:
        tensor = tf.bitcast(tensor, tf.uint8 if tensor.dtype.size == 1 else tf.uint16)
    return np.asarray(memoryview(tensor)).reshape(-1).view(np.uint8)
