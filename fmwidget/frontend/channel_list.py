"""A list of channels with a bar and a number each, to choose one from."""

from __future__ import annotations

from collections.abc import Callable

import traitlets

from .base import ReadOnlyWidget, ignore
from .bundle import joined, sent


class ChannelList(ReadOnlyWidget):
    """A list of channels with a bar and a number each, to choose one from.

    Args:
        channels: Their numbers.
        lengths: How long their bars are, 0 to 1; below 0 they are hollow.
        texts: What is written beside them.
        chosen: The channel that is chosen.
    """

    _esm = sent(joined("column.js"))

    channels = traitlets.List(traitlets.Int()).tag(sync=True)
    lengths = traitlets.List(traitlets.Float()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)

    def on_choice(self, callback: Callable[[int], None]) -> None:
        """Calls `callback(channel)` when the person chooses a channel of the list."""

        def receive(_: ChannelList, content: object, _buffers: object) -> None:
            match content:
                case {"type": "choose", "channel": int(channel)} if channel in self.channels:
                    callback(channel)
                case _:
                    ignore(content)

        self.on_msg(receive)
