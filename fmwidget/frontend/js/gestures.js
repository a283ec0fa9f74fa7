// Gestures on the zoom view: a mouse or finger drags the map, a wheel or two fingers zoom, a click picks a unit.

const MAX_DRIFT_PX = 4; // of a click
const WHEEL = 0.002; // of the zoom's logarithm, per px of the wheel
const PINCH = 0.01; // the same on a touch pad, whose pinch comes as small wheel steps with Ctrl
const LINE_PX = 16; // of a wheel that reports lines

// Call `zoom(factor, at)`, `move(x, y)`, `pick(at)` and `hover(at)`, with points in CSS px from the corner of the
// stage, and `hover(null)` when the pointer has left.
export function watchGestures(stage, { zoom, move, pick, hover }, signal) {
  const on = (event, action) => stage.addEventListener(event, action, { signal, passive: false });
  const down = new Map(); // last point of each finger or button that is down
  let travelled = 0;

  const pointOf = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  on("wheel", (event) => {
    event.preventDefault(); // the page does not scroll away below the map
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1;
    const step = event.deltaY * lines * (event.ctrlKey ? PINCH : WHEEL);
    zoom(Math.exp(-step), pointOf(event));
  });
  on("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    if (down.size === 0) travelled = 0;
    down.set(event.pointerId, pointOf(event));
  });
  on("pointermove", (event) => {
    const now = pointOf(event);
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
      zoom(distance(now, other) / distance(before, other), middle);
      move((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (travelled > MAX_DRIFT_PX) {
      stage.classList.add("fmw-dragging");
      move(now.x - before.x, now.y - before.y);
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    on(kind, (event) => {
      if (!down.delete(event.pointerId)) return;
      if (down.size === 0) stage.classList.remove("fmw-dragging");
      if (kind === "pointerup" && down.size === 0 && travelled <= MAX_DRIFT_PX) pick(pointOf(event));
    });
  }
  on("pointerleave", (event) => {
    if (event.pointerType !== "touch") hover(null);
  });
}

function distance(one, other) {
  return Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
}
