// The link to the game: a WebSocket to the server that plays it, or, in an exported page, the recording that the page holds.
import { byId, game, tell, when } from "./state.js";

let socket = null;
let wait = 500; // milliseconds until the next try
let pending = null; // the frame that is to be drawn
let failed = false; // whether an error has ended the game

when("failed", ({ text }) => {
  failed = true;
  byId("banner").textContent = `An error has ended the game: ${text}. End tinygan play with Ctrl-C, which shows where, and start it again.`;
  byId("banner").hidden = false;
  document.body.classList.add("lost");
});

/** Have the game do something: send("step", { n: 1 }). */
export function send(what, rest = {}) {
  if (tape) playTape(what, rest);
  else if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ do: what, ...rest }));
}

/** Connect to the server, and again whenever the connection is lost. */
export function connect() {
  const address = new URL("live", location.href.split("#")[0]);
  address.protocol = "ws:";
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    wait = 500;
    byId("banner").hidden = true;
    document.body.classList.remove("lost");
  };
  socket.onmessage = (event) => take(event.data);
  socket.onclose = () => {
    if (failed) return;
    byId("banner").textContent = "The connection to the game is lost. Trying to find back … If it was ended, start it again: tinygan play";
    byId("banner").hidden = false;
    document.body.classList.add("lost");
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, 4000);
  };
}

function take(data) {
  if (typeof data === "string") return tell(JSON.parse(data));
  const message = unpack(data);
  if (message.kind !== "frame") return tell(message);
  if (!pending) requestAnimationFrame(drawPending);
  pending = message;
}

function drawPending() {
  const message = pending;
  pending = null;
  tell(message);
  send("drawn"); // only then is the next frame sent
}

/** Return the header and the arrays of a binary message (see messages.py). */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const places = message.arrays;
  message.arrays = {};
  for (const [name, dtype, shape, at] of places) {
    const count = shape.reduce((a, b) => a * b, 1);
    const Kind = dtype === "u1" ? Uint8Array : Float32Array;
    message.arrays[name] = { shape, values: new Kind(buffer, 4 + length + at, count) };
  }
  return message;
}

// ---- a recording ----------------------------------------------------------------------------------------------------------

let tape = null;

/** Replay a recording in the place of a live game. */
export function replay(recording) {
  document.body.classList.add("recorded");
  if (recording.past) return tell(recording.past);
  tape = { ...recording, at: 0, playing: false, on: recording.hello.views.plane };
  tell(tape.hello);
  tell(unpack(bytes(tape.world)));
  tellTape();
  tell(tape.charts);
  send("play");
}

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
}

function tellTape() {
  const frame = unpack(bytes(tape.frames[tape.at]));
  tell({ ...tape.state, step: frame.step, playing: tape.playing, on: tape.shown || tape.state.on, note: "" });
  tell({ ...frame, playing: tape.playing, rate: 0 });
}

function playTape(what, rest) {
  const last = tape.frames.length - 1;
  if (what === "play") {
    if (tape.at === last) tape.at = 0;
    tape.playing = true;
    clearInterval(tape.timer);
    tape.timer = setInterval(() => {
      if (tape.at === last) playTape("pause", {});
      else tape.at += 1;
      tellTape();
    }, 120);
  } else if (what === "pause" || what === "step" || what === "back" || what === "restart") {
    clearInterval(tape.timer);
    tape.playing = false;
    if (what === "step") tape.at = Math.min(tape.at + 1, last);
    if (what === "restart") tape.at = 0;
    if (what === "back") tape.at = nearest(tape.steps, rest.step);
  } else if (what === "view") {
    const others = (tape.shown || tape.state.on).filter((name) => name !== rest.name);
    tape.shown = rest.on ? [...others, rest.name] : others;
  }
  tellTape();
}

function nearest(steps, wanted) {
  let best = 0;
  steps.forEach((step, i) => { if (Math.abs(step - wanted) < Math.abs(steps[best] - wanted)) best = i; });
  return best;
}

/** Return the last step that one can go to: of a recording its end, of a live game where it is. */
export function lastStep() {
  return tape ? tape.steps[tape.steps.length - 1] : game.step;
}
