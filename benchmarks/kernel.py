"""What each interaction costs inside the kernel, beside the tutorial's loop and the floors, in one run.

Run it with `make bench`, or `make bench ARGS=--quick`. Everything is measured in turn, round after round, so
that whatever else the machine does falls on all contenders alike; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any
from unittest import mock

import comm
import keras
import numpy as np
import psutil
import tensorflow as tf
from comm.base_comm import BaseComm

from fmwidget import ActivationModel, FeatureMapWidget, sample_images, sample_model
from fmwidget.batch import model_batch
from fmwidget.live import parts
from fmwidget.normalization import to_levels
from fmwidget.view import PictureView

from .contenders import MODELS, TutorialLoop, bare_forward, eager_forward, pages_of_one_size
from .report import Line, paired, summary, write

LAYERS = 5  # of each model, spread over its depth
LOOK, CHANNEL, COLOURS = "layer change", "channel change", "colormap change"
PICTURE, PICTURE_MAPS = "new picture, drawn", "new picture, all maps captured"
FIRST, FIRST_MAPS = "first picture, widget made and drawn", "first picture, all maps captured"
BESIDE = "layer change while the pass is compiled"
LOOP, LOOP_CHANNEL = "tutorial's loop: layer", "tutorial's loop: channel"
GRIDS, NORMALISED = "grids encoded for a channel change", "normalisations for a colormap change"
BARE, EAGER = "floor: bare compiled forward", "floor: one eager forward"


class CountingComm(BaseComm):
    """Stands in for the browser: writes each message as the kernel would, and counts its bytes."""

    sent = 0

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
    ) -> None:
        """Counts a message that would go to the browser."""
        text = json.dumps([msg_type, data, metadata, keys], default=str)
        CountingComm.sent += len(text) + sum(memoryview(each).nbytes for each in buffers or ())


def main() -> None:
    """Measures, and writes `results.json` and the tables of `README.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and two models; writes nothing")
    quick = parser.parse_args().quick
    comm.create_comm = CountingComm
    keras.utils.set_random_seed(0)

    started = time.perf_counter()
    memory = measure_memory(interactions=300 if quick else 2000)
    sizes = measure_sizes()
    widths = measure_widths(rounds=5 if quick else 25)
    imports = measure_import(rounds=1 if quick else 3)
    models = {}
    for name in ("tutorial's CNN", "MobileNetV2") if quick else MODELS:
        models[name] = measure_model(MODELS[name](), rounds=3 if quick else 9, firsts=1 if quick else 3)
        print(name, json.dumps(models[name], indent=1))
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}",
        "command": "make bench",
        "load": os.getloadavg()[1],
        "memory": memory,
        "bytes": sizes,
        "channels": widths,
        "import_ms": imports,
        "models": models,
    }
    lines = targets(results)
    for line in lines:
        print(f"{line.what:50} {line.target:50} {line.measured}   {line.verdict}")
    print(f"{time.perf_counter() - started:.0f} s")
    if not quick:
        results["seconds"] = round(time.perf_counter() - started)
        write(results, lines)


# ------------------------------------------------------------------ each interaction, model by model


def measure_model(model: keras.Model, *, rounds: int, firsts: int) -> dict[str, Any]:
    """Times every interaction with a model, in turn with the loop and the floors."""
    times: dict[str, list[float]] = defaultdict(list)
    first_pictures(model, times, rounds=firsts)
    pictures = some_pictures(2 * rounds + 2, seed=1)
    am = ActivationModel(model)
    widget = FeatureMapWidget(am, pictures)
    wait_for_trace(am)
    loop, bare = TutorialLoop(model), bare_forward(model)
    shown = model_batch(model, pictures[widget.image])
    wide = [each.path for each in am.layers if each.shape[-1] % 16 == 0 and each.shape[-1] >= 32]
    layers = spread([path for path in wide if path in loop.layers], LAYERS)
    for path in layers:  # whatever is made once, such as matplotlib's fonts, is made now
        widget.layer = path
        loop.grid(shown, path)
    widget.image = widget.images[-1]
    bare(shown)
    counts: dict[str, int] = defaultdict(int)
    unseen = iter(widget.images[1:])
    grid = grid_of(widget)
    for turn in range(rounds):
        before, path = layers[(turn - 1) % len(layers)], layers[turn % len(layers)]
        shown = model_batch(model, pictures[widget.image])
        widget.layer = before
        times[LOOP].append(timed(loop.grid, shown, path))
        times[LOOK].append(timed(setattr, widget, "layer", path))
        channel = (widget.channel + 1) % am.layer(path).shape[-1]
        png = grid.png
        times[CHANNEL].append(timed(setattr, widget, "channel", channel))
        counts[GRIDS] += grid.png is not png
        times[LOOP_CHANNEL].append(timed(loop.channel, shown, path, channel))
        cmap = "magma" if widget.cmap == "viridis" else "viridis"
        with mock.patch("fmwidget.drawing.to_levels", wraps=to_levels) as normalise:
            times[COLOURS].append(timed(setattr, widget, "cmap", cmap))
        counts[NORMALISED] += normalise.call_count
        forwards = am.stats.forwards
        times[BARE].append(timed(bare, model_batch(model, pictures[next(unseen)])))
        times[PICTURE].append(timed(setattr, widget, "image", next(unseen)))
        new = model_batch(model, some_pictures(1, seed=100 + turn)["0"])
        times[BARE].append(timed(bare, new))
        times[PICTURE_MAPS].append(timed(am.activations, new, path))
        counts["forwards for two new pictures"] = am.stats.forwards - forwards
    counts["traces"] = am.stats.traces
    widget.close()
    seconds = {kind: summary(values) for kind, values in times.items()}
    # Each floor was timed once before either of the two that are held against it.
    ratios = {
        LOOK: paired(times[LOOP], times[LOOK]),
        CHANNEL: paired(times[LOOP_CHANNEL], times[CHANNEL]),
        COLOURS: paired(times[LOOP], times[COLOURS]),
        PICTURE: paired(times[PICTURE], times[BARE][0::2]),
        PICTURE_MAPS: paired(times[PICTURE_MAPS], times[BARE][1::2]),
        FIRST_MAPS: paired(times[FIRST_MAPS], times[EAGER][0::2]),
        FIRST: paired(times[FIRST], times[EAGER][1::2]),
    }
    return {
        "times": seconds,
        "ratios": {kind: round(ratio, 3) for kind, ratio in ratios.items()},
        "counts": dict(counts),
    }


def first_pictures(model: keras.Model, times: dict[str, list[float]], *, rounds: int) -> None:
    """Times the first picture of a new widget, and looks at other layers while its pass is compiled."""
    eager, pictures = eager_forward(model), some_pictures(1, seed=0)
    batch = model_batch(model, next(iter(pictures.values())))
    eager(batch)  # kernels are chosen in a process' first forward
    for _ in range(rounds):
        times[EAGER].append(timed(eager, batch))
        am = ActivationModel(model)
        times[FIRST_MAPS].append(timed(am.predictions, batch))
        times[EAGER].append(timed(eager, batch))
        am = ActivationModel(model)
        began = time.perf_counter()
        widget = FeatureMapWidget(am, pictures)
        times[FIRST].append(time.perf_counter() - began)
        for path in spread(widget.layers, LAYERS):
            if am.stats.traces == 0:
                times[BESIDE].append(timed(setattr, widget, "layer", path))
        wait_for_trace(am)
        widget.close()


# ------------------------------------------------------------------ memory, bytes, import, many channels


def measure_memory(*, interactions: int) -> dict[str, float]:
    """How much memory a long session leaves behind, and whether the cache keeps to its budget."""
    model = sample_model()
    budget = 20 * 2**20  # a picture's maps take about six
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
            largest = max(largest, held(am))

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


def held(am: ActivationModel) -> int:
    """Bytes of maps in the cache, counted tensor by tensor."""
    tensors = {id(each): each for forward in am._cache.values() for each in forward.maps.values()}
    return sum(each.dtype.size * each.shape.num_elements() for each in tensors.values())


def measure_sizes() -> dict[str, int]:
    """Bytes that go to the browser for a redraw of 128 channels in the default size."""
    widget = FeatureMapWidget(sample_model())
    found = {}
    grid = grid_of(widget)
    for ratio in (1, 2):
        surroundings = {"type": "surroundings", "ratio": ratio, "dark": False, "width": 848}
        grid._handle_custom_msg(surroundings, [])
        for path in ("conv2d_2", "conv2d_3"):
            widget.layer = widget.layers[0]
            before = CountingComm.sent
            widget.layer = path
            found[f"{path}, ratio {ratio}"] = CountingComm.sent - before
            found[f"{path}, ratio {ratio}, the grid alone"] = len(widget.png)
    widget.close()
    return found


def measure_widths(*, rounds: int) -> dict[str, Any]:
    """Times a change to layers of 32, 128 and 2,048 channels with maps of one size."""
    widget = FeatureMapWidget(pages_of_one_size(), some_pictures(1, seed=2))
    times: dict[str, list[float]] = defaultdict(list)
    for turn, path in zip(range(3 * (rounds + 1)), cycle(["c32", "c128", "c2048"]), strict=False):
        seconds = timed(setattr, widget, "layer", path)
        if turn >= 3:
            times[path].append(seconds)
    widget.close()
    ratio = paired(times["c2048"], times["c128"])
    return {path: summary(values) for path, values in times.items()} | {"2048_to_128": round(ratio, 3)}


def measure_import(*, rounds: int) -> list[float]:
    """Milliseconds spent in `fmwidget`'s own modules while they are imported, without what they import."""
    found = []
    for _ in range(rounds):
        command = [sys.executable, "-X", "importtime", "-c", "from fmwidget import FeatureMapWidget"]
        written = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        lines = [line.removeprefix("import time:").split("|") for line in written.splitlines()]
        own = [int(line[0]) for line in lines if len(line) == 3 and line[2].strip().startswith("fmwidget")]
        found.append(round(sum(own) / 1000, 1))
    return found


# ------------------------------------------------------------------ the targets


def targets(results: dict[str, Any]) -> list[Line]:
    """Holds what was measured against the targets."""
    models = results["models"]

    def line(kind: str, what: str, target: str, limit: float, *, faster: bool = False) -> Line:
        ratios = [model["ratios"][kind] for model in models.values()]
        mean, worst = statistics.geometric_mean(ratios), min(ratios) if faster else max(ratios)
        unit = "× faster" if faster else "×"
        return Line(what, target, f"{mean:.2f}{unit} (worst model {worst:.2f})", mean, limit, at_least=faster)

    counts = {name: [model["counts"][name] for model in models.values()] for name in counted(models)}
    sizes, memory, widths = results["bytes"], results["memory"], results["channels"]
    loop = "≥ 20× faster than the loop"
    most = {
        ratio: max(size for name, size in sizes.items() if name.endswith(f"ratio {ratio}"))
        for ratio in (1, 2)
    }
    milliseconds = statistics.median(results["import_ms"])
    return [
        line(LOOK, "layer change, picture seen", loop, 20, faster=True),
        line(CHANNEL, "channel change", loop, 20, faster=True),
        counted_line(counts, GRIDS, 0, "0: only its frame moves"),
        line(COLOURS, "colormap change", loop, 20, faster=True),
        counted_line(counts, NORMALISED, 0, "0: a new palette"),
        line(PICTURE_MAPS, "new picture, all maps captured", "≤ 1.3× a bare compiled forward", 1.3),
        line(PICTURE, "new picture, until drawn and sent", "≤ 1.3× a bare compiled forward", 1.3),
        counted_line(counts, "forwards for two new pictures", 2, "2"),
        counted_line(counts, "traces", 1, "1 a model"),
        line(FIRST_MAPS, "first picture, all maps captured", "≤ 1.2× one eager forward", 1.2),
        line(FIRST, "first picture, until drawn and sent", "≤ 1.2× one eager forward", 1.2),
        Line(
            "2,048 channels against 128, both a page of 128 tiles of one size",
            "≤ 1.5×",
            f"{widths['2048_to_128']:.2f}× ({widths['c2048']['median']:.1f} ms; 128: "
            f"{widths['c128']['median']:.1f} ms; 32: {widths['c32']['median']:.1f} ms)",
            widths["2048_to_128"],
            1.5,
        ),
        *(
            Line(
                f"bytes a redraw, 128 channels, default size, pixel ratio {ratio}",
                "≤ 200 kB",
                f"{size / 1000:.0f} kB",
                size,
                200_000,
            )
            for ratio, size in most.items()
        ),
        Line(
            "import of `fmwidget` beyond its dependencies",
            "≤ 100 ms",
            f"{milliseconds:.0f} ms",
            milliseconds,
            100,
        ),
        Line(
            "cache budget",
            "held to the byte",
            f"{memory['cache_held_at_most']:,} of {memory['cache_budget']:,} bytes at most, "
            f"{memory['evictions']} evictions",
            memory["cache_held_at_most"],
            memory["cache_budget"],
        ),
        Line(
            f"memory after {memory['interactions']:,} mixed interactions",
            "within 2 %",
            f"{memory['growth']:+.1%} of {memory['rss_before'] / 1e6:.0f} MB",
            memory["growth"],
            0.02,
        ),
    ]


def counted(models: dict[str, Any]) -> list[str]:
    """The names of what was counted."""
    return list(next(iter(models.values()))["counts"])


def counted_line(counts: dict[str, list[int]], what: str, limit: int, target: str) -> Line:
    """A line for something that was counted; the worst model is held against the target."""
    return Line(what, target, ", ".join(map(str, counts[what])), max(counts[what]), limit)


# ------------------------------------------------------------------ helpers


def timed(action: Callable[..., Any], *arguments: Any) -> float:
    """Seconds an action takes."""
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began


def wait_for_trace(am: ActivationModel) -> None:
    """Waits until the forward pass has been compiled beside us."""
    deadline = time.monotonic() + 60
    while am.stats.traces == 0:
        if time.monotonic() > deadline:
            raise TimeoutError("The forward pass was not compiled within a minute.")
        time.sleep(0.01)


def grid_of(widget: FeatureMapWidget) -> PictureView:
    """The picture of the grid in a widget."""
    return next(part for part in parts(widget) if isinstance(part, PictureView))


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


if __name__ == "__main__":
    main()
