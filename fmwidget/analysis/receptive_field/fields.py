"""What a unit of a feature map sees: the part of the input that its value depends on.

The arithmetic is that of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural
Networks* (Distill, 2019, https://distill.pub/2019/computing-receptive-fields). `receptive_field` gives size,
stride and padding as if maps had no edge; `field_of` walks one unit backwards through the maps as they are,
which is exact at the edges too.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fmwidget.models.inputs import Batch

from .axes import Mask
from .graph import Graph, Upstream, model_graph, sees_all
from .relations import Identity, Spans, Unknown, union


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of the units of a layer, edges aside; each pair is for rows and columns.

    Attributes:
        size: Input pixels from the first to the last that a unit sees; it can be more than the input has.
        stride: Input pixels from the field of one unit to that of the next; a fraction after upsampling.
        padding: How many pixels before the input the field of the first unit begins.
        is_global: Whether a unit sees the input as a whole, wherever it is, because the path leads through
            global pooling, attention or a dense layer. `size` is then the input's, the rest 0.
        unknown: A sentence that names the layer whose reach is not known, all numbers being 0; else empty.
    """

    size: tuple[int, int] = (0, 0)
    stride: tuple[float, float] = (0, 0)
    padding: tuple[int, int] = (0, 0)
    is_global: bool = False
    unknown: str = ""


@dataclass(frozen=True)
class Field:
    """The smallest box of the input that holds all that one unit sees.

    Attributes:
        box: `(top, left, bottom, right)` in pixels, the last two not included. `None` where the unit sees
            nothing of the picture, or nobody knows.
        is_global: Whether a path from the unit leads through global pooling, attention or a dense layer.
        unknown: A sentence that names the layer whose reach is not known; else empty.
        through: The name of the last layer on such a path that makes it global; else empty.
    """

    box: tuple[int, int, int, int] | None
    is_global: bool = False
    unknown: str = ""
    through: str = ""


def receptive_field(model: Any, path: str, *, batch: Batch = None) -> ReceptiveField:
    """Size, stride and padding of the receptive field of a layer's units, as if the maps had no edge.

    In a film that is the part of the picture which a unit sees in any of its frames.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        batch: An input of the model, to say of which size. One is made up otherwise.

    Raises:
        ValueError: If `path` is not on the list of layers.

    Example:
        receptive_field(keras.applications.VGG16(weights=None), "block5_conv3").size  # (196, 196)
    """
    graph = model_graph(model, batch)
    upstream = graph.upstream(path)
    if upstream.unknown:
        return ReceptiveField(unknown=upstream.unknown)
    if upstream.is_global:
        height, width = graph.lies[upstream.order[0]].positions
        box = field_of(model, path, height // 2, width // 2, batch=batch).box or (0, 0, 0, 0)
        return ReceptiveField((box[2] - box[0], box[3] - box[1]), is_global=True)
    if graph.picture not in upstream.order:
        return ReceptiveField()
    rows, columns = _along(graph, upstream, 0), _along(graph, upstream, 1)
    if rows is None or columns is None:
        return ReceptiveField(
            unknown=f"Before {path!r}, paths of different strides meet or positions are laid out anew."
        )
    return ReceptiveField((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))


def field_of(model: Any, path: str, row: int, column: int, *, batch: Batch = None) -> Field:
    """The box of the picture that one unit of a layer's maps sees, cut at the edges of all maps between.

    The first look at a model runs it once; later ones only calculate. A film counts as one picture: the box
    holds what the unit sees in any frame.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        row: Counted from 0 at the top.
        column: Counted from 0 at the left.
        batch: An input of the model, to say of which size. One is made up otherwise.

    Raises:
        ValueError: If `path` is not on the list of layers.
        IndexError: If its maps have no such unit.
    """
    graph = model_graph(model, batch)
    upstream = graph.upstream(path)
    target = graph.paths[path]
    height, width = graph.lies[target].positions
    if not (0 <= row < height and 0 <= column < width):
        raise IndexError(f"Expected a unit of {height}×{width} maps, received row {row}, column {column}.")
    if upstream.unknown:
        return Field(None, unknown=upstream.unknown)
    start = np.zeros((height, width), bool)
    start[row, column] = True
    seen, through = {target: start}, ""
    for number, source, how in upstream.steps:
        if number not in seen or isinstance(how, Unknown):
            continue
        part = how.back(seen[number], graph.lies[source].positions)
        if sees_all(how, graph.lies[source]) and part.any():
            through = through or getattr(how, "through", "")
        seen[source] = seen[source] | part if source in seen else part
    return Field(_box(seen.get(graph.picture)), is_global=bool(through), through=through)


def _box(mask: Mask | None) -> tuple[int, int, int, int] | None:
    if mask is None or not mask.any():
        return None
    seen = np.any(mask.reshape(-1, *mask.shape[-2:]), axis=0)  # of a film, in any of its frames
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _along(graph: Graph, upstream: Upstream, axis: int) -> tuple[int, float, int] | None:
    """Size, stride and padding along rows (0) or columns (1); `None` if paths of unlike strides meet."""
    target = upstream.order[0]
    strides, phases = {target: Fraction(1)}, {target: 1}
    for number, source, how in upstream.steps:
        if isinstance(how, Unknown) or (
            isinstance(how, Identity) and graph.lies[source].positions != graph.lies[number].positions
        ):
            return None  # tokens have no rows and columns
        ratio = how.ratio(axis)
        if strides.setdefault(source, strides[number] * ratio) != strides[number] * ratio:
            return None
        phases[source] = math.lcm(phases.get(source, 1), phases[number] * ratio.denominator)
    # After upsampling, neighbouring units have fields of different sizes, again and again in this many steps.
    fields = [_unbounded(graph, upstream, axis, unit) for unit in range(phases[graph.picture])]
    size = max(last - first + 1 for first, last in fields)
    stride = strides[graph.picture]
    whole = int(stride) if stride.denominator == 1 else float(stride)
    return size, whole, -fields[0][0]


def _unbounded(graph: Graph, upstream: Upstream, axis: int, unit: int) -> tuple[int, int]:
    """The first and the last position that a unit would see of an input without edges."""
    seen: dict[int, Spans] = {upstream.order[0]: [(unit, unit)]}
    for number, source, how in upstream.steps:
        if number in seen and not isinstance(how, Unknown):
            part = how.spans(axis, seen[number], graph.lies[source].frames)
            seen[source] = list(map(union, seen.get(source, [None] * len(part)), part))
    return functools.reduce(union, seen.get(graph.picture, []), None) or (0, -1)
