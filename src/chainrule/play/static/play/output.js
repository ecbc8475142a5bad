// The output: losses and accuracy, the large picture with the data, the curve of the loss, the confusion matrix.

import { fixed, lossText, number, percent } from "../format.js";
import { byId, eachFrame, h, s } from "../ui.js";
import { Curve } from "./curve.js";
import { HeatMap } from "./heatmap.js";
import { classColour } from "./colour.js";
import { place } from "./own.js";
import { check, figure } from "./widgets.js";

export function buildOutput(app) {
  const body = byId("output-body");
  const train = figure("train loss", { kind: "train" });
  const test = figure("test loss", { kind: "test" });
  const accuracy = figure("accuracy");
  const penalty = h("p", { class: "small muted", hidden: true });
  const map = h("canvas", { role: "img", "aria-label": "What the network answers over the plane, with the data. Arrow keys read points of it.", tabindex: "0" });
  const frame = h("div", { class: "map" }, map);
  const said = h("p", { class: "map-said", "aria-live": "off" });
  const legend = h("div", { class: "row small muted" });
  const showTest = check("Show test data", (value) => look({ test: value }));
  const hard = check("Discretise", (value) => look({ discretise: value }), { title: "Draw only which side of zero, or which class" });
  showTest.element.dataset.part = "test";
  hard.element.dataset.part = "discretise";
  const options = h("div", { class: "row" }, showTest.element, hard.element);
  const logarithmic = check("log", (value) => { curve.logarithmic = value; curve.draw(); }, { title: "Logarithmic scale" });
  const curveCanvas = h("canvas", { role: "img", tabindex: "0", "aria-label": "Loss over time: training solid, test dashed. Arrow keys read single points." });
  const readout = h("p", { class: "curve-said", "aria-live": "polite" });
  const confusion = h("details", { class: "more", hidden: true }, h("summary", null, "Confusion matrix (test data)"));
  body.append(h("div", { class: "losses" }, train.element, test.element, accuracy.element), penalty, h("div", null, frame, said, legend),
    options,
    h("div", { class: "curve" }, h("div", { class: "curve-top" }, h("h3", null, "Loss"), logarithmic.element), curveCanvas, readout), confusion);

  const heat = new HeatMap(map, {
    onpoint: (at, aloud = false) => {
      said.setAttribute("aria-live", aloud ? "polite" : "off");
      inspectAt(at);
    },
    onleave: () => {
      inspectAt(null);
      said.textContent = base();
    },
    onclick: (at) => { if (at && app.drawing) place(app, at); },
  });
  const curve = new Curve(curveCanvas, readout);
  app.curve = curve;
  app.heat = heat;

  const base = () => (app.hovered ? `Drawn: ${app.hovered}.` : app.drawing ? "Click to add a point." : app.source.recorded ? "Drawn: the output." : "Drawn: the output. Point at it to read its values.");
  const look = (changes) => {
    app.look(changes);
    drawPoints();
  };
  const drawPoints = () => {
    if (!app.data) return;
    const { points, train: first, classes, names, spans } = app.data;
    if (app.state.images) heat.setPoints(null);
    else heat.setPoints({ train: points.slice(0, first), test: points.slice(first), classes: classes > 2 ? classes : 0, showTest: app.view.test, names: axisNames(names), spans });
  };
  // Pointing at the plane sends that point through the network: its output in words, each neuron's value beside it.
  let asked = null;
  const inspectAt = eachFrame(async (at) => {
    asked = at;
    if (at === null || app.source.recorded) return showValues(null);
    if (app.asking) return undefined;
    app.asking = true;
    const answer = await app.ask("inspect", { at }, { quiet: true });
    app.asking = false;
    if (asked === null) return showValues(null);
    if (asked !== at) inspectAt(asked);
    if (!answer) return undefined;
    const [x1, x2] = axisNames(app.data.names);
    said.textContent = `${x1} ${fixed(heat.unit(at[0], 0), 2)}, ${x2} ${fixed(heat.unit(at[1], 1), 2)} → ${outputText(app, answer)}`;
    return showValues(answer);
  });
  const showValues = (answer) => {
    if (app.half) return; // half-steps have values of their own
    app.values = answer && ((layer, node) => ({ activation: layer === 0 ? answer.inputs[node.source] : answer.a[layer - 1]?.[node.index] }));
    app.net.draw();
  };

  app.on("data", () => { drawPoints(); drawLegend(); });
  app.on("drawing", () => {
    frame.classList.toggle("drawing", Boolean(app.drawing));
    said.textContent = base();
  });
  app.on("hover", () => {
    said.textContent = base();
    if (app.source.recorded) drawGrid();
  });
  app.on("view", () => {
    showTest.update(app.view.test);
    hard.update(app.view.discretise);
    drawGrid();
  });
  app.on("state", (state) => {
    for (const one of [frame, said, legend, options]) one.hidden = Boolean(state.images);
    if (state.images) confusion.open = true;
    figures(state);
  });
  const figures = (at) => {
    const [first, second] = at.loss;
    train.update(lossText(first));
    test.update(lossText(second));
    penalty.hidden = !at.penalty;
    if (at.penalty) penalty.textContent = `Train loss with the weights' penalty: ${lossText(first)} + ${lossText(at.penalty)}.`;
    const share = Array.isArray(at.accuracy) ? at.accuracy[1] : at.accuracy;
    accuracy.element.hidden = share === null || share === undefined;
    if (!accuracy.element.hidden) accuracy.update(percent(share));
  };
  const drawGrid = () => {
    const { frame: now } = app;
    if (!now?.arrays.output) return;
    const shape = now.shapes.output;
    if (app.source.recorded && Number.isInteger(app.picture)) { // nobody to ask for a finer picture
      const side = now.shapes.nodes[1];
      heat.setGrid({ bytes: now.arrays.nodes.subarray(app.picture * side * side), side, confidences: null, discretise: app.view.discretise });
      return;
    }
    heat.setGrid({ bytes: now.arrays.output, side: shape[shape.length - 1], confidences: now.arrays.confidence ?? null, discretise: app.view.discretise });
  };
  app.on("frame", (now) => {
    figures(now);
    drawGrid();
    if (now.curve === "replace") curve.clear();
    for (const [step, first, second] of app.losses) curve.add(step, first, second);
    if (app.losses.length) curve.draw();
    app.losses = [];
    matrix();
  });
  const matrix = () => {
    const { arrays, shapes } = app.frame ?? {};
    if (arrays?.confusion) drawConfusion(confusion, arrays.confusion, shapes.confusion, app.data?.class_names ?? []);
    else confusion.hidden = true;
  };
  confusion.addEventListener("toggle", matrix);
  const drawLegend = () => {
    const { classes } = app.data;
    legend.replaceChildren(...(classes > 2 ? Array.from({ length: classes }, (_, i) => h("span", { class: "ramp-row" }, dot(classColour(i)), app.data.class_names?.[i] ?? String(i)))
      : [h("span", { class: "ramp-row" }, "−1", h("span", { class: "ramp values" }), "+1")]));
  };
  document.addEventListener("themechange", () => {
    heat.restyle();
    curve.draw();
  });
  said.textContent = base();
}

const dot = (colour) => s("svg", { width: 10, height: 10, viewBox: "0 0 10 10", "aria-hidden": "true" }, s("circle", { cx: 5, cy: 5, r: 5, fill: colour }));

/** The names of the two columns that the plane shows. */
const axisNames = (names) => (names?.[0] && names[0] !== "x1" ? names.slice(0, 2) : ["x₁", "x₂"]);

function outputText(app, answer) {
  const { shown, decided } = answer;
  if (Array.isArray(shown) && shown.length > 1) return `${app.data.class_names?.[decided] ?? `class ${decided}`} (${percent(Math.max(...shown), 0)})`;
  const value = Array.isArray(shown) ? shown[0] : shown;
  return `output ${number(value, 3)}`;
}

/** Rows are what was so, columns what the network said; shades are shares of a row. */
function drawConfusion(place, counts, shape, names) {
  const k = shape[0];
  place.hidden = k < 2;
  if (!place.open || place.hidden) return;
  let table = place.querySelector("table");
  const name = (i) => names[i] ?? (k === 2 ? ["−1", "+1"][i] : String(i));
  const key = JSON.stringify([k, names]);
  if (place.dataset.of !== key) {
    place.dataset.of = key;
    place.replaceChildren(place.firstChild);
    table = h("table", { class: "confusion" }, h("tr", null, h("td", null, ""), Array.from({ length: k }, (_, i) => h("th", { scope: "col" }, name(i)))),
      Array.from({ length: k }, (_, i) => h("tr", null, h("th", { scope: "row" }, name(i)), Array.from({ length: k }, () => h("td")))));
    place.append(table, h("p", { class: "small muted" }, "Rows: the label. Columns: what the network says."));
  }
  for (let i = 0; i < k; i++) {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += counts[i * k + j];
    for (let j = 0; j < k; j++) {
      const cell = table.rows[i + 1].cells[j + 1];
      const value = counts[i * k + j];
      const text = String(value);
      if (cell.textContent !== text) cell.textContent = text;
      cell.className = i === j ? "right" : "";
      cell.style.background = value ? `color-mix(in srgb, var(--${i === j ? "plus" : "minus"}) ${Math.round((60 * value) / Math.max(1, sum))}%, transparent)` : "";
    }
  }
}
