"use strict";
// The page works without this script too: then all pictures are shown, and there is no time travel.
const $ = (query) => document.querySelector(query);
const made = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const root = document.documentElement;
root.classList.add("js");

$("#theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  if (travel) travel.drawShared();
});

// ---- the chosen line ----------------------------------------------------------------------------------------------------------------
const articles = [...document.querySelectorAll("article.line")];
const choose = (line, focus) => {
  const found = articles.find((a) => a.dataset.line === String(line));
  if (!found) return;
  articles.forEach((a) => a.classList.toggle("chosen", a === found));
  document.querySelectorAll("#source .row").forEach((r) => r.classList.toggle("chosen", r.dataset.line === String(line)));
  if (focus) $(`#source .row[data-line="${line}"] a`).focus();
};
const chosen = () => articles.findIndex((a) => a.classList.contains("chosen"));
document.querySelectorAll("#source a.number").forEach((a) => a.addEventListener("click", (event) => {
  event.preventDefault();
  choose(a.closest(".row").dataset.line, true);
  history.replaceState(null, "", a.getAttribute("href"));
  if (innerWidth < 1100) articles[chosen()].scrollIntoView({ block: "start" });
}));
if (articles.length) choose((location.hash.match(/^#line-(\d+)$/) || [])[1] || document.body.dataset.line || articles[0].dataset.line);

// ---- time travel --------------------------------------------------------------------------------------------------------------------
class Travel {
  constructor(data) {
    this.data = data;
    this.at = 0;
    this.name = "";
    this.slider = $("#slider");
    this.slider.max = data.steps.length;
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    for (const [id, move] of [["first", () => 0], ["back", () => this.at - 1], ["next", () => this.at + 1], ["last", () => data.steps.length]])
      $(`#${id}`).addEventListener("click", () => this.go(move()));
    $("#shared").addEventListener("click", (event) => this.told(event));
    $("#shared").addEventListener("mousemove", (event) => this.told(event));
    this.go(0);
  }
  go(to) {
    const { steps, words } = this.data;
    this.at = Math.max(0, Math.min(steps.length, to));
    this.slider.value = this.at;
    const known = new Map();
    this.shared = new Array(words).fill(null);
    this.fresh = new Set();
    steps.slice(0, this.at).forEach((step, i) => {
      step.changes.forEach(([name, short, values]) => known.set(name, { short, values, fresh: i === this.at - 1 }));
      step.gone.forEach((name) => known.delete(name));
      if (i === this.at - 1) this.fresh.clear();
      step.shared.forEach(([word, value]) => { this.shared[word] = value; if (i === this.at - 1) this.fresh.add(word); });
    });
    this.known = known;
    this.draw();
  }
  draw() {
    const { steps, source, end } = this.data, step = steps[this.at], before = steps[this.at - 1];
    $("#position").textContent = `${this.at} of ${steps.length}`;
    const line = step ? step.line : 0;
    document.querySelectorAll("#source .row").forEach((r) => r.classList.toggle("next", Boolean(line) && r.dataset.line === String(line)));
    const excerpt = $("#excerpt");
    excerpt.replaceChildren();
    if (!step) excerpt.append(made("p", "", end));
    else if (!line) excerpt.append(made("p", "soft", `Next: code from another file, PTX lines ${step.ptx[0]} to ${step.ptx[1]}.`));
    else for (let n = Math.max(1, line - 2); n <= Math.min(source.length, line + 2); n++) {
      const row = made("div", n === line ? "row next chosen" : "row");
      row.append(made("span", "number", n), made("span", "code", source[n - 1]));
      excerpt.append(row);
    }
    $("#mask").replaceChildren(...[...(step ? step.mask : "0".repeat(32))].map((bit) => made("i", bit === "1" ? "on" : "")));
    $("#lanes-on").textContent = step ? `${[...step.mask].filter((b) => b === "1").length} of ${this.data.lanes} lanes run the next step` : "no lane runs any more";
    $("#touches").replaceChildren(...(before ? before.touches : []).map((text) => made("li", "", text)));
    const body = $("#values");
    body.replaceChildren();
    if (!this.known.has(this.name)) this.name = "";
    for (const [name, value] of this.known) {
      const row = made("tr", `${value.fresh ? "changed" : ""} ${name === this.name ? "chosen" : ""}`);
      const button = made("button", "code", name), cell = made("td");
      button.setAttribute("aria-label", `${name}: show its value in each lane`);
      button.addEventListener("click", () => { this.name = name; this.draw(); });
      cell.append(button);
      row.append(cell, made("td", "code", value.short));
      body.append(row);
    }
    const lanes = $("#lanes"), value = this.known.get(this.name);
    lanes.replaceChildren();
    $("#lanes-of").textContent = value ? `${this.name}, lane by lane:` : this.known.size ? "A name shows its value in each lane." : "Nothing has been written yet.";
    if (value) for (let lane = 0; lane < this.data.lanes; lane++) {
      const cell = made("span", step && step.mask[lane] === "1" ? "on" : "");
      cell.append(made("b", "", lane), value.values.length > 1 ? value.values[lane] : value.values[0]);
      cell.title = cell.textContent;
      lanes.append(cell);
    }
    this.drawShared();
  }
  drawShared() {
    const canvas = $("#shared");
    if (!this.data.words) return;
    const rows = Math.ceil(this.data.words / 32), size = 8, paint = canvas.getContext("2d"), style = getComputedStyle(root);
    canvas.width = 32 * size;
    canvas.height = rows * size;
    for (let word = 0; word < this.data.words; word++) {
      const kind = this.fresh.has(word) ? "--clash" : this.shared[word] === null ? "--grid" : "--hit";
      paint.fillStyle = style.getPropertyValue(kind);
      paint.fillRect((word % 32) * size, Math.floor(word / 32) * size, size - 1, size - 1);
    }
  }
  told(event) {
    const canvas = $("#shared"), box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * 32), row = Math.floor((event.clientY - box.top) / box.height * Math.ceil(this.data.words / 32));
    const word = 32 * row + column;
    if (word < 0 || word >= this.data.words) return;
    const name = [...this.data.arrays].reverse().find(([, first]) => word >= first);
    $("#word").textContent = `word ${word}, bank ${column}${name ? `, ${name[0]}[${word - name[1]}]` : ""}: ${this.shared[word] ?? "not written"}`;
  }
}
const data = JSON.parse($("#data").textContent);
const travel = data ? new Travel(data) : null;

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  const moves = { ArrowLeft: () => travel.go(travel.at - 1), ArrowRight: () => travel.go(travel.at + 1), Home: () => travel.go(0), End: () => travel.go(data.steps.length) };
  if (travel && moves[event.key]) { event.preventDefault(); moves[event.key](); }
  else if ("jk".includes(event.key) && articles.length) {
    const at = Math.max(0, Math.min(articles.length - 1, chosen() + (event.key === "j" ? 1 : -1)));
    choose(articles[at].dataset.line, true);
  }
});
