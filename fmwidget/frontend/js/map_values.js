// The values of a map as text: requested for the part that is in sight, and kept until others come.

import { onMessage } from "./model.js";
import { requestQueue } from "./request_queue.js";

const MAX_VALUES = 600; // of one request, as in `messages.py`

// Return { want(part), text(row, column) }. `changed()` is called when texts have come.
export function mapValues(model, signal, changed) {
  const queue = requestQueue(model, signal);
  let held = null; // { stamp, row, column, texts }
  let requested = ""; // the last request

  const current = () => (held?.stamp === model.get("stamp") ? held : null);

  function receive(content) {
    if (content.stamp !== model.get("stamp")) return;
    held = content;
    changed();
  }

  onMessage(model, "values", receive, signal);
  return {
    // Request the texts of a part of the map, unless they are here or on their way.
    want(part) {
      if (part.rows * part.columns > MAX_VALUES || covers(current(), part)) return;
      const request = JSON.stringify([model.get("stamp"), part]);
      if (request === requested) return;
      requested = request;
      queue.request({ type: "values", ...part });
    },
    // Return the text of a value, or `undefined` if it is not here.
    text(row, column) {
      const values = current();
      return values?.texts[row - values.row]?.[column - values.column];
    },
  };
}

function covers(held, part) {
  if (!held) return false;
  const rows = held.texts.length;
  const columns = held.texts[0]?.length ?? 0;
  return (
    held.row <= part.row &&
    held.column <= part.column &&
    held.row + rows >= part.row + part.rows &&
    held.column + columns >= part.column + part.columns
  );
}
