"""First steps with the quickstart: a few clicks each, by nothing but the page."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from fmwidget.samples import sample_images, sample_model
from tests.browser.test_widget import QUICKSTART, Lab


def maps_of(model, pixels):
    """Return every layer's maps by calling the model's layers one after another."""
    small = Image.fromarray(pixels).resize((150, 150), Image.Resampling.BILINEAR)
    x, maps = np.asarray(small, "float32")[np.newaxis] / 255, {}
    for each in model.layers:
        x = each(x, training=False)
        if len(x.shape) == 4:
            maps[each.name] = np.asarray(x[0])
    return maps


def find_the_eyes(lab, page, maps):
    """Show the strongest filters first and the map over the image, then go on through the grid by key."""
    lab.choose_layer("conv2d_3")
    lab.wait_for("layer conv2d_3 ")
    lab.control("Order").select_option(label="strongest max")
    lab.control("Overlay %").press("End")
    for _ in range(8):
        lab.control("Overlay %").press("PageDown")
    seen = lab.root.get_by_role("img", name="my photo, as the model sees it")
    lab.grid.locator("img").click(position={"x": 20, "y": 80})
    for _ in range(16):
        if "Channel 63 lies over it" in str(seen.get_attribute("alt")):
            break
        before = seen.get_attribute("src")
        page.keyboard.press("ArrowRight")
        expect(seen).not_to_have_attribute("src", str(before))
    expect(seen).to_have_attribute("alt", re.compile("Channel 63 lies over it, at [1-9]"))
    eyes = maps["conv2d_3"][:, :, 63]
    row, column = np.unravel_index(eyes.argmax(), eyes.shape)
    at = (np.array([column, row]) + 0.5) / eyes.shape[::-1]
    assert min(np.abs(at - eye).max() for eye in [(0.38, 0.47), (0.71, 0.52)]) < 0.12
    seen.scroll_into_view_if_needed()


def test_a_newcomer_finds_the_silent_layer_and_a_filter_for_eyes_and_saves_it(open_notebook, page, tmp_path):
    notebook = open_notebook(QUICKSTART)
    notebook.run_all()
    lab = Lab(page)
    lab.grid.locator("img").wait_for()

    # A photograph of one's own: one click, and the file.
    photograph = np.asarray(Image.fromarray(sample_images()["cat"]).resize((900, 700)))
    Image.fromarray(photograph).save(tmp_path / "my photo.jpg", quality=95)
    with page.expect_file_chooser() as chooser:
        lab.root.get_by_role("button", name="Add pictures").click()
    chooser.value.set_files(tmp_path / "my photo.jpg")
    lab.wait_for("for my photo")
    expect(lab.root.get_by_role("radio", name="my photo")).to_be_checked()
    notebook.screenshot("trial-1-uploaded")

    # The layer where filters fall silent: a button, and a click on the highest bar.
    model = sample_model()
    maps = maps_of(model, np.asarray(Image.open(tmp_path / "my photo.jpg")))
    silent = {name: (each == 0).all(axis=(0, 1)).mean() for name, each in maps.items()}
    most = max(silent, key=lambda name: silent[name])
    lab.root.get_by_role("button", name="Depth profile").click()
    expect(lab.root).to_contain_text(f"most channels inactive in {most}")
    profile = lab.root.get_by_role("img", name="Depth profile of my photo")
    bars = profile.bounding_box()
    assert bars is not None
    share = (list(maps).index(most) + 0.5) / len(maps)  # of the way from the first bar to the last
    profile.click(position={"x": 122 + (bars["width"] - 130) * share, "y": 30})
    lab.wait_for(f"layer {most} ", f"{round(silent[most] * maps[most].shape[-1])} of them inactive")
    notebook.screenshot("trial-2-silent-layer")

    find_the_eyes(lab, page, maps)
    notebook.screenshot("trial-3-eyes")

    # The picture for slides: one click.
    with page.expect_download() as download:
        lab.root.get_by_role("button", name="Save").click()
    assert download.value.suggested_filename == "my photo conv2d_3.png"
    saved = Image.open(io.BytesIO(download.value.path().read_bytes()))
    shown = lab.indices().shape
    assert saved.size == (3 * shown[1], 3 * shown[0])
    notebook.check_no_complaints()
