"""Names of layers, images and classes as text on a page that neither hides nor reorders other text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmwidget._text import REPLACEMENT, is_unsafe

if TYPE_CHECKING:
    import ipywidgets


def visible(text: str) -> str:
    """Return a text with a visible sign for each control and direction-changing character.

    Line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_sign(character) if is_unsafe(character) else character for character in text)


def _sign(character: str) -> str:
    if character in "\n\t":
        return character
    return chr(0x2400 + ord(character)) if character < " " else REPLACEMENT  # U+2400: Control Pictures


def send_visibly(widget: ipywidgets.Widget) -> None:
    """Make all text of a widget visible on its way to the front end; its traits keep their values."""

    def to_json(value: Any, _widget: Any) -> Any:
        if isinstance(value, str):
            return visible(value)
        if isinstance(value, list | tuple):
            return [visible(item) if isinstance(item, str) else item for item in value]
        return value

    widget._trait_to_json = to_json  # noqa: SLF001 - the one function that all state passes through
