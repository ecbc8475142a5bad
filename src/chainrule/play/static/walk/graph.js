// The graph as SVG: boxes with values that appear forward and gradients that appear backward. Ranks and heights come
// from the engine; here they become places, across or downwards, whichever fits, and edges find gaps between boxes.

import { number } from "../format.js";
import { h, s, stillness } from "../ui.js";
import { brief, briefGradient, isFinite_, isZero, real, scalar, seen } from "./seen.js";
import { nice, stepOf, windowOf } from "./scale.js";

const HIGH = 60;
const ACROSS = { wide: 128, main: 78, cross: 24, margin: 9 };
const DOWN = { wide: 108, main: 44, cross: 14, margin: 10 };
const LEAST = 0.72; // of the drawing's natural size: what can still be read; wider graphs scroll
const MOST_STOPS = 24;

export class Graph {
  /** `actions`: change(name, value, done), choose(line), step(by). */
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.walk = null;
    this.at = 0;
    this.shape = "";
    new ResizeObserver(() => this.walk && this.#arrange()).observe(place);
    place.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.turned = 0;
  }

  /** Take a new walk; boxes are only made anew when the graph itself is another. */
  draw(walk, at) {
    this.walk = walk;
    this.at = at;
    const shape = JSON.stringify([walk.editable, walk.nodes.map((n) => [n.line, n.kind, n.symbol, n.rank, n.height]), walk.edges.map((e) => [e.from, e.to])]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.#build();
      this.#arrange(true);
      this.show(at);
      this.#follow(walk.steps[at]);
    } else this.show(at);
  }

  // ------------------------------------------------------------------------------------------------------- elements

  #build() {
    const { walk } = this;
    const stops = walk.nodes.length <= MOST_STOPS;
    this.boxOf = new Map(walk.nodes.flatMap((node, i) => node.lines.map((line) => [line, i])));
    this.edges = walk.edges.map(() => {
      const path = s("path", { class: "edge" });
      const label = s("text", { class: "local", "text-anchor": "middle" });
      const pill = s("rect", { class: "pill", rx: 6 });
      return { path, label, pill, group: s("g", {}, path), tag: s("g", { class: "tag" }, pill, label) };
    });
    this.boxes = walk.nodes.map((node) => this.#box(node, stops));
    this.dot = s("circle", { class: "dot", r: 6 });
    this.svg = s("svg", { role: "group", "aria-label": "" },
      s("g", {}, this.edges.map((e) => e.group)), s("g", {}, this.boxes.map((b) => b.group)), s("g", {}, this.edges.map((e) => e.tag)), this.dot);
    this.place.replaceChildren(this.svg);
  }

  #box(node, stops) {
    const input = node.name !== null && node.name !== "" && this.walk.editable && node.value?.shape.length === 0;
    const symbol = s("text", { class: "symbol", x: 12, y: 24 }, short(node.symbol, 9));
    const value = s("text", { class: "value", y: 24, "text-anchor": "end" });
    const gradient = s("text", { class: "gradient", y: 45, "text-anchor": "end" });
    const rect = s("rect", { class: "box", height: HIGH, rx: 10 });
    const sheet = node.repeats > 1 ? s("rect", { class: "box sheet", x: 5, y: 5, height: HIGH, rx: 10 }) : null;
    const track = input ? s("line", { class: "track", x1: 12, y1: HIGH - 8, y2: HIGH - 8 }) : null;
    const parts = [sheet, rect, symbol, value, gradient, track];
    const box = { node, symbol, value, gradient, wide: ACROSS.wide };
    box.widen = (wide) => {
      box.wide = wide;
      for (const one of [rect, sheet]) one?.setAttribute("width", wide);
      for (const one of [value, gradient]) one.setAttribute("x", wide - 12);
      track?.setAttribute("x2", wide - 12);
    };
    if (input) parts.push(box.knob = s("circle", { class: "knob", r: 4, cy: HIGH - 8 }));
    const role = input ? { role: "slider", tabindex: 0 } : stops ? { role: "button", tabindex: 0 } : { role: "img" };
    box.group = s("g", { class: `node ${node.kind}${input ? " held" : ""}`, ...role }, parts);
    if (input) this.#slider(box);
    box.group.addEventListener("click", () => this.actions.choose(node.line));
    box.group.addEventListener("keydown", (event) => {
      if (!input && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        event.stopPropagation();
        this.actions.choose(node.line);
      }
    });
    return box;
  }

  /** Dragging and keys on the box of an input. */
  #slider(box) {
    const { group, node } = box;
    let from = null;
    group.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      group.setPointerCapture(event.pointerId);
      const value = this.#valueOf(node.line);
      from = { x: event.clientX, value, wide: windowOf(value), scale: this.svg.getScreenCTM().a * (box.wide - 24) };
    });
    group.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const moved = (event.clientX - from.x) / from.scale;
      if (Math.abs(event.clientX - from.x) < 2) return;
      from.moved = true;
      this.actions.change(node.name, nice(from.value + moved * 2 * from.wide, stepOf(from.wide)), false);
    });
    const end = () => {
      if (from?.moved) this.actions.change(node.name, this.#valueOf(node.line), true);
      from = null;
    };
    group.addEventListener("pointerup", end);
    group.addEventListener("pointercancel", end);
    group.addEventListener("keydown", (event) => {
      const value = this.#valueOf(node.line);
      const one = 5 * stepOf(windowOf(value));
      const by = { ArrowUp: one, ArrowRight: one, ArrowDown: -one, ArrowLeft: -one, PageUp: 10 * one, PageDown: -10 * one }[event.key];
      const to = event.key === "Home" ? 0 : by === undefined ? null : nice(value + by, one / 5);
      if (to === null) return;
      event.preventDefault();
      event.stopPropagation();
      this.actions.change(node.name, to, true);
    });
  }

  #valueOf(line) {
    const asked = this.actions.asked(this.walk.nodes[this.boxOf.get(line)].name);
    return typeof asked === "number" ? asked : scalar(this.walk.nodes[this.boxOf.get(line)].value) ?? 0;
  }

  // ---------------------------------------------------------------------------------------------------------- places

  /** Choose the direction that fits and give everything its place. */
  #arrange(force = false) {
    const room = this.place.clientWidth || 800;
    const { nodes } = this.walk;
    this.svg.classList.toggle("none", !nodes.length); // a lone variable: nothing is computed from it
    if (!nodes.length) return;
    const ranks = 1 + Math.max(...nodes.map((n) => n.rank));
    const least = Math.min(...nodes.map((n) => n.height));
    const span = 1 + Math.max(...nodes.map((n) => n.height)) - least;
    const wideAcross = ranks * (ACROSS.wide + ACROSS.main) - ACROSS.main + 2 * ACROSS.margin;
    const wideDown = span * (DOWN.wide + DOWN.cross) - DOWN.cross + 2 * DOWN.margin;
    const down = room < 560 && room < LEAST * wideAcross && wideDown < wideAcross && ranks < 14;
    const key = `${down}`;
    if (force || key !== this.arranged) {
      this.arranged = key;
      this.down = down;
      this.#lay(down, least);
      if (!force) this.show(this.at);
    }
    const text = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const fits = room / this.size.wide;
    const tall = 0.62 * innerHeight; // what is taller scrolls too
    this.place.style.setProperty("max-height", `${Math.max(tall, 320)}px`);
    const scale = fits < LEAST ? (this.size.high > tall ? LEAST : 0.9) : Math.min(1.2 * text, fits, Math.max(0.9, (0.5 * innerHeight) / this.size.high));
    this.svg.setAttribute("width", this.size.wide * scale);
    this.svg.setAttribute("height", this.size.high * scale);
  }

  #lay(down, least) {
    const { nodes, edges } = this.walk;
    const gap = down ? DOWN : ACROSS;
    const { wide, margin } = gap;
    const long = down ? HIGH : wide, broad = down ? wide : HIGH; // of a box, along the main axis and across it
    for (const box of this.boxes) box.widen(wide);
    const main = (rank) => rank * (long + gap.main);
    const cross = (height) => (height - least) * (broad + gap.cross);
    const places = nodes.map((n) => ({ m: main(n.rank), c: cross(n.height) }));
    const routes = route(nodes, edges, places, { long, broad, main, gap });
    const all = [...places.map((p) => p.c), ...places.map((p) => p.c + broad), ...routes.flatMap((r) => r.map((p) => p.c))];
    const top = Math.min(...all) - margin, bottom = Math.max(...all) + margin;
    const end = Math.max(...places.map((p) => p.m)) + long + margin;
    const at = ({ m, c }) => (down ? [c - top, m + margin] : [m + margin, c - top]);
    this.size = down ? { wide: bottom - top, high: end + margin } : { wide: end + margin, high: bottom - top };
    this.svg.setAttribute("viewBox", `0 0 ${this.size.wide} ${this.size.high}`);
    places.forEach((p, i) => {
      const [x, y] = at(p);
      Object.assign(this.boxes[i], { x, y });
      this.boxes[i].group.setAttribute("transform", `translate(${x} ${y})`);
    });
    routes.forEach((points, i) => {
      const edge = this.edges[i];
      edge.path.setAttribute("d", curve(points.map(at), down));
      const length = edge.path.getTotalLength();
      const middle = edge.path.getPointAtLength(points.length > 2 ? length - gap.main * 0.55 : length / 2);
      edge.middle = [middle.x, middle.y];
    });
  }

  // ------------------------------------------------------------------------------------------------------------ steps

  /** Show step `at`; `from` is where the reader came from, for what moves. */
  show(at, from = at) {
    const { walk } = this;
    this.at = at;
    const step = walk.steps[at];
    const now = seen(walk, at);
    walk.nodes.forEach((node, i) => this.#showBox(this.boxes[i], node, now, step));
    walk.edges.forEach((edge, i) => this.#showEdge(this.edges[i], edge, now, step));
    this.svg.setAttribute("aria-label", `Graph of ${walk.function.slice(0, 120)}: ${walk.nodes.length} boxes, at step ${at} of ${walk.steps.length - 1}`);
    if (at === from + 1) this.#travel(step);
    else this.dot.setAttribute("visibility", "hidden");
    if (at !== from) this.#follow(step);
  }

  #showBox(box, node, now, step) {
    box.node = node;
    const known = now.valued.has(node.line);
    const found = now.gradients.get(node.line);
    box.value.textContent = known ? fitting(node.value, Math.max(5, Math.floor((box.wide - 32 - 9.5 * node.symbol.length) / 8))) : "?";
    let told = "";
    if (found?.value) told = briefGradient(found.value);
    else if (found) told = found.parts.every((p) => !p.shape.length) ? `∂ ${number(found.parts.reduce((sum, p) => sum + scalar(p), 0), 3)} + …` : "∂ …";
    const moved = this.#movedTo(node, step);
    box.gradient.textContent = moved ?? short(told, 14);
    const active = this.#isActive(node, step);
    const classes = ["node", node.kind, box.knob ? "held" : "", known ? "" : "unknown", active ? `active ${step.phase}` : "",
      found?.value && isZero(found.value) ? "zero" : "", moved !== null ? "moved" : "",
      known && !isFinite_(node.value) ? "infinite" : ""];
    box.group.setAttribute("class", classes.filter(Boolean).join(" "));
    const said = [node.symbol, known ? `is ${brief(node.value)}` : "not computed yet", found?.value ? `gradient ${brief(found.value)}` : ""];
    if (!box.knob) {
      box.group.setAttribute("aria-label", said.filter(Boolean).join(", ") + (box.group.getAttribute("role") === "button" ? ": show its local function" : ""));
      return;
    }
    const value = scalar(node.value);
    const wide = windowOf(value);
    box.knob.setAttribute("cx", 12 + (box.wide - 24) * Math.min(1, Math.max(0, (value + wide) / (2 * wide))));
    const bounds = { label: node.symbol, valuenow: value, valuemin: -wide, valuemax: wide, valuetext: said.slice(1).filter(Boolean).join(", ").replace(/^is /, "") };
    for (const [name, to] of Object.entries(bounds)) box.group.setAttribute(`aria-${name}`, to);
  }

  /** What the update makes of a value, or null: "→ 0.1". */
  #movedTo(node, step) {
    if (step.phase !== "update" && step.phase !== "after") return null;
    const update = node.kind === "weight" ? this.walk.updates.find((u) => u.name === node.name) : undefined;
    if (update && !update.value?.shape.length) return `→ ${brief(update.value)}`;
    return node.kind === "loss" && step.phase === "after" ? `→ ${number(real(this.walk.after))}` : null;
  }

  #isActive(node, step) {
    if (step.phase === "start") return node.name !== null && node.name !== "";
    if (step.phase === "update" || step.phase === "after") return node.kind === (step.phase === "update" ? "weight" : "loss");
    return node.lines.includes(step.line);
  }

  #showEdge(shown, edge, now, step) {
    const key = `${edge.used}-${edge.user}`;
    const passed = now.passed.get(key);
    const forward = step.phase === "forward" && this.#same(step.line, edge.user);
    const backward = step.phase === "backward" && step.through !== null && this.#same(step.line, edge.used) && this.#same(step.through, edge.user);
    const summed = step.phase === "sum" && step.line === edge.used ? step.terms.find((t) => t.through === edge.user) : undefined;
    const kind = forward ? "forward" : backward ? "backward" : summed ? "sum" : "";
    shown.group.setAttribute("class", ["edge-group", edge.active ? "" : "cut", passed ? "passed" : "", kind && `active ${kind}`].filter(Boolean).join(" "));
    let text = "";
    if (summed) text = `+ ${brief(summed.value, 3)}`;
    else if (passed && edge.local && !edge.local.shape.length) text = `× ${brief(edge.local, 3)}`;
    shown.tag.setAttribute("class", `tag ${kind}${text ? "" : " empty"}`);
    if (shown.label.textContent !== text) shown.label.textContent = text;
    if (!text) return;
    const [x, y] = shown.middle;
    const wide = 10 + 6.9 * text.length;
    shown.label.setAttribute("x", x);
    shown.label.setAttribute("y", y + 4);
    for (const [name, to] of Object.entries({ x: x - wide / 2, y: y - 10, width: wide, height: 20 })) shown.pill.setAttribute(name, to);
  }

  #same(line, other) {
    return this.boxOf.get(line) === this.boxOf.get(other);
  }

  /** A dot that goes along the step's edges, forward or back. */
  #travel(step) {
    this.dot.setAttribute("visibility", "hidden");
    if (stillness.matches || !["forward", "backward"].includes(step.phase)) return;
    const index = this.walk.edges.findIndex((e) => (step.phase === "forward" ? this.#same(e.user, step.line)
      : step.through !== null && this.#same(e.used, step.line) && this.#same(e.user, step.through)));
    if (index < 0) return;
    const { path } = this.edges[index];
    const length = path.getTotalLength();
    const begun = performance.now();
    const run = (this.run = (this.run ?? 0) + 1);
    this.dot.setAttribute("class", `dot ${step.phase}`);
    const move = (time) => {
      const share = Math.min(1, (time - begun) / 420);
      if (run !== this.run || share >= 1) {
        if (run === this.run) this.dot.setAttribute("visibility", "hidden");
        return;
      }
      const eased = share * share * (3 - 2 * share);
      const { x, y } = path.getPointAtLength(length * (step.phase === "forward" ? eased : 1 - eased));
      this.dot.setAttribute("cx", x);
      this.dot.setAttribute("cy", y);
      this.dot.setAttribute("visibility", "visible");
      requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  }

  /** Keep the active box in sight, inside of the graph's own scrolled area only. */
  #follow(step) {
    const box = this.boxes[this.boxOf.get(step.line)];
    const { place } = this;
    if (!box || (place.scrollWidth <= place.clientWidth && place.scrollHeight <= place.clientHeight)) return;
    const scale = this.svg.clientWidth / this.size.wide;
    const left = step.phase === "start" ? 0 : (box.x + box.wide / 2) * scale - place.clientWidth / 2;
    const top = (box.y + HIGH / 2) * scale - place.clientHeight / 2;
    place.scrollTo({ left, top, behavior: stillness.matches ? "auto" : "smooth" });
  }

  /** Scrolling over the graph steps; at either end, and with Ctrl, the page scrolls (or zooms) as always. */
  #wheel(event) {
    if (event.ctrlKey || event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    const by = Math.sign(event.deltaY);
    const last = this.walk ? this.walk.steps.length - 1 : 0;
    if ((by > 0 && this.at >= last) || (by < 0 && this.at <= 0)) return;
    event.preventDefault();
    if (event.timeStamp - (this.wheeled ?? 0) > 300 || Math.sign(this.turned) !== by) this.turned = 0;
    this.wheeled = event.timeStamp;
    this.turned += event.deltaMode === 1 ? 30 * event.deltaY : event.deltaY;
    if (Math.abs(this.turned) >= 60) {
      this.turned = 0;
      this.actions.step(by);
    }
  }
}

// -------------------------------------------------------------------------------------------------------------- routes

/** Each edge as points in (main, cross): straight between neighbours, through gaps where ranks lie between. */
function route(nodes, edges, places, { long, broad, main, gap }) {
  const taken = new Map(); // rank → cross places of edges that pass it
  const into = new Map();
  edges.forEach((e, i) => into.set(e.to, [...(into.get(e.to) ?? []), i]));
  const arrival = new Map();
  for (const [to, list] of into) {
    const sorted = [...list].sort((a, b) => places[edges[a].from].c - places[edges[b].from].c);
    const room = Math.min(14, (broad - 24) / Math.max(1, sorted.length - 1));
    sorted.forEach((i, k) => arrival.set(i, places[to].c + broad / 2 + (k - (sorted.length - 1) / 2) * room));
  }
  return edges.map((edge, i) => {
    const a = nodes[edge.from], b = nodes[edge.to];
    const start = { m: places[edge.from].m + long, c: places[edge.from].c + broad / 2 };
    const end = { m: places[edge.to].m, c: arrival.get(i) };
    const points = [start];
    for (let rank = a.rank + 1; rank < b.rank; rank++) {
      const share = (rank - a.rank) / (b.rank - a.rank);
      const wanted = start.c + (end.c - start.c) * share;
      const boxes = nodes.map((n, k) => (n.rank === rank ? places[k].c : null)).filter((c) => c !== null);
      const c = free(wanted, boxes, broad, taken.get(rank) ?? []);
      taken.set(rank, [...(taken.get(rank) ?? []), c]);
      points.push({ m: main(rank) - 4, c }, { m: main(rank) + long + 4, c });
    }
    points.push(end);
    return points;
  });
}

/** The place nearest to `wanted` that keeps away from boxes and from other edges. */
function free(wanted, boxes, broad, others) {
  const clear = (c) => boxes.every((b) => c < b - 9 || c > b + broad + 9) && others.every((o) => Math.abs(o - c) >= 11);
  for (let d = 0; d < 2000; d += 4) for (const c of [wanted + d, wanted - d]) if (clear(c)) return c;
  return wanted;
}

/** A smooth line through points that leaves and arrives along the main axis. */
function curve(points, down) {
  let path = `M${points[0].join(" ")}`;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1], [x1, y1] = points[i];
    const half = (down ? y1 - y0 : x1 - x0) / 2;
    path += down ? `C${x0} ${y0 + half} ${x1} ${y1 - half} ${x1} ${y1}` : `C${x0 + half} ${y0} ${x1 - half} ${y1} ${x1} ${y1}`;
  }
  return path;
}

/** A value in at most so many characters: with fewer digits rather than cut off. */
function fitting(value, most) {
  for (const digits of [4, 3, 2]) {
    const text = brief(value, digits);
    if (text.length <= most) return text;
  }
  return short(brief(value, 2), most);
}

const short = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** What the colours mean, in words. */
export function legend() {
  const one = (kind, text) => h("span", { class: `key-item ${kind}` }, text);
  return [one("weight", "differentiated"), one("data", "given"), one("grad", "∂ gradient of the loss"), one("times", "× local derivative")];
}
