// A line of text below a picture. Screen readers announce what a key has changed, not what a mouse passes over.

import { element } from "./dom.js";

// Return { line, elements, write(text), byKey }; set `byKey` to whether a key was the last thing that was used.
export function readoutLine() {
  const line = element("div", "fmw-readout");
  const spoken = element("div", "fmw-spoken");
  spoken.setAttribute("role", "status");
  return {
    line,
    elements: [line, spoken],
    byKey: false,
    write(text) {
      if (line.textContent === text) return;
      line.textContent = text;
      if (this.byKey) spoken.textContent = text;
    },
  };
}
