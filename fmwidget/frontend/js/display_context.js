// The display context of a picture: its width, the display ratio, and whether the page is dark.

import { onResize } from "./dom.js";

const SETTLE_MS = 150; // a window that is being resized is reported once, at the end

// Call `report({ ratio, dark, width })` when `el` first has a width, and when one of them has changed and settled.
// Return { repeat() }, which reports it again.
export function watchDisplay(el, report, signal) {
  let last = "";
  let timer = 0;

  function check() {
    const width = Math.floor(el.getBoundingClientRect().width);
    if (width === 0 || signal.aborted) return; // hidden, or not on the page yet
    const now = { ratio: window.devicePixelRatio, dark: isDark(el), width };
    if (JSON.stringify(now) === last) return;
    last = JSON.stringify(now);
    report(now);
  }
  function checkSoon() {
    clearTimeout(timer);
    if (last === "") check();
    else timer = setTimeout(check, SETTLE_MS);
  }
  function watchRatio() {
    const query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = () => {
      watchRatio();
      checkSoon();
    };
    query.addEventListener("change", changed, { once: true, signal });
  }

  onResize(el, checkSoon, signal);
  const themed = new MutationObserver(checkSoon);
  for (const node of [document.documentElement, document.body]) themed.observe(node, { attributes: true });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", checkSoon, { signal });
  watchRatio();
  signal.addEventListener("abort", () => {
    themed.disconnect();
    clearTimeout(timer);
  });

  return {
    repeat() {
      last = "";
      check();
    },
  };
}

// Return whether `el` lies on a dark background: by JupyterLab's theme, else the color behind it (VS Code may put
// white behind a widget in a dark theme), else VS Code's theme, else the user's preference.
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
