"""One direction of imports, from images to the widget, and packages that may use a library or a backend."""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fmwidget"
ORDER = [
    *(
        "_buffers",
        "_errors",
        "_memo",
        "_quiet_imports",
        "_text",
        "images",
        "samples",
        "models",
        "snapshots",
        "activations",
        "analysis",
    ),
    *(
        "rendering",
        "references",
        "pipeline",
        "pages",
        "plots",
        "comparing",
        "frontend",
        "export",
        "widget",
        "__init__",
        "__main__",
    ),
]
LIBRARIES = {  # the places that may import each
    "anywidget": ("frontend",),
    "ipywidgets": ("frontend", "widget"),
    "jax": ("models.backends",),
    "jupyterlab": ("__main__",),
    "matplotlib": ("plots", "rendering"),
    "tensorflow": ("models.backends",),
    "torch": ("models.backends",),
}
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))


@functools.cache
def imports(module: str) -> set[str]:
    """Return absolute dotted names of all that a module imports, anywhere in it and for types alone too."""
    names: set[str] = set()
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = ["fmwidget", *module.split(".")]
            base = parents[: len(parents) - node.level] if node.level else []
            base += [node.module] if node.module else []
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def inside(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = set()
    for name in imports(module):
        parts = name.split(".")[1:] if name.startswith("fmwidget.") else []
        found |= {known for end in (1, 2, 3, 4) if (known := ".".join(parts[:end])) in MODULES}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_order_of_the_packages(module):
    place = ORDER.index(module.split(".")[0])
    assert [other for other in inside(module) if ORDER.index(other.split(".")[0]) > place] == []


def test_no_modules_import_each_other_in_a_circle():
    assert list(TopologicalSorter({module: inside(module) for module in MODULES}).static_order())


@pytest.mark.parametrize("folder", sorted({path.parent for path in PACKAGE.rglob("*.py")}))
def test_a_folder_holds_about_a_dozen_modules(folder):
    assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= 13


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_where_it_belongs_and_pyplot_nowhere(module):
    outside = imports(module)
    strays = {name for name in outside if not module.startswith(LIBRARIES.get(name.split(".")[0], (module,)))}
    assert strays | {name for name in outside if "pyplot" in name} == set()
