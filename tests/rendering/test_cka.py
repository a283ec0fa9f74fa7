"""The page of a linear CKA: colors of its cells, axes that name both models, words."""

from __future__ import annotations

import numpy as np
import pytest

from fmwidget.analysis.cka import CKA
from fmwidget.rendering.charts.cka import cka_in_words, cka_map, draw_cka
from fmwidget.rendering.charts.heat_map import heat_map_layout
from fmwidget.rendering.palette import NAN, STEPS


def similarity_of(values, name_a="small", name_b="wide", images=100):
    values = np.asarray(values, float)
    rows, columns = values.shape
    paths_a, paths_b = (
        tuple(f"{name}/{k}" for k in range(count)) for name, count in (("conv", rows), ("conv2d", columns))
    )
    return CKA(values, paths_a, paths_b, name_a, name_b, images)


@pytest.mark.parametrize("ratio", [1, 2])
def test_rows_are_the_layers_of_a_and_colors_go_from_0_to_1(ratio):
    similarity = similarity_of([[0.25, 0.5, 0.3], [0.4, np.nan, 0.75]])
    page = draw_cka(similarity, ratio=ratio)
    layout = heat_map_layout(cka_map(similarity), titled=True)
    for (row, column), value in np.ndenumerate(similarity.values):
        x, y, width, height = layout.box(row, column)
        index = page.indices[ratio * (y + height // 2), ratio * (x + width // 2)]
        assert index == (NAN if np.isnan(value) else np.rint(value * (STEPS - 1)))


@pytest.mark.parametrize("width", [320, 848])
def test_each_axis_names_its_model_and_its_layers(width):
    similarity = similarity_of(np.ones((2, 3)))
    page = draw_cka(similarity, width)
    box = heat_map_layout(cka_map(similarity), width, titled=True).plot
    placed = {text.text: text for text in page.texts}
    assert placed["layers of small"].y < box.y < box.y + box.height < placed["layers of wide"].y
    assert placed["conv/1"].x <= box.x < placed["conv2d/2"].x
    assert placed["small and wide · linear CKA"].y < placed["100 images"].y < box.y


def test_a_long_name_leaves_room_for_the_cells():
    name = "a_model_with_a_name_of_more_than_forty_letters.keras"
    similarity = similarity_of(np.ones((40, 60)), name, name)
    box = heat_map_layout(cka_map(similarity), titled=True).plot
    assert box.width > 500
    written = [text.text for text in draw_cka(similarity).texts]
    assert f"layers of {name}" in written  # of the columns
    assert any(text.startswith(f"layers of {name[:10]}") and text.endswith("…") for text in written)


def test_words_say_that_few_images_are_few():
    values = [[0.1234, np.nan]]
    assert cka_in_words(similarity_of(values, images=50)) == "50 images"
    assert cka_in_words(similarity_of(values, images=49)).startswith("49 images, which are few: ")
    assert cka_in_words(similarity_of(values, images=1)).startswith("1 image: ")
