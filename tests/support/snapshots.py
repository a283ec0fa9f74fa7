"""What snapshots hold, for tests of recording and of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fmwidget.snapshots.snapshot import Snapshot
from fmwidget.snapshots.store import StoredWeights

if TYPE_CHECKING:
    import keras


def stored(snapshot: Snapshot) -> StoredWeights:
    """Return the source of a snapshot that was recorded."""
    assert isinstance(snapshot.source, StoredWeights)
    return snapshot.source


def values_at(snapshot: Snapshot, model: keras.Model) -> list[np.ndarray]:
    """Return the values of a snapshot in the order of `get_weights`."""
    variables, values = snapshot.weights(model)
    found = {id(variable): np.asarray(value) for variable, value in zip(variables, values, strict=True)}
    return [found[id(variable.value)] for variable in model.weights]
