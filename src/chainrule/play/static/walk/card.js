// The card of the present step: what happens, as formulas with the numbers filled in and as a sentence.

import { number } from "../format.js";
import { h, math } from "../ui.js";
import { brief, title } from "./seen.js";

const MARK = { start: "", forward: "forward", backward: "backward", sum: "backward", update: "update", after: "update" };

/** Fill `place` with step `at` of the walk; `actions.take` applies the update. */
export function card(place, walk, at, actions) {
  const step = walk.steps[at];
  const head = h("div", { class: "card-head" },
    h("span", { class: `mark ${MARK[step.phase]}` }, title(step)),
    h("span", { class: "muted small" }, `step ${at} of ${walk.steps.length - 1}`),
    step.code ? h("code", { class: "muted card-code" }, step.code) : null);
  const formulas = h("div", { class: `formulas${step.formulas.length > 2 ? " many" : ""}`, tabindex: 0, role: "region", "aria-label": "Formulas" },
    step.formulas.map((one) => h("div", {}, math(one, { block: true }))));
  place.replaceChildren(head, formulas, h("p", { class: "sentence" }, step.sentence), ...more(step), ...ending(walk, step, actions));
}

function more(step) {
  const found = [];
  if (step.why_zero) found.push(h("p", { class: "bad small" }, `Zero because ${step.why_zero}.`));
  if (step.phase === "sum" && step.terms.every((t) => !t.value?.shape.length)) found.push(sum(step));
  if (step.shapes) found.push(h("p", { class: "muted small mono" }, `Shapes: ${step.shapes}`));
  return found;
}

/** The terms of a sum as bars that start where the one before ends. */
function sum(step) {
  const terms = step.terms.map((t) => t.value.values).filter((v) => typeof v === "number");
  if (terms.length !== step.terms.length) return null;
  let total = 0;
  const spans = terms.map((term) => { const from = total; total += term; return [from, total]; });
  const low = Math.min(0, ...spans.flat()), high = Math.max(0, ...spans.flat());
  const width = high - low || 1;
  const rows = spans.map(([from, to], i) => {
    const bar = h("span", { class: `bar-span ${to < from ? "minus" : "plus"}`, style: { left: `${(100 * (Math.min(from, to) - low)) / width}%`, width: `${Math.max(0.5, (100 * Math.abs(to - from)) / width)}%` } });
    return h("div", { class: "sum-row" }, h("span", { class: "number" }, `${terms[i] >= 0 && i ? "+ " : ""}${number(terms[i])}`), h("span", { class: "bar-place" }, bar));
  });
  const all = h("span", { class: "bar-span whole", style: { left: `${(100 * (Math.min(0, total) - low)) / width}%`, width: `${(100 * Math.abs(total)) / width}%` } });
  rows.push(h("div", { class: "sum-row total" }, h("span", { class: "number" }, `= ${number(total)}`), h("span", { class: "bar-place" }, all)));
  return h("div", { class: "sum", "aria-hidden": "true" }, rows);
}

function ending(walk, step, actions) {
  if (!walk.editable || (step.phase !== "update" && step.phase !== "after")) return [];
  const possible = walk.updates.every((u) => u.value?.values !== null && finite(u.value?.values));
  const losses = actions.losses();
  return [step.phase === "update" ? checked(walk) : null, h("div", { class: "row take" },
    h("button", { type: "button", class: "primary", disabled: !possible, onclick: actions.take }, "Take this step"),
    losses.length > 1
      ? h("span", { class: "muted small" }, `${brief(walk.loss.value) ? walk.loss.symbol : ""} so far: ${losses.slice(-5).map((v) => number(v, 3)).join(" → ")}`)
      : h("span", { class: "muted small" }, "and walk through the next one from there"))].filter(Boolean);
}

/** The second opinion: gradients beside finite differences. */
function checked(walk) {
  if (!walk.checks.length) return null;
  const odd = walk.checks.filter((one) => one.verdict !== "agrees");
  if (!odd.length) return h("p", { class: "muted small" }, "Checked: central differences give the same gradients.");
  const words = { kink: "is at a kink, where differences have no single answer", "not finite": "is not finite" };
  return h("p", { class: "muted small" }, `Checked by central differences: ${odd.slice(0, 4).map((one) => `the gradient by ${one.name} ${words[one.verdict] ?? one.verdict}`).join("; ")}.`);
}

const finite = (values) => (Array.isArray(values) ? values.every(finite) : typeof values === "number" && Math.abs(values) < 1e300);

/** The same for a screen reader, in one breath. */
export function spoken(walk, at) {
  const step = walk.steps[at];
  const formulas = step.formulas.slice(0, 4).map((f) => f.text.replaceAll("∂", "d ").replaceAll("·", " times ")).join("; ");
  return `${title(step)}, step ${at} of ${walk.steps.length - 1}. ${formulas}. ${step.sentence}${step.why_zero ? ` Zero because ${step.why_zero}.` : ""}`;
}
