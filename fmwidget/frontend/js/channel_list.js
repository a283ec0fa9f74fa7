// A list of channels with a bar and a number each. Python fills it; this reports which one the user chooses.

import { buttonElement, element, mount } from "./dom.js";
import { onTraits } from "./model.js";

const TRAITS = ["channels", "lengths", "texts", "chosen"];

function render({ model, el }) {
  const table = element("table", "fmw-column");
  table.setAttribute("aria-label", "Channels, strongest first");
  const { signal, remove } = mount(el, [table]);
  const rows = []; // kept from list to list, so that the focus stays where it is

  function addRow() {
    const index = rows.length;
    const choose = () => model.send({ type: "choose", channel: model.get("channels")[index] });
    const button = buttonElement("", "", choose);
    const [row, name, track] = [element("tr"), element("th"), element("td", "fmw-bar")];
    const [bar, number] = [element("div"), element("td")];
    name.scope = "row";
    name.append(button);
    track.append(bar);
    row.append(name, track, number);
    table.append(row);
    rows.push({ row, button, bar, number });
  }

  function refresh() {
    const [channels, lengths, texts, chosen] = TRAITS.map((name) => model.get(name));
    while (rows.length > channels.length) rows.pop().row.remove();
    while (rows.length < channels.length) addRow();
    rows.forEach(({ button, bar, number }, index) => {
      button.textContent = `channel ${channels[index]}`;
      button.setAttribute("aria-pressed", channels[index] === chosen);
      const length = lengths[index] ?? 0;
      bar.style.width = `${100 * Math.abs(length)}%`;
      bar.className = length < 0 ? "fmw-negative" : "";
      number.textContent = texts[index] ?? "";
    });
  }

  onTraits(model, TRAITS, refresh, signal);
  refresh();
  return remove;
}

export default { render };
