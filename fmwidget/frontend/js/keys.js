// Keys that an element handles itself.

// Rows and columns that an arrow key moves by.
export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// Keep the keys for which `press(event)` returns true from the browser, and from the notebook, which would move
// to another cell.
export function claimKeys(target, press) {
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !press(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}
