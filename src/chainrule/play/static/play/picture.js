// The network as a picture to keep: SVG drawn anew from the layout and the newest frame, PNG from the canvas itself.

import { ink, lookup, valueColour } from "./colour.js";
import { linkStyle, paint, Thumbnails } from "./paint.js";
import { featureName, neuronName } from "./netview.js";

const XML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text) => text.replace(/[&<>"]/g, (one) => XML[one]);
const place = (value) => value.toFixed(1);

/** The network as the text of an SVG file that needs nothing else. */
export function pictureSvg(app) {
  const { plan, frame } = app;
  const style = linkStyle(app.view.colour, frame.arrays);
  const parts = plan.links.map((link, i) => {
    const [colour, width] = style(i);
    return `<path d="M${place(link.x0)} ${place(link.y0)}C${place(link.c0)} ${place(link.y0)} ${place(link.c1)} ${place(link.y1)} ${place(link.x1)} ${place(link.y1)}" fill="none" stroke="${colour}" stroke-width="${width.toFixed(2)}"/>`;
  });
  const thumbnails = new Thumbnails();
  const bytes = frame.arrays.nodes;
  const side = frame.shapes.nodes?.[1] ?? 0;
  for (const column of plan.nodes) for (const node of column) {
    const box = `x="${place(node.x - node.size / 2)}" y="${place(node.y - node.size / 2)}" width="${place(node.size)}" height="${place(node.size)}"`;
    if (Number.isInteger(node.picture) && side && (node.picture + 1) * side * side <= bytes.length) {
      const url = thumbnails.canvas(node.picture, bytes, side, lookup(app.view.discretise)).toDataURL();
      parts.push(`<image ${box} href="${url}"/>`);
    }
    const name = node.layer === 0 ? node.name : neuronName(app.state, node.layer, node.index);
    parts.push(`<rect ${box} rx="5" fill="none" stroke="${ink("--edge")}"><title>${escaped(name)}</title></rect>`);
    if (node.layer > 0 && frame.arrays.biases) parts.push(`<rect x="${place(node.x - node.size / 2 - 4)}" y="${place(node.y + node.size / 2 - 4)}" width="8" height="8" rx="2" fill="${valueColour(Math.tanh(1.5 * frame.arrays.biases[node.bias]))}" stroke="${ink("--edge")}"/>`);
    if (node.layer === 0 && node.feature) parts.push(`<text x="${place(node.x - node.size / 2 - 8)}" y="${place(node.y + 5)}" text-anchor="end" font-family="system-ui, sans-serif" font-size="13" fill="${ink("--ink")}">${escaped(featureName(node.feature))}</text>`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${place(plan.width)} ${place(plan.height)}" width="${place(plan.width)}" height="${place(plan.height)}">`
    + `<title>A network of ${plan.nodes.length - 1} layers</title><rect width="100%" height="100%" fill="${ink("--panel")}"/>${parts.join("")}</svg>\n`;
}

/** The network's picture as PNG, twice as fine as on the screen. */
export function picture(app) {
  const { plan, frame } = app;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(plan.width * 2);
  canvas.height = Math.round(plan.height * 2);
  const pen = canvas.getContext("2d");
  pen.setTransform(2, 0, 0, 2, 0, 0);
  paint(pen, { plan, frame, colour: app.view.colour, discretise: app.view.discretise, pictures: (layer, node) => node.picture ?? null }, new Thumbnails());
  pen.fillStyle = ink("--ink");
  pen.font = `13px ${ink("--sans")}`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const node of plan.nodes[0]) if (node.feature) pen.fillText(featureName(node.feature), node.x - node.size / 2 - 8, node.y);
  pen.globalCompositeOperation = "destination-over";
  pen.fillStyle = ink("--panel");
  pen.fillRect(0, 0, plan.width, plan.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
