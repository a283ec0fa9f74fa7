"""From the state to what is looked at: a step is taken again only when what it needs has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import ChannelStatistics, channel_order, channel_statistics
from fmwidget.analysis.depth_profile import DepthProfile, depth_profile
from fmwidget.images.arrays import Bands
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
from fmwidget.rendering.grid_layout import GridLayout, grid_layout

from ._memo import Latest

Array = np.ndarray[Any, Any]

NARROWEST, WIDEST = 360, 1200  # CSS px that the grid follows the notebook's width between


@dataclass(frozen=True)
class DisplayContext:
    """Where a picture is shown.

    Args:
        ratio: Device pixels in a CSS px.
        dark: Whether the background is dark.
        width: CSS px that a picture may be wide there.
    """

    ratio: float
    dark: bool
    width: int


@dataclass(frozen=True)
class ViewState:
    """What the person has chosen: the traits of the widget, under their names."""

    layer: str
    channel: int
    image: str
    preprocess: Preprocess
    fit: str
    norm: str
    cmap: str
    order: str
    opacity: int
    page: int
    profile: bool


@dataclass(frozen=True, eq=False)
class Frame:
    """What is being looked at: all that a panel is given.

    Attributes:
        layer: The layer whose maps are shown.
        maps: Its maps `(H, W, C)`, read-only.
        statistics: What is known of each channel.
        channel: The chosen channel.
        layout: Where the channels' tiles lie.
        page: The page of the layout that is shown.
        norm: How maps become levels.
        cmap: Name of a colormap.
        picture: Name of the picture.
        bands: Indices of the channels to display, of an image that is not grey, RGB or RGBA.
        seen: The picture in the model's input, `(1, H, W, C)`, or `None`.
        data_format: Where `seen` has its channels.
        scaling: How the picture was scaled.
        fit: How it was brought to the model's size.
        opacity: How much of the chosen channel is seen over the picture, 0 to 100.
        outputs: What the model returned for the picture, without the batch axis.
        batch: The model's input.
        profile: The depth profile of the picture, if it is asked for.
        display: Where it is all shown.
    """

    layer: FeatureLayer
    maps: Array
    statistics: ChannelStatistics
    channel: int
    layout: GridLayout
    page: int
    norm: str
    cmap: str
    picture: str
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

    @property
    def sizes(self) -> tuple[int, int]:
        """Height and width of the picture in the model's input; 0 if there is none."""
        return (
            (0, 0) if self.input_image is None else maps_shape(self.input_image.shape, self.data_format)[:2]
        )

    @property
    def ratio(self) -> int:
        """Whole device pixels to a CSS pixel; at most 2, where single pixels are no longer seen."""
        return 2 if self.display.ratio > 1 else 1


class FramePipeline:
    """Works out what is looked at.

    The weights are checked for change only by `check_weights`, once an action: it takes time.

    Args:
        activations: Where maps come from.
        pictures: What can be looked at, by name.
        inputs: What the model takes beside the picture.
        ncols: Tiles in a row of the grid.
    """

    def __init__(
        self,
        activations: ActivationModel,
        pictures: Mapping[str, NamedImage],
        inputs: ExtraInputs | None,
        ncols: int,
    ) -> None:
        self.pictures = pictures
        self._activations = activations
        self._weights = 0  # their version
        model = activations.model
        self._scaling = Latest(lambda preprocess, channels: resolve_scaling(model, preprocess, channels))
        self._batch = Latest(lambda array, how, fit: model_batch(model, array, how, fit, inputs))
        self._seen = Latest(lambda batch: input_image(model, batch))
        self._maps = Latest(
            lambda batch, layer, weights: activations.activations(batch, layer, version=weights)
        )
        self._outputs = Latest(lambda batch, weights: activations.predictions(batch, version=weights))
        self._profile = Latest(lambda batch, _weights: depth_profile(activations, [batch]))
        self._layers = Latest(lambda _batch, weights: activations.layers_at(weights))
        self._statistics = Latest(channel_statistics)
        self._order = Latest(channel_order)
        self._layout = Latest(
            lambda shape, order, width: grid_layout(shape, order=order, width=width, ncols=ncols)
        )

    def check_weights(self) -> bool:
        """Takes note of a change of the model's weights since the last look; says whether there is one."""
        before, self._weights = self._weights, self._activations.version()
        return before not in (0, self._weights)

    def batch(self, state: ViewState) -> Batch:
        """The model's input."""
        array, how = self._array(state), state.preprocess
        how = how if callable(how) else self._scaling(how, array.shape[2]).name
        return self._batch(array, how, state.fit)

    def _array(self, state: ViewState) -> Array:
        return image_array(self._activations.model, self.pictures[state.image])

    def maps(self, state: ViewState) -> Array:
        """The maps `(H, W, C)` of the layer, read-only."""
        return self._maps(self.batch(state), state.layer, self._weights)

    def outputs(self, state: ViewState) -> Any:
        """What the model returns, without the batch axis."""
        return self._outputs(self.batch(state), self._weights)

    def layers(self, state: ViewState) -> tuple[FeatureLayer, ...]:
        """The layers that have maps, which may depend on the picture."""
        return self._layers(self.batch(state), self._weights)

    def order(self, state: ViewState) -> tuple[int, ...]:
        """The layer's channels in the order they are shown."""
        return self._order(self._statistics(self.maps(state)), state.order)

    def layout(self, state: ViewState, display: DisplayContext) -> GridLayout:
        """Where the tiles of the layer's channels lie."""
        width = max(NARROWEST, min(display.width, WIDEST))
        return self._layout(self.maps(state).shape, self.order(state), width)

    def frame(self, state: ViewState, display: DisplayContext) -> Frame:
        """All that the panels are given."""
        maps, batch = self.maps(state), self.batch(state)
        seen, data_format = self._seen(batch)
        return Frame(
            layer=self._activations.layer(state.layer),
            maps=maps,
            statistics=self._statistics(maps),
            channel=state.channel,
            layout=self.layout(state, display),
            page=state.page,
            norm=state.norm,
            cmap=state.cmap,
            picture=state.image,
            bands=self.pictures[state.image].bands,
            input_image=seen,
            data_format=data_format,
            scaling=self._scaling(state.preprocess, self._array(state).shape[2]),
            fit=state.fit,
            opacity=state.opacity,
            outputs=self.outputs(state),
            batch=batch,
            profile=self._profile(batch, self._weights) if state.profile else None,
            display=display,
        )
