"""CUDA's mathematics library, as NVRTC compiles it to hundreds of instructions, against NumPy and SciPy."""

import numpy as np
import pytest
from scipy import special
from tinygan_kernels import emulator

SINGLE = {
    "sinf(x)": np.sin,
    "sinf(x * 1e6f)": lambda x: np.sin(
        (x.astype("f4") * np.float32(1e6)).astype("f8")
    ),  # the long way of reducing by pi
    "tanf(x)": np.tan,
    "expf(x)": np.exp,
    "expm1f(x)": np.expm1,
    "log1pf(fabsf(x))": lambda x: np.log1p(abs(x)),
    "erff(x)": special.erf,
    "powf(fabsf(x), 1.5f)": lambda x: abs(x) ** 1.5,
    "fmodf(x, 0.25f)": lambda x: np.fmod(x, 0.25),
    "cbrtf(x)": np.cbrt,
    "tanhf(x)": np.tanh,
    "lgammaf(fabsf(x) + 0.125f)": lambda x: special.gammaln(abs(x) + 0.125),
    "hypotf(x, 2.0f)": lambda x: np.hypot(x, 2),
    "atan2f(x, 2.0f)": lambda x: np.arctan2(x, 2),
    "rsqrtf(fabsf(x))": lambda x: abs(x) ** -0.5,
    "normcdff(x)": special.ndtr,
    "x / 3.5f + fdividef(x, 3.5f)": lambda x: 2 * x / 3.5,
}
DOUBLE = {
    "exp(x)": np.exp,
    "log(fabs(x))": lambda x: np.log(abs(x)),
    "sqrt(fabs(x))": lambda x: np.sqrt(abs(x)),
    "atan2(x, 2.0)": lambda x: np.arctan2(x, 2),
    "pow(fabs(x), 3.3)": lambda x: abs(x) ** 3.3,
    "1.0 / x": lambda x: 1 / x,
    "sin(x * 1e10)": lambda x: np.sin(x * 1e10),
    "tgamma(fabs(x) + 1.0)": lambda x: special.gamma(abs(x) + 1),
    "erfc(x)": special.erfc,
    "tanh(x)": np.tanh,
    "fmod(x, 0.37)": lambda x: np.fmod(x, 0.37),
}


@pytest.mark.parametrize("kind, functions, bound", [("float", SINGLE, 4e-7), ("double", DOUBLE, 2e-15)])
def test_functions(kind, functions, bound):
    lines = "\n".join(f"  y[{i} * 32 + t] = {text};" for i, text in enumerate(functions))
    code = f"""extern "C" __global__ void k(const {kind}* in, {kind}* y) {{
  int t = threadIdx.x;
  {kind} x = in[t];
{lines}
}}"""
    dtype = "f4" if kind == "float" else "f8"
    x = np.random.default_rng(0).standard_normal(32).astype(dtype)
    y = np.full((len(functions), 32), np.nan, dtype)
    emulator.RawModule(code=code).get_function("k")((1,), (32,), (x, y))
    for got, (text, function) in zip(y, functions.items(), strict=True):
        want = function(x.astype("f8"))
        assert np.abs(got - want).max() <= bound * np.abs(want).max(), text


HALF = {
    "__hadd2(x, y)": lambda x, y: x + y,
    "__hmul2(x, y)": lambda x, y: x * y,
    "__hfma2(x, y, x)": lambda x, y: x * y + x,
    "__heq2(x, y)": lambda x, y: (x == y) * 1.0,
    "__hlt2(x, y)": lambda x, y: (x < y) * 1.0,
    "__hmax2(x, y)": np.maximum,
    "__hmin2(x, y)": np.minimum,
    "__hneg2(x)": lambda x, y: -x,
    "__habs2(x)": lambda x, y: abs(x),
    "h2exp(x)": lambda x, y: np.exp(x),
    "h2sqrt(__habs2(x))": lambda x, y: np.sqrt(abs(x)),
    "__h2div(x, y)": lambda x, y: x / y,
    "h2tanh(x)": lambda x, y: np.tanh(x),
    "h2rint(x)": lambda x, y: np.rint(x),
}


def to_bf16(x: np.ndarray) -> np.ndarray:
    bits = np.asarray(x, "f4").view("u4")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("u2")


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype("u4") << 16).view("f4")


@pytest.mark.parametrize("kind", ["__half2", "__nv_bfloat162"])
def test_packed_halves(kind):
    lines = "\n".join(f"  z[{i} * 32 + t] = {text};" for i, text in enumerate(HALF))
    code = f"""#include <cuda_fp16.h>
#include <cuda_bf16.h>
extern "C" __global__ void k(const {kind}* a, const {kind}* b, {kind}* z) {{
  int t = threadIdx.x;
  {kind} x = a[t], y = b[t];
{lines}
  z[{len(HALF)} * 32 + t] = x;
  if (__hbgt2(x, y)) z[{len(HALF)} * 32 + t] = y;
}}"""
    rng = np.random.default_rng(0)
    encode, decode = (lambda v: v.astype("f2"), lambda v: v.astype("f4")) if kind == "__half2" else (to_bf16, from_bf16)
    a, b = (encode((rng.standard_normal((32, 2)) * 2).astype("f4")) for _ in range(2))
    b[:5] = a[:5]
    z = np.zeros((len(HALF) + 1, 32, 2), a.dtype)
    emulator.RawModule(code=code).get_function("k")((1,), (32,), (a, b, z))
    x, y = decode(a).astype("f8"), decode(b).astype("f8")
    for got, (text, function) in zip(z, HALF.items(), strict=False):
        want = decode(encode(function(x, y).astype("f4")))
        exact = text.startswith("__") and "div" not in text
        error = np.abs(decode(got) - want)
        assert (
            (error == 0).all() if exact else (error <= np.abs(want) * (2**-10 if kind == "__half2" else 2**-7)).all()
        ), text
    both = (x > y).all(axis=1, keepdims=True)
    assert (decode(z[-1]) == np.where(both, y, x)).all()
