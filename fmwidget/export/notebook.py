"""What stays when the kernel is gone: plain pictures in the notebook's file, and code for the same view.

A live widget is nothing but a reference in the file. Behind it lies a picture, as an output of its own: who
has no kernel (a reopened notebook, an exported page, GitHub) sees the picture, and as long as the widget is
on the page a rule in `frontend/css/saved.css` hides it. In one output with the widget it would not do:
JupyterLab shows a widget that it trusts, or a message that there is none, but never what else that output
holds.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from fmwidget.rendering.canvas import grey
from fmwidget.rendering.palette import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

Bundle = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class SavedPicture:
    """A picture of what a widget shows.

    Attributes:
        png: Its bytes.
        width: In CSS pixels.
        height: In CSS pixels.
        alt: What it shows, in words.
    """

    png: bytes
    width: int
    height: int
    alt: str

    def bundle(self) -> Bundle:
        """The data and metadata of a notebook's output."""
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": self.width, "height": self.height, "alt": self.alt}}


def on_paper(png: bytes, cmap: str, box: Sequence[float], ratio: int) -> bytes:
    """Makes of a grid's PNG what a file keeps: on white, wherever it is read, its chosen tile framed.

    On the page the browser draws that frame, and the page may be dark.

    Args:
        png: An indexed PNG, as `encode_png` writes it.
        cmap: Name of the colormap that it is drawn in.
        box: `(x, y, width, height)` of the tile in CSS pixels; empty for no frame.
        ratio: Pixels to a CSS pixel.
    """
    picture = Image.open(io.BytesIO(png))
    picture.putpalette(palette(cmap).tobytes())
    if box:
        x, y, width, height = (round(edge * ratio) for edge in box)
        outline = (x - 2 * ratio, y - 2 * ratio, x + width + 2 * ratio - 1, y + height + 2 * ratio - 1)
        ImageDraw.Draw(picture).rectangle(outline, outline=grey(1), width=2 * ratio)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, dpi=(96 * ratio, 96 * ratio))
    return file.getvalue()
