"""Runs of training for tests: a model whose weights change from step to step."""

from __future__ import annotations

import keras
import numpy as np

from fmwidget import WeightSnapshots


def small_model(name: str = "small", filters: int = 5) -> keras.Model:
    """Return a network of two convolutions and two classes, seeded."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((20, 24, 3)),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(filters, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(4, 3, name="last"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(2, activation="softmax", name="head"),
        ],
        name=name,
    )


def change_weights(model: keras.Model, seed: int) -> None:
    """Add noise to all weights."""
    rng = np.random.default_rng(seed)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])


def run_of(model: keras.Model, steps: int = 4) -> tuple[WeightSnapshots, list[list[np.ndarray]]]:
    """Return snapshots of a model at some steps, and its weights at each."""
    run = WeightSnapshots()
    weights = []
    for step in range(steps):
        run.take(logs={"loss": 1 / (step + 1)}, model=model)
        weights.append(model.get_weights())
        change_weights(model, step)
    return run, weights
