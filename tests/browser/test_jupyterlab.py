"""The ground the other browser tests stand on: JupyterLab starts, runs cells and shows widgets."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_slider_is_shown_and_moves(browser, browser_context_args, jupyterlab, color_scheme):
    context = browser.new_context(**browser_context_args, color_scheme=color_scheme)
    page = context.new_page()
    notebook = jupyterlab.open(
        page,
        [
            "import ipywidgets as widgets\nslider = widgets.IntSlider(3, description='channel')\nslider",
            "1 + 1",
        ],
    )
    notebook.run_all()
    handle = notebook.output(0).get_by_role("slider")
    expect(handle).to_be_visible()
    assert notebook.output(1).inner_text().strip() == "2"
    print(page.locator("body").get_attribute("data-jp-theme-light"), notebook.output(0).bounding_box())
    notebook.screenshot(f"jupyterlab-{color_scheme}")
    notebook.check_no_complaints()
    notebook.shut_down()
    context.close()
