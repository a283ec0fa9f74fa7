"""The controls: they show the widget's state, and report what the person chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from fmwidget.activations.layers import FeatureLayer
from fmwidget.analysis.channel_stats import ORDERS
from fmwidget.frontend.play_button import PlayButton
from fmwidget.frontend.save_button import SaveButton
from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from fmwidget.frontend.uploader import Uploader
from fmwidget.images.loading import MAX_IMAGES
from fmwidget.images.preprocessing import FITS, SCALINGS
from fmwidget.images.source import NamedImage
from fmwidget.pipeline import WIDEST, ViewState
from fmwidget.rendering.normalization import NORMS

from .fields import dropdown, move_slider, slider, step_buttons
from .layer_chooser import LayerChooser

CMAPS = ("viridis", "cividis", "magma", "inferno", "gray", "RdBu_r", "PuOr_r")
NORM_LABELS = {
    "standardize": "each channel: mean ± 2 std",
    "channel": "each channel: min to max",
    "shared": "one scale: min to max",
    "symmetric": "one scale: ± largest",
}
ORDER_LABELS = {
    "index": "by index",
    "mean": "strongest mean",
    "max": "strongest max",
    "variance": "most varied",
}


_SCALING_OPTIONS = [(f"{name}: {label}", name) for name, label in SCALINGS.items()]

LAYER_MS, CHANNEL_MS = 800, 300  # that a film shows each of them at least


def _row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    return ipywidgets.HBox(
        children, layout={"flex_flow": "row wrap", "align_items": "center", "overflow": "visible"}
    )


class Controls:
    """One control for each trait of the widget that a person can set, under the trait's name.

    Args:
        choose: Called with a trait's name and the value that the person chose for it.
        add: Called with the name and the bytes of a picture that the person adds; see `Uploader`.
        draw: Returns name and bytes of the picture that the person saves; see `SaveButton`.
    """

    def __init__(
        self,
        choose: Callable[[str, Any], None],
        add: Callable[[str, bytes], None],
        draw: Callable[[], tuple[str, bytes]],
    ) -> None:
        self.layer = LayerChooser(lambda path: self._report("layer", path))
        self.channel = slider("Channel", "185px")
        self.norm = dropdown("Norm", [(NORM_LABELS[name], name) for name in NORMS], "240px")
        self.cmap = dropdown("Colours", [(name, name) for name in CMAPS], "130px")
        self.order = dropdown("Order", [(ORDER_LABELS[name], name) for name in ORDERS], "156px")
        self.preprocess = dropdown("Scaling", [("auto", "auto"), *_SCALING_OPTIONS], "54px")
        self.fit = dropdown("Fit", [(name, name) for name in FITS], "72px")
        self.opacity = slider("Overlay %", "100%", max=100)
        self.profile = ipywidgets.ToggleButton(
            description="Depth profile",
            tooltip="What becomes of the picture from layer to layer, and where channels fall silent",
            layout={"width": "auto"},
        )
        self.play_layers = PlayButton(items="layers", pace=LAYER_MS)
        self.play_channels = PlayButton(items="channels", pace=CHANNEL_MS)
        self.page = Pager()
        self.image = ThumbnailPicker(label="Picture", layout={"flex": "0 1 auto", "min_width": "0"})
        self.save = SaveButton(draw)
        self.upload = Uploader(add, layout={"flex": "1 1 170px", "min_width": "140px"})
        pictures = ipywidgets.HBox([self.image, self.upload], layout={"align_items": "center"})
        pictures.add_class("fmw-pictures")
        layer = self.layer
        self.main = ipywidgets.VBox(
            [
                _row(
                    *(layer.list, layer.back, layer.on, self.play_layers),
                    *(self.profile, layer.slider, layer.filter),
                ),
                _row(
                    self.channel,
                    self.play_channels,
                    self.norm,
                    self.order,
                    self.cmap,
                    self.page.box,
                    self.save,
                ),
                pictures,
            ],
            layout={"max_width": f"{WIDEST}px"},
        )
        self.input = _row(self.opacity, self.preprocess, self.fit)

        self._choose = choose
        self._shown_by: int | None = None
        self._names: tuple[str, ...] = ()
        for name in ("channel", "norm", "cmap", "order", "preprocess", "fit", "opacity", "profile"):
            getattr(self, name).observe(self._reporter(name), names="value")
        self.image.observe(self._report_picture, names="value")
        self.page.on_turn(lambda page: self._report("page", page))

    def pause(self) -> None:
        """Stops the films."""
        self.play_layers.playing = self.play_channels.playing = False

    def offer_layers(self, layers: Sequence[FeatureLayer]) -> None:
        """Lists the layers, each with its type and shape."""
        self.layer.offer(layers)

    def offer_pictures(self, pictures: Mapping[str, NamedImage]) -> None:
        """Shows a thumbnail of each picture."""
        self._names = tuple(pictures)
        thumbs = [picture.thumbnail() for picture in pictures.values()]
        self._silently(lambda: self.image.offer(self._names, thumbs, self.image.value))
        self.upload.room = max(0, MAX_IMAGES - len(pictures))

    def show(self, state: ViewState, *, channels: int, pages: int) -> None:
        """Brings every control in line with the state.

        Args:
            state: What is chosen.
            channels: How many channels the layer has.
            pages: How many pages they fill.
        """

        def show() -> None:
            for name in ("norm", "order", "fit", "opacity", "profile"):
                getattr(self, name).value = getattr(state, name)
            self.layer.show(state.layer)
            _show_option(self.cmap, state.cmap, state.cmap)
            _show_option(self.preprocess, "your function", state.preprocess)
            move_slider(self.channel, state.channel, last=channels - 1)
            self.image.value = self._names.index(state.image)
            self.page.show(state.page, pages)

        self._silently(show)

    def _reporter(self, name: str) -> Callable[[dict[str, Any]], None]:
        return lambda change: self._report(name, change["new"])

    def _report_picture(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self._names):
            self._report("image", self._names[change["new"]])

    def _report(self, name: str, value: Any) -> None:
        # What this thread sets while it shows the state is no choice of a person; other threads' events are.
        if self._shown_by != threading.get_ident():
            self._choose(name, value)

    def _silently(self, show: Callable[[], None]) -> None:
        before = self._shown_by
        try:
            # In here, and not in a context manager: an interrupt could keep that from ever being left.
            self._shown_by = threading.get_ident()
            show()
        finally:
            self._shown_by = before


class Pager:
    """Two buttons that turn pages, and which page it is; not there while there is but one page."""

    def __init__(self) -> None:
        self._back, self._on = step_buttons("page")
        self._label = ipywidgets.Label()
        self.box = ipywidgets.HBox([self._back, self._label, self._on], layout={"display": "none"})
        self._page = 0

    def on_turn(self, turn: Callable[[int], None]) -> None:
        """Calls `turn(page)` when the person asks for another page."""
        self._back.on_click(lambda _: turn(self._page - 1))
        self._on.on_click(lambda _: turn(self._page + 1))

    def show(self, page: int, pages: int) -> None:
        """Shows which of how many pages is on screen, counted from 0."""
        self._page = page
        self._label.value = f"page {page + 1} of {pages}"
        self._back.disabled, self._on.disabled = page == 0, page == pages - 1
        self.box.layout.display = "none" if pages == 1 else "flex"


def _show_option(dropdown: ipywidgets.Dropdown, label: str, value: Any) -> None:
    """Chooses a value, which becomes an option if it is none."""
    if all(value != option for _, option in dropdown.options):
        dropdown.options = (*dropdown.options, (label, value))
    dropdown.value = value
