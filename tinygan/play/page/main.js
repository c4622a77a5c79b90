// The page: ties its parts together. An exported page holds a recording, and needs no server; any other connects to one.
import { byId, game, when } from "./state.js";
import { connect, replay } from "./link.js";
import { startAddress } from "./address.js";
import { startControls } from "./controls.js";
import { startHelp } from "./help.js";
import { drawPlane, startPlane } from "./plane.js";
import { drawPictures } from "./pictures.js";
import { drawCharts, startCharts } from "./charts.js";
import { startMotion } from "./motion.js";
import { startScenes } from "./scenes.js";
import { isDrawing, drawDabs, startDrawing } from "./drawing.js";
import { startPast } from "./past.js";

function drawGame() {
  if (isDrawing()) return drawDabs();
  drawPlane();
  drawPictures();
}

startHelp();
startControls();
startAddress();
startPlane();
startCharts();
startMotion();
startScenes();
startDrawing();
startPast();
when("frame", (frame) => {
  drawGame();
  if (!game.hello.live) drawCharts(); // a line shows where in the curves this is
  document.body.dataset.frame = frame.n;
  document.body.dataset.drawn = Number(document.body.dataset.drawn || 0) + 1; // for whoever counts: the game makes some that nobody draws
});
when("charts", drawCharts);
when("points", drawCharts);
when("world", drawGame);
addEventListener("resize", () => { drawGame(); drawCharts(); });

for (const kind of ["hello", "past", "failed"]) when(kind, () => { byId("waiting").hidden = true; });

const recording = byId("recording");
if (recording) replay(JSON.parse(recording.textContent));
else connect();
