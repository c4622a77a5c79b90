"""The game as a vector field: both players' moves as one velocity, its Jacobian by Hessian-vector products, and the Dirac-GAN.

    v(theta) = (d goal_d / d theta_d,  -d loss_g / d theta_g)

Simultaneous gradient steps of size h are theta <- theta + h v(theta). Near an equilibrium the eigenvalues of v's Jacobian decide:
a real part below 0 attracts, an imaginary part rotates (Mescheder et al. 2018, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients
from tinygan.engine.transforms import jacobian_of
from tinygan.game.moves import Game
from tinygan.game.penalties import squared_slope, variable
from tinygan.nn.layers import Layer
from tinygan.optim import SGD


def velocity(goal_d: Tensor, loss_g: Tensor, theta_d: Sequence[Tensor], theta_g: Sequence[Tensor]) -> Tensor:
    """Compute v (P,), theta_d's part first, as a tensor that can be differentiated again."""
    up = gradients(goal_d, theta_d, create_graph=True)
    down = gradients(loss_g, theta_g, create_graph=True)
    return ops.concat([ops.reshape(part, (part.size,)) for part in (*up, *(-g for g in down))])


def jacobian(v: Tensor, theta: Sequence[Tensor]) -> np.ndarray:
    """Compute dv/dtheta (P, P), row i being the gradient of v_i: one Hessian-vector product a row."""
    return jacobian_of(v, theta, create_graph=False).numpy()  # zeros where a player's move does not depend on some of theta


# ---- the Dirac-GAN: the smallest game that does not converge (Mescheder et al. 2018, section 2) -------------------------------


class PointG(Layer):
    """G(z) = theta, whatever z: all of its mass in one point."""

    def __init__(self, theta: float, backend: Backend) -> None:
        self.theta = Tensor(np.array([[theta]]), backend, requires_grad=True)

    def __call__(self, z: Tensor) -> Tensor:
        return ops.broadcast_to(self.theta, (z.shape[0], 1))


class LineD(Layer):
    """s(x) = psi x."""

    def __init__(self, psi: float, backend: Backend) -> None:
        self.psi = Tensor(np.array([[psi]]), backend, requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.psi


def dirac_game(backend: Backend, start: tuple[float, float], h: float, objective: str, gamma: float = 0.0) -> Game:
    """Return the Dirac-GAN at (theta, psi) = start, with plain gradient steps of size h for both, and R1 of weight gamma."""
    G, D = PointG(start[0], backend), LineD(start[1], backend)
    return Game(D, G, SGD(D.parameters(), h), SGD(G.parameters(), h), objective, gamma)


def dirac_path(
    backend: Backend, alternating: bool, gamma: float = 0.0, *, start: tuple[float, float] = (1.0, -1.0), h: float = 0.2,
    steps: int = 500, objective: str = "minimax",
) -> np.ndarray:
    """Play the Dirac-GAN, whose data is the point 0. Returns (theta, psi) from the start on, as (steps + 1, 2).

    Alternating: D moves first, k = 1.
    """
    game = dirac_game(backend, start, h, objective, gamma)
    zero = Tensor(np.zeros((1, 1)), backend)
    path = [start]
    for _ in range(steps):
        if alternating:
            game.alternating_step(lambda: zero, lambda: zero)
        else:
            game.simultaneous_step(zero, zero)
        path.append((float(game.G.theta), float(game.D.psi)))
    return np.array(path)


def dirac_eigenvalues(
    backend: Backend, goal_d: Callable[[Tensor, Tensor], Tensor], loss_g: Callable[[Tensor], Tensor], gamma: float = 0.0
) -> np.ndarray:
    """Compute the eigenvalues (2,) of v's Jacobian at the equilibrium theta = psi = 0, with R1 of weight gamma.

    The eigenvalue with the lowest imaginary part comes first. loss_g(s_fake) is what G descends.
    """
    G, D = PointG(0.0, backend), LineD(0.0, backend)
    zero = Tensor(np.zeros((1, 1)), backend)
    real, fake = variable(zero), G(zero)
    s_real, s_fake = D(real), D(fake)
    goal = goal_d(s_real, s_fake) - squared_slope(s_real, real, gamma)
    theta = [D.psi, G.theta]
    found = np.linalg.eigvals(jacobian(velocity(goal, loss_g(s_fake), theta[:1], theta[1:]), theta))
    return found[np.lexsort((found.real, found.imag))]
