"""Launches that are run again in other orders of their threads: what a race makes of the results, and what one order hides."""

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels import emulator
from tinygan_kernels.emulator.execute.favour import FavouringScheduler
from tinygan_kernels.emulator.sanitizer.findings import SanitizerError

LAST_WRITES = 'extern "C" __global__ void k(int* y) { if (threadIdx.x % 4 == 3) y[0] = threadIdx.x; }'
BLOCKS = 'extern "C" __global__ void k(int* y) { if (threadIdx.x == 0) y[blockIdx.x / 2] = blockIdx.x * 10; }'
PASSED = """__device__ int ready, value;
extern "C" __global__ void k(int* y) {
  if (threadIdx.x) return;
  if (!*(volatile int*)&ready) { value = 7; *(volatile int*)&ready = 1; }
  else { __threadfence(); y[blockIdx.x] = value; }
}"""


def launch(code, grid, block, *arrays, **options):
    """Run a kernel and return what was found."""
    kernel = emulator.RawModule(code=code).get_function("k")
    with emulator.sanitize(**options) as found:
        kernel((grid,), (block,), arrays)
    return found


def ints(size):
    return np.zeros(size, np.int32)


def test_two_orders_of_two_threads_and_their_results():
    y = ints(4)
    (found,) = launch(LAST_WRITES, 1, 8, y)
    assert found.schedules == (("thread (3, 0, 0)", "argument 0[0] = 7"), ("thread (7, 0, 0)", "argument 0[0] = 3"))
    assert "thread (3, 0, 0) first: argument 0[0] = 7; thread (7, 0, 0) first: argument 0[0] = 3" in str(found)
    assert y[0] == 7  # memory is what the first run made of it


def test_two_orders_of_two_blocks_and_their_results():
    y = ints(4)
    (found,) = launch(BLOCKS, 4, 32, y)
    assert found.schedules == (("block (0, 0, 0)", "argument 0[0] = 10"), ("block (1, 0, 0)", "argument 0[0] = 0"))
    assert y.tolist() == [10, 30, 0, 0]


def test_the_element_that_differs_is_named_with_its_index_and_in_its_type():
    code = 'extern "C" __global__ void k(float* y) { y[7] = threadIdx.x + 0.5f; }'
    (found,) = launch(code, 1, 2, np.zeros((2, 6), np.float32))
    assert [result for _, result in found.schedules] == ["argument 0[1, 1] = 1.5", "argument 0[1, 1] = 0.5"]


def test_a_race_whose_orders_give_the_same_says_so():
    code = """extern "C" __global__ void k(int* y) {
  __shared__ int s[64];
  s[threadIdx.x] = 5;
  if (s[63 - threadIdx.x] == 6) y[threadIdx.x] = 1;
}"""
    (found,) = launch(code, 1, 64, ints(64))
    assert len({result for _, result in found.schedules}) == 1
    assert "first the launch gives the same results" in str(found)


def test_a_variable_of_the_module_is_named():
    code = '__device__ int total;\nextern "C" __global__ void k(int* y) { total = threadIdx.x; if (y[0]) y[1] = total; }'
    (found,) = launch(code, 1, 2, ints(4))
    assert [result for _, result in found.schedules] == ["total = 1", "total = 0"]


def test_large_launches_are_run_again_on_request_alone():
    y = ints(1 << 21)  # 8 MB
    (found,) = launch(LAST_WRITES, 1, 8, y)
    assert not found.schedules
    (found,) = launch(LAST_WRITES, 1, 8, y, schedules=True)
    assert found.schedules
    (found,) = launch(LAST_WRITES, 1, 8, ints(4), schedules=False)
    assert not found.schedules


def test_the_option_of_checks_reaches_the_error():
    kernel = emulator.RawModule(code=LAST_WRITES).get_function("k")
    with emulator.checks(True, schedules=True), pytest.raises(SanitizerError, match=r"first: argument 0\[0\] = 7"):
        kernel((1,), (8,), (ints(4),))
    with emulator.checks(True, schedules=False), pytest.raises(SanitizerError) as caught:
        kernel((1,), (8,), (ints(4),))
    assert not caught.value.findings[0].schedules


def test_a_race_that_the_usual_order_hides_is_found_in_another():
    """All blocks look at the flag at once and find it unset, so nobody reads the value, unless a block runs before the others."""
    found = launch(PASSED, 3, 32, ints(3))
    assert any("last block" in f.order and f.tool == "racecheck" and f.source == "kernel.cu:5" for f in found)
    assert "found when the last block and the last warp go first" in "".join(map(str, found))
    assert not any(f.order for f in launch(PASSED, 3, 32, ints(3), schedules=False))


def test_unwritten_bytes_are_so_again_in_the_second_run():
    y = emulator.empty(64, np.int32)
    code = """__device__ int flag;
extern "C" __global__ void k(int* y) {
  y[threadIdx.x] = 1;
  __threadfence();
  atomicAdd(&flag, 1);
}"""
    assert not launch(code, 1, 64, y, schedules=True)
    assert not launch('extern "C" __global__ void k(int* y) { y[threadIdx.x] += 1; }', 1, 64, y)


def test_only_the_first_run_prints(capsys):
    code = '#include <cstdio>\nextern "C" __global__ void k(int* y) { y[0] = threadIdx.x; printf("%d;", threadIdx.x); }'
    (found,) = launch(code, 1, 2, ints(1))
    assert found.schedules and capsys.readouterr().out == "0;1;"


def test_a_launch_that_fails_in_one_order_says_how():
    code = """extern "C" __global__ void k(int* y) {
  if (threadIdx.x == 0 && *(volatile int*)y) __trap();
  if (threadIdx.x == 1) y[0] = 1;
}"""
    found = launch(code, 1, 2, ints(1))
    assert any("the launch fails (trap in k" in result for f in found for _, result in f.schedules)


@pytest.mark.parametrize("favoured", [0, 31, 40])
def test_a_favoured_lane_changes_nothing_in_a_kernel_without_races(favoured):
    """Barriers, collectives of the whole warp in a divergent loop, and __syncwarps at different places."""
    code = """extern "C" __global__ void k(int* y) {
  __shared__ int s[64];
  int t = threadIdx.x, v = t;
  for (int i = 0; i < t % 3; ++i) v += __popc(__activemask() & 0);
  for (int i = 0; i < 3; ++i) {
    v += __shfl_xor_sync(0xffffffff, v, 1 << i);
    s[t] = v;
    __syncthreads();
    v += s[63 - t];
    __syncthreads();
  }
  if (t % 2) { s[t] = v; __syncwarp(); v += s[t - 1]; } else { s[t] = v; __syncwarp(); v += s[t + 1]; }
  y[t] = v;
}"""
    from tinygan_kernels.emulator.host import launch as host

    right, y = ints(64), ints(64)
    assert not launch(code, 1, 64, right)
    run, plain = host.run_chunks, []

    def favouring(machines, most):
        from tinygan_kernels.emulator.execute.favour import Comparison

        def scheduler(machine):
            plain.append(machine)
            return FavouringScheduler(machine, Comparison(10**6), np.arange(machine.shape.width) == favoured)

        return run(machines, most, scheduler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "run_chunks", favouring)
        assert not launch(code, 1, 64, y)
    assert plain and (y == right).all()


def test_blocks_of_malloc_are_those_of_the_first_run():
    """A second run allocates and frees again; only the first one counts."""
    from tinygan_kernels.emulator.execute.heap import HEAP

    code = """__device__ int lock; __device__ int* kept;
extern "C" __global__ void k(int* y) {
  while (atomicCAS(&lock, 0, 1));
  __threadfence();
  if (blockIdx.x == 0) { if (y[3]) { delete[] kept; y[3] = 0; } else { kept = new int[4]; y[3] = 1; } }
  __threadfence();
  atomicExch(&lock, 0);
}"""
    kernel, y = emulator.RawModule(code=code).get_function("k"), ints(4)
    before = len(HEAP.live)
    for live in (1, 0, 1, 0):
        with emulator.sanitize(schedules=True) as found:
            kernel((2,), (1,), (y,))
        assert not found and len(HEAP.live) == before + live == before + y[3]


def test_an_array_that_only_another_order_reaches_is_not_changed():
    code = """__device__ int count;
extern "C" __global__ void k(int** all, int* y) {
  int mine = atomicAdd(&count, 1);
  if (mine == 0 && blockIdx.x == 2) all[0][0] = 1;
  y[mine] = blockIdx.x;
}"""
    other, y = ints(4), ints(3)
    launch(code, 3, 1, np.array([other.ctypes.data], np.uint64), y)
    assert not other.any() and y.tolist() == [0, 1, 2]


def test_launches_stay_small_after_one_that_called_malloc():
    """Malloc's heap has 8 MiB, of which only the blocks count that there are."""
    launch('extern "C" __global__ void k(int* y) { int* p = (int*)malloc(16); p[0] = 5; y[0] = p[0]; free(p); }', 1, 1, ints(1))
    (found,) = launch(LAST_WRITES, 1, 8, ints(4))
    assert found.schedules == (("thread (3, 0, 0)", "argument 0[0] = 7"), ("thread (7, 0, 0)", "argument 0[0] = 3"))


UNDEFINED = """template <class T, class F> __device__ void over_20(T* y, T v, F smaller) {
  for (int d = 16; d; d /= 2) {
    T u = __shfl_down_sync(0xfffff, v, d);
    v = smaller(u, v) ? u : v;
  }
  if (threadIdx.x == 0) *y = v;
}
extern "C" __global__ void k(void* y, int what) {
  int t = threadIdx.x;
  if (t >= 20) return;
  auto smaller = [](auto a, auto b) { return a < b; };
  auto larger = [](auto a, auto b) { return a > b; };
  if (what == 0) over_20((float*)y, -1.5f - t, smaller);
  if (what == 1) over_20((unsigned*)y, 7u + t, smaller);
  if (what == 2) over_20((int*)y, t - 1000, smaller);
  if (what == 3) over_20((float*)y, 2.5f + t, larger);
  if (what == 4) over_20((double*)y, -1.5 - t, smaller);
  if (what == 5 && t == 0) *(int*)malloc(16) = 1;
  if (what == 6) {
    int u = __shfl_down_sync(0xfffff, t, 1);
    if (u < 0) *(int*)malloc(16) = u;
  }
}"""


def test_results_that_depend_on_what_lanes_get_from_lanes_outside_of_the_mask():
    """Maxima and minima of every type show it; what a run with other values has from malloc besides is no result."""
    kernel = emulator.RawModule(code=UNDEFINED).get_function("k")
    for what in range(7):
        y = np.zeros(2, np.int32)
        with emulator.sanitize() as found:
            kernel((1,), (32,), (y, np.int32(what)))
        told = ["the result depends on what lanes get from lanes that the mask does not name" in f.message for f in found]
        assert told == [True] * (what < 5), what


def test_lanes_that_have_all_met_do_not_wait_for_those_of_another_warp():
    """Warps meet at a barrier in pairs of any two; a lane that goes first waits at __syncwarp while others pass it."""
    source = """extern "C" __global__ void k(int* x, int* y) {
      __shared__ int s[128];
      int t = threadIdx.x, w = t / 32;
      s[t] = x[t];
      if (w & 1) for (int i = 0; i < 8; i++) s[t] += x[(t + i) & 127];
      if (w == 0 || w == 2) asm volatile("bar.sync 1, 64;" ::: "memory");
      else asm volatile("bar.sync 1, 64;" ::: "memory");
      __syncwarp();
      if (w == 0) y[t] = s[t + 32];
      if (w == 2) y[t] = s[t];
    }"""
    x, y = np.arange(128, dtype=np.int32), np.zeros(128, np.int32)
    with emulator.sanitize() as found, emulator.step_budget(20_000):
        emulator.RawModule(code=source).get_function("k")((1,), (128,), (x, y))
    race = next(f for f in found if f.tool == "racecheck")
    assert {who for who, _ in race.schedules} == {"thread (0, 0, 0)", "thread (32, 0, 0)"}
