"""A page without a kernel that shows one of the package's front-end pieces, as anywidget would.

The page's model starts with the state of a real Python widget, so the two sides must agree on the traits'
names and kinds; the messages of the piece are kept for the test to deliver to that widget.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anywidget
    from playwright.sync_api import Locator, Page

ADDRESS = "http://view.test/"  # answered by the test itself

SCRIPT = """
// What anywidget hands to `render`: a Backbone model with its kernel's end cut off.
class Model {
  constructor(state) {
    const nothing = { listeners: [], sent: [], asked: [], saved: [], unsaved: {} };
    Object.assign(this, { state, answers: true, ...nothing });
  }
  get(name) { return this.state[name]; }
  set(name, value) { this.unsaved[name] = value; this.update({ [name]: value }); }
  save_changes() { this.saved.push(this.unsaved); this.unsaved = {}; }
  // A kernel that answers at once, or when the test calls `answer`.
  send(content) {
    this.sent.push(structuredClone(content));
    if (content.id === undefined) return;
    this.asked.push(content.id);
    if (this.answers) queueMicrotask(() => this.answer());
  }
  answer() { this.receive({ type: "answered", id: this.asked.shift() }); }
  receive(content) {
    for (const { event, listener } of [...this.listeners]) if (event === "msg:custom") listener(content, []);
  }
  on(event, listener) { this.listeners.push({ event, listener }); }
  off(event, listener) {
    this.listeners = this.listeners.filter((one) => one.event !== event || one.listener !== listener);
  }
  // One message from the kernel: all traits first, then an event for each that changed.
  update(state) {
    const changed = Object.keys(state).filter((name) => state[name] !== this.state[name]);
    Object.assign(this.state, state);
    for (const { event, listener } of [...this.listeners])
      if (changed.includes(event.slice("change:".length))) listener();
  }
}

// Bytes travel as base64 from the test to the page; the model holds a DataView, as it does in a notebook.
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (!("base64" in value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]));
  return new DataView(Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0)).buffer);
}

// Everything that a view has to give back when it is removed.
window.urls = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => {
  const url = createObjectURL.call(URL, blob);
  if (blob.type !== "text/javascript") urls.add(url);
  return url;
};
URL.revokeObjectURL = (url) => { urls.delete(url); revokeObjectURL.call(URL, url); };
window.observers = new Set();
window.rendering = 0; // Playwright has observers of its own
for (const name of ["ResizeObserver", "MutationObserver"]) {
  window[name] = class extends window[name] {
    observe(...of) { if (rendering) observers.add(this); super.observe(...of); }
    disconnect() { observers.delete(this); super.disconnect(); }
  };
}
const { addEventListener: listen } = MediaQueryList.prototype;
MediaQueryList.prototype.addEventListener = function (event, listener, options) {
  if (rendering) {
    observers.add(listener);
    options?.signal?.addEventListener("abort", () => observers.delete(listener));
  }
  listen.call(this, event, listener, options);
};

window.models = [];
window.cleanups = [];
window.addView = async (model, parent = document.querySelector("#output")) => {
  const el = parent.appendChild(document.createElement("div"));
  el.className = "view";
  const module = await import(model.url ??= URL.createObjectURL(
    new Blob([model.get("_esm")], { type: "text/javascript" })));
  rendering += 1;
  const cleanup = module.default.render({ model, el });
  rendering -= 1;
  cleanups.push(await cleanup);
};
window.addModel = async (state) => {
  const model = new Model(revive(state));
  models.push(model);
  document.head.appendChild(document.createElement("style")).textContent = model.get("_css");
  await addView(model);
};
"""


@dataclass
class Shown:
    """A widget and the page that shows it."""

    page: Page
    widget: anywidget.AnyWidget
    index: int

    @property
    def sent(self) -> list[Any]:
        """The custom messages so far."""
        return list(self.evaluate("model.sent"))

    @property
    def saved(self) -> list[Any]:
        """The traits that were set and sent to the kernel, a dict for each message."""
        return list(self.evaluate("model.saved"))

    @property
    def figure(self) -> Locator:
        return self.page.locator(".fmw-figure")

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        """Evaluate JavaScript that may use the page's `model` and `argument`."""
        function = f"async ([index, argument]) => {{ const model = models[index]; return {expression}; }}"
        return self.page.evaluate(function, [self.index, _packed(argument)])

    def update(self, **state: Any) -> None:
        """Set traits as one message of the kernel does."""
        self.evaluate("model.update(revive(argument))", state)

    def remove(self) -> None:
        self.evaluate("cleanups.splice(0).forEach((cleanup) => cleanup())")

    def left_over(self) -> dict[str, int]:
        """Count what the views of the page have not released."""
        counts = "{listeners: model.listeners.length, urls: urls.size, observers: observers.size}"
        return dict(self.evaluate(counts))


def show(page: Page, widget: anywidget.AnyWidget, style: str = "", body: str = "") -> Shown:
    """Open a page that shows a widget.

    Args:
        page: The browser's page; a page that shows something already shows one more.
        widget: Its state is where the page's model starts.
        style: Style of the box around it.
        body: Attributes of the page's body.
    """
    if page.url != ADDRESS:
        html = f'<!doctype html><meta charset="utf-8"><body {body}><div id="output" style="{style}"></div>'
        page.route(f"{ADDRESS}**", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(ADDRESS)
        page.add_script_tag(content=SCRIPT)
    page.evaluate("(state) => addModel(state)", _packed(widget.get_state()))
    return Shown(page, widget, page.evaluate("models.length") - 1)


def _packed(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _packed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(one) for one in value]
    return value
