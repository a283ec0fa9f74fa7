// A row of small pictures, one of which is chosen: radio buttons to the keyboard and to screen readers.

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

function render({ model, el }) {
  const row = document.createElement("div");
  row.className = "fmw-thumbnails";
  row.setAttribute("role", "radiogroup");
  el.classList.add("fmw-view");
  el.append(row);

  let buttons = [];
  let latest = 0; // counts the rows that were asked for: one that is late is not shown
  let removed = false;

  async function build() {
    const asked = ++latest;
    const names = model.get("names");
    const thumbs = model.get("thumbs");
    const fresh = names.map((name, index) => thumbnail(name, thumbs[index], index));
    await Promise.all(fresh.map((button) => decoded(button.querySelector("img"))));
    if (removed || asked !== latest) {
      fresh.forEach(release);
      return;
    }
    const hadFocus = row.contains(document.activeElement);
    buttons.forEach(release);
    buttons = fresh;
    row.replaceChildren(...buttons);
    row.hidden = buttons.length === 0;
    update();
    if (hadFocus) buttons.find((button) => button.tabIndex === 0)?.focus({ preventScroll: true });
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
