// The playground page: connects to the engine (or to the recording in this page) and builds its parts.

import { bar, byId, h, toast } from "../ui.js";
import { buildChoices, headMaker, toggleFeature } from "./choices.js";
import { useTheme } from "./colour.js";
import { toggleCompare } from "./compare.js";
import { buildData } from "./data.js";
import { galleryDialog } from "./gallery.js";
import { followHalfSteps } from "./half.js";
import { buildInspector } from "./inspector.js";
import { NetView, neuronName } from "./netview.js";
import { buildOutput } from "./output.js";
import { buildRun } from "./runbar.js";
import { shareDialog } from "./share.js";
import { LiveSource, RecordedSource } from "./source.js";
import { App } from "./state.js";
import { buildTables } from "./tables.js";
import { buildVerdict } from "./verdict.js";

const app = new App();
window.playground = app; // for a look from the browser's console, and for tests

const callbacks = {
  onframe: (frame, acknowledge) => app.receive(frame, acknowledge),
  onevent: (event) => {
    if (event.error) toast(event.error.what, { bad: true });
    app.take(event);
    app.emit("event", event);
  },
  onstatus: (status, answer) => connection(status, answer),
};

const down = h("p", { class: "down", role: "alert", hidden: true });

function connection(status, answer) {
  down.hidden = status !== "down";
  if (status === "down") down.textContent = answer?.reason ? `The connection broke: ${answer.reason}. Trying again …` : "The engine does not answer. Trying again …";
  if (status === "back") {
    app.take(answer);
    if (answer.resumed === false && app.state) resume();
  }
}

/** The engine no longer has this run (it was away too long, or began anew): go on with the same settings. */
async function resume() {
  await app.ask("set", { settings: app.state.settings }, { quiet: true });
  await app.changeData("get");
  toast("The engine had let go of this run; it begins anew with the same settings.");
}

function recording() {
  const found = document.getElementById("recording");
  return found ? JSON.parse(found.textContent) : null;
}

/** Pointing at a neuron draws it large. */
function hovering() {
  let wanted = null;
  app.hoverNode = (layer, node) => {
    const hover = layer === null ? null : [layer - 1, layer === 0 ? node.source : node.index];
    const key = JSON.stringify(hover);
    if (key === wanted) return;
    wanted = key;
    app.picture = layer === null ? null : node.picture ?? null;
    app.hovered = layer === null ? null : layer === 0 ? `input ${node.name}` : neuronName(app.state, layer, node.index);
    app.emit("hover");
    app.ask("view", { hover }, { quiet: true });
  };
}

async function begin() {
  useTheme();
  document.addEventListener("themechange", useTheme);
  const kept = recording();
  app.source = kept ? new RecordedSource(kept, callbacks) : new LiveSource(callbacks);
  const share = h("button", { type: "button", class: "plain", onclick: () => shareDialog(app) }, "Save & share");
  const gallery = h("button", { type: "button", class: "plain", onclick: () => galleryDialog(app) }, "Gallery");
  const compare = h("button", { type: "button", class: "plain", "aria-pressed": "false", onclick: () => toggleCompare(app, compare) }, "Compare");
  byId("top").replaceWith(bar("/", ...(kept ? [share] : [gallery, compare, share])));
  document.body.classList.toggle("recorded", kept !== null);
  byId("main").prepend(down);
  const greeting = await app.source.open();
  app.choices = greeting.choices ?? (await app.source.ask("choices")).choices;
  app.state = greeting.state;
  if (location.hash.length > 1 && !kept) await load(location.hash.slice(1));
  followHalfSteps(app);
  hovering();
  app.toggleFeature = (feature) => toggleFeature(app, feature);
  app.head = headMaker(app);
  buildRun(app);
  buildVerdict(app);
  buildOutput(app);
  buildData(app);
  app.net = new NetView(byId("net-body"), app);
  buildChoices(app);
  buildInspector(app);
  buildTables(app);
  app.on("frame", (frame) => app.follow?.(frame));
  app.emit("state", app.state);
  app.emit("view", app.view);
  if (kept) app.emit("data", app.data = kept.data);
  else {
    await app.changeData("get");
    await app.look(app.view);
    window.addEventListener("hashchange", async () => {
      if (await load(location.hash.slice(1))) await app.changeData("get");
    });
  }
  document.body.dataset.ready = "yes";
}

async function load(hash) {
  const answer = await app.ask("load", { url: hash });
  return answer;
}

begin().catch((problem) => toast(problem.message, { bad: true }));
