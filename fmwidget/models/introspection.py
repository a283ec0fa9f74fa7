"""What kind of model or layer somebody has, and what it is made of: Keras is asked nowhere else.

A model is a chain (`Sequential`), a graph (functional) or code of its own (subclassed), built or not, and
each may hold the others.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import keras


def is_model(layer: Any) -> bool:
    """Whether a layer is a model: it may have inputs of its own."""
    return isinstance(layer, keras.Model)


def is_layer(operation: Any) -> bool:
    """Whether an operation is a layer: it may have weights, and other layers inside."""
    return isinstance(operation, keras.Layer)


def is_sequential(layer: Any) -> bool:
    """Whether a layer is a model whose layers follow one another, which is known before it is built."""
    return isinstance(layer, keras.Sequential)


def has_symbolic_graph(layer: Any) -> bool:
    """Whether it can be seen without a forward pass which calls a model is made of."""
    return is_sequential(layer) or (is_model(layer) and hasattr(layer, "operations"))


def is_recurrent(operation: Any) -> bool:
    """Whether a layer calls those inside it again and again, in a loop that a compiled pass hides."""
    return isinstance(operation, keras.layers.RNN)


def is_builtin(operation: Any) -> bool:
    """Whether the class is one of Keras' own, so that what is known of it holds."""
    return type(operation).__module__.startswith("keras.")


def keras_category(layer: Any) -> str:
    """The chapter of Keras' own layers that one is from, such as `"pooling"`; empty for any other class."""
    package, _, rest = type(layer).__module__.partition(".src.layers.")
    return rest.split(".")[0] if package == "keras" else ""


def sublayers(layer: Any) -> list[Any]:
    """The layers that a layer or model holds itself, those inside them left out."""
    return _flattened(layer, recursive=False)


def all_sublayers(layer: Any) -> list[Any]:
    """The layers inside a layer or model, at any depth."""
    return _flattened(layer, recursive=True)


def _flattened(layer: Any, *, recursive: bool) -> list[Any]:
    if not is_layer(layer):
        return []
    return list(layer._flatten_layers(include_self=False, recursive=recursive))  # noqa: SLF001 - nothing public


def operations(layer: Any) -> list[Any]:
    """What a model's graph calls, layers or not; without a graph, the layers it holds."""
    return list(getattr(layer, "operations", ())) or sublayers(layer)


def input_structure(model: keras.Model) -> Any:
    """The symbolic inputs in the structure the model takes them in, `None` where it has no graph (yet)."""
    try:  # a Sequential has an `input` only once it was called
        return model.inputs[0] if is_sequential(model) else model.input
    except (AttributeError, ValueError):
        return None


def input_tensors(model: keras.Model) -> list[Any]:
    """The symbolic inputs one by one; none where the model has no graph (yet)."""
    structure = input_structure(model)
    return [] if structure is None else list(keras.tree.flatten(structure))


def built_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """The shape of the maps that a model without a graph was built for, batch axis included."""
    shapes = (getattr(model, "_build_shapes_dict", None) or {}).values()
    pictures = (tuple(each) for each in shapes if isinstance(each, tuple | list) and len(each) == 4)
    return next(pictures, None)


def graph_calls(model: keras.Model) -> Iterator[Any]:
    """The calls a functional model is made of, last ones first; its layers may serve other models too.

    Each has `operation`, `arguments`, `input_tensors` and `output_tensors`.
    """
    seen = set(map(id, input_tensors(model)))
    waiting = keras.tree.flatten(model.outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        operation, index, _ = tensor._keras_history  # noqa: SLF001 - nothing public
        call = operation._inbound_nodes[index]  # noqa: SLF001
        seen.update(map(id, call.output_tensors))
        waiting.extend(call.input_tensors)
        yield call


def constants(layer: Any) -> list[Any]:
    """What a functional model's calls were given beside tensors of its own, such as a mean colour."""
    if is_sequential(layer) or not has_symbolic_graph(layer):
        return []
    given = (keras.tree.flatten((call.arguments.args, call.arguments.kwargs)) for call in graph_calls(layer))
    leaves = itertools.chain.from_iterable(given)
    return [leaf for leaf in leaves if not isinstance(leaf, keras.KerasTensor)]


def model_of(model: Any) -> keras.Model:
    """The model that is given, itself or in something that holds it, such as an `ActivationModel`.

    Raises:
        TypeError: If there is no Keras 3 model.
    """
    model = model if is_model(model) else getattr(model, "model", model)
    require_model(model)
    return model


def require_model(model: object) -> None:
    """Raises `TypeError` with a sentence on what to do, unless `model` is a Keras 3 model."""
    if is_model(model):
        return
    kind = model if isinstance(model, type) else type(model)
    origins = tuple(base.__module__ for base in kind.__mro__)
    if _is_from(origins, "torch."):
        part = "module" if _is_from(origins, "torch.nn.") else "object"
        received = f"the PyTorch {'class' if kind is model else part} {kind.__name__}"
        advice = "Only Keras 3 models can be looked into: build the network there and give it these weights."
    elif _is_from(origins, "tf_keras.", "tensorflow.python.keras."):
        received, advice = _of_keras_2(kind, is_class=kind is model)
    elif isinstance(model, type | FunctionType):
        name = model.__name__
        received = f"the class {name}" if isinstance(model, type) else f"the function {name!r}"
        advice = "Call it first, if it makes a model: `model = ...()`."
    elif isinstance(model, str | os.PathLike):
        received, advice = f"the path {os.fspath(model)!r}", "Load it first: `keras.models.load_model(path)`."
    elif isinstance(model, keras.Layer):
        received = f"the layer {model.name!r} ({kind.__name__})"
        advice = "Pass the model it is in, or make one of it: `keras.Sequential([keras.Input(...), layer])`."
    elif isinstance(model, list | tuple) and any(map(is_layer, model)):
        received, advice = f"a {kind.__name__} of layers", "Make a model of them: `keras.Sequential(layers)`."
    elif _is_from(origins, "tensorflow."):
        received = f"the TensorFlow object {kind.__name__}"
        advice = "What `tf.saved_model.load` returns has no layers any more: load a `.keras` or `.h5` file."
    else:
        received, advice = f"an object of type {kind.__name__}", "Pass the model itself."
    raise TypeError(f"Expected a Keras 3 model, received {received}. {advice}")


def _is_from(origins: tuple[str, ...], *libraries: str) -> bool:
    return any(origin.startswith(libraries) for origin in origins)


def _of_keras_2(kind: type, *, is_class: bool) -> tuple[str, str]:
    """What was received, and what to do: Keras 2 is still to be had as `tf_keras`."""
    if is_class:
        return f"the Keras 2 class {kind.__name__}", "Keras 3 has one of its own: `import keras`."
    if all(base.__name__ != "Model" for base in kind.__mro__):
        return (
            f"the Keras 2 object {kind.__name__}",
            "Pass a model that is made of Keras 3's: `import keras`.",
        )
    return f"the Keras 2 model {kind.__name__}", (
        "Save it with `model.save('model.h5')` and load that with Keras 3's `keras.models.load_model`; "
        "where Keras 3 cannot read it, build the model anew and give it the weights: "
        "`new.set_weights(old.get_weights())`."
    )
