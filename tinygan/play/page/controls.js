// Buttons, options and keys: what one can do to the game.
import { byId, game, make, shown, when } from "./state.js";
import { lastStep, send } from "./link.js";
import { drawDabs, isDrawing, openDrawing } from "./drawing.js";
import { startTheme } from "./theme.js";

const FIRST = ["k", "objective", "lr_d", "lr_g", "r1", "r2", "pack", "ema", "noise", "update", "hidden", "hidden_d", "z", "batch", "seed"];
const NAMES = {
  k: "D's steps, k", objective: "objective", lr_d: "rate of D", lr_g: "rate of G", r1: "R1, γ", r2: "R2, γ", pack: "packs", ema: "average of G",
  gp: "WGAN-GP, λ", smooth: "label smoothing", unroll: "unrolled steps", unroll_rate: "their rate", beta1: "Adam's β₁", beta2: "Adam's β₂",
  penalty_fall: "fall of R1 and R2", decay: "share of decay", decay_power: "power of decay", fourier: "sines for D",
  frequency: "their frequency", signs: "signs in z", maxout: "maxout pieces of D", dropout: "dropout of D", spectral: "spectral norm of D",
  batch_norm: "batch norm of G", steps: "steps in all", arch: "networks", width: "width of a DCGAN", init: "initial weights",
  noise: "instance noise", update: "moves", hidden: "layers of G", hidden_d: "layers of D", z: "length of z", batch: "batch m", seed: "seed",
};
const OF_PICTURES = ["arch", "width"]; // a DCGAN needs pictures
const VIEWS = {
  data: ["data", "dot"], fakes: ["fakes", "cross"], heat: ["D", "shade"], levels: ["D = ½"], arrows: ["arrows"], map: ["G's map"],
  modes: ["modes"], optimum: ["D*"], difference: ["D − D*"], walk: ["walk"],
};

/** Tie buttons, options and keys to the game. */
export function startControls() {
  byId("play").onclick = toggle;
  byId("restart").onclick = () => send("restart");
  byId("step").onclick = () => send("step");
  byId("step-d").onclick = () => send("step_d");
  byId("step-g").onclick = () => send("step_g");
  byId("slow").onclick = () => send(game.state && game.state.slow ? "leave" : "move");
  byId("speed").onchange = (event) => send("speed", { steps: Number(event.target.value) });
  byId("timeline").onchange = (event) => send("back", { step: Number(event.target.value) });
  byId("goto").onchange = (event) => send("back", { step: Math.max(0, Math.round(Number(event.target.value))) });
  byId("export").onclick = () => { location.href = new URL("export.html", location.href.split("#")[0]); };
  startTheme();
  addEventListener("keydown", byKey);
  when("hello", fillChoices);
  when("state", showState);
  when("frame", showClock);
}

function toggle() {
  send(game.state && game.state.playing ? "pause" : "play");
}

function byKey(event) {
  const typing = event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea, dialog");
  if (document.body.classList.contains("past")) return; // past.js has keys of its own
  if (typing || event.ctrlKey || event.metaKey || event.altKey || isDrawing()) return;
  const press = event.target.closest("button, summary, input") && (event.key === " " || event.key === "Enter");
  if (press || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
  const todo = {
    " ": toggle, s: () => send("step"), d: () => send("step_d"), g: () => send("step_g"), m: () => send("move"), r: () => send("restart"),
    ArrowLeft: () => (game.state.slow ? send("move", { by: -1 }) : send("back", { step: Math.max(0, lastStep() - 1) })),
    ArrowRight: () => send(game.state.slow ? "move" : "step"),
  }[event.key];
  if (!todo || (!game.hello?.live && "dgm".includes(event.key))) return; // a recording has no moves of one player
  event.preventDefault();
  todo();
}

// ---- choices ----------------------------------------------------------------------------------------------------------------

function fillChoices(hello) {
  if (!hello.options) return;
  const offered = Object.entries(hello.offered).map(([name, about]) => make("button", { "data-name": name, title: about,
    onclick: () => send("data", { name }) }, name));
  byId("data-choice").replaceChildren(...offered, make("button", { "data-name": "drawn", id: "draw", onclick: openDrawing }, "draw your own"));
  const names = Object.keys(hello.options), more = names.filter((name) => !FIRST.includes(name));
  byId("settings").replaceChildren(...FIRST.filter((name) => names.includes(name)).map((name) => setting(name, hello.options[name])));
  byId("settings-more").replaceChildren(...more.map((name) => setting(name, hello.options[name])));
}

function setting(name, option) {
  const id = `set-${name}`, change = (value) => send("set", { changes: { [name]: value } });
  let input;
  if (option.type === "bool") {
    input = make("input", { type: "checkbox", id });
    input.onchange = () => change(input.checked);
  } else if (option.choices.length) {
    input = make("select", { id }, ...option.choices.map((choice) => make("option", { value: choice }, choice || "usual")));
    input.onchange = () => change(input.value);
  } else if (option.type === "tuple") {
    input = make("input", { type: "text", id, inputmode: "numeric", placeholder: name === "hidden_d" ? "as G's" : "none" });
    input.onchange = () => change(input.value.split(/[\s,]+/).filter(Boolean).map(Number));
  } else {
    input = make("input", { type: "number", id, step: option.type === "int" ? 1 : "any", min: option.at_least ?? null });
    input.onchange = () => { if (input.value !== "") change(Number(input.value)); };
  }
  input.disabled = !game.hello.live; // a recording shows them
  const label = make("label", { for: id, "data-help": name }, NAMES[name] || name.replace(/_/g, " "),
    option.new_game ? make("span", { class: "anew" }, " ↺") : "");
  return make("div", { class: "setting", "data-help": name }, label, input);
}

function showChoices(state) {
  const own = byId("data-choice").querySelector("[data-own]");
  if (state.own && !own) byId("data-choice").prepend(make("button", { "data-own": true, "data-name": state.own, title: state.own,
    onclick: () => send("data", { name: state.own }) }, state.own.split(/[\\/]/).filter(Boolean).pop()));
  for (const button of byId("data-choice").children) button.setAttribute("aria-pressed", String(button.dataset.name === state.data));
  for (const name of OF_PICTURES) if (byId(`set-${name}`)) byId(`set-${name}`).parentElement.hidden = state.plane;
  for (const [name, value] of Object.entries(state.settings)) {
    const input = byId(`set-${name}`);
    if (!input || input === document.activeElement) continue;
    if (input.type === "checkbox") input.checked = value;
    else input.value = Array.isArray(value) ? value.join(", ") : typeof value === "number" ? Number(value.toPrecision(6)) : value;
  }
}

// ---- views ------------------------------------------------------------------------------------------------------------------

function showViews(state) {
  const kinds = game.hello && game.hello.views;
  if (!kinds) return;
  const box = byId("views"), names = state.plane ? kinds.plane : kinds.pictures.filter((name) => name !== "data");
  const fitting = names.filter((name) => (!["optimum", "difference"].includes(name) || (game.world && game.world.optimum)) &&
    (name !== "modes" || state.modes));
  const key = fitting.join() + (state.settings.ema > 0);
  if (box.dataset.key !== key) {
    box.dataset.key = key;
    const switches = fitting.map((name) => {
      const [label, sign] = VIEWS[name], input = make("input", { type: "checkbox", "data-view": name });
      input.onchange = () => send("view", { name, on: input.checked });
      return make("label", { class: "view", "data-help": name }, input, sign ? make("i", { class: sign }) : null, label);
    });
    const average = make("input", { type: "checkbox", id: "average" });
    average.onchange = () => send("view", { name: "average", on: average.checked });
    if (state.settings.ema > 0 && game.hello.live) switches.push(make("label", { class: "view", "data-help": "average" }, average, "average of G"));
    box.replaceChildren(make("legend", {}, "Show"), ...switches);
  }
  for (const input of box.querySelectorAll("[data-view]")) input.checked = state.on.includes(input.dataset.view);
  if (byId("average")) byId("average").checked = state.average;
}

// ---- what is so now ---------------------------------------------------------------------------------------------------------

function showState(state) {
  showChoices(state);
  showViews(state);
  showAlarms(state.alarms);
  byId("plane-box").hidden = !state.plane && !isDrawing();
  byId("beside").hidden = !state.plane;
  byId("pictures-box").hidden = state.plane || isDrawing();
  byId("note").hidden = !state.note;
  byId("note").textContent = state.note;
  const speeds = [...byId("speed").options].map((option) => Number(option.value));
  if (!speeds.includes(state.speed)) byId("speed").append(make("option", { value: state.speed }, `${shown(state.speed)}/s`));
  byId("speed").value = String(state.speed);
  showClock(state);
  if (isDrawing()) drawDabs();
}

function showClock({ step, playing, rate }) {
  const button = byId("play");
  button.setAttribute("aria-pressed", String(playing));
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
  button.lastElementChild.textContent = playing ? "Pause" : "Play";
  byId("step-number").textContent = step.toLocaleString("en");
  if (rate !== undefined) byId("rate").textContent = rate ? `${Math.round(rate).toLocaleString("en")} steps/s` : "";
  const timeline = byId("timeline");
  if (timeline !== document.activeElement || playing) {
    timeline.max = lastStep();
    timeline.value = step;
  }
  if (byId("goto") !== document.activeElement) byId("goto").value = step;
}

let drawnAlarms = "";

function showAlarms(alarms) {
  const text = JSON.stringify(alarms);
  if (text === drawnAlarms) return;
  drawnAlarms = text;
  const at = (step) => step.toLocaleString("en");
  byId("alarms").replaceChildren(...alarms.map((alarm) => make("div", { class: `alarm${alarm.over_at === null ? "" : " over"}`, "data-alarm": alarm.name },
    make("strong", {}, alarm.over_at === null ? `Seen at step ${at(alarm.at)}` : `Over at step ${at(alarm.over_at)}`),
    make("span", {}, alarm.over_at === null ? alarm.text : `Seen at step ${at(alarm.at)}: ${alarm.text}`),
    ...(alarm.tried.length ? [make("span", { class: "tried" }, `Changed since: ${alarm.tried.join("; ")}.`)] : []),
    ...alarm.cures.map((cure) => make("button", { onclick: () => send("set", { changes: cure.changes }) }, cure.label)))));
}
