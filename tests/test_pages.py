"""The pages of a frame, and the reasons to redraw each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fmwidget._memo import Latest
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import pooled_scale
from fmwidget.images.source import NamedImage
from fmwidget.pages import channel_page, grid_page
from fmwidget.pipeline.frame import DisplayContext, ViewState
from fmwidget.pipeline.frame_pipeline import FramePipeline
from fmwidget.pipeline.offer import Offer
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from tests.support.frames import compared

SCREEN = DisplayContext(ratio=1.0, dark=False, width=848)


class Counter:
    """A drawing function that counts its calls."""

    def __init__(self, draw: Any) -> None:
        self.calls = 0
        self._draw = draw

    def __call__(self, *arguments: Any, **named: Any) -> Page:
        self.calls += 1
        page: Page = self._draw(*arguments, **named)
        return page


@pytest.fixture(scope="module")
def pipeline(model):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 36, 3), np.uint8)
    result = FramePipeline(ActivationModel(model), Offer({"noise": NamedImage(pixels, "noise")}))
    result.check_weights()
    return result


@pytest.fixture(scope="module")
def state(pipeline):
    layers = pipeline.layers(ViewState(layer="", image="noise"))
    return ViewState(layer=next(layer for layer in layers if layer.shape[-1] > 1).path, image="noise")


@pytest.mark.parametrize(("draw_page", "draw"), [(grid_page, draw_grid), (channel_page, draw_channel)])
def test_a_page_is_drawn_anew_only_for_what_it_shows(pipeline, state, draw_page, draw):
    counter = Counter(draw)
    memo = Latest(counter)

    def page(state: ViewState, display: DisplayContext = SCREEN) -> Page:
        result: Page = draw_page(pipeline.frame(state, display), draw=memo)
        return result

    first = page(state)
    for same in (state, replace(state, cmap="magma"), replace(state, opacity=50, cmap="gray")):
        assert page(same) is first
    assert page(state, replace(SCREEN, dark=True)) is first
    assert counter.calls == 1
    assert page(replace(state, norm="channel")) is not first
    assert page(state, replace(SCREEN, ratio=2.0)).ratio == 2
    assert counter.calls == 3


def test_only_the_large_map_follows_the_channel(pipeline, state):
    grids, channels = Counter(draw_grid), Counter(draw_channel)
    draw_whole, draw_one = Latest(grids), Latest(channels)
    for channel in (0, 1):
        frame = pipeline.frame(replace(state, channel=channel), SCREEN)
        grid_page(frame, draw=draw_whole)
        channel_page(frame, draw=draw_one)
    assert (grids.calls, channels.calls) == (1, 2)


def test_a_page_has_the_ratio_of_its_frame_or_that_asked_for(pipeline, state):
    frame = pipeline.frame(state, replace(SCREEN, ratio=3.0))
    assert (grid_page(frame).ratio, grid_page(frame, 1).ratio) == (2, 1)
    assert (channel_page(frame).ratio, channel_page(frame, ratio=5).ratio) == (2, 5)


def words(page: Page) -> list[str]:
    return [text.text for text in page.texts]


@pytest.mark.parametrize("draw_page", [grid_page, channel_page])
def test_a_page_is_drawn_by_the_scale_of_its_frame_and_says_so(pipeline, state, draw_page):
    frame = pipeline.frame(replace(state, norm="channel"), SCREEN)
    scale = pooled_scale([frame.statistics])
    plain = draw_page(frame)
    own = draw_page(replace(frame, scale=scale))
    assert words(own) == words(plain)
    assert np.abs(own.indices.astype(int) - plain.indices).max() <= 1
    wider = replace(scale, max=3 * scale.max + 1)
    wide = draw_page(replace(frame, scale=wider, scale_note="one scale for all steps"))
    assert "one scale for all steps" in " ".join(words(wide))
    assert (wide.indices != plain.indices).any()


@pytest.mark.parametrize("draw_page", [grid_page, channel_page])
@pytest.mark.parametrize(
    ("side", "note"), [("a", "A: cat"), ("b", "B: dog"), ("difference", "A − B: cat − dog")]
)
def test_a_page_says_which_side_of_a_comparison_it_shows(pipeline, state, draw_page, side, note):
    frame = pipeline.frame(state, SCREEN)
    page = draw_page(compared(frame, 2 * frame.maps, side))
    assert note in words(page)
    title, notes = (text for text in page.texts if text.y == 17)
    assert notes.x > title.x


@pytest.mark.parametrize("draw_page", [grid_page, channel_page])
def test_maps_that_do_not_differ_are_called_equal(pipeline, state, draw_page):
    frame = pipeline.frame(state, SCREEN)
    page = draw_page(compared(frame, frame.maps, "difference"))
    assert "equal" in " ".join(words(page))
    assert "inactive" not in " ".join(words(page))


def test_a_copy_of_a_pipeline_computes_the_same_frame_beside_it(pipeline, state):
    copy = pipeline.copy()
    copy.check_weights()
    here, there = (each.frame(state, SCREEN) for each in (pipeline, copy))
    np.testing.assert_array_equal(grid_page(there).composed(), grid_page(here).composed())
    assert here.layout == there.layout
    assert here.statistics is not there.statistics
    assert pipeline.frame(state, SCREEN).statistics is here.statistics
