"""Displaying the widget in a Jupyter output, with a static picture beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from fmwidget.export.notebook import Bundle, SavedPicture

WIDGET = "application/vnd.jupyter.widget-view+json"


BESIDE_PICTURE = (
    "fmw-beside-picture"  # class of a widget followed by its picture, in `frontend/css/saved.css`
)


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
