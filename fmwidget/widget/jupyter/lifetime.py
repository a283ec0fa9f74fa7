"""How long a widget lives: while somebody holds it, or a page may show it.

ipywidgets holds every widget until it is closed: a cell that makes one, run a hundred times, would hold a
hundred, each with its pictures and maps. Here its registry holds a widget weakly before it is displayed, and
again once the cell that displayed it has been run anew and no page shows it any more. A widget that nobody
else holds is then collected, which closes it; one that is in a variable goes on working.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from ipywidgets.widgets import widget as registry

from .subshell import child_widgets

COLLECT_AFTER = 1.0  # seconds
_COLLECTOR = "fmwidget-collect"


def all_widgets(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """`child_widgets` and the layout and style of each, which ipywidgets keeps as widgets of their own."""
    for part in child_widgets(widget):
        for name in ("layout", "style"):
            if isinstance(belonging := getattr(part, name, None), ipywidgets.Widget):
                yield belonging
        yield part


def hold_weakly(widget: ipywidgets.Widget) -> None:
    """Has ipywidgets find a widget, but not keep it."""
    held = _registered()
    if widget.comm is not None and widget.model_id in held:
        held[widget.model_id] = weakref.proxy(widget)


def hold(widget: ipywidgets.Widget) -> None:
    """Has ipywidgets keep a widget until it is closed, as it does with all others."""
    if widget.comm is not None:
        _registered()[widget.model_id] = widget


def _registered() -> dict[str, Any]:
    return getattr(registry, "_instances", {})  # private, and the one place: without it nothing changes


class _Cell:
    """What the last run of a cell has displayed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.shows: weakref.WeakSet[ipywidgets.Widget] = weakref.WeakSet()


_cells: dict[str, _Cell] = {}


def displayed(widget: ipywidgets.Widget) -> None:
    """Takes note that the running cell displays a widget; what its last run displayed may go."""
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
    """Lets a widget go that is on no page: whoever has it in a variable keeps it."""
    if widget._view_count or any(widget in cell.shows for cell in _cells.values()):  # noqa: SLF001
        return
    hold_weakly(widget)
    _drop_from_history(widget)
    _collect_soon()


def _collect_soon() -> None:
    """Collects what nobody holds, once the cell that is running has let go of the last one's result."""
    if all(thread.name != _COLLECTOR for thread in threading.enumerate()):
        timer = threading.Timer(COLLECT_AFTER, gc.collect)
        timer.name, timer.daemon = _COLLECTOR, True
        timer.start()


def _running() -> tuple[str, str]:
    """The cell that is running, and which of its runs; both empty where nobody says."""
    shell: Any = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = parent.get("metadata", {}).get("cellId")
    return (str(cell), str(parent["header"]["msg_id"])) if cell else ("", "")


def _drop_from_history(widget: ipywidgets.Widget) -> None:
    """Takes a widget out of what IPython remembers of cells' results: `Out`, `_` and `_12`."""
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
    """Stands where a closed widget had its model, its pictures and its panels: whoever asks is told."""

    def __getattr__(self, name: str) -> Any:
        """Whatever is asked for."""
        raise RuntimeError("This widget has been closed. Make a new one: `FeatureMapWidget(model)`.")
