// Where the tiles in a picture lie: what `GridLayout.tiles` says of them, read here. Places count all tiles of
// all pages, in the order shown.

// The place of the tile or label at a point of the picture, or `null`.
export function placeAt(tiles, { x, y }) {
  const column = Math.floor((x - tiles.x) / tiles.right);
  const top = tiles.y - tiles.label;
  const row = Math.floor((y - top) / tiles.down);
  const onTile =
    x - tiles.x - column * tiles.right < tiles.width && y - top - row * tiles.down < tiles.label + tiles.height;
  const place = row * tiles.columns + column;
  if (!onTile || row < 0 || column < 0 || column >= tiles.columns || place >= tiles.count) return null;
  return tiles.first + place;
}

// The box [x, y, width, height] of a tile, or `null` if it is on another page.
export function tileBox(tiles, place) {
  const index = place - tiles.first;
  if (!(index >= 0 && index < tiles.count)) return null;
  const row = Math.floor(index / tiles.columns);
  const column = index % tiles.columns;
  return [tiles.x + column * tiles.right, tiles.y + row * tiles.down, tiles.width, tiles.height];
}

// The place that a key leads to from another, or `undefined` if it is no key for it.
export function placeAfter(tiles, place, key) {
  if (!tiles.all) return undefined;
  const last = tiles.all - 1;
  const by = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -tiles.columns,
    ArrowDown: tiles.columns,
    PageUp: -tiles.page,
    PageDown: tiles.page,
    Home: -last,
    End: last,
  }[key];
  return by === undefined ? undefined : Math.min(Math.max(place + by, 0), last);
}
