// A picture that can be pointed at. Python draws it; this shows it without a blank frame, marks places in it,
// and reports where it is shown and what the reader does to it.

import { asking } from "./asking.js";
import { outlines } from "./boxes.js";
import { choosing } from "./choice.js";
import { decode } from "./image.js";
import { watchPointer } from "./pointer.js";
import { claimKeys, clamp, element, onTraits } from "./small.js";
import { watchDisplay } from "./display.js";

const TRAITS = [
  "png", "width", "height", "alt", "mark", "region", "readout", "tiles", "place", "label", "_listening",
];
const NUDGES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function render({ model, el }) {
  const gone = new AbortController();
  const { signal } = gone;

  const figure = element("div", "fmw-figure");
  const boxes = outlines();
  figure.append(...boxes.parts);
  const readout = element("div", "fmw-readout");
  const spoken = element("div", "fmw-spoken"); // what screen readers say: not all that a mouse passes over
  spoken.setAttribute("role", "status");
  for (const part of [figure, readout]) part.hidden = true;
  el.classList.add("fmw-view");
  el.append(figure, readout, spoken);
  const imageId = `fmw-${Math.random().toString(36).slice(2)}`; // unique among all views of all models

  let image = null; // the picture on screen
  let shown = {}; // the traits it is shown with
  let wanted = {}; // the traits as Python last set them
  let tried; // the bytes that were decoded last, successfully or not
  let decoding = false;
  let mark = []; // the box that is outlined
  let speaks = false; // whether a key was the last thing that was used

  const listensTo = (kind) => (wanted._listening ?? []).includes(kind);
  const send = (message) => {
    if (listensTo(message.type)) model.send(message);
  };
  const display = watchDisplay(el, (report) => send({ type: "display", ...report }), signal);

  async function refresh() {
    const listened = listensTo("display");
    wanted = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
    describe();
    if (listensTo("display") && !listened) display.repeat();
    if (decoding) return; // the loop that is running sees what is wanted now
    decoding = true;
    figure.classList.add("fmw-decoding"); // a film waits for it
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
    const interactive = ["point", "place", "nudge", "open"].some(listensTo);
    // "application": a screen reader passes the arrow keys on instead of reading the page with them.
    figure.setAttribute("role", interactive ? "application" : "figure");
    figure.setAttribute("aria-label", wanted.label);
    figure.setAttribute("aria-describedby", imageId);
    figure.classList.toggle("fmw-pointable", listensTo("point"));
    if (interactive) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  }

  function swap(decoded, state) {
    if (signal.aborted) return;
    image?.remove();
    image = decoded;
    shown = state;
    figure.hidden = readout.hidden = image === null;
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
    layMark();
    readout.hidden = !(shown.readout || listensTo("hover"));
    if (readout.textContent !== shown.readout) {
      readout.textContent = shown.readout;
      if (speaks) spoken.textContent = shown.readout;
    }
    sharpen();
  }

  function layMark() {
    mark = choice.mark(shown, mark);
    boxes.lay({ mark, region: shown.region }, shown.width, shown.height);
  }

  // Enlarged pixels stay square; a picture that is shrunk is averaged, for dropping pixels would lie.
  function sharpen() {
    if (!image) return;
    const pixels = figure.getBoundingClientRect().width * window.devicePixelRatio;
    image.style.imageRendering = pixels < image.naturalWidth - 0.5 ? "auto" : "pixelated";
  }

  // A place in the window, in the picture's own pixels.
  function at(clientX, clientY) {
    const box = figure.getBoundingClientRect();
    return {
      x: clamp(((clientX - box.left) * shown.width) / box.width, 0, shown.width),
      y: clamp(((clientY - box.top) * shown.height) / box.height, 0, shown.height),
    };
  }

  const choice = choosing(model, signal, layMark, () => refresh());
  const hovering = asking(model, signal);
  const nudging = asking(model, signal);
  const pointer = {
    at,
    click(place) {
      speaks = false;
      if (listensTo("point")) choice.click(shown, place);
    },
    open(place) {
      if (listensTo("open")) choice.open(shown, place);
    },
    hover(place) {
      speaks = false;
      if (listensTo("hover")) hovering.ask({ type: "hover", ...place });
    },
  };
  watchPointer(figure, pointer, signal);

  claimKeys(figure, ({ key, shiftKey }) => press(key, shiftKey) && (speaks = true));

  // Whether something that was clicked is marked. In a picture with tiles one of them always is.
  const isKept = () => wanted.region?.length > 0 || (!listensTo("place") && wanted.mark?.length > 0);

  // Whether the key was one for the picture.
  function press(key, shift) {
    if (key === "Enter" && listensTo("open")) {
      choice.open(wanted);
      return true;
    }
    if (key === "Escape" && listensTo("release")) {
      send({ type: "release" });
      return isKept(); // where nothing is, the key is the notebook's
    }
    if (listensTo("place") && !shift) return choice.press(wanted, key);
    if (!listensTo("nudge") || shift !== listensTo("place") || !(key in NUDGES)) return false;
    const [rows, columns] = NUDGES[key];
    nudging.ask({ type: "nudge", rows, columns }, (waiting, latest) => ({
      ...latest,
      rows: waiting.rows + latest.rows,
      columns: waiting.columns + latest.columns,
    }));
    return true;
  }
  const resized = new ResizeObserver(sharpen);
  resized.observe(figure);

  onTraits(model, TRAITS, refresh, signal);
  refresh();

  return () => {
    gone.abort();
    resized.disconnect();
    figure.remove();
    readout.remove();
    spoken.remove();
  };
}

export default { render };
