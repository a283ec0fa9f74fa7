// Small things that several modules need.

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

export function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

// Calls `action` once at the end of the current task, however often it is asked to.
export function once(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => {
      asked = false;
      action();
    });
  };
}
