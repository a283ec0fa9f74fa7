"""`Panel`: the interface of all panels."""

from __future__ import annotations

from typing import Any, Protocol

from fmwidget.pipeline.frame import Frame
from fmwidget.widget.selection import Selection


class Panel(Protocol):
    """A part of the screen.

    Attributes:
        box: The ipywidget that is placed on the screen.
    """

    box: Any

    def update(self, frame: Frame, selection: Selection, /) -> None:
        """Show a frame and what is selected in it.

        Called with each new frame, and again with the frame on screen for every change of the selection: at
        every hover. Panels draw only if the frame is another object than the last, whether or not drawing
        that one has failed; for the same frame they send what the selection changes, and nothing else.
        """
