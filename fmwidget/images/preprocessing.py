"""Conversion of an image to a model's input, and of the input back to pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from .arrays import Array, Bands, Pixels, band_pixels, stretch, to_levels

FITS = ("stretch", "crop", "pad")

SCALINGS = {
    "raw": "0…255",
    "unit": "0…1",
    "tf": "−1…1",
    "caffe": "BGR − mean (Caffe)",
    "torch": "(0…1 − mean) / std (PyTorch)",
}
CUSTOM = "custom"  # the scaling of a function of the user's

# ImageNet's mean and standard deviation, as in keras.applications; the first in 0…255 and blue first.
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)

Shape = tuple[int | None, ...]


def prepare(
    pixels: Pixels,
    shape: Shape,
    scaling: str = "unit",
    fit: str = "stretch",
    data_format: str = "channels_last",
) -> Array:
    """Resize and scale an RGB image to a model's input.

    The image is resized with a bilinear filter that is as wide as the pixels it averages (no pixel is
    skipped) and, unlike sharper filters, draws no halo round an edge: a halo is an edge to a convolution.

    Args:
        pixels: The image, uint8 of shape `(H, W, 3)`.
        shape: Shape of the model's input without the batch axis, in the order of `data_format`. A side that
            is `None` keeps the image's own size, or its proportions if the other side is given. One channel
            is the image's grey (ITU-R 601 luma, as in PIL and Keras), three are RGB.
        scaling: One of `SCALINGS`: `"raw"` 0…255, `"unit"` 0…1, `"tf"` −1…1, `"caffe"` and `"torch"` as in
            `keras.applications` (for grey, with the mean over the colors).
        fit: How an image of other proportions fills the input: `"stretch"` ignores them, `"crop"` cuts off
            two sides, `"pad"` adds black bars.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        float32 array of shape `(1, *shape)`, a batch of one.

    Raises:
        ValueError: If a name is unknown, or the model takes another number of channels than 1 or 3.
    """
    _check_name(scaling, SCALINGS, "scaling")
    _check_name(fit, FITS, "fit")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"Expected an image as uint8 of shape (H, W, 3). Received {pixels.dtype} of shape "
            f"{pixels.shape}. Convert it with `to_pixels`."
        )
    height, width, channels = _sizes(shape, data_format)
    if channels not in (1, 3, None):
        raise _wrong_channels("3 (RGB)", channels)
    image = Image.fromarray(pixels)
    if channels == 1:
        image = image.convert("L")
    image = _FIT[fit](image, _free_sides(image.size, width, height))
    values = np.asarray(image, np.float32).reshape(image.height, image.width, channels or 3)
    return _as_batch(_SCALE[scaling](values), data_format)


def prepare_bands(
    array: Array, shape: Shape, fit: str = "stretch", data_format: str = "channels_last"
) -> Array:
    """Resize an array of any channels to a model's input, each channel by itself, without scaling.

    Args:
        array: Real numbers of shape `(H, W, C)`. NaN spreads to the pixels that it contributes to.
        shape: Shape of the model's input without the batch axis, as for `prepare`; its channels may be
            `None`.
        fit: How the array is resized, as for `prepare`, in floating point; `"pad"` adds zeros.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Array of shape `(1, *shape)`, a batch of one: float32 if it was resized, else the numbers of `array`.

    Raises:
        ValueError: If a name is unknown, or the model takes another number of channels.
    """
    _check_name(fit, FITS, "fit")
    height, width, channels = _sizes(shape, data_format)
    if channels not in (array.shape[2], None):
        raise _wrong_channels(array.shape[2], channels)
    size = _free_sides((array.shape[1], array.shape[0]), width, height)
    if size != (array.shape[1], array.shape[0]):
        bands = [Image.fromarray(band) for band in np.moveaxis(array.astype(np.float32), -1, 0)]
        array = np.stack([np.asarray(_FIT[fit](band, size)) for band in bands], axis=-1)
    return _as_batch(array, data_format)


def restore(
    batch: Array, scaling: str, data_format: str = "channels_last", bands: Bands | None = None
) -> Pixels:
    """Undo the scaling of a model's input, to display it.

    Args:
        batch: A batch of one image.
        scaling: Its scaling, one of `SCALINGS`, or `CUSTOM`: then the range of its values is stretched.
        data_format: `"channels_last"` or `"channels_first"`.
        bands: Indices of the channels to display if there are neither one nor three, see `band_pixels`;
            ignored if there is no such channel.

    Returns:
        uint8 array of shape `(H, W, 3)`; values out of range are clipped, NaN is black.

    Raises:
        ValueError: If a name is unknown, or the batch does not hold one image.
    """
    _check_name(scaling, _UNSCALE, "scaling")
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(f"Expected a batch of one image. Received shape {batch.shape}.")
    _sizes(batch.shape[1:], data_format)
    image = (batch[0].transpose(1, 2, 0) if data_format == "channels_first" else batch[0]).astype(np.float32)
    channels = image.shape[2]
    if channels not in (1, 3):
        return band_pixels(image, bands if bands and max(bands) < channels else None)
    levels = to_levels(_UNSCALE[scaling](image))
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _as_batch(values: Array, data_format: str) -> Array:
    values = values.transpose(2, 0, 1) if data_format == "channels_first" else values
    return np.ascontiguousarray(values[np.newaxis])


def _check_name(name: str, names: dict[str, Any] | tuple[str, ...], kind: str) -> None:
    if name not in names:
        raise ValueError(f"Unknown {kind} {name!r}. Pass one of {', '.join(map(repr, names))}.")


def _sizes(shape: Shape, data_format: str) -> Shape:
    """Return height, width and channels of a model's input."""
    _check_name(data_format, ("channels_last", "channels_first"), "data_format")
    if len(shape) != 3:
        raise ValueError(
            f"The model's input has shape {shape}; expected the three axes of an image. Pass `preprocess=`, "
            "a function that returns the model's input."
        )
    return (*shape[1:], shape[0]) if data_format == "channels_first" else shape


def _wrong_channels(received: object, expected: int | None) -> ValueError:
    return ValueError(
        f"The model takes {expected} channels. Received an image with {received}. Pass `preprocess=`, a "
        f"function of the image that returns the model's input, or arrays (H, W, {expected}) as images."
    )


# ------------------------------------------------------------------ size; PIL has the width first


def _free_sides(size: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    if width is None and height is None:
        return size
    if width is None:
        width = _proportional(size[0], height or 1, size[1])
    if height is None:
        height = _proportional(size[1], width, size[0])
    return width, height


def _proportional(side: int, wanted: int, other: int) -> int:
    return max(1, round(side * wanted / other))


def _stretch(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return _resize(image, size, (0, 0, *image.size))


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(image.width / size[0], image.height / size[1])
    width, height = min(size[0] * scale, image.width), min(size[1] * scale, image.height)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return _resize(image, size, (left, top, image.width - left, image.height - top))


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (
        max(1, min(round(side * scale), limit)) for side, limit in zip(image.size, size, strict=True)
    )
    padded = Image.new(image.mode, size)
    resized = _resize(image, (width, height), (0, 0, *image.size))
    padded.paste(resized, ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded


def _resize(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    if size == image.size and not any(box[:2]):
        return image
    return image.resize(size, Image.Resampling.BILINEAR, box)


_FIT: dict[str, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {
    "stretch": _stretch,
    "crop": _crop,
    "pad": _pad,
}


# ------------------------------------------------------------------ scale, in the steps that Keras takes


def _colors_or_mean(colors: Array, image: Array) -> Array:
    """Return a number for each color, or their mean for a grey image (channels last)."""
    return colors if image.shape[-1] == 3 else colors.mean(keepdims=True)


def _caffe(image: Array) -> Array:
    return image[..., ::-1] - _colors_or_mean(_CAFFE_MEAN, image)


def _torch(image: Array) -> Array:
    return (image / 255 - _colors_or_mean(_TORCH_MEAN, image)) / _colors_or_mean(_TORCH_STD, image)


_SCALE: dict[str, Callable[[Array], Array]] = {
    "raw": lambda x: x,
    "unit": lambda x: x / 255,
    "tf": lambda x: x / 127.5 - 1,
    "caffe": _caffe,
    "torch": _torch,
}

_UNSCALE: dict[str, Callable[[Array], Array]] = {
    "raw": lambda x: x,
    "unit": lambda x: x * 255,
    "tf": lambda x: (x + 1) * 127.5,
    "caffe": lambda x: (x + _colors_or_mean(_CAFFE_MEAN, x))[..., ::-1],
    "torch": lambda x: (x * _colors_or_mean(_TORCH_STD, x) + _colors_or_mean(_TORCH_MEAN, x)) * 255,
    CUSTOM: stretch,
}
