// The chosen tile. Its mark moves at once, while the kernel is still handling the request: the state that arrives
// meanwhile belongs to an earlier choice, and after the last answer the kernel's state is right.

import { requestQueue } from "./request_queue.js";
import { tileAfter, tileAt, tileBox } from "./tiles.js";

// Return the functions that choose tiles. They take the traits `state` of the picture. `marked()` is called when
// the mark has moved here, and `settled()` when the kernel's state is right again.
export function tileSelection(model, signal, marked, settled) {
  let ahead = null; // the tile that was chosen here, until the kernel has answered
  const queue = requestQueue(model, signal, () => {
    ahead = null;
    settled();
  });
  const current = (state) => (queue.isBusy() && ahead !== null ? ahead : state.tile);

  function choose(tile, message) {
    ahead = tile ?? ahead;
    queue.request(message);
    marked();
  }

  return {
    // Choose the tile at a point; the kernel pins the unit there.
    click(state, point) {
      choose(tileAt(state.tiles, point), { type: "click", ...point });
    },
    // Choose the tile that a key moves to. Return whether it is such a key.
    press(state, key) {
      const tile = tileAfter(state.tiles, current(state), key);
      if (tile === undefined) return false;
      if (tile !== current(state)) choose(tile, { type: "tile", tile });
      return true;
    },
    // Request the zoom view of the chosen tile, or of the one at a point; without tiles, of the whole picture.
    open(state, point) {
      const tile = point ? tileAt(state.tiles, point) : current(state);
      if (!state.tiles.all) queue.request({ type: "open" });
      else if (tile !== null && tile >= 0) choose(tile, { type: "open", tile });
    },
    // Return the box of the mark: its `last` one while the tile is on a page that is not here yet.
    mark(state, last) {
      return current(state) === state.tile ? state.mark : (tileBox(state.tiles, current(state)) ?? last);
    },
  };
}
