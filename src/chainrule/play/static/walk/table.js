// All steps as a table: what the graph shows, in words and numbers, for reading at once and for screen readers.

import { h } from "../ui.js";
import { brief, title } from "./seen.js";

export function table(place, walk, at, go) {
  const rows = walk.steps.map((step, i) => h("tr", { "aria-current": i === at ? "step" : null },
    h("td", { class: "number" }, h("button", { type: "button", class: "plain", "aria-label": `Go to step ${i}`, onclick: () => go(i) }, String(i))),
    h("td", {}, title(step)),
    h("td", { class: "mono" }, step.formulas.map((f) => h("div", {}, f.text))),
    h("td", { class: "number" }, brief(step.value)),
    h("td", {}, step.sentence, step.why_zero ? ` Zero because ${step.why_zero}.` : "")));
  place.replaceChildren(h("table", { class: "steps" },
    h("thead", {}, h("tr", {}, ["Step", "Pass", "Formula", "Value", "In words"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows)));
}
