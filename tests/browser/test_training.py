"""Steps of training and comparisons in a real JupyterLab, by the mouse and the keys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_accessibility import violations

BUILD = """
import keras, numpy as np
from fmwidget import FeatureMapWidget, WeightSnapshots, sample_images
keras.utils.set_random_seed(1)
layers = keras.layers
model = keras.Sequential([
    keras.Input((32, 32, 3)), layers.Rescaling(1 / 255, name="scale"),
    layers.Conv2D(16, 3, activation="relu", name="first"), layers.MaxPooling2D(name="pool"),
    layers.Conv2D(24, 3, activation="relu", name="second"), layers.GlobalAveragePooling2D(name="mean"),
    layers.Dense(2, activation="softmax", name="head"),
])
model.compile(keras.optimizers.Adam(0.004), "sparse_categorical_crossentropy", metrics=["accuracy"])
rng = np.random.default_rng(0)
y = rng.integers(0, 2, 256)
x = rng.uniform(0, 255, (256, 32, 32, 3)).astype("float32")
x[y == 1, 8:24, 8:24, 0] += 120
run = WeightSnapshots()
widget = FeatureMapWidget(model, sample_images(), snapshots=run, layer="first", class_names=["plain", "red"])
widget
"""
FIT = "model.fit(x, y, validation_split=0.25, epochs=12, verbose=0, callbacks=[run]);"


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_watch_scrub_and_compare(open_notebook, page, scheme):
    page.emulate_media(color_scheme=scheme)
    notebook = open_notebook([BUILD, FIT])
    notebook.run_cell(0)
    root = page.locator(".fmwidget").first
    root.get_by_label("Feature maps of the layer").locator("img").wait_for()
    expect(root.get_by_text("Compare with")).to_be_hidden()
    notebook.run_cell(1)
    status = root.locator(".fmw-weights")
    expect(status).to_contain_text("epoch 12")  # it has followed the newest
    expect(root.get_by_text("epoch 12 (13 of 13)")).to_be_visible()

    # The curves lead to a step, and the keys over the maps to its neighbours.
    curves = root.get_by_label(re.compile("^Training curves"))
    box = curves.bounding_box()
    assert box is not None
    curves.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(status).not_to_contain_text("epoch 12")
    middle = status.inner_text()
    grid = root.get_by_label("Feature maps of the layer")
    grid.click(position={"x": 40, "y": 80})
    grid.press(".")
    expect(status).not_to_have_text(middle)
    grid.press(",")
    expect(status).to_have_text(middle)
    notebook.screenshot(f"training_{scheme}")

    root.get_by_role("button", name="One scale").click()
    expect(root.get_by_role("button", name="One scale")).to_have_class(re.compile("mod-active"))
    root.get_by_role("button", name="Over the steps").click()
    history = root.get_by_label(re.compile("^Step history|^Layers over"))
    expect(history.locator("img")).to_be_visible()
    history.scroll_into_view_if_needed()
    notebook.screenshot(f"history_{scheme}")
    assert violations(page) == []
    root.get_by_role("button", name="Over the steps").click()

    # Compare with the state before training.
    root.get_by_label("Compare with").select_option("step 0: before training")
    expect(grid.locator("img")).to_have_attribute("alt", re.compile("A − B"))
    root.get_by_role("button", name="Depth profile").click()
    grid.click(position={"x": 40, "y": 80})
    page.mouse.move(5, 5)
    grid.press("t")
    expect(grid.locator("img")).to_have_attribute("alt", re.compile("A: "))
    grid.press("t")
    expect(grid.locator("img")).to_have_attribute("alt", re.compile("B: before training"))
    root.get_by_role("button", name="A − B", exact=True).click()
    grid.hover(position={"x": 45, "y": 90})
    expect(grid.locator("xpath=..").locator(".fmw-readout")).to_contain_text("A − B")
    notebook.screenshot(f"comparing_{scheme}")
    root.screenshot(path=f"screenshots/comparing_whole_{scheme}.png")
    assert violations(page) == []
    notebook.check_no_complaints()
