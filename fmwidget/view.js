// A picture that can be pointed at. Python draws it; this shows it without a blank frame, marks a place in it,
// and reports where it is shown and what the reader does to it.

const KEYS = new Set([
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown",
]);
const TRAITS = ["png", "width", "height", "alt", "mark", "label", "_listening"];
const SETTLE_MS = 150; // a window being dragged wider reports once, at the end

function render({ model, el }) {
  const gone = new AbortController();
  const { signal } = gone;

  const figure = document.createElement("div");
  figure.className = "fmw-figure";
  figure.hidden = true;
  const mark = document.createElement("div");
  mark.className = "fmw-mark";
  figure.append(mark);
  el.classList.add("fmw-view");
  el.append(figure);
  const imageId = `fmw-${Math.random().toString(36).slice(2)}`; // unique among all views of all models

  let image = null; // the picture on screen
  let shown = {}; // the traits it is shown with
  let wanted = {}; // the traits as Python last set them
  let tried; // the bytes that were decoded last, successfully or not
  let decoding = false;

  const listensTo = (kind) => (wanted._listening ?? []).includes(kind);
  const send = (message) => {
    if (listensTo(message.type)) model.send(message);
  };
  const surroundings = watchSurroundings(el, (report) => send({ type: "surroundings", ...report }), signal);

  async function refresh() {
    const listened = listensTo("surroundings");
    wanted = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
    describe();
    if (listensTo("surroundings") && !listened) surroundings.repeat();
    if (decoding) return; // the loop that is running sees what is wanted now
    decoding = true;
    while (wanted.png !== tried && !signal.aborted) {
      const next = wanted;
      tried = next.png;
      try {
        swap(await decode(next.png), next);
      } catch (error) {
        console.error("fmwidget: the browser could not decode a picture; the last one stays.", error);
      }
    }
    decoding = false;
    // The mark may have moved meanwhile. What belongs to a picture that is not on screen is not shown either.
    if (image && shown.png === wanted.png) lay(wanted);
  }

  function describe() {
    const interactive = listensTo("point") || listensTo("key");
    // "application": a screen reader passes the arrow keys on instead of reading the page with them.
    figure.setAttribute("role", interactive ? "application" : "figure");
    figure.setAttribute("aria-label", wanted.label);
    figure.setAttribute("aria-describedby", imageId);
    figure.classList.toggle("fmw-pointable", listensTo("point"));
    if (interactive) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  }

  function swap(decoded, state) {
    if (signal.aborted) {
      release(decoded);
      return;
    }
    release(image);
    image?.remove();
    image = decoded;
    shown = state;
    figure.hidden = image === null;
    if (image === null) return;
    image.id = imageId;
    image.draggable = false; // a click with an unsteady hand stays a click
    figure.prepend(image);
    lay(state);
  }

  function lay(state) {
    shown = { ...state, width: state.width || image.naturalWidth, height: state.height || image.naturalHeight };
    image.alt = shown.alt;
    figure.style.width = `${shown.width}px`;
    figure.style.aspectRatio = `${shown.width} / ${shown.height}`;
    mark.hidden = shown.mark.length !== 4;
    const sizes = [shown.width, shown.height, shown.width, shown.height];
    // Percentages, so that the mark stays on its tile when the page shrinks the picture.
    ["left", "top", "width", "height"].forEach((edge, i) => {
      mark.style[edge] = mark.hidden ? "" : `${(100 * shown.mark[i]) / sizes[i]}%`;
    });
    sharpen();
  }

  // Enlarged pixels stay square; a picture that is shrunk is averaged, for dropping pixels would lie.
  function sharpen() {
    if (!image) return;
    const pixels = figure.getBoundingClientRect().width * window.devicePixelRatio;
    image.style.imageRendering = pixels < image.naturalWidth - 0.5 ? "auto" : "pixelated";
  }

  figure.addEventListener("click", (event) => {
    figure.focus({ preventScroll: true });
    const box = figure.getBoundingClientRect();
    send({
      type: "point",
      x: clamp(((event.clientX - box.left) * shown.width) / box.width, shown.width),
      y: clamp(((event.clientY - box.top) * shown.height) / box.height, shown.height),
    });
  });
  figure.addEventListener("keydown", (event) => {
    if (!KEYS.has(event.key) || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (!listensTo("key")) return;
    event.preventDefault();
    event.stopPropagation(); // or the notebook moves to another cell
    send({ type: "key", key: event.key });
  });
  const resized = new ResizeObserver(sharpen);
  resized.observe(figure);

  const refreshSoon = once(refresh); // one message may change several traits
  for (const name of TRAITS) model.on(`change:${name}`, refreshSoon);
  refresh();

  return () => {
    gone.abort();
    resized.disconnect();
    for (const name of TRAITS) model.off(`change:${name}`, refreshSoon);
    release(image);
    figure.remove();
  };
}

async function decode(bytes) {
  if (!bytes?.byteLength) return null;
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  try {
    await image.decode();
  } catch (error) {
    release(image);
    throw error;
  }
  return image;
}

// Only once the picture leaves the screen: until then the reader may want to copy or save it.
function release(image) {
  if (image) URL.revokeObjectURL(image.src);
}

function clamp(value, limit) {
  return Math.min(Math.max(value, 0), limit);
}

// Calls `action` once at the end of the current task, however often it is asked to.
function once(action) {
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

// Reports `{ratio, dark, width}` when `el` first has a width, and when one of them has changed and settled.
function watchSurroundings(el, report, signal) {
  let last = "";
  let timer = 0;

  function look() {
    const width = Math.floor(el.getBoundingClientRect().width);
    if (width === 0 || signal.aborted) return; // hidden, or not on the page yet
    const now = { ratio: window.devicePixelRatio, dark: isDark(el), width };
    if (JSON.stringify(now) === last) return;
    last = JSON.stringify(now);
    report(now);
  }
  function lookSoon() {
    clearTimeout(timer);
    if (last === "") look();
    else timer = setTimeout(look, SETTLE_MS);
  }
  function watchRatio() {
    const query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = () => {
      watchRatio();
      lookSoon();
    };
    query.addEventListener("change", changed, { once: true, signal });
  }

  const resized = new ResizeObserver(lookSoon);
  resized.observe(el);
  const themed = new MutationObserver(lookSoon);
  for (const node of [document.documentElement, document.body]) themed.observe(node, { attributes: true });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", lookSoon, { signal });
  watchRatio();
  signal.addEventListener("abort", () => {
    resized.disconnect();
    themed.disconnect();
    clearTimeout(timer);
  });

  return {
    repeat() {
      last = "";
      look();
    },
  };
}

// Whether `el` lies on a dark background: what JupyterLab says of its theme, else the colour seen behind it
// (VS Code may put white behind a widget in a dark theme), else VS Code's theme, else the reader's preference.
function isDark(el) {
  const { dataset, classList } = document.body;
  if (dataset.jpThemeLight !== undefined) return dataset.jpThemeLight === "false";
  for (let node = el; node; node = node.parentElement) {
    const numbers = getComputedStyle(node).backgroundColor.match(/^rgba?(.*)/)?.[1].match(/[\d.]+/g);
    const [red, green, blue, alpha = 1] = (numbers ?? [0, 0, 0, 0]).map(Number);
    if (alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  if (classList.contains("vscode-light") || classList.contains("vscode-high-contrast-light")) return false;
  if (classList.contains("vscode-dark") || classList.contains("vscode-high-contrast")) return true;
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

export default { render };
