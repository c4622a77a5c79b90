"""Functions of NumPy's that are no ops: for a tensor in a graph, what is written in their place computes the same."""

from collections import namedtuple

import numpy as np
import pytest
from engine_parts import REFERENCE

from tinygan import Tensor, gradients, ops
from tinygan.engine import stop
from tinygan.engine.ops.numpy_calls import INSTEAD

rng = np.random.default_rng(0)
MATRICES = (rng.normal(size=(2, 2)), rng.normal(size=(2, 2)))
VECTORS = (rng.normal(size=4), rng.normal(size=4))
CALLS = {
    "dot": (np.dot, MATRICES), "vdot": (np.vdot, VECTORS), "inner": (np.inner, VECTORS), "outer": (np.outer, VECTORS),
    "norm": (np.linalg.norm, MATRICES[:1]), "std": (np.std, MATRICES[:1]), "average": (np.average, MATRICES[:1]),
    "ravel": (np.ravel, MATRICES[:1]), "squeeze": (np.squeeze, MATRICES[:1]),
    "expand_dims": (lambda x: np.expand_dims(x, 0), MATRICES[:1]), "swapaxes": (lambda x: np.swapaxes(x, 0, 1), MATRICES[:1]),
    "moveaxis": (lambda x: np.moveaxis(x, 0, 1), MATRICES[:1]), "vstack": (lambda *xs: np.vstack(xs), MATRICES),
    "hstack": (lambda *xs: np.hstack(xs), MATRICES), "tile": (lambda x: np.tile(x, (2, 1)), MATRICES[:1]),
    "repeat": (lambda x: np.repeat(x, 2, axis=0), MATRICES[:1]), "flip": (lambda x: np.flip(x, 0), MATRICES[:1]),
    "diff": (lambda x: np.diff(x, axis=0), MATRICES[:1]), "split": (lambda x: np.split(x, 2), MATRICES[:1]),
    "log1p": (np.log1p, tuple(map(abs, MATRICES[:1]))), "expm1": (np.expm1, MATRICES[:1]),
    "logaddexp": (np.logaddexp, MATRICES), "hypot": (np.hypot, MATRICES),
}
WRITTEN = {
    "x @ y": lambda x, y: x @ y, "(x * y).sum()": lambda x, y: (x * y).sum(),
    "x.reshape(-1, 1) * y.reshape(1, -1)": lambda x, y: x.reshape(-1, 1) * y.reshape(1, -1),
    "ops.norm(x)": lambda x, y: ops.norm(x), "ops.var(x) ** 0.5": lambda x, y: ops.var(x) ** 0.5,
    "ops.mean(x)": lambda x, y: ops.mean(x), "x.reshape(-1)": lambda x, y: x.reshape(-1),
    "x.reshape(shape)": lambda x, y: x.reshape((2, 2)), "x[None]": lambda x, y: x[None],
    "x.transpose(1, 0)": lambda x, y: x.transpose(1, 0), "ops.concat([x, y], 0)": lambda x, y: ops.concat([x, y], 0),
    "ops.concat([x, y], 1)": lambda x, y: ops.concat([x, y], 1), "ops.concat([x, x], 0)": lambda x, y: ops.concat([x, x], 0),
    "x[[0, 0, 1, 1]]": lambda x, y: x[[0, 0, 1, 1]], "x[::-1]": lambda x, y: x[::-1], "x[1:] - x[:-1]": lambda x, y: x[1:] - x[:-1],
    "x[:n], x[n:]": lambda x, y: (x[:1], x[1:]), "ops.log(1 + x)": lambda x, y: ops.log(1 + x),
    "ops.exp(x) - 1": lambda x, y: ops.exp(x) - 1,
    "ops.maximum(x, y) + ops.softplus(-abs(x - y))": lambda x, y: ops.maximum(x, y) + ops.softplus(-abs(x - y)),
    "(x ** 2 + y ** 2) ** 0.5": lambda x, y: (x ** 2 + y ** 2) ** 0.5,
}


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_written_in_its_place_gives_the_same(name):
    function, values = CALLS[name]
    x, *rest = (Tensor(value, REFERENCE, True) for value in values)
    y = rest[0] if rest else None
    with pytest.raises(TypeError) as caught:
        function(x, *rest)
    assert f"write {INSTEAD[name]}, or for the values np." in str(caught.value)
    found = WRITTEN[INSTEAD[name]](x, y)
    wanted = function(*values)
    for one, numbers in zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]:
        assert np.allclose(one.numpy(), numbers)
        gradients(one.sum(), [x])  # its graph is whole


def test_the_name_is_the_one_that_can_be_called():
    x = Tensor(MATRICES[0], REFERENCE, True)
    with pytest.raises(TypeError, match=r"np\.linalg\.det\(t\.numpy\(\)\)"):
        np.linalg.det(x)
    with pytest.raises(TypeError, match=r"np\.fft\.fft\(t\.numpy\(\)\)"):
        np.fft.fft(x)
    with pytest.raises(TypeError, match=r"np\.cumsum\(t\.numpy\(\)\)"):
        np.cumsum(x)


def test_an_op_with_an_option_that_it_lacks_is_not_called_unknown():
    t = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(TypeError, match=r"^np\.exp of a tensor that gradients flow through takes no dtype; leave that out, or "):
        np.exp(t, dtype=np.float64)
    np.testing.assert_array_equal(np.exp(stop(t), dtype=np.float64), np.exp(np.ones(3)))


@pytest.mark.parametrize("call", [
    lambda t, out: np.exp(t, out=out), lambda t, out: np.sum(t, out=out),
    lambda t, out: np.cumsum(t, out=out),
])
def test_an_out_that_is_a_tensor_is_refused(call):
    out = Tensor(np.zeros(3))
    with pytest.raises(TypeError, match="out"):
        call(Tensor(np.ones(3)), out)
    assert not out.numpy().any()


def test_tensors_in_subclasses_of_lists_are_found_and_replaced():
    class Row(list):
        pass

    pair = namedtuple("pair", "a b")
    t = Tensor(np.arange(3.0))
    for given in (Row([t, t]), pair(t, t)):
        np.testing.assert_array_equal(np.cross(t, given), np.cross(np.arange(3.0), [np.arange(3.0)] * 2))
