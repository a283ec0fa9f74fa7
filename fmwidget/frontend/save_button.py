"""A button that saves a picture to the user's own computer, wherever the kernel runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .base import ReadOnlyWidget, ignore
from .bundle import bundle, synced_text
from .messages import message_id

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FILE_NAME = 80  # characters


class SaveButton(ReadOnlyWidget):
    """A button that saves a picture, drawn when it is pressed.

    Args:
        draw: Returns the name of the picture and the bytes of a PNG.
    """

    _esm = synced_text(bundle("save_button.js"))

    def __init__(self, draw: Callable[[], tuple[str, bytes]], **traits: Any) -> None:
        super().__init__(**traits)
        self._draw = draw
        self.on_msg(self._receive)

    def _receive(self, _button: SaveButton, content: object, _buffers: object) -> None:
        view = message_id(content)
        if view is None or content != {"type": "save", "id": view}:
            ignore(content)
            return
        name, png = self._draw()
        self.send({"type": "file", "id": view, "name": f"{file_name(name)}.png"}, [png])


def file_name(text: str) -> str:
    """Return a file name valid on every system: letters, digits and a few signs, on one line."""
    return re.sub(r"[^\w\-+@ ]+", "_", text)[:MAX_FILE_NAME].strip() or "picture"
