// A row of thumbnails, one of which is chosen: radio buttons to the keyboard and to screen readers.

import { dataUrl, decode } from "./decode_image.js";
import { buttonElement, element, mount } from "./dom.js";
import { claimKeys } from "./keys.js";
import { onTraits } from "./model.js";

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

function render({ model, el }) {
  const row = element("div", "fmw-thumbnails");
  row.setAttribute("role", "radiogroup");
  const { signal, remove } = mount(el, [row]);

  let buttons = [];
  const urls = new WeakMap(); // of the buttons' images
  let builds = 0; // counts the rows: one that is decoded late is not shown

  async function build() {
    const number = ++builds;
    const [names, thumbs] = [model.get("names"), model.get("thumbs")];
    // An image that stays where it is keeps its button: nothing flickers while others are added.
    const next = await Promise.all(names.map((name, index) => {
      const button = buttons[index];
      const isSame = button?.title === name && urls.get(button) === dataUrl(thumbs[index]);
      return isSame ? button : thumbnail(name, thumbs[index], index);
    }));
    if (signal.aborted || number !== builds) return;
    const hadFocus = row.contains(document.activeElement);
    for (const button of buttons) if (!next.includes(button)) button.remove();
    buttons = next;
    buttons.forEach((button, index) => {
      if (row.children[index] !== button) row.insertBefore(button, row.children[index] ?? null);
    });
    row.hidden = buttons.length === 0;
    update();
    if (hadFocus && !row.contains(document.activeElement)) {
      buttons.find((button) => button.tabIndex === 0)?.focus({ preventScroll: true });
    }
  }

  async function thumbnail(name, bytes, index) {
    const button = buttonElement("fmw-thumbnail", "", () => choose(index));
    button.title = name;
    button.setAttribute("role", "radio");
    urls.set(button, dataUrl(bytes));
    const image = (await decoded(bytes)) ?? new Image();
    image.alt = ""; // the caption below is the button's name
    image.draggable = false;
    button.append(image, element("bdi", "", name)); // a name written right to left leaves its neighbours alone
    return button;
  }

  function choose(index) {
    buttons[index].focus({ preventScroll: true }); // Safari does not focus a button that is clicked
    if (index === model.get("value")) return;
    model.set("value", index);
    model.save_changes();
  }

  function update() {
    const value = model.get("value");
    row.setAttribute("aria-label", model.get("label"));
    buttons.forEach((button, index) => {
      button.setAttribute("aria-checked", String(index === value));
      // One stop for the Tab key: the chosen image, or the first where none is.
      button.tabIndex = index === (value in buttons ? value : 0) ? 0 : -1;
    });
    if (value in buttons) reveal(buttons[value]);
  }

  // Scroll to a button. `scrollIntoView` may scroll the notebook as well.
  function reveal(button) {
    const before = button.offsetLeft - row.scrollLeft;
    const after = before + button.offsetWidth - row.clientWidth;
    if (before < 0) row.scrollLeft += before;
    else if (after > 0) row.scrollLeft += after;
  }

  claimKeys(row, ({ key, shiftKey }) => {
    const index = shiftKey ? undefined : target(key, buttons.indexOf(document.activeElement), buttons.length);
    if (index !== undefined) choose(index);
    return index !== undefined;
  });

  onTraits(model, ["names", "thumbs"], build, signal);
  onTraits(model, ["value", "label"], update, signal);
  build();
  return remove;
}

// Return the index that a key moves to from another, round the ends, or `undefined` for other keys.
function target(key, index, count) {
  if (key in STEPS) return (index + STEPS[key] + count) % count;
  return { Home: 0, End: count - 1 }[key];
}

// Decode a thumbnail. One that cannot be decoded leaves its place empty; its name can be chosen all the same.
async function decoded(bytes) {
  try {
    return await decode(bytes);
  } catch (error) {
    console.error("fmwidget: the browser could not decode a thumbnail.", error);
    return null;
  }
}

export default { render };
