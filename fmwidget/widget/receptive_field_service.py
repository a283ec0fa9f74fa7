"""Receptive and projective fields for a widget: computed without blocking it, and without raising."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np

from fmwidget.activations.model import ActivationModel
from fmwidget.analysis.receptive_field.fields import Field, field_of
from fmwidget.analysis.receptive_field.graph import model_graph
from fmwidget.analysis.receptive_field.projective import ProjectiveField, projective_field

if TYPE_CHECKING:
    from fmwidget.models.inputs import Batch
    from fmwidget.pipeline import Frame

log = logging.getLogger(__name__)

Result = TypeVar("Result", Field, ProjectiveField)

UNKNOWN = "Not known for these maps: another forward pass of the model returned other maps."


class ReceptiveFieldService:
    """Receptive and projective fields, computed at once; `None` while the model graph is being traced.

    Tracing takes a forward pass, once for each size of the input, on a thread that ends with it. Where a
    field cannot be computed, its `unknown` is the reason.

    Args:
        am: Runs the model.
        ready: Called on that thread when fields that were `None` can be computed.
    """

    def __init__(self, am: ActivationModel, ready: Callable[[], None]) -> None:
        self._am = am
        self._ready: Callable[[], None] | None = ready
        self._sizes: Any = None  # of the input whose graph is traced, or being traced
        self._problem: str | None = None  # why there is no graph; empty if there is; `None` while tracing
        self._lock = threading.Lock()

    def receptive_field(self, frame: Frame, row: int, column: int) -> Field | None:
        """Return the receptive field of a unit of the layer; `None` while the model graph is being traced."""
        if not self._is_traced(frame.batch):
            return None
        return self._answer(
            lambda: field_of(self._am, frame.layer.path, row, column, batch=frame.batch),
            lambda reason: Field(None, unknown=reason),
        )

    def projective_field(self, frame: Frame, row: int, column: int) -> ProjectiveField | None:
        """Return the projective field of an input pixel; `None` while the model graph is being traced."""
        if not self._is_traced(frame.batch):
            return None
        return self._answer(
            lambda: projective_field(self._am, frame.layer.path, row, column, batch=frame.batch),
            lambda reason: ProjectiveField(np.zeros(frame.layer.unit_shape, bool), None, reason),
        )

    def close(self) -> None:
        """Never call `ready` again."""
        self._ready = None

    def _is_traced(self, batch: Batch) -> bool:
        """Return whether tracing for this size of the input is over; start it if it is another size."""
        sizes = [np.shape(array) for array in keras.tree.flatten(batch)]
        with self._lock:
            if sizes != self._sizes:
                self._sizes, self._problem = sizes, None
                name = "fmwidget-model-graph"
                threading.Thread(target=self._trace, args=(batch, sizes), name=name, daemon=True).start()
            return self._problem is not None

    def _trace(self, batch: Batch, sizes: Any) -> None:
        problem = ""
        try:
            model_graph(self._am, batch)
        except Exception as error:
            log.info("The graph of %s could not be traced.", self._am.model.name, exc_info=error)
            problem = f"Receptive fields are unavailable: the model's graph could not be traced ({error})."
        with self._lock:
            if sizes != self._sizes:
                return  # an image of another size is on screen by now
            self._problem = problem
        ready = self._ready  # read once: the widget may be closed at the same time
        if ready is not None:
            ready()

    def _answer(self, compute: Callable[[], Result], unknown: Callable[[str], Result]) -> Result:
        if self._problem:
            return unknown(self._problem)
        try:
            return compute()
        except (ValueError, LookupError) as error:
            log.info("A field could not be computed.", exc_info=error)
            return unknown(UNKNOWN)
