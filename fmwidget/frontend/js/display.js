// Where a picture is shown: how wide, how dense the screen, how dark the page.

const SETTLE_MS = 150; // a window being dragged wider reports once, at the end

// Reports `{ratio, dark, width}` when `el` first has a width, and when one of them has changed and settled.
export function watchDisplay(el, report, signal) {
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
