"""The choice of a layer: a list, a slider through the network's depth, step buttons, and a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets

from fmwidget._memo import Latest
from fmwidget.activations.layers import FeatureLayer
from fmwidget.rendering.formatting import shape_text

from .fields import STYLE, dropdown, flexible, move_slider, slider, step_buttons

FILTER_FROM = 40  # layers: longer lists have a filter


class LayerChooser:
    """Controls that go through the layers that match the filter, in the order data flows.

    Args:
        choose: Called with the path of the layer that the user chose.
        relist: Called when the filter has changed, to have the controls updated.
    """

    def __init__(self, choose: Callable[[str], None], relist: Callable[[], None]) -> None:
        self._choose = choose
        self._layers: Sequence[FeatureLayer] = ()
        self._labels = Latest(_labels)
        self._listed: tuple[str, ...] = ()
        self._path = ""
        self.list = dropdown("Layer", (), "270px")
        self.slider = slider("Depth", "150px", min=1)
        self.back, self.on = step_buttons("layer")
        self.filter = ipywidgets.Text(
            description="Filter",
            placeholder="conv, block_3, 28 × 28 …",
            style=STYLE,
            layout=flexible("130px", display="none"),
        )
        self.list.observe(lambda change: self._choose(change["new"]), names="value")
        self.slider.observe(lambda change: self._choose_place(change["new"] - 1), names="value")
        self.back.on_click(lambda _: self._step(-1))
        self.on.on_click(lambda _: self._step(1))
        self.filter.observe(lambda _: relist(), names="value")

    @property
    def play_order(self) -> list[str]:
        """Paths of the listed layers, without maps before an activation if those after it are listed too."""
        return [
            layer.path
            for layer in self._layers
            if layer.path in self._listed and layer.after not in self._listed
        ]

    def update(self, layers: Sequence[FeatureLayer], path: str) -> None:
        """List the layers that match the filter, and the one on screen in any case.

        Args:
            layers: All layers.
            path: Path of the layer on screen.
        """
        has_filter = len(layers) > FILTER_FROM
        self.filter.layout.display = "flex" if has_filter else "none"
        words = self.filter.value.lower().split() if has_filter else []
        listed = {
            each: label
            for each, label in self._labels(layers).items()
            if each == path or all(word in label.lower() for word in words)
        }
        self._layers, self._listed, self._path = layers, tuple(listed), path
        options = tuple((label, each) for each, label in listed.items())
        if options != self.list.options:
            self.list.options = options
        self.list.value = path
        place, count = self._listed.index(path), len(listed)
        move_slider(self.slider, place + 1, last=count)
        self.back.disabled, self.on.disabled = place == 0, place == count - 1

    def _step(self, by: int) -> None:
        self._choose_place(self._listed.index(self._path) + by)

    def _choose_place(self, place: int) -> None:
        if 0 <= place < len(self._listed):
            self._choose(self._listed[place])


def _labels(layers: Sequence[FeatureLayer]) -> dict[str, str]:
    return {layer.path: f"{layer.path}   {layer.type_name}   {shape_text(layer.shape)}" for layer in layers}
