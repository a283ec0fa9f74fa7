"""A list of channels with a bar and a number each, to choose one from."""

from __future__ import annotations

from collections.abc import Callable

import traitlets

from .base import ReadOnlyWidget, ignore
from .bundle import bundle, synced_text


class ChannelList(ReadOnlyWidget):
    """A list of channels with a bar and a number each, to choose one from.

    Args:
        channels: Indices of the channels.
        lengths: Lengths of their bars, 0 to 1; negative ones are drawn hollow.
        texts: Their numbers, as text.
        chosen: Index of the chosen channel, or -1.
    """

    _esm = synced_text(bundle("channel_list.js"))

    channels = traitlets.List(traitlets.Int()).tag(sync=True)
    lengths = traitlets.List(traitlets.Float()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)

    def on_choice(self, callback: Callable[[int], None]) -> None:
        """Call `callback(channel)` when the user chooses a channel of the list."""

        def receive(_: ChannelList, content: object, _buffers: object) -> None:
            match content:
                case {"type": "choose", "channel": int(channel)} if channel in self.channels:
                    callback(channel)
                case _:
                    ignore(content)

        self.on_msg(receive)
