// Messages that the kernel answers. One is on its way at a time, and of those waiting only the latest is sent:
// however slow the kernel, it is never flooded.

import { uniqueId } from "./dom.js";
import { onMessage } from "./model.js";

const TIMEOUT_MS = 10_000; // an answer can be lost with the connection

// Return { request, isBusy }. `settled()` is called when the last request has been answered: the state that the
// kernel sent because of it has arrived by then.
export function requestQueue(model, signal, settled = () => {}) {
  const view = uniqueId(); // another view of the model has requests too
  let count = 0;
  let awaited = ""; // id of the request that is on its way
  let sentAt = 0;
  let waiting = null;

  const isBusy = () => awaited !== "" && performance.now() - sentAt < TIMEOUT_MS;

  // Send a message, now or once the kernel has answered; `merge(waiting, latest)` makes one message of two.
  function request(message, merge = (_waiting, latest) => latest) {
    if (isBusy()) {
      waiting = waiting ? merge(waiting, message) : message;
      return;
    }
    count += 1;
    awaited = `${view}-${count}`;
    sentAt = performance.now();
    waiting = null;
    model.send({ ...message, id: awaited });
  }

  function receive({ id }) {
    if (id !== awaited) return;
    awaited = "";
    if (waiting) request(waiting);
    else settled();
  }

  onMessage(model, "answered", receive, signal);
  return { request, isBusy };
}
