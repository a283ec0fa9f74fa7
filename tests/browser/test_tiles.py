"""The tiles of a grid in Chromium, without a kernel: the mark, the keys, and the kernel's precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fmwidget.frontend.bundle import bundle
from fmwidget.frontend.picture_view import PictureView
from fmwidget.rendering.grid_layout import grid_layout
from tests.browser.measures import (
    box,
    box_in_picture,
    encoded,
    hold_decoding,
    messages,
    pixels_of,
    png,
    view_of,
    wait_for_picture,
)
from tests.browser.page import show

if TYPE_CHECKING:
    from tests.browser.page import Shown


KEYS = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown")


class Grid:
    """A grid of 300 tiles on several pages, and the kernel's end of it, played by the test."""

    def __init__(self, page, place=0, style=""):
        self.layout = grid_layout((20, 30, 300), width=600, ncols=13, max_rows=6)
        view = view_of(**self.state(place))
        view.on_hover(lambda _point: None)
        self.shown = show(page, view, style=style)
        wait_for_picture(self.shown, 600)
        self.shown.evaluate("void (model.answers = false)")

    def state(self, place):
        """Return the kernel's message when a tile is chosen."""
        page = self.layout.page_of(place)
        return {
            "data": encoded(np.full((self.layout.height, 600, 3), 40 * page, np.uint8)),
            "width": 600,
            "height": self.layout.height,
            "mark": list(map(float, self.layout.tile_box(place))),
            "tiles": self.layout.tiles(page),
            "tile": place,
        }

    def choose(self, place):
        """Take a choice as the kernel does, then report that it is answered."""
        state = self.state(place)
        self.shown.update(png=state.pop("data"), **state)

    def answer(self):
        self.shown.evaluate("model.answer()")

    def requested(self):
        """Return the choices that were requested from the kernel."""
        return [message.tile for message in messages(self.shown, "tile")]

    def marked(self):
        """Return the position of the visible mark's tile."""
        at = box_in_picture(self.shown)
        page = page_in_sight(self.shown)
        boxes = {tuple(map(float, self.layout.tile_box(c))): c for c in self.layout.channels(page)}
        return boxes.get(tuple(round(edge, 1) for edge in at))


def page_in_sight(shown: Shown) -> int:
    return int(pixels_of(shown.figure.screenshot())[2, 2, 0]) // 40


def test_a_key_moves_the_mark_before_the_kernel_answers(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert grid.requested() == [1]
    assert grid.marked() == 1  # and the kernel has not answered
    for key in (
        "ArrowDown",
        "ArrowRight",
        "ArrowLeft",
        "ArrowLeft",
        "ArrowUp",
        "ArrowUp",
        "ArrowUp",
        "End",
        "Home",
    ):
        page.keyboard.press(key)
    assert grid.requested() == [1]
    assert grid.marked() == 0


def test_the_mark_moves_within_the_key_press_itself(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    left = grid.shown.evaluate("""(() => {
        const figure = document.querySelector(".fmw-figure");
        figure.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
        return document.querySelector(".fmw-mark").offsetLeft;
    })()""")
    assert left == grid.layout.tile_box(1).x


def test_answers_to_earlier_keys_do_not_move_the_mark_back(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    seen = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        seen.append(grid.marked())
    grid.choose(1)  # the result of the first of them
    seen.append(grid.marked())
    grid.answer()
    seen.append(grid.marked())
    assert grid.requested() == [1, 4]  # those between are not requested
    page.keyboard.press("ArrowDown")
    grid.choose(4)
    grid.answer()
    seen.append(grid.marked())
    assert grid.requested() == [1, 4, 17]
    grid.choose(17)
    grid.answer()
    seen.append(grid.marked())
    assert seen == [1, 2, 3, 4, 4, 4, 17, 17]


def test_the_kernel_has_the_last_word(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    grid.choose(50)  # a slider was moved; then the kernel refuses the request
    assert grid.marked() == 1
    grid.answer()
    assert grid.marked() == 50
    grid.choose(20)
    assert grid.marked() == 20
    page.keyboard.press("ArrowLeft")
    assert grid.requested() == [1, 19]


@pytest.mark.parametrize(
    ("start", "key", "place"),
    [
        (0, "ArrowLeft", 0), (0, "ArrowUp", 0), (0, "Home", 0), (0, "PageUp", 0), (5, "PageUp", 0),
        (5, "ArrowRight", 6), (5, "ArrowLeft", 4), (5, "ArrowDown", 18), (18, "ArrowUp", 5), (40, "Home", 0),
        (5, "PageDown", 83), (77, "ArrowRight", 78), (78, "ArrowLeft", 77), (90, "PageUp", 12),
        (5, "End", 299), (299, "ArrowRight", 299), (299, "ArrowDown", 299), (299, "PageDown", 299),
        (290, "PageDown", 299),
    ],
)  # fmt: skip
def test_where_each_key_leads(page, start, key, place):  # on pages of 6 rows of 13
    grid = Grid(page, start)
    assert (grid.layout.columns, grid.layout.page_size) == (13, 78)
    page.keyboard.press("Tab")
    page.keyboard.press(key)
    assert grid.requested() == ([place] if place != start else [])
    same_page = start // 78 == place // 78
    assert grid.marked() == (place if same_page else start)
    grid.choose(place)
    if place != start:
        grid.answer()
    page.wait_for_timeout(50)
    assert (page_in_sight(grid.shown), grid.marked()) == (place // 78, place)


def test_a_mark_on_another_page_waits_for_that_page(page):
    grid = Grid(page, 75)
    page.keyboard.press("Tab")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert grid.marked() == 77
    grid.choose(76)
    grid.answer()
    assert (grid.requested(), grid.marked()) == ([76, 80], 77)
    hold_decoding(page)
    grid.choose(80)
    grid.answer()
    page.wait_for_timeout(30)
    assert (page_in_sight(grid.shown), grid.marked()) == (0, 77)
    page.keyboard.press("ArrowRight")  # goes on from the tile that the keys reached
    assert grid.requested() == [76, 80, 81]
    page.evaluate("held.splice(0).forEach((release) => release())")
    page.wait_for_timeout(50)
    assert (page_in_sight(grid.shown), grid.marked()) == (1, 81)


def test_a_click_or_a_tap_moves_the_mark_at_once(browser):
    context = browser.new_context(has_touch=True)
    page = context.new_page()
    grid = Grid(page)
    left, top, *_ = box(grid.shown.figure)
    for place, press in ((14, page.mouse.click), (3, page.touchscreen.tap)):
        x, y, *_ = grid.layout.tile_box(place)
        press(left + x + 3, top + y - 5)  # its label
        assert grid.marked() == place
        press(left + x - 1, top + y + 5)  # between two tiles
        assert grid.marked() == place
        grid.answer()
        grid.answer()
    first, (x, y, *_) = messages(grid.shown, "click")[0].point, grid.layout.tile_box(14)
    assert (first.x, first.y) == pytest.approx((x + 3, y - 5), abs=0.5)
    context.close()


@pytest.mark.parametrize("shape", [(20, 30, 300), (1, 1, 1), (7, 7, 2048), (300, 9, 5), (112, 112, 17)])
def test_the_browser_finds_the_tiles_where_they_are(page, shape):
    page.add_script_tag(content=bundle("tiles.js"))
    layout = grid_layout(shape, order=np.random.default_rng(0).permutation(shape[-1]).tolist())
    for number in {0, layout.pages // 2, layout.pages - 1}:
        points = np.random.default_rng(number).uniform(0, (layout.width, layout.height), (300, 2)).tolist()
        check_tiles(page, layout, number, points)


def check_tiles(page_of_tiles, layout, number, points):
    tiles = layout.tiles(number)
    found = page_of_tiles.evaluate(
        "([tiles, points]) => points.map(([x, y]) => tileAt(tiles, { x, y }))", [tiles, points]
    )
    expected = [layout.channel_at(x, y, number) for x, y in points]
    assert found == [channel if channel is None else layout.order.index(channel) for channel in expected]
    places = [layout.order.index(channel) for channel in layout.channels(number)]
    boxes = page_of_tiles.evaluate(
        "([tiles, places]) => places.map((place) => tileBox(tiles, place))", [tiles, places]
    )
    assert boxes == [list(layout.tile_box(channel)) for channel in layout.channels(number)]
    outside = [places[0] - 1, places[-1] + 1]
    assert (
        page_of_tiles.evaluate("([t, p]) => p.map((one) => tileBox(t, one))", [tiles, outside]) == [None] * 2
    )


def test_keys_are_kept_from_the_page_and_others_are_not(page):
    Grid(page, 40)
    page.evaluate(
        "addEventListener('keydown', (e) => (window.heard ??= []).push([e.key, e.defaultPrevented]))"
    )
    page.keyboard.press("Tab")
    for key in (*KEYS, "a", "Control+ArrowLeft", "Alt+Home", "Shift+ArrowDown", "Shift+End"):
        page.keyboard.press(key)
    heard = page.evaluate("heard")
    assert ["a", False] in heard
    assert not any(prevented for _, prevented in heard)
    # The notebook's own shortcuts live on the document: they may hear modified keys, not the plain ones.
    assert [key for key, _ in heard if key in KEYS] == ["ArrowLeft", "Home", "End"]


def test_enter_and_a_double_click_ask_for_a_channel_alone(page):
    grid = Grid(page, 5)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # of the marked tile, whatever has reached the kernel
    grid.answer()
    assert [request.tile for request in messages(grid.shown, "open")] == [5, 6]
    assert grid.requested() == []
    left, top, *_ = box(grid.shown.figure)
    x, y, *_ = grid.layout.tile_box(17)
    page.mouse.dblclick(left + x + 4, top + y + 4)
    grid.shown.evaluate("void (model.answers = true)")
    grid.answer()
    page.mouse.dblclick(left + x - 1, top + y + 4)  # between two tiles
    assert [request.tile for request in messages(grid.shown, "open")] == [5, 6, 17]


def test_a_picture_without_tiles_opens_what_it_shows(page):
    view = PictureView(png=png(400, 300))
    view.on_open(lambda _tile: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown.figure.dblclick()
    assert [request.tile for request in messages(shown, "open")] == [None, None]


def test_shift_and_arrows_move_the_unit_and_are_added_up_while_the_kernel_is_busy(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    for key in ("Right", "Right", "Down", "Down", "Down", "Left"):
        page.keyboard.press(f"Shift+Arrow{key}")
    grid.answer()
    grid.answer()
    nudges = [(nudge.rows, nudge.columns) for nudge in messages(grid.shown, "nudge")]
    assert nudges == [(0, 1), (3, 0)]
    assert grid.requested() == []


def test_in_a_picture_without_tiles_arrows_alone_move_the_unit(page):
    view = PictureView(png=png(400, 300))
    view.on_nudge(lambda _rows, _columns: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    page.keyboard.press("Tab")
    for key in ("ArrowUp", "Shift+ArrowUp", "ArrowRight", "Home"):
        page.keyboard.press(key)
    assert [(nudge.rows, nudge.columns) for nudge in messages(shown, "nudge")] == [(-1, 0), (0, 1)]


def test_screen_readers_hear_what_keys_do_and_not_where_the_mouse_is(page):
    grid = Grid(page)
    spoken = grid.shown.page.get_by_role("status")
    left, top, *_ = box(grid.shown.figure)
    page.mouse.move(left + 50, top + 80)
    grid.shown.update(readout="under the mouse")
    page.locator(".fmw-readout", has_text="under the mouse").wait_for()
    assert spoken.text_content() == ""
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+ArrowRight")
    grid.shown.update(readout="moved by key")
    page.locator(".fmw-readout", has_text="moved by key").wait_for()
    assert spoken.text_content() == "moved by key"
    page.mouse.move(left + 60, top + 80)
    grid.shown.update(readout="mouse again")
    page.locator(".fmw-readout", has_text="mouse again").wait_for()
    assert spoken.text_content() == "moved by key"


def test_the_focus_is_seen_after_a_key_and_after_a_click_and_a_key(page):
    grid = Grid(page)
    outline = "getComputedStyle(document.querySelector('.fmw-figure')).outlineStyle"
    grid.shown.figure.click(position={"x": 100, "y": 100})
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.className").startswith("fmw-figure")
    assert page.evaluate(outline) == "solid"
