"""A row of thumbnails, one of which is chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import traitlets

from fmwidget._errors import brief

from .base import FrontEndWidget
from .bundle import joined, sent, style

log = logging.getLogger(__name__)


class ThumbnailPicker(FrontEndWidget):
    """A row of small pictures, one of which is chosen.

    Args:
        names: Their names, shown below them as plain text.
        thumbs: The bytes of a small PNG or JPEG for each.
        value: Index of the chosen picture, or -1. Any other value raises `TraitError` and changes nothing.
        label: Name of the row for assistive technology.
    """

    _esm = sent(joined("thumbnails.js"))
    _css = sent(style())

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    value = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("Pictures").tag(sync=True)

    def offer(self, names: Sequence[str], thumbs: Sequence[bytes], value: int = -1) -> None:
        """Offers other pictures, in one message.

        Args:
            names: Their names.
            thumbs: The bytes of a small PNG or JPEG for each.
            value: Index of the picture that is chosen, or -1.

        Raises:
            TraitError: If `value` is no index of `names`.
        """
        _check_choice(value, len(names))
        with self.hold_sync():
            self.names, self.thumbs, self.value = list(names), list(thumbs), value

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Takes the choice made in the front end, and nothing else that it may try to set."""
        if sync_data.keys() == {"value"} and _is_choice(sync_data["value"], len(self.names)):
            super().set_state(sync_data)
            return
        log.warning("Ignored traits set by the front end on a picker: %s", brief(sync_data))
        self.send_state("value")  # so that the browser shows again what is chosen

    @traitlets.validate("value")
    def _validate_value(self, proposal: traitlets.Bunch) -> int:
        _check_choice(proposal["value"], len(self.names))
        return int(proposal["value"])

    @traitlets.observe("names")
    def _drop_choice(self, _change: traitlets.Bunch) -> None:
        if self.value >= len(self.names):
            self.value = -1


def _is_choice(value: object, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value < count


def _check_choice(value: object, count: int) -> None:
    if not _is_choice(value, count):
        raise traitlets.TraitError(
            f"Received `value={brief(value)}`, expected the index of one of the {count} pictures offered, "
            "counted from 0, or -1 for none."
        )
