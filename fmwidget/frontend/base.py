"""Base classes of the front-end widgets: Python sets their traits, the browser sends events as messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from ipywidgets import Layout, widget_serialization
from ipywidgets.widgets.trait_types import InstanceDict

from fmwidget._errors import brief

from .bundle import style_sheet, synced_text
from .messages import Flip, Step, message_id, parse_message

log = logging.getLogger(__name__)


class FrontEndWidget(anywidget.AnyWidget):
    """A widget whose script and style sheet are traits of its class; its layout is optional."""

    # A `Layout` has 45 traits and a comm of its own: it takes as long to construct as the widget itself.
    layout = InstanceDict(Layout, None, allow_none=True).tag(sync=True, **widget_serialization)
    _anywidget_id = synced_text("")

    @traitlets.default("_anywidget_id")
    def _qualified_name(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}"

    def add_traits(self, **traits: traitlets.TraitType[Any, Any]) -> None:
        """Add the traits that the class lacks; anywidget adds all of its own to each instance."""
        if missing := {name: trait for name, trait in traits.items() if not self.has_trait(name)}:
            super().add_traits(**missing)


class ReadOnlyWidget(FrontEndWidget):
    """A widget whose traits the browser cannot set."""

    _css = synced_text(style_sheet())

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Refuse all traits that the front end sets."""
        log.warning("Ignored traits set by the front end on a %s: %s", type(self).__name__, brief(sync_data))

    def answer(self, content: object) -> None:
        """Report to the browser that a message has been handled, if the message has an id."""
        if id_ := message_id(content):
            self.send({"type": "answered", "id": id_})


def ignore(content: object) -> None:
    """Log a message that is unknown, malformed or out of range."""
    log.warning("Ignored an invalid message of the front end: %s", brief(content))


class EventWidget(ReadOnlyWidget):
    """A read-only widget that sends what the user does as messages, each parsed and passed to callbacks."""

    # Types of message that have a callback. The browser sends no others, and a picture takes part in the Tab
    # order only if it answers clicks or keys.
    _events = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._callbacks: dict[type, list[Callable[[Any], None]]] = {}
        self.on_msg(self._receive)

    def on_flip(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when the key t is pressed, to show the other side of a comparison."""
        self._add_callback(Flip, "flip", lambda _: callback())

    def on_step(self, callback: Callable[[int], None]) -> None:
        """Call `callback(by)` when comma or full stop is pressed, to show another step of training.

        The browser waits until a call has returned and then sends all further presses as one.

        Args:
            callback: Takes the number of steps ahead; back if it is negative.
        """
        self._add_callback(Step, "step", lambda step: callback(step.by))

    def _add_callback(self, record: type, event: str, callback: Callable[[Any], None]) -> None:
        self._callbacks.setdefault(record, []).append(callback)
        if event not in self._events:
            self._events = [*self._events, event]

    def _receive(self, _view: EventWidget, content: object, _buffers: object) -> None:
        message = parse_message(content)
        if message is None:
            ignore(content)
        try:
            for callback in self._callbacks.get(type(message), ()):
                callback(message)
        finally:  # the browser sends no other message of this type before it has an answer
            self.answer(content)
