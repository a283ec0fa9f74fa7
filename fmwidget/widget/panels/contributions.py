"""The panel of the terms that the value of the pinned unit is the sum of."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.activations.forward import ForwardError
from fmwidget.activations.model import ActivationModel
from fmwidget.activations.preactivation import activation_name, has_activation
from fmwidget.analysis.contributions import contributions, is_convolution
from fmwidget.models import backends

from .contribution_tables import contribution_tables_html

if TYPE_CHECKING:
    from fmwidget.activations.layers import FeatureLayer
    from fmwidget.models.inputs import Batch
    from fmwidget.pipeline.frame import Frame
    from fmwidget.rendering.sampling import Unit
    from fmwidget.widget.selection import Selection

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class _Recorded:
    """The input of a layer and its output before the activation, `(H, W, C)` each."""

    inputs: Array
    sums: Array


class ContributionsPanel:
    """The value of the pinned unit as window times kernel plus bias.

    Hidden while no unit is pinned, and collapsed until the user opens it: computing the tables takes a
    forward pass.

    Args:
        changed: Called when the user opens or collapses the panel, to have it updated.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._button = ipywidgets.ToggleButton(
            description="Where this value comes from",
            tooltip="The window, the kernel and the bias that add up to the value you clicked on",
            layout={"width": "auto"},
        )
        self._button.observe(lambda _: changed(), names="value")
        self._html = ipywidgets.HTML(layout={"width": "100%"})
        self.box = ipywidgets.VBox([self._button, self._html], layout={"display": "none", "flex": "1 1 100%"})
        self.box.add_class("fmw-panel")
        self._html_of = Latest(self._tables)

    def update(self, frame: Frame, selection: Selection) -> None:
        """Show the tables of the pinned unit, if the panel is open."""
        unit = selection.pinned
        self.box.layout.display = "none" if unit is None else "flex"
        is_open = unit is not None and self._button.value
        if is_open and frame.side == "difference":
            self._html.value = _sentence("A difference has no terms of its own: choose A or B.")
            return
        am = frame.activations
        self._html.value = self._html_of(am, frame.layer, frame.maps, frame.batch, unit) if is_open else ""

    def _tables(self, am: ActivationModel, layer: FeatureLayer, maps: Array, batch: Batch, unit: Unit) -> str:
        operation = layer.layer
        if not is_convolution(operation):
            return _sentence(
                f"{layer.path!r} is of type {type(operation).__name__}. Only values of Conv2D and "
                "DepthwiseConv2D layers are taken apart here: choose one of those."
            )
        try:
            recorded = _recorded(am, batch, layer)
            parts = am.evaluate(
                lambda: contributions(operation, recorded.inputs, unit.channel, unit.row, unit.column)
            )
        except (ForwardError, LookupError, ValueError) as error:
            return _sentence(f"This value cannot be taken apart. {error}")
        if not parts.sums_to(float(recorded.sums[unit.row, unit.column, unit.channel])):
            return _sentence(
                f"{layer.path!r} does not just add its bias to its kernel times its input: "
                f"{type(operation).__name__} has code of its own."
            )
        return contribution_tables_html(
            parts,
            maps[unit.row, unit.column, unit.channel],
            title=f"{layer.path}: channel {unit.channel}, row {unit.row}, column {unit.column}",
            activation=activation_name(operation) if has_activation(operation) else None,
            follows=layer.after is not None,
        )


def _recorded(am: ActivationModel, batch: Batch, layer: FeatureLayer) -> _Recorded:
    call = am.recorded_call(batch, layer.after or layer.path)
    sums = call.outputs if call.pre_activation is None else call.pre_activation
    to_numpy = backends.current().to_numpy
    return _Recorded(*(layer.examples(to_numpy(tensor))[0] for tensor in (call.inputs[0], sums)))


def _sentence(text: str) -> str:
    return f'<div class="fmw-caption">{html.escape(text)}</div>'
