// All settings live in the address, behind "#": whoever opens it elsewhere, or later, has the same game.
import { byId, game, when } from "./state.js";
import { send } from "./link.js";
import { setTheme } from "./theme.js";
import { openOrbit } from "./scenes.js";

let written = null;

/** Return the part of the address that describes the game and what is shown of it. */
export function described(state, hello) {
  const parts = [`data=${encodeURIComponent(state.data)}`];
  if (state.data === "drawn") parts.push(`dabs=${packDabs(state.dabs)}`);
  for (const [name, text] of Object.entries(state.fixed)) parts.push(`${name}=${encodeURIComponent(text)}`);
  if (state.scene) parts.push(`scene=${state.scene}`);
  for (const [name, value] of Object.entries(state.settings)) {
    if (JSON.stringify(value) !== JSON.stringify(state.defaults[name])) parts.push(`${name}=${encodeURIComponent(String(value))}`);
  }
  const first = [...hello.views.first].sort().join(",");
  if (state.on.join(",") !== first) parts.push(`on=${state.on.join(",")}`);
  if (state.average) parts.push("average=1");
  if (state.speed) parts.push(`speed=${state.speed}`);
  if (state.rotation) parts.push("rotation=1");
  for (const [name, text] of Object.entries(game.local)) parts.push(`${name}=${encodeURIComponent(text)}`);
  return parts.join("&");
}

/** Return what an address describes: {data, dabs, scene, fixed, settings, on, average, speed, rotation, theme, dirac}, each as far as it is there. */
export function understood(hash, { options }) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const found = { settings: {}, fixed: {} };
  for (const [name, text] of given) {
    if (name === "data") found.data = text;
    else if (name === "dabs") found.dabs = unpackDabs(text);
    else if (name === "on") found.on = text ? text.split(",") : [];
    else if (name === "average") found.average = text === "1";
    else if (name === "speed") found.speed = Number(text);
    else if (name === "rotation") found.rotation = text === "1";
    else if (["scene", "theme", "dirac"].includes(name)) found[name] = text;
    else if (options[name]) found.settings[name] = typed(text, options[name].type);
    else found.fixed[name] = text; // the game says of a name that nobody knows that it is none
  }
  return found;
}

function typed(text, type) {
  if (type === "bool") return text === "true";
  if (type === "tuple") return text ? text.split(",").map(Number) : [];
  return type === "str" ? text : Number(text);
}

/** Points in [-2, 2]^2 as text, a byte for each number. */
function packDabs(dabs) {
  const bytes = dabs.flat().map((v) => Math.round(((v + 2) / 4) * 255));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function unpackDabs(text) {
  let bytes;
  try {
    bytes = [...atob(text.replace(/-/g, "+").replace(/_/g, "/"))].map((c) => c.charCodeAt(0));
  } catch {
    return []; // no drawing: the game says so
  }
  const points = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) points.push([onGrid(bytes[i]), onGrid(bytes[i + 1])]);
  return points;
}

function onGrid(byte) {
  return (byte / 255) * 4 - 2;
}

/** Round a coordinate to what the address can hold, so that a drawing comes back as it was. */
export function roundedDab(value) {
  return onGrid(Math.max(0, Math.min(255, Math.round(((value + 2) / 4) * 255))));
}

function apply() {
  const found = understood(location.hash, game.hello), { data, settings, fixed } = found;
  const whole = data !== undefined; // an address of a game: what it does not name is as usual
  if (found.on || whole) send("views", { on: found.on || game.hello.views.first, average: Boolean(found.average) });
  else if (found.average) send("view", { name: "average", on: true });
  if (found.speed !== undefined || whole) send("speed", { steps: found.speed || 0 });
  if (found.rotation !== undefined || whole) send("rotation", { on: Boolean(found.rotation) });
  if (found.theme) setTheme(found.theme);
  const [gamma, way] = (found.dirac || "").split(",");
  if (way && Number.isFinite(Number(gamma))) openOrbit(Number(gamma), way === "in-turn");
  else if (byId("dirac").open) byId("dirac").close();
  // the last of all: each command puts away what was said about the one before, and this one may be refused
  if (whole) send("set_up", { data, settings, fixed, dabs: found.dabs || [], scene: found.scene || "" });
  else if (Object.keys(settings).length) send("set", { changes: settings });
}

/** Take the settings from the address once, then write them there whenever they change. */
export function startAddress() {
  when("hello", (hello) => {
    if (hello.live && location.hash.length > 1 && written === null) apply();
  });
  const write = () => {
    if (!game.hello || !game.hello.live || !game.state) return;
    const hash = `#${described(game.state, game.hello)}`;
    if (hash !== written) history.replaceState(null, "", hash);
    written = hash;
  };
  when("state", write);
  when("local", write);
  addEventListener("hashchange", () => {
    if (location.hash === written) return;
    apply();
    written = ""; // an address that is refused gives way to that of the game
  });
}
