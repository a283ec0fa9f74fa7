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
    from fmwidget.pipeline.frame import Frame

log = logging.getLogger(__name__)

Result = TypeVar("Result", Field, ProjectiveField)

UNKNOWN = "Not known for these maps: another forward pass of the model returned other maps."


class ReceptiveFieldService:
    """Receptive and projective fields, computed at once; `None` while the model graph is being traced.

    Tracing takes a forward pass, once for each model and size of its input, on a thread that ends with it.
    Where a field cannot be computed, its `unknown` is the reason.

    Args:
        ready: Called on that thread when fields that were `None` can be computed.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready: Callable[[], None] | None = ready
        # By the id of each model, two in a comparison: the latest sizes of its input, and the reason why
        # there is no graph for them, which is empty if there is one and `None` while it is being traced.
        self._traced: dict[int, tuple[Any, str | None]] = {}
        self._lock = threading.Lock()

    def receptive_field(self, frame: Frame, row: int, column: int) -> Field | None:
        """Return the receptive field of a unit of the layer; `None` while the model graph is being traced."""
        return self._answer(
            frame,
            lambda: field_of(frame.activations, frame.layer.path, row, column, batch=frame.batch),
            lambda reason: Field(None, unknown=reason),
        )

    def projective_field(self, frame: Frame, row: int, column: int) -> ProjectiveField | None:
        """Return the projective field of an input pixel; `None` while the model graph is being traced."""
        return self._answer(
            frame,
            lambda: projective_field(frame.activations, frame.layer.path, row, column, batch=frame.batch),
            lambda reason: ProjectiveField(np.zeros(frame.layer.unit_shape, bool), None, reason),
        )

    def close(self) -> None:
        """Never call `ready` again."""
        self._ready = None

    def _problem(self, frame: Frame) -> str | None:
        """Return the reason why there is no model graph, empty if there is; if it is not known, trace it."""
        am, batch = frame.activations, frame.batch
        sizes = [np.shape(array) for array in keras.tree.flatten(batch)]
        with self._lock:
            known, problem = self._traced.get(id(am.model), (None, None))
            if known != sizes:
                problem = None
                self._traced[id(am.model)] = sizes, problem
                name = "fmwidget-model-graph"
                threading.Thread(target=self._trace, args=(am, batch, sizes), name=name, daemon=True).start()
            return problem

    def _trace(self, am: ActivationModel, batch: Batch, sizes: Any) -> None:
        problem = ""
        try:
            model_graph(am, batch)
        except Exception as error:
            log.info("The graph of %s could not be traced.", am.model.name, exc_info=error)
            problem = f"Receptive fields are unavailable: the model's graph could not be traced ({error})."
        with self._lock:
            if self._traced[id(am.model)][0] != sizes:
                return  # an image of another size is on screen by now
            self._traced[id(am.model)] = sizes, problem
        ready = self._ready  # read once: the widget may be closed at the same time
        if ready is not None:
            ready()

    def _answer(
        self, frame: Frame, compute: Callable[[], Result], unknown: Callable[[str], Result]
    ) -> Result | None:
        problem = self._problem(frame)
        if problem is None:
            return None
        if problem:
            return unknown(problem)
        try:
            return compute()
        except (ValueError, LookupError) as error:
            log.info("A field could not be computed.", exc_info=error)
            return unknown(UNKNOWN)
