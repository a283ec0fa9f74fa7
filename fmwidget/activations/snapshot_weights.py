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
        # With the ids of their variables, in one: an interrupt may come between two assignments.
        self._held: tuple[tuple[int, ...], StandIns] | None = None
        self._loaded: weakref.ref[Snapshot] | None = None

    def stand_ins(self, snapshot: Snapshot) -> StandIns:
        """Return stand-ins that hold the weights of a snapshot.

        Raises:
            ValueError: If the snapshot does not fit the model.
            OSError: If its weights cannot be read.
        """
        if self._held is not None and self._loaded is not None and self._loaded() is snapshot:
            return self._held[1]
        variables, values = snapshot.weights(self._model)
        self._loaded = None  # until all are loaded: an interrupt may come between two
        ids = tuple(map(id, variables))
        if self._held is None or ids != self._held[0]:
            self._held = ids, backends.current().stand_ins(variables, values)
        else:
            self._held[1].load(values)
        self._loaded = weakref.ref(snapshot)
        return self._held[1]
