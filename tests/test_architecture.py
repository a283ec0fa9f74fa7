"""Which module may import what: one direction, from pictures to the widget."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fmwidget"

# Each module and what it may import of the package, in the order data flows.
INSIDE: dict[str, set[str]] = {
    "_quiet": set(),
    # pictures
    "pixels": set(),
    "decoding": {"pixels"},
    "picture": {"decoding", "pixels"},
    "images": {"picture", "pixels"},
    "samples": {"_quiet", "images"},
    # from a picture to what the model is given
    "kinds": set(),
    "layout": set(),
    "inputs": {"kinds", "layout"},
    "families": {"kinds"},
    "scaling": {"families", "inputs", "kinds"},
    "preprocessing": {"images", "scaling"},
    # from there to feature maps
    "preactivation": {"kinds"},
    "wrapping": set(),
    "capture": {"preactivation", "wrapping"},
    "state": {"wrapping"},
    "backend": {"kinds"},
    "layers": {"capture", "kinds", "layout", "preactivation"},
    "forward": {"backend", "capture", "inputs", "layers", "state"},
    "compiling": {"forward", "inputs"},
    "activations": {"backend", "compiling", "forward", "hints", "inputs", "kinds", "layers", "layout"},
    "windows": set(),
    "relations": {"layout", "windows"},
    "reach": {"layout", "relations", "windows"},
    "wiring": {"backend", "capture", "forward", "inputs", "kinds", "layers", "layout", "reach", "relations"},
    "receptive_fields": {"inputs", "relations", "windows", "wiring"},
    "seeing": {"inputs", "receptive_fields", "relations", "windows", "wiring"},
    "contributions": {"backend", "layout", "reach"},
    "batch": {"images", "inputs", "layout", "pixels", "preprocessing"},
    # from feature maps to what is drawn
    "channels": set(),
    "normalization": {"channels"},
    "hints": set(),
    "sampling": set(),
    "grid": {"sampling"},
    "png": {"hints", "normalization"},
    "text": set(),
    "page": {"channels", "grid", "png", "text"},
    "drawing": {"channels", "grid", "normalization", "page", "png", "sampling", "text"},
    "figure": {"channels", "drawing", "grid", "normalization", "page", "png", "text"},
    "profile": {"activations", "channels", "inputs"},
    "profile_drawing": {"channels", "grid", "page", "png", "profile", "text"},
    # the two ways to look: from a script, and from a notebook
    "plots": {
        *("activations", "batch", "channels", "figure", "grid", "images", "layers", "normalization"),
        *("profile", "profile_drawing"),
    },
    "frontend": set(),
    "messages": set(),
    "pieces": {"frontend", "messages"},
    "view": {"frontend", "messages", "pieces"},
    "naming": {"frontend", "pieces"},
    "saving": {"frontend", "messages", "pieces"},
    "live": set(),
    "lifetime": {"live"},
    "incoming": {"messages", "pieces"},
    "status": set(),
    "visible": set(),
    "training": {"activations"},
    "memo": set(),
    "looking": {
        *("activations", "batch", "channels", "grid", "images", "inputs", "layers", "layout", "memo"),
        *("messages", "preprocessing", "profile"),
    },
    "choices": {"hints"},
    "upload": {"frontend", "images", "messages", "pieces"},
    "fields": set(),
    "player": {"frontend", "pieces"},
    "depth": {"fields", "layers", "page"},
    "controls": {
        *("channels", "depth", "fields", "images", "layers", "looking", "normalization", "preprocessing"),
        *("player", "saving", "upload", "view"),
    },
    "film": {"figure", "hints", "looking", "messages", "png"},
    "readout": {"channels", "drawing", "sampling"},
    "lookout": {"inputs", "looking", "receptive_fields", "seeing", "wiring"},
    "tracing": {"looking", "lookout", "pointing", "sampling", "seeing"},
    "column": {"frontend", "looking", "page", "pieces", "sampling", "tracing"},
    "terms": {"contributions", "page", "readout"},
    "panels": {
        *("channels", "figure", "grid", "layers", "looking", "memo", "readout", "sampling"),
        *("tracing", "view"),
    },
    "zoom": {
        *("channels", "drawing", "figure", "frontend", "looking", "memo", "messages", "page"),
        *("readout", "sampling", "view"),
    },
    "pointing": {"looking", "messages", "sampling", "view"},
    "saved": {"page", "png"},
    "overlay": {
        *("channels", "drawing", "figure", "looking", "lookout", "memo", "page", "panels", "png"),
        *("receptive_fields", "sampling", "tracing"),
        *("preprocessing", "view"),
    },
    "numbers": {"channels", "figure", "looking", "memo", "normalization", "page", "panels", "png", "view"},
    "answer": {"looking", "memo", "numbers", "page"},
    "profile_panel": {
        *("figure", "looking", "memo", "messages", "panels", "profile", "profile_drawing", "view"),
    },
    "origin": {
        *("backend", "contributions", "forward", "inputs", "layers", "layout", "looking", "memo"),
        *("preactivation", "sampling", "terms"),
    },
    "exploring": {"looking", "lookout", "overlay", "panels", "pointing", "sampling", "tracing", "zoom"},
    "__main__": set(),
}
INSIDE["widget"] = set(INSIDE) - {"__main__"}
INSIDE["__init__"] = {"_quiet", "activations", "plots", "profile", "receptive_fields", "samples", "widget"}

# Packages that only some modules may import.
MODEL_SIDE = {
    "activations",
    "backend",
    "batch",
    "capture",
    "compiling",
    "contributions",
    "families",
    "forward",
    "inputs",
    "kinds",
    "layers",
    "layout",
    "preactivation",
    "reach",
    "scaling",
    "wiring",
}
OUTSIDE = {
    "anywidget": {"pieces"},
    "ipywidgets": {
        "answer",
        "column",
        "controls",
        "depth",
        "fields",
        "incoming",
        "lifetime",
        "live",
        "numbers",
        "origin",
        "overlay",
        "panels",
        "pieces",
        "profile_panel",
        "status",
        "view",
        "visible",
        "widget",
    },
    "jax": {"backend"},
    "jupyterlab": {"__main__"},
    "keras": MODEL_SIDE | {"lookout", "origin", "plots", "samples", "widget"},
    "matplotlib": {"figure", "plots", "png", "text"},
    "tensorflow": {"backend", "state"},
    "torch": {"backend"},
}

# Who may know one kind of model or layer from another, and what for. A new kind of layer is a line in one of
# these; all else works with calls, tensors and `FeatureLayer`s, whatever model they are from.
ASKING = {
    "kinds": "is asked by the others what a model is and what it is made of",
    "inputs": "knows which layers hand a picture on in its size, to guess that of a model not built yet",
    "families": "knows published networks by their first layers",
    "scaling": "knows the layers that rescale pictures",
    "preactivation": "knows which layers end in an activation function",
    "layout": "knows where layers say that their channels are, and which of them go through time",
    "layers": "knows whether a layer has filters",
    "reach": "knows what part of its input each kind of layer sees",
    "contributions": "knows the layers whose sums it takes apart",
    "backend": "knows where layers keep variables that Keras does not count",
    "training": "knows where a model that is compiled counts its steps",
}

# What tells one kind of model from another: parts of Keras that only some have, or that are private.
_REVEALING = {
    *("Functional", "Sequential", "_build_shapes_dict", "_flatten_layers", "_functional", "_inbound_nodes"),
    *("_keras_history", "_layers_dict", "_nodes", "_operations", "_outbound_nodes", "operations"),
    *("get_layer", "stateful"),
}
_OBJECTS = {"layer", "model", "operation"}

MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imports(module: str) -> set[str]:
    """Dotted names of all that a module imports, anywhere in it and for types alone too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = ["fmwidget"] if node.level else []
            parts += [node.module] if node.module else []
            names |= {".".join([*parts, alias.name]) for alias in node.names}
    return names


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_comes_before_it(module):
    assert module in INSIDE, f"say in this test what {module}.py may import"
    inside = {name.split(".")[1] for name in imports(module) if name.startswith("fmwidget.")}
    assert inside <= INSIDE[module]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_to_its_own_libraries(module):
    outside = {name.split(".")[0] for name in imports(module)}
    assert {name for name in outside & OUTSIDE.keys() if module not in OUTSIDE[name]} == set()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_pyplot(module):
    assert [name for name in imports(module) if "pyplot" in name] == []


def questions(tree: ast.AST) -> list[str]:
    """What in a module tells one kind of model or layer from another; annotations tell nothing."""
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("keras"), attr=("layers" | "models" | "src" | "Sequential")):
                found.append(ast.unparse(node))
            case ast.Attribute(attr=name) if name in _REVEALING:
                found.append(ast.unparse(node))
            case ast.Call(ast.Name("isinstance" | "issubclass"), [_, kinds]) if "keras." in ast.unparse(
                kinds
            ):
                found.append(ast.unparse(node))
            case ast.Call(ast.Name("getattr" | "hasattr" | "vars" | "dir"), [owner, *_]):
                last = getattr(owner, "attr", getattr(owner, "id", ""))
                if last in _OBJECTS:
                    found.append(ast.unparse(node))
            case ast.Compare() if {"type_name", "__name__"} & names_in(node):
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] == "keras":
                found.append(ast.unparse(node))
    return found


def names_in(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def of_tensors_alone(question: str) -> bool:
    return question.endswith(("keras.KerasTensor)", "keras.Variable)"))


@pytest.mark.parametrize("module", MODULES)
def test_what_kind_a_model_or_layer_is_only_some_modules_ask(module):
    asked = questions(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")))
    asked = [each for each in asked if not of_tensors_alone(each)]
    assert bool(asked) == (module in ASKING), asked


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(model, keras.Model)",
        "hasattr(look.layer, 'pool_size')",
        "getattr(model, 'layers')",
        "model._flatten_layers()",
        "from keras.layers import Conv2D",
        "keras.layers.Conv2D",
        "layer.operations",
        "look.layer.type_name == 'Conv2D'",
    ],
)
def test_such_a_question_does_not_go_unseen(code):
    assert questions(ast.parse(code))


def test_who_asks_is_no_part_of_the_screen():
    first_of_what_is_drawn = list(INSIDE).index("channels")
    assert {module for module in ASKING if list(INSIDE).index(module) > first_of_what_is_drawn} == {
        "training"
    }
