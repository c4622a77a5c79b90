// The plane: data, fakes, what D says of each place, where each fake wants to go, where G takes a grid of z.
import { byId, colour, game, prepared, shown } from "./state.js";
import { contour } from "./contour.js";

const patch = document.createElement("canvas"); // one pixel a cell
let pointer = null; // where one points, in CSS pixels

/** Return how the plane lies on a canvas of this size: from coordinates to pixels, and back. */
export function mapping(width, height, reach) {
  const scale = Math.min(width, height) / (2 * reach);
  return {
    scale,
    x: (v) => width / 2 + v * scale,
    y: (v) => height / 2 - v * scale,
    back: (px, py) => [(px - width / 2) / scale, (height / 2 - py) / scale],
  };
}

/** Draw the plane and what lies beside it, as the newest frame says. */
export function drawPlane() {
  const { world, frame, state } = game;
  if (!world || !world.plane || !frame || !state) return;
  const on = new Set(state.on), arrays = frame.arrays;
  byId("star-box").hidden = !(on.has("optimum") && arrays.star);
  byId("difference-box").hidden = !(on.has("difference") && arrays.star && arrays.heat);
  const { context, width, height } = prepared(byId("plane"));
  const at = mapping(width, height, world.reach);
  if (on.has("heat") && arrays.heat) shade(context, width, height, arrays.heat.values, arrays.heat.shape[0]);
  axes(context, width, height, at, world);
  if (on.has("levels") && arrays.heat) level(context, arrays.heat, width, height);
  if (on.has("map") && arrays.mesh) mesh(context, arrays.mesh, at);
  if (on.has("modes") && world.arrays.centres) modes(context, world, frame.modes || [], at);
  const slow = arrays.move_fake !== undefined;
  if (on.has("data")) dots(context, world.arrays.data.values, at, slow ? 0.25 : 0.75);
  if (on.has("fakes") && arrays.fakes) crosses(context, arrays.fakes.values, at, slow ? 0.25 : 0.9);
  if (on.has("arrows") && arrays.arrows && !slow) arrows(context, arrays, at, width);
  if (slow) ofMove(context, arrays, at);
  if (on.has("modes") && world.arrays.centres && frame.modes) counts(context, world, frame.modes, at);
  if (!byId("star-box").hidden) beside("star", arrays.star);
  if (!byId("difference-box").hidden) {
    const values = arrays.heat.values.map((d, i) => (d - arrays.star.values[i] + 1) / 2);
    beside("difference", { values, shape: arrays.star.shape });
  }
  tellWhere(world, arrays);
}

function beside(name, array) {
  const { context, width, height } = prepared(byId(name));
  shade(context, width, height, array.values, array.shape[0]);
  const at = mapping(width, height, game.world.reach);
  dots(context, game.world.arrays.data.values, at, 0.35, 1);
}

function rgb(name) {
  return colour(name).split(",").map(Number);
}

/** Colour the plane by numbers from 0 (fake) to 1 (real). */
function shade(context, width, height, values, n) {
  const fake = rgb("heat-fake"), middle = rgb("heat-middle"), real = rgb("heat-data");
  patch.width = patch.height = n;
  const inner = patch.getContext("2d"), image = inner.createImageData(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const v = values[i * n + j], end = v < 0.5 ? fake : real, t = Math.abs(v - 0.5) * 2, p = 4 * ((n - 1 - j) * n + i);
      for (let c = 0; c < 3; c++) image.data[p + c] = middle[c] + t * (end[c] - middle[c]);
      image.data[p + 3] = 255;
    }
  }
  inner.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  const side = Math.min(width, height);
  context.drawImage(patch, (width - side) / 2, (height - side) / 2, side, side);
}

/** Draw thin lines at round numbers of the user's units. */
function axes(context, width, height, at, world) {
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 1;
  for (const axis of [0, 1]) {
    const mean = world.mean[axis], std = world.std[axis], span = 2 * world.reach * std;
    const gap = niceGap(span / 5);
    for (let v = Math.ceil((mean - world.reach * std) / gap) * gap; v <= mean + world.reach * std; v += gap) {
      const p = (v - mean) / std;
      context.strokeStyle = colour("grid");
      context.globalAlpha = 0.7;
      context.beginPath();
      if (axis === 0) { context.moveTo(at.x(p), 0); context.lineTo(at.x(p), height); }
      else { context.moveTo(0, at.y(p)); context.lineTo(width, at.y(p)); }
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = colour("soft");
      const text = String(Number(v.toPrecision(4)));
      if (axis === 0) context.fillText(text, at.x(p) + 3, height - 5);
      else context.fillText(text, 4, at.y(p) - 3);
    }
  }
}

/** Return a round number near a distance: 1, 2 or 5 times a power of ten. */
export function niceGap(wanted) {
  const power = 10 ** Math.floor(Math.log10(wanted));
  const times = wanted / power;
  return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

function level(context, heat, width, height) {
  const n = heat.shape[0], side = Math.min(width, height), cell = side / n;
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.4;
  context.beginPath();
  for (const [x0, y0, x1, y1] of contour(heat.values, n, 0.5)) {
    context.moveTo((width - side) / 2 + (x0 + 0.5) * cell, (height + side) / 2 - (y0 + 0.5) * cell);
    context.lineTo((width - side) / 2 + (x1 + 0.5) * cell, (height + side) / 2 - (y1 + 0.5) * cell);
  }
  context.stroke();
}

function mesh(context, array, at) {
  const [n] = array.shape, v = array.values;
  context.strokeStyle = colour("star");
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (const [a, b] of [[i + 1, j], [i, j + 1]]) {
        if (a >= n || b >= n) continue;
        const p = 2 * (i * n + j), q = 2 * (a * n + b);
        context.moveTo(at.x(v[p]), at.y(v[p + 1]));
        context.lineTo(at.x(v[q]), at.y(v[q + 1]));
      }
    }
  }
  context.stroke();
}

function modes(context, world, numbers, at) {
  const c = world.arrays.centres.values;
  for (let i = 0; 2 * i < c.length; i++) {
    const count = numbers[i], x = at.x(c[2 * i]), y = at.y(c[2 * i + 1]);
    const radius = Math.max(world.radius * at.scale, 8);
    context.strokeStyle = colour(count === 0 ? "fake" : "ink");
    context.setLineDash(count === 0 ? [3, 3] : []);
    context.lineWidth = count === 0 ? 2 : 1;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
}

/** Write each mode's count beside it, on a ground of its own, away from where samples lie: outward on a ring, above it elsewhere. */
function counts(context, world, numbers, at) {
  const c = world.arrays.centres.values, far = [];
  for (let i = 0; 2 * i < c.length; i++) far.push(Math.hypot(c[2 * i], c[2 * i + 1]));
  const ring = Math.min(...far) > 0.8 * Math.max(...far), radius = Math.max(world.radius * at.scale, 8);
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  numbers.forEach((count, i) => {
    const [dx, dy] = ring ? [c[2 * i] / far[i], c[2 * i + 1] / far[i]] : [0, 1], text = String(count), wide = context.measureText(text).width + 8;
    const away = radius + 9 + (Math.abs(dx) * wide) / 2 + Math.abs(dy) * 4, px = at.x(c[2 * i]) + dx * away, py = at.y(c[2 * i + 1]) - dy * away;
    context.fillStyle = colour("card");
    context.globalAlpha = 0.88;
    context.beginPath();
    context.roundRect(px - wide / 2, py - 8, wide, 16, 8);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = colour(count === 0 ? "fake" : "ink");
    context.fillText(text, px, py + 4);
  });
  context.textAlign = "start";
}

function dots(context, values, at, alpha, radius = 2) {
  context.globalAlpha = alpha;
  context.fillStyle = colour("data");
  context.beginPath();
  for (let i = 0; i < values.length; i += 2) {
    context.moveTo(at.x(values[i]) + radius, at.y(values[i + 1]));
    context.arc(at.x(values[i]), at.y(values[i + 1]), radius, 0, 2 * Math.PI);
  }
  context.fill();
  context.globalAlpha = 1;
}

function crosses(context, values, at, alpha, r = 2.4) {
  context.globalAlpha = alpha;
  context.strokeStyle = colour("fake");
  context.lineWidth = 1.5;
  context.beginPath();
  for (let i = 0; i < values.length; i += 2) {
    const x = at.x(values[i]), y = at.y(values[i + 1]);
    context.moveTo(x - r, y - r);
    context.lineTo(x + r, y + r);
    context.moveTo(x - r, y + r);
    context.lineTo(x + r, y - r);
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** Draw where some of the fakes want to go: 1 nat per unit is drawn 14 pixels long, and nothing longer than a tenth of the plane. */
function arrows(context, arrays, at, width) {
  const from = arrays.fakes.values, to = arrays.arrows.values, count = from.length / 2;
  const every = Math.max(1, Math.floor(count / 120));
  context.strokeStyle = colour("ink");
  context.lineWidth = 1;
  context.globalAlpha = 0.8;
  context.beginPath();
  for (let i = 0; i < count; i += every) {
    const length = Math.hypot(to[2 * i], to[2 * i + 1]);
    if (!(length > 1e-4)) continue;
    const size = Math.min(14 * length, width / 10), dx = (size * to[2 * i]) / length, dy = (-size * to[2 * i + 1]) / length;
    const x = at.x(from[2 * i]), y = at.y(from[2 * i + 1]);
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    if (size > 3) {
      for (const turn of [2.6, -2.6]) {
        const angle = Math.atan2(dy, dx) + turn;
        context.moveTo(x + dx, y + dy);
        context.lineTo(x + dx + 4 * Math.cos(angle), y + dy + 4 * Math.sin(angle));
      }
    }
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** Draw the samples of a move of slow motion, larger, with what D says of them as the size. */
function ofMove(context, arrays, at) {
  const size = (d) => (d === undefined ? 4 : 2 + 6 * Math.max(0, Math.min(1, d)));
  const real = arrays.move_real.values, fake = arrays.move_fake.values;
  context.fillStyle = colour("data");
  for (let i = 0; 2 * i < real.length; i++) {
    context.beginPath();
    context.arc(at.x(real[2 * i]), at.y(real[2 * i + 1]), size(arrays.move_d_real.values[i]), 0, 2 * Math.PI);
    context.fill();
  }
  for (let i = 0; 2 * i < fake.length; i++) {
    crosses(context, fake.subarray(2 * i, 2 * i + 2), at, 1, size(arrays.move_d_fake.values[i]));
  }
}

// ---- pointing ---------------------------------------------------------------------------------------------------------------

function tellWhere(world, arrays) {
  if (!pointer) {
    byId("readout").textContent = "Point at the plane to read what D says there.";
    return;
  }
  const box = byId("plane").getBoundingClientRect();
  const at = mapping(box.width, box.height, world.reach);
  const [x, y] = at.back(...pointer);
  const user = [x * world.std[0] + world.mean[0], y * world.std[1] + world.mean[1]];
  let text = `${world.columns[0]} = ${shown(user[0])}, ${world.columns[1]} = ${shown(user[1])}`;
  for (const [name, array] of [["D", arrays.heat], ["D*", arrays.star]]) {
    if (!array) continue;
    const n = array.shape[0], cell = (v) => Math.max(0, Math.min(n - 1, Math.floor(((v + world.reach) / (2 * world.reach)) * n)));
    text += `   ${name} = ${array.values[cell(x) * n + cell(y)].toFixed(3)}`;
  }
  byId("readout").textContent = text;
}

/** Follow the pointer over the plane. */
export function startPlane() {
  const plane = byId("plane");
  plane.addEventListener("pointermove", (event) => { pointer = [event.offsetX, event.offsetY]; drawPlane(); });
  plane.addEventListener("pointerleave", () => { pointer = null; drawPlane(); });
}
