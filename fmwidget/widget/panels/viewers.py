"""What all channels make of one place: the units that see a pixel of the picture, and their values."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from fmwidget.frontend.channel_list import ChannelList
from fmwidget.rendering.formatting import number, shape_text

if TYPE_CHECKING:
    from fmwidget.pipeline import Frame
    from fmwidget.rendering.sampling import Unit
    from fmwidget.widget.tracing import TracedPixel

MOST = 12  # rows; the chosen channel has one more if it is not among them

Array = np.ndarray[Any, Any]


class ProjectiveFieldPanel:
    """Who sees the pixel of the picture that was clicked, and the values there across channels.

    It is not there until a pixel is clicked.

    Args:
        choose: Called with a channel that the person chooses.
    """

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._title = ipywidgets.HTML()
        self._list = ChannelList()
        self._list.on_choice(choose)
        layout = {"display": "none", "flex": "1 1 300px", "max_width": "480px"}
        self.box = ipywidgets.VBox([self._title, self._list], layout=layout)
        self.box.add_class("fmw-panel")

    def show(self, frame: Frame) -> None:
        """Waits to be told of a pixel."""

    def trace(self, frame: Frame, trace: TracedPixel | None, pinned: Unit | None) -> None:
        """Shows the values at the pinned unit while a pixel is followed."""
        self.box.layout.display = "none" if trace is None else "flex"
        if trace is None:
            return
        words = viewers_in_words(trace, frame.maps.shape)
        is_seen = trace.viewers is not None and trace.viewers.nearest is not None and pinned is not None
        with self._list.hold_sync():
            if is_seen and pinned is not None:
                values = frame.maps[pinned.row, pinned.column]
                channels = strongest(values, frame.channel)
                words += (
                    f"<br>values at row {pinned.row}, column {pinned.column}, strongest first: "
                    f"{min(MOST, len(values))} of {len(values)} channels"
                )
                self._list.channels, self._list.chosen = channels, frame.channel
                self._list.lengths = bars(values[channels])
                self._list.texts = [number(float(values[channel])) for channel in channels]
            else:
                self._list.channels, self._list.lengths, self._list.texts = [], [], []
        self._title.value = f'<div class="fmw-caption"><b>Who sees this pixel</b><br>{words}</div>'


def strongest(values: Array, chosen: int) -> list[int]:
    """The channels with the largest values, NaN before all others, and the chosen one in any case."""
    order = np.lexsort((-np.nan_to_num(values.astype(np.float64), nan=0.0), ~np.isnan(values)))
    best = order[:MOST].tolist()
    return best if chosen in best else [*best, chosen]


def bars(values: Array) -> list[float]:
    """How long the bars of some values are, up to 1, and below 0 as they are; NaN has none."""
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    largest = np.abs(values[finite]).max(initial=0.0)
    lengths = np.where(finite, values / largest if largest else 0.0, np.nan_to_num(np.sign(values)))
    return [float(length) for length in lengths]


def viewers_in_words(trace: TracedPixel, shape: tuple[int, ...]) -> str:
    """Who sees a pixel, as HTML."""
    row, column = trace.pixel
    where, viewers = f"row {row}, column {column} of the picture", trace.viewers
    if viewers is None:
        return f"{where}: finding out \N{HORIZONTAL ELLIPSIS}"
    if viewers.unknown:
        return f"{where}: {html.escape(viewers.unknown)}"
    if viewers.box is None:
        return f"{where}: no position of these maps sees it"
    top, left, bottom, right = viewers.box
    size = shape_text((bottom - top, right - left))
    gaps = ", with gaps" if viewers.has_gaps else ""
    return f"{where}: seen from {size} of {shape_text(shape[:2])} positions{gaps}"
