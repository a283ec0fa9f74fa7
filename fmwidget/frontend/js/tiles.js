// Arithmetic of the tiles in a picture, laid out as `GridLayout.tiles()` reports. A tile is its index in display
// order, over all pages.

import { clamp } from "./clamp.js";

// Return the tile whose map or label is at a point of the picture, or `null`.
export function tileAt(tiles, { x, y }) {
  const column = Math.floor((x - tiles.x) / tiles.right);
  const top = tiles.y - tiles.label;
  const row = Math.floor((y - top) / tiles.down);
  const isOnTile =
    x - tiles.x - column * tiles.right < tiles.width && y - top - row * tiles.down < tiles.label + tiles.height;
  const index = row * tiles.columns + column;
  if (!isOnTile || row < 0 || column < 0 || column >= tiles.columns || index >= tiles.count) return null;
  return tiles.first + index;
}

// Return the box [x, y, width, height] of a tile, or `null` if it is on another page.
export function tileBox(tiles, tile) {
  const index = tile - tiles.first;
  if (!(index >= 0 && index < tiles.count)) return null;
  const row = Math.floor(index / tiles.columns);
  const column = index % tiles.columns;
  return [tiles.x + column * tiles.right, tiles.y + row * tiles.down, tiles.width, tiles.height];
}

// Return the tile that a key moves to from another, or `undefined` for other keys.
export function tileAfter(tiles, tile, key) {
  if (!tiles.all) return undefined;
  const last = tiles.all - 1;
  const step = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -tiles.columns,
    ArrowDown: tiles.columns,
    PageUp: -tiles.page,
    PageDown: tiles.page,
    Home: -last,
    End: last,
  }[key];
  return step === undefined ? undefined : clamp(tile + step, 0, last);
}
