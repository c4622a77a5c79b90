"""Snapshots: the pictures of a run on its way, each made from the same noise z, and the animation of all of them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygan.atomic_files import write_atomically
from tinygan.data.readers import MADE_HERE
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.run import Run

from .pictures import draw_samples
from .samples import fake_samples

if TYPE_CHECKING:
    from PIL import Image

FOLDER = "snapshots"
ANIMATION = "snapshots.gif"
SECONDS = 8  # of the animation at most; each picture is shown for a fifth of a second at most
LAST = 2  # seconds for which the last picture is shown


class Snapshots:
    """Draws `count` pictures of a run at even distances, the first at its first reading, into `snapshots` in the run's folder.

    To be called with every reading, as `on_reading` of Run.train. Every picture shows the same z, so that one sees what becomes of
    each sample. Nothing of the run changes. At the first reading, pictures of steps beyond it are removed: they are an interrupted
    run's, which went back to its checkpoint. Raises CheckpointError where the folder cannot be written to.
    """

    def __init__(self, run: Run, count: int) -> None:
        self.run, self.folder = run, Path(run.out or "") / FOLDER
        steps = run.config.steps
        self._due = [step for step in sorted({round(i * steps / max(count - 1, 1)) for i in range(count)}) if step >= run.step]
        self._prepared = False

    def __call__(self, reading: dict[str, float]) -> None:
        step = int(reading["step"])
        if not self._due or step < self._due[0]:
            return
        if not self._prepared:
            self._prepare(step)
        self._due = [later for later in self._due if later > step]
        rng = np.random.default_rng([self.run.config.seed, 4])  # the same for every picture: the same z and the same data
        fake = fake_samples(self.run, self.run.dataset.codec.drawn, rng)
        draw_samples(self.run.dataset, fake, f"generated: step {step:,}", self.folder / f"step-{step:09}.png", rng)

    def _prepare(self, step: int) -> None:
        """Make the folder, and remove pictures of steps from `step` on."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in pictures_of(self.folder):
                if step_of(path) >= step:
                    path.unlink()
        except OSError as error:
            raise CheckpointError(f"cannot write to {self.folder}: {error.strerror}; choose another --out") from error
        self._prepared = True

    def animate(self) -> Path | None:
        """Write all pictures as one animated GIF beside their folder and return its path; None if there are no pictures. Raises
        CheckpointError.
        """
        from PIL import Image

        paths = pictures_of(self.folder)
        if not paths:
            return None
        frames = [Image.open(path).convert("RGB") for path in paths]
        palette = _side_by_side(frames[:: -(-len(frames) // 8)] + frames[-1:]).quantize(256)  # one for all: colours do not flicker
        shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        each = int(min(200, 1000 * SECONDS / len(shown)))  # milliseconds
        content = io.BytesIO()
        shown[0].save(content, "GIF", save_all=True, append_images=shown[1:], loop=0, comment=MADE_HERE.encode(),
                      duration=[each] * (len(shown) - 1) + [1000 * LAST])
        target = self.folder.parent / ANIMATION
        try:
            write_atomically(target, content.getvalue())
        except OSError as error:
            raise CheckpointError(f"cannot write {target}: {error.strerror}") from error
        return target


def _side_by_side(frames: list[Image.Image]) -> Image.Image:
    """Return one picture that has all colours of the frames."""
    from PIL import Image

    strip = Image.new("RGB", (sum(frame.width for frame in frames), max(frame.height for frame in frames)), "white")
    left = 0
    for frame in frames:
        strip.paste(frame, (left, 0))
        left += frame.width
    return strip


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures in a folder of snapshots, in the order of their steps. Other files there are left alone."""
    found = [path for path in folder.glob("step-*.png") if re.fullmatch(r"step-\d{9,}\.png", path.name)] if folder.is_dir() else []
    return sorted(found, key=step_of)


def step_of(picture: Path) -> int:
    """Return the step of which a snapshot is, by its name."""
    return int(picture.stem.removeprefix("step-"))
