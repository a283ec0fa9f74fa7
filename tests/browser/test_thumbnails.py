"""The row of thumbnails in Chromium, without a kernel."""

from __future__ import annotations

import numpy as np

from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from tests.browser.measures import (
    HOSTILE,
    box,
    hold_decoding,
    png,
)
from tests.browser.page import show

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
        assert box(button.locator("img"))[2:] == (44, 44)
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
    assert page.locator(".fmw-thumbnail *").count() == 6  # an image and a caption each, no more
    page.wait_for_timeout(50)
    assert page.evaluate("window.hacked") is None


def test_other_pictures_replace_the_row_and_leave_the_focus_in_it(page):
    shown = shown_picker(page, picker_of(value=2))
    page.keyboard.press("Tab")
    other = picker_of(["one", "two"], value=1)
    shown.update(names=other.names, thumbs=other.thumbs, value=1)
    page.wait_for_function("document.querySelectorAll('.fmw-thumbnail').length === 2")
    assert page.evaluate("document.activeElement.title") == "two"
    assert page.locator(".fmw-thumbnail img[src]").count() == 2
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
    assert page.locator(".fmw-thumbnail img[src]").count() == 1


def test_a_thumbnail_that_cannot_be_decoded_can_be_chosen_by_its_name(page):
    picker = ThumbnailPicker(names=["good", "broken", "none"], thumbs=[png(), b"no picture", b""], value=0)
    shown = shown_picker(page, picker)
    for name in ("broken", "none"):
        page.get_by_role("radio", name=name).click()
    assert [state["value"] for state in shown.saved] == [1, 2]
    assert page.locator(".fmw-thumbnail img[src]").count() == 1


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
    assert page.locator(".fmw-thumbnail img[src]").count() == 8
    hold_decoding(page)
    shown.update(names=["new"])  # is still being built
    shown.remove()
    page.evaluate("held.forEach((release) => release())")
    page.wait_for_timeout(50)
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    assert page.locator(".view *").count() == 0
