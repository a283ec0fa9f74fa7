"""The model's answer: the classes with the highest scores, as bars with names."""

from __future__ import annotations

import html
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np

from fmwidget._memo import Latest
from fmwidget.pipeline.frame import Frame
from fmwidget.rendering.formatting import number, percent
from fmwidget.widget.selection import Selection

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

TOP = 5
IMAGENET_CLASSES = 1000
SUM_TOLERANCE = 0.01  # of a softmax in half precision


class AnswerPanel:
    """The classes with the highest scores; hidden for a model that does not return one vector.

    Args:
        class_names: A name for each score; see `check_class_names`. If `None`, those of ImageNet for a
            thousand scores, where Keras has stored them.
    """

    def __init__(self, class_names: Sequence[str] | None) -> None:
        self._class_names = class_names
        self.box = ipywidgets.HTML(layout={"width": "auto"})
        self._frame: Frame | None = None
        self._html = {side: Latest(answer_html) for side in ("", "A", "B")}
        self._names = Latest(imagenet_names)

    def update(self, frame: Frame, _selection: Selection) -> None:
        """Show the scores of a new frame."""
        if frame is self._frame:
            return
        self._frame = frame
        if frame.contrast is None:
            answers = [self._answer("", frame.outputs)]
        elif frame.side == "difference":
            answers = [self._answer("A", frame.outputs), self._answer("B", frame.outputs_b)]
        else:
            answers = [self._answer(frame.side.upper(), frame.outputs)]
        self.box.value = "".join(answers)
        self.box.layout.display = "block" if self.box.value else "none"

    def _answer(self, side: str, outputs: Any) -> str:
        """Return the highest scores as HTML; nothing for a model that does not return one vector."""
        scores = score_vector(outputs)
        if scores is None:
            return ""
        names = self._class_names
        if names is None and len(scores) == IMAGENET_CLASSES:
            names = self._names()
        if names is not None and not _fit(names, scores):
            names = None  # the reference is a model of other classes
        return self._html[side](outputs, names, side)


def score_vector(outputs: Any) -> Array | None:
    """Return the one vector that is a model's output for an image, `(N,)`; `None` if there is none."""
    while isinstance(outputs, Mapping | list | tuple) and len(outputs) == 1:
        (outputs,) = outputs.values() if isinstance(outputs, Mapping) else outputs
    if isinstance(outputs, np.ndarray) and outputs.ndim == 1 and outputs.size:
        return outputs.astype(np.float64)
    return None


def check_class_names(class_names: Sequence[str] | None, outputs: Any) -> None:
    """Check that there is a name for each score of the model.

    A single score may have one name, or two as in a Keras data set of two classes: a high score is then
    that of the second.

    Raises:
        TypeError: If they are not names in a sequence.
        ValueError: If there are too few or too many.
    """
    if class_names is None:
        return
    if isinstance(class_names, str | bytes | Mapping) or not isinstance(class_names, Sequence | np.ndarray):
        raise TypeError(
            f"`class_names` must be a sequence of names, one for each score of the model. "
            f"Received {type(class_names).__name__}."
        )
    scores = score_vector(outputs)
    if scores is None:
        raise ValueError(
            "`class_names` must be `None` for a model that does not return one vector of scores for an image."
        )
    if not _fit(class_names, scores):
        raise ValueError(
            "`class_names` must hold a name for each score of the model, in the model's order. "
            f"Received {len(class_names)} names for {len(scores)} scores."
        )


def _fit(names: Sequence[str], scores: Array) -> bool:
    return len(names) == len(scores) or (len(scores), len(names)) == (1, 2)


def imagenet_names() -> tuple[str, ...] | None:
    """Return the names of ImageNet's classes in order, if Keras has stored them here; fetch nothing."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    try:
        classes = json.loads((home / "models" / "imagenet_class_index.json").read_text("utf-8"))
        return tuple(str(classes[str(index)][1]).replace("_", " ") for index in range(IMAGENET_CLASSES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.info("Keras' file of ImageNet's class names cannot be used: %s", error)
        return None


def answer_html(outputs: Any, names: Sequence[str] | None, side: str = "") -> str:
    """Return the highest scores, highest first, each with its class and a bar.

    Args:
        outputs: The model's outputs, with one vector of scores among them.
        names: The classes' names; their indices are shown if `None`.
        side: The letter of a side of a comparison, if there is one.
    """
    scores = score_vector(outputs)
    assert scores is not None  # noqa: S101 - checked by the panel
    if not np.isfinite(scores).all():
        count = np.count_nonzero(~np.isfinite(scores))
        return _page(f"{count} of {len(scores)} scores are NaN or infinite.", "", side)
    best = np.argsort(-scores, kind="stable")[:TOP]
    kind, lengths, texts = _as_bars(scores, best)
    rows = "".join(
        f"<li><bdi>{html.escape(_name(int(index), len(scores), names))}</bdi>"
        f'<div class="fmw-bar"><div style="width:{100 * length:.1f}%"></div></div>'
        f"<span>{html.escape(text)}</span></li>"
        for index, length, text in zip(best, lengths, texts, strict=True)
    )
    return _page(kind, f'<ol class="fmw-answer">{rows}</ol>', side)


def _page(kind: str, rest: str, side: str) -> str:
    title = f"Answer {side}".rstrip()
    return f'<div class="fmw-caption"><b>{title}</b> {html.escape(kind)}</div>{rest}'


def _as_bars(scores: Array, best: Array) -> tuple[str, Array, list[str]]:
    """Return the kind of the scores, and for the best of them lengths of bars, 0 to 1, and texts."""
    top = scores[best]
    if scores.min() >= 0 and scores.max() <= 1:
        if abs(scores.sum() - 1) <= SUM_TOLERANCE and len(scores) > 1:
            return "probabilities", top, [percent(score) for score in top]
        kind = "a score from 0 to 1" if len(scores) == 1 else "scores from 0 to 1, each on its own"
        return kind, top, [number(score) for score in top]
    low, high = float(scores.min()), float(scores.max())
    ends = np.full(len(top), 1.0) if low == high else (top / 2 - low / 2) / (high / 2 - low / 2)
    kind = "a number" if len(scores) == 1 else f"raw scores, from {number(low)} upwards"
    return kind, ends, [number(score) for score in top]


def _name(index: int, count: int, names: Sequence[str] | None) -> str:
    if names is None:
        return "output" if count == 1 else f"class {index}"
    return str(names[-1] if count == 1 else names[index])
