// Clicks, double clicks and hovers of a mouse, a pen or a finger over a picture.

const HOLD_MS = 400; // a finger that rests so long hovers; one that moves before scrolls the page
const MAX_DRIFT_PX = 10;

// Call `click(point)`, `open(point)` and `hover(point)` with the results of `toPoint(clientX, clientY)`, and
// `hover(null)` when the pointer has left. A lifted finger still hovers: it had covered what it pointed at.
export function watchPointer(figure, { toPoint, click, open, hover }, signal) {
  const on = (event, action) => figure.addEventListener(event, action, { signal, passive: false });
  let finger = null; // { x, y, timer, hovering } of one that is down

  on("click", (event) => {
    if (finger?.hovering) return; // it was lifted just now
    figure.focus({ preventScroll: true });
    click(toPoint(event.clientX, event.clientY));
  });
  on("dblclick", (event) => open(toPoint(event.clientX, event.clientY)));
  on("pointermove", (event) => {
    if (event.pointerType !== "touch") hover(toPoint(event.clientX, event.clientY));
  });
  on("pointerleave", (event) => {
    if (event.pointerType !== "touch") hover(null);
  });

  on("touchstart", (event) => {
    clearTimeout(finger?.timer);
    const [{ clientX: x, clientY: y }] = event.touches;
    if (event.touches.length > 1) {
      finger = null; // the browser zooms
      return;
    }
    finger = { x, y, hovering: false };
    finger.timer = setTimeout(() => {
      finger.hovering = true;
      hover(toPoint(x, y));
    }, HOLD_MS);
  });
  on("touchmove", (event) => {
    if (!finger) return;
    const [{ clientX: x, clientY: y }] = event.touches;
    if (finger.hovering) {
      event.preventDefault(); // or the page scrolls
      hover(toPoint(x, y));
    } else if (Math.hypot(x - finger.x, y - finger.y) > MAX_DRIFT_PX) {
      clearTimeout(finger.timer);
      finger = null;
    }
  });
  for (const kind of ["touchend", "touchcancel"]) {
    on(kind, (event) => {
      clearTimeout(finger?.timer);
      if (finger?.hovering) event.preventDefault(); // no click
      finger = null;
    });
  }
  on("contextmenu", (event) => {
    if (finger) event.preventDefault(); // a long press asks for it too
  });
  signal.addEventListener("abort", () => clearTimeout(finger?.timer));
}
