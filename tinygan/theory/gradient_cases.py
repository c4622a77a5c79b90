"""The gradient checks of the project as one table: every op at points that are hard for its VJP, and the game on whole networks.

    for case in OP_CASES + GAME_CASES:
        for report in run(case, backend, np.random.default_rng(0)):
            print(report)

The tests and `tinygan gradcheck` go through these very rows. A new op needs a case whose name begins with the op's, in the family
below that it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.tensor import Tensor
from tinygan.game import objectives
from tinygan.game.penalties import gradient_penalty
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.layers import Sequential

from .gradient_points import Case, Draw, Function, apart, case, clear_of_kinks, distinct, normal, positive, run, unit, view

__all__ = ["GAME_CASES", "OP_CASES", "Case", "run"]

# ---- elementwise ----------------------------------------------------------------------------------------------------------------


def _unary() -> Iterator[Case]:
    """Each function of one tensor, on a matrix, a view with a negative stride, and a single number."""
    domains: dict[str, Callable[..., Draw]] = {
        **dict.fromkeys(("neg", "exp", "square", "sin", "cos", "tanh", "sigmoid", "softplus", "log_sigmoid"), normal),
        "contiguous": normal,
        **dict.fromkeys(("abs", "relu", "leaky_relu"), apart),
        **dict.fromkeys(("log", "sqrt"), positive),
    }
    for name, domain in domains.items():
        f = getattr(ops, name)
        yield case(f"{name}: (3, 4)", f, domain(3, 4))
        yield case(f"{name}: negative stride", f, view(domain(4, 3)))
        # a single number right of 0 can be neither flat nor at a kink, whatever the function
        yield case(f"{name}: ()", f, positive())


def _binary() -> Iterator[Case]:
    """Functions of two tensors, at every way of broadcasting; the second of maximum is offset, so that there are no ties."""
    pairs: dict[str, tuple[Callable[..., Draw], Callable[..., Draw]]] = {
        "add": (normal, normal), "sub": (normal, normal), "mul": (normal, normal), "div": (normal, apart),
        "maximum": (distinct, lambda *shape: distinct(*shape, offset=0.07)),
        "minimum": (distinct, lambda *shape: distinct(*shape, offset=0.07)), "power": (positive, normal),
    }
    for name, (a, b) in pairs.items():
        f = getattr(ops, name)
        yield case(f"{name}: (3, 4) with (3, 4)", f, a(3, 4), b(3, 4))
        yield case(f"{name}: (3, 1) with (1, 4)", f, a(3, 1), b(1, 4))
        yield case(f"{name}: (2, 3, 2) with (2,)", f, a(2, 3, 2), b(2))
        yield case(f"{name}: () with (2, 1, 3)", f, a(), b(2, 1, 3))
        yield case(f"{name}: negative stride with (1,)", f, view(a(4, 3)), b(1))
        yield case(f"{name}: (3, 4) with its transpose", lambda x, y, f=f: f(x, ops.transpose(y)), a(3, 4), b(4, 3))


def _numbers() -> Iterator[Case]:
    """Tensors with Python numbers on either side, constant exponents, and one tensor in both places."""
    yield case("add: number + tensor", lambda x: 2.5 + x, normal(3, 2))
    yield case("sub: number - tensor", lambda x: 2.5 - x, normal(3, 2))
    yield case("mul: x * x", lambda x: x * x, normal(3, 2))
    yield case("div: number / tensor", lambda x: 2.5 / x, apart(3, 2))
    yield case("div: tensor / number", lambda x: x / 2.5, normal(3, 2))
    yield case("maximum: with a number", lambda x: ops.maximum(x, 0.0), apart(3, 2))
    yield case("power: number ** tensor", lambda x: 2.5**x, normal(3, 2))
    yield case("power: x ** x", lambda x: x**x, positive(3, 2))
    for exponent in (1, 2, 3, -1, -2):
        yield case(f"power: tensor ** {exponent}", lambda x, p=exponent: x**p, apart(3, 2))
    for exponent in (0.5, -0.5, 2.5):
        yield case(f"power: tensor ** {exponent}", lambda x, p=exponent: x**p, positive(3, 2))
    whole = np.array([[3.0, -2.0], [0.0, 1.0], [2.0, -1.0]])
    yield case("power: whole exponents of both signs, negative x too", lambda x: x**whole, apart(3, 2))
    yield case("power: x (3,), exponents (2, 3)", lambda x: x ** np.full((2, 3), 2.0), apart(3))
    yield case("leaky_relu: slope 0.5", lambda x: ops.leaky_relu(x, 0.5), apart(3, 4))


def _choices() -> Iterator[Case]:
    """Choices by a constant condition, and borders, with every operand broadcast."""
    chosen = np.array([[True, False, True, True], [False, False, True, False], [True, True, False, False]])
    yield case("where: (3, 4)", lambda a, b: ops.where(chosen, a, b), normal(3, 4), normal(3, 4))
    yield case("where: both broadcast", lambda a, b: ops.where(chosen, a, b) ** 2, normal(3, 1), normal(4))
    yield case("where: a wide condition, views", lambda a, b: ops.where(chosen.T[:2, 1:], a, b) * a, view(normal(4, 2)), normal())
    yield case("where: a number, and numbers as condition", lambda a: ops.where([0.0, 2.0], a * a, 1.0), normal(3, 2))
    yield case("clip: both borders", lambda x: ops.clip(x, -0.5, 0.5) * x, distinct(3, 4))
    yield case("clip: one border", lambda x: ops.clip(x, low=-0.2), distinct(3, 4))
    borders = np.array([-0.5, 0.0, 0.5, 9.0])
    yield case("clip: a border for each column", lambda x: ops.clip(x, high=borders) ** 2, distinct(3, 4, offset=0.04))
    yield case("clip: broadcast by its border", lambda x: ops.clip(x, np.full((2, 1), -0.2)) ** 2, distinct(5, offset=0.07))


def _gradients_of_activations() -> Iterator[Case]:
    """The *_grad ops as functions of both of their inputs; in x, leaky_relu_grad is constant on either side of its kink."""
    for shape in ((3, 4), (5, 1)):
        yield case(f"tanh_grad: {shape}", ops.tanh_grad, normal(*shape), normal(*shape))
        yield case(f"sigmoid_grad: {shape}", ops.sigmoid_grad, normal(*shape), unit(*shape))
        yield case(f"leaky_relu_grad: {shape}", ops.leaky_relu_grad, normal(*shape), apart(*shape))
    for name, domain in (("tanh_grad", normal), ("sigmoid_grad", unit), ("leaky_relu_grad", apart)):
        yield case(f"{name}: negative strides", getattr(ops, name), view(normal(4, 3)), view(domain(4, 3)))


# ---- reductions and shape -------------------------------------------------------------------------------------------------------


def _reductions() -> Iterator[Case]:
    """Reductions over all, one, several and negative axes, over axes of one element beside longer ones, kept and dropped."""
    for name in ("sum", "mean", "var", "max", "min", "prod", "norm", "softmax", "log_softmax", "logsumexp"):
        f, draw = getattr(ops, name), distinct if name in ("max", "min") else normal
        for axis in (None, 0, -1, (0, 2), (2, 1)):
            yield case(f"{name}: axis {axis}", lambda x, f=f, a=axis: f(x, a), draw(2, 3, 2))
        if "softmax" not in name:
            yield case(f"{name}: keepdims", lambda x, f=f: f(x, (1,), keepdims=True), draw(2, 3, 2))
        yield case(f"{name}: axes of one element", lambda x, f=f: f(x, (0, 1)), draw(1, 4, 1))
        yield case(f"{name}: negative stride", lambda x, f=f: f(x, 1), view(draw(4, 3)))
    zeros = np.array([[1.0, 0.0, 2.0, 1.0, 1.0], [0.0, 3.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 0.0]])
    yield case("prod: with one zero and with two", lambda x: ops.prod(x, 1), lambda rng: zeros.copy())
    yield case("norm: far from 1", lambda x: ops.norm(x * 1e-200, 1) * 1e200, normal(3, 4))
    yield case("softmax: far from 0, one far below", lambda x: ops.softmax(x + np.array([1e4, 1e4, -1e4])), normal(2, 3))
    yield case("sum: no axis", lambda x: ops.sum(x, ()), normal(2, 3))
    yield case("mean: () of ()", ops.mean, normal())


def _shapes() -> Iterator[Case]:
    """Ops that change the shape: reshape, transpose, broadcast_to and pad, of views too."""
    yield case("reshape: (2, 6) to (3, 2, 2)", lambda x: ops.reshape(x, (3, 2, 2)), normal(2, 6))
    yield case("reshape: -1", lambda x: ops.reshape(x, (-1, 3)), normal(2, 3, 2))
    yield case("reshape: negative stride", lambda x: ops.reshape(x, (6,)), view(normal(4, 3)))
    yield case("reshape: () to (1, 1)", lambda x: ops.reshape(x, (1, 1)), normal())
    yield case("transpose: reversed", ops.transpose, normal(2, 3, 4))
    for order in ((1, 2, 0), (2, 0, 1), (0, 2, 1), (0, 1, 2)):
        yield case(f"transpose: {order}", lambda x, o=order: ops.transpose(x, o), normal(2, 3, 4))
    for before, after in (((3, 1), (2, 3, 4)), ((), (2, 3)), ((1, 1), (1, 5)), ((4,), (2, 1, 4))):
        yield case(f"broadcast_to: {before} to {after}", lambda x, s=after: ops.broadcast_to(x, s), normal(*before))
    yield case("pad: uneven", lambda x: ops.pad(x, [(1, 0), (0, 2)]), normal(2, 3))
    yield case("pad: by nothing", lambda x: ops.pad(x, [(0, 0), (0, 0)]), normal(2, 3))
    yield case("pad: negative stride", lambda x: ops.pad(x, [(2, 1), (1, 1)]), view(normal(4, 3)))


def _slices() -> Iterator[Case]:
    """Slices with ints, steps and ellipses, overlapping ones too, and embed, their adjoint."""
    indices = {
        "1": 1, "-1": -1, "::-1, 1:3": (slice(None, None, -1), slice(1, 3)), "..., ::2": (..., slice(None, None, 2)),
        "3:0:-2, ..., 0": (slice(3, 0, -2), ..., 0), "-2:, :1": (slice(-2, None), slice(None, 1)), "2, 1, 0": (2, 1, 0),
        "None, 1": (None, 1),
    }
    for text, index in indices.items():
        yield case(f"slice: [{text}]", lambda x, i=index: x[i], normal(4, 3, 2))
    yield case("slice: overlapping parts", lambda x: x[1:] * x[:-1], normal(5))
    yield case("slice: of a view", lambda x: x[::2, 1], view(normal(4, 3)))
    yield case("embed: steps of -2", lambda x: ops.embed(x, (4, 3), (slice(3, 0, -2), slice(0, 2))), normal(2, 2))
    yield case("embed: a row", lambda x: ops.embed(x, (3, 4), 1), normal(4))
    yield case("embed: a number", lambda x: ops.embed(x, (2, 3), (1, 2)), normal())


def _picks() -> Iterator[Case]:
    """Elements picked by arrays of whole numbers, with repeats, along each axis, of views too; and by masks."""
    yield case("take: repeats", lambda x: ops.take(x, [2, 0, 2, -1], 0) ** 2, normal(3, 2))
    yield case("take: axis 1, indices (2, 2)", lambda x: ops.take(x, [[0, 1], [1, 3]], 1) ** 2, normal(2, 4, 2))
    yield case("take: flattened", lambda x: ops.take(x, [5, 1, 1]), view(normal(4, 3)))
    yield case("index: labels", lambda x: ops.log_softmax(x)[range(3), [1, 1, 0]], normal(3, 2))
    yield case("index: a list between slices", lambda x: x[::-1, [0, 0, 2], 1:] ** 2, normal(2, 3, 3))
    yield case("index: a number beside arrays", lambda x: x[1, [[0], [2]], [1, 1]] ** 2, normal(2, 3, 2))
    yield case("index: a mask", lambda x: x[np.array([[True, False], [True, True]])] ** 2, normal(2, 2, 3))


def _concat() -> Iterator[Case]:
    """Concatenation along each axis, of views too, and of one tensor with itself; and side by side."""
    yield case("stack: axis 0", lambda *xs: ops.stack(xs) ** 2, normal(2, 3), normal(2, 3))
    yield case("stack: axis -1, a tensor twice", lambda x: ops.stack([x, x * x], -1), view(normal(4, 3)))
    yield case("stack: numbers", lambda x, y: ops.stack([x, y, x]), normal(), normal())
    yield case("concat: axis 0", lambda *xs: ops.concat(xs), normal(2, 3), normal(1, 3), normal(3, 3))
    yield case("concat: axis -1, one a view", lambda *xs: ops.concat(xs, -1), normal(3, 1), view(normal(4, 3)))
    yield case("concat: axis 1 of 3", lambda *xs: ops.concat(xs, 1), normal(2, 1, 3), normal(2, 2, 3))
    yield case("concat: one tensor twice", lambda x: ops.concat([x, x, x * x], 1), normal(2, 2))


# ---- the closed family ----------------------------------------------------------------------------------------------------------


def _products() -> Iterator[Case]:
    """Matrix products with each operand transposed or not, of views, and of a matrix with itself."""
    for (m, k, n) in ((3, 4, 2), (1, 5, 3), (4, 1, 2), (3, 2, 1)):
        for ta, tb in ((False, False), (True, False), (False, True), (True, True)):
            a, b = normal(*((k, m) if ta else (m, k))), normal(*((n, k) if tb else (k, n)))
            f = lambda a, b, ta=ta, tb=tb: ops.matmul(a, b, ta, tb)  # noqa: E731
            yield case(f"matmul: {m}x{k}x{n}{', A^T' if ta else ''}{', B^T' if tb else ''}", f, a, b)
    yield case("matmul: transposed views", lambda a, b: a.T @ b.T, normal(4, 3), normal(2, 4))
    yield case("matmul: views, transposed again", lambda a, b: ops.matmul(a.T, b.T, True, True), normal(3, 4), normal(4, 2))
    yield case("matmul: negative stride", lambda a, b: a @ b, view(normal(4, 3)), normal(2, 3))
    yield case("matmul: A A^T", lambda a: ops.matmul(a, a, trans_b=True), normal(3, 2))
    yield case("matmul: a row", lambda a, b: a @ b, normal(3), normal(3, 2))
    yield case("matmul: a column", lambda a, b: ops.matmul(a, b, True, True), normal(3, 2), normal(3))
    yield case("matmul: an inner product", lambda a, b: a @ b, normal(3), normal(3))


# (N, H, W, C_in), (KH, KW, C_out), stride, pad
GEOMETRIES = (
    ((2, 5, 4, 2), (3, 3, 3), 1, 1),
    ((1, 5, 7, 2), (3, 3, 2), 2, 1),  # odd sides
    ((2, 4, 4, 1), (4, 4, 2), 2, 1),  # a DCGAN's
    ((1, 6, 5, 1), (2, 2, 1), 2, 0),  # the last column is never seen
    ((2, 3, 3, 3), (1, 1, 2), 1, 0),
    ((1, 5, 5, 1), (1, 1, 1), 3, 0),  # most pixels are never seen
    ((2, 3, 4, 2), (3, 4, 2), 1, 0),  # as large as the image
    ((1, 4, 3, 2), (1, 3, 1), 1, 2),  # padded by more than the filter covers
    ((2, 1, 1, 1), (3, 3, 2), 1, 1),  # mostly padding
)


def _convolutions() -> Iterator[Case]:
    """The convolution and both of its adjoints, on every geometry above."""
    for (n, h, w, c), (kh, kw, c_out), stride, pad in GEOMETRIES:
        oh, ow = ((size + 2 * pad - k) // stride + 1 for size, k in ((h, kh), (w, kw)))
        text = f"{h}x{w}x{c}, {kh}x{kw}x{c_out}, stride {stride}, pad {pad}"
        x, filters, u = normal(n, h, w, c), normal(kh, kw, c, c_out), normal(n, oh, ow, c_out)
        yield case(f"conv2d: {text}", lambda x, w, s=stride, p=pad: ops.conv2d(x, w, s, p), x, filters)
        dx = lambda u, w, s=stride, p=pad, size=(h, w): ops.conv2d_dx(u, w, s, p, *size)  # noqa: E731
        yield case(f"conv2d_dx: {text}", dx, u, filters)
        dw = lambda x, u, s=stride, p=pad, k=(kh, kw): ops.conv2d_dw(x, u, s, p, *k)  # noqa: E731
        yield case(f"conv2d_dw: {text}", dw, x, u)
    channels_first = lambda x, w: ops.conv2d(ops.transpose(x, (0, 2, 3, 1)), w, 1, 1)  # noqa: E731
    yield case("conv2d: x a permuted view", channels_first, normal(1, 2, 4, 3), normal(3, 3, 2, 2))


def _transposed_convolutions() -> Iterator[Case]:
    """Transposed convolutions, one of them with a stride that leaves gaps."""
    for (n, h, w, c), (kh, kw, c_out), stride, pad in (
        ((2, 2, 2, 2), (4, 4, 1), 2, 1),  # a DCGAN's
        ((1, 3, 2, 1), (3, 3, 2), 1, 1),
        ((2, 2, 3, 2), (1, 1, 2), 1, 0),
        ((1, 2, 2, 1), (2, 3, 1), 3, 0),  # a gap between the taps
    ):
        f = lambda x, w, s=stride, p=pad: ops.conv_transpose2d(x, w, s, p)  # noqa: E731
        name = f"conv_transpose2d: {h}x{w}x{c}, {kh}x{kw}x{c_out}, stride {stride}, pad {pad}"
        yield case(name, f, normal(n, h, w, c), normal(kh, kw, c_out, c))


# ---- fused ops ------------------------------------------------------------------------------------------------------------------

ACTIVATIONS = (("linear", 0.0), ("leaky_relu", 0.0), ("leaky_relu", 0.2), ("tanh", 0.0), ("sigmoid", 0.0))


def _fused() -> Iterator[Case]:
    """bias_act and linear with each activation, on views too."""
    for act, slope in ACTIVATIONS:
        text = f"{act} {slope}" if act == "leaky_relu" else act
        f = lambda x, b, a=act, s=slope: ops.bias_act(x, b, a, s)  # noqa: E731
        yield clear_of_kinks(case(f"bias_act: {text}, (2, 2, 3)", f, normal(2, 2, 3), normal(3)))
        yield clear_of_kinks(case(f"bias_act: {text}, negative stride", f, view(normal(4, 3)), normal(2)))
        f = lambda x, w, b, a=act, s=slope: ops.linear(x, w, b, a, s)  # noqa: E731
        for m, k, n in ((3, 4, 2), (1, 2, 3), (4, 1, 1)):
            yield clear_of_kinks(case(f"linear: {text}, {m}x{k}x{n}", f, normal(m, k), normal(k, n), normal(n)))
        f = lambda x, w, b, a=act, s=slope: ops.linear(x.T, w.T, b, a, s)  # noqa: E731
        yield clear_of_kinks(case(f"linear: {text}, transposed views", f, normal(2, 4), normal(3, 2), normal(3)))


def _normalisation() -> Iterator[Case]:
    """Batch normalisation of rows and of images, and with an eps as large as the variance."""
    f = lambda x, gamma, beta: ops.batch_norm(x, gamma, beta)[0]  # noqa: E731
    for shape in ((5, 3), (2, 3, 2, 2), (4, 1), (2, 2)):
        yield case(f"batch_norm: {shape}", f, normal(*shape), apart(shape[-1]), normal(shape[-1]))
    yield case("batch_norm: negative stride", f, view(normal(4, 5)), apart(2), normal(2))
    small = lambda x, gamma, beta: ops.batch_norm(x * 0.05, gamma, beta, eps=0.01)[0]  # noqa: E731
    yield case("batch_norm: eps as large as the variance", small, normal(4, 2), apart(2), normal(2))


def _cross_entropy() -> Iterator[Case]:
    """The cross-entropy at hard, soft and broadcast labels, some of which are differentiated in."""
    hard = np.array([[1.0], [0.0], [0.0], [1.0]])
    for label in (0.0, 1.0, 0.9):
        yield case(f"bce_logits: label {label}", lambda s, t=label: ops.bce_logits(s, t), normal(4, 1))
    yield case("bce_logits: labels 0 and 1", lambda s: ops.bce_logits(s, hard), normal(4, 1))
    yield case("bce_logits: soft labels", ops.bce_logits, normal(3, 2), unit(3, 2))
    yield case("bce_logits: at labels 0 and 1", ops.bce_logits, normal(4, 1), lambda rng: hard.copy())
    yield case("bce_logits: broadcast labels", ops.bce_logits, normal(3, 2), unit(1, 2))
    yield case("bce_logits: negative stride", ops.bce_logits, view(normal(4, 3)), unit(3, 2))
    yield case("bce_logits: ()", ops.bce_logits, normal(), unit())


_FAMILIES = (
    _unary, _binary, _numbers, _choices, _gradients_of_activations, _reductions, _shapes, _slices, _picks, _concat, _products,
    _convolutions, _transposed_convolutions, _fused, _normalisation, _cross_entropy,
)
OP_CASES: list[Case] = [row for family in _FAMILIES for row in family()]


# ---- the game on whole networks -------------------------------------------------------------------------------------------------

Goal = Callable[[Sequential, Sequential, Tensor, Tensor], Tensor]
ARCHITECTURES = {
    "mlp": Architecture(arch="mlp", sample=(5,), bounded=True, z=3, hidden=(6, 4)),
    "dcgan": Architecture(arch="dcgan", sample=(8, 8, 1), bounded=True, z=3, width=2),
}


def _redraw(network: Sequential, rng: np.random.Generator) -> None:
    """Draw parameters at normal scale, biases too: a DCGAN's own start, N(0, 0.02^2), puts every unit next to its kink."""
    for name, tensor in network.parameters().items():
        fan_in = tensor.size // tensor.shape[-1]
        centre = 1.0 if name.endswith("gamma") else 0.0
        tensor.array[...] = tensor.backend.asarray(centre + 0.7 * rng.standard_normal(tensor.shape) / math.sqrt(fan_in))


def _game_case(name: str, architecture: Architecture, player: str, goal: Goal, batch: int) -> Case:
    """Return the case of goal(D, G, x, z) as a function of the parameters of one player, which the networks hold themselves."""

    def build(rng: np.random.Generator, backend: Backend) -> tuple[Function, list[Tensor]]:
        G, D = generator(architecture, backend, rng, np.float64), discriminator(architecture, backend, rng, np.float64)
        for network in (G, D):
            _redraw(network, rng)
        x = Tensor(rng.uniform(-1, 1, (batch, *architecture.sample)), backend)
        z = Tensor(rng.standard_normal((batch, architecture.z)), backend)
        theta = list((D if player == "d" else G).parameters().values())
        return lambda *_: goal(D, G, x, z), theta

    return clear_of_kinks(Case(f"{name} / dtheta_{player}: {architecture.arch}", build, elements=4))


GOALS: dict[str, tuple[str, Goal]] = {
    "dV": ("dg", objectives.V),
    "dL_nonsaturating": ("g", lambda D, G, x, z: objectives.nonsaturating(D(G(z)))),
    "dgoal_relativistic": ("d", lambda D, G, x, z: objectives.relativistic_goal(D(x), D(G(z)))),
    "dL_relativistic": ("g", lambda D, G, x, z: objectives.relativistic(D(x), D(G(z)))),
    "d(V - R1)": ("d", lambda D, G, x, z: objectives.V(D, G, x, z) - gradient_penalty(D, x, 0.7)),
}
GAME_CASES: list[Case] = [
    _game_case(name, architecture, player, goal, batch=3)
    for architecture in ARCHITECTURES.values() for name, (players, goal) in GOALS.items() for player in players
]
