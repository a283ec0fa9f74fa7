"""From the view state to the frame: batch → maps → statistics → order → layout. `pages` draws frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import (
    ChannelScale,
    ChannelStatistics,
    channel_order,
    channel_statistics,
)
from fmwidget.analysis.contrast import Contrast
from fmwidget.analysis.depth_profile import DepthProfile, depth_profile
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

from ._memo import Latest

Array = np.ndarray[Any, Any]

NARROWEST, WIDEST = 360, 1200  # CSS px between which the grid's width follows the display's


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
        scale: The range that maps are normalized by, if it is not that of `maps`.
        scale_note: The words for that range.
        contrast: The maps of both sides, if there is a reference that has them.
        side: `"a"`, `"b"` or `"difference"`, the side of `contrast` that is on screen.
        notes: The words for the weights and the side on screen, where there is a choice.
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
    scale: ChannelScale | None = None
    scale_note: str = ""
    contrast: Contrast | None = None
    side: str = "a"
    notes: tuple[str, ...] = ()

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
    """

    def __init__(
        self,
        activations: ActivationModel,
        images: Mapping[str, NamedImage],
        inputs: ExtraInputs | None = None,
        ncols: int = COLUMNS,
        max_rows: int | None = PAGE_ROWS,
    ) -> None:
        self.images = images
        self._activations = activations
        self._settings = inputs, ncols, max_rows
        self._version = 0  # of the weights
        model = activations.model
        self._scaling = Latest(lambda preprocess, channels: resolve_scaling(model, preprocess, channels))
        self._batch = Latest(
            lambda array, preprocess, fit: model_batch(model, array, preprocess, fit, inputs)
        )
        self._input_image = Latest(lambda batch: input_image(model, batch))
        self._maps = Latest(
            lambda batch, layer, version: activations.activations(batch, layer, version=version)
        )
        self._outputs = Latest(lambda batch, version: activations.predictions(batch, version=version))
        self._profile = Latest(lambda batch, _version: depth_profile(activations, [batch]))
        self._layers = Latest(lambda _batch, version: activations.layers_at(version))
        self._statistics = Latest(channel_statistics)
        self._order = Latest(channel_order)
        self._layout = Latest(
            lambda shape, order, width: grid_layout(
                shape, order=order, width=width, ncols=ncols, max_rows=max_rows
            )
        )

    def copy(self) -> FramePipeline:
        """Return a pipeline of the same settings with nothing computed yet, for use beside this one."""
        return FramePipeline(self._activations, self.images, *self._settings)

    def check_weights(self) -> bool:
        """Check the model's weights; return whether they have changed since the last check."""
        before, self._version = self._version, self._activations.version()
        return before not in (0, self._version)

    def batch(self, state: ViewState) -> Batch:
        """Return the model's input."""
        return self.prepare(state)[0]

    def prepare(self, state: ViewState) -> tuple[Batch, Scaling]:
        """Return the model's input, and the scaling of the image in it."""
        array = image_array(self._activations.model, self.images[state.image])
        scaling = self._scaling(state.preprocess, array.shape[2])
        preprocess = state.preprocess if callable(state.preprocess) else scaling.name
        return self._batch(array, preprocess, state.fit), scaling

    def maps(self, state: ViewState) -> Array:
        """Return the layer's feature maps `(H, W, C)`, read-only."""
        return self._maps(self.batch(state), state.layer, self._version)

    def outputs(self, state: ViewState) -> Any:
        """Return the model's outputs, without the batch axis."""
        return self._outputs(self.batch(state), self._version)

    def layers(self, state: ViewState) -> tuple[FeatureLayer, ...]:
        """Return the layers that have feature maps; in some models these depend on the image."""
        batch = self.batch(state)
        self._outputs(batch, self._version)  # the pass that the list is taken from
        return self._layers(batch, self._version)

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

    def layout(self, state: ViewState, display: DisplayContext) -> GridLayout:
        """Return the layout of the layer's grid."""
        return self._layout_of(self.maps(state), state.order, display)

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
        batch, scaling = self.prepare(state) if prepared is None else prepared
        maps = self._maps(batch, state.layer, self._version)
        image, data_format = self._input_image(batch)
        return Frame(
            layer=self._activations.layer(state.layer),
            maps=maps,
            statistics=self._statistics(maps),
            channel=state.channel,
            layout=self._layout_of(maps, state.order, display),
            page=state.page,
            norm=state.norm,
            cmap=state.cmap,
            image=state.image,
            bands=self.images[state.image].bands,
            input_image=image,
            data_format=data_format,
            scaling=scaling,
            fit=state.fit,
            opacity=state.opacity,
            outputs=self._outputs(batch, self._version),
            batch=batch,
            profile=self._profile(batch, self._version) if state.profile else None,
            display=display,
        )

    def _layout_of(self, maps: Array, order: str, display: DisplayContext) -> GridLayout:
        width = max(NARROWEST, min(display.width, WIDEST))
        return self._layout(maps.shape, self._order(self._statistics(maps), order), width)
