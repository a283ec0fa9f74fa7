"""The `fmwidget` command starts a JupyterLab that shows widgets; the other browser tests rely on it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

SLIDER = "import ipywidgets\nslider = ipywidgets.IntSlider(3, description='channel')\nslider"


@pytest.mark.parametrize(("scheme", "is_light"), [("light", "true"), ("dark", "false")])
def test_a_slider_is_shown_and_tells_the_kernel_of_every_move(page, open_notebook, scheme, is_light):
    page.emulate_media(color_scheme=scheme)
    notebook = open_notebook([SLIDER, "slider.value"])
    notebook.run_all()
    handle = notebook.output(0).get_by_role("slider")
    expect(handle).to_be_visible()
    expect(notebook.output(1)).to_have_text("3")

    handle.press("ArrowRight")
    expect(notebook.output(0).locator(".widget-readout")).to_have_text("4")
    notebook.run_cell(1)
    expect(notebook.output(1)).to_have_text("4")

    assert page.locator("body").get_attribute("data-jp-theme-light") == is_light
    assert notebook.output(0).bounding_box()["width"] == 848
    notebook.screenshot(f"jupyterlab-{scheme}")
    notebook.check_no_complaints()


def test_the_address_that_the_command_prints_opens_the_quickstart(page, jupyterlab):
    page.goto(f"{jupyterlab.url}?token={jupyterlab.token}")
    expect(page.get_by_role("heading", name="Look inside a convolutional network")).to_be_visible()


def test_no_question_about_news(page, open_notebook):
    notebook = open_notebook(["1 + 1"])
    notebook.run_all()
    # Half a second of quiet after the page has settled is longer than the question ever took to appear.
    page.wait_for_timeout(500)
    expect(page.get_by_text("Jupyter news")).to_have_count(0)


def test_complaints_are_found(open_notebook):
    notebook = open_notebook(["import sys; print('a warning', file=sys.stderr)"])
    notebook.run_all()
    with pytest.raises(AssertionError, match="a warning"):
        notebook.check_no_complaints()
