"""Walks over a widget and everything in it."""

from __future__ import annotations

from collections.abc import Iterator

import ipywidgets


def child_widgets(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """Yield a widget and its descendants, the innermost first."""
    for child in getattr(widget, "children", ()):
        yield from child_widgets(child)
    yield widget


def all_widgets(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """Yield `child_widgets` and the layout and style of each, which are widgets of their own."""
    for part in child_widgets(widget):
        for name in ("layout", "style"):
            if isinstance(own := getattr(part, name, None), ipywidgets.Widget):
                yield own
        yield part
