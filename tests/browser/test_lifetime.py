"""A cell that is run again and again keeps one widget: the one on the page."""

from __future__ import annotations

import ast
import re

import pytest
from playwright.sync_api import expect

SETUP = """
import gc, threading
import comm, keras, psutil
from ipywidgets.widgets import widget as registry
from fmwidget import FeatureMapWidget, sample_images
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((60, 60, 3)), keras.layers.Conv2D(16, 3, name="conv")])
pictures = sample_images()
def held():
    gc.collect()
    return [len(registry._instances), len(comm.get_comm_manager().comms), threading.active_count(),
            psutil.Process().memory_info().rss // 2**20]
"""
CELL = "FeatureMapWidget(model, pictures)"


def widgets_of(notebook, page):
    return notebook.cell(1).locator(".fmwidget").get_by_label("Feature maps of the layer").locator("img")


@pytest.mark.parametrize("runs", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_a_cell_run_again_keeps_one_widget(open_notebook, page, runs):
    notebook = open_notebook([SETUP, CELL, "held()"])
    notebook.run_cell(0)

    def measure():
        page.wait_for_timeout(1500)  # widgets without references are collected a second after the cell
        notebook.run_cell(2)
        return ast.literal_eval(notebook.output(2).inner_text())

    seen = []
    for run in range(1, runs + 1):
        notebook.run_cell(1)
        expect(widgets_of(notebook, page)).to_be_visible()
        if run in (10, runs):
            seen.append(measure())
    (*before, memory_before), (*after, memory_after) = seen
    print(f"after 10 runs {seen[0]}, after {runs} {seen[1]}: widgets, comms, threads, MiB")  # noqa: T201
    assert after == before
    assert memory_after < memory_before * 1.05 + 20
    notebook.check_no_complaints()


def test_a_widget_in_a_variable_works_wherever_it_is_shown(open_notebook, page):
    notebook = open_notebook([SETUP, "mine = FeatureMapWidget(model, pictures)\nmine", "mine", "del mine"])
    for cell in (0, 1, 2):
        notebook.run_cell(cell)
    # The cell that showed it shows another; the second display goes on working, and so does a third.
    notebook.set_source(1, CELL)
    notebook.run_cell(1)
    page.wait_for_timeout(1500)
    root = notebook.cell(2).locator(".fmwidget")
    grid = root.get_by_label("Feature maps of the layer").locator("img")
    slider = root.locator(".widget-slider", has_text="Channel").get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(grid).to_have_attribute("alt", re.compile("Channel 1 is chosen"))
    # Without its name it is still on the page.
    notebook.run_cell(3)
    page.wait_for_timeout(1500)
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(grid).to_have_attribute("alt", re.compile("Channel 2 is chosen"))
    notebook.check_no_complaints()


def test_a_widget_survives_a_page_that_is_loaded_anew(open_notebook, page):
    notebook = open_notebook([SETUP, CELL, CELL])
    for cell in (0, 1, 1, 2):
        notebook.run_cell(cell)
    notebook.save()
    page.reload()
    notebook.output(1).first.wait_for()
    notebook.wait_until_idle()
    for cell in (1, 2):
        root = notebook.cell(cell).locator(".fmwidget")
        root.locator(".widget-slider", has_text="Channel").get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        grid = root.get_by_label("Feature maps of the layer").locator("img")
        expect(grid).to_have_attribute("alt", re.compile("Channel 1 is chosen"))
    notebook.check_no_complaints()
