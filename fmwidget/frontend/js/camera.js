// Which part of a map is seen in a room, and how large. A camera is { scale, left, top }: CSS pixels to a value,
// and from the room's corner to the map's. A map is { rows, columns }, a room { width, height, ratio } with the
// device pixels to a CSS pixel. All functions return another camera, or numbers.

import { clamp } from "./small.js";

export const LARGEST = 192; // CSS px to a value
const CELL_WITH_VALUE = 44; // CSS px: narrower cells have no room for a number

// CSS pixels to a value as they are drawn: a whole number of device pixels each, once they are not smaller.
export function valueSize(camera, room) {
  const pixels = camera.scale * room.ratio;
  return pixels < 1 ? camera.scale : Math.round(pixels) / room.ratio;
}

// All of the map, as large as the room allows.
export function fitted(map, room) {
  const scale = Math.min(room.width / map.columns, room.height / map.rows, LARGEST);
  const whole = scale * room.ratio < 1 ? scale : Math.floor(scale * room.ratio) / room.ratio;
  return kept({ scale: whole, left: 0, top: 0 }, map, room);
}

// Larger by a factor, with the point `at` of the room staying where it is.
export function zoomed(camera, map, room, factor, at) {
  const smallest = fitted(map, room).scale;
  const scale = clamp(camera.scale * factor, smallest, LARGEST);
  const next = { ...camera, scale };
  const grown = valueSize(next, room) / valueSize(camera, room);
  next.left = at.x - (at.x - camera.left) * grown;
  next.top = at.y - (at.y - camera.top) * grown;
  return kept(next, map, room);
}

export function moved(camera, map, room, x, y) {
  return kept({ ...camera, left: camera.left + x, top: camera.top + y }, map, room);
}

// Moved as little as it takes to see a unit [row, column].
export function revealing(camera, map, room, [row, column]) {
  const size = valueSize(camera, room);
  const least = (start, extent) => Math.min(0, extent - start - size) + Math.max(0, -start);
  const x = least(camera.left + column * size, room.width);
  const y = least(camera.top + row * size, room.height);
  return moved(camera, map, room, x, y);
}

// The unit [row, column] at a point of the room, or `null` beside the map.
export function unitAt(camera, map, room, at) {
  const size = valueSize(camera, room);
  const row = Math.floor((at.y - camera.top) / size);
  const column = Math.floor((at.x - camera.left) / size);
  return row >= 0 && column >= 0 && row < map.rows && column < map.columns ? [row, column] : null;
}

// The part of the map that is in sight: { row, column, rows, columns }.
export function inSight(camera, map, room) {
  const size = valueSize(camera, room);
  const [row, below] = span(camera.top, room.height, size, map.rows);
  const [column, after] = span(camera.left, room.width, size, map.columns);
  return { row, column, rows: below - row, columns: after - column };
}

export function hasRoomForValues(camera, room) {
  return valueSize(camera, room) >= CELL_WITH_VALUE;
}

function span(start, extent, size, count) {
  return [
    clamp(Math.floor(-start / size), 0, count - 1),
    clamp(Math.ceil((extent - start) / size), 1, count),
  ];
}

// In the middle where it is smaller than the room, else without a gap at any edge; on whole device pixels.
function kept(camera, map, room) {
  const size = valueSize(camera, room);
  const along = (start, extent, length) => {
    const gap = extent - length;
    const place = gap > 0 ? gap / 2 : clamp(start, gap, 0);
    return Math.round(place * room.ratio) / room.ratio;
  };
  return {
    scale: camera.scale,
    left: along(camera.left, room.width, size * map.columns),
    top: along(camera.top, room.height, size * map.rows),
  };
}
