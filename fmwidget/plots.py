"""Feature maps as figures, from a plain script or a notebook, without the widget."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from fmwidget.activations.layers import FeatureLayer
from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.channel_stats import channel_order, channel_statistics
from fmwidget.analysis.depth_profile import depth_profile
from fmwidget.images.arrays import ImageError, check_bands
from fmwidget.images.loading import load_images
from fmwidget.images.source import to_image
from fmwidget.models.batch import image_array, model_batch
from fmwidget.rendering.canvas import stack
from fmwidget.rendering.depth_profile import draw_profile
from fmwidget.rendering.feature_grid import draw_channel, draw_grid
from fmwidget.rendering.figure import TALLEST, FeatureFigure, drawable_ratio, feature_figure
from fmwidget.rendering.grid_layout import PAGE_WIDTH, grid_layout
from fmwidget.rendering.normalization import require_norm
from fmwidget.rendering.palette import cmap_for, require_cmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from fmwidget.models.batch import ExtraInputs, Preprocess
    from fmwidget.rendering.grid_layout import GridLayout

GAP_BETWEEN_LAYERS = 12
Layers = str | FeatureLayer


def plot_feature_maps(
    model: keras.Model | ActivationModel,
    image: Any,
    layers: Layers | Sequence[Layers] | None = None,
    *,
    preprocess: Preprocess = "auto",
    fit: str = "stretch",
    inputs: ExtraInputs | None = None,
    bands: Sequence[int] | None = None,
    norm: str = "standardize",
    cmap: str = "viridis",
    order: str = "index",
    ncols: int = 16,
    dark: bool = False,
    ratio: int = 2,
) -> FeatureFigure:
    """Draws all feature maps of some layers for a picture: a grid of every channel for each layer.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        image: The picture: a path, the bytes of a file, a PIL image, or an array `(H, W)`, `(H, W, 1)`,
            `(H, W, 3)` or `(H, W, 4)`; of other channels it is given to the model as it is.
        layers: Path of a layer, as `ActivationModel(model).layers` lists them, or several paths; `None` for
            all layers, those before an activation aside.
        preprocess: How the picture is scaled: `"auto"`, one of `preprocessing.SCALINGS`, or a function that
            is given the picture, uint8 `(H, W, 3)` or the array `(H, W, C)` of other channels, and returns
            the model's input, a batch of one.
        fit: How the picture fills an input of other proportions: `"stretch"`, `"crop"` or `"pad"`.
        inputs: What the model takes beside the picture, by the inputs' names.
        bands: Indices of the channels to display, as for `FeatureMapWidget`: they are one or three, and the
            last axis of an array of unusual shape is then known to hold the channels.
        norm: How maps become colours: `"standardize"` and `"channel"` for each channel by itself, `"shared"`
            and `"symmetric"` with one scale, and a colour bar, for each layer.
        cmap: Name of a matplotlib colormap. `"symmetric"` is drawn in `"RdBu_r"` unless this is diverging.
        order: `"index"`, or `"mean"`, `"max"` or `"variance"` for the strongest channels first.
        ncols: Channels in a row.
        dark: Whether the page is dark.
        ratio: Pixels to a CSS pixel, of which the page is 848 wide: the higher, the more of a large map is
            drawn. It is lowered for pages of very many channels.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.

    Raises:
        ValueError: If a name is unknown, an argument is out of range, or the page would be too tall.
        PictureError: If `image` cannot be used.

    Example:
        plot_feature_maps(model, "cat.jpg", "conv2d").savefig("conv2d.pdf")
    """
    require_norm(norm)
    require_cmap(cmap)
    am = model if isinstance(model, ActivationModel) else ActivationModel(model)
    array = image_array(am.model, to_image(image, "image", check_bands(bands)))
    batch = model_batch(am.model, array, preprocess, fit, inputs)
    am.predictions(
        batch
    )  # one pass: from here on the layers are known, and their maps for this picture there
    chosen = _choose(am, layers)
    layouts = [grid_layout(layer.shape, ncols=ncols, max_rows=None) for layer in chosen]
    ratio = _drawable_ratio(layouts, ratio)
    pages = []
    for layer in chosen:
        maps = am.activations(batch, layer.path)
        statistics = channel_statistics(maps)
        layout = grid_layout(maps.shape, ncols=ncols, max_rows=None, order=channel_order(statistics, order))
        pages.append(
            draw_grid(
                layout, maps, statistics, path=layer.path, type_name=layer.type_name, norm=norm, ratio=ratio
            )
        )
    return feature_figure(stack(pages, GAP_BETWEEN_LAYERS), cmap=cmap_for(norm, cmap), dark=dark)


def plot_channel(
    model: keras.Model | ActivationModel,
    image: Any,
    layer: Layers,
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
    """Draws one feature map of a layer for a picture, with a colour bar in activation units.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        image: The picture, as for `plot_feature_maps`.
        layer: Path of the layer.
        channel: Index of the channel, from 0.
        preprocess: How the picture is scaled, as for `plot_feature_maps`.
        fit: How the picture fills an input of other proportions.
        inputs: What the model takes beside the picture, by the inputs' names.
        bands: Indices of the channels to display, as for `FeatureMapWidget`: they are one or three, and the
            last axis of an array of unusual shape is then known to hold the channels.
        norm: How the map becomes colours; `"shared"` and `"symmetric"` use the scale of the whole layer.
        cmap: Name of a matplotlib colormap. `"symmetric"` is drawn in `"RdBu_r"` unless this is diverging.
        dark: Whether the page is dark.
        size: Side in CSS pixels of the square the map is fitted into, by whole numbers.
        ratio: Pixels to a CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF.

    Raises:
        ValueError: If a name is unknown or an argument is out of range.
        PictureError: If `image` cannot be used.
    """
    require_norm(norm)
    require_cmap(cmap)
    am = model if isinstance(model, ActivationModel) else ActivationModel(model)
    array = image_array(am.model, to_image(image, "image", check_bands(bands)))
    batch = model_batch(am.model, array, preprocess, fit, inputs)
    path = _path(layer)
    maps = am.activations(batch, path)
    count = maps.shape[-1]
    channel = operator.index(channel)
    if not 0 <= channel < count:
        raise ValueError(f"Layer {path!r} has the channels 0 to {count - 1}. Received channel={channel}.")
    drawing = draw_channel(
        maps,
        channel,
        channel_statistics(maps),
        title=f"{path} · channel {channel}",
        norm=norm,
        box=size,
        tight=True,
        ratio=ratio,
    )
    return feature_figure(drawing, cmap=cmap_for(norm, cmap), dark=dark)


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
    """Draws what becomes of pictures from layer to layer: inactive channels, zeros, mean, resolution.

    Args:
        model: A Keras model, or an `ActivationModel`, which keeps what it has computed.
        images: The pictures, as for `FeatureMapWidget`: a path, a folder, an array, a dict, a list of these.
            Shares and means are means over them.
        preprocess: How the pictures are scaled, as for `plot_feature_maps`.
        fit: How they fill an input of other proportions.
        inputs: What the model takes beside the picture, by the inputs' names.
        bands: Indices of the channels to display, as for `FeatureMapWidget`: they are one or three, and the
            last axis of an array of unusual shape is then known to hold the channels.
        dark: Whether the page is dark.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Pixels to a CSS pixel.

    Returns:
        A matplotlib figure that shows itself in a notebook, and saves to PNG, SVG and PDF. The numbers behind
        it are those of `depth_profile`.

    Raises:
        ValueError: If a picture cannot be used, a name is unknown, or the model has no feature maps.
    """
    am = model if isinstance(model, ActivationModel) else ActivationModel(model)
    pictures, problems = load_images(images, bands)
    if problems or not pictures:
        raise ImageError(" ".join(problems or ["There is no picture to look at."]))
    batches = (
        model_batch(am.model, image_array(am.model, picture), preprocess, fit, inputs)
        for picture in pictures.values()
    )
    profile = depth_profile(am, batches)
    title = f"{am.model.name} · depth profile"
    return feature_figure(draw_profile(profile, width, ratio, title=title), dark=dark)


def _choose(am: ActivationModel, layers: Layers | Sequence[Layers] | None) -> list[FeatureLayer]:
    offered = {layer.path: layer for layer in am.layers}
    if layers is None:
        return [layer for layer in offered.values() if layer.after is None]
    if isinstance(layers, Layers):
        layers = [layers]
    chosen = [am.layer(_path(layer)) for layer in layers]
    if not chosen:
        raise ValueError("layers names no layer. Pass at least one path, or None for all layers.")
    return chosen


def _path(layer: Layers) -> str:
    return layer.path if isinstance(layer, FeatureLayer) else layer


def _drawable_ratio(layouts: Sequence[GridLayout], ratio: int) -> int:
    """The highest ratio up to the one asked for at which a page of these grids can be drawn."""
    height = sum(layout.height for layout in layouts) + GAP_BETWEEN_LAYERS * (len(layouts) - 1)
    if height > TALLEST:
        channels = sum(len(layout.order) for layout in layouts)
        every = 1 + height // TALLEST
        raise ValueError(
            f"{len(layouts)} layers with {channels} channels would make a page {height} pixels tall; "
            f"matplotlib draws at most {TALLEST}. Pass fewer layers, for example "
            f"layers=[layer.path for layer in ActivationModel(model).layers][::{every}]."
        )
    return drawable_ratio(layouts[0].width, height, ratio)
