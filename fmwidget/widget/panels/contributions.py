"""The panel that says where the value of the pinned unit comes from."""

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
from fmwidget.models.outputs import to_maps

from .contribution_tables import contribution_tables_html

if TYPE_CHECKING:
    from fmwidget.activations.layers import FeatureLayer
    from fmwidget.models.inputs import Batch
    from fmwidget.pipeline import Frame
    from fmwidget.rendering.sampling import Unit

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class _Recorded:
    """What a layer was given, and what it made of that before its activation: `(H, W, C)` each."""

    inputs: Array
    sums: Array


class ContributionsPanel:
    """Takes the value of the pinned unit apart; not there until one is pinned, closed until asked for.

    Args:
        am: Runs the model.
        changed: Called when the person opens or closes it: it wants to be told again what is pinned.
    """

    def __init__(self, am: ActivationModel, changed: Callable[[], None]) -> None:
        self._button = ipywidgets.ToggleButton(
            description="Where this value comes from",
            tooltip="The window, the kernel and the bias that add up to the value you clicked on",
            layout={"width": "auto"},
        )
        self._button.observe(lambda _: changed(), names="value")
        self._html = ipywidgets.HTML(layout={"width": "100%"})
        self.box = ipywidgets.VBox([self._button, self._html], layout={"display": "none", "flex": "1 1 100%"})
        self.box.add_class("fmw-panel")
        self._am = am
        self._page = Latest(self._make_page)

    def show(self, frame: Frame) -> None:
        """Waits to be told what is pinned."""

    def pin(self, frame: Frame, unit: Unit | None) -> None:
        """Takes apart the value of the unit that the person clicked on."""
        self.box.layout.display = "none" if unit is None else "flex"
        is_open = unit is not None and self._button.value
        self._html.value = self._page(frame.layer, frame.maps, frame.batch, unit) if is_open else ""

    def _make_page(self, layer: FeatureLayer, maps: Array, batch: Batch, unit: Unit) -> str:
        operation = layer.layer
        if not is_convolution(operation):
            return _sentence(
                f"{layer.path!r} is of type {type(operation).__name__}. Only values of Conv2D and "
                "DepthwiseConv2D layers are taken apart here: choose one of those."
            )
        try:
            recorded = _recorded(self._am, batch, layer)
            parts = contributions(operation, recorded.inputs, unit.channel, unit.row, unit.column)
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
    return _Recorded(*(to_maps(to_numpy(tensor), layer.data_format) for tensor in (call.inputs[0], sums)))


def _sentence(text: str) -> str:
    return f'<div class="fmw-caption">{html.escape(text)}</div>'
