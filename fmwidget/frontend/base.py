"""What the front-end pieces share: Python sets their state, the browser shows it and asks by messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from ipywidgets import Layout, widget_serialization
from ipywidgets.widgets.trait_types import InstanceDict

from fmwidget._errors import brief

from .bundle import sent, style
from .messages import asked_by, parse_message

log = logging.getLogger(__name__)


class FrontEndWidget(anywidget.AnyWidget):
    """A widget whose scripts and style sheets are traits of its class; it has a layout if it is given one."""

    # A `Layout` has 45 traits and a comm of its own: made for nothing, it takes as long as the widget itself.
    layout = InstanceDict(Layout, None, allow_none=True).tag(sync=True, **widget_serialization)
    _anywidget_id = sent("")

    @traitlets.default("_anywidget_id")
    def _name_of_class(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}"

    def add_traits(self, **traits: traitlets.TraitType[Any, Any]) -> None:
        """Adds traits that the class does not have; anywidget adds all of its own to each widget."""
        if missing := {name: trait for name, trait in traits.items() if not self.has_trait(name)}:
            super().add_traits(**missing)


class ReadOnlyWidget(FrontEndWidget):
    """A piece of the front end that Python fills, and whose traits the browser may not set."""

    _css = sent(style())

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Refuses every trait the front end may try to set."""
        log.warning("Ignored traits set by the front end on a %s: %s", type(self).__name__, brief(sync_data))

    def answer(self, content: object) -> None:
        """Tells the browser that a message has been dealt with, if it waits for that with the next."""
        if id_ := asked_by(content):
            self.send({"type": "answered", "id": id_})


def ignore(content: object) -> None:
    """Notes a message that is unknown, malformed or out of range; nothing else comes of it."""
    log.warning("Ignored a message of the front end that means nothing: %s", brief(content))


class EventWidget(ReadOnlyWidget):
    """A widget that Python draws: its front end sets nothing, and says what the reader does to it."""

    # Kinds of message that somebody waits for. The browser sends no others, and only a picture that answers
    # to clicks or keys is a stop for the Tab key.
    _listening = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._callbacks: dict[type, list[Callable[[Any], None]]] = {}
        self.on_msg(self._receive)

    def _listen(self, record: type, kind: str, callback: Callable[[Any], None]) -> None:
        self._callbacks.setdefault(record, []).append(callback)
        if kind not in self._listening:
            self._listening = [*self._listening, kind]

    def _receive(self, _view: EventWidget, content: object, _buffers: object) -> None:
        message = parse_message(content)
        if message is None:
            ignore(content)
        try:
            for callback in self._callbacks.get(type(message), ()):
                callback(message)
        finally:  # the browser sends no other of this kind before it has an answer
            self.answer(content)
