"""Bundle ES modules and style sheets: anywidget takes one of each, and users have no JavaScript toolchain.

Front-end modules (`js/*.js`) are joined as text, so they keep to a small part of the module syntax:

- An import is one line, `import { one, other } from "./module.js";`, of names exported there, without `as`.
- An export is `export` before `function`, `async function`, `const` or `class`; exports are never renamed.
- The entry module of a widget, and no other, ends with `export default { render };`.
- Top-level names are unique within a bundle, exported or not: all modules end up in one scope.
- The word `import` occurs nowhere else. Top-level code uses nothing but what its own module imports.

`tests/frontend/test_bundle.py` checks all of this but the last point.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import traitlets

SCRIPTS = Path(__file__).parent / "js"
STYLES = Path(__file__).parent / "css"

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))", re.MULTILINE)


def bundle(entry: str) -> str:
    """Return a module and all that it imports as one module, each after those that it imports.

    Args:
        entry: File name of a module in `js/`.
    """
    sources: dict[str, str] = {}

    def add(name: str) -> None:
        if name in sources:
            return
        text = (SCRIPTS / name).read_text(encoding="utf-8")
        sources[name] = ""  # ends the recursion where modules import each other
        for _names, imported in IMPORT.findall(text):
            add(imported)
        del sources[name]
        sources[name] = EXPORT.sub("", IMPORT.sub("", text))

    add(entry)
    return "\n".join(sources.values())


@cache
def style_sheet() -> str:
    """Return all style sheets as one: no rule may depend on its place among those of other files."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(STYLES.glob("*.css")))


def synced_text(text: str) -> traitlets.Unicode[str, str | bytes]:
    """Return a class-level trait that sends a script or a style sheet to the browser.

    For a plain attribute anywidget adds a trait to every instance, on a class of its own, which takes longer
    than the rest of the widget's construction. For a path it keeps every instance alive, to reload the file.
    """
    return traitlets.Unicode(text).tag(sync=True)
