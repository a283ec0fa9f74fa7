"""The choice of a step of training: a slider whose last place is the live weights, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from fmwidget.frontend.play_button import PlayButton, next_item
from fmwidget.pipeline.frame import ViewState, weights_in_words
from fmwidget.references import LIVE

from .fields import move_slider, row, slider

if TYPE_CHECKING:
    from fmwidget.snapshots.snapshot import Snapshot

STEP_MS = 500  # least time that each step is shown while they are played


class StepChooser:
    """Controls that go through the snapshots of training, hidden while there are none.

    Args:
        choose: Called with a trait's name and the value that the user chose for it.
        play: Called with the next step while steps are played.
    """

    def __init__(self, choose: Callable[[str, Any], None], play: Callable[[int], None]) -> None:
        self._choose, self._play = choose, play
        self._steps: tuple[int, ...] = (LIVE,)
        self._step = LIVE
        self.slider = slider("Step", "200px", readout=False)
        self.slider.tooltip = "Step of training; , and . over the maps go back and on"
        self.label = ipywidgets.Label(layout={"flex": "0 1 180px"})
        self.play = PlayButton(items="steps", pace=STEP_MS)
        self.scale = ipywidgets.ToggleButton(
            description="One scale",
            tooltip="Draw the maps of all steps on one scale, so that growth is visible",
            layout={"width": "auto"},
        )
        self.history = ipywidgets.ToggleButton(
            description="Over the steps",
            tooltip="Inactive channels, means and distances of every layer over the steps",
            layout={"width": "auto"},
        )
        self.box = row(self.slider, self.play, self.label, self.scale, self.history)
        self.box.layout.display = "none"
        self.slider.observe(lambda change: self._choose_place(change["new"]), names="value")
        self.scale.observe(lambda change: choose("scale", "run" if change["new"] else "step"), names="value")
        self.history.observe(lambda change: choose("history", change["new"]), names="value")
        self.play.on_step(self._play_step)

    def update(self, run: Sequence[Snapshot], state: ViewState, *, is_comparing: bool) -> None:
        """Show the step of a state among the snapshots.

        Args:
            run: The snapshots.
            state: The state.
            is_comparing: Whether maps are compared, which have a scale of their own.
        """
        self._steps, self._step = (*(each.step for each in run), LIVE), state.step
        self.box.layout.display = "flex" if run else "none"
        move_slider(self.slider, self._steps.index(state.step), last=len(run))
        snapshot = next((each for each in run if each.step == state.step), None)
        place = "" if snapshot is None else f" ({self._steps.index(state.step) + 1} of {len(run)})"
        self.label.value = self.label.tooltip = weights_in_words(snapshot) + place
        self.scale.disabled = is_comparing
        self.scale.value, self.history.value = state.scale == "run", state.history

    def step_by(self, by: int) -> None:
        """Choose the step some places on."""
        self._choose_place(self._steps.index(self._step) + by)

    def _choose_place(self, place: int) -> None:
        if 0 <= place < len(self._steps):
            self._choose("step", self._steps[place])

    def _play_step(self, *, is_first: bool) -> bool:
        """Show the next step; return whether another follows."""
        step, is_more = next_item(self._steps[:-1], self._step, is_first=is_first)
        self._play(step)
        return is_more
