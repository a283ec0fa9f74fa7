"""One channel alone in Chromium, without a kernel: every value's position, and the gestures that move it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from fmwidget.frontend.messages import CloseZoom, Flip, HoverUnit, PinUnit, Step, ValuesRequest, parse_message
from fmwidget.frontend.zoom_view import ZoomView
from tests.browser.measures import Finger, contrast
from tests.browser.page import show

MIDDLE = (300, 250)


def indexed(rows, columns):
    """Encode a picture in which neighbours differ and the color gives the position, up to 200 × 1000."""
    y, x = np.mgrid[:rows, :columns]
    pixels = np.stack([y % 200 + 28, x % 200 + 28, x // 200 * 40 + (y + x) % 2 * 20], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue(), pixels


class Zoom:
    """A map alone in a room of 600 by 500 pixels, and the kernel's end of it, played by the test."""

    def __init__(self, page, rows, columns, *, width=600, height=585, around="", **traits) -> None:
        png, self.pixels = indexed(rows, columns)
        self.page = page
        view = ZoomView(shown=True, png=png, rows=rows, columns=columns, title="channel 3 of conv", **traits)
        for listen in (view.on_hover, view.on_pin, view.on_values_request, view.on_close):
            listen(lambda *_: None)
        self.shown = show(page, view, style=f"width: {width}px; height: {height}px; display: grid; {around}")
        self.stage = page.locator(".fmw-stage")
        self.stage.wait_for()
        page.wait_for_function("document.querySelector('.fmw-zoom-scale').textContent !== ''")

    def received(self, *kinds: type) -> list[Any]:
        messages = [parse_message(content) for content in self.shown.sent]
        assert None not in messages
        return [message for message in messages if isinstance(message, kinds)]

    def screen(self) -> np.ndarray[Any, Any]:
        """Return the map on screen, without the outline."""
        self.page.add_style_tag(content=".fmw-stage > .fmw-region { visibility: hidden }")
        return np.asarray(Image.open(io.BytesIO(self.stage.screenshot())).convert("RGB")).astype(int)

    def at(self, x, y) -> tuple[float, float]:
        """Return a position in the window from one in the stage."""
        bounds = self.stage.bounding_box()
        assert bounds is not None
        return bounds["x"] + x, bounds["y"] + y

    def scale(self) -> str:
        return str(self.page.locator(".fmw-zoom-scale").inner_text())

    def answer(self) -> None:
        """Answer the latest request for values as the kernel does: each value states its position."""
        window = self.received(ValuesRequest)[-1]
        rows = range(window.row, min(window.row + window.rows, len(self.pixels)))
        columns = range(window.column, min(window.column + window.columns, self.pixels.shape[1]))
        content = {
            "type": "values",
            "stamp": 0,
            "row": window.row,
            "column": window.column,
            "texts": [[f"{row}.{column}" for column in columns] for row in rows],
        }
        self.shown.evaluate("model.receive(argument)", content)


def blocks(screen, pixels):
    """Return the box of each value's colour on screen, and whether that box is full of it."""
    codes = screen @ (65536, 256, 1)
    order = np.argsort(codes, axis=None, kind="stable")
    colors, starts = np.unique(codes.ravel()[order], return_index=True)
    places = dict(zip(colors.tolist(), np.split(order, starts[1:]), strict=True))
    found = {}
    for (row, column), color in np.ndenumerate(pixels.astype(int) @ (65536, 256, 1)):
        if color in places:
            ys, xs = np.divmod(places[color], screen.shape[1])
            box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
            found[row, column] = (*box, len(ys) == box[2] * box[3])
    return found


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (3, 50), (40, 2)])
def test_every_value_is_one_block_and_all_are_the_same_size(page, shape):
    zoom = Zoom(page, *shape)
    found = blocks(zoom.screen(), zoom.pixels)
    assert len(found) == shape[0] * shape[1]
    assert all(full for *_, full in found.values())
    [size] = {(width, height) for _, _, width, height, _ in found.values()}
    assert size[0] == size[1]
    room = zoom.stage.bounding_box()
    assert size[0] == min(192, int(min(room["width"] / shape[1], room["height"] / shape[0])))
    x, y, *_ = found[0, 0]
    for (row, column), (left, top, *_) in found.items():
        assert (left - x, top - y) == (column * size[0], row * size[1])
    assert zoom.scale() == f"{size[0]} px a value"


@pytest.mark.parametrize("shape", [(512, 1024), (1024, 512), (300, 3000)])
def test_a_map_larger_than_the_room_is_seen_whole_and_averaged(page, shape):
    zoom = Zoom(page, *shape)
    room = zoom.stage.bounding_box()
    share = min(room["width"] / shape[1], room["height"] / shape[0])
    assert zoom.scale() == f"{round(100 * share)} %"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "fmw-stage":
            break
    for _ in range(6):
        page.keyboard.press("+")
    assert zoom.scale().endswith("px a value")


def test_the_wheel_zooms_about_the_pointer_and_back_to_the_whole(page):
    zoom = Zoom(page, 50, 60)
    before = zoom.screen()
    page.mouse.move(*zoom.at(200.5, 100.5))
    under = before[100, 200]
    sizes = [zoom.scale()]
    for _ in range(8):
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(30)
        sizes.append(zoom.scale())
        near = zoom.screen()[98:104, 198:204].reshape(-1, 3)
        assert (near == under).all(axis=1).any(), "the value that was under the pointer is under it still"
    assert [int(size.split()[0]) for size in sizes] == sorted({int(size.split()[0]) for size in sizes})
    assert page.evaluate("scrollY") == 0
    for _ in range(12):
        page.mouse.wheel(0, 300)
    page.wait_for_timeout(50)
    assert (zoom.screen() == before).all()


def test_a_wheel_beside_the_map_scrolls_the_page(page):
    zoom = Zoom(page, 7, 7, around="margin-bottom: 3000px")
    page.mouse.move(*zoom.at(100, 100))
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(100)
    assert page.evaluate("scrollY") == 0
    zoom.shown.update(shown=False)
    zoom.stage.wait_for(state="hidden")
    page.mouse.wheel(0, 300)
    page.wait_for_function("scrollY > 0")


def test_dragging_moves_the_map_as_far_as_its_edges_and_is_no_click(page):
    zoom = Zoom(page, 50, 60)
    page.mouse.move(*zoom.at(*MIDDLE))
    for _ in range(6):
        page.mouse.wheel(0, -200)
    page.wait_for_timeout(50)
    before = zoom.screen()
    page.mouse.down()
    page.mouse.move(*zoom.at(MIDDLE[0] + 40, MIDDLE[1] - 30), steps=5)
    page.mouse.up()
    page.wait_for_timeout(30)
    after = zoom.screen()
    assert (after[:-40, 50:] == before[30:-10, 10:-40]).all()
    assert zoom.received(PinUnit) == []
    page.mouse.down()
    page.mouse.move(*zoom.at(5000, 5000), steps=3)
    page.mouse.up()
    page.wait_for_timeout(30)
    assert (zoom.screen()[0, 0] == zoom.pixels[0, 0]).all()


def test_two_fingers_zoom_one_moves_and_a_tap_picks(browser):
    context = browser.new_context(has_touch=True, viewport={"width": 700, "height": 800})
    page = context.new_page()
    zoom = Zoom(page, 50, 60, around="margin-bottom: 3000px")
    finger = Finger(page)
    size = int(zoom.scale().split()[0])
    x, y = zoom.at(*MIDDLE)
    finger.down(x - 30, y, x + 30, y)
    for spread in (60, 90, 120):
        finger.move(x - spread, y, x + spread, y)
    finger.up()
    page.wait_for_timeout(50)
    assert int(zoom.scale().split()[0]) == pytest.approx(4 * size, abs=2)
    assert zoom.received(PinUnit) == []

    before = zoom.screen()
    finger.down(x, y)
    finger.move(x - 20, y - 20)
    finger.move(x - 50, y - 40)
    finger.up()
    page.wait_for_timeout(50)
    assert (zoom.screen()[:-60, :-60] == before[40:-20, 50:-10]).all()
    assert page.evaluate("scrollY") == 0

    page.touchscreen.tap(x, y)
    page.wait_for_timeout(50)
    [pin] = zoom.received(PinUnit)
    assert (zoom.pixels[pin.position] == zoom.screen()[MIDDLE[1], MIDDLE[0]]).all()
    context.close()


def test_the_unit_under_the_pointer_is_the_one_that_is_seen_there(page):
    zoom = Zoom(page, 50, 60)
    screen = zoom.screen()
    for x, y in ((100, 100), (301, 33), (555, 420), (2, 2)):
        page.mouse.move(*zoom.at(x + 0.5, y + 0.5))
        found = zoom.received(HoverUnit)[-1].position
        color = screen[y, x]
        inside = (color == zoom.pixels.reshape(-1, 3)).all(axis=1).any()
        assert (found is not None) == inside
        if found:
            assert (zoom.pixels[found] == color).all()
    page.mouse.move(1, 1)
    assert zoom.received(HoverUnit)[-1].position is None


def test_arrows_step_from_value_to_value_at_once_and_keep_it_in_sight(page):
    zoom = Zoom(page, 50, 60)
    focus(page, zoom)
    outline = page.locator(".fmw-stage > .fmw-region")
    page.keyboard.press("ArrowRight")
    assert zoom.received(PinUnit) == [PinUnit((24, 29))]  # begins in the middle
    zoom.shown.update(unit=[24, 29])
    zoom.shown.evaluate("void (model.answers = false)")
    for key in ("Right", "Right", "Down", "Left"):
        page.keyboard.press(f"Arrow{key}")
    first = outline.bounding_box()
    zoom.shown.update(unit=[24, 30])  # of an earlier key
    page.wait_for_timeout(30)
    assert outline.bounding_box() == first
    for _ in range(4):
        page.keyboard.press("+")
    for _ in range(45):
        page.keyboard.press("ArrowUp")
    page.wait_for_timeout(30)
    inner, room = outline.bounding_box(), zoom.stage.bounding_box()
    assert room["y"] <= inner["y"]
    assert inner["y"] + inner["height"] <= room["y"] + room["height"]
    zoom.shown.evaluate("model.answer()")
    assert zoom.received(PinUnit)[-1] == PinUnit((0, 30))


def test_keys_zoom_move_and_return(page):
    zoom = Zoom(page, 50, 60)
    focus(page, zoom)
    whole = zoom.screen()
    sizes = []
    for key in ("+", "=", "-"):
        page.keyboard.press(key)
        sizes.append(int(zoom.scale().split()[0]))
    assert sizes[1] > sizes[0] == sizes[2]
    before = zoom.screen()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(30)
    assert (zoom.screen()[:, :-70] == before[:, 60:-10]).all()
    page.keyboard.press("0")
    page.wait_for_timeout(30)
    assert (zoom.screen() == whole).all()
    page.evaluate("addEventListener('keydown', (event) => (window.heard ??= []).push(event.key))")
    for key in ("a", "+", "ArrowUp", "Control+ArrowUp", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate("heard.filter((key) => key !== 'Control')") == ["a", "ArrowUp"]
    assert zoom.received(CloseZoom) == [CloseZoom()]


def test_keys_flip_the_sides_and_step_through_training_where_python_listens(page):
    zoom = Zoom(page, 20, 20)
    events = zoom.shown.widget._events
    zoom.stage.focus()
    hint = page.locator(".fmw-zoom-hint")
    plain = hint.inner_text()
    for key in "t,.":
        page.keyboard.press(key)
    assert zoom.received(Flip, Step) == []
    zoom.shown.update(_events=[*events, "flip", "step"])
    for key in "t,..":
        page.keyboard.press(key)
    assert zoom.received(Flip, Step) == [Flip(), Step(-1), Step(1), Step(1)]
    assert hint.inner_text() == f"{plain} · t flips A and B · , and . step through training"
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("t")  # there it is a key of the notebook
    assert len(zoom.received(Flip)) == 1


def test_buttons_do_what_they_say(page):
    zoom = Zoom(page, 50, 60)
    size = zoom.scale()
    page.get_by_role("button", name="Zoom in").click()
    assert zoom.scale() != size
    page.get_by_role("button", name="Zoom out").click()
    assert zoom.scale() == size
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Whole map").click()
    assert zoom.scale() == size
    page.get_by_role("button", name="Close").click()
    assert not zoom.stage.is_visible()
    assert zoom.received(CloseZoom) == [CloseZoom()]


def test_values_are_asked_for_only_where_they_fit_and_only_in_sight(page):
    zoom = Zoom(page, 224, 224)
    assert zoom.received(ValuesRequest) == []
    focus(page, zoom)
    for _ in range(12):
        page.keyboard.press("+")
        size = float(zoom.scale().split()[0])
        requests = zoom.received(ValuesRequest)
        assert bool(requests) == (size >= 44)
        if requests:
            window, room = requests[-1], zoom.stage.bounding_box()
            assert window.rows * window.columns <= 600
            assert abs(window.rows - room["height"] / size) <= 2
            assert abs(window.columns - room["width"] / size) <= 2
    count = len(zoom.received(ValuesRequest))
    zoom.answer()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert len(zoom.received(ValuesRequest)) > count


def test_values_stand_in_their_cells_in_a_colour_that_can_be_read(page):
    zoom = Zoom(page, 7, 7)
    empty = zoom.screen()
    record_texts(page)
    zoom.answer()
    page.wait_for_timeout(30)
    screen, room = zoom.screen(), zoom.stage.bounding_box()
    size = int(zoom.scale().split()[0])
    left, top = ((room[side] - 7 * size) // 2 for side in ("width", "height"))
    texts = page.evaluate("texts")
    assert len(texts) == 49
    for text, x, y, color in texts:
        row, column = map(int, text.split("."))
        assert (x, y) == pytest.approx((left + (column + 0.5) * size, top + (row + 0.5) * size), abs=1)
        assert contrast(color, zoom.pixels[row, column]) >= 4.5
    assert (screen != empty).any()
    # Of other values than those on screen, none are written.
    zoom.shown.update(stamp=1)
    page.wait_for_timeout(30)
    assert (zoom.screen() == empty).all()


def test_a_map_of_another_size_is_seen_whole_and_one_of_the_same_stays_where_it_is(page):
    zoom = Zoom(page, 50, 60)
    focus(page, zoom)
    page.keyboard.press("+")
    size = zoom.scale()
    png, _ = indexed(50, 60)
    zoom.shown.update(png=png, stamp=1, title="channel 4 of conv")
    page.get_by_role("application", name="channel 4 of conv").wait_for()
    assert zoom.scale() == size
    png, zoom.pixels = indexed(10, 10)
    zoom.shown.update(png=png, rows=10, columns=10, stamp=2)
    page.wait_for_timeout(60)
    assert len(blocks(zoom.screen(), zoom.pixels)) == 100


def test_it_opens_where_the_focus_was_and_gives_it_back(page):
    zoom = Zoom(page, 7, 7)
    zoom.shown.update(shown=False)
    zoom.stage.wait_for(state="hidden")
    page.evaluate("""() => {
        const button = document.createElement("button");
        button.id = "opener";
        document.querySelector("#output").append(button);
        button.focus();
    }""")
    zoom.shown.update(shown=True)
    zoom.stage.wait_for()
    assert page.evaluate("document.activeElement.className") == "fmw-stage"
    page.keyboard.press("Escape")  # away at once: the kernel has not answered
    assert not zoom.stage.is_visible()
    assert page.evaluate("document.activeElement.id") == "opener"
    zoom.shown.update(title="something else")  # does not bring it back
    page.wait_for_timeout(30)
    assert not zoom.stage.is_visible()
    zoom.shown.update(shown=False)
    zoom.shown.update(shown=True)
    zoom.stage.wait_for()
    zoom.shown.update(shown=False)  # by Python
    zoom.stage.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "opener"


def test_a_second_view_leaves_the_focus_alone(page):
    zoom = Zoom(page, 7, 7)
    page.evaluate("document.activeElement.blur()")
    zoom.shown.evaluate("addView(model)")
    page.wait_for_function("document.querySelectorAll('.fmw-stage').length === 2")
    assert page.evaluate("document.activeElement === document.body")


def test_screen_readers_hear_what_keys_reach_and_everything_has_a_name(page):
    zoom = Zoom(page, 7, 7)
    assert page.get_by_role("dialog", name="channel 3 of conv").is_visible()
    stage = page.get_by_role("application", name="channel 3 of conv")
    hint = page.locator(f"#{stage.get_attribute('aria-describedby')}")
    assert "Esc returns" in hint.inner_text()
    spoken = page.get_by_role("status")
    page.mouse.move(*zoom.at(*MIDDLE))
    zoom.shown.update(readout="by mouse")
    page.locator(".fmw-readout", has_text="by mouse").wait_for()
    assert spoken.text_content() == ""
    focus(page, zoom)
    page.keyboard.press("ArrowUp")
    zoom.shown.update(readout="by key")
    page.locator(".fmw-readout", has_text="by key").wait_for()
    assert spoken.text_content() == "by key"


@pytest.mark.parametrize("background", ["white", "#111"])
def test_axe_finds_nothing_to_complain_of(page, background):
    color = "black" if background == "white" else "#eee"
    Zoom(page, 7, 7, around=f"background: {background}; color: {color}", readout="channel 3", unit=[1, 2])
    found = Axe().run(page, context="#output").response
    assert found["passes"], "nothing was checked"
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_names_are_text_whatever_is_in_them(page):
    hostile = '<img src=x onerror="window.hacked = true">'
    zoom = Zoom(page, 7, 7)
    zoom.shown.update(title=hostile, readout=hostile)
    page.locator(".fmw-readout", has_text="<img").wait_for()
    assert page.locator(".fmw-zoom-title").inner_text() == hostile
    assert page.evaluate("window.hacked") is None


def test_it_gives_everything_back(page):
    zoom = Zoom(page, 7, 7)
    zoom.shown.remove()
    page.wait_for_timeout(50)
    assert zoom.shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    assert page.locator(".view *").count() == 0


@pytest.mark.parametrize("ratio", [1.5, 2])
def test_values_are_whole_device_pixels_on_dense_screens(browser, ratio):
    context = browser.new_context(device_scale_factor=ratio, viewport={"width": 700, "height": 700})
    page = context.new_page()
    zoom = Zoom(page, 41, 37)
    found = blocks(zoom.screen(), zoom.pixels)
    assert len(found) == 41 * 37
    assert len({(width, height) for _, _, width, height, _ in found.values()}) == 1
    context.close()


# Measures


def focus(page, zoom):
    """Give the map the focus without touching it."""
    zoom.stage.evaluate("(stage) => stage.focus()")


def record_texts(page):
    """Record what is written on canvases in the page's `texts`: text, position and colour."""
    page.evaluate("""() => {
        window.texts = [];
        const { fillText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
            const color = this.fillStyle === "#000000" ? [0, 0, 0] : [255, 255, 255];
            texts.push([text, x, y, color]);
            return fillText.call(this, text, x, y, ...rest);
        };
    }""")
