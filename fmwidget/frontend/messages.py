"""Messages of a picture's front end, parsed into records: nothing that the browser sends is trusted."""

from __future__ import annotations

from dataclasses import dataclass

from fmwidget.pipeline.frame import DisplayContext

MAX_PX = 100_000  # no screen is wider, and float32 is exact to 1/128 px up to here
MAX_RATIO = 16.0  # a high-density screen (4) with the page zoomed in (4)
MAX_ID = 64  # characters
MAX_TILES = 1_000_000  # no layer has more channels
MAX_STEPS = 1_000_000  # of training: fewer are kept
MAX_VALUES = 600  # of one request: as many as fit a window, written in their cells


@dataclass(frozen=True)
class Point:
    """A point of a picture, in CSS px from its top left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Click:
    """A click or a tap on a picture."""

    point: Point


@dataclass(frozen=True)
class Hover:
    """The pointer over a picture, or `None` when it has left."""

    point: Point | None


@dataclass(frozen=True)
class ChooseTile:
    """A tile chosen with the keyboard: its index in display order, over all pages."""

    tile: int


@dataclass(frozen=True)
class Nudge:
    """A move of the selected unit with the keyboard, in rows and columns of its map."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Unpin:
    """A request to release the pinned unit and pixel."""


@dataclass(frozen=True)
class OpenChannel:
    """A request for the zoom view of a tile's channel, or of the current channel (`None`)."""

    tile: int | None


@dataclass(frozen=True)
class Flip:
    """A request for the other side of a comparison."""


@dataclass(frozen=True)
class Step:
    """A request for another step of training, that many ahead; back if negative."""

    by: int


@dataclass(frozen=True)
class HoverUnit:
    """The `(row, column)` under the pointer in the zoom view, or `None` when it has left."""

    position: tuple[int, int] | None


@dataclass(frozen=True)
class PinUnit:
    """The `(row, column)` that was clicked in the zoom view, or reached with the arrow keys."""

    position: tuple[int, int]


@dataclass(frozen=True)
class ValuesRequest:
    """A request for the values of the visible part of a map, to be written in its cells."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class CloseZoom:
    """The zoom view was closed."""


Message = (
    Click
    | Hover
    | ChooseTile
    | Nudge
    | Unpin
    | OpenChannel
    | Flip
    | Step
    | HoverUnit
    | PinUnit
    | ValuesRequest
    | CloseZoom
    | DisplayContext
)


def parse_message(content: object) -> Message | None:
    """Parse a message of the front end.

    Args:
        content: What the browser sent: any object.

    Returns:
        The record, or `None` for a message that is unknown, malformed or out of range.
    """
    match content:
        case {"type": "click" | "hover" as type_, "x": x, "y": y}:
            if is_number(x, 0, MAX_PX) and is_number(y, 0, MAX_PX):
                point = Point(float(x), float(y))
                return Click(point) if type_ == "click" else Hover(point)
        case {"type": "hover", **rest} if rest.keys() <= {"id"}:
            return Hover(None)
        case {"type": "tile", "tile": tile} if is_index(tile, 0, MAX_TILES):
            return ChooseTile(tile)
        case {"type": "nudge", "rows": rows, "columns": columns}:
            if is_index(rows, -MAX_PX, MAX_PX) and is_index(columns, -MAX_PX, MAX_PX):
                return Nudge(rows, columns)
        case {"type": "open", "tile": tile}:
            if is_index(tile, 0, MAX_TILES):
                return OpenChannel(tile)
        case {"type": "open", **rest} if rest.keys() <= {"id"}:
            return OpenChannel(None)
        case {"type": "flip"}:
            return Flip()
        case {"type": "step", "by": by} if is_index(by, -MAX_STEPS, MAX_STEPS):
            return Step(by)
        case {"type": "unit" | "pin" as type_, "row": row, "column": column}:
            if is_index(row, 0, MAX_PX) and is_index(column, 0, MAX_PX):
                return HoverUnit((row, column)) if type_ == "unit" else PinUnit((row, column))
        case {"type": "unit", **rest} if rest.keys() <= {"id"}:
            return HoverUnit(None)
        case {"type": "values", "row": row, "column": column, "rows": rows, "columns": columns}:
            edges = (row, column, rows, columns)
            if all(is_index(edge, 0, MAX_PX) for edge in edges) and 0 < rows * columns <= MAX_VALUES:
                return ValuesRequest(*edges)
        case {"type": "unpin"}:
            return Unpin()
        case {"type": "close"}:
            return CloseZoom()
        case {"type": "display", "ratio": ratio, "dark": bool(dark), "width": width}:
            if is_number(ratio, 1 / MAX_RATIO, MAX_RATIO) and is_number(width, 1, MAX_PX):
                return DisplayContext(float(ratio), dark, int(width))
    return None


def message_id(content: object) -> str | None:
    """Return the id of a message that the front end awaits an answer to, else `None`."""
    match content:
        case {"id": str(id_)} if 0 < len(id_) <= MAX_ID and id_.isascii():
            return id_
    return None


def is_number(value: object, low: float, high: float) -> bool:
    """Return whether `low <= value <= high`; compared unconverted, as a huge integer is no float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_index(value: object, low: int, high: int) -> bool:
    """Return whether a value is an integer from `low` to `high`."""
    return isinstance(value, int) and is_number(value, low, high)
