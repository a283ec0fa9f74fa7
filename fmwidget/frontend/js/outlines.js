// Outlines over a picture, placed in percentages: they keep their places when the page shrinks the picture.

import { element } from "./dom.js";

// Return { elements, place(boxes, width, height) } of the outlines `mark` and `region`. Boxes are
// [x, y, width, height] or [], in a picture of `width` by `height`.
export function outlines() {
  const mark = element("div", "fmw-mark");
  const region = element("div", "fmw-region");
  return {
    elements: [mark, region],
    place(boxes, width, height) {
      placeAround(mark, boxes.mark, width, height);
      placeWithin(region, boxes.region, width, height);
    },
  };
}

function placeAround(outline, box, width, height) {
  outline.hidden = box.length !== 4;
  if (outline.hidden) return;
  const sizes = [width, height, width, height];
  ["left", "top", "width", "height"].forEach((edge, i) => {
    outline.style[edge] = percent(box[i], sizes[i]);
  });
}

// Cut the outline off where its box reaches beyond the picture: there it runs along the picture's edge.
function placeWithin(outline, [x, y, wide, high], width, height) {
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
