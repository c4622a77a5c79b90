"""Vector code along rows: every length around a register's, in place and not, memory around left alone; and the loops made of it,
whatever their parts."""

import numba
import numpy as np
import pytest
from strategies import DTYPES, normal
from tinygan_kernels import load
from tinygan_kernels.cpu import bias_act, reductions, row_formulas
from tinygan_kernels.cpu.row_formulas import address_of
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.cpu.runtime.stages import Pipeline
from tinygan_kernels.verification import bounds

LENGTHS = (0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100)


@numba.njit
def act_grad(like, curve, g, y, dx, total, count, slope):
    at = (address_of(g), address_of(y), address_of(dx), address_of(total))
    row_formulas.act_grad_sum(like, curve, at, count, slope)


@numba.njit
def adam(like, g, theta, m, v, count, rate, sign, beta1, beta2, eps, steps):
    numbers = row_formulas.adam_numbers(like, rate, sign, beta1, beta2, eps, steps)
    row_formulas.adam(like, (address_of(g), address_of(theta), address_of(m), address_of(v)), count, numbers)


def slopes(act, y):
    return {"leaky_relu": np.where(y > 0, 1, 0.2), "tanh": 1 - y**2, "sigmoid": y * (1 - y)}[act]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("act", ["leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("in_place", [False, True])
def test_gradients_along_a_row(act, in_place, dtype):
    rng = np.random.default_rng(0)
    for count in LENGTHS:
        g, y, total = normal(rng, count + 9, dtype), rng.uniform(-1, 1, count + 9).astype(dtype), normal(rng, count + 9, dtype)
        dx = g if in_place else np.full_like(g, np.nan)
        exact = (g.astype(np.longdouble) * slopes(act, y.astype(np.longdouble)))[:count]
        before = g.copy(), dx.copy(), total.copy()
        act_grad(g, row_formulas.CURVES[act], g, y, dx, total, count, dtype(0.2))
        size = np.abs(before[0][:count].astype(np.longdouble))
        assert bounds.share(dx[:count], exact, bounds.gamma(4, dtype) * size) <= 1, count
        np.testing.assert_array_equal(total[:count], before[2][:count] + dx[:count])
        for now, then in ((dx, before[1]), (total, before[2])):
            np.testing.assert_array_equal(now[count:], then[count:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_along_a_row_is_kingma_and_bas(dtype):
    rng, (beta1, beta2, eps, rate) = np.random.default_rng(0), (0.5, 0.999, 1e-8, 0.01)
    for count in LENGTHS:
        g, theta, m = (normal(rng, count + 9, dtype) for _ in range(3))
        v = np.abs(normal(rng, count + 9, dtype))
        before = [a.copy() for a in (theta, m, v)]
        adam(theta, g, theta, m, v, count, rate, -1.0, beta1, beta2, eps, 3.0)
        d, at, first, second = (a[:count].astype(np.longdouble) for a in (g, *before))
        first, second = beta1 * first + (1 - beta1) * d, beta2 * second + (1 - beta2) * d * d
        at = at - rate * (first / (1 - beta1**3)) / (np.sqrt(second / (1 - beta2**3)) + eps)
        for made, exact in ((theta, at), (m, first), (v, second)):
            np.testing.assert_allclose(made[:count], exact.astype(dtype), rtol=100 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
        for made, then in zip((theta, m, v), before, strict=True):
            np.testing.assert_array_equal(made[count:], then[count:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_adams_quotient_at_the_ends_of_its_range(dtype):
    """v of 0, tiny, huge and infinite, several eps: as exact as a root and a division, never NaN; and NaN where v is NaN."""
    v = np.array([0, 1e-45, 1e-38, 1e-30, 1e-16, 1, 1e16, 1e30, 3e38, np.inf, np.nan, *10.0 ** np.arange(-36, 38)], dtype)
    v = np.repeat(v, 2)  # more than one register
    for small in (1e-8, 1e-3, 1.0):
        g, theta, m, second = np.zeros_like(v), np.zeros_like(v), np.full_like(v, 0.75), v.copy()
        adam(theta, g, theta, m, second, v.size, 1.0, 1.0, 0.5, 0.5, small, 1.0)  # of both averages half is left, and made up for
        exact = 0.75 / (np.sqrt(2 * second.astype(np.longdouble)) + small)
        usual = v <= 3e38
        assert (np.abs(theta - exact)[usual] <= 4 * np.finfo(dtype).eps * exact[usual]).all()
        assert (np.abs(theta[np.isinf(v)]) < 1e-18).all() and np.isnan(theta[np.isnan(v)]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 2, 3, simd.lanes(4) - 1, simd.lanes(4), simd.lanes(4) + 1, 100])
@pytest.mark.parametrize("count", [0, 1, 5, 63, 64, 65, 200])
def test_parts_of_the_loops_over_rows_do_not_show(count, columns, dtype):
    """Loops over rows give the same right bits in one part or in many, cut by blocks of rows or by columns."""
    rng, slope = np.random.default_rng(0), dtype(0.2)
    g, y, b = (normal(rng, shape, dtype) for shape in ((count, columns), (count, columns), (columns,)))
    blocks = -(-count // reductions.BLOCK)
    found = []
    for parts in (1, 2, 3, 7):
        dx, biased = np.full((2, count, columns), np.nan, dtype)
        sums = np.full((blocks, columns), np.nan, dtype)
        gradient = bias_act.bias_act_grad.stage(parts, g, y, 0, slope, dx, sums)
        Pipeline([gradient, bias_act.bias_leaky_relu.stage(parts, g, b, slope, biased)])()
        found.append((dx, sums, biased))
    for other in found[1:]:
        for a, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, first)
    dx, sums, biased = found[0]
    np.testing.assert_array_equal(dx, np.where(y > 0, g, slope * g))
    np.testing.assert_array_equal(biased, np.where(g + b > 0, g + b, slope * (g + b)))
    for block in range(blocks):
        part = dx[block * reductions.BLOCK : (block + 1) * reductions.BLOCK]
        exact, size = part.astype(np.longdouble).sum(0), np.abs(part).astype(np.longdouble).sum(0)
        assert bounds.share(sums[block], exact, bounds.gamma(reductions.BLOCK, dtype) * size) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_average_keeps_the_share_that_decay_says(dtype):
    backend, x, average = load("cpu"), np.full(40, 8, dtype), np.full(40, 16, dtype)
    backend.launch("ema", (x,), average, decay=0.75)
    np.testing.assert_array_equal(average, np.full(40, 0.75 * 16 + 0.25 * 8, dtype))
