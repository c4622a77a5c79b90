"""Divergence, reconvergence, barriers and device functions, against the same program in Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError


def run(code: str, n: int, *args, block: int = 128, dtype="i4", name: str = "k", shared_mem: int = 0) -> np.ndarray:
    out = np.full(n, -7, dtype)
    kernel = emulator.RawModule(code=code).get_function(name)
    kernel((-(-n // block),), (block,), (out, np.int32(n), *args), shared_mem=shared_mem)
    return out


NESTED = """__device__ __noinline__ int collatz(int n, int limit) {
  int steps = 0;
  while (n != 1) {
    if (n & 1) n = 3 * n + 1; else n /= 2;
    if (++steps >= limit) return -steps;
  }
  return steps;
}
extern "C" __global__ void k(int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int total = 0;
  for (int j = 1; j <= i % 7; j++) {
    if ((i + j) % 5 == 3) continue;
    for (int m = 0; ; m++) {
      if (m * m > i) break;
      if (m % 3 == j % 3) { total += m; continue; }
      total ^= m + j;
    }
    total += collatz(i + j, 40 + j);
    if (total > 300) break;
  }
  out[i] = total;
}"""


def collatz(n: int, limit: int) -> int:
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n & 1 else n // 2
        steps += 1
        if steps >= limit:
            return -steps
    return steps


def nested(i: int) -> int:
    total = 0
    for j in range(1, i % 7 + 1):
        if (i + j) % 5 == 3:
            continue
        m = 0
        while m * m <= i:
            total = total + m if m % 3 == j % 3 else total ^ (m + j)
            m += 1
        total += collatz(i + j, 40 + j)
        if total > 300:
            break
    return total


@pytest.mark.parametrize("n, block", [(1, 32), (33, 64), (500, 96), (1000, 1024)])
def test_nested_loops_with_break_continue_return_and_a_call(n, block):
    assert run(NESTED, n, block=block).tolist() == [nested(i) for i in range(n)]


def test_switch_with_and_without_fall_through():
    code = """extern "C" __global__ void k(int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, r = 0;
  switch (i % 11) {
    case 0: r = 5; break;
    case 1: r = i * 3;
    case 2: r += 1; break;
    case 3: r = i ^ 7; break;
    case 4: case 5: for (int j = 0; j < i % 4; j++) r += j; break;
    case 6: r = i / 2; break;
    case 8: out[i] = -i; return;
    case 9: r = 1 << (i & 7); break;
    default: r = 77;
  }
  if (i < n) out[i] = r;
}"""
    table = {
        0: lambda i: 5,
        1: lambda i: i * 3 + 1,
        2: lambda i: 1,
        3: lambda i: i ^ 7,
        4: lambda i: sum(range(i % 4)),
        5: lambda i: sum(range(i % 4)),
        6: lambda i: i // 2,
        8: lambda i: -i,
        9: lambda i: 1 << (i & 7),
    }
    assert run(code, 256).tolist() == [table.get(i % 11, lambda i: 77)(i) for i in range(256)]


@pytest.mark.parametrize("scope", ["", "{ .reg .b32 %t;"])
def test_branch_table(scope):
    """Test brx.idx, which compilers use for large switches, in the scope of a function and in one inside of it."""
    code = """.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out, .param .u32 n) {
 .reg .b32 %r<8>; .reg .b64 %rd<4>;
 mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; mad.wide.u32 %rd1, %r0, 4, %rd0; rem.u32 %r1, %r0, 3;
 SCOPE ts: .branchtargets L0, L1, L2;
 brx.idx %r1, ts;
 L0: mov.u32 %r2, 10; bra END;
 L1: mov.u32 %r2, 20;
 L2: add.u32 %r2, %r2, 5;
 END: st.global.u32 [%rd1], %r2; ret; CLOSE
}""".replace("SCOPE", scope).replace("CLOSE", "}" if scope else "")
    assert run(code, 64, block=64).tolist() == [[10, 25, 5][i % 3] for i in range(64)]


FUNCTIONS = """struct Pair { double a; int b; };
__device__ __noinline__ Pair twice(Pair p, short s) { p.a *= 2; p.b += s; return p; }
__device__ __noinline__ int inner(int x) { return x % 3 ? x + 1 : x - 1; }
__device__ __noinline__ int outer(int x) { int t = 0; for (int i = 0; i < x % 5; i++) t += inner(x + i); return t; }
__device__ __noinline__ void store(int* p, int v) { if (v & 1) *p = v; else *p = -v; }
extern "C" __global__ void k(int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Pair p; p.a = i; p.b = i;
  if (i % 2) p = twice(p, -3); else p = twice(twice(p, 5), 1);
  int local = 0;
  store(&local, (int)p.a + p.b + outer(i));
  out[i] = local;
}"""


def functions(i: int) -> int:
    inner = lambda x: x + 1 if x % 3 else x - 1  # noqa: E731
    a, b = (2 * i, i - 3) if i % 2 else (4 * i, i + 6)
    v = a + b + sum(inner(i + j) for j in range(i % 5))
    return v if v & 1 else -v


def test_device_functions_that_are_not_inlined():
    module = emulator.RawModule(code=FUNCTIONS)
    assert "call" in module.ptx
    assert run(FUNCTIONS, 300).tolist() == [functions(i) for i in range(300)]


def test_barriers_in_loops_with_a_trip_count_per_block():
    code = """extern "C" __global__ void k(int* out, int n) {
  extern __shared__ int s[];
  int t = threadIdx.x, b = blockDim.x;
  s[t] = t;
  __syncthreads();
  for (int j = 0; j <= blockIdx.x % 4; j++) {
    int v = s[(t + 1) % b];
    __syncthreads();
    s[t] = v + j;
    __syncthreads();
  }
  out[blockIdx.x * b + t] = s[t];
}"""
    block = 96
    got = run(code, 9 * block, block=block, shared_mem=4 * block).reshape(9, block)
    for b in range(9):
        s = np.arange(block)
        for j in range(b % 4 + 1):
            s = np.roll(s, -1) + j
        assert got[b].tolist() == s.tolist()


def test_warps_that_work_as_producer_and_consumer():
    """Test named barriers, bar.arrive, and warps in different loops."""
    code = """extern "C" __global__ void k(int* out, int n) {
  __shared__ int box[32];
  int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (int j = 0; j < 5; j++) {
      asm volatile("bar.sync 1, 64;" ::: "memory");
      box[lane] = lane * 10 + j;
      __threadfence_block();
      asm volatile("bar.arrive 2, 64;" ::: "memory");
    }
  } else {
    int total = 0;
    for (int j = 0; j < 5; j++) {
      asm volatile("bar.arrive 1, 64;" ::: "memory");
      asm volatile("bar.sync 2, 64;" ::: "memory");
      total += box[31 - lane];
    }
    out[lane] = total;
  }
}"""
    assert run(code, 64, block=64)[:32].tolist() == [5 * (31 - i) * 10 + 10 for i in range(32)]


def test_a_barrier_with_a_count_does_not_wait_for_others():
    code = """extern "C" __global__ void k(int* out, int n) {
  __shared__ int s[64];
  int t = threadIdx.x;
  if (t < 64) {
    s[t] = t;
    asm volatile("bar.sync 1, 64;" ::: "memory");
    out[t] = s[63 - t];
  }
  __syncthreads();
  if (t >= 64) out[t] = s[t - 64];
}"""
    assert run(code, 96, block=96).tolist() == [*range(63, -1, -1), *range(32)]


def test_reductions_over_a_block():
    code = """extern "C" __global__ void k(int* out, int n) {
  int t = threadIdx.x;
  int c = __syncthreads_count(t % 3 == 0), a = __syncthreads_and(t >= 0);
  int o = __syncthreads_or(t == 70 && blockIdx.x == 1);
  out[blockIdx.x * blockDim.x + t] = c * 100 + a * 10 + o;
}"""
    got = run(code, 300, block=100).reshape(3, 100)
    assert got.tolist() == [[3410] * 100, [3411] * 100, [3410] * 100]


def test_a_spin_lock_makes_progress():
    """Lanes of one warp contend for a lock: the one that holds it must get its turn."""
    code = """extern "C" __global__ void k(int* out, int n, int* lock, int* sum) {
  int i = threadIdx.x;
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *(volatile int*)sum = *(volatile int*)sum + i;
      __threadfence();
      done = true;
      atomicExch(lock, 0);
    }
  }
  out[i] = i;
}"""
    lock, total = np.zeros(1, "i4"), np.zeros(1, "i4")
    assert run(code, 64, lock, total, block=64).tolist() == list(range(64))
    assert total[0] == 64 * 63 // 2 and lock[0] == 0


def test_waiting_for_another_warp_to_set_a_flag():
    """The waiting loop comes first in the program: the others must not starve."""
    code = """extern "C" __global__ void k(int* out, int n) {
  __shared__ int flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x < 32) while (atomicAdd(&flag, 0) == 0) {}
  else if (threadIdx.x == 40) atomicExch(&flag, 5);
  __syncthreads();
  out[threadIdx.x] = flag;
}"""
    assert (run(code, 64, block=64) == 5).all()


def test_trap_and_exit():
    code = """extern "C" __global__ void k(int* out, int n) {
  out[threadIdx.x] = 1;
  if (threadIdx.x % 2) asm volatile("exit;");
  out[threadIdx.x] = 2;
  if (n < 0) __trap();
}"""
    assert run(code, 32, block=32).tolist() == [2, 1] * 16
    with pytest.raises(EmulatorError, match=r"trap in k at kernel.cu:5 by thread \(0, 0, 0\) of block \(0, 0, 0\)"):
        emulator.RawModule(code=code).get_function("k")((1,), (32,), (np.zeros(32, "i4"), np.int32(-1)))


# -- random programs: the same random control flow, interpreted lane by lane ----------------------------------------
@st.composite
def programs(draw, depth: int = 3):
    """Draw statements over v0..v3: assignments, if/else, loops whose trip count depends on data, break and continue."""
    kinds = ["set", "set", "if", "loop", "escape"] if depth else ["set"]
    return [draw(statements(depth, kinds)) for _ in range(draw(st.integers(1, 3)))]


@st.composite
def statements(draw, depth: int, kinds: list):
    kind = draw(st.sampled_from(kinds))
    a, b, c = (draw(st.integers(0, 3)) for _ in range(3))
    if kind == "set":
        return ("set", a, draw(st.sampled_from("+-*^&")), b, c, draw(st.integers(0, 99)))
    if kind == "if":
        return ("if", a, draw(st.integers(2, 4)), draw(programs(depth - 1)), draw(programs(depth - 1)))
    if kind == "loop":
        return ("loop", a, draw(programs(depth - 1)))
    return ("escape", a, draw(st.sampled_from(["break", "continue"])))


def to_cuda(program, depth: int, in_loop: bool) -> str:
    lines = []
    for s in program:
        if s[0] == "set":
            lines.append(f"v{s[1]} = (v{s[3]} {s[2]} v{s[4]}) + {s[5]}u;")
        elif s[0] == "if":
            lines.append(
                f"if (v{s[1]} % {s[2]}u == 0u) {{ {to_cuda(s[3], depth, in_loop)} }} "
                f"else {{ {to_cuda(s[4], depth, in_loop)} }}"
            )
        elif s[0] == "loop":
            lines.append(
                f"for (unsigned j{depth} = v{s[1]} % 4u; j{depth} > 0u; j{depth}--) "
                f"{{ {to_cuda(s[2], depth + 1, True)} }}"
            )
        elif in_loop:
            lines.append(f"if (v{s[1]} % 3u == 1u) {s[2]};")
    return " ".join(lines)


def interpret(program, v: list[int], in_loop: bool) -> str | None:
    for s in program:
        signal = None
        if s[0] == "set":
            b, c = v[s[3]], v[s[4]]
            value = {"+": b + c, "-": b - c, "*": b * c, "^": b ^ c, "&": b & c}[s[2]]
            v[s[1]] = value + s[5] & 0xFFFFFFFF
        elif s[0] == "if":
            signal = interpret(s[3] if v[s[1]] % s[2] == 0 else s[4], v, in_loop)
        elif s[0] == "loop":
            for _ in range(v[s[1]] % 4):
                if interpret(s[2], v, True) == "break":
                    break
        elif in_loop and v[s[1]] % 3 == 1:
            signal = s[2]
        if signal:
            return signal
    return None


@given(programs())
@settings(max_examples=40, deadline=None)
def test_random_structured_programs(program):
    code = f"""extern "C" __global__ void k(unsigned* out, int n) {{
  unsigned i = threadIdx.x, v0 = i, v1 = i * 7u, v2 = i ^ 5u, v3 = 3u;
  {to_cuda(program, 0, False)}
  out[i] = v0 ^ (v1 * 3u) ^ (v2 * 5u) ^ (v3 * 7u);
}}"""
    want = []
    for i in range(64):
        v = [i, i * 7, i ^ 5, 3]
        interpret(program, v, False)
        want.append((v[0] ^ v[1] * 3 ^ v[2] * 5 ^ v[3] * 7) & 0xFFFFFFFF)
    out = np.zeros(64, "u4")
    module = emulator.RawModule(code=code)
    with emulator.checks(False):
        module.get_function("k")((1,), (64,), (out, np.int32(64)))
    assert out.tolist() == want
