"""A button with which readers save a picture to their own computer, wherever the kernel runs."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import anywidget

from .frontend import joined, source
from .messages import asked_by, brief

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

LONGEST = 80  # characters of a file's name


class SaveButton(anywidget.AnyWidget):
    """A button that saves what is drawn when it is pressed.

    Args:
        draw: Returns the name of the picture and its bytes, a PNG.
    """

    _esm = joined("save.js")
    _css = source("view.css")

    def __init__(self, draw: Callable[[], tuple[str, bytes]], **traits: Any) -> None:
        super().__init__(**traits)
        self._draw = draw
        self.on_msg(self._receive)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Refuses every trait the front end may try to set."""
        _log.warning("Ignored traits set by the front end on a button: %s", brief(sync_data))

    def _receive(self, _button: SaveButton, content: object, _buffers: object) -> None:
        view = asked_by(content)
        if view is None or content != {"type": "save", "id": view}:
            _log.warning("Ignored a message of the front end that means nothing: %s", brief(content))
            return
        name, png = self._draw()
        self.send({"type": "file", "id": view, "name": f"{file_name(name)}.png"}, [png])


def file_name(text: str) -> str:
    """A name that any file may have: letters, digits and a few signs, on one line."""
    return re.sub(r"[^\w\-+@ ]+", "_", text)[:LONGEST].strip() or "picture"
