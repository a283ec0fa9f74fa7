"""Linear CKA: how similar the layers of two models are, by what they compute for the same images.

The centred kernel alignment of Kornblith et al., "Similarity of Neural Network Representations Revisited",
2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .channel_stats import Array, as_floats

if TYPE_CHECKING:
    from fmwidget.activations.model import ActivationModel
    from fmwidget.models.inputs import Batch

_Maps = tuple[tuple[int, int, int], np.dtype[Any]]  # shape and number type of a layer's maps for an image

MAX_BYTES = 2**30  # of maps, held for all images
BLOCK = 2**20  # values multiplied at a time: enough for BLAS, and few to convert to float64


@dataclass(frozen=True, eq=False, repr=False)
class CKA:
    """Similarity of every layer of a model A with every layer of a model B, over N images.

    Linear CKA is 1 if the maps of one layer, as one vector an image, are those of the other but for their
    mean, an orthogonal map and a factor, and 0 if they do not vary together. It asks which images a layer
    takes to be alike, so that layers of any sizes can be compared.

    It is exact for these images, but as an estimate for all images it is too high if they are few: two images
    give 1 for any two layers, and independent layers of far more values than there are images come close to
    1. Compare numbers of the same images only, and take hundreds of images if you can.

    The maps before a built-in activation are left out, since they belong to the same layer.

    Attributes:
        values: `(layers of A, layers of B)`, 0 to 1. NaN where a layer computes the same for all images, as
            it always does for one image; where its maps have NaN or infinite values; and where it is not
            called for every image.
        paths_a: Paths of A's layers, in data-flow order.
        paths_b: Paths of B's layers.
        name_a: Name of A.
        name_b: Name of B.
        images: Number of images, N.
    """

    values: Array
    paths_a: tuple[str, ...]
    paths_b: tuple[str, ...]
    name_a: str
    name_b: str
    images: int

    def __repr__(self) -> str:
        layers = f"{len(self.paths_a)} layers of {self.name_a}, {len(self.paths_b)} of {self.name_b}"
        return f"CKA({layers}, {self.images} images)"

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for every pair of layers, `layer_a`, `layer_b` and `cka`: rows of a data frame."""
        return [
            {"layer_a": a, "layer_b": b, "cka": float(self.values[row, column])}
            for row, a in enumerate(self.paths_a)
            for column, b in enumerate(self.paths_b)
        ]


class _Part(NamedTuple):
    """Some of the values that a layer computes for an image, `start` to `stop` of its flattened maps."""

    layer: int
    path: str
    dtype: np.dtype[Any]
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Bytes of the values for one image."""
        return (self.stop - self.start) * self.dtype.itemsize


def cka_of(
    a: ActivationModel,
    batches_a: Sequence[Batch],
    b: ActivationModel,
    batches_b: Sequence[Batch],
    *,
    names: tuple[str, str],
    max_bytes: int = MAX_BYTES,
) -> CKA:
    """Compute the linear CKA of every layer of one model with every layer of another.

    Maps are never needed of all layers and all images at once: the layers are taken in groups whose maps fit
    into `max_bytes`, parts of a layer where it alone is larger, and each group takes a forward pass an image.
    The result is the same for any `max_bytes`.

    Args:
        a: The model A.
        batches_a: One preprocessed input of A per image.
        b: The model B, or A again, or A with the weights of a snapshot.
        batches_b: One input of B for each of the same images, in the same order.
        names: The names of A and B.
        max_bytes: Bytes of maps to hold, beside the models' own caches and 4 N² bytes for each layer.

    Raises:
        ValueError: If there is no image, the numbers of images differ, a model has no feature maps, or the
            maps of a layer have different shapes for different images.
        ForwardError: If a model fails on an image.
    """
    if not batches_a or len(batches_a) != len(batches_b):
        raise ValueError(
            f"Received {len(batches_a)} inputs of the one model and {len(batches_b)} of the other; expected "
            "those of the same images, at least one. Pass one input per image for each model."
        )
    paths_a, grams_a = _grams(a, batches_a, max_bytes)
    is_same = b is a and batches_b is batches_a
    paths_b, grams_b = (paths_a, grams_a) if is_same else _grams(b, batches_b, max_bytes)
    with np.errstate(all="ignore"):  # NaN stands for a layer that has no similarity
        values = np.clip(grams_a @ grams_b.T, 0, 1)
    return CKA(values, paths_a, paths_b, *names, len(batches_a))


def _grams(am: ActivationModel, batches: Sequence[Batch], max_bytes: int) -> tuple[tuple[str, ...], Array]:
    """Return the paths of a model's layers, and the Gram matrix of each over the images as a unit vector.

    Returns:
        The paths, and an array `(layers, N (N + 1) / 2)`: the lower triangles of the centred Gram matrices.
        Values off the diagonal count twice in a scalar product of matrices, so they are multiplied by √2.
    """
    shapes = am.measure(batches[0], lambda maps: (maps.shape, maps.dtype), evict=False)
    if not shapes:
        raise ValueError(f"The model {am.model.name!r} has no feature maps. Pass one with convolutions.")
    count = len(batches)
    lower = np.tril_indices(count)
    grams = np.zeros((len(shapes), len(lower[0])))
    groups = list(_groups(shapes, max_bytes // count))
    # One allocation for all groups: the first writing to memory takes about as long as to compute the maps.
    memory = np.empty(count * max(sum(part.nbytes for part in parts) for parts in groups), np.uint8)
    for parts in groups:
        ends = count * np.cumsum([part.nbytes for part in parts])
        held = [
            each.view(part.dtype).reshape(count, part.stop - part.start)
            for each, part in zip(np.split(memory[: ends[-1]], ends[:-1]), parts, strict=True)
        ]
        for place, batch in enumerate(batches):
            found = _values(am, batch, parts, shapes)
            for part, rows in zip(parts, held, strict=True):
                if part.path in found:
                    rows[place] = found[part.path]
                else:  # a model that branches on its data may not call a layer
                    rows[place], grams[part.layer] = 0, np.nan
        for part, rows in zip(parts, held, strict=True):
            grams[part.layer] += _gram(rows)[lower]
    grams[:, lower[0] != lower[1]] *= np.sqrt(2)
    with np.errstate(all="ignore"):
        grams /= np.linalg.norm(grams, axis=1, keepdims=True)
    return tuple(shapes), grams


def _groups(shapes: Mapping[str, _Maps], room: int) -> Iterator[list[_Part]]:
    """Yield all values of all layers, in groups of at most `room` bytes an image, or else of one value.

    Args:
        shapes: Shape and number type of each layer's maps, by path.
        room: Bytes.
    """
    group: list[_Part] = []
    left = room = max([room, *(dtype.itemsize for _, dtype in shapes.values())])
    for layer, (path, (shape, dtype)) in enumerate(shapes.items()):
        start, size = 0, math.prod(shape)
        while start < size:
            stop = min(size, start + left // dtype.itemsize)
            if stop == start:
                yield group
                group, left = [], room
                continue
            group.append(_Part(layer, path, dtype, start, stop))
            left -= group[-1].nbytes
            start = stop
    if group:
        yield group


def _values(
    am: ActivationModel, batch: Batch, parts: list[_Part], shapes: Mapping[str, _Maps]
) -> dict[str, Array]:
    """Return the values of some parts for one image, by path; a group holds at most one part of a layer."""
    slices = {part.path: slice(part.start, part.stop) for part in parts}

    def chosen(path: str, maps: Array) -> Array | None:
        if path not in slices:
            return None
        if maps.shape[1:] != shapes[path][0]:
            raise ValueError(
                f"Layer {path!r} has maps of shape {shapes[path][0]} for the first image and "
                f"{maps.shape[1:]} for another; expected one shape. Pass images of one size."
            )
        return maps.reshape(-1)[slices[path]]

    return {
        path: found for path, found in am.measure_batch(batch, chosen, evict=False).items() if path in slices
    }


def _gram(values: Array) -> Array:
    """Return the Gram matrix `(N, N)` of rows `(N, values)`, centred over the rows, in float64."""
    count, size = values.shape
    gram = np.zeros((count, count))
    step = max(1, BLOCK // count)
    with np.errstate(all="ignore"):
        for start in range(0, size, step):
            part = as_floats(values[:, start : start + step]).astype(np.float64)
            part -= part[0].copy()  # a value that is the same for all images becomes 0 without rounding
            part -= part.mean(axis=0)
            gram += part @ part.T
    return gram
