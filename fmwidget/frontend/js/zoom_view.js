// A single map, zoomed down to single values and moved. Python sends it with one pixel for each value, and the
// values themselves for the part that is in sight, once its cells are large enough to write in.

import { fitted, hasRoomForValues, inSight, moved, revealing, unitAt, valueSize, zoomed } from "./camera.js";
import { clamp } from "./clamp.js";
import { decode } from "./decode_image.js";
import { mount, onResize } from "./dom.js";
import { watchGestures } from "./gestures.js";
import { ARROWS, claimKeys } from "./keys.js";
import { drawMap, pixelsOf } from "./map_canvas.js";
import { mapValues } from "./map_values.js";
import { onTraits } from "./model.js";
import { requestQueue } from "./request_queue.js";
import { shortcuts } from "./shortcuts.js";
import { ZOOM_KEYS, zoomElements } from "./zoom_elements.js";

const TRAITS = ["shown", "png", "rows", "columns", "stamp", "title", "readout", "unit", "_events"];
const ZOOM_STEP = 1.5; // by key or button
const MOVE_STEP = 60; // CSS px, by key

function render({ model, el }) {
  const { box, title, scale, stage, canvas, outline, readout, hint } = zoomElements({
    "Zoom out": () => zoomBy(1 / ZOOM_STEP),
    "Zoom in": () => zoomBy(ZOOM_STEP),
    "Whole map": showAll,
    Close: close,
  });
  const { signal, remove } = mount(el, [box], "fmw-zoom-view");

  let picture = null; // { image, pixels } on screen
  let tried; // the bytes that were decoded last
  let map = { rows: 1, columns: 1 };
  let camera = null;
  let unit = []; // the one that is outlined
  let opener = null; // what had the focus before
  let isClosed = false; // by the user, and Python has not answered yet
  let hovered = ""; // the unit that was last reported

  const hovers = requestQueue(model, signal);
  const pins = requestQueue(model, signal, () => refresh());
  const shortcut = shortcuts(model, signal);
  const values = mapValues(model, signal, () => paint());
  const viewport = () => ({ width: stage.clientWidth, height: stage.clientHeight, ratio: devicePixelRatio });

  async function refresh() {
    const shown = model.get("shown");
    if (!shown || isClosed) {
      isClosed &&= shown;
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
    if (!picture || isClosed || !model.get("shown")) return;
    unhide();
    title.textContent = model.get("title");
    stage.setAttribute("aria-label", model.get("title"));
    if (!pins.isBusy()) unit = model.get("unit");
    readout.write(model.get("readout"));
    hint.textContent = [ZOOM_KEYS, shortcut.inWords()].filter(Boolean).join(" · ");
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
    isClosed = true;
    hide();
    model.send({ type: "close" });
  }

  function show(next) {
    camera = next;
    paint();
  }

  function showAll() {
    show(fitted(map, viewport()));
  }

  function zoomBy(factor, at = { x: stage.clientWidth / 2, y: stage.clientHeight / 2 }) {
    if (picture) show(zoomed(camera, map, viewport(), factor, at));
  }

  function paint() {
    const view = viewport();
    if (box.hidden || !picture || view.width === 0) return;
    camera ??= fitted(map, view);
    if (hasRoomForValues(camera, view)) values.want(inSight(camera, map, view));
    drawMap(canvas, { ...picture, text: values.text }, camera, map, view);
    const size = valueSize(camera, view);
    scale.textContent = size < 1 ? `${Math.round(100 * size)} %` : `${Number(size.toFixed(2))} px a value`;
    outline.hidden = unit.length !== 2;
    if (outline.hidden) return;
    const [row, column] = unit;
    const edges = { left: camera.left + column * size, top: camera.top + row * size, width: size, height: size };
    for (const [edge, length] of Object.entries(edges)) outline.style[edge] = `${length}px`;
  }

  function pin(position) {
    unit = position;
    pins.request({ type: "pin", row: position[0], column: position[1] });
    show(revealing(camera, map, viewport(), position));
  }

  const gestures = {
    zoom: zoomBy,
    move: (x, y) => picture && show(moved(camera, map, viewport(), x, y)),
    pick(at) {
      const found = picture && unitAt(camera, map, viewport(), at);
      if (found) pin(found);
    },
    hover(at) {
      readout.byKey = false;
      const found = at && picture && unitAt(camera, map, viewport(), at);
      if (String(found) === hovered) return;
      hovered = String(found);
      hovers.request(found ? { type: "unit", row: found[0], column: found[1] } : { type: "unit" });
    },
  };
  watchGestures(stage, gestures, signal);

  claimKeys(box, (event) => {
    const { key, shiftKey, target } = event;
    const isOurs = (key === "Escape" || target === stage) && (press(key, shiftKey) || shortcut.press(event));
    readout.byKey ||= isOurs;
    return isOurs;
  });

  // Handle a key. Return whether it was one for the map.
  function press(key, shift) {
    if (key === "Escape") close();
    else if (!picture) return false;
    else if (key === "+" || key === "=") zoomBy(ZOOM_STEP);
    else if (key === "-") zoomBy(1 / ZOOM_STEP);
    else if (key === "0") showAll();
    else if (key in ARROWS && shift) gestures.move(-MOVE_STEP * ARROWS[key][1], -MOVE_STEP * ARROWS[key][0]);
    else if (key in ARROWS) pin(unit.length === 2 ? neighbor(ARROWS[key]) : center());
    else return false;
    return true;
  }

  const center = () => [map.rows, map.columns].map((side) => Math.floor((side - 1) / 2));
  const neighbor = ([down, right]) => [
    clamp(unit[0] + down, 0, map.rows - 1),
    clamp(unit[1] + right, 0, map.columns - 1),
  ];

  onResize(stage, () => show(null), signal); // all of it again: what was in sight would be elsewhere
  onTraits(model, TRAITS, refresh, signal);
  refresh();
  return remove;
}

export default { render };
