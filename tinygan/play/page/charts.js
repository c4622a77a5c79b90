// The curves, drawn by hand on canvases: each with a legend that says the newest values, and lines that differ by more than colour.
import { byId, colour, game, make, prepared, shown } from "./state.js";

const CHARTS = [
  { key: "value", title: "V", lines: [["value", "V", "ink", []], ["best", "−log 4 + 2 JSD", "star", [6, 3]]], level: "value" },
  { key: "jsd", title: "JSD", lines: [["jsd", "nats", "star", []]], low: 0, high: Math.log(2), needs: "jsd" },
  { key: "beliefs", title: "D believes", lines: [["d_real", "D(x)", "data", []], ["d_fake", "D(G(z))", "fake", [6, 3]]], level: "d" },
  { key: "losses", title: "Losses", lines: [["d_loss", "D", "data", []], ["g_loss", "G", "fake", [6, 3]]] },
  { key: "gradients", title: "Gradients", lines: [["grad_d", "|∇ of D|", "data", []], ["grad_g", "|∇ of G|", "fake", [6, 3]]], log: true },
  { key: "covered", title: "Modes covered", lines: [["modes", "", "ink", []]], low: 0, needs: "modes" },
  { key: "turning", title: "Rotation", lines: [["turns", "max |Im|", "ink", []], ["drives", "max Re", "fake", [6, 3]]], needs: "turns", rest: [0, "0"] },
];

/** Make the charts. */
export function startCharts() {
  for (const chart of CHARTS) {
    chart.header = make("header", { "data-help": chart.key, tabindex: "0" });
    chart.canvas = make("canvas", { "aria-label": `Chart: ${chart.title}` });
    chart.box = make("div", { class: "chart" }, chart.header, chart.canvas);
    byId("charts").append(chart.box);
  }
}

/** Draw all charts. */
export function drawCharts() {
  const { ghost, levels, frame } = game;
  for (const chart of CHARTS) {
    const points = chart.key === "turning" ? game.rotation : game.points;
    const key = chart.needs || chart.lines[0][0];
    const bare = points.length > 0 && !points.some((point) => point[key] !== undefined); // a past run has no gradients, say
    chart.box.hidden = bare || (Boolean(chart.needs) && !points.length);
    if (!chart.box.hidden) drawChart(chart, points, ghost, levels, frame ? frame.step : 0);
  }
}

function drawChart(chart, points, ghost, levels, step) {
  const { context, width, height } = prepared(chart.canvas);
  const lines = chart.lines.filter(([name]) => points.some((point) => point[name] !== undefined));
  const values = lines.flatMap(([name]) => points.map((point) => point[name])).filter((v) => Number.isFinite(v) && (!chart.log || v > 0));
  const level = chart.rest || (chart.level && levels[chart.level]);
  if (level) values.push(level[0]);
  legend(chart, lines, valuesAt(points, step), level);
  if (!points.length || !values.length) return;
  const scale = (v) => (chart.log ? Math.log10(Math.max(v, 1e-12)) : v);
  let low = chart.low ?? Math.min(...values.map(scale)), high = chart.high ?? Math.max(...values.map(scale));
  const room = (high - low || 1) * 0.08;
  low -= chart.low === undefined ? room : 0;
  high += room;
  const first = points[0].step, last = Math.max(points[points.length - 1].step, first + 1, ...(ghost.length ? [ghost[ghost.length - 1].step] : []));
  const left = 4, right = width - 46;
  const x = (s) => left + ((s - first) / (last - first)) * (right - left), y = (v) => height - 4 - ((scale(v) - low) / (high - low)) * (height - 8);
  ticks(context, { low, high, width, right, height, log: chart.log });
  if (level) {
    stroke(context, [[left, y(level[0])], [right, y(level[0])]], colour("soft"), [1.5, 3], 1.5);
  }
  for (const [name] of lines) stroke(context, path(ghost, name, x, y), colour("ghost"), [], 1);
  for (const [name, , tone, dash] of lines) stroke(context, path(points, name, x, y), colour(tone), dash, 1.6);
  const replayed = document.body.classList.contains("recorded"); // a live game is always at the end of its curves
  if (replayed && step < last) stroke(context, [[x(step), 0], [x(step), height]], colour("soft"), [], 1);
}

/** Return the point of the curves that belongs to a step: the last one that is not behind it. */
function valuesAt(points, step) {
  for (let i = points.length - 1; i >= 0; i--) if (points[i].step <= step) return points[i];
  return points[0] || {};
}

function path(points, name, x, y) {
  return points.filter((point) => Number.isFinite(point[name])).map((point) => [x(point.step), y(point[name])]);
}

function stroke(context, at, tone, dash, thick) {
  if (!at.length) return;
  context.strokeStyle = tone;
  context.lineWidth = thick;
  context.setLineDash(dash);
  context.beginPath();
  at.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.stroke();
  context.setLineDash([]);
}

function ticks(context, { low, high, width, right, height, log }) {
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colour("soft");
  for (const t of [0.1, 0.5, 0.9]) {
    const v = low + t * (high - low), py = height - 4 - t * (height - 8);
    stroke(context, [[4, py], [right, py]], colour("grid"), [], 1);
    context.fillText(log ? (10 ** v).toPrecision(2) : v.toFixed(Math.abs(high - low) < 5 ? 2 : 0), right + 5, Math.min(height - 3, py + 4));
  }
}

function legend(chart, lines, newest, level) {
  const parts = [make("b", {}, chart.title)];
  for (const [name, label, tone, dash] of lines) parts.push(make("span", {}, swatch(tone, dash), `${label} ${shown(newest[name])}`));
  if (level) parts.push(make("span", { class: "rest" }, swatch("soft", [1.5, 3]), level[1].replace("-", "−")));
  chart.header.replaceChildren(...parts);
}

/** Return a short piece of a line, as a chart draws it. */
function swatch(tone, dash) {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  box.setAttribute("viewBox", "0 0 24 10");
  line.setAttribute("d", "M0 5h24");
  line.setAttribute("stroke", colour(tone));
  line.setAttribute("stroke-dasharray", dash.join(" "));
  box.append(line);
  return box;
}
