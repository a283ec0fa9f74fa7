"""The controls of the widget's traits: they show the state, and report what the user chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ipywidgets

from fmwidget.activations.layers import FeatureLayer
from fmwidget.analysis.channel_stats import ORDERS
from fmwidget.frontend.play_button import PlayButton, next_item
from fmwidget.frontend.save_button import SaveButton
from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from fmwidget.frontend.uploader import Uploader
from fmwidget.images.loading import MAX_IMAGES
from fmwidget.images.preprocessing import FITS, SCALINGS
from fmwidget.images.source import NamedImage
from fmwidget.pipeline.frame import WIDEST, Frame, ViewState
from fmwidget.rendering.normalization import NORMS

from .fields import dropdown, move_slider, row, slider, step_buttons
from .layer_chooser import LayerChooser
from .reference_chooser import ReferenceChooser
from .step_chooser import StepChooser

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
    "difference": "largest difference",
}
_SCALING_OPTIONS = [(f"{name}: {label}", name) for name, label in SCALINGS.items()]

LAYER_MS, CHANNEL_MS = 800, 300  # least time that each is shown while they are played


class OnOffer(NamedTuple):
    """The items to choose from that depend on the state.

    Attributes:
        layers: The layers.
        references: The names of the references, with their labels.
    """

    layers: Sequence[FeatureLayer]
    references: Mapping[str, str]


class TraitControls:
    """One control for each trait of the widget that users set, under the trait's name, and a few buttons.

    Args:
        choose: Called with a trait's name and the value that the user chose for it.
        play: Called with a trait's name and its next value while layers, channels or steps are played.
        relist: Called when the filter of layers has changed, to have the controls updated.
        add: Called with the name and the bytes of an image that the user adds; see `Uploader`.
        draw: Returns name and bytes of the picture that the user saves; see `SaveButton`.
    """

    def __init__(
        self,
        choose: Callable[[str, Any], None],
        play: Callable[[str, Any], None],
        relist: Callable[[], None],
        add: Callable[[str, bytes], None],
        draw: Callable[[], tuple[str, bytes]],
    ) -> None:
        self._choose, self._play = choose, play
        self.layer = LayerChooser(lambda path: self._report("layer", path), relist)
        self.channel = slider("Channel", "185px")
        self.norm = dropdown("Norm", [(NORM_LABELS[name], name) for name in NORMS], "240px")
        self.cmap = dropdown("Colours", [(name, name) for name in CMAPS], "130px")
        self.order = dropdown("Order", [(ORDER_LABELS["index"], "index")], "156px")
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
        self.steps = StepChooser(self._report, self._play_step)
        self.reference = ReferenceChooser(self._report)
        self.image = ThumbnailPicker(label="Picture", layout={"flex": "0 1 auto", "min_width": "0"})
        self.save = SaveButton(draw)
        self.upload = Uploader(add, layout={"flex": "1 1 170px", "min_width": "140px"})
        pictures = ipywidgets.HBox([self.image, self.upload], layout={"align_items": "center"})
        pictures.add_class("fmw-pictures")
        layer = self.layer
        self.main = ipywidgets.VBox(
            [
                row(
                    *(layer.list, layer.back, layer.on, self.play_layers),
                    *(self.profile, layer.slider, layer.filter),
                ),
                row(
                    self.channel,
                    self.play_channels,
                    self.norm,
                    self.order,
                    self.cmap,
                    self.page.box,
                    self.save,
                ),
                pictures,
                self.steps.box,
                self.reference.box,
            ],
            layout={"max_width": f"{WIDEST}px"},
        )
        self.input = row(self.opacity, self.preprocess, self.fit)

        self._state: ViewState | None = None  # shown, like the order of the channels
        self._channels: Sequence[int] = ()
        self._updating: int | None = None  # the thread that updates the controls just now
        self._image_names: tuple[str, ...] = ()
        for name in ("channel", "norm", "cmap", "order", "preprocess", "fit", "opacity", "profile"):
            getattr(self, name).observe(self._reporter(name), names="value")
        self.image.observe(self._report_image, names="value")
        self.page.on_turn(lambda page: self._report("page", page))
        self.play_layers.on_step(self._play_layer)
        self.play_channels.on_step(self._play_channel)

    def pause(self) -> None:
        """Stop playing layers, channels and steps."""
        self.play_layers.playing = self.play_channels.playing = self.steps.play.playing = False

    def set_images(self, images: Mapping[str, NamedImage]) -> None:
        """Offer other images, by their thumbnails."""
        self._image_names = tuple(images)
        thumbs = [image.thumbnail() for image in images.values()]
        self._without_reports(lambda: self.image.offer(self._image_names, thumbs, self.image.value))
        self.upload.room = max(0, MAX_IMAGES - len(images))

    def update(self, state: ViewState, frame: Frame, on_offer: OnOffer) -> None:
        """Bring every control in line with the state.

        Args:
            state: The state.
            frame: The frame on screen.
            on_offer: The layers and references to choose from.
        """
        self._state, self._channels = state, frame.layout.order

        def update() -> None:
            for name in ("norm", "fit", "opacity", "profile"):
                getattr(self, name).value = getattr(state, name)
            self.layer.update(on_offer.layers, state.layer)
            _offer(self.order, _orders(state, frame))
            self.order.value = state.order
            _select_option(self.cmap, state.cmap, state.cmap)
            _select_option(self.preprocess, "your function", state.preprocess)
            move_slider(self.channel, state.channel, last=len(self._channels) - 1)
            self.image.value = self._image_names.index(state.image)
            self.page.update(state.page, frame.layout.pages)
            self.norm.disabled = frame.side == "difference"  # always symmetric
            self.steps.update(frame.run, state, is_comparing=frame.contrast is not None)
            self.reference.update(on_offer.references, state, frame.problem)

        self._without_reports(update)

    def _play_layer(self, *, is_first: bool) -> bool:
        """Show the next listed layer; return whether another follows."""
        self.play_channels.playing = self.steps.play.playing = False
        return self._play_next("layer", self.layer.play_order, is_first=is_first)

    def _play_channel(self, *, is_first: bool) -> bool:
        """Show the next channel in the order of the grid; return whether another follows."""
        self.play_layers.playing = self.steps.play.playing = False
        return self._play_next("channel", self._channels, is_first=is_first)

    def _play_step(self, step: int) -> None:
        self.play_layers.playing = self.play_channels.playing = False
        self._play("step", step)

    def _play_next(self, name: str, items: Sequence[Any], *, is_first: bool) -> bool:
        value, is_more = next_item(items, getattr(self._state, name), is_first=is_first)
        self._play(name, value)
        return is_more

    def _reporter(self, name: str) -> Callable[[dict[str, Any]], None]:
        return lambda change: self._report(name, change["new"])

    def _report_image(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self._image_names):
            self._report("image", self._image_names[change["new"]])

    def _report(self, name: str, value: Any) -> None:
        # What this thread sets while it updates the controls is not a choice of the user. Events that other
        # threads handle meanwhile are: a flag without the thread's id would discard them.
        if self._updating != threading.get_ident():
            self._choose(name, value)

    def _without_reports(self, update: Callable[[], None]) -> None:
        before = self._updating
        try:
            # Set inside of `try`, and not by a context manager: a KeyboardInterrupt between entering one and
            # its body would leave the flag set, and every later choice of this thread would be discarded.
            self._updating = threading.get_ident()
            update()
        finally:
            self._updating = before


class Pager:
    """Two buttons that turn pages, and the page's number; hidden while there is one page."""

    def __init__(self) -> None:
        self._back, self._on = step_buttons("page")
        self._label = ipywidgets.Label()
        self.box = ipywidgets.HBox([self._back, self._label, self._on], layout={"display": "none"})
        self._page = 0

    def on_turn(self, turn: Callable[[int], None]) -> None:
        """Call `turn(page)` when the user requests another page."""
        self._back.on_click(lambda _: turn(self._page - 1))
        self._on.on_click(lambda _: turn(self._page + 1))

    def update(self, page: int, pages: int) -> None:
        """Show the page on screen, counted from 0, and the number of pages."""
        self._page = page
        self._label.value = f"page {page + 1} of {pages}"
        self._back.disabled, self._on.disabled = page == 0, page == pages - 1
        self.box.layout.display = "none" if pages == 1 else "flex"


def _orders(state: ViewState, frame: Frame) -> tuple[tuple[str, str], ...]:
    """Return the orders on offer: that by difference needs a reference."""
    has_difference = frame.contrast is not None or state.order == "difference"
    return tuple((ORDER_LABELS[name], name) for name in ORDERS if name != "difference" or has_difference)


def _offer(dropdown: ipywidgets.Dropdown, options: tuple[tuple[str, Any], ...]) -> None:
    """Offer other options, if they are others."""
    if options != dropdown.options:
        dropdown.options = options


def _select_option(dropdown: ipywidgets.Dropdown, label: str, value: Any) -> None:
    """Select a value; add it as an option first if it is none."""
    if all(value != option for _, option in dropdown.options):
        dropdown.options = (*dropdown.options, (label, value))
    dropdown.value = value
