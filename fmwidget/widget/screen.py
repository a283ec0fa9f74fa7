"""Everything that a widget shows, and the selection on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fmwidget.pipeline.frame import Frame

from .arrangement import arrange, build_panels
from .controls.trait_controls import TraitControls
from .interactions import Interactions
from .receptive_field_service import ReceptiveFieldService
from .selection import Selection, Selector
from .status import StatusLine

if TYPE_CHECKING:
    from .panels.base import Panel


class Screen:
    """The controls, the status line and the panels of a widget.

    Args:
        class_names: A name for each of the model's scores, or `None`.
        choose: Called with a trait's name and the value that the user chose for it.
        play: Called with a trait's name and its next value while layers, channels or steps are played.
        relist: Called when the filter of layers has changed.
        add: Called with the name and the bytes of an image that the user adds.
        draw: Returns name and bytes of the picture that the user saves.
        run: Runs an action of another thread as one of the widget's.

    Attributes:
        frame: The frame on screen; `None` until there is one.
        selection: The selection in it.
    """

    def __init__(
        self,
        class_names: Sequence[str] | None,
        *,
        choose: Callable[[str, Any], None],
        play: Callable[[str, Any], None],
        relist: Callable[[], None],
        add: Callable[[str, bytes], None],
        draw: Callable[[], tuple[str, bytes]],
        run: Callable[[Callable[[], None]], None],
    ) -> None:
        self.frame: Any = None  # a `Frame`, for all who ask when there is one
        self.selection = Selection()
        self.status = StatusLine()
        self.controls = TraitControls(choose, play, relist, add, draw)
        self.receptive_fields = ReceptiveFieldService(lambda: run(self.update))
        self.panels = build_panels(
            class_names, self.receptive_fields, self.controls.input, choose=choose, changed=self.update
        )
        self.interactions = Interactions(
            self.panels,
            Selector(self.receptive_fields),
            frame=lambda: self.frame,
            choose=choose,
            step_by=self.controls.steps.step_by,
            changed=self.update,
        )
        self.rows = arrange(self.controls, self.status, self.panels)

    def show(self, frame: Frame) -> None:
        """Show another frame."""
        self.frame = frame
        self.interactions.listen_to_keys(frame)
        self.status.weights = frame.weights
        self.update()

    def update(self) -> None:
        """Update all panels with the frame and the selection in it."""
        if self.frame is None:
            return
        self.selection = self.interactions.select(self.frame)
        panel: Panel
        for panel in self.panels:
            panel.update(self.frame, self.selection)
