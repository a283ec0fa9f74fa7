"""The panels below the grid: their numbers and their text, against numpy."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fmwidget import FeatureMapWidget
from fmwidget.analysis.channel_stats import channel_statistics, pooled_scale
from fmwidget.analysis.channel_summary import channel_summary, layer_summary
from fmwidget.rendering.canvas import FAINT, grey
from fmwidget.rendering.feature_grid import draw_channel
from fmwidget.rendering.formatting import percent
from fmwidget.rendering.histogram import BINS, PLOT, STRIP, draw_histogram, histogram
from fmwidget.rendering.overlay import image_pixels, map_pixels, overlay_png
from fmwidget.rendering.palette import INACTIVE, NAN, palette
from fmwidget.rendering.sampling import Unit
from fmwidget.widget.panels.answer import answer_html, check_class_names, imagenet_names, score_vector
from fmwidget.widget.panels.maps import ChannelPanel, GridPanel
from fmwidget.widget.panels.numbers import NumbersPanel, numbers_html
from fmwidget.widget.selection import Selection
from tests.support.frames import compared

MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)


@settings(deadline=None, max_examples=60)
@given(MAPS)
def test_the_numbers_are_numpy_s_over_the_finite_values(maps):
    statistics = channel_statistics(maps)
    pairs = [(layer_summary(statistics), maps)]
    pairs += [(channel_summary(statistics, c), maps[..., c]) for c in range(maps.shape[-1])]
    for summary, values in pairs:
        finite = values[np.isfinite(values)].astype(np.float64)
        assert summary.nan == np.isnan(values).sum()
        assert summary.inf == np.isinf(values).sum()
        assert summary.zeros == pytest.approx(float((values == 0).mean()))
        found = [summary.min, summary.max, summary.mean, summary.std]
        if finite.size:
            expected = [finite.min(), finite.max(), finite.mean(), finite.std()]
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(finite).max())
        else:
            assert np.isnan(found).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [6e37, 1e-38])
def test_numbers_of_any_size_of_float32_are_summed(dtype, factor):
    maps = (factor * np.array([[[1.0, 3.0], [-1.0, 5.0]]])).astype(dtype)
    with np.errstate(all="raise"):
        summary = layer_summary(channel_statistics(maps))
    assert summary.mean == pytest.approx(2 * factor, rel=1e-6, abs=0)
    assert summary.std / factor == pytest.approx(np.std([1, 3, -1, 5]))


@pytest.mark.parametrize("norm", ["standardize", "channel", "shared", "symmetric"])
@pytest.mark.parametrize("extreme", [1.7e308, 1e200, 1e-200, 5e-324])
def test_float64_beyond_float32_raises_nothing(extreme, norm):
    maps = extreme * np.array([[-1.0, 1.0, 0.0], [1.0, 0.5, np.nan]]).reshape(3, 1, 2)
    statistics = channel_statistics(maps)
    with np.errstate(all="raise", under="ignore"):
        assert layer_summary(statistics).max == extreme
        for channel in (0, 1):
            assert channel_summary(statistics, channel).max <= extreme
            assert draw_histogram(statistics, channel, norm).composed().any()
            assert draw_channel(maps, channel, statistics, norm=norm).composed().any()


def test_a_histogram_counts_all_but_zeros():
    values = np.array([[0, 0, 0, 1], [2, 2, -2, np.nan], [np.inf, 0, 2, 0.5]], np.float32)
    spread = histogram(values)
    assert spread is not None
    counts, low, high = spread
    assert (low, high) == (-2, 2)
    expected, _ = np.histogram([1, 2, 2, -2, 2, 0.5], BINS, (-2, 2))
    assert np.array_equal(counts, expected)
    for one_value in (np.zeros((3, 3)), np.full((3, 3), 7.0), np.full((3, 3), np.nan)):
        assert histogram(one_value) is None


@pytest.mark.parametrize("norm", ["standardize", "channel", "shared", "symmetric"])
@pytest.mark.parametrize("ratio", [1, 2])
def test_bars_are_as_high_as_they_are_many(norm, ratio):
    values = np.repeat([0.0, 1.0, 2.0], [10, 4, 2]).reshape(4, 4, 1)
    page = draw_histogram(channel_statistics(values), 0, norm, ratio)
    bars = (page.area(PLOT) == grey(FAINT)).sum(axis=0)[:: 3 * ratio]
    assert bars.max() == bars[BINS // 2] == PLOT.height * ratio
    assert bars[-1] == PLOT.height * ratio // 2
    assert np.count_nonzero(bars) == 2


@pytest.mark.parametrize("extreme", [3.4e38, 1e-45])
def test_values_of_any_size_of_float32_are_drawn(extreme):
    maps = np.array([-extreme, extreme, 0, extreme], np.float32).reshape(2, 2, 1)
    spread = histogram(maps[:, :, 0])
    assert spread is not None
    assert (spread[0][0], spread[0][-1], spread[0].sum()) == (1, 2, 3)
    with np.errstate(all="raise", under="ignore"):
        bars = draw_histogram(channel_statistics(maps), 0, "channel").area(PLOT) == grey(FAINT)
    assert bars[:, 0].sum() == PLOT.height // 2
    assert bars[:, -1].sum() == PLOT.height


def test_what_is_not_finite_is_not_overlooked():
    maps = np.array([[[1.0, np.nan], [2.0, np.nan]]])
    statistics = channel_statistics(maps)
    layer = layer_summary(statistics)
    html = numbers_html({"channel 1": channel_summary(statistics, 1), "layer": layer})
    cells = [re.findall("<t[hd]([^>]*)>(.*?)</", row) for row in html.split("</tr>")[:3]]
    table = {names[1]: (ours, theirs) for names, ours, theirs in zip(*cells, strict=True)}
    loud = ' class="fmw-loud"'
    assert table[""] == ((' scope="row"', "channel 1"), (' scope="row"', "layer"))
    assert table["NaN"] == ((loud, "2"), (loud, "2"))
    assert table["mean"] == (("", "none"), ("", "1.5"))
    assert table["±inf"] == (("", "0"), ("", "0"))
    assert f'<th scope="col"{loud}>NaN</th>' in html


@pytest.fixture(name="frame", scope="module")
def plain_frame():
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((5, 6, 3)), keras.layers.Conv2D(4, 1, name="conv")])
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    widget = FeatureMapWidget(model, {"photo": image}, channel=2)
    yield widget._screen.frame
    widget.close()


OTHER = np.random.default_rng(1).normal(size=(5, 6, 4)).astype(np.float32)
HERE = Unit(2, 3, 1)


@pytest.mark.parametrize("side", ["a", "b", "difference"])
@pytest.mark.parametrize(
    ("panel", "place"), [(GridPanel, "channel 2  row 3  column 1"), (ChannelPanel, "(3, 1)")]
)
def test_under_the_pointer_both_sides_and_their_difference_are_read_out(frame, panel, place, side):
    shown = panel()
    shown.update(compared(frame, OTHER, side), Selection(HERE))
    line = shown.box.readout
    found = re.fullmatch(re.escape(place) + r"  A (\S+) · B (\S+) · A − B (\S+)", line)
    assert found
    numbers = [float(text.replace("−", "-")) for text in found.groups()]
    a, b = float(frame.maps[3, 1, 2]), float(OTHER[3, 1, 2])
    assert numbers == pytest.approx([a, b, a - b], rel=1e-3)
    shown.update(frame, Selection(HERE))
    assert np.float32(shown.box.readout.split()[-1]) == frame.maps[3, 1, 2]


@pytest.mark.parametrize("panel", [GridPanel, ChannelPanel])
def test_the_alternative_text_says_which_side_is_shown(frame, panel):
    shown = panel()
    shown.update(compared(frame, OTHER, "difference"), Selection())
    assert "A − B: cat − dog" in shown.box.alt
    shown.update(frame, Selection())
    assert "cat" not in shown.box.alt


def test_the_panels_of_maps_that_do_not_differ_say_equal(frame):
    shown = GridPanel()
    shown.update(compared(frame, frame.maps, "difference"), Selection())
    assert "4 channels, 4 of them equal. " in shown.box.alt
    assert shown.box.readout == "channel 2  equal: zero everywhere"


def table_of(panel):
    """Return the cells of each row of the numbers, by the name of the row."""
    rows = re.findall('<tr><th scope="row">(.*?)</th>(.*?)</tr>', panel.box.children[0].value)
    return {name: re.findall("<td.*?>(.*?)</td>", cells) for name, cells in rows}


@pytest.mark.parametrize(("side", "name"), [("a", "A"), ("b", "B"), ("difference", "A − B")])
def test_the_table_has_the_numbers_of_both_sides(frame, side, name):
    shown = NumbersPanel()
    shown.update(compared(frame, OTHER, side), Selection())
    table = table_of(shown)
    assert list(table) == ["A, channel 2", "B, channel 2", "A − B, channel 2", f"{name}, layer"]
    sides = {"A": frame.maps, "B": OTHER, "A − B": frame.maps - OTHER}
    for row, maps in sides.items():
        cells = [float(cell.replace("−", "-")) for cell in table[f"{row}, channel 2"][:4]]
        values = maps[..., 2].astype(np.float64)
        expected = [values.min(), values.max(), values.mean(), values.std()]
        assert cells == pytest.approx(expected, rel=1e-3, abs=1e-6)
    smallest, *_ = table[f"{name}, layer"]
    assert float(smallest.replace("−", "-")) == pytest.approx(sides[name].min(), rel=1e-3)
    shown.update(frame, Selection())
    assert list(table_of(shown)) == ["channel 2", "layer"]


def test_the_strip_below_the_histogram_has_the_colours_of_the_scale():
    maps = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6, 1)
    statistics, scale = channel_statistics(maps), pooled_scale([channel_statistics(3 * maps)])
    own, shared = (
        draw_histogram(statistics, 0, "channel", scale=given).area(STRIP)[0] for given in (None, scale)
    )
    assert (own[0], own[-1]) == (1, 218)  # the values in the middle of the first and the last pixel
    assert (shared[0], shared[-1]) == (0, 73)


def test_only_none_is_0_percent_and_only_all_is_100():
    shares = {0.0: "0 %", 1e-9: "<0.1 %", 0.125: "12.5 %", 0.9999: ">99.9 %", 1.0: "100 %"}
    assert {share: percent(share) for share in shares} == shares


def test_constant_channels_are_counted_in_the_title_and_the_alternative_text():
    model = keras.Sequential([keras.Input((4, 5, 3)), keras.layers.Conv2D(4, 1, name="conv")])
    kernel = np.zeros((1, 1, 3, 4), np.float32)
    kernel[..., 3] = 1
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    for bias, fact in (([0, 0, 0.5, 0], "inactive, 1 constant"), ([0, 0, 0, 0], "inactive")):
        model.set_weights([kernel, np.array(bias, np.float32)])
        inactive = 2 if any(bias) else 3
        widget = FeatureMapWidget(model, image)
        assert f": 4 channels, {inactive} of them {fact}. " in widget._screen.panels.grid.box.alt
        (facts,) = (text.get_text() for text in widget.figure().axes[0].texts if "Conv2D" in text.get_text())
        assert f" · {inactive} of 4 channels {fact} · " in facts
        widget.close()


def rows(html):
    """Return name, length of the bar and number of each row."""
    found = re.findall(r"<bdi>(.*?)</bdi>.*?width:([\d.]+)%.*?<span>(.*?)</span>", html)
    return [(name, float(length), text) for name, length, text in found]


def test_the_five_most_likely_classes_come_first():
    scores = np.array([0.05, 0.4, 0.0, 0.25, 0.1, 0.2], np.float32)
    html = answer_html(scores, ["a", "<b>", "c", "d", "e", "f"])
    assert rows(html) == [
        ("&lt;b&gt;", 40, "40 %"),
        ("d", 25, "25 %"),
        ("f", 20, "20 %"),
        ("e", 10, "10 %"),
        ("a", 5, "5 %"),
    ]
    assert "probabilities" in html
    assert rows(answer_html(scores, None))[0][0] == "class 1"


def test_scores_that_are_no_probabilities_are_not_called_so():
    for scores in ([0.9, 0.8], [-3.0, 7.5, 1.0], [0.3]):
        assert "probabilit" not in answer_html(np.array(scores), None)
    assert rows(answer_html(np.array([-2.5, 7.5, 0]), None)) == [
        ("class 1", 100, "7.5"),
        ("class 2", 25, "0"),
        ("class 0", 0, "−2.5"),
    ]
    assert rows(answer_html(np.array([0.3]), ["no", "yes"])) == [("yes", 30, "0.3")]
    assert "1 of 2 scores" in answer_html(np.array([0.3, np.nan]), None)


def test_one_vector_is_found_in_what_a_model_returns():
    vector = np.ones(4, np.float16)
    found: list[Any] = [vector, [vector], {"y": vector}, {"y": (vector,)}]
    for outputs in found:
        scores: Any = score_vector(outputs)
        assert np.array_equal(scores, vector)
    others: list[Any] = [np.ones((2, 2, 4)), [vector, vector], {"a": vector, "b": vector}, np.ones(()), None]
    for outputs in others:
        assert score_vector(outputs) is None


def test_class_names_that_do_not_fit_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"a name for each score .*Received 3 names for 4 scores"):
        check_class_names(["a", "b", "c"], np.ones(4))
    with pytest.raises(ValueError, match="does not return one vector"):
        check_class_names(["a"], np.ones((2, 2, 4)))
    with pytest.raises(TypeError, match="Received str"):
        check_class_names("abcd", np.ones(4))
    check_class_names(["no", "yes"], np.ones(1))


def test_imagenet_s_names_are_taken_only_from_what_keras_has_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert imagenet_names() is None
    index = tmp_path / "models" / "imagenet_class_index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({str(each): [f"n{each}", f"great_{each}"] for each in range(1000)}))
    names = imagenet_names()
    assert names is not None
    assert (len(names), names[0], names[999]) == (1000, "great 0", "great 999")
    for damaged in ("", "{}", '{"0": 1}', "[]"):
        index.write_text(damaged)
        assert imagenet_names() is None


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_map_lies_over_the_same_part_of_the_picture():
    """Check that each value of a map of 2 by 3 covers a half by a third of an image of 12 by 12."""
    picture = np.random.default_rng(3).integers(0, 256, (12, 12, 3), np.uint8)
    over = np.random.default_rng(4).integers(0, 256, (2, 3, 3), np.uint8)
    for opacity in (0, 37, 100):
        seen = pixels(overlay_png(picture, over, opacity)).astype(float)
        for y in range(12):
            for x in range(12):
                expected = picture[y, x] * (1 - opacity / 100) + over[y // 6, x // 4] * (opacity / 100)
                assert np.abs(seen[y, x] - expected).max() <= 0.51
    assert np.array_equal(pixels(overlay_png(picture, None, 100)), picture)


def test_a_map_finer_than_the_picture_is_averaged_not_dropped():
    over = np.zeros((8, 4, 3), np.uint8)
    over[::2] = 200
    seen = pixels(overlay_png(np.zeros((4, 8, 3), np.uint8), over, 100))
    assert np.array_equal(seen, np.full((4, 8, 3), 100))


def test_a_map_keeps_its_colours_and_marks_over_the_picture():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[..., 0] = np.array([[0, 1], [np.nan, 0.5]])
    colours = palette("magma")
    seen = map_pixels(maps, channel_statistics(maps), 0, "channel", colours)
    assert np.array_equal(seen, colours[np.array([[0, 219], [NAN, 110]])])
    silent = map_pixels(maps, channel_statistics(maps), 1, "channel", colours)
    assert (silent == colours[INACTIVE]).all()


@pytest.mark.parametrize(("size", "ratio", "shown"), [((20, 30), 1, (200, 300)), ((600, 300), 2, (600, 300))])
def test_the_picture_is_shown_in_its_own_proportions(size, ratio, shown):
    seen = np.random.default_rng(0).random((1, *size, 3), np.float32)
    picture = image_pixels(seen, "unit", "channels_last", ratio)
    assert picture.shape[:2] == shown
    assert np.abs(picture.mean(axis=(0, 1)) - 255 * seen.mean(axis=(0, 1, 2))).max() < 2


def test_gaps_in_bands_are_counted_beside_the_image():
    model = keras.Sequential([keras.Input((8, 9, 5)), keras.layers.Conv2D(2, 1, name="conv")])
    bands = np.full((8, 9, 5), 0.5, "float32")
    bands[0, :2, 3] = np.nan, np.inf
    bands[1, 1, 0] = -2
    widget = FeatureMapWidget(model, {"gaps": bands, "void": np.full_like(bands, np.nan)})
    title = widget._screen.panels.input.box.children[0].children[0]
    assert title.value.endswith("1 × 8 × 9 × 5, values −2 to 0.5, 2 not finite</div>")
    widget.image = "void"
    assert title.value.endswith("1 × 8 × 9 × 5, no finite value, 360 not finite</div>")
    widget.close()
