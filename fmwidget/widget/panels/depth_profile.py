"""The depth profile of the image on screen, or the comparison of all layers; a click chooses a layer."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import NamedTuple

import ipywidgets

from fmwidget._memo import Latest
from fmwidget.analysis.comparison import Comparison
from fmwidget.analysis.depth_profile import DepthProfile
from fmwidget.frontend.messages import Point
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.canvas import Page
from fmwidget.rendering.charts.comparison import (
    comparison_in_words,
    comparison_layout,
    draw_comparison,
    layer_difference_in_words,
)
from fmwidget.rendering.charts.layer_bars import BarLayout
from fmwidget.rendering.depth_profile import (
    draw_profile,
    layer_in_words,
    profile_in_words,
    profile_layout,
)
from fmwidget.widget.selection import Selection

from .maps import CachedPage


class _Shown(NamedTuple):
    """The page on screen.

    Attributes:
        paths: Path of the layer of each column, as the trait `layer` holds it.
        layout: The layout of the columns.
        place: Index of the layer on screen; -1 if it has no column.
        words: Returns the words for a column.
    """

    paths: tuple[str, ...]
    layout: BarLayout
    place: int
    words: Callable[[int], str]

    def readout(self, place: int | None = None) -> str:
        """Return the words for a column, or else for the layer on screen."""
        place = self.place if place is None else place
        return "" if place < 0 else self.words(place)


class ProfilePanel:
    """Numbers of every layer, hidden unless `profile` is set: the depth profile, or the comparison.

    Args:
        choose: Called with the path of the layer that the user clicks, or reaches with the keys.
    """

    def __init__(self, choose: Callable[[str], None]) -> None:
        self._choose = choose
        self._caption = ipywidgets.HTML()
        self._view = PictureView(label="Depth profile")
        self.box = ipywidgets.VBox([self._caption, self._view], layout={"display": "none"})
        self.box.add_class("fmw-profile")
        self._profile_layout, self._comparison_layout = Latest(profile_layout), Latest(comparison_layout)
        self._profile, self._comparison = CachedPage(draw_profile), CachedPage(draw_comparison)
        self._frame: Frame | None = None
        self._shown: _Shown | None = None
        self._view.on_click(self._click)
        self._view.on_hover(self._hover)
        self._view.on_tile(self._choose_layer)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Draw the profile or the comparison of a new frame, its layer marked."""
        if frame is self._frame:
            return
        self._frame, self._shown = frame, None
        is_shown = frame.profile is not None or frame.comparison is not None
        self.box.layout.display = "flex" if is_shown else "none"
        if frame.comparison is not None:
            self._show_comparison(frame, frame.comparison)
        elif frame.profile is not None:
            self._show_profile(frame, frame.profile)

    def _show_profile(self, frame: Frame, profile: DepthProfile) -> None:
        width = frame.layout.width
        place = profile.paths.index(_path(frame))
        self._shown = _Shown(
            profile.paths,
            self._profile_layout(profile, width),
            place,
            lambda layer: layer_in_words(profile, layer),
        )
        words = profile_in_words(profile)
        self._view.label = "Depth profile"
        caption = f"<b>Depth profile</b> of <b>{html.escape(frame.image)}</b>, {html.escape(words)}"
        page: Page = self._profile.page(profile, width, frame.ratio)
        png = self._profile.png(frame, page)
        self._show(page, png, caption, f"Depth profile of {frame.image}: {words}.")

    def _show_comparison(self, frame: Frame, comparison: Comparison) -> None:
        width = frame.layout.width
        layout = self._comparison_layout(comparison, width)
        if layout is not None:
            # On side B the layer on screen is that of the reference, which may have another path.
            paths = comparison.other_paths if frame.side == "b" else comparison.paths
            path = _path(frame)
            self._shown = _Shown(
                comparison.paths,
                layout,
                paths.index(path) if path in paths else -1,
                lambda layer: layer_difference_in_words(comparison, layer),
            )
        words = comparison_in_words(comparison)
        sides = ""
        if frame.contrast is not None:
            sides = f" of {frame.contrast.name_a} (A) with {frame.contrast.name_b} (B)"
        self._view.label = "Comparison of all layers"
        caption = f"<b>Comparison</b>{html.escape(sides)}: {html.escape(words)}"
        page: Page = self._comparison.page(comparison, width, frame.ratio)
        png = self._comparison.png(frame, page)
        self._show(page, png, caption, f"Comparison of all layers{sides}: {words}.")

    def _show(self, page: Page, png: bytes, caption: str, alt: str) -> None:
        """Show a page with the layer on screen marked, where it has a column."""
        self._caption.value = f'<div class="fmw-caption">{caption}</div>'
        shown = self._shown
        if shown is None:
            self._view.show(png, page.width, page.height, alt=alt)
            self._view.readout = ""
            return
        readout = shown.readout()
        self._view.show(
            png,
            page.width,
            page.height,
            alt=f"{alt} {readout}." if readout else alt,
            mark=shown.layout.column(shown.place) if shown.place >= 0 else (),
            tiles=shown.layout.tiles(),
            tile=max(shown.place, 0),
        )
        self._view.readout = readout

    def _hover(self, point: Point | None) -> None:
        """Describe the layer under the pointer, or else the one on screen, below the picture."""
        if self._shown is not None:
            under = None if point is None else self._shown.layout.layer_at(point.x, point.y)
            self._view.readout = self._shown.readout(under)

    def _click(self, x: float, y: float) -> None:
        if self._shown is not None:
            layer = self._shown.layout.layer_at(x, y)
            if layer is not None:
                self._choose_layer(layer)

    def _choose_layer(self, layer: int) -> None:
        if self._shown is not None:
            paths = self._shown.paths
            self._choose(paths[min(layer, len(paths) - 1)])


def _path(frame: Frame) -> str:
    """Return the path of the layer on screen, without a step before its activation."""
    return frame.layer.after or frame.layer.path
