// Data that are pictures: samples of the same z, a walk through z, and real ones.
import { byId, game } from "./state.js";

/** Draw what there is of pictures in the newest frame. */
export function drawPictures() {
  const { world, frame } = game;
  if (!world || world.plane || !frame) return;
  const { tiles, walk, move_real: real, move_fake: fake } = frame.arrays;
  if (fake && fake.shape.length === 4) sheet(byId("tiles"), fake, 8);
  else if (tiles) sheet(byId("tiles"), tiles, 6);
  byId("walk").parentElement.hidden = !walk;
  if (walk) sheet(byId("walk"), walk, 12);
  sheet(byId("real-tiles"), real && real.shape.length === 4 && real.shape[0] ? real : world.arrays.data, real && real.shape[0] ? 8 : 6);
}

/** Draw pictures (n, H, W, C) in rows, a pixel as a pixel; the style sheet enlarges the canvas. */
function sheet(canvas, array, across) {
  const [n, h, w, c] = array.shape, values = array.values;
  const rows = Math.ceil(n / across), gap = 1;
  canvas.width = across * (w + gap) - gap;
  canvas.height = rows * (h + gap) - gap;
  const context = canvas.getContext("2d");
  const image = context.createImageData(w, h);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < h * w; p++) {
      const first = (i * h * w + p) * c;
      for (let k = 0; k < 3; k++) image.data[4 * p + k] = values[first + (c >= 3 ? k : 0)];
      image.data[4 * p + 3] = c === 2 || c === 4 ? values[first + c - 1] : 255;
    }
    context.putImageData(image, (i % across) * (w + gap), Math.floor(i / across) * (h + gap));
  }
}
