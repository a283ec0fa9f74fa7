"""A button that runs through what there is like a film, as fast as kernel and page keep up, and no faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from .base import ReadOnlyWidget, ignore
from .bundle import joined, sent


class PlayButton(ReadOnlyWidget):
    """A button that plays and pauses.

    The browser asks for each step, once it shows what the last one led to: there is no clock here, nothing
    piles up, and a page that is closed asks for nothing.

    Args:
        what: What is run through, in the plural.
        pace: Milliseconds that each step is shown at least.
    """

    _esm = sent(joined("player.js"))

    what = traitlets.Unicode().tag(sync=True)
    pace = traitlets.Int(500).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)  # noqa: FBT003 - the default

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._advance: Callable[..., bool] = lambda **_: False
        self.on_msg(self._receive)

    def on_step(self, advance: Callable[..., bool]) -> None:
        """Calls `advance(is_first=...)` for each step.

        Args:
            advance: Takes a step, the first one at the beginning if it is called at the end; returns whether
                there is another.
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
            return  # it was stopped while the step was on its way
        is_more = False
        try:
            is_more = self._advance(is_first=is_first)
        finally:
            if not is_more:
                self.playing = False


def next_stop(stops: Sequence[Any], here: Any, *, is_first: bool) -> tuple[Any, bool]:
    """Where a film goes from here, and whether there is more to come.

    Args:
        stops: Where it goes, in order; at least one.
        here: Where it is; not among `stops` it goes to the first.
        is_first: Whether it has just been started: at the end it then begins anew.
    """
    place = stops.index(here) + 1 if here in stops else 0
    if place == len(stops):
        if not is_first:
            return here, False
        place = 0
    return stops[place], place < len(stops) - 1
