// A button that adds images; they can also be dropped on the row of thumbnails, or pasted. Each is decoded and
// shrunk first, and sent when the kernel has answered the one before.

import { buttonElement, element, mount, uniqueId } from "./dom.js";
import { onMessage } from "./model.js";
import { Problem, quoted, short, shrunk } from "./shrink_image.js";

const ANSWER_MS = 60_000;

function render({ model, el }) {
  const box = element("div", "fmw-upload");
  const input = element("input");
  Object.assign(input, { type: "file", multiple: true, accept: "image/*", hidden: true });
  const status = element("div", "fmw-upload-status");
  status.setAttribute("role", "status");
  const progress = element("span");
  const problems = element("ul");
  status.append(progress, problems);
  const button = buttonElement("fmw-bordered", "Add pictures", () => input.click());
  box.append(button, input, element("span", "", "or drop or paste here"), status);
  const { signal, remove } = mount(el, [box]);

  let queue = []; // files that wait
  let run = null; // { total, begun, added } since the uploader was last idle
  let awaited = null; // { id, settle } of the image that the kernel is to answer

  function add(files) {
    if (files.length === 0) return;
    if (!run) problems.replaceChildren();
    const waiting = queue.length + (run ? 1 : 0);
    const room = Math.max(0, model.get("room") - waiting);
    const left = files.length - room;
    if (left > 0) complain(`${counted(left)} left out: ${room ? `only ${room}` : "no"} more can be added.`);
    queue.push(...files.slice(0, room));
    if (run) run.total += Math.min(files.length, room);
    else if (queue.length) work();
    else progress.textContent = "";
  }

  async function work() {
    run = { total: queue.length, begun: 0, added: 0 };
    while (queue.length && !signal.aborted) {
      const file = queue.shift();
      run.begun += 1;
      const position = run.total > 1 ? `${run.begun} of ${run.total}: ` : "";
      progress.textContent = `Adding ${position}${short(file.name)} …`;
      try {
        const data = await shrunk(file);
        if (signal.aborted) return;
        await send(file.name, data);
        run.added += 1;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) console.error("fmwidget: a picture could not be added.", error);
        complain(error instanceof Problem ? error.message : `${quoted(file)} could not be added: ${error}`);
      }
    }
    const { total, added } = run;
    run = null;
    if (added === 0) progress.textContent = "No picture was added.";
    else progress.textContent = `Added ${added < total ? `${added} of ` : ""}${counted(total)}.`;
  }

  async function send(name, data) {
    const id = uniqueId();
    const answer = new Promise((settle) => (awaited = { id, settle }));
    const timer = setTimeout(() => awaited?.settle(undefined), ANSWER_MS);
    model.send({ type: "picture", id, name: name.slice(-200) }, undefined, [data]);
    const error = await answer;
    clearTimeout(timer);
    awaited = null;
    if (error === undefined) {
      const left = queue.length;
      if (left) complain(`${counted(left)} not sent: the kernel does not answer.`);
      queue = [];
      throw new Problem(`'${short(name)}' was sent, but the kernel has not answered: is it busy, or gone?`);
    }
    if (error) throw new Problem(error);
  }

  function receive({ id, error }) {
    if (id === awaited?.id) awaited.settle(String(error));
  }

  function complain(sentence) {
    problems.append(element("li", "", sentence));
    problems.lastChild.dir = "auto";
  }

  // The boxes around, looked up when they are needed: a view is rendered before it is put on the page.
  const zone = () => el.closest(".fmw-pictures") ?? el;
  const root = () => el.closest(".fmwidget") ?? el;
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") && zone().contains(event.target);

  function claim(event) {
    event.preventDefault(); // a dropped file would replace the page
    event.stopPropagation();
  }

  function onDrag(event) {
    const isOver = holdsFiles(event);
    zone().classList.toggle("fmw-dropping", Boolean(isOver));
    if (!isOver) return;
    claim(event);
    event.dataTransfer.dropEffect = "copy";
  }

  function onLeave(event) {
    if (!event.relatedTarget || !zone().contains(event.relatedTarget)) zone().classList.remove("fmw-dropping");
  }

  function onDrop(event) {
    zone().classList.remove("fmw-dropping");
    if (!holdsFiles(event)) return;
    claim(event);
    add([...event.dataTransfer.files]);
  }

  function onPaste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || !(root().contains(event.target) || root().contains(document.activeElement))) return;
    claim(event);
    // An image that was copied from a page, not from a folder, comes under this name.
    add(files.map((file) => (file.name === "image.png" ? renamed(file, "pasted picture.png") : file)));
  }

  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  const actions = { dragenter: onDrag, dragover: onDrag, dragleave: onLeave, drop: onDrop, paste: onPaste };
  for (const [event, action] of Object.entries(actions)) {
    // Before the notebook, which has uses of its own for what is dropped and pasted.
    document.addEventListener(event, action, { capture: true, signal });
  }
  onMessage(model, "answer", receive, signal);

  return () => {
    remove();
    awaited?.settle("");
  };
}

function renamed(file, name) {
  return new File([file], name, { type: file.type });
}

function counted(count) {
  return count === 1 ? "1 picture" : `${count} pictures`;
}

export default { render };
