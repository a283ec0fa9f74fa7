"""The depth profile: a few numbers about every layer of a network, for one or more pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .channel_stats import as_floats, scaled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmwidget.activations.model import ActivationModel
    from fmwidget.models.inputs import Batch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class DepthProfile:
    """What becomes of pictures on their way through a network; every array has an entry for each layer.

    The maps before an activation function are left out: they are the same layer's. Where there are several
    pictures, shares and means are means over them.

    Attributes:
        paths: Paths of the layers, in the order data flows.
        shapes: `(N, 3)`: height, width and channels of each layer's maps, for the first picture.
        inactive: Share of the channels that are zero everywhere on a picture, 0 to 1.
        zeros: Share of all values that are zero, 0 to 1.
        mean: Mean of the finite values, in activation units; NaN for a layer without one.
        not_finite: Number of values that are NaN or infinite.
        pictures: Number of pictures.
    """

    paths: tuple[str, ...]
    shapes: Array
    inactive: Array
    zeros: Array
    mean: Array
    not_finite: Array
    pictures: int


class LayerNumbers(NamedTuple):
    """The numbers of one layer for one picture; see `DepthProfile`."""

    shape: tuple[int, int, int]
    inactive: float
    zeros: float
    mean: float
    not_finite: int


def layer_numbers(maps: Array) -> LayerNumbers:
    """Measures feature maps `(H, W, C)`."""
    height, width, channels = maps.shape
    zeros = (maps == 0).sum(axis=0, dtype=np.int32).sum(axis=0, dtype=np.int64)
    maps = as_floats(maps)
    with np.errstate(all="ignore"):
        mean, not_finite = float(maps.mean(dtype=np.float64)), 0
    if not np.isfinite(mean):  # what is not finite is left out, and what is huge must not overflow
        values, finite, exponent = scaled(maps)
        mean = float(np.ldexp(values[finite].mean(), exponent)) if finite.any() else np.nan
        not_finite = int(finite.size - np.count_nonzero(finite))
    inactive = np.count_nonzero(zeros == height * width) / channels
    return LayerNumbers(maps.shape, inactive, zeros.sum() / maps.size, mean, not_finite)


def depth_profile(am: ActivationModel, batches: Iterable[Batch]) -> DepthProfile:
    """Measures every layer of a model for some pictures.

    Each picture takes one forward pass, or none if its maps are in the cache, whatever the cache can hold.

    Args:
        am: The model.
        batches: A ready model input for each picture.

    Raises:
        ValueError: If there is no picture, or the model has no feature maps.
        ForwardError: If the model fails on a picture.
    """
    measured = [am.measure(batch, layer_numbers) for batch in batches]
    # A model that branches on its data may call different layers for different pictures.
    paths = tuple(path for path in measured[0] if all(path in each for each in measured)) if measured else ()
    if not paths:
        raise ValueError(
            "There is nothing to profile: pass at least one picture, and a model with feature maps."
        )
    table = [[each[path] for each in measured] for path in paths]
    numbers = np.array([[row[1:] for row in layer] for layer in table])  # (layer, picture, number)
    return DepthProfile(
        paths,
        np.array([layer[0].shape for layer in table]),
        inactive=numbers[..., 0].mean(axis=1),
        zeros=numbers[..., 1].mean(axis=1),
        mean=_mean_of_finite(numbers[..., 2]),
        not_finite=numbers[..., 3].sum(axis=1).astype(np.int64),
        pictures=len(measured),
    )


def _mean_of_finite(means: Array) -> Array:
    """Means of rows, NaN left out; NaN for a row of nothing else."""
    count = np.isfinite(means).sum(axis=1)
    total = np.where(np.isfinite(means), means, 0) / np.maximum(count, 1)[:, np.newaxis]
    return np.where(count > 0, total.sum(axis=1), np.nan)
