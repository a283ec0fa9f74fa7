"""Dependencies between the positions of two tensors, one of which is computed from the other.

The positions of the computed tensor are called units, those of the other one sources. A relation answers in
two directions, because receptive fields are followed from a unit to the image, and projective fields from a
pixel to the units: `sources_of` and `dependents_of` are each other's transposes. Both take and return masks,
not intervals: dilated windows and strides leave gaps, which an interval would fill. Cut at the edge of a
map, it would end at the edge, although the last position that is really read may lie well before.

`source_intervals` is for the sizes that are published for networks, which leave edges out of account.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeGuard

import numpy as np

from .axes import AxisRelation, dependency_matrix
from .layout import Grid, Mask, TensorLayout

# First and last position along an axis, which may lie beyond the edges; `None` for no position.
Interval = tuple[int, int] | None
Intervals = list[Interval]  # one for each time step of a video, one for anything else


class Relation(Protocol):
    """The dependency of units on sources."""

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Mark the sources, on a grid of this size, that any of the marked units depends on."""

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Mark the units, on a grid of this size, that depend on any of the marked sources."""

    def stride(self, axis: int) -> int | Fraction:
        """Return the number of sources per unit along rows (0) or columns (1)."""

    def source_intervals(self, axis: int, units: Intervals, time_steps: int) -> Intervals:
        """Return the sources that intervals of units depend on, as if no tensor had an edge.

        Args:
            axis: Rows (0) or columns (1).
            units: An interval for each time step of the units' tensor.
            time_steps: Those of the sources' tensor.
        """


@dataclass(frozen=True, slots=True)
class Local:
    """A window of rows and columns, the same in each time step of a video."""

    rows: AxisRelation
    columns: AxisRelation

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Mark the windows of the marked units."""
        rows = dependency_matrix(self.rows, units.shape[-2], grid[-2])
        return _propagate(units, rows, dependency_matrix(self.columns, units.shape[-1], grid[-1]))

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Mark the units whose window holds a marked source."""
        rows = dependency_matrix(self.rows, grid[-2], sources.shape[-2])
        return _propagate(sources, rows.T, dependency_matrix(self.columns, grid[-1], sources.shape[-1]).T)

    def stride(self, axis: int) -> int | Fraction:
        """Return that of the window."""
        return (self.rows, self.columns)[axis].stride

    def source_intervals(self, axis: int, units: Intervals, _: int) -> Intervals:
        """Return the interval of the windows; a transposed window may hold no source at all."""
        sources = [unit and (self.rows, self.columns)[axis].interval(*unit) for unit in units]
        return [source if source and source[0] <= source[1] else None for source in sources]


def _propagate(mask: Mask, rows: Mask, columns: Mask) -> Mask:
    """Mark what the marked positions lead to, by a matrix (before, after) for rows and one for columns."""
    if mask.ndim == 3:
        return np.stack([_propagate(step, rows, columns) for step in mask])
    marked_rows, marked_columns = mask.any(axis=1), mask.any(axis=0)
    marked = mask[marked_rows][:, marked_columns]
    rows, columns = rows[marked_rows], columns[marked_columns]
    if marked.all():  # a rectangle, as most are, or a lattice: no need to multiply matrices
        return np.outer(rows.any(axis=0), columns.any(axis=0))
    # Numbers, not masks: NumPy multiplies those by a slow loop of its own, without BLAS.
    return (rows.T.astype("float32") @ marked.astype("float32") @ columns.astype("float32")) > 0


class _InPlace:
    """The part of relations that change no row or column: a unit's index is that of its source."""

    __slots__ = ()

    def stride(self, _: int) -> int:
        """Return 1."""
        return 1

    def source_intervals(self, _: int, units: Intervals, __: int) -> Intervals:
        """Return the units' own intervals."""
        return units


@dataclass(frozen=True, slots=True)
class Identity(_InPlace):
    """One source for each unit, in the same order; the grid may differ, as with maps reshaped to tokens."""

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Mark the same positions."""
        return units.reshape(grid)

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Mark the same positions."""
        return sources.reshape(grid)


@dataclass(frozen=True, slots=True)
class Global(_InPlace):
    """All sources for each unit, as after global pooling or attention; `layer` is the path of that layer."""

    layer: str = ""

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Mark all sources, if any unit is marked."""
        return np.full(grid, units.any())

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Mark all units, if any source is marked."""
        return np.full(grid, sources.any())


def is_global(relation: Relation, sources: TensorLayout) -> TypeGuard[Global]:
    """Return whether each unit depends on all of several sources; a single one may as well be its own."""
    return isinstance(relation, Global) and math.prod(sources.grid) > 1


@dataclass(frozen=True, slots=True)
class Unknown:
    """A dependency that is not defined; `reason` is a sentence for the user that names the layer."""

    reason: str


# ------------------------------------------------------------------ videos


@dataclass(frozen=True, slots=True)
class TimeSlice(_InPlace):
    """Units that are one time step of a video of sources."""

    step: int

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Mark the units in their time step of the video."""
        video = np.zeros(grid, bool)
        video[self.step] = units
        return video

    def dependents_of(self, sources: Mask, _: Grid) -> Mask:
        """Return the time step of the mask."""
        return sources[self.step]

    def source_intervals(self, _: int, units: Intervals, time_steps: int) -> Intervals:
        """Return the units' interval in their time step, and none in the others."""
        return [units[0] if step == self.step else None for step in range(time_steps)]


@dataclass(frozen=True, slots=True)
class TimeStack(_InPlace):
    """A video of units, one time step of which are the sources: the transpose of `TimeSlice`."""

    step: int

    def sources_of(self, units: Mask, _: Grid) -> Mask:
        """Return the time step of the mask."""
        return units[self.step]

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Mark the sources in their time step of the video."""
        return TimeSlice(self.step).sources_of(sources, grid)

    def source_intervals(self, _: int, units: Intervals, __: int) -> Intervals:
        """Return the interval of the time step."""
        return [units[self.step]]


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A convolutional recurrence over the time steps of a video, as in `ConvLSTM2D`.

    The state after a time step depends on a window of that step's input and on a window of the state before.
    Its receptive field in a step of the video thus grows with each step that lies between the two.

    The units are the states of all time steps, or that after the last one (`return_sequences=False`).

    Attributes:
        input_window: From a state to the input of the same time step.
        state_window: From a state to the one before.
        go_backwards: True if the last time step is processed first. States stay in order of processing.
    """

    input_window: Local
    state_window: Local
    go_backwards: bool = False

    def sources_of(self, units: Mask, grid: Grid) -> Mask:
        """Follow the recurrence from the last step that is processed to the first."""
        steps = grid[0]
        if units.ndim == 2:
            units = TimeSlice(steps - 1).sources_of(units, (steps, *units.shape))
        sources = np.zeros(grid, bool)
        state = np.zeros(units.shape[1:], bool)
        for step in reversed(range(steps)):
            # What the marked units need of the state after `step`: the units of that step, and all that
            # later states have read of it.
            state = state | units[step]
            sources[step] = self.input_window.sources_of(state, grid[1:])
            state = self.state_window.sources_of(state, state.shape)
        return self._in_processing_order(sources)

    def dependents_of(self, sources: Mask, grid: Grid) -> Mask:
        """Follow the recurrence from the first step that is processed to the last."""
        state = np.zeros(grid[-2:], bool)
        states = []
        for source in self._in_processing_order(sources):
            carried = self.state_window.dependents_of(state, state.shape)
            state = carried | self.input_window.dependents_of(source, state.shape)
            states.append(state)
        return np.stack(states) if len(grid) == 3 else state

    def stride(self, axis: int) -> int | Fraction:
        """Return that of the input's window: states keep their size."""
        return self.input_window.stride(axis)

    def source_intervals(self, axis: int, units: Intervals, time_steps: int) -> Intervals:
        """Follow the recurrence as in `sources_of`."""
        sources: Intervals = []
        state: Interval = None
        for unit in reversed([None] * (time_steps - len(units)) + units):
            state = union(state, unit)
            sources += self.input_window.source_intervals(axis, [state], 1)
            (state,) = self.state_window.source_intervals(axis, [state], 1)
        return sources if self.go_backwards else sources[::-1]

    def _in_processing_order(self, video: Mask) -> Mask:
        return video[::-1] if self.go_backwards else video


def union(one: Interval, other: Interval) -> Interval:
    """Return the interval from the first to the last position of two."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
