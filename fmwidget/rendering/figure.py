"""Matplotlib figures of feature maps, and all that is needed to make pictures of them without one."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist, allow_rasterization
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D

from .canvas import Page, grey
from .grid_layout import Box
from .palette import PAPER, palette
from .text import DRAWING, font

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.backend_bases import RendererBase

    from fmwidget.analysis.channel_stats import Array

CSS_DPI = 96
TALLEST = 2**16 - 1  # pixels, matplotlib's limit
LARGEST = 2**25  # pixels of a page at more than one to a CSS pixel, so that it stays near 100 MB


class _Canvas(FigureCanvasAgg):
    """A canvas that draws one figure at a time, all of it: notebooks crop, which would resample the tiles."""

    def draw(self) -> None:
        with DRAWING:
            super().draw()

    def print_figure(self, *args: Any, bbox_inches: Any = None, **kwargs: Any) -> Any:
        if bbox_inches in (None, "tight"):
            bbox_inches = False  # unlike None, this does not ask rcParams
        with DRAWING, _text_kept():
            return super().print_figure(*args, bbox_inches=bbox_inches, **kwargs)


@contextmanager
def _text_kept() -> Iterator[None]:
    """Has SVG and PDF keep text as text, in fonts that journals take: matplotlib asks nobody but rcParams.

    Only these two settings are put back: `rc_context` would undo what another thread sets meanwhile.
    """
    before = mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"]
    mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"] = "none", 42
    try:
        yield
    finally:
        mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"] = before


class FeatureFigure(Figure):
    """A matplotlib figure that shows itself in a notebook, without pyplot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _Canvas(self)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi, pil_kwargs={"compress_level": 1})
        return file.getvalue()


class _Pixels(Artist):
    """An image that fills its figure, pixel for pixel; matplotlib's own would resample it, for seconds.

    At another resolution each pixel is repeated, or a viewer is asked to.
    """

    def __init__(self, rgb: Array) -> None:
        super().__init__()
        opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        self._rgba = np.concatenate([rgb, opaque], axis=2)

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        width, height = renderer.get_canvas_width_height()
        # Matplotlib's images begin at the bottom.
        image, context = self._rgba[::-1], renderer.new_gc()
        if renderer.option_scale_image():
            renderer.draw_image(context, 0, 0, image, Affine2D().scale(width, height))
        else:
            renderer.draw_image(context, 0, 0, _resized(image, int(height), int(width)))
        context.restore()


def _resized(image: Array, height: int, width: int) -> Array:
    if image.shape[:2] == (height, width):
        return image
    rows, columns = (
        ((np.arange(wanted) + 0.5) * drawn / wanted).astype(int)
        for wanted, drawn in ((height, image.shape[0]), (width, image.shape[1]))
    )
    return image[rows][:, columns]


def drawable_ratio(width: int, height: int, ratio: int) -> int:
    """The highest ratio of pixels to CSS pixels, up to the one asked for, at which a page can be drawn."""
    while ratio > 1 and (max(width, height) * ratio > TALLEST or height * width * ratio**2 > LARGEST):
        ratio -= 1
    return ratio


def feature_figure(
    drawing: Page, *, cmap: str = "viridis", dark: bool = False, selected: Box | None = None
) -> FeatureFigure:
    """Makes a figure of a page: the same pixels, and text that stays text in SVG and PDF.

    Args:
        drawing: What `draw_grid` or `draw_channel` returned, or several of them stacked.
        cmap: Name of a matplotlib colormap.
        dark: Whether the page is dark.
        selected: The box to frame, in CSS pixels: the tile of the chosen channel.

    Raises:
        ValueError: If matplotlib has no colormap of that name.
    """
    colours = palette(cmap, dark=dark)
    paper, ink = (colours[index] / 255 for index in (PAPER, grey(1)))
    size = (drawing.width / CSS_DPI, drawing.height / CSS_DPI)
    with DRAWING:
        figure = FeatureFigure(
            figsize=size, dpi=CSS_DPI * drawing.ratio, facecolor=tuple(paper), layout="none"
        )
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, drawing.width), ylim=(drawing.height, 0))
        axes.add_artist(_Pixels(colours[drawing.indices]))
        for text in drawing.texts:
            properties = font(text.size * 72 / CSS_DPI, bold=text.bold)
            # For a viewer of an SVG that has none of our fonts.
            properties.set_family([*properties.get_family(), "sans-serif"])
            axes.text(
                text.x,
                text.y,
                text.text,
                fontproperties=properties,
                color=tuple(paper + (ink - paper) * text.ink),
                ha=text.align,
                va="baseline",
                parse_math=False,
                usetex=False,
            )
        if selected is not None:
            x, y, width, height = selected
            axes.add_patch(
                Rectangle(
                    (x - 1, y - 1), width + 2, height + 2, fill=False, linewidth=1.5, edgecolor=tuple(ink)
                )
            )
    return figure
