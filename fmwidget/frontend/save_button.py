"""A button with which readers save a picture to their own computer, wherever the kernel runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .base import ReadOnlyWidget, ignore
from .bundle import joined, sent
from .messages import asked_by

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 80  # characters of a file's name


class SaveButton(ReadOnlyWidget):
    """A button that saves what is drawn when it is pressed.

    Args:
        draw: Returns the name of the picture and its bytes, a PNG.
    """

    _esm = sent(joined("save.js"))

    def __init__(self, draw: Callable[[], tuple[str, bytes]], **traits: Any) -> None:
        super().__init__(**traits)
        self._draw = draw
        self.on_msg(self._receive)

    def _receive(self, _button: SaveButton, content: object, _buffers: object) -> None:
        view = asked_by(content)
        if view is None or content != {"type": "save", "id": view}:
            ignore(content)
            return
        name, png = self._draw()
        self.send({"type": "file", "id": view, "name": f"{file_name(name)}.png"}, [png])


def file_name(text: str) -> str:
    """A name that any file may have: letters, digits and a few signs, on one line."""
    return re.sub(r"[^\w\-+@ ]+", "_", text)[:LONGEST].strip() or "picture"
