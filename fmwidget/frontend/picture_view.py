"""A picture that reports clicks, hovers and keys; its `mark` and `region` outline places in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import traitlets

from fmwidget._errors import brief
from fmwidget.pipeline.frame import DisplayContext

from .base import EventWidget
from .bundle import bundle, synced_text
from .messages import MAX_PX, ChooseTile, Click, Hover, Nudge, OpenChannel, Point, Unpin, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class PictureView(EventWidget):
    """A picture that can be clicked, pointed at and navigated with the keyboard.

    A new picture replaces the old one once the browser has decoded it: no frame is blank, and size, alt text
    and mark change with it. Its box never enlarges it, but shrinks it where it does not fit.

    Args:
        png: Bytes of the picture; `b""` shows nothing.
        width: Width in CSS px. The PNG may hold more pixels, for a high-density screen.
        height: Height in CSS px.
        alt: Alternative text of the picture.
        mark: `[x, y, width, height]` of an outline over the picture, in CSS px, or `[]`.
        region: The same of a second, dashed outline, which may reach beyond the picture and is cut off there.
        readout: A line of text below the picture. Its line stays while `on_hover` has a callback, so that
            nothing below it moves. Screen readers announce a change that a key has caused.
        tiles: `GridLayout.tiles()` of the tiles in the picture, or `{}`. With it the mark moves to the chosen
            tile at once, before Python has answered.
        tile: Index of the chosen tile, as in `messages.ChooseTile`, or -1.
        label: Name of the picture for assistive technology.
    """

    _esm = synced_text(bundle("picture_view.js"))

    png = traitlets.Bytes().tag(sync=True)
    width = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    height = traitlets.Float(0.0, min=0.0, max=MAX_PX).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    mark = traitlets.List(traitlets.Float()).tag(sync=True)
    region = traitlets.List(traitlets.Float()).tag(sync=True)
    readout = traitlets.Unicode().tag(sync=True)
    tiles = traitlets.Dict().tag(sync=True)
    tile = traitlets.Int(-1).tag(sync=True)
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
        tile: int = -1,
    ) -> None:
        """Show another picture, with all that belongs to it in one message.

        Args:
            png: Bytes of the picture.
            width: The PNG's own width over the display ratio.
            height: The PNG's own height over the display ratio.
            alt: Alternative text.
            mark: Outline, or empty for none.
            tiles: Layout of the tiles, if there are any.
            tile: Index of the chosen tile.
        """
        with self.hold_sync():
            self.png, self.width, self.height, self.alt = png, float(width), float(height), alt
            self.mark = [float(edge) for edge in mark]
            self.tiles, self.tile = dict(tiles or {}), tile

    def on_click(self, callback: Callable[[float, float], None]) -> None:
        """Call `callback(x, y)` when the picture is clicked or tapped.

        Args:
            callback: Takes the point in CSS px of the picture, independent of the size at which the browser
                shows it.
        """
        self._add_callback(Click, "click", lambda click: callback(click.point.x, click.point.y))

    def on_hover(self, callback: Callable[[Point | None], None]) -> None:
        """Call `callback(point)` while the pointer is over the picture, and `callback(None)` when it leaves.

        A finger points after a long press. The browser waits until a call has returned and then sends the
        latest point only: a slow callback lags behind, but is never flooded.
        """
        self._add_callback(Hover, "hover", lambda hover: callback(hover.point))

    def on_tile(self, callback: Callable[[int], None]) -> None:
        """Call `callback(tile)` when the arrow keys, Home, End, Page Up or Page Down choose a tile.

        The browser waits until a call has returned and then sends the latest choice only.

        Args:
            callback: Takes the tile's index in display order, over all pages. The layer may have changed
                meanwhile and have fewer tiles.
        """
        self._add_callback(ChooseTile, "tile", lambda choice: callback(choice.tile))

    def on_nudge(self, callback: Callable[[int, int], None]) -> None:
        """Call `callback(rows, columns)` when Shift and the arrow keys move the selected unit.

        In a picture without tiles the arrow keys alone do it. Down and right are positive.
        """
        self._add_callback(Nudge, "nudge", lambda nudge: callback(nudge.rows, nudge.columns))

    def on_unpin(self, callback: Callable[[], None]) -> None:
        """Call `callback()` when Escape is pressed, to release what is pinned."""
        self._add_callback(Unpin, "unpin", lambda _: callback())

    def on_open(self, callback: Callable[[int | None], None]) -> None:
        """Call `callback(tile)` when Enter or a double click requests the zoom view of a channel.

        Args:
            callback: Takes the tile's index as `on_tile` does; `None` in a picture without tiles.
        """
        self._add_callback(OpenChannel, "open", lambda request: callback(request.tile))

    def on_display(self, callback: Callable[[DisplayContext], None]) -> None:
        """Call `callback(display)` when the picture is first shown, and when its display context changes.

        A picture that is shown in several places reports each of them.
        """
        self._add_callback(DisplayContext, "display", callback)

    @traitlets.validate("mark", "region")
    def _validate_box(self, proposal: traitlets.Bunch) -> list[float]:
        name, box = proposal["trait"].name, proposal["value"]
        low = 0 if name == "mark" else -MAX_PX
        if box and not (
            len(box) == 4 and all(is_number(edge, low, MAX_PX) for edge in box) and min(box[2:]) >= 0
        ):
            raise traitlets.TraitError(
                f"{name} must be `[x, y, width, height]` in CSS px, or `[]`. Received {brief(box)}."
            )
        return list(box)
