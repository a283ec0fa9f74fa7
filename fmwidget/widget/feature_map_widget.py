"""`FeatureMapWidget`: the state, its validation, and the one path from it to controls and panels."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

import traitlets

from fmwidget.activations.forward import ForwardError
from fmwidget.activations.model import ActivationModel, activation_model
from fmwidget.activations.training_monitor import TrainingMonitor
from fmwidget.analysis.channel_stats import ORDERS, Array
from fmwidget.analysis.contrast import SIDES
from fmwidget.export.animation import save_animation
from fmwidget.export.code import code_for
from fmwidget.export.notebook import SavedPicture
from fmwidget.images.arrays import check_bands
from fmwidget.images.loading import load_images
from fmwidget.images.preprocessing import FITS
from fmwidget.models.batch import ExtraInputs, Preprocess
from fmwidget.pipeline.frame import SCALES, DisplayContext, ViewState
from fmwidget.pipeline.frame_pipeline import FramePipeline
from fmwidget.pipeline.offer import Offer
from fmwidget.references import LIVE, find_references
from fmwidget.rendering.figure import CSS_DPI, FeatureFigure
from fmwidget.rendering.grid_layout import COLUMNS, PAGE_WIDTH
from fmwidget.rendering.normalization import NORMS
from fmwidget.samples import sample_images
from fmwidget.snapshots.recorder import WeightSnapshots
from fmwidget.widget.jupyter.comm import listen, reply_on_subshell
from fmwidget.widget.jupyter.display import (
    NotebookWidget,
    saved_picture,
)
from fmwidget.widget.jupyter.lifetime import Closed, close_tree, hold_weakly
from fmwidget.widget.jupyter.visible_text import send_visibly
from fmwidget.widget.jupyter.widget_tree import all_widgets
from fmwidget.widget.panels.answer import check_class_names

from .arrangement import MAX_WIDTH
from .controls.trait_controls import OnOffer
from .screen import Screen
from .step_history_service import StepHistoryService
from .traits import Choice, Colormap, Percent, require_choice, require_index

if TYPE_CHECKING:
    import keras


STATE = tuple(field.name for field in fields(ViewState))
PAGE_FOLLOWS = ("layer", "channel", "order")  # the page turns to the channel when one of these changes
MAPS_CHECKED = (
    "layer",
    "image",
    "preprocess",
    "fit",
    "step",
    "against",
)  # maps are computed before a value of these is taken
MAX_ROUNDS = 20  # of changes that observers make in response to one another


class FeatureMapWidget(NotebookWidget):
    """Interactive feature maps of a convolutional network: pick a layer, a channel and an image.

    Args:
        model: A Keras 3 model, or an `ActivationModel` of one, whose cache is then shared.
        images: Paths, folders, glob patterns, PIL images, arrays, a dict from name to any of these, a
            `tf.data.Dataset`, or a list. The built-in samples if `None`.
        preprocess: Scaling of images for the model: `"auto"`, a name in `preprocessing.SCALINGS`, or a
            function of the image, uint8 `(H, W, 3)` or the array `(H, W, C)` of other channels, that returns
            the model's whole input.
        fit: Fitting of images to the model's size: `"stretch"`, `"crop"` or `"pad"`.
        layer: Path of the layer to begin with; the first with a kernel if `None`.
        channel: Index of the channel to begin with.
        image: Name of the image to begin with; the first if `None`.
        norm: `"standardize"` or `"channel"` (each channel on its own scale), `"shared"` or `"symmetric"` (one
            scale for all).
        cmap: Name of a matplotlib colormap.
        order: Order of the channels: `"index"`, `"mean"`, `"max"`, `"variance"`, or in a comparison
            `"difference"`.
        opacity: Opacity of the chosen channel over the image, 0 to 100 percent.
        profile: Whether the depth profile is shown.
        ncols: Tiles in a row of the grid.
        class_names: A name for each score that the model returns. If `None`, ImageNet's for a thousand scores
            where Keras has stored them.
        inputs: The model's inputs beside the image, by their names: arrays, or functions of the image that
            return them.
        bands: Indices of the channels to display, three as RGB or one as grey, of arrays with another number
            of channels than 1 or 3; four channels are then not RGBA. The model is given all of them.
        snapshots: Snapshots of training to go through: a `WeightSnapshots`, or the path of a folder that one
            has written; or the paths of `ModelCheckpoint`'s files, as a pattern.
        step: Step of training to begin with, the number of a snapshot; -1 for the model's own weights.
        scale: `"step"`, or `"run"` for one scale of all steps.
        history: Whether the course of every layer over the steps is shown.
        against: What to compare with: another image, the number of a step, a file of weights or `.keras`, or
            another model; a dict or list offers several, of which the first is used.
        side: The side of a comparison to begin with: `"a"`, `"b"` (the reference) or `"difference"`.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If the model has no feature maps, no image can be used, or `class_names` are not as many
            as the model's scores.
        TraitError: If another argument is out of range.

    Example:
        display(FeatureMapWidget(model, "photos/*.jpg"))
    """

    layer = traitlets.Unicode(help="Path of the layer on screen, one of `layers`.")
    channel = traitlets.Int(help="Index of the chosen channel, whatever their order.")
    image = traitlets.Unicode(help="Name of the image.")
    preprocess = traitlets.Any("auto", help="Scaling of the image for the model.")
    fit = Choice(FITS, "stretch", help="Fitting of the image to the model's size.")
    norm = Choice(NORMS, "standardize", help="Mapping of activations to colors.")
    cmap = Colormap("viridis", help="Name of a matplotlib colormap.")
    order = Choice(ORDERS, "index", help="Order of the channels.")
    opacity = Percent(0, help="Opacity of the channel over the image, in percent.")
    profile = traitlets.Bool(default_value=False, help="Whether the depth profile is shown.")
    step = traitlets.Int(LIVE, help="Step of training whose weights are used; -1 for the model's own.")
    scale = Choice(SCALES, "step", help="Whether maps have the scale of their step, or one of the whole run.")
    history = traitlets.Bool(default_value=False, help="Whether the course over the steps is shown.")
    against = traitlets.Unicode(help="Name of the reference to compare with; empty for none.")
    side = Choice(SIDES, "difference", help="Side of the comparison that is shown.")
    page = traitlets.Int(help="Page of the grid, counted from 0; it follows the channel.")

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
        snapshots: WeightSnapshots | str | PathLike[str] | None = None,
        step: int = LIVE,
        scale: str = "step",
        history: bool = False,
        against: Any = None,
        side: str = "difference",
    ) -> None:
        self._am = activation_model(model)
        loaded, problems = load_images(sample_images() if images is None else images, bands)
        if not loaded:
            raise ValueError(" ".join(["None of the images can be used.", *problems]))
        self._lock = threading.RLock()
        self._refreshing = False
        if isinstance(snapshots, str | PathLike):
            snapshots = WeightSnapshots.load(snapshots)
        elif snapshots is not None and not isinstance(snapshots, WeightSnapshots):
            raise TypeError(
                "snapshots must be a WeightSnapshots, or the path of what it has written. Received a "
                f"{type(snapshots).__name__}. Pass the run itself: `snapshots=run`."
            )
        references = find_references(against, self._am.model, loaded, snapshots, bands)
        self._offer = Offer(loaded, snapshots, references)
        self._histories = StepHistoryService(lambda: self._run(self._history_grown))
        self._pipeline = FramePipeline(
            self._am, self._offer, inputs, ncols, histories=self._histories.history
        )
        self._display = DisplayContext(ratio=1.0, dark=False, width=PAGE_WIDTH)
        self._ncols, self._own_images = ncols, images is not None
        by_name = {
            "class_names": class_names,
            "inputs": inputs,
            "snapshots": snapshots,
            "against": against,
        }
        self._first_reference = next(iter(references), "")
        self._follows = step == LIVE  # the newest step, until the user chooses another
        self._by_name = [f"{name}={name}" for name, value in by_name.items() if value is not None]
        self._by_name += [] if bands is None else [f"bands={check_bands(bands)}"]

        self._monitor = TrainingMonitor(self._am, self._training_changed)
        self._screen = Screen(
            class_names,
            choose=self._choose,
            play=lambda name, value: setattr(self, name, value),
            relist=self._relist,
            add=self._add_image,
            draw=self._file,
            run=self._run,
        )
        super().__init__(self._screen.rows)
        self.add_class("fmwidget")
        self.layout.max_width = f"{MAX_WIDTH}px"
        for part in all_widgets(self):  # before their state is sent
            reply_on_subshell(part)
            listen(part, self._run)
            hold_weakly(part)
            send_visibly(part)
        try:
            self.image = next(iter(loaded)) if image is None else image
            self.preprocess, self.fit, self.norm, self.cmap = preprocess, fit, norm, cmap
            self.opacity, self.profile, self.history = opacity, profile, history
            self.step, self.scale, self.side = step, scale, side
            self.layer, self.channel = (
                self._pipeline.first_layer(self._state()) if layer is None else layer,
                channel,
            )
            self.against = self._first_reference
            self.order = order
            check_class_names(class_names, self._pipeline.outputs(self._state()))
            self._screen.controls.set_images(loaded)
            self._refresh(follow=True)
            self._screen.status.show(" ".join(problems))
        except BaseException:
            self.close()  # or ipywidgets' registry would keep its parts
            raise
        self._screen.panels.grid.box.on_display(self._display_changed)
        self._am.warm_up()
        if snapshots is not None:
            snapshots.on_change(self._snapshots_changed)

    def __repr__(self) -> str:
        if isinstance(self._am, Closed):
            return "FeatureMapWidget(closed)"
        return (
            f"FeatureMapWidget({self._am.model.name!r}, layer={self.layer!r}, channel={self.channel}, "
            f"image={self.image!r})"
        )

    # ------------------------------------------------------------------ public

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers on offer, in the order data flows."""
        with self._lock:
            self._check_weights()
            return tuple(layer.path for layer in self._pipeline.layers(self._state()))

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images on offer."""
        return tuple(self._offer.images)

    @property
    def feature_maps(self) -> Array:
        """The maps `(H, W, C)` that the model computes for `image` at `layer`: read-only, channels last."""
        with self._lock:
            self._check_weights()
            return self._pipeline.maps(self._state())

    @property
    def png(self) -> bytes:
        """The grid on screen as a PNG."""
        return self._screen.panels.grid.box.png

    def figure(self) -> FeatureFigure:
        """Return a new matplotlib figure of the grid on screen, the chosen channel framed."""
        with self._lock:
            self._refresh()
            return self._screen.panels.grid.figure(self._screen.frame)

    def savefig(
        self, file: str | PathLike[str] | IO[bytes], dpi: float = 3 * CSS_DPI, **options: Any
    ) -> None:
        """Save the grid on screen in print quality: every value of a map, and text as text.

        Args:
            file: A path, whose suffix is the format (`.png`, `.svg`, `.pdf` or another of matplotlib's), or a
                file open for writing.
            dpi: Pixels per inch, at 96 CSS pixels to the inch; in SVG and PDF those of the maps. Multiples of
                96 draw every value as equally many pixels.
            options: Further arguments of `matplotlib.figure.Figure.savefig`, such as `metadata`.
        """
        with self._lock:
            self._refresh()
            figure = self._screen.panels.grid.figure(self._screen.frame, max(1, int(dpi / CSS_DPI)))
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
        """Save an animation of the view on screen, which repeats without end.

        Args:
            file: The path; its suffix is the format: `.gif`, `.png` (APNG) or `.webp`.
            by: `"layers"` for the grid of one layer after another, without the maps before activations;
                `"channels"` for the maps of the chosen layer, one after another, in the order of the grid;
                `"steps"` for the grid of the chosen layer at one step of training after another.
            only: Layer paths, channel indices or steps to animate instead of all, in this order.
            fps: Frames a second, 2 if `None`.
            seconds: Duration of the whole animation, instead of `fps`.

        Raises:
            TypeError: If `file` is not a path, or `only` not a sequence.
            ValueError: If another argument is out of range, or the frames would take too much memory.

        Example:
            w.animate("depth.gif")
        """
        with self._lock:
            pipeline, state, display = self._pipeline.copy(), self._state(), self._display
        save_animation(file, pipeline, state, display, by=by, only=only, fps=fps, seconds=seconds)

    def code(self, model: str = "model", images: str = "images") -> str:
        """Return Python code that builds a widget with the view on screen.

        Args:
            model: Name of the variable that holds the model.
            images: Name of the variable that holds the images; the samples need none.

        Returns:
            Python code. It refers to a `preprocess` function by its name, and to `class_names` and `inputs`
            by variables of these names.
        """
        with self._lock:
            names = [name for name in STATE if name not in ("page", "against")]
            values = {**{name: getattr(self, name) for name in names}, "ncols": self._ncols}
            defaults = {name: self.traits()[name].default() for name in names}
            defaults |= {
                "layer": self._pipeline.first_layer(self._state()),
                "image": self.images[0],
                "ncols": COLUMNS,
            }
            fixed = [model, *[images] * self._own_images, *self._by_name]
            later: dict[str, Any] = {}
            if self.against != self._first_reference:
                later["against"] = self.against
                if self.order == "difference":  # which needs it
                    later["order"] = values.pop("order")
            if self.page != self._screen.frame.layout.page_of(self.channel):
                later["page"] = self.page
            return code_for(fixed, values, defaults, later)

    def saved_picture(self) -> SavedPicture:
        """Return the static picture of the grid that a notebook's file keeps."""
        with self._lock:
            return saved_picture(self._screen.panels.grid.box, self._screen.frame)

    def refresh(self) -> None:
        """Draw again if the weights or an image have changed."""
        with self._lock:
            self._refresh()

    def close(self) -> None:
        """Remove the widget from every page; drop its model, images and observers."""
        if self.comm is None:
            return  # closed already, or construction failed
        with self._lock:
            self._monitor.stop()
            self._histories.close()
            self._screen.controls.pause()
            self._screen.receptive_fields.close()
            close_tree(self)
            super().close()
            self.unobserve_all()
            self._trait_validators.clear()  # a linked trait may still be set; it has no effect any more
            closed: Any = Closed()
            self._am = self._offer = self._pipeline = self._screen = closed
            self.children = ()

    # ------------------------------------------------------------------ validation that needs the model

    @traitlets.validate("image")
    def _validate_image(self, proposal: traitlets.Bunch) -> str:
        return self._computable("image", require_choice("image", proposal["value"], self._offer.images))

    @traitlets.validate("layer", "preprocess", "fit", "step", "against")
    def _validate_view(self, proposal: traitlets.Bunch) -> Any:
        return self._computable(proposal["trait"].name, proposal["value"])

    @traitlets.validate("channel")
    def _validate_channel(self, proposal: traitlets.Bunch) -> int:
        channels = self._pipeline.maps(self._state()).shape[-1]
        return require_index("channel", proposal["value"], channels, self.layer)

    @traitlets.validate("order")
    def _validate_order(self, proposal: traitlets.Bunch) -> str:
        order: str = proposal["value"]
        if order == "difference" and not self.against:
            raise traitlets.TraitError(
                "order='difference' needs something to compare with. Set `against`, or pass against=."
            )
        return order

    @traitlets.validate("page")
    def _validate_page(self, proposal: traitlets.Bunch) -> int:
        pages = self._pipeline.layout(self._state(), self._display).pages
        return require_index("page", proposal["value"], pages, self.layer)

    def _computable(self, name: str, value: Any) -> Any:
        """Return the value of a trait if maps can be computed with it; raise `TraitError` otherwise."""
        with self._lock:
            try:
                if name == "step":
                    self._offer.snapshot(value)
                if self.layer or name == "layer":  # the constructor sets the layer last
                    if not self._refreshing:  # a refresh has checked, and keeps to the snapshots of then
                        self._check_weights()
                    state = self._state()
                    kept = {  # steps may have been dropped meanwhile
                        "step": self._offer.nearest_step(state.step),
                        "against": self._offer.nearest_reference(state.against),
                    }
                    self._pipeline.compute(replace(state, **{**kept, name: value}))
            except (ValueError, TypeError, OSError, ForwardError) as error:
                raise traitlets.TraitError(str(error)) from error
        return value

    # ------------------------------------------------------------------ from state to screen

    @traitlets.observe(*STATE)
    def _state_changed(self, change: traitlets.Bunch) -> None:
        if self._screen.frame is not None:
            name = change["name"]
            with self._lock:
                if name == "step":  # the newest, as there is now or as it was when the user chose it
                    newest = [run[-1].step for run in (self._offer.run, self._screen.frame.run) if run]
                    self._follows = change["new"] in newest
                self._refresh(follow=name in PAGE_FOLLOWS, checked=name in MAPS_CHECKED)

    def _refresh(self, *, follow: bool = False, checked: bool = False) -> None:
        """Bring the screen in line with the state: the only path from one to the other.

        Args:
            follow: Whether the page turns to the chosen channel.
            checked: Whether the weights have just been checked for change, which takes time.
        """
        if self._refreshing:  # what observers set during a refresh is part of it
            return
        self._refreshing = True
        try:
            if not checked:
                self._check_weights()
            self._limit_choices(follow=follow)
            self._screen.show(self._pipeline.frame(self._state(), self._display))
            self._update_controls()
        except Exception as error:
            self._screen.status.report(error)
            raise
        finally:
            self._refreshing = False

    def _limit_choices(self, *, follow: bool) -> None:
        """Bring what depends on other choices within range, until observers leave it there."""
        for _ in range(MAX_ROUNDS):
            before = self._state()
            # Not set to what they are: every value that is set is validated, which takes a check of weights.
            if (step := self._offer.nearest_step(self.step)) != self.step:
                self.step = step
            if (against := self._offer.nearest_reference(self.against)) != self.against:
                self.against = against
            if not self.against and self.order == "difference":
                self.order = "index"
            self.channel = min(self.channel, self._pipeline.maps(self._state()).shape[-1] - 1)
            layout = self._pipeline.layout(self._state(), self._display)
            self.page = layout.page_of(self.channel) if follow else min(self.page, layout.pages - 1)
            if self._state() == before:
                return
        raise RuntimeError(
            f"The widget's traits still change after {MAX_ROUNDS} rounds: observers set them in response to "
            "one another. Let each observer set a trait only if it has another value."
        )

    def _check_weights(self) -> None:
        if self._pipeline.check_weights():
            self._monitor.begin()

    def _state(self) -> ViewState:
        return ViewState(**{name: getattr(self, name) for name in STATE})

    def _update_controls(self) -> None:
        state = self._state()
        references = self._offer.references(state.image, state.step, state.against)
        on_offer = OnOffer(self._pipeline.layers(state), references)
        self._screen.controls.update(state, self._screen.frame, on_offer)

    # ------------------------------------------------------------------ events

    def _run(self, action: Callable[[], None]) -> None:
        """Run one action of the user, or of one of the widget's threads, and report the error it raises.

        Every event passes through here, once. No caller would report an exception: ipywidgets logs it where
        users do not see it.
        """
        with self._lock:
            try:
                if self.comm is not None:  # else it was closed while the event was on its way
                    action()
            except Exception as error:  # noqa: BLE001
                self._screen.status.report(error)

    def _choose(self, name: str, value: Any) -> None:
        """Set a trait to what a control shows; if it is refused, report why and reset the control."""
        with self._lock:
            if self.comm is None:
                return
            self._screen.controls.pause()
            try:
                setattr(self, name, value)
                self._screen.status.show("")
                self._update_controls()
            except Exception as error:  # noqa: BLE001
                self._screen.status.report(error)
                with suppress(Exception):  # after a failed refresh the controls may fail too
                    self._update_controls()

    def _relist(self) -> None:
        """List the layers that match the changed filter."""
        with self._lock:
            self._screen.controls.pause()
            self._update_controls()

    def _add_image(self, name: str, data: bytes) -> None:
        """Offer one more image, the bytes of a file, and choose it; raise `ImageError` if it is none."""
        with self._lock:
            image = self._offer.add_image(name, data)
            self._screen.controls.set_images(self._offer.images)
            self._choose("image", image.name)

    def _file(self) -> tuple[str, bytes]:
        """Return name and bytes of the picture that the button saves."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return f"{self.image} {self.layer}", file.getvalue()

    def _display_changed(self, display: DisplayContext) -> None:
        """Draw for the display context that a page reports."""
        with self._lock:
            self._display = display
            self._refresh(follow=True)

    def _snapshots_changed(self) -> None:
        """Show the steps there are now; called on a thread of the snapshots."""

        def action() -> None:
            self._offer.renew()
            snapshots, run = self._offer.snapshots, self._offer.run
            if self._follows and run and snapshots is not None and snapshots.is_recording:
                self.step = run[-1].step
                self._follows = True  # though there may be a newer one by now
            else:
                self._refresh()

        self._run(action)

    def _history_grown(self) -> None:  # `_history_changed` would be called by traitlets
        """Show as much of the course over the steps as has been computed."""
        self._refresh()
        if self._histories.problem:
            self._screen.status.show(self._histories.problem)

    def _training_changed(self, is_on: bool) -> None:  # noqa: FBT001
        """Show whether the model is in training; called on a thread of the training monitor."""

        def action() -> None:
            try:
                if not is_on:
                    self._refresh()  # the frame on screen was computed on the way
            finally:
                self._screen.status.training = is_on

        self._run(action)
