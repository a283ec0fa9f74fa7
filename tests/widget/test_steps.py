"""Steps of training in the widget: all that is on screen is that of the chosen step."""

from __future__ import annotations

import gc
import io
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, ImageSequence
from traitlets import TraitError

from fmwidget import FeatureMapWidget, WeightSnapshots
from fmwidget.rendering.grid_layout import HEADER
from fmwidget.rendering.sampling import Unit
from tests.support.driving import until
from tests.support.training import change_weights, run_of, small_model

IMAGES = {
    name: np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)
    for seed, name in enumerate(["one", "two"])
}


@pytest.fixture(scope="module", name="trained")
def trained_model():
    model = small_model()
    return model, *run_of(model)


@pytest.fixture(name="widget")
def widget_with_steps(trained):
    model, run, _ = trained
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, layer="conv")
    yield widget
    widget.close()


def clone_at(weights: list[np.ndarray]) -> keras.Model:
    clone = small_model()
    clone.set_weights(weights)
    return clone


def outputs_of(model: keras.Model, path: str, image: np.ndarray) -> np.ndarray:
    """Compute a layer's maps by running the model's own layers one after another."""
    x = keras.ops.convert_to_tensor(image[np.newaxis], "float32")
    for layer in model.layers:
        x = layer(x, training=False)
        if layer.name == path:
            break
    maps: np.ndarray = np.asarray(x)[0]
    return maps


def count_frames(file: Path) -> int:
    with Image.open(file) as image:
        return len(list(ImageSequence.all_frames(image)))


def tiles_of(widget: FeatureMapWidget) -> np.ndarray:
    """Decode the grid on screen below its title."""
    return np.asarray(Image.open(io.BytesIO(widget.png)))[HEADER:]


def test_maps_and_answer_are_those_of_the_step(widget, trained):
    _, _, weights = trained
    for step in (2, 0, 3):
        widget.step = step
        clone = clone_at(weights[step])
        np.testing.assert_allclose(widget.feature_maps, outputs_of(clone, "conv", IMAGES["one"]), atol=1e-5)
        frame = widget._screen.frame
        np.testing.assert_allclose(frame.outputs, outputs_of(clone, "head", IMAGES["one"]), atol=1e-5)
        assert frame.snapshot.step == step
    widget.step = -1
    np.testing.assert_allclose(widget.feature_maps, outputs_of(trained[0], "conv", IMAGES["one"]), atol=1e-5)


def test_the_depth_profile_is_that_of_the_step(widget, trained):
    widget.profile = True
    for step in (0, 3):
        widget.step = step
        expected = outputs_of(clone_at(trained[2][step]), "last", IMAGES["one"]).mean()
        profile = widget._screen.frame.profile
        assert profile.mean[profile.paths.index("last")] == pytest.approx(expected, rel=1e-4)


def test_the_terms_of_a_value_are_those_of_the_step(widget, trained):
    panel = widget._screen.panels.contributions
    panel._button.value = True
    widget._screen.interactions.pin(Unit(0, 2, 3))
    texts: dict[int, str] = {}
    for step in (1, 2, 1):
        widget.step = step
        text = panel._html.value
        value = outputs_of(clone_at(trained[2][step]), "conv", IMAGES["one"])[2, 3, 0]
        assert "cannot be taken apart" not in text
        assert "does not just add" not in text
        assert f"{float(value):.3g}"[:4] in text or value == 0
        assert texts.setdefault(step, text) == text
    assert texts[1] != texts[2]


def test_a_step_and_image_seen_before_cost_no_forward_pass(widget):
    for step in (0, 1, 2, 3, -1):
        widget.step = step
    forwards = widget._am.stats.forwards
    for step in (2, 0, -1, 3):
        widget.step = step
    assert widget._am.stats.forwards == forwards
    widget.image = "two"
    assert widget._am.stats.forwards == forwards + 1


def test_the_status_and_the_control_say_which_weights_are_shown(widget):
    assert "live weights" in widget._screen.status.box.value
    widget.step = 0
    assert "live weights" not in widget._screen.status.box.value
    chooser = widget._screen.controls.steps
    assert chooser.slider.value == 0
    assert "(1 of 4)" in chooser.label.value
    assert chooser.box.layout.display == "flex"


def test_the_slider_ends_at_the_live_weights(widget):
    chooser = widget._screen.controls.steps
    chooser.slider.value = 1
    assert widget.step == 1
    chooser.slider.value = 4
    assert widget.step == -1
    chooser.step_by(-1)
    assert widget.step == 3
    chooser.step_by(5)
    assert widget.step == 3


def test_steps_are_played_to_the_newest(widget):
    widget.step = 2
    play = widget._screen.controls.steps.play
    play._receive(play, {"type": "play"}, [])
    assert widget.step == 3
    assert not play.playing
    play._receive(play, {"type": "play"}, [])
    assert widget.step == 0
    assert play.playing
    widget._screen.controls.pause()
    assert not play.playing


@pytest.mark.parametrize("step", [4, -2, 100])
def test_a_step_that_does_not_exist_changes_nothing(widget, step):
    widget.step = 1
    with pytest.raises(TraitError, match=str(step)):
        widget.step = step
    assert widget.step == 1


def test_a_step_that_does_not_exist_is_refused_from_the_start(trained):
    model, run, _ = trained
    with pytest.raises(TraitError, match="There is no step 9"):
        FeatureMapWidget(model, IMAGES, snapshots=run, step=9)
    with pytest.raises(TraitError, match="There are no snapshots"):
        FeatureMapWidget(model, IMAGES, step=0)


def test_an_event_checks_the_weights_once(widget, monkeypatch):
    checks = []
    check = widget._am._monitor.check

    def counted(model):
        checks.append(model)
        return check(model)

    monkeypatch.setattr(widget._am._monitor, "check", counted)
    for name, value in (("channel", 2), ("norm", "shared"), ("step", 1), ("channel", 3), ("step", -1)):
        checks.clear()
        setattr(widget, name, value)
        # With another step its own activation model takes note of the version too, once.
        assert len(checks) <= (2 if name == "step" else 1)


def test_newer_snapshots_that_come_while_one_is_drawn_are_followed(trained, monkeypatch):
    model, run, _ = trained
    widget = FeatureMapWidget(model, IMAGES, snapshots=run)
    before, after = run.snapshots[:2], run.snapshots
    now = [before]
    monkeypatch.setattr(type(run), "snapshots", property(lambda _: now[0]))
    monkeypatch.setattr(type(run), "is_recording", True)
    compute = widget._pipeline.compute

    def slow(state):
        compute(state)
        now[0] = after

    monkeypatch.setattr(widget._pipeline, "compute", slow)
    widget._snapshots_changed()
    widget._snapshots_changed()
    assert widget.step == 3
    widget.close()


def test_a_closed_widget_lets_go_of_the_run():
    model = small_model()
    widget = FeatureMapWidget(model, IMAGES, snapshots=run_of(model)[0])
    gone = weakref.ref(widget._offer.snapshots)
    widget.close()
    gc.collect()
    assert gone() is None


def test_weights_that_cannot_be_read_change_nothing(widget, trained, monkeypatch):
    def fail(_model):
        raise FileNotFoundError("snapshot-1.npz is gone")

    monkeypatch.setattr(trained[1][1].source, "weights", fail)
    with pytest.raises(TraitError, match=r"snapshot-1\.npz is gone"):
        widget.step = 1
    assert widget.step == -1


def test_without_snapshots_there_are_only_the_live_weights():
    widget = FeatureMapWidget(small_model(), IMAGES)
    with pytest.raises(TraitError, match="There are no snapshots"):
        widget.step = 0
    assert widget._screen.controls.steps.box.layout.display == "none"
    assert "weights" not in widget._screen.status.box.value.lower().replace("fmw-weights", "")
    widget.close()


def test_one_scale_for_all_steps_makes_growth_visible(trained):
    """Under each step's own scale weights that are twice as large look alike; under one scale they do not."""
    model = small_model()
    run = WeightSnapshots()
    kernel, bias = model.get_layer("last").get_weights()
    for factor in (1, 2, 4):
        model.get_layer("last").set_weights([kernel * factor, bias * factor])
        run.take(model=model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, layer="last", norm="symmetric")
    levels = {}
    for scale in ("step", "run"):
        widget.scale = scale
        for step in range(3):
            widget.step = step
            until(lambda: (widget._screen.frame.scale is None) == (widget.scale == "step"))
            widget.refresh()  # takes the lock: the frame is there before it is drawn
            levels[scale, step] = tiles_of(widget)
    assert np.array_equal(levels["step", 0], levels["step", 2])
    assert not np.array_equal(levels["run", 0], levels["run", 2])
    assert np.array_equal(levels["run", 2], levels["step", 2])
    scale = widget._screen.frame.scale
    maps = np.stack(
        [widget._am.at(run[step]).activations(widget._screen.frame.batch, "last") for step in range(3)]
    )
    np.testing.assert_allclose(scale.max, maps.max(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(scale.std, maps.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-4)
    widget.close()


def test_while_the_model_is_in_training_the_slider_grows_and_follows_the_newest(trained):
    model = small_model()
    model.compile("sgd", "sparse_categorical_crossentropy")
    run = WeightSnapshots()
    widget = FeatureMapWidget(model, IMAGES, snapshots=run)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras' names
            until(lambda: len(widget._screen.frame.run) == epoch + 2)
            until(lambda: widget.step == epoch + 1)
            until(lambda: widget._screen.controls.steps.slider.max == epoch + 2)
            seen.append(widget._screen.controls.steps.slider.value)

    x, y = np.zeros((4, 20, 24, 3), np.float32), np.zeros(4)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[run, Watch()])
    assert seen == [1, 2, 3]
    assert widget.step == 3
    widget.close()


def test_a_step_that_was_chosen_stays_while_training_goes_on():
    model = small_model()
    model.compile("sgd", "sparse_categorical_crossentropy")
    run = WeightSnapshots()
    widget = FeatureMapWidget(model, IMAGES, snapshots=run)
    x, y = np.zeros((4, 20, 24, 3), np.float32), np.zeros(4)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[run])
    until(lambda: widget.step == 2)
    widget.step = 1
    model.fit(x, y, epochs=2, verbose=0, callbacks=[run])
    until(lambda: widget._screen.controls.steps.slider.max == 5)
    assert widget.step == 1
    widget.step = 4  # the newest: it follows again
    model.fit(x, y, epochs=1, verbose=0, callbacks=[run])
    until(lambda: widget.step == 5)
    widget.close()


@pytest.mark.parametrize("at", [{"step": 1}, {"against": "step 1"}, {"step": 1, "against": "step 1"}])
def test_a_step_that_is_thinned_out_gives_way_to_the_nearest(at):
    model = small_model()
    run, _ = run_of(model, 5)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, layer="conv")
    for name, value in at.items():
        setattr(widget, name, value)
    kept = tuple(each for each in run if each.step not in (1, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WeightSnapshots, "snapshots", property(lambda _: kept))
        patch.setattr(
            WeightSnapshots, "__getitem__", lambda _, step: {each.step: each for each in kept}[step]
        )
        widget.refresh()
        assert widget.step == (0 if "step" in at else -1)
        assert widget.against == ("step 0" if "against" in at else "")
        assert "fmw-weights" in widget._screen.status.box.value
        widget.channel = 1  # and goes on
        assert widget._screen.frame.channel == 1
    widget.close()


def test_an_animation_of_the_steps_has_a_frame_for_each(widget, tmp_path):
    widget.norm = "shared"
    widget.animate(tmp_path / "steps.gif", by="steps")
    assert count_frames(tmp_path / "steps.gif") == 4
    widget.animate(tmp_path / "two.gif", by="steps", only=[0, 3])
    assert count_frames(tmp_path / "two.gif") == 2
    with pytest.raises(ValueError, match="There is no step 9"):
        widget.animate(tmp_path / "none.gif", by="steps", only=[9])


def test_an_animation_of_steps_needs_snapshots(tmp_path):
    widget = FeatureMapWidget(small_model(), IMAGES)
    with pytest.raises(ValueError, match="There are no steps of training to animate"):
        widget.animate(tmp_path / "steps.gif", by="steps")
    widget.close()


def test_the_code_rebuilds_the_step(widget, trained):
    widget.step, widget.scale = 2, "run"
    code = widget.code()
    assert "snapshots=snapshots" in code
    names = {"model": trained[0], "images": IMAGES, "snapshots": trained[1]}
    exec(code.rsplit("\n", 1)[0], names)  # noqa: S102 - the code under test
    again = names["widget"]
    assert (again.step, again.scale, again.layer) == (2, "run", "conv")
    np.testing.assert_array_equal(again.feature_maps, widget.feature_maps)
    again.close()


def test_the_history_can_be_open_from_the_beginning(trained):
    model, run, _ = trained
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, history=True)
    assert widget.history
    widget.close()


def test_snapshots_of_another_model_are_reported_and_change_nothing():
    other = keras.Sequential([keras.Input((20, 24, 3)), keras.layers.Conv2D(2, 5, name="c")])
    run = WeightSnapshots()
    run.take(model=other)
    widget = FeatureMapWidget(small_model(), IMAGES, snapshots=run)
    with pytest.raises(TraitError, match="does not fit the model 'small'"):
        widget.step = 0
    widget._screen.controls.steps.slider.value = 0
    assert widget.step == -1
    assert "does not fit the model" in widget._screen.status.box.value
    widget.close()


def test_live_weights_that_change_leave_the_steps_alone(widget, trained):
    widget.step = 1
    held = widget.feature_maps.copy()
    change_weights(trained[0], 99)
    np.testing.assert_array_equal(widget.feature_maps, held)


def test_a_folder_is_loaded_by_its_path(trained, tmp_path):
    model = small_model()
    run = WeightSnapshots(tmp_path / "run")
    run.take(model=model)
    weights = model.get_weights()
    change_weights(model, 0)
    run.take(model=model)
    until(
        lambda: (
            (tmp_path / "run" / "index.json").exists() and len(WeightSnapshots.load(tmp_path / "run")) == 2
        )
    )
    widget = FeatureMapWidget(model, IMAGES, snapshots=str(tmp_path / "run"), step=0, layer="conv")
    np.testing.assert_allclose(
        widget.feature_maps, outputs_of(clone_at(weights), "conv", IMAGES["one"]), atol=1e-5
    )
    widget.close()


@pytest.mark.parametrize("wrong", [[1, 2], small_model])
def test_snapshots_of_another_type_are_refused(wrong):
    with pytest.raises(TypeError, match=f"snapshots must be a WeightSnapshots.*{type(wrong).__name__}"):
        FeatureMapWidget(small_model(), IMAGES, snapshots=wrong)


def test_a_long_label_is_cut_where_it_is_shown():
    model = small_model()
    run = WeightSnapshots()
    label = "<b>" + "very long " * 20
    run.take(label, model=model)
    widget = FeatureMapWidget(model, IMAGES, snapshots=run, step=0)
    shown = widget._screen.controls.steps.label.value
    assert shown.startswith("<b>very long")
    assert len(shown) < 90
    assert "&lt;b&gt;" in widget._screen.status.box.value
    assert label not in widget._screen.status.box.value
    widget.close()


def test_the_course_over_the_steps_can_be_asked_for_at_once_and_by_the_code(widget, trained):
    widget.history = True
    names = {"model": trained[0], "images": IMAGES, "snapshots": trained[1]}
    exec(widget.code().rsplit("\n", 1)[0], names)  # noqa: S102 - the code under test
    again = names["widget"]
    assert again.history
    for each in (widget, again):  # each measures on a thread of its own
        until(lambda: each._screen.frame.history is not None and each._screen.frame.history.is_complete)  # noqa: B023
    assert again._screen.frame.history.steps == widget._screen.frame.history.steps == (0, 1, 2, 3)
    again.close()


def test_only_the_live_weights_are_said_to_be_those_of_the_moment(widget):
    for step, is_said in ((-1, True), (2, False), (-1, True)):
        widget.step = step
        widget._screen.status.training = True
        assert ("those of the moment" in widget._screen.status.box.value) == is_said
