// Adds pictures: chosen with a button, dropped on the row of pictures, or pasted. Each is decoded and shrunk
// first, and sent when the kernel has answered the one before.

import { Problem, quoted, short, shrunk } from "./shrinking.js";
import { element } from "./small.js";

const ANSWER_MS = 60_000;

function render({ model, el }) {
  const box = element("div", "fmw-upload");
  const button = element("button", "fmw-add", "Add pictures");
  button.type = "button";
  const input = element("input");
  Object.assign(input, { type: "file", multiple: true, accept: "image/*", hidden: true });
  const hint = element("span", "fmw-hint", "or drop or paste here");
  const status = element("div", "fmw-upload-status");
  status.setAttribute("role", "status");
  const progress = element("span");
  const problems = element("ul");
  status.append(progress, problems);
  box.append(button, input, hint, status);
  el.classList.add("fmw-view");
  el.append(box);

  const removal = new AbortController();
  const { signal } = removal;
  let queue = []; // files not begun with
  let run = null; // since the uploader last had nothing to do: { total, begun, added }
  let awaited = null; // { id, settle } of the picture that the kernel is to answer

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
      const place = run.total > 1 ? `${run.begun} of ${run.total}: ` : "";
      progress.textContent = `Adding ${place}${short(file.name)} …`;
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
    const id = Array.from({ length: 3 }, () => Math.random().toString(36).slice(2, 10)).join("");
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

  function onAnswer(content) {
    if (content?.type === "answer" && content.id === awaited?.id) awaited.settle(String(content.error));
  }

  function complain(sentence) {
    problems.append(element("li", "", sentence));
    problems.lastChild.dir = "auto";
  }

  // The boxes around are looked for when they are needed: a view is made before it is put in its place.
  const zone = () => el.closest(".fmw-pictures") ?? el;
  const root = () => el.closest(".fmwidget") ?? el;
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") && zone().contains(event.target);

  function onDrag(event) {
    const over = holdsFiles(event);
    zone().classList.toggle("fmw-dropping", Boolean(over));
    if (!over) return;
    event.preventDefault(); // a drop is welcome
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
  }

  function onLeave(event) {
    if (!event.relatedTarget || !zone().contains(event.relatedTarget)) zone().classList.remove("fmw-dropping");
  }

  function onDrop(event) {
    zone().classList.remove("fmw-dropping");
    if (!holdsFiles(event)) return;
    event.preventDefault(); // or the browser leaves the page to show the picture
    event.stopPropagation();
    add([...event.dataTransfer.files]);
  }

  function onPaste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || !(root().contains(event.target) || root().contains(document.activeElement))) return;
    event.preventDefault();
    event.stopPropagation();
    // A picture that was copied, not a file, comes under this name.
    add(files.map((file) => (file.name === "image.png" ? renamed(file, "pasted picture.png") : file)));
  }

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  // Before the notebook, which has uses of its own for what is dropped and pasted.
  const early = { capture: true, signal };
  document.addEventListener("dragenter", onDrag, early);
  document.addEventListener("dragover", onDrag, early);
  document.addEventListener("dragleave", onLeave, early);
  document.addEventListener("drop", onDrop, early);
  document.addEventListener("paste", onPaste, early);
  model.on("msg:custom", onAnswer);

  return () => {
    removal.abort();
    model.off("msg:custom", onAnswer);
    awaited?.settle("");
    box.remove();
  };
}

function renamed(file, name) {
  return new File([file], name, { type: file.type });
}

function counted(count) {
  return count === 1 ? "1 picture" : `${count} pictures`;
}

export default { render };
