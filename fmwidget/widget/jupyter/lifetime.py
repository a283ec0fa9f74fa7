"""The lifetime of a widget: as long as a variable or a page refers to it.

ipywidgets holds every widget in a registry until it is closed: a cell that builds one, run a hundred times,
would leave a hundred, each with its images and maps. Here the registry holds a widget weakly until it is
displayed, and again once the cell that displayed it has run again and no page shows it any more. A widget
that nothing else refers to is then collected, which closes it; one in a variable goes on working.
"""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from ipywidgets.widgets import widget as registry

from .widget_tree import all_widgets

if TYPE_CHECKING:
    import ipywidgets

COLLECT_AFTER = 1.0  # seconds
_COLLECTOR = "fmwidget-collect"


def hold_weakly(widget: ipywidgets.Widget) -> None:
    """Replace the registry's reference to a widget by a weak one.

    A proxy, because ipywidgets finds widgets by their model id when a page refers to them.
    """
    registered = _registered()
    if widget.comm is not None and widget.model_id in registered:
        registered[widget.model_id] = weakref.proxy(widget)


def hold(widget: ipywidgets.Widget) -> None:
    """Make the registry hold a widget until it is closed, as it holds all others."""
    if widget.comm is not None:
        _registered()[widget.model_id] = widget


def _registered() -> dict[str, Any]:
    return getattr(registry, "_instances", {})  # private: without it widgets live as ipywidgets has them


class _Cell:
    """The widgets that the last run of a cell has displayed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.shows: weakref.WeakSet[ipywidgets.Widget] = weakref.WeakSet()


_cells: dict[str, _Cell] = {}


def register_display(widget: ipywidgets.Widget) -> None:
    """Hold a widget that the running cell displays, and release those that the cell's last run displayed."""
    hold(widget)
    cell, run = _running()
    before = _cells.get(cell)
    if before is None or before.run != run:
        _cells[cell] = _Cell(run)
    _cells[cell].shows.add(widget)
    if before is not None and before.run != run:
        for outdated in list(before.shows):
            release(outdated)


def release(widget: ipywidgets.Widget) -> None:
    """Allow a widget to be collected if no page shows it; a reference from a variable keeps it alive."""
    if widget._view_count or any(widget in cell.shows for cell in _cells.values()):  # noqa: SLF001
        return
    hold_weakly(widget)
    _drop_from_history(widget)
    _collect_soon()


def close_tree(widget: ipywidgets.Widget) -> None:
    """Close everything in a widget but the widget itself: ipywidgets closes no children."""
    for part in all_widgets(widget):
        if part is not widget:
            part.close()


def _collect_soon() -> None:
    """Collect garbage once the running cell has ended: until then IPython refers to its last result."""
    if all(thread.name != _COLLECTOR for thread in threading.enumerate()):
        timer = threading.Timer(COLLECT_AFTER, gc.collect)
        timer.name, timer.daemon = _COLLECTOR, True
        timer.start()


def _running() -> tuple[str, str]:
    """Return ids of the running cell and of its run; both empty where the front end sends no cell ids."""
    shell: Any = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    return (str(cell), str(parent["header"]["msg_id"])) if cell else ("", "")


def _drop_from_history(widget: ipywidgets.Widget) -> None:
    """Remove a widget from IPython's history of results: `Out`, `_`, `__`, `___` and `_12`.

    A cell that ends in the widget's name or constructor stores it there at each run, under a new number.
    Without this edit a cell that is run again and again would keep every one of its widgets alive. Only
    names that IPython gives are removed; what users assign to names of their own stays.
    """
    shell: Any = get_ipython()
    if shell is None:
        return
    for names in (shell.user_ns, shell.user_ns_hidden, shell.history_manager.output_hist):
        for name in [name for name, value in list(names.items()) if value is widget]:
            if isinstance(name, int) or name.strip("_").isdecimal() or not name.strip("_"):
                del names[name]
    for name in ("_", "__", "___"):
        if getattr(shell.displayhook, name, None) is widget:
            setattr(shell.displayhook, name, None)


class Closed:
    """Stand-in for the model, images and panels of a closed widget; every use of it raises."""

    def __getattr__(self, name: str) -> Any:
        """Raise `RuntimeError`."""
        raise RuntimeError("This widget has been closed. Make a new one: `FeatureMapWidget(model)`.")
