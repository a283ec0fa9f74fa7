"""Predicates and accessors for Keras models: their kind, sublayers, inputs and symbolic graph.

A model is a chain (`Sequential`), a graph (functional) or code (subclassed), built or not, and may hold
models of each kind. Where Keras has no public accessor, its private one is used here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import keras


def is_model(layer: Any) -> bool:
    """Return whether a layer is a model, which may have inputs of its own."""
    return isinstance(layer, keras.Model)


def is_layer(operation: Any) -> bool:
    """Return whether an operation is a layer, which may have weights and sublayers."""
    return isinstance(operation, keras.Layer)


def is_sequential(layer: Any) -> bool:
    """Return whether a layer is a model whose layers form a chain, even before it is built."""
    return isinstance(layer, keras.Sequential)


def has_symbolic_graph(layer: Any) -> bool:
    """Return whether the calls inside a model are available without a forward pass."""
    return is_sequential(layer) or (is_model(layer) and hasattr(layer, "operations"))


def is_recurrent(operation: Any) -> bool:
    """Return whether a layer calls its sublayers in a loop, which is hidden in a compiled forward pass."""
    return isinstance(operation, keras.layers.RNN)


def is_builtin(operation: Any) -> bool:
    """Return whether the class is one of Keras' own, whose behaviour is documented."""
    return type(operation).__module__.startswith("keras.")


def keras_category(layer: Any) -> str:
    """Return the part of `keras.layers` that defines a layer, such as `"pooling"`; `""` for other classes."""
    package, _, rest = type(layer).__module__.partition(".src.layers.")
    return rest.split(".")[0] if package == "keras" else ""


def sublayers(layer: Any) -> list[Any]:
    """Return the direct sublayers of a layer or model."""
    return _flattened(layer, recursive=False)


def all_sublayers(layer: Any) -> list[Any]:
    """Return the sublayers of a layer or model at any depth."""
    return _flattened(layer, recursive=True)


def _flattened(layer: Any, *, recursive: bool) -> list[Any]:
    if not is_layer(layer):
        return []
    return list(layer._flatten_layers(include_self=False, recursive=recursive))  # noqa: SLF001 - nothing public


def operations(layer: Any) -> list[Any]:
    """Return the operations of a model's graph, layers or not; without a graph, its direct sublayers."""
    return list(getattr(layer, "operations", ())) or sublayers(layer)


def input_structure(model: keras.Model) -> Any:
    """Return the symbolic inputs in the structure that the model takes, `None` if it has no graph (yet)."""
    try:  # a Sequential has an `input` only after its first call
        return model.inputs[0] if is_sequential(model) else model.input
    except (AttributeError, ValueError):
        return None


def input_tensors(model: keras.Model) -> list[Any]:
    """Return the symbolic inputs as a list, empty if the model has no graph (yet)."""
    structure = input_structure(model)
    return [] if structure is None else list(keras.tree.flatten(structure))


def built_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Return the 4-D shape, batch axis included, that a model without a graph was built for, or `None`."""
    shapes = (getattr(model, "_build_shapes_dict", None) or {}).values()
    return next(
        (tuple(shape) for shape in shapes if isinstance(shape, tuple | list) and len(shape) == 4), None
    )


def graph_calls(model: keras.Model) -> Iterator[Any]:
    """Yield the calls (`keras.Node`) of a functional model, from its outputs backwards.

    A layer may also have calls in other models; these are left out. A call has the attributes `operation`,
    `arguments`, `input_tensors` and `output_tensors`.
    """
    seen = set(map(id, input_tensors(model)))
    pending = keras.tree.flatten(model.outputs)
    while pending:
        tensor = pending.pop()
        if id(tensor) in seen:
            continue
        operation, index, _ = tensor._keras_history  # noqa: SLF001 - nothing public
        call = operation._inbound_nodes[index]  # noqa: SLF001
        seen.update(map(id, call.output_tensors))
        pending.extend(call.input_tensors)
        yield call


def constants(layer: Any) -> list[Any]:
    """Return the constants among the arguments of a functional model's calls, such as a mean color."""
    if is_sequential(layer) or not has_symbolic_graph(layer):
        return []
    return [
        leaf
        for call in graph_calls(layer)
        for leaf in keras.tree.flatten((call.arguments.args, call.arguments.kwargs))
        if not isinstance(leaf, keras.KerasTensor)
    ]


def model_of(model: Any) -> keras.Model:
    """Return a Keras model, or that of an object with a `model` attribute such as an `ActivationModel`.

    Raises:
        TypeError: If it is not a Keras 3 model.
    """
    model = model if is_model(model) else getattr(model, "model", model)
    require_model(model)
    return model


def require_model(model: object) -> None:
    """Raise `TypeError`, with advice on what to pass instead, unless `model` is a Keras 3 model."""
    if is_model(model):
        return
    kind = model if isinstance(model, type) else type(model)
    origins = tuple(base.__module__ for base in kind.__mro__)
    if _is_from(origins, "torch."):
        part = "module" if _is_from(origins, "torch.nn.") else "object"
        received = f"the PyTorch {'class' if kind is model else part} {kind.__name__}"
        advice = "Only Keras 3 models are supported: build the network in Keras and copy the weights."
    elif _is_from(origins, "tf_keras.", "tensorflow.python.keras."):
        received, advice = _keras_2(kind, is_class=kind is model)
    elif isinstance(model, type | FunctionType):
        name = model.__name__
        received = f"the class {name}" if isinstance(model, type) else f"the function {name!r}"
        advice = "Call it first, if it returns a model: `model = ...()`."
    elif isinstance(model, str | os.PathLike):
        received, advice = f"the path {os.fspath(model)!r}", "Load it first: `keras.models.load_model(path)`."
    elif isinstance(model, keras.Layer):
        received = f"the layer {model.name!r} ({kind.__name__})"
        advice = (
            "Pass the model that contains it, or build one: `keras.Sequential([keras.Input(...), layer])`."
        )
    elif isinstance(model, list | tuple) and any(map(is_layer, model)):
        received, advice = (
            f"a {kind.__name__} of layers",
            "Build a model of them: `keras.Sequential(layers)`.",
        )
    elif _is_from(origins, "tensorflow."):
        received = f"the TensorFlow object {kind.__name__}"
        advice = "The result of `tf.saved_model.load` has no layers: load a `.keras` or `.h5` file instead."
    else:
        received, advice = f"an object of type {kind.__name__}", "Pass the model itself."
    raise TypeError(f"Expected a Keras 3 model, received {received}. {advice}")


def _is_from(origins: tuple[str, ...], *libraries: str) -> bool:
    return any(origin.startswith(libraries) for origin in origins)


def _keras_2(kind: type, *, is_class: bool) -> tuple[str, str]:
    """Return what was received, and advice: Keras 2 is still available as `tf_keras`."""
    if is_class:
        return f"the Keras 2 class {kind.__name__}", "Use that of Keras 3: `import keras`."
    if all(base.__name__ != "Model" for base in kind.__mro__):
        return f"the Keras 2 object {kind.__name__}", "Pass a model built with Keras 3: `import keras`."
    return f"the Keras 2 model {kind.__name__}", (
        "Save it with `model.save('model.h5')` and load that with Keras 3's `keras.models.load_model`; "
        "if Keras 3 cannot read it, build the model in Keras 3 and copy the weights: "
        "`new.set_weights(old.get_weights())`."
    )
