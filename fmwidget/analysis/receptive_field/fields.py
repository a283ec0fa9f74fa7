"""The receptive field of a unit: the part of the input image that its value depends on.

The arithmetic is that of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural
Networks* (Distill, 2019, https://distill.pub/2019/computing-receptive-fields). `receptive_field` returns its
size, stride and padding, as if feature maps had no edge. `field_of` follows one unit back to the image
through the feature maps as they are, which is exact at edges too.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fmwidget.models.inputs import Batch

from .graph import ModelGraph, Upstream, model_graph
from .layout import bounding_box
from .relations import Identity, Intervals, is_global, union


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of the units of a layer, edges left out of account; pairs are for rows and columns.

    Attributes:
        size: Input pixels from the first to the last that a unit depends on; may exceed the input's size.
        stride: Input pixels from the field of one unit to that of the next; a fraction after upsampling.
        padding: Pixels by which the field of the first unit begins before the input.
        is_global: True if a unit depends on the whole input wherever it is, because of global pooling,
            attention or a dense layer on the way. `size` is then the input's, the rest 0.
        unknown: A sentence on why the numbers, all 0, could not be computed; else empty.
    """

    size: tuple[int, int] = (0, 0)
    stride: tuple[float, float] = (0, 0)
    padding: tuple[int, int] = (0, 0)
    is_global: bool = False
    unknown: str = ""


@dataclass(frozen=True)
class Field:
    """The receptive field of one unit: the smallest box of the input that holds all it depends on.

    Attributes:
        box: `(top, left, bottom, right)` in pixels, the last two not included. `None` if the unit does not
            depend on the image, or if the field is unknown.
        is_global: True if the unit depends on global pooling, attention or a dense layer.
        unknown: A sentence that names the layer whose receptive field is not defined; else empty.
        through: The path of the last such layer before the unit that makes its field global; else empty.
    """

    box: tuple[int, int, int, int] | None
    is_global: bool = False
    unknown: str = ""
    through: str = ""


def receptive_field(model: Any, path: str, *, batch: Batch = None) -> ReceptiveField:
    """Compute size, stride and padding of the receptive field of a layer's units, as if maps had no edge.

    In a video it is the union over time steps: the part of the image that a unit depends on in any of them.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        batch: An input of the model, of which only the sizes matter. By default of the model's own sizes.

    Raises:
        ValueError: If the model has no layer of that path.

    Example:
        receptive_field(keras.applications.VGG16(weights=None), "block5_conv3").size  # (196, 196)
    """
    graph = model_graph(model, batch)
    upstream, target = graph.upstream(path), graph.paths[path]
    if upstream.unknown:
        return ReceptiveField(unknown=upstream.unknown)
    if upstream.is_global:
        height, width = graph.layouts[target].grid
        box = field_of(model, path, height // 2, width // 2, batch=batch).box or (0, 0, 0, 0)
        return ReceptiveField((box[2] - box[0], box[3] - box[1]), is_global=True)
    if not upstream.depends_on_image:
        return ReceptiveField()
    rows, columns = _along(graph, upstream, target, 0), _along(graph, upstream, target, 1)
    if rows is None or columns is None:
        return ReceptiveField(
            unknown=f"The size of the receptive field is unavailable: before {path!r}, branches of different "
            "strides meet, or positions are rearranged."
        )
    return ReceptiveField((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))


def field_of(model: Any, path: str, row: int, column: int, *, batch: Batch = None) -> Field:
    """Compute the receptive field of one unit of a layer, cut at the edges of all feature maps on the way.

    The first call for a model runs a forward pass. In a video the box is the union over time steps.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        row: Row of the unit, counted from 0 at the top.
        column: Column of the unit, counted from 0 at the left.
        batch: An input of the model, of which only the sizes matter. By default of the model's own sizes.

    Raises:
        ValueError: If the model has no layer of that path.
        IndexError: If its feature maps have no such unit.
    """
    graph = model_graph(model, batch)
    upstream, target = graph.upstream(path), graph.paths[path]
    height, width = graph.layouts[target].grid
    if not (0 <= row < height and 0 <= column < width):
        raise IndexError(
            f"`row` and `column` must be a unit of {height}×{width} maps. "
            f"Received row={row}, column={column}."
        )
    if upstream.unknown:
        return Field(None, unknown=upstream.unknown)
    unit = np.zeros((height, width), bool)
    unit[row, column] = True
    masks, through = {target: unit}, ""
    for tensor, source, relation in upstream.edges:
        if tensor not in masks:
            continue
        mask = relation.sources_of(masks[tensor], graph.layouts[source].grid)
        masks[source] = masks[source] | mask if source in masks else mask
        if not through and is_global(relation, graph.layouts[source]) and mask.any():
            through = relation.layer
    image = masks.get(graph.image_input)
    return Field(None if image is None else bounding_box(image), is_global=bool(through), through=through)


def _along(graph: ModelGraph, upstream: Upstream, target: int, axis: int) -> tuple[int, float, int] | None:
    """Return size, stride and padding along rows (0) or columns (1), or `None` if there is no such size."""
    strides = {target: Fraction(1)}
    # After upsampling, fields of neighbouring units differ in size; they repeat after as many units as this.
    periods = {target: 1}
    for tensor, source, relation in upstream.edges:
        if isinstance(relation, Identity) and graph.layouts[source].grid != graph.layouts[tensor].grid:
            return None  # tokens have no rows and columns
        stride = relation.stride(axis)
        if strides.setdefault(source, strides[tensor] * stride) != strides[tensor] * stride:
            return None
        periods[source] = math.lcm(periods.get(source, 1), periods[tensor] * stride.denominator)
    units = range(periods[graph.image_input])
    fields = [_unbounded_field(graph, upstream, target, axis, unit) for unit in units]
    size = max(last - first + 1 for first, last in fields)
    stride = strides[graph.image_input]
    return size, int(stride) if stride.denominator == 1 else float(stride), -fields[0][0]


def _unbounded_field(
    graph: ModelGraph, upstream: Upstream, target: int, axis: int, unit: int
) -> tuple[int, int]:
    """Return the first and the last position that a unit depends on in an input without edges."""
    intervals: dict[int, Intervals] = {target: [(unit, unit)]}
    for tensor, source, relation in upstream.edges:
        if tensor in intervals:
            found = relation.source_intervals(axis, intervals[tensor], graph.layouts[source].time_steps)
            intervals[source] = list(map(union, intervals.get(source, [None] * len(found)), found))
    return functools.reduce(union, intervals.get(graph.image_input, []), None) or (0, -1)
