"""Depth profile: a few statistics of every layer of a network, for one or more images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fmwidget.activations.model import ActivationModel, activation_model

from .channel_stats import Array, as_floats

if TYPE_CHECKING:
    from collections.abc import Iterable

    import keras

    from fmwidget.models.inputs import Batch


@dataclass(frozen=True, eq=False)
class DepthProfile:
    """Statistics of every layer of a network; every array has one entry per layer.

    The maps before a built-in activation are left out, since they belong to the same layer. For several
    images, shares and means are averaged over them.

    Attributes:
        paths: Paths of the layers, in data-flow order.
        shapes: `(N, 3)`: height, width and channels of each layer's maps, for the first image.
        inactive: Share of channels that are zero everywhere on an image, 0 to 1.
        zeros: Share of values that are zero, 0 to 1.
        mean: Mean of the finite values, in activation units; NaN for a layer without one.
        not_finite: Number of values that are NaN or infinite.
        pictures: Number of images.
    """

    paths: tuple[str, ...]
    shapes: Array
    inactive: Array
    zeros: Array
    mean: Array
    not_finite: Array
    pictures: int


class LayerStatistics(NamedTuple):
    """Statistics of one layer for one image; see `DepthProfile`."""

    shape: tuple[int, int, int]
    inactive: float
    zeros: float
    mean: float
    not_finite: int


def layer_statistics(maps: Array) -> LayerStatistics:
    """Compute the statistics of feature maps `(H, W, C)`."""
    height, width, channels = maps.shape
    zeros = (maps == 0).sum(axis=0, dtype=np.int32).sum(axis=0, dtype=np.int64)
    maps = as_floats(maps)
    with np.errstate(all="ignore"):
        mean, not_finite = float(maps.mean(dtype=np.float64)), 0
        if not np.isfinite(mean):
            finite = maps[np.isfinite(maps)]
            mean = float(finite.mean(dtype=np.float64)) if finite.size else np.nan
            not_finite = maps.size - finite.size
    inactive = np.count_nonzero(zeros == height * width) / channels
    return LayerStatistics(maps.shape, inactive, zeros.sum() / maps.size, mean, not_finite)


def depth_profile(am: keras.Model | ActivationModel, batches: Iterable[Batch]) -> DepthProfile:
    """Compute the depth profile of a model for some images.

    Each image takes one forward pass, or none if its maps are cached. The cache may be of any size.

    Args:
        am: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        batches: One preprocessed model input per image.

    Raises:
        ValueError: If there is no image, or the model has no feature maps.
        ForwardError: If the model fails on an image.
    """
    am = activation_model(am)
    measured = [am.measure(batch, layer_statistics) for batch in batches]
    # A model that branches on its data may call different layers for different images.
    first, *others = measured or [{}]
    paths = tuple(path for path in first if all(path in image for image in others))
    if not paths:
        raise ValueError(
            "There is nothing to profile. Pass at least one image and a model with feature maps."
        )
    layers = [[image[path] for image in measured] for path in paths]
    numbers = np.array([[row[1:] for row in layer] for layer in layers])  # (layer, image, statistic)
    return DepthProfile(
        paths,
        np.array([layer[0].shape for layer in layers]),
        inactive=numbers[..., 0].mean(axis=1),
        zeros=numbers[..., 1].mean(axis=1),
        mean=_mean_of_finite(numbers[..., 2]),
        not_finite=numbers[..., 3].sum(axis=1).astype(np.int64),
        pictures=len(measured),
    )


def _mean_of_finite(means: Array) -> Array:
    """Return the mean of the finite values of each row; NaN for a row without one."""
    finite = np.isfinite(means)
    with np.errstate(all="ignore"):
        return np.where(finite, means, 0).sum(axis=1) / finite.sum(axis=1)
