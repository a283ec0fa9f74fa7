"""Lines of text, set as matplotlib sets them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg

from fmwidget.rendering.text import font, rasterize


def by_matplotlib(text: str, size: float, *, bold: bool) -> np.ndarray:
    renderer = RendererAgg(1200, 60, 72)
    renderer.draw_text(renderer.new_gc(), 0, 40, text, font(size, bold=bold), 0)
    coverage = np.asarray(renderer.buffer_rgba())[:, :, 3]
    return coverage[:, : np.flatnonzero(coverage.any(axis=0))[-1] + 1]


LINES = (
    "min −0.01371 · max 1.257 · each value is 4×4 pixels",
    "block_12_expand_relu6 [2]",
    "1.5e−5  −3.25  1111.111 7.4",
    "127",
    "7 of 1280 channels inactive",
)


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("size", [10, 12, 15, 24])
@pytest.mark.parametrize("text", LINES)
def test_a_line_cut_at_its_digits_is_as_long_and_as_dark_as_in_one_piece(text, size, bold):
    mask, expected = rasterize(text, size, bold=bold), by_matplotlib(text, size, bold=bold)
    assert abs(mask.coverage.shape[1] - expected.shape[1]) <= 1
    assert mask.coverage.sum() == pytest.approx(expected.sum(), rel=0.06)


@pytest.mark.parametrize("text", ["שלום 12 עולם", "مرحبا 12", "합성곱 2층"])
def test_other_scripts_are_set_in_one_piece(text):
    expected = by_matplotlib(text, 12, bold=False)
    assert rasterize(text, 12).coverage.shape[1] == expected.shape[1]
