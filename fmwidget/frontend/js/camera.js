// Arithmetic of zooming and moving. A camera is { scale, left, top }: CSS pixels per value, and from the corner of
// the viewport to that of the map. A map is { rows, columns }, a viewport { width, height, ratio } with the
// display ratio. All functions are pure.

import { clamp } from "./clamp.js";

const MAX_SCALE = 192; // CSS px per value
const MIN_CELL_WITH_VALUE = 44; // CSS px: narrower cells have no room for a number

// Return the CSS pixels per value as drawn: a whole number of device pixels, unless it is less than one.
export function valueSize(camera, view) {
  const pixels = camera.scale * view.ratio;
  return pixels < 1 ? camera.scale : Math.round(pixels) / view.ratio;
}

// Show all of the map, as large as the viewport allows.
export function fitted(map, view) {
  const scale = Math.min(view.width / map.columns, view.height / map.rows, MAX_SCALE);
  const whole = scale * view.ratio < 1 ? scale : Math.floor(scale * view.ratio) / view.ratio;
  return constrained({ scale: whole, left: 0, top: 0 }, map, view);
}

// Zoom by a factor; the point `at` of the viewport stays where it is.
export function zoomed(camera, map, view, factor, at) {
  const smallest = fitted(map, view).scale;
  const scale = clamp(camera.scale * factor, smallest, MAX_SCALE);
  const next = { ...camera, scale };
  const grown = valueSize(next, view) / valueSize(camera, view);
  next.left = at.x - (at.x - camera.left) * grown;
  next.top = at.y - (at.y - camera.top) * grown;
  return constrained(next, map, view);
}

// Move the map by CSS pixels.
export function moved(camera, map, view, x, y) {
  return constrained({ ...camera, left: camera.left + x, top: camera.top + y }, map, view);
}

// Move as little as it takes to see a unit [row, column].
export function revealing(camera, map, view, [row, column]) {
  const size = valueSize(camera, view);
  const least = (start, extent) => Math.min(0, extent - start - size) + Math.max(0, -start);
  const x = least(camera.left + column * size, view.width);
  const y = least(camera.top + row * size, view.height);
  return moved(camera, map, view, x, y);
}

// Return the unit [row, column] at a point of the viewport, or `null` beside the map.
export function unitAt(camera, map, view, at) {
  const size = valueSize(camera, view);
  const row = Math.floor((at.y - camera.top) / size);
  const column = Math.floor((at.x - camera.left) / size);
  return row >= 0 && column >= 0 && row < map.rows && column < map.columns ? [row, column] : null;
}

// Return the part of the map that is in sight: { row, column, rows, columns }.
export function inSight(camera, map, view) {
  const size = valueSize(camera, view);
  const [row, below] = span(camera.top, view.height, size, map.rows);
  const [column, after] = span(camera.left, view.width, size, map.columns);
  return { row, column, rows: below - row, columns: after - column };
}

export function hasRoomForValues(camera, view) {
  return valueSize(camera, view) >= MIN_CELL_WITH_VALUE;
}

function span(start, extent, size, count) {
  return [
    clamp(Math.floor(-start / size), 0, count - 1),
    clamp(Math.ceil((extent - start) / size), 1, count),
  ];
}

// Center the map where it is smaller than the viewport, else leave no gap at any edge; on whole device pixels.
function constrained(camera, map, view) {
  const size = valueSize(camera, view);
  const along = (start, extent, length) => {
    const gap = extent - length;
    const position = gap > 0 ? gap / 2 : clamp(start, gap, 0);
    return Math.round(position * view.ratio) / view.ratio;
  };
  return {
    scale: camera.scale,
    left: along(camera.left, view.width, size * map.columns),
    top: along(camera.top, view.height, size * map.rows),
  };
}
