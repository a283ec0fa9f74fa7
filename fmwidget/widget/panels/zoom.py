"""One channel alone, as large as the reader likes, with the values in its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import traitlets

from fmwidget._memo import Latest
from fmwidget.frontend.bundle import joined, sent
from fmwidget.frontend.messages import MAX_PX, Close, HoveredUnit, Pin, Window
from fmwidget.frontend.picture_view import EventWidget
from fmwidget.rendering.canvas import MINUS, number, shape_text
from fmwidget.rendering.feature_grid import map_indices
from fmwidget.rendering.formatting import unit_text, value_text
from fmwidget.rendering.palette import cmap_for, encode_png, palette

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmwidget.analysis.channel_stats import Array
    from fmwidget.pipeline import Frame
    from fmwidget.rendering.sampling import Unit


class ZoomView(EventWidget):
    """A map seen alone: zoomed with the wheel, two fingers or keys, and moved about.

    The browser enlarges the map by whole pixels, and asks for the values that it has room to write a window
    at a time: a large map is never sent as text.

    Args:
        shown: Whether it is on screen. The browser puts it away at once when the reader does, then says so.
        png: Bytes of a picture with one pixel for each value.
        rows: Rows of the map.
        columns: Columns of the map.
        stamp: Another number for other values: those sent for another one are not written.
        title: What is shown, in words.
        readout: A line of text below the map.
        unit: `[row, column]` of the unit that is outlined, or `[]`.
    """

    _esm = sent(joined("zoom.js"))

    shown = traitlets.Bool(False).tag(sync=True)  # noqa: FBT003 - traitlets has it so
    png = traitlets.Bytes().tag(sync=True)
    rows = traitlets.Int(1, min=1, max=MAX_PX).tag(sync=True)
    columns = traitlets.Int(1, min=1, max=MAX_PX).tag(sync=True)
    stamp = traitlets.Int().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    unit = traitlets.List(traitlets.Int()).tag(sync=True)

    def on_unit(self, callback: Callable[[tuple[int, int] | None], None]) -> None:
        """Calls `callback(at)` with the row and column under the pointer, with `None` when it has left."""
        self._listen(HoveredUnit, "unit", lambda unit: callback(unit.at))

    def on_pin(self, callback: Callable[[tuple[int, int]], None]) -> None:
        """Calls `callback(at)` with the row and column that were clicked, or reached with the arrow keys."""
        self._listen(Pin, "pin", lambda pin: callback(pin.at))

    def on_window(self, callback: Callable[[Window], None]) -> None:
        """Calls `callback(window)` when the values of a part of the map are to be written."""
        self._listen(Window, "window", callback)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Calls `callback()` when the reader has put the map away."""
        self._listen(Close, "close", lambda _close: callback())

    def write(self, row: int, column: int, texts: list[list[str]]) -> None:
        """Sends the values of a part of the map.

        Args:
            row: The first of its rows.
            column: The first of its columns.
            texts: Its values as text, row by row.
        """
        self.send({"type": "values", "stamp": self.stamp, "row": row, "column": column, "texts": texts})


class ZoomPanel:
    """The chosen channel alone, while the reader wants it so."""

    def __init__(self) -> None:
        self.box = ZoomView()
        self._indices = Latest(map_indices)
        self._png = Latest(encode_png)
        self._map: Array = np.empty((0, 0))  # what is on screen
        self.box.on_window(self._write)
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

    def _write(self, window: Window) -> None:
        row, column = window.row, window.column
        part = self._map[row : row + window.rows, column : column + window.columns]
        self.box.write(row, column, [[cell_text(value) for value in line] for line in part])

    def _close(self) -> None:
        self.box.shown = False


def cell_text(value: np.generic) -> str:
    """A value as short as fits a cell: four digits, or a word for what is no number."""
    return number(float(value)) if np.isfinite(value) else value_text(value).replace("-", MINUS)
