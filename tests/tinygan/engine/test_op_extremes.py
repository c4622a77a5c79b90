"""Ops where numbers are very large, very small, infinite, equal or out of range: values and derivatives to order 2."""

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan import Tensor, gradients, nn
from tinygan.engine import ops

# ---- division -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_quotient_is_rounded_once(backend, dtype):
    backend, rng = load(backend), np.random.default_rng(0)
    n = np.arange(1, 1001).astype(dtype)
    a, b = ((rng.standard_normal(1000) * 10.0 ** rng.uniform(-30, 30, 1000)).astype(dtype) for _ in range(2))
    whole = Tensor(n, backend)
    np.testing.assert_array_equal((whole / whole).numpy(), np.ones(1000))
    with np.errstate(over="ignore", under="ignore"):
        for x, y in ((a, b), (a, b[:1]), (a[:1], b), (a.reshape(10, 100), b[:100]), (a[::-3], b[::-3]), (a[:1], b[:1])):
            found = Tensor(x, backend) / Tensor(y, backend)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found.numpy(), x / y)
        np.testing.assert_array_equal((Tensor(a, backend) / 3).numpy(), a / dtype(3))
        np.testing.assert_array_equal((3 / Tensor(a, backend)).numpy(), dtype(3) / a)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_division_at_the_edges_is_that_of_ieee_754(backend):
    backend = load(backend)
    top, bottom = ([0.0, 1.0, -1.0, np.inf, 1e-40, 0.0, 3e38], [1e-40, 0.0, 0.0, np.inf, 1e-40, 0.0, 0.1])
    expected = [0.0, np.inf, -np.inf, np.nan, 1.0, np.nan, np.inf]
    with np.errstate(over="ignore"):
        found = Tensor(np.array(top, np.float32), backend) / Tensor(np.array(bottom, np.float32), backend)
    np.testing.assert_array_equal(found.numpy(), expected)


SMALL, LARGE = 1e-30, 1e30
QUOTIENTS = [(SMALL, SMALL), (LARGE, LARGE), (0.0, SMALL), (3 * SMALL, 2 * SMALL), (1.0, 1e-18), (1e-18, 1e-18), (5.0, 3.0)]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(("top", "bottom"), QUOTIENTS)
def test_derivatives_of_a_quotient_are_finite_in_float32_where_they_are(top, bottom, backend):
    """1/b, -a/b^2, and of second order -1/b^2 and 2 a/b^3, against the same in float64; infinite only where float32 has no room."""
    backend = load(backend)
    a, b = (Tensor(np.float32(v), backend, requires_grad=True) for v in (top, bottom))
    first = gradients(a / b, [a, b], create_graph=True)
    p, q = float(a), float(b)
    with np.errstate(over="ignore"):
        expected = [np.float32(v) for v in (1 / q, -p / q / q)]
        np.testing.assert_allclose([float(g) for g in first], expected, rtol=3e-7)
        if np.isfinite(np.float32(1 / q / q)):
            second = [float(g) for g in (*gradients(first[0], [a, b]), *gradients(first[1], [a, b]))]
            np.testing.assert_allclose(second, [np.float32(v) for v in (0, -1 / q / q, -1 / q / q, 2 * p / q / q / q)], rtol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_equal_numbers_is_that_number(backend, dtype):
    """As long as their sum is exact: NumPy's mean, a sum that is divided once."""
    backend = load(backend)
    for n in range(1, 300):
        values = np.full(n, dtype(3))
        assert float(ops.mean(Tensor(values, backend))) == 3.0 == values.mean()
    columns = np.full((49, 3), dtype(5))
    np.testing.assert_array_equal(ops.mean(Tensor(columns, backend), 0).numpy(), columns[0])


# ---- infinities and ties --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_gradients_of_maxima_among_infinities(backend):
    backend, inf = load(backend), np.inf
    a, b = (Tensor(np.array(v), backend, requires_grad=True) for v in (
        [inf, -inf, 1.0, inf, 1.0, -inf, 0.0, 2.0], [inf, -inf, 1.0, 1.0, inf, 0.0, -0.0, 1.0]))
    share = [0.5, 0.5, 0.5, 1.0, 0.0, 0.0, 0.5, 1.0]
    to_a, to_b = gradients(ops.maximum(a, b), [a, b], np.ones(8))
    np.testing.assert_array_equal(to_a.numpy(), share)
    np.testing.assert_array_equal(to_b.numpy(), 1 - np.array(share))
    rows = Tensor(np.array([[inf, inf, 1.0], [-inf, -inf, -inf], [-inf, 3.0, 3.0]]), backend, requires_grad=True)
    (to_rows,) = gradients(ops.max(rows, 1), [rows], np.ones(3))
    np.testing.assert_allclose(to_rows.numpy(), [[0.5, 0.5, 0], [1 / 3] * 3, [0, 0.5, 0.5]])
    x = Tensor(np.array([inf, -inf, 0.0, -0.0]), backend, requires_grad=True)
    np.testing.assert_array_equal(gradients(ops.abs(x), [x], np.ones(4))[0].numpy(), [1, -1, 0, 0])
    np.testing.assert_array_equal(gradients(ops.leaky_relu(x, 0.2), [x], np.ones(4))[0].numpy(), [1, 0.2, 0.2, 0.2])
    np.testing.assert_array_equal(gradients(ops.relu(x), [x], np.ones(4))[0].numpy(), [1, 0, 0, 0])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_relu_leaves_nothing_of_what_it_cuts_off(backend):
    x = Tensor(np.array([-np.inf, np.inf, -1.0, np.nan, -0.0]), load(backend), requires_grad=True)
    cut = np.array([0.0, np.inf, 0.0, np.nan, 0.0])
    for way in (ops.relu, lambda x: x.clip(low=0), lambda x: ops.maximum(x, 0)):
        np.testing.assert_array_equal(way(x).numpy(), cut)
    assert not np.signbit(ops.relu(x).numpy()[[0, 2, 4]]).any(), "-0 would be printed"
    (to_x,) = gradients(ops.relu(x), [x], np.array([np.inf, np.inf, -np.inf, 1.0, np.nan]))
    np.testing.assert_array_equal(to_x.numpy()[[0, 1, 2, 4]], [0.0, np.inf, 0.0, 0.0])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("terms", [2, 40])
def test_relu_behind_a_product_leaves_nothing_of_what_it_cuts_off(backend, terms):
    backend = load(backend)
    layer = nn.Linear(terms, 70, act="relu", rng=0, backend=backend)
    x = np.ones((5, terms), np.float32)
    x[1, 0], x[2, 1] = np.inf, -np.inf
    with np.errstate(invalid="ignore"):  # matmul's own, which the processor notes for a product of infinities
        y = layer(x).numpy()
        expected = np.maximum(x @ layer.w.numpy() + layer.b.numpy(), 0)
    assert np.isinf(expected).any() and (expected[1] == 0).any()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


# ---- labels ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [2.0, -0.1, np.nan, np.array([[0.0], [1.0], [1.5]]), [[-1.0], [1.0], [0.0]]], ids=str)
def test_labels_that_are_no_probabilities_are_refused(labels):
    s = Tensor(np.zeros((3, 1)), "reference", requires_grad=True)
    with pytest.raises(ValueError, match="bce_logits: labels are probabilities, between 0 and 1, and these reach from"):
        ops.bce_logits(s, labels)
    for fine in (0.0, 1.0, 0.9, np.array([[0.0], [1.0], [0.5]])):
        assert np.isfinite(float(ops.bce_logits(s, fine)))
