"""The play button on a page without a kernel, whose answers the test sends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from fmwidget.frontend.picture_view import PictureView
from fmwidget.frontend.play_button import PlayButton
from tests.browser.page import Shown, show
from tests.support.images import encoded

PACE = 60
BUTTON = ".fmw-play"


@pytest.fixture
def shown(page):
    shown = show(page, PlayButton(items="layers", pace=PACE))
    shown.evaluate("model.answers = false")
    return shown


def answer(shown: Shown, **state: Any) -> None:
    """Answer the last message as the kernel does: first its effect, then that it is done."""
    shown.update(**state)
    shown.evaluate("model.answer()")


def kinds(shown: Shown) -> list[str]:
    return [message["type"] for message in shown.sent]


def wait_for(shown: Shown, count: int) -> None:
    shown.page.wait_for_function(
        "([index, count]) => models[index].sent.length === count", arg=[shown.index, count]
    )


def test_the_next_step_is_asked_for_only_when_the_last_is_answered(shown):
    button = shown.page.locator(BUTTON)
    expect(button).to_have_accessible_name("Play layers")
    button.click()
    assert kinds(shown) == ["play"]
    shown.page.wait_for_timeout(4 * PACE)
    assert kinds(shown) == ["play"]  # the kernel is slow
    for step in range(2, 5):
        answer(shown, playing=True)
        wait_for(shown, step)
    expect(button).to_have_accessible_name("Pause layers")
    assert kinds(shown) == ["play", "step", "step", "step"]
    answer(shown, playing=False)  # that was the last
    expect(button).to_have_accessible_name("Play layers")
    shown.page.wait_for_timeout(4 * PACE)
    assert len(shown.sent) == 4


def test_a_picture_that_is_still_being_decoded_is_waited_for(shown):
    picture = show(shown.page, PictureView(png=encoded(np.zeros((8, 8), np.uint8))))
    expect(picture.figure.locator("img")).to_be_visible()
    picture.evaluate("document.querySelector('.fmw-figure').classList.add('fmw-decoding')")
    shown.page.locator(BUTTON).click()
    answer(shown, playing=True)
    shown.page.wait_for_timeout(4 * PACE)
    assert kinds(shown) == ["play"]
    picture.evaluate("document.querySelector('.fmw-figure').classList.remove('fmw-decoding')")
    wait_for(shown, 2)


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_it_is_paused_and_goes_on(shown, how):
    button = shown.page.locator(BUTTON)
    button.click()
    answer(shown, playing=True)
    wait_for(shown, 2)
    if how == "button":
        button.click()
    else:
        shown.page.keyboard.press("Escape")
    assert kinds(shown) == ["play", "step", "pause"]
    answer(shown, playing=False)
    shown.page.wait_for_timeout(4 * PACE)
    assert len(shown.sent) == 3
    button.click()
    assert kinds(shown)[3:] == ["play"]


def test_another_view_shows_that_it_plays_and_can_pause_it(shown):
    shown.evaluate("addView(model)")
    first, second = shown.page.locator(BUTTON).all()
    first.click()
    answer(shown, playing=True)
    wait_for(shown, 2)
    expect(second).to_have_accessible_name("Pause layers")
    second.click()
    assert kinds(shown) == ["play", "step", "pause"]


def test_a_view_that_is_removed_stops_playing(shown):
    shown.page.locator(BUTTON).click()
    answer(shown, playing=True)
    shown.remove()
    assert kinds(shown)[-1] == "pause"
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    sent = len(shown.sent)
    shown.page.wait_for_timeout(4 * PACE)
    assert len(shown.sent) == sent
