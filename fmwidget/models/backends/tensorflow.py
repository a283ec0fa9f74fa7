"""The one place that names Keras' backend: compiling a forward pass, and watching weights for change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fmwidget.models import introspection

Tensor = Any
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def require_tensorflow() -> None:
    """Raises `RuntimeError` where Keras runs on another backend than TensorFlow."""
    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            f"fmwidget needs Keras on its TensorFlow backend; this session runs it on "
            f"{keras.config.backend()!r}. Set the environment variable KERAS_BACKEND to 'tensorflow' before "
            "Keras is imported."
        )


def graph_scope() -> object:
    """The graph that the current thread builds, or `None` while it runs eagerly."""
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def compile_function(
    function: Callable[[Any], Any], batch: Any, shapes: Sequence[tuple[int | None, ...]]
) -> Callable[[Any], Any]:
    """Compiles `function` for batches like `batch`, tracing it now.

    Autograph stays off: it would move Python branches of a model's own code into graphs of their own, where
    their tensors cannot be captured. A model whose branches depend on data therefore fails here. The graph
    optimizer stays off too, or the numbers would be its own and not the model's: it fuses a convolution with
    its ReLU into one kernel that turns NaN into 0, and divides by multiplying, which half precision feels.
    With every map captured it has little left to win: a pass takes as long, compiling it less.

    Args:
        function: Takes a model input (tensors in any structure) and returns tensors in any structure; what
            else it returns stays as it is.
        batch: An example of that input.
        shapes: The shape of each tensor of the input; entries may be `None`.
    """
    arrays = keras.tree.flatten(batch)
    specs = [tf.TensorSpec(shape, array.dtype) for array, shape in zip(arrays, shapes, strict=True)]
    structure: Any = None  # of what the function returns, with `_TENSOR` for each tensor

    def flat(*tensors: Tensor) -> list[Tensor]:
        nonlocal structure
        result = function(keras.tree.pack_sequence_as(batch, tensors))
        structure = keras.tree.map_structure(lambda each: _TENSOR if hasattr(each, "shape") else each, result)
        return [each for each in keras.tree.flatten(result) if hasattr(each, "shape")]

    concrete = tf.function(flat, autograph=False).get_concrete_function(*specs)
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    settings = {
        "Tout": [tensor.dtype for tensor in concrete.outputs],
        "f": concrete,
        "config": "",
        "config_proto": config.SerializeToString(),
        "executor_type": "",
    }

    def compiled(batch: Any) -> Any:
        arrays = keras.tree.flatten(batch)
        tensors = [tf.convert_to_tensor(array, spec.dtype) for array, spec in zip(arrays, specs, strict=True)]
        results = tf.raw_ops.StatefulPartitionedCall(args=[*tensors, *concrete.captured_inputs], **settings)
        left = iter(results)
        leaves = [next(left) if each is _TENSOR else each for each in keras.tree.flatten(structure)]
        return keras.tree.pack_sequence_as(structure, leaves)

    return compiled


_TENSOR = object()


def nbytes(tensor: Tensor) -> int:
    """Bytes that a tensor's values take."""
    return math.prod(map(int, tensor.shape)) * int(tensor.dtype.size)


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's values, read-only: its own memory where numpy can read that, else a copy."""
    array = np.asarray(memoryview(tensor) if tensor.dtype in _BUFFER_DTYPES else tensor.numpy())
    array.flags.writeable = False
    return array


class Weights(NamedTuple):
    """The weights of a model as they were last read.

    Attributes:
        variables: The variables that hold them; the same list for as long as there are no others.
        values: The memory that each was read as.
        places: Its address.
        version: A number that is another after every change.
    """

    variables: list[tf.Variable]
    values: list[Bytes]
    places: list[int]
    version: int


class WeightWatch:
    """Tells exactly whether any weight of a model has changed since it was last asked.

    It holds the tensor that each variable was last read as. Reading copies nothing, and as long as the tensor
    is held TensorFlow writes new values elsewhere; so a buffer in the same place is unchanged, and only one
    that moved has to be compared. The old values stay in memory until the next look.

    Attributes:
        held: The weights as of the last look.
    """

    def __init__(self) -> None:
        self.held = Weights([], [], [], 0)
        self._compiled: tuple[list[tf.Variable], Callable[[], list[Tensor]]] = [], list

    def look(self, model: keras.Model) -> Weights:
        """The weights as they are now, under another version where they have changed since the last look.

        An interrupt may come between any two steps: only the last one changes what is held.
        """
        old, variables = self.held, _variables(model)
        if not _are_same(variables, old.variables):
            self.held = self._read(variables, old.version + 1)
            return self.held
        new = self._read(old.variables, old.version)
        moved = [at for at, place in enumerate(old.places) if place != new.places[at]]
        large = [at for at in moved if old.values[at].nbytes > _CHUNK]
        for at in large:
            # Once a part of a variable was written to, TensorFlow copies it at every read, until told not to.
            tf.raw_ops.DisableCopyOnRead(resource=old.variables[at].handle)
        if large:
            new = self._read(old.variables, old.version)
        moved.sort(key=lambda at: old.values[at].nbytes)
        if not all(_is_same(new.values[at], old.values[at]) for at in moved):
            new = new._replace(version=old.version + 1)
        self.held = new
        return new

    def adopt(self, model: keras.Model) -> Weights:
        """Takes in weights the model has gained, such as by being built in its first call: no change."""
        variables = _variables(model)
        if not _are_same(variables, self.held.variables):
            self.held = self._read(variables, self.held.version)
        return self.held

    def compile(self) -> None:
        """Makes ready a way to read all variables at once, which takes a fifth of the time."""
        variables = self.held.variables
        if variables:
            read = compile_function(lambda _: _read(variables), (), ())
            self._compiled = variables, lambda: read(())

    def _read(self, variables: list[tf.Variable], version: int) -> Weights:
        # It may have been set on another thread, for variables that are no longer these.
        compiled_for, read = self._compiled
        tensors = read() if compiled_for is variables else _read(variables)
        values = list(map(_bytes, tensors))
        return Weights(variables, values, [value.__array_interface__["data"][0] for value in values], version)


def _are_same(some: list[tf.Variable], others: list[tf.Variable]) -> bool:
    return list(map(id, some)) == list(map(id, others))


def _variables(model: keras.Model) -> list[tf.Variable]:
    """Every variable a forward pass may read: Keras' own, what recurrent layers carry on, and raw ones."""
    found = [variable.value for variable in model.variables]
    for layer in (model, *introspection.all_sublayers(model)):
        if not introspection.is_builtin(layer):  # Keras' own hold no raw ones
            found += _raw(vars(layer))
        if getattr(layer, "stateful", False):
            held = keras.tree.flatten(getattr(layer, "states", None))
            found += [each.value for each in held if isinstance(each, keras.Variable)]
    return found


def _raw(held: Any) -> Iterator[tf.Variable]:
    """TensorFlow's own variables among attributes, in lists and dicts too."""
    if isinstance(held, tf.Variable):
        yield held
    elif isinstance(held, dict | list | tuple):
        # Copied at once: a training loop on another thread may set attributes meanwhile.
        for each in list(held.values() if isinstance(held, dict) else held):
            yield from _raw(each)


def _read(variables: list[tf.Variable]) -> list[Tensor]:
    return [tf.raw_ops.ReadVariableOp(resource=each.handle, dtype=each.dtype) for each in variables]


def _is_same(a: Bytes, b: Bytes) -> bool:
    """Whether two memories hold the same, found out part by part: most changes show in the first."""
    return all(np.array_equal(a[at : at + _CHUNK], b[at : at + _CHUNK]) for at in range(0, len(a), _CHUNK))


_CHUNK = 2**20


def _bytes(tensor: Tensor) -> Bytes:
    """The tensor's own memory, without a copy."""
    if tensor.dtype not in _BUFFER_DTYPES:
        tensor = tf.bitcast(tensor, tf.uint8 if tensor.dtype.size == 1 else tf.uint16)
    return np.asarray(memoryview(tensor)).reshape(-1).view(np.uint8)


# TensorFlow exports these to Python's buffer protocol; bfloat16 and the 8-bit floats it does not.
_BUFFER_DTYPES = frozenset(
    {tf.bool, tf.float16, tf.float32, tf.float64, tf.complex64, tf.complex128}
    | {tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64}
)
