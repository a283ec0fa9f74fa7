"""Display of the widget in a Jupyter output, followed by a static picture of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from fmwidget.export.notebook import Bundle, SavedPicture

WIDGET = "application/vnd.jupyter.widget-view+json"
BESIDE_PICTURE = (
    "fmw-beside-picture"  # CSS class of a widget followed by its picture: `frontend/css/saved.css`
)


def can_hide_picture() -> bool:
    """Return whether Jupyter shows the widget: `frontend/css/saved.css` relies on the structure of its page.

    The pages of VS Code and Colab differ, and would show the picture below the live widget too.
    """
    shell: Any = get_ipython()
    return (
        hasattr(shell, "kernel")
        and "__vsc_ipynb_file__" not in shell.user_ns
        and not {"VSCODE_PID", "COLAB_RELEASE_TAG"} & os.environ.keys()
    )


def widget_bundle(live: Mapping[str, Any], picture: SavedPicture) -> Bundle:
    """Return one output for both widget and picture, for pages on which the picture cannot be hidden.

    Args:
        live: The output's data by ipywidgets.
        picture: Shown in the widget's place by programs that show no widgets.
    """
    data, metadata = picture.bundle()
    return {**data, WIDGET: live[WIDGET]}, metadata


def show_with_picture(live: Mapping[str, Any], picture: SavedPicture) -> None:
    """Publish a widget, then a picture of it: one of the two is seen.

    Args:
        live: The output's data by ipywidgets.
        picture: The picture; its alt text replaces the widget where widgets are not shown.
    """
    publish_display_data({"text/plain": picture.alt, WIDGET: live[WIDGET]})
    show_picture(picture)


def show_picture(picture: SavedPicture) -> None:
    """Publish a picture."""
    data, metadata = picture.bundle()
    publish_display_data(data, metadata)
