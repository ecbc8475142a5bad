// Paints the network on one canvas: links, then each neuron's picture, then biases and, in half-steps, what travels.
// Everything comes from the layout and a frame's arrays; nothing of the document is touched.

import { ink, lookup, ratioColour, strokeColour, valueColour } from "./colour.js";
import { number } from "../format.js";
import { along } from "./layout.js";

const DECADES = 6; // of gradients that are told apart

/** How links are coloured: (array, index) → [colour, width]. The greatest gradient of all sets the scale's top. */
export function linkStyle(colour, arrays) {
  if (colour === "gradient" && arrays.gradients) {
    const top = Math.log10(greatest(arrays.gradients) + 1e-300);
    return (i) => {
      const value = arrays.gradients[i];
      const share = Math.max(0, 1 + (Math.log10(Math.abs(value) + 1e-300) - top) / DECADES);
      return [strokeColour(value, share * share), 0.6 + 5 * share * share];
    };
  }
  if (colour === "update" && arrays.updates) {
    return (i) => {
      const value = arrays.updates[i];
      const share = Math.max(0, Math.min(1, (Math.log10(Math.abs(value) + 1e-30) + 6) / 6));
      return [ratioColour(value), 0.6 + 5 * share];
    };
  }
  return (i) => {
    const value = arrays.weights ? arrays.weights[i] : 0;
    const share = Math.min(1, Math.abs(value) / 3) || 0;
    return [strokeColour(value, 0.15 + Math.sqrt(share)), 0.7 + 7 * share];
  };
}

function greatest(values) {
  let most = 0;
  for (const value of values) if (Number.isFinite(value) && Math.abs(value) > most) most = Math.abs(value);
  return most;
}

/** Each neuron's picture, from the frame's `nodes`, as small canvases that are kept and painted again. */
export class Thumbnails {
  constructor() {
    this.kept = [];
  }

  /** The canvas of picture `index`. `bytes` is all of them, `side` × `side` each. */
  canvas(index, bytes, side, table) {
    let one = this.kept[index];
    if (!one || one.canvas.width !== side) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = side;
      const pen = canvas.getContext("2d");
      const image = pen.createImageData(side, side);
      one = this.kept[index] = { canvas, pen, image, pixels: new Uint32Array(image.data.buffer) };
    }
    const start = index * side * side;
    for (let i = 0; i < side * side; i++) one.pixels[i] = table[bytes[start + i]];
    one.pen.putImageData(one.image, 0, 0);
    return one.canvas;
  }
}

/** Paint everything. `scene` = {plan, frame, colour, discretise, hover, chosen, flow, classes}. */
export function paint(pen, scene, thumbnails) {
  const { plan, frame } = scene;
  pen.clearRect(0, 0, plan.width, plan.height);
  paintLinks(pen, scene);
  if (scene.flow) paintFlow(pen, scene);
  paintNodes(pen, scene, thumbnails);
  if (frame && scene.values) paintValues(pen, scene);
}

function curve(pen, link) {
  pen.beginPath();
  pen.moveTo(link.x0, link.y0);
  pen.bezierCurveTo(link.c0, link.y0, link.c1, link.y1, link.x1, link.y1);
  pen.stroke();
}

function paintLinks(pen, { plan, frame, colour, hover, chosen, focus, visible }) {
  const style = linkStyle(colour, frame?.arrays ?? {});
  const dense = plan.links.length > 600 ? 0.45 : 1;
  pen.lineCap = "butt";
  const dead = frame?.arrays.dead;
  plan.links.forEach((link, i) => {
    if (visible && (link.x1 < visible[0] || link.x0 > visible[1])) return;
    const [stroke, width] = style(i);
    if (dead) pen.setLineDash(dead[i] ? [2, 5] : []);
    pen.globalAlpha = (focus && !touches(link, focus) ? 0.15 : 1) * (dense < 1 ? 0.6 : 1);
    pen.strokeStyle = stroke;
    pen.lineWidth = Math.max(0.5, width * dense);
    curve(pen, link);
  });
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  for (const [i, name] of [[hover, "--ink"], [chosen, "--ink"]]) {
    if (i === null || i === undefined || !plan.links[i]) continue;
    const width = style(i)[1] * dense;
    pen.strokeStyle = ink(name);
    pen.lineWidth = width + 4;
    curve(pen, plan.links[i]);
    pen.strokeStyle = ink("--panel");
    pen.lineWidth = width + 1.5;
    curve(pen, plan.links[i]);
    pen.strokeStyle = style(i)[0];
    pen.lineWidth = width;
    curve(pen, plan.links[i]);
  }
}

const touches = (link, focus) => (link.layer === focus.layer && link.to === focus.index) || (link.layer === focus.layer + 1 && link.from === focus.source);

/** Dots that run along the links: activations forward, cotangents back, layer after layer; larger where more flows. */
function paintFlow(pen, { plan, flow }) {
  const layers = plan.nodes.length - 1;
  const strengths = flow.strengths;
  for (let i = 0; i < plan.links.length; i++) {
    const link = plan.links[i];
    const stage = flow.back ? layers - link.layer : link.layer - 1;
    const share = flow.time * layers - stage;
    if (share <= 0 || share >= 1) continue;
    const [x, y] = along(link, flow.back ? 1 - share : share);
    const size = strengths ? strengths[i] : 0.5;
    pen.fillStyle = flow.back ? ink("--zero") : ink("--good");
    pen.globalAlpha = 0.35 + 0.65 * size;
    pen.beginPath();
    pen.arc(x, y, 1.2 + 3.4 * size, 0, 2 * Math.PI);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

function rounded(pen, x, y, size, radius) {
  pen.beginPath();
  pen.roundRect(x - size / 2, y - size / 2, size, size, radius);
}

function paintNodes(pen, { plan, frame, discretise, pinned, focus, classes, pictures, pixels, visible }, thumbnails) {
  const bytes = frame?.arrays.nodes;
  const side = frame?.shapes.nodes?.[1] ?? 0;
  const table = lookup(discretise);
  let picture = 0;
  plan.nodes.forEach((column, layer) => column.forEach((node) => {
    if (visible && (node.x < visible[0] - 30 || node.x > visible[1] + 30)) return;
    const active = node.active !== false;
    const radius = node.pixel ? 2 : Math.min(6, node.size / 5);
    rounded(pen, node.x, node.y, node.size, radius);
    pen.fillStyle = ink("--sunken");
    pen.fill();
    if (pixels && (node.pixel || !Number.isInteger(pictures(layer, node)))) {
      const values = layer === 0 ? pixels.inputs : layer === plan.nodes.length - 1 ? pixels.shown : pixels.a[layer - 1];
      const value = values?.[node.index];
      pen.fillStyle = node.pixel ? ink("--ink") : valueColour(Math.tanh(value));
      pen.globalAlpha = node.pixel ? Math.max(0, Math.min(1, value)) : 1;
      pen.fill();
      pen.globalAlpha = 1;
    }
    if (active && bytes && pictures(layer, node) !== null && side) {
      picture = pictures(layer, node);
      if ((picture + 1) * side * side <= bytes.length) {
        pen.save();
        pen.clip();
        pen.imageSmoothingEnabled = true;
        pen.drawImage(thumbnails.canvas(picture, bytes, side, table), node.x - node.size / 2, node.y - node.size / 2, node.size, node.size);
        pen.restore();
      }
    }
    const special = (pinned && pinned.layer === layer && pinned.index === node.index) || (focus && focus.layer === layer && focus.index === node.index);
    rounded(pen, node.x, node.y, node.size, radius);
    pen.strokeStyle = special ? ink("--ink") : active ? ink("--edge") : ink("--rule");
    pen.lineWidth = special ? 2 : 1;
    if (!active) pen.setLineDash([3, 3]);
    pen.stroke();
    pen.setLineDash([]);
    if (classes && layer === plan.nodes.length - 1) {
      pen.fillStyle = classes[node.index];
      pen.beginPath();
      pen.arc(node.x + node.size / 2 + 10, node.y, 5, 0, 2 * Math.PI);
      pen.fill();
    }
    if (layer > 0 && frame?.arrays.biases && node.size > 12) paintBias(pen, node, frame.arrays.biases[node.bias]);
  }));
}

function paintBias(pen, node, value) {
  const size = Math.max(5, Math.min(8, node.size / 4.5));
  rounded(pen, node.x - node.size / 2, node.y + node.size / 2, size, 2);
  pen.fillStyle = valueColour(Math.tanh(value * 1.5));
  pen.fill();
  pen.strokeStyle = ink("--edge");
  pen.lineWidth = 1;
  pen.stroke();
}

/** Beside each neuron in half-steps: its activation and, once there, its cotangent. */
function paintValues(pen, { plan, values }) {
  if (plan.pitch < 30) return;
  pen.font = `12px ${ink("--sans")}`;
  pen.textAlign = "left";
  plan.nodes.forEach((column, layer) => column.forEach((node) => {
    if (node.active === false || node.pixel) return;
    const { activation, cotangent } = values(layer, node);
    const x = node.x + node.size / 2 + (layer === plan.nodes.length - 1 && plan.nodes[layer].length > 1 ? 19 : 5);
    const lines = [[activation, "--good", -9], [cotangent, "--zero", 17]];
    for (const [value, colour, shift] of lines) {
      if (value === undefined || value === null) continue;
      const text = number(value, 2);
      pen.strokeStyle = ink("--panel");
      pen.lineWidth = 4;
      pen.lineJoin = "round";
      pen.strokeText(text, x, node.y + shift);
      pen.fillStyle = ink(colour);
      pen.fillText(text, x, node.y + shift);
    }
  }));
}
