"""The depth profile: its numbers against numpy on an independent forward pass, its drawing read back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmwidget import ActivationModel, FeatureMapWidget, depth_profile, plot_depth_profile
from fmwidget.analysis.depth_profile import DepthProfile, layer_statistics
from fmwidget.images.arrays import ImageError
from fmwidget.rendering.canvas import FAINT, STRONG, grey
from fmwidget.rendering.charts.layer_bars import ROW_GAP, ROW_HEIGHT
from fmwidget.rendering.depth_profile import draw_profile, layer_in_words, profile_in_words, profile_layout
from fmwidget.rendering.palette import NAN

layers = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((14, 18, 3)),
            # A strongly negative bias silences some channels for good.
            layers.Conv2D(
                6,
                3,
                activation="relu",
                name="quiet",
                bias_initializer=keras.initializers.RandomUniform(-2, 0.5),
            ),
            layers.MaxPooling2D(2, name="small"),
            layers.Conv2D(9, 3, name="signed"),
            layers.GlobalAveragePooling2D(name="flat"),
        ]
    )


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    return {name: random.integers(0, 256, (14, 18, 3), np.uint8) for name in ("one", "two", "three")}


def forward(model, picture):
    """Return each layer's maps `(H, W, C)` by calling the model's layers one after another."""
    tensor, maps = picture[np.newaxis].astype(np.float32) / 255, {}
    for layer in model.layers:
        tensor = layer(tensor)
        if len(tensor.shape) == 4:
            maps[layer.name] = np.asarray(tensor[0])
    return maps


def check(profile, model, pictures):
    runs = [forward(model, picture) for picture in pictures]
    assert profile.paths == tuple(runs[0]) == ("quiet", "small", "signed")
    assert profile.pictures == len(runs)
    for place, path in enumerate(profile.paths):
        maps = np.stack([run[path] for run in runs])
        assert tuple(profile.shapes[place]) == maps.shape[1:]
        silent = (maps == 0).all(axis=(1, 2))
        assert profile.inactive[place] == pytest.approx(silent.mean())
        assert profile.zeros[place] == pytest.approx((maps == 0).mean())
        assert profile.mean[place] == pytest.approx(maps.mean(dtype=np.float64), rel=1e-5)
        assert profile.not_finite[place] == 0
    assert 0 < profile.inactive[0] < 1, "the model is to have channels of both kinds"


@pytest.mark.parametrize("cache_bytes", [2**20, 0])
def test_the_numbers_are_those_of_the_model_s_own_maps(model, pictures, cache_bytes):
    """Check without a cache too: two passes an image, not one for each layer."""
    am = ActivationModel(model, cache_bytes=cache_bytes)
    batches = [picture[np.newaxis].astype(np.float32) / 255 for picture in pictures.values()]
    check(depth_profile(am, batches), model, pictures.values())
    assert am.stats.forwards == (6 if cache_bytes == 0 else 3)


def test_channels_first_maps_are_measured_channel_by_channel():
    inputs = keras.Input((4, 5, 3))
    first = layers.Permute((3, 1, 2), name="turned")(inputs)
    outputs = layers.BatchNormalization(axis=1, name="normal")(first)
    am = ActivationModel(keras.Model(inputs, outputs), cache_bytes=0)
    batch = np.random.default_rng(0).random((1, 4, 5, 3), np.float32)
    batch[..., 1] = 0
    profile = depth_profile(am, [batch])
    place = profile.paths.index("normal")
    assert tuple(profile.shapes[place]) == (4, 5, 3)
    assert profile.inactive[place] == pytest.approx(1 / 3)


MAPS = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=4),
    elements=st.floats(-100, 100, width=16) | st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)


@settings(deadline=None, max_examples=60)
@given(MAPS)
def test_a_layer_s_numbers_are_numpy_s_over_what_is_finite(maps):
    with np.errstate(all="raise"):
        numbers = layer_statistics(maps)
    finite = maps[np.isfinite(maps)].astype(np.float64)
    assert numbers.not_finite == maps.size - finite.size
    assert numbers.zeros == pytest.approx((maps == 0).mean())
    assert numbers.inactive == pytest.approx((maps == 0).all(axis=(0, 1)).mean())
    if finite.size:
        assert numbers.mean == pytest.approx(finite.mean(), rel=1e-6, abs=1e-6)
    else:
        assert np.isnan(numbers.mean)


@pytest.mark.parametrize(("largest", "dtype"), [(6.5e4, np.float16), (3.4e38, np.float32)])
def test_values_that_overflow_when_summed_have_a_mean(largest, dtype):
    assert layer_statistics(np.full((2, 2, 2), largest, dtype)).mean == pytest.approx(largest, rel=1e-3)


def test_nothing_to_profile_is_refused_with_a_sentence(model):
    with pytest.raises(ValueError, match="at least one image"):
        depth_profile(ActivationModel(model), [])
    with pytest.raises(ImageError):
        plot_depth_profile(model, "no such file.png")


# ------------------------------------------------------------------ the drawing


def profile_of(inactive: Any, mean: Any = None, not_finite: Any = None) -> DepthProfile:
    count = len(inactive)
    shapes = np.array([(2 ** max(1, 8 - place), 2 ** max(1, 8 - place), 4) for place in range(count)])
    return DepthProfile(
        tuple(f"block_{place}/conv" for place in range(count)),
        shapes,
        np.asarray(inactive, float),
        zeros=np.asarray(inactive, float) / 2,
        mean=np.ones(count) if mean is None else np.asarray(mean, float),
        not_finite=np.zeros(count, int) if not_finite is None else np.asarray(not_finite),
        pictures=1,
    )


def bars(page, layout, row, ratio=1):
    """Return the height of each layer's bar in a row, in device pixels, in the middle of its column."""
    top = layout.plot.y
    first = (top + row * (ROW_HEIGHT + ROW_GAP)) * ratio
    area = page.indices[first : first + ROW_HEIGHT * ratio]
    heights = []
    for layer in range(layout.count):
        box = layout.column(layer)
        column = area[:, round((box.x + box.width / 2) * ratio)]
        heights.append(int(np.isin(column, [grey(STRONG), grey(FAINT)]).sum()))
    return heights


@pytest.mark.parametrize("ratio", [1, 2])
def test_bars_are_as_high_as_the_shares_say(ratio):
    profile = profile_of([0, 0.25, 0.5, 0.001])
    layout, page = profile_layout(profile, 600), draw_profile(profile, 600, ratio)
    full = ROW_HEIGHT * ratio
    assert bars(page, layout, 0, ratio) == [0, full // 2, full, 1]  # any share above 0 is visible
    assert bars(page, layout, 1, ratio) == [0, full // 2, full, 1]
    assert [text.text for text in page.texts[:6]] == ["inactive channels", "50 %", "0", "zeros", "25 %", "0"]


def test_means_of_both_signs_grow_from_a_common_line():
    profile = profile_of([0, 0, 0], mean=[3, -1, np.nan])
    layout, page = profile_layout(profile, 600), draw_profile(profile, 600)
    up, down, nothing = bars(page, layout, 2)
    assert (up, down, nothing) == (33 - 1, 11, 0)  # the common line takes one pixel


@pytest.mark.parametrize("count", [1, 3, 40, 700])
def test_any_number_of_layers_can_be_read_and_pointed_at(count):
    profile = profile_of(np.linspace(0, 1, count))
    for width in (360, 848, 1200):
        layout, page = profile_layout(profile, width), draw_profile(profile, width)
        assert page.indices.shape == (page.height, width)
        left, top, room, height = layout.plot
        assert left + room <= width
        for layer in {0, count // 2, count - 1}:
            middle = left + (layer + 0.5) * room / count
            assert layout.layer_at(middle, top + height / 2) == layer
            box = layout.column(layer)
            assert box.width >= 3
            assert box.x <= middle <= box.x + box.width
        assert layout.layer_at(left - 1, top + 5) is None
        assert layout.layer_at(left + room, top + 5) is None
        assert layout.layer_at(left + 1, top + height) is None
        names = [text for text in page.texts if text.y > top + height]
        assert names[0].text.startswith("block")
        ends = [text.x for text in names[1:]] + [width]
        assert all(end - text.x > 30 for text, end in zip(names, ends, strict=True))


def test_one_loud_layer_among_hundreds_is_seen():
    """Draw the highest bar, or a value that is not finite, in a pixel that stands for several layers."""
    inactive, not_finite = np.zeros(3000), np.zeros(3000, int)
    inactive[1234], not_finite[2222] = 1, 7
    profile = profile_of(inactive, not_finite=not_finite)
    page, top = draw_profile(profile), profile_layout(profile).plot.y
    drawn = page.indices[top : top + ROW_HEIGHT] == grey(STRONG)
    assert (drawn.sum(axis=0) == ROW_HEIGHT).sum() == 1
    assert (page.indices == NAN).any()
    assert not (draw_profile(profile_of(inactive)).indices == NAN).any()


def test_the_profile_is_told_in_words():
    profile = profile_of([0, 0.25, 0.125], mean=[1, np.nan, 2], not_finite=[0, 64, 0])
    words = profile_in_words(profile)
    assert "3 layers: most channels inactive in block_1/conv (25 %)" in words
    assert "NaN or infinite values in 1, first in block_1/conv" in words
    assert layer_in_words(profile, 1) == (
        "block_1/conv: 25 % of 4 channels inactive, 12.5 % zeros, no finite value, 128 × 128, "
        "64 values NaN or infinite"
    )
    assert "no channel inactive" in profile_in_words(profile_of([0, 0]))
    assert profile_in_words(profile_of([0])).startswith("1 layer:")


def test_means_as_large_as_float32_gets_are_drawn():
    profile = profile_of([0, 0], mean=[3.4e38, -3.4e38])
    with np.errstate(all="raise", under="ignore"):
        page = draw_profile(profile)
    assert bars(page, profile_layout(profile), 2)[1] == ROW_HEIGHT // 2


def test_the_figure_says_the_same(model, pictures):
    figure = plot_depth_profile(model, pictures)
    written = [text.get_text() for text in figure.axes[0].texts]
    silent = np.mean(
        [
            (maps["quiet"] == 0).all(axis=(0, 1))
            for maps in (forward(model, each) for each in pictures.values())
        ]
    )
    assert written[0] == f"{model.name} · depth profile"
    assert (
        f"3 layers, mean of 3 pictures: most channels inactive in quiet ({100 * silent:.3g} %)" in written[1]
    )
    assert plot_depth_profile(ActivationModel(model), pictures["one"], dark=True)._repr_png_()


# ------------------------------------------------------------------ in the widget


@pytest.fixture
def widget(model, pictures):
    widget = FeatureMapWidget(model, pictures)
    yield widget
    widget.close()


def test_it_is_drawn_when_it_is_asked_for_once_a_picture(widget, model, pictures, monkeypatch):
    panel = widget._screen.panels.profile
    assert (panel.box.layout.display, panel._view.png) == ("none", b"")
    widget._screen.controls.profile.value = True
    assert widget.profile
    assert panel.box.layout.display == "flex"
    first, forwards = panel._view.png, widget._am.stats.forwards
    monkeypatch.setattr(widget._am, "measure", lambda *_: pytest.fail("it was worked out again"))
    marks = set()
    for layer in ("small", "signed", "signed", "quiet@pre"):
        widget.layer = layer
        marks.add(tuple(panel._view.mark))
        assert (layer.split("@")[0] + ":") in panel._view.alt
    assert len(marks) == 3
    assert panel._view.png == first
    assert widget._am.stats.forwards == forwards + 1  # the maps before the activation
    monkeypatch.undo()
    widget.image = "two"
    assert panel._view.alt.startswith("Depth profile of two")
    maps = forward(model, pictures["two"])["quiet"]
    assert f"{100 * (maps == 0).mean():.3g} % zeros" in panel._view.alt
    widget.profile = False
    assert panel.box.layout.display == "none"


def test_it_follows_the_weights(widget, model):
    widget.profile = True
    kept = model.get_weights()
    try:
        model.set_weights([0 * array for array in kept])
        widget.refresh()
        assert "100 % of 6 channels inactive" in widget._screen.panels.profile._view.alt
    finally:
        model.set_weights(kept)


def test_a_layer_is_gone_to_by_click_and_key(widget):
    widget.profile = True
    view = widget._screen.panels.profile._view
    for layer in ("signed", "small", "quiet"):
        x, y, width, height = profile_layout(widget._screen.frame.profile).column(
            widget._screen.frame.profile.paths.index(layer)
        )
        view._receive(view, {"type": "click", "x": x + width / 2, "y": y + height / 2}, [])
        assert widget.layer == layer
    view._receive(view, {"type": "click", "x": 1, "y": 1}, [])
    assert widget.layer == "quiet"
    for place, layer in enumerate(widget._screen.frame.profile.paths):
        view._receive(view, {"type": "tile", "tile": place, "id": "a"}, [])
        assert widget.layer == layer
        x, _, width, _ = view.mark
        right, left = view.tiles["right"], view.tiles["x"]
        assert abs(left + (place + 0.5) * right - (x + width / 2)) <= 1, "where the browser put the mark"
    view._receive(view, {"type": "tile", "tile": 10_000, "id": "a"}, [])
    assert widget.layer == widget._screen.frame.profile.paths[-1]
    widget.profile = False
    view._receive(view, {"type": "tile", "tile": 0, "id": "a"}, [])
    assert widget.layer == layer, "what is not shown is not pointed at"


def test_the_layer_under_the_pointer_is_told(widget):
    widget.profile, widget.layer = True, "signed"
    view, profile = widget._screen.panels.profile._view, widget._screen.frame.profile
    assert view.readout == layer_in_words(profile, 2)
    x, y, width, _ = profile_layout(profile).column(0)
    view._receive(view, {"type": "hover", "x": x + width / 2, "y": y + 5, "id": "a"}, [])
    assert view.readout.startswith("quiet: ")
    view._receive(view, {"type": "hover", "id": "b"}, [])
    assert view.readout.startswith("signed: ")
    widget.layer = "small"
    assert view.readout.startswith("small: ")
