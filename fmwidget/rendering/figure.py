"""Matplotlib figures of pages, without pyplot."""

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
from .sampling import resize
from .text import DRAWING, font

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.backend_bases import RendererBase

    from fmwidget.analysis.channel_stats import Array

CSS_DPI = 96
TALLEST = 2**16 - 1  # pixels, matplotlib's limit
LARGEST = 2**25  # pixels of a page at a ratio above 1: its colours take about 100 MB


class _Canvas(FigureCanvasAgg):
    """A canvas that draws under the lock, and never crops: that would resample the tiles.

    Notebooks pass `bbox_inches="tight"`, which is therefore ignored.
    """

    def draw(self) -> None:
        with DRAWING:
            super().draw()

    def print_figure(self, *args: Any, bbox_inches: Any = None, **kwargs: Any) -> Any:
        if bbox_inches in (None, "tight"):
            bbox_inches = False  # unlike None, this does not fall back to rcParams
        with DRAWING, _text_as_text():
            return super().print_figure(*args, bbox_inches=bbox_inches, **kwargs)


@contextmanager
def _text_as_text() -> Iterator[None]:
    """Keep text as text in SVG and PDF, in font types that journals accept; only rcParams can set this.

    Only these two settings are restored: `rc_context` would undo what another thread sets meanwhile.
    """
    before = mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"]
    mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"] = "none", 42
    try:
        yield
    finally:
        mpl.rcParams["svg.fonttype"], mpl.rcParams["pdf.fonttype"] = before


class FeatureFigure(Figure):
    """A matplotlib figure with a notebook representation, without pyplot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _Canvas(self)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi, pil_kwargs={"compress_level": 1})
        return file.getvalue()


class _Pixels(Artist):
    """An image that fills its figure, pixel for pixel; matplotlib's own would be resampled, for seconds."""

    def __init__(self, rgb: Array) -> None:
        super().__init__()
        opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        self._rgba = np.concatenate([rgb, opaque], axis=2)

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        width, height = renderer.get_canvas_width_height()
        image = self._rgba[::-1]  # renderers take images from the bottom up
        context = renderer.new_gc()
        if renderer.option_scale_image():  # vector formats: the viewer enlarges
            renderer.draw_image(context, 0, 0, image, Affine2D().scale(width, height))
        else:
            renderer.draw_image(context, 0, 0, resize(image, int(width), int(height)))
        context.restore()


def drawable_ratio(width: int, height: int, ratio: int) -> int:
    """Return the highest ratio, up to `ratio`, at which a page of that size in CSS pixels can be drawn."""
    while ratio > 1 and (max(width, height) * ratio > TALLEST or height * width * ratio**2 > LARGEST):
        ratio -= 1
    return ratio


def feature_figure(
    drawing: Page, *, cmap: str = "viridis", dark: bool = False, selected: Box | None = None
) -> FeatureFigure:
    """Build a figure of a page: the same pixels, and text that stays text in SVG and PDF.

    Args:
        drawing: A page from `draw_grid`, `draw_channel`, `draw_profile` or `stack`.
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
            # SVG viewers may have none of these fonts.
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
            frame = Rectangle((x - 1, y - 1), width + 2, height + 2, fill=False, linewidth=1.5)
            frame.set_edgecolor(tuple(ink))
            axes.add_patch(frame)
    return figure
