"""Time the weight check after each kind of change: `python -m tests.support.freshness`."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fmwidget import ActivationModel

ROUNDS = 9


def largest(model: keras.Model) -> Any:
    """Return the variable of the largest weight."""
    return max(model.weights, key=lambda each: np.prod(each.shape)).value


def fit(model: keras.Model) -> None:
    x = np.random.default_rng(0).random((1, *model.input_shape[1:])).astype("float32")
    model.fit(x, np.eye(model.output_shape[-1], dtype="float32")[:1], verbose=0)


def move_statistics(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(layer.moving_mean + 0.01)


CHANGES: dict[str, Callable[[keras.Model], Any]] = {
    "nothing": lambda _: None,
    "a step of fit": fit,
    "set_weights": lambda model: model.set_weights([each * 0.99 for each in model.get_weights()]),
    "set_weights to the same": lambda model: model.set_weights(model.get_weights()),
    "assign to the largest weight": lambda model: largest(model).assign(largest(model) * 0.99),
    "assign to a slice of it": lambda model: largest(model)[:1, :1].assign(largest(model)[:1, :1] + 0.1),
    "scatter into it": lambda model: largest(model).scatter_nd_add([[0] * largest(model).shape.rank], [0.1]),
    "batch-norm statistics": move_statistics,
}


def costs(model: keras.Model) -> dict[str, tuple[float, float]]:
    """Return milliseconds of the check after each kind of change, and the share of rounds that found it."""
    model.compile("sgd", "categorical_crossentropy")
    am = ActivationModel(model)
    batch = np.zeros((1, *model.input_shape[1:]), "float32")
    for fill in (0, 1):  # the second image begins to compile
        am.predictions(batch + fill)
    am.warm_up()
    for future in am._compiler.passes.values():
        future.result(timeout=600)
    found = {}
    for name, function in CHANGES.items():
        function(model)
        times, seen = [], 0
        for _ in range(ROUNDS):
            before = am.version()
            function(model)
            began = time.perf_counter()
            seen += am.version() != before
            times.append(time.perf_counter() - began)
        found[name] = 1000 * statistics.median(times), seen / ROUNDS
    return found


def main() -> None:
    """Print a table for a network with large weights and for one with many small ones."""
    for name in ("VGG16", "MobileNetV2"):
        model = getattr(keras.applications, name)(weights=None)
        size = sum(np.prod(weight.shape) for weight in model.weights) * 4
        sys.stdout.write(f"{name}: {len(model.variables)} variables, {size / 1e6:.0f} MB\n")
        for what, (cost, seen) in costs(model).items():
            sys.stdout.write(f"  {what:28} {cost:6.1f} ms   seen in {seen:.0%} of checks\n")


if __name__ == "__main__":
    main()
