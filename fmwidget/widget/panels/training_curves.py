"""The training curves of the run, a cursor at the step on screen; a click goes to a step."""

from __future__ import annotations

from collections.abc import Callable

from fmwidget._memo import Latest
from fmwidget.frontend.messages import Point
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.charts.training_curves import (
    CurvesLayout,
    TrainingCurves,
    curves_in_words,
    curves_layout,
    draw_training_curves,
    step_in_words,
    training_curves,
)
from fmwidget.widget.selection import Selection

from .maps import CachedPage


class TrainingCurvesPanel:
    """Losses and metrics over the snapshots of a run, hidden while there is none.

    Args:
        choose: Called with the step that the user clicks, or reaches with the keys.
    """

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._choose = choose
        self.box = PictureView(label="Training curves", layout={"display": "none"})
        self._curves = Latest(training_curves)
        self._layout = Latest(curves_layout)
        self._drawing = CachedPage(draw_training_curves)
        self._frame: Frame | None = None
        self._shown: tuple[TrainingCurves, CurvesLayout, int | None] | None = None  # with the step on screen
        self.box.on_click(self._click)
        self.box.on_hover(self._hover)
        self.box.on_nudge(self._nudge)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Draw the curves of a new frame, its step marked."""
        if frame is self._frame:
            return
        self._frame, self._shown = frame, None
        self.box.layout.display = None if frame.run else "none"
        if not frame.run:
            return
        curves, width = self._curves(frame.run), frame.layout.width
        layout = self._layout(curves, width)
        page: Page = self._drawing.page(curves, width, frame.ratio)
        step = None if frame.snapshot is None else frame.snapshot.step
        step = step if step in curves.steps else None
        self._shown = curves, layout, step
        chosen = "" if step is None else f" Chosen is {step_in_words(curves, step)}."
        self.box.show(
            self._drawing.png(frame, page),
            page.width,
            page.height,
            alt=f"Training curves of {curves_in_words(curves)}.{chosen}",
            mark=() if step is None else layout.box(step),
        )
        self.box.readout = self._words(step)

    def _words(self, step: int | None) -> str:
        if self._shown is None:
            return ""
        curves = self._shown[0]
        return curves_in_words(curves) if step is None else step_in_words(curves, step)

    def _hover(self, point: Point | None) -> None:
        """Describe the step under the pointer, or else the one on screen, below the picture."""
        if self._shown is not None:
            _, layout, step = self._shown
            under = None if point is None else layout.step_at(point.x, point.y)
            self.box.readout = self._words(step if under is None else under)

    def _click(self, x: float, y: float) -> None:
        if self._shown is not None:
            step = self._shown[1].step_at(x, y)
            if step is not None:
                self._choose(step)

    def _nudge(self, _rows: int, columns: int) -> None:
        """Go to a step before or behind the one on screen; the live weights are behind the last."""
        if self._shown is not None and columns:
            curves, _, step = self._shown
            place = len(curves.steps) if step is None else curves.steps.index(step)
            self._choose(curves.steps[min(max(place + columns, 0), len(curves.steps) - 1)])
