"""Layout of the tiles of a layer on its pages, in CSS pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from .sampling import Area, Sampling, Unit, fit_map, refine, unit_at, unit_box

if TYPE_CHECKING:
    from collections.abc import Sequence

# In CSS pixels.
PAGE_WIDTH = 848  # what JupyterLab leaves for output in a window of 1280
PAGE_HEIGHT = 640  # a page with all its tiles stays on one screen
MARGIN = 8
HEADER = 42  # two lines of title
GAP = 2
ROW_GAP = 5
LABEL_STRIP = 14  # above each tile
DIGIT = 7  # width of a digit in a label
TILE_LIMIT = 224  # longest side: a layer of few channels does not fill the screen
SHORTEST_TILE = 8
DETAIL_BOX = 300  # side of the square that a single map, or the input, is fitted into

PAGE_ROWS = 8
COLUMNS = 16


class Box(NamedTuple):
    """A rectangle on a page, in CSS pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int


def single_tile(map_shape: tuple[int, int], side: int) -> tuple[Sampling, Box]:
    """Return sampling and box of a single map, fitted into a square of `side` CSS pixels below the title."""
    sampling = fit_map(*map_shape, side, side, largest=side)
    return sampling, Box(MARGIN, HEADER, *_tile_size(map_shape, sampling))


def _tile_size(map_shape: tuple[int, int], sampling: Sampling) -> tuple[int, int]:
    """Return width and height of a map that is drawn with `sampling`."""
    height, width = map_shape
    return -(-width // sampling.shrink) * sampling.columns, -(-height // sampling.shrink) * sampling.rows


@dataclass(frozen=True)
class GridLayout:
    """Layout of a layer's tiles on its pages, in CSS pixels.

    Attributes:
        map_shape: `(H, W)` of a map.
        order: The channels in the order in which they are shown.
        width: Width of a page.
        columns: Tiles in a row.
        rows: Rows on a page.
        sampling: Sampling of a map at one device pixel per CSS pixel.
        tile: Width and height of a tile.
        pitch: Distance from one tile to the next, to the right and down.
        label_step: Number of columns that a label needs; only every `label_step`-th tile has one.
    """

    map_shape: tuple[int, int]
    order: tuple[int, ...]
    width: int
    columns: int
    rows: int
    sampling: Sampling
    tile: tuple[int, int]
    pitch: tuple[int, int]
    label_step: int

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-len(self.order) // self.page_size)

    @property
    def page_size(self) -> int:
        """Number of tiles on a full page."""
        return self.rows * self.columns

    @property
    def height(self) -> int:
        """Height of a page; all pages have the same."""
        return HEADER + self.rows * self.pitch[1] - ROW_GAP + MARGIN

    def channels(self, page: int = 0) -> tuple[int, ...]:
        """Return the channels on a page, in the order in which they are shown."""
        if not 0 <= page < self.pages:
            raise IndexError(f"page must be from 0 to {self.pages - 1}. Received {page}.")
        return self.order[page * self.page_size : (page + 1) * self.page_size]

    def page_of(self, channel: int) -> int:
        """Return the page of a channel."""
        return self.place_of(channel) // self.page_size

    def tile_box(self, channel: int) -> Box:
        """Return the box of a channel's tile on its page."""
        row, column = divmod(self.place_of(channel) % self.page_size, self.columns)
        return self.place_box(row, column)

    def place_box(self, row: int, column: int) -> Box:
        """Return the box of the tile in a row and column of a page."""
        pitch_x, pitch_y = self.pitch
        return Box(MARGIN + column * pitch_x, HEADER + LABEL_STRIP + row * pitch_y, *self.tile)

    def tiles(self, page: int = 0) -> dict[str, int]:
        """Return the layout of a page in the numbers that the browser needs, for a `PictureView`."""
        box, (right, down) = self.place_box(0, 0), self.pitch
        return {
            **box._asdict(),
            "right": right,
            "down": down,
            "label": LABEL_STRIP,
            "columns": self.columns,
            "first": page * self.page_size,  # place of the page's first tile, and so on
            "count": len(self.channels(page)),
            "all": len(self.order),
            "page": self.page_size,
        }

    def channel_at(self, x: float, y: float, page: int = 0) -> int | None:
        """Return the channel whose tile or label is at a point of a page, or `None`."""
        pitch_x, pitch_y = self.pitch
        column, from_left = divmod(x - MARGIN, pitch_x)
        row, from_top = divmod(y - HEADER, pitch_y)
        on_tile = from_left < self.tile[0] and from_top < LABEL_STRIP + self.tile[1]
        if not (0 <= column < self.columns and 0 <= row < self.rows and on_tile):
            return None
        place, channels = int(row * self.columns + column), self.channels(page)
        return channels[place] if place < len(channels) else None

    def unit_at(self, x: float, y: float, page: int = 0, ratio: int = 1) -> Unit | None:
        """Return the unit that is drawn at a point of a page, or `None` outside of the maps.

        Args:
            x: CSS pixels from the left of the page.
            y: CSS pixels from its top.
            page: Index of the page.
            ratio: Device pixels per CSS pixel that the page is drawn with.
        """
        channel = self.channel_at(x, y, page)
        if channel is None:
            return None
        box, sampling = self.tile_box(channel), refine(self.sampling, *self.map_shape, ratio)
        unit = unit_at(sampling, self.map_shape, (x - box.x) * ratio, (y - box.y) * ratio)
        return None if unit is None else Unit(channel, *unit)

    def unit_box(self, unit: Unit, ratio: int = 1) -> Area:
        """Return where a unit is drawn on the page of its channel: the inverse of `unit_at`."""
        box, sampling = self.tile_box(unit.channel), refine(self.sampling, *self.map_shape, ratio)
        x, y, width, height = unit_box(sampling, self.map_shape, unit.row, unit.column)
        return box.x + x / ratio, box.y + y / ratio, width / ratio, height / ratio

    def place_of(self, channel: int) -> int:
        """Return the place of a channel in the order shown, from 0 for the first tile of the first page."""
        try:
            return self._places[channel]
        except KeyError:
            raise IndexError(
                f"Channel {channel} is not among the {len(self.order)} channels shown."
            ) from None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {channel: place for place, channel in enumerate(self.order)}


def grid_layout(
    shape: tuple[int, int, int],
    *,
    width: int = PAGE_WIDTH,
    ncols: int = COLUMNS,
    max_rows: int | None = PAGE_ROWS,
    order: Sequence[int] | None = None,
) -> GridLayout:
    """Lay out the channels of a layer.

    Maps are drawn as large as the columns allow, by whole numbers: each value as a block of pixels, or each
    pixel as the mean of a block of values. Maps keep their aspect ratio, unless a side would be too short to
    see. There are fewer columns than `ncols` where there are fewer channels, or tiles would be only a few
    pixels wide.

    Args:
        shape: `(H, W, C)` of the layer's maps.
        width: Width of the page in CSS pixels, at least 200.
        ncols: Tiles in a row.
        max_rows: Most rows on a page; with tall maps there are fewer, so that a page stays on one screen.
            `None` puts all channels on one page of any height.
        order: The channels to show, in this order; all of them by index if `None`.

    Raises:
        ValueError: If an argument is out of range.
    """
    height, map_width, count = shape
    order = tuple(range(count)) if order is None else tuple(int(channel) for channel in order)
    _check(shape, order, width=width, ncols=ncols, max_rows=max_rows)
    room = width - 2 * MARGIN + GAP
    columns = min(ncols, len(order), room // (SHORTEST_TILE + GAP))
    sampling = fit_map(height, map_width, TILE_LIMIT, min(TILE_LIMIT, room // columns - GAP))
    tile_width, tile_height = _tile_size((height, map_width), sampling)
    label_width = len(str(max(order))) * DIGIT + GAP
    pitch_x = min(max(tile_width + GAP, label_width), room // columns)
    pitch_y = LABEL_STRIP + tile_height + ROW_GAP
    rows = -(-len(order) // columns)
    if max_rows is not None:
        rows = min(rows, max_rows, max(1, (PAGE_HEIGHT - HEADER - MARGIN) // pitch_y))
    return GridLayout(
        map_shape=(height, map_width),
        order=order,
        width=width,
        columns=columns,
        rows=rows,
        sampling=sampling,
        tile=(tile_width, tile_height),
        pitch=(pitch_x, pitch_y),
        label_step=-(-label_width // pitch_x),
    )


def _check(
    shape: tuple[int, int, int], order: tuple[int, ...], *, width: int, ncols: int, max_rows: int | None
) -> None:
    if min(shape) < 1:
        raise ValueError(f"Feature maps must have a shape (H, W, C) of positive numbers. Received {shape}.")
    if width < 200:
        raise ValueError(f"width must be at least 200 pixels. Received {width}.")
    if ncols < 1 or (max_rows is not None and max_rows < 1):
        raise ValueError(f"ncols and max_rows must be at least 1. Received {ncols} and {max_rows}.")
    if not order or len(set(order)) < len(order) or not 0 <= min(order) <= max(order) < shape[-1]:
        raise ValueError(
            f"order must list channels from 0 to {shape[-1] - 1}, none of them twice. Received {list(order)}."
        )
