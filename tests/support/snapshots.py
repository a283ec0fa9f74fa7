"""What snapshots hold, for tests of recording and of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget.models import backends
from fmwidget.snapshots.snapshot import Snapshot
from fmwidget.snapshots.store import StoredWeights

if TYPE_CHECKING:
    import keras


def change_variables(model: keras.Model, seed: int) -> None:
    """Change every variable of floats, those that Keras does not know of too."""
    rng = np.random.default_rng(seed)
    for variable in backends.current().named_variables(model).values():
        value = np.asarray(variable.read_value())
        if value.dtype.kind == "f" or value.dtype.name == "bfloat16":
            variable.assign((value + rng.uniform(0, 0.1, value.shape)).astype(value.dtype))


def stored(snapshot: Snapshot) -> StoredWeights:
    """Return the source of a snapshot that was recorded."""
    assert isinstance(snapshot.source, StoredWeights)
    return snapshot.source


def values_at(snapshot: Snapshot, model: keras.Model) -> list[np.ndarray]:
    """Return the values of a snapshot in the order of `get_weights`."""
    variables, values = snapshot.weights(model)
    found = {id(variable): np.asarray(value) for variable, value in zip(variables, values, strict=True)}
    return [found[id(variable.value)] for variable in model.weights]
