"""The panels of the screen, and the arrangement of controls, status line and panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets

from fmwidget.frontend.accessible_names import AccessibleNames

from .controls.trait_controls import TraitControls
from .panels.answer import AnswerPanel
from .panels.contributions import ContributionsPanel
from .panels.depth_profile import ProfilePanel
from .panels.input import InputPanel
from .panels.maps import ChannelPanel, GridPanel
from .panels.numbers import NumbersPanel
from .panels.projective_field import ProjectiveFieldPanel
from .panels.step_history import StepHistoryPanel
from .panels.training_curves import TrainingCurvesPanel
from .panels.zoom import ZoomPanel
from .receptive_field_service import ReceptiveFieldService
from .status import StatusLine

MAX_WIDTH = 1600  # CSS px, in which all panels lie side by side


class Panels(NamedTuple):
    """The panels of a widget, each a `Panel`, in the order they are updated."""

    grid: GridPanel
    training: TrainingCurvesPanel
    history: StepHistoryPanel
    profile: ProfilePanel
    answer: AnswerPanel
    detail: ChannelPanel
    input: InputPanel
    numbers: NumbersPanel
    projective_field: ProjectiveFieldPanel
    contributions: ContributionsPanel
    zoom: ZoomPanel


def build_panels(
    class_names: Sequence[str] | None,
    receptive_fields: ReceptiveFieldService,
    input_controls: ipywidgets.Widget,
    *,
    choose: Callable[[str, Any], None],
    changed: Callable[[], None],
) -> Panels:
    """Build the panels of a widget.

    Args:
        class_names: A name for each of the model's scores, or `None`.
        receptive_fields: Computes receptive fields.
        input_controls: The controls of how images become the model's input.
        choose: Called with a trait's name and the value that the user chose for it.
        changed: Called when the panels are to be updated again, with the frame on screen.
    """

    def choose_cell(path: str, step: int) -> None:
        choose("step", step)
        choose("layer", path)

    answer = AnswerPanel(class_names)
    return Panels(
        grid=GridPanel(),
        training=TrainingCurvesPanel(lambda step: choose("step", step)),
        history=StepHistoryPanel(choose_cell, changed),
        profile=ProfilePanel(lambda path: choose("layer", path)),
        answer=answer,
        detail=ChannelPanel(),
        input=InputPanel(receptive_fields, answer.box, input_controls),
        numbers=NumbersPanel(),
        projective_field=ProjectiveFieldPanel(lambda channel: choose("channel", channel)),
        contributions=ContributionsPanel(changed),
        zoom=ZoomPanel(),
    )


def arrange(controls: TraitControls, status: StatusLine, panels: Panels) -> list[ipywidgets.Widget]:
    """Return the rows of the screen, from top to bottom.

    The answer and the input's controls are not among them: they are beside the image, in `InputPanel`.
    """
    grid = ipywidgets.Box([panels.grid.box, panels.zoom.box])
    grid.add_class("fmw-stack")  # the zoom view lies over the grid
    below = [
        panels.detail.box,
        panels.input.box,
        panels.numbers.box,
        panels.projective_field.box,
        panels.contributions.box,
    ]
    return [
        controls.main,
        panels.training.box,
        panels.history.box,
        panels.profile.box,
        status.box,
        grid,
        ipywidgets.HBox(below, layout={"flex_flow": "row wrap"}),
        AccessibleNames(layout={"display": "none"}),
    ]
