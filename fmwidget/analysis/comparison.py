"""Comparison of what the layers of two models compute, or of one for two images or sets of weights."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .channel_stats import Array, as_floats

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fmwidget.activations.layers import FeatureLayer
    from fmwidget.activations.model import ActivationModel
    from fmwidget.models.inputs import Batch

TOLERANCE = 1e-4  # rounding to float32 stays far below it, rounding to float16 exceeds it
HELD_BYTES = 512 * 2**20  # maps of one side held at a time, to be compared with those of the other
BLOCK = 2**13  # values read at a time: of longer arrays BLAS sums parts on threads, which takes longer
MOST_NAMES = 8  # of layers that correspond by order, in the printed summary


@dataclass(frozen=True, eq=False)
class Comparison:
    """The differences between two sides, A and B, layer by layer; every array has one entry per layer.

    The maps before a built-in activation are left out, since they belong to the same layer. Positions where
    a value of either side is NaN or infinite are counted, and left out of all else.

    Attributes:
        paths: Paths of the layers compared, in A, in data-flow order.
        other_paths: Paths of the same layers in B.
        shapes: `(N, 3)`: height, width and channels of each layer's maps.
        relative_l2: Euclidean norm of `a - b` over that of `a`; 0 for 0/0, and infinite for any other number
            over 0.
        cosine: Cosine of the angle between `a` and `b`, −1 to 1, and exactly 1 where they are equal; NaN if
            one of them is zero everywhere.
        max_abs: Largest magnitude of `a - b`, in activation units.
        not_finite: Number of positions where the sides differ in what is not finite: only one of them is, or
            one is NaN, +inf or -inf and the other another of these.
        left_out: Number of positions where either side is NaN or infinite.
        only_a: Paths of layers of A that no layer of B corresponds to.
        only_b: Paths of layers of B that no layer of A corresponds to.
        different_shapes: Paths in A of layers that correspond but cannot be compared, with both shapes
            `(H, W, C)`.
        by_order: Paths in A of layers that correspond by their place, as they have other names in B.
        tolerance: Relative L2 distance above which a layer counts as different.
    """

    paths: tuple[str, ...]
    other_paths: tuple[str, ...]
    shapes: Array
    relative_l2: Array
    cosine: Array
    max_abs: Array
    not_finite: Array
    left_out: Array
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    different_shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    by_order: tuple[str, ...]
    tolerance: float

    @property
    def over(self) -> Array:
        """True for layers over the tolerance, and for those that differ in what is not finite."""
        over: Array = (self.relative_l2 > self.tolerance) | (self.not_finite > 0)
        return over

    @property
    def first_over(self) -> str | None:
        """Path in A of the first layer that is `over`; `None` if there is none."""
        places = np.flatnonzero(self.over)
        return self.paths[places[0]] if places.size else None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each layer compared, ready for `pandas.DataFrame`."""
        return [
            {
                "layer": path,
                "other_layer": other,
                "shape": tuple(shape),
                "relative_l2": relative_l2,
                "cosine": cosine,
                "max_abs": max_abs,
                "not_finite": not_finite,
                "left_out": left_out,
                "over": over,
            }
            for path, other, shape, relative_l2, cosine, max_abs, not_finite, left_out, over in zip(
                self.paths,
                self.other_paths,
                self.shapes.tolist(),
                self.relative_l2.tolist(),
                self.cosine.tolist(),
                self.max_abs.tolist(),
                self.not_finite.tolist(),
                self.left_out.tolist(),
                self.over.tolist(),
                strict=True,
            )
        ]

    def __repr__(self) -> str:
        first = "none" if self.first_over is None else f"first {self.first_over!r}"
        return f"Comparison({len(self.paths)} layers, {first} over {self.tolerance:g})"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        count, over = len(self.paths), int(self.over.sum())
        yield f"{_layers(count)} compared, {over or 'none'} over the tolerance of {self.tolerance:g}" + (
            f", first {self.first_over}" if over else ""
        )
        if self.by_order:
            pairs = dict(zip(self.paths, self.other_paths, strict=True))
            named = [f"{path} = {pairs[path]}" if path in pairs else path for path in self.by_order]
            more = [] if len(named) <= MOST_NAMES else ["…"]
            yield f"{_layers(len(named))} paired by order: {', '.join(named[:MOST_NAMES] + more)}"
        for paths, side in ((self.only_a, "A"), (self.only_b, "B")):
            if paths:
                yield f"{_layers(len(paths))} in {side} only: {', '.join(paths)}"
        if self.different_shapes:
            named = [f"{path} {a} and {b}" for path, (a, b) in self.different_shapes.items()]
            yield f"{_layers(len(named))} of different shapes: {', '.join(named)}"
        if not count:
            return
        width = max(5, *map(len, self.paths))
        yield f"{'layer':{width}}  {'relative L2':>11}  {'cosine':>11}  {'max |A − B|':>11}"
        for row in self.rows():
            line = (
                f"{row['layer']:{width}}  {row['relative_l2']:11.4g}  {row['cosine']:11.8f}  "
                f"{row['max_abs']:11.4g}"
            )
            if row["not_finite"]:
                line += f"  {row['not_finite']} NaN or infinite in one of them"
            yield line


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def corresponding_paths(layers_a: Sequence[FeatureLayer], layers_b: Sequence[FeatureLayer]) -> dict[str, str]:
    """Return the path in B of each layer of A that one of B corresponds to, in data-flow order.

    Layers of the same path correspond. If both sides have others, and these agree one by one in type, shape
    and the layers around them, they correspond by their order: Keras numbers the layers that have no name of
    their own. Two models that agree one by one as a whole, names without their numbers included, correspond
    by order in all layers: the same number may then stand for another layer.

    Args:
        layers_a: The layers of A, in data-flow order.
        layers_b: The layers of B, in data-flow order.
    """
    paths_a, paths_b = ([layer.path for layer in layers] for layers in (layers_a, layers_b))
    if set(paths_a) != set(paths_b) and _are_alike(layers_a, layers_b, with_names=True):
        return dict(zip(paths_a, paths_b, strict=True))
    pairs = {path: path for path in paths_a if path in set(paths_b)}
    left_a, left_b = (
        [layer for layer in layers if layer.path not in pairs] for layers in (layers_a, layers_b)
    )
    if _are_alike(left_a, left_b) and _gaps(paths_a, pairs) == _gaps(paths_b, pairs):
        pairs |= {a.path: b.path for a, b in zip(left_a, left_b, strict=True)}
    return {path: pairs[path] for path in paths_a if path in pairs}


def _gaps(paths: Sequence[str], known: Collection[str]) -> list[frozenset[str]]:
    """Return the known paths before, between and behind the others."""
    gaps: list[set[str]] = [set()]
    for path in paths:
        if path in known:
            gaps[-1].add(path)
        else:
            gaps.append(set())
    return list(map(frozenset, gaps))


def _are_alike(
    layers_a: Sequence[FeatureLayer], layers_b: Sequence[FeatureLayer], *, with_names: bool = False
) -> bool:
    """Return whether layers agree one by one in type and shape, and in names without their numbers."""

    def key(layer: FeatureLayer) -> tuple[Any, ...]:
        # A number ends a part of the path, or stands before a call index, as in `conv2d_3@2`.
        name = re.sub(r"_\d+(?=[/@\[]|$)", "", layer.path) if with_names else None
        return layer.type_name, layer.shape, name

    return list(map(key, layers_a)) == list(map(key, layers_b))


def compare_activations(
    a: ActivationModel, batch_a: Batch, b: ActivationModel, batch_b: Batch, *, tolerance: float = TOLERANCE
) -> Comparison:
    """Compare the feature maps of every layer.

    Each side takes one forward pass, or none if its maps are cached; a model whose maps are more than its
    cache may hold takes one more for each 512 MiB of them.

    Args:
        a: The model, with its own weights or those of a snapshot.
        batch_a: A ready input of it that holds one image.
        b: The one to compare with, which may be the same.
        batch_b: A ready input of `b` that holds one image.
        tolerance: Relative L2 distance above which a layer counts as different.

    Raises:
        ValueError: If a batch holds more than one image, or `tolerance` is no number from 0.
        ForwardError: If a model fails on its input.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a number from 0. Received {tolerance!r}.")
    if b.model is a.model:
        # One cache, and the same pass for the same input: equal maps are equal bit by bit.
        b = a.at(b.snapshot)
    layers_a = _listed(a, batch_a)
    # Before B is run, which may take the place of A in the cache.
    held = _held(a, batch_a, layers_a)
    layers_b = _listed(b, batch_b)
    pairs = corresponding_paths(tuple(layers_a.values()), tuple(layers_b.values()))
    shapes = {path: (layers_a[path].shape, layers_b[other].shape) for path, other in pairs.items()}
    comparable = {path: pairs[path] for path, (shape, other) in shapes.items() if shape == other}
    differences: dict[str, LayerDifference] = {}
    remaining = set(comparable)
    while remaining and held:
        remaining -= set(held)
        differences |= _differences(held, b, batch_b, comparable)
        held = _held(a, batch_a, remaining) if remaining else {}
    paths = tuple(path for path in comparable if path in differences)
    numbers = [differences[path] for path in paths]
    matched_b = set(pairs.values())
    return Comparison(
        paths,
        tuple(pairs[path] for path in paths),
        np.array([layers_a[path].shape for path in paths], np.int64).reshape(-1, 3),
        relative_l2=np.array([each.relative_l2 for each in numbers], np.float64),
        cosine=np.array([each.cosine for each in numbers], np.float64),
        max_abs=np.array([each.max_abs for each in numbers], np.float64),
        not_finite=np.array([each.not_finite for each in numbers], np.int64),
        left_out=np.array([each.left_out for each in numbers], np.int64),
        only_a=tuple(path for path in layers_a if path not in pairs),
        only_b=tuple(path for path in layers_b if path not in matched_b),
        different_shapes={path: both for path, both in shapes.items() if path not in comparable},
        by_order=tuple(path for path, other in pairs.items() if path != other),
        tolerance=tolerance,
    )


def _listed(am: ActivationModel, batch: Batch) -> dict[str, FeatureLayer]:
    """Return the layers that a model calls for an image, by path."""
    _, layers = am.predictions_and_layers(batch)
    return {layer.path: layer for layer in layers if layer.after is None}


class LayerDifference(NamedTuple):
    """Differences between the maps of one layer; see `Comparison`."""

    relative_l2: float
    cosine: float
    max_abs: float
    not_finite: int
    left_out: int


def _held(am: ActivationModel, batch: Batch, paths: Collection[str]) -> dict[str, Array]:
    """Return the maps of some layers, the first of them that fit into `HELD_BYTES`."""
    held: dict[str, Array] = {}
    room = HELD_BYTES

    def hold(path: str, maps: Array) -> None:
        nonlocal room
        # The first is held however large it is, so that each turn brings at least one.
        if path in paths and (maps.nbytes <= room or not held):
            held[path] = maps[0]
            room -= maps.nbytes

    am.measure_batch(batch, hold)
    return held


def _differences(
    held: dict[str, Array], b: ActivationModel, batch_b: Batch, pairs: dict[str, str]
) -> dict[str, LayerDifference]:
    """Return the differences between the maps held of A and those of B, by path in A; release the maps."""
    path_in_a = {pairs[path]: path for path in held if path in pairs}
    differences: dict[str, LayerDifference] = {}

    def compare(other: str, maps: Array) -> None:
        if other in path_in_a:
            path = path_in_a[other]
            differences[path] = layer_difference(held.pop(path), maps[0])

    b.measure_batch(batch_b, compare)
    return differences


def layer_difference(maps_a: Array, maps_b: Array) -> LayerDifference:
    """Compute the differences between two feature maps `(H, W, C)` of the same shape and any type."""
    a, b = as_floats(maps_a), as_floats(maps_b)
    # In the order of memory, in which they can be read without a copy.
    a, b = (a.ravel("K"), b.ravel("K")) if a.strides == b.strides else (a.ravel(), b.ravel())
    not_finite = left_out = 0
    scale = scale_a = scale_b = 1.0
    with np.errstate(all="ignore"):
        is_double = np.promote_types(a.dtype, b.dtype) == np.float64
        sums = None if is_double else _sums(a, b)
        if sums is None or not np.isfinite(sums.squares_a + sums.squares_b):
            finite = np.isfinite(a) & np.isfinite(b)
            left_out = a.size - int(np.count_nonzero(finite))
            not_finite = int(np.count_nonzero(~(finite | (a == b) | (np.isnan(a) & np.isnan(b)))))
            a, b = a[finite], b[finite]
            if is_double:
                # float64 represents the squares of float32 values, but not of all its own.
                power_a, power_b = _power_of_two(a), _power_of_two(b)
                scale_a, scale_b = power_a or power_b or 1.0, power_b or power_a or 1.0
                # In float64: a scale beyond the range of float32 would make its zeros NaN.
                a, b = np.divide(a, scale_a, dtype=np.float64), np.divide(b, scale_b, dtype=np.float64)
            scale = max(scale_a, scale_b)
            sums = _sums(a, b, scale_a / scale, scale_b / scale)
        return LayerDifference(
            _relative(sums) * (scale / scale_a),
            _cosine(sums),
            sums.largest * scale,
            not_finite,
            left_out,
        )


class _Sums(NamedTuple):
    """Sums of squares and products over two arrays, and the largest magnitude of their difference."""

    squares_a: float
    squares_b: float
    dot: float
    squares: float
    largest: float


def _sums(a: Array, b: Array, unit_a: float = 1.0, unit_b: float = 1.0) -> _Sums:
    """Sum over two arrays `(n,)` in float64, a block at a time.

    Args:
        a: The first.
        b: The second.
        unit_a: A power of two that `a` is multiplied by for the difference.
        unit_b: The same for `b`.
    """
    squares_a = squares_b = dot = squares = largest = 0.0
    buffers = np.empty((2, BLOCK))
    for start in range(0, a.size, BLOCK):
        x, y = buffers[:, : min(BLOCK, a.size - start)]
        x[:], y[:] = a[start : start + BLOCK], b[start : start + BLOCK]
        squares_a += float(np.dot(x, x))
        squares_b += float(np.dot(y, y))
        dot += float(np.dot(x, y))
        if unit_a != unit_b:
            x *= unit_a
            y *= unit_b
        x -= y
        squares += float(np.dot(x, x))
        largest = max(largest, float(x.max()), -float(x.min()))
    return _Sums(squares_a, squares_b, dot, squares, largest)


def _relative(sums: _Sums) -> float:
    if sums.squares_a == 0:
        return 0.0 if sums.largest == 0 else math.inf
    return math.sqrt(sums.squares) / math.sqrt(sums.squares_a)


def _cosine(sums: _Sums) -> float:
    if sums.squares_a == 0 or sums.squares_b == 0:
        return math.nan
    if sums.largest == 0:
        return 1.0  # which rounding of the sums may miss
    return min(1.0, max(-1.0, sums.dot / math.sqrt(sums.squares_a) / math.sqrt(sums.squares_b)))


def _power_of_two(values: Array) -> float:
    """Return a power of two of the magnitude of the largest value; 0 if all are 0."""
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 0.0


def channel_differences(maps_a: Array, maps_b: Array) -> Array:
    """Return the Euclidean norm of the difference of each channel.

    Args:
        maps_a: Feature maps `(H, W, C)`.
        maps_b: Feature maps of the same shape.

    Returns:
        `(C,)` float64; infinite for a channel in which the maps differ in what is not finite.
    """
    a, b = as_floats(maps_a), as_floats(maps_b)
    total = np.zeros(a.shape[2])
    rows = max(1, BLOCK // max(1, a.shape[1] * a.shape[2]))
    with np.errstate(all="ignore"):
        for top in range(0, len(a), rows):
            block_a, block_b = a[top : top + rows], b[top : top + rows]
            difference = block_a.astype(np.float64) - block_b
            if not np.isfinite(difference).all():
                is_same = (block_a == block_b) | (np.isnan(block_a) & np.isnan(block_b))
                difference[is_same] = 0
                difference[np.isnan(difference)] = np.inf
            total += np.einsum("hwc,hwc->c", difference, difference)
        return np.sqrt(total)
