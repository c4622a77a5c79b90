// What things mean: a box that appears where one points, or where the keyboard is.
import { byId, game } from "./state.js";

const HELP = {
  restart: "Begin the same game anew: the same seed, the same weights.",
  play: "Play both players' steps, as fast as the machine can. Key: space.",
  step: "One step of Algorithm 1: k moves of D, then one of G. Key: s.",
  step_d: "One move of D alone, which ascends V.\nθ_d ← θ_d + rate · d goal_D / dθ_d. Key: d.",
  step_g: "One move of G alone, which descends its loss.\nθ_g ← θ_g − rate · d loss_G / dθ_g. Key: g.",
  slow: "Take the next step apart: its six moves one by one, with their numbers and the line of code. Key: m.",
  speed: "Steps a second at most.",
  clock: "Steps made. A move of one player alone counts as one.",
  rate: "Steps a second, as they are made now.",
  timeline: "Go back to any step. What follows from there is, bit for bit, what a run from that step gives; change something there and it is a fork. The future that was given up stays in the charts as a grey line.",
  export: "One file with this game's recording, which plays it anywhere: no server, no network.",
  theme: "Follow the system, or change between dark and light.",
  data: "Samples of the data, x ~ p_data: blue dots.",
  fakes: "G's samples G(z), of the same z in every frame: orange crosses.",
  heat: "What D says of each place. Blue: real, D(x) near 1. Orange: fake, D(x) near 0.\nD(x) = sigmoid(s(x)). Where the game's D is no probability, sigmoid of its number.",
  arrows: "Where each fake wants to go: down the gradient of G's loss.\n−m · d loss_G / dG(z_i), drawn with a length that is cut.",
  map: "Where G takes a square grid of its first two z, from −2 to 2, the others 0.",
  levels: "The line on which D cannot tell: D(x) = 1/2.",
  optimum: "The best D there is against this G: D*(x) = p_data(x) / (p_data(x) + p_g(x)).\np_data is known; p_g is estimated from 4,096 samples. Both are blurred by one cell of the map; where neither has any mass, 1/2 is shown.",
  difference: "How far D is from the optimal one, D − D*. Blue: too sure of real, orange: too sure of fake.",
  modes: "How many of 4,096 samples of G lie within 3 std of each mode. A mode that gets none is lost.",
  walk: "G along a closed way through z: samples should change smoothly.",
  average: "Samples of the average of G (--ema), which is the one that `tinygan sample` uses, in the place of G itself.",
  value: "V(D, G) = E log D(x) + E log(1 − D(G(z))), on the batches of training.\nGreen: what V would be with the best D, −log 4 + 2 JSD. Dotted: −log 4, the equilibrium.\nA V near −log 4 proves nothing while the green line lies above it.",
  jsd: "The Jensen-Shannon divergence of p_data and p_g, in nats: 0 where they are equal, log 2 = 0.693 where they do not overlap.\nOn cells, from 4,096 samples, which make it too large: at the equilibrium 0.001 (ring) to 0.03 (data that fill many cells) is left.",
  losses: "What each player descends. D's is −V, with penalties; G's is its own objective.",
  beliefs: "What D believes, mean over a batch: of data D(x), of fakes D(G(z)). Both are 1/2 at the equilibrium.",
  gradients: "The length of each player's gradient, on a logarithmic scale. Where G's falls to nothing, it has stopped learning.",
  covered: "Modes that at least one of 4,096 samples of G lies in.",
  rotation: "Eigenvalues of the Jacobian of v = (d goal_D/dθ_d, −d loss_G/dθ_g), the way that both players go at once.\nImaginary parts turn the players around each other; positive real parts drive them apart.\nThe button computes all of them for players of up to 1,000 parameters together; for larger ones the outermost, from 100 products of the Jacobian with vectors.",
  follow: "Compute the outermost eigenvalues again and again, with a tenth of the time, and draw their largest parts as a curve.",
  turning: "The largest parts of the eigenvalues that were computed: the imaginary one turns the players around each other, the real one drives them apart where it is above 0.",
};

/** Return what is known about a name: a text of the page, or the help of an option of the command line. */
function textFor(name) {
  const option = game.hello && game.hello.options && game.hello.options[name];
  if (!HELP[name] && option) return `${option.flag}: ${option.help}${option.new_game ? "\nAnother value begins a new game." : ""}`;
  return HELP[name] || "";
}

/** Show help for whatever has a data-help attribute, on hover and on focus. */
export function startHelp() {
  const tip = byId("tip");
  const show = (event) => {
    const target = event.target.closest && event.target.closest("[data-help]");
    const text = target && textFor(target.dataset.help);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = target.getBoundingClientRect();
    const below = box.bottom + tip.offsetHeight + 12 < innerHeight;
    tip.style.top = `${Math.max(4, below ? box.bottom + 8 : box.top - tip.offsetHeight - 8)}px`;
    tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  };
  document.addEventListener("pointerover", (event) => { if (event.pointerType !== "touch") show(event); });
  document.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) show(event); });
  document.addEventListener("focusout", () => { tip.hidden = true; });
  document.addEventListener("pointerdown", () => { tip.hidden = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
}
