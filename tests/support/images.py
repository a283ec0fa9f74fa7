"""A test image, and its encoded files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
PHOTO = np.asarray(Image.fromarray(RNG.integers(0, 256, (5, 7, 3), np.uint8)).resize((70, 50)))


def encoded(image, file_format="PNG", **options):
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, file_format, **options)
    return file.getvalue()
