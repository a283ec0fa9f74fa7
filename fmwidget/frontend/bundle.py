"""Puts the ES modules of a front-end piece together: anywidget takes one, and users have no bundler."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import traitlets

FOLDER = Path(__file__).parent / "js"
STYLES = Path(__file__).parent / "css"

# All that the modules use of the import and export syntax; a test holds them to it.
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))", re.MULTILINE)


def joined(entry: str) -> str:
    """The source of a module with all that it imports, as one module.

    Each module follows those it imports, without its `import` and `export` words: so no two of them may give
    a name of their own to different things.

    Args:
        entry: File name of a module in `js/`.
    """
    sources: dict[str, str] = {}

    def add(name: str) -> None:
        if name in sources:
            return
        text = (FOLDER / name).read_text(encoding="utf-8")
        sources[name] = ""  # holds its place against modules that import each other
        for _names, other in IMPORT.findall(text):
            add(other)
        del sources[name]
        sources[name] = EXPORT.sub("", IMPORT.sub("", text))

    add(entry)
    return "\n".join(sources.values())


@cache
def style() -> str:
    """The style sheets of all pieces, as one: no rule in one depends on its place among the others."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(STYLES.glob("*.css")))


def sent(text: str) -> traitlets.Unicode[str, str | bytes]:
    """A trait of a class that brings a script or a style sheet to the browser.

    Of a plain attribute anywidget makes a trait for each widget, and a class of its own to hold that, which
    takes longer than all the rest of the widget; of a path it holds every widget ever made of the class, to
    tell them of changes of the file.

    Args:
        text: What is brought.
    """
    return traitlets.Unicode(text).tag(sync=True)
