"""The panels of the widget: each is a small box that is shown what is being looked at, and draws its part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget._memo import Latest
from fmwidget.activations.layers import FeatureLayer
from fmwidget.analysis.channel_stats import ChannelStatistics
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline import Look
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.figure import FeatureFigure, drawable_ratio, feature_figure
from fmwidget.rendering.formatting import channel_text, spot_text
from fmwidget.rendering.grid_layout import Box, GridLayout, single_tile
from fmwidget.rendering.palette import cmap_for, encode_png, palette
from fmwidget.rendering.sampling import Area, Sampling, Spot, refine, unit_at, unit_box

if TYPE_CHECKING:
    from fmwidget.widget.tracing import Trace

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
            png,
            layout.width,
            layout.height,
            alt=_grid_in_words(look),
            mark=_chosen_tile(look) or (),
            tiles=layout.tiles(look.page),
            place=layout.place_of(look.channel),
        )

    def spot_at(self, look: Look, x: float, y: float) -> Spot | None:
        """The unit that is drawn at a point of the page, in CSS px."""
        return look.layout.spot_at(x, y, look.page, look.ratio)

    def point(self, look: Look, spot: Spot | None) -> None:
        """Outlines a unit and says what its value is; where there is none, what the chosen channel's are."""
        on_page = spot is not None and look.layout.page_of(spot.channel) == look.page
        with self.box.hold_sync():
            self.box.region = list(look.layout.spot_box(spot, look.ratio)) if spot and on_page else []
            self.box.readout = spot_text(look.maps, spot) or channel_text(look.statistics, look.channel)

    def figure(self, look: Look, ratio: int | None = None) -> FeatureFigure:
        """The same page as a figure, at `ratio` pixels to a CSS pixel or as on screen."""
        layout, page = look.layout, self._page(look)
        if ratio is not None:
            ratio = drawable_ratio(layout.width, layout.height, ratio)
            page = _draw_grid(look.maps, look.statistics, look.layer, layout, look.page, look.norm, ratio)
        return feature_figure(
            page,
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
        self.box.show(self._drawing.png(look, page), page.width, page.height, alt=alt, mark=self.box.mark)

    def spot_at(self, look: Look, x: float, y: float) -> Spot | None:
        """The unit that is drawn at a point of the picture, in CSS px."""
        map_shape, sampling, tile = _single_tile(look)
        unit = unit_at(sampling, map_shape, (x - tile.x) * look.ratio, (y - tile.y) * look.ratio)
        return None if unit is None else Spot(look.channel, *unit)

    def trace(self, look: Look, trace: Trace | None, _pinned: Spot | None) -> None:
        """Marks the units that see the pixel of the picture that is followed."""
        box = trace.viewers.box if trace and trace.viewers else None
        self.box.mark = list(_units_on_screen(look, box)) if box else []

    def point(self, look: Look, spot: Spot | None) -> None:
        """Outlines the place of a unit of any channel, and says the chosen channel's value there."""
        region: Area | tuple[()] = ()
        if spot is not None:
            spot = Spot(look.channel, spot.row, spot.column)
            region = _units_on_screen(look, (spot.row, spot.column, spot.row + 1, spot.column + 1))
        with self.box.hold_sync():
            self.box.region = list(region)
            self.box.readout = spot_text(look.maps, spot)


def _units_on_screen(look: Look, units: tuple[int, int, int, int]) -> Area:
    """Where a box of units is drawn, given as its top, left, bottom and right: in CSS px of the picture."""
    map_shape, sampling, tile = _single_tile(look)
    top, left, bottom, right = units
    x, y, *_ = unit_box(sampling, map_shape, top, left)
    last_x, last_y, width, height = unit_box(sampling, map_shape, bottom - 1, right - 1)
    edges = (x, y, last_x + width - x, last_y + height - y)
    x, y, width, height = (edge / look.ratio for edge in edges)
    return tile.x + x, tile.y + y, width, height


def _single_tile(look: Look) -> tuple[tuple[int, int], Sampling, Box]:
    """The maps' height and width, how the chosen one is drawn in device pixels, and where in CSS px."""
    height, width, _ = look.maps.shape
    sampling, tile = single_tile((height, width), DETAIL_BOX)
    return (height, width), refine(sampling, height, width, look.ratio), tile


def _draw_channel(maps: Array, statistics: ChannelStatistics, channel: int, norm: str, ratio: int) -> Page:
    return draw_channel(maps, channel, statistics, norm=norm, box=DETAIL_BOX, ratio=ratio)
