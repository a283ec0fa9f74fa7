"""The projective field of a pixel: the positions that depend on it, and the values of all channels there."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from fmwidget.frontend.channel_list import ChannelList
from fmwidget.rendering.formatting import SIDE_NAMES, number, shape_text

if TYPE_CHECKING:
    from fmwidget.pipeline.frame import Frame
    from fmwidget.widget.selection import Selection, TracedPixel

MAX_ROWS = 12  # and one more for the chosen channel if it is not among them

Array = np.ndarray[Any, Any]


class ProjectiveFieldPanel:
    """The extent of the traced pixel's projective field, and the strongest channels at the pinned position.

    Hidden while no pixel is traced.

    Args:
        choose: Called with a channel that the user chooses.
    """

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._title = ipywidgets.HTML()
        self._list = ChannelList()
        self._list.on_choice(choose)
        layout = {"display": "none", "flex": "1 1 300px", "max_width": "480px"}
        self.box = ipywidgets.VBox([self._title, self._list], layout=layout)
        self.box.add_class("fmw-panel")

    def update(self, frame: Frame, selection: Selection) -> None:
        """Show the projective field of the traced pixel."""
        traced, pinned = selection.traced, selection.pinned
        self.box.layout.display = "none" if traced is None else "flex"
        if traced is None:
            return
        words = field_in_words(traced, frame.maps.shape)
        channels: list[int] = []
        values = np.empty(0)
        if pinned is not None and traced.field is not None and traced.field.nearest is not None:
            values = frame.maps[pinned.row, pinned.column]
            channels = strongest(np.abs(values) if frame.side == "difference" else values, frame.channel)
            side = "" if frame.contrast is None else f"{SIDE_NAMES[frame.side]}, "
            words += (
                f"<br>{side}values at row {pinned.row}, column {pinned.column}, strongest first: "
                f"{min(MAX_ROWS, len(values))} of {len(values)} channels"
            )
        with self._list.hold_sync():
            self._list.channels, self._list.chosen = channels, frame.channel
            self._list.lengths = bar_lengths(values[channels])
            self._list.texts = [number(float(value)) for value in values[channels]]
        self._title.value = f'<div class="fmw-caption"><b>Who sees this pixel</b><br>{words}</div>'


def strongest(values: Array, chosen: int) -> list[int]:
    """Return the channels with the largest values, NaN first, and the chosen one in any case."""
    order = np.lexsort((-np.nan_to_num(values.astype(np.float64), nan=0.0), ~np.isnan(values)))
    best = order[:MAX_ROWS].tolist()
    return best if chosen in best else [*best, chosen]


def bar_lengths(values: Array) -> list[float]:
    """Return lengths of bars from -1 to 1, in proportion to the values; NaN has none, ±inf a whole one."""
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    largest = np.abs(values[finite]).max(initial=0.0)
    lengths = np.where(finite, values / largest if largest else 0.0, np.nan_to_num(np.sign(values)))
    return [float(length) for length in lengths]


def field_in_words(traced: TracedPixel, shape: tuple[int, ...]) -> str:
    """Describe the projective field of a pixel, as HTML."""
    row, column = traced.pixel
    where, field = f"row {row}, column {column} of the picture", traced.field
    if field is None:
        return f"{where}: finding out \N{HORIZONTAL ELLIPSIS}"
    if field.unknown:
        return f"{where}: {html.escape(field.unknown)}"
    if field.box is None:
        return f"{where}: no position of these maps sees it"
    top, left, bottom, right = field.box
    size = shape_text((bottom - top, right - left))
    gaps = ", with gaps" if field.has_gaps else ""
    return f"{where}: seen from {size} of {shape_text(shape[:2])} positions{gaps}"
