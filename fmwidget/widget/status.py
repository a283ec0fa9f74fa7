"""The status line: which weights are used, whether the model is in training, and what went wrong."""

from __future__ import annotations

import html
import logging
import traceback

import ipywidgets
from traitlets import TraitError

from fmwidget.images.arrays import ImageError
from fmwidget.references import LIVE_NAME

log = logging.getLogger(__name__)

TRAINING = "The model is in training: its weights are changing. Maps are computed with those of the moment."


class StatusLine:
    """One line of text that screen readers read out when it changes."""

    def __init__(self) -> None:
        self.box = ipywidgets.HTML()
        self._text = ("", "")
        self._training = False
        self._weights = ""
        self._reported: Exception | None = None
        self._render()

    def show(self, sentence: str, details: str = "") -> None:
        """Replace the text.

        Args:
            sentence: Plain text; empty to clear the line.
            details: Plain text shown on a click, such as a traceback.
        """
        self._text = (sentence, details)
        self._render()

    def report(self, error: Exception) -> None:
        """Show the message of an error; log it, and offer its traceback, unless it is about a bad value."""
        if error is self._reported:
            return  # a redraw reports what it raises, and so does the action that led to it
        self._reported = error
        details = ""
        if not _is_bad_value(error):
            log.error("The screen could not be brought in line with the state.", exc_info=error)
            details = "".join(traceback.format_exception(error))
        self.show(str(error) or type(error).__name__, details)

    @property
    def training(self) -> bool:
        """True while the model is in training, which the line then shows."""
        return self._training

    @training.setter
    def training(self, is_on: bool) -> None:
        self._training = is_on
        self._render()

    @property
    def weights(self) -> str:
        """The words for the weights that are used; empty where there is no choice of them."""
        return self._weights

    @weights.setter
    def weights(self, words: str) -> None:
        if words != self._weights:
            self._weights = words
            self._render()

    def _render(self) -> None:
        self.box.value = status_html(*self._text, training=self._training, weights=self._weights)


def status_html(sentence: str, details: str = "", *, training: bool = False, weights: str = "") -> str:
    """Return the status line as HTML.

    Args:
        sentence: Plain text.
        details: Plain text shown on a click.
        training: Whether the model is in training.
        weights: The words for the weights that are used, if they are worth a line.
    """
    is_live = weights in ("", LIVE_NAME)  # those of a snapshot stay as they are
    note = f'<div class="fmw-training">{TRAINING}</div>' if training and is_live else ""
    if weights:
        note += f'<div class="fmw-weights">Weights: <b>{html.escape(weights)}</b></div>'
    more = (
        f"<details><summary>details</summary><pre>{html.escape(details)}</pre></details>" if details else ""
    )
    return f'<div class="fmw-status" role="status">{note}{html.escape(sentence)}{more}</div>'


def _is_bad_value(error: Exception) -> bool:
    """True for a value that a trait refuses, or an image that cannot be read; these are no defects here."""
    return isinstance(error, TraitError) and isinstance(error.__cause__, ImageError | None)
