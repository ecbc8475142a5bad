// The network as a picture that can be pointed at and worked on: a canvas with everything drawn, a button on every neuron
// (so that the keyboard reaches each), heads with the layers' buttons, feet with the gradients' norms, a card while pointing.

import { number } from "../format.js";
import { eachFrame, h, stillness } from "../ui.js";
import { classColour, rem } from "./colour.js";
import { layout, nearest } from "./layout.js";
import { Thumbnails, paint } from "./paint.js";

const FIXED = [["x1", "x₁"], ["x2", "x₂"], ["x1^2", "x₁²"], ["x2^2", "x₂²"], ["x1*x2", "x₁x₂"], ["sin(x1)", "sin x₁"], ["sin(x2)", "sin x₂"]];
const NAMES = new Map(FIXED);
const FLOW_SECONDS = 0.7; // a half-step's dots take so long for each layer

export const featureName = (text) => NAMES.get(text) ?? text.replaceAll("**", "^");

/** The network's columns: inputs (those that are off as well), hidden layers, output. */
function columnsOf(state) {
  const { settings, outputs = 1, images } = state;
  const own = settings.features.filter((text) => !NAMES.has(text));
  const inputs = images
    ? Array.from({ length: 64 }, (_, i) => ({ label: "", name: `pixel ${Math.floor(i / 8) + 1},${(i % 8) + 1}`, active: true }))
    : [...NAMES.keys(), ...own].map((text) => ({ label: featureName(text), name: featureName(text), feature: text, active: settings.features.includes(text) }));
  const columns = [{ kind: images ? "pixels" : "inputs", nodes: inputs }];
  let bias = 0;
  const neurons = (length) => Array.from({ length }, () => ({ bias: bias++ }));
  settings.hidden.forEach((units) => columns.push({ kind: "hidden", nodes: neurons(units) }));
  columns.push({ kind: "output", nodes: neurons(outputs) });
  // Which of the inputs of the weights a column's node is, and which picture of a frame shows it.
  // Of digits, only the first layer has pictures: its weights.
  let picture = 0;
  columns.forEach((column, layer) => {
    let source = 0;
    for (const node of column.nodes) {
      if (node.active === false) continue;
      node.source = source++;
      node.picture = images && layer !== 1 ? null : picture++;
    }
  });
  return columns;
}

/** A neuron in words: "hidden layer 1, neuron 2". */
export function neuronName(state, layer, index) {
  const last = state.settings.hidden.length + 1;
  if (layer === 0) return "input";
  if (layer === last) return (state.outputs ?? 1) > 1 ? `output of class ${index}` : "output";
  return `layer ${layer}, neuron ${index + 1}`;
}

export class NetView {
  constructor(root, app) {
    this.app = app;
    this.root = root;
    this.canvas = h("canvas", { role: "img", "aria-label": "The network: lines are weights, squares are neurons. The table below says the same in numbers." });
    this.over = h("div", { class: "over" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.plane = h("div", { class: "plan" }, this.canvas, this.over, this.tip);
    this.scroll = h("div", { class: "net-scroll" }, this.plane);
    root.append(this.scroll);
    this.thumbnails = new Thumbnails();
    this.hover = null;
    this.flow = null;
    this.draw = eachFrame(() => this.paintNow());
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.unpoint());
    this.canvas.addEventListener("click", (event) => this.click(event));
    this.scroll.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.relayout()).observe(this.scroll);
    app.on("state", () => this.refresh());
    app.on("frame", () => this.paintNow());
    app.on("view", () => this.draw());
    app.on("select", () => this.draw());
    app.on("half", (half) => this.startFlow(half));
    app.on("state", () => this.lookAtExample());
    app.on("frame", (frame) => { if (frame.playing) this.lookAtExample(); });
    document.addEventListener("themechange", () => this.draw());
  }

  /** Lay out anew if the network's shape changed; refresh the heads' choices in any case. */
  refresh() {
    const { state } = this.app;
    const shape = JSON.stringify([state.settings.features, state.settings.hidden, state.outputs, state.images, state.playing === undefined]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.columns = columnsOf(state);
      this.flow = null;
      this.relayout(true);
    } else this.heads?.forEach((head) => head.update(state));
    this.draw();
  }

  relayout(force = false) {
    const width = Math.floor(this.scroll.clientWidth - parseFloat(getComputedStyle(this.scroll).paddingLeft) * 2);
    if (!this.columns || width <= 0 || (!force && width === this.laidOut)) return;
    this.laidOut = width;
    this.scale = rem(); // large screens have larger letters: the picture grows with them
    this.plan = layout(this.columns, width / this.scale);
    this.app.plan = this.plan;
    const [w, tall] = [this.plan.width * this.scale, this.plan.height * this.scale];
    this.ratio = Math.min(2, devicePixelRatio || 1);
    for (const { style } of [this.plane, this.canvas]) {
      style.width = `${w}px`;
      style.height = `${tall}px`;
    }
    this.canvas.width = Math.round(w * this.ratio);
    this.canvas.height = Math.round(tall * this.ratio);
    this.build();
    this.paintNow();
  }

  /** The elements on top of the picture: a button for each neuron, heads and feet. They stay until the shape changes. */
  build() {
    const { plan } = this;
    const focused = document.activeElement?.dataset?.key;
    this.buttons = [];
    const parts = [];
    plan.nodes.forEach((column, layer) => {
      const xs = column.map((node) => node.x);
      const x = (Math.min(...xs) + Math.max(...xs)) / 2;
      parts.push(this.app.head(layer, this.columns[layer].kind, x * this.scale));
      if (layer > 0) parts.push(this.foot(layer, x));
      if (this.columns[layer].kind === "pixels") return;
      for (const node of column) parts.push(...this.button(layer, node));
    });
    parts.push(h("div", { class: "foot", "aria-hidden": "true", style: { left: `${Math.max(46, plan.nodes[0][0].x) * this.scale}px` } }, "norm of the", h("br"), "gradient"));
    this.heads = parts.filter((part) => part.update);
    this.heads.forEach((head) => head.update(this.app.state));
    this.feet = parts.filter((part) => part.bar);
    this.over.replaceChildren(...parts.map((part) => part.element ?? part));
    if (focused) this.over.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  button(layer, node) {
    const isInput = layer === 0;
    const k = this.scale;
    const name = isInput ? `Input ${node.name}` : neuronName(this.app.state, layer, node.index);
    const button = h("button", {
      type: "button", class: "neuron", "data-key": `${layer}.${isInput ? node.feature : node.index}`,
      "aria-label": name[0].toUpperCase() + name.slice(1), "aria-pressed": isInput ? String(node.active) : null,
      title: isInput ? (node.active ? "Switch this input off" : "Switch this input on") : null,
      style: { left: `${node.x * k}px`, top: `${node.y * k}px`, width: `${(node.size + 4) * k}px`, height: `${(node.size + 4) * k}px` },
      onclick: () => (isInput ? this.app.toggleFeature(node.feature) : this.app.select({ what: "bias", layer, to: node.index })),
      onpointerenter: () => this.focusOn(layer, node), onpointerleave: () => this.focusOn(null),
      onfocus: () => this.focusOn(layer, node), onblur: () => this.focusOn(null),
      onkeydown: (event) => this.arrow(event, layer, node),
    });
    this.buttons.push({ layer, index: node.index, button });
    if (!isInput) return [button];
    return [h("span", { class: `feature ${node.active ? "" : "off"}`, "aria-hidden": "true", style: { left: `${(node.x - node.size / 2 - 8) * k}px`, top: `${node.y * k}px` } }, node.label), button];
  }

  /** Of images, the example in hand is shown in the inputs, and each neuron's answer to it in the neuron. */
  async lookAtExample() {
    const { app } = this;
    if (!app.state.images) {
      app.pixels = null;
      return;
    }
    if (this.looking || performance.now() - (this.looked ?? 0) < 400) return;
    this.looking = true;
    this.looked = performance.now();
    app.pixels = await app.ask("inspect", {}, { quiet: true });
    this.looking = false;
    this.draw();
  }

  /** Arrow keys walk over the neurons. */
  arrow(event, layer, node) {
    const [dl, di] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!dl && !di) return;
    event.preventDefault();
    const column = this.buttons.filter((one) => one.layer === layer + dl);
    if (!column.length) return;
    const goal = di ? node.index + di : Math.min(node.index, column.length - 1);
    column.find((one) => one.index === goal)?.button.focus();
  }

  foot(layer, x) {
    const bar = h("span");
    const text = h("span");
    const element = h("div", { class: "foot", title: "Norm of the gradient of this layer's weights, on a logarithmic scale", style: { left: `${x * this.scale}px` } },
      h("div", { class: "track", "aria-hidden": "true" }, bar), text);
    return { element, bar, text };
  }

  focusOn(layer, node) {
    this.focus = layer === null ? null : { layer, index: node.index, source: node.source };
    if (layer !== null && layer >= 0 && node.active !== false) this.app.hoverNode(layer, node);
    else this.app.hoverNode(null);
    this.showTip(layer === null ? null : node);
    this.draw();
  }

  point(event) {
    const [x, y] = [event.offsetX / this.scale, event.offsetY / this.scale];
    const found = nearest(this.plan, x, y);
    this.canvas.classList.toggle("onlink", found >= 0);
    if (found === (this.hover ?? -1)) {
      if (found >= 0) this.place(x, y);
      return;
    }
    this.hover = found >= 0 ? found : null;
    this.showTip(null);
    if (found >= 0) {
      this.place(x, y);
      this.showTip(this.plan.links[found]);
    }
    this.draw();
  }

  unpoint() {
    if (this.hover === null) return;
    this.hover = null;
    this.showTip(null);
    this.draw();
  }

  click(event) {
    const found = nearest(this.plan, event.offsetX / this.scale, event.offsetY / this.scale, 9);
    if (found < 0) return;
    const { layer, to, from } = this.plan.links[found];
    this.app.select({ what: "weight", layer, to, from });
  }

  place(x, y) {
    this.tip.style.left = `${Math.min(x + 14, this.plan.width - 180) * this.scale}px`;
    this.tip.style.top = `${(y + 14) * this.scale}px`;
  }

  /** The card of what is pointed at; its numbers are written anew with each frame. */
  showTip(subject) {
    this.tipOf = subject;
    this.tip.hidden = subject === null;
    if (subject?.size !== undefined) this.place(subject.x + subject.size / 2 - 4, subject.y + subject.size / 2 - 8);
    if (subject !== null) this.writeTip();
  }

  writeTip() {
    const subject = this.tipOf;
    if (!subject) return;
    const arrays = this.app.frame?.arrays;
    const lines = [];
    if (subject.size === undefined) {
      const i = this.plan.links.indexOf(subject);
      lines.push(`weight ${number(arrays?.weights?.[i] ?? NaN, 4)}`);
      if (arrays?.gradients) lines.push(`gradient ${number(arrays.gradients[i], 3)}`);
      if (arrays?.updates) lines.push(`update/weight ${number(arrays.updates[i], 2)}`);
      if (arrays?.dead?.[i]) lines.push("dead: L1 carried it across zero");
      lines.push("click: how it comes about");
    } else if (subject.layer === 0) {
      lines.push(subject.active ? `input ${subject.name}` : `${subject.name}: click to use it`);
    } else {
      const bias = arrays?.biases?.[subject.bias];
      lines.push(neuronName(this.app.state, subject.layer, subject.index), `bias ${number(bias ?? NaN, 4)}`);
      const values = this.app.values?.(subject.layer, subject);
      if (values?.activation !== undefined) lines.push(`value ${number(values.activation, 4)}`);
      if (values?.cotangent !== undefined) lines.push(`cotangent ${number(values.cotangent, 3)}`);
    }
    const text = lines.join("\n");
    if (this.tip.textContent !== text) this.tip.textContent = text;
  }

  /** Dots run along the links once; without motion the numbers alone are shown. */
  startFlow(half) {
    if (!half || stillness.matches || !["forward", "backward"].includes(half.phase)) {
      this.flow = null;
      this.draw();
      return;
    }
    const layers = this.plan.nodes.length - 1;
    const back = half.phase === "backward";
    this.flow = { back, time: 0, start: performance.now(), seconds: layers * FLOW_SECONDS, strengths: this.app.strengths?.(back) };
    const move = (now) => {
      if (!this.flow) return;
      this.flow.time = (now - this.flow.start) / 1000 / this.flow.seconds;
      if (this.flow.time >= 1) this.flow = null;
      this.paintNow();
      if (this.flow) requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  }

  paintNow() {
    if (!this.plan) return;
    const { app, plan } = this;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio * this.scale, 0, 0, this.ratio * this.scale, 0, 0);
    const { selected } = app;
    const chosen = selected?.what === "weight" ? plan.links.findIndex((link) => link.layer === selected.layer && link.to === selected.to && link.from === selected.from) : null;
    const from = this.scroll.scrollLeft / this.scale - 20; // deep networks are wider than what is in sight
    const visible = [from, from + this.scroll.clientWidth / this.scale + 40];
    const outputs = plan.nodes[plan.nodes.length - 1].length;
    paint(pen, {
      plan, visible, frame: app.frame, colour: app.view.colour, discretise: app.view.discretise, hover: this.hover, chosen, focus: this.focus,
      flow: this.flow, pinned: selected?.what === "bias" ? { layer: selected.layer, index: selected.to } : null,
      classes: outputs > 1 ? Array.from({ length: outputs }, (_, i) => classColour(i)) : null,
      values: app.values, pictures: (layer, node) => node.picture ?? null, pixels: app.pixels,
    }, this.thumbnails);
    this.writeTip();
    this.writeFeet();
  }

  writeFeet() {
    const norms = this.app.frame?.arrays.layer_norms;
    if (!norms) return;
    const top = Math.max(...norms, 1e-300);
    this.feet.forEach((foot, i) => {
      const share = norms[i] > 0 ? Math.max(0.02, 1 + Math.log10(norms[i] / top) / 6) : 0;
      foot.bar.style.transform = `scaleX(${share})`;
      const text = Number.isFinite(norms[i]) ? number(norms[i], 2) : "NaN";
      if (foot.text.textContent !== text) foot.text.textContent = text;
      foot.element.classList.toggle("starved", norms[i] < top * 1e-4);
    });
  }
}

