"""Names of layers, pictures and classes as text on a page: nothing in them hides, or moves other text."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

# Turn around, or hide the order of, the text that comes after them.
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def visible(text: str) -> str:
    """Text with a sign in the place of each control character, and of each that changes the direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_sign_for(each) for each in text)


def _sign_for(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or not (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _BIDI_CONTROLS
    ):
        return character
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def send_visibly(widget: ipywidgets.Widget) -> None:
    """Has all text of a widget made visible on its way to the front end; its traits stay as they are."""

    def to_json(value: Any, _widget: Any) -> Any:
        if isinstance(value, str):
            return visible(value)
        if isinstance(value, list | tuple):
            return [visible(each) if isinstance(each, str) else each for each in value]
        return value

    widget._trait_to_json = to_json  # noqa: SLF001 - the one way that all state takes
