"""The pixel of the picture that was clicked on, and the units that see it in whatever maps are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmwidget.rendering.sampling import Unit

if TYPE_CHECKING:
    from fmwidget.analysis.receptive_field.projective import ProjectiveField
    from fmwidget.pipeline import Frame

    from .receptive_field_service import ReceptiveFieldService
    from .selection import UnitSelection


@dataclass(frozen=True, eq=False)
class TracedPixel:
    """A pixel of the model's input, its row and column, and who sees it: `None` if that is not known yet."""

    pixel: tuple[int, int]
    viewers: ProjectiveField | None


class PixelTracing:
    """Follows one pixel from layer to layer: among the units that see it, the nearest is pinned.

    It is dropped with a picture of another size, where the same row and column would be another place.

    Args:
        lookout: Knows which units see a pixel.
        pointing: Has the pinned unit.
    """

    def __init__(self, receptive_fields: ReceptiveFieldService, selection: UnitSelection) -> None:
        self._receptive_fields, self._selection = receptive_fields, selection
        self._pixel: tuple[int, int] | None = None
        self._sizes: tuple[int, int] = (0, 0)  # of the input that it is in
        self._pinned_in: tuple[object, ...] | None = None  # the maps whose nearest unit has been pinned
        self._answer: tuple[Frame, ProjectiveField] | None = (
            None  # worked out once a look, not for each hover
        )

    def choose(self, frame: Frame, pixel: tuple[int, int]) -> None:
        """Follows a pixel, given as row and column in the model's input."""
        self._pixel, self._sizes, self._pinned_in, self._answer = pixel, frame.sizes, None, None

    def drop(self) -> None:
        """Follows none."""
        self._pixel = self._answer = None

    def nudge(self, frame: Frame, rows: int, columns: int) -> None:
        """Moves the pixel down and to the right; begins in the middle of the picture."""
        height, width = frame.sizes
        row, column = self._pixel or (height // 2, width // 2)
        self.choose(frame, (max(0, min(row + rows, height - 1)), max(0, min(column + columns, width - 1))))

    def trace(self, frame: Frame) -> TracedPixel | None:
        """The pixel and who sees it, if one is followed."""
        if self._pixel is None or frame.sizes != self._sizes:
            self.drop()
            return None
        if self._answer is None or self._answer[0] is not frame:
            viewers = self._receptive_fields.viewers(frame, *self._pixel)
            self._answer = None if viewers is None else (frame, viewers)
        if self._answer is None:
            return TracedPixel(self._pixel, None)
        viewers, maps = self._answer[1], (frame.layer.path, frame.maps.shape)
        if maps != self._pinned_in:
            self._pinned_in = maps
            self._selection.pin(frame, viewers.nearest and Unit(frame.channel, *viewers.nearest))
        return TracedPixel(self._pixel, viewers)
