"""Pages of feature maps: the grid of a layer, and one channel large."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .canvas import EDGE, FAINT, SOFT, STRONG, Page, colour_bar, grey
from .formatting import INACTIVE_WORD, inactive_fact, range_fact, shape_text
from .grid_layout import DIGIT, HEADER, LABEL_STRIP, MARGIN, Box, GridLayout, single_tile
from .normalization import SHARED_NORMS, channel_limits, shared_limits, to_levels
from .palette import INACTIVE, INDEX_OF_LEVEL, INDEX_OF_MARK, NAN, NEGINF, PAPER, POSINF
from .sampling import Sampling, refine
from .text import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array, ChannelScale, ChannelStatistics

# In CSS pixels.
TITLE_SIZE, NOTE_SIZE, FACTS_SIZE, LABEL_SIZE, TICK_SIZE = 15, 13, 12, 11, 11
TITLE_LINE, FACTS_LINE = 17, 35  # baselines
WORD_GAP = 4
NOTE_GAP = 10  # between title and notes
BAR_WIDTH, BAR_THICKNESS = 240, 8
BAR_SPACE = BAR_THICKNESS + 66  # a vertical bar, its ticks and a margin
SHORTEST_BAR = 100
SHORTEST_TITLE = 360
FRACTIONS = {2: "½", 3: "⅓", 4: "¼", 5: "⅕", 6: "⅙", 8: "⅛"}


# ------------------------------------------------------------------ the grid of a layer


def draw_grid(
    layout: GridLayout,
    maps: Array,
    statistics: ChannelStatistics,
    *,
    path: str,
    type_name: str,
    norm: str = "standardize",
    page: int = 0,
    ratio: int = 1,
    scale: ChannelScale | None = None,
    scale_note: str = "",
    notes: Sequence[str] = (),
    inactive_word: str = INACTIVE_WORD,
) -> Page:
    """Draw one page of a layer's grid of feature maps, under its title.

    An inactive map is a pale tile with a stroke through it, labelled "inactive" where there is room, else
    explained below the title. Under a norm with one scale for all channels there is a colour bar in
    activation units.

    Args:
        layout: Layout of the tiles, from `grid_layout`.
        maps: Feature maps `(H, W, C)`.
        statistics: Statistics of `maps`.
        path: The layer's path, the title.
        type_name: The layer's type.
        norm: One of `NORMS`.
        page: Index of the page in the layout.
        ratio: Device pixels per CSS pixel.
        scale: The range that the maps are normalized by; their own if `None`.
        scale_note: The words for that range, among the facts below the title.
        notes: More words after the path: whose weights, which side of a comparison.
        inactive_word: The word for a map that is zero everywhere.

    Returns:
        The page: `page.composed()` returns its palette indices, and `feature_figure` its figure.
    """
    drawing = Page(layout.width, layout.height, ratio)
    sampling = refine(layout.sampling, *layout.map_shape, ratio)
    limits = shared_limits(statistics, norm, scale) if norm in SHARED_NORMS else None
    room = float(layout.width - 2 * MARGIN)
    if limits and limits[0] < limits[1]:
        bar_width = min(BAR_WIDTH, 2 * layout.width // 7)
        bar = Box(layout.width - MARGIN - 20 - bar_width, 2, bar_width, BAR_THICKNESS)
        colour_bar(drawing, bar, limits, vertical=False, size=TICK_SIZE)
        room = bar.x - MARGIN - 40
    _write_title(drawing, path, notes, room)
    channels = layout.channels(page)
    inactive = statistics.inactive[list(channels)]
    label_room = layout.pitch[0] * layout.label_step - 5
    longest_label = len(str(max(layout.order))) * DIGIT + WORD_GAP + text_width(inactive_word, LABEL_SIZE)
    labels_inactive = longest_label <= label_room
    _write_facts(
        drawing,
        grid_facts(
            layout,
            statistics,
            type_name,
            sampling,
            page=page,
            scale_note=scale_note,
            inactive_word=inactive_word,
        ),
        [counts.sum() for counts in _not_finite(statistics)],
        inactive_word=inactive_word if not labels_inactive and inactive.any() else "",
    )
    _paste_tiles(drawing, layout, tiles(maps, norm, channels, statistics, sampling, scale=scale), inactive)
    for place, channel in enumerate(channels):
        row, column = divmod(place, layout.columns)
        if column % layout.label_step == 0:
            box = layout.place_box(row, column)
            ink = FAINT if inactive[place] else SOFT
            drawing.write(box.x, box.y - 3, str(channel), LABEL_SIZE, ink=ink)
            if inactive[place] and labels_inactive:
                x = box.x + len(str(channel)) * DIGIT + WORD_GAP
                drawing.write(x, box.y - 3, inactive_word, LABEL_SIZE, ink=ink)
    return drawing


def _write_title(drawing: Page, title: str, notes: Sequence[str], room: float) -> None:
    """Write a title, and notes in the space that it leaves: at least half of the room if they need it."""
    words = " · ".join(notes)
    least = min(room / 2, NOTE_GAP + text_width(words, NOTE_SIZE)) if words else 0
    line = drawing.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=room - least)
    if words:
        taken = text_width(line, TITLE_SIZE, bold=True) + NOTE_GAP
        drawing.write(MARGIN + taken, TITLE_LINE, words, NOTE_SIZE, room=room - taken)


def grid_facts(
    layout: GridLayout,
    statistics: ChannelStatistics,
    type_name: str,
    sampling: Sampling,
    *,
    page: int,
    scale_note: str,
    inactive_word: str,
) -> list[str]:
    """Return the facts below the title of a grid, most important first."""
    (height, width), count = layout.map_shape, len(statistics.inactive)
    facts = [
        f"{type_name} · {shape_text((height, width, count))}",
        inactive_fact(statistics, f"of {count} channels", inactive_word),
        *filter(None, [scale_note]),
        sampling_fact(layout.sampling, sampling),
    ]
    if layout.pages > 1 or len(layout.order) < count:
        shown = layout.channels(page)
        if shown == tuple(range(shown[0], shown[-1] + 1)):
            facts.insert(-1, f"channels {shown[0]}–{shown[-1]} of {count}")
        else:
            facts.insert(-1, f"page {page + 1} of {layout.pages}")
    return facts


def sampling_fact(plain: Sampling, sampling: Sampling) -> str:
    """Describe a sampling; `plain` is the one at one device pixel per CSS pixel."""
    shrink, rows, columns = plain
    if shrink == 1 and rows == columns:
        return "each value is 1 pixel" if rows == 1 else f"each value is {columns}×{rows} pixels"
    if shrink == 1:
        return f"each value is {columns} wide, {rows} high"
    size = FRACTIONS.get(shrink, f"1/{shrink}")
    mean = f"mean of {sampling.shrink}×{sampling.shrink}" if sampling.shrink > 1 else "each value drawn"
    stretched = ", drawn wider" if columns > rows else ", drawn higher" if rows > columns else ""
    return f"tiles at {size} size ({mean}{stretched})"


def tiles(
    maps: Array,
    norm: str,
    channels: Sequence[int],
    statistics: ChannelStatistics,
    sampling: Sampling,
    *,
    scale: ChannelScale | None,
) -> Array:
    """Return the tiles of some channels as palette indices, `(n, h, w)`, in device pixels."""
    levels, marks = to_levels(maps, norm, channels, statistics, sampling.shrink, scale=scale)
    indices = INDEX_OF_LEVEL[levels]
    if marks is not None:
        np.copyto(indices, INDEX_OF_MARK[marks], where=marks > 0)
    return indices.repeat(sampling.rows, axis=1).repeat(sampling.columns, axis=2)


def map_indices(
    maps: Array, statistics: ChannelStatistics, channel: int, norm: str, scale: ChannelScale | None = None
) -> Array:
    """Return a channel as palette indices, `(H, W)`: one per value."""
    indices: Array = tiles(maps, norm, [channel], statistics, Sampling(1, 1, 1), scale=scale)[0]
    if statistics.inactive[channel]:
        indices[:] = INACTIVE
    return indices


def _paste_tiles(drawing: Page, layout: GridLayout, drawn: Array, inactive: Array) -> None:
    """Paste all tiles of a page, with their edges, at once: a hundred small writes take longer."""
    ratio = drawing.ratio
    (width, height), (across, down) = (
        [side * ratio for side in sides] for sides in (layout.tile, layout.pitch)
    )
    cells = np.full((layout.rows * layout.columns, down, across), PAPER, np.uint8)
    top = LABEL_STRIP * ratio
    framed = cells[: len(drawn), top - ratio : top + height + ratio, : width + 2 * ratio]
    framed[:] = grey(EDGE)
    area = framed[:, ratio:-ratio, ratio:-ratio]
    area[:] = PAPER  # at a finer sampling a tile may be smaller than its box
    area[:, : drawn.shape[1], : drawn.shape[2]] = drawn
    area[inactive] = _inactive_tile(height, width, ratio)
    rows = cells.reshape(layout.rows, layout.columns, down, across).swapaxes(1, 2)
    first, left = HEADER * ratio, (MARGIN - 1) * ratio
    page = drawing.indices[first : first + layout.rows * down, left : left + layout.columns * across]
    page[:] = rows.reshape(page.shape)


@lru_cache(maxsize=16)
def _inactive_tile(height: int, width: int, ratio: int) -> Array:
    """Draw the tile of an inactive map: a fill that no map has, and a stroke from corner to corner."""
    tile = np.full((height, width), INACTIVE, np.uint8)
    steps = 2 * max(height, width)
    rows = np.linspace(height - 1, 0, steps).round().astype(int)
    columns = np.linspace(0, width - 1, steps).round().astype(int)
    for offset in range(ratio):
        tile[rows, np.minimum(columns + offset, width - 1)] = grey(FAINT)
    return tile


# ------------------------------------------------------------------ one channel


def draw_channel(
    maps: Array,
    channel: int,
    statistics: ChannelStatistics,
    *,
    title: str | None = None,
    norm: str = "standardize",
    box: int = 300,
    tight: bool = False,
    ratio: int = 1,
    scale: ChannelScale | None = None,
    scale_note: str = "",
    notes: Sequence[str] = (),
    inactive_word: str = INACTIVE_WORD,
) -> Page:
    """Draw one channel large, with its own colour bar in activation units.

    Under a norm with a scale per channel the bar reaches from the smallest value to the largest, of the map
    or of the scale. Where these lie beyond the limits, as under `"standardize"`, the colours at its ends
    continue.

    Args:
        maps: Feature maps `(H, W, C)`.
        channel: Index of the channel.
        statistics: Statistics of `maps`.
        title: Title of the page; the channel's index if `None`.
        norm: One of `NORMS`.
        box: Side in CSS pixels of the square that the map is fitted into.
        tight: Whether the page ends where the map does; otherwise its size is the same for all maps.
        ratio: Device pixels per CSS pixel.
        scale: The range that the map is normalized by; its own if `None`.
        scale_note: The words for that range, among the facts below the title.
        notes: More words after the title: whose weights, which side of a comparison.
        inactive_word: The word for a map that is zero everywhere.
    """
    height, width, _ = maps.shape
    plain, tile = single_tile((height, width), box)
    sampling = refine(plain, height, width, ratio)
    bar = Box(tile.x + tile.width + 12, tile.y, BAR_THICKNESS, max(tile.height, SHORTEST_BAR))
    if tight:
        drawing = Page(max(SHORTEST_TITLE, bar.x + BAR_SPACE), tile.y + bar.height + MARGIN, ratio)
    else:
        drawing = Page(MARGIN + box + 12 + BAR_SPACE, HEADER + box + MARGIN, ratio)
    title = f"channel {channel}" if title is None else title
    _write_title(drawing, title, notes, drawing.width - 2 * MARGIN)
    low, high = (float(limit[channel]) for limit in channel_limits(statistics, norm, scale))
    facts = [
        range_fact(statistics, channel, inactive_word),
        *filter(None, [scale_note]),
        sampling_fact(plain, sampling),
    ]
    _write_facts(drawing, facts, [counts[channel] for counts in _not_finite(statistics)])
    drawing.edge(tile)
    area, drawn = drawing.area(tile), tiles(maps, norm, [channel], statistics, sampling, scale=scale)[0]
    area[: drawn.shape[0], : drawn.shape[1]] = drawn
    if statistics.inactive[channel]:
        area[:] = _inactive_tile(*area.shape, ratio)
    elif low < high:
        # Only the part of the limits that values reach: behind a ReLU there are none below 0.
        ranges = statistics if scale is None else scale
        ends = (low, high) if norm in SHARED_NORMS else (ranges.min[channel], ranges.max[channel])
        colour_bar(drawing, bar, (low, high), ends=ends, vertical=True, size=TICK_SIZE)
    return drawing


# ------------------------------------------------------------------ facts of both pages


def _not_finite(statistics: ChannelStatistics) -> tuple[Array, Array, Array]:
    return statistics.nan, statistics.posinf, statistics.neginf


def _write_facts(drawing: Page, facts: list[str], not_finite: list[int], *, inactive_word: str = "") -> None:
    """Write as many facts below the title as fit, and always the legend of the marks.

    The mark of inactive maps is among them if there is a word for it.
    """
    legend = [
        (f"{count} {name}", index)
        for count, name, index in zip(not_finite, ("NaN", "+inf", "−inf"), (NAN, POSINF, NEGINF), strict=True)
        if count
    ]
    if inactive_word:
        legend.insert(0, (inactive_word, INACTIVE))
    swatch, gap = 9, 5
    needed = sum(4 * gap + swatch + text_width(text, FACTS_SIZE) for text, _ in legend)
    room = drawing.width - 2 * MARGIN - needed
    while len(facts) > 1 and text_width(" · ".join(facts), FACTS_SIZE) > room:
        facts = facts[:-1]
    line = drawing.write(MARGIN, FACTS_LINE, " · ".join(facts), FACTS_SIZE, room=room)
    x = MARGIN + text_width(line, FACTS_SIZE)
    for text, index in legend:
        x += 3 * gap
        box = Box(round(x), FACTS_LINE - swatch, swatch, swatch)
        drawing.area(box)[:] = index
        if index == INACTIVE:
            drawing.edge(box)
            drawing.area(box)[:] = _inactive_tile(*drawing.area(box).shape, drawing.ratio)
        x += swatch + gap
        drawing.write(x, FACTS_LINE, text, FACTS_SIZE, ink=STRONG)
        x += text_width(text, FACTS_SIZE)
