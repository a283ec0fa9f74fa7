"""A button that plays layers or channels like a video, as fast as kernel and page keep up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from .base import ReadOnlyWidget, ignore
from .bundle import bundle, synced_text


class PlayButton(ReadOnlyWidget):
    """A button that plays and pauses.

    The browser requests a step once it shows the result of the last one: Python needs no timer, requests do
    not pile up, and a page that is closed requests nothing.

    Args:
        items: Name of what is played, in the plural.
        pace: Least time that each step is shown, in milliseconds.
    """

    _esm = synced_text(bundle("play_button.js"))

    items = traitlets.Unicode().tag(sync=True)
    pace = traitlets.Int(500).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)  # noqa: FBT003 - the default

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._advance: Callable[..., bool] = lambda **_: False
        self.on_msg(self._receive)

    def on_step(self, advance: Callable[..., bool]) -> None:
        """Call `advance(is_first=...)` for each step.

        Args:
            advance: Shows the next item, or the first one if `is_first` and the last is shown; returns
                whether there are more.
        """
        self._advance = advance

    def _receive(self, _: PlayButton, content: object, _buffers: object) -> None:
        try:
            match content:
                case {"type": "play"}:
                    self.playing = True
                    self._step(is_first=True)
                case {"type": "step"}:
                    self._step(is_first=False)
                case {"type": "pause"}:
                    self.playing = False
                case _:
                    ignore(content)
        finally:
            self.answer(content)

    def _step(self, *, is_first: bool) -> None:
        if not self.playing:
            return  # paused while the request was on its way
        is_more = False
        try:
            is_more = self._advance(is_first=is_first)
        finally:
            if not is_more:
                self.playing = False


def next_item(items: Sequence[Any], current: Any, *, is_first: bool) -> tuple[Any, bool]:
    """Return the item to play after the current one, and whether more follow.

    Args:
        items: All that is played, in order; at least one.
        current: The item that is shown. The first item follows one that is not among `items`.
        is_first: Whether playing has just started: the first item then follows the last.
    """
    index = items.index(current) + 1 if current in items else 0
    if index == len(items):
        if not is_first:
            return current, False
        index = 0
    return items[index], index < len(items) - 1
