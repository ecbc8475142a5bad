// Look inside: one weight's (or neuron's) numbers, its chain-rule product over all paths, and the update that follows.

import { number } from "../format.js";
import { byId, h, math } from "../ui.js";
import { featureName, neuronName } from "./netview.js";
import { figure, numberField } from "./widgets.js";

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

function build(app, body, title, { what, layer, to, from }) {
  const isWeight = what === "weight";
  title.textContent = isWeight ? `Weight from ${nameOf(app, layer - 1, from)} to ${nameOf(app, layer, to)}` : `Bias of ${nameOf(app, layer, to)}`;
  const edit = (fields) => (value) => app.ask("edit", { ...fields, layer: layer - 1, to, value });
  const value = numberField(isWeight ? "weight w" : "bias b", edit(isWeight ? { what, from } : { what }));
  const gradient = figure("gradient", { wide: true });
  const update = figure("update", { wide: true });
  const ratio = figure("update/weight", { wide: true });
  const close = h("button", { type: "button", class: "plain", onclick: () => app.select(null) }, "Close");
  const products = h("div");
  const paths = h("div");
  const into = isWeight ? null : weightsInto(app, layer, to);
  body.replaceChildren(h("div", { class: "inside-top" }, value.element, gradient.element, update.element, ratio.element, h("span", { class: "grow" }), close),
    products, paths, into?.element ?? "");

  const link = isWeight ? () => app.plan.links.findIndex((one) => one.layer === layer && one.to === to && one.from === from) : null;
  let live = true;
  const follow = (frame) => {
    if (!live || app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.what !== what) return;
    const { arrays } = frame;
    if (isWeight) {
      const i = link();
      if (arrays.weights) value.update(arrays.weights[i]);
      if (arrays.gradients) gradient.update(number(arrays.gradients[i], 4));
      if (arrays.updates) ratio.update(number(arrays.updates[i], 3));
    } else if (arrays.biases) value.update(arrays.biases[app.plan.nodes[layer][to].bias]);
    into?.follow(arrays);
  };
  app.follow = follow;
  let asking = false;
  return async () => {
    if (asking || app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.from !== from) return;
    asking = true;
    const answer = await app.ask("explain", { what, layer: layer - 1, to, ...(isWeight ? { from } : {}) }, { quiet: true });
    asking = false;
    if (app.selected?.layer !== layer || app.selected?.to !== to || app.selected?.from !== from) return;
    if (!answer) {
      live = true;
      return;
    }
    value.update(answer.value);
    gradient.update(number(answer.gradient, 4));
    fill(products, answer);
    fillPaths(paths, answer.paths);
    if (answer.update) update.update(number(answer.update.change ?? answer.update.delta ?? NaN, 4));
  };
}

function fill(place, { key, update, example }) {
  const parts = [];
  if (key) parts.push(product(example ? `Chain rule, example ${(example.index ?? 0) + 1} of the batch` : "Chain rule", key));
  if (update?.formula ?? update?.key) parts.push(product(update.caption ?? "Update", update.formula ?? update.key));
  place.replaceChildren(...parts);
}

function product(caption, formula) {
  return h("div", { class: "product", tabindex: "0", role: "group", "aria-label": caption }, h("p", { class: "cap" }, caption), math(formula, { block: false }));
}

/** The paths from the weight to the loss: where each goes, its factors, its product; the sum is the gradient. */
function fillPaths(place, paths) {
  if (!paths?.listed?.length || paths.count < 2) {
    place.replaceChildren();
    return;
  }
  const rows = paths.listed.map(({ nodes, factors, product: total }) => h("tr", null, h("td", { class: "route" }, nodes.join(" → ")),
    h("td", null, factors.map((factor) => number(typeof factor === "object" ? factor.value : factor, 3)).join(" · ")), h("td", { class: "number" }, number(total, 4))));
  if (paths.count > paths.listed.length) rows.push(h("tr", null, h("td", null, `${paths.count - paths.listed.length} smaller paths together`), h("td"), h("td", { class: "number" }, number(paths.rest, 4))));
  rows.push(h("tr", null, h("th", { scope: "row" }, "Sum over all paths"), h("td"), h("td", { class: "number" }, number(paths.total, 4))));
  place.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Paths" }, h("table", { class: "paths" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Path"), h("th", { scope: "col" }, "Factors"), h("th", { scope: "col", class: "number" }, "Product"))), h("tbody", null, rows))));
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
  return { element, follow(arrays) { if (element.open && arrays.weights) for (const { i, field } of fields) field.update(arrays.weights[i]); } };
}
