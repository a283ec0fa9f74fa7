"""The course of every layer over the steps of training; a click goes to a layer at a step."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets

from fmwidget._memo import Latest
from fmwidget.analysis.step_history import StepHistory
from fmwidget.frontend.messages import Point
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.charts.heat_map import HeatMapLayout, heat_map_layout
from fmwidget.rendering.charts.step_history import (
    DRAWN,
    cell_in_words,
    draw_step_history,
    history_cmap,
    history_in_words,
    history_map,
)
from fmwidget.widget.controls.fields import dropdown
from fmwidget.widget.selection import Selection

from .maps import CachedPage

QUANTITIES = tuple((name, quantity) for quantity, name in DRAWN.items())


class StepHistoryPanel:
    """A heat map of layers by steps, hidden unless the view state asks for it.

    Args:
        choose_cell: Called with the layer path and the step that the user clicks, or reaches with the keys.
        changed: Called when the user chooses another quantity, to have the panel updated.
    """

    def __init__(self, choose_cell: Callable[[str, int], object], changed: Callable[[], None]) -> None:
        self._choose_cell = choose_cell
        self._caption = ipywidgets.HTML()
        self._quantity = dropdown("Over the steps", QUANTITIES, "260px")
        self._quantity.layout.flex, self._quantity.layout.max_width = "0 0 auto", "360px"
        self._quantity.observe(lambda _: changed(), names="value")
        self._view = PictureView(label="Layers over the steps of training")
        children = [self._quantity, self._caption, self._view]
        self.box = ipywidgets.VBox(children, layout={"display": "none"})
        self.box.add_class("fmw-history")
        self._layout = Latest(
            lambda history, quantity, width: heat_map_layout(history_map(history, quantity), width)
        )
        self._drawing = CachedPage(draw_step_history)
        self._drawn: tuple[Frame, str] | None = None
        # With row and column of the cell on screen, -1 for a layer or a step that is not in the history.
        self._shown: tuple[StepHistory, HeatMapLayout, tuple[int, int]] | None = None
        self._view.on_click(self._click)
        self._view.on_hover(self._hover)
        self._view.on_tile(self._choose_tile)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Draw the history of a new frame, or another quantity of it, the layer at its step marked."""
        quantity = self._quantity.value
        if self._drawn is not None and self._drawn[0] is frame and self._drawn[1] == quantity:
            return
        self._drawn, self._shown = (frame, quantity), None
        self.box.layout.display = "flex" if frame.shows_history else "none"
        if not frame.shows_history:
            return
        history = frame.history
        if history is None:
            self._caption.value = _caption("The layers at each step are being measured …")
            self._view.show(b"", 0, 0)
            self._view.readout = ""
            return
        layout = self._layout(history, quantity, frame.layout.width)
        path = frame.layer.after or frame.layer.path
        page: Page = self._drawing.page(history, quantity, path, frame.layout.width, frame.ratio)
        step = None if frame.snapshot is None else frame.snapshot.step
        cell = (
            history.paths.index(path) if path in history.paths else -1,
            history.steps.index(step) if step in history.steps else -1,
        )
        self._shown = history, layout, cell
        words = history_in_words(history)
        self._caption.value = _caption(words)
        row, column = cell
        is_on_screen = row >= 0 and column >= 0
        chosen = f" Chosen is {cell_in_words(history, row, column)}." if is_on_screen else ""
        self._view.show(
            self._drawing.png(frame, page, history_cmap(quantity, frame.cmap)),
            page.width,
            page.height,
            alt=f"Heat map of {DRAWN[quantity]}, layers by steps, for {frame.image}. {words}.{chosen}",
            mark=_mark(layout, cell),
            tiles=layout.tiles(),
            tile=max(row, 0) * layout.columns + (column if column >= 0 else layout.columns - 1),
        )
        self._view.readout = self._words(cell)

    def _words(self, cell: tuple[int, int]) -> str:
        return "" if self._shown is None or -1 in cell else cell_in_words(self._shown[0], *cell)

    def _hover(self, point: Point | None) -> None:
        """Describe the cell under the pointer, or else the one on screen, below the picture."""
        if self._shown is not None:
            _, layout, cell = self._shown
            under = None if point is None else layout.cell_at(point.x, point.y)
            self._view.readout = self._words(cell if under is None else under)

    def _click(self, x: float, y: float) -> None:
        if self._shown is not None:
            cell = self._shown[1].cell_at(x, y)
            if cell is not None:
                self._choose(*cell)

    def _choose_tile(self, tile: int) -> None:
        if self._shown is not None:
            row, column = divmod(tile, self._shown[1].columns)
            self._choose(min(row, self._shown[1].rows - 1), column)

    def _choose(self, row: int, column: int) -> None:
        if self._shown is not None:
            history = self._shown[0]
            self._choose_cell(history.paths[row], history.steps[column])


def _mark(layout: HeatMapLayout, cell: tuple[int, int]) -> tuple[float, ...]:
    """Return the box of the cell on screen; of the whole row if the weights are those of no step."""
    row, column = cell
    if row < 0:
        return ()
    if column >= 0:
        return layout.box(row, column)
    first, last = layout.box(row, 0), layout.box(row, layout.columns - 1)
    return first.x, first.y, last.x + last.width - first.x, first.height


def _caption(words: str) -> str:
    return f'<div class="fmw-caption"><b>Over the steps</b>: {html.escape(words)}</div>'
