// One map alone: zoomed to single values and moved about. Python sends it with one pixel for each value, and the
// values themselves for the part that is in sight, once its cells are large enough to write in.

import { asking } from "./asking.js";
import { fitted, hasRoomForValues, inSight, moved, revealing, unitAt, valueSize, zoomed } from "./camera.js";
import { draw, pixelsOf } from "./canvas.js";
import { watchHands } from "./gestures.js";
import { decode } from "./image.js";
import { claimKeys, clamp, onTraits } from "./small.js";
import { valuesOf } from "./values.js";
import { zoomParts } from "./zoom_parts.js";

const TRAITS = ["shown", "png", "rows", "columns", "stamp", "title", "readout", "unit"];
const STEP = 1.5; // of the zoom, by key or button
const STRIDE = 60; // CSS px, of a move by key
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function render({ model, el }) {
  const gone = new AbortController();
  const { signal } = gone;
  const { box, title, scale, stage, canvas, outline, readout, spoken } = zoomParts({
    "Zoom out": () => zoomBy(1 / STEP),
    "Zoom in": () => zoomBy(STEP),
    "Whole map": () => look(fitted(map, room())),
    Close: close,
  });
  el.classList.add("fmw-view", "fmw-zoom-view");
  el.append(box);
  box.hidden = true;

  let picture = null; // { image, pixels } on screen
  let tried; // the bytes that were decoded last
  let map = { rows: 1, columns: 1 };
  let camera = null;
  let unit = []; // the one that is outlined
  let opener = null; // what had the focus before
  let putAway = false; // by the reader, and Python does not know yet
  let pointed = ""; // the unit that was last said to be under the pointer
  let speaks = false; // whether a key was the last thing that was used

  const ask = { unit: asking(model, signal), pin: asking(model, signal, () => refresh()) };
  const values = valuesOf(model, signal, () => paint());
  const room = () => ({ width: stage.clientWidth, height: stage.clientHeight, ratio: devicePixelRatio });
  const middle = () => ({ x: stage.clientWidth / 2, y: stage.clientHeight / 2 });

  async function refresh() {
    const shown = model.get("shown");
    if (!shown || putAway) {
      putAway &&= shown;
      hide();
      return;
    }
    const [png, rows, columns] = ["png", "rows", "columns"].map((name) => model.get(name));
    if (png !== tried) {
      tried = png;
      const image = await decode(png);
      if (tried !== png || signal.aborted) return; // another has come meanwhile
      picture = image && { image, pixels: pixelsOf(image) };
      if (map.rows !== rows || map.columns !== columns) camera = null;
      map = { rows, columns };
    }
    if (!picture || putAway || !model.get("shown")) return;
    unhide();
    title.textContent = model.get("title");
    stage.setAttribute("aria-label", model.get("title"));
    if (!ask.pin.busy()) unit = model.get("unit");
    say(model.get("readout"));
    paint();
  }

  function unhide() {
    if (!box.hidden) return;
    box.hidden = false;
    camera = null;
    const home = el.closest(".fmwidget") ?? el.parentElement;
    opener = home?.contains(document.activeElement) ? document.activeElement : null;
    if (opener) stage.focus();
  }

  function hide() {
    if (box.hidden) return;
    const hadFocus = box.contains(document.activeElement);
    box.hidden = true;
    if (hadFocus) opener?.focus();
    opener = null;
  }

  function close() {
    putAway = true;
    hide();
    model.send({ type: "close" });
  }

  function say(text) {
    if (readout.textContent === text) return;
    readout.textContent = text;
    if (speaks) spoken.textContent = text;
  }

  function look(next) {
    camera = next;
    paint();
  }

  function zoomBy(factor, at = middle()) {
    if (picture) look(zoomed(camera, map, room(), factor, at));
  }

  function paint() {
    const size = room();
    if (box.hidden || !picture || size.width === 0) return;
    camera ??= fitted(map, size);
    if (hasRoomForValues(camera, size)) values.want(inSight(camera, map, size));
    draw(canvas, { ...picture, text: values.text }, camera, map, size);
    const pixels = valueSize(camera, size);
    scale.textContent = pixels < 1 ? `${Math.round(100 * pixels)} %` : `${Number(pixels.toFixed(2))} px a value`;
    outline.hidden = unit.length !== 2;
    if (outline.hidden) return;
    const style = { left: camera.left + unit[1] * pixels, top: camera.top + unit[0] * pixels, width: pixels };
    for (const [edge, at] of Object.entries({ ...style, height: pixels })) outline.style[edge] = `${at}px`;
  }

  function pin(at) {
    unit = at;
    ask.pin.ask({ type: "pin", row: at[0], column: at[1] });
    look(revealing(camera, map, room(), at));
  }

  const hands = {
    zoom: zoomBy,
    move: (x, y) => picture && look(moved(camera, map, room(), x, y)),
    pick(at) {
      const found = picture && unitAt(camera, map, room(), at);
      if (found) pin(found);
    },
    hover(at) {
      speaks = false;
      const found = at && picture && unitAt(camera, map, room(), at);
      if (String(found) === pointed) return;
      pointed = String(found);
      ask.unit.ask(found ? { type: "unit", row: found[0], column: found[1] } : { type: "unit" });
    },
  };
  watchHands(stage, hands, signal);

  claimKeys(box, ({ key, shiftKey, target }) => {
    const isOurs = (key === "Escape" || target === stage) && press(key, shiftKey);
    speaks ||= isOurs;
    return isOurs;
  });

  // Whether the key was one for the map.
  function press(key, shift) {
    if (key === "Escape") close();
    else if (!picture) return false;
    else if (key === "+" || key === "=") zoomBy(STEP);
    else if (key === "-") zoomBy(1 / STEP);
    else if (key === "0") look(fitted(map, room()));
    else if (key in ARROWS && shift) hands.move(-STRIDE * ARROWS[key][1], -STRIDE * ARROWS[key][0]);
    else if (key in ARROWS) pin(unit.length === 2 ? stepped(ARROWS[key]) : center());
    else return false;
    return true;
  }

  const center = () => [map.rows, map.columns].map((side) => Math.floor((side - 1) / 2));
  const stepped = ([down, right]) => [
    clamp(unit[0] + down, 0, map.rows - 1),
    clamp(unit[1] + right, 0, map.columns - 1),
  ];

  const resized = new ResizeObserver(() => {
    camera = null; // all of it again: what was in sight would be elsewhere
    paint();
  });
  resized.observe(stage);
  onTraits(model, TRAITS, refresh, signal);
  refresh();

  return () => {
    gone.abort();
    resized.disconnect();
    box.remove();
  };
}

export default { render };
