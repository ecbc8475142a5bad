// The inputs and the learning rate: a slider and a number each, elements of small arrays, and what to differentiate by.

import { number, typed } from "../format.js";
import { h } from "../ui.js";
import { nice, stepOf, windowOf } from "./scale.js";

const MOST_CELLS = 36;
const RATES = { low: -4, high: 1 };

export class Values {
  /** `actions`: change(name, value, done), rate(value, done), wrt(names). */
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.shape = "";
  }

  /** Show these values; rows are only made anew when there are other ones. */
  draw(at, wrt, rate, editable, symbols = new Map()) {
    const shape = JSON.stringify([editable, Object.entries(at ?? {}).map(([name, value]) => [name, shapeOf(value)])]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.rows = new Map();
      this.wrt = wrt;
      this.#build(at ?? {}, editable);
    }
    if (!editable) return;
    this.wrt = wrt;
    for (const [name, row] of this.rows) {
      row.show(at[name], wrt.includes(name), wrt.length === 1);
      row.element.firstChild.textContent = symbols.get(name) ?? row.element.firstChild.textContent;
    }
    this.rate.show(rate);
  }

  #build(at, editable) {
    if (!editable) {
      this.place.replaceChildren(h("p", { class: "muted small" }, "This explanation was saved without an expression: its values can be read in the graph and in the table, not changed."));
      return;
    }
    const list = h("div", { class: "value-rows" });
    list.append(h("div", { class: "value-head small muted", "aria-hidden": "true" }, h("span", {}, ""), h("span", {}, "drag or type"), h("span", {}, ""), h("span", { title: "differentiate by it" }, "∂")));
    for (const [name, value] of Object.entries(at)) {
      const row = Array.isArray(value) ? this.#array(name, value) : this.#number(name);
      this.rows.set(name, row);
      list.append(row.element);
    }
    this.rate = this.#rate();
    list.append(this.rate.element);
    this.place.replaceChildren(list);
  }

  #check(name) {
    const box = h("input", { type: "checkbox", "aria-label": `differentiate by ${name}` });
    box.addEventListener("change", () => this.actions.wrt(box.checked ? [...this.wrt, name] : this.wrt.filter((one) => one !== name)));
    return box;
  }

  #number(name) {
    const slider = h("input", { type: "range", "aria-label": `${name}, slider` });
    const field = numberField(name, (value) => this.actions.change(name, value, true));
    const check = this.#check(name);
    slider.addEventListener("input", () => this.actions.change(name, nice(Number(slider.value), Number(slider.step)), false));
    slider.addEventListener("change", () => this.actions.change(name, nice(Number(slider.value), Number(slider.step)), true));
    const element = h("div", { class: "value-row" }, h("span", { class: "value-name", title: name }, name), slider, field, check);
    let window_ = 0;
    const show = (value, chosen, only) => {
      const wide = windowOf(value);
      // A slider that is being dragged keeps its window: under a moving scale a hand can't aim.
      if (wide !== window_ && (!slider.matches(":active") || Math.abs(value) > window_)) {
        window_ = wide;
        for (const [key, to] of Object.entries({ min: -wide, max: wide, step: stepOf(wide) })) slider[key] = to;
      }
      if (Number(slider.value) !== value) slider.value = value;
      put(field, value);
      check.checked = chosen;
      check.disabled = chosen && only;
    };
    return { element, show };
  }

  #array(name, value) {
    const flat = value.flat(Infinity);
    const check = this.#check(name);
    const shape = shapeOf(value);
    if (flat.length > MOST_CELLS || shape.length > 2) {
      const element = h("div", { class: "value-row wide" }, h("span", { class: "value-name", title: name }, name), h("span", { class: "muted small" }, `an array of ${shape.join("×")}`), h("span"), check);
      return { element, show: (_, chosen, only) => { check.checked = chosen; check.disabled = chosen && only; } };
    }
    const columns = shape.length === 2 ? shape[1] : shape[0];
    let now = value;
    const fields = flat.map((_, i) => {
      const at = shape.length === 2 ? [Math.floor(i / columns), i % columns] : [i];
      return numberField(`${name}[${at.join(", ")}]`, (to) => {
        const copy = structuredClone(now);
        at.slice(0, -1).reduce((rows, k) => rows[k], copy)[at.at(-1)] = to;
        this.actions.change(name, copy, true);
      }, true);
    });
    const cells = h("div", { class: "cells", role: "group", "aria-label": `${name}, ${shape.join(" by ")}` }, fields);
    cells.style.setProperty("--columns", columns);
    const text = listField(name, (to) => this.actions.change(name, to, true));
    const element = h("div", { class: "value-row wide" }, h("span", { class: "value-name", title: name }, name), h("div", {}, cells, text), h("span"), check);
    const show = (to, chosen, only) => {
      now = to;
      text.show(to);
      to.flat(Infinity).forEach((v, i) => put(fields[i], v));
      check.checked = chosen;
      check.disabled = chosen && only;
    };
    return { element, show };
  }

  #rate() {
    const slider = h("input", { type: "range", min: RATES.low, max: RATES.high, step: 0.01, "aria-label": "learning rate, slider (logarithmic)" });
    const field = numberField("learning rate", (value) => this.actions.rate(value, true));
    const round = () => Number((10 ** Number(slider.value)).toPrecision(2));
    slider.addEventListener("input", () => this.actions.rate(round(), false));
    slider.addEventListener("change", () => this.actions.rate(round(), true));
    const element = h("div", { class: "value-row rate" }, h("span", { class: "value-name", title: "learning rate" }, "α"), slider, field, h("span"));
    const show = (value) => {
      slider.value = value > 0 ? Math.log10(value) : RATES.low;
      slider.setAttribute("aria-valuetext", number(value));
      put(field, value);
    };
    return { element, show };
  }
}

/** A field for one number: Enter or leaving it takes what was typed, arrow keys go up and down, nonsense is marked. */
function numberField(name, change, narrow = false) {
  const field = h("input", { type: "text", inputmode: "decimal", class: narrow ? "cell mono" : "mono", "aria-label": name, autocomplete: "off", spellcheck: "false" });
  const read = () => {
    const value = !narrow && field.value.trim().startsWith("[") ? list(field.value) : typed(field.value);
    const good = Array.isArray(value) || (value !== null && Number.isFinite(value) && Math.abs(value) < 1e300);
    field.setAttribute("aria-invalid", String(!good));
    if (good && field.value !== field.shown) change(value);
  };
  field.addEventListener("change", read);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); read(); }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const value = field.value === field.shown ? field.known : typed(field.value) ?? field.known;
    const step = 5 * stepOf(windowOf(value));
    change(nice(value + (event.key === "ArrowUp" ? step : -step), step / 5));
  });
  return field;
}

/** A field for a whole array, as nested lists: where its shape is changed. A single number is taken too. */
function listField(name, change) {
  const field = h("input", { type: "text", class: "mono list-field", "aria-label": `${name} as a list`, autocomplete: "off", spellcheck: "false" });
  let shown = "";
  const read = () => {
    const value = field.value.trim().startsWith("[") ? list(field.value) : typed(field.value);
    field.setAttribute("aria-invalid", String(value === null));
    if (value !== null && field.value !== shown) change(value);
  };
  field.addEventListener("change", read);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    read();
  });
  field.show = (value) => {
    const text = JSON.stringify(value).replaceAll(",", ", ");
    if (document.activeElement === field && field.value !== shown && field.value !== text) return;
    shown = text;
    if (field.value !== text) field.value = text;
    field.setAttribute("aria-invalid", "false");
  };
  return field;
}

/** Nested lists of finite numbers, or null. */
function list(text) {
  try {
    const found = JSON.parse(text.replaceAll("\u2212", "-"));
    return Array.isArray(found) && found.flat(Infinity).every((v) => typeof v === "number" && Math.abs(v) < 1e300) ? found : null;
  } catch {
    return null;
  }
}

/** Write a value into a field, as many digits as there is room for, unless the reader is typing there. */
function put(field, value) {
  const typing = document.activeElement === field && field.value !== field.shown;
  field.known = value;
  if (typing && typed(field.value) !== value) return;
  field.shown = String(Number(value.toPrecision(field.classList.contains("cell") ? 4 : 7)));
  if (field.value !== field.shown) field.value = field.shown; // the same again would undo a selection
  field.title = String(value);
  field.setAttribute("aria-invalid", "false");
}

export function shapeOf(value) {
  const found = [];
  for (let at = value; Array.isArray(at); at = at[0]) found.push(at.length);
  return found;
}
