"""What users of PyTorch, JAX, NumPy and micrograd type out of habit: it works as they know it, or says what to write here."""

import json

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf
from hypothesis import given
from hypothesis import strategies as st

import tinygan
from tinygan import Tensor, gradcheck, gradients, nn, ops, optim


def network():
    return nn.Sequential(nn.Linear(3, 4, act="tanh", rng=0, backend=REFERENCE, dtype=np.float64), nn.ReLU())


# ---- vectors in products --------------------------------------------------------------------------------------------------------

A, V, W = np.arange(6.0).reshape(2, 3) - 2, np.array([1.0, -2.0, 0.5]), np.array([3.0, -1.0])
PRODUCTS = [(A, V), (W, A), (V, V), (A.T, W), (V, A.T), (np.zeros((0, 3)), V), (np.zeros(0), np.zeros((0, 2))),
(np.zeros(0), np.zeros(0))]


@pytest.mark.parametrize(("a", "b"), PRODUCTS, ids=[f"{a.shape} {b.shape}" for a, b in PRODUCTS])
def test_a_vector_is_a_row_on_the_left_and_a_column_on_the_right(a, b):
    x, y = leaf(a), leaf(b)
    for found in (x @ y, x @ b, a @ y, np.matmul(x, y), ops.matmul(x, y)):
        np.testing.assert_allclose(found.numpy(), a @ b, rtol=1e-15)
        assert found.shape == (a @ b).shape
    if not (a.size and b.size):
        return
    u = np.ones((a @ b).shape)
    da, db = (g.numpy() for g in gradients(x @ y, [x, y], u))
    rows, columns = np.atleast_2d(a), b.reshape(len(b), -1)
    np.testing.assert_allclose(da, (u.reshape(len(rows), -1) @ columns.T).reshape(a.shape))
    np.testing.assert_allclose(db, (rows.T @ u.reshape(len(rows), -1)).reshape(b.shape))


@given(st.integers(0, 3), st.booleans())
def test_transposing_a_vector_does_nothing(n, trans):
    v = np.arange(float(n))
    np.testing.assert_array_equal(ops.matmul(constant(v), constant(np.ones((2, n))), trans, True).numpy(), v @ np.ones((n, 2)))
    np.testing.assert_array_equal(ops.matmul(constant(np.ones((n, 2))), constant(v), True, trans).numpy(), np.ones((2, n)) @ v)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="inner lengths"):
        constant(V) @ constant(W)


# ---- names of parameters --------------------------------------------------------------------------------------------------------


def test_a_name_of_a_parameter_says_how_to_get_the_tensor():
    G = network()
    for name in G.parameters():
        with pytest.raises(AttributeError, match=rf"write `for p in G\.parameters\(\)\.values\(\)`.*'{name}' is the"):
            name.shape  # noqa: B018
        with pytest.raises(AttributeError, match=r"G\.parameters\(\)\.values\(\)"):
            name.data  # noqa: B018
        with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
            name.nonsense  # noqa: B018


def test_and_is_a_text_in_all_else():
    names = list(network().parameters())
    assert names == ["0.w", "0.b"] and repr(names) == "['0.w', '0.b']" and json.dumps(names) == '["0.w", "0.b"]'
    assert "0.w" in network().parameters() and hash(names[0]) == hash("0.w") and f"{names[0]:>5}" == "  0.w"


def test_a_layer_with_forward_is_told_to_rename_it():
    class Mine(nn.Layer):
        def forward(self, x):
            return x

    with pytest.raises(NotImplementedError, match=r"give it __call__\(self, x\); rename its method forward to __call__"):
        Mine()(3.0)


# ---- the checker and the optimiser ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "said"), [
    (lambda: gradcheck(constant(1.0), constant(1.0)), "gradcheck: f is .* it has to be a function"),
    (lambda: gradcheck(3, V), "f is 3"),
    (lambda: gradcheck(ops.tanh, constant(V), elements="a"), "elements is 'a'"),
    (lambda: gradcheck(ops.tanh, constant(V), rng="a"), "rng is 'a'"),
    (lambda: optim.SGD(network(), 0.1).descend(None), r"gradients is None.*gradients\(loss, optimiser.parameters\)"),
    (lambda: optim.SGD(network(), 0.1).ascend(3), "gradients is 3"),
])
def test_what_is_none_of_that_is_refused(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_the_checker_takes_a_seed():
    one, other = (gradcheck(ops.tanh, constant(V), rng=rng) for rng in (5, np.random.default_rng(5)))
    assert one.passed and str(one) == str(other)
    with pytest.raises(ValueError, match="elements is -1"):
        gradcheck(ops.tanh, constant(V), elements=-1)


# ---- names --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "name", "said"), [
    (constant(V), "argmax", r"x\.numpy\(\)\.argmax"), (constant(V), "cumsum", r"np\.tril"), (constant(V), "sort", "argsort"),
    (constant(V), "isnan", r"np\.isnan\(x\)"), (constant(V), "values", "is the values alone"), (constant(V), "log1p", r"ops\.log"),
    (ops, "one_hot", r"np\.eye"), (ops, "gelu", "sigmoid"), (ops, "dropout", r"nn\.Dropout"), (ops, "einsum", r"ops\.matmul"),
    (nn, "LayerNorm", "a class of your own"), (nn, "Softmax", r"ops\.softmax"), (nn, "CrossEntropyLoss", "log_softmax"),
    (nn, "MaxPool2d", "stride=2"), (nn, "GELU", "lambda"), (tinygan, "cuda", "load"), (tinygan, "save", r"\.save\(folder\)"),
])
def test_names_that_are_not_here_are_answered(of, name, said):
    with pytest.raises(AttributeError, match=f"'{name}'; write .*{said}"):
        getattr(of, name)


def test_what_the_answers_say_for_activations_is_what_they_are():
    x = Tensor(np.linspace(-3, 3, 7), REFERENCE)
    elu = ops.where(x > 0, x, x.clip(high=0).exp() - 1)
    np.testing.assert_allclose(elu.numpy(), np.where(x.numpy() > 0, x.numpy(), np.expm1(np.minimum(x.numpy(), 0))))
    np.testing.assert_allclose((x * x.sigmoid()).numpy(), x.numpy() / (1 + np.exp(-x.numpy())))
    np.testing.assert_allclose((np.tril(np.ones((7, 7))) @ x).numpy(), np.cumsum(x.numpy()), atol=1e-12)
