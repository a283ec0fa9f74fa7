"""What a reader does on the pictures, with pointer, finger or keys, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .selection import Pointing, unit_of
from .tracing import Tracing

if TYPE_CHECKING:
    from fmwidget.pipeline import Look
    from fmwidget.rendering.sampling import Spot
    from fmwidget.widget.panels.input import InputPanel
    from fmwidget.widget.panels.maps import ChannelPanel, GridPanel
    from fmwidget.widget.panels.zoom import ZoomPanel

    from .receptive_field_service import Lookout


@dataclass(frozen=True)
class Pictures:
    """The panels whose pictures are explored."""

    grid: GridPanel
    detail: ChannelPanel
    input: InputPanel
    zoom: ZoomPanel


class Exploring:
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
        lookout: Lookout,
        look: Callable[[], Look],
        choose: Callable[[int], None],
        changed: Callable[[], None],
    ) -> None:
        self._pictures, self._look, self._choose, self._changed = pictures, look, choose, changed
        self._pointing = Pointing(changed, pictures.grid, pictures.detail)
        self._tracing = Tracing(lookout, self._pointing)
        self.spot: Spot | None = None  # the unit that is pointed at
        self._listen()

    def pin(self, spot: Spot | None) -> None:
        """Keeps pointing at a unit; `None` lets go. No pixel is followed any more."""
        self._tracing.drop()
        self._pointing.pin(self._look(), spot)

    def show(self, panels: Iterable[Any]) -> None:
        """Tells all panels that follow the reader where they are; no picture is drawn for it."""
        look = self._look()
        trace = self._tracing.trace(look)  # which may pin the unit nearest to the pixel
        self.spot, pinned = self._pointing.spot(look), self._pointing.pinned(look)
        for panel in panels:
            if hasattr(panel, "point"):
                panel.point(look, self.spot)
            if hasattr(panel, "pin"):
                panel.pin(look, pinned)
            if hasattr(panel, "trace"):
                panel.trace(look, trace, pinned)

    def _listen(self) -> None:
        grid, detail, zoom = self._pictures.grid, self._pictures.detail, self._pictures.zoom.box
        grid.box.on_point(self._click_grid)
        grid.box.on_place(self._choose_place)
        detail.box.on_point(lambda x, y: self.pin(detail.spot_at(self._look(), x, y)))
        for panel in (grid, detail):
            panel.box.on_nudge(lambda rows, columns: self._pointing.nudge(self._look(), rows, columns))
            panel.box.on_open(self._open)
        for picture in (grid.box, detail.box, self._pictures.input.view):
            picture.on_release(lambda: self.pin(None))
        zoom.on_unit(lambda at: self._pointing.hover(at and (lambda look: unit_of(look, *at))))
        zoom.on_pin(lambda at: self.pin(unit_of(self._look(), *at)))
        zoom.on_close(lambda: self._pointing.hover(None))
        self._pictures.input.view.on_point(self._follow)
        self._pictures.input.view.on_nudge(self._nudge_pixel)

    def _click_grid(self, x: float, y: float) -> None:
        look = self._look()
        spot = self._pictures.grid.spot_at(look, x, y)
        channel = look.layout.channel_at(x, y, look.page)
        if channel is not None:
            self._choose(channel)
        self.pin(spot)

    def _choose_place(self, place: int) -> None:
        order = self._look().layout.order
        if place < len(order):  # else it was a tile of a layer that is gone
            self._choose(order[place])

    def _open(self, place: int | None) -> None:
        """Shows a tile's channel alone; the chosen one for `None`."""
        if place is not None:
            self._choose_place(place)
        self._pictures.zoom.open(self._look())
        self._changed()

    def _follow(self, x: float, y: float) -> None:
        """Asks who sees the pixel that is at a point of the picture."""
        pixel = self._pictures.input.pixel_at(self._look(), x, y)
        if pixel is not None:
            self._tracing.choose(self._look(), pixel)
            self._changed()

    def _nudge_pixel(self, rows: int, columns: int) -> None:
        self._tracing.nudge(self._look(), rows, columns)
        self._changed()
