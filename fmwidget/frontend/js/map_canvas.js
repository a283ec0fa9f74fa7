// Drawing of the part of a map that is in sight, with the values in its cells.

import { hasRoomForValues, inSight, valueSize } from "./camera.js";
import { element } from "./dom.js";

const TEXT = { large: 13, small: 7, margin: 6 }; // CSS px
const DARK_TEXT = 0.179; // relative luminance from which black has more contrast than white

// Return the pixels of an image as `ImageData`.
export function pixelsOf(image) {
  const canvas = element("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Draw `image`, one pixel for each value, and `text(row, column)` in its cell, unless it is `undefined`. `pixels`
// are those of the image.
export function drawMap(canvas, { image, pixels, text }, camera, map, view) {
  canvas.width = Math.round(view.width * view.ratio);
  canvas.height = Math.round(view.height * view.ratio);
  const context = canvas.getContext("2d");
  context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  const size = valueSize(camera, view);
  // Enlarged pixels stay square; those of a map that is shrunk are averaged.
  context.imageSmoothingEnabled = size * view.ratio < 1;
  context.imageSmoothingQuality = "high";
  const { row, column, rows, columns } = inSight(camera, map, view);
  const left = camera.left + column * size;
  const top = camera.top + row * size;
  context.drawImage(image, column, row, columns, rows, left, top, columns * size, rows * size);
  if (!hasRoomForValues(camera, view)) return;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let y = row; y < row + rows; y++) {
    for (let x = column; x < column + columns; x++) {
      const middle = [camera.left + (x + 0.5) * size, camera.top + (y + 0.5) * size];
      write(context, text(y, x), middle, size - TEXT.margin, luminance(pixels, y, x));
    }
  }
}

function write(context, text, [x, y], width, background) {
  if (text === undefined) return;
  context.font = `${TEXT.large}px system-ui, sans-serif`;
  const fits = (TEXT.large * width) / context.measureText(text).width;
  context.font = `${Math.max(TEXT.small, Math.min(TEXT.large, fits))}px system-ui, sans-serif`;
  context.fillStyle = background > DARK_TEXT ? "#000" : "#fff";
  context.fillText(text, x, y, width);
}

// Return the relative luminance of a pixel, as WCAG 2 defines it.
function luminance({ data, width }, row, column) {
  const at = 4 * (row * width + column);
  const linear = [0, 1, 2].map((i) => {
    const part = data[at + i] / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
