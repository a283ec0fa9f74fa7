"""Damaged image files: each is an image or one error message, soon, and never anything else."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import load_images
from fmwidget.images.source import NamedImage

SECONDS_EACH = 5
MEGABYTES = 1600  # the largest image that is read takes about 1400 to decode


def sound_files():
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((48, 36))
    grey = np.linspace(0, 65535, 48 * 36).reshape(36, 48)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [photo.rotate(angle) for angle in (0, 90, 180)]
    palette = photo.quantize(32)
    several: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    recipes: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (photo, "PNG", {"exif": exif}),
        (palette, "PNG", {"transparency": 3}),
        (Image.fromarray(grey.astype(np.uint16)), "PNG", {}),
        (frames[0], "PNG", several),
        (photo, "JPEG", {"exif": exif}),
        (photo, "JPEG", {"progressive": True}),
        (photo.convert("CMYK"), "JPEG", {}),
        (palette, "GIF", {"transparency": 3}),
        (frames[0], "GIF", several),
        (photo, "WEBP", {"exif": exif}),
        (photo.convert("RGBA"), "WEBP", {"lossless": True}),
        (frames[0], "WEBP", several),
        (photo, "TIFF", {}),
        (photo, "TIFF", {"compression": "tiff_lzw"}),
        (photo, "TIFF", {"compression": "jpeg"}),
        (photo, "TIFF", {"compression": "tiff_deflate", "tiffinfo": {317: 2}}),
        (Image.fromarray((grey / 65535).astype(np.float32)), "TIFF", {}),
        (photo.convert("1"), "TIFF", {"compression": "group4"}),
    ]
    for image, file_format, options in recipes:
        file = io.BytesIO()
        image.save(file, file_format, **options)
        yield file_format, file.getvalue()


def mutated(data, rng):
    """Damage files one to four times: parts go missing, repeat, are blanked or overwritten."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        # Most bytes that decide how a file is read are near its start.
        end = len(data) if rng.random() < 0.5 else min(len(data), 120)
        at, length = int(rng.integers(end or 1)), int(rng.integers(1, 40))
        match rng.integers(6):
            case 0:
                data[at : at + length] = b""
            case 1:
                data = data[:at]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = bytes([rng.choice([0, 255])]) * len(data[at : at + length])
            case 4:
                number = int(rng.choice([0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1]))
                data[at : at + 4] = number.to_bytes(4, rng.choice(["little", "big"]))
            case _:
                data[at : at + 1] = bytes([rng.integers(256)])
    return bytes(data)


def memory(name):
    """Return megabytes of this process: resident now, `VmRSS`, or at its peak, `VmHWM`."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


# Pillow warns of doubtful metadata and reads on.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_damaged_file_is_a_picture_or_a_sentence(count):
    rng = np.random.default_rng(count)
    sound = list(sound_files())
    shown = refused = 0
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of this test alone
        before = memory("VmRSS")
    for number in range(count):
        file_format, data = sound[number % len(sound)]
        data = mutated(data, rng)
        name = f"{number}.{file_format.lower()}"
        began = time.perf_counter()
        pictures, sentences = load_images({name: data})
        assert len(pictures) + len(sentences) == 1
        if pictures:
            shown += 1
            pixels = pictures[name].pixels()
            assert pixels.dtype == np.uint8
            assert pixels.shape[2:] == (3,)
        else:
            refused += 1
            assert repr(name) in sentences[0]
            assert "\n" not in sentences[0]
            with pytest.raises(ImageError):
                NamedImage(data, name).pixels()
        assert time.perf_counter() - began < SECONDS_EACH, name
    # Neither would prove anything if all files were sound, or all beyond recognition.
    assert shown > count / 20
    assert refused > count / 4
    if sys.platform == "linux":
        assert memory("VmHWM") - before < MEGABYTES
