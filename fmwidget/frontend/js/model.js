// Listeners to the model, which end with the view: traits that Python sets, and messages that it sends.

// Call `refresh` once at the end of the task in which traits change: one message may change several.
export function onTraits(model, names, refresh, signal) {
  let isDue = false;
  const refreshSoon = () => {
    if (isDue) return;
    isDue = true;
    queueMicrotask(() => {
      isDue = false;
      refresh();
    });
  };
  for (const name of names) listen(model, `change:${name}`, refreshSoon, signal);
}

// Call `action(content, buffers)` for each message of a type.
export function onMessage(model, type, action, signal) {
  const receive = (content, buffers) => content?.type === type && action(content, buffers);
  listen(model, "msg:custom", receive, signal);
}

function listen(model, event, listener, signal) {
  model.on(event, listener);
  signal.addEventListener("abort", () => model.off(event, listener));
}
