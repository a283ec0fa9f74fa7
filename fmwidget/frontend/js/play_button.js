// A button that plays layers or channels: it requests each step once the page shows the result of the last one.

import { buttonElement, mount } from "./dom.js";
import { onTraits } from "./model.js";
import { requestQueue } from "./request_queue.js";

const MAX_DECODING_MS = 5000; // a picture that never comes does not stop the playing

function render({ model, el }) {
  let drives = false; // the view whose button was pressed sends the requests; others only show the state
  let since = 0;
  let timer = 0;

  const button = buttonElement("fmw-bordered fmw-play", "", () => {
    if (model.get("playing")) {
      pause();
      return;
    }
    clearTimeout(timer); // of a step after which it was paused
    drives = true;
    request("play");
  });
  const { signal, remove } = mount(el, [button], "fmw-player");

  const goesOn = () => drives && model.get("playing") && !signal.aborted;
  const queue = requestQueue(model, signal, async () => {
    if (!goesOn()) return;
    await painted(el.closest(".fmwidget") ?? document);
    const rest = since + model.get("pace") - performance.now();
    timer = setTimeout(() => goesOn() && request("step"), Math.max(0, rest));
  });

  function request(type) {
    since = performance.now();
    queue.request({ type });
  }

  function pause() {
    drives = false;
    model.send({ type: "pause" });
  }

  function describe() {
    const playing = model.get("playing");
    const items = model.get("items");
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${items}`);
    button.title = playing ? "Pause (Escape)" : `Show the ${items} one after another`;
  }

  document.addEventListener("keydown", (event) => {
    const isInside = (el.closest(".fmwidget") ?? el).contains(event.target);
    if (event.key !== "Escape" || !model.get("playing") || !isInside) return;
    event.preventDefault();
    event.stopPropagation(); // or the notebook leaves the widget
    pause();
  }, { capture: true, signal });
  onTraits(model, ["playing", "items"], describe, signal);
  describe();

  return () => {
    if (drives && model.get("playing")) pause();
    remove();
  };
}

// Resolve when no picture in `root` is being decoded, and the browser has painted since. A page in the background
// paints nothing: playing waits.
async function painted(root) {
  const deadline = performance.now() + MAX_DECODING_MS;
  do await new Promise(requestAnimationFrame);
  while (root.querySelector(".fmw-decoding") && performance.now() < deadline);
  await new Promise(requestAnimationFrame);
}

export default { render };
