"""Displaying the widget in a Jupyter output, with a static picture beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from fmwidget.export.notebook import Bundle, SavedPicture, light_png
from fmwidget.frontend.picture_view import PictureView
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.palette import cmap_for

from .lifetime import register_display, release
from .visible_text import visible

WIDGET = "application/vnd.jupyter.widget-view+json"


# Class of a widget followed by its picture, in `frontend/css/saved.css`.
BESIDE_PICTURE = "fmw-beside-picture"


class NotebookWidget(ipywidgets.VBox):
    """A widget that leaves a static picture in the notebook's file, and is freed when no page shows it."""

    _view_count = traitlets.Int(0, allow_none=True, help="Number of views in the front end.").tag(sync=True)

    saved_picture: Callable[[], SavedPicture]  # what the widget shows: a method of the subclass

    def snapshot(self) -> None:
        """Put a static picture into the output, which stays when the kernel is gone."""
        show_picture(self.saved_picture())

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Return the state for the front end: see ipywidgets. A page that is being loaded has no view yet."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state | {"_view_count": 0} if key is None else state

    def _ipython_display_(self) -> None:
        if self.comm is None or not can_hide_picture():
            raise NotImplementedError  # IPython then calls `_repr_mimebundle_`
        self.add_class(BESIDE_PICTURE)
        show_with_picture(super()._repr_mimebundle_(), self.saved_picture())
        register_display(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        register_display(self)
        return widget_bundle(super()._repr_mimebundle_(**kwargs), self.saved_picture())

    @traitlets.observe("_view_count")
    def _views_changed(self, change: traitlets.Bunch) -> None:
        if change["new"] == 0:
            release(self)


def saved_picture(view: PictureView, frame: Frame) -> SavedPicture:
    """Return the static picture of a view of the grid: on white, the chosen tile framed."""
    png = light_png(view.png, cmap_for(frame.norm, frame.cmap), view.mark, frame.ratio)
    return SavedPicture(png, round(view.width), round(view.height), visible(view.alt))


def can_hide_picture() -> bool:
    """Return whether Jupyter shows the widget, whose pages `frontend/css/saved.css` is written for.

    VS Code and Colab build their pages differently, and would show the picture below the live widget too.
    """
    shell: Any = get_ipython()
    return (
        hasattr(shell, "kernel")
        and "__vsc_ipynb_file__" not in shell.user_ns
        and not {"VSCODE_PID", "COLAB_RELEASE_TAG"} & os.environ.keys()
    )


def widget_bundle(live: Mapping[str, Any], picture: SavedPicture) -> Bundle:
    """Return one output that holds both a widget and its picture, for pages that cannot hide the picture.

    Args:
        live: What ipywidgets puts into the output.
        picture: What is shown in its place where widgets are not shown.
    """
    data, metadata = picture.bundle()
    return {**data, WIDGET: live[WIDGET]}, metadata


def show_with_picture(live: Mapping[str, Any], picture: SavedPicture) -> None:
    """Put a widget into the output, followed by a picture of it: a page shows one of the two.

    Args:
        live: What ipywidgets puts into the output.
        picture: The picture; its alt text is shown instead of the widget where widgets are not supported.
    """
    publish_display_data({"text/plain": picture.alt, WIDGET: live[WIDGET]})
    show_picture(picture)


def show_picture(picture: SavedPicture) -> None:
    """Put a picture into the output."""
    data, metadata = picture.bundle()
    publish_display_data(data, metadata)
