"""The list of layers and their maps against a plain forward pass: nothing is missing, added or different."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from fmwidget import ActivationModel, FeatureMapWidget
from tests.support import conformance, oracle, zoo

# They branch on the data, or have names that TensorFlow allows in no graph.
EAGER = {"branching", "choosing", "named_oddly"}


@pytest.mark.parametrize("name", conformance.SMALL)
def test_every_map_of_every_call_is_listed_and_equal(name):
    result = conformance.compare(conformance.SMALL[name])
    assert result.calls >= 3
    assert result.is_compiled == (name not in EAGER)


@pytest.mark.slow
@pytest.mark.parametrize("name", conformance.SMALL)
def test_the_widget_shows_every_map_of_every_call(name):
    keras.utils.set_random_seed(1)
    model, twin = conformance.SMALL[name](), conformance.SMALL[name]()
    batch = zoo.batch_for(model)
    plain = oracle.instrumented(twin, batch)
    widget = FeatureMapWidget(model, np.zeros((20, 24, 3), np.uint8), preprocess=lambda _: batch)
    oracle.copy_state(model, twin)
    expected = plain(batch)
    listed = ActivationModel(model)
    listed.predictions(batch)
    comparison = conformance.Comparison()
    for layer, output in zip(listed.layers, expected, strict=True):
        widget.layer = layer.path
        assert widget.png
        comparison.add(layer, widget.feature_maps, output)
    assert comparison.calls == len(expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", conformance.LARGE)
def test_every_map_of_a_whole_network_is_listed_and_equal(name):
    result = conformance.compare(conformance.LARGE[name], batches=2)
    assert result.calls >= 10
    assert result.is_compiled
