"""Looking into a large network at its full size stays within the cache beside what running it needs."""

from __future__ import annotations

import pytest

from fmwidget.activations.model import DEFAULT_CACHE_BYTES
from tests.support.memory import MIB, peak


@pytest.mark.slow
def test_a_large_network_needs_its_own_memory_and_the_cache():
    alone, _ = peak("run", "EfficientNetB7", 600)
    looked_into, held = peak("look", "EfficientNetB7", 600)
    assert held <= DEFAULT_CACHE_BYTES
    assert (
        looked_into <= alone + DEFAULT_CACHE_BYTES + 64 * MIB
    )  # what malloc keeps, and the names of 800 layers
