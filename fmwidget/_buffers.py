"""Comparison of large buffers, a part at a time: where they differ, most differ in the first."""

from __future__ import annotations

from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

CHUNK = 2**20  # bytes compared at a time


def same_bytes(some: Bytes, other: Bytes) -> bool:
    """Return whether two buffers of the same length, `(n,)`, hold the same bytes."""
    return all(
        np.array_equal(some[at : at + CHUNK], other[at : at + CHUNK]) for at in range(0, len(some), CHUNK)
    )
