"""How the positions of one tensor hang on those of another it was made from, read in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fmwidget.models.outputs import CHANNELS_FIRST, is_video

from .axes import Axis, Mask, axis_matrix

# First and last position along an axis, as if no map had an edge; `None` where there is none. A film has one
# for each frame, maps have one.
Span = tuple[int, int] | None
Spans = list[Span]


@dataclass(frozen=True, slots=True)
class Local:
    """Each unit sees a window of rows and columns."""

    rows: Axis
    columns: Axis

    def ratio(self, axis: int) -> Fraction:
        """Positions of the input for one unit, along rows (0) or columns (1)."""
        return (self.rows, self.columns)[axis].ratio

    def spans(self, axis: int, spans: Spans, _: int) -> Spans:
        """What the units of these spans see."""
        seen = [span and (self.rows, self.columns)[axis].interval(*span) for span in spans]
        return [span if span and span[0] <= span[1] else None for span in seen]

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input, which has this many, that the marked units see."""
        (height, width), (units_high, units_wide) = positions, mask.shape
        down = axis_matrix(self.rows, units_high, height)
        return _spread(mask, down, axis_matrix(self.columns, units_wide, width))

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units, of which there are this many, that see a marked position of the input."""
        (height, width), (units_high, units_wide) = mask.shape, units
        down = axis_matrix(self.rows, units_high, height)
        return _spread(mask, down.T, axis_matrix(self.columns, units_wide, width).T)


def _spread(mask: Mask, down: Mask, across: Mask) -> Mask:
    """The positions that the marked ones lead to, row by row (`down`) and column by column."""
    rows, columns = mask.any(1), mask.any(0)
    marked, down, across = mask[rows][:, columns], down[rows], across[columns]
    if marked.all():  # a rectangle, as most are, or a lattice
        return np.outer(down.any(0), across.any(0))
    return (down.T.astype("float32") @ marked.astype("float32") @ across.astype("float32")) > 0


class _AsItIs:
    """Positions keep their number and their place, as far as that can be said."""

    __slots__ = ()

    def ratio(self, _: int) -> Fraction:
        """Positions of the input for one unit."""
        return Fraction(1)

    def spans(self, _: int, spans: Spans, __: int) -> Spans:
        """What the units of these spans see."""
        return spans


@dataclass(frozen=True, slots=True)
class Identity(_AsItIs):
    """Each unit sees its own position; tokens may be laid out anew, in the same order."""

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see."""
        return mask.reshape(positions)

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        return mask.reshape(units)


@dataclass(frozen=True, slots=True)
class Global(_AsItIs):
    """Each unit sees all positions; `through` is the name of the layer whose doing it is."""

    through: str = ""

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see."""
        return np.full(positions, mask.any())

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        return np.full(units, mask.any())


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say; `reason` is a sentence that names the layer."""

    reason: str


# ------------------------------------------------------------------ films


@dataclass(frozen=True, slots=True)
class PerTimeStep:
    """Each frame is made from the frame of the same time."""

    inner: Local | Identity

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see."""
        return np.stack([self.inner.back(frame, positions[1:]) for frame in mask])

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        return np.stack([self.inner.forth(frame, units[1:]) for frame in mask])

    def ratio(self, axis: int) -> Fraction:
        """Positions of the input for one unit."""
        return self.inner.ratio(axis)

    def spans(self, axis: int, spans: Spans, frames: int) -> Spans:
        """What the units of these spans see."""
        return self.inner.spans(axis, spans, frames)


@dataclass(frozen=True, slots=True)
class TimeStep(_AsItIs):
    """It is one frame of a film."""

    step: int

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the film that the marked units are."""
        film = np.zeros(positions, bool)
        film[self.step] = mask
        return film

    def forth(self, mask: Mask, _: tuple[int, ...]) -> Mask:
        """The units that are a marked position of the film."""
        return mask[self.step]

    def spans(self, _: int, spans: Spans, frames: int) -> Spans:
        """What the units of these spans are of a film of so many frames."""
        return [spans[0] if step == self.step else None for step in range(frames)]


@dataclass(frozen=True, slots=True)
class StackedSteps(_AsItIs):
    """It is a film, and one of its frames is what it was made from."""

    step: int

    def back(self, mask: Mask, _: tuple[int, ...]) -> Mask:
        """The positions that the marked units of the film are."""
        return mask[self.step]

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units of the film that are a marked position."""
        return TimeStep(self.step).back(mask, units)

    def spans(self, _: int, spans: Spans, __: int) -> Spans:
        """What the units of these spans of a film are."""
        return [spans[self.step]]


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Each frame is made from the one of the same time, through a window, and from what came before.

    Attributes:
        window: What a unit sees of the frame of its own time.
        state: What it sees of the units of the step before.
        is_backwards: Whether the last frame is the first to be taken.
    """

    window: Local
    state: Local
    is_backwards: bool = False

    def back(self, mask: Mask, positions: tuple[int, ...]) -> Mask:
        """The positions of the input that the marked units see: of all frames, or of the last step alone."""
        film = np.zeros(positions, bool)
        carried = np.zeros(mask.shape[-2:], bool)
        for step in reversed(range(len(film))):
            carried = carried | self._marked(mask, step, len(film))
            film[self._frame(step, len(film))] = self.window.back(carried, positions[1:])
            carried = self.state.back(carried, carried.shape)
        return film

    def forth(self, mask: Mask, units: tuple[int, ...]) -> Mask:
        """The units that see a marked position of the input."""
        steps = []
        reached = np.zeros(units[-2:], bool)
        for step in range(len(mask)):
            seen = self.window.forth(mask[self._frame(step, len(mask))], reached.shape)
            reached = seen | self.state.forth(reached, reached.shape)
            steps.append(reached)
        return np.stack(steps) if len(units) == 3 else reached

    def ratio(self, axis: int) -> Fraction:
        """Positions of the input for one unit."""
        return self.window.ratio(axis)

    def spans(self, axis: int, spans: Spans, frames: int) -> Spans:
        """What the units of these spans see of a film of so many frames."""
        film: Spans = [None] * frames
        carried: Span = None
        for step in reversed(range(frames)):
            own = spans[step] if len(spans) == frames else spans[0] if step == frames - 1 else None
            carried = union(carried, own)
            (film[self._frame(step, frames)],) = self.window.spans(axis, [carried], 1)
            (carried,) = self.state.spans(axis, [carried], 1)
        return film

    def _frame(self, step: int, frames: int) -> int:
        return frames - 1 - step if self.is_backwards else step

    def _marked(self, mask: Mask, step: int, steps: int) -> Mask:
        if mask.ndim == 3:
            return mask[step]
        return mask if step == steps - 1 else np.zeros_like(mask)


def union(one: Span, other: Span) -> Span:
    """The span that reaches from the first to the last of two."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


Relation = Local | Identity | Global | PerTimeStep | TimeStep | StackedSteps | Recurrent | Unknown


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """A tensor's shape, batch axis included, and where its channels are."""

    shape: tuple[int, ...]
    data_format: str

    @property
    def channel_axis(self) -> int:
        """Maps may keep their channels first, and films behind time; anything else has them last."""
        first = self.data_format == CHANNELS_FIRST and len(self.shape) in (4, 5)
        return len(self.shape) - 3 if first else len(self.shape) - 1

    @property
    def place_axes(self) -> list[int]:
        """The axes that tell positions apart: rows and columns for maps."""
        return [axis for axis in range(1, len(self.shape)) if axis != self.channel_axis]

    @property
    def positions(self) -> tuple[int, ...]:
        """The size along each of them."""
        return tuple(self.shape[axis] for axis in self.place_axes)

    @property
    def frame(self) -> TensorLayout:
        """How one frame of a film lies."""
        return TensorLayout((self.shape[0], *self.shape[2:]), self.data_format)

    @property
    def frames(self) -> int:
        """How many there are; maps are one."""
        return self.shape[1] if is_video(self) else 1
