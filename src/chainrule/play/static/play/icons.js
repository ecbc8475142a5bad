// The few icons of the page, drawn as paths so that they look alike everywhere.

import { s } from "../ui.js";

const PATHS = {
  play: ["M7 4.5v15l12-7.5z"],
  pause: ["M6 5h4v14H6z", "M14 5h4v14h-4z"],
  rewind: ["M5 5h2.6v14H5z", "M19 5v14L8.6 12z"],
  back: ["M15.5 5v14L6 12z", "M17 5h2v14h-2z"],
  step: ["M8.5 5v14l9.5-7z", "M5 5h2v14H5z"],
  dice: ["M6 4h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2zm2.2 2.6a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zm7.6 0a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM12 10.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM8.2 14a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zm7.6 0a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4z"],
};

export function icon(name, size = 18) {
  return s("svg", { width: size, height: size, viewBox: "0 0 24 24", "aria-hidden": "true", fill: "currentColor", "fill-rule": "evenodd" }, PATHS[name].map((d) => s("path", { d })));
}
