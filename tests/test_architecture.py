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
    "decoding": set(),
    "picture": {"decoding"},
    "images": {"decoding", "picture"},
    "samples": {"_quiet", "images"},
    # from a picture to what the model is given
    "families": set(),
    "scaling": {"families"},
    "preprocessing": {"images", "scaling"},
    # from there to feature maps
    "preactivation": set(),
    "wrapping": set(),
    "capture": {"preactivation", "wrapping"},
    "state": {"wrapping"},
    "backend": set(),
    "layout": set(),
    "layers": {"capture", "layout", "preactivation"},
    "forward": {"backend", "capture", "layers", "state"},
    "activations": {"backend", "forward", "layers", "layout", "hints"},
    "windows": set(),
    "relations": {"layout", "windows"},
    "reach": {"relations", "windows"},
    "wiring": {"backend", "capture", "forward", "layers", "reach", "relations"},
    "receptive_fields": {"forward", "relations", "windows", "wiring"},
    "seeing": {"forward", "receptive_fields", "relations", "windows", "wiring"},
    "contributions": {"backend", "layout", "reach"},
    "batch": {"decoding", "forward", "images", "layers", "layout", "preprocessing"},
    # from feature maps to what is drawn
    "channels": set(),
    "normalization": {"channels"},
    "hints": set(),
    "grid": set(),
    "png": {"hints", "normalization"},
    "text": set(),
    "page": {"channels", "grid", "png", "text"},
    "drawing": {"channels", "grid", "normalization", "page", "png", "text"},
    "figure": {"channels", "drawing", "grid", "normalization", "page", "png", "text"},
    "profile": {"activations", "channels", "forward"},
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
    "naming": {"frontend"},
    "saving": {"frontend", "messages", "pieces"},
    "live": set(),
    "lifetime": {"live"},
    "incoming": {"messages", "pieces"},
    "status": set(),
    "visible": set(),
    "training": {"activations"},
    "memo": set(),
    "looking": {
        *("activations", "batch", "channels", "forward", "grid", "images", "layers", "layout", "memo"),
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
    "readout": {"channels", "drawing", "grid"},
    "lookout": {"forward", "looking", "receptive_fields", "seeing", "wiring"},
    "tracing": {"grid", "looking", "lookout", "pointing", "seeing"},
    "column": {"frontend", "grid", "looking", "page", "pieces", "tracing"},
    "terms": {"contributions", "page", "readout"},
    "panels": {"channels", "figure", "grid", "layers", "looking", "memo", "readout", "tracing", "view"},
    "zoom": {
        *("channels", "drawing", "figure", "frontend", "grid", "looking", "memo", "messages", "page"),
        *("readout", "view"),
    },
    "pointing": {"grid", "looking", "messages", "view"},
    "saved": {"page"},
    "overlay": {
        *("channels", "drawing", "figure", "grid", "looking", "lookout", "memo", "page", "panels", "png"),
        *("receptive_fields", "tracing"),
        *("preprocessing", "view"),
    },
    "numbers": {"channels", "figure", "looking", "memo", "normalization", "page", "panels", "png", "view"},
    "answer": {"looking", "memo", "numbers", "page"},
    "profile_panel": {
        *("figure", "looking", "memo", "messages", "panels", "profile", "profile_drawing", "view"),
    },
    "origin": {
        *("backend", "contributions", "forward", "grid", "layers", "layout", "looking", "memo"),
        *("preactivation", "terms"),
    },
    "exploring": {"grid", "looking", "lookout", "overlay", "panels", "pointing", "tracing", "zoom"},
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
    "contributions",
    "families",
    "forward",
    "layers",
    "layout",
    "preactivation",
    "reach",
    "scaling",
    "wiring",
}
OUTSIDE = {
    "anywidget": {"naming", "pieces", "view"},
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
