"""The front-end pieces in Chromium, without a kernel: what a reader sees, points at and hears."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from fmwidget.frontend import EXPORT, FOLDER
from fmwidget.grid import grid_layout
from fmwidget.messages import parse_message
from fmwidget.view import PictureView, ThumbnailPicker
from tests.browser.page import show

if TYPE_CHECKING:
    from tests.browser.page import Shown

HOSTILE = '<img src=x onerror="window.hacked = true"> \u202eevil\u202c &amp; "quoted"'


def png(width=64, height=48, color=(200, 30, 30)):
    """A picture of one colour."""
    return encoded(np.full((height, width, 3), color, np.uint8))


def noise(width, height, seed=0):
    """A picture in which no two neighbours are alike, so that any resampling shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def pixels_of(screenshot):
    return np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB"))


def view_of(data=None, width=400, height=300, **traits):
    """A picture that is listened to in every way."""
    view = PictureView(png=data or png(width, height), width=width, height=height, **traits)
    view.on_point(lambda _x, _y: None)
    view.on_place(lambda _place: None)
    view.on_nudge(lambda _rows, _columns: None)
    view.on_surroundings(lambda _surroundings: None)
    return view


def messages(shown: Shown, kind: str) -> list[Any]:
    """What the front end sent of one kind, as Python reads it."""
    return [parse_message(content) for content in shown.sent if content["type"] == kind]


def wait_for_picture(shown: Shown, width: int) -> None:
    shown.page.wait_for_function(
        "width => [...document.querySelectorAll('.fmw-figure')].every("
        "  (figure) => figure.querySelector('img')?.naturalWidth === width)",
        arg=width,
    )


# The picture


def test_no_frame_is_blank_while_pictures_change(page):
    # Large and hard to compress, so that decoding takes longer than a frame; each of its own width.
    gray = noise(800, 500)[..., 0] // 64
    widths = range(799, 769, -1)
    shown = show(page, view_of(encoded(gray), 800, 500))
    wait_for_picture(shown, 800)
    shown.evaluate("window.pictures = revive(argument)", [encoded(gray[:, :width]) for width in widths])
    frames = page.evaluate("""async () => {
        const frames = [];
        const look = () => {
            frames.push([...document.querySelectorAll(".fmw-figure img")].map((image) => [
                image.complete, image.naturalWidth, image.clientWidth, urls.has(image.src)]));
            sampling = requestAnimationFrame(look);
        };
        let sampling = requestAnimationFrame(look);
        let width = 799;
        for (const png of pictures) {
            models[0].update({ png, width });
            width -= 1;
            // Some come alone, some while another is being decoded.
            if (width % 3 === 0) await new Promise((wake) => setTimeout(wake, 60));
        }
        await new Promise((wake) => setTimeout(wake, 200));
        cancelAnimationFrame(sampling);
        return frames;
    }""")
    # In every frame there is one picture, loaded, at its own size, and never an older one than before.
    assert all(len(images) == 1 for images in frames)
    seen = [images[0][1] for images in frames]
    assert all(images[0] == [True, width, width, True] for images, width in zip(frames, seen, strict=True))
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == widths[-1]
    assert len(set(seen)) >= 10


def test_no_frame_that_is_painted_lacks_the_picture(page):
    gray = noise(800, 500)[..., 0] // 64
    shown = show(page, view_of(encoded(gray), 800, 500))
    wait_for_picture(shown, 800)
    shown.evaluate(
        "window.pictures = revive(argument)", [encoded(gray[:, :width]) for width in range(799, 759, -1)]
    )
    session, frames = page.context.new_cdp_session(page), []

    def painted(event):
        frames.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(event["data"]))).convert("L")))
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", painted)
    session.send("Page.startScreencast", {"format": "png"})
    page.evaluate("""async () => {
        for (const [place, png] of pictures.entries()) {
            models[0].update({ png, width: 799 - place });
            await new Promise((wake) => setTimeout(wake, 40));
        }
    }""")
    page.wait_for_timeout(300)
    session.send("Page.stopScreencast")
    assert len(frames) >= 10
    assert all(set(np.unique(frame[150:350, 100:500])) == {0, 1, 2, 3} for frame in frames), "noise, no paper"


def test_the_latest_picture_stays_and_those_it_overtook_are_never_decoded(page):
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    hold_decoding(page)
    for width in range(401, 411):
        shown.update(png=png(width, 300), width=width)
    assert page.evaluate("held.length") == 1
    page.evaluate("held.shift()()")
    wait_for_picture(shown, 401)
    page.wait_for_function("held.length === 1")
    page.evaluate("held.shift()()")
    wait_for_picture(shown, 410)
    assert page.evaluate("held.length") == 0
    assert shown.left_over()["urls"] == 1


def test_size_mark_and_alt_text_wait_for_the_picture_they_belong_to(page):
    shown = show(page, view_of(mark=[10, 20, 30, 40], alt="first"))
    wait_for_picture(shown, 400)
    hold_decoding(page)
    shown.update(png=png(200, 100), width=200, height=100, mark=[1, 2, 3, 4], alt="second")
    assert box(shown.figure)[2:] == (400, 300)
    assert box_in_picture(shown) == (10, 20, 30, 40)
    assert shown.figure.locator("img").get_attribute("alt") == "first"
    shown.update(mark=[5, 6, 7, 8])  # in the second picture, before it is there
    page.evaluate("held.shift()()")
    wait_for_picture(shown, 200)
    assert box(shown.figure)[2:] == (200, 100)
    assert box_in_picture(shown) == (5, 6, 7, 8)
    assert shown.figure.locator("img").get_attribute("alt") == "second"


def test_the_mark_moves_at_once_and_can_be_taken_away(page):
    shown = show(page, view_of(mark=[10, 20, 30, 40]))
    wait_for_picture(shown, 400)
    read = "getComputedStyle(document.querySelector('.fmw-mark')).left"
    assert shown.evaluate(f"(model.update({{mark: [50, 60, 30, 40]}}), await null, {read})") == "50px"
    assert box_in_picture(shown) == (50, 60, 30, 40)
    shown.update(mark=[])
    assert not page.locator(".fmw-mark").is_visible()


def test_a_picture_that_cannot_be_decoded_leaves_the_last_one(page):
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    for bad in (b"\x89PNG\r\n\x1a\n", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        shown.update(png=bad, width=500)
    page.wait_for_timeout(100)
    wait_for_picture(shown, 400)
    assert box(shown.figure)[2:] == (400, 300)
    assert errors
    assert shown.left_over()["urls"] == 1
    shown.update(png=png(410, 300), width=410)
    wait_for_picture(shown, 410)


def test_no_bytes_show_nothing(page):
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    shown.update(png=b"")
    shown.figure.wait_for(state="hidden")
    assert shown.left_over()["urls"] == 0


@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_every_pixel_of_the_picture_is_a_pixel_of_the_screen(browser_type, browser_type_launch_args, ratio):
    # A browser of its own, for a ratio that is only emulated for a page rounds to CSS px.
    arguments = [*browser_type_launch_args["args"], f"--force-device-scale-factor={ratio}"]
    browser = browser_type.launch(**browser_type_launch_args | {"args": arguments})
    expected = noise(431, 277)
    for parent in (
        "",
        "display: flex; flex-direction: column; height: 400px",
        "display: flex; align-items: stretch; height: 400px",
        "display: grid; height: 400px",
    ):
        page = browser.new_page(no_viewport=True)
        view = view_of(encoded(expected), 431 / ratio, 277 / ratio)
        shown = show(page, view, style=f"width: 500px; {parent}")
        wait_for_picture(shown, 431)
        left, top, *_ = (round(side * ratio) for side in box(shown.figure))
        session = page.context.new_cdp_session(page)  # Playwright's own screenshot rounds as well
        screen = pixels_of(base64.b64decode(session.send("Page.captureScreenshot")["data"]))
        np.testing.assert_array_equal(screen[top : top + 277, left : left + 431], expected)
    browser.close()


@pytest.mark.parametrize("room", [600, 200])
def test_a_click_is_reported_in_the_pictures_own_pixels(page, room):
    shown = show(page, view_of(), style=f"width: {room}px; margin: 33px")
    wait_for_picture(shown, 400)
    left, top, width, height = box(shown.figure)
    assert (width, height) == (min(room, 400), min(room, 400) * 3 / 4)
    for x, y in ((0.5, 0.5), (100, 200), (399, 299)):
        page.mouse.click(left + x * width / 400, top + y * width / 400)
    points = [(point.x, point.y) for point in messages(shown, "point")]
    assert points == [pytest.approx(at, abs=400 / width) for at in ((0.5, 0.5), (100, 200), (399, 299))]


def test_a_tap_is_a_click(browser):
    context = browser.new_context(has_touch=True)
    page = context.new_page()
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    left, top, *_ = box(shown.figure)
    page.touchscreen.tap(left + 100, top + 200)
    [point] = messages(shown, "point")
    assert (point.x, point.y) == pytest.approx((100, 200), abs=1)
    context.close()


def test_the_mark_keeps_to_its_tile_when_the_picture_is_shrunk(page):
    shown = show(page, view_of(mark=[100, 60, 40, 20]), style="width: 200px")
    wait_for_picture(shown, 400)
    assert box_in_picture(shown) == (50, 30, 20, 10)
    page.locator("#output").evaluate("(output) => { output.style.width = '100px' }")
    assert box_in_picture(shown) == (25, 15, 10, 5)


def test_a_shrunk_picture_is_averaged_and_drops_no_pixels(page):
    stripes = np.zeros((300, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    shown = show(page, view_of(encoded(stripes)), style="width: 200px")
    wait_for_picture(shown, 400)
    screen = pixels_of(shown.figure.screenshot())
    assert 90 < screen.mean() < 165
    assert screen.std() < 30


@pytest.mark.parametrize("background", ["ffffff", "000000", "808080", "fde725", "440154", "ff0000"])
def test_the_mark_stands_out_from_any_colour(page, background):
    plain = png(400, 300, tuple(bytes.fromhex(background)))
    shown = show(page, view_of(plain, mark=[100, 100, 50, 50]))
    wait_for_picture(shown, 400)
    row = pixels_of(shown.figure.screenshot())[125, 90:101]
    contrasts = [contrast(pixel, row[0]) for pixel in row]
    assert max(contrasts) > 4.5
    assert contrast(row.max(axis=0), row.min(axis=0)) > 15


# Its tiles

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
        """What the kernel says when a tile is chosen."""
        page = self.layout.page_of(place)
        return {
            "data": encoded(np.full((self.layout.height, 600, 3), 40 * page, np.uint8)),
            "width": 600,
            "height": self.layout.height,
            "mark": list(map(float, self.layout.tile_box(place))),
            "tiles": self.layout.tiles(page),
            "place": place,
        }

    def choose(self, place):
        """The kernel takes a choice, and then says that it has answered."""
        state = self.state(place)
        self.shown.update(png=state.pop("data"), **state)

    def answer(self):
        self.shown.evaluate("model.answer()")

    def asked(self):
        """What the kernel has been asked to choose."""
        return [message.place for message in messages(self.shown, "place")]

    def marked(self):
        """The place of the tile that the mark is at, as far as can be seen."""
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
    assert grid.asked() == [1]
    assert grid.marked() == 1  # and nobody has answered
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
    assert grid.asked() == [1]
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
    grid.choose(1)  # what came of the first of them
    seen.append(grid.marked())
    grid.answer()
    seen.append(grid.marked())
    assert grid.asked() == [1, 4]  # those between are not asked for
    page.keyboard.press("ArrowDown")
    grid.choose(4)
    grid.answer()
    seen.append(grid.marked())
    assert grid.asked() == [1, 4, 17]
    grid.choose(17)
    grid.answer()
    seen.append(grid.marked())
    assert seen == [1, 2, 3, 4, 4, 4, 17, 17]


def test_the_kernel_has_the_last_word(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    grid.choose(50)  # somebody moved a slider; then the kernel refuses what was asked
    assert grid.marked() == 1
    grid.answer()
    assert grid.marked() == 50
    grid.choose(20)
    assert grid.marked() == 20
    page.keyboard.press("ArrowLeft")
    assert grid.asked() == [1, 19]


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
    assert grid.asked() == ([place] if place != start else [])
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
    assert (grid.asked(), grid.marked()) == ([76, 80], 77)
    hold_decoding(page)
    grid.choose(80)
    grid.answer()
    page.wait_for_timeout(30)
    assert (page_in_sight(grid.shown), grid.marked()) == (0, 77)
    page.keyboard.press("ArrowRight")  # goes on from where the keys have led
    assert grid.asked() == [76, 80, 81]
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
    first, (x, y, *_) = messages(grid.shown, "point")[0], grid.layout.tile_box(14)
    assert (first.x, first.y) == pytest.approx((x + 3, y - 5), abs=0.5)
    context.close()


@pytest.mark.parametrize("shape", [(20, 30, 300), (1, 1, 1), (7, 7, 2048), (300, 9, 5), (112, 112, 17)])
def test_the_browser_finds_the_tiles_where_they_are(page, shape):
    module = (FOLDER / "tiles.js").read_text(encoding="utf-8")
    page.add_script_tag(content=EXPORT.sub("", module))
    layout = grid_layout(shape, order=np.random.default_rng(0).permutation(shape[-1]).tolist())
    for number in {0, layout.pages // 2, layout.pages - 1}:
        points = np.random.default_rng(number).uniform(0, (layout.width, layout.height), (300, 2)).tolist()
        check_tiles(page, layout, number, points)


def check_tiles(page_of_tiles, layout, number, points):
    tiles = layout.tiles(number)
    found = page_of_tiles.evaluate(
        "([tiles, points]) => points.map(([x, y]) => placeAt(tiles, { x, y }))", [tiles, points]
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


def test_shift_and_arrows_move_the_unit_and_are_added_up_while_the_kernel_is_busy(page):
    grid = Grid(page)
    page.keyboard.press("Tab")
    for key in ("Right", "Right", "Down", "Down", "Down", "Left"):
        page.keyboard.press(f"Shift+Arrow{key}")
    grid.answer()
    grid.answer()
    nudges = [(nudge.rows, nudge.columns) for nudge in messages(grid.shown, "nudge")]
    assert nudges == [(0, 1), (3, 0)]
    assert grid.asked() == []


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


# Pointing at it


def test_one_question_is_on_its_way_at_a_time_and_the_latest_wins(page):
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    shown.evaluate("void (model.answers = false)")
    left, top, *_ = box(shown.figure)
    for x in range(10, 200, 10):
        page.mouse.move(left + x, top + 50)
    assert hovers(shown) == [(10, 50)]
    shown.evaluate("model.receive({type: 'answered', id: 'of another view'}), model.receive(null)")
    assert len(hovers(shown)) == 1
    shown.evaluate("model.answer()")
    assert hovers(shown) == [(10, 50), (190, 50)]
    page.mouse.move(left + 20, top + 60)
    page.mouse.move(left + 20, top + 1000)  # away
    shown.evaluate("model.answer()")
    assert hovers(shown) == [(10, 50), (190, 50), None]
    shown.evaluate("model.answer()")
    assert len(hovers(shown)) == 3


def test_a_lost_answer_does_not_silence_the_pointer(page):
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    shown.evaluate("void (model.answers = false)")
    left, top, *_ = box(shown.figure)
    page.mouse.move(left + 10, top + 10)
    page.evaluate("const { now } = performance; performance.now = () => now.call(performance) + 20000")
    page.mouse.move(left + 30, top + 10)
    assert hovers(shown) == [(10, 10), (30, 10)]


def test_the_readout_has_its_place_whatever_it_says(page):
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view, style="width: 300px")
    wait_for_picture(shown, 400)
    below = page.locator("#output").evaluate_handle(
        "(output) => output.appendChild(document.createElement('p'))"
    )
    before, size = below.bounding_box(), box(page.locator(".fmw-readout"))
    for text in ("channel  7  row   3  value 0.1", "wide " * 100, HOSTILE, "two\nlines", ""):
        shown.update(readout=text)
        page.wait_for_timeout(20)
        assert page.locator(".fmw-readout").text_content() == text
        assert below.bounding_box() == before
        assert box(page.locator(".fmw-readout")) == size
    assert page.evaluate("window.hacked") is None


def test_what_says_nothing_and_is_not_pointed_at_has_no_readout(page):
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    assert not page.locator(".fmw-readout").is_visible()
    shown.update(readout="something")
    page.locator(".fmw-readout").wait_for()


@pytest.mark.parametrize("room", [500, 200])
@pytest.mark.parametrize(
    ("region", "seen"),
    [
        ([100, 60, 40, 20], (98, 58, 142, 82)),
        ([-50, -70, 100, 100], (0, 0, 52, 32)),
        ([390, 290, 100, 100], (388, 288, 400, 300)),
        ([-10, -10, 900, 900], (0, 0, 400, 300)),
        ([100.25, 60.5, 0.5, 0.5], (98.25, 58.5, 102.75, 63)),
        ([400, 0, 10, 10], None),
        ([-10, 0, 10, 10], None),
        ([], None),
    ],
)
def test_a_region_is_outlined_as_far_as_the_picture_goes(page, room, region, seen):
    shown = show(page, view_of(mark=[5, 5, 10, 10]), style=f"width: {room}px")
    wait_for_picture(shown, 400)
    shown.update(region=region)
    outline = page.locator(".fmw-region")
    if seen is None:
        outline.wait_for(state="hidden")
        return
    outline.wait_for()
    left, top, width, _ = box(shown.figure)
    x, y, wide, high = box(outline)
    factor = width / 400
    inner = [edge * factor for edge in region]
    expected = (
        max(0, inner[0] - 2),
        max(0, inner[1] - 2),
        min(width, inner[0] + inner[2] + 2),
        min(width * 3 / 4, inner[1] + inner[3] + 2),
    )
    assert (x - left, y - top, x - left + wide, y - top + high) == pytest.approx(expected, abs=0.1)
    if factor == 1:
        assert expected == pytest.approx(seen)


@pytest.mark.parametrize("background", ["ffffff", "000000", "808080", "fde725", "440154"])
def test_the_region_stands_out_and_is_not_taken_for_the_mark(page, background):
    plain = png(400, 300, tuple(bytes.fromhex(background)))
    shown = show(page, view_of(plain, region=[100, 100, 100, 100]))
    wait_for_picture(shown, 400)
    edge = pixels_of(shown.figure.screenshot())[100:200, 98]
    assert contrast(edge.max(axis=0), edge.min(axis=0)) > 15  # dashes, where the mark has one colour
    assert (np.diff(edge[:, 0].astype(int) > 128) != 0).sum() > 8


def test_a_long_press_points_and_moving_before_scrolls(browser):
    context = browser.new_context(has_touch=True, viewport={"width": 600, "height": 500})
    page = context.new_page()
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view, style="height: 3000px")
    wait_for_picture(shown, 400)
    left, top, *_ = box(shown.figure)
    finger = Finger(page)

    finger.down(left + 100, top + 200)
    finger.move(left + 100, top + 150)
    finger.move(left + 100, top + 60)
    finger.up()
    page.wait_for_function("scrollY > 50")
    assert hovers(shown) == []

    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("scrollY === 0")
    finger.down(left + 100, top + 200)
    page.wait_for_function("models[0].sent.some(({ type }) => type === 'hover')")
    for y in (190, 150, 100):
        finger.move(left + 50, top + y)
    finger.up()
    page.wait_for_timeout(100)
    assert [hovers(shown)[0], hovers(shown)[-1]] == [(100, 200), (50, 100)]
    assert page.evaluate("scrollY") == 0
    assert messages(shown, "point") == []

    page.touchscreen.tap(left + 10, top + 20)
    assert len(messages(shown, "point")) == 1
    assert hovers(shown)[-1] == (50, 100)
    context.close()


def test_the_picture_has_a_name_a_description_and_a_visible_focus(page):
    shown = show(page, view_of(label="Feature maps", alt=HOSTILE))
    wait_for_picture(shown, 400)
    picture = page.get_by_role("application", name="Feature maps")
    image = picture.locator("img")
    assert image.get_attribute("alt") == HOSTILE
    assert picture.get_attribute("aria-describedby") == image.get_attribute("id")
    before = pixels_of(page.screenshot())
    page.keyboard.press("Tab")
    assert picture.evaluate("(element) => element === document.activeElement")
    assert (pixels_of(page.screenshot()) != before).any()
    shown.update(label="Another", alt="else")
    assert page.get_by_role("application", name="Another").locator("img").get_attribute("alt") == "else"
    assert page.evaluate("window.hacked") is None


def test_what_nobody_listens_to_is_not_sent_and_is_no_stop_for_the_tab_key(page):
    shown = show(page, PictureView(png=png(400, 300), label="Plain"))
    wait_for_picture(shown, 400)
    shown.figure.click()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement === document.body")
    assert page.get_by_role("figure", name="Plain").is_visible()
    assert shown.sent == []
    shown.update(_listening=["surroundings"])
    page.wait_for_function("models[0].sent.length === 1")


def test_two_views_of_one_model_both_show_it(page):
    shown = show(page, view_of(mark=[10, 10, 20, 20]))
    shown.evaluate("addView(model)")
    shown.update(png=png(410, 300), width=410, mark=[30, 30, 20, 20])
    wait_for_picture(shown, 410)
    assert page.locator(".fmw-figure img").count() == 2
    ids = page.evaluate("[...document.querySelectorAll('.fmw-figure img')].map((image) => image.id)")
    assert len(set(ids)) == 2
    for figure in page.locator(".fmw-figure").all():
        figure.click()
    assert len(messages(shown, "point")) == 2


# Its surroundings


@pytest.mark.parametrize(
    ("body", "scheme", "dark"),
    [
        ("data-jp-theme-light=false", "light", True),
        ("data-jp-theme-light=true style='background: #111'", "dark", False),
        ("class=vscode-dark", "light", True),
        ("class='vscode-high-contrast'", "light", True),
        ("class='vscode-high-contrast vscode-high-contrast-light'", "dark", False),
        ("style='background: #1e1e1e'", "light", True),
        ("style='background: white'", "dark", False),
        ("", "dark", True),
        ("", "light", False),
    ],
)
def test_the_view_reports_where_it_is_shown(page, body, scheme, dark):
    page.emulate_media(color_scheme=scheme)
    shown = show(page, view_of(), style="width: 612.5px", body=body)
    page.wait_for_function("models[0].sent.length === 1")
    [surroundings] = messages(shown, "surroundings")
    assert (surroundings.ratio, surroundings.dark, surroundings.width) == (1, dark, 612)


def test_changed_surroundings_are_reported_once_they_have_settled(page):
    shown = show(page, view_of(), style="width: 700px", body="data-jp-theme-light=true")
    page.wait_for_function("models[0].sent.length === 1")
    page.evaluate("""async () => {
        for (let width = 699; width >= 600; width -= 9) {
            document.querySelector("#output").style.width = `${width}px`;
            await new Promise(requestAnimationFrame);
        }
    }""")
    page.wait_for_function("models[0].sent.length === 2")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_function("models[0].sent.length === 3")
    page.evaluate("document.body.className = 'something-else'")
    page.evaluate("document.querySelector('#output').style.display = 'none'")  # a tab that is put away
    page.wait_for_timeout(300)
    reports = [(report.dark, report.width) for report in messages(shown, "surroundings")]
    assert reports == [(False, 700), (False, 600), (True, 600)]


def test_a_change_of_the_screens_density_is_reported(page):
    shown = show(page, view_of(), style="width: 500px")
    page.wait_for_function("models[0].sent.length === 1")
    session = page.context.new_cdp_session(page)
    for ratio in (2, 1.5):
        # The window's size changes as well, or the emulation tells the page nothing.
        metrics = {
            "width": 800 + int(100 * ratio),
            "height": 900,
            "deviceScaleFactor": ratio,
            "mobile": False,
        }
        session.send("Emulation.setDeviceMetricsOverride", metrics)
        page.wait_for_function("ratio => models[0].sent.at(-1).ratio === ratio", arg=ratio)
    assert [report.ratio for report in messages(shown, "surroundings")] == [1, 2, 1.5]


def test_a_view_that_is_removed_gives_everything_back(page):
    shown = show(page, view_of())
    shown.evaluate("addView(model)")
    wait_for_picture(shown, 400)
    assert shown.left_over()["urls"] == 2
    hold_decoding(page)
    shown.update(png=png(410, 300))  # is still being decoded
    shown.remove()
    page.evaluate("held.forEach((release) => release())")
    page.wait_for_timeout(50)
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    assert page.locator(".view *").count() == 0
    before = shown.sent
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 500, "height": 500})
    page.wait_for_timeout(300)
    assert shown.sent == before


# The thumbnails

NAMES = ["cat", "coffee", "rocket", "a gratings picture with quite a long name"]


def picker_of(names=NAMES, value=0):
    colors = np.random.default_rng(0).integers(0, 256, (len(names), 3))
    return ThumbnailPicker(
        names=names, thumbs=[png(80, 60, tuple(color)) for color in colors], value=value, label="Pictures"
    )


def shown_picker(page, picker, **where):
    shown = show(page, picker, **where)
    page.wait_for_function(
        "n => document.querySelectorAll('.fmw-thumbnail').length === n", arg=len(picker.names)
    )
    return shown


def checked(page):
    return [button.get_attribute("aria-checked") for button in page.get_by_role("radio").all()].index("true")


def test_thumbnails_are_a_group_of_named_radio_buttons(page):
    shown_picker(page, picker_of(value=1))
    group = page.get_by_role("radiogroup", name="Pictures")
    assert group.get_by_role("radio").count() == 4
    for name in NAMES:
        button = group.get_by_role("radio", name=name, exact=True)
        assert button.get_attribute("title") == name
        assert button.locator("img").evaluate("(image) => image.complete && image.naturalWidth") == 80
        assert box(button.locator("img"))[2:] == (56, 56)
    assert group.get_by_role("radio", checked=True).get_attribute("title") == "coffee"


def test_a_click_and_a_value_from_python_choose(page):
    picker = picker_of()
    shown = shown_picker(page, picker)
    page.get_by_role("radio", name="rocket").click()
    assert checked(page) == 2
    assert shown.saved == [{"value": 2}]
    picker.set_state(shown.saved[0])
    assert picker.value == 2
    page.get_by_role("radio", name="rocket").click()  # chosen already
    assert len(shown.saved) == 1
    shown.update(value=0)
    assert checked(page) == 0
    shown.update(value=-1)
    assert page.get_by_role("radio", checked=True).count() == 0
    assert len(shown.saved) == 1


def test_the_arrow_keys_choose_and_go_round_the_ends(page):
    shown = shown_picker(page, picker_of())
    page.evaluate("window.heard = [], addEventListener('keydown', ({key}) => heard.push(key))")
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "Home", "ArrowUp", "ArrowRight", "End"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"
    assert [state["value"] for state in shown.saved] == [1, 2, 1, 0, 3, 0, 3]
    page.keyboard.press("x")
    page.keyboard.press("Control+ArrowLeft")
    assert page.evaluate("heard.filter((key) => key !== 'Control')") == ["Tab", "x", "ArrowLeft"]
    assert len(shown.saved) == 7
    page.keyboard.press("Tab")  # one stop for the whole group
    assert page.evaluate("document.activeElement === document.body")


def test_with_nothing_chosen_the_first_takes_the_focus(page):
    shown = shown_picker(page, picker_of(value=-1))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.title") == "cat"
    page.keyboard.press("Space")
    assert shown.saved == [{"value": 0}]


def test_names_are_text_whatever_is_in_them(page):
    picker = picker_of([HOSTILE, "\u05e2\u05d1\u05e8\u05d9\u05ea", "tab\tnew\nline\x00"])
    shown_picker(page, picker)
    assert page.locator(".fmw-thumbnail bdi").all_text_contents() == picker.names
    assert page.locator(".fmw-thumbnail *").count() == 6  # a picture and a caption each, no more
    page.wait_for_timeout(50)
    assert page.evaluate("window.hacked") is None


def test_other_pictures_replace_the_row_and_leave_the_focus_in_it(page):
    shown = shown_picker(page, picker_of(value=2))
    page.keyboard.press("Tab")
    other = picker_of(["one", "two"], value=1)
    shown.update(names=other.names, thumbs=other.thumbs, value=1)
    page.wait_for_function("document.querySelectorAll('.fmw-thumbnail').length === 2")
    assert page.evaluate("document.activeElement.title") == "two"
    assert shown.left_over()["urls"] == 2
    shown.update(names=[], thumbs=[], value=-1)
    page.get_by_role("radiogroup").wait_for(state="hidden")


def test_the_latest_row_stays_whichever_is_decoded_last(page):
    shown = shown_picker(page, picker_of())
    hold_decoding(page)
    shown.update(names=["early"], thumbs=[png()])
    shown.update(names=["late"], thumbs=[png()], value=0)
    page.evaluate("held.reverse().forEach((release) => release())")
    page.get_by_role("radio", name="late").wait_for()
    page.wait_for_timeout(50)
    assert page.get_by_role("radio").count() == 1
    assert shown.left_over()["urls"] == 1


def test_a_thumbnail_that_cannot_be_decoded_can_be_chosen_by_its_name(page):
    picker = ThumbnailPicker(names=["good", "broken", "none"], thumbs=[png(), b"no picture", b""], value=0)
    shown = shown_picker(page, picker)
    for name in ("broken", "none"):
        page.get_by_role("radio", name=name).click()
    assert [state["value"] for state in shown.saved] == [1, 2]
    assert shown.left_over()["urls"] == 1


def test_many_pictures_scroll_in_their_row_and_show_the_chosen_one(page):
    shown = shown_picker(page, picker_of([f"picture {i}" for i in range(60)]), style="width: 500px")
    row = page.get_by_role("radiogroup")
    assert box(row)[2] == 500
    assert box(row)[3] < 120
    shown.update(value=59)
    left, _, width, _ = box(page.get_by_role("radio", checked=True))
    assert left + width <= box(row)[0] + 500
    assert page.evaluate("scrollY") == 0


def test_a_picker_that_is_removed_gives_everything_back(page):
    shown = shown_picker(page, picker_of())
    shown.evaluate("addView(model)")
    page.wait_for_function("document.querySelectorAll('.fmw-thumbnail').length === 8")
    assert shown.left_over()["urls"] == 8
    hold_decoding(page)
    shown.update(names=["new"])  # is still being built
    shown.remove()
    page.evaluate("held.forEach((release) => release())")
    page.wait_for_timeout(50)
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    assert page.locator(".view *").count() == 0


# Measures


class Finger:
    """A finger on the screen, as Chromium's own emulation has it."""

    def __init__(self, page) -> None:
        self.session = page.context.new_cdp_session(page)

    def down(self, *points):
        self._send("touchStart", *_pairs(points))

    def move(self, *points):
        self._send("touchMove", *_pairs(points))

    def up(self):
        self._send("touchEnd")

    def _send(self, kind, *points):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def _pairs(numbers):
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def hovers(shown: Shown) -> list[tuple[float, float] | None]:
    """The places that were pointed at, `None` where the pointer left, to half a pixel."""
    points = [hover.point for hover in messages(shown, "hover")]
    return [point and (round(point.x), round(point.y)) for point in points]


def hold_decoding(page):
    """Pictures are loaded or decoded from now on when the test calls the functions in the page's `held`."""
    page.evaluate("""() => {
        window.held = [];
        const { decode } = HTMLImageElement.prototype;
        const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
        Object.defineProperty(HTMLImageElement.prototype, "src", {
            ...source,
            set(url) {
                if (this.decoding === "sync") held.push(() => source.set.call(this, url));
                else source.set.call(this, url);
            },
        });
        HTMLImageElement.prototype.decode = async function () {
            await new Promise((release) => held.push(release));
            return decode.call(this);
        };
    }""")


def box(locator):
    """Left, top, width and height on the page."""
    bounds = locator.bounding_box()
    return tuple(round(bounds[side], 2) for side in ("x", "y", "width", "height"))


def box_in_picture(shown: Shown):
    """The mark's box, counted from the picture's corner."""
    left, top, *_ = box(shown.figure)
    x, y, width, height = box(shown.figure.locator(".fmw-mark"))
    return (x - left, y - top, width, height)


def contrast(one, other):
    """The contrast ratio of two sRGB colours, as WCAG 2 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    channels = np.asarray(color) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
