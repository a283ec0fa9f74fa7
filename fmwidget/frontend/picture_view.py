"""The front-end pieces: a picture that can be pointed at, and a row of thumbnails to choose from.

Python draws, the browser shows. What comes back from the browser is never trusted: a message becomes one of
the small records of `messages.py` or is dropped, and the only trait the browser may set is the choice of a
thumbnail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import traitlets

from fmwidget._errors import brief
from fmwidget.pipeline import DisplayContext

from .base import EventWidget
from .bundle import joined, sent
from .messages import MAX_PX, Hover, Nudge, Open, Place, Point, Release, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class PictureView(EventWidget):
    """A picture with a name and an alt text that can be clicked, pointed at and walked through with the keys.

    A new picture replaces the old one once the browser has decoded it: no frame is blank, and size, alt text
    and mark change with it. Whatever box it is in does not enlarge it, but shrinks it where it does not fit.

    Args:
        png: Bytes of the picture; `b""` shows nothing.
        width: Width in CSS px. The PNG may hold more pixels, for a high-density screen.
        height: Height in CSS px.
        alt: What the picture shows, in words.
        mark: `[x, y, width, height]` of an outline over the picture, in CSS px, or `[]`.
        region: The same of a second, dashed outline, which may reach beyond the picture and is cut off there.
        readout: A line of text below the picture. While somebody listens to `on_hover` there is room for it
            whatever it says, so that nothing moves. A screen reader says it when a key has changed it.
        tiles: What `GridLayout.tiles` says of the tiles in the picture, or `{}`. With it the mark moves at
            once to the tile that is chosen, before Python has answered.
        place: The chosen tile, counted as in `messages.Place`, or -1.
        label: Name of the picture for assistive technology.
    """

    _esm = sent(joined("view.js"))

    png = traitlets.Bytes().tag(sync=True)
    width = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    height = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    mark = traitlets.List(traitlets.Float()).tag(sync=True)
    region = traitlets.List(traitlets.Float()).tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    tiles = traitlets.Dict().tag(sync=True)
    place = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("Picture").tag(sync=True)

    def show(
        self,
        png: bytes,
        width: float,
        height: float,
        *,
        alt: str = "",
        mark: Sequence[float] = (),
        tiles: Mapping[str, float] | None = None,
        place: int = -1,
    ) -> None:
        """Shows another picture, with all that belongs to it in one message.

        Args:
            png: See the class, as the others.
            width: In CSS px: the PNG's own width over the device pixel ratio.
            height: In CSS px.
            alt: What the picture shows, in words.
            mark: `[x, y, width, height]` of the outline, or empty for none.
            tiles: Of the tiles in the picture, if there are any.
            place: Of the chosen tile.
        """
        with self.hold_sync():
            self.png, self.width, self.height, self.alt = png, float(width), float(height), alt
            self.mark = [float(edge) for edge in mark]
            self.tiles, self.place = dict(tiles or {}), place

    def on_point(self, callback: Callable[[float, float], None]) -> None:
        """Calls `callback(x, y)` when the picture is clicked or tapped.

        Args:
            callback: Takes the place in CSS px of the picture, whatever size the browser shows it at.
        """
        self._listen(Point, "point", lambda point: callback(point.x, point.y))

    def on_hover(self, callback: Callable[[Point | None], None]) -> None:
        """Calls `callback(point)` while the picture is pointed at, and `callback(None)` when it no longer is.

        A finger points after a long press. The browser waits for each call to return before it asks for the
        next, and leaves out the points it passed meanwhile: a slow callback is late, never flooded.

        Args:
            callback: Takes a `Point`, or `None`.
        """
        self._listen(Hover, "hover", lambda hover: callback(hover.point))

    def on_place(self, callback: Callable[[int], None]) -> None:
        """Calls `callback(place)` when a tile is chosen with the arrow keys, Home, End, Page Up or Page Down.

        The browser asks again only when a call has returned, and then for the latest choice.

        Args:
            callback: Takes the tile, counted from 0 in the order shown on all pages. There may be no such
                tile any more.
        """
        self._listen(Place, "place", lambda place: callback(place.place))

    def on_nudge(self, callback: Callable[[int, int], None]) -> None:
        """Calls `callback(rows, columns)` when the unit pointed at is moved with Shift and the arrow keys.

        In a picture without tiles the arrow keys alone do it.

        Args:
            callback: Takes how far it is moved, down and to the right.
        """
        self._listen(Nudge, "nudge", lambda nudge: callback(nudge.rows, nudge.columns))

    def on_release(self, callback: Callable[[], None]) -> None:
        """Calls `callback()` when Escape is pressed: what was clicked is no longer to be kept."""
        self._listen(Release, "release", lambda _: callback())

    def on_open(self, callback: Callable[[int | None], None]) -> None:
        """Calls `callback(place)` when a channel is to be seen alone: by Enter or a double click.

        Args:
            callback: Takes the tile as `on_place` does; `None` in a picture without tiles.
        """
        self._listen(Open, "open", lambda wish: callback(wish.place))

    def on_display(self, callback: Callable[[DisplayContext], None]) -> None:
        """Calls `callback(display)` when the picture is first shown, and when its surroundings change.

        A picture that is shown in several places reports each of them.

        Args:
            callback: Takes a `DisplayContext`.
        """
        self._listen(DisplayContext, "display", callback)

    @traitlets.validate("mark", "region")
    def _validate_box(self, proposal: traitlets.Bunch) -> list[float]:
        name, box = proposal["trait"].name, proposal["value"]
        low = 0 if name == "mark" else -MAX_PX
        if box and not (
            len(box) == 4 and all(is_number(edge, low, MAX_PX) for edge in box) and min(box[2:]) >= 0
        ):
            raise traitlets.TraitError(
                f"Received `{name}={brief(box)}`, expected `[x, y, width, height]` in CSS px, or `[]`."
            )
        return list(box)
