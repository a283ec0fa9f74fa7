// Elements of the page, and views made of them.

// Create an element.
export function element(tag, className = "", text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

// Create a button that calls `action` when it is pressed.
export function buttonElement(className, text, action) {
  const button = element("button", `fmw-button ${className}`, text);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

// Put the elements of a view on the page. Return a signal that is aborted when the view is removed, and the
// function that removes it.
export function mount(el, elements, className = "fmw-view") {
  const removal = new AbortController();
  const remove = () => {
    removal.abort();
    for (const one of elements) one.remove();
  };
  el.classList.add("fmw-view", className);
  el.append(...elements);
  return { signal: removal.signal, remove };
}

// Call `action` when an element is first laid out, and when its size has changed.
export function onResize(el, action, signal) {
  const observer = new ResizeObserver(action);
  observer.observe(el);
  signal.addEventListener("abort", () => observer.disconnect());
}

// Return an id that no other view of any model has.
export function uniqueId() {
  return Math.random().toString(36).slice(2);
}
