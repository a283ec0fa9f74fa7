// Small things that several modules need.

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// Calls `refresh` once at the end of the task in which traits change: one message may change several.
export function onTraits(model, names, refresh, signal) {
  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => {
      asked = false;
      refresh();
    });
  };
  for (const name of names) model.on(`change:${name}`, soon);
  signal.addEventListener("abort", () => {
    for (const name of names) model.off(`change:${name}`, soon);
  });
}

// Keeps the keys that `press(event)` says were for `target` from the browser, and from the notebook, which would
// move to another cell.
export function claimKeys(target, press) {
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !press(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}
