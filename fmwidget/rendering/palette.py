"""Pictures in palette indices: what each index means, its colours, and the PNG they are sent as.

A picture is an array of indices into 256 colours: 220 steps of the colormap, 32 greys from the page to its
ink, three marks for values that are not finite, and the fill of an inactive map. Another colormap or theme is
another palette for the same indices.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from fmwidget._errors import did_you_mean

from .normalization import MARK_NAN, MARK_NEGINF, MARK_POSINF

Array = np.ndarray[Any, Any]

STEPS = 220
PAPER = STEPS  # the first grey
GREYS = 32
NAN, POSINF, NEGINF, INACTIVE = range(STEPS + GREYS, 256)

# Level 0 is index 0 and level 255 is index 219. An index is read back as level `index * 255 / 219`, within 1.
INDEX_OF_LEVEL = ((np.arange(256) * (STEPS - 1) + 127) // 255).astype(np.uint8)
INDEX_OF_MARK = np.zeros(4, np.uint8)
INDEX_OF_MARK[[MARK_NAN, MARK_POSINF, MARK_NEGINF]] = NAN, POSINF, NEGINF

PAPER_AND_INK = {False: ((255, 255, 255), (27, 31, 36)), True: ((17, 17, 17), (236, 238, 240))}
FILL_OF_INACTIVE = {False: (232, 234, 237), True: (44, 47, 51)}
# Loudest first: NaN gets the first of those chosen.
MARK_COLOURS = ((255, 0, 255), (57, 255, 20), (255, 230, 0), (85, 255, 255), (0, 0, 255))

RGB_TO_XYZ = [
    [0.4339, 0.3762, 0.1899],
    [0.2126, 0.7152, 0.0722],
    [0.0177, 0.1095, 0.8728],
]  # white is 1, 1, 1
# Linear RGB as seen with all cones, without red and without green ones (Machado, Oliveira, Fernandes 2009).
COLOUR_VISION = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1.0]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    ]
)

DIVERGING = {
    *("PiYG", "PRGn", "BrBG", "PuOr", "RdGy", "RdBu", "RdYlBu", "RdYlGn", "Spectral", "coolwarm", "bwr"),
    *("seismic", "berlin", "managua", "vanimo"),
}
SYMMETRIC_CMAP = "RdBu_r"


def require_cmap(cmap: str) -> None:
    """Raises a `ValueError` if matplotlib has no colormap of that name."""
    if cmap not in mpl.colormaps:
        hint = did_you_mean(cmap, mpl.colormaps, "For example 'viridis' or 'gray'.")
        raise ValueError(f"Unknown colormap {cmap!r}: matplotlib has none of that name. {hint}")


def cmap_for(norm: str, cmap: str) -> str:
    """The colormap a norm is drawn in: `"symmetric"` needs a diverging one, `RdBu_r` unless `cmap` is one."""
    return cmap if norm != "symmetric" or cmap.removesuffix("_r") in DIVERGING else SYMMETRIC_CMAP


@lru_cache(maxsize=64)
def palette(cmap: str = "viridis", *, dark: bool = False) -> Array:
    """The colours of all indices, `(256, 3)` uint8.

    The three marks are chosen from a few loud colours so that they stand apart from the colormap and each
    other, to colour-blind people too.

    Args:
        cmap: Name of a matplotlib colormap.
        dark: Whether the page is dark.

    Raises:
        ValueError: If matplotlib has no colormap of that name.
    """
    require_cmap(cmap)
    steps = mpl.colormaps[cmap](np.linspace(0, 1, STEPS), bytes=True)[:, :3]
    paper, ink = np.asarray(PAPER_AND_INK[dark], float)
    greys = np.rint(paper + (ink - paper) * np.linspace(0, 1, GREYS)[:, np.newaxis])
    colours = np.vstack([steps, greys, _marks(steps), FILL_OF_INACTIVE[dark]]).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def _marks(steps: Array) -> Array:
    """The three colours that are hardest to mistake for one of `steps` or each other, to anybody."""
    marks, others = appearances(np.array(MARK_COLOURS)), appearances(steps)
    clear = np.linalg.norm(marks[:, :, np.newaxis] - others[:, np.newaxis], axis=-1).min(axis=(0, 2))
    apart = np.linalg.norm(marks[:, :, np.newaxis] - marks[:, np.newaxis], axis=-1).min(axis=0)

    def smallest_difference(trio: tuple[int, ...]) -> float:
        return min(*clear[list(trio)], *(apart[pair] for pair in combinations(trio, 2)))

    best = max(combinations(range(len(MARK_COLOURS)), 3), key=smallest_difference)
    return np.array(MARK_COLOURS)[list(best)]


def appearances(colours: Array) -> Array:
    """Colours `(n, 3)` as people with and without colour blindness see them, `(3, n, 3)` in CIE Lab."""
    linear = np.where(colours <= 10, colours / 3294.6, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ COLOUR_VISION.swapaxes(1, 2), 0, 1)
    x, y, z = np.moveaxis(np.cbrt(seen @ np.transpose(RGB_TO_XYZ) + 1e-4), -1, 0)
    return np.stack([116 * y, 500 * (x - y), 200 * (y - z)], axis=-1)


def encode_png(indices: Array, colours: Array, ratio: int = 1) -> bytes:
    """Writes a picture as an indexed PNG.

    Args:
        indices: Palette indices, `(h, w)` uint8.
        colours: What `palette` returned.
        ratio: Device pixels to a CSS pixel, stored as the picture's resolution.
    """
    picture = Image.fromarray(indices)
    picture.putpalette(colours.tobytes())
    file = io.BytesIO()
    # Measured: run lengths alone are a little faster, but twice the bytes where each value is several pixels.
    picture.save(file, "PNG", compress_level=1, dpi=(96 * ratio, 96 * ratio))
    return file.getvalue()
