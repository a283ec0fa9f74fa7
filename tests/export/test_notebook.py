"""The widget's part of a notebook file, and the code that rebuilds the view."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from fmwidget import FeatureMapWidget
from fmwidget.pipeline.frame import DisplayContext
from fmwidget.widget.jupyter.display import WIDGET

PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (30, 36, 3), np.uint8)
    for seed, name in enumerate(["one", 'the "other" one'])
}


@pytest.fixture
def widget(model):
    made = FeatureMapWidget(model, PICTURES)
    yield made
    made.close()


@pytest.fixture
def shell():
    made = InteractiveShell.instance()
    yield made
    InteractiveShell.clear_instance()


def view_of(widget: FeatureMapWidget) -> dict[str, Any]:
    return {name: getattr(widget, name) for name in (*widget.trait_names(), "png") if name in VIEW}


VIEW = ("layer", "channel", "image", "preprocess", "fit", "norm", "cmap", "order", "page", "png")


def again(widget: FeatureMapWidget, **names: Any) -> dict[str, Any]:
    """Run the widget's code and return the view it builds."""
    exec(widget.code(), names)  # noqa: S102 - the code under test
    view = view_of(names["widget"])
    names["widget"].close()
    return view


def test_an_untouched_widget_needs_no_settings(widget):
    assert widget.code("vgg", "cats") == (
        "from fmwidget import FeatureMapWidget\n\nwidget = FeatureMapWidget(vgg, cats)\nwidget"
    )


def test_code_makes_the_same_view(widget, model):
    widget.layer = widget.layers[-1]
    widget.channel, widget.image = 2, 'the "other" one'
    widget.norm, widget.cmap, widget.order, widget.fit = "shared", "magma", "mean", "pad"
    widget.preprocess = "tf"
    assert again(widget, model=model, images=PICTURES) == view_of(widget)
    assert max(map(len, widget.code().splitlines())) <= 88


def test_code_turns_to_a_page_the_channel_is_not_on(model):
    widget = FeatureMapWidget(model, PICTURES, ncols=1)
    pages = widget._screen.frame.layout.pages
    widget.page = pages - 1
    assert again(widget, model=model, images=PICTURES) == view_of(widget)
    assert ("widget.page" in widget.code()) == (pages > 1)
    widget.close()


def test_code_calls_functions_by_their_names_and_the_samples_not_at_all(model):
    def halve(pixels: Any) -> Any:
        return np.asarray(Image.fromarray(pixels).resize((24, 20)), "float32")[np.newaxis] / 2

    widget = FeatureMapWidget(model, preprocess=halve)
    assert "FeatureMapWidget(model, preprocess=halve)" in widget.code()
    assert again(widget, model=model, halve=halve) == view_of(widget)
    widget.close()


def test_code_takes_from_variables_what_cannot_be_written_in_a_line(model):
    names = [f"class {index}" for index in range(model.output_shape[-1])]
    widget = FeatureMapWidget(model, PICTURES, class_names=names, inputs={})
    assert "FeatureMapWidget(model, images, class_names=class_names, inputs=inputs)" in widget.code()
    assert again(widget, model=model, images=PICTURES, class_names=names, inputs={}) == view_of(widget)
    widget.close()


def picture_in(data: dict[str, Any]) -> Image.Image:
    png = data["image/png"]
    return Image.open(io.BytesIO(base64.b64decode(png)))


def test_one_output_holds_widget_picture_and_words(widget):
    data, metadata = widget._repr_mimebundle_()
    assert data[WIDGET]["model_id"] == widget.model_id
    assert "VBox" not in data["text/plain"]
    assert widget.layer in data["text/plain"]
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert picture_in(data).size == (metadata["image/png"]["width"], metadata["image/png"]["height"])


def test_the_picture_is_the_grid_with_the_chosen_tile_framed(widget):
    plain = np.asarray(Image.open(io.BytesIO(widget.png)).convert("RGB")).astype(int)
    saved = np.asarray(picture_in(widget._repr_mimebundle_()[0]).convert("RGB")).astype(int)
    rows, columns = np.nonzero(np.abs(saved - plain).sum(axis=2))
    x, y, width, height = (round(edge) for edge in widget._screen.panels.grid.box.mark)
    # The pixels that differ lie round the tile, and none in it.
    assert (rows.min(), rows.max()) == (y - 2, y + height + 1)
    assert (columns.min(), columns.max()) == (x - 2, x + width + 1)
    assert (saved == plain)[y : y + height, x : x + width].all()


def test_a_picture_in_a_file_is_light_though_the_page_is_dark(widget):
    light = widget._repr_mimebundle_()[0]["image/png"]
    widget.norm = "symmetric"
    symmetric = widget._repr_mimebundle_()[0]["image/png"]
    before = widget.png
    widget._display_changed(DisplayContext(ratio=1.0, dark=True, width=848))
    assert widget.png != before
    assert widget._repr_mimebundle_()[0]["image/png"] == symmetric
    widget.norm = "standardize"
    assert widget._repr_mimebundle_()[0]["image/png"] == light
    corner = np.asarray(picture_in(widget._repr_mimebundle_()[0]).convert("RGB"))[0, 0]
    assert corner.min() == 255


def test_the_picture_is_taken_when_it_is_displayed(widget):
    before = widget._repr_mimebundle_()[0]["image/png"]
    widget.layer = widget.layers[-1]
    assert widget._repr_mimebundle_()[0]["image/png"] != before


def shown(shell: InteractiveShell, widget: FeatureMapWidget) -> list[dict[str, Any]]:
    shell.user_ns["widget"] = widget
    with capture_output(stdout=False, stderr=False) as captured:
        shell.run_cell("from IPython.display import display; display(widget)").raise_error()
    return [output.data for output in captured.outputs]


def test_jupyter_is_given_the_picture_once_and_apart_from_the_widget(widget, shell, monkeypatch):
    monkeypatch.setattr(InteractiveShell, "kernel", object(), raising=False)
    for name in ("VSCODE_PID", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    live, picture = shown(shell, widget)
    assert (WIDGET in live, "image/png" in live) == (True, False)
    assert (WIDGET in picture, "image/png" in picture) == (False, True)


@pytest.mark.parametrize("name", ["VSCODE_PID", "COLAB_RELEASE_TAG"])
def test_pages_that_cannot_hide_a_picture_are_given_one_output(widget, shell, monkeypatch, name):
    monkeypatch.setattr(InteractiveShell, "kernel", object(), raising=False)
    monkeypatch.setenv(name, "1")
    (only,) = shown(shell, widget)
    assert {WIDGET, "image/png"} <= only.keys()


def test_a_snapshot_is_a_plain_picture(widget, shell):
    with capture_output(stdout=False, stderr=False) as captured:
        assert widget.snapshot() is None
    (output,) = captured.outputs
    assert output.data.keys() == {"image/png", "text/plain"}
    assert output.metadata["image/png"]["alt"] == output.data["text/plain"]


@pytest.mark.parametrize("dpi", [96, 300])
def test_a_saved_figure_has_the_resolution_that_is_asked_for(widget, dpi):
    file = io.BytesIO()
    widget.savefig(file, format="png", dpi=dpi)
    box = widget._screen.panels.grid.box
    expected = np.array([box.width, box.height]) * dpi / 96
    assert np.abs(np.array(Image.open(file).size) - expected).max() <= 1
