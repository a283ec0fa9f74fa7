"""Page of a linear CKA: a heat map of the layers of one model by those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmwidget.rendering.canvas import Page
from fmwidget.rendering.grid_layout import PAGE_WIDTH

from .heat_map import HeatMap, draw_heat_map

if TYPE_CHECKING:
    from fmwidget.analysis.cka import CKA

FEW = 50  # images, with which layers that have nothing in common seem alike
LONGEST_NAME = 24  # of a model beside the rows, where each letter takes room from the cells


def cka_map(similarity: CKA) -> HeatMap:
    """Return a CKA as a heat map from 0 to 1, with a row for each layer of A and a column for each of B.

    Args:
        similarity: The CKA.
    """
    return HeatMap(
        similarity.values,
        similarity.paths_a,
        similarity.paths_b,
        f"layers of {_shortened(similarity.name_a)}",
        f"layers of {similarity.name_b}",
        "linear CKA",
        (0.0, 1.0),
    )


def draw_cka(similarity: CKA, width: int = PAGE_WIDTH, ratio: int = 1) -> Page:
    """Draw a CKA as a heat map with a title.

    Args:
        similarity: The CKA.
        width: Width of the page in CSS pixels, at least 200.
        ratio: Device pixels per CSS pixel.
    """
    title = f"{similarity.name_a} and {similarity.name_b} · linear CKA"
    return draw_heat_map(cka_map(similarity), width, ratio, title=title, facts=cka_in_words(similarity))


def cka_in_words(similarity: CKA) -> str:
    """Describe a CKA: how many images it is of, and whether these are few."""
    count = similarity.images
    if count == 1:
        return "1 image: CKA compares how layers tell images apart, and takes two or more"
    return f"{count} images" + (
        ", which are few: layers seem more alike than they are" if count < FEW else ""
    )


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
