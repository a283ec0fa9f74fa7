// The elements of the zoom view.

import { buttonElement, element, uniqueId } from "./dom.js";
import { readoutLine } from "./readout.js";

const SIGNS = { "Zoom out": "−", "Zoom in": "+", "Whole map": "fit", Close: "×" };
export const ZOOM_KEYS =
  "wheel or + − zoom · drag or Shift + arrows move · arrows step from value to value · Esc returns";

// Return the elements; `actions` are called by the buttons of their names.
export function zoomElements(actions) {
  const box = element("div", "fmw-zoom");
  box.setAttribute("role", "dialog");
  box.hidden = true;
  const title = element("div", "fmw-zoom-title");
  const scale = element("div", "fmw-zoom-scale");
  const bar = element("div", "fmw-zoom-bar");
  bar.append(title, scale, ...Object.entries(actions).map(([name, action]) => zoomButton(name, action)));

  const stage = element("div", "fmw-stage");
  stage.tabIndex = 0;
  stage.setAttribute("role", "application"); // a screen reader passes the arrow keys on
  const canvas = element("canvas", "fmw-canvas");
  const outline = element("div", "fmw-region");
  outline.hidden = true;
  stage.append(canvas, outline);

  const readout = readoutLine();
  const hint = element("div", "fmw-zoom-hint", ZOOM_KEYS);
  const id = uniqueId();
  title.id = `fmw-title-${id}`;
  hint.id = `fmw-hint-${id}`;
  box.setAttribute("aria-labelledby", title.id);
  stage.setAttribute("aria-describedby", hint.id);
  box.append(bar, stage, ...readout.elements, hint);
  return { box, title, scale, stage, canvas, outline, readout, hint };
}

function zoomButton(name, action) {
  const button = buttonElement("fmw-bordered fmw-zoom-button", SIGNS[name], action);
  button.title = name;
  button.setAttribute("aria-label", name);
  return button;
}
