"""The status line: what went wrong, in a sentence, and whether the model is being trained."""

from __future__ import annotations

import html

import ipywidgets

TRAINING = "The model is in training: its weights are changing. A look shows those of the moment."


class StatusLine:
    """One line that a screen reader reads out when it changes."""

    def __init__(self) -> None:
        self.box = ipywidgets.HTML()
        self._said = ("", "")
        self._training = False
        self._show()

    def say(self, sentence: str, details: str = "") -> None:
        """Says a sentence in place of the last.

        Args:
            sentence: Plain text; empty for nothing to say.
            details: What lies behind it, one click away.
        """
        self._said = (sentence, details)
        self._show()

    @property
    def training(self) -> bool:
        """Whether it says that the model is in training."""
        return self._training

    @training.setter
    def training(self, is_on: bool) -> None:
        self._training = is_on
        self._show()

    def _show(self) -> None:
        self.box.value = status_html(*self._said, training=self._training)


def status_html(sentence: str, details: str = "", *, training: bool = False) -> str:
    """What the status line says, with what lies behind it one click away."""
    note = f'<div class="fmw-training">{TRAINING}</div>' if training else ""
    more = (
        f"<details><summary>details</summary><pre>{html.escape(details)}</pre></details>" if details else ""
    )
    return f'<div class="fmw-status" role="status">{note}{html.escape(sentence)}{more}</div>'
