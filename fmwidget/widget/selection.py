"""Which unit of the maps the reader points at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fmwidget.rendering.sampling import Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmwidget.frontend.messages import Point
    from fmwidget.frontend.picture_view import PictureView
    from fmwidget.pipeline import Frame


class Pointable(Protocol):
    """A panel whose picture shows units of the maps."""

    box: PictureView

    def unit_at(self, frame: Frame, x: float, y: float) -> Unit | None:
        """The unit that is drawn at a point of the picture, in CSS px."""


class UnitSelection:
    """The unit that is pointed at: the one under the pointer, else the one that was pinned.

    A click or tap pins a unit: it stays when the pointer leaves, and it follows the chosen channel, so that
    one position is compared across channels, pictures and settings. Other maps of the same height and width
    keep it; where they differ, the same row and column would be another place, and it is dropped.

    Args:
        changed: Called when another unit is pointed at.
        panels: Where the reader may point.
    """

    def __init__(self, changed: Callable[[], None], *panels: Pointable) -> None:
        self._changed = changed
        self._hovered: Callable[[Frame], Unit | None] | None = None
        self._pinned: Unit | None = None
        self._map_shape: tuple[int, ...] = ()  # of the maps that the pinned unit is in
        for panel in panels:
            self._watch(panel)

    def unit(self, frame: Frame) -> Unit | None:
        """The unit that is pointed at in what is looked at, if any."""
        unit = self._hovered and self._hovered(frame)
        if unit is not None:
            return unit
        return self.pinned(frame)

    def pinned(self, frame: Frame) -> Unit | None:
        """The unit of the chosen channel at the place that was clicked, if any."""
        if self._pinned is not None and frame.maps.shape[:2] != self._map_shape:
            self._pinned = None
        return self._pinned and Unit(frame.channel, self._pinned.row, self._pinned.column)

    def hover(self, find: Callable[[Frame], Unit | None] | None) -> None:
        """Points at what `find` says is under the pointer, now and when the maps change below it.

        Args:
            find: Takes what is looked at; `None` where the pointer has left.
        """
        self._hovered = find
        self._changed()

    def pin(self, frame: Frame, unit: Unit | None) -> None:
        """Keeps pointing at a unit when the pointer leaves; `None` lets go."""
        self._hovered = None  # a finger does not leave, it is lifted
        self._pinned, self._map_shape = unit, frame.maps.shape[:2]
        self._changed()

    def nudge(self, frame: Frame, rows: int, columns: int) -> None:
        """Moves the pinned unit within the chosen channel; begins in the middle of the map."""
        height, width, _ = frame.maps.shape
        self._hovered = None
        unit = self.unit(frame) or Unit(frame.channel, (height - 1) // 2, (width - 1) // 2)
        row, column = (
            max(0, min(index + by, side - 1))
            for index, by, side in ((unit.row, rows, height), (unit.column, columns, width))
        )
        self.pin(frame, Unit(frame.channel, row, column))

    def _watch(self, panel: Pointable) -> None:
        def hover(point: Point | None) -> None:
            self.hover(None if point is None else lambda frame: panel.unit_at(frame, point.x, point.y))

        panel.box.on_hover(hover)


def unit_of(frame: Frame, row: int, column: int) -> Unit | None:
    """A unit of the chosen channel; `None` if its map has no such row and column."""
    height, width, _ = frame.maps.shape
    return Unit(frame.channel, row, column) if row < height and column < width else None
