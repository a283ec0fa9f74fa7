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
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data
from PIL import Image, ImageDraw

from fmwidget.rendering.canvas import grey
from fmwidget.rendering.palette import palette

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Bundle = tuple[dict[str, Any], dict[str, Any]]

WIDGET = "application/vnd.jupyter.widget-view+json"
BESIDE_PICTURE = (
    "fmw-beside-picture"  # class of a widget followed by its picture, in `frontend/css/saved.css`
)
LONGEST_LINE = 88


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


def can_hide_picture() -> bool:
    """Whether the widget is shown by Jupyter, whose page `frontend/css/saved.css` knows.

    VS Code and Colab build their pages differently, and would show the picture below the live widget too.
    """
    shell: Any = get_ipython()
    return (
        hasattr(shell, "kernel")
        and "__vsc_ipynb_file__" not in shell.user_ns
        and not {"VSCODE_PID", "COLAB_RELEASE_TAG"} & os.environ.keys()
    )


def widget_bundle(live: Mapping[str, Any], picture: SavedPicture) -> Bundle:
    """The one output of a widget where its picture cannot be hidden: both in it.

    Args:
        live: What ipywidgets puts into the output.
        picture: What is shown in its place by readers that show no widgets.
    """
    data, metadata = picture.bundle()
    return {**data, WIDGET: live[WIDGET]}, metadata


def show_with_picture(live: Mapping[str, Any], picture: SavedPicture) -> None:
    """Puts a widget into the output, and a picture of it behind: one of the two is seen.

    Args:
        live: What ipywidgets puts into the output.
        picture: The picture; its alt text stands in the widget's place where widgets are not shown.
    """
    publish_display_data({"text/plain": picture.alt, WIDGET: live[WIDGET]})
    show_picture(picture)


def show_picture(picture: SavedPicture) -> None:
    """Puts a picture into the output."""
    data, metadata = picture.bundle()
    publish_display_data(data, metadata)


def code_for(
    fixed: Sequence[str], values: Mapping[str, Any], defaults: Mapping[str, Any], page: int | None
) -> str:
    """The lines that make a widget again.

    Args:
        fixed: Arguments as they are written.
        values: Keyword arguments: strings and numbers, and functions, which are called by their names.
        defaults: What each of these is when it is left out, which it then is.
        page: The page to turn to.
    """
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    parts = [*fixed, *(f"{name}={_literal(value)}" for name, value in changed.items())]
    line = f"widget = FeatureMapWidget({', '.join(parts)})"
    if len(line) > LONGEST_LINE:
        line = "\n".join(["widget = FeatureMapWidget(", *(f"    {part}," for part in parts), ")"])
    turn = [] if page is None else [f"widget.page = {page}"]
    return "\n".join(["from fmwidget import FeatureMapWidget", "", line, *turn, "widget"])


def _literal(value: Any) -> str:
    if callable(value):
        name = str(getattr(value, "__name__", ""))
        return name if name.isidentifier() else "preprocess"
    text = repr(value)
    if isinstance(value, str) and text == f"'{value}'" and '"' not in value:
        return f'"{value}"'
    return text
