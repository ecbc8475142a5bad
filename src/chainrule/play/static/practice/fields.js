// The fields of an answer: typed ones with a preview of what is read, choices, several choices, an order.
// Each gives { element, value(), fill(entered), mark(right) }.

import { h, math, post } from "../ui.js";
import { words } from "./graph.js";

const plain = (list) => list.map((part) => (typeof part === "string" ? part : part.text)).join("").trim();

function typed(field, item) {
  const asked = { expression: `a formula of ${field.letters.join(" and ")}, such as 2*${field.letters[0]} + 1`, shape: "a shape, such as (3, 4)" };
  const wanted = asked[field.form] ?? (field.digits ? `a number; ${field.digits} digits are enough` : "a number, such as 0.75 or 3/4");
  const id = `field-${field.name}`;
  const preview = h("div", { class: "preview", id: `${id}-preview` });
  const input = h("input", { id, type: "text", maxlength: 300, autocapitalize: "off", autocomplete: "off", spellcheck: "false", "aria-label": `${plain(field.label)} ${wanted}`,
    "aria-describedby": `${id}-preview`, inputmode: "text" });
  const place = h("div", { class: field.form === "expression" ? "typed formula" : "typed" }, h("label", { for: id }, words(field.label)), input, preview);
  const empty = () => preview.replaceChildren(h("span", { class: "small" }, wanted));
  let timer = 0, running = null;
  async function look() {
    running?.abort();
    running = new AbortController();
    const text = input.value;
    if (!text.trim()) return empty();
    try {
      const read = await post("practice/preview", { kind: item.kind, level: item.level, seed: item.seed, field: field.name, text }, { signal: running.signal });
      input.toggleAttribute("data-unread", Boolean(read.problem));
      preview.replaceChildren(read.problem ? h("span", { class: "small" }, read.problem) : h("span", {}, math(read.formula), read.value ? ` = ${read.value}` : ""));
    } catch (error) {
      if (error.name !== "AbortError") preview.replaceChildren(h("span", { class: "small" }, error.message));
    }
    return undefined;
  }
  input.addEventListener("input", () => {
    place.classList.remove("is-right", "is-wrong");
    input.removeAttribute("aria-invalid");
    clearTimeout(timer);
    timer = setTimeout(look, 160);
  });
  empty();
  return {
    element: place, value: () => input.value, focus: () => input.focus(),
    fill: (text) => { input.value = text; look(); },
    mark: (right) => { place.classList.toggle("is-right", right === true); place.classList.toggle("is-wrong", right === false); if (right === false) input.setAttribute("aria-invalid", "true"); },
  };
}

function chosen(field, many) {
  const boxes = field.options.map((option) => h("input", { type: many ? "checkbox" : "radio", name: field.name, value: option.name }));
  const lines = field.form === "line";
  const narrow = !lines && field.options.every((option) => option.text.length <= 12);
  const rows = field.options.map((option, place) => h("label", {}, boxes[place], lines ? h("span", { class: "place" }, option.name) : null, h("span", {}, words(option.label))));
  const group = h("fieldset", { class: narrow ? "options side" : "options" }, h("legend", {}, words(field.label)), rows);
  const clear = () => group.classList.remove("is-right", "is-wrong");
  for (const one of boxes) {
    one.addEventListener("change", () => {
      clear();
      if (!many || !one.checked) return;
      for (const other of boxes) if (other !== one && (one.value === "nothing" || other.value === "nothing")) other.checked = false;
    });
  }
  const names = () => boxes.filter((one) => one.checked).map((one) => one.value);
  return {
    element: group, value: () => (many ? names() : names()[0] ?? ""), focus: () => boxes[0].focus(),
    fill: (entered) => { const wanted = new Set([entered].flat()); for (const one of boxes) one.checked = wanted.has(one.value); clear(); },
    mark: (right) => { group.classList.toggle("is-right", right === true); group.classList.toggle("is-wrong", right === false); },
  };
}

function ordered(field) {
  let order = [];
  const slots = h("ol", { class: "slots", "aria-label": "Your order" });
  const pool = h("ul", { class: "pool", "aria-label": "Still to be placed" });
  const said = h("p", { class: "sr", "aria-live": "polite" });
  const group = h("fieldset", { class: "order" }, h("legend", {}, words(field.label), h("span", { class: "small muted" }, " press them one after the other")), slots, pool, said);
  function draw(focus) {
    const placed = order.map((name) => field.options.find((option) => option.name === name));
    const rest = field.options.filter((option) => !order.includes(option.name));
    slots.replaceChildren(
      ...placed.map((option, place) => h("li", {}, h("button", { type: "button", "aria-label": `${option.text}, place ${place + 1}: take out`, onclick: () => take(option) }, words(option.label)))),
      ...rest.map(() => h("li", {}, h("span", { class: "empty" }))));
    pool.replaceChildren(...rest.map((option) => h("li", {}, h("button", { type: "button", "data-name": option.name, "aria-label": `${option.text}: place ${order.length + 1}`, onclick: () => put(option) }, words(option.label)))));
    if (focus) (pool.querySelector("button") ?? slots.querySelector("button"))?.focus();
  }
  function put(option) {
    order.push(option.name);
    said.textContent = `${option.text} is number ${order.length}`;
    draw(true);
  }
  function take(option) {
    order = order.filter((name) => name !== option.name);
    said.textContent = `${option.text} taken out`;
    draw(true);
  }
  draw(false);
  return {
    element: group, value: () => order, focus: () => group.querySelector("button").focus(),
    fill: (names) => { order = [...names]; draw(false); }, mark: () => {},
  };
}

export function make(field, item) {
  if (field.form === "several") return chosen(field, true);
  if (field.form === "choice" || field.form === "line") return chosen(field, false);
  return field.form === "ordering" ? ordered(field) : typed(field, item);
}
