"""The game's rotation: eigenvalues of the Jacobian of its vector field, worked out a product at a time while the game goes on.

    v(theta) = (d goal_D / d theta_d, -d loss_G / d theta_g),    J = dv / dtheta

Simultaneous gradient steps follow v (Mescheder et al. 2018, section 2). Imaginary parts of J's eigenvalues turn the players around
each other, positive real parts drive them apart. J is formed only for players of at most WHOLE parameters. For larger ones the
outermost eigenvalues follow from PRODUCTS products of J with vectors, by Arnoldi's method (Saad 2011, section 6.2). A product is a
replay of some launches, and the game can go on between two of them.
"""

from __future__ import annotations

import math

import numpy as np

from tinygan.engine import ops
from tinygan.engine.randomness import uniform
from tinygan.engine.replay import Replayed
from tinygan.engine.tensor import Tensor, gradients
from tinygan.engine.transforms import linearize
from tinygan.game.objectives import OBJECTIVES, goal_of_d
from tinygan.game.packing import packed
from tinygan.game.penalties import Judged, squared_slope, variable
from tinygan.game.unrolled import at
from tinygan.theory.vector_field import velocity
from tinygan.training.run import Run
from tinygan.training.samples import evaluating

WHOLE = 1000  # parameters of both players up to which all eigenvalues are computed, with a product for each
PRODUCTS = 100  # with larger players: products from which the outermost eigenvalues are computed
MOST = 2_000_000  # parameters of both players up to which products are made
KRYLOV_BYTES = 64 * 2**20  # of memory for the vectors of Arnoldi's method
SETTLED = 1e-3  # an eigenvalue is shown once its residual is below this share of the largest modulus


class GameField:
    """The vector field v of a run's game on batches of its own, and products of its Jacobian J with vectors.

    Its point theta (P,) is given, so the game may go on between two products. Penalties count in D's goal, at points that move with
    G's samples; instance noise and unrolled steps are left out, and networks are in eval mode.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        game = run.game
        self._parameters = [(network, o.flat.parameters) for network, o in ((game.D, game.optim_d), (game.G, game.optim_g))]
        self.size = sum(t.size for _, parameters in self._parameters for t in parameters.values())
        self._buffers = [t for network, _ in self._parameters for t in network.buffers().values()]
        self._product = Replayed(self._push, run.backend)

    def theta(self) -> np.ndarray:
        """Return a copy of all parameters as they are now, (P,) float32, D's first."""
        return np.concatenate([t.numpy().reshape(-1) for _, parameters in self._parameters for t in parameters.values()])

    def buffers(self) -> list[np.ndarray]:
        """Return copies of what v depends on besides parameters, as it is now.

        They are what the networks hold, such as running statistics, and last the share of the penalties that counts.
        """
        return [*(t.numpy().copy() for t in self._buffers), np.array(self.run.game.penalty_share)]

    def product(self, theta: np.ndarray, buffers: list[np.ndarray], x: np.ndarray, z: np.ndarray, share: np.ndarray,
                t: np.ndarray) -> np.ndarray:
        """Return J t at theta, (P,) float64.

        buffers: what `buffers` returned at theta. x (m, ...): data; z (m, n_z): noise; share (m / pack, 1, ...): how far between
        data and fakes WGAN-GP's points lie.
        """
        now = self.buffers()
        self._put(buffers)
        try:
            with np.errstate(all="ignore"):
                return np.array(self._product(theta, x, z, share, t.astype(np.float32))[0].numpy(), np.float64)
        finally:
            self._put(now)

    def _put(self, values: list[np.ndarray]) -> None:
        *of_networks, penalty_share = values
        for t, value in zip(self._buffers, of_networks, strict=True):
            t.array[...] = self.run.backend.asarray(value)
        if self.run.game.remedies.falling_penalties:
            self.run.game.penalty_share = float(penalty_share)

    def _push(self, theta: Tensor, x: Tensor, z: Tensor, share: Tensor, t: Tensor) -> tuple[Tensor]:
        _, push = linearize(lambda theta: self.velocity(theta, x, z, share), theta)
        return (push(t),)

    def velocity(self, theta: Tensor, x: Tensor, z: Tensor, share: Tensor) -> Tensor:
        """Return v(theta), (P,)."""
        parts, begin = list[dict[str, Tensor]](), 0
        for _, parameters in self._parameters:
            parts.append({})
            for name, t in parameters.items():
                parts[-1][name] = ops.reshape(theta[begin : begin + t.size], t.shape)
                begin += t.size
        (D, _), (G, _) = self._parameters
        of_d, of_g = parts
        with at(D, of_d), at(G, of_g), evaluating(D), evaluating(G):
            goal, loss = self._goals(x, z, share)
            return velocity(goal, loss, list(of_d.values()), list(of_g.values()))

    def _goals(self, x: Tensor, z: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's goal and G's loss, both as functions of all parameters: fakes are not held."""
        c, game = self.run.config, self.run.game
        real, made = variable(packed(x, c.pack)), packed(game.G(z), c.pack)
        of_real, of_fake = Judged(real, game.D(real)), Judged(made, game.D(made))
        goal = goal_of_d(c.objective, of_real.s, of_fake.s, c.smooth)
        for weight, batch in ((c.r1, of_real), (c.r2, of_fake)):
            if weight:
                goal = goal - game.at_present(squared_slope(batch.s, batch.x, weight))
        if c.gp:
            goal = goal - game.at_present(self._moving_wgan_gp(real, made, share, c.gp))
        return goal, OBJECTIVES[c.objective].loss(of_real.s, of_fake.s)

    def _moving_wgan_gp(self, real: Tensor, fake: Tensor, share: Tensor, weight: float) -> Tensor:
        """Return the penalty that `wgan_gp` computes, as a function of theta_g too: its points between both move with the fakes.

        Training holds the points, since G does not descend the penalty. How D's gradient changes where G moves, as the Jacobian
        asks, depends on them all the same.
        """
        y = share * real + (1.0 - share) * fake
        (slope,) = gradients(ops.sum(self.run.game.D(y)), [y], create_graph=True)
        norm = ops.sqrt(ops.sum(slope**2, range(1, slope.ndim)) + 1e-12)  # the root has no derivative at 0
        return ops.mean((norm - 1.0) ** 2) * weight


class Spectrum:
    """Eigenvalues of J at one step of a game, on x and z, that are worked out by calls of `advance`.

    step: the step at which the players were looked at. done: whether all products are made. whole: whether all eigenvalues are
    there in the end; else the outermost that have settled. Raises ValueError for players of more than MOST parameters.
    """

    def __init__(self, field: GameField, x: np.ndarray, z: np.ndarray, rng: np.random.Generator, whole_up_to: int = WHOLE) -> None:
        if field.size > MOST:
            raise ValueError(f"the players have {field.size:,} parameters, and eigenvalues are computed up to {MOST:,}; take "
                             "smaller --hidden and --hidden-d")
        self.field, self.step, self.size = field, field.run.step, field.size
        share = uniform(rng, (len(x) // field.run.config.pack, *(1 for _ in x.shape[1:]))).astype(np.float32)
        self._at = (field.theta(), field.buffers(), x, z, share)
        self.whole = self.size <= whole_up_to
        fitting = KRYLOV_BYTES // (8 * self.size)
        self.products = self.size if self.whole else max(8, min(PRODUCTS, self.size, fitting))
        self.made = 0
        start = rng.standard_normal(self.size)
        self._basis = np.eye(self.size) if self.whole else np.zeros((self.products + 1, self.size))
        self._matrix = np.zeros((self.products + (not self.whole), self.products))
        if not self.whole:
            self._basis[0] = start / np.linalg.norm(start)

    @property
    def done(self) -> bool:
        """True where all products are made."""
        return self.made == self.products

    def advance(self) -> None:
        """Make one product. Raises FloatingPointError where the game has numbers that are not finite."""
        j = self.made
        found = self.field.product(*self._at, self._basis[j])
        if not np.isfinite(found).all():
            raise FloatingPointError("the game's numbers are no longer finite, so it has no eigenvalues")
        self.made += 1
        if self.whole:
            self._matrix[:, j] = found
            return
        for _ in range(2):  # once is not enough: rounding would leave the vectors far from orthogonal
            along = self._basis[: j + 1] @ found
            found -= along @ self._basis[: j + 1]
            self._matrix[: j + 1, j] += along
        left = float(np.linalg.norm(found))
        self._matrix[j + 1, j] = left
        if left <= 1e-6 * np.abs(self._matrix).max():  # all that can be reached from the start: these eigenvalues are exact
            self.products = self.made
        else:
            self._basis[j + 1] = found / left

    def matrix(self) -> np.ndarray:
        """Return J (P, P) of a spectrum that is done and whole."""
        return self._matrix

    def eigenvalues(self) -> np.ndarray:
        """Return the eigenvalues of a spectrum that is done, complex, the largest real part first.

        Of a whole one, all (P,). Else those of J on the Krylov space whose residual |J y - l y|, for y of length 1, is below
        SETTLED of the largest modulus; J's own lie that near, times the condition of the eigenvalue.
        """
        n = self.products
        if self.whole:
            found = np.linalg.eigvals(self._matrix)
        else:
            all_of_space, vectors = np.linalg.eig(self._matrix[:n, :n])
            residuals = abs(self._matrix[n, n - 1]) * np.abs(vectors[-1])
            found = all_of_space[residuals <= SETTLED * max(float(np.abs(all_of_space).max()), math.ulp(0.0))]
        return found[np.argsort(-found.real, kind="stable")]
