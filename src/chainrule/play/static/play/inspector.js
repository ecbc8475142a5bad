// Look inside: one weight's (or neuron's) numbers, its chain-rule product over all paths, and the update that follows.

import { count, number } from "../format.js";
import { byId, h, math, remember } from "../ui.js";
import { featureName, neuronName } from "./netview.js";
import { figure, numberField, select } from "./widgets.js";

const EVERY = 900; // milliseconds between questions while it plays

export function buildInspector(app) {
  const body = byId("inspector-body");
  const title = byId("inspector-title");
  const hint = () => h("p", { class: "hint" }, "Click a line: its weight, the chain-rule product of its gradient with the numbers filled in, and its update. Click a neuron: its bias and all weights into it. Both can be typed over.");
  let refresh = null;

  const show = (selected) => {
    refresh = null;
    if (!selected) {
      title.textContent = "Look inside";
      byId("inspector-tools").replaceChildren();
      body.replaceChildren(hint());
      return;
    }
    refresh = build(app, body, title, selected);
    refresh();
    if (body.getBoundingClientRect().top > innerHeight - 60) byId("inspector").scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  show(null);
  app.on("select", show);

  let timer = null;
  const later = (wait) => { timer ??= setTimeout(() => { timer = null; refresh?.(); if (app.state.playing) later(EVERY); }, wait); };
  app.on("state", (state) => {
    const { selected } = app;
    if (selected && !exists(state, selected)) app.select(null);
    else later(state.playing ? EVERY : 120);
  });
  app.on("half", () => later(60));
  if (app.source.recorded) app.on("frame", () => { if (app.selected) later(120); });
}

/** Whether the network still has what was chosen. */
function exists({ settings, outputs = 1, inputs }, { what, layer, to, from }) {
  const sizes = [inputs ?? settings.features.length, ...settings.hidden, outputs];
  return layer < sizes.length && to < sizes[layer] && (what === "bias" || from < sizes[layer - 1]);
}

/** A neuron's name by the layer's column; inputs by their feature. */
function nameOf(app, layer, index) {
  if (layer > 0) return neuronName(app.state, layer, index);
  return app.state.images ? `pixel ${Math.floor(index / 8) + 1},${(index % 8) + 1}` : featureName(app.state.settings.features[index] ?? "");
}

/** A number as it may stand in a field: seven digits, what float32 carries. */
const short = (value) => Number(value.toPrecision(7));

function build(app, body, title, { what, layer, to, from }) {
  const isWeight = what === "weight";
  title.textContent = isWeight ? `Weight from ${nameOf(app, layer - 1, from)} to ${nameOf(app, layer, to)}` : `Bias of ${nameOf(app, layer, to)}`;
  const edit = (fields) => (value) => app.ask("edit", { ...fields, layer: layer - 1, to, value });
  const value = numberField(isWeight ? "weight w" : "bias b", edit(isWeight ? { what, from } : { what }));
  const gradient = figure("gradient", { wide: true });
  const update = figure("update", { wide: true });
  const ratio = figure("update/weight", { wide: true });
  let example = null; // of the batch; the engine's own until one is chosen
  const pick = select("example", ["1"], (chosen) => {
    example = Number(chosen) - 1;
    refresh();
  });
  const walk = h("button", { type: "button", title: "The whole backward pass of this example, one step at a time", onclick: () => walkThrough(app) }, "Walk through it");
  const close = h("button", { type: "button", class: "plain", onclick: () => app.select(null) }, "Close");
  byId("inspector-tools").replaceChildren(app.source.recorded ? "" : walk, close);
  const products = h("div");
  const paths = h("div");
  const into = isWeight ? null : weightsInto(app, layer, to);
  body.replaceChildren(h("div", { class: "inside-top" }, value.element, gradient.element, update.element, isWeight ? ratio.element : "", app.source.recorded ? "" : pick.element),
    products, paths, into?.element ?? "");

  const link = isWeight ? () => app.plan.links.findIndex((one) => one.layer === layer && one.to === to && one.from === from) : null;
  const follow = (frame) => {
    if (app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.what !== what) return;
    const { arrays } = frame;
    if (isWeight) {
      const i = link();
      if (arrays.weights) value.update(short(arrays.weights[i]));
      if (arrays.gradients) gradient.update(number(arrays.gradients[i], 4));
      if (arrays.updates) ratio.update(number(arrays.updates[i], 3));
    } else if (arrays.biases) value.update(short(arrays.biases[app.plan.nodes[layer][to].bias]));
    into?.follow(arrays);
  };
  app.follow = follow;
  let asking = false;
  const refresh = async () => {
    const focused = document.activeElement;
    if (app.frame?.playing && (products.contains(focused) || paths.contains(focused))) return; // somebody reads there
    if (asking || app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.from !== from) return;
    asking = true;
    let answer = null;
    try {
      answer = await app.source.ask("explain", { what, layer: layer - 1, to, ...(isWeight ? { from } : {}), ...(example === null ? {} : { example }) });
    } catch (problem) {
      products.replaceChildren(h("p", { class: "hint" }, problem.message));
      paths.replaceChildren();
    }
    asking = false;
    if (!answer || app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.from !== from) return;
    if (answer.value !== null) value.update(short(answer.value));
    gradient.update(number(answer.gradient ?? NaN, 4));
    app.explained = answer.example;
    fill(products, answer);
    fillPaths(app, paths, answer.paths);
    pick.update(answer.example.index + 1, Array.from({ length: answer.batch.examples }, (_, i) => String(i + 1)));
    update.update(number(answer.update.change ?? NaN, 4));
  };
  return refresh;
}

/** Take the network and its example to the walkthrough, in a page of its own. */
async function walkThrough(app) {
  const kept = await app.ask("state");
  if (!kept) return;
  const { inputs, label } = app.explained ?? {};
  remember("walk.network", { state: kept.state, inputs, label });
  open("/walk#network", "_blank");
}

/** The chain rule for one example and for the batch, the update, and, on demand, how the cotangent arrives. */
function fill(place, { lines = [], update, example, batch }) {
  const first = lines.find(({ label }) => label === "this example");
  const mean = lines.find(({ label }) => label === "the batch");
  const between = lines.filter((line) => line !== first && line !== mean);
  const open = place.querySelector("details")?.open ?? true;
  const point = example?.point ? ` (x₁ ${number(example.point[0], 3)}, x₂ ${number(example.point[1], 3)}; label ${number(example.label, 3)})` : "";
  place.replaceChildren(
    first ? product(`Chain rule, for example ${example.index + 1} of ${batch.examples} in the batch${point}`, [first.formula]) : "",
    between.length ? h("details", { class: "more", open }, h("summary", null, "How the cotangent δ arrives"),
      h("div", { class: "product quiet", tabindex: "0", role: "group", "aria-label": "How the cotangent arrives" }, between.map(({ label, formula }) => h("div", { class: "derived" }, h("p", { class: "cap" }, label), math(formula))))) : "",
    mean ? product("The gradient that training uses: the mean over the batch", [mean.formula]) : "",
    update ? product(`The next update (${update.optimizer})`, [update.formula, update.filled], "update") : "");
}

function product(caption, formulas, kind = "") {
  return h("div", { class: `product ${kind}`, tabindex: "0", role: "group", "aria-label": caption }, h("p", { class: "cap" }, caption), formulas.map((formula) => h("div", null, math(formula))));
}

/** A path's neurons from the loss back to the weight. */
function route(app, nodes) {
  const seen = [];
  for (const { kind, layer, neuron } of nodes) {
    const output = layer === app.state.settings.hidden.length;
    const name = kind === "loss" ? "loss" : kind === "parameter" ? "this" : output ? (app.state.outputs > 1 ? `class ${neuron}` : "output") : `${layer + 1}.${neuron + 1}`;
    if (seen[seen.length - 1] !== name) seen.push(name);
  }
  return seen.join(" ← ");
}

/** The paths from the loss back to the weight: where each goes, its factors, its product; the sum is the gradient. */
function fillPaths(app, place, paths) {
  if (!paths?.listed?.length) {
    place.replaceChildren();
    return;
  }
  const rows = paths.listed.map(({ nodes, factors, product: total }) => h("tr", null, h("td", { class: "number" }, number(total ?? NaN, 4)), h("td", { class: "route" }, route(app, nodes)),
    h("td", { class: "route" }, factors.map((factor) => number(factor ?? NaN, 3)).join(" · "))));
  if (paths.count > paths.listed.length) rows.push(h("tr", null, h("td", { class: "number" }, number(paths.rest ?? NaN, 4)), h("td", { colspan: 2 }, `${count(paths.count - paths.listed.length)} smaller paths together`)));
  rows.push(h("tr", null, h("td", { class: "number total" }, number(paths.total ?? NaN, 4)), h("td", { colspan: 2 }, "sum: the gradient of this example")));
  const open = place.querySelector("details")?.open ?? true;
  place.replaceChildren(h("details", { class: "more", open }, h("summary", null, paths.count === 1 ? "The path from the loss back to it" : `${count(paths.count)} paths from the loss back to it`),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Paths" }, h("table", { class: "paths" },
      h("thead", null, h("tr", null, h("th", { scope: "col", class: "number" }, "Product"), h("th", { scope: "col" }, "Path (layer.neuron)"), h("th", { scope: "col" }, "Local derivatives"))), h("tbody", null, rows)))));
}

/** Every weight into a neuron, to be typed over; each line's button explains that weight. */
function weightsInto(app, layer, to) {
  const fields = app.plan.links.map((link, i) => ({ link, i })).filter(({ link }) => link.layer === layer && link.to === to).map(({ link, i }) => {
    const name = nameOf(app, layer - 1, link.from);
    const field = numberField(`Weight from ${name}`, (value) => app.ask("edit", { what: "weight", layer: layer - 1, to, from: link.from, value }), { hidden: true });
    return { i, field, line: h("div", { class: "line" }, h("span", null, `from ${name}`), field.element,
      h("button", { type: "button", class: "chip", "aria-label": `Explain the weight from ${name}`, onclick: () => app.select({ what: "weight", layer, to, from: link.from }) }, "explain")) };
  });
  const element = h("details", { class: "more", open: fields.length <= 12 }, h("summary", null, `Weights into this neuron (${fields.length})`), h("div", { class: "weights-in" }, fields.map((one) => one.line)));
  return { element, follow(arrays) { if (element.open && arrays.weights) for (const { i, field } of fields) field.update(short(arrays.weights[i])); } };
}
