"""The game as a vector field: both players' moves as one velocity, and its Jacobian by Hessian-vector products.

    v(theta) = (d goal_d / d theta_d,  -d loss_g / d theta_g)

Simultaneous gradient steps of size h are theta <- theta + h v(theta). Near an equilibrium the eigenvalues of v's Jacobian decide:
a real part below 0 attracts, an imaginary part rotates (Mescheder et al. 2018, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor, gradients
from tinygan.engine.transforms import jacobian_of


def velocity(goal_d: Tensor, loss_g: Tensor, theta_d: Sequence[Tensor], theta_g: Sequence[Tensor]) -> Tensor:
    """Compute v (P,), theta_d's part first, as a tensor that can be differentiated again."""
    up = gradients(goal_d, theta_d, create_graph=True)
    down = gradients(loss_g, theta_g, create_graph=True)
    return ops.concat([ops.reshape(part, (part.size,)) for part in (*up, *(-g for g in down))])


def jacobian(v: Tensor, theta: Sequence[Tensor]) -> np.ndarray:
    """Compute dv/dtheta (P, P), row i being the gradient of v_i: one Hessian-vector product a row."""
    return jacobian_of(v, theta, create_graph=False).numpy()  # zeros where a player's move does not depend on some of theta
