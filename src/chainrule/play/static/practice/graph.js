// A graph of an exercise: drawn, and as a table. From left to right; from top to bottom where there is no room.

import { h, math, s } from "../ui.js";

const BOX = { width: 100, height: 52 };
let drawn = 0;

export function words(list) {
  return list.map((part) => (typeof part === "string" ? part : math(part)));
}

/** The place of each node in pixels, and the size of the sheet. */
function placed(nodes, upright) {
  const low = Math.min(...nodes.map((n) => n.y)), first = Math.min(...nodes.map((n) => n.x));
  const along = upright ? BOX.height + 44 : BOX.width + 44, across = upright ? BOX.width + 20 : BOX.height + 22;
  const at = new Map();
  for (const node of nodes) {
    const a = (node.x - first) * along, b = (node.y - low) * across;
    at.set(node.name, upright ? { x: 8 + b, y: 8 + a } : { x: 8 + a, y: 8 + b });
  }
  const width = Math.max(...[...at.values()].map((p) => p.x)) + BOX.width + 8;
  const height = Math.max(...[...at.values()].map((p) => p.y)) + BOX.height + 8;
  return { at, width, height };
}

/** Points along a cubic curve. */
function along(p0, p1, p2, p3) {
  return Array.from({ length: 25 }, (_, i) => {
    const t = i / 24, u = 1 - t;
    return { x: u ** 3 * p0.x + 3 * u * u * t * p1.x + 3 * u * t * t * p2.x + t ** 3 * p3.x, y: u ** 3 * p0.y + 3 * u * u * t * p1.y + 3 * u * t * t * p2.y + t ** 3 * p3.y };
  });
}

/** The curve of an edge: straight on where nothing is in the way, else around it on the nearer side. */
function route(from, to, others, upright) {
  const start = upright ? { x: from.x + BOX.width / 2, y: from.y + BOX.height } : { x: from.x + BOX.width, y: from.y + BOX.height / 2 };
  const end = upright ? { x: to.x + BOX.width / 2, y: to.y } : { x: to.x, y: to.y + BOX.height / 2 };
  const bend = Math.max(20, (upright ? end.y - start.y : end.x - start.x) / 2);
  const across = upright ? BOX.width : BOX.height;
  const blocked = (points) => points.some((p) => others.some((o) => p.x > o.x - 6 && p.x < o.x + BOX.width + 6 && p.y > o.y - 6 && p.y < o.y + BOX.height + 6));
  let last = null;
  for (const side of [0, -0.9, 0.9, -1.5, 1.5, -2.1, 2.1, -2.8, 2.8]) {
    const off = side * across, pull = side === 0 ? bend : 0.6 * bend;
    const one = upright ? { x: start.x + off, y: start.y + pull } : { x: start.x + pull, y: start.y + off };
    const two = upright ? { x: end.x + off, y: end.y - pull } : { x: end.x - pull, y: end.y + off };
    const points = along(start, one, two, end);
    last = { points, d: `M${start.x} ${start.y}C${one.x} ${one.y} ${two.x} ${two.y} ${end.x} ${end.y}` };
    if (!blocked(points)) return last;
  }
  return last;
}

function edge(link, way, arrow) {
  const parts = [s("path", { class: link.asked ? "edge wanted" : "edge", d: way.d, "marker-end": `url(#${arrow})` })];
  const label = link.asked ? "?" : link.local;
  if (label) parts.push(s("text", { class: "mark", x: way.points[12].x, y: way.points[12].y + 5 }, label));
  return parts;
}

function box(node, at) {
  const kind = node.asked ? `${node.kind} asked` : node.kind;
  const back = node.asked ? "∂ ?" : node.gradient === null ? null : `∂ ${node.gradient}`;
  const middle = at.y + (back || node.value !== null ? 22 : 32);
  return s("g", { class: kind },
    s("rect", { x: at.x, y: at.y, width: BOX.width, height: BOX.height, rx: 8 }),
    s("text", { class: "symbol", x: at.x + 12, y: middle }, node.symbol.text),
    node.value === null ? null : s("text", { class: "value", x: at.x + BOX.width - 10, y: at.y + 22 }, node.value),
    back ? s("text", { class: "back", x: at.x + BOX.width - 10, y: at.y + 43 }, back) : null);
}

function picture(data, upright) {
  const { at, width, height } = placed(data.nodes, upright);
  const arrow = `arrow${(drawn += 1)}`;
  const ways = data.edges.map((link) => {
    const others = [...at].filter(([name]) => name !== link.from && name !== link.to).map(([, place]) => place);
    return route(at.get(link.from), at.get(link.to), others, upright);
  });
  const all = ways.flatMap((way) => way.points);
  const left = Math.min(0, ...all.map((p) => p.x - 8)), top = Math.min(0, ...all.map((p) => p.y - 8));
  const wide = Math.max(width, ...all.map((p) => p.x + 8)) - left, high = Math.max(height, ...all.map((p) => p.y + 8)) - top;
  const asked = data.nodes.find((n) => n.asked);
  const label = `Graph of ${data.nodes.length} nodes` + (asked ? `; asked is the gradient of ${asked.name}` : "") + ". The table below holds the same.";
  return s("svg", { viewBox: `${left} ${top} ${wide} ${high}`, style: { width: `${wide / 16}rem` }, role: "img", "aria-label": label },
    s("defs", {}, s("marker", { id: arrow, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      s("path", { class: "tip", d: "M0 0 8 4 0 8z" }))),
    data.edges.flatMap((link, number) => edge(link, ways[number], arrow)),
    data.nodes.map((node) => box(node, at.get(node.name))));
}

function asTable(data) {
  const valued = data.nodes.some((n) => n.value !== null), known = data.nodes.some((n) => n.gradient !== null || n.asked);
  const questions = data.edges.filter((link) => link.asked);
  return h("details", {}, h("summary", {}, "The graph as a table"),
    h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "node"), h("th", { scope: "col" }, "computes"), h("th", { scope: "col" }, "uses"),
        valued ? h("th", { scope: "col" }, "value") : null, known ? h("th", { scope: "col" }, "gradient") : null)),
      h("tbody", {}, data.nodes.map((node) => h("tr", {},
        h("td", {}, math(node.symbol)), h("td", {}, node.formula ? math(node.formula) : "given"),
        h("td", {}, data.edges.filter((link) => link.to === node.name).map((link) => link.from).join(", ") || "–"),
        valued ? h("td", {}, node.value ?? "–") : null, known ? h("td", {}, node.asked ? "asked" : node.gradient ?? "–") : null))))),
    questions.map((link) => h("p", {}, `Asked: the local derivative of ${link.to} by ${link.from}.`)));
}

/** The graph as an element that turns upright where it would be drawn too small. */
export function graph(data) {
  const place = h("div", {});
  const found = h("figure", { class: "graph", "aria-label": data.caption }, place, asTable(data));
  const lying = placed(data.nodes, false).width;
  let upright = null;
  const fit = () => {
    const wanted = found.clientWidth > 0 && found.clientWidth < 0.78 * lying;
    if (wanted !== upright) {
      upright = wanted;
      place.replaceChildren(picture(data, upright));
    }
  };
  fit();
  new ResizeObserver(fit).observe(found);
  return found;
}
