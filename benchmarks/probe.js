// Runs in the page: measures the time from a key press until a picture is painted, and counts blank frames.

window.probe = {
  // Watch the picture in `box` for a change of its `src`; with `moves`, watch the style and text of the element
  // that `moves` selects. `done` resolves to the milliseconds from the event until the change is painted, the
  // number of frames, how many of them were blank, and how many began between the event and the change.
  watch(box, moves, event) {
    const container = document.querySelector(box);
    const seen = { frames: 0, blank: 0, late: 0 };
    let running = true;
    countFrames(container, seen, () => running);
    let began = 0;
    let first = 0;
    const note = ({ timeStamp }) => ([began, first] = [timeStamp, seen.frames]);
    window.addEventListener(event, note, { capture: true, once: true });
    const before = appearance(container, moves);
    this.done = new Promise((resolve) => {
      const check = async () => {
        const now = appearance(container, moves);
        if (!running || !began || !now || now === before) return;
        seen.late = seen.frames - first;
        try {
          if (!moves) await container.querySelector("img").decode();
        } catch {
          return; // replaced meanwhile; the next change is checked
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
      observer.observe(container, what);
    });
  },

  // Watch a burst of key presses. `done` resolves when the picture has not changed for two seconds, to the
  // milliseconds from the last key press until the last picture was painted, the number of pictures, and how
  // many of them came after that key press.
  watchBurst(box) {
    const container = document.querySelector(box);
    const seen = { frames: 0, blank: 0, pictures: 0, after: 0, ms: 0 };
    let last = 0;
    let pressed = 0;
    let timer = 0;
    let running = true;
    countFrames(container, seen, () => running);
    const note = (event) => ([pressed, seen.after] = [event.timeStamp, 0]);
    window.addEventListener("keydown", note, { capture: true });
    let before = appearance(container);
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
        const now = appearance(container);
        if (!now || now === before) return;
        before = now;
        seen.pictures += 1;
        seen.after += 1;
        await painted();
        last = performance.now();
        settle();
      });
      observer.observe(container, { subtree: true, childList: true, attributeFilter: ["src"] });
      settle();
    });
  },
};

// Count frames, and those without a picture, while `isRunning()`.
function countFrames(container, seen, isRunning) {
  const frame = () => {
    seen.frames += 1;
    if (!isVisible(container)) seen.blank += 1;
    if (isRunning()) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

// Return what a change is detected by: the style and text of what moves, or the source of the picture.
function appearance(container, moves) {
  if (moves) {
    const moving = container.querySelector(moves);
    return moving && moving.getAttribute("style") + moving.textContent;
  }
  return container.querySelector("img")?.src;
}

// Return whether a decoded picture is visible on the page.
function isVisible(container) {
  const image = container.querySelector("img");
  return Boolean(image?.complete && image.naturalWidth && image.getBoundingClientRect().height > 1);
}

// Resolve when the next frame has been painted: a task queued in its callback runs after that.
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(0);
    });
  });
}
