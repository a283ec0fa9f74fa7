"""The model's input image as pixels, and a feature map blended over it."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image

from fmwidget.analysis.channel_stats import ChannelStatistics
from fmwidget.images.arrays import Bands
from fmwidget.images.preprocessing import restore

from .feature_grid import map_indices
from .grid_layout import DETAIL_BOX
from .palette import Array


def seen_pixels(seen: Array, scaling: str, data_format: str, ratio: int, bands: Bands | None = None) -> Array:
    """The picture in a model's input, in device pixels of the size it is shown at: RGB, uint8."""
    picture = Image.fromarray(restore(seen, scaling, data_format, bands))
    longest = max(picture.size)
    factor = DETAIL_BOX // longest if longest <= DETAIL_BOX else DETAIL_BOX / longest
    width, height = (max(1, round(side * factor)) * ratio for side in picture.size)
    return _resized(np.asarray(picture), width, height)


def map_pixels(maps: Array, statistics: ChannelStatistics, channel: int, norm: str, colours: Array) -> Array:
    """A channel in its colours, a pixel for each value: RGB, uint8."""
    pixels: Array = colours[map_indices(maps, statistics, channel, norm)]
    return pixels


def overlay_png(picture: Array, over: Array | None, opacity: int) -> bytes:
    """A picture with another over all of it, as a PNG.

    Args:
        picture: RGB, uint8.
        over: RGB, uint8; each of its pixels covers the same share of the picture.
        opacity: How much of `over` is seen, 0 to 100.
    """
    if over is not None:
        height, width, _ = picture.shape
        over = _resized(over, width, height)
        mixed = picture.astype(np.uint16) * (100 - opacity) + over.astype(np.uint16) * opacity
        picture = ((mixed + 50) // 100).astype(np.uint8)
    file = io.BytesIO()
    # Measured on photographs: run lengths alone are a fifth faster than the default, and a tenth smaller.
    Image.fromarray(picture).save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return file.getvalue()


def _resized(pixels: Array, width: int, height: int) -> Array:
    """Pixels repeated, or averaged where there are fewer than before: in each direction for itself."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    for size in ((width, image.height), (width, height)):
        grows = size[0] >= image.width and size[1] >= image.height
        image = image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BOX)
    return np.asarray(image)
