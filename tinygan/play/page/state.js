// What the page knows of the game, and who wants to hear of it: one message of each kind, the newest.

export const game = { hello: null, world: null, state: null, frame: null, slow: null, step: 0, points: [], ghost: [], rotation: [],
  levels: {}, local: {} }; // local: settings of this tab alone, which the address holds too

const listeners = {};

/** Call f(message) with each message of a kind. */
export function when(kind, f) {
  (listeners[kind] ||= []).push(f);
}

/** Take a message, and tell everybody who listens to its kind. */
export function tell(message) {
  const kind = message.kind;
  if (kind === "charts") {
    game.points = message.points;
    game.ghost = message.ghost;
    game.levels = message.levels;
    game.rotation = message.rotation || [];
  } else if (kind === "points") {
    game.points.push(...message.points);
    if (game.points.length > 1200) game.points = game.points.filter((_, i) => i % 2 === 0);
  } else {
    game[kind] = message;
    if (kind === "eigenvalues") {
      game.rotation.push(...(message.point ? [message.point] : []));
      if (game.rotation.length > 1200) game.rotation = game.rotation.filter((_, i) => i % 2 === 0);
    } else if (message.step !== undefined) game.step = message.step;
  }
  for (const f of listeners[kind] || []) f(message);
}

/** Keep a setting of this tab alone, or forget it if it is null, and tell those who write the address. */
export function setLocal(name, value) {
  if (value === null) delete game.local[name];
  else game.local[name] = value;
  for (const f of listeners.local || []) f();
}

/** Return an element by its id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Make an element: its tag, its attributes, and what is in it. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.onclick = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return a number as people read it: 1,204 or 0.0312. */
export function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
  return value.toFixed(size < 10 ? 3 : 1);
}

/** Prepare a canvas for drawing in CSS pixels, at the resolution of the screen. Returns its context, width and height. */
export function prepared(canvas) {
  const box = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(box.width)), height = Math.max(1, Math.round(box.height));
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const colours = new Map(); // of the present theme; asking the browser takes longer than drawing

/** Return a colour of the style sheet by its name, such as "data". */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

/** Ask for all colours anew: the theme has changed. */
export function forgetColours() {
  colours.clear();
}
