"""One channel alone, as large as the reader likes, with the values in its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget._memo import Latest
from fmwidget.frontend.messages import ValuesRequest
from fmwidget.frontend.zoom_view import ZoomView
from fmwidget.rendering.feature_grid import map_indices
from fmwidget.rendering.formatting import MINUS, number, shape_text, unit_text, value_text
from fmwidget.rendering.palette import cmap_for, encode_png, palette

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.pipeline import Frame
    from fmwidget.rendering.sampling import Unit


class ZoomPanel:
    """The chosen channel alone, while the reader wants it so."""

    def __init__(self) -> None:
        self.box = ZoomView()
        self._indices = Latest(map_indices)
        self._png = Latest(encode_png)
        self._map: Array = np.empty((0, 0))  # what is on screen
        self.box.on_values_request(self._write)
        self.box.on_close(self._close)

    def open(self, frame: Frame) -> None:
        """Shows the chosen channel alone until the reader puts it away."""
        self._draw(frame)
        self.box.shown = True

    def show(self, frame: Frame) -> None:
        """Draws the chosen channel, if it is to be seen alone."""
        if self.box.shown:
            self._draw(frame)

    def point(self, frame: Frame, unit: Unit | None) -> None:
        """Outlines a unit, and says what its value is."""
        if self.box.shown:
            with self.box.hold_sync():
                inside = unit is not None and unit.channel == frame.channel
                self.box.unit = [unit.row, unit.column] if unit and inside else []
                self.box.readout = unit_text(frame.maps, unit)

    def _draw(self, frame: Frame) -> None:
        indices = self._indices(frame.maps, frame.statistics, frame.channel, frame.norm)
        colours = palette(cmap_for(frame.norm, frame.cmap), dark=frame.display.dark)
        height, width, _ = frame.maps.shape
        shape = shape_text((height, width))
        with self.box.hold_sync():
            self.box.title = f"channel {frame.channel} of {frame.layer.path}, {shape}"
            self.box.png = self._png(indices, colours)
            self.box.rows, self.box.columns = height, width
            self._map = frame.maps[..., frame.channel]
            self.box.stamp += 1

    def _write(self, window: ValuesRequest) -> None:
        row, column = window.row, window.column
        part = self._map[row : row + window.rows, column : column + window.columns]
        self.box.write(row, column, [[cell_text(value) for value in line] for line in part])

    def _close(self) -> None:
        self.box.shown = False


def cell_text(value: np.generic) -> str:
    """A value as short as fits a cell: four digits, or a word for what is no number."""
    return number(float(value)) if np.isfinite(value) else value_text(value).replace("-", MINUS)
