// The values of a map as text: asked of the kernel for the part that is in sight, and kept until others come.

import { asking } from "./asking.js";

const MOST = 600; // in one message; the kernel answers no more

// Calls `changed()` when texts have come.
export function valuesOf(model, signal, changed) {
  const asked = asking(model, signal);
  let held = null; // { stamp, row, column, texts }
  let wanted = ""; // what was asked for last

  function onMessage(content) {
    if (content?.type !== "values" || content.stamp !== model.get("stamp")) return;
    held = content;
    changed();
  }

  const current = () => (held?.stamp === model.get("stamp") ? held : null);

  model.on("msg:custom", onMessage);
  signal.addEventListener("abort", () => model.off("msg:custom", onMessage));
  return {
    // Asks for the texts of a part of the map, unless they are here or on their way.
    want(part) {
      if (part.rows * part.columns > MOST || covers(current(), part)) return;
      const asks = JSON.stringify([model.get("stamp"), part]);
      if (asks === wanted) return;
      wanted = asks;
      asked.ask({ type: "window", ...part });
    },
    text(row, column) {
      const now = current();
      return now?.texts[row - now.row]?.[column - now.column];
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
