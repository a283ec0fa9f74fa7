"""The receptive field of the selected unit in the widget, as an outline and in words."""

from __future__ import annotations

import html
import re
import threading
from typing import Any

import keras
import numpy as np
import pytest

from fmwidget import FeatureMapWidget
from fmwidget.analysis.receptive_field.graph import model_graph
from fmwidget.rendering.sampling import Unit
from fmwidget.widget import receptive_field_service as lookout
from fmwidget.widget.jupyter.widget_tree import child_widgets
from tests.support import zoo
from tests.support.driving import until
from tests.support.images import encoded

layers = keras.layers
PICTURE = np.random.default_rng(0).integers(0, 256, (30, 36, 3), np.uint8)


class InputPanel:
    """A widget and its panel of the model's input."""

    def __init__(self, model: keras.Model, images: Any = PICTURE, **options: Any) -> None:
        self.widget = FeatureMapWidget(model, {"noise": images}, **options)
        self.view = next(
            part for part in child_widgets(self.widget) if getattr(part, "label", "").startswith("Picture as")
        )

    def words(self) -> str:
        """Return the text below the image."""
        panel = next(
            part for part in child_widgets(self.widget) if self.view in getattr(part, "children", ())
        )
        return html.unescape(re.sub("<.*?>", "", panel.children[2].value))

    def at(self, row: int, column: int) -> tuple[str, list[float]]:
        """Return the text and the outline, in pixels of the model's input, for a pinned unit."""
        self.widget._screen.interactions.pin(Unit(self.widget.channel, row, column))
        until(lambda: not self.words().startswith("finding out"))
        frame = self.widget._screen.frame
        height, width = (
            frame.input_image.shape[2:]
            if frame.data_format == "channels_first"
            else frame.input_image.shape[1:3]
        )
        across, down = width / self.view.width, height / self.view.height
        box = [edge * factor for edge, factor in zip(self.view.region, (across, down) * 2, strict=False)]
        return self.words(), box


def test_the_field_of_the_unit_is_outlined_and_clipped_at_the_border():
    seen = InputPanel(
        keras.Sequential(
            [
                keras.Input((20, 24, 3)),
                layers.Conv2D(4, 5, padding="same", activation="relu", name="conv"),
                layers.Conv2D(4, 3, strides=2, name="half"),
            ]
        )
    )
    seen.widget.layer = "conv"
    for layer in ("conv", "conv@pre"):
        seen.widget.layer = layer
        words, box = seen.at(10, 12)
        assert words == "sees 5 × 5 of 20 × 24 px"
        assert box == pytest.approx([10, 8, 5, 5])
        words, box = seen.at(0, 23)
        assert words == "sees 3 × 3 of 20 × 24 px"
        assert box == pytest.approx([21, 0, 3, 3])
    seen.widget.layer = "half"
    words, box = seen.at(3, 2)  # rows 6 to 8 of the layer before, so 4 to 10 of the image
    assert words == "sees 7 × 7 of 20 × 24 px"
    assert box == pytest.approx([2, 4, 7, 7])
    seen.widget._screen.interactions.pin(None)
    assert seen.words() == ""
    assert seen.view.region == []
    seen.widget.close()


def test_a_call_that_shares_its_layer_and_pictures_of_another_size():
    seen = InputPanel(zoo.called_twice(), layer="block/one@2")
    first, second = (
        InputPanel(zoo.called_twice(), layer=f"block/one{call}").at(4, 4)[1] for call in ("", "@2")
    )
    assert second[2] > first[2]
    seen.widget.close()
    free = InputPanel(zoo.free_size())
    assert free.at(25, 30)[0] == "sees 3 × 3 of 30 × 36 px"
    free.widget._add_image("wide", encoded(np.zeros((10, 50, 3), np.uint8)))
    words, box = free.at(7, 44)
    assert words == "sees 3 × 3 of 10 × 50 px"
    assert box == pytest.approx([44, 7, 3, 3])
    free.widget.close()


def test_channels_first_and_several_inputs():
    seen = InputPanel(zoo.channels_first(), layer="conv")
    words, box = seen.at(0, 0)
    assert words == "sees 5 × 5 of 20 × 24 px"
    assert box == pytest.approx([0, 0, 5, 5])
    picture, extra = keras.Input((20, 24, 3), name="picture"), keras.Input((20, 24, 9), name="extra")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(layers.Concatenate()([picture, extra]))
    own = layers.Conv2D(4, 3, padding="same", name="own")(extra)
    both = InputPanel(
        keras.Model([picture, extra], [x, own]), inputs={"extra": np.zeros((20, 24, 9), "float32")}
    )
    both.widget.layer = "conv"
    assert both.at(5, 6)[1] == pytest.approx([5, 4, 3, 3])
    both.widget.layer = "own"
    assert both.at(5, 6) == ("sees nothing of the picture", [])


def test_what_has_no_window_says_so():
    start = keras.Input((12, 10, 3))
    x = layers.Conv2D(4, 3, name="before")(start)
    squeezed = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D(name="<squeezed>")(x))
    seen = InputPanel(keras.Model(start, layers.Multiply(name="excited")([x, squeezed])), layer="excited")
    words, box = seen.at(2, 3)
    assert words == "sees the whole picture: a global path leads through '<squeezed>'"
    assert box == pytest.approx([0, 0, 10, 12])
    hidden = InputPanel(zoo.compiled_layer(), layer="relu")
    words, box = hidden.at(2, 3)
    assert (
        words
        == "Receptive fields are unavailable: that of layer 'hidden' (Hidden) is not defined in fmwidget."
    )
    assert box == []


def test_the_field_is_shown_once_the_model_has_run(monkeypatch):
    go = threading.Event()

    def slow(*args: Any) -> Any:
        go.wait(30)
        return model_graph(*args)

    monkeypatch.setattr(lookout, "model_graph", slow)
    seen = InputPanel(zoo.sequential(), layer="conv")
    for row in range(3):  # pointing never waits for the field
        seen.widget._screen.interactions.pin(Unit(0, row, 7))
        assert seen.words() == "finding out what it sees …"
        assert seen.view.region == []
    go.set()
    until(lambda: seen.view.region)
    assert seen.words() == "sees 3 × 3 of 20 × 24 px"
    assert seen.view.region[1] / seen.view.height * 20 == pytest.approx(2)  # of the latest unit
    until(lambda: not any(each.name == "fmwidget-model-graph" for each in threading.enumerate()))
    seen.widget.close()


def test_a_model_that_cannot_be_followed_is_no_error(monkeypatch):
    def fails(*_: Any) -> Any:
        raise RuntimeError("<no way>")

    monkeypatch.setattr(lookout, "model_graph", fails)
    seen = InputPanel(zoo.sequential(), layer="conv")
    words, box = seen.at(1, 1)
    assert words == ("Receptive fields are unavailable: the model's graph could not be traced (<no way>).")
    assert box == []
    seen.widget.close()


def test_a_closed_widget_is_not_called(monkeypatch):
    go, called = threading.Event(), []
    monkeypatch.setattr(lookout, "model_graph", lambda *_: go.wait(30))
    seen = InputPanel(zoo.sequential(), layer="conv")
    monkeypatch.setattr(FeatureMapWidget, "_run", lambda _self, _action: called.append(1))
    watch = lookout.ReceptiveFieldService(lambda: called.append(2))
    assert watch.receptive_field(seen.widget._screen.frame, 0, 0) is None
    watch.close()
    go.set()
    until(lambda: not any(each.name == "fmwidget-model-graph" for each in threading.enumerate()))
    assert called == []


@pytest.mark.parametrize("name", sorted(set(zoo.MODELS) - {"twins"}))
def test_every_kind_of_model_is_answered(name):
    seen = InputPanel(zoo.MODELS[name](), PICTURE[:20, :24])  # some know no other size
    for layer in seen.widget.layers:
        seen.widget.layer = layer
        words, box = seen.at(0, 0)
        assert words
        assert bool(box) == words.startswith(("sees the whole", "sees the same")) or re.match(
            r"sees \d", words
        )
    seen.widget.close()
