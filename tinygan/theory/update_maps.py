"""One step of both players as a map theta -> theta', and the eigenvalues of its derivative, which decide about convergence.

At an equilibrium theta* the distance of theta from it is multiplied, step by step, by the spectral radius of the map's Jacobian
(Mescheder et al. 2017, Proposition 3): below 1 a game converges there, and the radius is its rate. All maps here are made of the
engine's ops, so that products of the Jacobian with vectors come from `linearize`, and the matrix is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients, wrap
from tinygan.engine.transforms import linearize
from tinygan.game.objectives import OBJECTIVES
from tinygan.game.penalties import squared_slope, variable
from tinygan.game.unrolled import at
from tinygan.nn.layers import Layer

from .vector_field import velocity

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Field:
    """The velocity v of a game on fixed batches, as a function of all parameters in one vector theta (P,), D's first.

    x (m, ...): data; z (m, ...): noise. D ascends the objective's goal, less R1 and R2 with their weights; G descends its loss.
    R2's dependence on G is kept, so that v can be differentiated in all of theta. Called with theta, it returns v (P,).
    """

    D: Layer
    G: Layer
    x: Tensor
    z: Tensor
    objective: str = "nonsaturating"
    r1: float = 0.0
    r2: float = 0.0

    def theta(self) -> Tensor:
        """Return a copy of the parameters of both players as they are now, as one vector (P,)."""
        parameters = (*self.D.parameters().values(), *self.G.parameters().values())
        return wrap(self.x.backend.asarray(np.concatenate([t.numpy().ravel() for t in parameters])), self.x.backend)

    @property
    def size_d(self) -> int:
        """How many of theta's elements are D's; they come first."""
        return sum(t.size for t in self.D.parameters().values())

    def mask(self, player: str) -> Tensor:
        """Return the vector (P,) that is 1 at the elements of the player "D" or "G", and 0 at the other's."""
        of_d = np.arange(self.theta().size) < self.size_d
        return Tensor((of_d if player == "D" else ~of_d).astype(self.x.dtype), self.x.backend)

    def _parts(self, network: Layer, theta: Tensor, begin: int) -> Iterator[tuple[str, Tensor]]:
        for name, t in network.parameters().items():
            yield name, ops.reshape(theta[begin : begin + t.size], t.shape)
            begin += t.size

    def __call__(self, theta: Tensor) -> Tensor:
        theta = theta if theta.tracked else variable(theta)
        game = OBJECTIVES[self.objective]
        of_d, of_g = dict(self._parts(self.D, theta, 0)), dict(self._parts(self.G, theta, self.size_d))
        with ExitStack() as stack:
            stack.enter_context(at(self.D, of_d))
            stack.enter_context(at(self.G, of_g))
            real, fake = variable(self.x), self.G(self.z)
            s_real, s_fake = self.D(real), self.D(fake)
            goal = game.goal(s_real, s_fake)
            for weight, s, points in ((self.r1, s_real, real), (self.r2, s_fake, fake)):
                goal = goal - squared_slope(s, points, weight) if weight else goal
            return velocity(goal, game.loss(s_real, s_fake), list(of_d.values()), list(of_g.values()))


# ---- maps ---------------------------------------------------------------------------------------------------------------------


def simultaneous(v: Field, h: float) -> Map:
    """Return theta -> theta + h v(theta): both players move at once."""
    return lambda theta: theta + h * v(theta)


def alternating(v: Field, h: float, k: int = 1) -> Map:
    """Return the map of k steps of D and then one of G, each of size h. Algorithm 1 of Goodfellow et al. 2014."""
    of_d, of_g = h * v.mask("D"), h * v.mask("G")

    def step(theta: Tensor) -> Tensor:
        for _ in range(k):
            theta = theta + of_d * v(theta)
        return theta + of_g * v(theta)

    return step


def extragradient(v: Field, h: float) -> Map:
    """Return theta -> theta + h v(theta + h v(theta)): a step with the slopes of where a step would lead. Korpelevich 1976."""
    return lambda theta: theta + h * v(theta + h * v(theta))


def consensus(v: Field, h: float, weight: float) -> Map:
    """Return theta -> theta + h (v - weight grad |v|^2 / 2): v is also made small. Mescheder et al. 2017, Algorithm 2."""

    def step(theta: Tensor) -> Tensor:
        here = theta if theta.tracked else variable(theta)
        velocity_here = v(here)
        (slope,) = gradients(0.5 * ops.sum(velocity_here**2), [here], create_graph=True)
        return here + h * (velocity_here - weight * slope)

    return step


# ---- their eigenvalues --------------------------------------------------------------------------------------------------------


def derivative(step: Map, theta: Tensor) -> np.ndarray:
    """Return the Jacobian (P, P) of a map at theta, a product with the engine's `linearize` for each column."""
    _, push = linearize(step, theta)
    return np.stack([push(column).numpy() for column in np.eye(theta.size, dtype=theta.dtype)], axis=1)


def leading_eigenvalues(step: Map, theta: Tensor, free: np.ndarray, count: int = 4, seed: int = 0) -> np.ndarray:
    """Compute the eigenvalues of largest modulus of a map's Jacobian at theta, largest first, by ARPACK's Arnoldi iteration.

    free (P,): 1 for the elements of theta that may differ, 0 for those that are held. Hold those that the map does not move near
    theta, such as D's hidden weights where its last layer is 0: each has an eigenvalue of 1, and no part in what converges. The
    iteration multiplies the Jacobian with some tens of vectors and never forms it. Returns `count` of the eigenvalues.
    """
    from scipy.sparse.linalg import LinearOperator, eigs

    _, push = linearize(step, theta)

    def product(t: np.ndarray) -> np.ndarray:
        along: np.ndarray = push(free * t.reshape(-1)).numpy()
        return free * along

    drawn = free * np.random.default_rng(seed).standard_normal(theta.size)
    operator = LinearOperator((theta.size, theta.size), matvec=product, dtype=np.float64)
    found = eigs(operator, k=count, which="LM", v0=drawn, return_eigenvectors=False, tol=1e-10)
    return np.asarray(found[np.argsort(-np.abs(found))])


def spectral_radius(step: Map, theta: Tensor) -> float:
    """Return the largest modulus of the eigenvalues of a map's Jacobian at theta, from all of them: for a few parameters."""
    return float(np.abs(np.linalg.eigvals(derivative(step, theta))).max())
