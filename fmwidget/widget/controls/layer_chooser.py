"""The choice of a layer: a list, a slider through the network's depth, a step back and on, and a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets

from fmwidget.activations.layers import FeatureLayer
from fmwidget.rendering.formatting import shape_text

from .fields import STYLE, dropdown, flexible, move_slider, slider, step_buttons

MANY = 40  # layers, from which on a list is tedious to read


class LayerChooser:
    """Controls that go through the layers in the order data flows; all of them offer what the filter lets by.

    Args:
        choose: Called with the path of the layer that the person chose; with that of the layer on screen
            when what is listed is to change.
    """

    def __init__(self, choose: Callable[[str], None]) -> None:
        self._choose = choose
        self._labels: dict[str, str] = {}
        self._after: dict[str, str | None] = {}
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
        self.back.on_click(lambda _: self._choose_place(self._listed.index(self._path) - 1))
        self.on.on_click(lambda _: self._choose_place(self._listed.index(self._path) + 1))
        self.filter.observe(lambda _: self._choose(self._path), names="value")

    def offer(self, layers: Sequence[FeatureLayer]) -> None:
        """Offers other layers, each with its type and shape."""
        self._labels = {
            each.path: f"{each.path}   {each.type_name}   {shape_text(each.shape)}" for each in layers
        }
        self._after = {each.path: each.after for each in layers}

    @property
    def film(self) -> list[str]:
        """What is listed, without the maps before an activation whose maps after it are listed as well."""
        return [path for path in self._listed if self._after[path] not in self._listed]

    def show(self, path: str) -> None:
        """Shows which layer is on screen; it is listed whatever the filter says."""
        self._path = path
        is_long = len(self._labels) > MANY
        self.filter.layout.display = "flex" if is_long else "none"
        words = self.filter.value.lower().split() if is_long else []
        listed = {
            each: label
            for each, label in self._labels.items()
            if each == path or all(word in label.lower() for word in words)
        }
        self._listed = tuple(listed)
        options = tuple((label, each) for each, label in listed.items())
        if options != self.list.options:
            self.list.options = options
        self.list.value = path
        place, count = self._listed.index(path), len(listed)
        move_slider(self.slider, place + 1, last=count)
        self.back.disabled, self.on.disabled = place == 0, place == count - 1

    def _choose_place(self, place: int) -> None:
        if 0 <= place < len(self._listed):
            self._choose(self._listed[place])
