"""The picture as the model sees it, with the chosen channel laid over it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.frontend.picture_view import PictureView
from fmwidget.images.preprocessing import SCALINGS
from fmwidget.models.input_scaling import AS_GIVEN
from fmwidget.pipeline import Frame
from fmwidget.rendering.formatting import number, shape_text
from fmwidget.rendering.grid_layout import DETAIL_BOX
from fmwidget.rendering.overlay import map_pixels, overlay_png, seen_pixels
from fmwidget.rendering.palette import cmap_for, palette
from fmwidget.rendering.sampling import Unit

if TYPE_CHECKING:
    from fmwidget.analysis.receptive_field.fields import Field
    from fmwidget.widget.receptive_field_service import ReceptiveFieldService
    from fmwidget.widget.tracing import TracedPixel

Array = np.ndarray[Any, Any]

BESIDE = 120  # CSS px that a column beside the picture needs


class InputPanel:
    """The picture as the model sees it, how it came to be so, and the chosen channel over it.

    What a unit sees of it is outlined.

    Args:
        lookout: Knows what units see.
        beside: What belongs to the picture, and stands beside it where there is room.
    """

    def __init__(self, receptive_fields: ReceptiveFieldService, *beside: ipywidgets.Widget) -> None:
        self._title, self._scaling = ipywidgets.HTML(), ipywidgets.HTML()
        self._sees = ipywidgets.HTML(layout={"min_height": "20px"})  # nothing moves when it says something
        self.view = PictureView(label="Picture as the model sees it")
        self._receptive_fields = receptive_fields
        picture = ipywidgets.VBox(
            [self._title, self.view, self._sees],
            layout={"flex": f"0 1 {DETAIL_BOX}px", "min_width": "0", "overflow": "visible"},
        )
        rest = ipywidgets.VBox(
            [*beside, self._scaling],
            layout={"flex": f"1 1 {BESIDE}px", "min_width": "0", "max_width": "480px", "overflow": "visible"},
        )
        self.box = ipywidgets.HBox(
            [picture, rest], layout={"flex": f"1 1 {DETAIL_BOX + BESIDE}px", "flex_flow": "row wrap"}
        )
        self.box.add_class("fmw-input")
        self._picture = Latest(seen_pixels)
        self._map = Latest(map_pixels)
        self._png = Latest(overlay_png)

    def show(self, frame: Frame) -> None:
        """Shows the picture with its scaling undone, and says what its numbers were."""
        self._scaling.value = _scaling_in_words(frame)
        if frame.input_image is None:
            self.view.show(b"", 0, 0)
            self._title.value = _caption("The model's input holds no picture to show.")
            return
        self._title.value = _picture_in_words(frame, frame.input_image)
        picture = self._picture(
            frame.input_image, frame.scaling.name, frame.data_format, frame.ratio, frame.bands
        )
        over, words = None, f"{frame.picture}, as the model sees it."
        if frame.opacity:
            colours = palette(cmap_for(frame.norm, frame.cmap), dark=frame.display.dark)
            over = self._map(frame.maps, frame.statistics, frame.channel, frame.norm, colours)
            words += f" Channel {frame.channel} lies over it, at {frame.opacity} %."
        height, width = (side // frame.ratio for side in picture.shape[:2])
        self.view.show(self._png(picture, over, frame.opacity), width, height, alt=words, mark=self.view.mark)

    def point(self, frame: Frame, unit: Unit | None) -> None:
        """Outlines what a unit sees of the picture, and says how much that is."""
        region: tuple[float, ...] = ()
        words = ""
        if unit is not None and frame.input_image is not None:
            field = self._receptive_fields.field(frame, unit.row, unit.column)
            words = field_in_words(field, frame.sizes)
            if field is not None and field.box is not None:
                region = self._on_screen(field.box, frame)
        self.view.region = list(region)
        self._sees.value = _caption(html.escape(words))

    def trace(self, frame: Frame, trace: TracedPixel | None, _pinned: Unit | None) -> None:
        """Marks the pixel that was clicked."""
        row, column = trace.pixel if trace else (0, 0)
        box = self._on_screen((row, column, row + 1, column + 1), frame) if trace else ()
        self.view.mark = list(box)

    def pixel_at(self, frame: Frame, x: float, y: float) -> tuple[int, int] | None:
        """Row and column in the model's input of a point of the picture, in CSS px."""
        if frame.input_image is None:
            return None
        places = zip((y, x), (self.view.height, self.view.width), frame.sizes, strict=True)
        row, column = (min(int(at / shown * size), size - 1) for at, shown, size in places)
        return row, column

    def _on_screen(self, box: tuple[int, int, int, int], frame: Frame) -> tuple[float, ...]:
        """A box of the model's input as `x, y, width, height` in CSS px of the picture."""
        top, left, bottom, right = box
        height, width = frame.sizes
        down, across = self.view.height / height, self.view.width / width
        return left * across, top * down, (right - left) * across, (bottom - top) * down


def field_in_words(field: Field | None, sizes: tuple[int, ...]) -> str:
    """What one unit sees of an input of these sizes, in words."""
    whole = shape_text(sizes)
    if field is None:
        return "finding out what it sees …"
    if field.unknown:
        return field.unknown
    if field.box is None:
        return "sees nothing of the picture"
    top, left, bottom, right = field.box
    size = shape_text((bottom - top, right - left))
    if field.is_global:
        part = "the whole picture" if size == whole else f"the same {size} of {whole} px from everywhere"
        return f"sees {part}: a global path leads through {field.through!r}"
    return f"sees {size} of {whole} px"


def _picture_in_words(frame: Frame, seen: Array) -> str:
    values = f"{shape_text(seen.shape)}, values {number(seen.min())} to {number(seen.max())}"
    return _caption(f"<b>{html.escape(frame.picture)}</b>, as the model sees it<br>{values}")


def _scaling_in_words(frame: Frame) -> str:
    scaling = f"scaled {SCALINGS.get(frame.scaling.name, 'by your function')}"
    scaling = "not scaled" if frame.scaling == AS_GIVEN else scaling
    known = "known" if frame.scaling.known else "assumed"
    return _caption(f"{html.escape(scaling)} <i>({known}: {html.escape(frame.scaling.reason)})</i>")


def _caption(text: str) -> str:
    return f'<div class="fmw-caption">{text}</div>'
