"""Parts of error messages: quoted names and values, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


def did_you_mean(name: object, names: Iterable[str], otherwise: str) -> str:
    """Return a question that offers the names most like `name`, or `otherwise` if none resembles it."""
    close = difflib.get_close_matches(str(name), list(names), n=3)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else otherwise


def quote(name: str) -> str:
    """Return the `repr` of a name, on one line; the middle of a long name is left out."""
    return repr(name if len(name) <= 160 else f"{name[:80]}…{name[-79:]}")


def brief(value: object) -> str:
    """Return a short `repr` of any value, on one line."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python converts
        return f"a {type(value).__name__}"
