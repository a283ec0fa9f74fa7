"""Lines of text as coverage masks, rasterized by matplotlib and cached.

Matplotlib rasterizes the text of the figures, and pages look the same: it falls back to a CJK font glyph by
glyph, and hints glyphs in its own way. Pillow's `ImageFont` does neither. Measured with DejaVu Sans in four
sizes: its lines of text are up to 18 pixels longer than matplotlib's with its basic layout, and up to 10
shorter with Raqm. It takes 6 to 10 ms for the labels of a page, the cached digits here less than 3 ms.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import unicodedata
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from fmwidget._text import is_control

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# Matplotlib, its fonts included, is not thread-safe, and widget callbacks run beside cells: all code of this
# package that draws with matplotlib holds this lock.
DRAWING = threading.RLock()

# Text that may be split at its digits: Latin letters, punctuation and mathematical signs. Other scripts may
# run from right to left, or join their letters.
_SPLITTABLE = re.compile(r"[\x20-\u024f\u2010-\u2027\u2030-\u205e\u2190-\u22ff]*")

REGULAR, BOLD = 400, 700  # weights of a font
LONGEST = 400  # characters; more do not fit any page

# Fallbacks for letters that DejaVu Sans, which matplotlib ships, lacks; the first one installed is used.
CJK_FAMILIES = (
    *("Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "NanumGothic"),
    *("NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "UnDotum"),
    *("Source Han Sans", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Yu Gothic", "WenQuanYi Zen Hei"),
)


class Mask(NamedTuple):
    """Coverage of a line of text, `(h, w)` from 0 to 255; its baseline is `ascent` rows below the top."""

    coverage: np.ndarray[Any, Any]
    ascent: int


@lru_cache(maxsize=1)
def _fonts() -> tuple[tuple[str, ...], frozenset[int]]:
    """Return the font families to use, first choice first, and the characters that they have glyphs for."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ("DejaVu Sans", *[family for family in CJK_FAMILIES if family in installed][:1])
    _complete_weights(families[-1])
    characters: set[int] = set()
    for family in families:
        path = font_manager.findfont(FontProperties(family=family))
        characters |= set(font_manager.get_font(path).get_charmap())
    return families, frozenset(characters)


def _complete_weights(family: str) -> None:
    """Register the nearest weight of a family for one that it lacks: matplotlib would log a warning."""
    fonts = font_manager.fontManager.ttflist
    names: dict[Any, int] = font_manager.weight_dict
    weights = {names.get(font.weight, font.weight): font for font in fonts if font.name == family}
    for wanted in (REGULAR, BOLD):
        if wanted not in weights:
            nearest = min(weights, key=lambda weight: abs(int(weight) - wanted))
            fonts.append(replace(weights[nearest], weight=wanted))


@lru_cache(maxsize=1)
def _register_new_fonts() -> None:
    """Register fallback fonts that were installed after matplotlib cached its list of fonts."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            if font_manager.get_font(path).family_name in CJK_FAMILIES:
                font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError) as error:
            log.info("A font file cannot be read: %s", error)
    _fonts.cache_clear()


def font(size: float, *, bold: bool = False) -> FontProperties:
    """Return the font of all figures, `size` points high."""
    with DRAWING:
        return FontProperties(family=list(_fonts()[0]), size=size, weight=BOLD if bold else REGULAR)


@lru_cache(maxsize=4096)
def printable(text: str) -> str:
    """Return text on one line, without control characters, and with `?` for characters that no font has."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]}…{text[-half:]}"
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    text = "".join(char for char in text if not is_control(char) and unicodedata.category(char) != "Cf")
    with DRAWING:
        _, characters = _fonts()
        if not characters.issuperset(map(ord, text)):
            _register_new_fonts()
            _, characters = _fonts()
    return "".join(char if ord(char) in characters else "?" for char in text)


@lru_cache(maxsize=512)  # the labels of some pages: lines with numbers in them are seldom drawn twice
def rasterize(text: str, size: float, *, bold: bool = False) -> Mask:
    """Rasterize a line of printable text, `size` pixels high."""
    pieces = re.findall(r"[0-9]|[^0-9]+", text)
    if len(pieces) > 1 and _SPLITTABLE.fullmatch(text):
        return _join(pieces, size, bold=bold)
    return _draw(text, size, bold=bold)


@lru_cache(maxsize=2048)
def _draw(text: str, size: float, *, bold: bool) -> Mask:
    with DRAWING:
        ascent = math.ceil(1.2 * size)
        # The canvas is larger than needed: to measure the text first costs as much as drawing it.
        renderer = RendererAgg(math.ceil((len(text) + 1) * 1.2 * size), ascent + math.ceil(0.5 * size), 72)
        renderer.draw_text(renderer.new_gc(), 0, ascent, text, font(size, bold=bold), 0)
        coverage = np.asarray(renderer.buffer_rgba())[:, :, 3]
        rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
        top, bottom, right = (rows[0], rows[-1] + 1, columns[-1] + 1) if rows.size else (0, 0, 0)
        coverage = coverage[top:bottom, :right].copy()
    coverage.flags.writeable = False
    return Mask(coverage, ascent - int(top))


def _join(pieces: list[str], size: float, *, bold: bool) -> Mask:
    """Join a line from cached pieces: pages repeat the same words with other numbers."""
    masks = [_draw(piece, size, bold=bold) for piece in pieces]
    ends = accumulate((_advance(piece, size, bold=bold) for piece in pieces), initial=0.0)
    placed = [(round(left), mask) for left, mask in zip(ends, masks, strict=False)]
    ascent = max(mask.ascent for mask in masks)
    below = max(mask.coverage.shape[0] - mask.ascent for mask in masks)
    coverage = np.zeros(
        (ascent + below, max(left + mask.coverage.shape[1] for left, mask in placed)), np.uint8
    )
    for left, mask in placed:
        rows, columns = mask.coverage.shape
        top = ascent - mask.ascent
        area = coverage[top : top + rows, left : left + columns]
        np.maximum(area, mask.coverage, out=area)
    coverage.flags.writeable = False
    return Mask(coverage, ascent)


@lru_cache(maxsize=4096)
def _advance(piece: str, size: float, *, bold: bool) -> float:
    """Return the advance width of a piece of text in pixels.

    Short pieces are measured many times in a row, for a fraction of a pixel.
    """
    times = max(1, 40 // len(piece))
    bare, full = (_draw(f"|{n * piece}|", size, bold=bold).coverage.shape[1] for n in (0, times))
    return (full - bare) / times


def text_width(text: str, size: float, *, bold: bool = False) -> int:
    """Return the width in pixels of a line of printable text."""
    return int(rasterize(text, size, bold=bold).coverage.shape[1])


def elide(text: str, room: float, width: Callable[[str], float]) -> str:
    """Replace the middle of a text by an ellipsis so that it is at most `room` wide."""
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
