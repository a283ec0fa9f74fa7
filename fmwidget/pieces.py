"""What the front-end pieces share: Python sets their state, the browser shows it and asks by messages."""

from __future__ import annotations

import logging
from typing import Any

import anywidget

from .frontend import source
from .messages import asked_by, brief

log = logging.getLogger(__name__)


class Piece(anywidget.AnyWidget):
    """A piece of the front end that Python fills, and whose traits the browser may not set."""

    _css = source("view.css")

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
