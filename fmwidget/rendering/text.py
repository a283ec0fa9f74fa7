"""Short lines of text as coverage masks, drawn by matplotlib once and kept."""

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

# Matplotlib, its fonts included, is not thread-safe, and widget callbacks run beside cells: whatever of ours
# draws with it holds this lock.
DRAWING = threading.RLock()

# What may be cut at its digits: Latin letters, punctuation and mathematical signs. Other scripts may run the
# other way, or join their letters.
_CUTTABLE = re.compile(r"[\x20-\u024f\u2010-\u2027\u2030-\u205e\u2190-\u22ff]*")

REGULAR, BOLD = 400, 700  # weights of a font
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
    _complete_weights(families[-1])
    characters: set[int] = set()
    for family in families:
        path = font_manager.findfont(FontProperties(family=family))
        characters |= set(font_manager.get_font(path).get_charmap())
    return families, frozenset(characters)


def _complete_weights(family: str) -> None:
    """Has matplotlib take the next best weight for one that a family lacks: by itself it tells the reader."""
    fonts = font_manager.fontManager.ttflist
    names: dict[Any, int] = font_manager.weight_dict
    weights = {names.get(font.weight, font.weight): font for font in fonts if font.name == family}
    for wanted in (REGULAR, BOLD):
        if wanted not in weights:
            nearest = min(weights, key=lambda weight: abs(int(weight) - wanted))
            fonts.append(replace(weights[nearest], weight=wanted))


@lru_cache(maxsize=1)
def _learn_of_new_fonts() -> None:
    """Has matplotlib know of our families where they were installed since it wrote down what there is."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            if font_manager.get_font(path).family_name in CJK_FAMILIES:
                font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError) as error:
            log.info("A font file cannot be read: %s", error)
    _fonts.cache_clear()


def font(size: float, *, bold: bool = False) -> FontProperties:
    """The font of `size` points that all figures are written in."""
    with DRAWING:
        return FontProperties(family=list(_fonts()[0]), size=size, weight=BOLD if bold else REGULAR)


@lru_cache(maxsize=4096)
def printable(text: str) -> str:
    """Text on one line without control characters, `?` standing for what no font here can write."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]}…{text[-half:]}"
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    text = "".join(each for each in text if not is_control(each) and unicodedata.category(each) != "Cf")
    with DRAWING:
        _, characters = _fonts()
        if not characters.issuperset(map(ord, text)):
            _learn_of_new_fonts()
            _, characters = _fonts()
    return "".join(each if ord(each) in characters else "?" for each in text)


@lru_cache(maxsize=512)  # the labels of some pages: lines with numbers in them seldom come twice
def rasterize(text: str, size: float, *, bold: bool = False) -> Mask:
    """Draws a line of printable text, `size` pixels high."""
    pieces = re.findall(r"[0-9]|[^0-9]+", text)
    if len(pieces) > 1 and _CUTTABLE.fullmatch(text):
        return _set_side_by_side(pieces, size, bold=bold)
    return _draw(text, size, bold=bold)


@lru_cache(maxsize=2048)
def _draw(text: str, size: float, *, bold: bool) -> Mask:
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


def _set_side_by_side(pieces: list[str], size: float, *, bold: bool) -> Mask:
    """Sets a line from pieces drawn before: a page says the same words again with other numbers."""
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
    """Pixels from the start of a piece of text to what follows it; of short ones to a fraction of a pixel."""
    times = max(1, 40 // len(piece))
    bare, full = (_draw(f"|{n * piece}|", size, bold=bold).coverage.shape[1] for n in (0, times))
    return (full - bare) / times


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
