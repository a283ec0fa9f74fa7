"""A widget answers while a cell is running, as during training, when it is used most."""

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
    page.wait_for_timeout(500)  # the view's report of its display context is handled on the main thread
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
    assert len(sources) > 2, "each request shows the weights of the moment"
    expect(root.locator(".fmw-status")).to_contain_text("The model is in training")
    assert notebook.is_running(2), "the cell was over before the check"
    expect(notebook.cell(2).locator(".jp-InputPrompt")).not_to_contain_text("*", timeout=60_000)
    expect(root.locator(".fmw-status")).not_to_contain_text("training", timeout=20_000)
    notebook.run_cell(3)
    assert notebook.output(3).inner_text() == "(np.True_, True)"
    notebook.check_no_complaints()


SLOW = """
import time, keras, numpy as np
from fmwidget import FeatureMapWidget, sample_images
class Slow(keras.layers.Layer):
    seconds = 0
    def call(self, x):
        x.numpy()  # nothing that could be compiled
        for _ in range(10 * Slow.seconds):
            time.sleep(0.1)
        return x
    def compute_output_shape(self, shape):
        return shape
layers = keras.Input((60, 60, 3)), Slow(name="slow"), keras.layers.Conv2D(8, 3, name="conv")
model = keras.Sequential(layers)
widget = FeatureMapWidget(model, sample_images())
"""


def test_a_forward_that_is_interrupted_does_no_harm(open_notebook, page):
    request = "Slow.seconds = 60\nwidget.image = 'coffee'"
    check = "Slow.seconds = 0\nkeras.Operation.__call__.__module__, widget.image"
    notebook = open_notebook([SLOW, "widget", request, check])
    for cell in (0, 1):
        notebook.run_cell(cell)
    root = page.locator(".fmwidget")
    grid = root.get_by_label("Feature maps of the layer").locator("img")
    grid.wait_for()
    notebook.start_cell(2)
    page.wait_for_timeout(1500)
    assert notebook.is_running(2)
    notebook.interrupt()
    expect(notebook.cell(2).locator(".jp-InputPrompt")).not_to_contain_text("*", timeout=20_000)
    expect(notebook.output(2).last).to_contain_text("KeyboardInterrupt")
    notebook.run_cell(3)
    assert notebook.output(3).inner_text() == "('keras.src.ops.operation', 'cat')"
    slider = root.locator(".widget-slider", has_text="Channel").get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(grid).to_have_attribute("alt", re.compile("for cat.*Channel 1 is chosen"))
    root.get_by_role("radio", name="coffee").click()
    expect(grid).to_have_attribute("alt", re.compile("for coffee"))
