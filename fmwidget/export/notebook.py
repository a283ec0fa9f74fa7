"""The PNG that stays in a notebook's file when the kernel is gone.

In the file a live widget is a reference only. A picture follows it, as an output of its own: without a
kernel (in a reopened notebook, an exported page, on GitHub) the picture is visible, and while the widget is
on the page a rule in `frontend/css/saved.css` hides it. One output for both is not enough: JupyterLab shows
the widget of a trusted notebook, or a message that there is none, but never the other formats of that output.
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
    """A picture of a widget.

    Attributes:
        png: The PNG.
        width: In CSS pixels.
        height: In CSS pixels.
        alt: Alternative text.
    """

    png: bytes
    width: int
    height: int
    alt: str

    def bundle(self) -> Bundle:
        """Return the data and metadata of a notebook output."""
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": self.width, "height": self.height, "alt": self.alt}}


def light_png(png: bytes, cmap: str, box: Sequence[float], ratio: int) -> bytes:
    """Recolour a grid's PNG for a white page, and frame its chosen tile.

    On screen the page may be dark, and the browser draws the frame.

    Args:
        png: An indexed PNG, as `encode_png` writes it.
        cmap: Name of its colormap.
        box: `(x, y, width, height)` of the tile in CSS pixels; empty for no frame.
        ratio: Pixels per CSS pixel.
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
