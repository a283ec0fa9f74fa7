"""The widget without a browser: driven by its traits and controls, read back as arrays and bytes."""

from __future__ import annotations

import io
import threading
from typing import Any

import ipywidgets
import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import traitlets
from PIL import Image

from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.widget.jupyter.widget_tree import child_widgets
from tests.support import zoo

LABELS_AND_TITLE = 61  # px above the first row of tiles
PICTURES = {
    name: np.random.default_rng(seed).integers(0, 256, (30, 36, 3), np.uint8)
    for seed, name in enumerate(["one", "two", "three"])
}


@pytest.fixture
def model():
    keras.utils.set_random_seed(7)
    return zoo.sequential()


@pytest.fixture
def widget(model):
    made = FeatureMapWidget(model, PICTURES)
    yield made
    made.close()


def control(widget: FeatureMapWidget, description: str) -> Any:
    return next(part for part in child_widgets(widget) if getattr(part, "description", "") == description)


def thumbnails(widget: FeatureMapWidget) -> Any:
    return next(part for part in child_widgets(widget) if hasattr(part, "thumbs"))


def status(widget: FeatureMapWidget) -> str:
    return next(
        str(part.value) for part in child_widgets(widget) if "fmw-status" in str(getattr(part, "value", ""))
    )


def by_hand(model: keras.Model, picture: np.ndarray[Any, Any], layer: str) -> np.ndarray[Any, Any]:
    """Return the maps from running the model's layers one by one on PIL's resize of the image."""
    resized = Image.fromarray(picture).resize((24, 20), Image.Resampling.BILINEAR)
    x = np.asarray(resized, "float32")[np.newaxis] / 255
    for each in model.layers:
        before, x = x, each(x, training=False)
        if each.name == layer:
            return np.asarray(x[0])
        if f"{each.name}@pre" == layer:
            return np.asarray(each.convolution_op(before, each.kernel)[0] + each.bias)
    raise KeyError(layer)


def test_the_maps_are_the_model_s(widget, model):
    for layer in widget.layers:
        for image in widget.images:
            widget.layer, widget.image = layer, image
            expected = by_hand(model, PICTURES[image], layer)
            assert np.abs(widget.feature_maps - expected).max() <= 1e-4 * np.abs(expected).max()
            assert not widget.feature_maps.flags.writeable


def test_exploring_costs_one_forward_an_image(model):
    am = ActivationModel(model)
    widget = FeatureMapWidget(am, PICTURES)
    assert am.stats.forwards == 1
    for layer in am.layers:
        if layer.after is not None:
            continue  # one more forward for all of those
        widget.layer = layer.path
        for name, values in {
            "channel": (0, 4),
            "norm": ("shared", "symmetric", "channel", "standardize"),
            "cmap": ("magma", "viridis"),
            "order": ("mean", "max", "variance", "index"),
        }.items():
            for value in values:
                setattr(widget, name, value)
    assert am.stats.forwards == 1
    widget.image = "two"
    assert am.stats.forwards == 2
    widget.image = "one"
    assert am.stats.forwards == 2
    model.get_layer("conv").bias.assign(np.ones(5, "float32"))
    widget.layer = "conv"
    assert am.stats.forwards == 3


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("layer", "con", "no layer 'con'.*'conv'"),
        ("channel", 17, "channel must be between 0 and 16 for layer 'conv_1'. Received 17"),
        ("channel", -1, "channel must be .* Received -1"),
        ("image", "on", "image must be one of 'one'.*Received 'on'. Did you mean 'one'"),
        ("norm", "z-score", "norm must be one of 'standardize', .*Received 'z-score'"),
        ("cmap", "viridi", "'viridis'"),
        ("order", "size", "order must be one of .*Received 'size'"),
        ("fit", "squeeze", "fit must be one of .*Received 'squeeze'"),
        ("preprocess", "imagenet", "Unknown preprocess 'imagenet'"),
        ("preprocess", lambda pixels: pixels, "holds one image"),
        ("page", 1, "page must be 0 for layer .* Received 1"),
        ("opacity", 101, "opacity must be between 0 and 100. Received 101"),
        ("channel", "3", "expected an int"),
    ],
)
def test_a_bad_value_raises_and_changes_nothing(widget, name, value, sentence):
    widget.layer = "conv_1"
    before = {
        trait: getattr(widget, trait) for trait in ("layer", "channel", "image", "norm", "cmap", "order")
    }
    png = widget.png
    with pytest.raises(traitlets.TraitError, match=sentence):
        setattr(widget, name, value)
    assert {trait: getattr(widget, trait) for trait in before} == before
    assert widget.png == png


def test_a_smaller_layer_keeps_the_channel_or_takes_its_last(widget):
    widget.layer = "conv_1"
    widget.channel = 3
    widget.layer = "conv"
    assert widget.channel == 3
    widget.layer = "conv_1"
    widget.channel = 16
    widget.layer = "conv"
    assert widget.channel == 4
    assert control(widget, "Channel").max == 4
    assert control(widget, "Channel").value == 4


def test_controls_and_traits_never_disagree(widget):
    pairs = [("Layer", "layer", "conv_1"), ("Channel", "channel", 9), ("Norm", "norm", "shared")]
    pairs += [("Colours", "cmap", "magma"), ("Order", "order", "mean"), ("Fit", "fit", "crop")]
    pairs += [("Scaling", "preprocess", "tf"), ("Overlay %", "opacity", 40)]
    for description, trait, value in pairs:
        control(widget, description).value = value
        assert getattr(widget, trait) == value
    for description, trait, value in [("Layer", "layer", "conv"), ("Colours", "cmap", "plasma"), *pairs]:
        setattr(widget, trait, value)
        assert control(widget, description).value == value
    for place, layer in enumerate(widget.layers, start=1):
        control(widget, "Depth").value = place
        assert widget.layer == control(widget, "Layer").value == layer
        widget.layer = widget.layers[-place]
        assert control(widget, "Depth").value == len(widget.layers) + 1 - place
    thumbnails(widget).value = 2
    assert widget.image == "three"
    widget.image = "two"
    assert thumbnails(widget).value == 1


def test_layers_are_walked_through_one_by_one(widget):
    back, on = widget._screen.controls.layer.back, widget._screen.controls.layer.on
    widget.layer = widget.layers[0]
    assert back.disabled
    for layer in widget.layers[1:]:
        on.click()
        assert widget.layer == layer
    assert on.disabled
    assert not back.disabled
    back.click()
    assert widget.layer == widget.layers[-2]


def test_a_long_list_of_layers_can_be_filtered(model):
    layers = [keras.layers.Conv2D(2, 1, name=f"{'odd' if n % 2 else 'even'}_{n}") for n in range(41)]
    widget = FeatureMapWidget(keras.Sequential([keras.Input((4, 4, 3)), *layers]), PICTURES)
    text, listed = control(widget, "Filter"), control(widget, "Layer")
    assert text.layout.display == "flex"
    png = widget.png
    text.value = "ODD conv2d"
    assert (widget.layer, widget.png) == ("even_0", png)
    assert [path for _, path in listed.options] == ["even_0", *(f"odd_{n}" for n in range(1, 41, 2))]
    control(widget, "Depth").value = 3
    assert widget.layer == "odd_3"
    assert [path for _, path in listed.options] == [f"odd_{n}" for n in range(1, 41, 2)]
    text.value = "nothing like it"
    assert [path for _, path in listed.options] == [widget.layer]
    widget.layer = "even_40"
    assert (listed.value, control(widget, "Depth").disabled) == ("even_40", True)
    text.value = ""
    assert len(listed.options) == len(widget.layers) == control(widget, "Depth").max
    assert control(FeatureMapWidget(model, PICTURES), "Filter").layout.display == "none"


def test_a_function_of_the_picture_is_used_and_shown(widget, model):
    def halves(pixels):
        assert pixels.shape == (30, 36, 3)
        return pixels[np.newaxis, :20, :24].astype("float32") / 2

    widget.preprocess = halves
    expected = model.get_layer("conv")(PICTURES["one"][np.newaxis, :20, :24].astype("float32") / 2)[0]
    assert np.allclose(widget.feature_maps, expected, rtol=1e-4, atol=1e-3)
    assert control(widget, "Scaling").value is halves
    widget.preprocess = "auto"
    assert control(widget, "Scaling").value == "auto"


def test_one_redraw_for_each_user_action(widget, monkeypatch):
    shown: list[Any] = []
    panel = widget._screen.panels.grid
    original = panel._draw

    def show(frame: Any) -> None:
        shown.append(frame)
        original(frame)

    monkeypatch.setattr(panel, "_draw", show)
    for description, value in [
        ("Layer", "conv_1"),
        ("Channel", 16),
        ("Layer", "conv"),
        ("Norm", "channel"),
        ("Depth", 3),
    ]:
        shown.clear()
        control(widget, description).value = value
        assert len(shown) == 1
        assert (shown[0].layer.path, shown[0].channel) == (widget.layer, widget.channel)


def test_a_channel_change_does_not_encode_the_grid_again(widget):
    widget.layer = "conv_1"
    png = widget.png
    widget.channel = 8
    assert widget.png is png
    x, y, width, height = widget._screen.panels.grid.box.mark
    assert width > 0
    assert height > 0
    assert widget._screen.frame.layout.channel_at(x + 1, y + 1) == 8


def test_the_overlay_follows_the_channel_and_is_sent_only_while_it_is_seen(widget):
    view = next(part for part in child_widgets(widget) if getattr(part, "label", "").startswith("Picture as"))
    plain = view.png
    widget.channel = 3
    assert view.png is plain
    widget.opacity = 60
    third = view.png
    assert third != plain
    assert "Channel 3 lies over it, at 60 %" in view.alt
    widget.channel = 2
    assert view.png != third
    widget.norm = "shared"
    widget.opacity = 0
    assert view.png == plain


def test_a_burst_of_values_ends_on_the_last(widget):
    widget.layer = "conv_1"
    slider = control(widget, "Channel")
    for value in [*range(17), *range(16, -1, -1), 11]:
        slider.value = value
    assert widget.channel == 11
    assert "Channel 11 " in widget._screen.panels.grid.box.alt


def test_a_click_on_a_tile_chooses_it_and_beside_it_nothing(widget):
    widget.layer = "conv_1"
    box = widget._screen.frame.layout.tile_box(13)
    grid = widget._screen.panels.grid.box
    grid._handle_custom_msg({"type": "click", "x": box.x + 2, "y": box.y + 2}, [])
    assert widget.channel == 13
    grid._handle_custom_msg({"type": "click", "x": 1, "y": 1}, [])
    assert widget.channel == 13


def test_a_place_is_the_channel_that_stands_there_in_the_order_shown(widget):
    widget.layer = "conv_1"
    widget.order = "max"
    grid = widget._screen.panels.grid.box
    strongest = np.argsort(-widget.feature_maps.max(axis=(0, 1)), kind="stable").tolist()
    for place in (16, 3, 0, 3):
        grid._handle_custom_msg({"type": "tile", "tile": place, "id": "x"}, [])
        assert widget.channel == strongest[place]
        assert grid.tile == place
    grid._handle_custom_msg({"type": "tile", "tile": 17, "id": "x"}, [])  # of a layer with more channels
    assert widget.channel == strongest[3]


def test_strongest_first_and_inactive_last(widget, model):
    widget.layer = "conv"
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., 1], bias[1] = 0, 0
    model.get_layer("conv").set_weights([kernel, bias])
    strengths: dict[str, Any] = {"mean": np.mean, "max": np.max, "variance": np.var}
    for order, strength in strengths.items():
        widget.order = order
        maps = widget.feature_maps
        active = [c for c in range(5) if maps[..., c].any()]
        strongest = sorted(active, key=lambda c: -float(strength(maps[..., c])))
        assert widget._screen.frame.layout.order == (*strongest, *(c for c in range(5) if c not in active))


def test_pages_follow_the_channel_and_can_be_turned(model):
    deep = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Conv2D(300, 3, name="wide")])
    widget = FeatureMapWidget(deep, PICTURES)
    pager = widget._screen.controls.page
    layout = widget._screen.frame.layout
    assert layout.pages > 1
    first = widget.png
    pager._on.click()
    assert widget.page == 1
    assert widget.png != first
    assert widget.channel == 0
    assert widget._screen.panels.grid.box.mark == []
    widget.channel = 299
    assert widget.page == layout.pages - 1
    assert pager._on.disabled
    widget.channel = 0
    assert widget.page == 0
    assert widget.png == first


def test_a_picture_that_breaks_leaves_the_last_good_one(model, tmp_path):
    for name in ("a", "b"):
        Image.fromarray(PICTURES["one"]).save(tmp_path / f"{name}.png")
    widget = FeatureMapWidget(model, tmp_path)
    png = widget.png
    (tmp_path / "b.png").write_bytes(b"")
    thumbnails(widget).value = 1
    assert "b.png" in status(widget)
    assert widget.image == "a"
    assert thumbnails(widget).value == 0
    assert widget.png == png
    control(widget, "Norm").value = "shared"
    assert "b.png" not in status(widget)
    assert widget.png != png


def test_a_file_that_is_rewritten_is_read_again(model, tmp_path):
    Image.fromarray(PICTURES["one"]).save(tmp_path / "a.png")
    widget = FeatureMapWidget(model, str(tmp_path / "*.png"))
    png = widget.png
    Image.fromarray(PICTURES["two"]).resize((40, 40)).save(tmp_path / "a.png")
    widget.refresh()
    assert widget.png != png


def test_an_array_changed_in_place_is_seen(model):
    picture = PICTURES["one"].copy()
    widget = FeatureMapWidget(model, {"mine": picture})
    old = widget.feature_maps
    picture[5:15] = 0
    widget.norm = "channel"
    assert not np.array_equal(widget.feature_maps, old)


def test_pictures_that_cannot_be_used_are_named_and_the_rest_offered(model, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    Image.fromarray(PICTURES["one"]).save(tmp_path / "fine.png")
    widget = FeatureMapWidget(model, tmp_path)
    assert widget.images == ("fine",)
    assert "broken.png" in status(widget)
    with pytest.raises(ValueError, match=r"broken\.png"):
        FeatureMapWidget(model, tmp_path / "broken.png")


def test_an_error_inside_is_a_sentence_with_its_traceback_one_click_away(widget, monkeypatch, caplog):
    def fails(*_args: Any) -> None:
        raise ZeroDivisionError("<no> & never")

    png = widget.png
    with monkeypatch.context() as patched:
        patched.setattr(widget._screen.panels.profile, "update", fails)
        control(widget, "Layer").value = "conv_1"
        assert "&lt;no&gt; &amp; never" in status(widget)
        assert "<details>" in status(widget)
        assert "ZeroDivisionError" in caplog.text
    control(widget, "Layer").value = "conv"
    assert "never" not in status(widget)
    assert widget.png == png


def test_the_figure_on_paper_has_the_pixels_on_screen(widget):
    widget.layer = "conv_1"
    file = io.BytesIO()
    widget.savefig(file, format="png", dpi=96)
    drawn = np.asarray(Image.open(file).convert("RGB"))
    screen = np.asarray(Image.open(io.BytesIO(widget.png)).convert("RGB"))
    assert drawn.shape == screen.shape
    for channel in range(1, 17):  # channel 0 is framed in the figure
        x, y, width, height = widget._screen.frame.layout.tile_box(channel)
        tile = np.s_[y + 2 : y + height - 2, x + 2 : x + width - 2]
        assert np.array_equal(drawn[tile], screen[tile]), channel


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_saves_as(widget, tmp_path, suffix):
    widget.savefig(tmp_path / f"grid.{suffix}")
    assert (tmp_path / f"grid.{suffix}").stat().st_size > 1000


def test_traits_can_be_linked(widget, model):
    other = FeatureMapWidget(model, PICTURES)
    traitlets.link((widget, "channel"), (other, "channel"))
    traitlets.dlink((widget, "layer"), (other, "layer"))
    seen = []
    other.observe(lambda change: seen.append(change["new"]), names="channel")
    widget.layer = "conv_1"
    widget.channel = 12
    assert (other.layer, other.channel) == ("conv_1", 12)
    assert seen == [12]
    assert other.png == widget.png


def test_several_traits_set_together_are_drawn_together(widget):
    with widget.hold_trait_notifications():
        widget.layer, widget.channel, widget.image = "conv_1", 16, "two"
    assert (widget._screen.frame.layer.path, widget._screen.frame.channel, widget._screen.frame.image) == (
        "conv_1",
        16,
        "two",
    )


def test_names_from_outside_stay_text(model):
    widget = FeatureMapWidget(model, {"<img src=x onerror=alert(1)>": PICTURES["one"]})
    html = [part.value for part in child_widgets(widget) if isinstance(part, ipywidgets.HTML)]
    assert not any("<img" in value for value in html)
    assert any("&lt;img" in value for value in html)


def test_the_answer_comes_from_the_same_forward(model):
    names = ["<a>", "<b>"]
    am = ActivationModel(model)
    widget = FeatureMapWidget(am, PICTURES, class_names=names)
    answer = next(part for part in child_widgets(widget) if "fmw-answer" in str(getattr(part, "value", "")))
    for image in widget.images:
        widget.image = image
        resized = Image.fromarray(PICTURES[image]).resize((24, 20), Image.Resampling.BILINEAR)
        scores = model(np.asarray(resized, "float32")[np.newaxis] / 255)[0]
        first = f"&lt;{names[int(np.argmax(scores))][1]}&gt;"
        assert f"<bdi>{first}</bdi>" in answer.value.split("</li>")[0]
    assert am.stats.forwards == len(PICTURES)
    with pytest.raises(ValueError, match="Received 3 names"):
        FeatureMapWidget(am, PICTURES, class_names=[*names, "c"])


def test_a_model_without_maps_is_told_so():
    dense = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no feature maps"):
        FeatureMapWidget(dense, PICTURES)


def test_a_second_input_comes_from_inputs():
    picture, number = keras.Input((20, 24, 3), name="picture"), keras.Input((4,), name="number")
    x = keras.layers.Conv2D(4, 3, name="conv")(picture)
    x = keras.layers.Multiply(name="product")([x, keras.layers.Reshape((1, 1, 4))(number)])
    model = keras.Model({"picture": picture, "number": number}, keras.layers.Flatten()(x))
    with pytest.raises(ValueError, match=r"input 'number' of shape \(4,\)"):
        FeatureMapWidget(model, PICTURES)
    widget = FeatureMapWidget(model, PICTURES, inputs={"number": np.arange(4.0)}, layer="product")
    assert not widget.feature_maps[..., 0].any()
    means = FeatureMapWidget(
        model, PICTURES, inputs={"number": lambda pixels: np.full(4, pixels.mean())}, layer="product"
    )
    conv = FeatureMapWidget(model, PICTURES, inputs={"number": np.ones(4)}, layer="conv").feature_maps
    assert np.allclose(means.feature_maps, conv * PICTURES["one"].mean(), rtol=1e-3)
    with pytest.raises(ValueError, match="no input named 'nmber'"):
        FeatureMapWidget(model, PICTURES, inputs={"nmber": 1, "number": np.ones(4)})


@pytest.mark.parametrize("name", sorted(set(zoo.MODELS) - {"twins"}))
def test_every_kind_of_model_is_shown(name):
    pictures = {key: picture[:20, :24] for key, picture in PICTURES.items()}  # some know no other size
    widget = FeatureMapWidget(zoo.MODELS[name](), pictures)
    for layer in widget.layers:
        widget.layer = layer
        assert Image.open(io.BytesIO(widget.png)).mode == "P"
    widget.image = "two"


def test_no_figures_are_left_behind_and_nothing_grows(widget):
    widgets_before = len(ipywidgets.Widget._instances if hasattr(ipywidgets.Widget, "_instances") else ())
    for turn in range(100):
        widget.layer = widget.layers[turn % 5]
        widget.channel = turn % 5
        widget.figure()
    assert plt.get_fignums() == []
    assert (
        len(ipywidgets.Widget._instances if hasattr(ipywidgets.Widget, "_instances") else ())
        == widgets_before
    )


def test_closing_closes_every_part(model):
    widget = FeatureMapWidget(model, PICTURES)
    everything = list(child_widgets(widget))
    widget.close()
    assert all(part.comm is None for part in everything)


def test_events_from_several_threads_leave_one_consistent_picture(widget):
    failures: list[BaseException] = []

    def press(description: str, values: list[Any]) -> None:
        try:
            for _ in range(15):
                for value in values:
                    control(widget, description).value = value
        except BaseException as error:  # noqa: BLE001 - any at all is a failure
            failures.append(error)

    threads = [
        threading.Thread(target=press, args=arguments)
        for arguments in [
            ("Norm", ["shared", "channel"]),
            ("Layer", ["conv", "conv_1", "pool"]),
            ("Channel", [1, 3]),
        ]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    frame = widget._screen.frame
    assert (frame.layer.path, frame.channel, frame.norm) == (widget.layer, widget.channel, widget.norm)
    assert control(widget, "Layer").value == widget.layer
    assert control(widget, "Channel").value == widget.channel


def test_it_says_what_it_is(widget):
    assert repr(widget) == "FeatureMapWidget('sequential', layer='conv', channel=0, image='one')"
