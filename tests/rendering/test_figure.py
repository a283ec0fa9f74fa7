"""Pages of feature maps, read back from the encoded bytes."""

from __future__ import annotations

import base64
import io
import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure, select_figure_formats
from PIL import Image

from fmwidget.analysis.channel_stats import channel_statistics, pooled_scale
from fmwidget.rendering import text
from fmwidget.rendering.canvas import stack
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.figure import feature_figure
from fmwidget.rendering.formatting import MINUS, nice_ticks, tick_labels
from fmwidget.rendering.grid_layout import grid_layout
from fmwidget.rendering.palette import cmap_for, encode_png, palette
from fmwidget.rendering.sampling import refine
from fmwidget.widget.controls.trait_controls import CMAPS

COUNTS = [1, 3, 8, 15, 16, 17, 24, 1000, 1280, 2048]
STEPS = (
    220  # indices below are levels, from there on greys, then NaN, +inf, -inf and the fill of inactive maps
)
NAN, POSINF, NEGINF, INACTIVE = 252, 253, 254, 255


def random_maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def grid(maps, norm="standardize", *, page=0, ratio=1, path="block/conv", drawn=(), **layout):
    return draw_grid(
        grid_layout(maps.shape, **layout),
        maps,
        channel_statistics(maps),
        path=path,
        type_name="Conv2D",
        norm=norm,
        page=page,
        ratio=ratio,
        **dict(drawn),
    )


def channel_page(maps, channel, norm="standardize", **settings):
    return draw_channel(maps, channel, channel_statistics(maps), norm=norm, **settings)


def sent(page, cmap="viridis"):
    """Decode palette indices from the PNG's bytes."""
    picture = Image.open(io.BytesIO(encode_png(page.composed(), palette(cmap), page.ratio)))
    assert picture.mode == "P"
    return np.array(picture)


def rgb(png):
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def lines(page):
    return [each.text for each in page.texts]


def runs(mask):
    """Return first and past-the-last positions of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def found_tiles(indices, ratio=1):
    """Find tiles by their colours alone, in reading order: `(top, left, indices)` below the header."""
    top = 42 * ratio
    mapped = indices[top:] < STEPS
    tiles = []
    for first, last in runs(mapped.any(axis=1)):
        for left, right in runs(mapped[first:last].any(axis=0)):
            tiles.append((top + first, left, indices[top + first : top + last, left:right]))
    return tiles


def brute_force_means(values, side):
    height, width = values.shape
    return np.array(
        [
            [values[y : y + side, x : x + side].mean() for x in range(0, width, side)]
            for y in range(0, height, side)
        ]
    )


def level_of(indices):
    return indices.astype(float) * 255 / (STEPS - 1)


# ------------------------------------------------------------------ every channel, once, in its place


def numbered_maps(count):
    """Build maps of 2 by 7 that spell their channel's index in binary, after a one and a zero."""
    digits = (np.arange(count)[:, np.newaxis] >> np.arange(12)) & 1
    spelled = np.concatenate([np.full((count, 1), 1), np.full((count, 1), 0), digits], axis=1)
    return np.moveaxis(spelled.reshape(count, 2, 7), 0, -1).astype(np.float32)


def spelled_number(tile):
    height, width = tile.shape
    values = tile[[height // 4, height * 3 // 4]][:, ((np.arange(7) + 0.5) * width / 7).astype(int)].ravel()
    assert (values[0], values[1]) == (STEPS - 1, 0)
    return int(((values[2:] > 0) << np.arange(12)).sum())


@pytest.mark.parametrize("count", COUNTS)
def test_every_channel_is_drawn_once_in_order_across_pages(count):
    maps = numbered_maps(count)
    seen = []
    for page in range(grid_layout(maps.shape).pages):
        tiles = found_tiles(sent(grid(maps, "channel", page=page)))
        assert len(tiles) <= 128
        seen += [spelled_number(tile) for _, _, tile in tiles]
    assert seen == list(range(count))


def test_one_page_of_all_channels_and_any_order():
    maps = numbered_maps(300)
    order = np.random.default_rng(1).permutation(300)[:290].tolist()
    page = grid(maps, "channel", max_rows=None, order=order, ncols=13)
    assert [spelled_number(tile) for _, _, tile in found_tiles(sent(page))] == order
    labels = [int(line) for line in lines(page) if line.isdecimal()]
    assert labels == order


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    count=st.integers(1, 2100),
    ncols=st.integers(1, 70),
    page_width=st.integers(200, 2000),
    max_rows=st.none() | st.integers(1, 12),
    ratio=st.integers(1, 4),
)
def test_tiles_cover_all_channels_and_nothing_else(
    *, height, width, count, ncols, page_width, max_rows, ratio
):
    layout = grid_layout((height, width, count), width=page_width, ncols=ncols, max_rows=max_rows)
    listed = [channel for page in range(layout.pages) for channel in layout.channels(page)]
    assert listed == list(range(count))
    assert layout.columns <= min(ncols, count)
    tile_width, tile_height = layout.tile
    assert min(layout.tile) >= 4
    # Up to whole blocks and a visible minimum thickness, the tile has the map's proportions.
    if min(tile_width, tile_height) > 8:
        assert tile_width * height == pytest.approx(tile_height * width, rel=1 / 8)
    for page in range(layout.pages):
        boxes = [layout.tile_box(channel) for channel in layout.channels(page)]
        assert all(
            x >= 8 and y > 42 and x + w <= page_width - 8 and y + h < layout.height for x, y, w, h in boxes
        )
        # Row by row from left to right: each keeps clear of the one before and the row above.
        for one, next_one in itertools.pairwise(boxes):
            assert next_one.x >= one.x + tile_width + 2 or next_one.y >= one.y + tile_height + 2
        for channel, (x, y, w, h) in zip(layout.channels(page), boxes, strict=True):
            assert layout.page_of(channel) == page
            assert layout.channel_at(x + w / 2, y + h / 2, page) == channel
            assert layout.channel_at(x, y - 10, page) == channel  # its label
            assert layout.channel_at(x - 1, y, page) is None
    last = layout.tile_box(count - 1)
    assert layout.channel_at(last.x + layout.pitch[0], last.y, layout.pages - 1) is None
    # At more device pixels the tile never outgrows its box, and shows no fewer values.
    finer = refine(layout.sampling, height, width, ratio)
    assert finer.shrink <= layout.sampling.shrink
    assert math.ceil(width / finer.shrink) * finer.columns <= tile_width * ratio
    assert math.ceil(height / finer.shrink) * finer.rows <= tile_height * ratio


def test_a_page_is_one_screen_and_at_848_pixels_a_grid_of_16_fits():
    for side in (1, 7, 14, 28, 36, 56, 74, 112, 148, 224, 512):
        layout = grid_layout((side, side, 512))
        assert (layout.columns, layout.width) == (16, 848)
        assert 1 <= layout.rows <= 8
        assert layout.height <= 640
    assert grid_layout((600, 40, 512)).rows < 8


@pytest.mark.parametrize(
    "maps", [(7, 7, 2048), (30, 30, 1280), (7, 7, 64), (1, 512, 40), (512, 1, 40), (5, 5, 1)]
)
@pytest.mark.parametrize("ncols", [4, 16, 61])
def test_text_keeps_clear_of_tiles_other_text_and_the_edge(maps, ncols):
    maps = random_maps(*maps)
    maps[:, :, ::3] = 0
    for norm in ("standardize", "shared"):
        page = grid(maps, norm, ncols=ncols, page=grid_layout(maps.shape, ncols=ncols).pages - 1)
        paper = page.indices == STEPS
        composed = page.composed()
        np.testing.assert_array_equal(composed[~paper], page.indices[~paper])
        assert ((composed >= STEPS) & (composed < NAN))[paper].all()
        by_line: dict[float, list[tuple[float, float]]] = {}
        for each in page.texts:
            wide = text.text_width(each.text, each.size, bold=each.bold)
            left = each.x - {"left": 0, "center": wide / 2}[each.align]
            assert left >= 8 - 1
            assert left + wide <= page.width
            by_line.setdefault(each.y, []).append((left, left + wide))
        for spans in by_line.values():
            spans.sort()
            assert all(right < left for (_, right), (left, _) in itertools.pairwise(spans))


# ------------------------------------------------------------------ pixels are values


@pytest.mark.parametrize(
    ("shape", "ratio", "fact"),
    [
        ((7, 5, 20), 1, "each value is 10×10 pixels"),
        ((7, 5, 20), 2, "each value is 10×10 pixels"),
        ((100, 140, 18), 1, "tiles at ⅓ size (mean of 3×3)"),
        ((100, 140, 18), 2, "tiles at ⅓ size (mean of 3×3)"),
        ((56, 56, 16), 1, "tiles at ½ size (mean of 2×2)"),
        ((56, 56, 16), 2, "tiles at ½ size (each value drawn)"),
    ],
)
def test_every_pixel_of_a_tile_is_the_mean_of_its_values(shape, ratio, fact):
    maps = random_maps(*shape)
    low, high = float(maps.min()), float(maps.max())
    page = grid(maps, "shared", ratio=ratio)
    tiles = found_tiles(sent(page), ratio)
    assert len(tiles) == shape[2]
    side = int(fact[-2]) if "mean" in fact else 1
    for channel, (_, _, tile) in enumerate(tiles):
        means = brute_force_means(maps[:, :, channel], side)
        scale = tile.shape[0] // means.shape[0]
        assert tile.shape == (means.shape[0] * scale, means.shape[1] * scale)
        expected = (means.repeat(scale, axis=0).repeat(scale, axis=1) - low) / (high - low) * 255
        assert np.abs(level_of(tile) - expected).max() <= 1.2
    assert tile.shape[1] <= 50 * ratio
    assert any(fact in line for line in lines(page))


def test_inactive_constant_and_not_finite_maps_are_told_apart():
    maps = random_maps(6, 6, 5)
    maps[:, :, 1] = 0
    maps[:, :, 2] = 0.25
    maps[1, 1, 3], maps[2, 2, 3], maps[2, 3, 3], maps[5, 5, 4] = np.nan, np.inf, np.inf, -np.inf
    layout = grid_layout(maps.shape)
    page = grid(maps)
    indices = sent(page)

    def tile(channel):
        x, y, width, height = layout.tile_box(channel)
        return indices[y : y + height, x : x + width]

    assert (tile(0) < STEPS).all()
    inactive = tile(1)
    assert not (inactive < STEPS).any()
    assert (inactive == INACTIVE).sum() > inactive.size / 2
    assert ((inactive >= STEPS) & (inactive < NAN)).any(axis=1).all()  # a stroke crosses it
    np.testing.assert_allclose(level_of(tile(2)), 128, atol=1)
    for channel, index, count in ((3, NAN, 1), (3, POSINF, 2), (4, NEGINF, 1)):
        share = (tile(channel) == index).mean()
        assert share == pytest.approx(count / 36)
    assert {"1", "inactive", "1 NaN", "2 +inf", "1 −inf"} <= set(lines(page))
    assert "inactive" not in lines(grid(random_maps(6, 6, 5)))
    assert any("1 of 5 channels inactive, 1 constant · " in line for line in lines(page))
    assert not any("constant" in line for line in lines(grid(random_maps(6, 6, 5))))
    for legend in (NAN, POSINF, NEGINF):
        assert (indices[:42] == legend).sum() == 81


@pytest.mark.parametrize(("width", "in_legend"), [(848, False), (360, True)])
def test_inactive_tiles_say_so_or_the_legend_does(width, in_legend):
    maps = random_maps(7, 7, 7)
    maps[:, :, 4:6] = 0
    page = grid(maps, width=width)
    labels = [line for line in lines(page) if line == "inactive"]
    assert len(labels) == (1 if in_legend else 2)
    assert (page.indices[:42] == INACTIVE).any() == in_legend


@pytest.mark.parametrize("mark", [np.nan, np.inf, -np.inf])
def test_one_marked_value_shows_in_a_shrunk_tile(mark):
    maps = random_maps(148, 148, 16)
    maps[70, 91, 5] = mark
    tiles = sent(grid(maps))[42:]
    assert {NAN, POSINF, NEGINF} & set(np.unique(tiles)) == {
        {"nan": NAN, "inf": POSINF, "-inf": NEGINF}[str(mark)]
    }


# ------------------------------------------------------------------ colour bars


def parse(label):
    return float(label.replace(MINUS, "-"))


def read_bar(page, *, vertical):
    """Return the value of each tick, and the level of the bar beside it."""
    indices, ratio = page.indices, page.ratio
    ticks = []
    for each in page.texts:
        try:
            value = parse(each.text)
        except ValueError:
            continue
        if vertical and each.x > page.width - 100:
            row = round((each.y - 0.36 * each.size) * ratio)
            column = int(each.x - 8) * ratio
            ticks.append((value, level_of(indices[row, column])))
        elif not vertical and each.align == "center":
            ticks.append((value, level_of(indices[8 * ratio, round(each.x * ratio)])))
    return ticks


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1, 777, 1e30])
@pytest.mark.parametrize("ratio", [1, 2])
def test_ticks_stand_at_the_colour_of_their_activation(scale, ratio):
    maps = random_maps(8, 8, 20) * np.float32(scale)
    maps[:, :, 3] *= 0.1
    for norm in ("shared", "symmetric"):
        largest = float(np.abs(maps).max())
        low, high = (-largest, largest) if norm == "symmetric" else (float(maps.min()), float(maps.max()))
        bars = [read_bar(grid(maps, norm, ratio=ratio), vertical=False)]
        bars += [read_bar(channel_page(maps, 3, norm, ratio=ratio), vertical=True)]
        for ticks in bars:
            assert len(ticks) >= 3
            for value, level in ticks:
                assert value == pytest.approx(low + level / 255 * (high - low), abs=(high - low) / 80)
    one = maps[:, :, 3].astype(float)
    for value, level in read_bar(channel_page(maps, 3, ratio=ratio), vertical=True):
        expected = np.clip(128 + (value - one.mean()) / one.std() * 64, 0, 255)
        assert level == pytest.approx(expected, abs=64 / 10)


@pytest.mark.parametrize("norm", ["standardize", "channel"])
def test_a_channel_s_bar_holds_its_values_and_no_others(norm):
    maps = np.maximum(random_maps(12, 12, 2), 0)  # as behind a ReLU: its mean less two deviations is below 0
    maps[0, 0, 0] = 5  # and far above all others
    page = channel_page(maps, 0, norm)
    ticks = read_bar(page, vertical=True)
    assert min(value for value, _ in ticks) == 0
    assert max(value for value, _ in ticks) == 5
    _, _, bar = found_tiles(sent(page))[-1]  # right of the map
    bar = bar[:, 0]
    assert level_of(bar[0]) == 255
    if norm == "standardize":
        values = maps[:, :, 0].astype(float)
        assert level_of(bar[-1]) == pytest.approx(128 - values.mean() / values.std() * 64, abs=2)
        assert level_of(bar[-1]) > 20


@pytest.mark.parametrize(
    ("norm", "has_bar"), [("standardize", 0), ("channel", 0), ("shared", 1), ("symmetric", 1)]
)
def test_a_page_has_a_colour_bar_only_where_it_is_true_of_all_tiles(norm, has_bar):
    page = grid(random_maps(8, 8, 20), norm)
    assert (len(np.unique(page.indices[:42][page.indices[:42] < STEPS])) > 200) == has_bar
    assert not (grid(np.zeros((4, 4, 3)), norm).indices[:42] < STEPS).any()  # nothing to scale


@settings(max_examples=300, deadline=None)
@given(
    low=st.floats(-1e30, 1e30),
    span=st.floats(1e-30, 1e30),
    most=st.integers(2, 8),
)
def test_ticks_are_few_even_round_and_told_apart(low, span, most):
    high = low + span
    if not high - low > 1e-4 * max(abs(low), abs(high)):
        return
    ticks = nice_ticks(low, high, most)
    assert 2 <= len(ticks) <= most
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks)
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-6)
    labels = tick_labels(ticks)
    assert len(set(labels)) == len(labels)
    for tick, label in zip(ticks, labels, strict=True):
        assert parse(label) == pytest.approx(tick, abs=0.05 * (ticks[1] - ticks[0]))


# ------------------------------------------------------------------ one scale, and both sides of a comparison


def scale_of(*steps):
    return pooled_scale([channel_statistics(maps) for maps in steps])


@pytest.mark.parametrize("norm", ["standardize", "channel", "shared", "symmetric"])
def test_under_one_scale_a_map_that_is_half_as_strong_is_seen_to_be(norm):
    strong = np.maximum(random_maps(8, 8, 3), 0)
    scale = scale_of(strong, strong / 2)
    alone, together = (grid(strong / 2, norm, drawn={"scale": given}) for given in (None, scale))
    same = grid(strong, norm)
    means = [found_tiles(sent(page))[1][2].mean() for page in (same, alone, together)]
    assert means[0] == means[1], "by a scale of its own each looks the same"
    assert means[2] < means[0] - 5


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("norm", ["shared", "symmetric"])
def test_the_bar_of_a_page_is_of_the_scale(norm, ratio):
    maps = random_maps(8, 8, 4)
    scale = scale_of(maps, 10 * maps)
    ticks = read_bar(grid(maps, norm, ratio=ratio, drawn={"scale": scale}), vertical=False)
    own = read_bar(grid(maps, norm, ratio=ratio), vertical=False)
    assert max(value for value, _ in ticks) > 5 * max(value for value, _ in own)
    low, high = float(scale.min.min()), float(scale.max.max())
    if norm == "symmetric":
        low, high = -max(-low, high), max(-low, high)
    for value, level in ticks:
        assert level == pytest.approx((value - low) / (high - low) * 255, abs=4)


@pytest.mark.parametrize("norm", ["standardize", "channel"])
def test_the_bar_of_a_channel_is_as_long_at_all_steps_of_a_scale(norm):
    steps = [np.maximum(random_maps(8, 8, 2, seed=seed), 0) * (seed + 1) for seed in range(3)]
    steps.append(np.full((8, 8, 2), 2.0))  # a constant map has its place on the scale, so there is a bar
    scale = scale_of(*steps)
    bars = [read_bar(channel_page(maps, 1, norm, scale=scale), vertical=True) for maps in steps]
    assert all(bar == bars[0] for bar in bars)
    assert bars[0][0][0] == 0


def test_a_page_says_whose_scale_and_whose_maps_it_shows():
    words = {"scale_note": "one scale for all steps", "notes": ("epoch 12", "A: cat")}
    page = grid(random_maps(8, 8, 20), drawn=words)
    title, notes, facts = page.texts[:3]
    assert (title.text, notes.text) == ("block/conv", "epoch 12 · A: cat")
    assert notes.y == title.y
    assert notes.x > title.x + text.text_width(title.text, title.size, bold=True)
    assert facts.text.split(" · ")[2:4] == ["0 of 20 channels inactive", "one scale for all steps"]
    page = channel_page(random_maps(8, 8, 20), 7, **words)
    assert lines(page)[:2] == ["channel 7", "epoch 12 · A: cat"]
    assert " · one scale for all steps" in lines(page)[2]


@pytest.mark.parametrize("width", [200, 360, 848])
@pytest.mark.parametrize("norm", ["standardize", "shared"])
@pytest.mark.parametrize("path", ["a", "a_very_long_backbone/with_a_long_block_in_it/and_a_layer/conv@2"])
@pytest.mark.parametrize(
    "note", ["epoch 3", "A − B: the first of two long names − the second of two long names"]
)
def test_title_and_notes_share_the_line_and_overlap_nothing(width, norm, path, note):
    page = grid(random_maps(8, 8, 20), norm, path=path, width=width, drawn={"notes": (note,)})
    title, notes = (each for each in page.texts if each.y == 17)
    assert title.text
    assert notes.text
    assert title.x + text.text_width(title.text, title.size, bold=True) < notes.x
    end = notes.x + text.text_width(notes.text, notes.size)
    bar = np.flatnonzero(page.indices[4] < STEPS) if norm == "shared" else [width]
    assert end <= bar[0]
    if width == 848 and path == "a":
        assert (title.text, notes.text) == (path, note) or norm == "shared"


@pytest.mark.parametrize("count", [3, 200])
def test_a_difference_that_is_zero_everywhere_is_equal_not_inactive(count):
    maps = random_maps(4, 4, count)
    maps[:, :, 1] = 0
    words = " ".join(lines(grid(maps, drawn={"inactive_word": "equal"})))
    assert "inactive" not in words
    assert f"1 of {count} channels equal" in words
    # The word is at the tile, or where that is too small in the legend.
    assert words.count("equal") == 2
    assert lines(channel_page(maps, 1, inactive_word="equal"))[1].startswith("equal: zero everywhere")
    assert "inactive" in " ".join(lines(grid(maps)))


# ------------------------------------------------------------------ one channel


def test_a_channel_is_drawn_large_and_says_its_range():
    maps = random_maps(20, 30, 4) * 1000
    for ratio in (1, 2):
        page = channel_page(maps, 2, "channel", ratio=ratio)
        tile = found_tiles(sent(page), ratio)[0][2]
        assert tile.shape == (200 * ratio, 300 * ratio)
        values = maps[:, :, 2]
        expected = (values - values.min()) / (values.max() - values.min()) * 255
        drawn = level_of(tile[5 * ratio :: 10 * ratio, 5 * ratio :: 10 * ratio])
        assert np.abs(drawn - expected).max() <= 1.2
    title, *_ = lines(page)
    assert title == "channel 2"
    facts = next(line for line in lines(page) if line.startswith("min"))
    low, high = (parse(part.split()[1]) for part in facts.split(" · ")[:2])
    np.testing.assert_allclose([low, high], [values.min(), values.max()], rtol=1e-3)


def test_the_page_of_a_channel_is_as_large_for_all_maps_unless_tight():
    shapes = [(7, 7, 1), (1, 1, 1), (148, 148, 1), (1, 600, 1), (600, 1, 1), (1000, 900, 1)]
    sizes = {channel_page(random_maps(*shape), 0).indices.shape for shape in shapes}
    assert len(sizes) == 1
    tight = channel_page(random_maps(20, 30, 1), 0, box=300, tight=True)
    assert tight.height == 42 + 200 + 8


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0, "inactive: zero everywhere"),
        (0.5, "0.5 everywhere"),
        (1 / 3, "0.3333 everywhere"),  # whose standard deviation is rounded to more than 0
        (np.nan, "no finite value"),
    ],
)
def test_a_channel_with_nothing_to_scale_says_so(value, says):
    for norm in ("standardize", "channel"):
        page = channel_page(np.full((7, 7, 2), value), 1, norm)
        assert any(says in line for line in lines(page))
        assert len(np.unique(page.indices[page.indices < STEPS])) <= 1  # no colour bar


# ------------------------------------------------------------------ colours and bytes


def test_colormap_and_theme_change_the_palette_only():
    page = grid(random_maps(8, 8, 30))
    indices = page.composed()
    for cmap in ("viridis", "gray", "RdBu_r"):
        for dark in (False, True):
            colours = palette(cmap, dark=dark)
            shown = rgb(encode_png(indices, colours))
            np.testing.assert_array_equal(shown, colours[indices])
            exact = mpl.colormaps[cmap](level_of(np.arange(STEPS)) / 255)[:, :3] * 255
            assert np.abs(colours[:STEPS] - exact).max() <= 1


def luminance(colours):
    linear = np.where(colours <= 10, colours / 3294.6, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_legible(dark):
    colours = palette("viridis", dark=dark)
    maps = random_maps(5, 5, 9)
    maps[:, :, 4] = 0
    page = grid(maps, "shared")
    paper = luminance(colours[STEPS])
    assert len({each.ink for each in page.texts}) == 3
    for each in page.texts:
        ink = luminance(colours[STEPS + round(each.ink * 31)])
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5  # WCAG AA


# Viénot, Brettel and Mollon (1999): linear RGB as seen without red or green cones.
COLOUR_BLIND = {
    "none": np.eye(3),
    "protanopia": np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.0040, -0.0040, 1]]),
    "deuteranopia": np.array([[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]]),
}


def lab(colours, blindness):
    linear = np.where(colours <= 10, colours / 3294.6, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ COLOUR_BLIND[blindness].T, 0, 1)
    xyz = linear @ np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]).T
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("blindness", COLOUR_BLIND)
@pytest.mark.parametrize("cmap", [*CMAPS, "plasma"])
def test_marks_stand_apart_from_the_colormap_to_everyone(cmap, blindness):
    seen = lab(palette(cmap).astype(float), blindness)
    marks = seen[NAN : NEGINF + 1]
    for place, mark in enumerate(marks):
        others = np.concatenate([seen[:STEPS], np.delete(marks, place, axis=0)])
        assert np.linalg.norm(others - mark, axis=1).min() > 15  # 2.3 is just noticeable


def test_a_symmetric_norm_is_drawn_in_a_diverging_colormap():
    assert cmap_for("symmetric", "viridis") == "RdBu_r"
    assert cmap_for("symmetric", "PuOr_r") == "PuOr_r"
    assert cmap_for("shared", "viridis") == "viridis"
    with pytest.raises(ValueError, match=r"Unknown colormap 'virids'.*'viridis'"):
        palette("virids")


def photograph_maps(channels=128, side=50):
    """A photograph, convolved and rectified."""
    file = Path(mpl.get_data_path(), "sample_data", "grace_hopper.jpg")
    photograph = np.asarray(Image.open(file).resize((side + 2, side + 2)), np.float32) / 255
    kernels = np.random.default_rng(0).normal(size=(3, 3, 3, channels)).astype(np.float32)
    shifts = itertools.product(range(3), range(3))
    return np.maximum(sum(photograph[y : y + side, x : x + side] @ kernels[y, x] for y, x in shifts), 0)


def test_a_page_of_128_maps_is_light():
    page = grid(photograph_maps())
    assert (page.indices < STEPS).sum() > 200_000  # by far the most of it is tiles, of a byte a pixel
    assert len(encode_png(page.composed(), palette())) <= 200_000


# ------------------------------------------------------------------ text from outside


def test_names_from_outside_are_shown_as_they_are_without_a_warning():
    name = "블록/$x_1^$\u202e\x00\n<b>\\frac{conv"
    page = grid(random_maps(3, 3, 2), path=name)
    title = lines(page)[0]
    assert title.endswith("/$x_1^$ <b>\\frac{conv")
    assert len(title) == len("블록/$x_1^$ <b>\\frac{conv")
    feature_figure(page)._repr_png_()
    long = grid(random_maps(3, 3, 2), "shared", path="backbone/" * 200 + "conv")
    title = next(line for line in lines(long) if line.endswith("conv"))
    assert title.startswith("backbone/")
    assert title.endswith("/conv")
    assert "…" in title


def test_characters_no_font_has_become_question_marks():
    assert text.printable("a\N{TAG SPACE}\x07é\U0010ffff") == "aé?"


# ------------------------------------------------------------------ figures


@pytest.mark.parametrize("ratio", [1, 2])
def test_agg_draws_the_tiles_of_the_png(ratio):
    maps = random_maps(20, 24, 40)
    maps[:, :, 3], maps[2, 2, 4] = 0, np.nan
    page = grid(maps, "shared", ratio=ratio)
    figure = feature_figure(page, cmap="magma", dark=True)
    agg = rgb(figure._repr_png_())
    png = rgb(encode_png(page.composed(), palette("magma", dark=True), ratio))
    assert agg.shape == png.shape
    pixels = page.indices != STEPS
    np.testing.assert_array_equal(agg[pixels], png[pixels])
    assert (np.abs(agg.astype(int) - png).max(axis=2) > 60).mean() < 0.02  # text, hinted otherwise
    assert lines(page) == [each.get_text() for each in figure.axes[0].texts]


def test_the_chosen_channel_is_framed_outside_its_tile():
    maps = random_maps(9, 9, 20)
    layout, page = grid_layout(maps.shape), grid(maps)
    plain = rgb(feature_figure(page)._repr_png_()).astype(int)
    framed = rgb(feature_figure(page, selected=layout.tile_box(18))._repr_png_()).astype(int)
    changed = np.argwhere((plain != framed).any(axis=2))
    x, y, width, height = layout.tile_box(18)
    assert changed.min(axis=0) == pytest.approx([y, x], abs=3)
    assert changed.max(axis=0) == pytest.approx([y + height, x + width], abs=3)
    np.testing.assert_array_equal(*(each[y : y + height, x : x + width] for each in (plain, framed)))


def display(figure, *, inline):
    """Return a notebook's output for a figure at the end of a cell."""

    class Shell:
        display_formatter = DisplayFormatter()

    if inline:
        select_figure_formats(Shell, {"png"})
    data, _ = Shell.display_formatter.format(figure)
    return data


@pytest.mark.parametrize("inline", [False, True])
def test_a_figure_shows_itself_once_in_a_notebook_and_is_not_cropped(inline):
    import matplotlib.pyplot as plt

    page = grid(random_maps(9, 9, 20))
    data = display(feature_figure(page), inline=inline)
    assert set(data) == {"image/png", "text/plain"}
    png = data["image/png"]
    if isinstance(png, str):
        png = base64.b64decode(png)
    shown = rgb(png)
    pixels = page.indices != STEPS
    np.testing.assert_array_equal(shown[pixels], palette()[page.indices[pixels]])
    assert plt.get_fignums() == []  # else the inline backend would show it again


def test_settings_of_other_figures_do_not_reach_ours():
    page = grid(random_maps(9, 9, 20))
    plain = feature_figure(page)._repr_png_()
    with mpl.rc_context(
        {
            "savefig.bbox": "tight",
            "figure.autolayout": True,
            "figure.dpi": 50,
            "text.usetex": True,
            "font.size": 30,
            "axes.facecolor": "red",
        }
    ):
        assert feature_figure(page)._repr_png_() == plain
        assert rgb(print_figure(feature_figure(page))).shape == rgb(plain).shape


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures_save_at_any_resolution(suffix, tmp_path):
    page = grid(random_maps(9, 9, 20))
    file = tmp_path / f"maps.{suffix}"
    feature_figure(page).savefig(file, dpi=3 * 96)
    content = file.read_bytes()
    if suffix == "png":
        pixels = page.indices != STEPS
        np.testing.assert_array_equal(rgb(content)[1::3, 1::3][pixels], palette()[page.indices[pixels]])
    elif suffix == "svg":
        assert b">block/conv</text>" in content
        assert content.count(b"<image") == 1
        assert b"pixelated" in content
    else:
        assert content.startswith(b"%PDF")
        assert b"/Width 848" in content


def test_pages_stack_below_each_other():
    first, second = grid(random_maps(9, 9, 20)), grid(random_maps(3, 3, 5), path="other")
    whole = stack([first, second], 12)
    np.testing.assert_array_equal(whole.composed()[: first.height], first.composed())
    np.testing.assert_array_equal(whole.composed()[first.height + 12 :], second.composed())
    assert whole.height == first.height + 12 + second.height


# ------------------------------------------------------------------ the user's arrays, any thread


def test_maps_are_never_written_to():
    maps = random_maps(30, 31, 20)
    maps[:, :, 2], maps[3, 3, 3] = 0, np.nan
    maps.flags.writeable = False
    before = maps.tobytes()
    for norm in ("standardize", "channel", "shared", "symmetric"):
        page = grid(maps, norm)
        composed = page.composed()
        feature_figure(page)._repr_png_()
        np.testing.assert_array_equal(page.composed(), composed)
        channel_page(maps, 2, norm).composed()
    assert maps.tobytes() == before


def test_threads_draw_what_one_would():
    pages = [grid(random_maps(4, 4, 20, seed=number), path=f"layer {number}") for number in range(12)]

    def both(page):
        return page.composed(), feature_figure(page)._repr_png_()

    expected = [both(page) for page in pages]
    text.rasterize.cache_clear()
    with ThreadPoolExecutor(6) as pool:
        drawn = list(pool.map(both, pages))
    for (indices, png), (expected_indices, expected_png) in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(indices, expected_indices)
        assert png == expected_png


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ncols": 0}, "ncols"),
        ({"max_rows": 0}, "max_rows"),
        ({"width": 50}, "200"),
        ({"order": []}, "0 to 4"),
        ({"order": [0, 0]}, "twice"),
        ({"order": [5]}, "0 to 4"),
    ],
)
def test_layouts_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        grid_layout((3, 3, 5), **wrong)


def test_pages_and_channels_that_are_not_there_are_refused():
    layout = grid_layout((3, 3, 200), order=range(150))
    with pytest.raises(IndexError, match="0 to 1"):
        layout.channels(2)
    with pytest.raises(IndexError, match="Channel 170"):
        layout.tile_box(170)
