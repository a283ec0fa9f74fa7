"""Images from the user's own computer: a button, drag-and-drop and the clipboard.

The browser shrinks each image and sends one at a time, after the answer to the one before: the Jupyter server
drops a message of more than 10 MiB without an error. Nothing that arrives here is trusted.
"""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from fmwidget._errors import brief
from fmwidget._text import is_unsafe
from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import MAX_IMAGES

from .base import ReadOnlyWidget, ignore
from .bundle import bundle, synced_text
from .messages import message_id

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

MAX_BYTES = 8 * 2**20  # of one message; the browser sends at most half of it
MAX_NAME = 80  # characters that are kept
MAX_SENT_NAME = 1000


@dataclass(frozen=True)
class Upload:
    """An image file that the browser sent.

    Args:
        id: Id of the message; the answer repeats it.
        name: Name of the image: one line of plain text.
        data: Bytes of the file, not yet decoded; `None` if there were more than `MAX_BYTES`.
    """

    id: str
    name: str
    data: bytes | None


def parse_upload(content: object, buffers: object) -> Upload | None:
    """Parse a message of the front end.

    Args:
        content: What the browser sent: any object.
        buffers: The binary buffers that came with it.

    Returns:
        The upload, or `None` for a message that is unknown or malformed.
    """
    match message_id(content), content, buffers:
        case (
            str(id_),
            {"type": "picture", "name": str(name)},
            [bytes() | bytearray() | memoryview() as data],
        ) if len(name) <= MAX_SENT_NAME:
            fits = memoryview(data).nbytes <= MAX_BYTES
            return Upload(id_, plain_name(name), bytes(data) if fits else None)
    return None


def plain_name(file_name: str) -> str:
    """Return the name of an image from that of its file.

    Args:
        file_name: The file's name, as the browser reports it.

    Returns:
        The name without folders and suffix: one line without unsafe characters.
    """
    text = unicodedata.normalize("NFC", file_name)  # macOS decomposes letters, Hangul among them
    text = " ".join("".join(filter(_is_kept, text)).split())
    name = text.replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    stem, _dot, suffix = name.rpartition(".")
    if stem and suffix.isalnum() and len(suffix) <= 5:
        name = stem
    name = name.strip()
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _is_kept(character: str) -> bool:
    is_known = unicodedata.category(character) not in ("Cn", "Co")  # unassigned, private use
    return character.isspace() or (is_known and not is_unsafe(character))


class Uploader(ReadOnlyWidget):
    """A button that adds images; they can also be dropped on the row of thumbnails, or pasted.

    Images may be dropped on the box of class `fmw-pictures` around the uploader, and pasted in the box of
    class `fmwidget` around that; without these, both are the uploader itself.

    Args:
        add: Called with an image's name and the bytes of its file. It raises `ImageError` to refuse it;
            the message is shown to the user.
        room: Number of images that may still be added.
    """

    _esm = synced_text(bundle("uploader.js"))

    room = traitlets.Int(MAX_IMAGES, min=0).tag(sync=True)

    def __init__(self, add: Callable[[str, bytes], None], **traits: Any) -> None:
        super().__init__(**traits)
        self._add = add
        self.on_msg(self._receive)

    def _receive(self, _uploader: Uploader, content: object, buffers: object) -> None:
        upload = parse_upload(content, buffers)
        if upload is None:
            ignore(content)
            return
        # The browser sends nothing more until it has an answer, so there is one after an error too.
        self.send({"type": "answer", "id": upload.id, "error": self._error_of(upload)})

    def _error_of(self, upload: Upload) -> str:
        """Add an image, and return an empty string or the reason why it could not be added."""
        if upload.data is None:
            return f"{upload.name!r} is larger than {MAX_BYTES:,} bytes: save it smaller."
        if self.room < 1:
            return f"{upload.name!r} was left out: at most {MAX_IMAGES} pictures are offered."
        try:
            self._add(upload.name or "picture", upload.data)
        except ImageError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the user sees it, and can go on
            _log.exception("Could not add an uploaded image.")
            return f"{upload.name!r} could not be added: {type(error).__name__} ({brief(str(error))})."
        return ""
