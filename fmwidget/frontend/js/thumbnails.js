// A row of small pictures, one of which is chosen: radio buttons to the keyboard and to screen readers.

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

function render({ model, el }) {
  const row = document.createElement("div");
  row.className = "fmw-thumbnails";
  row.setAttribute("role", "radiogroup");
  el.classList.add("fmw-view");
  el.append(row);

  let buttons = [];
  const contents = new WeakMap(); // the bytes of each button's picture
  let latest = 0; // counts the rows that were asked for: one that is late is not shown
  let removed = false;

  async function build() {
    const asked = ++latest;
    const names = model.get("names");
    const thumbs = model.get("thumbs");
    // A picture that stays where it is keeps its button: nothing flickers while others are added.
    const fresh = names.map((name, index) => {
      const made = buttons[index];
      const same = made?.title === name && equal(contents.get(made), thumbs[index]);
      return same ? made : thumbnail(name, thumbs[index], index);
    });
    const added = fresh.filter((button) => !buttons.includes(button));
    await Promise.all(added.map((button) => decoded(button.querySelector("img"))));
    if (removed || asked !== latest) {
      added.forEach(release);
      return;
    }
    const hadFocus = row.contains(document.activeElement);
    for (const button of buttons.filter((one) => !fresh.includes(one))) {
      release(button);
      button.remove();
    }
    buttons = fresh;
    buttons.forEach((button, index) => {
      if (row.children[index] !== button) row.insertBefore(button, row.children[index] ?? null);
    });
    row.hidden = buttons.length === 0;
    update();
    if (hadFocus && !row.contains(document.activeElement)) {
      buttons.find((button) => button.tabIndex === 0)?.focus({ preventScroll: true });
    }
  }

  function thumbnail(name, bytes, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "fmw-thumbnail";
    button.title = name;
    button.setAttribute("role", "radio");
    const image = document.createElement("img");
    image.alt = ""; // the caption below is the button's name
    image.draggable = false;
    if (bytes?.byteLength) image.src = URL.createObjectURL(new Blob([bytes]));
    contents.set(button, bytes);
    const caption = document.createElement("bdi"); // a name written right to left leaves its neighbours alone
    caption.textContent = name;
    button.append(image, caption);
    button.addEventListener("click", () => choose(index));
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
      // One stop for the Tab key: the chosen picture, or the first where none is.
      button.tabIndex = index === (value in buttons ? value : 0) ? 0 : -1;
    });
    if (value in buttons) reveal(buttons[value]);
  }

  // Not scrollIntoView: that may scroll the notebook as well.
  function reveal(button) {
    const before = button.offsetLeft - row.scrollLeft;
    const after = before + button.offsetWidth - row.clientWidth;
    if (before < 0) row.scrollLeft += before;
    else if (after > 0) row.scrollLeft += after;
  }

  row.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const index = target(event.key, buttons.indexOf(document.activeElement), buttons.length);
    if (index === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // or the notebook moves to another cell
    choose(index);
  });

  let asked = false;
  function buildSoon() {
    if (asked) return; // names and thumbnails come in one message
    asked = true;
    queueMicrotask(() => {
      asked = false;
      build();
    });
  }
  const listeners = [
    ["change:names", buildSoon],
    ["change:thumbs", buildSoon],
    ["change:value", update],
    ["change:label", update],
  ];
  for (const [event, listener] of listeners) model.on(event, listener);
  build();

  return () => {
    removed = true;
    for (const [event, listener] of listeners) model.off(event, listener);
    buttons.forEach(release);
    row.remove();
  };
}

// The button that a key leads to from the one at `index`, round the ends.
function target(key, index, count) {
  if (key in STEPS) return (index + STEPS[key] + count) % count;
  return { Home: 0, End: count - 1 }[key];
}

// Whether two DataViews hold the same bytes.
function equal(one, other) {
  if (one?.byteLength !== other?.byteLength) return false;
  for (let i = 0; i < (one?.byteLength ?? 0); i++) if (one.getUint8(i) !== other.getUint8(i)) return false;
  return true;
}

// A picture that cannot be decoded leaves its place empty; its name can be chosen all the same.
async function decoded(image) {
  if (!image.src) return;
  try {
    await image.decode();
  } catch (error) {
    console.error("fmwidget: the browser could not decode a thumbnail.", error);
    URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
  }
}

function release(button) {
  const { src } = button.querySelector("img");
  if (src) URL.revokeObjectURL(src);
}

export default { render };
