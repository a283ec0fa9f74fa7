"""The selection: the unit and the input pixel that the user points at, kept from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmwidget.rendering.sampling import Unit

if TYPE_CHECKING:
    from fmwidget.analysis.receptive_field.projective import ProjectiveField
    from fmwidget.pipeline.frame import Frame

    from .receptive_field_service import ReceptiveFieldService

FindUnit = Callable[["Frame"], Unit | None]


@dataclass(frozen=True, eq=False)
class TracedPixel:
    """A pixel of the model's input that the user has clicked.

    Attributes:
        pixel: Its row and column.
        field: The units of the layer on screen that depend on it; `None` while that is being computed.
    """

    pixel: tuple[int, int]
    field: ProjectiveField | None


@dataclass(frozen=True)
class Selection:
    """The units and the pixel that are selected in a frame.

    Attributes:
        unit: The unit under the pointer, or else the pinned one.
        pinned: The unit of the chosen channel at the pinned position.
        traced: The traced pixel.
    """

    unit: Unit | None = None
    pinned: Unit | None = None
    traced: TracedPixel | None = None


class Selector:
    """The hovered unit, pinned position and traced pixel, resolved again in each new frame.

    - The pointer stays where it is when the maps change below it: the unit there is determined in each frame.
    - A pinned position stays when the pointer leaves, and follows the chosen channel, so that one position
      can be compared across channels, images and settings. It is dropped in maps of another height or width,
      where the same row and column are another place.
    - A traced pixel is followed from layer to layer: of the units that depend on it, the nearest is pinned in
      each. It is dropped with an input of another size.

    Args:
        receptive_fields: Computes projective fields.
    """

    def __init__(self, receptive_fields: ReceptiveFieldService) -> None:
        self._receptive_fields = receptive_fields
        self._hovered: FindUnit | None = None
        self._pinned: Unit | None = None
        self._pinned_shape: tuple[int, ...] = ()  # height and width of the maps that it was pinned in
        self._pixel: tuple[int, int] | None = None
        self._input_size: tuple[int, int] = (0, 0)  # of the image that the pixel is in
        self._pinned_nearest_in: tuple[object, ...] | None = None  # layer and shape, once pinned there
        self._projective: tuple[Frame, ProjectiveField] | None = None  # computed once a frame, not per hover

    def select(self, frame: Frame) -> Selection:
        """Return what is selected in a frame."""
        traced = self._traced(frame)  # first: it may pin a unit
        pinned = self._pinned_in(frame)
        return Selection((self._hovered and self._hovered(frame)) or pinned, pinned, traced)

    def hover(self, find: FindUnit | None) -> None:
        """Select the unit under the pointer, which `find` returns for a frame; `None` if the pointer left."""
        self._hovered = find

    def pin(self, frame: Frame, unit: Unit | None) -> None:
        """Pin a unit, or none; the traced pixel is dropped."""
        self._drop_pixel()
        self._pin(frame, unit)

    def nudge_unit(self, frame: Frame, rows: int, columns: int) -> None:
        """Move the pinned unit within the chosen channel, starting from the middle of the map."""
        height, width, _ = frame.maps.shape
        unit = self._pinned_in(frame) or Unit(frame.channel, (height - 1) // 2, (width - 1) // 2)
        row, column = _moved((unit.row, unit.column), (rows, columns), (height, width))
        self._pin(frame, Unit(frame.channel, row, column))

    def trace(self, frame: Frame, pixel: tuple[int, int]) -> None:
        """Trace a pixel, given as row and column of the model's input."""
        self._pixel, self._input_size = pixel, frame.sizes
        self._pinned_nearest_in = self._projective = None

    def nudge_pixel(self, frame: Frame, rows: int, columns: int) -> None:
        """Move the traced pixel, starting from the middle of the image."""
        height, width = frame.sizes
        pixel = self._pixel or (height // 2, width // 2)
        self.trace(frame, _moved(pixel, (rows, columns), frame.sizes))

    def _pin(self, frame: Frame, unit: Unit | None) -> None:
        self._hovered = None  # a finger that has pinned a unit is lifted without leaving
        self._pinned, self._pinned_shape = unit, frame.layer.unit_shape

    def _pinned_in(self, frame: Frame) -> Unit | None:
        if self._pinned is not None and frame.layer.unit_shape != self._pinned_shape:
            self._pinned = None
        return self._pinned and Unit(frame.channel, self._pinned.row, self._pinned.column)

    def _drop_pixel(self) -> None:
        self._pixel = self._projective = None

    def _traced(self, frame: Frame) -> TracedPixel | None:
        if self._pixel is None or frame.sizes != self._input_size:
            self._drop_pixel()
            return None
        field = self._projective_field(frame, self._pixel)
        maps = frame.layer.path, frame.maps.shape
        if field is not None and maps != self._pinned_nearest_in:
            self._pinned_nearest_in = maps
            self._pin(frame, field.nearest and Unit(frame.channel, *field.nearest))
        return TracedPixel(self._pixel, field)

    def _projective_field(self, frame: Frame, pixel: tuple[int, int]) -> ProjectiveField | None:
        if self._projective is None or self._projective[0] is not frame:
            field = self._receptive_fields.projective_field(frame, *pixel)
            self._projective = None if field is None else (frame, field)
        return self._projective and self._projective[1]


def unit_of(frame: Frame, row: int, column: int) -> Unit | None:
    """Return a unit of the chosen channel; `None` if its map has no such row and column."""
    height, width, _ = frame.maps.shape
    return Unit(frame.channel, row, column) if row < height and column < width else None


def _moved(place: tuple[int, int], by: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return a row and column moved by some rows and columns, within `size`."""
    row, column = (max(0, min(at + step, side - 1)) for at, step, side in zip(place, by, size, strict=True))
    return row, column
