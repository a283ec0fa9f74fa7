"""The quickstart as a user drives it: every control, and after each the pixels on the page against numpy."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fmwidget.rendering.grid_layout import grid_layout
from fmwidget.samples import sample_images, sample_model

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
STEPS = 220  # palette entries that stand for levels


class Lab:
    """The widget on a JupyterLab page, and the same numbers computed without the package."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".fmwidget").first  # a notebook may show another
        self.model = sample_model()
        self.images = sample_images()

    # ---------------------------------------------------------------- what is on the page

    def control(self, label: str) -> Locator:
        return self.root.get_by_label(label, exact=True)

    def choose_layer(self, name: str) -> None:
        options = self.control("Layer").locator("option").all_text_contents()
        self.control("Layer").select_option(index=[each.split()[0] for each in options].index(name))

    @property
    def grid(self) -> Locator:
        return self.root.get_by_label("Feature maps of the layer")

    def readout(self) -> Locator:
        """Return the line below the grid."""
        return self.grid.locator("xpath=..").locator(".fmw-readout")

    def indices(self) -> np.ndarray[Any, Any]:
        """Return the palette indices of the picture that the browser shows."""
        data = self.grid.locator("img").evaluate(
            """async image => {
                const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
                return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
            }"""
        )
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))

    def wait_for(self, *words: str) -> None:
        """Wait until the grid's description contains all of these."""
        conditions = " && ".join(f"image.alt.includes({json.dumps(word)})" for word in words)
        self.page.wait_for_function(
            f"""() => {{ const image = document.querySelector(
                '.fmwidget [aria-label="Feature maps of the layer"] img'); return image && {conditions}; }}"""
        )

    def source(self) -> str:
        return str(self.grid.locator("img").get_attribute("src"))

    def wait_until_swapped(self, before: str) -> None:
        expect(self.grid.locator("img")).not_to_have_attribute("src", before)

    # ---------------------------------------------------------------- what it ought to be

    def maps(self, layer: str, picture: str) -> np.ndarray[Any, Any]:
        image = Image.fromarray(self.images[picture]).resize((150, 150), Image.Resampling.BILINEAR)
        x = np.asarray(image, "float32")[np.newaxis] / 255
        for each in self.model.layers:
            x = each(x, training=False)
            if each.name == layer:
                return np.asarray(x[0])
        raise KeyError(layer)

    def check_tiles(self, layer: str, picture: str, norm: str = "standardize") -> None:
        """Check that every tile on the page holds the model's own map."""
        maps = self.maps(layer, picture)
        layout = grid_layout(maps.shape)
        shrink, rows, columns = layout.sampling
        expected = np.clip(area_means(levels(maps, norm), shrink), 0, 255).repeat(rows, 0).repeat(columns, 1)
        indices = self.indices()
        for channel in np.flatnonzero(maps.any(axis=(0, 1))):
            left, top, width, height = layout.tile_box(int(channel))
            seen = indices[top : top + height, left : left + width]
            assert seen.max() < STEPS, f"no map is drawn in the place of channel {channel}"
            assert np.abs(seen * (255 / (STEPS - 1)) - expected[..., channel]).max() <= 2, channel


def levels(maps: np.ndarray[Any, Any], norm: str) -> Any:
    """Return each value's level from 0 to 255, before it is clipped."""
    axes = (0, 1) if norm in ("standardize", "channel") else (0, 1, 2)
    low, high, mean, std = (function(maps, axis=axes) for function in (np.min, np.max, np.mean, np.std))
    with np.errstate(invalid="ignore", divide="ignore"):
        if norm == "standardize":
            return (maps - mean) / std * 64 + 128
        if norm == "symmetric":
            return maps / np.maximum(high, -low) * 127.5 + 127.5
        return (maps - low) / (high - low) * 255


def area_means(maps: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    """Return the means of blocks; those at the edges average the values that exist."""
    rows = [maps[top : top + side] for top in range(0, len(maps), side)]
    blocks = [[row[:, left : left + side] for left in range(0, maps.shape[1], side)] for row in rows]
    return np.array([[block.mean(axis=(0, 1)) for block in row] for row in blocks])


@pytest.fixture
def lab(open_notebook, page: Page):
    notebook = open_notebook(QUICKSTART)
    notebook.run_all()
    lab = Lab(page)
    lab.grid.locator("img").wait_for()
    lab.grid.scroll_into_view_if_needed()
    yield lab
    notebook.check_no_complaints()


def test_every_control_redraws_and_every_pixel_is_the_models(lab, page):
    lab.control("Layer").select_option(index=0)
    lab.wait_for("layer conv2d ", "for cat")
    lab.check_tiles("conv2d", "cat")

    for layer in ("conv2d_1", "max_pooling2d_3", "conv2d_2"):
        lab.choose_layer(layer)
        lab.wait_for(f"layer {layer} ")
        lab.check_tiles(layer, "cat")

    lab.root.get_by_role("radio", name="coffee").click()
    lab.wait_for("for coffee")
    lab.check_tiles("conv2d_2", "coffee")

    for norm, label in {"shared": "one scale: min to max", "symmetric": "one scale: ± largest"}.items():
        before = lab.source()
        lab.control("Norm").select_option(label=label)
        lab.wait_until_swapped(before)
        lab.check_tiles("conv2d_2", "coffee", norm)

    before = lab.source()
    lab.control("Colours").select_option(label="PuOr_r")
    lab.wait_until_swapped(before)
    lab.check_tiles("conv2d_2", "coffee", "symmetric")


def test_a_channel_is_chosen_by_slider_number_tile_and_key(lab, page):
    lab.choose_layer("conv2d_1")
    lab.wait_for("layer conv2d_1 ")
    picture = lab.source()
    control = lab.root.locator(".widget-slider", has_text="Channel")
    slider, number = control.get_by_role("slider"), control.locator(".widget-readout")
    channel = int(number.inner_text())
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    lab.wait_for(f"Channel {channel + 3} is chosen")

    number.click()
    number.fill("40")
    page.keyboard.press("Enter")
    lab.wait_for("Channel 40 is chosen")

    box = grid_layout((72, 72, 64)).tile_box(53)
    lab.grid.click(position={"x": box.x + 5, "y": box.y + 5})
    lab.wait_for("Channel 53 is chosen")
    page.keyboard.press("ArrowUp")
    lab.wait_for("Channel 37 is chosen")
    expect(number).to_have_text("37")
    assert lab.source() == picture, "the grid is not sent again for another channel"

    number.fill("4000")
    page.keyboard.press("Enter")
    expect(number).to_have_text(re.compile("^(37|63)$"))


def test_a_value_is_read_under_the_pointer_and_with_the_keys(lab, page):
    lab.choose_layer("conv2d_1")
    lab.wait_for("layer conv2d_1 ")
    maps, layout = lab.maps("conv2d_1", "cat"), grid_layout((72, 72, 64))
    readout = lab.readout()
    box = layout.tile_box(21)
    for row, column in ((0, 0), (30, 65), (71, 2)):
        side = layout.sampling.shrink
        lab.grid.hover(position={"x": box.x + (column + 0.5) / side, "y": box.y + (row + 0.5) / side})
        expect(readout).to_contain_text(re.compile(rf"channel 21  row  ?{row}  column  ?{column}  value "))
        # As the package's own forward is compiled, it may round differently from this one.
        value = float(readout.inner_text().split()[-1])
        assert value == pytest.approx(maps[row, column, 21], rel=1e-3, abs=1e-4)
    height = lab.root.bounding_box()["height"]
    page.mouse.move(1, 1)
    expect(readout).to_contain_text("min")
    assert lab.root.bounding_box()["height"] == height, "nothing moves"

    lab.grid.focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(readout).to_contain_text(re.compile(r"row 35  column 36  value "))
    channel = int(readout.inner_text().split()[1])
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text(f"channel {channel + 1:2}  row 35  column 36  value ")
    assert f"channel {channel + 1:2}" in lab.grid.locator("xpath=..").get_by_role("status").inner_text()


def test_a_channel_is_seen_alone_and_escape_returns_to_its_tile(lab, page):
    lab.choose_layer("max_pooling2d_3")
    lab.wait_for("layer max_pooling2d_3 ")
    maps = lab.maps("max_pooling2d_3", "cat")
    layout = grid_layout(maps.shape)
    box = layout.tile_box(9)
    lab.grid.dblclick(position={"x": box.x + 5, "y": box.y + 5})
    stage = lab.root.locator(".fmw-stage")
    stage.wait_for()
    assert lab.root.get_by_role("dialog", name="channel 9 of max_pooling2d_3").is_visible()
    expect(stage).to_be_focused()
    assert not lab.grid.is_visible()
    page.keyboard.press("Shift+Tab")  # the grid below is no stop
    expect(lab.root.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Tab")

    page.keyboard.press("ArrowRight")
    readout = lab.root.locator(".fmw-zoom .fmw-readout")
    expect(readout).to_contain_text("row 0  column 1")  # next to the one that was clicked
    value = float(readout.inner_text().split()[-1])
    assert value == pytest.approx(maps[0, 1, 9], rel=1e-3, abs=1e-4)

    page.keyboard.press("Escape")
    expect(stage).to_be_hidden()
    expect(lab.grid).to_be_focused()
    lab.wait_for("Channel 9 is chosen")
    page.keyboard.press("ArrowRight")
    lab.wait_for("Channel 10 is chosen")
    before = lab.root.bounding_box()
    page.keyboard.press("Enter")
    lab.root.get_by_role("dialog", name="channel 10 of max_pooling2d_3").wait_for()
    assert lab.root.bounding_box() == before, "it takes the grid's place, and nothing moves"
    lab.root.get_by_role("button", name="Close").click()
    expect(lab.grid).to_be_focused()


def test_no_blank_frame_while_a_slider_is_dragged_through_the_layers(lab, page):
    page.evaluate(
        """() => {
            window.blanks = [];
            const watch = () => {
                const grid = document.querySelector(".fmwidget [aria-label='Feature maps of the layer'] img");
                window.blanks.push(!grid?.complete || grid.naturalWidth === 0);
                window.watching = requestAnimationFrame(watch);
            };
            watch();
        }"""
    )
    for turn in range(3):
        for layer in ("conv2d_1", "max_pooling2d_3", "conv2d_2", "conv2d"):
            lab.choose_layer(layer)
            lab.wait_for(f"layer {layer} ")
        lab.root.get_by_role("radio", name=("coffee", "astronaut", "cat")[turn]).click()
        lab.wait_for("for " + ("coffee", "astronaut", "cat")[turn])
    blanks = page.evaluate("cancelAnimationFrame(window.watching), window.blanks")
    assert len(blanks) > 20
    assert not any(blanks)


WIDE = """
import keras
from fmwidget import FeatureMapWidget, sample_images
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((40, 48, 3)), keras.layers.Conv2D(300, 3, name="wide")])
FeatureMapWidget(model, sample_images())
"""


def test_pages_are_turned(open_notebook, page):
    notebook = open_notebook([WIDE])
    notebook.run_all()
    lab = Lab(page)
    lab.wait_for("layer wide ")
    first = lab.source()
    lab.root.get_by_title("Next page").click()
    lab.wait_until_swapped(first)
    expect(lab.root).to_contain_text("page 2 of")
    notebook.check_no_complaints()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [1280, 1000, 1900])
def test_nothing_scrolls_or_sticks_out(open_notebook, page, scheme, width):
    """Check that nothing scrolls or sticks out, and save screenshots for inspection."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1250})
    notebook = open_notebook(QUICKSTART)
    notebook.run_all()
    lab = Lab(page)
    lab.grid.locator("img").wait_for()
    lab.grid.scroll_into_view_if_needed()
    page.wait_for_timeout(600)  # the width is reported when it has settled
    notebook.screenshot(f"quickstart-{scheme}-{width}")
    scrolling = lab.root.evaluate(
        """root => [root, ...root.querySelectorAll("*")].filter(each =>
            /auto|scroll/.test(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth + 1 ||
            /auto|scroll/.test(getComputedStyle(each).overflowY) && each.scrollHeight > each.clientHeight + 1
        ).map(each => each.className)"""
    )
    assert set(scrolling) <= {"fmw-thumbnails"}  # a row of images that may be long
    inside = lab.root.evaluate(
        """root => { const right = root.parentElement.getBoundingClientRect().right;
            return [...root.querySelectorAll("*")].filter(each =>
                !each.closest(".fmw-thumbnails > *") && each.getBoundingClientRect().right > right + 1
            ).map(each => each.className); }"""
    )
    assert inside == []
    smallest = lab.root.evaluate(
        """root => Math.min(...[...root.querySelectorAll("*")].filter(each => each.checkVisibility() &&
            [...each.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim())
        ).map(each => parseFloat(getComputedStyle(each).fontSize)))"""
    )
    assert smallest >= 11
    if width >= 1280:
        check_all_is_on_one_screen(lab)
    if width == 1280:  # where tiles are small, a layer of 64 channels as well as one of 32
        lab.choose_layer("conv2d_1")
        lab.wait_for("layer conv2d_1 ")
        check_all_is_on_one_screen(lab)
    notebook.check_no_complaints()


def check_all_is_on_one_screen(lab):
    """Check that controls, grid, channel, image, answer and numbers span no more than 900 px."""
    top = lab.root.bounding_box()["y"]
    panels = {name: lab.control(name) for name in ("Feature maps of the layer", "Chosen channel")}
    panels |= {name: lab.control(name) for name in ("Layer", "Norm", "Overlay %", "Scaling", "Fit")}
    panels |= {each: lab.root.locator(each) for each in (".fmw-thumbnails", ".fmw-answer", ".fmw-numbers")}
    panels["Save"] = lab.root.get_by_role("button", name="Save")
    for name in ("Picture as the model sees it", "Histogram of the chosen channel"):
        panels[name] = lab.root.get_by_label(name).locator("img")
    for name, panel in panels.items():
        box = panel.bounding_box()
        assert min(box["width"], box["height"]) >= 16, name
        assert box["y"] + box["height"] - top <= 900, name
