// Slow motion: the six moves of a step, each with its numbers and the line of code that makes it.
import { byId, game, make, shown, when } from "./state.js";
import { send } from "./link.js";

/** Show the moves whenever there are some. */
export function startMotion() {
  when("slow", draw);
}

function draw({ moves, at }) {
  const box = byId("motion");
  box.hidden = !moves.length;
  byId("slow").setAttribute("aria-pressed", String(moves.length > 0));
  if (!moves.length) return;
  const move = moves[at];
  const list = make("ol", {}, ...moves.map((other, i) => make("li", {}, make("button", {
    "aria-current": i === at ? "step" : null, onclick: () => go(i - game.slow.at),
  }, `${i + 1}. ${other.title}`))));
  const code = make("code", { class: "code" }, move.line.text, make("small", {}, `${move.line.file}, line ${move.line.number}`));
  const rows = move.numbers.map((number) => make("tr", {}, make("td", {}, number.label), make("td", {}, shown(number.value)),
    make("td", {}, number.formula)));
  box.replaceChildren(list, make("p", {}, move.text), code, make("table", {}, ...rows), make("div", { class: "buttons" },
    make("button", { onclick: () => send("move", { by: -1 }), disabled: at === 0 }, "Move before"),
    make("button", { class: "main", onclick: () => send("move", { by: 1 }) }, at + 1 < moves.length ? "Next move" : "Next step"),
    make("button", { onclick: () => send("leave") }, "Leave slow motion")));
}

function go(by) {
  for (let i = 0; i < Math.abs(by); i++) send("move", { by: Math.sign(by) });
}
