"""Step history: a few statistics of every layer over the steps of training, for one image."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fmwidget._errors import did_you_mean
from fmwidget.activations.model import ActivationModel, activation_model

from .channel_stats import (
    BLOCK,
    Array,
    ChannelScale,
    ChannelStatistics,
    as_floats,
    channel_statistics,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import keras

    from fmwidget.models.inputs import Batch
    from fmwidget.snapshots.snapshot import Snapshot

QUANTITIES = ("inactive", "mean", "from_first", "from_previous", "nan", "inf")


@dataclass(frozen=True, eq=False, repr=False)
class StepHistory:
    """Statistics of every layer at each of S steps, for one image; every array is `(S, L)`.

    The maps before a built-in activation are left out, since they belong to the same layer. A layer that the
    model does not call at a step has NaN there.

    A distance is relative: the Euclidean norm of the difference of the maps, over that of the maps of the
    first step, or of the previous one. It is 0 where both norms are, infinite where only the second is, and
    NaN where a map has values that are NaN or infinite, or has another shape.

    Attributes:
        steps: The step of each row, in ascending order: `Snapshot.step`.
        names: The name of each step.
        previous: The step that each was compared with as the previous one, -1 for none. It may have been
            dropped from the run since.
        paths: Paths of the layers, in data-flow order.
        inactive: Share of channels that are zero everywhere, 0 to 1.
        mean: Mean of the finite values, in activation units; NaN for a layer without one.
        from_first: Distance from the first step.
        from_previous: Distance from the previous step; NaN for the first.
        nan: Number of values that are NaN.
        inf: Number of values that are infinite.
        total: Number of steps to measure; these are the first of them while a history grows.
        note: The reason why distances are not known; empty if they are.
    """

    steps: tuple[int, ...]
    names: tuple[str, ...]
    previous: tuple[int, ...]
    paths: tuple[str, ...]
    inactive: Array
    mean: Array
    from_first: Array
    from_previous: Array
    nan: Array
    inf: Array
    total: int
    note: str
    _pools: Mapping[str, _Pool]

    def __repr__(self) -> str:
        return f"StepHistory({len(self.steps)} of {self.total} steps, {len(self.paths)} layers)"

    @property
    def is_complete(self) -> bool:
        """True if all steps have been measured."""
        return len(self.steps) == self.total

    def scale(self, path: str) -> ChannelScale | None:
        """Return the range of each channel of a layer over all steps measured: one scale for all of them.

        Steps that have been dropped from the run since are in it.

        Args:
            path: Path of the layer; there is no scale for the maps before an activation.
        """
        return self._pools[path].scale if path in self._pools else None

    def died(self, path: str, share: float = 1.0) -> int | None:
        """Return the first step from which on a layer's channels are inactive to the end, or `None`.

        Args:
            path: Path of the layer.
            share: Share of the channels that are to be inactive, above 0 and at most 1.

        Raises:
            ValueError: If there is no such layer, or no such share.
        """
        if path not in self.paths:
            hint = did_you_mean(path, self.paths, "`.paths` lists them.")
            raise ValueError(f"The history has no layer {path!r}. {hint}")
        return self.deaths(share).get(path)

    def deaths(self, share: float = 1.0) -> dict[str, int]:
        """Return the step that `died` returns, by path, of all layers that have one.

        Args:
            share: As for `died`.
        """
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1. Received {share}.")
        is_alive = ~(self.inactive >= share)
        # Rows after the last one with enough channels that are not inactive.
        first = len(self.steps) - np.argmax(is_alive[::-1], axis=0)
        first[~is_alive.any(axis=0)] = 0
        return {
            path: self.steps[row]
            for path, row in zip(self.paths, first.tolist(), strict=True)
            if row < len(self.steps)
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each step and layer, ready for `pandas.DataFrame`."""
        columns = [getattr(self, name).tolist() for name in QUANTITIES]
        return [
            {
                "step": step,
                "name": name,
                "layer": path,
                **{key: column[row][place] for key, column in zip(QUANTITIES, columns, strict=True)},
            }
            for row, (step, name) in enumerate(zip(self.steps, self.names, strict=True))
            for place, path in enumerate(self.paths)
        ]


def step_history(
    am: keras.Model | ActivationModel, batch: Batch, snapshots: Iterable[Snapshot]
) -> StepHistory:
    """Compute the history of a model's layers over snapshots of its training.

    Each step takes one forward pass, or none if its maps are cached. Distances need the maps of three steps
    at a time; they are left out where those of one are more than the cache may hold.

    Args:
        am: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        batch: A ready input of the model that holds one image.
        snapshots: The snapshots, for example `run.snapshots`.

    Raises:
        ValueError: If there is no snapshot, one does not fit the model, or the model has no feature maps.
        ForwardError: If the model fails on the image.
    """
    am = activation_model(am)
    snapshots = sorted(snapshots, key=lambda snapshot: snapshot.step)
    if not snapshots:
        raise ValueError("There is no step to measure. Pass at least one snapshot.")
    growing = GrowingHistory(am, batch)
    while growing.advance(snapshots):
        pass
    return growing.history(snapshots)


class _Row(NamedTuple):
    """The measurements of one step: `(L, Q)` numbers, the layers' paths, and the step compared with."""

    paths: tuple[str, ...]
    numbers: Array
    previous: int


class _Held(NamedTuple):
    """The maps of one step by path, each with its norm, and the step itself."""

    step: int
    maps: Mapping[str, tuple[Array, float]]


class GrowingHistory:
    """A history that is measured step by step, in one forward pass each, while a run grows.

    It is used by one thread at a time. It keeps no snapshot alive: what was measured at one that the run
    drops goes with it, except for its part in the scale over all steps.

    Args:
        am: Runs the model.
        batch: The model's input, of one image.
    """

    def __init__(self, am: ActivationModel, batch: Batch) -> None:
        self._am, self._batch = am, batch
        self._rows: weakref.WeakKeyDictionary[Snapshot, _Row] = weakref.WeakKeyDictionary()
        self._origin: weakref.ref[Snapshot] | None = None  # the first step, which distances are from
        self._first: _Held | None = None
        self._previous: _Held | None = None
        self._pools: dict[str, _Pool] = {}
        self._fits = True  # whether the maps of one step are no more than the cache may hold

    def advance(self, snapshots: Sequence[Snapshot]) -> bool:
        """Measure the next step that has not been measured.

        The previous step is the one measured before it. After another first step all begins anew.

        Args:
            snapshots: The snapshots of the run as it is now, in ascending order.

        Returns:
            False if all had been measured already.

        Raises:
            ValueError: If the snapshot does not fit the model, or the model has no feature maps.
            ForwardError: If the model fails on the image.
        """
        if self._origin is None or self._origin() is not snapshots[0]:
            self._rows.clear()
            self._pools = {}
            self._origin = weakref.ref(snapshots[0])
            self.release()
        place = next((place for place, each in enumerate(snapshots) if each not in self._rows), None)
        if place is None:
            return False
        if place > 0 and self._fits:
            # After `release` they are taken from the cache, or else computed again.
            self._first = self._first or self._run(snapshots[0])[1]
            self._previous = self._previous or self._run(snapshots[place - 1])[1]
        self._measure(snapshots[place])
        return True

    def release(self) -> None:
        """Release the maps held for distances; they are computed again when the history goes on."""
        self._first = self._previous = None

    def history(self, snapshots: Sequence[Snapshot]) -> StepHistory:
        """Return what has been measured of some snapshots, of which there is at least one.

        Args:
            snapshots: The snapshots of the run as it is now, in ascending order.
        """
        measured = [(each, self._rows[each]) for each in snapshots if each in self._rows]
        paths = tuple(dict.fromkeys(path for _, row in measured for path in row.paths))
        numbers = np.full((len(measured), len(paths), len(QUANTITIES)), np.nan)
        for place, (_, row) in enumerate(measured):
            if row.paths == paths:
                numbers[place] = row.numbers
            else:
                numbers[place, [paths.index(path) for path in row.paths]] = row.numbers
        return StepHistory(
            tuple(each.step for each, _ in measured),
            tuple(each.name for each, _ in measured),
            tuple(row.previous for _, row in measured),
            paths,
            **{name: numbers[:, :, place] for place, name in enumerate(QUANTITIES)},
            total=len(snapshots),
            note="" if self._fits else self._note(),
            _pools=dict(self._pools),
        )

    def _measure(self, snapshot: Snapshot) -> None:
        layers, held = self._run(snapshot)
        if not layers:
            raise ValueError(f"The model {self._am.model.name!r} has no feature maps to measure.")
        distances = np.full((len(layers), 2), np.nan)
        if held is not None:
            first = held if self._first is None else self._first
            for place, path in enumerate(layers):
                distances[place] = [
                    np.nan if other is None else _distance(held.maps[path], other.maps.get(path))
                    for other in (first, self._previous)
                ]
            self._first = first
        numbers = np.array([layer.numbers for layer in layers.values()])
        numbers = np.hstack([numbers[:, :2], distances, numbers[:, 2:]])
        for path, layer in layers.items():
            pool = self._pools.get(path)
            is_same = pool is not None and pool.min.shape == layer.pool.min.shape
            self._pools[path] = pool.joined(layer.pool) if pool is not None and is_same else layer.pool
        previous = -1 if self._previous is None else self._previous.step
        self._rows[snapshot] = _Row(tuple(layers), numbers, previous)
        self._previous = held

    def _run(self, snapshot: Snapshot) -> tuple[dict[str, _Layer], _Held | None]:
        """Measure the layers at a step, and hold their maps if they fit."""
        layers: dict[str, _Layer]
        held: dict[int, Array] = {}  # by address: some layers return their input, which counts once

        def measured(maps: Array) -> _Layer:
            layer = _measured(maps)
            if not self._fits:
                return layer
            held[maps.__array_interface__["data"][0]] = maps
            if sum(each.nbytes for each in held.values()) > self._am.cache_bytes:
                self._fits = False
                held.clear()
                for each in begun:
                    each.maps = None
                return layer
            layer.maps = maps
            begun.append(layer)
            return layer

        begun: list[_Layer] = []
        layers = self._am.at(snapshot).measure(self._batch, measured, evict=False)
        if not self._fits:
            self.release()
            return layers, None
        maps = {path: (layer.maps, _norm(layer.maps)) for path, layer in layers.items()}
        return layers, _Held(snapshot.step, maps)

    def _note(self) -> str:
        return (
            "Distances are not known: the maps of one step are more than the "
            f"{self._am.cache_bytes / 2**20:.4g} MiB that may be kept. Pass a larger cache_bytes."
        )


@dataclass
class _Layer:
    """The measurements of a layer at one step: inactive, mean, nan, inf, and the range of each channel."""

    numbers: tuple[float, float, float, float]
    pool: _Pool
    maps: Any = None


def _measured(maps: Array) -> _Layer:
    statistics = channel_statistics(maps)
    inf = statistics.posinf + statistics.neginf
    counts = maps.shape[0] * maps.shape[1] - statistics.nan - inf
    present = counts > 0
    mean = np.nan
    if present.any():
        with np.errstate(all="ignore"):
            mean = float(counts[present] / counts.sum() @ statistics.mean[present])
    numbers = (float(statistics.inactive.mean()), mean, float(statistics.nan.sum()), float(inf.sum()))
    return _Layer(numbers, _Pool.of(statistics))


@dataclass(frozen=True, eq=False)
class _Pool:
    """The range of each channel over the steps joined so far; every array is `(C,)`.

    Means and variances are joined step by step, so that their memory does not grow with the run.

    Attributes:
        steps: Number of steps at which a channel has a finite value.
        min, max, mean: Those of `ChannelScale`.
        within: Sum over the steps of the variance within each.
        between: Sum over the steps of the squared deviation of their means from `mean`.
    """

    steps: Array
    min: Array
    max: Array
    mean: Array
    within: Array
    between: Array

    @classmethod
    def of(cls, statistics: ChannelStatistics) -> _Pool:
        """Return the range of each channel at one step."""
        present = ~np.isnan(statistics.min)
        with np.errstate(all="ignore"):
            within = np.where(present, statistics.std**2, 0)
        return cls(
            present.astype(np.int64),
            statistics.min,
            statistics.max,
            np.where(present, statistics.mean, 0),
            within,
            np.zeros(len(present)),
        )

    def joined(self, other: _Pool) -> _Pool:
        """Return the range over the steps of both."""
        steps = self.steps + other.steps
        with np.errstate(all="ignore"):
            share = other.steps / np.maximum(steps, 1)
            apart = other.mean - self.mean
            between = self.between + other.between + apart**2 * self.steps * share
            mean = self.mean + apart * share
        return _Pool(
            steps,
            np.fmin(self.min, other.min),
            np.fmax(self.max, other.max),
            mean,
            self.within + other.within,
            between,
        )

    @property
    def scale(self) -> ChannelScale:
        """The range as numbers to normalize by."""
        with np.errstate(all="ignore"):
            std = np.sqrt((self.within + self.between) / self.steps)
        std[self.min == self.max] = 0  # rounding may leave a constant channel a deviation above 0
        return ChannelScale(self.min, self.max, np.where(self.steps > 0, self.mean, np.nan), std)


# ------------------------------------------------------------------ distances


def _distance(held: tuple[Array, float], other: tuple[Array, float] | None) -> float:
    """Return the norm of the difference of two maps, over that of the second."""
    if other is None or held[0].shape != other[0].shape:
        return math.nan
    if not (math.isfinite(held[1]) and math.isfinite(other[1])):
        return math.nan
    difference = 0.0 if held[0] is other[0] else _norm(held[0], other[0])
    if other[1] == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / other[1]


def _norm(maps: Array, other: Array | None = None) -> float:
    """Return the Euclidean norm of maps `(H, W, C)`, or of their difference from others.

    Not finite where the maps are not, or where squares of float64 values overflow.
    """
    maps = as_floats(maps)
    total = 0.0
    rows = max(1, BLOCK // (maps.shape[1] * maps.shape[2]))  # blocks stay in the processor's cache
    with np.errstate(all="ignore"):
        for top in range(0, len(maps), rows):
            block = maps[top : top + rows].astype(np.float64)
            if other is not None:
                block -= other[top : top + rows]
            # Not by BLAS, which sums parts of so long an array on threads: that takes ten times as long.
            total += float(np.einsum("hwc,hwc->", block, block))
    return math.sqrt(total)
