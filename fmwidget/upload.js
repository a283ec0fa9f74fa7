// Adds pictures: chosen with a button, dropped on the row of pictures, or pasted. Each is decoded and shrunk
// here, and sent when the kernel has answered the one before.

const MAX_SIDE = 2048; // px, of what is sent
const MAX_FILE = 100e6; // bytes, of what is read
const MAX_SENT = 4e6; // bytes; the server drops messages of more than 10 MiB without a word
const ANSWER_MS = 60_000;
// What the kernel reads just as well: sent as it is where it is small, so that no pixel changes.
const PLAIN = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

class Problem extends Error {}

function render({ model, el }) {
  const box = element("div", "fmw-upload");
  const button = element("button", "fmw-add", "Add pictures");
  button.type = "button";
  const input = element("input");
  Object.assign(input, { type: "file", multiple: true, accept: "image/*", hidden: true });
  const hint = element("span", "fmw-hint", "or drop or paste them here");
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

// The bytes to send for a file.
async function shrunk(file) {
  if (file.size > MAX_FILE) {
    throw new Problem(`${quoted(file)} has ${megabytes(file.size)}; at most ${megabytes(MAX_FILE)} are read.`);
  }
  if (file.size === 0) throw new Problem(`${quoted(file)} is empty (0 bytes), or a folder.`);
  let bitmap;
  const type = await kindOf(file);
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Problem(
      type
        ? `${quoted(file)} is damaged, or too large for this browser to decode.`
        : `${quoted(file)} is not a picture that this browser can read: save it as PNG or JPEG.`,
    );
  }
  try {
    const longest = Math.max(bitmap.width, bitmap.height);
    if (longest <= MAX_SIDE && file.size <= MAX_SENT && PLAIN.includes(type)) return await file.arrayBuffer();
    return await encoded(bitmap, Math.min(1, MAX_SIDE / longest), type !== "image/jpeg", file);
  } finally {
    bitmap.close();
  }
}

async function encoded(bitmap, scale, mayBeClear, file) {
  if (mayBeClear) {
    const canvas = drawn(bitmap, scale);
    const blob = isClear(canvas) ? await written(canvas, "image/png") : null;
    if (blob && blob.size <= MAX_SENT) return blob.arrayBuffer();
  }
  for (const smaller of [1, 0.7, 0.5, 0.35]) {
    const canvas = drawn(bitmap, scale * smaller, "#fff"); // which the kernel would lay it on too
    for (const quality of [0.92, 0.8]) {
      const blob = await written(canvas, "image/jpeg", quality);
      if (blob && blob.size <= MAX_SENT) return blob.arrayBuffer();
    }
  }
  throw new Problem(`${quoted(file)} is too large for this browser to shrink: save it smaller.`);
}

function drawn(bitmap, scale, background) {
  const canvas = element("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (background) {
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.imageSmoothingQuality = "high"; // averages, where the default would drop pixels
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function isClear(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
  return false;
}

function written(canvas, type, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

// By the first bytes: the type that the browser tells is only the suffix.
async function kindOf(file) {
  let start;
  try {
    start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  } catch {
    throw new Problem(`${quoted(file)} cannot be read: is it a folder, or gone?`);
  }
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (start.startsWith("GIF8")) return "image/gif";
  if (start.startsWith("RIFF") && start.endsWith("WEBP")) return "image/webp";
  if (start.startsWith("BM")) return "image/bmp";
  return undefined;
}

function renamed(file, name) {
  return new File([file], name, { type: file.type });
}

function quoted(file) {
  return `'${short(file.name)}'`;
}

function short(name) {
  return name.length <= 60 ? name : `${name.slice(0, 30)}…${name.slice(-29)}`;
}

function megabytes(bytes) {
  return `${Math.ceil(bytes / 1e6).toLocaleString("en")} MB`;
}

function counted(count) {
  return count === 1 ? "1 picture" : `${count} pictures`;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export default { render };
