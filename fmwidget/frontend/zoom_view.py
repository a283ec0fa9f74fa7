"""One feature map enlarged by whole pixels, with the values in its cells."""

from __future__ import annotations

from collections.abc import Callable

import traitlets

from .base import EventWidget
from .bundle import bundle, synced_text
from .messages import MAX_PX, CloseZoom, HoverUnit, PinUnit, ValuesRequest


class ZoomView(EventWidget):
    """A single map that is zoomed with the wheel, two fingers or keys, and moved.

    The browser enlarges the map by whole pixels and requests the values of the part it shows, once its cells
    are large enough for text: a large map is never sent as text.

    Args:
        shown: Whether it is on screen. The browser hides it at once when the user closes it, then reports it.
        png: Bytes of a picture with one pixel for each value.
        rows: Rows of the map.
        columns: Columns of the map.
        stamp: Version of the values: texts sent for another version are not written.
        title: Name of the map.
        readout: A line of text below the map.
        unit: `[row, column]` of the unit that is outlined, or `[]`.
    """

    _esm = synced_text(bundle("zoom_view.js"))

    shown = traitlets.Bool(False).tag(sync=True)  # noqa: FBT003 - traitlets has it so
    png = traitlets.Bytes().tag(sync=True)
    rows = traitlets.Int(1, min=1, max=MAX_PX).tag(sync=True)
    columns = traitlets.Int(1, min=1, max=MAX_PX).tag(sync=True)
    stamp = traitlets.Int().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    unit = traitlets.List(traitlets.Int()).tag(sync=True)

    def on_hover(self, callback: Callable[[tuple[int, int] | None], None]) -> None:
        """Call `callback((row, column))` of the unit under the pointer, `callback(None)` when it has left."""
        self._add_callback(HoverUnit, "unit", lambda hover: callback(hover.position))

    def on_pin(self, callback: Callable[[tuple[int, int]], None]) -> None:
        """Call `callback((row, column))` of the unit that is clicked, or reached with the arrow keys."""
        self._add_callback(PinUnit, "pin", lambda pin: callback(pin.position))

    def on_values_request(self, callback: Callable[[ValuesRequest], None]) -> None:
        """Call `callback(request)` when the values of a part of the map are to be written."""
        self._add_callback(ValuesRequest, "values", callback)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when the user has closed the view."""
        self._add_callback(CloseZoom, "close", lambda _: callback())

    def write(self, row: int, column: int, texts: list[list[str]]) -> None:
        """Send the values of a part of the map.

        Args:
            row: First of its rows.
            column: First of its columns.
            texts: Values as text, row by row.
        """
        self.send({"type": "values", "stamp": self.stamp, "row": row, "column": column, "texts": texts})
