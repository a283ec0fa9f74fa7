"""Which units of a layer see a pixel of the input: receptive fields, read from the other end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmwidget.models.inputs import Batch

from .axes import Mask
from .fields import ReceptiveField, receptive_field
from .graph import model_graph
from .relations import Unknown


@dataclass(frozen=True, eq=False)
class ProjectiveField:
    """The units of a layer's maps that one pixel of the picture has a part in.

    Attributes:
        units: Which they are, `(H, W)`; none where nobody knows.
        nearest: Row and column of the one among them whose receptive field is centred nearest to the pixel,
            or `None` if there are none.
        unknown: A sentence that names the layer whose reach is not known; else empty.
    """

    units: Mask
    nearest: tuple[int, int] | None
    unknown: str = ""

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The smallest box that holds them: `(top, left, bottom, right)`, the last two not included."""
        if self.nearest is None:
            return None
        rows, columns = np.flatnonzero(self.units.any(1)), np.flatnonzero(self.units.any(0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def has_gaps(self) -> bool:
        """Whether there are units in the box that do not see the pixel: dilated kernels step over some."""
        if self.box is None:
            return False
        top, left, bottom, right = self.box
        return not self.units[top:bottom, left:right].all()


def projective_field(model: Any, path: str, row: int, column: int, *, batch: Batch = None) -> ProjectiveField:
    """The units of a layer's maps that see one pixel of the picture, exact at all edges.

    The first look at a model runs it once; later ones calculate. Of a film it is the pixel of each frame.

    Args:
        model: A Keras 3 model, or an `ActivationModel`.
        path: A `FeatureLayer.path`.
        row: The pixel's, in the model's input, counted from 0 at the top.
        column: The pixel's, counted from 0 at the left.
        batch: An input of the model, to say of which size. One is made up otherwise.

    Raises:
        ValueError: If `path` is not on the list of layers.
        IndexError: If the input has no such pixel.
    """
    graph = model_graph(model, batch)
    upstream, target = graph.upstream(path), graph.paths[path]
    *film, height, width = graph.lies[graph.picture].positions
    if not (0 <= row < height and 0 <= column < width):
        raise IndexError(
            f"Expected a pixel of a {height}×{width} input, received row {row}, column {column}."
        )
    units = np.zeros(graph.lies[target].positions, bool)
    if upstream.unknown:
        return ProjectiveField(units, None, upstream.unknown)
    pixel = np.zeros((*film, height, width), bool)
    pixel[..., row, column] = True
    reached = {graph.picture: pixel}
    for number, source, how in reversed(upstream.steps):
        if source in reached and not isinstance(how, Unknown):
            part = how.forth(reached[source], graph.lies[number].positions)
            reached[number] = reached[number] | part if number in reached else part
    units = reached.get(target, units)
    if not units.any():
        return ProjectiveField(units, None)
    field = receptive_field(model, path, batch=batch)
    ideal = _unit_above(field, (row, column), (height, width), units.shape)
    seeing = np.argwhere(units)
    nearest = seeing[np.argmin(((seeing - ideal) ** 2).sum(axis=1))]
    return ProjectiveField(units, (int(nearest[0]), int(nearest[1])))


def _unit_above(
    field: ReceptiveField, pixel: tuple[int, int], pixels: tuple[int, ...], units: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """Where between the units one would be whose field is centred on a pixel."""
    if field.is_global or field.unknown:  # of no help: the maps are then laid over the whole picture
        places = zip(pixel, pixels, units, strict=True)
        return np.array([(at + 0.5) / inputs * outputs - 0.5 for at, inputs, outputs in places])
    along = zip(pixel, field.size, field.stride, field.padding, strict=True)
    return np.array([(at + padding - (size - 1) / 2) / stride for at, size, stride, padding in along])
