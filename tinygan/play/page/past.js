// A finished run of `tinygan train --snapshots`: its pictures by step, beside its curves.
import { byId, game, make, when } from "./state.js";
import { drawCharts } from "./charts.js";

/** Show a run of the past whenever one comes. */
export function startPast() {
  when("past", (past) => {
    document.body.classList.add("past", "recorded");
    game.points = past.points;
    game.levels = { ...past.levels, value: past.levels.v };
    const image = make("img", { alt: `Samples of ${past.name}` }), title = make("p", {});
    const slider = make("input", { type: "range", min: 0, max: past.steps.length - 1, value: past.steps.length - 1, "aria-label": "Step" });
    let timer = null;
    const show = (i) => {
      slider.value = i;
      image.src = past.pictures[i];
      title.textContent = `${past.name}, step ${past.steps[i].toLocaleString("en")}`;
      byId("step-number").textContent = past.steps[i].toLocaleString("en");
      game.frame = { step: past.steps[i], arrays: {} };
      drawCharts();
    };
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    const play = make("button", { class: "main", id: "past-play", onclick: () => {
      if (timer) return stop();
      let i = Number(slider.value) + 1 < past.steps.length ? Number(slider.value) : -1;
      play.textContent = "Pause";
      timer = setInterval(() => { i += 1; show(i); if (i + 1 === past.steps.length) stop(); }, 250);
    } }, "Play");
    slider.oninput = () => { stop(); show(Number(slider.value)); };
    addEventListener("keydown", (event) => {
      const pressed = event.key === " " && event.target.closest("button"); // that button does what it says
      if (event.ctrlKey || event.metaKey || event.altKey || pressed || event.target.closest("input")) return;
      const by = { ArrowLeft: -1, ArrowRight: 1, s: 1, r: -past.steps.length }[event.key];
      if (event.key === " ") play.click();
      else if (by) { stop(); show(Math.max(0, Math.min(past.steps.length - 1, Number(slider.value) + by))); }
      else return;
      event.preventDefault();
    });
    byId("past").hidden = false;
    byId("past").replaceChildren(title, image, make("div", { class: "timeline" }, play, slider));
    show(past.steps.length - 1);
  });
}
