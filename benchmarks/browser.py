"""Time from a key press to the painted picture, in JupyterLab in Chromium, beside `interact` and the floor.

All contenders are in one notebook and take turns, key by key. The browser's driver presses real keys; the
clock starts with the key's event, and stops once the frame that shows the new picture, decoded, has been
painted (a task queued in that frame's callback). Frames without a picture are counted as blank. See
`probe.js`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocket, sync_playwright

from tests.browser.chromium import find_chromium
from tests.browser.jupyterlab import running_jupyterlab

from .report import paired, summary

FLOOR, GRID_FLOOR = "round trip: a ready-made 8×8 picture", "round trip: a ready-made grid"
LAYER, CHANNEL, IMAGE = "layer change", "channel change", "picture change, seen"
KEYS, MARK = "arrow key on the grid: the channel large", "arrow key on the grid: its mark"
HOVER = "pointer on the grid: the value in words"
LOOP, LOOP_CHANNEL = "interact, tutorial's loop: layer", "interact, tutorial's loop: channel"

MODEL = """
from fmwidget import ActivationModel, FeatureMapWidget, sample_images, sample_model
from fmwidget.models.batch import model_batch
from benchmarks import contenders
import ipywidgets, matplotlib.pyplot as plt
%matplotlib inline
model = sample_model()
batch = model_batch(model, sample_images()["cat"])
loop = contenders.TutorialLoop(model)
layers = loop.layers
"""
CONTENDERS = """
from fmwidget.frontend.picture_view import PictureView
ready_made = contenders.ready_made()
grids = []  # the widget's, filled once it is on screen
floor, dot = ipywidgets.IntSlider(description="Floor", max=1), PictureView()
floor.observe(lambda change: dot.show(ready_made[change["new"]], 8, 8), names="value")
dot.show(ready_made[0], 8, 8)
grid_floor, grid = ipywidgets.IntSlider(description="Floor", max=1), PictureView()
grid_floor.observe(lambda change: grid.show(*grids[change["new"]]), names="value")
def show_layer(layer):
    loop.draw(batch, layers[layer])
    plt.show()
def show_channel(channel):
    loop.draw_channel(batch, layers[3], channel)
    plt.show()
by_layer = ipywidgets.interactive(show_layer, layer=ipywidgets.IntSlider(max=len(layers) - 1))
by_channel = ipywidgets.interactive(show_channel, channel=ipywidgets.IntSlider(max=31))
widget = FeatureMapWidget(ActivationModel(model))
floors = [ipywidgets.HBox([floor, dot]), ipywidgets.VBox([grid_floor, grid])]
page = ipywidgets.VBox([floors[0], widget, by_layer, by_channel, floors[1]])
for number, part in enumerate((floors[0], by_layer, by_channel, floors[1])):
    part.add_class(f"bench-{number}")
page
"""
SETTLE = """
for path in widget.layers * 2:
    widget.layer = path
for name in (*widget.images[::-1], *widget.images, widget.images[0]):
    widget.image = name
for path in (layers[3], layers[2]):
    widget.layer = path
    grids.append((widget.png, widget._screen.panels.grid.box.width, widget._screen.panels.grid.box.height))
grid.show(*grids[0])
"""

GRID = '.fmwidget [aria-label="Feature maps of the layer"]'
LARGE = '.fmwidget [aria-label="Chosen channel"]'


@dataclass(frozen=True)
class Contender:
    """An input event, and the change on the page that it leads to.

    Attributes:
        focus: CSS selector of the element that receives the event.
        box: CSS selector of the element that holds the picture.
        moves: CSS selector of the element whose style or text changes; empty if it is the picture that
            changes.
        event: `"keydown"`, or `"pointermove"` over the element of `focus`.
    """

    focus: str
    box: str
    moves: str = ""
    event: str = "keydown"


def _slider(name: str) -> str:
    return f'.fmwidget .widget-slider:has(:text-is("{name}")) [role="slider"]'


CONTENDERS_BY_NAME = {
    FLOOR: Contender('.bench-0 [role="slider"]', ".bench-0"),
    GRID_FLOOR: Contender('.bench-3 [role="slider"]', ".bench-3"),
    LAYER: Contender(_slider("Depth"), GRID),
    CHANNEL: Contender(_slider("Channel"), LARGE),
    IMAGE: Contender('.fmwidget [role="radio"][aria-checked="true"]', GRID),
    KEYS: Contender(GRID, LARGE),
    MARK: Contender(GRID, GRID, ".fmw-mark"),
    HOVER: Contender(
        GRID, f".fmw-view:has(> {GRID.removeprefix('.fmwidget ')})", ".fmw-readout", "pointermove"
    ),
    LOOP: Contender('.bench-1 [role="slider"]', ".bench-1 .jp-OutputArea"),
    LOOP_CHANNEL: Contender('.bench-2 [role="slider"]', ".bench-2 .jp-OutputArea"),
}

OURS = (LAYER, CHANNEL, IMAGE, KEYS, MARK, HOVER)


@dataclass
class Traffic:
    """Counts of the messages that the kernel sends to the page, and of their bytes."""

    messages: int = 0
    sent: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def listen(self, socket: WebSocket) -> None:
        """Count what a web socket receives."""
        socket.on("framereceived", self._count)

    def _count(self, payload: str | bytes) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        kind = re.search(rb'"msg_type":\s*"(\w+)"', data)
        if kind and kind[1] != b"status":
            self.messages += 1
            self.sent += len(data)
            self.kinds[kind[1].decode()] += 1


def measure_browser(*, rounds: int, burst: int = 50) -> dict[str, Any]:
    """Time all contenders in turn, `rounds` times each.

    Returns:
        Times in milliseconds, frames, messages and bytes of each contender, and the ratios between them.
    """
    traffic = Traffic()
    with _open_page(traffic) as page:
        found = {name: _Samples() for name in CONTENDERS_BY_NAME}
        for turn in range(-2, rounds):  # the first two are for warming up
            # There and back, so that no slider reaches its end.
            key = "ArrowRight" if turn % 2 == 0 else "ArrowLeft"
            for name, contender in CONTENDERS_BY_NAME.items():
                messages, received = traffic.messages, traffic.sent
                seen = _press(page, contender, key)
                if turn >= 0:
                    found[name].add(seen, traffic.messages - messages, traffic.sent - received)
        bursts = {name: _burst(page, CONTENDERS_BY_NAME[name], burst) for name in (FLOOR, CHANNEL)}
        version = page.context.browser.version if page.context.browser else ""
    times = {name: each.times for name, each in found.items()}
    ratios = {name: paired(times[name], times[FLOOR]) for name in OURS}
    ratios[LOOP] = paired(times[LOOP], times[LAYER])
    ratios[LOOP_CHANNEL] = paired(times[LOOP_CHANNEL], times[CHANNEL])
    return {
        "chromium": version,
        "contenders": {name: each.summary() for name, each in found.items()},
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "bursts": bursts,
    }


class _Samples:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.blank = self.frames = self.late = 0
        self.messages: list[int] = []
        self.bytes: list[int] = []

    def add(self, seen: dict[str, float], messages: int, received: int) -> None:
        self.times.append(seen["ms"] / 1000)
        self.blank += int(seen["blank"])
        self.frames += int(seen["frames"])
        self.late = max(self.late, int(seen["late"]))
        self.messages.append(messages)
        self.bytes.append(received)

    def summary(self) -> dict[str, float]:
        middle = sorted(self.messages)[len(self.messages) // 2], sorted(self.bytes)[len(self.bytes) // 2]
        rest = {
            "blank": self.blank,
            "frames": self.frames,
            "late": self.late,
            "messages": middle[0],
            "bytes": middle[1],
        }
        return summary(self.times) | rest


def _press(page: Page, contender: Contender, key: str) -> dict[str, float]:
    page.locator(contender.focus).first.focus()
    page.wait_for_timeout(
        60
    )  # at least the pause between two presses of a user; ipywidgets needs it to see the kernel idle
    event = contender.event
    page.evaluate("arguments => probe.watch(...arguments)", [contender.box, contender.moves, event])
    if event == "keydown":
        page.keyboard.press(key)
    else:
        page.locator(contender.focus).first.hover(position={"x": 60 if key == "ArrowLeft" else 200, "y": 90})
    late = "new Promise((_, no) => setTimeout(() => no(new Error('nothing has changed')), 20000))"
    seen: dict[str, float] = page.evaluate(f"Promise.race([probe.done, {late}])")
    page.mouse.move(1, 1)  # off the grid: the unit under the pointer is drawn too
    return seen


def _burst(page: Page, contender: Contender, count: int) -> dict[str, float]:
    """Press keys as fast as the browser takes them, as when a slider is dragged."""
    page.locator(contender.focus).first.focus()
    page.evaluate("box => probe.watchBurst(box)", contender.box)
    for press in range(count):
        page.keyboard.press("ArrowRight" if press % 2 == 0 or contender.box != ".bench-0" else "ArrowLeft")
    seen: dict[str, float] = page.evaluate("probe.done")
    value = page.locator(contender.focus).first.get_attribute("aria-valuenow")
    alt = page.locator(f"{contender.box} img").get_attribute("alt") or ""
    return seen | {"values": count, "newest": alt.startswith(f"Channel {float(value or -1):.0f} ")}


@contextmanager
def _open_page(traffic: Traffic) -> Iterator[Page]:
    """Open a notebook with all contenders on screen at once."""
    path = find_chromium()
    if path is None:
        sys.exit("No Chromium was found: `python -m tests.browser.chromium` installs one.")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_jupyterlab(Path(folder)) as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu", *sandbox])
        page = browser.new_page(viewport={"width": 1280, "height": 3600})
        page.on("websocket", traffic.listen)
        notebook = lab.open(page, [MODEL, CONTENDERS, SETTLE])
        notebook.run_all()
        page.wait_for_timeout(1000)
        notebook.check_no_complaints()
        notebook.screenshot("benchmark")
        page.evaluate((Path(__file__).parent / "probe.js").read_text(encoding="utf-8"))
        yield page
        notebook.shut_down()
        browser.close()


def main(arguments: Sequence[str] = ()) -> None:
    """Print a few rounds (3 by default), without writing any file."""
    rounds = int(arguments[0]) if arguments else 3
    found = measure_browser(rounds=rounds)
    for name, each in found["contenders"].items():
        print(f"{name:50}", each)
    print(found["ratios"], found["bursts"], sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
