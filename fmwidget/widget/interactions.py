"""Events on the pictures, by pointer, finger or key: they change the selection, or the chosen channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .selection import Selection, Selector, unit_of

if TYPE_CHECKING:
    from fmwidget.frontend.messages import Point
    from fmwidget.pipeline.frame import Frame
    from fmwidget.rendering.sampling import Unit
    from fmwidget.widget.panels.maps import ChannelPanel, GridPanel

    from .arrangement import Panels


class Interactions:
    """The link from events on the panels' pictures to changes of a selection.

    Args:
        panels: The panels.
        selector: Keeps the selection.
        frame: Returns the frame on screen.
        choose: Called with a trait's name and the value that the user chose for it.
        step_by: Called with the number of steps of training to go on, negative to go back.
        changed: Called after each change of the selection.
    """

    def __init__(
        self,
        panels: Panels,
        selector: Selector,
        *,
        frame: Callable[[], Frame],
        choose: Callable[[str, Any], None],
        step_by: Callable[[int], None],
        changed: Callable[[], None],
    ) -> None:
        self._panels, self._selector = panels, selector
        self._frame, self._choose, self._changed = frame, choose, changed
        self._step_by = step_by
        self._keys: set[str] = set()  # those that are offered
        self._listen_to_maps(panels.grid)
        self._listen_to_maps(panels.detail)
        panels.grid.box.on_click(self._click_grid)
        panels.grid.box.on_tile(self._choose_place)
        panels.detail.box.on_click(lambda x, y: self.pin(panels.detail.unit_at(frame(), x, y)))
        panels.input.view.on_click(self._trace)
        panels.input.view.on_nudge(self._nudge_pixel)
        panels.input.view.on_unpin(lambda: self.pin(None))
        panels.zoom.box.on_hover(self._hover_zoom)
        panels.zoom.box.on_pin(lambda at: self.pin(unit_of(frame(), *at)))
        panels.zoom.box.on_close(lambda: self._hover_zoom(None))

    def select(self, frame: Frame) -> Selection:
        """Return what is selected in a frame."""
        return self._selector.select(frame)

    def pin(self, unit: Unit | None) -> None:
        """Pin a unit, or none."""
        self._selector.pin(self._frame(), unit)
        self._changed()

    def _listen_to_maps(self, panel: GridPanel | ChannelPanel) -> None:
        def hover(point: Point | None) -> None:
            self._selector.hover(None if point is None else lambda at: panel.unit_at(at, point.x, point.y))
            self._changed()

        panel.box.on_hover(hover)
        panel.box.on_nudge(self._nudge_unit)
        panel.box.on_open(self._open)
        panel.box.on_unpin(lambda: self.pin(None))

    def listen_to_keys(self, frame: Frame) -> None:
        """Offer the keys for sides and for steps from the first frame on that has such."""
        views = self._panels.grid.box, self._panels.detail.box, self._panels.zoom.box
        if frame.contrast is not None and "flip" not in self._keys:
            self._keys.add("flip")
            for view in views:
                view.on_flip(self._flip)
        if frame.run and "step" not in self._keys:
            self._keys.add("step")
            for view in views:
                view.on_step(self._step_by)

    def _flip(self) -> None:
        """Show the other side of the comparison, if there is one."""
        if self._frame().contrast is not None:
            self._choose("side", "b" if self._frame().side == "a" else "a")

    def _hover_zoom(self, at: tuple[int, int] | None) -> None:
        self._selector.hover(None if at is None else lambda frame: unit_of(frame, *at))
        self._changed()

    def _nudge_unit(self, rows: int, columns: int) -> None:
        self._selector.nudge_unit(self._frame(), rows, columns)
        self._changed()

    def _click_grid(self, x: float, y: float) -> None:
        frame = self._frame()
        unit = self._panels.grid.unit_at(frame, x, y)
        channel = frame.layout.channel_at(x, y, frame.page)
        if channel is not None:
            self._choose("channel", channel)
        self.pin(unit)

    def _choose_place(self, place: int) -> None:
        order = self._frame().layout.order
        if place < len(order):  # else the key was pressed on a grid that has been replaced meanwhile
            self._choose("channel", order[place])

    def _open(self, place: int | None) -> None:
        """Enlarge the channel of a tile; for `None`, the chosen one."""
        if place is not None:
            self._choose_place(place)
        self._panels.zoom.open(self._frame())
        self._changed()

    def _trace(self, x: float, y: float) -> None:
        frame = self._frame()
        pixel = self._panels.input.pixel_at(frame, x, y)
        if pixel is not None:
            self._selector.trace(frame, pixel)
            self._changed()

    def _nudge_pixel(self, rows: int, columns: int) -> None:
        self._selector.nudge_pixel(self._frame(), rows, columns)
        self._changed()
