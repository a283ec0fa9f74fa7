// Keys that change what all maps are computed from: t flips the sides of a comparison, comma and full stop step
// through training.

import { requestQueue } from "./request_queue.js";

const FLIP_KEY = "t";
const STEP_KEYS = { ",": -1, ".": 1 };
const KEYS_IN_WORDS = { flip: "t flips A and B", step: ", and . step through training" };

// Return `press(event)`, which handles a key and returns whether it was one of these, and `inWords()`, which lists
// them. Those that Python does not listen to are neither handled nor listed.
export function shortcuts(model, signal) {
  const flips = requestQueue(model, signal);
  const steps = requestQueue(model, signal);
  const sends = (event) => (model.get("_events") ?? []).includes(event);

  return {
    press(event) {
      const key = latinKey(event);
      if (key === FLIP_KEY && !event.shiftKey && sends("flip")) {
        // Two flips are none; and a key that is held down would only flicker.
        if (!event.repeat) flips.request({ type: "flip" }, () => null);
        return true;
      }
      if (!(key in STEP_KEYS) || !sends("step")) return false;
      steps.request({ type: "step", by: STEP_KEYS[key] }, (waiting, latest) => {
        const by = waiting.by + latest.by;
        return by === 0 ? null : { ...latest, by };
      });
      return true;
    },
    inWords: () => Object.keys(KEYS_IN_WORDS).filter(sends).map((event) => KEYS_IN_WORDS[event]).join(" · "),
  };
}

// Return the letter of a key in small, also where the keyboard writes another script, as Korean.
function latinKey({ key, code }) {
  const letter = /^Key([A-Z])$/.exec(code ?? "");
  return (letter && !/^[a-z]$/i.test(key) ? letter[1] : key).toLowerCase();
}
