"""A stand-in for the browser that counts what it is sent, a meter, and what all measurements need."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import comm
import numpy as np
from comm.base_comm import BaseComm

from fmwidget import ActivationModel, FeatureMapWidget, sample_images
from fmwidget.frontend.picture_view import PictureView
from fmwidget.widget.jupyter.widget_tree import child_widgets

from .report import summary

Result = TypeVar("Result")


class CountingComm(BaseComm):
    """Stands in for the browser: writes each message as the kernel would, and counts them and their bytes."""

    messages = 0
    sent = 0

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Counts a message that would go to the browser."""
        text = json.dumps([msg_type, data, metadata, keys], default=str)
        CountingComm.messages += 1
        CountingComm.sent += len(text) + sum(memoryview(each).nbytes for each in buffers or ())


def stand_in_for_the_browser() -> None:
    """Has all widgets made from now on send their messages to a `CountingComm`."""
    comm.create_comm = CountingComm


class Meter:
    """Times actions by kind, and counts what each sends.

    Attributes:
        seconds: By kind, one number for each time.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._sent: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def time(self, kind: str, action: Callable[..., Result], *arguments: Any) -> Result:
        """Does something, and returns what that returns."""
        messages, sent = CountingComm.messages, CountingComm.sent
        began = time.perf_counter()
        result = action(*arguments)
        self.seconds[kind].append(time.perf_counter() - began)
        self._sent[kind].append((CountingComm.messages - messages, CountingComm.sent - sent))
        return result

    def summary(self) -> dict[str, dict[str, float]]:
        """Milliseconds, messages and bytes of each kind."""
        found = {}
        for kind, seconds in self.seconds.items():
            messages, sent = (statistics.median(each) for each in zip(*self._sent[kind], strict=True))
            found[kind] = summary(seconds) | {"messages": messages, "bytes": sent}
        return found


def wait_for_trace(am: ActivationModel) -> None:
    """Waits until the forward pass has been compiled beside us."""
    deadline = time.monotonic() + 60
    while not is_compiled(am):
        if time.monotonic() > deadline:
            raise TimeoutError("The forward pass was not compiled within a minute.")
        time.sleep(0.01)


def is_compiled(am: ActivationModel) -> bool:
    """Whether the next new picture will use the compiled forward pass."""
    return bool(am._compiler.passes) and all(each.done() for each in am._compiler.passes.values())


def grid_of(widget: FeatureMapWidget) -> PictureView:
    """The picture of the grid in a widget."""
    views = [part for part in child_widgets(widget) if isinstance(part, PictureView)]
    return next(view for view in views if view.label == "Feature maps of the layer")


def spread(items: Sequence[str], count: int) -> list[str]:
    """So many of the items, from the first to the last."""
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count)]


def some_pictures(count: int, *, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Photographs with a little noise: each of its own, none too easy to compress."""
    generator = np.random.default_rng(seed)
    photograph = sample_images()["cat"][:448, :448].astype(int)
    return {
        str(n): np.clip(photograph + generator.integers(-9, 10, photograph.shape), 0, 255).astype(np.uint8)
        for n in range(count)
    }
