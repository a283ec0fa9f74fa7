// Names for controls that ipywidgets names in print only. The handle of a slider, the number beside it and a
// button that shows an arrow get the name that users see or hover over; a toggle reports whether it is on.
// ipywidgets draws controls anew whenever they change, so this watches the whole `.fmwidget` that it is in.

const ARROW = /^\P{L}$/u; // a single character that is no letter

// Name all controls of a widget. Unchanged attributes are not set again.
function nameAll(root) {
  for (const field of root.querySelectorAll(".widget-slider")) {
    const label = field.querySelector(".widget-label")?.textContent ?? "";
    for (const handle of field.querySelectorAll('[role="slider"]')) set(handle, "aria-label", label);
    for (const number of field.querySelectorAll(".widget-readout")) {
      set(number, "role", "textbox");
      set(number, "aria-label", `${label}, as a number`);
    }
  }
  for (const button of root.querySelectorAll("button.jupyter-button[title]")) {
    if (ARROW.test(button.textContent.trim())) set(button, "aria-label", button.title);
  }
  for (const toggle of root.querySelectorAll("button.widget-toggle-button")) {
    set(toggle, "aria-pressed", String(toggle.classList.contains("mod-active")));
  }
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function render({ el }) {
  el.hidden = true;
  let observer;
  let frame = 0;
  // Wait for the root: a view is rendered before it is put on the page.
  const begin = () => {
    const root = el.closest(".fmwidget");
    if (!root) {
      frame = requestAnimationFrame(begin);
      return;
    }
    observer = new MutationObserver(() => nameAll(root));
    observer.observe(root, {
      attributeFilter: ["class", "title"],
      characterData: true,
      childList: true,
      subtree: true,
    });
    nameAll(root);
  };
  begin();
  return () => {
    cancelAnimationFrame(frame);
    observer?.disconnect();
  };
}

export default { render };
