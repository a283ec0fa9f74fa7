"""A picture in Chromium, without a kernel: its pixels, its mark, and its display context."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fmwidget.frontend.messages import Step, parse_message
from fmwidget.frontend.picture_view import PictureView
from tests.browser.measures import (
    HOSTILE,
    box,
    box_in_picture,
    contrast,
    encoded,
    hold_decoding,
    messages,
    noise,
    pixels_of,
    png,
    view_of,
    wait_for_picture,
)
from tests.browser.page import show

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
        const sample = () => {
            frames.push([...document.querySelectorAll(".fmw-figure img")].map((image) => [
                image.complete, image.naturalWidth, image.clientWidth]));
            sampling = requestAnimationFrame(sample);
        };
        let sampling = requestAnimationFrame(sample);
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
    assert all(images[0] == [True, width, width] for images, width in zip(frames, seen, strict=True))
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
    shown.update(png=png(410, 300), width=410)
    wait_for_picture(shown, 410)


@pytest.mark.parametrize("browser_is_old", [False, True])
def test_the_picture_is_made_of_the_bytes_that_were_sent_and_no_others(page, browser_is_old):
    sent = encoded(noise(410, 300))
    shown = show(page, view_of())
    if browser_is_old:
        page.evaluate("delete Uint8Array.prototype.toBase64")
    # As they come in a notebook: somewhere in the message they came with.
    shown.evaluate(
        "model.update({ png: new DataView(revive(argument[0]).buffer, 3, argument[1]) })",
        [b"abc" + sent + b"xyz", len(sent)],
    )
    wait_for_picture(shown, 410)
    source = shown.figure.locator("img").get_attribute("src") or ""
    assert base64.b64decode(source.split(",")[1]) == sent


def test_no_bytes_show_nothing(page):
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    shown.update(png=b"")
    shown.figure.wait_for(state="hidden")
    assert page.locator(".fmw-figure img").count() == 0


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
    points = [(click.point.x, click.point.y) for click in messages(shown, "click")]
    assert points == [pytest.approx(at, abs=400 / width) for at in ((0.5, 0.5), (100, 200), (399, 299))]


def test_a_tap_is_a_click(browser):
    context = browser.new_context(has_touch=True)
    page = context.new_page()
    shown = show(page, view_of())
    wait_for_picture(shown, 400)
    left, top, *_ = box(shown.figure)
    page.touchscreen.tap(left + 100, top + 200)
    [click] = messages(shown, "click")
    assert (click.point.x, click.point.y) == pytest.approx((100, 200), abs=1)
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


def test_an_event_without_a_callback_is_not_sent_and_is_no_stop_for_the_tab_key(page):
    shown = show(page, PictureView(png=png(400, 300), label="Plain"))
    wait_for_picture(shown, 400)
    shown.figure.click()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement === document.body")
    assert page.get_by_role("figure", name="Plain").is_visible()
    assert shown.sent == []
    shown.update(_events=["display"])
    page.wait_for_function("models[0].sent.length === 1")


def shortcuts_of(shown):
    """Return the flips and steps that were sent, each step as its number."""
    kinds = [parse_message(content) for content in shown.sent if content["type"] in ("flip", "step")]
    return [kind.by if isinstance(kind, Step) else "flip" for kind in kinds]


def test_keys_flip_the_sides_and_step_through_training_where_python_listens(page):
    view = view_of(alt="32 maps")
    shown = show(page, view)
    wait_for_picture(shown, 400)
    page.keyboard.press("Tab")
    page.evaluate("window.through = []; addEventListener('keydown', ({ key }) => through.push(key))")
    for key in "t,.":
        page.keyboard.press(key)
    assert shortcuts_of(shown) == []
    assert page.evaluate("through.splice(0)") == ["t", ",", "."]
    picture = page.get_by_role("application")
    assert picture.get_attribute("aria-describedby") == picture.locator("img").get_attribute("id")

    shown.update(_events=[*view._events, "flip"])
    page.keyboard.press("t")
    page.keyboard.press(".")
    assert shortcuts_of(shown) == ["flip"]
    assert described(picture) == "32 maps, t flips A and B"
    shown.update(_events=[*view._events, "flip", "step"])
    page.evaluate("through.splice(0)")
    for key in (",", ".", ".", "t", "T"):  # as with Caps Lock
        page.keyboard.press(key)
    assert shortcuts_of(shown) == ["flip", -1, 1, 1, "flip", "flip"]
    assert page.evaluate("through") == [], "the notebook has commands of its own for letters"
    assert described(picture) == "32 maps, t flips A and B · , and . step through training"
    page.keyboard.press("Shift+T")
    page.keyboard.press("Control+.")
    assert len(shortcuts_of(shown)) == 6


def described(picture):
    """Return the description that a screen reader reads out."""
    return picture.evaluate(
        """(element) => element.getAttribute("aria-describedby").split(" ").map((id) => {
            const one = document.getElementById(id);
            return one.alt ?? one.textContent;
        }).join(", ")"""
    )


def test_a_key_of_another_script_is_known_by_its_place(page):
    view = view_of()
    view.on_flip(lambda: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    for key, code in (("ㅅ", "KeyT"), ("Process", "KeyT"), ("t", "KeyK"), ("y", "KeyT"), ("ㅛ", "KeyY")):
        shown.figure.dispatch_event("keydown", {"key": key, "code": code})
    assert shortcuts_of(shown) == ["flip"] * 3


def test_presses_that_the_kernel_has_not_answered_become_one(page):
    view = view_of()
    view.on_flip(lambda: None)
    view.on_step(lambda _by: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    shown.evaluate("void (model.answers = false)")
    page.keyboard.press("Tab")
    for key in ".....,tttt":
        page.keyboard.press(key)
    assert shortcuts_of(shown) == [1, "flip"]
    shown.evaluate("model.answer()")
    shown.evaluate("model.answer()")
    assert shortcuts_of(shown) == [1, "flip", 3, "flip"]
    page.keyboard.press("t")
    page.keyboard.press("t")  # two more are none
    page.keyboard.press(".")
    page.keyboard.press(",")
    for _ in range(2):
        shown.evaluate("model.answer()")
    assert shortcuts_of(shown) == [1, "flip", 3, "flip"]


def test_a_key_that_is_held_flips_once_and_steps_on(page):
    view = view_of()
    view.on_flip(lambda: None)
    view.on_step(lambda _by: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    page.keyboard.press("Tab")
    for key in ("t", "."):
        for _ in range(3):
            page.keyboard.down(key)
        page.keyboard.up(key)
    assert shortcuts_of(shown) == ["flip", 1, 1, 1]


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
    assert len(messages(shown, "click")) == 2


def test_a_long_line_below_the_picture_moves_nothing_beside_it(page):
    shown = show(page, view_of(readout="short"), style="display: inline-flex; font-size: 12px")
    wait_for_picture(shown, 400)
    output = page.locator("#output")
    before = box(output)
    shown.update(readout="both sides of a comparison and their difference " * 9)
    page.wait_for_function("document.querySelector('.fmw-readout').textContent.length > 99")
    assert box(output) == before
    line = page.locator(".fmw-readout")
    assert line.evaluate("(element) => element.scrollWidth > element.clientWidth"), "it is cut off"


# Its display context


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
    [display] = messages(shown, "display")
    assert (display.ratio, display.dark, display.width) == (1, dark, 612)


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
    reports = [(report.dark, report.width) for report in messages(shown, "display")]
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
    assert [report.ratio for report in messages(shown, "display")] == [1, 2, 1.5]


def test_a_view_that_is_removed_gives_everything_back(page):
    shown = show(page, view_of())
    shown.evaluate("addView(model)")
    wait_for_picture(shown, 400)
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
