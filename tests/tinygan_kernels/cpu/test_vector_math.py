"""exp, log, log1p and tanh in single precision: within 4 ulp over all they are for, and right at the ends."""

import numba
import numpy as np
import pytest
from tinygan_kernels.cpu import vector_math

RNG = np.random.default_rng(0)
WIDE = {
    "exp": [-RNG.exponential(10, 200_000).clip(0, 87), RNG.uniform(-1, 1, 100_000), RNG.uniform(-87, 88, 100_000)],
    "log": [RNG.random(200_000) + 1e-9, 10.0 ** RNG.uniform(-37, 38, 100_000), 1 + RNG.uniform(-1e-3, 1e-3, 100_000)],
    "log1p": [RNG.random(200_000), 10.0 ** RNG.uniform(-30, 0, 100_000)],
    "tanh": [RNG.normal(size=200_000), RNG.uniform(-0.5, 0.5, 100_000), 10.0 ** RNG.uniform(-30, 1.5, 100_000)],
}


def looped(name):
    function = getattr(vector_math, name)

    @numba.njit(error_model="numpy")
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


LOOPS = {name: looped(name) for name in WIDE}


def values(name, x):
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


@pytest.mark.parametrize("name", WIDE)
def test_within_four_ulp(name):
    for x in WIDE[name]:
        x = x.astype(np.float32)
        exact = getattr(np, name)(x.astype(np.float64))
        error = np.abs(values(name, x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
        assert error.max() <= 4, error.max()


@pytest.mark.parametrize("name", WIDE)
def test_double_precision_is_the_c_librarys(name):
    x = np.abs(WIDE[name][0][:1000]) + 1e-6
    np.testing.assert_allclose(values(name, x), getattr(np, name)(x), rtol=4e-16)


def test_ends():
    inf = np.inf
    for name, x, y in (
        ("exp", [0, -0.0, inf], [1, 1, np.float32(np.exp(88))]), ("tanh", [0, 200, -200, inf, -inf], [0, 1, -1, 1, -1]),
        ("log1p", [0, 1], [0, np.log(2)]), ("log", [1, 2, 0.5], [0, np.log(2), -np.log(2)]),
    ):
        np.testing.assert_allclose(values(name, np.array(x, np.float32)), y, rtol=3e-6)
    assert 0 <= values("exp", np.array([-200], np.float32))[0] < 2e-38


@pytest.mark.parametrize("name", ["exp", "tanh", "log1p"])
def test_nan_comes_out(name):
    assert np.isnan(values(name, np.array([np.nan] * 9, np.float32))).all()


def test_the_compiler_makes_vector_instructions_of_them():
    """The functions are written so that LLVM turns them into vector instructions; as calls of the C library they would take ten
    times as long.
    """
    from tinygan_kernels.cpu.runtime import simd

    register = {64: "zmm", 32: "ymm"}.get(simd.register_bytes())
    if register is None:
        pytest.skip("only the names of AVX's registers are known here")
    for name, loop in LOOPS.items():
        loop(np.ones(4, np.float32), np.ones(4, np.float32))
        code = next(text for signature, text in loop.inspect_asm().items() if "float32" in str(signature))
        assert "ymm" in code or register in code, name
