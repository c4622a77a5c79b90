"""What a user's editor knows of tinygan: mypy checks this file in `make lint`; nothing runs it.

The second half are calls that are wrong. Each has to be an error: where mypy no longer finds one, its `type: ignore` is unused, and
that is an error too.
"""

import numpy as np
from tinygan_kernels import Backend, load
from typing_extensions import assert_type

from tinygan import Tensor, grad, gradcheck, gradients, nn, ops, optim, stop

x, w = Tensor([[1.0, 2.0]], requires_grad=True), Tensor(np.ones((2, 3)), "cpu")
G = nn.Sequential(nn.Linear(2, 8, act="relu", rng=0), nn.Linear(8, 1, rng=0))

assert_type(load("cpu"), Backend)
assert_type(x.backend, Backend)
assert_type(x + 1, Tensor)
assert_type(1 - x, Tensor)
assert_type(x / np.ones(2), Tensor)
assert_type(2.0**x, Tensor)
assert_type(-abs(x), Tensor)
assert_type(x @ w, Tensor)
assert_type(x[0, :1], Tensor)
assert_type(x.T, Tensor)
assert_type(x.reshape(2, 1).transpose(), Tensor)
assert_type(x.sum(axis=(0, 1), keepdims=True), Tensor)
assert_type(x.relu().norm(), Tensor)
assert_type(ops.softmax(x), Tensor)
assert_type(ops.softmax([1.0, 2.0]), Tensor)
assert_type(ops.linear(np.ones((1, 2)), w, 0.0), Tensor)
assert_type(ops.stack([x, 1.0]), Tensor)
assert_type(x @ [1.0, 2.0], Tensor)
assert_type(ops.where(x > 0, x, 0.0), Tensor)
assert_type(ops.concat([x, x], axis=1), Tensor)
assert_type(ops.bce_logits(x, 1.0), Tensor)
assert_type(gradients(x.sum(), [x]), list[Tensor])
assert_type(grad(lambda t: (t * t).sum())(x), Tensor)
assert_type(stop(x), Tensor)
assert_type(G(x), Tensor)
assert_type(G.parameters(), dict[str, Tensor])
assert_type(float(x.sum()), float)
assert_type(x.shape, tuple[int, ...])
assert_type(optim.Adam(G, 0.001).parameters, list[Tensor])
assert_type(gradcheck(ops.tanh, x).passed, bool)

# ---- wrong calls ----------------------------------------------------------------------------------------------------------------

x + "1"  # type: ignore[operator]
x @ None  # type: ignore[operator]
x.detach()  # type: ignore[attr-defined]
x.sum(dim=0)  # type: ignore[call-arg]
x.reshape("3")  # type: ignore[arg-type]
ops.sofmax(x)  # type: ignore[attr-defined]
ops.softmax(x, dim=1)  # type: ignore[call-arg]
ops.softmax("1, 2")  # type: ignore[arg-type]
Tensor([1.0], device="cuda")  # type: ignore[call-arg]
gradients(x, [x], retain_graph=True)  # type: ignore[call-arg]
x.sum().backward(retain_graph=True)  # type: ignore[call-arg]
grad(3.0)  # type: ignore[arg-type]
ops.conv2d(x, w, padding=1)  # type: ignore[call-arg]
gradients(3.0, [x])  # type: ignore[arg-type]
gradients(x, [1.0])  # type: ignore[list-item]
load(3)  # type: ignore[arg-type]
Tensor([1.0], requires_grad="yes")  # type: ignore[arg-type]
nn.Linear("2", 8)  # type: ignore[arg-type]
