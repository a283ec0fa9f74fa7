"""Messages of the front end: handled if a user could have caused them with the control, ignored otherwise.

With ipywidgets a page may set any synchronised trait, also the HTML of a caption and the options of a list.
Here a page may set the one trait that a control is for, to a value that the control offers.
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

MAX_TEXT = 1000  # characters of a text field
MAX_VIEWS = 10_000


def listen(widget: ipywidgets.Widget, run: Callable[[Callable[[], None]], None]) -> None:
    """Handle the messages of the front end to a widget, in place of ipywidgets.

    The comm manager holds every open comm, and a comm its callback: strong references from the callback would
    keep the widget alive for as long as the kernel runs.

    Args:
        widget: The widget.
        run: A method that runs an action, a function without arguments, and reports what it raises.
    """
    target_ref, run_ref = weakref.ref(widget), weakref.WeakMethod(run)

    def receive(message: Any) -> None:
        target, run = target_ref(), run_ref()
        if target is not None and run is not None:
            run(lambda: handle_message(target, message))

    widget.comm.on_msg(receive)


def handle_message(widget: ipywidgets.Widget, message: Any) -> None:
    """Handle a message of the front end, or log that it is ignored."""
    match message:
        case {"content": {"data": {"method": "update", "state": dict(state)}}}:
            _set_traits(widget, state)
        case {"content": {"data": {"method": "request_state"}}}:
            widget.send_state()
        case {"content": {"data": {"method": "custom", "content": content}}}:
            _dispatch(widget, content, message.get("buffers"))
        case _:
            ignore(message)


def reply_on_subshell(widget: ipywidgets.Widget) -> None:
    """Handle events of a widget while a cell is running.

    JupyterLab sends events to a subshell, a thread beside the main one. ipykernel 7.4 overrides that: it
    answers on the thread from which the comm last published a message. After a cell has created or changed
    the widget that is the main thread, and events would wait until the cell is done. There is no public way
    to switch this off; other versions of ipykernel lack the method, and are left as they are.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001


def _set_traits(widget: ipywidgets.Widget, state: dict[str, Any]) -> None:
    _reset_held_notifications(widget)
    if type(widget).set_state is not ipywidgets.Widget.set_state:
        widget.set_state(state)  # its own filter, see `ReadOnlyWidget`
        return
    accepted = {name: value for name, value in state.items() if may_set(widget, name, value)}
    if refused := {name: value for name, value in state.items() if name not in accepted}:
        log.warning("Ignored traits set by the front end on a %s: %s", type(widget).__name__, brief(refused))
        widget.send_state([name for name in refused if name in widget.keys])  # the page shows it again
    if accepted:
        widget.set_state(accepted)


def _reset_held_notifications(widget: ipywidgets.Widget) -> None:
    """Undo what an interrupt may have left of an earlier `set_state`.

    `set_state` holds a widget's notifications: traitlets locks cross-validation and puts a collecting
    `notify_change` on the instance for as long. A KeyboardInterrupt can come between any two bytecodes,
    also before the `finally` that removes both; the control would then never notify its observers again.
    """
    widget._cross_validation_lock = False  # noqa: SLF001
    vars(widget).pop("notify_change", None)


def may_set(widget: ipywidgets.Widget, name: str, value: Any) -> bool:
    """Return whether a user could set a trait of a control to a value."""
    match widget, name:
        case _, "_view_count":
            return widget._view_count is not None and _is_integer(value, 0, MAX_VIEWS)  # noqa: SLF001
        case ((ipywidgets.Dropdown() | ipywidgets.ToggleButtons()), "index"):
            return _is_integer(value, 0, len(widget.options) - 1)
        case ipywidgets.IntSlider(), "value":
            return _is_integer(value, widget.min, widget.max)
        case ipywidgets.Text(), "value":
            return isinstance(value, str) and len(value) <= MAX_TEXT
        case ((ipywidgets.Checkbox() | ipywidgets.ToggleButton()), "value"):
            return isinstance(value, bool)
    return False


def _dispatch(widget: ipywidgets.Widget, content: Any, buffers: Any) -> None:
    """Call the callbacks of a custom message.

    ipywidgets' own dispatch is not used: it catches what they raise and logs it where users do not see it.
    """
    if isinstance(widget, ipywidgets.Button):
        callbacks = widget._click_handlers.callbacks if content == {"event": "click"} else ()  # noqa: SLF001
        arguments: tuple[Any, ...] = (widget,)
    else:
        callbacks, arguments = widget._msg_callbacks.callbacks, (widget, content, buffers)  # noqa: SLF001
    if not callbacks:
        log.warning("Ignored a message to a %s: %s", type(widget).__name__, brief(content))
    for callback in tuple(callbacks):
        callback(*arguments)


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and is_number(value, low, high)
