// Drawing the density of the data by hand, with the pointer or with the keyboard.
import { byId, colour, game, prepared, shown } from "./state.js";
import { send } from "./link.js";
import { mapping } from "./plane.js";
import { roundedDab } from "./address.js";

const REACH = 2, APART = 0.07, MOST_DABS = 600, DAB = 0.08;
let dabs = [], brush = [0, 0], down = false;

/** Return whether somebody draws. */
export function isDrawing() {
  return !byId("drawing").hidden;
}

/** Begin to draw, with what was drawn before. */
export function openDrawing() {
  dabs = game.state && game.state.data === "drawn" ? game.state.dabs.map((dab) => [...dab]) : [];
  for (const [name, hidden] of [["drawing", false], ["plane-box", false], ["pictures-box", true]]) byId(name).hidden = hidden;
  document.body.classList.add("drawing");
  send("pause");
  byId("plane").focus();
  drawDabs();
}

/** Make the plane take dabs while somebody draws. */
export function startDrawing() {
  const plane = byId("plane");
  plane.addEventListener("pointerdown", (event) => { if (isDrawing()) { down = true; plane.setPointerCapture(event.pointerId); dabAt(event); } });
  plane.addEventListener("pointermove", (event) => { if (isDrawing() && down) dabAt(event); });
  addEventListener("pointerup", () => { down = false; });
  plane.addEventListener("keydown", (event) => {
    if (!isDrawing()) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (ways[event.key]) brush = brush.map((v, i) => Math.max(-REACH, Math.min(REACH, v + 0.1 * ways[event.key][i])));
    else if (event.key === "Enter") add(brush);
    else return;
    event.preventDefault();
    event.stopPropagation();
    drawDabs();
  });
  byId("drawing-clear").onclick = () => { dabs = []; drawDabs(); };
  byId("drawing-cancel").onclick = () => { close(); send("views", { on: game.state.on, average: game.state.average }); };
  byId("drawing-use").onclick = () => {
    close();
    send("data", { name: "drawn", dabs });
    send("play");
  };
}

function close() {
  byId("drawing").hidden = true;
  document.body.classList.remove("drawing");
}

function dabAt(event) {
  const box = byId("plane").getBoundingClientRect();
  brush = mapping(box.width, box.height, REACH).back(event.offsetX, event.offsetY);
  add(brush);
  drawDabs();
}

function add([x, y]) {
  const point = [roundedDab(x), roundedDab(y)];
  const near = dabs.some((dab) => Math.hypot(dab[0] - point[0], dab[1] - point[1]) < APART);
  if (!near && dabs.length < MOST_DABS) dabs.push(point);
}

/** Draw what was drawn so far, in the place of the game. */
export function drawDabs() {
  const { context, width, height } = prepared(byId("plane"));
  const at = mapping(width, height, REACH);
  context.fillStyle = colour("data");
  for (const [radius, alpha] of [[2, 0.12], [1, 0.3]]) {
    context.globalAlpha = alpha;
    for (const [x, y] of dabs) {
      context.beginPath();
      context.arc(at.x(x), at.y(y), radius * DAB * at.scale, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = colour("ink");
  context.strokeRect(at.x(brush[0]) - 5, at.y(brush[1]) - 5, 10, 10);
  byId("drawing-count").textContent = `${dabs.length} dabs`;
  byId("drawing-use").disabled = !dabs.length;
  byId("readout").textContent = `brush at ${shown(brush[0])}, ${shown(brush[1])}`;
}
