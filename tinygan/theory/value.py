"""Claims about V itself: its definition, its gradients written out by hand, and the two objectives of G."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.tensor import Tensor, gradients
from tinygan.game import objectives
from tinygan.game.objectives import LOG4, V
from tinygan.nn.init import glorot_uniform
from tinygan.nn.layers import Linear, Sequential

from .claim import Claim, Measured

LOG2 = LOG4 / 2
EPS = float(np.finfo(np.float64).eps)


def _tensor(values: np.ndarray | float, backend: Backend) -> Tensor:
    return Tensor(np.asarray(values, np.float64), backend, requires_grad=True)


def _logits(backend: Backend, m: int = 64) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(14)
    return _tensor(3 * rng.standard_normal((m, 1)), backend), _tensor(3 * rng.standard_normal((m, 1)), backend)


def _largest(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the largest difference within any pair, as a share of the pair's largest value."""
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)) for a, b in parts)


# ---- 1: V in logits -----------------------------------------------------------------------------------------------------------


def value_in_logits(backend: Backend) -> list[Measured]:
    s_real, s_fake = _logits(backend)
    p_real, p_fake = (1 / (1 + np.exp(-s.numpy().astype(np.longdouble))) for s in (s_real, s_fake))
    defined = float(np.log(p_real).mean() + np.log(1 - p_fake).mean())
    v = objectives.value(s_real, s_fake)
    batch = ops.concat([s_real, s_fake])
    labels = np.repeat([1.0, 0.0], s_real.size)[:, None]
    bce = ops.bce_logits(batch, Tensor(labels, backend))
    m = s_real.size
    hand = (1 - p_real) / m, -p_fake / m
    found = [g.numpy() for g in gradients(v, [s_real, s_fake])]
    of_bce = [-2 * g.numpy() for g in gradients(bce, [s_real, s_fake])]
    return [
        Measured("V from logits against E log D + E log(1 - D)", float(v), defined, 50 * EPS * abs(defined)),
        Measured("-2 x the mean BCE over a balanced labelled batch", -2 * float(bce), defined, 50 * EPS * abs(defined)),
        Measured("worst error of dV/ds = sigma(-s)/m, -sigma(s)/m", _largest(list(zip(found, hand, strict=True))), 0, 50 * EPS),
        Measured("worst difference of -2 dBCE/ds and dV/ds", _largest(list(zip(of_bce, found, strict=True))), 0, 50 * EPS),
    ]


def _first_infinite(way: Callable[[np.ndarray], np.ndarray], sign: int, dtype: type) -> float:
    """Return the whole logit nearest to 0, on the side of `sign`, at which a way of computing a logarithm gives -inf."""
    s = sign * np.arange(1201).astype(dtype)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        return float(s[np.isneginf(way(s))][0])


def finite_logits(backend: Backend) -> list[Measured]:
    ways = {
        "log D as log(1 / (1 + e^-s))": (lambda s: np.log(1 / (1 + np.exp(-s))), -1, -710, -89),
        "log D as log(e^s / (1 + e^s))": (lambda s: np.log(np.exp(s) / (1 + np.exp(s))), -1, -746, -104),
        "log(1 - D) with D = 1 / (1 + e^-s)": (lambda s: np.log(1 - 1 / (1 + np.exp(-s))), 1, 37, 17),
    }
    measured = []
    for name, (way, sign, of_64, of_32) in ways.items():
        for dtype, expected in ((np.float64, of_64), (np.float32, of_32)):
            found = _first_infinite(way, sign, dtype)
            measured.append(Measured(f"{name}, {dtype.__name__}: -inf from s = ... on", found, expected))
    v = float(objectives.value(_tensor([[-1e300]], backend), _tensor([[1e300]], backend)))
    return [*measured, Measured("V from logits at s = -1e300 on data and 1e300 on fakes", v, -2e300)]


# ---- 2: the gradients of both players, by hand --------------------------------------------------------------------------------


def gradients_by_hand(theta_g: Sequence[np.ndarray], theta_d: Sequence[np.ndarray], x: np.ndarray, z: np.ndarray):
    """Compute (dV/dtheta_g, dV/dtheta_d) for G(z) = tanh(z A + a) B + b and s(x) = tanh(x C + c) w + d, by the chain rule on paper.

    V = 1/m sum log sigma(s(x_i)) + 1/m sum log(1 - sigma(s(y_j))), y = G(z). With e = dV/ds:
        e_i = (1 - sigma(s_i))/m on data, e_j = -sigma(s_j)/m on fakes
        h = tanh(x C + c):   dV/dw = h^T e    dV/dd = sum e     u = (e w^T)(1 - h^2):   dV/dC = x^T u    dV/dc = sum of rows of u
    each summed over data and fakes. Through D to the fakes, q = dV/dy = u C^T, and into G with k = tanh(z A + a):
        dV/dB = k^T q    dV/db = sum of rows of q    v = (q B^T)(1 - k^2):    dV/dA = z^T v    dV/da = sum of rows of v
    """
    (A, a, B, b), (C, c, w, d) = theta_g, theta_d
    k = np.tanh(z @ A + a)
    y = k @ B + b
    of_d, q = [0.0] * 4, None
    for points, is_data in ((x, True), (y, False)):
        h = np.tanh(points @ C + c)
        p = 1 / (1 + np.exp(-(h @ w + d)))
        e = ((1 - p) if is_data else -p) / len(points)
        u = (e @ w.T) * (1 - h**2)
        parts = (points.T @ u, u.sum(axis=0), h.T @ e, e.sum(axis=0))
        of_d = [total + part for total, part in zip(of_d, parts, strict=True)]
        q = u @ C.T
    v = (q @ B.T) * (1 - k**2)
    return [z.T @ v, v.sum(axis=0), k.T @ q, q.sum(axis=0)], of_d


def two_layer_players(backend: Backend, rng: np.random.Generator) -> tuple[Sequential, Sequential]:
    """Return (G, D) in float64: noise of 3 through 5 units to points of 2, these through 6 to a logit. Biases are drawn too."""
    made = {"backend": backend, "rng": rng, "dtype": np.float64, "init": glorot_uniform}
    G = Sequential(Linear(3, 5, act="tanh", **made), Linear(5, 2, **made))
    D = Sequential(Linear(2, 6, act="tanh", **made), Linear(6, 1, **made))
    for network in (G, D):
        for layer in network:
            layer.b.array[...] = 0.5 * rng.standard_normal(layer.b.shape)
    return G, D


def gradients_of_both(backend: Backend) -> list[Measured]:
    rng = np.random.default_rng(5)
    G, D = two_layer_players(backend, rng)
    x, z = (Tensor(rng.standard_normal((7, n)), backend) for n in (2, 3))
    theta_g, theta_d = list(G.parameters().values()), list(D.parameters().values())
    hand = gradients_by_hand(*([t.numpy() for t in theta] for theta in (theta_g, theta_d)), x.numpy(), z.numpy())
    found = gradients(V(D, G, x, z), [*theta_g, *theta_d])
    pairs = [(f.numpy(), h) for f, h in zip(found, [*hand[0], *hand[1]], strict=True)]
    report = gradcheck(lambda *_: V(D, G, x, z), *theta_g, *theta_d, name="V")
    return [
        Measured("dV/dtheta_g by hand against the engine's, worst share", _largest(pairs[:4]), 0, 1e-12),
        Measured("dV/dtheta_d by hand against the engine's, worst share", _largest(pairs[4:]), 0, 1e-12),
        Measured("the engine's against numeric ones, worst error / allowed", report.worst.share, 1, relation="<="),
        Measured("numeric derivatives compared", len(report.comparisons), 58, relation=">="),
    ]


# ---- 5: saturating and non-saturating -----------------------------------------------------------------------------------------


def _slope(loss: Callable[[Tensor], Tensor], p: float, backend: Backend) -> np.ndarray:
    """Compute dL/dtheta_g at a point where D(G(z)) = p: G(z) = z w, s = 3 G + the offset that makes it so."""
    z, w = Tensor(np.array([[0.5, -1.0]]), backend), _tensor([[0.3], [0.7]], backend)
    y = z @ w
    offset = float(np.log(p) - np.log1p(-p)) - 3 * float(y)
    return gradients(loss(3 * y + offset), [w])[0].numpy()


def saturation(backend: Backend) -> list[Measured]:
    measured = []
    for p in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        weak, strong = (_slope(loss, p, backend) for loss in (objectives.minimax, objectives.nonsaturating))
        ratio = float((weak * strong).sum() / (strong**2).sum())
        measured.append(Measured(f"saturating / non-saturating gradient at D(G(z)) = {p:g}", ratio, p / (1 - p), 1e-9 * p))
    return measured


def directions(backend: Backend) -> list[Measured]:
    s = np.linspace(-700, 700, 1401)
    weak, strong = (np.array([float(loss(_tensor([[v]], backend))) for v in s])
                    for loss in (objectives.minimax, objectives.nonsaturating))
    at_half = [float(loss(_tensor([[0.0]], backend))) for loss in (objectives.minimax, objectives.nonsaturating)]
    return [
        Measured("largest rise of E log(1 - D) as D(G(z)) grows", float(np.diff(weak).max()), 0, relation="<="),
        Measured("largest rise of -E log D as D(G(z)) grows", float(np.diff(strong).max()), 0, relation="<="),
        Measured("saturating: largest value (its range is (-inf, 0])", float(weak.max()), 0, relation="<="),
        Measured("saturating: smallest value on |s| <= 700", float(weak.min()), -700, 1e-9),
        Measured("non-saturating: smallest value (its range is [0, inf))", float(strong.min()), 0, relation=">="),
        Measured("non-saturating: largest value on |s| <= 700", float(strong.max()), 700, 1e-9),
        Measured("saturating at D = 1/2", at_half[0], -LOG2, 1e-15),
        Measured("non-saturating at D = 1/2", at_half[1], LOG2, 1e-15),
    ]


def total_loss(backend: Backend) -> list[Measured]:
    s_real, s_fake = _logits(backend)
    with_minimax = objectives.minimax(s_fake) - objectives.value(s_real, s_fake)
    with_nonsaturating = objectives.total_loss(s_real, s_fake)
    halves = _tensor(np.zeros((4, 1)), backend), _tensor(np.zeros((4, 1)), backend)
    left = float(np.abs(gradients(with_minimax, [s_fake])[0].numpy()).max())
    kept = float(np.abs(gradients(with_nonsaturating, [s_fake])[0].numpy()).max())
    # far out, where each player has won: nothing but the non-saturating total stays bounded below and grows on both sides
    extremes = [float(objectives.total_loss(_tensor([[a]], backend), _tensor([[b]], backend)))
                for a in (-50.0, 50.0) for b in (-50.0, 50.0)]
    return [
        Measured("saturating total against E -log D(x) alone", float(with_minimax), float(ops.bce_logits(s_real, 1.0)), 1e-12),
        Measured("saturating total: its largest slope in the fakes' logits", left, 0, 1e-15),
        Measured("non-saturating total: its largest slope there", kept, 1e-3, relation=">="),
        Measured("non-saturating total at D = 1/2: log 8", float(objectives.total_loss(*halves)), 3 * LOG2, 1e-14),
        Measured("non-saturating total: smallest value far out", min(extremes), 0, relation=">="),
    ]


# ---- 6: zero-sum --------------------------------------------------------------------------------------------------------------


def zero_sum(backend: Backend) -> list[Measured]:
    s_real, s_fake = _logits(backend)
    cost_d = -objectives.value(s_real, s_fake)
    own = ops.mean(ops.log_sigmoid(s_real))  # the part of V that G cannot change
    under_v = cost_d + (own + objectives.minimax(s_fake))
    otherwise = cost_d + (own + objectives.nonsaturating(s_fake))
    pull = [g.numpy() for g in gradients(under_v, [s_real, s_fake])]
    halves = _tensor(np.zeros((4, 1)), backend)
    at_half = -objectives.value(halves, halves) + ops.mean(ops.log_sigmoid(halves)) + objectives.nonsaturating(halves)
    return [
        Measured("costs under V: -V + V", float(under_v), 0, 1e-12),
        Measured("largest slope of that sum in any logit", max(float(np.abs(g).max()) for g in pull), 0, 1e-15),
        Measured("with -E log D for G: the sum on the same logits", float(otherwise), 0.1, relation=">="),
        Measured("with -E log D for G: the sum at D = 1/2, 2 log 2", float(at_half), 2 * LOG2, 1e-14),
    ]


_PAPER = "Goodfellow et al. 2014"
CLAIMS = [
    Claim("value", 1, "V in logits is V by definition, and minus twice the mean BCE over a balanced labelled batch",
          f"{_PAPER}, eq. 1", "float64 against extended precision: rounding of 128 terms, some tens of eps", value_in_logits),
    Claim("finite-logits", 1, "V from logits is finite at every finite logit; with D computed first, log D and log(1 - D) are not",
          "IEEE 754: the largest and smallest numbers, and the spacing of those below 1",
          "NumPy's own values at whole logits", finite_logits),
    Claim("gradients", 2, "dV/dtheta_d and dV/dtheta_g, derived by hand, equal the engine's and the numeric ones",
          f"{_PAPER}, Algorithm 1", "by hand and by engine differ by rounding; numeric as gradcheck allows", gradients_of_both),
    Claim("saturation", 5, "where D rejects, G's gradient under V is D/(1-D) times the non-saturating one: it vanishes",
          f"{_PAPER}, section 3", "an identity; nine digits remain after the offset's rounding", saturation),
    Claim("directions", 5, "both of G's losses fall as D(G(z)) grows, one from 0 to -inf, the other from inf to 0",
          f"{_PAPER}, section 3", "monotone to the last bit; the end values are exact", directions),
    Claim("total-loss", 5, "D's loss plus G's is a function of both players' work only with the non-saturating form",
          f"{_PAPER}, section 3", "with the saturating form the fakes' terms cancel, up to rounding", total_loss),
    Claim("zero-sum", 6, "under V the players' costs sum to zero; with the non-saturating objective they do not",
          f"{_PAPER}, section 3", "the same terms with opposite signs cancel, up to rounding", zero_sum),
]
