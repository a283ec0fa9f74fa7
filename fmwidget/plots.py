"""Feature maps as matplotlib figures, from a script or a notebook, without the widget."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel, activation_model
from fmwidget.analysis.depth_profile import depth_profile
from fmwidget.images.loading import single_image, usable_images
from fmwidget.rendering.canvas import stack
from fmwidget.rendering.depth_profile import draw_profile
from fmwidget.rendering.figure import TALLEST, FeatureFigure, drawable_ratio, feature_figure
from fmwidget.rendering.grid_layout import COLUMNS, PAGE_WIDTH, grid_layout
from fmwidget.rendering.normalization import require_norm
from fmwidget.rendering.palette import cmap_for, require_cmap

from .pages import channel_page, grid_page
from .pipeline.frame import DisplayContext, ViewState
from .pipeline.frame_pipeline import FramePipeline
from .pipeline.offer import Offer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from fmwidget.models.batch import ExtraInputs, Preprocess
    from fmwidget.rendering.grid_layout import GridLayout

GAP_BETWEEN_LAYERS = 12  # CSS px
Layer = str | FeatureLayer


def plot_feature_maps(
    model: keras.Model | ActivationModel,
    image: Any,
    layers: Layer | Sequence[Layer] | None = None,
    *,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    norm: str = "standardize",
    cmap: str = "viridis",
    order: str = "index",
    ncols: int = COLUMNS,
    dark: bool = False,
    ratio: int = 2,
) -> FeatureFigure:
    """Draw the feature maps of an image: for each layer a grid of all its channels.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        image: A path, the bytes of a file, a PIL image, an array `(H, W)`, `(H, W, 1)`, `(H, W, 3)` or
            `(H, W, 4)`, or anything that `FeatureMapWidget` takes if it holds one image: a folder, a list, a
            dict from name to image. Arrays of other channels are given to the model as they are.
        layers: A layer path or `FeatureLayer`, as `ActivationModel(model).layers` lists them, or a sequence
            of these; `None` for all layers, without the maps before activations.
        preprocess: The scaling of the image: `"auto"`, one of `preprocessing.SCALINGS`, or a function that
            takes the image, uint8 `(H, W, 3)` or the array `(H, W, C)` of other channels, and returns the
            model's input, a batch of one.
        fit: How an image of other proportions fills the model's input: `"stretch"`, `"crop"` or `"pad"`.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display, as for `FeatureMapWidget`.
        norm: The scale of the colours: `"standardize"` or `"channel"` for each channel on its own,
            `"shared"` or `"symmetric"` for one scale per layer, with a colour bar.
        cmap: Name of a matplotlib colormap. `"symmetric"` uses `"RdBu_r"` unless this is diverging.
        order: `"index"`, or `"mean"`, `"max"` or `"variance"` for the strongest channels first.
        ncols: Channels in a row.
        dark: Whether the background is dark.
        ratio: Pixels per CSS pixel, of which the page is 848 wide: the higher, the more of a large map is
            drawn. It is lowered for pages of very many channels.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.

    Raises:
        TypeError: If `model` is not a Keras model, or `layers` of another type.
        ValueError: If a name is unknown, an argument is out of range, `image` holds several images, or the
            page would be too tall.
        ImageError: If `image` cannot be used.

    Example:
        plot_feature_maps(model, "cat.jpg", "conv2d").savefig("conv2d.pdf")
    """
    require_norm(norm)
    require_cmap(cmap)
    am = activation_model(model)
    name, images = single_image(image, bands)
    pipeline = FramePipeline(am, Offer(images), inputs, ncols, max_rows=None)
    pipeline.check_weights()
    state = ViewState(layer="", image=name, preprocess=preprocess, fit=fit, norm=norm, cmap=cmap, order=order)
    display = DisplayContext(ratio, dark, PAGE_WIDTH)
    chosen = _chosen_layers(am, pipeline.layers(state), layers)
    # A grid's height follows from its layer's shape: a page too tall is refused before any maps are read.
    layouts = [grid_layout(layer.shape, ncols=ncols, max_rows=None) for layer in chosen]
    ratio = _drawable_ratio(layouts, ratio)
    prepared = pipeline.prepare(state)
    frames = (pipeline.frame(replace(state, layer=layer.path), display, prepared) for layer in chosen)
    pages = [grid_page(frame, ratio) for frame in frames]
    return feature_figure(stack(pages, GAP_BETWEEN_LAYERS), cmap=cmap_for(norm, cmap), dark=dark)


def plot_channel(
    model: keras.Model | ActivationModel,
    image: Any,
    layer: Layer,
    channel: int,
    *,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    norm: str = "standardize",
    cmap: str = "viridis",
    dark: bool = False,
    size: int = 480,
    ratio: int = 2,
) -> FeatureFigure:
    """Draw one feature map of an image, with a colour bar in activation units.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        image: The image, as in `plot_feature_maps`.
        layer: A layer path or a `FeatureLayer`.
        channel: Index of the channel, from 0.
        preprocess: The scaling of the image, as in `plot_feature_maps`.
        fit: How an image of other proportions fills the model's input.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display, as for `FeatureMapWidget`.
        norm: The scale of the colours; `"shared"` and `"symmetric"` use that of the whole layer.
        cmap: Name of a matplotlib colormap. `"symmetric"` uses `"RdBu_r"` unless this is diverging.
        dark: Whether the background is dark.
        size: Side in CSS pixels of the square that the map is fitted into, by whole numbers.
        ratio: Pixels per CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.

    Raises:
        TypeError: If `model` is not a Keras model, or `layer` of another type.
        ValueError: If a name is unknown, an argument is out of range, or `image` holds several images.
        ImageError: If `image` cannot be used.
    """
    require_norm(norm)
    require_cmap(cmap)
    am = activation_model(model)
    path = _layer_path(layer, "layer must be a layer path or a FeatureLayer.")
    name, images = single_image(image, bands)
    pipeline = FramePipeline(am, Offer(images), inputs)
    pipeline.check_weights()
    channel = operator.index(channel)
    state = ViewState(
        layer=path, channel=channel, image=name, preprocess=preprocess, fit=fit, norm=norm, cmap=cmap
    )
    frame = pipeline.frame(state, DisplayContext(ratio, dark, PAGE_WIDTH))
    count = frame.layer.channels
    if not 0 <= channel < count:
        raise ValueError(f"Layer {path!r} has the channels 0 to {count - 1}. Received channel={channel}.")
    page = channel_page(frame, size, ratio, title=f"{path} · channel {channel}", tight=True)
    return feature_figure(page, cmap=cmap_for(norm, cmap), dark=dark)


def plot_depth_profile(
    model: keras.Model | ActivationModel,
    images: Any,
    *,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    dark: bool = False,
    width: int = PAGE_WIDTH,
    ratio: int = 2,
) -> FeatureFigure:
    """Draw inactive channels, zeros, mean activation and resolution of every layer, for one or more images.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        images: The images, as for `FeatureMapWidget`: a path, a folder, an array, a dict, a list of these.
            Shares and means are means over them.
        preprocess: The scaling of the images, as in `plot_feature_maps`.
        fit: How images of other proportions fill the model's input.
        inputs: The model's inputs other than the image, by name.
        bands: Indices of the channels to display, as for `FeatureMapWidget`.
        dark: Whether the background is dark.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Pixels per CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF. Its numbers are
        those of `depth_profile`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If a name is unknown, or the model has no feature maps.
        ImageError: If one of the images cannot be used.
    """
    am = activation_model(model)
    loaded = usable_images(images, bands)
    pipeline = FramePipeline(am, Offer(loaded), inputs)
    states = (ViewState(layer="", image=name, preprocess=preprocess, fit=fit) for name in loaded)
    profile = depth_profile(am, map(pipeline.batch, states))
    title = f"{am.model.name} · depth profile"
    return feature_figure(draw_profile(profile, width, ratio, title=title), dark=dark)


def _chosen_layers(
    am: ActivationModel, offered: Sequence[FeatureLayer], layers: Layer | Sequence[Layer] | None
) -> list[FeatureLayer]:
    expected = "layers must be a layer path, a FeatureLayer, or a sequence of these."
    if layers is None:
        chosen = [layer for layer in offered if layer.after is None]
        if not chosen:
            raise ValueError(f"The model {am.model.name!r} has no feature maps: there is nothing to draw.")
        return chosen
    if isinstance(layers, Layer):
        layers = [layers]
    if not isinstance(layers, Iterable):
        raise TypeError(f"{expected} Received {layers!r}.")
    chosen = [am.layer(_layer_path(layer, expected)) for layer in layers]
    if not chosen:
        raise ValueError("layers must name at least one layer, or be None for all. Received none.")
    return chosen


def _layer_path(layer: Layer, expected: str) -> str:
    if not isinstance(layer, Layer):
        raise TypeError(f"{expected} Received {layer!r}.")
    return layer.path if isinstance(layer, FeatureLayer) else layer


def _drawable_ratio(layouts: Sequence[GridLayout], ratio: int) -> int:
    """Return the highest ratio up to `ratio` at which a page of these grids can be drawn."""
    height = sum(layout.height for layout in layouts) + GAP_BETWEEN_LAYERS * (len(layouts) - 1)
    if height > TALLEST:
        channels = sum(len(layout.order) for layout in layouts)
        step = 1 + height // TALLEST
        raise ValueError(
            f"{len(layouts)} layers with {channels} channels would make a page {height} pixels tall; "
            f"matplotlib draws at most {TALLEST}. Pass fewer layers, for example "
            f"layers=[layer.path for layer in ActivationModel(model).layers][::{step}]."
        )
    return drawable_ratio(layouts[0].width, height, ratio)
