// The tile that is chosen. Its mark moves at once, while the kernel is still being asked: what the kernel says
// meanwhile is of an earlier choice, and when it has answered the last it is right, whatever it says.

import { asking } from "./asking.js";
import { placeAfter, placeAt, tileBox } from "./tiles.js";

// Calls `marked()` when the mark has moved here, and `settled()` when it is the kernel's again.
export function choosing(model, signal, marked, settled) {
  let ahead = null; // the place that was chosen here, until the kernel has answered
  const asked = asking(model, signal, () => {
    ahead = null;
    settled();
  });
  const current = (state) => (asked.busy() && ahead !== null ? ahead : state.place);

  function choose(place, message) {
    ahead = place ?? ahead;
    asked.ask(message);
    marked();
  }

  return {
    click(state, at) {
      choose(placeAt(state.tiles, at), { type: "point", ...at });
    },
    // Whether the key was one for it.
    press(state, key) {
      const place = placeAfter(state.tiles, current(state), key);
      if (place === undefined) return false;
      if (place !== current(state)) choose(place, { type: "place", place });
      return true;
    },
    // Wants the chosen tile alone, or the one at a place; in a picture without tiles, what it shows.
    open(state, at) {
      const place = at ? placeAt(state.tiles, at) : current(state);
      if (!state.tiles.all) asked.ask({ type: "open" });
      else if (place !== null && place >= 0) choose(place, { type: "open", place });
    },
    // Where the mark belongs. One on another page stays where it was last until that page is here.
    mark(state, last) {
      return current(state) === state.place ? state.mark : (tileBox(state.tiles, current(state)) ?? last);
    },
  };
}
