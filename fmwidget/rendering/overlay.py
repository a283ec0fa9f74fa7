"""Pixels of the model's input image, and a feature map blended over it."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image

from fmwidget.analysis.channel_stats import Array, ChannelScale, ChannelStatistics
from fmwidget.images.arrays import Bands
from fmwidget.images.preprocessing import restore

from .feature_grid import map_indices
from .grid_layout import DETAIL_BOX
from .sampling import resize


def image_pixels(
    batch: Array, scaling: str, data_format: str, ratio: int, bands: Bands | None = None
) -> Array:
    """Return the image in a model's input as RGB, uint8, in the device pixels that it takes on screen.

    Args:
        batch: The model's input, a batch of one image.
        scaling: Its scaling, one of `SCALINGS`; `"custom"` is stretched to the full range.
        data_format: `"channels_last"` or `"channels_first"`.
        ratio: Device pixels per CSS pixel.
        bands: Indices of the channels to display, of an image that is not grey, RGB or RGBA.
    """
    image = restore(batch, scaling, data_format, bands)
    longest = max(image.shape[:2])
    factor = DETAIL_BOX // longest if longest <= DETAIL_BOX else DETAIL_BOX / longest
    height, width = (max(1, round(side * factor)) * ratio for side in image.shape[:2])
    return resize(image, width, height)


def map_pixels(
    maps: Array,
    statistics: ChannelStatistics,
    channel: int,
    norm: str,
    colours: Array,
    *,
    scale: ChannelScale | None = None,
) -> Array:
    """Return a channel in its colours, one pixel per value: RGB, uint8."""
    pixels: Array = colours[map_indices(maps, statistics, channel, norm, scale)]
    return pixels


def overlay_png(image: Array, overlay: Array | None, opacity: int) -> bytes:
    """Encode an image with another one blended over all of it as a PNG.

    Args:
        image: RGB, uint8.
        overlay: RGB, uint8, stretched to the size of `image`; `None` for the image alone.
        opacity: Opacity of `overlay`, 0 to 100.
    """
    if overlay is not None:
        height, width, _ = image.shape
        overlay = resize(overlay, width, height)
        mixed = image.astype(np.uint16) * (100 - opacity) + overlay.astype(np.uint16) * opacity
        image = ((mixed + 50) // 100).astype(np.uint8)
    file = io.BytesIO()
    # Measured on photographs: run lengths alone are a fifth faster than the default, and a tenth smaller.
    Image.fromarray(image).save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return file.getvalue()
