"""The chosen channel in a view of its own, zoomed until its values can be read in their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget._memo import Latest
from fmwidget.frontend.messages import ValuesRequest
from fmwidget.frontend.zoom_view import ZoomView
from fmwidget.rendering.feature_grid import map_indices
from fmwidget.rendering.formatting import shape_text, short_value_text, unit_text
from fmwidget.rendering.palette import cmap_for, encode_png, palette

if TYPE_CHECKING:
    from fmwidget.analysis.channel_stats import Array
    from fmwidget.pipeline.frame import Frame
    from fmwidget.widget.selection import Selection


class ZoomPanel:
    """The chosen channel in a view of its own, drawn only while that is open."""

    def __init__(self) -> None:
        self.box = ZoomView()
        self._indices = Latest(map_indices)
        self._png = Latest(encode_png)
        self._frame: Frame | None = None  # the last that was drawn
        self._map: Array = np.empty((0, 0))  # the values on screen
        self.box.on_values_request(self._send_values)
        self.box.on_close(self._close)

    def open(self, frame: Frame) -> None:
        """Show the chosen channel until the user closes the view."""
        self._draw(frame)
        self.box.shown = True

    def update(self, frame: Frame, selection: Selection) -> None:
        """Draw a new frame; outline the selected unit and show its value."""
        if not self.box.shown:
            return
        if frame is not self._frame:
            self._draw(frame)
        unit = selection.unit
        with self.box.hold_sync():
            self.box.unit = [unit.row, unit.column] if unit and unit.channel == frame.channel else []
            self.box.readout = unit_text(frame.maps, unit, frame.contrast)

    def _draw(self, frame: Frame) -> None:
        self._frame = frame
        indices = self._indices(frame.maps, frame.statistics, frame.channel, frame.norm, frame.scale)
        colours = palette(cmap_for(frame.norm, frame.cmap), dark=frame.display.dark)
        height, width, _ = frame.maps.shape
        shape = shape_text((height, width))
        with self.box.hold_sync():
            title = f"channel {frame.channel} of {frame.layer.path}, {shape}"
            self.box.title = " · ".join([title, *frame.notes])
            self.box.png = self._png(indices, colours)
            self.box.rows, self.box.columns = height, width
            self._map = frame.maps[..., frame.channel]
            self.box.stamp += 1

    def _send_values(self, window: ValuesRequest) -> None:
        row, column = window.row, window.column
        part = self._map[row : row + window.rows, column : column + window.columns]
        self.box.write(row, column, [[short_value_text(value) for value in line] for line in part])

    def _close(self) -> None:
        self.box.shown = False
