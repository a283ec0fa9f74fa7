"""Peak memory of recording a large network at its full size: that of running it, and the cache."""

from __future__ import annotations

import pytest

from fmwidget.activations.model import DEFAULT_CACHE_BYTES
from tests.support.memory import MIB, peak


@pytest.mark.slow
def test_a_large_network_needs_its_own_memory_and_the_cache():
    alone, _ = peak("run", "EfficientNetB7", 600)
    recorded, held = peak("record", "EfficientNetB7", 600)
    assert held <= DEFAULT_CACHE_BYTES
    assert recorded <= alone + DEFAULT_CACHE_BYTES + 64 * MIB  # malloc's own, and 800 names
