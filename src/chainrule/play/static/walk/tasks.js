// The tour: short pages, each complete when the thing it speaks of has been done. `done` reads the page's state only:
// {walk, step, at, losses, expression, examples, own}; `lesson` is what to take from it.

import { number } from "../format.js";
import { completes, scalar } from "./seen.js";

const gradient = (walk, name) => {
  const input = walk.nodes.find((node) => node.name === name);
  return input ? scalar(input.gradient) : null;
};
const loss = (walk) => scalar(walk.loss.value);
const after = (walk) => (typeof walk.after === "number" ? walk.after : NaN);
const on = (id, test) => (state) => state.examples.find((one) => one.id === id)?.expression === state.expression && test(state);

export const TASKS = [
  {
    id: "forward", title: "Forward to the loss", example: "neuron",
    text: "Press → (or scroll over the graph) until L has a value.",
    hint: "Three steps: z, then a, then L. Each box waits for what it reads.",
    done: on("neuron", ({ walk, step }) => step >= walk.steps.findIndex((s) => s.phase === "forward" && s.line === walk.loss.line)),
    lesson: ({ walk }) => `L = ${number(loss(walk))}. Every value is kept: the way back needs them.`,
  },
  {
    id: "backward", title: "Back to the weight", example: "neuron",
    text: "Go on until ∂L/∂w is complete.",
    hint: "Each step back multiplies what arrives by one local derivative, written on the edge.",
    done: on("neuron", ({ walk, step }) => { const at = completes(walk, walk.nodes.find((n) => n.name === "w")?.line); return at > 0 && step >= at; }),
    lesson: ({ walk }) => `∂L/∂w = ${number(gradient(walk, "w"))}: the product of the factors on the way. That is the whole chain rule.`,
  },
  {
    id: "drag", title: "Move the weight", example: "neuron",
    text: "Drag the box w, or its slider, to another value and watch what follows.",
    hint: "With the keyboard: go to the box or the slider and use the arrow keys.",
    done: on("neuron", ({ at }) => Math.abs(at.w - 0.5) >= 0.2),
    lesson: ({ walk }) => `With another w all values, all local derivatives and so the gradient are others: now ∂L/∂w = ${number(gradient(walk, "w"))}.`,
  },
  {
    id: "zero-loss", title: "Make the loss 0", example: "neuron",
    text: "Choose y so that L becomes 0, without making the neuron's answer a 0.",
    hint: "L = (a − y)²: what must y be?",
    done: on("neuron", ({ walk, at }) => Math.abs(loss(walk)) < 1e-9 && Math.abs(at.y) > 1e-6),
    lesson: () => "At the lowest point of the square its slope is 0, so every gradient is 0: there is nothing left to learn.",
  },
  {
    id: "dead", title: "Zero gradient, but an error", example: "neuron",
    text: "Make ∂L/∂w exactly 0 while L is above 0.",
    hint: "Somewhere between L and w a factor must be 0. Which values switch the ReLU off, and what must y be then?",
    done: on("neuron", ({ walk }) => gradient(walk, "w") === 0 && loss(walk) > 1e-6),
    lesson: () => "With z ≤ 0 the ReLU is off: its slope is 0 and the error can't get through. Such a neuron is called dead.",
  },
  {
    id: "overshoot", title: "Overshoot", example: "neuron",
    text: "Find a learning rate α with which L is larger after the update than before.",
    hint: "Start again from w = 0.5 and y = 1.5, say; the last step shows both losses. The picture at the right shows L for every α.",
    done: on("neuron", ({ walk }) => loss(walk) > 1e-9 && after(walk) > loss(walk) * (1 + 1e-9)),
    lesson: ({ walk }) => `From ${number(loss(walk))} to ${number(after(walk))}: the tangent only tells the truth nearby.`,
  },
  {
    id: "bottom", title: "Land at the bottom", example: "neuron",
    text: "Now find one that takes L below a thousandth of what it was, in one step.",
    hint: "Look for the lowest point of the learning rate's picture; you may drag in it.",
    done: on("neuron", ({ walk }) => loss(walk) > 1e-3 && after(walk) < 1e-3 * loss(walk)),
    lesson: ({ walk }) => `α = ${number(walk.learning_rate)} is right here. It depends on the curvature, which a gradient does not know.`,
  },
  {
    id: "downhill", title: "Walk downhill", example: "neuron",
    text: "Take four steps in a row (“Take this step” on the update) so that L falls each time.",
    hint: "A small α is safe. After a step the walk begins again with the new w.",
    done: on("neuron", ({ losses }) => losses.length >= 5 && losses.slice(-4).every((v, i) => v < losses[losses.length - 5 + i])),
    lesson: ({ losses }) => `${losses.slice(-5).map((v) => number(v, 3)).join(" → ")}: this is all that training is.`,
  },
  {
    id: "fan-out", title: "Two ways back", example: "fan-out",
    text: "x is used twice. Step to where the two terms that come back are added.",
    hint: "The step is called “Sum over uses”; it comes when all terms have arrived.",
    done: on("fan-out", ({ walk, step }) => walk.steps[step].phase === "sum" && walk.nodes.find((n) => n.name === "x")?.line === walk.steps[step].line),
    lesson: () => "Each use sends back its own term, and a value's gradient is their sum. Forgetting one is the most frequent mistake by hand.",
  },
  {
    id: "awake", title: "Wake a saturated neuron", example: "saturated",
    text: "Bring the slope of the sigmoid, ∂a/∂z, above 0.2.",
    hint: "Choose “a as z moves” in the picture. Where is the curve steep? Move w or b until z is there.",
    done: on("saturated", ({ walk }) => walk.curves.some((c) => walk.nodes.find((n) => n.line === c.argument)?.symbol === "z" && c.slope > 0.2)),
    lesson: () => "A sigmoid's slope is at most 0.25, near z = 0. Far from there almost nothing gets back, however large the error is.",
  },
  {
    id: "infinite", title: "Leave the finite numbers", example: "overflow",
    text: "Raise x until a value is no longer a finite number, and go to the step where that happens.",
    hint: "exp(exp(x)) overflows for x above 6.57; type a number into the field.",
    done: on("overflow", ({ walk, step }) => walk.nonfinite !== null && walk.nonfinite.step === step),
    lesson: () => "Floats end near 1.8·10³⁰⁸. One infinity is enough: what is computed from it, forward and back, is lost.",
  },
  {
    id: "own", title: "Your own expression", example: null,
    text: "Type an expression of your own with at least one function, and walk to its update.",
    hint: "For example (sin(x) − y)**2, or sqrt(x**2 + y**2). Names become inputs.",
    done: ({ walk, step, own }) => own && walk.steps.length > 4 && /[a-z]\w*\(/.test(walk.expression ?? "") && walk.steps[step].phase === "update",
    lesson: () => "The same few rules carry any expression, up to networks with billions of weights.",
  },
];
