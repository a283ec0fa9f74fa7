"""The depth profile of the image on screen; a click on a layer chooses it."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets

from fmwidget._memo import Latest
from fmwidget.analysis.depth_profile import DepthProfile
from fmwidget.frontend.messages import Point
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline import Frame
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.depth_profile import (
    ProfileLayout,
    draw_profile,
    layer_in_words,
    profile_in_words,
    profile_layout,
)
from fmwidget.widget.selection import Selection

from .maps import CachedPage


class ProfilePanel:
    """Statistics of the image's activations from layer to layer, hidden unless `profile` is set.

    Args:
        choose: Called with the path of the layer that the user clicks, or reaches with the keys.
    """

    def __init__(self, choose: Callable[[str], None]) -> None:
        self._choose = choose
        self._caption = ipywidgets.HTML()
        self._view = PictureView(label="Depth profile")
        self.box = ipywidgets.VBox([self._caption, self._view], layout={"display": "none"})
        self.box.add_class("fmw-profile")
        self._layout = Latest(profile_layout)
        self._drawing = CachedPage(draw_profile)
        self._frame: Frame | None = None
        self._shown: tuple[DepthProfile, ProfileLayout, int] | None = None  # with the place of the layer
        self._view.on_click(self._click)
        self._view.on_hover(self._hover)
        self._view.on_tile(self._choose_layer)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Draw the profile of a new frame, its layer marked."""
        if frame is self._frame:
            return
        self._frame, self._shown = frame, None
        self.box.layout.display = "none" if frame.profile is None else "flex"
        if frame.profile is None:
            return
        profile, width = frame.profile, frame.layout.width
        layout = self._layout(profile, width)
        page: Page = self._drawing.page(profile, width, frame.ratio)
        layer = profile.paths.index(frame.layer.after or frame.layer.path)
        self._shown = profile, layout, layer
        of_all, of_one = profile_in_words(profile), layer_in_words(profile, layer)
        self._caption.value = (
            f'<div class="fmw-caption"><b>Depth profile</b> of <b>{html.escape(frame.image)}</b>, '
            f"{html.escape(of_all)}</div>"
        )
        alt = f"Depth profile of {frame.image}: {of_all}. {of_one}."
        png = self._drawing.png(frame, page)
        self._view.show(
            png,
            page.width,
            page.height,
            alt=alt,
            mark=layout.column(layer),
            tiles=layout.tiles(),
            tile=layer,
        )
        self._view.readout = of_one

    def _hover(self, point: Point | None) -> None:
        """Describe the layer under the pointer, or else the one on screen, below the picture."""
        if self._shown is not None:
            profile, layout, layer = self._shown
            under = None if point is None else layout.layer_at(point.x, point.y)
            self._view.readout = layer_in_words(profile, layer if under is None else under)

    def _click(self, x: float, y: float) -> None:
        if self._shown is not None:
            layer = self._shown[1].layer_at(x, y)
            if layer is not None:
                self._choose_layer(layer)

    def _choose_layer(self, layer: int) -> None:
        if self._shown is not None:
            paths = self._shown[0].paths
            self._choose(paths[min(layer, len(paths) - 1)])
