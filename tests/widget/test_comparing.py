"""Comparing in the widget: A, B or A − B of images, steps, files of weights and models."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from PIL import Image
from traitlets import TraitError

from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.analysis.receptive_field.graph import model_graph
from fmwidget.rendering.sampling import Unit
from fmwidget.widget import receptive_field_service
from tests.support.driving import until
from tests.support.training import change_weights, run_of, small_model

IMAGES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}


def maps_of(model: keras.Model, image: np.ndarray, path: str = "conv") -> np.ndarray:
    x = keras.ops.convert_to_tensor(image[np.newaxis], "float32")
    for layer in model.layers:
        x = layer(x, training=False)
        if layer.name == path:
            maps: np.ndarray = np.asarray(x)[0]
            return maps
    raise AssertionError(path)


def other_model() -> keras.Model:
    model = small_model()
    change_weights(model, 7)
    return model


def require_sides(widget: FeatureMapWidget, a: np.ndarray, b: np.ndarray) -> None:
    for side, expected in (("a", a), ("b", b), ("difference", a - b)):
        widget.side = side
        frame = widget._screen.frame
        np.testing.assert_allclose(frame.maps, expected, atol=1e-5)
        assert frame.side == side
        assert frame.norm == ("symmetric" if side == "difference" else widget.norm)
    np.testing.assert_allclose(frame.contrast.a, a, atol=1e-5)
    np.testing.assert_allclose(frame.contrast.b, b, atol=1e-5)


def test_against_another_image():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against="two", layer="conv")
    assert widget.against == "two"
    assert widget.side == "difference"
    require_sides(widget, maps_of(model, IMAGES["one"]), maps_of(model, IMAGES["two"]))
    widget.side = "b"
    assert widget._screen.frame.image == "two"
    widget.close()


def test_against_an_array_that_is_not_on_offer():
    model = small_model()
    noisy = {"one + noise": np.roll(IMAGES["one"], 3, axis=1)}
    widget = FeatureMapWidget(model, IMAGES, against=noisy, layer="conv")
    assert widget.against == "one + noise"
    require_sides(widget, maps_of(model, IMAGES["one"]), maps_of(model, noisy["one + noise"]))
    widget.close()


def test_against_another_model():
    model, other = small_model(), other_model()
    widget = FeatureMapWidget(model, IMAGES, against=other, layer="conv")
    assert widget.against == "small (2)"
    require_sides(widget, maps_of(model, IMAGES["one"]), maps_of(other, IMAGES["one"]))
    before = widget._screen.frame.contrast.b.copy()
    change_weights(other, 8)
    widget.refresh()
    assert not np.array_equal(widget._screen.frame.contrast.b, before)
    widget.close()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, in saving
def test_against_files(tmp_path):
    model, other = small_model(), other_model()
    other.save_weights(tmp_path / "run.weights.h5")
    other.save(tmp_path / "other.keras")
    before = model.get_weights()
    for file in ("run.weights.h5", "other.keras"):
        widget = FeatureMapWidget(model, IMAGES, against=tmp_path / file, layer="conv")
        assert widget.against == file
        require_sides(widget, maps_of(model, IMAGES["one"]), maps_of(other, IMAGES["one"]))
        widget.close()
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_against_steps():
    model = small_model()
    run, weights = run_of(model)
    clones = []
    for each in weights:
        clones.append(small_model())
        clones[-1].set_weights(each)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, against=0, step=2, layer="conv")
    assert widget.against == "step 0"
    require_sides(widget, maps_of(clones[2], IMAGES["one"]), maps_of(clones[0], IMAGES["one"]))
    widget.against = "previous step"
    require_sides(widget, maps_of(clones[2], IMAGES["one"]), maps_of(clones[1], IMAGES["one"]))
    widget.step = 3
    require_sides(widget, maps_of(clones[3], IMAGES["one"]), maps_of(clones[2], IMAGES["one"]))
    widget.against = "live weights"
    require_sides(widget, maps_of(clones[3], IMAGES["one"]), maps_of(model, IMAGES["one"]))
    widget.against = "two"
    require_sides(widget, maps_of(clones[3], IMAGES["one"]), maps_of(clones[3], IMAGES["two"]))
    widget.close()


def test_a_model_against_itself_differs_nowhere():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against=ActivationModel(model), layer="conv", profile=True)
    frame = widget._screen.frame
    assert not frame.maps.any()
    assert not frame.comparison.relative_l2.any()
    assert not frame.comparison.max_abs.any()
    assert frame.comparison.first_over is None
    widget.close()


def test_a_flip_costs_no_forward_pass():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against="two", layer="conv")
    forwards = widget._am.stats.forwards
    for side in ("a", "b", "difference", "a"):
        widget.side = side
    widget.layer = "last"
    assert widget._am.stats.forwards == forwards
    widget._screen.interactions._flip()
    assert widget.side == "b"
    widget._screen.interactions._flip()
    assert widget.side == "a"
    widget.close()


def test_both_sides_have_one_scale():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against="two", layer="conv", side="a", norm="shared")
    scale = widget._screen.frame.scale
    both = np.stack([maps_of(model, IMAGES["one"]), maps_of(model, IMAGES["two"])])
    np.testing.assert_allclose(scale.max, both.max(axis=(0, 1, 2)), rtol=1e-5)
    widget.side = "b"
    assert widget._screen.frame.scale is scale
    widget.close()


def test_channels_in_the_order_of_their_difference():
    model, other = small_model(), small_model()
    kernel, bias = other.get_layer("conv").get_weights()
    bias = bias + np.array([0.0, 3.0, 0.5, 0.0, 9.0])
    other.get_layer("conv").set_weights([kernel, bias])
    widget = FeatureMapWidget(model, IMAGES, against=other, layer="conv", order="difference")
    assert widget._screen.frame.layout.order[:3] == (4, 1, 2)
    assert widget._screen.controls.order.value == "difference"
    widget.against = ""
    assert widget.order == "index"
    with pytest.raises(TraitError, match="needs something to compare with"):
        widget.order = "difference"
    widget.close()


def test_the_answers_of_both_sides():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against="two", class_names=["cat", "dog"])
    html = widget._screen.panels.answer.box.value
    assert "Answer A" in html
    assert "Answer B" in html
    widget.side = "b"
    assert "Answer A" not in widget._screen.panels.answer.box.value
    widget.against = ""
    assert "Answer</b>" in widget._screen.panels.answer.box.value
    widget.close()


def test_a_model_of_other_layers_says_which_do_not_correspond():
    other = keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            keras.layers.Rescaling(1 / 255, name="scale"),
            keras.layers.Conv2D(7, 3, name="conv"),
            keras.layers.Conv2D(2, 3, name="extra"),
        ],
        name="other",
    )
    widget = FeatureMapWidget(small_model(), IMAGES, against=other, layer="conv")
    frame = widget._screen.frame
    assert frame.contrast is None
    assert "cannot be compared: its maps have the shape (18, 22, 5)" in frame.problem
    assert widget._screen.controls.reference.problem.value == frame.problem
    np.testing.assert_array_equal(frame.maps, widget.feature_maps)
    widget.layer = "last"
    assert widget._screen.frame.problem == "No layer of other corresponds to last."
    widget.layer = "scale"
    assert widget._screen.frame.contrast is not None
    widget.close()


def test_the_control_appears_when_there_is_something_to_compare_with():
    plain = FeatureMapWidget(small_model(), IMAGES)
    assert plain._screen.controls.reference.box.layout.display == "none"
    plain.close()
    widget = FeatureMapWidget(small_model(), IMAGES, against="two")
    chooser = widget._screen.controls.reference
    assert chooser.box.layout.display == "flex"
    chooser.side.value = "b"
    assert widget.side == "b"
    chooser.against.value = ""
    assert widget.against == ""
    assert widget._screen.frame.contrast is None
    assert chooser.side.layout.display == "none"
    widget.close()


@pytest.mark.parametrize(
    ("against", "error", "message"),
    [
        (3, ValueError, "there are no snapshots"),
        ("nowhere.keras", (ValueError, OSError), "nowhere.keras"),
        ("nothing like this", ValueError, "cannot be used"),
        (object(), ValueError, "cannot be used"),
    ],
)
def test_what_cannot_be_compared_with_is_refused(against, error, message):
    with pytest.raises(error, match=message):
        FeatureMapWidget(small_model(), IMAGES, against=against)


def test_an_unknown_name_changes_nothing():
    widget = FeatureMapWidget(small_model(), IMAGES, against="two")
    with pytest.raises(TraitError, match="There is nothing named 'tow' to compare with"):
        widget.against = "tow"
    assert widget.against == "two"
    widget.close()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, in saving
def test_a_file_of_other_weights_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Conv2D(2, 5)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(TraitError, match=r"other\.weights\.h5"):
        FeatureMapWidget(small_model(), IMAGES, against=tmp_path / "other.weights.h5")


def test_the_code_rebuilds_the_comparison():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, against={"x": IMAGES["two"], "y": IMAGES["one"]}, layer="conv")
    widget.against, widget.side = "y", "a"
    code = widget.code()
    assert "against=against" in code
    assert 'widget.against = "y"' in code
    names = {"model": model, "images": IMAGES, "against": {"x": IMAGES["two"], "y": IMAGES["one"]}}
    exec(code.rsplit("\n", 1)[0], names)  # noqa: S102 - the code under test
    again = names["widget"]
    assert (again.against, again.side) == ("y", "a")
    again.close()
    widget.close()


def test_the_code_orders_by_difference_once_there_is_a_reference():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, snapshots=run_of(model)[0], layer="conv")
    widget.against, widget.order = "two", "difference"
    names = {"model": model, "images": IMAGES, "snapshots": widget._offer.snapshots}
    exec(widget.code().rsplit("\n", 1)[0], names)  # noqa: S102 - the code under test
    again = names["widget"]
    assert (again.against, again.order) == ("two", "difference")
    again.close()
    widget.close()


def test_another_activation_model_of_the_same_model_is_never_stale():
    """Each counts the changes that it has seen, and both counts may agree by accident."""
    model = small_model()
    other = ActivationModel(model)
    other.version()
    change_weights(model, 1)
    other.version()
    widget = FeatureMapWidget(model, IMAGES, against=other, layer="conv")
    change_weights(model, 2)
    widget.refresh()
    assert not widget._screen.frame.maps.any()
    widget.close()


class Branching(keras.Model):
    """A model that calls another layer for dark images."""

    def __init__(self) -> None:
        super().__init__(name="branching")
        self.shared = keras.layers.Conv2D(2, 3, name="shared")
        self.dark = keras.layers.Conv2D(2, 3, name="dark")
        self.light = keras.layers.Conv2D(3, 3, name="light")

    def call(self, x):
        x = self.shared(x)
        return self.light(x) if float(keras.ops.mean(x)) > 0 else self.dark(x)


def test_layers_that_only_one_image_has():
    model = Branching()
    model(np.zeros((1, 20, 24, 3)))
    model.shared.set_weights([np.ones((3, 3, 3, 2)), -np.full(2, 5.0)])
    images = {name: np.full((20, 24, 3), value, np.uint8) for name, value in (("dim", 0), ("bright", 255))}
    widget = FeatureMapWidget(model, images, against="bright", layer="dark")
    for _ in range(2):
        assert widget._screen.frame.problem == "No layer of bright corresponds to dark."
        assert [path for path in widget.layers if path in ("dark", "light")] == ["dark"]
        widget.layer = "shared"
        assert widget._screen.frame.contrast is not None
        widget.side = "b"
        assert "dark" in widget.layers
        widget.layer = "dark"
    widget.close()


def test_the_status_names_the_weights_of_the_side_on_screen():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, snapshots=run_of(model)[0], step=2, against=0)
    for side, words in (("a", "step 2"), ("b", "step 0"), ("difference", "step 2")):
        widget.side = side
        assert f"Weights: <b>{words}</b>" in widget._screen.status.box.value
    widget.close()


def test_a_reference_that_is_thinned_out_gives_way_to_the_nearest():
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, layer="conv")
    widget.against = "step 3"
    run.take(model=model)
    kept = tuple(each for each in run.snapshots if each.step != 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run), "snapshots", property(lambda _: kept))
        widget.refresh()
    assert widget.against in ("step 2", "step 4")
    assert widget._screen.frame.contrast is not None
    widget.close()


def test_the_profile_and_the_comparison_take_turns():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, profile=True, against="two")
    box = widget._screen.panels.profile.box

    def computed() -> tuple[bool, bool]:
        frame = widget._screen.frame
        return frame.profile is not None, frame.comparison is not None

    assert computed() == (False, True)
    assert box.layout.display == "flex"
    widget.against = ""
    assert computed() == (True, False)
    assert box.layout.display == "flex"
    widget.profile = False
    assert computed() == (False, False)
    assert box.layout.display == "none"
    widget.close()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, in saving
def test_a_reference_has_the_name_that_the_user_gave(tmp_path):
    model = small_model()
    model.save_weights(tmp_path / "run.weights.h5")
    widget = FeatureMapWidget(model, IMAGES, against={"pretrained": tmp_path / "run.weights.h5"}, side="b")
    assert widget.against == "pretrained"
    assert widget._screen.frame.notes == ("B: pretrained",)
    widget.close()


def test_an_animation_of_differences_has_the_colors_of_the_screen(tmp_path):
    widget = FeatureMapWidget(small_model(), IMAGES, against="two", layer="conv", norm="shared")
    for side in ("difference", "a"):
        widget.side = side
        widget.animate(tmp_path / "one.gif", only=["conv"])
        with Image.open(tmp_path / "one.gif") as file, Image.open(io.BytesIO(widget.png)) as screen:
            np.testing.assert_array_equal(file.convert("RGB"), screen.convert("RGB"))
    widget.close()


@pytest.mark.parametrize("against", [np.int64(1), "step 1", ["step 1"], {"step 1": 1}])
def test_a_step_is_named_or_numbered(against):
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, against=against)
    assert widget.against == "step 1"
    assert widget._screen.frame.contrast.name_b == run[1].name
    widget.close()


def test_another_run_is_a_list_of_references():
    model = small_model()
    run, _ = run_of(model, 3)
    widget = FeatureMapWidget(model, IMAGES, against=run)
    assert list(widget._screen.controls.reference.against.options)[1:4] == [
        (each.name, each.name) for each in run
    ]
    widget.close()


def test_a_step_compared_with_itself_is_named_by_the_step():
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, step=1, against=1)
    assert widget._screen.frame.contrast.name_a == widget._screen.frame.contrast.name_b == run[1].name
    widget.against = "one"
    assert widget._screen.frame.contrast.name_a == widget._screen.frame.contrast.name_b == "one"
    widget.close()


def test_a_model_at_a_step_is_named_with_the_step():
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, step=2, against=other_model())
    assert widget._screen.frame.contrast.name_a == f"small, {run[2].name}"
    widget.close()


def test_a_misspelt_reference_is_answered_with_names_like_it(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'two'"):
        FeatureMapWidget(small_model(), IMAGES, against="twoo")
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    with pytest.raises(OSError, match=r"broken\.keras cannot be read"):
        FeatureMapWidget(small_model(), IMAGES, against=tmp_path / "broken.keras")


def test_controls_without_effect_in_a_comparison_are_disabled():
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, against="two")
    controls = widget._screen.controls
    assert controls.norm.disabled
    assert controls.steps.scale.disabled
    widget.side = "a"
    assert not controls.norm.disabled
    assert controls.steps.scale.disabled
    widget.against = ""
    assert not controls.norm.disabled
    assert not controls.steps.scale.disabled


def test_the_graph_of_each_model_is_traced_once(monkeypatch):
    traced = []

    def counted(am, batch):
        traced.append(am.model.name)
        return model_graph(am, batch)

    monkeypatch.setattr(receptive_field_service, "model_graph", counted)
    widget = FeatureMapWidget(small_model(), IMAGES, against=small_model("port"), layer="conv", side="a")
    widget._screen.interactions.pin(Unit(0, 3, 4))
    fields = widget._screen.receptive_fields
    for side in ("a", "b", "a", "b"):
        widget.side = side
        until(lambda: fields.receptive_field(widget._screen.frame, 3, 4) is not None)
        field = fields.receptive_field(widget._screen.frame, 3, 4)
        assert field is not None
        assert field.box == (3, 4, 6, 7)
    assert traced == ["small", "port"]
    widget.close()


def test_the_step_on_screen_is_offered_to_be_held():
    model = small_model()
    run, _ = run_of(model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, step=2)
    chooser = widget._screen.controls.reference
    assert "step 2" in [value for _, value in chooser.against.options]
    chooser.against.value = "step 2"
    assert not widget._screen.frame.maps.any()
    widget.step = 3
    assert widget.against == "step 2"
    assert widget._screen.frame.contrast.name_b == "step 2"
    widget.close()
