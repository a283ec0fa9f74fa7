// A button that saves what Python draws when it is pressed: on the user's computer, wherever the kernel is.

import { buttonElement, element, mount, uniqueId } from "./dom.js";
import { onMessage } from "./model.js";

const KEPT_MS = 60_000; // time for the browser to fetch the file

function render({ model, el }) {
  const view = uniqueId(); // other views of the model save for themselves
  const button = buttonElement("fmw-bordered", "Save", () => model.send({ type: "save", id: view }));
  button.title = "Save the grid as a picture, for slides and print";
  const { signal, remove } = mount(el, [button], "fmw-save");

  function save({ id, name }, buffers) {
    if (id !== view) return;
    const url = URL.createObjectURL(new Blob(buffers, { type: "image/png" }));
    const link = element("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  }

  onMessage(model, "file", save, signal);
  return remove;
}

export default { render };
