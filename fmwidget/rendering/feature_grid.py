"""Draws the grid of a layer's feature maps, and one map large, as pages of palette indices."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .canvas import EDGE, FAINT, SOFT, STRONG, Page, colour_bar, grey
from .formatting import range_fact, shape_text
from .grid_layout import DIGIT, HEADER, LABEL_STRIP, MARGIN, Box, GridLayout, single_tile
from .normalization import SHARED_NORMS, channel_limits, shared_limits, to_levels
from .palette import INACTIVE, INDEX_OF_LEVEL, INDEX_OF_MARK, NAN, NEGINF, PAPER, POSINF
from .sampling import Sampling, refine
from .text import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array, ChannelStatistics

# A digit of 11 pixels is 7 wide: numbers are set evenly.
TITLE_SIZE, FACTS_SIZE, LABEL_SIZE, TICK_SIZE = 15, 12, 11, 11
TITLE_LINE, FACTS_LINE = 17, 35  # baselines
WORD_GAP = 4
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
) -> Page:
    """Draws a page of a layer's feature maps, under its title.

    A map that is zero everywhere is a pale tile with a stroke through it, and says so where there is
    room, else below the title. Under a
    norm with one scale for all channels there is a colour bar in activation units.

    Args:
        layout: Where the tiles lie, from `grid_layout`.
        maps: Feature maps `(H, W, C)`.
        statistics: What `channel_statistics` found in `maps`.
        path: The layer's path, the title.
        type_name: The layer's type.
        norm: One of `NORMS`.
        page: Which page of the layout.
        ratio: Device pixels to a CSS pixel.

    Returns:
        The page: `page.composed()` are its palette indices, and `feature_figure` makes a figure of it.
    """
    drawing = Page(layout.width, layout.height, ratio)
    sampling = refine(layout.sampling, *layout.map_shape, ratio)
    limits = shared_limits(statistics, norm) if norm in SHARED_NORMS else None
    room = float(layout.width - 2 * MARGIN)
    if limits and limits[0] < limits[1]:
        bar_width = min(BAR_WIDTH, 2 * layout.width // 7)
        bar = Box(layout.width - MARGIN - 20 - bar_width, 2, bar_width, BAR_THICKNESS)
        colour_bar(drawing, bar, limits, vertical=False, size=TICK_SIZE)
        room = bar.x - MARGIN - 40
    drawing.write(MARGIN, TITLE_LINE, path, TITLE_SIZE, ink=STRONG, bold=True, room=room)
    facts = grid_facts(layout, statistics, type_name, sampling, page)
    channels = layout.channels(page)
    off = statistics.inactive[list(channels)]
    label_room = layout.pitch[0] * layout.label_step - 5
    widest = len(str(max(layout.order))) * DIGIT
    says_so = widest + WORD_GAP + text_width("inactive", LABEL_SIZE) <= label_room
    unsaid = not says_so and bool(off.any())
    _write_facts(drawing, facts, [counts.sum() for counts in _not_finite(statistics)], shows_inactive=unsaid)

    _paste_all(drawing, layout, tiles(maps, norm, channels, statistics, sampling), off)
    for place, (channel, inactive) in enumerate(zip(channels, off, strict=True)):
        row, column = divmod(place, layout.columns)
        if column % layout.label_step == 0:
            box = layout.place_box(row, column)
            ink = FAINT if inactive else SOFT
            drawing.write(box.x, box.y - 3, str(channel), LABEL_SIZE, ink=ink)
            if inactive and says_so:
                after = box.x + len(str(channel)) * DIGIT + WORD_GAP
                drawing.write(after, box.y - 3, "inactive", LABEL_SIZE, ink=ink)
    return drawing


def grid_facts(
    layout: GridLayout, statistics: ChannelStatistics, type_name: str, sampling: Sampling, page: int = 0
) -> list[str]:
    """What the line below a grid's title says, most important first."""
    (height, width), count = layout.map_shape, len(statistics.inactive)
    facts = [
        f"{type_name} · {shape_text((height, width, count))}",
        f"{statistics.inactive.sum()} of {count} channels inactive",
        sampling_fact(layout.sampling, sampling),
    ]
    if layout.pages > 1 or len(layout.order) < count:
        shown = layout.channels(page)
        if shown == tuple(range(shown[0], shown[-1] + 1)):
            facts.insert(2, f"channels {shown[0]}–{shown[-1]} of {count}")
        else:
            facts.insert(2, f"page {page + 1} of {layout.pages}")
    return facts


def sampling_fact(plain: Sampling, sampling: Sampling) -> str:
    """How values became pixels, in words; `plain` is the sampling at one device pixel to a CSS pixel."""
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
    maps: Array, norm: str, channels: Sequence[int], statistics: ChannelStatistics, sampling: Sampling
) -> Array:
    """Channels as palette indices, `(n, h, w)`, in device pixels."""
    levels, marks = to_levels(maps, norm, channels, statistics, sampling.shrink)
    indices = INDEX_OF_LEVEL[levels]
    if marks is not None:
        np.copyto(indices, INDEX_OF_MARK[marks], where=marks > 0)
    return indices.repeat(sampling.rows, axis=1).repeat(sampling.columns, axis=2)


def map_indices(maps: Array, statistics: ChannelStatistics, channel: int, norm: str) -> Array:
    """A channel as palette indices, `(H, W)`: one for each value."""
    indices: Array = tiles(maps, norm, [channel], statistics, Sampling(1, 1, 1))[0]
    if statistics.inactive[channel]:
        indices[:] = INACTIVE
    return indices


def _paste_all(drawing: Page, layout: GridLayout, drawn: Array, inactive: Array) -> None:
    """Draws all tiles of a page, each with its edge, in one go: a hundred small writes take longer."""
    ratio = drawing.ratio
    (width, height), (across, down) = (
        [side * ratio for side in sides] for sides in (layout.tile, layout.pitch)
    )
    cells = np.full((layout.rows * layout.columns, down, across), PAPER, np.uint8)
    top = LABEL_STRIP * ratio
    framed = cells[: len(drawn), top - ratio : top + height + ratio, : width + 2 * ratio]
    framed[:] = grey(EDGE)
    area = framed[:, ratio:-ratio, ratio:-ratio]
    area[:] = PAPER
    area[:, : drawn.shape[1], : drawn.shape[2]] = drawn
    area[inactive] = _struck(height, width, ratio)
    rows = cells.reshape(layout.rows, layout.columns, down, across).swapaxes(1, 2)
    first, left = HEADER * ratio, (MARGIN - 1) * ratio
    page = drawing.indices[first : first + layout.rows * down, left : left + layout.columns * across]
    page[:] = rows.reshape(page.shape)


@lru_cache(maxsize=16)
def _struck(height: int, width: int, ratio: int) -> Array:
    """The tile of an inactive map: a fill no map has, and a stroke from corner to corner."""
    area = np.full((height, width), INACTIVE, np.uint8)
    steps = 2 * max(height, width)
    for offset in range(ratio):
        rows = np.linspace(height - 1, 0, steps).round().astype(int)
        columns = np.linspace(0, width - 1, steps).round().astype(int)
        area[rows, np.minimum(columns + offset, width - 1)] = grey(FAINT)
    return area


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
) -> Page:
    """Draws one feature map large, with its own colour bar in activation units.

    On a scale of the channel's own the bar reaches from the map's smallest value to its largest; where these
    lie beyond the scale, as `"standardize"` has it, the colours at its ends go on.

    Args:
        maps: Feature maps `(H, W, C)`.
        channel: Which of them.
        statistics: What `channel_statistics` found in `maps`.
        title: The title; the channel's number if `None`.
        norm: One of `NORMS`.
        box: Side in CSS pixels of the square the map is fitted into.
        tight: Whether the page ends where the map does; otherwise its size is the same for all maps.
        ratio: Device pixels to a CSS pixel.
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
    room = drawing.width - 2 * MARGIN
    drawing.write(MARGIN, TITLE_LINE, title, TITLE_SIZE, ink=STRONG, bold=True, room=room)
    low, high = (float(limit[channel]) for limit in channel_limits(statistics, norm))
    facts = [range_fact(statistics, channel), sampling_fact(plain, sampling)]
    _write_facts(drawing, facts, [counts[channel] for counts in _not_finite(statistics)])
    drawing.edge(tile)
    area, drawn = drawing.area(tile), tiles(maps, norm, [channel], statistics, sampling)[0]
    area[: drawn.shape[0], : drawn.shape[1]] = drawn
    if statistics.inactive[channel]:
        area[:] = _struck(*area.shape, ratio)
    elif low < high:
        # Of a scale of its own only the part that the map reaches: a map behind a ReLU has no values below 0.
        ends = (low, high) if norm in SHARED_NORMS else (statistics.min[channel], statistics.max[channel])
        colour_bar(drawing, bar, (low, high), ends=ends, vertical=True, size=TICK_SIZE)
    return drawing


# ------------------------------------------------------------------ what both say


def _not_finite(statistics: ChannelStatistics) -> tuple[Array, Array, Array]:
    return statistics.nan, statistics.posinf, statistics.neginf


def _write_facts(
    drawing: Page, facts: list[str], not_finite: list[int], *, shows_inactive: bool = False
) -> None:
    """Writes the line below the title; how inactive maps and values that are not finite look always fits."""
    legend = [
        (f"{count} {name}", index)
        for count, name, index in zip(not_finite, ("NaN", "+inf", "−inf"), (NAN, POSINF, NEGINF), strict=True)
        if count
    ]
    if shows_inactive:
        legend.insert(0, ("inactive", INACTIVE))
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
            drawing.area(box)[:] = _struck(*drawing.area(box).shape, drawing.ratio)
        x += swatch + gap
        drawing.write(x, FACTS_LINE, text, FACTS_SIZE, ink=STRONG)
        x += text_width(text, FACTS_SIZE)
