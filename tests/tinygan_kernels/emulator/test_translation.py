"""The listing of translation(): it is the source that runs, and each line stands beside its PTX and its CUDA source."""

import re

import numpy as np
import pytest
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError

CODE = """
__device__ float twice(float v) { return v + v; }
extern "C" __global__ void mixed(const float* x, float* y, int* many, int n) {
    __shared__ float part[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    float v = part[63 - threadIdx.x];
    if (v > 0.25f) { v = twice(v); atomicAdd(many, 1); }
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    if (i < n) y[i] = (float)(int)(v * 8.0f) + __popc(i);
}
"""


@pytest.fixture(scope="module")
def module():
    return emulator.RawModule(code=CODE, filename="mixed.cu")


def run(kernel):
    x = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    y, many = np.zeros_like(x), np.zeros(1, np.int32)
    kernel((2,), (64,), (x, y, many, np.int32(100)))
    return y, many


def without_comments(text):
    lines = (re.sub(r"\s*#.*", "", line) for line in text.split("\n"))
    return [line for line in lines if line]


def test_the_listing_is_the_source_that_runs(module):
    kernel = module.get_function("mixed")
    text = emulator.translation(kernel)
    assert without_comments(text) == [line.text for line in kernel.translated.lines]
    y, many = run(kernel)
    compiled, kernel.translated.bytecode = kernel.translated.bytecode, compile(text, "listing", "exec")
    try:
        again, many_again = run(kernel)
    finally:
        kernel.translated.bytecode = compiled
    assert y.any() and many[0] > 0
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(many, many_again)


def test_every_instruction_stands_beside_a_line_once(module):
    kernel = module.get_function("mixed")
    shown = re.findall(r"# (\d+): (.*;)$", emulator.translation(kernel), re.MULTILINE)
    ptx = module.ptx.split("\n")
    for number, statement in shown:
        assert statement == " ".join(ptx[int(number) - 1].split()), number
    # instructions that write nothing (hints) would not be shown; this kernel has none
    expected = sorted(ins.ptx_line for block in kernel.translated.basic_blocks for ins in block.instructions)
    assert len(expected) > 30
    assert sorted({int(n) for n, _ in shown}) == expected


def test_cuda_source_stands_above_what_was_made_of_it(module):
    text = emulator.translation(module.get_function("mixed"))
    source = CODE.split("\n")
    for number in (6, 7, 8, 9, 11):
        assert f"# mixed.cu:{number}: {source[number - 1].strip()}\n" in text
    at = text.index("# mixed.cu:7:")
    assert re.match(r".*\n.*bar\.sync", text[at:])


def test_a_guarded_instruction_is_shown_once():
    ptx = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 p) {
.reg .pred %q<2>; .reg .b32 %r<3>; .reg .b64 %d<2>;
ld.param.u64 %d1, [p];
mov.u32 %r1, %tid.x;
setp.eq.u32 %q1, %r1, 3;
@%q1 st.global.u32
   [%d1],
   %r1;
ret;
}
"""
    text = emulator.translation(emulator.RawModule(code=ptx).get_function("k"))
    assert text.count("@%q1 st.global.u32 [%d1], %r1;") == 1
    assert "g = m.only(" in text and "# then return" in text
    assert "no source line" not in text


def test_the_ways_on_from_a_block(module):
    text = emulator.translation(module.get_function("mixed"))
    numbers = [int(n) for n in re.findall(r"^def block_(\d+)\(m\):", text, re.MULTILINE)]
    assert numbers == list(range(len(numbers)))
    assert "# then a barrier, then block" in text and "where the guard holds, else block" in text


def test_numba_kernels_show_their_python():
    @cuda.jit
    def scaled(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = 2 * x[i]

    x = np.ones(5, np.float32)
    text = emulator.translation(scaled, x, x.copy())
    compile(text, "listing", "exec")
    assert "test_translation.py" in text and "y[i] = 2 * x[i]" in text and "scaled" in text.split("\n")[0]
    assert "f8" in emulator.translation(scaled, x.astype(np.float64), x.astype(np.float64)), "other types, another translation"


def test_names_in_the_source_cannot_hide_what_the_machine_binds(module):
    named = re.compile(r"(k\d+|site\d+|np_\w+|ptx_\w+|(integers|floats|conversions|warps|matrix|atomics)_\w+)")
    names = module.get_function("mixed").translated.constants
    assert len(names) > 10
    for name in names:
        assert named.fullmatch(name), name
    assert any(name.startswith("integers_popc") for name in names) and any(name.startswith("ptx_cvt") for name in names)


def test_wrong_use_is_one_clear_line(module):
    with pytest.raises(EmulatorError, match="takes no arguments"):
        emulator.translation(module.get_function("mixed"), 1)
    with pytest.raises(EmulatorError, match=r"decorated with @cuda\.jit"):
        emulator.translation(print)
