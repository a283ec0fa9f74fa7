"""From a picture to a model's input, and back to what the model sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

FITS = ("stretch", "crop", "pad")

SCALINGS = {
    "raw": "0…255",
    "unit": "0…1",
    "tf": "−1…1",
    "caffe": "BGR − mean (Caffe)",
    "torch": "(0…1 − mean) / std (PyTorch)",
}

# ImageNet's mean and spread, as keras.applications has them; the first in 0…255 and blue first.
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)


def prepare(
    pixels: np.ndarray,
    shape: tuple[int | None, ...],
    scaling: str = "unit",
    fit: str = "stretch",
    data_format: str = "channels_last",
) -> np.ndarray:
    """Makes a picture a model's input.

    The picture is resized with a bilinear filter that is as wide as the pixels it sums up (no pixel is
    skipped) and, unlike sharper filters, draws no halo round an edge: a halo is an edge to a convolution.

    Args:
        pixels: The picture, uint8 of shape `(H, W, 3)`.
        shape: The model's input without the batch axis, as `data_format` orders it. A side that is `None`
            keeps the picture's own size, or its proportions if the other side is given. One channel is the
            picture's grey (ITU-R 601 luma, as everywhere in PIL and Keras), three are RGB.
        scaling: One of `SCALINGS`: `"raw"` 0…255, `"unit"` 0…1, `"tf"` −1…1, `"caffe"` and `"torch"` as
            `keras.applications` has them (grey gets the mean over the colours).
        fit: How a picture of other proportions fills the input: `"stretch"` ignores them, `"crop"` cuts off
            what sticks out on two sides, `"pad"` adds black bars.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        float32 array of shape `(1, *shape)`, a batch of one.

    Raises:
        ValueError: Unknown names, or a shape that is not a picture's.
    """
    _check_name(scaling, SCALINGS, "scaling")
    _check_name(fit, FITS, "fit")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"Expected a picture as uint8 of shape (H, W, 3), received {pixels.dtype} of shape "
            f"{pixels.shape}. Pass it through `to_pixels` first."
        )
    height, width, channels = _sizes(shape, data_format)
    image = Image.fromarray(pixels)
    if channels == 1:
        image = image.convert("L")
    image = _FIT[fit](image, _free_sides(image.size, width, height))
    batch = np.asarray(image, np.float32).reshape(1, image.height, image.width, channels)
    batch = _SCALE[scaling](batch)
    if data_format == "channels_first":
        batch = batch.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch)


def restore(batch: np.ndarray, scaling: str, data_format: str = "channels_last") -> np.ndarray:
    """Undoes the scaling of a model's input, to show what the model sees.

    Args:
        batch: A batch of one picture, with one or three channels.
        scaling: How it was scaled, one of `SCALINGS`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        uint8 array of shape `(H, W, 3)`; values out of range are clipped, NaN is black.

    Raises:
        ValueError: An unknown name, or a shape that is not a picture's.
    """
    _check_name(scaling, SCALINGS, "scaling")
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(f"Expected a batch of one picture, received shape {batch.shape}.")
    _sizes(batch.shape[1:], data_format)
    picture = batch[0].transpose(1, 2, 0) if data_format == "channels_first" else batch[0]
    levels = _UNSCALE[scaling](picture.astype(np.float32))
    levels = np.clip(np.rint(np.nan_to_num(levels, nan=0, posinf=255, neginf=0)), 0, 255).astype(np.uint8)
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)))


def _check_name(name: str, names: dict[str, str] | tuple[str, ...], what: str) -> None:
    if name not in names:
        raise ValueError(f"Unknown {what} {name!r}. Pass one of {', '.join(map(repr, names))}.")


def _sizes(shape: tuple[int | None, ...], data_format: str) -> tuple[int | None, int | None, int]:
    """Height, width and channels of a model's input."""
    _check_name(data_format, ("channels_last", "channels_first"), "data_format")
    if len(shape) != 3:
        raise ValueError(
            f"The model's input has shape {shape}; expected the three axes of a picture. Pass `preprocess=`, "
            "a function that returns the model's input."
        )
    channels, height, width = shape if data_format == "channels_first" else (shape[2], *shape[:2])
    if channels not in (1, 3, None):
        raise ValueError(
            f"The model takes {channels} channels; a picture has 1 (grey) or 3 (RGB). Pass `preprocess=`, a "
            "function that returns the model's input."
        )
    return height, width, channels or 3


# ------------------------------------------------------------------ size; PIL puts the width first


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
    picture = _resize(image, (width, height), (0, 0, *image.size))
    padded.paste(picture, ((size[0] - width) // 2, (size[1] - height) // 2))
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


def _grey_or(colours: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """A number for each colour, or their mean for a picture (channels last) without any."""
    return colours if batch.shape[-1] == 3 else colours.mean(keepdims=True)


def _caffe(batch: np.ndarray) -> np.ndarray:
    return batch[..., ::-1] - _grey_or(_CAFFE_MEAN, batch)


def _torch(batch: np.ndarray) -> np.ndarray:
    return (batch / 255 - _grey_or(_TORCH_MEAN, batch)) / _grey_or(_TORCH_STD, batch)


_SCALE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": lambda x: x,
    "unit": lambda x: x / 255,
    "tf": lambda x: x / 127.5 - 1,
    "caffe": _caffe,
    "torch": _torch,
}

_UNSCALE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": lambda x: x,
    "unit": lambda x: x * 255,
    "tf": lambda x: (x + 1) * 127.5,
    "caffe": lambda x: (x + _grey_or(_CAFFE_MEAN, x))[..., ::-1],
    "torch": lambda x: (x * _grey_or(_TORCH_STD, x) + _grey_or(_TORCH_MEAN, x)) * 255,
}
