"""Triton kernels as they stand: `kernel[grid](...)` on NumPy arrays and PyTorch's tensors. Needs Triton, of the extra [triton]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError

triton = pytest.importorskip("triton", reason="needs Triton: the extra [triton]")
tl = pytest.importorskip("triton.language")


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


@triton.jit
def unmasked(x, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at)
    tl.store(out + at, value, mask=at < n)


@triton.jit
def shift(x, bias, by, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    value = by + tl.load(x + at)
    if bias is not None:
        value += tl.load(bias + at)
    tl.store(x + at, value)


@triton.autotune(configs=[triton.Config({"BLOCK": 64}, num_warps=2), triton.Config({"BLOCK": 128})], key=["n"])
@triton.heuristics({"EVEN": lambda given: given["n"] % given["BLOCK"] == 0})
@triton.jit
def count(x, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if EVEN:
        tl.store(x + at, tl.load(x + at) + 1.0)
    else:
        tl.store(x + at, 7.0, mask=at < n)


@triton.jit
def matmul(a, b, c, k, sa, sb, sc, M: tl.constexpr, K: tl.constexpr):
    row, inner = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, K)
    column = tl.program_id(1) * M + tl.arange(0, M)
    total = tl.zeros((M, M), dtype=tl.float32)
    for start in range(0, k, K):
        left = tl.load(a + row[:, None] * sa + (start + inner)[None, :])
        total += tl.dot(left, tl.load(b + (start + inner)[:, None] * sb + column[None, :]))
    tl.store(c + row[:, None] * sc + column[None, :], total)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_arrays_grids_meta_parameters_and_specialisations():
    """A grid as a tuple and as a function; n as a multiple of 16, as 1, as neither; num_warps."""
    for n, block, options in ((1000, 256, {}), (1024, 128, {"num_warps": 8}), (1, 32, {"num_warps": 1})):
        x, y, out = numbers(n), numbers(n)[::-1].copy(), np.zeros(n, np.float32)
        with emulator.triton():
            add[lambda meta, n=n: (triton.cdiv(n, meta["BLOCK"]),)](x, y, out, n, BLOCK=block, **options)
        np.testing.assert_array_equal(out, x + y)
    x, bias = np.ones(128, np.float32), np.full(128, 5, np.float32)
    with emulator.triton():
        shift[(1,)](x, None, 2.5, BLOCK=128)
        shift[(1,)](x, bias, -1, BLOCK=128)
    np.testing.assert_array_equal(x, np.full(128, 7.5, np.float32))


def test_a_finding_names_the_line_of_the_kernel_and_the_argument():
    x, out = numbers(1000), np.zeros(1000, np.float32)
    with emulator.triton(), pytest.raises(SanitizerError) as caught:
        unmasked[(4,)](x, out, 1000, BLOCK=256)
    (found,) = caught.value.findings
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "value = tl.load(x + at)" in text)
    assert found.source == f"test_triton_context.py:{line}"
    assert "out-of-bounds read" in found.message
    assert "0 bytes after the end of x (4000 bytes)" in found.message


def test_every_configuration_is_run_and_the_first_is_chosen():
    x = np.zeros(128, np.float32)
    with emulator.triton():
        count[lambda meta: (triton.cdiv(128, meta["BLOCK"]),)](x, 128)
    assert count.best_config.kwargs == {"BLOCK": 64}
    np.testing.assert_array_equal(x, np.full(128, 3, np.float32))  # two configurations measured, and then the launch
    with emulator.triton():
        count[lambda meta: (triton.cdiv(100, meta["BLOCK"]),)](x[:100], 100)
    np.testing.assert_array_equal(x, np.r_[np.full(100, 7), np.full(28, 3)].astype(np.float32))


def test_products_of_matrices_of_float16_and_bfloat16():
    a, b, c = numbers(32, 48).astype(np.float16), numbers(48, 32).astype(np.float16), np.zeros((32, 32), np.float32)
    with emulator.triton():
        matmul[(2, 2)](a, b, c, 48, 48, 32, 32, M=16, K=16)
    np.testing.assert_allclose(c, a.astype(np.float32) @ b.astype(np.float32), atol=1e-4)
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    with emulator.triton():
        left, right, out = (torch.from_numpy(v).to("cuda") for v in (a, b, c))
        left, right = left.bfloat16(), right.bfloat16()
        matmul[(2, 2)](left, right, out, 48, 48, 32, 32, M=16, K=16)
    np.testing.assert_allclose(out.numpy(), (left.float() @ right.float()).numpy(), atol=1e-4)


def test_pytorchs_cuda_is_the_cpu_inside_and_nothing_stays_outside():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from triton.backends import backends
    from triton.runtime import JITFunction, driver

    before = backends["nvidia"], JITFunction.run, driver._active, torch.cuda.is_available
    with emulator.triton():
        x = torch.rand(64, device="cuda")
        assert x.is_cuda
        assert x.device.type == "cpu"
        y, out = torch.rand(64).cuda(), torch.empty_like(x, device=triton.runtime.driver.active.get_active_torch_device())
        add[(1,)](x, y, out, 64, BLOCK=64)
        assert torch.equal(out, x + y)
        moved = [out.cuda(), out.cpu(), out.to("cuda"), out.to(device="cpu"), out.to(torch.device("cuda", 0), torch.float32)]
        add[(1,)](x, out, out, 64, BLOCK=64, num_warps=1)
        assert all(torch.equal(copy, x + y) for copy in moved), "a copy on another device stays what it was"
        assert not torch.equal(out, x + y)
        assert triton.testing.do_bench(lambda: add[(1,)](x, y, out, 64, BLOCK=64)) > 0
    assert (backends["nvidia"], JITFunction.run, driver._active, torch.cuda.is_available) == before
    assert not torch.rand(3).is_cuda


def test_what_is_no_array_is_refused():
    with emulator.triton(), pytest.raises((EmulatorError, TypeError, AttributeError, ValueError)):
        add[(1,)]([1.0], numbers(64), numbers(64), 64, BLOCK=64)


@triton.jit
def described(a, b, c, m, n, k, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    left = tl.make_tensor_descriptor(a, [m, k], [k, 1], [M, K])
    right = tl.make_tensor_descriptor(b, [n, k], [k, 1], [N, K])
    out = tl.make_tensor_descriptor(c, [m, n], [n, 1], [M, N])
    x, y = tl.program_id(0) * M, tl.program_id(1) * N
    total = tl.zeros((M, N), dtype=tl.float32)
    for start in range(0, k, K):
        total += tl.dot(left.load([x, start]), right.load([y, start]).T)
    out.store([x, y], total.to(tl.float16))


def whole(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype(np.float16)


def test_hopper_multiplies_by_wgmma_and_copies_by_tensor_maps():
    """For capability 9.0 Triton turns tl.dot into wgmma, and tl.make_tensor_descriptor into tensor maps in memory."""
    a, b, c = whole(64, 96), whole(96, 64), np.zeros((64, 64), np.float32)
    with emulator.triton(capability=90):
        matmul[(1, 1)](a, b, c, 96, 96, 64, 64, M=64, K=32)
    assert (c == a.astype("f4") @ b.astype("f4")).all()
    a, b, c = whole(100, 136), whole(72, 136), emulator.empty((100, 72), np.float16)
    with emulator.triton(capability=90):
        described[(2, 2)](a, b, c, 100, 72, 136, M=64, N=64, K=64)
    assert (c == (a.astype("f4") @ b.astype("f4").T).astype("f2")).all()
    with pytest.raises(ValueError, match="capability is 75: give one of 80, 90"), emulator.triton(capability=75):
        pass


@triton.jit
def transposed_by_maps(source, target, M: tl.constexpr, N: tl.constexpr):
    x, y = tl.program_id(0) * M, tl.program_id(1) * N
    target.store([y, x], source.load([x, y]).T)


def test_descriptors_that_the_host_makes():
    torch = pytest.importorskip("torch")
    from triton.tools.tensor_descriptor import TensorDescriptor

    x, y = torch.arange(50 * 72, dtype=torch.float32).reshape(50, 72), torch.zeros(72, 52)[:, :50]
    with emulator.triton(capability=90):
        given = TensorDescriptor(x, [50, 72], [72, 1], [16, 32]), TensorDescriptor(y, [72, 50], [52, 1], [32, 16])
        transposed_by_maps[(4, 3)](*given, M=16, N=32)
    assert (y == x.T).all()
