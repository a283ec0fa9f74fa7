"""Keeps a widget answering while a cell is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import ipywidgets


def answer_at_once(widget: ipywidgets.Widget) -> None:
    """Has events of a widget handled beside a running cell.

    ipykernel 7.4 hands an event to the thread on which the widget last published its state, whatever the
    browser asks for: after a cell has made or changed the widget, that is the main thread, and the event
    would wait until the cell is done. Other versions have no such method; then nothing is changed.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way


def child_widgets(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """A widget and everything in it, the innermost first."""
    for child in getattr(widget, "children", ()):
        yield from child_widgets(child)
    yield widget
