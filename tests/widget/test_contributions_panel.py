"""The contributions panel: its numbers on screen against the model's own weights."""

from __future__ import annotations

import html
import re
from typing import Any

import keras
import numpy as np
import pytest

from fmwidget import FeatureMapWidget
from fmwidget.activations.forward import record_call
from fmwidget.analysis.contributions import Contributions
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.panels.contribution_tables import contribution_tables_html, digits, scale
from tests.support import zoo

layers = keras.layers
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


class Origin:
    """A widget and its panel."""

    def __init__(self, model: keras.Model, **options: Any) -> None:
        self.widget = FeatureMapWidget(model, {"noise": PICTURE}, **options)
        self.panel = self.widget._screen.panels.contributions
        self.button, self.page = self.panel.box.children

    def open_at(self, channel: int, row: int, column: int) -> str:
        self.widget.channel = channel
        self.widget._screen.interactions.pin(Unit(channel, row, column))
        self.button.value = True
        return str(self.page.value)


@pytest.fixture(autouse=True)
def same_weights():
    keras.utils.set_random_seed(1)


def numbers(text: str) -> list[float]:
    return [float(each.replace("−", "-")) for each in re.findall(r"<td[^>]*>([−\d.]+)</td>", text)]


def tables(page: str) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Return the caption of each table of cells and its numbers, scaled by the caption's power of ten."""
    found = []
    for caption, body in re.findall(
        r'<table class="fmw-cells[^>]*><caption>(.*?)</caption>(.*?)</table>', page
    ):
        rows = [numbers(row) for row in re.findall("<tr>(.*?)</tr>", body)]
        name, _, power = caption.partition(" × 10")
        power = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        found.append((name, np.array(rows) * 10.0 ** int(power or 0)))
    return found


def sums(page: str) -> dict[str, float]:
    table = page.rpartition('<table class="fmw-numbers">')[2]
    found = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', table)
    return {name: float(text.replace("−", "-")) for name, text in found}


def test_window_times_kernel_and_bias_is_the_value():
    model = zoo.sequential()
    model.layers[0].set_weights(
        [np.random.default_rng(1).normal(size=shape) for shape in ((3, 3, 3, 5), (5,))]
    )
    origin = Origin(model, layer="conv")
    kernel, bias = model.layers[0].get_weights()
    batch = np.asarray(origin.widget._screen.frame.batch)[0]
    for row, column in ((0, 0), (7, 11)):
        page = origin.open_at(2, row, column)
        window = batch[row : row + 3, column : column + 3]
        by_channel = (window * kernel[..., 2]).sum(axis=(0, 1))
        order = np.argsort(-np.abs(by_channel))
        shown = tables(page)
        assert [name for name, _ in shown] == ["window", "kernel", "product"] * 3
        for place, channel in enumerate(order):
            under, weights = window[..., channel], kernel[..., channel, 2]
            for (_, drawn), true in zip(shown[3 * place :], (under, weights, under * weights), strict=False):
                assert np.abs(drawn - true).max() < 0.006 * max(1, np.abs(true).max())
        lines = sums(page)
        for channel in range(3):
            assert lines[f"input channel {channel}"] == pytest.approx(by_channel[channel], abs=0.001)
        total = by_channel.sum() + bias[2]
        assert lines["sum"] == pytest.approx(total, abs=0.001)
        assert sum(lines[name] for name in lines if name.startswith(("input", "bias"))) == pytest.approx(
            lines["sum"], abs=5e-4
        )
        (relu,) = (name for name in lines if name.startswith("relu("))
        assert np.float32(lines[relu]) == origin.widget.feature_maps[row, column, 2]  # to the last digit
        assert lines[relu] == pytest.approx(max(total, 0), rel=1e-5)


def test_before_the_activation_there_is_no_step():
    origin = Origin(zoo.sequential(), layer="conv@pre")
    lines = sums(origin.open_at(1, 3, 3))
    assert np.float32(lines["value in the map, before relu"]) == origin.widget.feature_maps[3, 3, 1]
    assert lines["value in the map, before relu"] == pytest.approx(lines["sum"], rel=1e-3)


def test_the_channels_that_matter_most_come_first_and_the_rest_is_summed():
    model = zoo.sequential()
    origin = Origin(model, layer="conv_1")
    page = origin.open_at(9, 4, 5)
    assert len(tables(page)) == 9
    given_to = model.layers[2](model.layers[1](model.layers[0](origin.widget._screen.frame.batch)))
    kernel, bias = model.layers[3].get_weights()
    by_channel = (np.asarray(given_to)[0, 4:7, 5:8] * kernel[..., 9]).sum(axis=(0, 1))
    lines = sums(page)
    assert len(by_channel) == 5
    best = np.argsort(-np.abs(by_channel))[:3]
    assert [name for name in lines if name.startswith("input")] == [f"input channel {each}" for each in best]
    others = np.delete(by_channel, best).sum()
    assert lines["2 other channels"] == pytest.approx(others, rel=1e-3, abs=1e-4)
    assert lines["sum"] == pytest.approx(by_channel.sum() + bias[9], rel=1e-3)


def test_it_is_not_there_until_a_unit_is_pinned_and_costs_nothing_until_it_is_opened():
    origin = Origin(zoo.sequential(), layer="conv")
    assert origin.panel.box.layout.display == "none"
    origin.button.value = True  # it is hidden, but the page may be out of date
    assert origin.page.value == ""
    origin.button.value = False
    origin.widget._screen.interactions.pin(Unit(0, 1, 1))
    assert origin.panel.box.layout.display == "flex"
    assert origin.page.value == ""
    origin.button.value = True
    assert "conv: channel 0, row 1, column 1" in origin.page.value
    origin.widget.channel = 3  # the position is kept
    assert "conv: channel 3, row 1, column 1" in origin.page.value
    origin.widget._screen.interactions.pin(None)
    assert (origin.panel.box.layout.display, origin.page.value) == ("none", "")


def test_one_pass_for_a_layer_and_another_after_training(monkeypatch):
    passes: list[str] = []

    def counted(model: Any, batch: Any, path: str, weights: Any) -> Any:
        passes.append(path)
        return record_call(model, batch, path, weights)

    monkeypatch.setattr("fmwidget.activations.model.record_call", counted)
    origin = Origin(zoo.sequential(), layer="conv")
    for channel, row in ((0, 1), (1, 1), (4, 9)):
        origin.open_at(channel, row, 2)
    assert passes == ["conv"]
    weights = origin.widget._am.model.layers[0].get_weights()
    origin.widget._am.model.layers[0].set_weights([weights[0] * 3, weights[1] + 1])
    origin.widget.refresh()
    assert passes == ["conv", "conv"]
    assert sums(origin.page.value)["bias"] == 1


def test_other_layers_say_what_to_do():
    origin = Origin(zoo.sequential(), layer="pool")
    text = html.unescape(origin.open_at(0, 1, 1))
    assert "'pool' is of type MaxPooling2D." in text
    assert "choose one of those" in text

    class Doubled(keras.layers.Conv2D):
        def call(self, inputs: Any) -> Any:
            return super().call(2 * inputs)

    model = keras.Sequential([keras.Input((20, 24, 3)), Doubled(2, 3, name="<b>own")])
    text = Origin(model).open_at(0, 1, 1)
    assert "&lt;b&gt;own" in text
    assert "Doubled has code of its own" in text


@pytest.mark.parametrize("name", sorted(set(zoo.MODELS) - {"twins"}))
def test_every_kind_of_model_is_taken_apart(name):
    origin = Origin(zoo.MODELS[name]())
    for layer in origin.widget.layers:
        origin.widget.layer = layer
        page = origin.open_at(0, 0, 0)
        operation = origin.widget._screen.frame.layer.layer
        is_convolution = type(operation).__name__ in ("Conv2D", "DepthwiseConv2D")
        assert ("fmw-cells" in page) == is_convolution, page


def made_up(side: int, count: int, **changes: Any) -> Contributions:
    random = np.random.default_rng(side)
    given: dict[str, Any] = {
        "channels": np.arange(count),
        "window": random.normal(size=(side, side, count)),
        "inside": np.ones((side, side), bool),
        "kernel": random.normal(size=(side, side, count)),
        "bias": 0.5,
        "dtype": "float32",
    }
    return Contributions(**given | changes)


@pytest.mark.parametrize(("side", "small"), [(1, False), (3, False), (7, True), (11, True)])
def test_kernels_of_any_size(side, small):
    made = made_up(side, 2)
    page = contribution_tables_html(made, np.float32(made.total), title="t", activation=None, follows=False)
    assert ("fmw-small" in page) == small
    assert [drawn.shape for _, drawn in tables(page)] == [(side, side)] * 6
    assert sums(page)["value in the map"] == pytest.approx(made.total, rel=1e-6)


def test_a_layer_without_bias_has_no_line_for_it():
    made = made_up(3, 1, bias=None)
    page = contribution_tables_html(made, np.float32(made.total), title="t", activation=None, follows=False)
    assert "bias" not in page
    assert sums(page)["sum"] == pytest.approx(made.total, rel=1e-3)


def test_what_is_beyond_the_edge_and_what_is_not_finite():
    inside = np.array([[False, True], [False, True]])
    made = made_up(2, 1, inside=inside, window=np.array([[[0.0], [np.nan]], [[0.0], [-np.inf]]]))
    page = contribution_tables_html(made, np.float32(np.nan), title="t", activation="relu", follows=False)
    assert page.count("beyond the edge") == 4  # in window and product: the kernel has numbers there too
    assert ">NaN<" in page
    assert ">−∞<" in page
    assert '<th scope="row">relu(nan)</th><td>NaN</td>' in page


@pytest.mark.parametrize("size", [1e-30, 1e-5, 1.0, 1e6, 1e20])
def test_sums_of_any_size_are_read_to_four_digits(size):
    made = made_up(3, 2)
    made = made_up(3, 2, window=made.window * size, bias=size)
    lines = sums(
        contribution_tables_html(made, np.float64(made.total), title="t", activation=None, follows=False)
    )
    assert lines["sum"] == pytest.approx(made.total, rel=1e-3)
    assert lines["bias"] == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    ("value", "largest", "count", "text"),
    [
        (0.5, 0.731, 3, "0.500"),
        (-0.0004, 0.731, 3, "0.000"),
        (-12.34, 99.0, 3, "−12.3"),
        (0.0123, 0.05, 3, "12.3"),
        (0.00123, 0.0042, 3, "1.23"),
        (-123456, 123456, 3, "−123"),
        (0, 0, 3, "0"),
        (1, 2, 2, "1.0"),
    ],
)
def test_numbers_of_a_table_have_the_same_decimals(value, largest, count, text):
    assert digits(value, *scale(largest, count)) == text
