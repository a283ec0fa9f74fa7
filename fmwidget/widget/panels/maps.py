"""The panels of the widget: each is a small box that is shown what is being looked at, and draws its part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fmwidget._memo import Latest
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pages import channel_page, grid_page
from fmwidget.pipeline import Frame
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.figure import FeatureFigure, drawable_ratio, feature_figure
from fmwidget.rendering.formatting import channel_text, inactive_fact, unit_text
from fmwidget.rendering.grid_layout import DETAIL_BOX, Box, single_tile
from fmwidget.rendering.palette import cmap_for, encode_png, palette
from fmwidget.rendering.sampling import Area, Sampling, Unit, refine, unit_at, unit_box

if TYPE_CHECKING:
    from fmwidget.widget.tracing import TracedPixel

Array = np.ndarray[Any, Any]


class CachedPage:
    """A page and its PNG, each made anew only when what it depends on has changed.

    Another colormap or theme is another palette for the same indices.
    """

    def __init__(self, draw: Callable[..., Page]) -> None:
        self.page = Latest(draw)
        self._indices = Latest(Page.composed)
        self._png = Latest(encode_png)

    def png(self, frame: Frame, page: Page) -> bytes:
        """The page as a PNG in the colours that are asked for."""
        colours = palette(cmap_for(frame.norm, frame.cmap), dark=frame.display.dark)
        return self._png(self._indices(page), colours, frame.ratio)


class GridPanel:
    """The grid of a layer's maps, a page at a time, the chosen channel framed."""

    def __init__(self) -> None:
        self.box = PictureView(label="Feature maps of the layer")
        self._drawing = CachedPage(draw_grid)

    def show(self, frame: Frame) -> None:
        """Draws the page of the grid that is looked at."""
        png = self._drawing.png(frame, self._page(frame))
        layout = frame.layout
        self.box.show(
            png,
            layout.width,
            layout.height,
            alt=_grid_in_words(frame),
            mark=_chosen_tile(frame) or (),
            tiles=layout.tiles(frame.page),
            tile=layout.place_of(frame.channel),
        )

    def unit_at(self, frame: Frame, x: float, y: float) -> Unit | None:
        """The unit that is drawn at a point of the page, in CSS px."""
        return frame.layout.unit_at(x, y, frame.page, frame.ratio)

    def point(self, frame: Frame, unit: Unit | None) -> None:
        """Outlines a unit and says what its value is; where there is none, what the chosen channel's are."""
        on_page = unit is not None and frame.layout.page_of(unit.channel) == frame.page
        with self.box.hold_sync():
            self.box.region = list(frame.layout.unit_box(unit, frame.ratio)) if unit and on_page else []
            self.box.readout = unit_text(frame.maps, unit) or channel_text(frame.statistics, frame.channel)

    def figure(self, frame: Frame, ratio: int | None = None) -> FeatureFigure:
        """Return the page on screen as a figure, at `ratio` device pixels per CSS pixel or the screen's."""
        if ratio is None:
            page = self._page(frame)
        else:
            page = grid_page(frame, drawable_ratio(frame.layout.width, frame.layout.height, ratio))
        return feature_figure(
            page,
            cmap=cmap_for(frame.norm, frame.cmap),
            dark=frame.display.dark,
            selected=_chosen_tile(frame),
        )

    def _page(self, frame: Frame) -> Page:
        return grid_page(frame, draw=self._drawing.page)


def _chosen_tile(frame: Frame) -> Box | None:
    on_page = frame.layout.page_of(frame.channel) == frame.page
    return frame.layout.tile_box(frame.channel) if on_page else None


def _grid_in_words(frame: Frame) -> str:
    height, width, count = frame.layer.shape
    return (
        f"Feature maps of layer {frame.layer.path} ({frame.layer.type_name}, {height} by {width}) for "
        f"{frame.picture}: {count} channels, {inactive_fact(frame.statistics, 'of them')}. "
        f"Channel {frame.channel} is chosen."
    )


class ChannelPanel:
    """The chosen channel large, with its own colour bar."""

    def __init__(self) -> None:
        self.box = PictureView(label="Chosen channel")
        self._drawing = CachedPage(draw_channel)

    def show(self, frame: Frame) -> None:
        """Draws the chosen channel."""
        page = channel_page(frame, draw=self._drawing.page)
        low, high = frame.statistics.min[frame.channel], frame.statistics.max[frame.channel]
        alt = (
            f"Channel {frame.channel} of layer {frame.layer.path}, with values from {low:.4g} to {high:.4g}."
        )
        self.box.show(self._drawing.png(frame, page), page.width, page.height, alt=alt, mark=self.box.mark)

    def unit_at(self, frame: Frame, x: float, y: float) -> Unit | None:
        """The unit that is drawn at a point of the picture, in CSS px."""
        map_shape, sampling, tile = _single_tile(frame)
        unit = unit_at(sampling, map_shape, (x - tile.x) * frame.ratio, (y - tile.y) * frame.ratio)
        return None if unit is None else Unit(frame.channel, *unit)

    def trace(self, frame: Frame, trace: TracedPixel | None, _pinned: Unit | None) -> None:
        """Marks the units that see the pixel of the picture that is followed."""
        box = trace.viewers.box if trace and trace.viewers else None
        self.box.mark = list(_units_on_screen(frame, box)) if box else []

    def point(self, frame: Frame, unit: Unit | None) -> None:
        """Outlines the place of a unit of any channel, and says the chosen channel's value there."""
        region: Area | tuple[()] = ()
        if unit is not None:
            unit = Unit(frame.channel, unit.row, unit.column)
            region = _units_on_screen(frame, (unit.row, unit.column, unit.row + 1, unit.column + 1))
        with self.box.hold_sync():
            self.box.region = list(region)
            self.box.readout = unit_text(frame.maps, unit)


def _units_on_screen(frame: Frame, units: tuple[int, int, int, int]) -> Area:
    """Where a box of units is drawn, given as its top, left, bottom and right: in CSS px of the picture."""
    map_shape, sampling, tile = _single_tile(frame)
    top, left, bottom, right = units
    x, y, *_ = unit_box(sampling, map_shape, top, left)
    last_x, last_y, width, height = unit_box(sampling, map_shape, bottom - 1, right - 1)
    edges = (x, y, last_x + width - x, last_y + height - y)
    x, y, width, height = (edge / frame.ratio for edge in edges)
    return tile.x + x, tile.y + y, width, height


def _single_tile(frame: Frame) -> tuple[tuple[int, int], Sampling, Box]:
    """The maps' height and width, how the chosen one is drawn in device pixels, and where in CSS px."""
    height, width, _ = frame.maps.shape
    sampling, tile = single_tile((height, width), DETAIL_BOX)
    return (height, width), refine(sampling, height, width, frame.ratio), tile
