"""A training of 200 epochs, gone through on the page meanwhile: memory stays flat, the weights the same."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from fmwidget.widget.status import TRAINING
from tests.browser.test_soak import WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

EPOCHS = int(os.environ.get("FMWIDGET_SOAK_EPOCHS", "200"))
PARTS = 5  # of the training: the last is compared with the first, when all caches are warm
BATCH = 12  # actions between two looks at the cell
MEMORY = 1.03  # of the kernel
PAGE_MEMORY = 1.1  # numbers of nodes and listeners too: panels come and go
# Most objects of a kind: what is on screen, and the last results that each step of the pipeline keeps. Of
# snapshots these come beside those of the run.
ALIVE = {"Snapshot": 8, "ActivationModel": 8, "Frame": 4, "StepHistory": 8}
CACHE_BYTES = 2**23  # a tenth of the passes that are run
RUN_BYTES = 2**18  # a tenth of the snapshots that are taken
LIMIT_SECONDS = 1200
SAID = rf"({re.escape(TRAINING)})?Weights: .*"  # and no problem

SETUP = """
import ctypes, gc, threading
from collections import Counter
import comm, keras, numpy as np, psutil
from fmwidget import ActivationModel, FeatureMapWidget, WeightSnapshots, sample_images
from fmwidget.analysis.step_history import StepHistory
from fmwidget.pipeline import Frame
from fmwidget.snapshots.snapshot import Snapshot
from ipywidgets.widgets import widget as registry
layers = keras.layers
def build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((32, 32, 3)), layers.Rescaling(1 / 255, name="scale"),
        layers.Conv2D(16, 3, activity_regularizer="l2", name="first"), layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"), layers.MaxPooling2D(name="pool"),
        layers.Conv2D(24, 3, activation="relu", name="second"), layers.GlobalAveragePooling2D(name="mean"),
        layers.Dropout(0.2, name="drop"), layers.Dense(2, activation="softmax", name="head"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
rng = np.random.default_rng(0)
y = rng.integers(0, 2, 384)
x = rng.uniform(0, 255, (384, 32, 32, 3)).astype("float32")
x[y == 1, 8:24, 8:24, 0] += 20
def held():
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)  # or what is free already would count
    alive = Counter(type(each) for each in gc.get_objects())
    kinds = Snapshot, ActivationModel, Frame, StepHistory
    names = Counter(thread.name if thread.name.startswith("fmwidget") else "other"
                    for thread in threading.enumerate())
    return dict(
        widgets=len(registry._instances), comms=len(comm.get_comm_manager().comms), threads=dict(names),
        MiB=round(psutil.Process().memory_info().rss / 2**20, 1), snapshots=len(run),
        passes=len(am._cache.forwards), cached=am.stats.bytes,
        alive={kind.__name__: alive[kind] for kind in kinds})
"""
PLAIN = f"""
model = build()
model.fit(x, y, epochs={EPOCHS}, verbose=0)
expected = [each.numpy() for each in model.variables]
"""
SHOW = f"""
model = build()
am = ActivationModel(model, cache_bytes={CACHE_BYTES})
run = WeightSnapshots(max_bytes={RUN_BYTES})
widget = FeatureMapWidget(am, sample_images(), snapshots=run, layer="first")
widget
"""
FIT = f"""
report = []
def measure(epoch, logs):
    if (epoch + 1) % {EPOCHS // PARTS} == 0:
        report.append(held())
measuring = keras.callbacks.LambdaCallback(on_epoch_end=measure)
model.fit(x, y, epochs={EPOCHS}, verbose=0, callbacks=[run, measuring]);
"""
CHECK = """
identical = all(map(np.array_equal, expected, model.variables))
print([report, identical, run.snapshots[-1].step, am.stats.forwards])
"""


def actions(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Return a user's actions in training, mixed, the frequent ones more often."""
    kinds: list[dict[str, Any]] = [
        *[{"kind": "slider", "label": "Step", "key": key} for key in ("ArrowLeft", "ArrowRight")] * 3,
        *[{"kind": "slider", "label": "Step", "key": key} for key in ("PageDown", "PageUp", "Home", "End")],
        *[{"kind": "key", "key": key} for key in (",", ".", "t", "ArrowRight")] * 2,
        *[{"kind": "button", "label": label} for label in ("A", "B", "A − B")],
        *[{"kind": "button", "label": label} for label in ("One scale", "Over the steps")],
        *[{"kind": "select", "label": label} for label in ("Compare with", "Norm")] * 2,
        *[{"kind": "select", "label": "Layer", "waits": True}] * 3,
        *[{"kind": "picture", "waits": True}] * 3,
        *[{"kind": "hover"}] * 2,
    ]
    while True:
        yield {**rng.choice(kinds), "index": rng.randrange(1000)}


def page_memory(page: Page) -> dict[str, float]:
    """Return the numbers of nodes and listeners that the page keeps, and its heap in MiB, without garbage."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    counts = session.send("Memory.getDOMCounters")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    session.detach()
    return {"nodes": counts["nodes"], "listeners": counts["jsEventListeners"], "MiB": round(heap, 1)}


def run_long_cell(notebook, page, index):
    """Run a cell that takes longer than `run_cell` allows."""
    notebook.start_cell(index)
    prompt = notebook.cell(index).locator(".jp-InputPrompt")
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=LIMIT_SECONDS * 1000)


@pytest.mark.slow
def test_training_watched_to_its_end_leaves_no_trace(open_notebook, page):
    notebook = open_notebook([SETUP, PLAIN, SHOW, FIT, CHECK])
    notebook.run_cell(0)
    run_long_cell(notebook, page, 1)
    notebook.run_cell(2)
    page.locator(".fmwidget [aria-label='Feature maps of the layer'] img").wait_for()
    todo = actions(random.Random(1))  # noqa: S311 - the same actions every time
    times: list[list[float]] = []
    pages, count, began = [], 0, time.monotonic()
    notebook.start_cell(3)
    while notebook.is_running(3):
        assert time.monotonic() - began < LIMIT_SECONDS
        done = page.evaluate(WORKER, [next(todo) for _ in range(BATCH)])
        assert done["missed"] == []
        assert re.fullmatch(SAID, done["said"].strip()), done["said"]
        times.append(done["times"])
        count += BATCH
        pages.append(page_memory(page))
    minutes = (time.monotonic() - began) / 60
    notebook.run_cell(4)
    report, identical, last_step, forwards = ast.literal_eval(notebook.output(4).inner_text())
    fifth = len(times) // PARTS
    medians = [
        round(statistics.median([each for part in some for each in part]))
        for some in (times[:fifth], times[fifth : 2 * fifth], times[-fifth:])
    ]
    figures = {
        "events": count,
        "forwards": forwards,
        "minutes": round(minutes, 1),
        "ms": medians,
        "page": [pages[fifth], pages[-1]],
        "kernel": report,
    }
    print(json.dumps(figures, indent=1))  # noqa: T201
    assert identical
    assert last_step == EPOCHS
    first, last = report[0], report[-1]
    for name in ("widgets", "comms", "snapshots"):
        assert last[name] == first[name], name
    # Threads of the widget come and go, one of each at a time.
    assert last["threads"].pop("other") == first["threads"].pop("other")
    assert set(last["threads"].values()) == {1}
    assert last["MiB"] < first["MiB"] * MEMORY
    assert last["cached"] <= CACHE_BYTES
    assert last["alive"].pop("Snapshot") <= last["snapshots"] + ALIVE["Snapshot"]
    for name, number in last["alive"].items():
        assert number <= ALIVE[name], name
    for name, number in pages[-1].items():
        assert number < pages[fifth][name] * PAGE_MEMORY, name
    notebook.check_no_complaints()
