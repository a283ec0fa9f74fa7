"""Measurements made once, not for each model: memory, bytes a redraw, import, many channels against few."""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import psutil

from fmwidget import ActivationModel, FeatureMapWidget, sample_model

from .contenders import build_wide_model
from .measuring import CountingComm, Meter, grid_of, noisy_photographs, wait_for_trace
from .report import paired


def measure_memory(*, interactions: int) -> dict[str, float]:
    """Measure how much memory a long session leaves behind, and the most bytes that the cache has held."""
    model = sample_model()
    budget = 20 * 2**20  # the maps of one image take about 6 MB
    am = ActivationModel(model, cache_bytes=budget)
    widget = FeatureMapWidget(am)
    choice = random.Random(0)  # noqa: S311 - the same session each time
    values: dict[str, Sequence[Any]] = {
        "layer": widget.layers,
        "channel": range(32),
        "image": widget.images,
        "norm": ("standardize", "channel", "shared", "symmetric"),
        "cmap": ("viridis", "magma", "gray"),
        "order": ("index", "mean", "max", "variance"),
    }
    largest = 0

    def interact(times: int) -> None:
        nonlocal largest
        for _ in range(times):
            name = choice.choice(list(values))
            setattr(widget, name, choice.choice([v for v in values[name] if v != getattr(widget, name)]))
            largest = max(largest, cached_bytes(am))

    interact(interactions // 4)
    wait_for_trace(am)
    interact(interactions // 4)
    process = psutil.Process()
    before = process.memory_info().rss
    interact(interactions)
    after = process.memory_info().rss
    widget.close()
    return {
        "interactions": interactions,
        "rss_before": before,
        "rss_after": after,
        "growth": round(after / before - 1, 4),
        "cache_budget": budget,
        "cache_held_at_most": largest,
        "evictions": am.stats.evictions,
        "forwards": am.stats.forwards,
        "traces": am.stats.traces,
    }


def cached_bytes(am: ActivationModel) -> int:
    """Return the bytes of maps in the cache, counted tensor by tensor."""
    tensors = {id(each): each for forward in am._cache.forwards.values() for each in forward.maps.values()}
    return sum(each.dtype.size * each.shape.num_elements() for each in tensors.values())


def peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def steady_memory() -> int:
    """Return the memory that this process holds now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def measure_sizes() -> dict[str, int]:
    """Measure the bytes sent to the browser for a redraw of 128 channels in the default size."""
    widget = FeatureMapWidget(sample_model())
    found = {}
    grid = grid_of(widget)
    for ratio in (1, 2):
        display = {"type": "display", "ratio": ratio, "dark": False, "width": 848}
        grid._handle_custom_msg(display, [])
        for path in ("conv2d_2", "conv2d_3"):
            widget.layer = widget.layers[0]
            before = CountingComm.sent
            widget.layer = path
            found[f"{path}, ratio {ratio}"] = CountingComm.sent - before
            found[f"{path}, ratio {ratio}, the grid alone"] = len(widget.png)
    widget.close()
    return found


def measure_widths(*, rounds: int) -> dict[str, Any]:
    """Time a change to layers of 32, 128 and 2,048 channels with maps of one size."""
    widget = FeatureMapWidget(build_wide_model(), noisy_photographs(1, seed=2))
    meter = Meter()
    for turn, path in zip(range(3 * (rounds + 1)), cycle(["c32", "c128", "c2048"]), strict=False):
        meter.time(path if turn >= 3 else "practice", setattr, widget, "layer", path)
    widget.close()
    ratio = paired(meter.seconds["c2048"], meter.seconds["c128"])
    return meter.summary() | {"2048_to_128": round(ratio, 3)}


def measure_import(*, rounds: int) -> float:
    """Measure the milliseconds that importing `fmwidget`'s own modules takes, without its dependencies."""
    found = []
    for _ in range(rounds):
        command = [sys.executable, "-X", "importtime", "-c", "from fmwidget import FeatureMapWidget"]
        written = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        lines = [line.removeprefix("import time:").split("|") for line in written.splitlines()]
        own = [int(line[0]) for line in lines if len(line) == 3 and line[2].strip().startswith("fmwidget")]
        found.append(sum(own) / 1000)
    return round(statistics.median(found), 1)
