// Messages that the kernel answers. One is on its way at a time, and of those that wait only the latest is sent:
// however slow the kernel, it is never flooded.

const PATIENCE_MS = 10_000; // an answer can be lost with the connection

// Calls `settled()` when the last message has been answered: all that the kernel made of it has arrived by then.
export function asking(model, signal, settled = () => {}) {
  const name = Math.random().toString(36).slice(2); // another view of the model asks as well
  let count = 0;
  let awaited = ""; // the id of the message that is on its way
  let since = 0;
  let next = null;

  const busy = () => awaited !== "" && performance.now() - since < PATIENCE_MS;

  // `merged(waiting, message)` says what is left to send of two messages; the latter, by default.
  function ask(message, merged = (_waiting, latest) => latest) {
    if (busy()) {
      next = next ? merged(next, message) : message;
      return;
    }
    count += 1;
    awaited = `${name}-${count}`;
    since = performance.now();
    next = null;
    model.send({ ...message, id: awaited });
  }

  function onMessage(content) {
    if (content?.type !== "answered" || content.id !== awaited) return;
    awaited = "";
    if (next) ask(next);
    else settled();
  }

  model.on("msg:custom", onMessage);
  signal.addEventListener("abort", () => model.off("msg:custom", onMessage));
  return { ask, busy };
}
