"""Name, keyboard operation and legibility of every control, by axe-core and by hand without a mouse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SAMPLE = """
from fmwidget import FeatureMapWidget, sample_class_names, sample_model
widget = FeatureMapWidget(sample_model(), class_names=sample_class_names(), profile=True, opacity=50)
widget
"""
# Several pages, many layers, values that are not finite, and an error with its details.
DEEP = """
import keras
import numpy as np
deep = keras.Sequential([keras.Input((40, 48, 3)), keras.layers.Conv2D(300, 3, name="wide")])
for place in range(45):
    deep.add(keras.layers.Conv2D(4, 1, activation="relu", name=f"thin_{place}"))
weights = deep.layers[1].get_weights()
weights[1][:] = np.nan
deep.layers[1].set_weights(weights)
deep = FeatureMapWidget(deep, profile=True)
deep._screen.status.training = True
deep._screen.status.show("It failed.", "a long\\nstory")
deep
"""

FOCUSED = """() => {
    const element = document.activeElement, root = element.closest(".fmwidget");
    const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent;
    return root && [name ?? element.textContent, element.getBoundingClientRect().width,
        parseFloat(getComputedStyle(element).outlineWidth)];
}"""

# All visible controls; of a group of radio buttons one.
CONTROLS = """root => [...root.querySelectorAll(
    "select, input, button, a[href], [role=slider], [contenteditable=true], [tabindex]")
    ].filter(each => !each.disabled && each.checkVisibility() &&
        (each.tabIndex >= 0 || each.isContentEditable)).length"""


def violations(page: Page) -> list[dict[str, Any]]:
    found = Axe().run(page, context=".fmwidget").response
    assert found["passes"], "nothing was checked"
    return [
        {"rule": each["id"], "where": [node["html"] for node in each["nodes"]]}
        for each in found["violations"]
    ]


def shown(root: Locator) -> None:
    expect(root.get_by_label("Feature maps of the layer").locator("img")).to_be_visible()
    expect(root.get_by_label("Depth profile").locator("img")).to_be_visible()


def test_axe_finds_nothing_to_complain_of(open_notebook, page):
    notebook = open_notebook([SAMPLE, DEEP])
    notebook.run_all()
    roots = page.locator(".fmwidget")
    expect(roots).to_have_count(2)
    for root in roots.all():
        shown(root)
    for scheme, is_light in {"light": "true", "dark": "false"}.items():
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)
        assert violations(page) == [], scheme
    # A redrawn picture gets a new name.
    roots.nth(1).get_by_label("Next layer").click()
    expect(roots.nth(1).get_by_label("Depth", exact=True)).to_have_attribute("aria-valuenow", "2.0")
    assert violations(page) == []
    notebook.check_no_complaints()


def test_everything_works_without_a_mouse_and_without_motion(open_notebook, page):
    notebook = open_notebook([SAMPLE])
    notebook.run_all()
    root = page.locator(".fmwidget")
    shown(root)
    every_control_is_named_and_a_stop_of_the_tab_key(page, root)
    controls_work_by_key_alone(root)
    motion_is_left_out_where_less_is_requested(page, root)
    notebook.check_no_complaints()


def every_control_is_named_and_a_stop_of_the_tab_key(page, root):
    root.get_by_label("Layer", exact=True).focus()
    stops = []
    while (focused := page.evaluate(FOCUSED)) is not None:
        name, width, outline = focused
        assert width > 0, name
        assert outline >= 2, f"the focus of {name} is invisible"
        stops.append(name)
        page.keyboard.press("Tab")
    assert all(stops), stops
    assert len(stops) == root.evaluate(CONTROLS)
    some = [
        "Layer",
        "Next layer",
        "Depth profile",
        "Depth",
        "Channel",
        "Channel, as a number",
        "Norm",
        "Order",
    ]
    some += ["Colours", "cat", "Add pictures", "Feature maps of the layer", "Overlay %", "Scaling", "Fit"]
    assert [each for each in dict.fromkeys(stops) if each in some] == some


def controls_work_by_key_alone(root):
    profile = root.get_by_role("button", name="Depth profile")
    expect(profile).to_have_attribute("aria-pressed", "true")
    profile.press("Enter")
    expect(profile).to_have_attribute("aria-pressed", "false")
    expect(root.get_by_role("img", name="Depth profile of cat")).to_be_hidden()
    root.get_by_role("button", name="Next layer").press("Enter")
    depth = root.get_by_role("slider", name="Depth", exact=True)
    expect(depth).to_have_attribute("aria-valuenow", "2.0")
    depth.press("ArrowRight")
    grid = root.get_by_label("Feature maps of the layer").locator("img")
    expect(grid).to_have_attribute("alt", re.compile("layer max_pooling2d "))


def motion_is_left_out_where_less_is_requested(page, root):
    seconds = """root => Math.max(...[...root.querySelectorAll("*")].map(element => {
        element.classList.add("noUi-state-tap"); // as while a handle glides
        const { transitionDuration, animationDuration } = getComputedStyle(element);
        return Math.max(...`${transitionDuration},${animationDuration}`.split(",").map(parseFloat));
    }))"""
    page.emulate_media(reduced_motion="no-preference")
    assert root.evaluate(seconds) > 0
    page.emulate_media(reduced_motion="reduce")
    assert root.evaluate(seconds) == 0
