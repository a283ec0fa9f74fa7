"""Pictures from the reader's own computer: a button, drag-and-drop and the clipboard.

The browser shrinks each picture and sends one at a time, waiting for the answer to the one before: a message
of more than 10 MiB is dropped by the Jupyter server without a word. Nothing that arrives here is trusted.
"""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from fmwidget._errors import brief
from fmwidget.images.arrays import ImageError
from fmwidget.images.loading import MAX_IMAGES

from .base import ReadOnlyWidget, ignore
from .bundle import joined, sent

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

MAX_BYTES = 8 * 2**20  # of one message; the browser sends at most half of it
MAX_ID = 64
MAX_NAME = 80  # characters that are kept
MAX_SENT_NAME = 1000

# Would turn around the text that comes after them.
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_UNPRINTABLE = {"Cc", "Cn", "Co", "Cs"}


@dataclass(frozen=True)
class Upload:
    """A picture file that the browser sent.

    Args:
        id: What the browser calls the message; the answer repeats it.
        name: What the picture is called: one line of plain text.
        data: The bytes of the file, not yet decoded; at most `MAX_BYTES`, or `None` if there were more.
    """

    id: str
    name: str
    data: bytes | None


def parse_upload(content: object, buffers: object) -> Upload | None:
    """Reads a message of the front end.

    Args:
        content: What the browser sent: anything at all.
        buffers: The binary buffers that came with it.

    Returns:
        The upload, or `None` for a message that is unknown or malformed.
    """
    match content, buffers:
        case (
            {"type": "picture", "id": str(message_id), "name": str(name)},
            [bytes() | bytearray() | memoryview() as data],
        ) if 0 < len(message_id) <= MAX_ID and message_id.isascii() and len(name) <= MAX_SENT_NAME:
            fits = memoryview(data).nbytes <= MAX_BYTES
            return Upload(message_id, plain_name(name), bytes(data) if fits else None)
    return None


def plain_name(file_name: str) -> str:
    """What a picture is called after its file.

    Args:
        file_name: The file's name, as the browser tells it.

    Returns:
        The name without folders and suffix: one line that holds no control characters.
    """
    text = unicodedata.normalize("NFC", file_name)  # macOS takes letters apart, Hangul among them
    text = "".join(" " if each.isspace() else each for each in text if _is_printable(each))
    name = text.replace("\\", "/").rstrip("/ ").rpartition("/")[2]
    stem, _dot, suffix = name.rpartition(".")
    if stem and suffix.isalnum() and len(suffix) <= 5:
        name = stem
    name = " ".join(name.split())
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _is_printable(character: str) -> bool:
    return character.isspace() or (
        unicodedata.category(character) not in _UNPRINTABLE
        and unicodedata.bidirectional(character) not in _BIDI_CONTROLS
    )


class Uploader(ReadOnlyWidget):
    """A button that adds pictures; they can also be dropped on the row of pictures, or pasted.

    It sits in a box of class `fmw-pictures`, where pictures may be dropped, within one of class `fmwidget`,
    where they may be pasted; without these, both are the uploader itself.

    Args:
        add: Called with a picture's name and the bytes of its file. It raises `ImageError` to refuse it;
            the message is shown to the person.
        room: How many more pictures may be added.
    """

    _esm = sent(joined("upload.js"))

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
        # The browser sends nothing more until it has an answer: there is one whatever happens.
        self.send({"type": "answer", "id": upload.id, "error": self._problem_with(upload)})

    def _problem_with(self, upload: Upload) -> str:
        """Adds a picture, or says in a sentence why it cannot be added."""
        if upload.data is None:
            return f"{upload.name!r} is larger than {MAX_BYTES:,} bytes: save it smaller."
        if self.room < 1:
            return f"{upload.name!r} was left out: at most {MAX_IMAGES} pictures are offered."
        try:
            self._add(upload.name or "picture", upload.data)
        except ImageError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            _log.exception("Could not add an uploaded picture.")
            return f"{upload.name!r} could not be added: {type(error).__name__} ({brief(str(error))})."
        return ""
