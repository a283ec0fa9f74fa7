"""What units see and who sees a pixel, for a widget: never in its way, and never with an error."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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


class ReceptiveFieldService:
    """Answers at once, or not yet: how a model hangs together takes a forward pass to find out.

    That pass runs on a thread that ends with it, once for each size of input. What cannot be found out is
    said in the answers.

    Args:
        model: Runs the model.
        found: Called on that thread when what was asked for can be answered.
    """

    def __init__(self, model: ActivationModel, found: Callable[[], None]) -> None:
        self._model = model
        self._found: Callable[[], None] | None = found
        self._sizes: Any = None  # of the input that is known, or being found out about
        self._trouble: str | None = None  # why it cannot be known; empty if it is
        self._lock = threading.Lock()

    def field(self, frame: Frame, row: int, column: int) -> Field | None:
        """What one unit of the layer sees; `None` if that is not known yet."""
        if self._is_known(frame.batch):
            return self._answer(
                lambda: field_of(self._model, frame.layer.path, row, column, batch=frame.batch),
                lambda why: Field(None, unknown=why),
            )
        return None

    def viewers(self, frame: Frame, row: int, column: int) -> ProjectiveField | None:
        """Which units of the layer see one pixel of the input; `None` if that is not known yet."""
        if self._is_known(frame.batch):
            return self._answer(
                lambda: projective_field(self._model, frame.layer.path, row, column, batch=frame.batch),
                lambda why: ProjectiveField(np.zeros(frame.maps.shape[:2], bool), None, why),
            )
        return None

    def close(self) -> None:
        """Nobody wants to be called any more."""
        self._found = None

    def _is_known(self, batch: Batch) -> bool:
        sizes = [np.shape(array) for array in keras.tree.flatten(batch)]
        with self._lock:
            if sizes != self._sizes:
                self._sizes, self._trouble = sizes, None
                name = "fmwidget-wiring"
                threading.Thread(target=self._find_out, args=(batch, sizes), name=name, daemon=True).start()
            return self._trouble is not None

    def _find_out(self, batch: Batch, sizes: Any) -> None:
        trouble = ""
        try:
            model_graph(self._model, batch)
        except Exception as error:
            log.info("How %s hangs together cannot be found out.", self._model.model.name, exc_info=error)
            trouble = f"How the model hangs together cannot be found out: {error}"
        with self._lock:
            if sizes != self._sizes:
                return  # a picture of another size is looked at by now
            self._trouble = trouble
        if self._found is not None:
            self._found()

    def _answer(self, ask: Callable[[], Any], unknown: Callable[[str], Any]) -> Any:
        if self._trouble:
            return unknown(self._trouble)
        try:
            return ask()
        except (ValueError, LookupError) as error:
            log.info("What is seen cannot be said.", exc_info=error)
            return unknown("It is not known for these maps: another forward pass of the model had others.")
