"""Hostile names on a real page: they are text, and have no other effect."""

from __future__ import annotations

from playwright.sync_api import expect

NAMED = r"""
import keras, numpy as np
from fmwidget import FeatureMapWidget
HTML = "<img src=x onerror='window.hurt=1'><script>window.hurt=2</script>"
TURNED = "cat\u202egnp.exe"
keras.utils.set_random_seed(1)
picture = keras.Input((40, 40, 3))
x = keras.layers.Conv2D(4, 3, name=HTML.replace("/", ":"))(picture)
x = keras.layers.Conv2D(4, 3, name=TURNED)(x)
x = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(x))
model = keras.Model(picture, x, name="m")
rng = np.random.default_rng(0)
pictures = {name: rng.integers(0, 256, (40, 40, 3), np.uint8) for name in (HTML, TURNED)}
widget = FeatureMapWidget(model, pictures, class_names=[HTML, TURNED, "c", "d"])
widget
"""


def test_names_are_read_and_do_nothing(open_notebook, page):
    dialogs = []

    def dismiss(dialog):
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    notebook = open_notebook(
        [NAMED, "widget.snapshot()", "widget.layer = TURNED", "widget.image = 'no' + TURNED"]
    )
    for cell in (0, 1, 2, 3):
        notebook.run_cell(cell)
    root = page.locator(".fmwidget")
    root.get_by_label("Feature maps of the layer").locator("img").wait_for()
    expect(root).to_contain_text("<script>window.hurt=2</script>")
    expect(root).to_contain_text("cat\N{REPLACEMENT CHARACTER}gnp.exe")
    layers = root.locator("select").first
    labels = [text.replace("\xa0", " ") for text in layers.locator("option").all_text_contents()]
    assert any("<img src=x" in label for label in labels), labels
    for option in range(len(labels)):
        layers.select_option(index=option)
        page.wait_for_timeout(200)
    for radio in root.get_by_role("radio").all():
        radio.click()
        page.wait_for_timeout(200)
    assert page.evaluate("window.hurt === undefined")
    assert page.locator("img[src='x']").count() == 0
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in root.inner_text()
    assert dialogs == []
    notebook.screenshot("untrusted-names")
