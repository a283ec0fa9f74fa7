// What a mouse, a pen or a finger does to a picture: clicks it once or twice, and points at it.

const HOLD_MS = 400; // a finger that stays so long points; one that moves before scrolls the page
const UNSTEADY_PX = 10;

// Calls `click(place)`, `open(place)` and `hover(place)`, with what `at(x, y)` makes of a place in the window, and `hover(null)`
// when the pointer has left. A finger that was lifted stays where it was: it had covered what it pointed at.
export function watchPointer(figure, { at, click, open, hover }, signal) {
  const listen = (kind, action) => figure.addEventListener(kind, action, { signal, passive: false });
  let finger = null; // { x, y, timer, pointing } of one that is down

  listen("click", (event) => {
    if (finger?.pointing) return; // it was lifted just now
    figure.focus({ preventScroll: true });
    click(at(event.clientX, event.clientY));
  });
  listen("dblclick", (event) => open(at(event.clientX, event.clientY)));
  listen("pointermove", (event) => {
    if (event.pointerType !== "touch") hover(at(event.clientX, event.clientY));
  });
  listen("pointerleave", (event) => {
    if (event.pointerType !== "touch") hover(null);
  });

  listen("touchstart", (event) => {
    clearTimeout(finger?.timer);
    const [{ clientX: x, clientY: y }] = event.touches;
    if (event.touches.length > 1) {
      finger = null; // the browser zooms
      return;
    }
    finger = { x, y, pointing: false };
    finger.timer = setTimeout(() => {
      finger.pointing = true;
      hover(at(x, y));
    }, HOLD_MS);
  });
  listen("touchmove", (event) => {
    if (!finger) return;
    const [{ clientX: x, clientY: y }] = event.touches;
    if (finger.pointing) {
      event.preventDefault(); // or the page scrolls
      hover(at(x, y));
    } else if (Math.hypot(x - finger.x, y - finger.y) > UNSTEADY_PX) {
      clearTimeout(finger.timer);
      finger = null;
    }
  });
  for (const kind of ["touchend", "touchcancel"]) {
    listen(kind, (event) => {
      clearTimeout(finger?.timer);
      if (finger?.pointing) event.preventDefault(); // no click
      finger = null;
    });
  }
  listen("contextmenu", (event) => {
    if (finger) event.preventDefault(); // a long press asks for it too
  });
  signal.addEventListener("abort", () => clearTimeout(finger?.timer));
}
