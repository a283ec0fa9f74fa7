"""A layer's feature maps on both sides of a comparison, and their difference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .channel_stats import Array, as_floats

SIDES = ("a", "b", "difference")


@dataclass(frozen=True, eq=False)
class Contrast:
    """The maps of one layer for two images, two sets of weights or two models.

    Attributes:
        name_a: The words for what `a` was computed from.
        name_b: The words for what `b` was computed from.
        a: Feature maps `(H, W, C)`.
        b: Feature maps of the same shape.
    """

    name_a: str
    name_b: str
    a: Array
    b: Array

    @cached_property
    def difference(self) -> Array:
        """`a - b`, `(H, W, C)`, read-only. Where one of them is not finite, so is the difference."""
        a, b = as_floats(self.a), as_floats(self.b)
        with np.errstate(all="ignore"):
            difference: Array = np.subtract(a, b, dtype=np.promote_types(a.dtype, b.dtype))
        difference.flags.writeable = False
        return difference
