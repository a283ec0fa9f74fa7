"""The comparison of all layers in the widget, in place of the depth profile."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from fmwidget import FeatureMapWidget
from fmwidget.rendering.charts.comparison import comparison_layout, layer_difference_in_words
from tests.support.training import change_weights, run_of, small_model

IMAGES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}


def changed_late() -> keras.Model:
    """Return a copy that computes the same up to its last convolution."""
    model = small_model("changed")
    kernel, bias = model.get_layer("last").get_weights()
    model.get_layer("last").set_weights([1.5 * kernel, bias])
    return model


def numbered(*names: str) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Conv2D(4, 3, name=name) for name in names]
    return keras.Sequential([keras.Input((20, 24, 3)), *layers], name=names[0])


def click(widget: FeatureMapWidget, layer: int) -> None:
    view = widget._screen.panels.profile._view
    box = comparison_layout(widget._screen.frame.comparison, widget._screen.frame.layout.width).column(layer)
    view._receive(view, {"type": "click", "x": box.x + box.width / 2, "y": box.y + 5}, [])


def test_the_profile_shows_where_two_models_part():
    widget = FeatureMapWidget(small_model(), IMAGES, against=changed_late(), layer="conv", profile=True)
    panel = widget._screen.panels.profile
    assert panel._view.label == "Comparison of all layers"
    assert (
        "<b>Comparison</b> of small (A) with changed (B): 4 layers, 1 over the tolerance of 0.0001: "
        "first last (relative L2 0.5"
    ) in panel._caption.value
    comparison = widget._screen.frame.comparison
    assert panel._view.alt.endswith(f"{layer_difference_in_words(comparison, 1)}.")
    assert panel._view.readout.startswith("conv: relative L2 0, cosine 1, ")
    png, marks = panel._view.png, {tuple(panel._view.mark)}
    for place, layer in ((3, "last"), (0, "scale"), (2, "pool")):
        click(widget, place)
        assert widget.layer == layer
        assert panel._view.tile == place
        assert panel._view.readout == layer_difference_in_words(comparison, place)
        marks.add(tuple(panel._view.mark))
    assert len(marks) == 4
    assert panel._view.png == png
    widget.layer = "conv@pre"
    assert panel._view.tile == 1
    widget.against = ""
    assert panel._view.label == "Depth profile"
    assert panel._caption.value.startswith('<div class="fmw-caption"><b>Depth profile</b> of <b>one</b>')
    widget.close()


def test_it_follows_the_side_and_the_reference():
    model = small_model()
    run, _ = run_of(model, 3)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, against=0, step=2, layer="pool", profile=True)
    panel = widget._screen.panels.profile
    caption, png = panel._caption.value, panel._view.png
    assert "<b>Comparison</b> of step 2 (A) with step 0 (B): 4 layers, 3 over" in caption
    for side in ("a", "b", "difference"):
        widget.side = side
        assert (panel._caption.value, panel._view.tile) == (caption, 2)
    widget.against = "two"
    assert "of one (A) with two (B): 4 layers, 4 over" in panel._caption.value
    assert panel._view.png != png
    widget.against = "step 2"
    assert "4 layers, the same in all" in panel._caption.value
    widget.close()


def test_layers_with_other_names_are_chosen_by_their_own():
    widget = FeatureMapWidget(
        numbered("conv2d", "conv2d_1"), IMAGES, against=numbered("conv2d_4", "conv2d_5"), profile=True
    )
    view = widget._screen.panels.profile._view
    for side in ("a", "b"):
        widget.side = side
        for place, layer in ((1, "conv2d_1"), (0, "conv2d")):
            click(widget, place)
            assert widget.layer == layer
            assert view.tile == place
            assert view.readout.startswith(f"{layer} and conv2d_{4 + place}: relative L2 ")
    widget.close()


def test_layers_without_a_counterpart_are_not_marked():
    model, other = numbered("mine", "both"), numbered("theirs", "both", "last")
    other.get_layer("both").set_weights(model.get_layer("both").get_weights())
    widget = FeatureMapWidget(model, IMAGES, against=other, layer="mine", profile=True)
    panel = widget._screen.panels.profile
    assert widget._screen.frame.contrast is None
    assert (list(panel._view.mark), panel._view.readout) == ([], "")
    assert panel._caption.value.startswith('<div class="fmw-caption"><b>Comparison</b>: 1 layer')
    assert "3 layers without a counterpart" in panel._caption.value
    click(widget, 0)
    assert widget.layer == "both"
    assert panel._view.mark
    widget.close()


def test_models_with_nothing_in_common_have_a_caption_and_nothing_to_point_at():
    other = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.ReLU(name="only")], name="other")
    widget = FeatureMapWidget(small_model(), IMAGES, against=other, layer="conv", profile=True)
    panel = widget._screen.panels.profile
    assert "no layers correspond" in panel._caption.value
    assert panel._view.png
    assert not panel._view.tiles
    view = panel._view
    view._receive(view, {"type": "click", "x": 100, "y": 20}, [])
    view._receive(view, {"type": "hover", "x": 100, "y": 20, "id": "a"}, [])
    view._receive(view, {"type": "tile", "tile": 0, "id": "a"}, [])
    assert (widget.layer, view.readout) == ("conv", "")
    widget.close()


@pytest.mark.parametrize("side", ["a", "b", "difference"])
def test_another_layer_of_the_same_frames_runs_no_pass(side):
    model = small_model()
    other = small_model("other")
    change_weights(other, 5)
    widget = FeatureMapWidget(model, IMAGES, against=other, side=side, layer="conv", profile=True)
    comparison, forwards = widget._screen.frame.comparison, widget._am.stats.forwards
    for layer in ("pool", "last", "scale"):
        widget.layer = layer
        assert widget._screen.frame.comparison is comparison
    assert widget._am.stats.forwards == forwards
    change_weights(other, 6)
    widget.refresh()
    assert widget._screen.frame.comparison is not comparison
    widget.close()
