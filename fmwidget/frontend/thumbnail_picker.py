"""A row of thumbnails, one of which is chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import traitlets

from fmwidget._errors import brief

from .base import FrontEndWidget
from .bundle import bundle, style_sheet, synced_text
from .messages import is_index

log = logging.getLogger(__name__)


class ThumbnailPicker(FrontEndWidget):
    """A row of thumbnails, one of which is chosen. The choice is the only trait that the browser may set.

    Args:
        names: Names of the images, shown below them as plain text.
        thumbs: Bytes of a small PNG or JPEG for each image.
        value: Index of the chosen image, or -1. Any other value raises `TraitError` and changes nothing.
        label: Name of the row for assistive technology.
    """

    _esm = synced_text(bundle("thumbnail_picker.js"))
    _css = synced_text(style_sheet())

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    value = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("Pictures").tag(sync=True)

    def offer(self, names: Sequence[str], thumbs: Sequence[bytes], value: int = -1) -> None:
        """Offer other images, in one message.

        Args:
            names: Names of the images.
            thumbs: Bytes of a small PNG or JPEG for each image.
            value: Index of the chosen image, or -1.

        Raises:
            TraitError: If `value` is no index of `names`.
        """
        _check_choice(value, len(names))
        with self.hold_sync():
            self.names, self.thumbs, self.value = list(names), list(thumbs), value

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Accept the choice made in the front end, and no other trait."""
        if sync_data.keys() == {"value"} and is_index(sync_data["value"], -1, len(self.names) - 1):
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


def _check_choice(value: object, count: int) -> None:
    if not is_index(value, -1, count - 1):
        raise traitlets.TraitError(
            f"value must be the index of an image, below {count}, or -1 for none. Received {brief(value)}."
        )
