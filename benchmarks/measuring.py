"""Tools of all measurements: a comm that counts what is sent, a timer, and test images."""

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
    """A comm without a browser: it serializes messages as the kernel does, and counts them and the bytes."""

    messages = 0
    sent = 0

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Count a message that would be sent to the browser."""
        text = json.dumps([msg_type, data, metadata, keys], default=str)
        CountingComm.messages += 1
        CountingComm.sent += len(text) + sum(memoryview(each).nbytes for each in buffers or ())


def use_counting_comms() -> None:
    """Connect all widgets that are built from now on to a `CountingComm`."""
    comm.create_comm = CountingComm


class Meter:
    """Durations of actions by kind, and counts of what each action sends.

    Attributes:
        seconds: The durations of each kind, in the order of the calls.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._sent: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def time(self, kind: str, action: Callable[..., Result], *arguments: Any) -> Result:
        """Call `action(*arguments)`, record its duration and messages, and return its result."""
        messages, sent = CountingComm.messages, CountingComm.sent
        began = time.perf_counter()
        result = action(*arguments)
        self.seconds[kind].append(time.perf_counter() - began)
        self._sent[kind].append((CountingComm.messages - messages, CountingComm.sent - sent))
        return result

    def summary(self) -> dict[str, dict[str, float]]:
        """Return milliseconds, messages and bytes of each kind."""
        found = {}
        for kind, seconds in self.seconds.items():
            messages, sent = (statistics.median(each) for each in zip(*self._sent[kind], strict=True))
            found[kind] = summary(seconds) | {"messages": messages, "bytes": sent}
        return found


def wait_for_trace(am: ActivationModel) -> None:
    """Wait until the forward pass has been compiled in the background."""
    deadline = time.monotonic() + 60
    while not is_compiled(am):
        if time.monotonic() > deadline:
            raise TimeoutError("The forward pass was not compiled within a minute.")
        time.sleep(0.01)


def is_compiled(am: ActivationModel) -> bool:
    """Return whether the next new image will use the compiled forward pass."""
    return bool(am._compiler.passes) and all(each.done() for each in am._compiler.passes.values())


def grid_of(widget: FeatureMapWidget) -> PictureView:
    """Return the grid's view in a widget."""
    views = [part for part in child_widgets(widget) if isinstance(part, PictureView)]
    return next(view for view in views if view.label == "Feature maps of the layer")


def evenly_spaced(items: Sequence[str], count: int) -> list[str]:
    """Return `count` of the items at even distances, the first and the last among them."""
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count)]


def noisy_photographs(count: int, *, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return photographs with a little noise, so that no two are equal and none compresses too easily."""
    generator = np.random.default_rng(seed)
    photograph = sample_images()["cat"][:448, :448].astype(int)
    return {
        str(n): np.clip(photograph + generator.integers(-9, 10, photograph.shape), 0, 255).astype(np.uint8)
        for n in range(count)
    }
