// What is known at a step: pure functions of the walk that the engine sent.

import { number } from "../format.js";

const WORDS = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** A number as the engine's JSON has it: words for what JSON lacks, true and false of masks as 1 and 0. */
export const real = (value) => (typeof value === "string" ? WORDS[value] : Number(value));

/** The number of an array in the engine's JSON form, or null: {shape: [], values: 0.5} → 0.5. */
export function scalar(value) {
  return value === null || value === undefined || value.shape?.length ? null : real(value.values);
}

/** A value as a box has room for it: a number, a short vector, or a shape. */
export function brief(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (!value.shape.length) return number(real(value.values), digits);
  if (value.shape.length === 1 && value.shape[0] <= 3 && value.values) return `[${value.values.map((v) => number(real(v), 2)).join(", ")}]`;
  return value.shape.join("×");
}

/** A gradient in the same room: for arrays the norm. */
export function briefGradient(value) {
  if (value === null || value === undefined) return "";
  return value.shape.length ? `‖∂‖ ${number(real(value.summary?.norm ?? "nan"), 3)}` : `∂ ${number(real(value.values), 4)}`;
}

export const isZero = (value) => value !== null && value !== undefined
  && (value.shape.length ? value.summary?.norm === 0 && value.summary?.nonfinite === 0 : value.values === 0);

export const isFinite_ = (value) => value === null || value === undefined
  || (value.shape.length ? (value.summary?.nonfinite ?? 0) === 0 : typeof value.values !== "string");

/** Up to and with step `at`: lines whose value is known, gradients (whole or in part), edges gone back over. */
export function seen(walk, at) {
  const valued = new Set(walk.inputs.map((input) => input.line));
  const gradients = new Map();
  const passed = new Map();
  for (const step of walk.steps.slice(0, at + 1)) {
    if (step.phase === "forward") valued.add(step.line);
    if (step.phase === "backward") {
      if (step.through !== null) passed.set(`${step.line}-${step.through}`, step);
      if (step.part) {
        const before = gradients.get(step.line)?.parts ?? [];
        gradients.set(step.line, { parts: [...before, step.value], value: null });
      } else gradients.set(step.line, { parts: [], value: step.value });
    }
    if (step.phase === "sum") gradients.set(step.line, { parts: [], value: step.value });
  }
  return { valued, gradients, passed };
}

/** The spans of the passes: [{name, phase, first, last}], in order. */
export function phases(walk) {
  const names = { start: "Start", forward: "Forward", backward: "Backward", update: "Update" };
  const found = [];
  walk.steps.forEach((step, i) => {
    const phase = step.phase === "sum" ? "backward" : step.phase === "after" ? "update" : step.phase;
    if (found.at(-1)?.phase === phase) found.at(-1).last = i;
    else found.push({ name: names[phase], phase, first: i, last: i });
  });
  return found;
}

/** The step at which the gradient of `line` is complete, or -1. */
export function completes(walk, line) {
  return walk.steps.findIndex((s) => s.line === line && ((s.phase === "backward" && !s.part) || s.phase === "sum"));
}

/** The name of a step for a label: "Forward: z", "Backward: ∂L/∂w". */
export function title(step) {
  const first = { start: "Start", forward: "Forward", backward: "Backward", sum: "Sum over uses", update: "Update", after: "The loss after it" };
  return first[step.phase];
}
