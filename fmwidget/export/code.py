"""Python code that rebuilds the view on screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_LINE = 88


def code_for(
    fixed: Sequence[str], values: Mapping[str, Any], defaults: Mapping[str, Any], later: Mapping[str, Any]
) -> str:
    """Return the lines that rebuild a widget.

    Args:
        fixed: Arguments as source code.
        values: Keyword arguments: strings, numbers, or functions, which the code refers to by their names.
        defaults: Default of each keyword argument; one that has its default is left out.
        later: Traits to set afterwards.
    """
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    arguments = [*fixed, *(f"{name}={_literal(value)}" for name, value in changed.items())]
    line = f"widget = FeatureMapWidget({', '.join(arguments)})"
    if len(line) > LONGEST_LINE:
        line = "\n".join(["widget = FeatureMapWidget(", *(f"    {argument}," for argument in arguments), ")"])
    settings = [f"widget.{name} = {_literal(value)}" for name, value in later.items()]
    return "\n".join(["from fmwidget import FeatureMapWidget", "", line, *settings, "widget"])


def _literal(value: Any) -> str:
    """Return source code for a value, strings in double quotes as far as possible."""
    if callable(value):
        name = str(getattr(value, "__name__", ""))
        return name if name.isidentifier() else "preprocess"  # a lambda or an object
    text = repr(value)
    if isinstance(value, str) and text == f"'{value}'" and '"' not in value:
        return f'"{value}"'
    return text
