// What hands do to a map seen alone: a mouse or finger drags it, a wheel or two fingers zoom, a click picks a unit.

const UNSTEADY_PX = 4; // a click may move so far
const WHEEL = 0.002; // of the zoom's logarithm to a pixel of the wheel; a pinch on a touch pad comes as less
const PINCH = 0.01;
const LINE_PX = 16;

// Calls `zoom(factor, at)`, `move(x, y)`, `pick(at)` and `hover(at)`, with places in CSS px from the corner of the
// stage, and `hover(null)` when the pointer has left.
export function watchHands(stage, { zoom, move, pick, hover }, signal) {
  const listen = (kind, action) => stage.addEventListener(kind, action, { signal, passive: false });
  const down = new Map(); // where each finger or button that is down was last
  let travelled = 0;

  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  listen("wheel", (event) => {
    event.preventDefault(); // the page does not scroll away below the map
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1;
    const step = event.deltaY * lines * (event.ctrlKey ? PINCH : WHEEL);
    zoom(Math.exp(-step), place(event));
  });
  listen("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    if (down.size === 0) travelled = 0;
    down.set(event.pointerId, place(event));
  });
  listen("pointermove", (event) => {
    const now = place(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") hover(now);
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    const others = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    down.set(event.pointerId, now);
    if (others.length > 0) {
      const [other] = others;
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      zoom(apart(now, other) / apart(before, other), middle);
      move((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (travelled > UNSTEADY_PX) {
      stage.classList.add("fmw-dragging");
      move(now.x - before.x, now.y - before.y);
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    listen(kind, (event) => {
      if (!down.delete(event.pointerId)) return;
      if (down.size === 0) stage.classList.remove("fmw-dragging");
      if (kind === "pointerup" && down.size === 0 && travelled <= UNSTEADY_PX) pick(place(event));
    });
  }
  listen("pointerleave", (event) => {
    if (event.pointerType !== "touch") hover(null);
  });
}

function apart(one, other) {
  return Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
}
