"""From a session to what the page gets: frames, points of the curves, alarms, and the recording that an export holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygan.game.objectives import LOG4, levels
from tinygan.options import OptionError
from tinygan.training.run import READ_EVERY

from .advice import Watch
from .charts import Charts, Point
from .densities import has_modes, is_plane
from .messages import as_json, packed_frame
from .moves import Move
from .rotation import WHOLE, Spectrum
from .session import Session
from .views import Views, v_of_best_d

ON_THE_PLANE = ("data", "fakes", "heat", "arrows", "map", "levels", "optimum", "difference", "modes")
OF_PICTURES = ("fakes", "walk", "data")
SHOWN_AT_FIRST = ("data", "fakes", "heat", "arrows", "levels", "modes", "walk")
DATA_POINTS = 600
RECORDED = 100  # frames of an export at most


class Frames:
    """The frames of a session, and what is read off it on the way: curves, alarms, a recording.

    on: the names of the views that are computed. average: samples are of the average of G. phase: how far the latent walk is.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.on: set[str] = set(SHOWN_AT_FIRST)
        self.average, self.phase = False, 0.0
        self.charts = Charts()
        self.watch = Watch(session.run)
        self.recorded: list[tuple[int, bytes]] = []
        self._gap = 10  # steps between two recorded frames
        self._readings: list[dict[str, float]] = []
        self._measured: dict[str, Any] = {}
        self._star: np.ndarray | None = None
        self._views: Views | None = None
        self.rotation = Charts()  # of the eigenvalues
        self.spectrum: Spectrum | None = None  # eigenvalues that are being computed
        self.seen_at = -1  # the step at which the newest ones were
        self.numbers = 0  # of frames made so far
        self.measured_at = 0  # the step at which mode counts, D* and the newest point were measured

    @property
    def views(self) -> Views:
        """The views of the session's present run."""
        if self._views is None or self._views.run is not self.session.run or self._views.average != self.average:
            self._views = Views(self.session.run, self.average)
        return self._views

    # ---- on the way -----------------------------------------------------------------------------------------------------------

    def after_step(self) -> bool:
        """Look at the step that was just made, if training would read it too. Return whether the alarms have changed."""
        session = self.session
        if session.logits is None or session.step % READ_EVERY:
            return False
        reading = {"step": session.step, **self.views.reading(session.logits)}
        self._readings.append(reading)
        del self._readings[:-100]
        return bool(np.isfinite(reading["v"])) and self.watch.look(session.run, reading)

    def went_back(self) -> None:
        """Forget what lies beyond the session's present step."""
        step = self.session.step
        self.charts.cut_back(step)
        self.rotation.cut_back(step)
        self.spectrum, self.seen_at = None, -1
        self.recorded = [(at, frame) for at, frame in self.recorded if at <= step]
        self._readings.clear()
        self.watch = Watch(self.session.run)

    def begin_anew(self) -> None:
        """Forget everything: another game begins."""
        self.charts.clear()
        self.rotation.clear()
        self.spectrum, self.seen_at = None, -1
        self.recorded, self._gap = [], 10
        self._readings.clear()
        self._views, self._star = None, None
        self.watch = Watch(self.session.run)

    # ---- points of the curves -------------------------------------------------------------------------------------------------

    def measure(self) -> Point | None:
        """Measure the game as it is, and add a point to the curves. Return the point; None if it lies too near to the last one."""
        session, views = self.session, self.views
        point: Point = {"step": session.step, **self._mean_reading()}
        point["grad_d"], point["grad_g"] = views.gradient_norms()
        self._measured, self.measured_at = {}, session.step
        if views.has_optimum:
            samples = views.many()
            self._star, divergence = views.optimum(samples)
            point |= {"jsd": divergence, "best": v_of_best_d(divergence)}
            if has_modes(session.dataset):
                counts = views.modes(samples)
                self._measured["modes"] = counts.tolist()
                point["modes"] = int((counts > 0).sum())
        return point if self.charts.add(point) else None

    def _mean_reading(self) -> dict[str, float]:
        """Return the mean of the readings since the last point, or a reading of the last step.

        Where the last thing that happened was no step of both players (a move of one alone, other options, going back), no logits
        of a step are of these networks and options: fresh batches are read.
        """
        logits = self.session.logits
        if logits is None:
            self._readings.clear()
            return self.views.fresh_reading()
        if not self._readings:
            self._readings.append(self.views.reading(logits))
        kept = {name: float(np.mean([r[name] for r in self._readings])) for name in self._readings[0] if name != "step"}
        self._readings.clear()
        return kept

    def forget_readings(self) -> None:
        """Forget the readings since the last point: they are of other options."""
        self._readings.clear()

    def levels(self) -> dict[str, Any]:
        """Return where the curves rest at the equilibrium, as far as the game determines it: {"v": [-1.386, "-log 4"], ...}."""
        config = self.session.config
        found = levels(config.objective, config.smooth)
        return {name: [level.value, level.label] for name, level in found.items()} | {"value": [-LOG4, "-log 4"]}

    # ---- the game's rotation --------------------------------------------------------------------------------------------------

    def begin_spectrum(self, whole_up_to: int = WHOLE) -> None:
        """Begin to compute the eigenvalues of the game where it is now. Raises OptionError for players that are too large."""
        try:
            self.spectrum = self.views.spectrum(whole_up_to)
        except ValueError as error:
            raise OptionError(str(error)) from None

    def finished_spectrum(self) -> dict[str, Any]:
        """Return the eigenvalues that are done, as a message, and add a point to their curve: the largest parts.

        turns: the largest imaginary part; drives: the largest real part. Both are missing where no eigenvalue has settled.
        """
        spectrum = self.spectrum
        assert spectrum is not None and spectrum.done, "there is a spectrum that is done"
        found, self.spectrum = spectrum.eigenvalues(), None
        self.seen_at = spectrum.step
        point: Point | None = None
        if len(found):
            point = {"step": spectrum.step, "turns": float(np.abs(found.imag).max()), "drives": float(found.real.max())}
            if not self.rotation.add(point):
                point = None
        return {
            "kind": "eigenvalues", "step": spectrum.step, "values": [[float(e.real), float(e.imag)] for e in found],
            "of": spectrum.size, "whole": spectrum.whole, "products": spectrum.products, "point": point,
        }

    # ---- frames ---------------------------------------------------------------------------------------------------------------

    def frame(self, header: dict[str, Any] | None = None, on: Iterable[str] | None = None, move: Move | None = None) -> bytes:
        """Return the present state as a frame.

        header: what its header says besides. on: the views that it has, those that are on if not given. move: a move of slow
        motion, whose samples it has.
        """
        chosen = set(self.on if on is None else on)
        plane = is_plane(self.session.dataset)
        arrays = (self._of_plane if plane else self._of_pictures)(chosen)
        if move is not None:
            arrays |= {"move_real": move.real, "move_fake": move.fake, "move_d_real": move.d_real, "move_d_fake": move.d_fake}
            if not plane:
                arrays |= {name: self._as_pictures(arrays[name]) for name in ("move_real", "move_fake") if len(arrays[name])}
        self.numbers += 1
        head = {"kind": "frame", "n": self.numbers, "step": self.session.step, **self._measured, **(header or {})}
        return packed_frame(head, arrays)

    def _as_pictures(self, samples: np.ndarray) -> np.ndarray:
        codec: Any = self.session.dataset.codec
        return codec.eight_bits(codec.decode(samples))

    def _of_plane(self, on: set[str]) -> dict[str, np.ndarray]:
        views, arrays = self.views, dict[str, np.ndarray]()
        if "fakes" in on or "arrows" in on:
            arrays["fakes"], arrow = views.fakes("arrows" in on)
            if len(arrow):
                arrays["arrows"] = arrow
        if on & {"heat", "levels", "difference"}:
            arrays["heat"] = views.heat()
        if on & {"optimum", "difference"} and views.has_optimum:
            if self._star is None:
                self._star = views.optimum(views.many())[0]
            arrays["star"] = self._star
        if "map" in on:
            arrays["mesh"] = views.mesh()
        return arrays

    def _of_pictures(self, on: set[str]) -> dict[str, np.ndarray]:
        arrays = {}
        if "fakes" in on:
            arrays["tiles"] = self.views.tiles()
        if "walk" in on:
            arrays["walk"] = self.views.walk(self.phase)
        return arrays

    def world(self) -> bytes:
        """Return what does not change while a game is played: samples of the data, its modes, the units of the plane."""
        dataset, views = self.session.dataset, self.views
        codec: Any = dataset.codec
        rng = np.random.default_rng([7, 3])
        header: dict[str, Any] = {"kind": "world", "plane": is_plane(dataset), "optimum": views.has_optimum, "reach": views.reach}
        arrays = {}
        if is_plane(dataset):
            arrays["data"] = dataset.some(dataset.at_most(DATA_POINTS), rng)
            header |= {"mean": list(codec.mean), "std": list(codec.std), "columns": list(codec.columns)}
            if has_modes(dataset):
                arrays["centres"] = codec.encode(dataset.centres)
                header["radius"] = views.mode_radius
        else:
            arrays["data"] = self._as_pictures(dataset.some(dataset.at_most(36), rng))
        return packed_frame(header, arrays)

    # ---- the recording --------------------------------------------------------------------------------------------------------

    def record(self) -> None:
        """Record the present state, if it lies far enough from the last one. Frames are thinned as points of curves are."""
        step = self.session.step
        if self.recorded and step < self.recorded[-1][0] + self._gap:
            return
        on = ON_THE_PLANE if is_plane(self.session.dataset) else OF_PICTURES
        self.recorded.append((step, self.frame(on=on)))
        if len(self.recorded) > RECORDED:
            self.recorded = self.recorded[::2]
            self._gap *= 2

    @property
    def record_due(self) -> int:
        """The step from which on a frame would be recorded."""
        return self.recorded[-1][0] + self._gap if self.recorded else 0

    def charts_message(self) -> str:
        """Return all points of the curves, and the ghost, as a message."""
        return as_json(self.curves())

    def curves(self) -> dict[str, Any]:
        """Return all points of the curves, the ghost, and where the curves rest."""
        return {"kind": "charts", "points": self.charts.points, "ghost": self.charts.ghost, "levels": self.levels(),
                "rotation": self.rotation.points}
