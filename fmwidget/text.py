"""Short lines of text as coverage masks, drawn by matplotlib once and kept."""

from __future__ import annotations

import math
import threading
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

if TYPE_CHECKING:
    from collections.abc import Callable

# Matplotlib, its fonts included, is not thread-safe, and widget callbacks run beside cells: whatever of ours
# draws with it holds this lock.
DRAWING = threading.RLock()

LONGEST = 400  # characters; more would not fit any page

# For names that DejaVu Sans, which comes with matplotlib, has no letters for: the first that is installed.
CJK_FAMILIES = (
    *("Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "NanumGothic"),
    *("NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "UnDotum"),
    *("Source Han Sans", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Yu Gothic", "WenQuanYi Zen Hei"),
)


class Mask(NamedTuple):
    """A line of text as coverage, 0 to 255, `(h, w)`; its baseline is `ascent` rows below the top."""

    coverage: np.ndarray[Any, Any]
    ascent: int


@lru_cache(maxsize=1)
def _fonts() -> tuple[tuple[str, ...], frozenset[int]]:
    """The font families to use, first choice first, and the characters they can write."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ("DejaVu Sans", *[family for family in CJK_FAMILIES if family in installed][:1])
    characters: set[int] = set()
    for family in families:
        path = font_manager.findfont(FontProperties(family=family))
        characters |= set(font_manager.get_font(path).get_charmap())
    return families, frozenset(characters)


def font(size: float, *, bold: bool = False) -> FontProperties:
    """The font of `size` points that all figures are written in."""
    with DRAWING:
        return FontProperties(family=list(_fonts()[0]), size=size, weight="bold" if bold else "normal")


@lru_cache(maxsize=4096)
def printable(text: str) -> str:
    """Text on one line without control characters, `?` standing for what no font here can write."""
    with DRAWING:
        characters = _fonts()[1]
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]}…{text[-half:]}"
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    shown = (
        character if ord(character) in characters else "?"
        for character in text
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    return "".join(shown)


@lru_cache(maxsize=4096)
def rasterize(text: str, size: float, *, bold: bool = False) -> Mask:
    """Draws a line of printable text, `size` pixels high."""
    if len(text) > 1 and text.isdecimal() and text.isascii():
        return _rasterize_number(text, size, bold=bold)
    with DRAWING:
        ascent = math.ceil(1.2 * size)
        # Drawn on more paper than needed: to measure the text first costs as much as drawing it.
        renderer = RendererAgg(math.ceil((len(text) + 1) * 1.2 * size), ascent + math.ceil(0.5 * size), 72)
        renderer.draw_text(renderer.new_gc(), 0, ascent, text, font(size, bold=bold), 0)
        coverage = np.asarray(renderer.buffer_rgba())[:, :, 3]
        rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
        top, bottom, right = (rows[0], rows[-1] + 1, columns[-1] + 1) if rows.size else (0, 0, 0)
        coverage = coverage[top:bottom, :right].copy()
    coverage.flags.writeable = False
    return Mask(coverage, ascent - int(top))


def _rasterize_number(text: str, size: float, *, bold: bool) -> Mask:
    """Sets a number digit by digit: a page has a hundred, and drawing each takes longer than all else."""
    digits = [rasterize(digit, size, bold=bold) for digit in text]
    advance = digit_width(size, bold=bold)
    lefts = [round(place * advance) for place in range(len(digits))]
    ascent = max(digit.ascent for digit in digits)
    below = max(digit.coverage.shape[0] - digit.ascent for digit in digits)
    width = max(left + digit.coverage.shape[1] for left, digit in zip(lefts, digits, strict=True))
    coverage = np.zeros((ascent + below, width), np.uint8)
    for left, digit in zip(lefts, digits, strict=True):
        rows, columns = digit.coverage.shape
        top = ascent - digit.ascent
        area = coverage[top : top + rows, left : left + columns]
        np.maximum(area, digit.coverage, out=area)
    coverage.flags.writeable = False
    return Mask(coverage, ascent)


@lru_cache(maxsize=64)
def digit_width(size: float, *, bold: bool = False) -> float:
    """Pixels from one digit to the next; in this font all are as wide."""
    return (text_width("0" * 9 + "x", size, bold=bold) - text_width("0x", size, bold=bold)) / 8


def text_width(text: str, size: float, *, bold: bool = False) -> int:
    """Width in pixels of a line of printable text."""
    return int(rasterize(text, size, bold=bold).coverage.shape[1])


def elide(text: str, room: float, width: Callable[[str], float]) -> str:
    """Leaves out the middle of a text so that it is at most `room` wide."""
    if width(text) <= room:
        return text
    fits, too_many = 0, len(text)
    while too_many - fits > 1:
        kept = (fits + too_many) // 2
        if width(_without_middle(text, kept)) <= room:
            fits = kept
        else:
            too_many = kept
    return _without_middle(text, fits)


def _without_middle(text: str, kept: int) -> str:
    head = kept // 2
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"
