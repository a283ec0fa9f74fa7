"""What a reader does on the pictures, with pointer, finger or keys, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .selection import UnitSelection, unit_of
from .tracing import PixelTracing

if TYPE_CHECKING:
    from fmwidget.pipeline import Frame
    from fmwidget.rendering.sampling import Unit
    from fmwidget.widget.panels.input import InputPanel
    from fmwidget.widget.panels.maps import ChannelPanel, GridPanel
    from fmwidget.widget.panels.zoom import ZoomPanel

    from .receptive_field_service import ReceptiveFieldService


@dataclass(frozen=True)
class Pictures:
    """The panels whose pictures are explored."""

    grid: GridPanel
    detail: ChannelPanel
    input: InputPanel
    zoom: ZoomPanel


class Interactions:
    """Follows a reader over the pictures: a unit of the maps, a pixel of the input, a channel alone.

    Args:
        pictures: Where the reader points.
        lookout: Knows which units see a pixel.
        look: Returns what is on screen.
        choose: Called with the channel that the reader chooses.
        changed: Called when another unit or pixel is pointed at.
    """

    def __init__(
        self,
        pictures: Pictures,
        receptive_fields: ReceptiveFieldService,
        frame: Callable[[], Frame],
        choose: Callable[[int], None],
        changed: Callable[[], None],
    ) -> None:
        self._pictures, self._frame, self._choose, self._changed = pictures, frame, choose, changed
        self._selection = UnitSelection(changed, pictures.grid, pictures.detail)
        self._tracing = PixelTracing(receptive_fields, self._selection)
        self.unit: Unit | None = None  # the unit that is pointed at
        self._listen()

    def pin(self, unit: Unit | None) -> None:
        """Keeps pointing at a unit; `None` lets go. No pixel is followed any more."""
        self._tracing.drop()
        self._selection.pin(self._frame(), unit)

    def show(self, panels: Iterable[Any]) -> None:
        """Tells all panels that follow the reader where they are; no picture is drawn for it."""
        frame = self._frame()
        trace = self._tracing.trace(frame)  # which may pin the unit nearest to the pixel
        self.unit, pinned = self._selection.unit(frame), self._selection.pinned(frame)
        for panel in panels:
            if hasattr(panel, "point"):
                panel.point(frame, self.unit)
            if hasattr(panel, "pin"):
                panel.pin(frame, pinned)
            if hasattr(panel, "trace"):
                panel.trace(frame, trace, pinned)

    def _listen(self) -> None:
        grid, detail, zoom = self._pictures.grid, self._pictures.detail, self._pictures.zoom.box
        grid.box.on_click(self._click_grid)
        grid.box.on_tile(self._choose_place)
        detail.box.on_click(lambda x, y: self.pin(detail.unit_at(self._frame(), x, y)))
        for panel in (grid, detail):
            panel.box.on_nudge(lambda rows, columns: self._selection.nudge(self._frame(), rows, columns))
            panel.box.on_open(self._open)
        for picture in (grid.box, detail.box, self._pictures.input.view):
            picture.on_unpin(lambda: self.pin(None))
        zoom.on_hover(lambda at: self._selection.hover(at and (lambda frame: unit_of(frame, *at))))
        zoom.on_pin(lambda at: self.pin(unit_of(self._frame(), *at)))
        zoom.on_close(lambda: self._selection.hover(None))
        self._pictures.input.view.on_click(self._follow)
        self._pictures.input.view.on_nudge(self._nudge_pixel)

    def _click_grid(self, x: float, y: float) -> None:
        frame = self._frame()
        unit = self._pictures.grid.unit_at(frame, x, y)
        channel = frame.layout.channel_at(x, y, frame.page)
        if channel is not None:
            self._choose(channel)
        self.pin(unit)

    def _choose_place(self, place: int) -> None:
        order = self._frame().layout.order
        if place < len(order):  # else it was a tile of a layer that is gone
            self._choose(order[place])

    def _open(self, place: int | None) -> None:
        """Shows a tile's channel alone; the chosen one for `None`."""
        if place is not None:
            self._choose_place(place)
        self._pictures.zoom.open(self._frame())
        self._changed()

    def _follow(self, x: float, y: float) -> None:
        """Asks who sees the pixel that is at a point of the picture."""
        pixel = self._pictures.input.pixel_at(self._frame(), x, y)
        if pixel is not None:
            self._tracing.choose(self._frame(), pixel)
            self._changed()

    def _nudge_pixel(self, rows: int, columns: int) -> None:
        self._tracing.nudge(self._frame(), rows, columns)
        self._changed()
