"""The pixel of the picture that was clicked on, and the units that see it in whatever maps are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmwidget.rendering.sampling import Spot

if TYPE_CHECKING:
    from fmwidget.analysis.receptive_field.projective import Viewers
    from fmwidget.pipeline import Look

    from .receptive_field_service import Lookout
    from .selection import Pointing


@dataclass(frozen=True, eq=False)
class Trace:
    """A pixel of the model's input, its row and column, and who sees it: `None` if that is not known yet."""

    pixel: tuple[int, int]
    viewers: Viewers | None


class Tracing:
    """Follows one pixel from layer to layer: among the units that see it, the nearest is pinned.

    It is dropped with a picture of another size, where the same row and column would be another place.

    Args:
        lookout: Knows which units see a pixel.
        pointing: Has the pinned unit.
    """

    def __init__(self, lookout: Lookout, pointing: Pointing) -> None:
        self._lookout, self._pointing = lookout, pointing
        self._pixel: tuple[int, int] | None = None
        self._sizes: tuple[int, int] = (0, 0)  # of the input that it is in
        self._pinned_in: tuple[object, ...] | None = None  # the maps whose nearest unit has been pinned
        self._answer: tuple[Look, Viewers] | None = None  # worked out once a look, not for each hover

    def choose(self, look: Look, pixel: tuple[int, int]) -> None:
        """Follows a pixel, given as row and column in the model's input."""
        self._pixel, self._sizes, self._pinned_in, self._answer = pixel, look.sizes, None, None

    def drop(self) -> None:
        """Follows none."""
        self._pixel = self._answer = None

    def nudge(self, look: Look, rows: int, columns: int) -> None:
        """Moves the pixel down and to the right; begins in the middle of the picture."""
        height, width = look.sizes
        row, column = self._pixel or (height // 2, width // 2)
        self.choose(look, (max(0, min(row + rows, height - 1)), max(0, min(column + columns, width - 1))))

    def trace(self, look: Look) -> Trace | None:
        """The pixel and who sees it, if one is followed."""
        if self._pixel is None or look.sizes != self._sizes:
            self.drop()
            return None
        if self._answer is None or self._answer[0] is not look:
            viewers = self._lookout.viewers(look, *self._pixel)
            self._answer = None if viewers is None else (look, viewers)
        if self._answer is None:
            return Trace(self._pixel, None)
        viewers, maps = self._answer[1], (look.layer.path, look.maps.shape)
        if maps != self._pinned_in:
            self._pinned_in = maps
            self._pointing.pin(look, viewers.nearest and Spot(look.channel, *viewers.nearest))
        return Trace(self._pixel, viewers)
