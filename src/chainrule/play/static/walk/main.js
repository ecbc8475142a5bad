// The walkthrough: one state {expression, at, wrt, rate, step}, one request per change (the newest wins), and everything
// on the page drawn from the engine's answer.

import { number } from "../format.js";
import { bar, byId, copy, download, eachFrame, h, math, post, remember, s, say, toast } from "../ui.js";
import { card, spoken } from "./card.js";
import { Curve } from "./curve.js";
import { Graph, legend } from "./graph.js";
import * as hash from "./hash.js";
import { phases } from "./seen.js";
import { table } from "./table.js";
import { Tour } from "./tour.js";
import { Values } from "./values.js";

const PACE = 1300; // ms per step when playing

const state = { expression: "", at: {}, wrt: null, rate: 0.1, step: 0 };
let walk = null;
let examples = [];
let losses = [];
let chosen = null; // the curve the reader chose; null follows the steps
let playing = null;
let typedOwn = false;
let exampleId = null;
let note = ""; // where the expression comes from, if not from the reader or an example

byId("top").replaceWith(bar("/walk"));
byId("legend").replaceChildren(...legend());

const actions = {
  change(name, value, done) {
    state.at = { ...state.at, [name]: value };
    losses = [];
    changed(done, `${name} is ${Array.isArray(value) ? "changed" : number(value)}`);
  },
  rate(value, done) {
    state.rate = value;
    changed(done, `the learning rate is ${number(value)}`);
  },
  wrt(names) {
    state.wrt = names;
    changed(true, "");
  },
  choose(key) {
    if (typeof key === "string") chosen = key;
    else chosen = walk.curves.find((c) => c.line === key) ? key_(walk.curves.find((c) => c.line === key)) : chosen;
    drawCurve();
  },
  step: (by) => go(state.step + by),
  asked: (name) => state.at[name],
  losses: () => [...losses, number_(walk.loss.value.values)].filter((v) => v !== null),
  take,
  example: (id) => useExample(examples.find((one) => one.id === id)),
};
const graph = new Graph(byId("graph"), actions);
const values = new Values(byId("values-body"), actions);
const curve = new Curve(byId("curve-body"), byId("curve-choice"), byId("curve-title"), actions);
const tour = new Tour(byId("tour-body"), actions);

const key_ = (one) => `${one.line}-${one.argument}`;
const number_ = (value) => (typeof value === "number" ? value : null);

// ------------------------------------------------------------------------------------------------- asking the engine

let running = false;
let waiting = null;

/**
 * Ask for the state's walk. While one request is under way, only the newest of the others is kept. `settle` is false
 * while a value is dragged (a light answer will do), else what to say when it has come.
 */
function ask(settle) {
  waiting = { settle: settle !== false ? settle : waiting?.settle ?? false };
  if (!running) serve();
}

async function serve() {
  running = true;
  while (waiting !== null) {
    const { settle } = waiting;
    const { expression } = state;
    const light = settle === false && walk?.expression === expression ? state.step : null;
    waiting = null;
    try {
      const answer = await post("walk/explain", { expression, at: state.at, wrt: state.wrt, learning_rate: state.rate, focus: focus(), light });
      // Drawn even if a newer one is wanted already, for a drag must be seen; but not what another expression gave.
      if (expression === state.expression) took(answer.walk, waiting === null ? settle : false, waiting === null);
      if (waiting !== null && waiting.settle === false) waiting.settle = settle;
    } catch (error) {
      if (waiting === null) refused(error);
    }
  }
  running = false;
}

function focus() {
  const key = chosen ?? (walk ? keyOf(walk.steps[Math.min(state.step, walk.steps.length - 1)]) : null);
  return key && key !== "rate" ? key.split("-").map(Number) : null;
}

const askSoon = eachFrame(() => ask(false));

function changed(done, words) {
  values.draw(state.at, state.wrt ?? Object.keys(state.at), state.rate, true);
  if (!done) {
    askSoon();
    return;
  }
  ask(words);
}

/** A walk has come: take its values and draw everything. */
function took(found, words, newest = true) {
  if (found.light && walk?.steps.length !== found.steps.length) {
    ask("");
    return;
  }
  const another = walk === null || walk.function !== found.function || walk.steps.length !== found.steps.length;
  if (found.light) complete(found, walk);
  walk = found;
  if (walk.editable && newest) {
    // Values that are being changed at this moment are newer than the answer's.
    state.at = { ...walk.at, ...pick(state.at, Object.keys(walk.at)) };
    state.wrt = walk.wrt;
  }
  if (another) chosen = null;
  state.step = Math.min(state.step, walk.steps.length - 1);
  problem(null);
  byId("stage").classList.remove("stale");
  draw();
  if (typeof words === "string" && words) {
    const gradients = walk.inputs.filter((i) => i.differentiated && !i.value?.shape.length).slice(0, 3);
    const told = gradients.map((i) => `gradient by ${i.name} ${number(walk.nodes.find((n) => n.line === i.line)?.gradient?.values ?? NaN)}`);
    say([words, `${walk.loss.symbol} is ${number(walk.loss.value.values)}`, ...told].join(", "));
  }
}

/** Fill in what a light answer leaves out with what was there before; the whole comes when the drag ends. */
function complete(found, before) {
  found.steps.forEach((step, i) => { step.formulas ??= before.steps[i].formulas; });
  found.key ??= before.key;
  found.checks = before.checks;
  const fresh = new Map(found.curves.map((one) => [key_(one), one]));
  const known = before.curves.map((one) => fresh.get(key_(one)) ?? one);
  if (!found.many_curves) found.curves = known;
}

const pick = (from, names) => Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]]));

async function refused(error) {
  const words = error.problem;
  if (!words) throw error;
  problem(words);
  byId("stage").classList.add("stale");
  try {
    // The variables can still be shown, so that a value of the wrong shape can be put right.
    const found = await post("walk/variables", { expression: state.expression, at: state.at });
    state.at = { ...found.at, ...pick(state.at, found.names) }; // what was changed meanwhile is newer
    values.draw(state.at, state.wrt?.filter((n) => n in state.at) ?? Object.keys(state.at), state.rate, true);
  } catch { /* the expression itself can't be read: the last values stay */ }
}

function problem(words) {
  const field = byId("expression");
  field.setAttribute("aria-invalid", String(words !== null));
  if (words === null) {
    byId("problem").replaceChildren();
    return;
  }
  const where = words.where ?? "";
  const caret = where.includes("^");
  byId("problem").replaceChildren(h("div", { class: "bad" },
    h("p", {}, h("strong", {}, `${words.what[0].toUpperCase()}${words.what.slice(1)}.`), caret ? ` At ${where.split("\n")[0]}:` : ""),
    caret ? h("pre", { class: "caret" }, where.split("\n").slice(1).map((row) => row.replace(/^ {4}/, "")).join("\n")) : where ? h("p", { class: "small" }, where) : null,
    words.expected ? h("p", { class: "small" }, `Expected: ${words.expected}.`) : null,
    words.got && !caret ? h("p", { class: "small" }, `Got: ${words.got}.`) : null));
}

// ------------------------------------------------------------------------------------------------------------- drawing

function draw() {
  graph.draw(walk, state.step);
  values.draw(walk.editable ? state.at : null, state.wrt, state.rate, walk.editable, new Map(walk.inputs.map((i) => [i.name, i.symbol])));
  byId("save").disabled = byId("share").disabled = !walk.editable;
  const spans = phases(walk);
  const shape = JSON.stringify(spans);
  if (shape !== byId("phases").dataset.shape) {
    byId("phases").dataset.shape = shape;
    byId("phases").replaceChildren(...spans.map((span) => h("button", {
      type: "button", class: `phase ${span.phase}`, "data-first": span.first, "data-last": span.last,
      style: { "flex-grow": span.last - span.first + 1 }, onclick: () => go(span.phase === "start" ? 0 : span.first),
    }, span.name)));
  }
  byId("scrub").max = walk.steps.length - 1;
  const lost = walk.nonfinite;
  byId("infinite").hidden = lost === null;
  if (lost !== null) {
    const words = lost.words ? `: ${lost.words.what}` : "";
    byId("infinite").replaceChildren(h("div", { class: "bad row" }, h("span", { class: "grow" }, `From ${lost.name} on, numbers are not finite${words}.`),
      h("button", { type: "button", onclick: () => go(lost.step) }, `Go to step ${lost.step}`)));
  }
  drawStep(state.step);
}

function drawStep(from) {
  const step = walk.steps[state.step];
  graph.show(state.step, from);
  const complete = state.step >= walk.steps.findLastIndex((one) => one.phase === "backward" || one.phase === "sum");
  byId("key").classList.toggle("waiting", !complete);
  byId("key").replaceChildren(complete ? math(walk.key) : `${walk.key.text.split(" = ")[0]} = ?`);
  card(byId("card"), walk, state.step, actions);
  drawCurve();
  byId("scrub").value = state.step;
  byId("scrub").setAttribute("aria-valuetext", `${state.step} of ${walk.steps.length - 1}: ${step.name}`);
  for (const button of byId("phases").children) {
    const inside = state.step >= Number(button.dataset.first) && state.step <= Number(button.dataset.last);
    if (inside) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    const done = Math.max(0, Math.min(1, (state.step - Number(button.dataset.first) + 1) / (Number(button.dataset.last) - Number(button.dataset.first) + 1)));
    button.style.setProperty("--done", `${100 * done}%`);
  }
  buttons.first.disabled = buttons.back.disabled = state.step === 0;
  buttons.on.disabled = buttons.last.disabled = state.step === walk.steps.length - 1;
  if (byId("tables").open) table(byId("table-body"), walk, state.step, go);
  remembered();
  tour.check({ walk, step: state.step, at: state.at, losses: actions.losses(), expression: state.expression, examples, own: typedOwn && exampleNow() === undefined });
}

/** The curve of a step: what it computes, or what its local derivative is of; the learning rate at the end. */
function keyOf(step) {
  if (step.phase === "update" || step.phase === "after") return "rate";
  const line = step.phase === "backward" ? step.through ?? step.line : step.phase === "forward" ? step.line : step.terms[0]?.through ?? null;
  const found = walk.curves.filter((c) => c.line === line);
  const wanted = step.phase === "backward" ? found.find((c) => c.argument === step.line) : found.find((c) => c.slope !== null);
  return wanted ? key_(wanted) : found.length ? key_(found[0]) : line === null ? null : `${line}-${step.line}`;
}

function drawCurve() {
  const key = chosen ?? keyOf(walk.steps[state.step]) ?? (walk.curves.length ? key_(walk.curves[0]) : null);
  const missing = walk.many_curves && key !== null && key !== "rate" && !walk.curves.some((c) => key_(c) === key);
  if (missing && drawCurve.asked !== key) {
    drawCurve.asked = key; // of a large graph only the wanted curve is sent
    ask("");
  } else if (!missing) drawCurve.asked = null;
  curve.draw(walk, key);
}

// --------------------------------------------------------------------------------------------------------------- steps

function go(to, { user = true } = {}) {
  if (walk === null) return;
  const from = state.step;
  state.step = Math.max(0, Math.min(walk.steps.length - 1, to));
  if (user && playing !== null) pause();
  if (state.step === from) return;
  chosen = null;
  drawStep(from);
  if (playing === null) say(spoken(walk, state.step));
}

function play() {
  if (playing !== null) {
    pause();
    return;
  }
  if (state.step === walk.steps.length - 1) go(0);
  playing = setInterval(() => {
    go(state.step + 1, { user: false });
    if (state.step === walk.steps.length - 1) pause();
  }, PACE);
  go(state.step + 1, { user: false });
  showPlaying();
}

function pause() {
  clearInterval(playing);
  playing = null;
  showPlaying();
}

function showPlaying() {
  buttons.play.replaceChildren(icon(playing === null ? "M4 2.5v11l9-5.5z" : "M4 2.5h3v11H4zM9.5 2.5h3v11h-3z"), playing === null ? "Play" : "Pause");
  buttons.play.setAttribute("aria-pressed", String(playing !== null));
}

function icon(d) {
  return s("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d, fill: "currentColor" }));
}

const buttons = {
  first: h("button", { type: "button", class: "icon", "aria-label": "First step", title: "First step (Home)", onclick: () => go(0) }, icon("M2.5 3h2v10h-2zM13 3v10L5.5 8z")),
  back: h("button", { type: "button", class: "icon", "aria-label": "One step back", title: "One step back (←)", onclick: () => go(state.step - 1) }, icon("M11 2.5v11L3 8z")),
  play: h("button", { type: "button", class: "play", title: "Play (space)", onclick: play }),
  on: h("button", { type: "button", class: "icon primary", "aria-label": "One step on", title: "One step on (→)", onclick: () => go(state.step + 1) }, icon("M5 2.5v11L13 8z")),
  last: h("button", { type: "button", class: "icon", "aria-label": "Last step", title: "Last step (End)", onclick: () => go(Infinity) }, icon("M11.5 3h2v10h-2zM3 3v10l7.5-5z")),
};
byId("buttons").append(...Object.values(buttons));
showPlaying();
byId("scrub").addEventListener("input", () => go(Number(byId("scrub").value)));
byId("tables").addEventListener("toggle", () => walk && byId("tables").open && table(byId("table-body"), walk, state.step, go));

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || walk === null) return;
  const target = event.target;
  if (target.closest("input, select, textarea, [role=slider], .scroll, .formulas")) return;
  const pressed = target.closest("button, summary, a, [role=button]");
  const act = { ArrowRight: () => go(state.step + 1), ArrowLeft: () => go(state.step - 1), Home: () => go(0), End: () => go(Infinity), " ": pressed ? null : play }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** Move the values against their gradients and begin the next walk. */
function take() {
  const before = number_(walk.loss.value.values);
  if (before !== null) losses.push(before);
  losses = losses.slice(-50);
  for (const update of walk.updates) if (update.value?.values !== null) state.at[update.name] = update.value.values;
  state.at = { ...state.at };
  ask("one step taken");
}

// --------------------------------------------------------------------------------------------- expressions and sharing

function exampleNow() {
  const same = examples.filter((one) => one.expression === state.expression);
  return same.find((one) => one.id === exampleId) ?? same[0];
}

function useExample(example, step = 0) {
  if (!example) return;
  pause();
  exampleId = example.id;
  Object.assign(state, { expression: example.expression, at: structuredClone(example.at), wrt: [...example.wrt], rate: example.learning_rate, step });
  begin();
}

function begin() {
  losses = [];
  chosen = null;
  byId("expression").value = state.expression;
  showExample();
  ask("");
}

function showExample() {
  const now = exampleNow();
  byId("example").value = now?.id ?? "";
  byId("reason").textContent = now?.reason ?? (note || "An expression of your own.");
}

function typedExpression() {
  const text = byId("expression").value.trim();
  if (text === state.expression && walk?.editable) return;
  pause();
  typedOwn = true;
  note = "";
  Object.assign(state, { expression: text, wrt: null, step: 0 });
  losses = [];
  chosen = null;
  showExample();
  ask("");
}

let typing = 0;
byId("expression").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(typedExpression, 600);
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  typedExpression();
});
byId("example").addEventListener("change", () => useExample(examples.find((one) => one.id === byId("example").value)));
byId("share").addEventListener("click", () => {
  history.replaceState(null, "", hash.write(state));
  copy(location.href);
});
byId("save").addEventListener("click", async () => {
  try {
    const answer = await post("walk/explain", { expression: state.expression, at: state.at, wrt: state.wrt, learning_rate: state.rate, explanation: true });
    download("explanation.json", JSON.stringify(answer.explanation), "application/json");
  } catch (error) {
    toast(error.message, { bad: true });
  }
});
byId("open").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", async () => {
  const file = byId("file").files[0];
  byId("file").value = "";
  if (file) await openText(file.size > 8e6 ? "" : await file.text());
});
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  event.preventDefault();
  if (kind === "drop") event.dataTransfer.files[0]?.text().then(openText);
});

/** A saved explanation. Only what is needed is sent: its telling line by line and its MathML (made anew) stay here. */
async function openText(text) {
  try {
    const data = JSON.parse(text, (key, value) => (key === "mathml" ? "" : value));
    if (data && Array.isArray(data.steps)) data.steps = [];
    const answer = await post("walk/open", { data });
    const network = data.format === "chainrule.playground";
    opened(answer.walk, network ? NETWORK : answer.walk.editable ? "From a file, replayed from its expression." : "An explanation from a file, as it was saved.");
  } catch (error) {
    toast(error.problem ? error.message : "This file is no JSON.", { bad: true });
  }
}

const NETWORK = "A network of the playground at one example: its loss, and the gradient by each of its weights.";

function opened(found, from) {
  pause();
  losses = [];
  note = from;
  Object.assign(state, { expression: found.expression ?? "", at: found.at ?? {}, wrt: found.wrt, rate: found.learning_rate, step: 0 });
  byId("expression").value = found.expression ?? "";
  chosen = null;
  took(found, "");
  showExample();
  toast("Opened.");
}

/** The playground leaves {state, x?, inputs?, label?} under "walk.network" and comes to /walk#network. */
async function fromPlayground() {
  const body = remember("walk.network");
  if (body === null) return false;
  try {
    opened((await post("walk/network", body)).walk, NETWORK);
    return true;
  } catch (error) {
    toast(error.message, { bad: true });
    return false;
  }
}

let remembering = 0;
function remembered() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    if (walk?.editable) history.replaceState(null, "", hash.write(state));
  }, 300);
}

addEventListener("hashchange", () => (location.hash === "#network" ? fromPlayground() : fromAddress()));

function fromAddress() {
  const found = hash.read(location.hash);
  if (found === null) return false;
  Object.assign(state, found);
  note = "";
  begin();
  return true;
}

async function start() {
  examples = (await post("walk/examples", {})).examples;
  byId("example").replaceChildren(h("option", { value: "" }, "your own"), ...examples.map((one) => h("option", { value: one.id }, one.title)));
  if (location.hash === "#network" ? !(await fromPlayground()) : !fromAddress()) useExample(examples[0]);
}

start().catch((error) => problem(error.problem ?? { what: error.message }));
