"""Animations, read back from their files and compared with an independent forward pass."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageSequence

from fmwidget import FeatureMapWidget
from fmwidget.export import animation
from fmwidget.export.animation import frame_rate, validate_animation_path
from tests.test_plots import maps_in, standardized

layers = keras.layers
HEADER = 42


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((20, 26, 3)),
            layers.Conv2D(5, 3, activation="relu", name="first"),
            layers.MaxPooling2D(2, name="smaller"),
            layers.Conv2D(18, 3, name="second"),
        ]
    )


@pytest.fixture
def widget(model):
    picture = np.random.default_rng(0).integers(0, 256, (20, 26, 3), np.uint8)
    made = FeatureMapWidget(model, {"noise": picture, "same": picture})
    yield made
    made.close()


def forward(model, widget):
    """Return the maps of each layer by calling them one after another."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 26, 3), np.uint8)
    tensor, maps = picture[np.newaxis].astype(np.float32) / 255, {}
    for layer in model.layers:
        tensor = layer(tensor)
        maps[layer.name] = np.asarray(tensor[0])
    return maps


def frames(path):
    with Image.open(path) as picture:
        return [(frame.convert("RGB"), frame.info["duration"]) for frame in ImageSequence.Iterator(picture)]


def assert_shows(frame, maps):
    levels = maps_in(frame, maps.shape[:2], HEADER)
    assert len(levels) == maps.shape[-1]
    for drawn, channel in zip(levels, np.moveaxis(maps, -1, 0), strict=True):
        assert np.abs(drawn - standardized(channel)).max() < 2


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_of_the_layers(widget, model, tmp_path, suffix):
    state, forwards = widget.get_state(), widget._am.stats.forwards
    widget.animate(tmp_path / f"depth{suffix}", fps=4)
    shown, maps = frames(tmp_path / f"depth{suffix}"), forward(model, widget)
    assert [duration for _, duration in shown] == [250] * 3
    assert len({frame.size for frame, _ in shown}) == 1
    for (frame, _), name in zip(shown, ("first", "smaller", "second"), strict=True):
        assert_shows(frame, maps[name])
    assert widget.get_state() == state  # the screen stays as it is
    assert widget._am.stats.forwards == forwards  # and all frames come from the pass that was run


def test_an_animation_of_the_channels(widget, model, tmp_path):
    widget.layer, widget.order = "second", "mean"
    widget.animate(tmp_path / "channels.gif", "channels", seconds=9)
    shown, maps = frames(tmp_path / "channels.gif"), forward(model, widget)["second"]
    order = np.argsort(-maps.mean(axis=(0, 1)))
    assert len(shown) == 18
    assert sum(duration for _, duration in shown) == 9000
    for place in (0, 1, 9, 17):
        assert_shows(shown[place][0], maps[..., order[place], np.newaxis])


def test_only_what_is_asked_for(widget, model, tmp_path):
    maps = forward(model, widget)
    widget.animate(tmp_path / "two.png", only=["second", "first"])
    for (frame, _), name in zip(frames(tmp_path / "two.png"), ("second", "first"), strict=True):
        assert_shows(frame, maps[name])
    widget.layer = "second"
    widget.animate(tmp_path / "three.png", "channels", only=range(9, 12))
    for (frame, _), channel in zip(frames(tmp_path / "three.png"), (9, 10, 11), strict=True):
        assert_shows(frame, maps["second"][..., channel : channel + 1])
    widget.animate(tmp_path / "before.gif", only=["first@pre"])
    with Image.open(tmp_path / "before.gif") as still:
        assert getattr(still, "n_frames", 1) == 1


def test_an_animation_of_a_late_page_shows_the_chosen_channel(tmp_path):
    model = keras.Sequential([keras.Input((40, 40, 3)), layers.Conv2D(300, 1, name="wide")])
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    widget = FeatureMapWidget(model, picture, channel=299)
    assert widget.page > 0
    widget.animate(tmp_path / "late.png")
    with Image.open(tmp_path / "late.png") as late, Image.open(io.BytesIO(widget.png)) as shown:
        assert np.array_equal(np.asarray(late.convert("RGB")), np.asarray(shown.convert("RGB")))
    widget.close()


def test_what_cannot_be_animated_is_refused_before_anything_is_written(widget, tmp_path, monkeypatch):
    path = tmp_path / "animation.gif"
    bad: list[tuple[dict[str, Any], str]] = [
        ({"by": "pictures"}, "Received by='pictures'"),
        ({"only": ["frist"]}, "There is no layer 'frist'. Did you mean 'first'"),
        ({"by": "channels", "only": [5]}, "There is no channel 5. There are 5 of them"),
        ({"only": []}, "must name at least one of the layers"),
        ({"fps": 0}, "0.05 to 50 frames a second. Received fps=0"),
        ({"fps": float("nan")}, "Received fps=nan"),
        ({"seconds": -1}, "Received seconds=-1 for 3 frames"),
        ({"fps": 2, "seconds": 3}, "not both"),
    ]
    for arguments, sentence in bad:
        with pytest.raises(ValueError, match=sentence):
            widget.animate(path, **arguments)
    for wrong in ("second", 3):
        with pytest.raises(TypeError, match=f"`only` must be a sequence .* Received {wrong!r}"):
            widget.animate(path, only=wrong)
    monkeypatch.setattr(animation, "MOST_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"3 frames of .* Pass fewer of them as `only`"):
        widget.animate(path)
    assert not path.exists()


def test_paths_that_are_no_animations():
    with pytest.raises(ValueError, match=r"as .gif, .png, .webp. Received the suffix '.mp4' in 'a.mp4'"):
        validate_animation_path("a.mp4")
    with pytest.raises(ValueError, match="Received no suffix in 'depth'"):
        validate_animation_path("depth")
    with pytest.raises(TypeError, match="must be a path"):
        validate_animation_path(3)  # type: ignore[arg-type]
    validate_animation_path("DEPTH.GIF")


def test_the_rate_of_an_animation():
    assert frame_rate(10, None, None) == 2
    assert frame_rate(10, 12.5, None) == 12.5
    assert frame_rate(10, None, 4) == 2.5
