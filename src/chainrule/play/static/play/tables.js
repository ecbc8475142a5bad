// All that is in the pictures, as tables: every weight with its gradient and update, every neuron, every layer.

import { number } from "../format.js";
import { byId, h } from "../ui.js";
import { featureName, neuronName } from "./netview.js";
import { select } from "./widgets.js";

const EVERY = 500; // milliseconds between refreshes while it plays

export function buildTables(app) {
  const kinds = [["weights", "Weights"], ["neurons", "Neurons"], ["layers", "Layers"]];
  let kind = "weights";
  let layer = 1;
  const tabs = kinds.map(([value, name]) => h("button", { type: "button", role: "tab", id: `tab-${value}`, "aria-controls": "table-panel", onclick: () => choose(value), onkeydown: (event) => arrow(event) }, name));
  const pick = select("Layer", [], (value) => { layer = Number(value); rebuild(); });
  const panel = h("div", { class: "scroll", id: "table-panel", role: "tabpanel", tabindex: "0" });
  const details = h("details", { class: "more" }, h("summary", null, "Weights, gradients and layers as tables"),
    h("div", { class: "row tables-top" }, h("div", { class: "tabs", role: "tablist", "aria-label": "Tables" }, tabs), pick.element), panel);
  byId("tables-body").append(details);

  const arrow = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const next = (kinds.findIndex(([value]) => value === kind) + by + kinds.length) % kinds.length;
    choose(kinds[next][0]);
    tabs[next].focus();
  };
  const choose = (value) => {
    kind = value;
    rebuild();
  };
  let cells = [];
  const rebuild = () => {
    if (!details.open || !app.plan) return;
    tabs.forEach((tab, i) => {
      const on = kinds[i][0] === kind;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      if (on) panel.setAttribute("aria-labelledby", tab.id);
    });
    const layers = app.plan.nodes.length - 1;
    layer = Math.min(layer, layers);
    pick.element.hidden = kind !== "weights";
    pick.update(layer, Array.from({ length: layers }, (_, i) => [String(i + 1), i + 1 === layers ? "output" : `layer ${i + 1}`]));
    const { head, rows } = { weights: weightRows, neurons: neuronRows, layers: layerRows }[kind](app, layer);
    cells = [];
    panel.replaceChildren(h("table", null, h("thead", null, h("tr", null, head.map((name, i) => h("th", { scope: "col", class: i ? "number" : null }, name)))),
      h("tbody", null, rows.map(({ name, values }) => h("tr", null, h("th", { scope: "row" }, name), values.map((value) => {
        const cell = h("td", { class: "number" });
        cells.push([cell, value]);
        return cell;
      }))))));
    write();
  };
  const write = () => {
    const arrays = app.frame?.arrays;
    if (!arrays) return;
    for (const [cell, value] of cells) {
      const text = number(value(arrays) ?? NaN, 4);
      if (cell.textContent !== text) cell.textContent = text;
    }
  };
  let last = 0;
  app.on("frame", (frame) => {
    if (!details.open || (frame.playing && performance.now() - last < EVERY)) return;
    last = performance.now();
    write();
  });
  let shape = "";
  app.on("state", ({ settings, outputs }) => {
    const now = JSON.stringify([settings.features, settings.hidden, outputs]);
    if (now !== shape) {
      shape = now;
      rebuild();
    }
  });
  details.addEventListener("toggle", rebuild);
}

function sourceName(app, layer, index) {
  if (layer > 0) return neuronName(app.state, layer, index);
  return app.state.images ? `pixel ${Math.floor(index / 8) + 1},${(index % 8) + 1}` : featureName(app.state.settings.features[index] ?? "");
}

function weightRows(app, layer) {
  const rows = [];
  app.plan.links.forEach((link, i) => {
    if (link.layer !== layer) return;
    rows.push({ name: `${sourceName(app, layer - 1, link.from)} → ${neuronName(app.state, layer, link.to)}`,
      values: [(arrays) => arrays.weights?.[i], (arrays) => arrays.gradients?.[i], (arrays) => arrays.updates?.[i]] });
  });
  return { head: ["weight", "value", "gradient", "update/weight"], rows };
}

function neuronRows(app) {
  const rows = app.plan.nodes.slice(1).flatMap((column, k) => column.map((node) => ({
    name: neuronName(app.state, k + 1, node.index),
    values: [(arrays) => arrays.biases?.[node.bias], () => app.values?.(k + 1, node)?.activation, () => app.values?.(k + 1, node)?.cotangent],
  })));
  return { head: ["neuron", "bias", "value (half-step)", "cotangent (half-step)"], rows };
}

function layerRows(app) {
  const rows = app.plan.nodes.slice(1).map((column, k) => ({
    name: k + 2 === app.plan.nodes.length ? "output" : `layer ${k + 1}`,
    values: [() => column.length, (arrays) => arrays.layer_norms?.[k]],
  }));
  return { head: ["layer", "neurons", "norm of the weights' gradient"], rows };
}
