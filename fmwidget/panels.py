"""The panels of the widget: each is a small box that is shown what is being looked at, and draws its part."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np

from .channels import ChannelStatistics
from .figure import (
    Box,
    FeatureFigure,
    GridLayout,
    Page,
    cmap_for,
    draw_channel,
    draw_grid,
    encode_png,
    feature_figure,
    palette,
)
from .layers import FeatureLayer
from .looking import Look
from .memo import Latest
from .view import PictureView

Array = np.ndarray[Any, Any]

DETAIL_BOX = 300  # CSS px: the square that a single map, or the input, is fitted into


class Drawing:
    """A page and its PNG, each made anew only when what it depends on has changed.

    Another colormap or theme is another palette for the same indices.
    """

    def __init__(self, draw: Callable[..., Page]) -> None:
        self.page = Latest(draw)
        self._indices = Latest(Page.composed)
        self._png = Latest(encode_png)

    def png(self, look: Look, page: Page) -> bytes:
        """The page as a PNG in the colours that are asked for."""
        colours = palette(cmap_for(look.norm, look.cmap), dark=look.surroundings.dark)
        return self._png(self._indices(page), colours, look.ratio)


class GridPanel:
    """The grid of a layer's maps, a page at a time, the chosen channel framed."""

    def __init__(self) -> None:
        self.box = PictureView(label="Feature maps of the layer")
        self._drawing = Drawing(_draw_grid)

    def show(self, look: Look) -> None:
        """Draws the page of the grid that is looked at."""
        png = self._drawing.png(look, self._page(look))
        layout = look.layout
        self.box.show(
            png, layout.width, layout.height, alt=_grid_in_words(look), mark=_chosen_tile(look) or ()
        )

    def figure(self, look: Look) -> FeatureFigure:
        """The same page as a figure."""
        return feature_figure(
            self._page(look),
            cmap=cmap_for(look.norm, look.cmap),
            dark=look.surroundings.dark,
            selected=_chosen_tile(look),
        )

    def _page(self, look: Look) -> Page:
        return self._drawing.page(
            look.maps, look.statistics, look.layer, look.layout, look.page, look.norm, look.ratio
        )


def _draw_grid(
    maps: Array, statistics: ChannelStatistics, layer: FeatureLayer, layout: GridLayout, *how: Any
) -> Page:
    page, norm, ratio = how
    return draw_grid(
        layout,
        maps,
        statistics,
        path=layer.path,
        type_name=layer.type_name,
        norm=norm,
        page=page,
        ratio=ratio,
    )


def _chosen_tile(look: Look) -> Box | None:
    on_page = look.layout.page_of(look.channel) == look.page
    return look.layout.tile_box(look.channel) if on_page else None


def _grid_in_words(look: Look) -> str:
    height, width, count = look.layer.shape
    return (
        f"Feature maps of layer {look.layer.path} ({look.layer.type_name}, {height} by {width}) for "
        f"{look.picture}: {count} channels, {look.statistics.inactive.sum()} of them inactive. "
        f"Channel {look.channel} is chosen."
    )


class ChannelPanel:
    """The chosen channel large, with its own colour bar."""

    def __init__(self) -> None:
        self.box = PictureView(label="Chosen channel")
        self._drawing = Drawing(_draw_channel)

    def show(self, look: Look) -> None:
        """Draws the chosen channel."""
        page = self._drawing.page(look.maps, look.statistics, look.channel, look.norm, look.ratio)
        low, high = look.statistics.min[look.channel], look.statistics.max[look.channel]
        alt = f"Channel {look.channel} of layer {look.layer.path}, with values from {low:.4g} to {high:.4g}."
        self.box.show(self._drawing.png(look, page), page.width, page.height, alt=alt)


def _draw_channel(maps: Array, statistics: ChannelStatistics, channel: int, norm: str, ratio: int) -> Page:
    return draw_channel(maps, channel, statistics, norm=norm, box=DETAIL_BOX, ratio=ratio)


def status_html(sentence: str, details: str = "") -> str:
    """What the status line says, with what lies behind it one click away."""
    more = (
        f"<details><summary>details</summary><pre>{html.escape(details)}</pre></details>" if details else ""
    )
    return f'<div class="fmw-status" role="status">{html.escape(sentence)}{more}</div>'
