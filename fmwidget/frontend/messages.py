"""What the front end of a picture may say: small records, made of messages that are never trusted."""

from __future__ import annotations

from dataclasses import dataclass

from fmwidget.pipeline import DisplayContext

MAX_PX = 100_000  # no screen is wider, and no float drawn from it loses a pixel
MAX_RATIO = 16.0  # a high-density screen (4) with the page zoomed in (4)
MAX_ID = 64
MAX_PLACES = 1_000_000  # tiles: no layer has more channels
MAX_VALUES = 600  # in one answer: as many as fit a window, written in their cells


@dataclass(frozen=True)
class Point:
    """A place in a picture that was clicked, tapped or pointed at, in CSS px from its top left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Hover:
    """The place in a picture that is pointed at, or `None` where the pointer has left it."""

    point: Point | None


@dataclass(frozen=True)
class Place:
    """A tile that was chosen with the keyboard, counted from 0 in the order shown on all pages."""

    place: int


@dataclass(frozen=True)
class Nudge:
    """By how many rows and columns of a map its unit that is pointed at was moved with the keyboard."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Release:
    """A wish to let go of the unit and the pixel that are kept."""


@dataclass(frozen=True)
class Open:
    """A wish to see a channel alone: that of a tile, or the one that is shown."""

    place: int | None


@dataclass(frozen=True)
class HoveredUnit:
    """The row and column of a map seen alone that are pointed at, or `None` where the pointer has left."""

    at: tuple[int, int] | None


@dataclass(frozen=True)
class Pin:
    """The row and column of a map seen alone that were clicked, or reached with the keys."""

    at: tuple[int, int]


@dataclass(frozen=True)
class Window:
    """The part of a map seen alone whose cells are large enough to have their values written in them."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Close:
    """A map seen alone was put away."""


Message = Point | Hover | Place | Nudge | Release | Open | HoveredUnit | Pin | Window | Close | DisplayContext


def parse_message(content: object) -> Message | None:
    """Reads a message of the front end.

    Args:
        content: What the browser sent: anything at all.

    Returns:
        The record it stands for, or `None` for a message that is unknown, malformed or out of range.
    """
    match content:
        case {"type": "point" | "hover" as kind, "x": x, "y": y}:
            if is_number(x, 0, MAX_PX) and is_number(y, 0, MAX_PX):
                point = Point(float(x), float(y))
                return point if kind == "point" else Hover(point)
        case {"type": "hover", **rest} if rest.keys() <= {"id"}:
            return Hover(None)
        case {"type": "place", "place": place} if is_index(place, 0, MAX_PLACES):
            return Place(place)
        case {"type": "nudge", "rows": rows, "columns": columns}:
            if is_index(rows, -MAX_PX, MAX_PX) and is_index(columns, -MAX_PX, MAX_PX):
                return Nudge(rows, columns)
        case {"type": "open", "place": place}:
            if is_index(place, 0, MAX_PLACES):
                return Open(place)
        case {"type": "open", **rest} if rest.keys() <= {"id"}:
            return Open(None)
        case {"type": "unit" | "pin" as kind, "row": row, "column": column}:
            if is_index(row, 0, MAX_PX) and is_index(column, 0, MAX_PX):
                return HoveredUnit((row, column)) if kind == "unit" else Pin((row, column))
        case {"type": "unit", **rest} if rest.keys() <= {"id"}:
            return HoveredUnit(None)
        case {"type": "window", "row": row, "column": column, "rows": rows, "columns": columns}:
            edges = (row, column, rows, columns)
            if all(is_index(edge, 0, MAX_PX) for edge in edges) and 0 < rows * columns <= MAX_VALUES:
                return Window(*edges)
        case {"type": "release"}:
            return Release()
        case {"type": "close"}:
            return Close()
        case {"type": "display", "ratio": ratio, "dark": bool(dark), "width": width} if is_number(
            ratio, 1 / MAX_RATIO, MAX_RATIO
        ) and is_number(width, 1, MAX_PX):
            return DisplayContext(float(ratio), dark, int(width))
    return None


def asked_by(content: object) -> str | None:
    """The name of a message that the front end awaits an answer to, whatever else is in it; else `None`."""
    match content:
        case {"id": str(id_)} if 0 < len(id_) <= MAX_ID:
            return id_
    return None


def is_number(value: object, low: float, high: float) -> bool:
    """Whether it is a finite number in a range; compared, not converted, so a huge integer does no harm."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_index(value: object, low: int, high: int) -> bool:
    """Whether it is a whole number in a range."""
    return isinstance(value, int) and is_number(value, low, high)
