"""The play button's messages in Python, step by step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmwidget import FeatureMapWidget
from fmwidget.frontend.play_button import PlayButton, next_item
from tests.support import zoo

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.fixture
def widget():
    keras.utils.set_random_seed(4)
    made = FeatureMapWidget(zoo.sequential(), {"noise": PICTURE})
    yield made
    made.close()


def say(player: PlayButton, kind: str, **rest: Any) -> None:
    player._handle_custom_msg({"type": kind, **rest}, [])


@given(st.lists(st.integers(), min_size=1, unique=True), st.data())
def test_playing_goes_through_all_once_and_ends(stops, data):
    here = data.draw(st.sampled_from([*stops, None]))
    start, is_more = next_item(stops, here, is_first=True)
    seen = [start]
    while is_more:
        start, is_more = next_item(stops, start, is_first=False)
        seen.append(start)
    begins = stops.index(here) + 1 if here in stops and here != stops[-1] else 0
    assert seen == stops[begins:]


def test_the_layers_are_played_and_it_stops_at_the_end(widget):
    player = widget._screen.controls.play_layers
    widget.layer = "conv"
    say(player, "play")
    seen = [widget.layer]
    while player.playing:
        say(player, "step")
        seen.append(widget.layer)
    assert seen == ["pool", "drop", "conv_1", "norm"]  # conv@pre is skipped
    say(player, "step")
    assert widget.layer == "norm"
    say(player, "play")
    assert widget.layer == "conv"  # from the beginning


def test_the_channels_are_played_in_the_order_of_the_grid(widget):
    player = widget._screen.controls.play_channels
    widget.layer, widget.order = "conv_1", "max"
    order = np.argsort(-widget.feature_maps.max(axis=(0, 1)), kind="stable")
    widget.channel = int(order[4])
    say(player, "play")
    for expected in order[5:8]:
        assert widget.channel == expected
        assert player.playing
        say(player, "step")


def test_only_what_the_filter_lists_is_played():
    layers = [keras.layers.Conv2D(2, 1, name=f"{'odd' if n % 2 else 'even'}_{n}") for n in range(41)]
    widget = FeatureMapWidget(keras.Sequential([keras.Input((4, 4, 3)), *layers]), {"noise": PICTURE})
    widget.layer = "odd_1"
    widget._screen.controls.layer.filter.value = "odd"
    say(widget._screen.controls.play_layers, "play")
    assert widget.layer == "odd_3"
    widget.close()


@pytest.mark.parametrize(
    "touch",
    [
        lambda widget: setattr(widget._screen.controls.norm, "value", "shared"),
        lambda widget: setattr(widget._screen.controls.channel, "value", 3),
        lambda widget: widget._screen.panels.grid.box._receive(None, {"type": "click", "x": 20, "y": 80}, []),
        lambda widget: say(widget._screen.controls.play_layers, "pause"),
    ],
)
def test_it_stops_when_another_control_is_touched(widget, touch):
    player = widget._screen.controls.play_layers
    say(player, "play")
    assert player.playing
    layer = widget.layer
    touch(widget)
    assert not player.playing
    say(player, "step")  # it was on its way
    assert widget.layer == layer


def test_one_button_plays_at_a_time(widget):
    layers, channels = widget._screen.controls.play_layers, widget._screen.controls.play_channels
    say(layers, "play")
    say(channels, "play")
    assert (layers.playing, channels.playing) == (False, True)
    say(layers, "play")
    assert (layers.playing, channels.playing) == (True, False)


def test_each_step_is_answered_once_even_if_it_fails(widget, monkeypatch):
    player = widget._screen.controls.play_layers
    sent: list[Any] = []
    monkeypatch.setattr(player, "send", sent.append)

    def fails(**_: Any) -> bool:
        raise RuntimeError("no more")

    say(player, "play", id="a")
    say(player, "step", id="b")
    player.on_step(fails)
    with pytest.raises(RuntimeError, match="no more"):
        player._receive(player, {"type": "step", "id": "c"}, [])
    assert not player.playing
    assert sent == [{"type": "answered", "id": each} for each in "abc"]


def test_nothing_else_is_taken_from_the_page(widget, caplog):
    player = widget._screen.controls.play_layers
    for bad in ({}, None, 3, {"type": "jump"}, {"type": ["play"]}):
        player._receive(player, bad, [])
    player.set_state({"playing": True, "pace": 0})
    assert (player.playing, player.pace) == (False, 800)
    assert len(caplog.records) == 6


def test_it_is_still_after_closing(widget):
    player = widget._screen.controls.play_layers
    say(player, "play")
    widget.close()
    say(player, "step")
    assert not player.playing
