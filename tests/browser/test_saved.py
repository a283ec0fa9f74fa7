"""A saved notebook with a widget: the grid is visible wherever it is opened, and visible once."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fmwidget.widget.jupyter.display import WIDGET
from tests.browser.page import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

    from tests.browser.jupyterlab import Notebook

CELL = (
    "from fmwidget import FeatureMapWidget, sample_model\nwidget = FeatureMapWidget(sample_model())\nwidget"
)
OTHERS_PICTURE = "from IPython.display import Image, display\ndisplay(Image(widget.png))"
STATE = "application/vnd.jupyter.widget-state+json"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Build a notebook that was executed without a browser; its file holds the widgets' state."""
    folder = tmp_path_factory.mktemp("executed")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    nbformat.write(made, folder / "made.ipynb")
    environment = {name: value for name, value in os.environ.items() if name != "VSCODE_PID"}
    nbconvert("--to=notebook", "--execute", "--output=executed", folder / "made.ipynb", env=environment)
    return folder / "executed.ipynb"


def nbconvert(*arguments: Any, **options: Any) -> None:
    command = [sys.executable, "-m", "nbconvert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)
    assert done.returncode == 0, done.stderr


def outputs_of(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", ())]


def without_state(path: Path) -> Path:
    """Write a copy as JupyterLab saves it unless it is asked to keep the widgets' state."""
    saved = nbformat.read(path, as_version=4)
    assert saved.metadata.pop("widgets")[STATE]["state"]
    copy = path.with_name("without_state.ipynb")
    nbformat.write(saved, copy)
    return copy


def saved_picture(page: Page) -> Locator:
    """Return the picture of an output, and not one inside a live widget."""
    return page.locator(".jp-RenderedImage img")


def check_it_is_the_grid(picture: Locator, saved: Path) -> None:
    """Check that the one visible picture is the one in the file, decoded, and as large as it was live."""
    expect(picture).to_have_count(1)
    expect(picture).to_be_visible()
    (data,) = [output["data"] for output in outputs_of(saved) if "image/png" in output.get("data", {})]
    source = str(picture.get_attribute("src"))
    assert base64.b64decode(source.split(",")[1]) == base64.b64decode(data["image/png"])
    assert picture.evaluate("image => image.naturalWidth") > 600
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] > 600


# -------------------------------------------------------------------------------- in JupyterLab


def save(notebook: Notebook) -> Path:
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    return notebook.lab.folder / notebook.name


def test_the_widget_is_alone_while_it_lives_and_its_picture_stays_when_the_kernel_is_gone(
    page, open_notebook
):
    notebook = open_notebook([CELL, OTHERS_PICTURE])
    notebook.run_all()
    expect(page.get_by_label("Feature maps of the layer").locator("img")).to_be_visible()
    expect(saved_picture(page)).to_have_count(2)
    expect(saved_picture(page).nth(0)).to_be_hidden()
    expect(saved_picture(page).nth(1)).to_be_visible()  # another cell's picture stays as it is
    notebook.screenshot("saved-live")
    notebook.check_no_complaints()
    path = save(notebook)
    assert "widgets" not in json.loads(path.read_text())["metadata"]

    notebook.shut_down()
    page.reload()
    picture = notebook.output(0).locator("img")
    expect(picture).to_be_visible(timeout=90_000)
    notebook.wait_until_idle()
    expect(notebook.output(0).first).to_contain_text("widget")  # "Loading widget…", or that none was found
    expect(picture).to_be_visible()
    notebook.screenshot("saved-reopened")


@pytest.mark.slow
def test_no_picture_of_another_output_is_hidden(page, open_notebook):
    notebook = open_notebook(
        [
            f"{CELL[: -len('widget')]}display(widget)\n{OTHERS_PICTURE}\nwidget.snapshot()",
            f"import ipywidgets\ndisplay(ipywidgets.VBox([widget]))\n{OTHERS_PICTURE}",
            f"out = ipywidgets.Output()\ndisplay(out)\n{OTHERS_PICTURE}\nwith out:\n    display(widget)",
        ]
    )
    notebook.run_all()
    seen = {0: [False, True, True], 1: [True], 2: [False, True]}
    for cell, wanted in seen.items():
        pictures = notebook.cell(cell).locator(".jp-RenderedImage img")
        expect(notebook.cell(cell).get_by_label("Feature maps of the layer").locator("img")).to_be_visible()
        expect(pictures).to_have_count(len(wanted))
        assert [picture.is_visible() for picture in pictures.all()] == wanted, cell


@pytest.mark.slow
def test_a_notebook_that_is_not_trusted_shows_the_picture(page, open_notebook, executed):
    notebook = open_notebook(without_state(executed))  # executed elsewhere: it is not signed here
    check_it_is_the_grid(saved_picture(page), executed)
    expect(notebook.output(0).first).to_contain_text("Feature maps of layer")
    notebook.screenshot("saved-untrusted")


# -------------------------------------------------------------------------------- as a page


@pytest.mark.slow
@pytest.mark.parametrize("state", ["with state", "without state"])
def test_an_exported_page_shows_the_picture_without_a_network(browser, executed, tmp_path, state):
    saved = executed if state == "with state" else without_state(executed)
    nbconvert("--to=html", f"--output-dir={tmp_path}", "--output=page", saved)
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (STATE in html) == (state == "with state")
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.route(
            "**/*", lambda route: route.continue_() if "page.html" in route.request.url else route.abort()
        )
        page.goto((tmp_path / "page.html").as_uri())
        check_it_is_the_grid(saved_picture(page), executed)
        text = page.locator("body").inner_text()
        assert "VBox(" not in text
        assert ("Feature maps of layer" in text) == (state == "without state")
        context.close()


# The part of ipywidgets' own manager that matters here, for tests without a network: it puts a box with the
# widget's classes in front of the script that names it, and in it the pieces, which run what is in the file.
MANAGER = """
(async () => {
  const json = (script) => JSON.parse(script.textContent);
  const { state } = json(document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]'));
  async function build(id, parent) {
    const { state: traits, buffers = [] } = state[id];
    const box = parent.appendChild(document.createElement("div"));
    box.classList.add(...traits._dom_classes);
    for (const { path, data } of buffers) {
      const last = path.pop();
      path.reduce((inside, key) => inside[key], traits)[last] = { base64: data };
    }
    for (const child of traits.children ?? []) await build(child.slice("IPY_MODEL_".length), box);
    if (!traits._esm || window.piecesAreMissing) return;
    document.head.appendChild(document.createElement("style")).textContent = traits._css;
    await addView(new Model(revive(traits)), box);
  }
  for (const script of document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')) {
    const box = document.createElement("div");
    box.className = "widget-subarea";
    script.before(box);
    await build(json(script).model_id, box);
  }
  document.body.dataset.built = "";
})();
"""


@pytest.mark.slow
@pytest.mark.parametrize("pieces", ["all scripts", "the manager alone"])
def test_an_exported_page_with_a_network_shows_the_grid_once(browser, executed, tmp_path, pieces):
    """Show the widget by its state in the picture's place; the picture, if its pieces do not arrive."""
    nbconvert("--to=html", f"--output-dir={tmp_path}", "--output=page", executed)
    page = browser.new_page()

    def answer(route: Route) -> None:
        if "page.html" in route.request.url:
            route.continue_()
        elif "html-manager" in route.request.url:
            missing = f"window.piecesAreMissing = {json.dumps(pieces != 'all scripts')};"
            route.fulfill(body=SCRIPT + missing + MANAGER, content_type="text/javascript")
        else:
            route.abort()

    page.route("**/*", answer)
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("body[data-built]").wait_for(state="attached")
    live = page.get_by_label("Feature maps of the layer").locator("img")
    if pieces == "all scripts":
        expect(live).to_be_visible()
        expect(live).to_have_attribute("alt", re.compile("^Feature maps of layer conv2d .* 32 channels"))
        expect(saved_picture(page)).to_have_count(1)
        expect(saved_picture(page)).to_be_hidden()
        shown, kept = (in_colours(image) for image in (live, saved_picture(page)))
        assert shown.shape == kept.shape
        differs = (shown != kept).any(axis=2)
        assert 0 < differs.mean() < 0.01, "all but the frame of the chosen tile"
    else:
        expect(live).to_have_count(0)
        check_it_is_the_grid(saved_picture(page), executed)
    page.close()


def in_colours(image: Locator) -> np.ndarray[Any, Any]:
    """Return the pixels of a picture on the page."""
    data = image.evaluate(
        """async image => {
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            canvas.getContext("2d").drawImage(image, 0, 0);
            const file = await canvas.convertToBlob();
            return btoa(Array.from(new Uint8Array(await file.arrayBuffer()), (byte) =>
                String.fromCharCode(byte)).join(""));
        }"""
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


# GitHub runs no scripts, and of each output shows the first of these that it holds.
ON_GITHUB = (
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
)


@pytest.mark.slow
def test_github_s_rules_leave_one_picture_and_its_words(executed):
    outputs = [output["data"] for output in outputs_of(executed) if output["output_type"] != "stream"]
    assert WIDGET in outputs[0]
    shown = [next(kind for kind in ON_GITHUB if kind in data) for data in outputs]
    assert shown == ["text/plain", "image/png"]
    assert outputs[0]["text/plain"] == outputs[1]["text/plain"]
    assert "".join(outputs[0]["text/plain"]).startswith("Feature maps of layer")
