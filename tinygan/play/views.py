"""What a frame of the page shows: samples, D's heat map, arrows, D*, numbers, by replayed launches on the present parameters.

Nothing here draws from the generators of the run: a game that is watched is the same game. Networks are run in eval mode, so that
nothing of them moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from tinygan.engine import ops
from tinygan.engine.randomness import Draws
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game.objectives import LOG4, OBJECTIVES, goal_of_d, value
from tinygan.game.packing import packed
from tinygan.game.penalties import R1, Judged, Penalty, variable
from tinygan.game.readings import Logits
from tinygan.game.remedies import Remedies
from tinygan.measure.densities import grid, jsd, optimal
from tinygan.nn.layers import Layer
from tinygan.training.run import Run
from tinygan.training.samples import evaluating

from .densities import has_modes, is_plane
from .rotation import GameField, Spectrum

FAKES = 400  # points of the plane in a frame
TILES = 36  # pictures in a frame
WALK = 12  # pictures of the latent walk
CELLS = 48  # cells of the heat map along each side
MESH = 17  # points of G's map along each side
MANY = 4096  # samples from which the density of G is estimated
PROBE = 256  # samples from which gradients are estimated; packs of up to 16 divide it
READ = ("v", "d_real", "d_fake", "d_loss", "g_loss", "value")  # the numbers of a reading


class Views:
    """The views of one run. average: show samples of the average of G, where there is one, in the place of G in play."""

    def __init__(self, run: Run, average: bool = False) -> None:
        self.run, self.dataset, self.average = run, run.dataset, average
        self.G: Layer = (average and run.game.average) or run.game.G
        self.objective = OBJECTIVES[run.config.objective]
        self._rng = np.random.default_rng([7, 0])  # of fresh noise and data, none of the run's
        self._sampler = self.dataset.sampler(PROBE, self._rng)
        samples = FAKES if is_plane(self.dataset) else TILES
        self.z = np.random.default_rng([7, 1]).standard_normal((samples, run.config.z), np.float32)
        self._replayed: dict[str, Replayed] = {}
        self._game_field: GameField | None = None
        self.reach = reach_of(self.dataset)
        self._p: np.ndarray | None = None  # of the cells, then of all the rest of the plane
        self._blurred_p: np.ndarray | None = None
        if is_plane(self.dataset) and self.dataset.centres is not None:
            p = self._cells_of_data(self._std)
            self._p = np.append(p.reshape(-1), max(0.0, 1 - p.sum()))
            self._blurred_p = self._cells_of_data(math.hypot(self._std, 2 * self.reach / CELLS))

    def _run(self, name: str, step: Callable[..., Sequence[Tensor]], *arrays: Any) -> list[np.ndarray]:
        """Run a function of tensors, recorded at its first use, with both players in eval mode; return copies of what it gives."""
        if name not in self._replayed:
            self._replayed[name] = Replayed(step, self.run.backend)
        game = self.run.game
        for optimiser in (game.optim_d, game.optim_g):
            optimiser.flat.rejoin()
        self._let_penalties_fall()
        with evaluating(self.G), evaluating(game.G), evaluating(game.D), np.errstate(all="ignore"):
            return [np.array(t.numpy()) for t in self._replayed[name](*arrays)]

    def _let_penalties_fall(self) -> None:
        """Have penalties count as at the step at hand: whoever went back, or changed options, has the share of another step."""
        run = self.run
        if run.game.remedies.falling_penalties:
            run.game.penalty_share = run.game.remedies.penalty_share(run.step / max(run.config.steps, 1))

    # ---- the plane ------------------------------------------------------------------------------------------------------------

    def fakes(self, arrows: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return G's samples of the same z in every frame, (FAKES, 2), and where each wants to go, (FAKES, 2) or (0, 2).

        A sample wants to go down the gradient of G's loss: -m d loss / d G(z_i), m being the number of samples.
        """
        if not arrows:
            return self._run("fakes", lambda z: (self.G(z),), self.z)[0], np.zeros((0, 2), np.float32)
        n = len(self.z) // self.run.config.pack * self.run.config.pack

        def step(z: Tensor, x: Tensor) -> tuple[Tensor, ...]:
            fake = variable(self.G(z))
            loss = self.objective.loss(self._logits(x), self._logits(fake))
            return fake, gradients(loss, [fake])[0] * -float(n)

        fake, arrow = self._run("arrows", step, self.z[:n], self.dataset.some(n, self._rng))
        return fake, arrow

    def _logits(self, x: Tensor) -> Tensor:
        return self.run.game.D(packed(x, self.run.config.pack))

    def cells(self) -> np.ndarray:
        """Return the centres of the heat map's cells, (CELLS^2, 2), x running slowest."""
        return grid(-self.reach, self.reach, CELLS, 2).astype(np.float32)

    def heat(self) -> np.ndarray:
        """Return how D shades the plane, (CELLS, CELLS) from 0 to 1, x first; 1/2 where D cannot tell.

        D(x) where D is a probability, and where its number is meant to be 0 or 1; elsewhere sigmoid of the number. A D of packs is
        shown packs of one point.
        """
        pack = self.run.config.pack

        def step(x: Tensor) -> tuple[Tensor]:
            s = self.run.game.D(ops.concat([x] * pack, axis=1) if pack > 1 else x)
            return (s if self.run.config.objective == "least-squares" else ops.sigmoid(s),)

        (found,) = self._run("heat", step, self.cells())
        return np.clip(found.reshape(CELLS, CELLS), 0, 1)

    def mesh(self) -> np.ndarray:
        """Return where G takes a square grid of z, (MESH, MESH, 2): [-2, 2]^2 of the first two numbers of z, the others being 0."""
        z = np.zeros((MESH * MESH, self.run.config.z), np.float32)
        side = grid(-2, 2, MESH, 2)
        z[:, : min(2, z.shape[1])] = side[:, : z.shape[1]]
        (found,) = self._run("mesh", lambda z: (self.G(z),), z)
        return found.reshape(MESH, MESH, 2)

    # ---- known densities ------------------------------------------------------------------------------------------------------

    @property
    def has_optimum(self) -> bool:
        """True where the density of the data is known, and so the optimal D."""
        return self._p is not None

    def many(self) -> np.ndarray:
        """Return MANY fresh samples of G, (MANY, 2)."""
        z = self._rng.standard_normal((MANY, self.run.config.z), np.float32)
        return self._run("many", lambda z: (self.G(z),), z)[0]

    def optimum(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        """Return D* = p / (p + q), (CELLS, CELLS), and JSD(p, q) in nats, from samples of G (n, 2).

        For JSD, p are the exact probabilities of the cells, and q the shares of the samples in them; what lies outside of all cells
        is one more. Cells alone would make JSD too small. Samples make it too large, and near the equilibrium they win: n exact
        samples in c occupied cells give about c / (8 n), not 0. With MANY that is 0.001 on the ring, whose modes are narrow, and up
        to 0.03 on data that fill many cells.

        For D*, both densities are blurred by a normal one whose std is the side of a cell (p exactly, q as a kernel density
        estimate), and both get a floor, half of what one sample alone reaches: where there is nobody, D* is 1/2.
        """
        p = self._p
        assert p is not None and self._blurred_p is not None, "has_optimum says where there is one"
        edges = np.linspace(-self.reach, self.reach, CELLS + 1)
        finite = samples[np.isfinite(samples).all(axis=1)]
        counts = np.histogram2d(finite[:, 0], finite[:, 1], (edges, edges))[0]
        q = np.append(counts.reshape(-1), len(samples) - counts.sum()) / len(samples)
        floor = 1 / (4 * np.pi * len(samples))
        blurred_q = gaussian_filter(counts / len(samples), 1.0, mode="constant")
        return optimal(self._blurred_p + floor, blurred_q + floor), jsd(p, q)

    @property
    def _std(self) -> float:
        """The std of each component of the data, in the networks' units."""
        assert self.dataset.std is not None, "data with centres have one"
        return float(self.dataset.std / self.dataset.codec.std[0])

    @property
    def mode_radius(self) -> float:
        """How far from its centre a mode reaches, in the networks' units: 3 std."""
        return 3 * self._std

    def _cells_of_data(self, std: float) -> np.ndarray:
        """Return the exact probabilities of the cells, (CELLS, CELLS), were `std` that of each component of the data."""
        assert self.dataset.centres is not None, "has_optimum says where there are some"
        centres = self.dataset.codec.encode(self.dataset.centres)
        edges = np.linspace(-self.reach, self.reach, CELLS + 1)
        x, y = (np.diff(ndtr((edges[None, :] - centres[:, axis, None]) / std), axis=1) for axis in (0, 1))
        return (x[:, :, None] * y[:, None, :]).mean(axis=0)

    def modes(self, samples: np.ndarray) -> np.ndarray:
        """Return how many of the samples (n, 2) are of each mode, (k,): within mode_radius of it, and of no nearer one.

        The result is (0,) for data without modes.
        """
        if not has_modes(self.dataset):
            return np.zeros(0, np.int64)
        centres = self.dataset.codec.encode(self.dataset.centres)
        distances = np.linalg.norm(samples[:, None, :] - centres[None, :, :], axis=2)
        return np.bincount(distances.argmin(axis=1)[distances.min(axis=1) <= self.mode_radius], minlength=len(centres))

    # ---- pictures -------------------------------------------------------------------------------------------------------------

    def tiles(self) -> np.ndarray:
        """Return pictures of the same z in every frame, (TILES, H, W, C) uint8."""
        return self._pictures("tiles", self.z)

    def walk(self, phase: float) -> np.ndarray:
        """Return pictures along a closed way through z, (WALK, H, W, C) uint8; phase, in turns, moves them along it.

        The way is a circle through three draws of z whose points are as far from 0 as draws are.
        """
        a, b = np.random.default_rng([7, 2]).standard_normal((2, self.run.config.z))
        t = 2 * np.pi * (np.arange(WALK) / WALK + phase)[:, None]
        return self._pictures("walk", (np.cos(t) * a + np.sin(t) * b).astype(np.float32))

    def _pictures(self, name: str, z: np.ndarray) -> np.ndarray:
        codec: Any = self.dataset.codec
        (found,) = self._run(name, lambda z: (self.G(z),), z)
        return codec.eight_bits(codec.decode(np.nan_to_num(found)))

    # ---- numbers --------------------------------------------------------------------------------------------------------------

    def reading(self, logits: Logits) -> dict[str, float]:
        """Return the numbers of a step of the run, as `Logits.read` does, and "value": V by definition, whatever D ascends."""
        found = self._run("reading", lambda *tensors: self._numbers(Logits(*tensors)), *(t.numpy() for t in logits.tensors))
        return dict(zip(READ, map(float, found), strict=True))

    def _numbers(self, of: Logits) -> tuple[Tensor, ...]:
        """Return the numbers of READ, in its order."""
        game = self.objective
        means = [ops.mean(game.d_of(s)) for s in (of.real, of.fake)]
        return game.goal(of.real, of.fake), *means, *of.losses(self.run.config.objective), value(of.real, of.fake)

    def fresh_reading(self) -> dict[str, float]:
        """Return the numbers that `reading` gives, of PROBE fresh samples that both players are judged by as they are now.

        Penalties count in D's loss; instance noise and unrolled steps are left out.
        """
        draws = Draws(self._rng)

        def step(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
            goal, real, fake, _ = self._judged(x, z, draws)
            return self._numbers(Logits(real, fake, fake, goal))

        return dict(zip(READ, map(float, self._run("fresh", step, *self._probe())), strict=True))

    def _probe(self) -> tuple[np.ndarray, np.ndarray]:
        """Return PROBE fresh samples of the data and as many z, fewer where packs do not divide them."""
        n = PROBE // self.run.config.pack * self.run.config.pack
        return self._sampler.next()[:n], self._rng.standard_normal((n, self.run.config.z), np.float32)

    def gradient_norms(self) -> tuple[float, float]:
        """Return |d goal_D / d theta_d| and |d loss_G / d theta_g| on PROBE fresh samples: how steep the game is for each player.

        Penalties count in D's goal; instance noise and unrolled steps are left out.
        """
        draws = Draws(self._rng)

        def step(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
            up, down, theta_d, theta_g = self._both_goals(x, z, draws)
            norms = []
            for goal, theta in ((up, theta_d), (down, theta_g)):
                parts = [ops.sum(g**2) for g in gradients(goal, theta)]
                total = parts[0]
                for part in parts[1:]:
                    total = total + part
                norms.append(ops.sqrt(total))
            return tuple(norms)

        d, g = self._run("norms", step, *self._probe())
        return float(d), float(g)

    def _both_goals(self, x: Tensor, z: Tensor, draws: Draws) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        """Return D's goal, G's loss, theta_d and theta_g, the goal with its penalties, on one batch of each."""
        game = self.run.game
        goal, s_real, _, made = self._judged(x, z, draws)
        loss = self.objective.loss(s_real, game.D(made))
        return goal, loss, game.optim_d.parameters, game.optim_g.parameters

    def _judged(self, x: Tensor, z: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return D's goal with its penalties, its logits of the data and of fakes that are held, and the fakes that are not."""
        c, game = self.run.config, self.run.game
        real, made = variable(packed(x, c.pack)), packed(game.G(z), c.pack)
        fake = variable(made)
        of_real, of_fake = Judged(real, game.D(real)), Judged(fake, game.D(fake))
        goal = goal_of_d(c.objective, of_real.s, of_fake.s, c.smooth)
        penalties: list[Penalty] = [*([R1(c.r1)] if c.r1 else []), *c.part(Remedies).penalties(draws)]
        for penalty in penalties:
            goal = goal - game.at_present(penalty(game.D, of_real, of_fake))
        return goal, of_real.s, of_fake.s, made

    def spectrum(self, whole_up_to: int) -> Spectrum:
        """Return the eigenvalues of the game as it is now, on PROBE samples, still to be worked out (rotation.py).

        whole_up_to: how many parameters the players may have for all of them. Raises ValueError for players that are too large.
        """
        if self._game_field is None:
            self._game_field = GameField(self.run)
        self._let_penalties_fall()
        return Spectrum(self._game_field, *self._probe(), self._rng, whole_up_to)


def reach_of(dataset: Any) -> float:
    """Return how far the plane that is shown reaches from 0 along each axis, in the networks' units."""
    if not is_plane(dataset):
        return 1.0
    if dataset.centres is None:
        return float(1.15 * np.abs(dataset.x).max())
    reach = np.abs(dataset.codec.encode(dataset.centres)).max() + 3 * dataset.std / dataset.codec.std[0]
    return float(max(1.2 * reach, 1.0))


def v_of_best_d(divergence: float) -> float:
    """Return V of the optimal D, -log 4 + 2 JSD; Goodfellow et al. 2014, Theorem 1."""
    return -LOG4 + 2 * divergence
