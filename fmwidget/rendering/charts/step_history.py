"""Page of a step history: a heat map of layers by steps, and the line of one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import STRONG, Page, stack
from fmwidget.rendering.formatting import number, percent
from fmwidget.rendering.grid_layout import MARGIN, PAGE_WIDTH, Box
from fmwidget.rendering.palette import cmap_for, is_diverging

from .heat_map import HeatMap, draw_heat_map, heat_map_layout, row_names
from .lines import draw_line

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.analysis.step_history import StepHistory

# The quantities that can be drawn, and their names.
DRAWN = {
    "inactive": "inactive channels",
    "mean": "mean activation",
    "from_first": "distance from the first step",
    "from_previous": "distance from the previous step",
}
SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)  # of inactive channels, at the top of the scale
FAR = 4  # times the 95th percentile of the distances, beyond which the scale ends there

# In CSS pixels.
LINE_HEIGHT, LINE_FOOT = 40, 10
TICK_SIZE = 11


def history_map(history: StepHistory, quantity: str) -> HeatMap:
    """Return one quantity of a history as a heat map, a row per layer and a column per step.

    Means are drawn relative to the largest of their layer: those of one layer may be a hundred times as
    large as those of another.

    Args:
        history: The history, of at least one step.
        quantity: One of `DRAWN`.
    """
    values, title = getattr(history, quantity), DRAWN[quantity]
    known = ~np.isnan(history.inactive)  # the layer was called
    low = 0.0
    if quantity == "inactive":
        title = "share of inactive channels"
        high = next(share for share in SHARES if not (values > share).any())
    elif quantity == "mean":
        title, low, high = "mean / largest of the layer", -1.0, 1.0
        values = _relative(values)
    else:
        if quantity == "from_previous":
            known &= np.array(history.previous)[:, np.newaxis] >= 0
        if history.note:
            known &= ~np.isnan(values)
        high = _largest(values)
        if (values > high).any():
            title += f", {number(high)} or more"
    unit = "epoch" if all(_is_epoch(history, row) for row in range(1, len(history.steps))) else "step"
    return HeatMap(
        values.T,
        history.paths,
        [str(step) for step in history.steps],
        "layer",
        unit,
        title,
        (low, high),
        known.T,
    )


def history_cmap(quantity: str, cmap: str) -> str:
    """Return the colormap for a quantity: `cmap`, unless only the other one of both has a middle."""
    if quantity == "mean":
        return cmap_for("symmetric", cmap)
    return "viridis" if is_diverging(cmap) else cmap


def draw_step_history(
    history: StepHistory,
    quantity: str,
    path: str | None = None,
    width: int = PAGE_WIDTH,
    ratio: int = 1,
    *,
    title: str | None = None,
) -> Page:
    """Draw one quantity of a history as a heat map, and below it the line of one layer.

    Args:
        history: The history, of at least one step.
        quantity: One of `DRAWN`.
        path: Path of the layer whose line is drawn; `None` for no line.
        width: Width of the page in CSS pixels.
        ratio: Device pixels per CSS pixel.
        title: Title above a line that describes the history; `None` for neither.
    """
    heat_map = history_map(history, quantity)
    facts = "" if title is None else history_in_words(history)
    page = draw_heat_map(heat_map, width, ratio, title=title, facts=facts)
    if path is None or path not in history.paths or not heat_map.known_cells[history.paths.index(path)].any():
        return page
    plot = heat_map_layout(heat_map, width).plot
    line = Page(width, LINE_HEIGHT + LINE_FOOT, ratio)
    box = Box(plot.x, 1, plot.width, LINE_HEIGHT)
    line.edge(box)
    values = getattr(history, quantity)[:, history.paths.index(path)]
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    high = high if low < high else 1.0
    with np.errstate(all="ignore"):
        heights = (values - low) / (high - low)
    x = plot.x + (np.arange(len(values)) + 0.5) * plot.width / len(values)
    draw_line(line, box, x, heights, ink=STRONG)
    for value, y in ((high, box.y + TICK_SIZE - 2), (low, box.y + LINE_HEIGHT)):
        label = percent(value) if quantity == "inactive" else number(value)
        line.write(box.x - 6, y, label, TICK_SIZE, align="right")
    middle, room = box.y + LINE_HEIGHT / 2 + 4, box.x - 6 - MARGIN
    name = row_names(heat_map, room)[history.paths.index(path)]
    line.write(box.x - 6, middle, name, TICK_SIZE, ink=STRONG, align="right", room=room)
    return stack([page, line])


def history_in_words(history: StepHistory) -> str:
    """Describe a history: layers that died, what is not finite, and the layer that moved most."""
    count, layers = len(history.steps), len(history.paths)
    steps = f"{count} of {history.total} steps so far" if not history.is_complete else _count(count, "step")
    facts = [_deaths_in_words(history)]
    rows, places = np.nonzero((history.nan > 0) | (history.inf > 0))
    if rows.size:
        first = f"{history.paths[places[0]]} at {history.names[rows[0]]}"
        facts.append(f"NaN or infinite values first in {first}")
    moved = history.from_first[-1]
    moved = np.where(np.isfinite(moved), moved, -1)
    farthest = int(np.argmax(moved))
    if moved[farthest] > 0:
        facts.append(
            f"{history.paths[farthest]} moved most (distance {number(moved[farthest])} from the first step)"
        )
    text = f"{steps}, {_count(layers, 'layer')}: {' · '.join(facts)}"
    return f"{text} · {history.note}" if history.note else text


def cell_in_words(history: StepHistory, layer: int, row: int) -> str:
    """Describe a layer at a step.

    Args:
        history: The history.
        layer: Index of the layer.
        row: Index of the step.
    """
    place = f"{history.paths[layer]}, {history.names[row]}"
    if np.isnan(history.inactive[row, layer]):
        return f"{place}: not called"
    mean = history.mean[row, layer]
    facts = [
        f"{percent(history.inactive[row, layer])} inactive",
        f"mean {number(mean)}" if np.isfinite(mean) else "no finite value",
    ]
    distances = [
        f"{number(value)} from {name}"
        for value, name in (
            (history.from_first[row, layer], "first step"),
            (history.from_previous[row, layer], "previous"),
        )
        if not np.isnan(value)
    ]
    if distances:
        facts.append(f"distance {', '.join(distances)}")
    counts = (history.nan[row, layer], "NaN"), (history.inf[row, layer], "infinite")
    facts += [f"{count:.0f} values {name}" for count, name in counts if count]
    return f"{place}: {', '.join(facts)}"


def death_in_words(history: StepHistory, path: str) -> str:
    """Return the words for the step at which all channels of a layer became inactive; empty if none did."""
    step = history.deaths().get(path)
    if step is None:
        return ""
    row = history.steps.index(step)
    return "inactive at all steps" if row == 0 else f"inactive from {history.names[row]} on"


def _deaths_in_words(history: StepHistory) -> str:
    deaths = history.deaths()
    if not deaths:
        return "no layer is inactive at the end"
    first = min(deaths, key=lambda path: deaths[path])
    text = f"all channels of {first} are {death_in_words(history, first)}"
    others = len(deaths) - 1
    return f"{text}, and of {_count(others, 'layer')} more at the end" if others else text


def _count(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _is_epoch(history: StepHistory, row: int) -> bool:
    return history.names[row] == f"epoch {history.steps[row]}"


def _relative(means: Array) -> Array:
    """Return means `(S, L)` over the largest magnitude of each layer."""
    with np.errstate(all="ignore"):
        largest = np.fmax.reduce(np.abs(means), axis=0)
        return np.where(largest > 0, means / largest, means)


def _largest(distances: Array) -> float:
    """Return the end of a scale: the largest distance, unless a few are far beyond all others."""
    finite = distances[np.isfinite(distances) & (distances > 0)]
    if not finite.size:
        return 1.0
    usual = float(np.percentile(finite, 95))
    largest = float(finite.max())
    return usual if largest > FAR * usual else largest
