"""A widget answers while a cell is running: a model that is being trained is what people look at most."""

from __future__ import annotations

import re

from playwright.sync_api import expect

TRAIN = """
import numpy as np, keras
from fmwidget import FeatureMapWidget, sample_images
keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.Input((60, 60, 3)),
    keras.layers.Conv2D(16, 3, activation="relu", activity_regularizer="l2", name="conv"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(2, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
x, y = np.random.default_rng(0).random((256, 60, 60, 3), dtype="float32"), np.arange(256) % 2
model.fit(x, y, verbose=0)  # compiled here: from now on every step changes the weights
widget = FeatureMapWidget(model, sample_images())
"""
FIT = """
import time
started = time.time()
while time.time() - started < 12:
    model.fit(x, y, epochs=1, verbose=0)
done = True
"""


def test_the_slider_moves_the_picture_while_fit_runs(open_notebook, page):
    notebook = open_notebook([TRAIN, "widget", FIT, "np.isfinite(model.get_weights()[0]).all(), done"])
    for cell in (0, 1):
        notebook.run_cell(cell)
    root = page.locator(".fmwidget")
    grid = root.get_by_label("Feature maps of the layer").locator("img")
    grid.wait_for()
    page.wait_for_timeout(500)  # what the view reports of its surroundings is answered on the main thread
    notebook.start_cell(2)
    slider = root.locator(".widget-slider", has_text="Channel").get_by_role("slider")
    slider.focus()
    sources = {grid.get_attribute("src")}
    for channel in range(1, 6):
        page.keyboard.press("ArrowRight")
        expect(grid).to_have_attribute("alt", re.compile(f"Channel {channel} is chosen"), timeout=4000)
        sources.add(grid.get_attribute("src"))
        page.wait_for_timeout(500)  # some steps of training
    assert notebook.is_running(2), "the cell was over before the last key"
    assert len(sources) > 2, "each look shows the weights of the moment"
    expect(notebook.cell(2).locator(".jp-InputPrompt")).not_to_contain_text("*", timeout=60_000)
    notebook.run_cell(3)
    assert notebook.output(3).inner_text() == "(np.True_, True)"
    notebook.check_no_complaints()
