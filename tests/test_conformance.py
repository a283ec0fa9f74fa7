"""All that a plain forward pass makes is listed, nothing else is, and every map is equal."""

from __future__ import annotations

import pytest

from tests import conformance


@pytest.mark.parametrize("name", conformance.SMALL)
def test_every_map_of_every_call_is_listed_and_equal(name):
    result = conformance.compare(conformance.SMALL[name])
    assert result.calls >= 3
    assert result.is_compiled == (name != "branching")


@pytest.mark.slow
@pytest.mark.parametrize("name", conformance.LARGE)
def test_every_map_of_a_whole_network_is_listed_and_equal(name):
    result = conformance.compare(conformance.LARGE[name], batches=2)
    assert result.calls >= 10
    assert result.is_compiled
