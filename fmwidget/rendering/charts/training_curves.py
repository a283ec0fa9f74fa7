"""Page of the training curves: losses and metrics over the steps of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fmwidget.rendering.canvas import FAINT, SOFT, STRONG, Page, grey
from fmwidget.rendering.formatting import nice_ticks, number
from fmwidget.rendering.grid_layout import MARGIN, PAGE_WIDTH, Box
from fmwidget.rendering.text import text_width

from .lines import draw_line, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmwidget.analysis.channel_stats import Array
    from fmwidget.snapshots.snapshot import Snapshot

# In CSS pixels.
LABEL_SIZE, TICK_SIZE = 12, 11
ROW_HEIGHT, ROW_GAP = 34, 6
LABEL_LINE = 13  # between the names of two curves
FOOT = 18  # of the ruler's labels
RULER = 6  # height of the marks of the steps
PAD = 6  # from the ends of a row to the first and the last step
CURSOR = 7
LONGEST_NAME = 180
MOST_CURVES = 6  # in a row

LOG_SPAN = 100  # largest loss over smallest, beyond which the scale is logarithmic
VALIDATION = "val_"
SETTINGS = ("learning_rate", "lr")  # among the logs, but no result of training


@dataclass(frozen=True, eq=False)
class TrainingCurves:
    """The logs of the snapshots of a run, of which there is at least one.

    Attributes:
        steps: The step of each snapshot, in ascending order.
        names: Its name.
        unit: The word for a step: "epoch" where each is one, else "step".
        curves: The values of each loss and metric, NaN where a snapshot has none.
    """

    steps: tuple[int, ...]
    names: tuple[str, ...]
    unit: str
    curves: dict[str, Array]


def training_curves(run: Sequence[Snapshot]) -> TrainingCurves:
    """Return the curves of a run: all values in its logs but the learning rate."""
    names = dict.fromkeys(name for each in run for name in each.logs if name not in SETTINGS)
    return TrainingCurves(
        tuple(each.step for each in run),
        tuple(each.name for each in run),
        "epoch" if all(each.epoch == each.step for each in run) else "step",
        {name: np.array([float(each.logs.get(name, math.nan)) for each in run]) for name in names},
    )


@dataclass(frozen=True)
class CurvesLayout:
    """Layout of the steps on a page of curves, in CSS pixels.

    Attributes:
        steps: The steps.
        plot: Box of all rows of curves, and of the ruler below them.
    """

    steps: tuple[int, ...]
    plot: Box

    def x(self, step: float) -> float:
        """Return the position of a step."""
        first, last = self.steps[0], self.steps[-1]
        if first == last:
            return self.plot.x + self.plot.width / 2
        share = (step - first) / (last - first)
        return self.plot.x + PAD + share * (self.plot.width - 2 * PAD)

    def step_at(self, x: float, y: float) -> int | None:
        """Return the step that is nearest to a point of the plot, `None` outside of it."""
        left, top, width, height = self.plot
        if not (left <= x < left + width and top <= y < top + height + FOOT):
            return None
        return min(self.steps, key=lambda step: abs(self.x(step) - x))

    def box(self, step: int) -> Box:
        """Return the box of the cursor at a step."""
        return Box(round(self.x(step) - CURSOR / 2), self.plot.y, CURSOR, self.plot.height)


def curves_layout(curves: TrainingCurves, width: int = PAGE_WIDTH) -> CurvesLayout:
    """Lay out the steps of a run on a page `width` CSS pixels wide."""
    rows = _rows(curves)
    ticks = [label for row in rows for label in row.ticks]
    left = MARGIN + 6 + max(text_width(label, TICK_SIZE) for label in [*ticks, curves.unit])
    labels = [label for row in rows for label, _ in row.labels()]
    # The last of a few steps has its label below it; half of that reaches to the right.
    right = MARGIN + max([16, *(min(LONGEST_NAME, text_width(label, TICK_SIZE)) + 8 for label in labels)])
    height = sum(row.height + ROW_GAP for row in rows) + RULER
    return CurvesLayout(curves.steps, Box(left, MARGIN, max(60, width - left - right), height))


def draw_training_curves(curves: TrainingCurves, width: int = PAGE_WIDTH, ratio: int = 1) -> Page:
    """Draw losses, metrics between 0 and 1 and other metrics below each other, over a ruler of the steps.

    Those of validation are dashed. Without logs there is only the ruler.

    Args:
        curves: The curves.
        width: Width of the page in CSS pixels.
        ratio: Device pixels per CSS pixel.
    """
    layout = curves_layout(curves, width)
    left, top, room, height = layout.plot
    page = Page(width, top + height + FOOT, ratio)
    x = np.array([layout.x(step) for step in curves.steps])
    for row in _rows(curves):
        box = Box(left, top, room, row.height)
        page.edge(box)
        for name in row.curves:
            is_validation = name.startswith(VALIDATION)
            ink = SOFT if is_validation else STRONG
            draw_line(page, box, x, row.height_of(curves.curves[name]), ink=ink, dashed=is_validation)
        _write_labels(page, box, row)
        top += row.height + ROW_GAP
    _draw_ruler(page, layout, top, curves.unit)
    return page


def curves_in_words(curves: TrainingCurves) -> str:
    """Describe curves: the first and last value of each, and where a loss of validation was lowest."""
    count = len(curves.steps)
    text = f"{count} {'step' if count == 1 else 'steps'}"
    facts = []
    for name, values in curves.curves.items():
        finite = np.flatnonzero(np.isfinite(values))
        if not finite.size:
            facts.append(f"{name} without a finite value")
            continue
        first, last = values[finite[0]], values[finite[-1]]
        fact = f"{name} {number(last)}"
        if finite.size > 1:
            fact = f"{name} from {number(first)} to {number(last)}"
            if name.startswith(VALIDATION) and _is_loss(name):
                lowest = int(finite[np.argmin(values[finite])])
                if values[lowest] < last:
                    fact += f" (lowest {number(values[lowest])} at {curves.names[lowest]})"
        facts.append(fact)
    return f"{text}: {', '.join(facts)}" if facts else f"{text}, without logs"


def step_in_words(curves: TrainingCurves, step: int) -> str:
    """Describe one step: its name and its logs."""
    place = curves.steps.index(step)
    facts = [
        f"{name} {number(values[place])}"
        for name, values in curves.curves.items()
        if not np.isnan(values[place])
    ]
    return f"{curves.names[place]}: {', '.join(facts)}" if facts else curves.names[place]


# ------------------------------------------------------------------ rows


@dataclass(frozen=True)
class _Row:
    """Curves on one scale.

    Attributes:
        curves: The last finite value of each, by name; NaN for none.
        low: Value at the bottom.
        high: Value at the top.
        is_log: Whether the scale is logarithmic.
        more: Number of curves that are left out.
    """

    curves: dict[str, float]
    low: float
    high: float
    is_log: bool
    more: int

    @property
    def height(self) -> int:
        return max(ROW_HEIGHT, LABEL_LINE * (len(self.curves) + (self.more > 0)))

    @property
    def ticks(self) -> tuple[str, str]:
        return number(self.high), number(self.low)

    def height_of(self, values: Array) -> Array:
        """Return the height of values in the row, 0 to 1; not finite for those that are not."""
        low, high = self.low, self.high
        with np.errstate(all="ignore"):
            if self.is_log:
                values, low, high = np.log(values), math.log(low), math.log(high)
            heights = (values - low) / (high - low)
        return np.where(np.isfinite(values), heights, np.nan)

    def labels(self) -> list[tuple[str, float]]:
        """Return the label of each curve, and the height of its last value."""
        heights = np.nan_to_num(self.height_of(np.array(list(self.curves.values()))))
        labels = [
            (f"{name} {number(last)}" if math.isfinite(last) else name, height)
            for (name, last), height in zip(self.curves.items(), heights.tolist(), strict=True)
        ]
        if self.is_log:
            name, height = labels[0]
            labels[0] = f"{name} (log scale)", height
        return [*labels, (f"and {self.more} more", 0.0)] if self.more else labels


def _rows(curves: TrainingCurves) -> list[_Row]:
    kinds: tuple[list[str], ...] = ([], [], [])
    # A metric is beside its counterpart of validation, even if only one of them is always below 1.
    others = {
        name.removeprefix(VALIDATION) for name, values in curves.curves.items() if not _is_share(values)
    }
    for name in curves.curves:
        kinds[0 if _is_loss(name) else 2 if name.removeprefix(VALIDATION) in others else 1].append(name)
    return [_row(curves, names, is_share=kind == 1) for kind, names in enumerate(kinds) if names]


def _is_share(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() >= 0 and finite.max() <= 1)


def _is_loss(name: str) -> bool:
    return name.endswith("loss")


def _row(curves: TrainingCurves, names: list[str], *, is_share: bool) -> _Row:
    shown = names[:MOST_CURVES]
    values = np.concatenate([curves.curves[name] for name in shown])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    is_log = low > 0 and high / low > LOG_SPAN and not is_share
    if is_share:
        low, high = 0.0, 1.0
    elif not is_log:
        low, high = min(low, 0.0), max(high, 0.0)
        high = high if high > low else 1.0
    last = {}
    for name in shown:
        finite = curves.curves[name][np.isfinite(curves.curves[name])]
        last[name] = float(finite[-1]) if finite.size else math.nan
    return _Row(last, low, high, is_log, len(names) - len(shown))


def _write_labels(page: Page, box: Box, row: _Row) -> None:
    ends = box.y + TICK_SIZE - 2, box.y + box.height
    for label, end in zip(row.ticks, ends, strict=True):
        page.write(box.x - 6, end, label, TICK_SIZE, align="right")
    labels = row.labels()
    x = box.x + box.width + 8
    wanted = [box.y + (1 - height) * box.height + 0.36 * TICK_SIZE for _, height in labels]
    for (label, _), y in zip(labels, spread(wanted, LABEL_LINE, *ends), strict=True):
        is_validation = label.startswith(VALIDATION)
        ink = SOFT if is_validation else STRONG
        page.write(x, y, label, TICK_SIZE, ink=ink, room=page.width - x)


def _draw_ruler(page: Page, layout: CurvesLayout, top: int, unit: str) -> None:
    """Draw a mark for each step, and the numbers of as many as there is room for."""
    left, _, room, _ = layout.plot
    ratio, steps = page.ratio, layout.steps
    line = page.area(Box(left, top, room, 1))
    line[:] = grey(FAINT)
    for step in steps:
        at = round(layout.x(step) * ratio - ratio / 2)
        page.indices[top * ratio : (top + RULER) * ratio, at : at + ratio] = grey(FAINT)
    y = top + RULER + TICK_SIZE
    page.write(left - 6, y, unit, TICK_SIZE, align="right")
    label_room = text_width(str(steps[-1]), TICK_SIZE) + 14
    most = max(2, int(room / label_room))
    ticks = nice_ticks(steps[0], steps[-1], most) if len(steps) > 1 else [float(steps[0])]
    end: float = -math.inf
    for tick in ticks:
        if tick == round(tick) and layout.x(tick) - end >= label_room:
            end = layout.x(tick)
            page.write(end, y, str(round(tick)), TICK_SIZE, align="center")
