"""Functions of PyTorch and JAX, and CUDA kernels on the emulator, are judged as they are."""

import numpy as np
import pytest

from tinygan import check_derivation

X = np.random.default_rng(0).normal(size=(3, 4))


def test_a_function_of_pytorch_is_judged():
    torch = pytest.importorskip("torch", reason="needs the [peers] extra (PyTorch)")

    def made(factor):
        class Cube(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return factor * g * x**2

        return Cube

    assert check_derivation(made(3), None, torch.from_numpy(X)).passed
    report = check_derivation(made(1), X)
    assert report.verdict == "WRONG" and report.mistakes[0].kind == "constant factor", str(report)
    assert check_derivation(lambda x: torch.tanh(x), lambda g, x: g * (1 - torch.tanh(x) ** 2), torch.from_numpy(X)).passed


def test_the_second_derivative_of_a_function_of_pytorch_is_judged():
    torch = pytest.importorskip("torch", reason="needs the [peers] extra (PyTorch)")

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * g * (x**2).detach()  # right to first order alone

    x = torch.from_numpy(X)
    assert check_derivation(Cube, None, x).passed
    report = check_derivation(Cube, None, x, order=2)
    assert report.verdict == "WRONG" and [v.name for v in report.checks if not v.passed] == ["order 2, x"], str(report)
    assert report.mistakes[0].kind == "detached"
    both = check_derivation(lambda x, w: (torch.tanh(x @ w), (x * x).sum()), None, x, torch.from_numpy(X.T.copy()), order=2)
    assert both.passed and [v.name for v in both.checks] == ["order 2, x", "order 2, w", "order 2, g"], str(both)


def test_the_second_derivative_of_a_function_of_jax_is_judged():
    jax = pytest.importorskip("jax", reason="needs the [peers] extra (JAX)")
    jax.config.update("jax_enable_x64", True)

    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * g * jax.lax.stop_gradient(x) ** 2,))
    report = check_derivation(cube, None, jax.numpy.asarray(X), order=2)
    assert report.verdict == "WRONG" and report.mistakes[0].kind == "detached", str(report)
    assert check_derivation(lambda x: (jax.numpy.sin(x), x.sum() ** 2), None, jax.numpy.asarray(X), order=2).passed


def test_a_function_of_jax_is_judged():
    jax = pytest.importorskip("jax", reason="needs the [peers] extra (JAX)")
    jax.config.update("jax_enable_x64", True)

    @jax.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (2 * x, None), lambda _, g: (g,))
    report = check_derivation(double, None, jax.numpy.asarray(X))
    assert report.verdict == "WRONG" and "1/2" in report.mistakes[0].sentence
    assert check_derivation(lambda x: jax.numpy.tanh(x), None, jax.numpy.asarray(X)).passed


SOURCE = r"""
extern "C" __global__ void forward(const double* x, double* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] / (1.0 + fabs(x[i]));
}
extern "C" __global__ void backward(const double* x, const double* g, double* dx, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    double d = 1.0 + fabs(x[i < n ? i : 0]);
    if (i < n) dx[i] = g[i] POWER;
}
"""


def test_cuda_kernels_on_the_emulator_are_judged():
    pytest.importorskip("numba_cuda", reason="needs the [emulator] extra")
    from tinygan_kernels import emulator

    def pair(power):
        module = emulator.RawModule(code=SOURCE.replace("POWER", power), filename="softsign.cu")

        def forward(x):
            y = np.empty_like(x)
            module.get_function("forward")((1,), (32,), (x, y, np.int32(x.size)))
            return y

        def backward(g, x):
            dx = np.empty_like(x)
            module.get_function("backward")((1,), (32,), (x, np.ascontiguousarray(g), dx, np.int32(x.size)))
            return dx

        return forward, backward

    assert check_derivation(*pair("/ (d * d)"), X[0]).passed
    report = check_derivation(*pair("* (x[i] > 0)"), X[0])
    assert report.verdict == "WRONG" and report.mistakes[0].kind == "other activation" and "ReLU" in report.mistakes[0].sentence
