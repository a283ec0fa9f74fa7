// A button that saves what Python draws when it is pressed: as a file of the reader's own, wherever the kernel is.

import { element } from "./small.js";

const KEPT_MS = 60_000; // how long a browser may take to ask for the file

function render({ model, el }) {
  const gone = new AbortController();
  const { signal } = gone;
  const name = Math.random().toString(36).slice(2); // other views of the model save for themselves
  const button = element("button", "fmw-button");
  button.type = "button";
  button.textContent = "Save";
  button.title = "Save the grid as a picture, for slides and print";
  el.classList.add("fmw-view", "fmw-save");
  el.append(button);

  button.addEventListener("click", () => model.send({ type: "save", id: name }), { signal });

  function onMessage(content, buffers) {
    if (content?.type !== "file" || content.id !== name) return;
    const url = URL.createObjectURL(new Blob(buffers, { type: "image/png" }));
    const link = element("a", "");
    link.href = url;
    link.download = content.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  }

  model.on("msg:custom", onMessage);
  signal.addEventListener("abort", () => model.off("msg:custom", onMessage));
  return () => gone.abort();
}

export default { render };
