"""What the front end sends to a widget: taken where a person can do it with the control, else dropped.

ipywidgets lets a page set every trait that it knows of, the HTML of a caption and the options of a list among
them. Here it sets the one that the control is for, to a value that the control offers.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any

import ipywidgets

from fmwidget._errors import brief
from fmwidget.frontend.base import ignore
from fmwidget.frontend.messages import is_number

log = logging.getLogger(__name__)

LONGEST_TEXT = 1000  # characters of a text field
MOST_VIEWS = 10_000


def listen(widget: ipywidgets.Widget, carry_out: Callable[[Callable[[], None]], None]) -> None:
    """Hears what the front end says to a widget, without keeping the widget alive.

    Args:
        widget: The widget.
        carry_out: A method that is given what is to be done, a function without arguments, and does it.
    """
    here, method = weakref.ref(widget), weakref.WeakMethod(carry_out)

    def receive(message: Any) -> None:
        target, run = here(), method()
        if target is not None and run is not None:
            run(lambda: take(target, message))

    widget.comm.on_msg(receive)


def take(widget: ipywidgets.Widget, message: Any) -> None:
    """Does what a message of the front end asks for, or logs why not."""
    match message:
        case {"content": {"data": {"method": "update", "state": dict(state)}}}:
            _set(widget, state)
        case {"content": {"data": {"method": "request_state"}}}:
            widget.send_state()
        case {"content": {"data": {"method": "custom", "content": content}}}:
            _hear(widget, content, message.get("buffers"))
        case _:
            ignore(message)


def _set(widget: ipywidgets.Widget, state: dict[str, Any]) -> None:
    _let_go(widget)
    if type(widget).set_state is not ipywidgets.Widget.set_state:
        widget.set_state(state)  # it chooses itself
        return
    taken = {name: value for name, value in state.items() if may_set(widget, name, value)}
    if refused := {name: value for name, value in state.items() if name not in taken}:
        log.warning("Ignored traits set by the front end on a %s: %s", type(widget).__name__, brief(refused))
        widget.send_state([name for name in refused if name in widget.keys])  # what the page is to show
    if taken:
        widget.set_state(taken)


def _let_go(widget: ipywidgets.Widget) -> None:
    """Lets go of what traitlets holds while it takes a state, should an interrupt have kept it from that."""
    widget._cross_validation_lock = False  # noqa: SLF001
    vars(widget).pop("notify_change", None)


def may_set(widget: ipywidgets.Widget, name: str, value: Any) -> bool:
    """Whether a person could set a trait of a control to a value."""
    match widget, name:
        case _, "_view_count":
            return widget._view_count is not None and _is_whole(value, 0, MOST_VIEWS)  # noqa: SLF001
        case ((ipywidgets.Dropdown() | ipywidgets.ToggleButtons()), "index"):
            return _is_whole(value, 0, len(widget.options) - 1)
        case ipywidgets.IntSlider(), "value":
            return _is_whole(value, widget.min, widget.max)
        case ipywidgets.Text(), "value":
            return isinstance(value, str) and len(value) <= LONGEST_TEXT
        case ((ipywidgets.Checkbox() | ipywidgets.ToggleButton()), "value"):
            return isinstance(value, bool)
    return False


def _hear(widget: ipywidgets.Widget, content: Any, buffers: Any) -> None:
    if isinstance(widget, ipywidgets.Button):
        callbacks = widget._click_handlers.callbacks if content == {"event": "click"} else ()  # noqa: SLF001
        arguments: tuple[Any, ...] = (widget,)
    else:
        callbacks, arguments = widget._msg_callbacks.callbacks, (widget, content, buffers)  # noqa: SLF001
    if not callbacks:
        log.warning("Ignored a message to a %s: %s", type(widget).__name__, brief(content))
    # Called here and not by ipywidgets, which writes what they raise to where nobody looks.
    for callback in tuple(callbacks):
        callback(*arguments)


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and is_number(value, low, high)
