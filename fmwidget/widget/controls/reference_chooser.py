"""The choice of a reference to compare with, and of the side on screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from fmwidget.analysis.contrast import SIDES
from fmwidget.pipeline.frame import ViewState

from .fields import dropdown, row

NOTHING = ("nothing", "")
SIDE_LABELS = {"a": "A", "b": "B", "difference": "A − B"}
SIDE_TOOLTIPS = (
    "The image and weights chosen (t over the maps flips A and B)",
    "The reference (t over the maps flips A and B)",
    "Their difference",
)


class ReferenceChooser:
    """Controls of a comparison, hidden while there is nothing to compare with.

    Args:
        choose: Called with a trait's name and the value that the user chose for it.
    """

    def __init__(self, choose: Callable[[str, Any], None]) -> None:
        self._choose = choose
        self.against = dropdown("Compare with", [NOTHING], "240px")
        self.side = ipywidgets.ToggleButtons(
            options=[(SIDE_LABELS[side], side) for side in SIDES],
            tooltips=SIDE_TOOLTIPS,
            value="difference",
            style={"button_width": "auto"},
            layout={"width": "auto"},
        )
        self.problem = ipywidgets.Label(layout={"width": "auto"})
        self.box = row(self.against, self.side, self.problem)
        self.against.observe(lambda change: choose("against", change["new"]), names="value")
        self.side.observe(lambda change: choose("side", change["new"]), names="value")

    def update(self, references: Mapping[str, str], state: ViewState, problem: str) -> None:
        """Show the reference and the side of a state.

        Args:
            references: The names on offer, with their labels.
            state: The state.
            problem: The reason why the layer on screen cannot be compared.
        """
        self.box.layout.display = "flex" if references else "none"
        options = (NOTHING, *((label, name) for name, label in references.items()))
        if options != self.against.options:
            self.against.options = options
        self.against.value, self.side.value = state.against, state.side
        self.side.layout.display = "flex" if state.against and not problem else "none"
        self.problem.value = problem
