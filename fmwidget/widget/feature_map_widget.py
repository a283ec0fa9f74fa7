"""`FeatureMapWidget`: the state, and the one refresh path from it to the controls and panels."""

from __future__ import annotations

import io
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

import ipywidgets
import traitlets

from fmwidget._memo import Latest
from fmwidget.activations.forward import ForwardError
from fmwidget.activations.model import ActivationModel
from fmwidget.activations.training_monitor import TrainingMonitor
from fmwidget.analysis.channel_stats import ORDERS
from fmwidget.export.animation import animation_pages, animation_steps, check_file, frame_rate, save_animation
from fmwidget.export.code import code_for
from fmwidget.export.notebook import SavedPicture, on_paper
from fmwidget.frontend.accessible_names import AccessibleNames
from fmwidget.frontend.play_button import next_stop
from fmwidget.images.arrays import ImageError, check_bands
from fmwidget.images.loading import free_name, load_images
from fmwidget.images.preprocessing import FITS
from fmwidget.images.source import NamedImage
from fmwidget.models.batch import ExtraInputs, Preprocess
from fmwidget.pipeline import Array, DisplayContext, FramePipeline, ViewState
from fmwidget.rendering.figure import CSS_DPI, FeatureFigure
from fmwidget.rendering.grid_layout import COLUMNS, PAGE_WIDTH
from fmwidget.rendering.normalization import NORMS
from fmwidget.rendering.palette import cmap_for, palette, require_cmap
from fmwidget.samples import sample_images
from fmwidget.widget.controls.controls import Controls
from fmwidget.widget.jupyter.comm import listen
from fmwidget.widget.jupyter.display import (
    BESIDE_PICTURE,
    can_hide_picture,
    show_picture,
    show_with_picture,
    widget_bundle,
)
from fmwidget.widget.jupyter.lifetime import Closed, all_widgets, displayed, hold_weakly, release
from fmwidget.widget.jupyter.subshell import answer_at_once
from fmwidget.widget.jupyter.visible_text import send_visibly, visible
from fmwidget.widget.panels.answer import AnswerPanel, check_class_names
from fmwidget.widget.panels.contributions import ContributionsPanel
from fmwidget.widget.panels.depth_profile import ProfilePanel
from fmwidget.widget.panels.input import InputPanel
from fmwidget.widget.panels.maps import ChannelPanel, GridPanel
from fmwidget.widget.panels.numbers import NumbersPanel
from fmwidget.widget.panels.viewers import ProjectiveFieldPanel
from fmwidget.widget.panels.zoom import ZoomPanel

from .interactions import Interactions, Pictures
from .receptive_field_service import ReceptiveFieldService
from .status import StatusLine
from .traits import index_in, one_of, percentage

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

STATE = tuple(field.name for field in fields(ViewState))
ALL_PANELS = 1600  # CSS px, in which they lie side by side
MOST_CHANGES = 20  # of observers that answer to one another, before they are taken to go on for ever
TRIED = ("layer", "image", "preprocess", "fit")  # maps are computed with these before they are taken


class FeatureMapWidget(ipywidgets.VBox):
    """Looks inside a convolutional network: pick a layer, a channel and a picture, see the feature maps.

    Args:
        model: A Keras 3 model, or an `ActivationModel` of one, whose cache is then shared.
        images: What to look at: paths, folders, glob patterns, PIL images, arrays, a dict from name to any of
            these, a `tf.data.Dataset`, or a list. The built-in samples if `None`.
        preprocess: How pictures are scaled for the model: `"auto"`, a name in `preprocessing.SCALINGS`, or a
            function that is given the picture, uint8 `(H, W, 3)` or the array `(H, W, C)` of other channels,
            and returns the model's whole input.
        fit: How pictures are brought to the model's size: `"stretch"`, `"crop"` or `"pad"`.
        layer: Path of the layer to begin with; the first with a kernel if `None`.
        channel: Index of the channel to begin with.
        image: Name of the picture to begin with; the first if `None`.
        norm: `"standardize"` or `"channel"` (each channel on its own scale), `"shared"` or `"symmetric"` (one
            scale for all).
        cmap: Name of a matplotlib colormap.
        order: How channels are ordered: `"index"`, `"mean"`, `"max"` or `"variance"`.
        opacity: How much of the chosen channel is seen over the picture, 0 to 100 percent.
        profile: Whether the depth profile is shown.
        ncols: Tiles in a row of the grid.
        class_names: A name for each score that the model returns; ImageNet's if `None`, a thousand scores and
            Keras has stored them.
        inputs: What the model takes beside the picture, by the inputs' names: arrays, or functions of the
            picture that return them.
        bands: Indices of the channels to display, three as RGB or one as grey, of arrays with another number
            of channels than 1 or 3; four channels are then not RGBA. The model is given all of them.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If the model has no feature maps, no picture can be used, or `class_names` are not as many
            as the model's scores.
        TraitError: If another argument is out of range.

    Example:
        display(FeatureMapWidget(model, "photos/*.jpg"))
    """

    layer = traitlets.Unicode(help="Path of the layer on screen, one of `layers`.")
    channel = traitlets.Int(help="Index of the chosen channel, whatever their order.")
    image = traitlets.Unicode(help="Name of the picture.")
    preprocess = traitlets.Any("auto", help="How the picture is scaled for the model.")
    fit = traitlets.Unicode("stretch", help="How the picture is brought to the model's size.")
    norm = traitlets.Unicode("standardize", help="How activations become colours.")
    cmap = traitlets.Unicode("viridis", help="Name of a matplotlib colormap.")
    order = traitlets.Unicode("index", help="How the channels are ordered.")
    opacity = traitlets.Int(0, help="How much of the channel is seen over the picture, in percent.")
    profile = traitlets.Bool(False, help="Whether the depth profile is shown.")  # noqa: FBT003 - its default
    page = traitlets.Int(help="Page of the grid, counted from 0; it follows the channel.")
    _view_count = traitlets.Int(0, allow_none=True, help="How many views the front end has.").tag(sync=True)

    def __init__(
        self,
        model: keras.Model | ActivationModel,
        images: Any = None,
        *,
        preprocess: Preprocess = "auto",
        fit: str = "stretch",
        layer: str | None = None,
        channel: int = 0,
        image: str | None = None,
        norm: str = "standardize",
        cmap: str = "viridis",
        order: str = "index",
        opacity: int = 0,
        profile: bool = False,
        ncols: int = COLUMNS,
        class_names: Sequence[str] | None = None,
        inputs: ExtraInputs | None = None,
        bands: Sequence[int] | None = None,
    ) -> None:
        self._am = model if isinstance(model, ActivationModel) else ActivationModel(model)
        pictures, problems = load_images(sample_images() if images is None else images, bands)
        if not pictures:
            raise ValueError(" ".join(["None of the pictures can be used.", *problems]))
        self._lock = threading.RLock()
        self._settling = False
        self._pipeline = FramePipeline(self._am, pictures, inputs, ncols)
        self._frame: Any = None  # a `Frame`, from the first refresh on
        self._display = DisplayContext(ratio=1.0, dark=False, width=PAGE_WIDTH)
        self._ncols, self._inputs, self._own_images = ncols, inputs, images is not None
        given = {"class_names": class_names, "inputs": inputs}
        self._by_name = [f"{name}={name}" for name, value in given.items() if value is not None]
        self._by_name += [] if bands is None else [f"bands={check_bands(bands)}"]

        self._reported: Exception | None = None
        self._controls = Controls(self._choose, self._add_picture, self._file)
        self._offer_layers = Latest(self._controls.offer_layers)
        self._receptive_fields = ReceptiveFieldService(self._am.model, self._point)
        self._grid, self._detail, self._zoom = GridPanel(), ChannelPanel(), ZoomPanel()
        answer = AnswerPanel(class_names)
        self._input = InputPanel(self._receptive_fields, answer.box, self._controls.input)
        self._profile = ProfilePanel(lambda path: self._choose("layer", path))
        self._panels: tuple[Any, ...] = (
            self._grid,
            self._profile,
            answer,
            self._detail,
            self._input,
            NumbersPanel(),
            ProjectiveFieldPanel(lambda channel: self._choose("channel", channel)),
            ContributionsPanel(self._am.model, self._point),
            self._zoom,
        )
        self._interactions = Interactions(
            Pictures(self._grid, self._detail, self._input, self._zoom),
            self._receptive_fields,
            frame=lambda: self._frame,
            choose=lambda channel: self._choose("channel", channel),
            changed=self._point,
        )
        self._status = StatusLine()
        self._watch = TrainingMonitor(self._am, self._training)
        below = ipywidgets.HBox([panel.box for panel in self._panels[3:-1]], layout={"flex_flow": "row wrap"})
        grid = ipywidgets.Box([self._grid.box, self._zoom.box])
        grid.add_class("fmw-stack")
        shown = [self._controls.main, self._profile.box, self._status.box, grid, below]
        super().__init__([*shown, AccessibleNames(layout={"display": "none"})])
        self.add_class("fmwidget")
        self.layout.max_width = f"{ALL_PANELS}px"
        self._prepare_parts()
        try:
            self.image = next(iter(pictures)) if image is None else image
            self.preprocess, self.fit, self.norm, self.cmap, self.order = preprocess, fit, norm, cmap, order
            self.opacity, self.profile = opacity, profile
            self.layer, self.channel = self._first_layer() if layer is None else layer, channel
            check_class_names(class_names, self._pipeline.outputs(self._state()))
            self._controls.offer_pictures(pictures)
            self._refresh(follow=True)
            self._status.say(" ".join(problems))
        except BaseException:
            self.close()  # or ipywidgets would keep what there is of it
            raise
        self._grid.box.on_display(self._move_in)
        self._controls.play_layers.on_step(self._play_layers)
        self._controls.play_channels.on_step(self._play_channels)
        self._am.warm_up()

    def _prepare_parts(self) -> None:
        """Sees to how all parts deal with the page, before it is told any of their state."""
        for part in all_widgets(self):
            answer_at_once(part)
            listen(part, self._carry_out)
            hold_weakly(part)
            send_visibly(part)

    def __repr__(self) -> str:
        if isinstance(self._am, Closed):
            return "FeatureMapWidget(closed)"
        return (
            f"FeatureMapWidget({self._am.model.name!r}, layer={self.layer!r}, channel={self.channel}, "
            f"image={self.image!r})"
        )

    # ------------------------------------------------------------------ what it shows

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers on offer, in the order data flows."""
        return tuple(layer.path for layer in self._am.layers)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the pictures on offer."""
        return tuple(self._pipeline.pictures)

    @property
    def feature_maps(self) -> Array:
        """The maps `(H, W, C)` that the model computes for `image` at `layer`: read-only, channels last."""
        with self._lock:
            self._check_weights()
            return self._pipeline.maps(self._state())

    @property
    def png(self) -> bytes:
        """The grid now on screen, as a PNG."""
        return self._grid.box.png

    def figure(self) -> FeatureFigure:
        """A new matplotlib figure of the grid on screen, the chosen channel framed."""
        with self._lock:
            self._refresh()
            return self._grid.figure(self._frame)

    def savefig(
        self, file: str | PathLike[str] | IO[bytes], dpi: float = 3 * CSS_DPI, **options: Any
    ) -> None:
        """Saves the grid on screen, in print quality: maps as fine as their values, text as text.

        Args:
            file: Where to; the suffix says how: `.png`, `.svg`, `.pdf` or whatever else matplotlib writes.
            dpi: Pixels to an inch, which is 96 CSS pixels of the screen; in SVG and PDF those of the maps.
                Multiples of 96 draw every value as equally many pixels.
            options: Passed on to `matplotlib.figure.Figure.savefig`, such as `metadata`.
        """
        with self._lock:
            self._refresh()
            figure = self._grid.figure(self._frame, max(1, int(dpi / CSS_DPI)))
        figure.savefig(file, dpi=dpi, **options)

    def animate(
        self,
        file: str | PathLike[str],
        by: str = "layers",
        *,
        only: Iterable[str | int] | None = None,
        fps: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Saves a film of the view on screen, as an animated picture that runs again and again.

        Args:
            file: Where to; the suffix says how: `.gif`, `.png` (APNG) or `.webp`.
            by: `"layers"` shows the grid of one layer after another, those before an activation left out;
                `"channels"` the maps of this layer, one after another, in the order they have in the grid.
            only: Paths of the layers, or numbers of the channels, to go through instead.
            fps: Frames a second, 2 if `None`.
            seconds: How long the whole film is, instead of `fps`.

        Raises:
            TypeError: If `file` is not a path.
            ValueError: If another argument is out of range, or the frames would take too much memory.

        Example:
            w.animate("depth.gif")
        """
        check_file(file)
        with self._lock:
            state, display = self._state(), self._display
            pipeline = FramePipeline(self._am, self._pipeline.pictures, self._inputs, self._ncols)
        stops = animation_steps(pipeline, state, by, only)
        colours = palette(cmap_for(state.norm, state.cmap), dark=display.dark)
        pages = animation_pages(pipeline, state, display, by, stops)
        save_animation(file, pages, len(stops), colours, frame_rate(len(stops), fps, seconds))

    def snapshot(self) -> None:
        """Puts a plain picture of the grid on screen into the output, which stays when the kernel is gone."""
        show_picture(self._picture())

    def code(self, model: str = "model", images: str = "images") -> str:
        """The few lines that make a widget with the view on screen.

        Args:
            model: Name of the variable that holds the model.
            images: Name of the variable that holds the pictures; the samples need none.

        Returns:
            Python code. It calls a function that was given for `preprocess` by its name, and takes what was
            given for `class_names` and `inputs` from variables of these names.
        """
        with self._lock:
            names = [name for name in STATE if name != "page"]
            values = {**{name: getattr(self, name) for name in names}, "ncols": self._ncols}
            defaults = {name: self.traits()[name].default() for name in names}
            defaults |= {"layer": self._first_layer(), "image": self.images[0], "ncols": COLUMNS}
            fixed = [model, *[images] * self._own_images, *self._by_name]
            turned = self.page != self._frame.layout.page_of(self.channel)
            return code_for(fixed, values, defaults, self.page if turned else None)

    def _picture(self) -> SavedPicture:
        with self._lock:
            box, frame = self._grid.box, self._frame
            png = on_paper(box.png, cmap_for(frame.norm, frame.cmap), box.mark, frame.ratio)
            return SavedPicture(png, round(box.width), round(box.height), visible(box.alt))

    def _ipython_display_(self) -> None:
        if self.comm is None or not can_hide_picture():
            raise NotImplementedError  # IPython then asks for the one output below
        self.add_class(BESIDE_PICTURE)
        show_with_picture(super()._repr_mimebundle_(), self._picture())
        displayed(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        displayed(self)
        return widget_bundle(super()._repr_mimebundle_(**kwargs), self._picture())

    def refresh(self) -> None:
        """Looks again: at weights that have been trained since, or a picture that has changed."""
        with self._lock:
            self._refresh()

    def close(self) -> None:
        """Takes the widget off every page it is on; lets go of its model, pictures and observers."""
        if self.comm is None:
            return  # it is closed, or has not come into being
        with self._lock:
            self._watch.stop()
            self._receptive_fields.close()
            for part in all_widgets(self):
                if part is not self:
                    part.close()
            super().close()
            self.unobserve_all()
            self._trait_validators.clear()  # a trait that is linked may be set still; nothing comes of it
            closed: Any = Closed()
            self._am = self._pipeline = self._grid = self._detail = self._input = closed
            self._profile = self._controls = self._interactions = self._receptive_fields = self._zoom = closed
            self.children = ()
            self._panels, self._frame, self._reported, self._inputs = (), None, None, None

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """The state for the front end: see ipywidgets. A page that is being loaded has no view yet."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state | {"_view_count": 0} if key is None else state

    @traitlets.observe("_view_count")
    def _views_changed(self, change: traitlets.Bunch) -> None:
        if change["new"] == 0:
            release(self)

    # ------------------------------------------------------------------ what may be set

    @traitlets.validate("image")
    def _valid_image(self, proposal: traitlets.Bunch) -> str:
        one_of("image", proposal["value"], self._pipeline.pictures)
        return self._tried(image=proposal["value"])

    @traitlets.validate("layer")
    def _valid_layer(self, proposal: traitlets.Bunch) -> str:
        return self._tried(layer=proposal["value"])

    @traitlets.validate("preprocess")
    def _valid_preprocess(self, proposal: traitlets.Bunch) -> Preprocess:
        return self._tried(preprocess=proposal["value"])

    @traitlets.validate("fit")
    def _valid_fit(self, proposal: traitlets.Bunch) -> str:
        one_of("fit", proposal["value"], FITS)
        return self._tried(fit=proposal["value"])

    @traitlets.validate("norm")
    def _valid_norm(self, proposal: traitlets.Bunch) -> str:
        return one_of("norm", proposal["value"], NORMS)

    @traitlets.validate("order")
    def _valid_order(self, proposal: traitlets.Bunch) -> str:
        return one_of("order", proposal["value"], ORDERS)

    @traitlets.validate("cmap")
    def _valid_cmap(self, proposal: traitlets.Bunch) -> str:
        try:
            require_cmap(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from error
        return str(proposal["value"])

    @traitlets.validate("channel")
    def _valid_channel(self, proposal: traitlets.Bunch) -> int:
        return index_in("channel", proposal["value"], self._am.layer(self.layer).shape[-1], self.layer)

    @traitlets.validate("opacity")
    def _valid_opacity(self, proposal: traitlets.Bunch) -> int:
        return percentage("opacity", proposal["value"])

    @traitlets.validate("page")
    def _valid_page(self, proposal: traitlets.Bunch) -> int:
        layout = self._pipeline.layout(self._state(), self._display)
        return index_in("page", proposal["value"], layout.pages, self.layer)

    def _tried(self, **change: Any) -> Any:
        """The value of the one trait in `change`, if maps can be computed with it."""
        ((name, value),) = change.items()
        if not self.layer and name != "layer":
            return value  # still being set up
        with self._lock:
            try:
                self._check_weights()
                self._pipeline.maps(replace(self._state(), **change))
            except (ValueError, TypeError, ForwardError) as error:
                raise traitlets.TraitError(str(error)) from error
        return value

    # ------------------------------------------------------------------ from state to screen

    @traitlets.observe(*STATE)
    def _state_changed(self, change: traitlets.Bunch) -> None:
        if self._frame is not None:
            name = change["name"]
            with self._lock:
                self._refresh(follow=name in ("layer", "channel", "order"), checked=name in TRIED)

    def _refresh(self, *, follow: bool = False, checked: bool = False) -> None:
        """Brings the screen in line with the state: the one way there.

        Args:
            follow: Whether the page turns to the chosen channel.
            checked: Whether the weights have been checked for change just now.
        """
        if self._settling:  # a change made below is part of the refresh that makes it
            return
        self._settling = True
        try:
            if not checked:
                self._check_weights()
            self._settle(follow=follow)
            self._frame = self._pipeline.frame(self._state(), self._display)
            for panel in self._panels:
                panel.show(self._frame)
            self._point()
            self._show_controls()
        except Exception as error:
            self._report(error)
            raise
        finally:
            self._settling = False

    def _settle(self, *, follow: bool) -> None:
        """Brings channel and page within what the layer has, whatever their observers set meanwhile."""
        for _ in range(MOST_CHANGES):
            before = self._state()
            self.channel = min(self.channel, self._pipeline.maps(before).shape[-1] - 1)
            layout = self._pipeline.layout(self._state(), self._display)
            self.page = layout.page_of(self.channel) if follow else min(self.page, layout.pages - 1)
            if self._state() == before:
                return
        raise RuntimeError("Observers of this widget go on changing it: they never agree on what to show.")

    def _check_weights(self) -> None:
        if self._pipeline.check_weights():
            self._watch.begin()

    def _state(self) -> ViewState:
        return ViewState(**{name: getattr(self, name) for name in STATE})

    def _show_controls(self) -> None:
        state, layout = self._state(), self._frame.layout
        self._offer_layers(self._pipeline.layers(state))
        self._controls.show(state, channels=len(layout.order), pages=layout.pages)

    def _first_layer(self) -> str:
        """The first layer with a kernel: what comes before it only prepares the picture."""
        self._pipeline.outputs(self._state())  # of the picture that is wanted anyway
        layers = self._am.layers
        if not layers:
            raise ValueError(
                f"The model {self._am.model.name!r} has no feature maps: none of its layers returns arrays "
                "(batch, height, width, channels)."
            )
        return next((layer for layer in layers if layer.has_kernel), layers[0]).path

    # ------------------------------------------------------------------ what people do

    def _carry_out(self, act: Callable[[], None]) -> None:
        """Does what a person asks for. Whatever goes wrong, they are told: nobody else would hear of it."""
        with self._lock:
            try:
                if self.comm is not None:  # else it has been closed meanwhile
                    act()
            except Exception as error:  # noqa: BLE001
                self._report(error)

    def _play_layers(self, *, is_first: bool) -> bool:
        """Shows the next of the layers that are listed; returns whether there is another."""
        self._controls.play_channels.playing = False
        self.layer, is_more = next_stop(self._controls.layer.film, self.layer, is_first=is_first)
        return is_more

    def _play_channels(self, *, is_first: bool) -> bool:
        """Shows the next channel in the order of the grid; returns whether there is another."""
        self._controls.play_layers.playing = False
        self.channel, is_more = next_stop(self._frame.layout.order, self.channel, is_first=is_first)
        return is_more

    def _choose(self, name: str, value: Any) -> None:
        """Takes a choice made with a control; one that cannot be met is explained, and undone."""

        def act() -> None:
            self._controls.pause()
            try:
                setattr(self, name, value)
                self._status.say("")
                self._show_controls()
            except Exception as error:  # noqa: BLE001
                self._report(error)
                with suppress(Exception):  # what is broken has been told
                    self._show_controls()

        self._carry_out(act)

    def _add_picture(self, name: str, data: bytes) -> None:
        """Offers one more picture, the bytes of a file, and chooses it; raises `ImageError`."""
        with self._lock:
            pictures = self._pipeline.pictures
            picture = NamedImage(data, free_name(name, pictures))
            picture.thumbnail()  # raises for what is no picture
            self._pipeline.pictures = {**pictures, picture.name: picture}
            self._controls.offer_pictures(self._pipeline.pictures)
            self._choose("image", picture.name)

    def _file(self) -> tuple[str, bytes]:
        """Name and bytes of the picture that the button saves."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return f"{self.image} {self.layer}", file.getvalue()

    def _point(self) -> None:
        """Shows where the reader is on the pictures; called from another thread too."""
        with self._lock:
            if self._frame is not None:  # else it is not yet on screen
                self._interactions.show(self._panels)

    def _move_in(self, display: DisplayContext) -> None:
        """Fits the drawing to where it is shown."""
        with self._lock:
            self._display = display
            try:
                self._refresh(follow=True)
            except Exception:  # noqa: BLE001 - the person has been told
                log.debug("Could not draw for %s; the status line says why.", display)

    def _report(self, error: Exception) -> None:
        """Puts an error where the person sees it; one that is no fault of theirs with all its details."""
        if error is self._reported:
            return  # by the redraw that an action led to
        self._reported = error
        details = ""
        if not (isinstance(error, traitlets.TraitError) and isinstance(error.__cause__, ImageError | None)):
            log.error("Could not bring the screen in line with the state.", exc_info=error)
            details = "".join(traceback.format_exception(error))
        self._status.say(str(error) or type(error).__name__, details)

    def _training(self, is_on: bool) -> None:  # noqa: FBT001
        def act() -> None:
            try:
                if not is_on:
                    self._refresh()  # what is on screen was computed on the way
            finally:
                self._status.training = is_on

        self._carry_out(act)
