"""All that a plain forward pass makes is listed, nothing else is, and every map is equal."""

from __future__ import annotations

import pytest

from tests import conformance

# They choose by the data, write to variables of their own, or have names that TensorFlow allows in no graph.
EAGER = {"branching", "counting", "unbuilt_counting", "remembering", "named_oddly"}


@pytest.mark.parametrize("name", conformance.SMALL)
def test_every_map_of_every_call_is_listed_and_equal(name):
    result = conformance.compare(conformance.SMALL[name])
    assert result.calls >= 3
    assert result.is_compiled == (name not in EAGER)


@pytest.mark.slow
@pytest.mark.parametrize("name", conformance.LARGE)
def test_every_map_of_a_whole_network_is_listed_and_equal(name):
    result = conformance.compare(conformance.LARGE[name], batches=2)
    assert result.calls >= 10
    assert result.is_compiled
