// A picture that Python draws. This shows it without a blank frame, outlines places in it, and reports its display
// context and what the user does to it.

import { clamp } from "./clamp.js";
import { decode } from "./decode_image.js";
import { watchDisplay } from "./display_context.js";
import { element, mount, onResize, uniqueId } from "./dom.js";
import { ARROWS, claimKeys } from "./keys.js";
import { onTraits } from "./model.js";
import { outlines } from "./outlines.js";
import { watchPointer } from "./pointer.js";
import { readoutLine } from "./readout.js";
import { requestQueue } from "./request_queue.js";
import { shortcuts } from "./shortcuts.js";
import { tileSelection } from "./tile_selection.js";

const TRAITS = [
  "png", "width", "height", "alt", "mark", "region", "readout", "tiles", "tile", "label", "_events",
];

function render({ model, el }) {
  const figure = element("div", "fmw-figure");
  const boxes = outlines();
  figure.append(...boxes.elements);
  const readout = readoutLine();
  const keys = element("div"); // a description for screen readers
  keys.hidden = true;
  figure.hidden = readout.line.hidden = true;
  const { signal, remove } = mount(el, [figure, ...readout.elements, keys]);
  const imageId = uniqueId();
  keys.id = `fmw-keys-${imageId}`;

  let image = null; // the picture on screen
  let shown = {}; // the traits it is shown with
  let wanted = {}; // the traits as Python last set them
  let tried; // the bytes that were decoded last, successfully or not
  let decoding = false;
  let mark = []; // the box that is outlined

  const sends = (event) => (wanted._events ?? []).includes(event);
  const send = (message) => {
    if (sends(message.type)) model.send(message);
  };
  const display = watchDisplay(el, (context) => send({ type: "display", ...context }), signal);

  async function refresh() {
    const hadDisplay = sends("display");
    wanted = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
    describe();
    if (sends("display") && !hadDisplay) display.repeat();
    if (decoding) return; // the running loop takes up what is wanted now
    decoding = true;
    figure.classList.add("fmw-decoding"); // a play button waits for it
    while (wanted.png !== tried && !signal.aborted) {
      const next = wanted;
      tried = next.png;
      try {
        swap(await decode(next.png), next);
      } catch (error) {
        console.error("fmwidget: the browser could not decode a picture; the last one stays.", error);
      }
    }
    decoding = false;
    figure.classList.remove("fmw-decoding");
    // The mark may have moved meanwhile. What belongs to a picture that is not on screen is not shown either.
    if (image && shown.png === wanted.png) lay(wanted);
  }

  function describe() {
    const interactive = ["click", "tile", "nudge", "open", "flip", "step"].some(sends);
    // "application": a screen reader passes the arrow keys on instead of reading the page with them.
    figure.setAttribute("role", interactive ? "application" : "figure");
    figure.setAttribute("aria-label", wanted.label);
    keys.textContent = shortcut.inWords();
    figure.setAttribute("aria-describedby", keys.textContent ? `${imageId} ${keys.id}` : imageId);
    figure.classList.toggle("fmw-pointable", sends("click"));
    if (interactive) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  }

  function swap(decoded, state) {
    if (signal.aborted) return;
    image?.remove();
    image = decoded;
    shown = state;
    figure.hidden = readout.line.hidden = image === null;
    if (image === null) return;
    image.id = imageId;
    image.draggable = false; // a click with an unsteady hand stays a click
    figure.prepend(image);
    lay(state);
  }

  function lay(state) {
    shown = { ...state, width: state.width || image.naturalWidth, height: state.height || image.naturalHeight };
    image.alt = shown.alt;
    figure.style.width = `${shown.width}px`;
    figure.style.aspectRatio = `${shown.width} / ${shown.height}`;
    placeOutlines();
    readout.line.hidden = !(shown.readout || sends("hover"));
    readout.write(shown.readout);
    sharpen();
  }

  function placeOutlines() {
    mark = selection.mark(shown, mark);
    boxes.place({ mark, region: shown.region }, shown.width, shown.height);
  }

  // Keep enlarged pixels square, and average a picture that is shrunk: to drop pixels would misrepresent it.
  function sharpen() {
    if (!image) return;
    const pixels = figure.getBoundingClientRect().width * window.devicePixelRatio;
    image.style.imageRendering = pixels < image.naturalWidth - 0.5 ? "auto" : "pixelated";
  }

  // Return a point of the window in the picture's own pixels.
  function toPicture(clientX, clientY) {
    const box = figure.getBoundingClientRect();
    return {
      x: clamp(((clientX - box.left) * shown.width) / box.width, 0, shown.width),
      y: clamp(((clientY - box.top) * shown.height) / box.height, 0, shown.height),
    };
  }

  const selection = tileSelection(model, signal, placeOutlines, () => refresh());
  const hovers = requestQueue(model, signal);
  const nudges = requestQueue(model, signal);
  const shortcut = shortcuts(model, signal);

  watchPointer(figure, {
    toPoint: toPicture,
    click(point) {
      readout.byKey = false;
      if (sends("click")) selection.click(shown, point);
    },
    open(point) {
      if (sends("open")) selection.open(shown, point);
    },
    hover(point) {
      readout.byKey = false;
      if (sends("hover")) hovers.request({ type: "hover", ...point });
    },
  }, signal);

  claimKeys(figure, (event) => {
    const isOurs = press(event.key, event.shiftKey) || shortcut.press(event);
    readout.byKey ||= isOurs;
    return isOurs;
  });

  // Return whether something is pinned. In a picture with tiles one of them is always marked.
  const isPinned = () => wanted.region?.length > 0 || (!sends("tile") && wanted.mark?.length > 0);

  // Handle a key. Return whether it was one for the picture.
  function press(key, shift) {
    if (key === "Enter" && sends("open")) {
      selection.open(wanted);
      return true;
    }
    if (key === "Escape" && sends("unpin")) {
      send({ type: "unpin" });
      return isPinned(); // where nothing is, the key is the notebook's
    }
    if (sends("tile") && !shift) return selection.press(wanted, key);
    if (!sends("nudge") || shift !== sends("tile") || !(key in ARROWS)) return false;
    const [rows, columns] = ARROWS[key];
    nudges.request({ type: "nudge", rows, columns }, (waiting, latest) => ({
      ...latest,
      rows: waiting.rows + latest.rows,
      columns: waiting.columns + latest.columns,
    }));
    return true;
  }

  onResize(figure, sharpen, signal);
  onTraits(model, TRAITS, refresh, signal);
  refresh();
  return remove;
}

export default { render };
