"""Unsafe characters of text from outside: those that hide text, break its line or reorder it."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Control characters, lone surrogates (JSON cannot carry them), and the line and paragraph separators.
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Embeddings, overrides and isolates of the Unicode Bidirectional Algorithm (UAX #9), and their ends.
_BIDIRECTIONAL_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def is_control(character: str) -> bool:
    """Return whether a character is a control, a lone surrogate, or a line or paragraph separator."""
    return unicodedata.category(character) in _CONTROLS


def is_unsafe(character: str) -> bool:
    """Return whether a character is a control, or changes the direction of the text after it."""
    return is_control(character) or unicodedata.bidirectional(character) in _BIDIRECTIONAL_CONTROLS
