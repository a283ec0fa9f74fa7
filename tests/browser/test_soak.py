"""An hour of work with the widget in a few minutes: nothing grows between its beginning and its end."""

from __future__ import annotations

import ast
import io
import json
import os
import random
import statistics
import time

import numpy as np
import pytest
from PIL import Image

EVENTS = int(os.environ.get("FMWIDGET_SOAK_EVENTS", "3000"))
PARTS = 4  # of the run: the last is compared with the second, when all caches are warm
MEMORY = 1.03
LATENCY = 1.3  # in round trips of a plain widget on the same page, as the machine may be busy
SETUP = """
import gc, threading, time
import comm, psutil
from ipywidgets.widgets import widget as registry
from fmwidget import FeatureMapWidget, sample_images, sample_model
widget = FeatureMapWidget(sample_model(), sample_images())
import ipywidgets
plain, echo = ipywidgets.IntSlider(0, 0, 1000), ipywidgets.Label("0")
plain.observe(lambda change: setattr(echo, "value", str(change["new"])), names="value")
def held():
    gc.collect()
    return [len(registry._instances), len(comm.get_comm_manager().comms), threading.active_count(),
            psutil.Process().memory_info().rss / 2**20]
"""

FLOOR_CELL = "box = ipywidgets.HBox([plain, echo]); box.add_class('fmw-floor')"

# In the page: run the actions one by one, each when the screen shows the result of the last.
WORKER = """
async (actions) => {
    const root = document.querySelector(".fmwidget");
    const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
    const alt = () => root.querySelector("[aria-label='Feature maps of the layer'] img")?.alt;
    const said = () => root.querySelector(".fmw-status").textContent;
    const state = () => `${alt()} ${root.querySelector("[aria-label='Feature maps of the layer'] img")?.src}`;
    const times = [], missed = [];
    for (const { kind, label, index, key, waits } of actions) {
        const before = state(), began = performance.now();
        if (kind === "select") {
            const select = [...root.querySelectorAll("select")].find((each) =>
                each.closest(".widget-dropdown").textContent.includes(label));
            const options = select.options.length;
            const next = (select.selectedIndex + 1 + (index % Math.max(1, options - 1))) % options;
            select.selectedIndex = next;
            select.dispatchEvent(new Event("change", { bubbles: true }));
        } else if (kind === "picture") {
            const all = [...root.querySelectorAll("[role=radio]")];
            const others = all.filter((each) => each.getAttribute("aria-checked") !== "true");
            others[index % others.length].click();
        } else if (kind === "slider") {
            const slider = [...root.querySelectorAll(".widget-slider")].find((each) =>
                each.querySelector(".widget-label").textContent === label);
            slider.querySelector("[role=slider]").dispatchEvent(
                new KeyboardEvent("keydown", { key, bubbles: true }));
        } else if (kind === "button") {
            [...root.querySelectorAll("button")].find((each) => each.textContent.trim() === label).click();
        } else if (kind === "key") {
            const grid = root.querySelector("[aria-label='Feature maps of the layer']");
            grid.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        } else if (kind === "hover") {
            const grid = root.querySelector("[aria-label='Feature maps of the layer']");
            const box = grid.getBoundingClientRect();
            grid.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, pointerType: "mouse",
                clientX: box.left + ((index * 37) % 100) / 100 * box.width,
                clientY: box.top + ((index * 53) % 100) / 100 * box.height }));
        }
        let seen = kind === "hover";
        while (!seen && performance.now() - began < (waits ? 5000 : 250)) {
            await sleep(4);
            seen = state() !== before;
        }
        if (seen && kind !== "hover") times.push(performance.now() - began);
        if (!seen && waits) missed.push(`${kind} ${label} ${index}: ${said()}`);
    }
    return { times, missed, said: said() };
}
"""


FLOOR = """
async () => {
    const slider = document.querySelector(".fmw-floor [role=slider]");
    const label = [...document.querySelectorAll(".fmw-floor .widget-label")].at(-1);
    const times = [];
    for (let i = 0; i < 40; i++) {
        const before = label.textContent, began = performance.now();
        slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", keyCode: 39, bubbles: true }));
        while (label.textContent === before && performance.now() - began < 3000)
            await new Promise((wake) => setTimeout(wake, 4));
        times.push(performance.now() - began);
    }
    return times;
}
"""


def actions(rng):
    """Return a user's actions, mixed, the frequent ones more often."""
    kinds = [
        *[{"kind": "key", "key": key} for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "End")]
        * 3,
        *[{"kind": "select", "label": "Layer", "waits": True}] * 5,
        *[{"kind": "select", "label": label, "waits": True} for label in ("Norm", "Order")] * 2,
        *[{"kind": "select", "label": "Colours"}] * 2,
        *[{"kind": "picture", "waits": True}] * 3,
        *[{"kind": "hover"}] * 4,
    ]
    while True:
        yield {**rng.choice(kinds), "index": rng.randrange(1000)}


def add_picture(page, number):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    upload = page.locator(".fmwidget input[type=file]").first
    upload.set_input_files({"name": f"{number}.png", "mimeType": "image/png", "buffer": file.getvalue()})
    page.locator(".fmwidget [role=radio]", has_text=str(number)).first.wait_for()


@pytest.mark.slow
def test_an_hour_of_work_leaves_no_trace(open_notebook, page):
    notebook = open_notebook([SETUP, FLOOR_CELL, "widget", "held()"])
    for cell in (0, 1, 2):
        notebook.run_cell(cell)
    page.locator(".fmwidget [aria-label='Feature maps of the layer'] img").wait_for()
    page.wait_for_timeout(3000)  # compiled by then
    rng = random.Random(1)  # noqa: S311 - the same hour every time
    todo = actions(rng)
    add_picture(page, 101)
    report = []
    began = time.monotonic()
    for part in range(PARTS):
        times: list[float] = []
        floor: list[float] = []
        for each in range(3):
            page.emulate_media(color_scheme="dark" if (part + each) % 2 else "light")
            batch = [next(todo) for _ in range(EVENTS // PARTS // 3)]
            done = page.evaluate(WORKER, batch)
            assert done["missed"] == []
            assert done["said"].strip() == ""
            times += done["times"]
            floor += page.evaluate(FLOOR)
        notebook.run_cell(3)
        counts = ast.literal_eval(notebook.output(3).inner_text())
        report.append((*counts, statistics.median(times), statistics.median(floor)))
    minutes = (time.monotonic() - began) / 60
    lines = [
        f"{int(w)} widgets, {int(c)} comms, {int(t)} threads, {m:.0f} MiB, {ms:.0f} ms over {floor:.0f} ms"
        for w, c, t, m, ms, floor in report
    ]
    print(json.dumps({"events": EVENTS, "minutes": round(minutes, 1), "quarters": lines}, indent=1))  # noqa: T201
    warm, last = report[1], report[-1]
    assert last[:3] == warm[:3], lines
    assert last[3] < warm[3] * MEMORY, lines
    assert last[4] / last[5] < warm[4] / warm[5] * LATENCY, lines
    notebook.check_no_complaints()
