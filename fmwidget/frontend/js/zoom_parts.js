// What a map seen alone is made of on the page.

import { element } from "./small.js";

const SIGNS = { "Zoom out": "−", "Zoom in": "+", "Whole map": "fit", Close: "×" };
const HINT = "wheel or + − zoom · drag or Shift + arrows move · arrows step from value to value · Esc returns";

// `actions` are called by buttons of their names.
export function zoomParts(actions) {
  const box = element("div", "fmw-zoom");
  box.setAttribute("role", "dialog");
  const title = element("div", "fmw-zoom-title");
  const scale = element("div", "fmw-zoom-scale");
  const bar = element("div", "fmw-zoom-bar");
  bar.append(title, scale, ...Object.entries(actions).map(([name, action]) => button(name, action)));

  const stage = element("div", "fmw-stage");
  stage.tabIndex = 0;
  stage.setAttribute("role", "application"); // a screen reader passes the arrow keys on
  const canvas = element("canvas", "fmw-canvas");
  const outline = element("div", "fmw-region");
  outline.hidden = true;
  stage.append(canvas, outline);

  const readout = element("div", "fmw-readout");
  const hint = element("div", "fmw-zoom-hint");
  hint.textContent = HINT;
  const spoken = element("div", "fmw-spoken");
  spoken.setAttribute("role", "status");
  const id = Math.random().toString(36).slice(2);
  title.id = `fmw-title-${id}`;
  hint.id = `fmw-hint-${id}`;
  box.setAttribute("aria-labelledby", title.id);
  stage.setAttribute("aria-describedby", hint.id);
  box.append(bar, stage, readout, hint, spoken);
  return { box, title, scale, stage, canvas, outline, readout, spoken };
}

function button(name, action) {
  const made = element("button", "fmw-zoom-button");
  made.type = "button";
  made.title = name;
  made.setAttribute("aria-label", name);
  made.textContent = SIGNS[name];
  made.addEventListener("click", action);
  return made;
}
