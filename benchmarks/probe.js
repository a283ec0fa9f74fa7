// Runs in the page: how long after a key press a picture is painted, and whether any frame showed none.

window.probe = {
  // Watches the picture in `box`: what changes of it is its `src`, or with `moves` the style or the text of what
  // `moves` selects. `done` resolves to milliseconds from the event until the change is painted, frames, how many
  // of them were blank, and how many began between the event and the change.
  watch(box, moves, event) {
    const place = document.querySelector(box);
    const seen = { frames: 0, blank: 0, late: 0 };
    let running = true;
    countFrames(place, seen, () => running);
    let began = 0;
    let first = 0;
    const note = ({ timeStamp }) => ([began, first] = [timeStamp, seen.frames]);
    window.addEventListener(event, note, { capture: true, once: true });
    const before = look(place, moves);
    this.done = new Promise((resolve) => {
      const check = async () => {
        const now = look(place, moves);
        if (!running || !began || !now || now === before) return;
        seen.late = seen.frames - first;
        try {
          if (!moves) await place.querySelector("img").decode();
        } catch {
          return; // replaced meanwhile; the next change is looked at
        }
        if (!running) return;
        observer.disconnect();
        await painted();
        const ms = performance.now() - began;
        setTimeout(() => {
          running = false;
          resolve({ ms, ...seen });
        }, 120);
      };
      const observer = new MutationObserver(check);
      const what = { subtree: true, childList: true, characterData: true, attributeFilter: ["src", "style"] };
      observer.observe(place, what);
    });
  },

  // A burst: `done` resolves when the picture has been still for two seconds: milliseconds from the last key
  // press until the last picture was painted, how many pictures there were, and how many after that key press.
  watchBurst(box) {
    const place = document.querySelector(box);
    const seen = { frames: 0, blank: 0, pictures: 0, after: 0, ms: 0 };
    let last = 0;
    let pressed = 0;
    let timer = 0;
    let running = true;
    countFrames(place, seen, () => running);
    const note = (event) => ([pressed, seen.after] = [event.timeStamp, 0]);
    window.addEventListener("keydown", note, { capture: true });
    let before = look(place);
    this.done = new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          running = false;
          observer.disconnect();
          window.removeEventListener("keydown", note, { capture: true });
          resolve({ ...seen, ms: last - pressed });
        }, 2000);
      };
      const observer = new MutationObserver(async () => {
        const now = look(place);
        if (!now || now === before) return;
        before = now;
        seen.pictures += 1;
        seen.after += 1;
        await painted();
        last = performance.now();
        settle();
      });
      observer.observe(place, { subtree: true, childList: true, attributeFilter: ["src"] });
      settle();
    });
  },
};

// Counts frames, and those in which no picture was there, while `isRunning()`.
function countFrames(place, seen, isRunning) {
  const frame = () => {
    seen.frames += 1;
    if (!shows(place)) seen.blank += 1;
    if (isRunning()) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

function look(place, moves) {
  if (moves) {
    const moving = place.querySelector(moves);
    return moving && moving.getAttribute("style") + moving.textContent;
  }
  return place.querySelector("img")?.src;
}

// Whether a decoded picture takes up room on the page.
function shows(place) {
  const image = place.querySelector("img");
  return Boolean(image?.complete && image.naturalWidth && image.getBoundingClientRect().height > 1);
}

// A task queued in the frame's callback runs once that frame has been painted.
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(0);
    });
  });
}
