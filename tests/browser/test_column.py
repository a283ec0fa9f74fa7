"""The list of channels on a page without a kernel."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from fmwidget.frontend.channel_list import ChannelList
from tests.browser.page import show


@pytest.fixture
def shown(page):
    listed = ChannelList(channels=[7, 0, 12], lengths=[1, -0.5, 0], texts=["3.2", "1.6", "<b>"], chosen=0)
    return show(page, listed, style="width: 300px")


def test_each_channel_has_a_bar_and_a_number(shown):
    rows = shown.page.locator("tr")
    expect(rows).to_have_text(["channel 73.2", "channel 01.6", "channel 12<b>"])
    widths = [bar.bounding_box()["width"] for bar in shown.page.locator(".fmw-bar > div").all()]
    assert widths[0] == pytest.approx(2 * widths[1], abs=1)
    expect(shown.page.locator(".fmw-negative")).to_have_count(1)
    expect(shown.page.get_by_role("button", name="channel 0", pressed=True)).to_be_visible()
    assert shown.page.get_by_role("button", pressed=True).count() == 1


def test_a_click_and_a_key_choose_and_the_focus_stays(shown):
    button = shown.page.get_by_role("button", name="channel 7", exact=True)
    button.click()
    shown.page.keyboard.press("Tab")
    shown.page.keyboard.press("Tab")
    shown.page.keyboard.press("Enter")
    assert shown.sent == [{"type": "choose", "channel": 7}, {"type": "choose", "channel": 12}]
    shown.update(chosen=12, channels=[5, 6, 12], texts=["1", "2", "3"], lengths=[0.1, 0.2, 0.3])
    expect(shown.page.get_by_role("button", name="channel 12")).to_be_focused()
    shown.page.get_by_role("button", name="channel 5").click()
    assert shown.sent[-1] == {"type": "choose", "channel": 5}
    chosen: list[int] = []
    shown.widget.on_choice(chosen.append)
    for message in shown.sent:
        shown.widget._handle_custom_msg(message, [])
    assert chosen == [7, 12]  # there is no channel 5 in Python's list


def test_it_grows_shrinks_and_leaves_nothing_behind(shown):
    shown.update(channels=[1], texts=["0"], lengths=[1])
    expect(shown.page.locator("tr")).to_have_count(1)
    shown.update(channels=[], texts=[], lengths=[])
    expect(shown.page.locator("tr")).to_have_count(0)
    shown.remove()
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    expect(shown.page.locator("table")).to_have_count(0)
