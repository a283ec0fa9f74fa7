"""Stand-ins for a model's variables that hold the weights of a snapshot."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from fmwidget.models import backends

if TYPE_CHECKING:
    import keras

    from fmwidget.models.backends import StandIns
    from fmwidget.snapshots.snapshot import Snapshot


class SnapshotWeights:
    """Stand-ins for the variables of a model, loaded with one snapshot at a time.

    They are created once and loaded again for another snapshot: that takes a fraction of a forward pass,
    and the memory of one more set of weights at most.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self.clear()

    def clear(self) -> None:
        """Drop the stand-ins, as when the model has other variables."""
        self._stand_ins: StandIns | None = None
        self._variables: tuple[int, ...] = ()  # ids of those that the stand-ins, which keep them, are for
        self._loaded: weakref.ref[Snapshot] | None = None

    def stand_ins(self, snapshot: Snapshot) -> StandIns:
        """Return stand-ins that hold the weights of a snapshot.

        Raises:
            ValueError: If the snapshot does not fit the model.
            OSError: If its weights cannot be read.
        """
        if self._stand_ins is not None and self._loaded is not None and self._loaded() is snapshot:
            return self._stand_ins
        variables, values = snapshot.weights(self._model)
        self._loaded = None  # until all are loaded: an interrupt may come between two
        ids = tuple(map(id, variables))
        if self._stand_ins is None or ids != self._variables:
            self._stand_ins = backends.current().stand_ins(variables, values)
            self._variables = ids
        else:
            self._stand_ins.load(values)
        self._loaded = weakref.ref(snapshot)
        return self._stand_ins
