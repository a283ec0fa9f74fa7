"""What to say to somebody who misspelt a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, names: Iterable[str], otherwise: str) -> str:
    """A question that offers the names most like `name`; `otherwise` if there is none like it."""
    close = difflib.get_close_matches(str(name), list(names), n=3)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else otherwise
