"""Times of each interaction inside the kernel, beside the tutorial's loop and the floors.

All contenders are measured in turn, round after round, so that other load on the machine affects them alike;
ratios between them are the result, since milliseconds depend on the machine.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from unittest import mock

from ipywidgets import HTML

from fmwidget import ActivationModel, FeatureMapWidget, WeightSnapshots
from fmwidget.models import backends
from fmwidget.models.batch import model_batch
from fmwidget.models.inputs import input_shapes
from fmwidget.rendering.normalization import to_levels
from fmwidget.snapshots.snapshot import NamedValues, Snapshot
from fmwidget.widget.jupyter.widget_tree import child_widgets

from .contenders import TutorialLoop, bare_forward, eager_forward
from .measuring import Meter, evenly_spaced, grid_of, is_compiled, noisy_photographs, wait_for_trace
from .report import paired

if TYPE_CHECKING:
    import keras

LAYER_COUNT = 5  # of each model, spread over its depth
LAYER, CHANNEL, COLORMAP = "layer change", "channel change", "colormap change"
NEW_IMAGE, NEW_IMAGE_MAPS = "new picture, drawn", "new picture, all maps captured"
FIRST_IMAGE, FIRST_IMAGE_MAPS = "first picture, widget made and drawn", "first picture, all maps captured"
WHILE_COMPILING, ONCE_COMPILED = "layer change while the pass is compiled", "the same layer changes later"
NEW_STEP, BESIDE_NEW_STEP = "new step of training, all maps captured", "a new picture beside it"
OWN_WEIGHTS, OTHER_WEIGHTS = "compiled pass", "compiled pass with other weights"
RECORDING = "recording an epoch, on the thread that trains"
LOOP, LOOP_CHANNEL = "tutorial's loop: layer", "tutorial's loop: channel"
GRIDS_ENCODED, NORMALISATIONS = "grids encoded for a channel change", "normalisations for a colormap change"
FORWARDS = "forwards for two new pictures"
BARE, EAGER = "floor: bare compiled forward", "floor: one eager forward"
PLAIN = "floor: as many plain ipywidgets"
NEW_IMAGE_FLOOR, FIRST_IMAGE_FLOOR = (
    "a bare pass and a layer change",
    "an eager forward and as many plain ipywidgets",
)
PAUSE = 0.1  # seconds between two layer changes of a user in a hurry


def measure_model(model: keras.Model, *, rounds: int, firsts: int) -> dict[str, Any]:
    """Time every interaction with a model, in turn with the loop and the floors.

    Args:
        model: A functional model.
        rounds: Number of times that each interaction is timed.
        firsts: Number of new widgets whose first image is timed.

    Returns:
        Times, ratios and counts by the labels of the tables.
    """
    meter = Meter()
    compiling = time_first_images(model, meter, rounds=firsts)
    counts = time_interactions(model, meter, rounds=rounds)
    time_recording(model, meter, rounds=rounds)
    seconds = meter.seconds
    # Each floor was timed twice a round, once before each of the two interactions that are divided by it.
    ratios = {
        LAYER: paired(seconds[LOOP], seconds[LAYER]),
        CHANNEL: paired(seconds[LOOP_CHANNEL], seconds[CHANNEL]),
        COLORMAP: paired(seconds[LOOP], seconds[COLORMAP]),
        NEW_IMAGE: paired(seconds[NEW_IMAGE], seconds[BARE][0::2]),
        NEW_IMAGE_MAPS: paired(seconds[NEW_IMAGE_MAPS], seconds[BARE][1::2]),
        FIRST_IMAGE_MAPS: paired(seconds[FIRST_IMAGE_MAPS], seconds[EAGER][0::2]),
        FIRST_IMAGE: paired(seconds[FIRST_IMAGE], seconds[EAGER][1::2]),
        NEW_IMAGE_FLOOR: 1 + paired(seconds[LAYER], seconds[BARE][0::2]),
        FIRST_IMAGE_FLOOR: 1 + paired(seconds[PLAIN], seconds[EAGER][1::2]),
        WHILE_COMPILING: paired(seconds[WHILE_COMPILING], seconds[ONCE_COMPILED]),
        OTHER_WEIGHTS: paired(seconds[OTHER_WEIGHTS], seconds[OWN_WEIGHTS]),
        NEW_STEP: paired(seconds[NEW_STEP], seconds[BESIDE_NEW_STEP]),
    }
    return {
        "times": meter.summary(),
        "ratios": {kind: round(ratio, 3) for kind, ratio in ratios.items()},
        "counts": counts,
        "compiling": compiling,
    }


def time_interactions(model: keras.Model, meter: Meter, *, rounds: int) -> dict[str, int]:
    """Time interactions with a widget whose forward pass is compiled, and return the counts of its work."""
    images = noisy_photographs(2 * rounds + 2, seed=1)
    am = ActivationModel(model)
    widget = FeatureMapWidget(am, images)
    wait_for_trace(am)
    loop, bare = TutorialLoop(model), bare_forward(model)
    shown = model_batch(model, images[widget.image])
    wide = [each.path for each in am.layers if each.shape[-1] % 16 == 0 and each.shape[-1] >= 32]
    layers = evenly_spaced([path for path in wide if path in loop.layers], LAYER_COUNT)
    for path in layers:  # anything built once, such as matplotlib's fonts, is built now
        widget.layer = path
        loop.grid(shown, path)
    widget.image = widget.images[-1]
    bare(shown)
    counts: dict[str, int] = defaultdict(int)
    unseen = iter(widget.images[1:])
    grid = grid_of(widget)
    for turn in range(rounds):
        before, path = layers[(turn - 1) % len(layers)], layers[turn % len(layers)]
        shown = model_batch(model, images[widget.image])
        widget.layer = before
        meter.time(LOOP, loop.grid, shown, path)
        meter.time(LAYER, setattr, widget, "layer", path)
        channel = (widget.channel + 1) % am.layer(path).shape[-1]
        png = grid.png
        meter.time(CHANNEL, setattr, widget, "channel", channel)
        counts[GRIDS_ENCODED] += grid.png is not png
        meter.time(LOOP_CHANNEL, loop.channel, shown, path, channel)
        cmap = "magma" if widget.cmap == "viridis" else "viridis"
        with mock.patch("fmwidget.rendering.feature_grid.to_levels", wraps=to_levels) as normalise:
            meter.time(COLORMAP, setattr, widget, "cmap", cmap)
        counts[NORMALISATIONS] += normalise.call_count
        forwards = am.stats.forwards
        meter.time(BARE, bare, model_batch(model, images[next(unseen)]))
        meter.time(NEW_IMAGE, setattr, widget, "image", next(unseen))
        new = model_batch(model, noisy_photographs(1, seed=100 + turn)["0"])
        meter.time(BARE, bare, new)
        meter.time(NEW_IMAGE_MAPS, am.activations, new, path)
        counts[FORWARDS] = max(counts[FORWARDS], am.stats.forwards - forwards)
    time_other_weights(am, model_batch(model, images[widget.image]), meter, rounds=rounds)
    time_steps(am, layers[0], meter, rounds=rounds)
    counts["traces"] = am.stats.traces
    counts["bytes of maps held"] = am.stats.bytes
    widget.close()
    return dict(counts)


def time_other_weights(am: ActivationModel, batch: Any, meter: Meter, *, rounds: int) -> None:
    """Time the compiled pass with stand-ins for the model's variables beside the same pass without."""
    compiled = am._compiler.ready(input_shapes(batch, am.inputs))
    if compiled is None:
        raise RuntimeError("The forward pass was not compiled.")
    backend = backends.current()
    variables = backend.weight_monitor().check(am.model).variables
    others = backend.stand_ins(variables, [variable.read_value() for variable in variables])
    for _ in range(2 * rounds):
        meter.time(OWN_WEIGHTS, compiled, batch)
        meter.time(OTHER_WEIGHTS, compiled, batch, others)


def time_steps(am: ActivationModel, path: str, meter: Meter, *, rounds: int) -> None:
    """Time a step of training that was not seen before beside a new image with the model's own weights."""
    named = backends.current().named_variables(am.model)
    steps = []
    for step in range(2):
        for variable in named.values():
            variable.assign(variable + 0)  # in memory of its own, as after a step of training
        values = backends.current().read(list(named.values()))
        steps.append(Snapshot(step=step, source=NamedValues(list(named), values)))
    for turn in range(rounds):
        new, other = (
            model_batch(am.model, noisy_photographs(1, seed=seed + turn)["0"]) for seed in (200, 300)
        )
        meter.time(BESIDE_NEW_STEP, am.activations, new, path)
        meter.time(NEW_STEP, lambda: am.at(steps[turn % 2]).activations(other, path))  # noqa: B023


def time_recording(model: keras.Model, meter: Meter, *, rounds: int) -> None:
    """Time what a callback that records the weights in memory does at the end of an epoch.

    What its own thread does is over before the next epoch ends, as in training.
    """
    run = WeightSnapshots(max_bytes=1)  # the first and the last are held
    run.set_model(model)
    run.on_train_begin()
    for epoch in range(rounds):
        for variable in backends.current().named_variables(model).values():
            variable.assign(variable.read_value())  # a training step writes to all of them
        while run._keeper._announced is not run.snapshots:
            time.sleep(0.01)
        meter.time(RECORDING, run.on_epoch_end, epoch, {"loss": 1.0})
    run.on_train_end()


def time_first_images(model: keras.Model, meter: Meter, *, rounds: int) -> dict[str, float]:
    """Time the first image of a new widget, and layer changes while its forward pass is compiled.

    Returns:
        Milliseconds that compiling takes while layers are changed, and the longest of these changes.
    """
    eager, images = eager_forward(model), noisy_photographs(1, seed=0)
    batch = model_batch(model, next(iter(images.values())))
    eager(batch)  # TensorFlow chooses its kernels in the first forward pass of a process
    took = []
    for _ in range(rounds):
        meter.time(EAGER, eager, batch)
        meter.time(FIRST_IMAGE_MAPS, ActivationModel(model).predictions, batch)
        meter.time(EAGER, eager, batch)
        am = ActivationModel(model)
        widget = meter.time(FIRST_IMAGE, FeatureMapWidget, am, images)
        plain = meter.time(
            PLAIN, lambda count: [HTML() for _ in range(count)], len(list(child_widgets(widget)))
        )
        for each in plain:
            each.close()
        began = time.perf_counter()
        layers = evenly_spaced([each.path for each in am.layers if each.after is None], LAYER_COUNT)
        changes = 0
        while not is_compiled(am):
            time.sleep(PAUSE)
            meter.time(WHILE_COMPILING, setattr, widget, "layer", layers[1 + changes % (LAYER_COUNT - 1)])
            changes += 1
        took.append(time.perf_counter() - began)
        widget.layer = layers[0]
        for change in range(changes):
            time.sleep(PAUSE)
            meter.time(ONCE_COMPILED, setattr, widget, "layer", layers[1 + change % (LAYER_COUNT - 1)])
        widget.close()
    return {
        "milliseconds": round(1000 * max(took)),
        "longest look meanwhile": round(1000 * max(meter.seconds[WHILE_COMPILING])),
    }
