// Draws the part of a map that is in sight, and the values in its cells.

import { hasRoomForValues, inSight, valueSize } from "./camera.js";

const TEXT = { large: 13, small: 7, margin: 6 }; // CSS px
const DARK_TEXT = 0.179; // the luminance from which black stands out more than white

// The pixels of a picture with one for each value, to be read.
export function pixelsOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// `pixels` are those of `image`; `text(row, column)` is what is written in a cell, if anything.
export function draw(canvas, { image, pixels, text }, camera, map, room) {
  canvas.width = Math.round(room.width * room.ratio);
  canvas.height = Math.round(room.height * room.ratio);
  const context = canvas.getContext("2d");
  context.setTransform(room.ratio, 0, 0, room.ratio, 0, 0);
  const size = valueSize(camera, room);
  // Enlarged pixels stay square; those of a map that is shrunk are averaged.
  context.imageSmoothingEnabled = size * room.ratio < 1;
  context.imageSmoothingQuality = "high";
  const { row, column, rows, columns } = inSight(camera, map, room);
  const left = camera.left + column * size;
  const top = camera.top + row * size;
  context.drawImage(image, column, row, columns, rows, left, top, columns * size, rows * size);
  if (!hasRoomForValues(camera, room)) return;
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

// The relative luminance of a pixel, as WCAG 2 has it.
function luminance({ data, width }, row, column) {
  const at = 4 * (row * width + column);
  const linear = [0, 1, 2].map((i) => {
    const part = data[at + i] / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
