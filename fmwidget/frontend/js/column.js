// A list of channels with a bar and a number each. Python fills it; this reports which one is chosen.

import { element, onTraits } from "./small.js";

const TRAITS = ["channels", "lengths", "texts", "chosen"];

function render({ model, el }) {
  const gone = new AbortController();
  const table = element("table", "fmw-column");
  table.setAttribute("aria-label", "Channels, strongest first");
  el.classList.add("fmw-view");
  el.append(table);
  const rows = []; // kept from list to list, so that the focus stays where it is

  function row(place) {
    const button = element("button", "fmw-choose");
    button.type = "button";
    button.addEventListener("click", () => model.send({ type: "choose", channel: model.get("channels")[place] }));
    const bar = element("div", "");
    const [name, track, number] = [element("th", ""), element("td", "fmw-bar"), element("td", "")];
    name.scope = "row";
    name.append(button);
    track.append(bar);
    const line = element("tr", "");
    line.append(name, track, number);
    return { line, button, bar, number };
  }

  function refresh() {
    const [channels, lengths, texts, chosen] = TRAITS.map((name) => model.get(name));
    while (rows.length > channels.length) rows.pop().line.remove();
    while (rows.length < channels.length) {
      rows.push(row(rows.length));
      table.append(rows.at(-1).line);
    }
    rows.forEach(({ button, bar, number }, place) => {
      button.textContent = `channel ${channels[place]}`;
      button.setAttribute("aria-pressed", channels[place] === chosen);
      const length = lengths[place] ?? 0;
      bar.style.width = `${100 * Math.abs(length)}%`;
      bar.className = length < 0 ? "fmw-negative" : "";
      number.textContent = texts[place] ?? "";
    });
  }

  onTraits(model, TRAITS, refresh, gone.signal);
  refresh();

  return () => {
    gone.abort();
    table.remove();
  };
}

export default { render };
