// Outlines over a picture, placed in percentages: they stay where they are when the page shrinks the picture.

import { element } from "./small.js";

export function outlines() {
  const mark = element("div", "fmw-mark");
  const region = element("div", "fmw-region");
  return {
    parts: [mark, region],
    // Boxes are [x, y, width, height] or [], in a picture that is `width` by `height`.
    lay(boxes, width, height) {
      layAround(mark, boxes.mark, width, height);
      layWithin(region, boxes.region, width, height);
    },
  };
}

function layAround(outline, box, width, height) {
  outline.hidden = box.length !== 4;
  if (outline.hidden) return;
  const sizes = [width, height, width, height];
  ["left", "top", "width", "height"].forEach((edge, i) => {
    outline.style[edge] = percent(box[i], sizes[i]);
  });
}

// Where a box reaches beyond the picture it is cut off, and its outline runs along the picture's edge.
function layWithin(outline, [x, y, wide, high], width, height) {
  outline.hidden = !(x < width && y < height && x + wide > 0 && y + high > 0);
  if (outline.hidden) return;
  const insets = [
    [y, height],
    [width - x - wide, width],
    [height - y - high, height],
    [x, width],
  ];
  outline.style.inset = insets
    .map(([inset, size]) => `max(0px, calc(${percent(inset, size)} - var(--fmw-line)))`)
    .join(" ");
}

function percent(part, whole) {
  return `${(100 * part) / whole}%`;
}
