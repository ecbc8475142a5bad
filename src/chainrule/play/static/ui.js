// What all rooms share in the page: elements, formulas, requests, messages, the theme. Nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, to] of Object.entries(value)) element.style.setProperty(key, to);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: h("button", { class: "primary", onclick }, "Play"). */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element, in the same way. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element #${id}`);
  return found;
}

// Formulas. The engine writes MathML; only these elements and attributes of it are kept.
const MATHML = new Set(("math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msup msub msubsup munder mover munderover mtable mtr mtd mstyle mpadded "
  + "mphantom menclose").split(" "));
const MATHML_ATTRIBUTES = new Set("display fence stretchy mathvariant width height accent columnalign rowspacing columnspacing separator lspace rspace symmetric form".split(" "));

function kept(node) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.data);
  if (node.nodeType !== Node.ELEMENT_NODE) return null;
  if (!MATHML.has(node.localName)) return document.createTextNode(node.textContent);
  const copy = document.createElementNS("http://www.w3.org/1998/Math/MathML", node.localName);
  for (const { name, value } of node.attributes) if (MATHML_ATTRIBUTES.has(name)) copy.setAttribute(name, value);
  for (const child of node.childNodes) { const one = kept(child); if (one !== null) copy.append(one); }
  return copy;
}

/** A formula: MathML text of the engine, or {mathml, text, latex}, as an element. */
export function math(formula, { block = false } = {}) {
  const text = typeof formula === "string" ? formula : formula?.mathml ?? "";
  const parsed = new DOMParser().parseFromString(text, "text/xml").documentElement;
  const spoken = typeof formula === "string" ? "" : formula?.text ?? "";
  if (parsed.localName !== "math") return h("span", { class: "mono" }, spoken || text);
  const found = kept(parsed);
  if (block) found.setAttribute("display", "block");
  return found;
}

/** What the server refuses: error.problem = {what, expected, got, where, fix}. */
export class Refused extends Error {
  constructor(problem) {
    super(sentence(problem));
    this.problem = problem;
  }
}

export function sentence({ what, expected, got, where, fix }) {
  const lines = [what];
  if (expected) lines.push(`Expected: ${expected}`);
  if (got) lines.push(`Got: ${got}`);
  if (where) lines.push(`Where: ${where}`);
  if (fix) lines.push(`To do: ${fix}`);
  return lines.filter(Boolean).join("\n");
}

/** Ask the engine: await post("walk/explain", {...}). Throws Refused with the engine's words. */
export async function post(path, body, { signal } = {}) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused({ what: "The engine does not answer.", fix: "see whether `chainrule play` still runs, then try again" });
  }
  const found = await answer.json().catch(() => ({ error: { what: `The engine answered ${answer.status} without words.` } }));
  if (!answer.ok || found.error) throw new Refused(found.error ?? { what: `The engine answered ${answer.status}.` });
  return found;
}

/** A short message at the lower right that goes away by itself; errors stay until they are clicked. */
export function toast(text, { bad = false } = {}) {
  let all = document.querySelector(".toasts");
  if (all === null) {
    all = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(all);
  }
  const one = h("div", { class: bad ? "toast bad" : "toast", onclick: () => one.remove() }, text);
  all.append(one);
  while (all.children.length > 4) all.firstChild.remove();
  if (!bad) setTimeout(() => one.remove(), 4000);
  return one;
}

/** Say something to a screen reader without showing it. */
export function say(text) {
  let place = document.getElementById("said");
  if (place === null) {
    place = h("div", { id: "said", class: "sr", "aria-live": "polite" });
    document.body.append(place);
  }
  place.textContent = text;
}

export function download(name, text, type = "text/plain") {
  const url = URL.createObjectURL(text instanceof Blob ? text : new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser did not allow copying.", { bad: true });
  }
}

/** localStorage that may be missing or full: remember("key") reads, remember("key", value) writes, as JSON. */
export function remember(key, value) {
  try {
    if (value === undefined) return JSON.parse(localStorage.getItem(`chainrule.${key}`) ?? "null");
    localStorage.setItem(`chainrule.${key}`, JSON.stringify(value));
  } catch { /* private windows have none: nothing is remembered */ }
  return value ?? null;
}

/** At most one call per frame, with the newest arguments. */
export function eachFrame(f) {
  let waiting = null;
  return (...args) => {
    if (waiting === null) requestAnimationFrame(() => { const now = waiting; waiting = null; f(...now); });
    waiting = args;
  };
}

export const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// The theme: the system's, until the button is pressed. Drawings on canvas listen for "themechange".
export function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function themeButton() {
  const button = h("button", { class: "plain", type: "button", "aria-label": "Light or dark", title: "Light or dark" }, "◐");
  const announce = () => document.dispatchEvent(new CustomEvent("themechange"));
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = remember("theme", dark() ? "light" : "dark");
    announce();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  return button;
}

/** A colour token's value now: token("--plus"). */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const ROOMS = [["/", "Playground"], ["/walk", "Walkthrough"], ["/practice", "Practice"]];

/** The bar at the top of every room; `here` is the path of this one. A page that was saved has no other rooms. */
export function bar(here, ...end) {
  const chosen = remember("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  const links = (document.getElementById("recording") ? [] : ROOMS).map(([path, name]) => h("a", { href: path, "aria-current": path === here ? "page" : null }, name));
  return h("header", { class: "bar" },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    links.length ? h("a", { class: "name", href: "/" }, "chainrule") : h("span", { class: "name" }, "chainrule"),
    h("nav", { "aria-label": "Rooms" }, links),
    h("div", { class: "end" }, end, themeButton()));
}
