// A button that plays a film: it asks for each step, once the page shows what the last one led to.

import { asking } from "./asking.js";
import { element } from "./small.js";

const LONGEST_DECODING_MS = 5000; // a picture that never comes does not hold the film up

function render({ model, el }) {
  const gone = new AbortController();
  const { signal } = gone;
  let drives = false; // the view whose button was pressed asks; others only show that it plays
  let since = 0;
  let timer = 0;

  const button = element("button", "fmw-play");
  button.type = "button";
  el.classList.add("fmw-view", "fmw-player");
  el.append(button);

  const goesOn = () => drives && model.get("playing") && !signal.aborted;
  const steps = asking(model, signal, async () => {
    if (!goesOn()) return;
    await shown(el.closest(".fmwidget") ?? document);
    const rest = since + model.get("pace") - performance.now();
    timer = setTimeout(() => goesOn() && ask("step"), Math.max(0, rest));
  });

  function ask(type) {
    since = performance.now();
    steps.ask({ type });
  }

  function pause() {
    drives = false;
    model.send({ type: "pause" });
  }

  function describe() {
    const playing = model.get("playing");
    const what = model.get("what");
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${what}`);
    button.title = playing ? "Pause (Escape)" : `Show the ${what} one after another`;
  }

  button.addEventListener("click", () => {
    if (model.get("playing")) {
      pause();
      return;
    }
    clearTimeout(timer); // of a film that was paused just now
    drives = true;
    ask("play");
  });
  document.addEventListener("keydown", (event) => {
    const inside = (el.closest(".fmwidget") ?? el).contains(event.target);
    if (event.key !== "Escape" || !model.get("playing") || !inside) return;
    event.preventDefault();
    event.stopPropagation(); // or the notebook leaves the widget
    pause();
  }, { capture: true, signal });
  model.on("change:playing", describe);
  model.on("change:what", describe);
  describe();

  return () => {
    if (drives && model.get("playing")) pause();
    gone.abort();
    model.off("change:playing", describe);
    model.off("change:what", describe);
    button.remove();
  };
}

// Resolves when no picture in `root` is being decoded, and the browser has painted since. A page that is in the
// background paints nothing: its film waits.
async function shown(root) {
  const deadline = performance.now() + LONGEST_DECODING_MS;
  do await new Promise(requestAnimationFrame);
  while (root.querySelector(".fmw-decoding") && performance.now() < deadline);
  await new Promise(requestAnimationFrame);
}

export default { render };
