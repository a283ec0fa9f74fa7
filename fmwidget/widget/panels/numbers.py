"""Statistics of the chosen channel and of its layer, and a histogram of the channel."""

from __future__ import annotations

import html

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.analysis.channel_summary import Summary, channel_summary, layer_summary
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline import Frame
from fmwidget.rendering.formatting import number, percent
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
        channel = channel_summary(frame.statistics, frame.channel)
        self._table.value = numbers_html(channel, self._layer(frame.statistics), frame.channel)
        page = self._drawing.page(frame.statistics, frame.channel, frame.norm, frame.ratio)
        alt = f"How the values of channel {frame.channel} are spread, zeros left out."
        self._view.show(self._drawing.png(frame, page), page.width, page.height, alt=alt)


def numbers_html(channel: Summary, layer: Summary, index: int) -> str:
    """Return a table of the summaries of a channel and of its layer."""
    columns = [
        (name, *(_number(getattr(summary, name)) for summary in (channel, layer)))
        for name in ("min", "max", "mean", "std")
    ]
    columns.append(("zeros", *(percent(summary.zeros) for summary in (channel, layer))))
    columns += [
        (label, *(str(getattr(summary, name)) for summary in (channel, layer))) for label, name in _COUNTS
    ]
    names, ours, theirs = (
        "".join(f"<{tag}{_loud(column)}>{html.escape(column[row])}</{tag[:2]}>" for column in columns)
        for row, tag in enumerate(('th scope="col"', "td", "td"))
    )
    return (
        f'<table class="fmw-numbers"><tr><td></td>{names}</tr><tr><th scope="row">channel {index}</th>{ours}'
        f'</tr><tr><th scope="row">layer</th>{theirs}</tr></table>'
    )


_COUNTS = (("NaN", "nan"), ("±inf", "inf"))


def _loud(column: tuple[str, ...]) -> str:
    """Return the class of a column that counts NaN or infinite values: bold if there are any."""
    name, *counts = column
    is_loud = name in ("NaN", "±inf") and any(count != "0" for count in counts)
    return ' class="fmw-loud"' if is_loud else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else number(value)
