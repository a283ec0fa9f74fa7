"""Statistics of the chosen channel, on both sides of a comparison, and of its layer; and a histogram."""

from __future__ import annotations

import html
from collections.abc import Mapping

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.analysis.channel_stats import channel_statistics
from fmwidget.analysis.channel_summary import Summary, channel_summary, layer_summary
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.formatting import SIDE_NAMES, number, percent
from fmwidget.rendering.histogram import WIDTH, draw_histogram
from fmwidget.widget.selection import Selection

from .maps import CachedPage

TABLE = 560  # CSS px, which the longest numbers take


class NumbersPanel:
    """A table of the channel's and the layer's statistics, beside the channel's histogram."""

    def __init__(self) -> None:
        self._table = ipywidgets.HTML()
        self._view = PictureView(label="Histogram of the chosen channel", layout={"width": f"{WIDTH}px"})
        layout = {"flex_flow": "row wrap", "flex": f"1 1 {TABLE}px"}
        self.box = ipywidgets.HBox([self._table, self._view], layout=layout)
        self.box.add_class("fmw-panel")
        self._frame: Frame | None = None
        self._layer = Latest(layer_summary)
        self._drawing = CachedPage(draw_histogram)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Show the statistics of a new frame."""
        if frame is self._frame:
            return
        self._frame = frame
        self._table.value = numbers_html(self._summaries(frame))
        page = self._drawing.page(frame.statistics, frame.channel, frame.norm, frame.ratio, frame.scale)
        notes = "".join(f", {note}" for note in frame.notes)
        alt = f"How the values of channel {frame.channel}{notes} are spread, zeros left out."
        self._view.show(self._drawing.png(frame, page), page.width, page.height, alt=alt)

    def _summaries(self, frame: Frame) -> dict[str, Summary]:
        """Return the summaries of a frame's channel and layer, and of the channel on each side."""
        name, layer = f"channel {frame.channel}", self._layer(frame.statistics)
        if frame.contrast is None:
            return {name: channel_summary(frame.statistics, frame.channel), "layer": layer}
        sides = (frame.contrast.a, frame.contrast.b, frame.contrast.difference)
        summaries = {
            f"{side}, {name}": layer_summary(channel_statistics(maps[..., [frame.channel]]))
            for side, maps in zip(SIDE_NAMES.values(), sides, strict=True)
        }
        return summaries | {f"{SIDE_NAMES[frame.side]}, layer": layer}


def numbers_html(summaries: Mapping[str, Summary]) -> str:
    """Return a table of summaries, a row for each under its name."""
    rows = summaries.values()
    columns = [
        (name, *(_number(getattr(summary, name)) for summary in rows))
        for name in ("min", "max", "mean", "std")
    ]
    columns.append(("zeros", *(percent(summary.zeros) for summary in rows)))
    columns += [(label, *(str(getattr(summary, name)) for summary in rows)) for label, name in _COUNTS]
    names, *cells = (
        "".join(f"<{tag}{_loud(column)}>{html.escape(column[row])}</{tag[:2]}>" for column in columns)
        for row, tag in enumerate(['th scope="col"', *["td"] * len(rows)])
    )
    body = "".join(
        f'<tr><th scope="row">{name}</th>{row}</tr>' for name, row in zip(summaries, cells, strict=True)
    )
    return f'<table class="fmw-numbers"><tr><td></td>{names}</tr>{body}</table>'


_COUNTS = (("NaN", "nan"), ("±inf", "inf"))


def _loud(column: tuple[str, ...]) -> str:
    """Return the class of a column that counts NaN or infinite values: bold if there are any."""
    name, *counts = column
    is_loud = name in ("NaN", "±inf") and any(count != "0" for count in counts)
    return ' class="fmw-loud"' if is_loud else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else number(value)
