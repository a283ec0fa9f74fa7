"""Python code that rebuilds the view on screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_LINE = 88


def code_for(
    fixed: Sequence[str], values: Mapping[str, Any], defaults: Mapping[str, Any], page: int | None
) -> str:
    """The lines that make a widget again.

    Args:
        fixed: Arguments as they are written.
        values: Keyword arguments: strings and numbers, and functions, which are called by their names.
        defaults: What each of these is when it is left out, which it then is.
        page: The page to turn to.
    """
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    parts = [*fixed, *(f"{name}={_literal(value)}" for name, value in changed.items())]
    line = f"widget = FeatureMapWidget({', '.join(parts)})"
    if len(line) > LONGEST_LINE:
        line = "\n".join(["widget = FeatureMapWidget(", *(f"    {part}," for part in parts), ")"])
    turn = [] if page is None else [f"widget.page = {page}"]
    return "\n".join(["from fmwidget import FeatureMapWidget", "", line, *turn, "widget"])


def _literal(value: Any) -> str:
    if callable(value):
        name = str(getattr(value, "__name__", ""))
        return name if name.isidentifier() else "preprocess"
    text = repr(value)
    if isinstance(value, str) and text == f"'{value}'" and '"' not in value:
        return f'"{value}"'
    return text
