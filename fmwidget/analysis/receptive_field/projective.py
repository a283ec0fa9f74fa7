"""The projective field of a pixel: the units of a layer that depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmwidget.models.inputs import Batch

from .fields import ReceptiveField, receptive_field
from .graph import model_graph
from .layout import Box, Grid, Mask, bounding_box


@dataclass(frozen=True, eq=False)
class ProjectiveField:
    """The units of a layer whose receptive field holds one pixel of the image.

    Attributes:
        units: A mask of them, `(H, W)`; empty if the field is unknown.
        nearest: Row and column of the one among them whose receptive field is centered nearest to the pixel;
            `None` if there are none.
        unknown: A sentence that names the layer whose receptive field is not defined; else empty.
    """

    units: Mask
    nearest: tuple[int, int] | None
    unknown: str = ""

    @property
    def box(self) -> Box | None:
        """The smallest box that holds them: `(top, left, bottom, right)`, the last two not included."""
        return bounding_box(self.units)

    @property
    def has_gaps(self) -> bool:
        """True if some units in the box do not depend on the pixel, because dilated kernels skip it."""
        if self.box is None:
            return False
        top, left, bottom, right = self.box
        return not self.units[top:bottom, left:right].all()


def projective_field(model: Any, path: str, row: int, column: int, *, batch: Batch = None) -> ProjectiveField:
    """Compute the projective field of one pixel in a layer, exact at all edges.

    The first call for a model runs a forward pass. In a video it is that of the pixel in any time step.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        row: Row of the pixel in the model's input, counted from 0 at the top.
        column: Column of the pixel in the model's input, counted from 0 at the left.
        batch: An input of the model, of which only the sizes matter. By default of the model's own sizes.

    Raises:
        ValueError: If the model has no layer of that path.
        IndexError: If the input has no such pixel.
    """
    graph = model_graph(model, batch)
    upstream, target = graph.upstream(path), graph.paths[path]
    *_, height, width = image = graph.layouts[graph.image_input].grid
    if not (0 <= row < height and 0 <= column < width):
        raise IndexError(
            f"`row` and `column` must be a pixel of the {height}×{width} input. "
            f"Received row={row}, column={column}."
        )
    units = np.zeros(graph.layouts[target].grid, bool)
    if upstream.unknown:
        return ProjectiveField(units, None, upstream.unknown)
    pixel = np.zeros(image, bool)
    pixel[..., row, column] = True
    masks = {graph.image_input: pixel}
    for tensor, source, relation in reversed(upstream.edges):
        if source in masks:
            mask = relation.dependents_of(masks[source], graph.layouts[tensor].grid)
            masks[tensor] = masks[tensor] | mask if tensor in masks else mask
    units = masks.get(target, units)
    if not units.any():
        return ProjectiveField(units, None)
    center = _centered_unit(
        receptive_field(model, path, batch=batch), (row, column), (height, width), units.shape
    )
    candidates = np.argwhere(units)
    nearest = candidates[np.argmin(((candidates - center) ** 2).sum(axis=1))]
    return ProjectiveField(units, (int(nearest[0]), int(nearest[1])))


def _centered_unit(
    field: ReceptiveField, pixel: tuple[int, int], pixels: Grid, units: Grid
) -> np.ndarray[Any, Any]:
    """Return row and column, in fractions of a unit, at which a receptive field is centered on a pixel."""
    if field.is_global or field.unknown:  # there is no center: the maps are stretched over the whole image
        return (np.array(pixel) + 0.5) / pixels * units - 0.5
    size, stride, padding = map(np.array, (field.size, field.stride, field.padding))
    return (pixel + padding - (size - 1) / 2) / stride
