"""The places of controls, status line and panels on the screen."""

from __future__ import annotations

from typing import NamedTuple

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
from .panels.zoom import ZoomPanel
from .status import StatusLine

MAX_WIDTH = 1600  # CSS px, in which all panels lie side by side


class Panels(NamedTuple):
    """The panels of a widget, each a `Panel`, in the order they are updated."""

    grid: GridPanel
    profile: ProfilePanel
    answer: AnswerPanel
    detail: ChannelPanel
    input: InputPanel
    numbers: NumbersPanel
    projective_field: ProjectiveFieldPanel
    contributions: ContributionsPanel
    zoom: ZoomPanel


def arrange(controls: TraitControls, status: StatusLine, panels: Panels) -> list[ipywidgets.Widget]:
    """Return the rows of the screen, from top to bottom.

    The answer and the input's controls have no place here: they are beside the image, in `InputPanel`.
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
        panels.profile.box,
        status.box,
        grid,
        ipywidgets.HBox(below, layout={"flex_flow": "row wrap"}),
        AccessibleNames(layout={"display": "none"}),
    ]
