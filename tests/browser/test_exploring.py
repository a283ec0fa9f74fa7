"""A unit, a pixel and playing in a real JupyterLab, by the mouse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_accessibility import violations

SHOW = """
from fmwidget import FeatureMapWidget, sample_images, sample_model
widget = FeatureMapWidget(sample_model(), sample_images(), layer="conv2d_1")
widget
"""
# Record each channel that the page marks as chosen.
WATCH = """() => {
  window.shown = [];
  new MutationObserver(() => {
    const alt = document.querySelector(".fmwidget [aria-label^='Feature maps'] img")?.alt ?? "";
    const channel = Number(alt.match(/Channel (\\d+) is chosen/)?.[1] ?? 0);
    if (channel && channel !== window.shown.at(-1)) window.shown.push(channel);
  }).observe(document.querySelector(".fmwidget"), { subtree: true, childList: true, attributes: true });
}"""
WAIT = "import time\nfor _ in range(80): time.sleep(0.1)"


def test_from_a_unit_to_the_picture_and_from_a_pixel_to_the_units(open_notebook, page):
    notebook = open_notebook([SHOW])
    notebook.run_all()
    root = page.locator(".fmwidget")
    picture = root.get_by_label("Picture as the model sees it")
    detail = root.get_by_label("Chosen channel", exact=True)
    region, mark = picture.locator(".fmw-region"), picture.locator(".fmw-mark")
    detail.locator("img").wait_for()
    expect(root.get_by_text("Who sees this pixel")).to_be_hidden()
    expect(root.get_by_role("button", name="Where this value comes from")).to_be_hidden()

    detail.hover(position={"x": 8 + 4 * 36 + 2, "y": 42 + 4 * 10 + 2})  # row 10, column 36 of 72 × 72
    expect(root.get_by_text("sees 8 × 8 of 150 × 150 px")).to_be_visible()
    expect(region).to_be_visible()
    outer, inner = picture.bounding_box(), region.bounding_box()
    assert outer is not None
    assert inner is not None
    # Unit r depends on pixels 2r to 2r + 7: two 3 × 3 convolutions with a 2 × 2 pooling between. The
    # outline is 2 px wide and lies around them.
    left, top, size = inner["x"] - outer["x"] + 2, inner["y"] - outer["y"] + 2, inner["width"] - 4
    scale = outer["width"] / 150
    assert (left / scale, top / scale, size / scale) == pytest.approx((72, 20, 8), abs=0.1)
    page.mouse.move(5, 5)
    expect(region).to_be_hidden()

    picture.click(position={"x": 140, "y": 121})  # 2 px to a pixel: row 60, column 70
    seen = root.get_by_text("Who sees this pixel")
    expect(seen).to_be_visible()
    expect(seen.locator("xpath=..")).to_contain_text("row 60, column 70 of the picture: seen from 4 × 4 of")
    expect(mark).to_be_visible()
    expect(detail.locator(".fmw-mark")).to_be_visible()
    first = root.get_by_role("button", name=re.compile(r"^channel \d+$")).first
    chosen = first.inner_text().split()[1]
    first.click()
    expect(root.get_by_label("Feature maps of the layer").locator("img")).to_have_attribute(
        "alt", re.compile(f"Channel {chosen} is chosen")
    )

    root.get_by_role("button", name="Where this value comes from").click()
    lines = root.locator(".fmw-terms .fmw-numbers tr")
    expect(lines.last).to_contain_text("relu(")
    value = float(lines.last.locator("td").inner_text())
    total = float(lines.nth(-2).locator("td").inner_text())
    assert abs(max(total, 0) - value) < 1e-3
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(scheme == "light").lower())
        assert violations(page) == [], scheme

    picture.press("Escape")
    expect(seen).to_be_hidden()
    expect(mark).to_be_hidden()
    expect(detail.locator(".fmw-region")).to_be_hidden()
    expect(picture).to_be_focused()
    notebook.check_no_complaints()


def test_playing_goes_on_while_a_cell_runs_and_stops_on_request(open_notebook, page):
    notebook = open_notebook([SHOW, WAIT])
    notebook.run_cell(0)
    root = page.locator(".fmwidget")
    image = root.get_by_label("Feature maps of the layer").locator("img")
    image.wait_for()
    notebook.start_cell(1)
    page.evaluate(WATCH)
    root.get_by_role("button", name="Play channels").click()
    page.wait_for_function("window.shown.length >= 5")
    assert notebook.is_running(1)
    page.keyboard.press("Escape")
    play = root.get_by_role("button", name="Play channels")
    expect(play).to_be_visible()
    page.wait_for_timeout(500)
    seen = page.evaluate("window.shown")
    assert seen == list(range(1, len(seen) + 1))  # each was on the page, none was skipped
    page.wait_for_timeout(1000)
    assert page.evaluate("window.shown") == seen

    root.get_by_role("button", name="Play layers").click()
    expect(image).to_have_attribute("alt", re.compile("layer conv2d_2"), timeout=20_000)
    root.get_by_label("Norm").select_option("one scale: min to max")
    expect(root.get_by_role("button", name="Play layers")).to_be_visible()
    notebook.check_no_complaints()
