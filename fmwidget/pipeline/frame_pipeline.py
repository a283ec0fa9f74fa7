"""From the view state to the frame: batch → maps → statistics → order → layout. `pages` draws frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from fmwidget._memo import Latest
from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import (
    Array,
    ChannelScale,
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
from fmwidget.analysis.step_history import StepHistory, step_history
from fmwidget.models.batch import ExtraInputs
from fmwidget.models.input_scaling import Scaling
from fmwidget.models.inputs import Batch
from fmwidget.references import Reference
from fmwidget.rendering.grid_layout import COLUMNS, PAGE_ROWS, GridLayout, grid_layout
from fmwidget.snapshots.snapshot import Snapshot

from .evaluation import Evaluation, Side
from .frame import NARROWEST, WIDEST, DisplayContext, Frame, ViewState, weights_in_words
from .offer import Offer

Prepared = tuple[Batch, Scaling]
Histories = Callable[[ActivationModel, Batch, tuple[Snapshot, ...]], StepHistory | None]


class _Sides(NamedTuple):
    """The side of the view state, A, and that of its reference, B, if there is one.

    Attributes:
        a: A.
        b: B, if it has the same layer.
        contrast, problem: As in `Frame`.
        compare: Compares all layers; `None` without a reference.
    """

    a: Side
    b: Side | None = None
    contrast: Contrast | None = None
    problem: str = ""
    compare: Callable[[], Comparison] | None = None

    def shown(self, name: str) -> Side:
        """Return the side of a name; for the difference A with its maps, and A where there is no other."""
        if self.b is None or self.contrast is None or name == "a":
            return self.a
        return self.b if name == "b" else self.a._replace(maps=self.contrast.difference)


class FramePipeline:
    """The steps from a view state to a frame; a step is repeated only if its input has changed.

    A check of the weights takes milliseconds, so it is left to the caller, once per action: see
    `check_weights`.

    Args:
        activations: The model.
        offer: What the view state chooses from.
        inputs: The model's inputs other than the image, by name.
        ncols: Tiles in a row of the grid.
        max_rows: Most rows on a page of the grid, all if `None`; see `grid_layout`.
        histories: Returns the course of each layer over some snapshots, or `None` while it is being
            computed; computed at once by default.
    """

    def __init__(
        self,
        activations: ActivationModel,
        offer: Offer,
        inputs: ExtraInputs | None = None,
        ncols: int = COLUMNS,
        max_rows: int | None = PAGE_ROWS,
        *,
        histories: Histories | None = None,
    ) -> None:
        self.offer = offer
        self._activations = activations
        self._settings = inputs, ncols, max_rows
        self._histories: Histories = Latest(step_history) if histories is None else histories
        self._own, self._other = Evaluation(inputs), Evaluation(inputs)
        self._checks = 0  # of the weights
        self._version_of = Latest(lambda am, _checks: am.version())
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
        return FramePipeline(self._activations, replace(self.offer), *self._settings)

    def check_weights(self) -> bool:
        """Check the model's weights, and the snapshots on offer.

        Returns:
            Whether the weights have changed since the last check.
        """
        self._checks += 1
        self.offer.renew()
        before, self._own.version = self._own.version, self._activations.version()
        return before not in (0, self._own.version)

    # ------------------------------------------------------------------ of the chosen image and weights

    def batch(self, state: ViewState) -> Batch:
        """Return the model's input."""
        return self.prepare(state)[0]

    def prepare(self, state: ViewState) -> Prepared:
        """Return the model's input, and the scaling of the image in it."""
        return self._own.prepare(self._activations, self.offer.images[state.image], state)

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
        return self._activations.at(self.offer.snapshot(state.step))

    # ------------------------------------------------------------------ frames

    def layout(self, state: ViewState, display: DisplayContext) -> GridLayout:
        """Return the layout of the layer's grid."""
        return self._layout_of(self._sides(state), state, display)

    def frame(self, state: ViewState, display: DisplayContext, prepared: Prepared | None = None) -> Frame:
        """Return the frame of a view state.

        Args:
            state: The view state.
            display: The display context.
            prepared: The result of `prepare(state)`, for many frames of one image: to compare a large
                image with its last pixels takes longer than to draw a page.
        """
        sides = self._sides(state, prepared)
        name = "a" if sides.contrast is None else state.side
        side = sides.shown(name)
        image, data_format = self._own.input_image(side.activations.model, side.batch)
        run = self.offer.run
        history = self._history(sides.a.batch, state, run)
        scale, scale_note = self._scale(state, sides, history)
        profile = comparison = None
        if state.profile and sides.compare is not None:
            comparison = sides.compare()
        elif state.profile:
            profile = self._own.profile(side.activations, side.batch)
        return Frame(
            layer=side.layer,
            maps=side.maps,
            statistics=self._statistics(side.maps),
            channel=state.channel,
            layout=self._layout_of(sides, state, display),
            page=state.page,
            norm="symmetric" if name == "difference" else state.norm,
            cmap=state.cmap,
            image=side.image.name,
            bands=side.image.bands,
            input_image=image,
            data_format=data_format,
            scaling=side.scaling,
            fit=state.fit,
            opacity=state.opacity,
            outputs=side.outputs,
            batch=side.batch,
            profile=profile,
            display=display,
            activations=side.activations,
            run=run,
            snapshot=self.offer.snapshot(state.step),
            scale=scale,
            scale_note=scale_note,
            history=history if state.history else None,
            shows_history=state.history and bool(run),
            contrast=sides.contrast,
            side=name,
            problem=sides.problem,
            comparison=comparison,
            outputs_b=None if sides.b is None else sides.b.outputs,
        )

    def _sides(self, state: ViewState, prepared: Prepared | None = None) -> _Sides:
        """Compute the layer of the view state, and its counterpart in the reference."""
        am, image, own, other = self._at(state), self.offer.images[state.image], self._own, self._other
        a = own.side(am, image, state.layer, own.prepare(am, image, state) if prepared is None else prepared)
        if not state.against:
            return _Sides(a)
        reference = self.offer.reference(state.against, state.step)
        am_b, image_b = reference.side(am, image)
        if am_b.model is am.model:
            am_b, other.version = am.at(am_b.snapshot), own.version  # one cache, one count of versions
        else:
            other.version = self._version_of(am_b, self._checks)
        prepared_b = other.prepare(am_b, image_b, state)
        batch_b = prepared_b[0]
        sides = _Sides(
            a,
            compare=lambda: self._comparison(am, a.batch, am_b, batch_b, own.key(am), other.key(am_b)),
        )
        path = self._paths(own.layers(am, a.batch), other.layers(am_b, batch_b)).get(state.layer)
        if path is None:
            problem = f"No layer of {reference.name} corresponds to {state.layer}."
            return sides._replace(problem=problem)
        b = other.side(am_b, image_b, path, prepared_b)
        if b.maps.shape != a.maps.shape:
            problem = (
                f"{state.layer} cannot be compared: its maps have the shape {a.maps.shape}, those of "
                f"{reference.name} {b.maps.shape}."
            )
            return sides._replace(problem=problem)
        return sides._replace(b=b, contrast=self._contrast(*_names(a, b, reference), a.maps, b.maps))

    def _scale(
        self, state: ViewState, sides: _Sides, history: StepHistory | None
    ) -> tuple[ChannelScale | None, str]:
        """Return the range to normalize by, if it is not that of the maps on screen, and the words for it."""
        if sides.contrast is not None:
            if state.side == "difference":
                return None, ""
            pair = self._own.statistics(sides.contrast.a), self._other.statistics(sides.contrast.b)
            return self._pooled_scale(*pair), "one scale for A and B"
        if state.scale == "step" or not self.offer.run:
            return None, ""
        if history is None or not history.is_complete:
            return None, "scale of this step, until that of all steps is computed"
        scale = self._run_scale(history, sides.a.layer.path)
        if scale is None:
            return None, "scale of this step: maps before an activation have no other"
        return scale, "one scale for all steps"

    def _history(self, batch: Batch, state: ViewState, run: tuple[Snapshot, ...]) -> StepHistory | None:
        if not run or not (state.history or state.scale == "run"):
            return None
        return self._histories(self._activations, batch, run)

    def _layout_of(self, sides: _Sides, state: ViewState, display: DisplayContext) -> GridLayout:
        width = max(NARROWEST, min(display.width, WIDEST))
        contrast, order, differences = sides.contrast, state.order, None
        if order == "difference":
            if contrast is None:
                order = "index"  # as for a layer without a counterpart
            else:
                differences = self._differences(contrast.a, contrast.b)
        maps = sides.shown(state.side).maps
        return self._layout(maps.shape, self._order(self._statistics(maps), order, differences), width)


def _names(a: Side, b: Side, reference: Reference) -> tuple[str, str]:
    """Return the words for both sides: that in which they differ."""
    if b.activations.model is not a.activations.model:
        at = "" if a.activations.snapshot is None else f", {weights_in_words(a.activations.snapshot)}"
        return f"{a.activations.model.name}{at}", reference.name
    if b.image is not a.image or reference.name == a.image.name:
        return a.image.name, b.image.name
    return weights_in_words(a.activations.snapshot), weights_in_words(b.activations.snapshot)
