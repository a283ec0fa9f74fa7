"""One feature map enlarged by whole pixels, with the values in its cells."""

from __future__ import annotations

from collections.abc import Callable

import traitlets

from .base import EventWidget
from .bundle import joined, sent
from .messages import MAX_PX, Close, HoveredUnit, Pin, Window


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
