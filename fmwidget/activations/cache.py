"""A cache of forward passes that is bounded in bytes, and the counters of an `ActivationModel`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from .forward import Forward


@dataclass
class Stats:
    """Counters of an `ActivationModel`.

    Attributes:
        forwards: Forward passes run.
        traces: Times the forward pass was compiled.
        hits: Requests answered from the cache.
        evictions: Images dropped from the cache because it was full.
        bytes: Bytes of feature maps now in the cache.
    """

    forwards: int = 0
    traces: int = 0
    hits: int = 0
    evictions: int = 0
    bytes: int = 0


class ForwardCache:
    """The forward passes that fit into a number of bytes, by a key of their weights and input.

    The least recently used are dropped first; the one used last stays, even if it alone exceeds the limit.

    Args:
        stats: Counters, of which evictions and bytes are updated.

    Attributes:
        forwards: The passes, the one used last at the end.
    """

    def __init__(self, stats: Stats) -> None:
        self.forwards: OrderedDict[Any, Forward] = OrderedDict()
        self._stats = stats

    def get(self, key: Hashable) -> Forward | None:
        """Return the pass of a key, now the one used last; `None` if there is none."""
        forward = self.forwards.get(key)
        if forward is not None:
            self.forwards.move_to_end(key)
        return forward

    def put(self, key: Hashable, forward: Forward, limit: int, *, evict: bool = True) -> None:
        """Hold a pass, and drop others until all hold at most `limit` bytes.

        Args:
            key: The key.
            forward: The pass.
            limit: Bytes that all passes may hold.
            evict: Whether others may be dropped for it; if not, it is held only if there is room.
        """
        if not evict and sum(each.nbytes for each in self.forwards.values()) + forward.nbytes > limit:
            return
        self.forwards[key] = forward
        self.forwards.move_to_end(key)
        held = sum(each.nbytes for each in self.forwards.values())
        while held > limit and len(self.forwards) > 1:
            _, dropped = self.forwards.popitem(last=False)
            held -= dropped.nbytes
            self._stats.evictions += 1
        self._stats.bytes = held

    def drop(self, is_stale: Callable[[Any], bool]) -> None:
        """Drop the passes whose key is stale."""
        for key in [key for key in self.forwards if is_stale(key)]:
            del self.forwards[key]
        self._stats.bytes = sum(each.nbytes for each in self.forwards.values())

    def clear(self) -> None:
        """Drop all passes."""
        self.drop(lambda _: True)
