"""From the view state to the frame: batch → maps → statistics → order → layout. `pages` draws frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import (
    ChannelScale,
    ChannelStatistics,
    channel_order,
    channel_statistics,
    pooled_scale,
)
from fmwidget.analysis.comparison import (
    Comparison,
    channel_differences,
    compare_activations,
    corresponding_paths,
)
from fmwidget.analysis.contrast import Contrast
from fmwidget.analysis.depth_profile import DepthProfile, depth_profile
from fmwidget.analysis.step_history import StepHistory, step_history
from fmwidget.images.arrays import Bands
from fmwidget.images.loading import free_name
from fmwidget.images.source import NamedImage
from fmwidget.models.batch import (
    ExtraInputs,
    Preprocess,
    image_array,
    input_image,
    model_batch,
    resolve_scaling,
)
from fmwidget.models.input_scaling import Scaling
from fmwidget.models.inputs import Batch
from fmwidget.models.outputs import maps_shape
from fmwidget.rendering.grid_layout import COLUMNS, PAGE_ROWS, GridLayout, grid_layout
from fmwidget.snapshots.recorder import WeightSnapshots
from fmwidget.snapshots.snapshot import Snapshot

from ._errors import did_you_mean
from ._memo import Latest
from .references import (
    LIVE,
    LIVE_NAME,
    PREVIOUS_STEP,
    Reference,
    image_reference,
    snapshot_reference,
    step_name,
)

Array = np.ndarray[Any, Any]
Histories = Callable[[ActivationModel, Batch, tuple[Snapshot, ...]], StepHistory | None]

NARROWEST, WIDEST = 360, 1200  # CSS px between which the grid's width follows the display's
SCALES = ("step", "run")


@dataclass(frozen=True)
class DisplayContext:
    """The surface that a frame is drawn for.

    Attributes:
        ratio: Device pixels per CSS pixel.
        dark: Whether the background is dark.
        width: Width in CSS pixels that is available.
    """

    ratio: float
    dark: bool
    width: int


@dataclass(frozen=True, kw_only=True)
class ViewState:
    """The user's choices: the traits of the widget, under their names."""

    layer: str
    channel: int = 0
    image: str
    preprocess: Preprocess = "auto"
    fit: str = "stretch"
    norm: str = "standardize"
    cmap: str = "viridis"
    order: str = "index"
    opacity: int = 0
    page: int = 0
    profile: bool = False
    step: int = LIVE
    scale: str = "step"
    history: bool = False
    against: str = ""
    side: str = "difference"


@dataclass(frozen=True, eq=False)
class Frame:
    """Everything on screen, as computed for one view state and display context.

    Attributes:
        layer: The chosen layer.
        maps: Its feature maps `(H, W, C)`, read-only.
        statistics: The statistics of each channel.
        channel: Index of the chosen channel.
        layout: Positions of the channels' tiles.
        page: The page of the layout on screen.
        norm: The normalization, one of `NORMS`.
        cmap: Name of a matplotlib colormap.
        image: Name of the image.
        bands: Indices of the channels to display, of an image that is not grey, RGB or RGBA.
        input_image: The image in the model's input, `(1, H, W, C)`, or `None`.
        data_format: Data format of `input_image`, `"channels_last"` or `"channels_first"`.
        scaling: The scaling of the image for the model.
        fit: The method that brought the image to the model's size, one of `FITS`.
        opacity: Opacity of the chosen channel over the image, 0 to 100.
        outputs: The model's outputs, without the batch axis.
        batch: The model's input.
        profile: The depth profile of the image, if the view state asks for it.
        display: The display context.
        activations: Runs the model, with the weights of the frame.
        run: The snapshots of training, by step; empty if there are none.
        snapshot: The one whose weights are used; `None` for the model's own.
        scale: The range that maps are normalized by, if it is not that of `maps`.
        scale_note: The words for that range.
        history: The course of each layer over the steps; `None` while it is being computed.
        shows_history: Whether the view state asks for it.
        contrast: The maps of both sides, if there is a reference that has them.
        side: `"a"`, `"b"` or `"difference"`, the side of `contrast` that is on screen.
        problem: The reason why there is a reference, but no contrast; empty otherwise.
        comparison: The differences of all layers, if the view state asks for the depth profile.
        outputs_b: The outputs of the other side: of the reference, or under `"b"` the frame's own.
    """

    layer: FeatureLayer
    maps: Array
    statistics: ChannelStatistics
    channel: int
    layout: GridLayout
    page: int
    norm: str
    cmap: str
    image: str
    bands: Bands | None
    input_image: Array | None
    data_format: str
    scaling: Scaling
    fit: str
    opacity: int
    outputs: Any
    batch: Batch
    profile: DepthProfile | None
    display: DisplayContext
    activations: ActivationModel
    run: tuple[Snapshot, ...] = ()
    snapshot: Snapshot | None = None
    scale: ChannelScale | None = None
    scale_note: str = ""
    history: StepHistory | None = None
    shows_history: bool = False
    contrast: Contrast | None = None
    side: str = "a"
    problem: str = ""
    comparison: Comparison | None = None
    outputs_b: Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """The words for the weights and the side on screen, where there is a choice."""
        notes = [weights_in_words(self.snapshot)] if self.run else []
        if self.contrast is not None:
            a, b = self.contrast.name_a, self.contrast.name_b
            notes = [{"a": f"A: {a}", "b": f"B: {b}", "difference": f"A − B: {a} − {b}"}[self.side]]
        return tuple(notes)

    @property
    def sizes(self) -> tuple[int, int]:
        """Height and width of the image in the model's input; 0 if there is none."""
        return (
            (0, 0) if self.input_image is None else maps_shape(self.input_image.shape, self.data_format)[:2]
        )

    @property
    def ratio(self) -> int:
        """Whole device pixels per CSS pixel; at most 2, beyond which single pixels are not visible."""
        return 2 if self.display.ratio > 1 else 1


def weights_in_words(snapshot: Snapshot | None) -> str:
    """Return the words for the weights that a frame is computed with."""
    return LIVE_NAME if snapshot is None else snapshot.name


class _Evaluation:
    """The steps from an image to feature maps and outputs; each is repeated only if its input has changed.

    Args:
        inputs: The model's inputs other than the image, by name.
    """

    def __init__(self, inputs: ExtraInputs | None) -> None:
        self.version = 0  # of the model's own weights, as of the last check
        self._scaling = Latest(resolve_scaling)
        self._batch = Latest(
            lambda model, array, preprocess, fit: model_batch(model, array, preprocess, fit, inputs)
        )
        self._maps = Latest(lambda am, batch, path, _key: am.activations(batch, path, version=self.version))
        self._outputs = Latest(lambda am, batch, _key: am.predictions(batch, version=self.version))
        self._layers = Latest(lambda am, _batch, _key: am.layers_at(self.version))
        self._profile = Latest(lambda am, batch, _key: depth_profile(am, [batch]))
        self.input_image = Latest(input_image)
        self.statistics = Latest(channel_statistics)

    def prepare(self, am: ActivationModel, image: NamedImage, state: ViewState) -> tuple[Batch, Scaling]:
        """Return the model's input, and the scaling of the image in it."""
        array = image_array(am.model, image)
        scaling = self._scaling(am.model, state.preprocess, array.shape[2])
        preprocess = state.preprocess if callable(state.preprocess) else scaling.name
        return self._batch(am.model, array, preprocess, state.fit), scaling

    def maps(self, am: ActivationModel, batch: Batch, path: str) -> Array:
        """Return a layer's feature maps `(H, W, C)`, read-only."""
        return self._maps(am, batch, path, self._key(am))

    def outputs(self, am: ActivationModel, batch: Batch) -> Any:
        """Return the model's outputs, without the batch axis."""
        return self._outputs(am, batch, self._key(am))

    def layers(self, am: ActivationModel, batch: Batch) -> tuple[FeatureLayer, ...]:
        """Return the layers that have feature maps; in some models these depend on the image."""
        self.outputs(am, batch)  # the pass that the list is taken from
        return self._layers(am, batch, self._key(am))

    def profile(self, am: ActivationModel, batch: Batch) -> DepthProfile:
        """Return the depth profile of the image."""
        return self._profile(am, batch, self._key(am))

    def _key(self, am: ActivationModel) -> int:
        """Return a number that changes with the weights; those of a snapshot never do."""
        return self.version if am.snapshot is None else -1


class _Sides(NamedTuple):
    """All that is computed for one layer and image, and for the reference if there is one.

    Attributes:
        activations, image, batch, scaling, outputs: Those of the side on screen; of A for the difference.
        layer: The layer of the side on screen.
        maps: The maps on screen.
        contrast, problem, outputs_b: As in `Frame`.
        compare: Compares all layers; `None` without a reference.
    """

    activations: ActivationModel
    image: NamedImage
    batch: Batch
    scaling: Scaling
    outputs: Any
    layer: FeatureLayer
    maps: Array
    contrast: Contrast | None = None
    problem: str = ""
    outputs_b: Any = None
    compare: Callable[[], Comparison] | None = None


class FramePipeline:
    """The steps from a view state to a frame; a step is repeated only if its input has changed.

    A check of the weights takes milliseconds, so it is left to the caller, once per action: see
    `check_weights`.

    Args:
        activations: The model.
        images: The images on offer, by name.
        inputs: The model's inputs other than the image, by name.
        ncols: Tiles in a row of the grid.
        max_rows: Most rows on a page of the grid, all if `None`; see `grid_layout`.
        snapshots: The snapshots of training on offer.
        references: The references on offer beside images and steps, by name.
        histories: Returns the course of each layer over some snapshots, or `None` while it is being
            computed; computed at once by default.
    """

    def __init__(
        self,
        activations: ActivationModel,
        images: Mapping[str, NamedImage],
        inputs: ExtraInputs | None = None,
        ncols: int = COLUMNS,
        max_rows: int | None = PAGE_ROWS,
        *,
        snapshots: WeightSnapshots | None = None,
        references: Mapping[str, Reference] | None = None,
        histories: Histories | None = None,
    ) -> None:
        self.images = images
        self._activations = activations
        self._settings = inputs, ncols, max_rows
        self._snapshots = snapshots
        self._references = references or {}
        self._histories: Histories = Latest(step_history) if histories is None else histories
        self._own, self._other = _Evaluation(inputs), _Evaluation(inputs)
        self._contrast = Latest(Contrast)
        self._comparison = Latest(lambda *sides_and_keys: compare_activations(*sides_and_keys[:4]))
        self._paths = Latest(corresponding_paths)
        self._statistics = Latest(channel_statistics)
        self._pooled_scale = Latest(lambda *statistics: pooled_scale(statistics))
        self._run_scale = Latest(StepHistory.scale)
        self._differences = Latest(channel_differences)
        self._order = Latest(channel_order)
        self._layout = Latest(
            lambda shape, order, width: grid_layout(
                shape, order=order, width=width, ncols=ncols, max_rows=max_rows
            )
        )

    def copy(self) -> FramePipeline:
        """Return a pipeline of the same settings with nothing computed yet, for use beside this one.

        It computes the course over the steps at once.
        """
        return FramePipeline(
            self._activations,
            self.images,
            *self._settings,
            snapshots=self._snapshots,
            references=self._references,
        )

    def check_weights(self) -> bool:
        """Check the model's weights; return whether they have changed since the last check."""
        before, self._own.version = self._own.version, self._activations.version()
        return before not in (0, self._own.version)

    # ------------------------------------------------------------------ on offer

    @property
    def run(self) -> tuple[Snapshot, ...]:
        """The snapshots of training, by step."""
        return () if self._snapshots is None else self._snapshots.snapshots

    def snapshot(self, step: int) -> Snapshot | None:
        """Return the snapshot of a step; `None` for the model's own weights.

        Raises:
            ValueError: If there is no such step.
        """
        if step == LIVE:
            return None
        if self._snapshots is None:
            raise ValueError(
                f"There are no snapshots, only the live weights: step must be {LIVE}. Received {step}. Pass "
                "snapshots=."
            )
        try:
            return self._snapshots[step]
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    def nearest_step(self, step: int) -> int:
        """Return the step, or if its snapshot has been dropped the nearest one that is kept."""
        run = self.run
        return (
            step
            if step == LIVE or not run
            else min((each.step for each in run), key=lambda at: abs(at - step))
        )

    def references(self, state: ViewState) -> dict[str, str]:
        """Return the names of the references on offer, with a label for each.

        Those that the user has passed, some steps of training, the other images, and the one in use.
        """
        names = dict.fromkeys(self._references)
        if names or self.run:
            run = self.run
            names |= dict.fromkeys([PREVIOUS_STEP, step_name(LIVE)] if run else [])
            names |= dict.fromkeys(step_name(each.step) for each in (run[:1] + run[-1:]))
            names |= dict.fromkeys(name for name in self.images if name != state.image)
        if state.against:
            names |= {state.against: None}
        labels = {step_name(each.step): f"{step_name(each.step)}: {each.name}" for each in self.run}
        return {name: labels.get(name, name) for name in names}

    def reference(self, state: ViewState) -> Reference:
        """Return the reference that `state.against` names.

        Raises:
            ValueError: If there is none of this name.
        """
        name = state.against
        if name in self._references:
            return self._references[name]
        if name in self.images:
            return image_reference(self.images[name])
        if name == LIVE_NAME:
            return snapshot_reference(name, None)
        run = self.run
        if name == PREVIOUS_STEP and run:
            earlier = [each for each in run if state.step == LIVE or each.step < state.step]
            return snapshot_reference(name, earlier[-1] if earlier else run[0])
        for each in run:
            if name == step_name(each.step):
                return snapshot_reference(name, each)
        known = [*self._references, *self.images, *(step_name(each.step) for each in run)]
        raise ValueError(
            f"There is nothing named {name!r} to compare with. {did_you_mean(name, known, 'Pass against=.')}"
        )

    def add_image(self, name: str, data: bytes) -> NamedImage:
        """Offer one more image, the bytes of a file.

        Returns:
            The image, under `name` or the next free name like it.

        Raises:
            ImageError: If the bytes are no image that can be used.
        """
        image = NamedImage(data, free_name(name, self.images))
        image.thumbnail()  # raises `ImageError`
        self.images = {**self.images, image.name: image}
        return image

    # ------------------------------------------------------------------ of the frame's own image and weights

    def batch(self, state: ViewState) -> Batch:
        """Return the model's input."""
        return self.prepare(state)[0]

    def prepare(self, state: ViewState) -> tuple[Batch, Scaling]:
        """Return the model's input, and the scaling of the image in it."""
        return self._own.prepare(self._activations, self.images[state.image], state)

    def maps(self, state: ViewState) -> Array:
        """Return the layer's feature maps `(H, W, C)`, read-only."""
        return self._own.maps(self._at(state), self.batch(state), state.layer)

    def compute(self, state: ViewState) -> None:
        """Compute the maps of a state, and of its reference; raise an error if that is not possible."""
        self._sides(state)

    def outputs(self, state: ViewState) -> Any:
        """Return the model's outputs, without the batch axis."""
        return self._own.outputs(self._at(state), self.batch(state))

    def layers(self, state: ViewState) -> tuple[FeatureLayer, ...]:
        """Return the layers that have feature maps; in some models these depend on the image."""
        return self._own.layers(self._at(state), self.batch(state))

    def first_layer(self, state: ViewState) -> str:
        """Return the path of the first layer with a kernel: those before it only prepare the image.

        Raises:
            ValueError: If the model has no feature maps.
        """
        layers = self.layers(state)
        if not layers:
            raise ValueError(
                f"The model {self._activations.model.name!r} has no feature maps: none of its layers returns "
                "arrays (batch, height, width, channels)."
            )
        return next((layer for layer in layers if layer.has_kernel), layers[0]).path

    def _at(self, state: ViewState) -> ActivationModel:
        return self._activations.at(self.snapshot(state.step))

    # ------------------------------------------------------------------ frames

    def layout(self, state: ViewState, display: DisplayContext) -> GridLayout:
        """Return the layout of the layer's grid."""
        return self._layout_of(self._sides(state), state, display)

    def frame(
        self, state: ViewState, display: DisplayContext, prepared: tuple[Batch, Scaling] | None = None
    ) -> Frame:
        """Return the frame of a view state.

        Args:
            state: The view state.
            display: The display context.
            prepared: The result of `prepare(state)`, for many frames of one image: to compare a large
                image with its last pixels takes longer than to draw a page.
        """
        sides = self._sides(state, prepared)
        image, data_format = self._own.input_image(sides.activations.model, sides.batch)
        run = self.run
        history = self._history(state, run, prepared)
        scale, scale_note = self._scale(state, sides, history)
        side = "a" if sides.contrast is None else state.side
        return Frame(
            layer=sides.layer,
            maps=sides.maps,
            statistics=self._statistics(sides.maps),
            channel=state.channel,
            layout=self._layout_of(sides, state, display),
            page=state.page,
            norm="symmetric" if side == "difference" else state.norm,
            cmap=state.cmap,
            image=sides.image.name,
            bands=sides.image.bands,
            input_image=image,
            data_format=data_format,
            scaling=sides.scaling,
            fit=state.fit,
            opacity=state.opacity,
            outputs=sides.outputs,
            batch=sides.batch,
            profile=self._own.profile(sides.activations, sides.batch) if state.profile else None,
            display=display,
            activations=sides.activations,
            run=run,
            snapshot=self.snapshot(state.step),
            scale=scale,
            scale_note=scale_note,
            history=history if state.history else None,
            shows_history=state.history and bool(run),
            contrast=sides.contrast,
            side=side,
            problem=sides.problem,
            comparison=sides.compare() if state.profile and sides.compare is not None else None,
            outputs_b=sides.outputs_b,
        )

    def _sides(self, state: ViewState, prepared: tuple[Batch, Scaling] | None = None) -> _Sides:
        """Compute the maps of the layer, and of its counterpart in the reference."""
        am, image, own, other = self._at(state), self.images[state.image], self._own, self._other
        batch, scaling = own.prepare(am, image, state) if prepared is None else prepared
        maps, outputs = own.maps(am, batch, state.layer), own.outputs(am, batch)
        sides = _Sides(am, image, batch, scaling, outputs, am.layer(state.layer), maps)
        if not state.against:
            return sides
        reference = self.reference(state)
        am_b, image_b = reference.side(am, image)
        other.version = own.version if am_b.model is am.model else am_b.version()
        batch_b, scaling_b = other.prepare(am_b, image_b, state)
        sides = sides._replace(
            outputs_b=other.outputs(am_b, batch_b),
            compare=lambda: self._comparison(am, batch, am_b, batch_b, own.version, other.version),
        )
        path = self._paths(own.layers(am, batch), other.layers(am_b, batch_b)).get(state.layer)
        if path is None:
            problem = f"No layer of {reference.name} corresponds to {state.layer}."
            return sides._replace(problem=problem)
        maps_b = other.maps(am_b, batch_b, path)
        if maps_b.shape != maps.shape:
            problem = (
                f"{state.layer} cannot be compared: its maps have the shape {maps.shape}, those of "
                f"{reference.name} {maps_b.shape}."
            )
            return sides._replace(problem=problem)
        contrast = self._contrast(*_names(state, reference, am, am_b, image_b), maps, maps_b)
        sides = sides._replace(contrast=contrast)
        if state.side == "difference":
            return sides._replace(maps=contrast.difference)
        if state.side == "b":
            outputs_b, layer_b = sides.outputs_b, am_b.layer(path)
            return _Sides(
                *(am_b, image_b, batch_b, scaling_b, outputs_b, layer_b, maps_b),
                contrast=contrast,
                outputs_b=outputs_b,
                compare=sides.compare,
            )
        return sides

    def _scale(
        self, state: ViewState, sides: _Sides, history: StepHistory | None
    ) -> tuple[ChannelScale | None, str]:
        """Return the range to normalize by, if it is not that of the maps on screen, and the words for it."""
        if sides.contrast is not None:
            if state.side == "difference":
                return None, ""
            pair = self._own.statistics(sides.contrast.a), self._other.statistics(sides.contrast.b)
            return self._pooled_scale(*pair), "one scale for A and B"
        if state.scale == "step" or not self.run:
            return None, ""
        if history is None or not history.is_complete:
            return None, "scale of this step, until that of all steps is computed"
        scale = self._run_scale(history, sides.layer.path)
        if scale is None:
            return None, "scale of this step: maps before an activation have no other"
        return scale, "one scale for all steps"

    def _history(
        self, state: ViewState, run: tuple[Snapshot, ...], prepared: tuple[Batch, Scaling] | None
    ) -> StepHistory | None:
        if not run or not (state.history or state.scale == "run"):
            return None
        return self._histories(self._activations, (prepared or self.prepare(state))[0], run)

    def _layout_of(self, sides: _Sides, state: ViewState, display: DisplayContext) -> GridLayout:
        width = max(NARROWEST, min(display.width, WIDEST))
        contrast, order, differences = sides.contrast, state.order, None
        if order == "difference":
            if contrast is None:
                order = "index"  # as for a layer without a counterpart
            else:
                differences = self._differences(contrast.a, contrast.b)
        channels = self._order(self._statistics(sides.maps), order, differences)
        return self._layout(sides.maps.shape, channels, width)


def _names(
    state: ViewState, reference: Reference, am: ActivationModel, am_b: ActivationModel, image_b: NamedImage
) -> tuple[str, str]:
    """Return the words for both sides: that in which they differ."""
    if am_b.model is not am.model:
        return am.model.name, reference.name
    if am_b is am:
        return state.image, image_b.name
    return weights_in_words(am.snapshot), weights_in_words(am_b.snapshot)
