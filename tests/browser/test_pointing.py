"""Pointing at a picture in Chromium, without a kernel: requests, outlines and the readout."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.measures import (
    HOSTILE,
    Finger,
    box,
    contrast,
    hovers,
    messages,
    pixels_of,
    png,
    view_of,
    wait_for_picture,
)
from tests.browser.page import show


def unanswered(page):
    """Show a picture that asks about the pointer and gets no answer; return it and its position."""
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    shown.evaluate("void (model.answers = false)")
    return shown, box(shown.figure)[:2]


def test_one_question_is_on_its_way_at_a_time_and_the_latest_wins(page):
    shown, (left, top) = unanswered(page)
    for x in range(10, 200, 10):
        page.mouse.move(left + x, top + 50)
    assert hovers(shown) == [(10, 50)]
    shown.evaluate("model.receive({type: 'answered', id: 'of another view'}), model.receive(null)")
    assert len(hovers(shown)) == 1
    shown.evaluate("model.answer()")
    assert hovers(shown) == [(10, 50), (190, 50)]
    page.mouse.move(left + 20, top + 60)
    page.mouse.move(left + 20, top + 1000)  # pointer away
    shown.evaluate("model.answer()")
    assert hovers(shown) == [(10, 50), (190, 50), None]
    shown.evaluate("model.answer()")
    assert len(hovers(shown)) == 3


def test_a_lost_answer_does_not_silence_the_pointer(page):
    shown, (left, top) = unanswered(page)
    page.mouse.move(left + 10, top + 10)
    page.evaluate("const { now } = performance; performance.now = () => now.call(performance) + 20000")
    page.mouse.move(left + 30, top + 10)
    assert hovers(shown) == [(10, 10), (30, 10)]


@pytest.mark.parametrize(("traits", "kept"), [({}, False), ({"region": [10.0, 10.0, 4.0, 4.0]}, True)])
def test_escape_is_the_notebook_s_where_nothing_is_kept(page, traits, kept):
    view = view_of(**traits)
    view.on_unpin(lambda: None)
    shown = show(page, view)
    wait_for_picture(shown, 400)
    page.evaluate("window.heard = []; document.addEventListener('keydown', ({ key }) => heard.push(key))")
    shown.figure.evaluate("figure => (figure.tabIndex = 0)")
    shown.figure.press("Escape")
    assert shown.sent[-1] == {"type": "unpin"}
    assert page.evaluate("heard") == ([] if kept else ["Escape"])


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


@pytest.fixture
def touched(browser):
    """Return a picture on a page that scrolls and is touched, a finger, and the picture's corner."""
    context = browser.new_context(has_touch=True, viewport={"width": 600, "height": 500})
    page = context.new_page()
    view = view_of()
    view.on_hover(lambda _point: None)
    shown = show(page, view, style="height: 3000px")
    wait_for_picture(shown, 400)
    # The test decides when a finger has stayed long enough: a busy machine must not decide it.
    page.evaluate("""() => {
        const wait = window.setTimeout;
        window.setTimeout = (action, ms) => (ms === 400 ? void (window.hold = action) : wait(action, ms));
    }""")
    yield shown, Finger(page), box(shown.figure)[:2]
    context.close()


def test_a_finger_that_moves_soon_scrolls(touched):
    shown, finger, (left, top) = touched
    finger.down(left + 100, top + 300)
    for y in range(280, 40, -20):
        finger.move(left + 100, top + y)
        shown.page.wait_for_timeout(20)
    finger.up()
    shown.page.wait_for_function("scrollY > 50")
    assert hovers(shown) == []


def test_a_long_press_points(touched):
    shown, finger, (left, top) = touched
    finger.down(left + 100, top + 200)
    shown.page.evaluate("hold()")
    for y in (190, 150, 100):
        finger.move(left + 50, top + y)
    finger.up()
    shown.page.wait_for_timeout(100)
    assert [hovers(shown)[0], hovers(shown)[-1]] == [(100, 200), (50, 100)]
    assert shown.page.evaluate("scrollY") == 0
    assert messages(shown, "click") == []

    shown.page.touchscreen.tap(left + 10, top + 20)
    assert len(messages(shown, "click")) == 1
    assert hovers(shown)[-1] == (50, 100)
