"""Launches that would not end, blocks that wait for later ones, addresses near 2^64, launches from several threads."""

import threading

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError
from tinygan_kernels.emulator.execute import progress, residency

HEAD = 'extern "C" __global__ void k('


def run(code: str, grid: int, block: int, *args, checks: bool = False) -> None:
    with emulator.checks(checks):
        emulator.RawModule(code=code).get_function("k")((grid,), (block,), args)


def ints(n: int = 1) -> np.ndarray:
    return np.zeros(n, np.int32)


# -- endless loops ----------------------------------------
@pytest.mark.parametrize("checks", [True, False])
def test_a_flag_that_nobody_sets(checks):
    code = HEAD + "int* o) {\n  while (!*(volatile int*)o);  // HERE\n}"
    with pytest.raises(EmulatorError, match=r"waits for ever.*kernel.cu:2") as error:
        run(code, 1, 32, ints(), checks=checks)
    (finding,) = error.value.findings
    assert (finding.tool, finding.source, finding.count) == ("synccheck", "kernel.cu:2", 32)


def test_threads_that_wait_at_several_lines_are_all_named():
    code = HEAD + """int* o) {
  volatile int* f = o;
  if (threadIdx.x < 32) while (!f[0]);
  else if (threadIdx.x < 64) while (!f[1]);
  __syncthreads();
}"""
    with pytest.raises(SanitizerError) as error:
        run(code, 1, 96, ints(2))
    assert all(f"kernel.cu:{line}" in str(error.value) for line in (3, 4, 5))


def test_a_loop_that_counts_uses_up_its_budget_and_a_larger_budget_lets_it_end():
    code = HEAD + "int* o, int n) { int s = 0; for (int i = 0; i < n; ++i) s = s * 3 + o[i & 1]; o[0] = s; }"
    with emulator.step_budget(1_000), pytest.raises(EmulatorError, match=r"budget of 1,000 steps.*step_budget"):
        run(code, 1, 1, ints(2), np.int32(40_000))
    with emulator.step_budget(100_000):
        run(code, 1, 1, ints(2), np.int32(40_000))


def test_a_long_loop_that_makes_progress_is_not_taken_for_an_endless_one():
    code = HEAD + "int* o, int n) { volatile int* p = o; for (int i = 0; i < n; ++i) { while (p[1]); p[0] += 1; } }"
    out = ints(2)
    run(code, 1, 1, out, np.int32(6_000))
    assert out[0] == 6_000


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, None])
def test_a_budget_is_a_whole_number(steps):
    with pytest.raises(ValueError, match="steps is"), emulator.step_budget(steps):
        pass


# -- blocks that wait for later ones ----------------------------------------
WAITS = """__device__ int flag;
extern "C" __global__ void k(int* o) {
  if (blockIdx.x == 0) { while (!*(volatile int*)&flag); __threadfence(); }
  if (blockIdx.x == gridDim.x - 1) { __threadfence(); *(volatile int*)&flag = 1; }
  o[blockIdx.x] = 1;
}"""


@pytest.mark.parametrize("blocks", [3, 600])  # in one chunk, and in several
def test_a_block_waits_for_a_later_one_that_is_resident(blocks):
    out = ints(blocks)
    run(WAITS, blocks, 32, out)
    assert out.all()


def test_a_block_that_waits_for_one_that_is_not_resident_is_named(monkeypatch):
    monkeypatch.setattr(residency, "PROCESSORS", 8)  # 256 blocks
    with pytest.raises(SanitizerError, match=r"block \(\d+, 0, 0\) and those after it have not begun.*kernel.cu:3"):
        run(WAITS.replace("blockIdx.x == 0", "blockIdx.x < gridDim.x - 1"), 600, 32, ints(600))
    run(WAITS, 600, 32, ints(600))  # if only the first block waits, the others end and make room


def test_chunks_that_wait_for_each_other_in_turns():
    """A barrier of the whole grid, passed several times: every chunk has to run again and again."""
    code = """__device__ int arrived;
extern "C" __global__ void k(int* o) {
  for (int j = 1; j <= 3; ++j) {
    o[blockIdx.x] += j;
    __threadfence();
    atomicAdd(&arrived, 1);
    while (*(volatile int*)&arrived < j * gridDim.x);
    __threadfence();
    if (*(volatile int*)&o[(blockIdx.x + 1) % gridDim.x] < j * (j + 1) / 2) o[blockIdx.x] = -1000;
  }
}"""
    out = ints(520)
    run(code, 520, 1, out)
    assert (out == 6).all()


# -- barriers ----------------------------------------
def test_threads_that_exited_are_not_waited_for_and_late_ones_are_no_fault():
    code = """extern "C" __global__ void k(int* o, volatile int* f) {
  if (threadIdx.x >= 40) return;
  if (threadIdx.x == 0) { for (int i = 0; i < 3000; ++i) if (f[0]) break; }
  __syncthreads();
  o[threadIdx.x] = 1;
}"""
    out = ints(64)
    run(code, 1, 64, out, ints(), checks=True)
    assert out.sum() == 40


def test_a_barrier_in_if_and_else():
    code = HEAD + """int* o, int n) {
  if (threadIdx.x < n) {
    o[threadIdx.x] = 1;
    __syncthreads();
  } else {
    o[threadIdx.x] = 2;
    __syncthreads();
  }
}"""
    for n in (0, 64):  # all threads take one branch
        run(code, 1, 64, ints(64), np.int32(n), checks=True)
    with pytest.raises(SanitizerError, match=r"different barriers.*the others are at kernel.cu:7.*kernel.cu:4") as error:
        run(code, 1, 64, ints(64), np.int32(32), checks=True)
    assert len(error.value.findings) == 1


# -- addresses ----------------------------------------
@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize("address", [0x7FFFFFFFFFFFFFF8, 0xFFFFFFFFFFFFFFF8, 0x1FFFFFFFFFFFFFF8, 0x2FFFFFFFFFFFFFF8])
@pytest.mark.parametrize("space", ["global", "shared", "local", "generic"])
def test_no_address_wraps_around(address, space, checks):
    text = f"""
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 po, .param .u64 pa)
{{
.shared .align 8 .b8 s[64]; .local .align 8 .b8 l[64];
.reg .b64 %o, %a, %v; .reg .b32 %t; .reg .pred %p;
ld.param.u64 %o, [po]; ld.param.u64 %a, [pa];
mov.u32 %t, %tid.x; setp.eq.u32 %p, %t, 1;
@%p mov.u64 %a, {0 if space in ("shared", "local") else "%o"};
st.shared.u64 [s], 0; st.local.u64 [l], 0;
ld{"" if space == "generic" else "." + space}.u64 %v, [%a];
st.global.u64 [%o], 1;
ret;
}}"""
    out = np.zeros(1, np.int64)
    with pytest.raises(SanitizerError, match="out-of-bounds read of 8 bytes") as error:
        run(text, 1, 2, out, np.uint64(address), checks=checks)
    assert error.value.findings[0].thread == (0, 0, 0)


# -- threads of the host ----------------------------------------
def test_launches_of_one_kernel_from_several_threads_keep_their_arguments():
    code = HEAD + "int* o, int v) { o[threadIdx.x] = v; __syncthreads(); o[threadIdx.x] += v; }"
    kernel = emulator.RawModule(code=code).get_function("k")
    wrong = []

    def work(value: int) -> None:
        for _ in range(25):
            out = ints(64)
            kernel((1,), (64,), (out, np.int32(value)))
            if (out != 2 * value).any():
                wrong.append((value, out[0]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_every_block_of_a_grid_runs_where_chunks_were_set_aside_for_their_time(monkeypatch):
    """With so much shared memory fewer blocks are resident than a chunk has, so none may begin beside one that was set aside."""
    monkeypatch.setattr(progress, "SLICE", 2000)
    monkeypatch.setattr(progress, "FIRST_LOOK", 500)
    code = HEAD + """int* o, int n) {
  unsigned v = threadIdx.x;
  for (int i = 0; i < n; ++i) { v = v * 1664525u + 1013904223u; if (v == 12345u) o[0] = 7; __syncwarp(); }
  if (threadIdx.x == 0) o[blockIdx.x] = v | 1;
}"""
    kernel, out = emulator.RawModule(code=code).get_function("k"), ints(600)
    with emulator.checks(False):
        kernel((600,), (32,), (out, np.int32(3000)), shared_mem=100 * 1024)
    assert np.count_nonzero(out) == 600


PTX = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {\n%s\nret;\n}"


def test_a_grid_of_two_thousand_million_blocks_ends_with_the_budget():
    kernel = emulator.RawModule(code=PTX % "").get_function("k")
    with emulator.step_budget(20), pytest.raises(EmulatorError, match="blocks together have taken 81 steps, 4 times the budget"):
        kernel((2**31 - 1,), (32,), ())


def test_local_memory_that_no_gpu_has_is_refused():
    kernel = emulator.RawModule(code=PTX % ".local .align 4 .b8 a[16777216];\n.reg .u64 %r1; mov.u64 %r1, a;").get_function("k")
    with pytest.raises(EmulatorError, match="16777216 bytes of local memory a thread; 524288 are possible"):
        kernel((1,), (1024,), ())


def test_collectives_at_different_places_that_never_end():
    """Lanes that meet from two loops take steps of the budget too."""
    code = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k() { .reg .b32 %r<3>; .reg .pred %p; mov.u32 %r0, %tid.x; setp.lt.u32 %p, %r0, 16; @%p bra B;
A: shfl.sync.idx.b32 %r1, %r0, 3, 31, -1; bra A;
B: shfl.sync.idx.b32 %r1, %r0, 3, 31, -1; bra B; }"""
    with emulator.step_budget(4_000), pytest.raises((EmulatorError, SanitizerError), match="endless loop"):
        emulator.RawModule(code=code).get_function("k")((1,), (32,), ())
