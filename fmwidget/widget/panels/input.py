"""The image in the model's input, with the chosen channel laid over it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.frontend.picture_view import PictureView
from fmwidget.images.preprocessing import SCALINGS
from fmwidget.models.input_scaling import AS_GIVEN
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.formatting import number, shape_text
from fmwidget.rendering.grid_layout import DETAIL_BOX
from fmwidget.rendering.overlay import image_pixels, map_pixels, overlay_png
from fmwidget.rendering.palette import cmap_for, palette
from fmwidget.rendering.sampling import Unit

if TYPE_CHECKING:
    from fmwidget.analysis.receptive_field.fields import Field
    from fmwidget.widget.receptive_field_service import ReceptiveFieldService
    from fmwidget.widget.selection import Selection

Array = np.ndarray[Any, Any]

BESIDE = 120  # CSS px that a column beside the image needs


class InputPanel:
    """The image in the model's input, its scaling, and the chosen channel over it.

    The receptive field of the selected unit is outlined.

    Args:
        receptive_fields: Computes receptive fields.
        beside: Widgets placed beside the image where they fit, and below it otherwise.
    """

    def __init__(self, receptive_fields: ReceptiveFieldService, *beside: ipywidgets.Widget) -> None:
        self._title, self._scaling = ipywidgets.HTML(), ipywidgets.HTML()
        self._field_text = ipywidgets.HTML(layout={"min_height": "20px"})  # the same height without text
        self.view = PictureView(label="Picture as the model sees it")
        self._receptive_fields = receptive_fields
        self._frame: Frame | None = None
        picture = ipywidgets.VBox(
            [self._title, self.view, self._field_text],
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
        self._pixels = Latest(image_pixels)
        self._map = Latest(map_pixels)
        self._png = Latest(overlay_png)

    def update(self, frame: Frame, selection: Selection) -> None:
        """Draw a new frame; mark the traced pixel and outline the receptive field of the selected unit."""
        if frame is not self._frame:
            self._frame = frame
            self._draw(frame)
        self.view.mark = list(self._pixel_on_screen(frame, selection))
        self._show_field(frame, selection.unit)

    def pixel_at(self, frame: Frame, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column in the model's input of a point of the picture, in CSS px."""
        if frame.input_image is None:
            return None
        places = zip((y, x), (self.view.height, self.view.width), frame.sizes, strict=True)
        row, column = (min(int(at / shown * size), size - 1) for at, shown, size in places)
        return row, column

    def _draw(self, frame: Frame) -> None:
        self._scaling.value = _scaling_in_words(frame)
        if frame.input_image is None:
            self.view.show(b"", 0, 0)
            self._title.value = _caption("The model's input holds no picture to show.")
            return
        self._title.value = _image_in_words(frame, frame.input_image)
        pixels = self._pixels(
            frame.input_image, frame.scaling.name, frame.data_format, frame.ratio, frame.bands
        )
        over, words = None, f"{frame.image}, as the model sees it."
        if frame.opacity:
            colours = palette(cmap_for(frame.norm, frame.cmap), dark=frame.display.dark)
            over = self._map(
                frame.maps, frame.statistics, frame.channel, frame.norm, colours, scale=frame.scale
            )
            words += f" Channel {frame.channel} lies over it, at {frame.opacity} %."
        height, width = (side // frame.ratio for side in pixels.shape[:2])
        self.view.show(self._png(pixels, over, frame.opacity), width, height, alt=words, mark=self.view.mark)

    def _pixel_on_screen(self, frame: Frame, selection: Selection) -> tuple[float, ...]:
        if selection.traced is None:
            return ()
        row, column = selection.traced.pixel
        return self._on_screen((row, column, row + 1, column + 1), frame)

    def _show_field(self, frame: Frame, unit: Unit | None) -> None:
        region: tuple[float, ...] = ()
        words = ""
        if unit is not None and frame.input_image is not None:
            field = self._receptive_fields.receptive_field(frame, unit.row, unit.column)
            words = field_in_words(field, frame.sizes)
            if field is not None and field.box is not None:
                region = self._on_screen(field.box, frame)
        self.view.region = list(region)
        self._field_text.value = _caption(html.escape(words))

    def _on_screen(self, box: tuple[int, int, int, int], frame: Frame) -> tuple[float, ...]:
        """Return a box of the model's input as `x, y, width, height` in CSS px of the picture."""
        top, left, bottom, right = box
        height, width = frame.sizes
        down, across = self.view.height / height, self.view.width / width
        return left * across, top * down, (right - left) * across, (bottom - top) * down


def field_in_words(field: Field | None, sizes: tuple[int, ...]) -> str:
    """Describe the receptive field of a unit in an input of this height and width."""
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


def _image_in_words(frame: Frame, image: Array) -> str:
    low, high, gaps = image.min(), image.max(), ""
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = image[np.isfinite(image)]
        low, high = finite.min(initial=np.inf), finite.max(initial=-np.inf)
        gaps = f", {image.size - finite.size} not finite"
    values = f"values {number(low)} to {number(high)}" if low <= high else "no finite value"
    title = f"<b>{html.escape(frame.image)}</b>, as the model sees it"
    return _caption(f"{title}<br>{shape_text(image.shape)}, {values}{gaps}")


def _scaling_in_words(frame: Frame) -> str:
    scaling = f"scaled {SCALINGS.get(frame.scaling.name, 'by your function')}"
    scaling = "not scaled" if frame.scaling == AS_GIVEN else scaling
    known = "known" if frame.scaling.known else "assumed"
    return _caption(f"{html.escape(scaling)} <i>({known}: {html.escape(frame.scaling.reason)})</i>")


def _caption(text: str) -> str:
    return f'<div class="fmw-caption">{text}</div>'
