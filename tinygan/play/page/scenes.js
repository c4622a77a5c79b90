// Scenes of `tinygan theory`, the Dirac orbit, and the eigenvalues of the game.
import { byId, colour, game, make, prepared, setLocal, when } from "./state.js";
import { send } from "./link.js";
import { drawCharts } from "./charts.js";
import { mapping } from "./plane.js";

const ORBITS = [
  ["at once", 0, false], ["in turn", 0, true], ["at once, with R1", 0.3, false], ["at once, R1 of 1", 1, false], ["in turn, with R1", 0.3, true],
];
let turn = 0; // of the animation that runs now

/** Fill the list of scenes, and follow what they tell. */
export function startScenes() {
  when("hello", (hello) => {
    if (!hello.scenes) return;
    const buttons = Object.entries(hello.scenes).map(([name, scene]) => make("button", { "data-scene": name, onclick: () => send("scene", { name }) },
      scene.title));
    byId("scene-choice").replaceChildren(make("button", { id: "dirac-open", onclick: openDirac }, "The Dirac orbit"), ...buttons);
  });
  when("state", drawScene);
  when("dirac", drawDirac);
  when("eigenvalues", drawEigenvalues);
  byId("dirac-choice").append(...ORBITS.map(([title, gamma, alternating], i) => make("button", {
    "aria-pressed": "false", id: `orbit-${i}`, onclick: () => send("dirac", { gamma, alternating }) }, title)));
  byId("eigenvalues").onclick = () => send("eigenvalues");
  byId("follow").onchange = (event) => send("rotation", { on: event.target.checked });
  when("state", followRotation);
  when("working", ({ made, of }) => { byId("eigen-progress").textContent = `${made} of ${of} products`; });
  byId("dirac").addEventListener("close", () => { turn += 1; setLocal("dirac", null); });
}

let drawnScene = null;

function drawScene(state) {
  const box = byId("scene-text"), scene = game.hello && game.hello.scenes && game.hello.scenes[state.scene];
  box.hidden = !scene;
  for (const button of document.querySelectorAll("[data-scene]")) button.setAttribute("aria-pressed", String(button.dataset.scene === state.scene));
  if (drawnScene === state.scene) return;
  drawnScene = state.scene;
  if (!scene) return;
  const cures = Object.entries(scene.then).map(([label, changes]) => make("button", { onclick: () => send("set", { changes }) }, label));
  box.replaceChildren(make("b", {}, scene.title), make("p", {}, scene.watch), make("p", { class: "claim" },
    `Claim ${scene.claim.name}: ${scene.claim.statement}. ${scene.claim.source}. Check it: tinygan theory --only ${scene.claim.name}`),
  make("div", { class: "choices" }, ...cures));
}

function openDirac() {
  openOrbit(0, false);
}

/** Open the scene of the Dirac-GAN with R1 of weight gamma, the players moving in turn or at once. */
export function openOrbit(gamma, alternating) {
  if (!byId("dirac").open) byId("dirac").showModal();
  byId("dirac-text").textContent = "Computing the paths …";
  send("dirac", { gamma, alternating });
}

let shownGame = null; // the number of the game whose eigenvalues are shown

function followRotation(state) {
  byId("follow").checked = Boolean(state.rotation);
  if (state.rotation) byId("rotation").open = true;
  if (shownGame !== null && shownGame !== state.game) { // those of another game say nothing about this one
    byId("eigen").hidden = true;
    byId("eigen-text").textContent = byId("eigen-progress").textContent = "";
  }
  shownGame = state.game;
}

function drawDirac(message) {
  if (!byId("dirac").open) return; // it was asked for by another tab, or closed meanwhile
  setLocal("dirac", `${message.gamma},${message.alternating ? "in-turn" : "at-once"}`);
  ORBITS.forEach(([, gamma, alternating], i) => byId(`orbit-${i}`).setAttribute("aria-pressed",
    String(gamma === message.gamma && alternating === message.alternating)));
  const pairs = message.eigenvalues.map(([re, im]) => `${re.toFixed(3)} ${im < 0 ? "−" : "+"} ${Math.abs(im).toFixed(3)} i`);
  byId("dirac-text").textContent = `Eigenvalues at the equilibrium: ${pairs.join(" and ")}. The distance from it goes from ` +
    `${message.radius[0].toFixed(3)} to ${message.radius[1].toFixed(3)} in ${message.path.length - 1} steps. ` +
    `Claim ${message.claim.name}: ${message.claim.statement}. ${message.claim.source}.`;
  const mine = ++turn, begun = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const draw = (now) => {
    if (mine !== turn || !byId("dirac").open) return;
    const count = still ? message.path.length : Math.min(message.path.length, 2 + Math.max(0, Math.floor((now - begun) / 25)));
    orbit(message, count);
    if (count < message.path.length) requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}

function orbit(message, count) {
  const { context, width, height } = prepared(byId("dirac-plane"));
  const reach = Math.max(1.8, 1.1 * Math.max(...message.path.flat().map(Math.abs)));
  const at = mapping(width, height, reach);
  context.strokeStyle = colour("soft");
  context.lineWidth = 1;
  context.beginPath();
  for (const [theta, psi, dTheta, dPsi] of message.field) {
    const x = at.x(theta), y = at.y(psi), dx = 0.28 * dTheta * at.scale, dy = -0.28 * dPsi * at.scale, angle = Math.atan2(dy, dx);
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    if (Math.hypot(dx, dy) < 3) continue;
    for (const side of [2.6, -2.6]) {
      context.moveTo(x + dx, y + dy);
      context.lineTo(x + dx + 5 * Math.cos(angle + side), y + dy + 5 * Math.sin(angle + side));
    }
  }
  context.moveTo(0, at.y(0)); context.lineTo(width, at.y(0));
  context.moveTo(at.x(0), 0); context.lineTo(at.x(0), height);
  context.stroke();
  context.strokeStyle = colour("fake");
  context.lineWidth = 2;
  context.beginPath();
  message.path.slice(0, count).forEach(([theta, psi], i) => (i ? context.lineTo(at.x(theta), at.y(psi)) : context.moveTo(at.x(theta), at.y(psi))));
  context.stroke();
  const [theta, psi] = message.path[count - 1];
  context.fillStyle = colour("data");
  context.beginPath();
  context.arc(at.x(theta), at.y(psi), 6, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = colour("soft");
  context.font = "12px system-ui, sans-serif";
  context.fillText("θ, where G's point is", width - 130, at.y(0) - 6);
  context.fillText("ψ, D's slope", at.x(0) + 6, 14);
}

function drawEigenvalues({ step, values, of, whole, products }) {
  byId("rotation").open = true;
  byId("eigen-progress").textContent = "";
  drawCharts();
  if (!values.length) {
    byId("eigen-text").textContent = `At step ${step.toLocaleString("en")}: no eigenvalue has settled in ${products} products.`;
    return;
  }
  const canvas = byId("eigen");
  canvas.hidden = false;
  const { context, width, height } = prepared(canvas);
  const reach = Math.max(1e-3, 1.15 * Math.max(...values.flat().map(Math.abs)));
  const at = mapping(width, height, reach);
  context.strokeStyle = colour("soft");
  context.beginPath();
  context.moveTo(0, at.y(0)); context.lineTo(width, at.y(0)); context.moveTo(at.x(0), 0); context.lineTo(at.x(0), height);
  context.stroke();
  for (const [re, im] of values) {
    context.fillStyle = colour(re > 1e-6 ? "fake" : "data");
    context.fillRect(at.x(re) - 3, at.y(im) - 3, 6, 6);
  }
  context.fillStyle = colour("soft");
  context.font = "11px system-ui, sans-serif";
  context.fillText("imaginary: turns", at.x(0) + 5, 12);
  context.fillText("real > 0: drives away", width - 118, at.y(0) - 5);
  const out = values.filter(([re]) => re > 1e-6).length, turning = values.filter(([, im]) => Math.abs(im) > 1e-6).length;
  const which = whole ? `all ${values.length} eigenvalues` : `the ${values.length} outermost of ${of.toLocaleString("en")} eigenvalues, by Arnoldi's method`;
  byId("eigen-text").textContent = `At step ${step.toLocaleString("en")}: ${which}. ${out} have a positive real part (the largest is ` +
    `${Math.max(...values.map(([re]) => re)).toPrecision(3)}), ${turning} turn (up to ${Math.max(...values.map(([, im]) => im)).toPrecision(3)} i).`;
}
