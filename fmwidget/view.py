"""The front-end pieces: a picture that can be pointed at, and a row of thumbnails to choose from.

Python draws, the browser shows. What comes back from the browser is never trusted: a message becomes one of
the small records below or is dropped, and the only trait the browser may set is the choice of a thumbnail.
"""

from __future__ import annotations

import logging
import pathlib
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HERE = pathlib.Path(__file__).parent
_log = logging.getLogger(__name__)

MAX_PX = 100_000  # no screen is wider, and no float drawn from it loses a pixel
MAX_RATIO = 16.0  # a high-density screen (4) with the page zoomed in (4)
KEYS = (
    "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A place in a picture that was clicked or tapped, in CSS px from its top left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Key:
    """A key of `KEYS`, pressed while a picture had the focus."""

    key: str


@dataclass(frozen=True)
class Surroundings:
    """Where a picture is shown.

    Args:
        ratio: Device pixels in a CSS px.
        dark: Whether the background is dark.
        width: CSS px that a picture may be wide there.
    """

    ratio: float
    dark: bool
    width: int


def parse_message(content: object) -> Point | Key | Surroundings | None:
    """Reads a message of the front end.

    Args:
        content: What the browser sent: anything at all.

    Returns:
        The record it stands for, or `None` for a message that is unknown, malformed or out of range.
    """
    match content:
        case {"type": "point", "x": x, "y": y} if _is_number(x, 0, MAX_PX) and _is_number(y, 0, MAX_PX):
            return Point(float(x), float(y))
        case {"type": "key", "key": str(key)} if key in KEYS:
            return Key(key)
        case {"type": "surroundings", "ratio": ratio, "dark": bool(dark), "width": width} if _is_number(
            ratio, 1 / MAX_RATIO, MAX_RATIO
        ) and _is_number(width, 1, MAX_PX):
            return Surroundings(float(ratio), dark, int(width))
    return None


class PictureView(anywidget.AnyWidget):
    """A picture with a name and an alt text that can be clicked, and walked through with the arrow keys.

    A new picture replaces the old one once the browser has decoded it: no frame is blank, and size, alt text
    and mark change with it. Whatever box it is in does not enlarge it, but shrinks it where it does not fit.

    Args:
        png: Bytes of the picture; `b""` shows nothing.
        width: Width in CSS px. The PNG may hold more pixels, for a high-density screen.
        height: Height in CSS px.
        alt: What the picture shows, in words.
        mark: `[x, y, width, height]` of an outline over the picture, in CSS px, or `[]`.
        label: Name of the picture for assistive technology.
    """

    _esm = _HERE / "view.js"
    _css = _HERE / "view.css"

    png = traitlets.Bytes().tag(sync=True)
    width = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    height = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    mark = traitlets.List(traitlets.Float()).tag(sync=True)
    label = traitlets.Unicode("Picture").tag(sync=True)
    # Kinds of message that somebody waits for. The browser sends no others, and only a picture that answers
    # to clicks or keys is a stop for the Tab key.
    _listening = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._callbacks: dict[type, list[Callable[[Any], None]]] = {Point: [], Key: [], Surroundings: []}
        self.on_msg(self._receive)

    def show(
        self, png: bytes, width: float, height: float, *, alt: str = "", mark: Sequence[float] = ()
    ) -> None:
        """Shows another picture, with all that belongs to it in one message.

        Args:
            png: See the class, as the others.
            width: In CSS px: the PNG's own width over the device pixel ratio.
            height: In CSS px.
            alt: What the picture shows, in words.
            mark: `[x, y, width, height]` of the outline, or empty for none.
        """
        with self.hold_sync():
            self.png, self.width, self.height, self.alt = png, float(width), float(height), alt
            self.mark = [float(edge) for edge in mark]

    def on_point(self, callback: Callable[[float, float], None]) -> None:
        """Calls `callback(x, y)` when the picture is clicked or tapped.

        Args:
            callback: Takes the place in CSS px of the picture, whatever size the browser shows it at.
        """
        self._listen(Point, "point", lambda point: callback(point.x, point.y))

    def on_key(self, callback: Callable[[str], None]) -> None:
        """Calls `callback(key)` when a key is pressed while the picture has the focus.

        Args:
            callback: Takes the key's name, one of `KEYS`.
        """
        self._listen(Key, "key", lambda pressed: callback(pressed.key))

    def on_surroundings(self, callback: Callable[[Surroundings], None]) -> None:
        """Calls `callback(surroundings)` when the picture is first shown, and when its surroundings change.

        A picture that is shown in several places reports each of them.

        Args:
            callback: Takes a `Surroundings`.
        """
        self._listen(Surroundings, "surroundings", callback)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Refuses every trait the front end may try to set: a picture is Python's to draw."""
        _log.warning("Ignored traits set by the front end on a picture: %s", _brief(sync_data))

    @traitlets.validate("mark")
    def _validate_mark(self, proposal: traitlets.Bunch) -> list[float]:
        mark: list[float] = proposal["value"]
        if mark and not (len(mark) == 4 and all(_is_number(edge, 0, MAX_PX) for edge in mark)):
            raise traitlets.TraitError(
                f"Received `mark={_brief(mark)}`, expected `[x, y, width, height]` in CSS px, or `[]`."
            )
        return mark

    def _listen(self, record: type, kind: str, callback: Callable[[Any], None]) -> None:
        self._callbacks[record].append(callback)
        if kind not in self._listening:
            self._listening = [*self._listening, kind]

    def _receive(self, _view: PictureView, content: object, _buffers: object) -> None:
        message = parse_message(content)
        if message is None:
            _log.warning("Ignored a message of the front end that means nothing: %s", _brief(content))
            return
        for callback in self._callbacks[type(message)]:
            callback(message)


class ThumbnailPicker(anywidget.AnyWidget):
    """A row of small pictures, one of which is chosen.

    Args:
        names: Their names, shown below them as plain text.
        thumbs: The bytes of a small PNG or JPEG for each.
        value: Index of the chosen picture, or -1. Any other value raises `TraitError` and changes nothing.
        label: Name of the row for assistive technology.
    """

    _esm = _HERE / "thumbnails.js"
    _css = _HERE / "view.css"

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
        with self.hold_sync(), self.hold_trait_notifications():
            self.names, self.thumbs, self.value = list(names), list(thumbs), value

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Takes the choice made in the front end, and nothing else that it may try to set."""
        if sync_data.keys() == {"value"} and _is_choice(sync_data["value"], len(self.names)):
            super().set_state(sync_data)
            return
        _log.warning("Ignored traits set by the front end on a picker: %s", _brief(sync_data))
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
            f"Received `value={_brief(value)}`, expected the index of one of the {count} pictures offered, "
            "counted from 0, or -1 for none."
        )


def _is_number(value: object, low: float, high: float) -> bool:
    """Whether it is a finite number in a range; compared, not converted, so a huge integer does no harm."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _brief(value: object) -> str:
    """What a log line or a message may quote: short, on one line, whatever was sent."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of more digits than Python is willing to write
        return f"a {type(value).__name__}"
