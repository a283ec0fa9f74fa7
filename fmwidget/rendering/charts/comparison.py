"""Page of a comparison: rows of bars with one column per layer, and the layers that do not correspond."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import FAINT, SOFT, STRONG, Page, grey
from fmwidget.rendering.formatting import MINUS, number, shape_text
from fmwidget.rendering.grid_layout import MARGIN, PAGE_WIDTH
from fmwidget.rendering.palette import NAN
from fmwidget.rendering.text import printable, text_width

from .layer_bars import (
    FACTS_LINE,
    LABELS_APART,
    NAMES_HEIGHT,
    ROW_HEIGHT,
    TICK_SIZE,
    BarLayout,
    BarRow,
    bar_layout,
    draw_bars,
    write_title,
)

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.analysis.comparison import Comparison

# In CSS pixels.
TALL_ROW = 88  # of the relative distances
FIRST_LINE = 15  # of the name of the first layer over the tolerance
ARROW = 4  # half of its width
NOTE_LINE = 15

MOST_DECADES = 12


def comparison_layout(
    comparison: Comparison, width: int = PAGE_WIDTH, *, titled: bool = False
) -> BarLayout | None:
    """Lay out a comparison on a page; `None` if no layers correspond.

    Args:
        comparison: The comparison.
        width: Width of the page in CSS pixels.
        titled: Whether there are two lines of title above the rows.
    """
    if not comparison.paths:
        return None
    head = (FACTS_LINE if titled else 0) + MARGIN
    if comparison.first_over is not None:
        head += FIRST_LINE
    return bar_layout(_rows(comparison), width, head)


def draw_comparison(
    comparison: Comparison, width: int = PAGE_WIDTH, ratio: int = 1, *, title: str | None = None
) -> Page:
    """Draw how far the layers of both sides are apart: relative L2, 1 − cosine and the largest difference.

    All three are on logarithmic scales: differences grow from layer to layer. The tolerance is a line in the
    first row, and the first layer over it is named above its column. Layers that do not correspond are listed
    below. Where there are more layers than pixels, the highest bar of each pixel is drawn.

    Args:
        comparison: The comparison.
        width: Width of the page in CSS pixels.
        ratio: Device pixels per CSS pixel.
        title: Title above a line that describes the comparison; `None` for neither.
    """
    layout = comparison_layout(comparison, width, titled=title is not None)
    top = (FACTS_LINE if title is not None else 0) + MARGIN
    if layout is not None:
        top = layout.plot.y + layout.plot.height + NAMES_HEIGHT
    notes = _notes(comparison)
    page = Page(width, top + NOTE_LINE * len(notes) + MARGIN, ratio)
    if title is not None:
        write_title(page, title, comparison_in_words(comparison))
    if layout is not None:
        draw_bars(page, layout, _rows(comparison), comparison.paths, {NAN: comparison.not_finite > 0})
        _mark_first(page, layout, comparison)
    for line, note in enumerate(notes):
        page.write(MARGIN, top + (line + 1) * NOTE_LINE, note, TICK_SIZE, room=width - 2 * MARGIN)
    return page


def comparison_in_words(comparison: Comparison) -> str:
    """Describe a comparison: the first layer over the tolerance, and how many there are."""
    count, over = len(comparison.paths), int(comparison.over.sum())
    if not count:
        return "no layers correspond"
    text = _count(count, "layer")
    tolerance = number(comparison.tolerance)
    if not over:
        is_same = not (comparison.max_abs.any() or comparison.not_finite.any())
        text += ", the same in all" if is_same else f", none over the tolerance of {tolerance}"
    else:
        place = int(np.argmax(comparison.over))
        text += (
            f", {over} over the tolerance of {tolerance}: first {comparison.paths[place]} "
            f"({_distance_in_words(comparison, place)})"
        )
    others = len(comparison.only_a) + len(comparison.only_b) + len(comparison.different_shapes)
    return f"{text} · {_count(others, 'layer')} without a counterpart" if others else text


def layer_difference_in_words(comparison: Comparison, layer: int) -> str:
    """Describe one layer of a comparison."""
    path, other = comparison.paths[layer], comparison.other_paths[layer]
    name = path if path == other else f"{path} and {other}"
    facts = [_distance_in_words(comparison, layer)]
    if not np.isnan(comparison.cosine[layer]):
        facts.append(_cosine_in_words(float(comparison.cosine[layer])))
    facts += [
        f"max |A {MINUS} B| {number(comparison.max_abs[layer])}",
        shape_text(comparison.shapes[layer]),
    ]
    if comparison.left_out[layer]:
        facts.append(f"{comparison.left_out[layer]} values NaN or infinite left out")
    return f"{name}: {', '.join(facts)}"


def _distance_in_words(comparison: Comparison, layer: int) -> str:
    distance = comparison.relative_l2[layer]
    text = f"relative L2 {number(distance)}" if np.isfinite(distance) else "A is zero everywhere, B is not"
    different = comparison.not_finite[layer]
    return f"{text}, {different} NaN or infinite in one of them" if different else text


def _cosine_in_words(cosine: float) -> str:
    near = 0 < 1 - cosine < 0.001
    return f"1 {MINUS} cosine {number(1 - cosine)}" if near else f"cosine {number(cosine)}"


def _notes(comparison: Comparison) -> list[str]:
    """Return a line for each kind of layers that correspond by order only, or not at all."""
    other = dict(zip(comparison.paths, comparison.other_paths, strict=True))
    by_order = [f"{path} = {other[path]}" for path in comparison.by_order if path in other]
    shapes = [
        f"{path} ({shape_text(a)} and {shape_text(b)})"
        for path, (a, b) in comparison.different_shapes.items()
    ]
    lists = {
        "paired by order": by_order,
        "in A only": comparison.only_a,
        "in B only": comparison.only_b,
        "of different shapes": shapes,
    }
    return [
        f"{_count(len(names), 'layer')} {kind}: {', '.join(names)}" for kind, names in lists.items() if names
    ]


def _count(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _rows(comparison: Comparison) -> tuple[BarRow, ...]:
    ink = np.where(comparison.over, STRONG, FAINT)
    with np.errstate(invalid="ignore"):
        angles = np.nan_to_num(1 - comparison.cosine)
    return (
        _log_row("relative L2", comparison.relative_l2, ink, tolerance=comparison.tolerance),
        _log_row(f"1 {MINUS} cosine", angles, ink),
        _log_row(f"max |A {MINUS} B|", comparison.max_abs, ink),
    )


def _log_row(title: str, values: Array, ink: Array, *, tolerance: float = 0.0) -> BarRow:
    """Return values from 0 as bars on a logarithmic scale; no bar for 0, and a full one for infinity.

    Args:
        title: The row's title.
        values: The values.
        ink: Share of ink of each bar.
        tolerance: A value to draw a line at, unless it is 0.
    """
    has_line = 0 < tolerance < math.inf
    height = TALL_ROW if has_line else ROW_HEIGHT
    positive = values[(values > 0) & np.isfinite(values)]
    # A decade on both sides of the line, so that layers on both sides of it differ in sight.
    drawn = np.append(positive, [tolerance / 10, tolerance * 10]) if has_line else positive
    if not drawn.size:
        return BarRow(title, (values > 0).astype(float), (("", 1), ("0", 0)), ink=ink, height=height)
    # Whole powers of ten, the lower one far enough below all values that each has a bar. Rounding must not
    # take a value like 1 − 0.9 to another power.
    high = math.ceil(math.log10(drawn.max()) - 1e-6)
    low = max(math.floor(math.log10(drawn.min()) - 0.1), high - MOST_DECADES)
    with np.errstate(divide="ignore"):
        heights = (np.log10(values) - low) / (high - low)
    heights = np.where(values > 0, np.clip(heights, 1e-9, 1), 0)
    ticks = [(_power(high), 1.0), (_power(low), 0.0)]
    line = None
    if has_line:
        line = max(0.0, (math.log10(tolerance) - low) / (high - low))
        if min(line, 1 - line) * (height - TICK_SIZE) >= LABELS_APART:
            ticks.append((number(tolerance), line))
    return BarRow(f"{title} (log)", heights, tuple(ticks), ink=ink, line=line, height=height)


def _power(exponent: int) -> str:
    return number(10.0**exponent) if abs(exponent) <= 3 else f"1e{exponent}".replace("-", MINUS)


def _mark_first(page: Page, layout: BarLayout, comparison: Comparison) -> None:
    """Point at the column of the first layer over the tolerance, and write its name beside the arrow."""
    path = comparison.first_over
    if path is None:
        return
    column = layout.column(comparison.paths.index(path))
    middle, bottom = column.x + column.width / 2, layout.plot.y - 3
    for row in range(2 * ARROW * page.ratio):
        half = row // 2 + 1
        left = round(middle * page.ratio) - half
        page.indices[bottom * page.ratio - row - 1, max(0, left) : left + 2 * half] = grey(STRONG)
    room_left, room_right = middle - MARGIN - 2 * ARROW, page.width - MARGIN - middle - 2 * ARROW
    text = printable(f"first over the tolerance: {path}")
    needed = text_width(text, TICK_SIZE)
    if needed > max(room_left, room_right):
        text = path
    to_right = room_right >= min(needed, room_left)
    page.write(
        middle + (2 if to_right else -2) * ARROW,
        bottom - 1,
        text,
        TICK_SIZE,
        ink=SOFT,
        align="left" if to_right else "right",
        room=room_right if to_right else room_left,
    )
