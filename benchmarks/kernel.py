"""What each interaction costs inside the kernel, beside the tutorial's loop and the floors.

Everything is measured in turn, round after round, so that whatever else the machine does falls on all
contenders alike; the ratios are what counts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from unittest import mock

from ipywidgets import HTML

from fmwidget import ActivationModel, FeatureMapWidget
from fmwidget.models import backends
from fmwidget.models.batch import model_batch
from fmwidget.models.inputs import input_shapes
from fmwidget.rendering.normalization import to_levels
from fmwidget.widget.jupyter.widget_tree import child_widgets

from .contenders import TutorialLoop, bare_forward, eager_forward
from .measuring import Meter, grid_of, is_compiled, some_pictures, spread, wait_for_trace
from .report import paired

if TYPE_CHECKING:
    import keras

LAYERS = 5  # of each model, spread over its depth
LOOK, CHANNEL, COLOURS = "layer change", "channel change", "colormap change"
PICTURE, PICTURE_MAPS = "new picture, drawn", "new picture, all maps captured"
FIRST, FIRST_MAPS = "first picture, widget made and drawn", "first picture, all maps captured"
BESIDE, AFTER = "layer change while the pass is compiled", "the same layer changes later"
OWN, OTHERS = "compiled pass", "compiled pass with other weights"
LOOP, LOOP_CHANNEL = "tutorial's loop: layer", "tutorial's loop: channel"
GRIDS, NORMALISED = "grids encoded for a channel change", "normalisations for a colormap change"
FORWARDS = "forwards for two new pictures"
BARE, EAGER = "floor: bare compiled forward", "floor: one eager forward"
PLAIN = "floor: as many plain ipywidgets"
PICTURE_FLOOR, FIRST_FLOOR = "a bare pass and a layer change", "an eager forward and as many plain ipywidgets"
PACE = 0.1  # seconds between two looks of somebody in a hurry


def measure_model(model: keras.Model, *, rounds: int, firsts: int) -> dict[str, Any]:
    """Times every interaction with a model, in turn with the loop and the floors.

    Args:
        model: A functional model.
        rounds: How often each interaction is timed.
        firsts: How often a new widget is made, and its first picture timed.
    """
    meter = Meter()
    compiling = first_pictures(model, meter, rounds=firsts)
    counts = interactions(model, meter, rounds=rounds)
    seconds = meter.seconds
    # Each floor was timed once before either of the two that are held against it.
    ratios = {
        LOOK: paired(seconds[LOOP], seconds[LOOK]),
        CHANNEL: paired(seconds[LOOP_CHANNEL], seconds[CHANNEL]),
        COLOURS: paired(seconds[LOOP], seconds[COLOURS]),
        PICTURE: paired(seconds[PICTURE], seconds[BARE][0::2]),
        PICTURE_MAPS: paired(seconds[PICTURE_MAPS], seconds[BARE][1::2]),
        FIRST_MAPS: paired(seconds[FIRST_MAPS], seconds[EAGER][0::2]),
        FIRST: paired(seconds[FIRST], seconds[EAGER][1::2]),
        PICTURE_FLOOR: 1 + paired(seconds[LOOK], seconds[BARE][0::2]),
        FIRST_FLOOR: 1 + paired(seconds[PLAIN], seconds[EAGER][1::2]),
        BESIDE: paired(seconds[BESIDE], seconds[AFTER]),
        OTHERS: paired(seconds[OTHERS], seconds[OWN]),
    }
    return {
        "times": meter.summary(),
        "ratios": {kind: round(ratio, 3) for kind, ratio in ratios.items()},
        "counts": counts,
        "compiling": compiling,
    }


def interactions(model: keras.Model, meter: Meter, *, rounds: int) -> dict[str, int]:
    """Times what is done to a widget that has been looked at for a while; returns what was counted."""
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
        meter.time(LOOP, loop.grid, shown, path)
        meter.time(LOOK, setattr, widget, "layer", path)
        channel = (widget.channel + 1) % am.layer(path).shape[-1]
        png = grid.png
        meter.time(CHANNEL, setattr, widget, "channel", channel)
        counts[GRIDS] += grid.png is not png
        meter.time(LOOP_CHANNEL, loop.channel, shown, path, channel)
        cmap = "magma" if widget.cmap == "viridis" else "viridis"
        with mock.patch("fmwidget.rendering.feature_grid.to_levels", wraps=to_levels) as normalise:
            meter.time(COLOURS, setattr, widget, "cmap", cmap)
        counts[NORMALISED] += normalise.call_count
        forwards = am.stats.forwards
        meter.time(BARE, bare, model_batch(model, pictures[next(unseen)]))
        meter.time(PICTURE, setattr, widget, "image", next(unseen))
        new = model_batch(model, some_pictures(1, seed=100 + turn)["0"])
        meter.time(BARE, bare, new)
        meter.time(PICTURE_MAPS, am.activations, new, path)
        counts[FORWARDS] = max(counts[FORWARDS], am.stats.forwards - forwards)
    other_weights(am, model_batch(model, pictures[widget.image]), meter, rounds=rounds)
    counts["traces"] = am.stats.traces
    counts["bytes of maps held"] = am.stats.bytes
    widget.close()
    return dict(counts)


def other_weights(am: ActivationModel, batch: Any, meter: Meter, *, rounds: int) -> None:
    """Time the compiled pass with stand-ins for the model's variables beside the same pass without."""
    compiled = am._compiler.ready(input_shapes(batch, am.inputs))
    if compiled is None:
        raise RuntimeError("The forward pass was not compiled.")
    backend = backends.current()
    variables = backend.weight_monitor().check(am.model).variables
    others = backend.stand_ins(variables, [variable.read_value() for variable in variables])
    for _ in range(2 * rounds):
        meter.time(OWN, compiled, batch)
        meter.time(OTHERS, compiled, batch, others)


def first_pictures(model: keras.Model, meter: Meter, *, rounds: int) -> dict[str, float]:
    """Times the first picture of a new widget, and looks at other layers while its pass is compiled.

    Returns:
        Milliseconds that compiling takes with somebody looking, and the longest look meanwhile.
    """
    eager, pictures = eager_forward(model), some_pictures(1, seed=0)
    batch = model_batch(model, next(iter(pictures.values())))
    eager(batch)  # kernels are chosen in a process' first forward
    took = []
    for _ in range(rounds):
        meter.time(EAGER, eager, batch)
        meter.time(FIRST_MAPS, ActivationModel(model).predictions, batch)
        meter.time(EAGER, eager, batch)
        am = ActivationModel(model)
        widget = meter.time(FIRST, FeatureMapWidget, am, pictures)
        plain = meter.time(
            PLAIN, lambda count: [HTML() for _ in range(count)], len(list(child_widgets(widget)))
        )
        for each in plain:
            each.close()
        began = time.perf_counter()
        layers = spread([each.path for each in am.layers if each.after is None], LAYERS)
        beside = 0
        while not is_compiled(am):
            time.sleep(PACE)
            meter.time(BESIDE, setattr, widget, "layer", layers[1 + beside % (LAYERS - 1)])
            beside += 1
        took.append(time.perf_counter() - began)
        widget.layer = layers[0]
        for look in range(beside):
            time.sleep(PACE)
            meter.time(AFTER, setattr, widget, "layer", layers[1 + look % (LAYERS - 1)])
        widget.close()
    return {
        "milliseconds": round(1000 * max(took)),
        "longest look meanwhile": round(1000 * max(meter.seconds[BESIDE])),
    }
