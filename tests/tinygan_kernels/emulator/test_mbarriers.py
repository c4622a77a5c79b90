"""mbarrier: its states against a model in Python, its order, and cuda::barrier and cuda::pipeline of NVIDIA's headers."""

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError

HEAD = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p) { .reg .b32 %r<9>; .reg .b64 %q<9>; .reg .pred %p<3>;
.shared .align 8 .b64 bar; .shared .b32 data[64];
mov.u32 %r0, %tid.x; ld.param.u64 %q0, [p]; mad.wide.u32 %q1, %r0, 4, %q0;
"""
ONE = "setp.ne.u32 %p0, %r0, 0; @%p0 bra SKIP; mbarrier.init.shared.b64 [bar], {}; SKIP: bar.sync 0;\n"


def run(body: str, threads: int, out: np.ndarray) -> np.ndarray:
    text = (HEAD + body + " ret; }").replace("; ", ";\n")  # reports, and what they know of arrays, go by lines
    emulator.RawModule(code=text).get_function("k")((1,), (threads,), (out,))
    return out


# -- one thread, step by step, against a model --------------------------------------------------------------------------
class Model:
    """An mbarrier by the words of the PTX manual."""

    def __init__(self, count: int):
        self.expected = self.pending = count
        self.tx = self.phase = 0

    def settle(self) -> None:
        if self.pending == 0 and self.tx == 0:
            self.phase, self.pending = self.phase + 1, self.expected

    def arrive(self, count: int = 1, tx: int = 0, drop: bool = False) -> int:
        before = self.pending
        self.tx += tx
        self.expected -= count if drop else 0
        self.pending -= count
        self.settle()
        return before

    def transact(self, change: int) -> None:
        self.tx += change
        self.settle()


def sequence(seed: int) -> tuple[str, list[int]]:
    """Return random operations on a barrier, as PTX that stores what it sees, and what it should see."""
    rng, model, seen, text = np.random.default_rng(seed), Model(5), [], ONE.format(5)
    for _ in range(24):
        kind = rng.integers(0, 6)
        room = model.pending - (1 if model.expected == 1 else 0)
        if kind == 0 and room >= 2:
            count = int(rng.integers(1, min(3, room) + 1))
            seen.append(model.arrive(count))
            text += f"mbarrier.arrive.shared::cta.b64 %q3, [bar], {count}; mbarrier.pending_count.b64 %r1, %q3;"
        elif kind == 1 and model.tx < 60 and model.pending:
            seen.append(model.arrive(1, 16))
            text += "mbarrier.arrive.expect_tx.shared::cta.b64 %q3, [bar], 16; mbarrier.pending_count.b64 %r1, %q3;"
        elif kind == 2 and model.expected > 2 and model.pending > 1:
            seen.append(model.arrive(1, drop=True))
            text += "mbarrier.arrive_drop.release.cta.shared::cta.b64 %q3, [bar]; mbarrier.pending_count.b64 %r1, %q3;"
        elif kind == 3 and model.tx > 0:
            model.transact(-8)
            seen.append(0)
            text += "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 8; mov.u32 %r1, 0;"
        elif kind == 4 and model.pending:
            model.transact(8)
            seen.append(0)
            text += "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 8; mov.u32 %r1, 0;"
        elif model.pending:
            seen.append(model.arrive())
            text += "mbarrier.arrive.shared.b64 %q3, [bar]; mbarrier.pending_count.b64 %r1, %q3;"
        else:
            continue
        text += f"st.global.u32 [%q0+{4 * (len(seen) - 1)}], %r1;"
        for parity in (0, 1):
            seen.append(int(model.phase % 2 != parity))
            text += f"mbarrier.test_wait.parity.shared.b64 %p1, [bar], {parity}; selp.u32 %r2, 1, 0, %p1;"
            text += f"st.global.u32 [%q0+{4 * (len(seen) - 1)}], %r2;\n"
    return text, seen


@pytest.mark.parametrize("seed", range(6))
def test_states_follow_the_manual(seed):
    text, want = sequence(seed)
    assert run(text, 1, np.full(len(want), 99, "i4")).tolist() == want


def test_a_state_tells_its_own_phase_from_the_next():
    text = ONE.format(2) + """mbarrier.arrive.shared.b64 %q3, [bar]; mbarrier.test_wait.shared.b64 %p0, [bar], %q3;
mbarrier.arrive.shared.b64 _, [bar]; mbarrier.try_wait.shared.b64 %p1, [bar], %q3, 1000; mbarrier.arrive.shared.b64 %q4, [bar];
mbarrier.test_wait.shared.b64 %p2, [bar], %q4; selp.u32 %r1, 1, 0, %p0; selp.u32 %r2, 2, 0, %p1; selp.u32 %r3, 4, 0, %p2;
or.b32 %r1, %r1, %r2; or.b32 %r1, %r1, %r3; st.global.u32 [%q0], %r1;"""
    assert run(text, 1, np.zeros(1, "i4")).tolist() == [2]


@pytest.mark.parametrize(("body", "message"), [
    ("mbarrier.arrive.shared.b64 %q3, [bar]; mbarrier.arrive.shared.b64 %q3, [bar+0], 3;", "3 arrivals, where 1 of 2 are pending"),
    ("mbarrier.inval.shared.b64 [bar]; mbarrier.arrive.shared.b64 %q3, [bar];", "the mbarrier is not initialised"),
    ("mbarrier.expect_tx.relaxed.cta.shared.b64 [bar], 1048576;", "a tx-count of 1048576, where at most 1048575"),
    ("mbarrier.init.shared.b64 [bar], 0;", "with a count of 0, from 1 to 1048575 are possible"),
    ("mbarrier.init.shared.b64 [bar], 1048576;", "with a count of 1048576, from 1 to 1048575 are possible"),
    ("mbarrier.arrive.shared.b64 %q3, [bar+4];", "misaligned write of 8 bytes"),
])  # fmt: skip
def test_what_cannot_be_is_a_finding(body, message):
    with pytest.raises(SanitizerError, match=message):
        run(ONE.format(2) + body, 1, np.zeros(1, "i4"))


# -- order --------------------------------------------------------------------------------------------------------------
EXCHANGE = """shl.b32 %r1, %r0, 2; mov.u32 %r2, data; add.u32 %r2, %r2, %r1; st.shared.u32 [%r2], %r0;
mbarrier.arrive.RELEASE.cta.shared::cta.b64 %q3, [bar];
WAIT: mbarrier.try_wait.ACQUIRE.cta.shared::cta.b64 %p1, [bar], %q3; @!%p1 bra WAIT;
mov.u32 %r3, data; sub.u32 %r4, 63, %r0; shl.b32 %r4, %r4, 2; add.u32 %r3, %r3, %r4; ld.shared.u32 %r5, [%r3];
st.global.u32 [%q1], %r5;"""


def exchanged(text: str) -> np.ndarray:
    return run(text, 64, np.full(64, -1, "i4"))


def test_waiters_come_after_those_who_arrived():
    text = (ONE.format(64) + EXCHANGE).replace("RELEASE", "release").replace("ACQUIRE", "acquire")
    assert exchanged(text).tolist() == list(range(63, -1, -1))
    apart = text.replace("mbarrier.arrive", "setp.gt.u32 %p2, %r0, 40; @%p2 bra LATE; nanosleep.u32 5; LATE: mbarrier.arrive", 1)
    assert exchanged(apart).tolist() == list(range(63, -1, -1))


@pytest.mark.parametrize("planted", [
    ("release", "relaxed"), ("relaxed", "acquire"),  # one side orders nothing
    ("WAIT: mbarrier.try_wait.acquire.cta.shared::cta.b64 %p1, [bar], %q3; @!%p1 bra WAIT;", ""),  # nobody waits
    ("SKIP: bar.sync 0;", "SKIP: mov.u32 %r1, 0;"),  # the barrier may be used before it is made
    ("st.global.u32 [%q1], %r5;", "st.global.u32 [%q1], %r5; st.shared.u32 [%r2], %r5;"),  # written while others still read
], ids=["relaxed wait", "relaxed arrival", "no wait", "no barrier after init", "written again"])  # fmt: skip
def test_what_a_barrier_does_not_order_is_a_race(planted):
    release, acquire = planted if "rel" in planted[0] + planted[1] and " " not in planted[0] else ("release", "acquire")
    text = (ONE.format(64) + EXCHANGE).replace("RELEASE", release).replace("ACQUIRE", acquire)
    if " " in planted[0]:
        text = text.replace(*planted)
    with pytest.raises(SanitizerError, match=r"racecheck|synccheck"):
        exchanged(text)


def test_what_happens_between_arrival_and_wait_is_not_ordered():
    text = (ONE.format(64) + EXCHANGE).replace("RELEASE", "release").replace("ACQUIRE", "acquire")
    store = "st.shared.u32 [%r2], %r0;"
    late = text.replace(store, "", 1).replace("WAIT:", f"{store} WAIT:")
    with pytest.raises(SanitizerError, match="racecheck: shared-memory race: read of bytes written by another thread"):
        exchanged(late)


def test_a_phase_that_nobody_completes_ends_with_the_line_that_waits():
    text = (ONE.format(65) + EXCHANGE).replace("RELEASE", "release").replace("ACQUIRE", "acquire")
    with pytest.raises((SanitizerError, EmulatorError), match="endless loop: the thread waits for ever"):
        exchanged(text)


def test_producers_and_consumers_use_two_barriers_for_many_rounds():
    """A warp produces, a warp consumes, through one buffer: `full` and `free` turn over by parity, 9 rounds of it."""
    text = HEAD.replace(".shared .align 8 .b64 bar;", ".shared .align 8 .b64 bar[2];") + """
setp.ne.u32 %p0, %r0, 0; @%p0 bra SKIP; mbarrier.init.shared.b64 [bar], 32; mbarrier.init.shared.b64 [bar+8], 32; SKIP: bar.sync 0;
mov.u32 %r6, 0; mov.u32 %r7, 0; and.b32 %r1, %r0, 31; shl.b32 %r2, %r1, 2; mov.u32 %r3, data; add.u32 %r2, %r2, %r3;
xor.b32 %r4, %r1, 31; shl.b32 %r4, %r4, 2; add.u32 %r4, %r4, %r3; setp.gt.u32 %p2, %r0, 31; @%p2 bra CONSUME;
PRODUCE: and.b32 %r5, %r6, 1; xor.b32 %r5, %r5, 1;
FREE: mbarrier.try_wait.parity.shared.b64 %p1, [bar+8], %r5; @!%p1 bra FREE;
mad.lo.u32 %r5, %r6, 100, %r1; st.shared.u32 [%r2], %r5; mbarrier.arrive.shared.b64 _, [bar];
add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 9; @%p1 bra PRODUCE; ret;
CONSUME: and.b32 %r5, %r6, 1;
FULL: mbarrier.try_wait.parity.shared.b64 %p1, [bar], %r5; @!%p1 bra FULL;
ld.shared.u32 %r5, [%r4]; add.u32 %r7, %r7, %r5; mbarrier.arrive.shared.b64 _, [bar+8];
add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 9; @%p1 bra CONSUME; st.global.u32 [%q1], %r7; ret; }"""
    text = text.replace("; ", ";\n")
    kernel, lane = emulator.RawModule(code=text).get_function("k"), np.arange(32)
    out = np.zeros(64, "i4")
    kernel((1,), (64,), (out,))
    assert (out[32:] == 100 * 36 + 9 * (31 - lane)).all()
    with pytest.raises(SanitizerError, match=r"racecheck|endless loop"):  # does not wait for the buffer to be free
        emulator.RawModule(code=text.replace("@!%p1 bra FREE;", "")).get_function("k")((1,), (64,), (out,))


# -- cuda::barrier and cuda::pipeline -------------------------------------------------------------------------------------
CPP = r"""
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cooperative_groups.h>
using barrier = cuda::barrier<cuda::thread_scope_block>;
extern "C" __global__ void turns(const int* a, int* b, int n) {
    __shared__ int s[64];
    __shared__ alignas(8) char room[sizeof(barrier)];
    barrier& bar = *reinterpret_cast<barrier*>(room);
    if (threadIdx.x == 0) init(&bar, blockDim.x);
    __syncthreads();
    int sum = 0;
    for (int i = 0; i < n; i++) {
        s[threadIdx.x] = a[64 * i + threadIdx.x];
        auto token = bar.arrive();
        sum += i;
        bar.wait(std::move(token));
        sum += s[63 - threadIdx.x];
        bar.arrive_and_wait();
    }
    b[threadIdx.x] = sum;
}
extern "C" __global__ void pipe(const int* g, int* out, int n) {
    __shared__ alignas(16) int s[2][64];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    auto block = cooperative_groups::this_thread_block();
    auto pipe = cuda::make_pipeline(block, &state);
    int total = 0;
    for (int i = 0; i <= n; i++) {
        if (i < n) {
            pipe.producer_acquire();
            cuda::memcpy_async(block, s[i % 2], g + 64 * i, cuda::aligned_size_t<16>(sizeof(int) * 64), pipe);
            pipe.producer_commit();
        }
        if (i == 0) continue;
        pipe.consumer_wait();
        total += i * s[(i - 1) % 2][63 - threadIdx.x];
        pipe.consumer_release();
    }
    out[threadIdx.x] = total;
}
"""


@pytest.mark.parametrize("arch", ["compute_80", "compute_90"])
def test_barriers_and_pipelines_of_cuda_cpp(arch):
    pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")
    module = emulator.RawModule(code=CPP, arch=arch, filename="turns.cu")
    a, b = np.random.default_rng(2).integers(0, 99, (5, 64)).astype("i4"), np.zeros(64, "i4")
    module.get_function("turns")((1,), (64,), (a, b, np.int32(5)))
    assert (b == a.sum(axis=0)[::-1] + 10).all()
    module.get_function("pipe")((2,), (64,), (a, b, np.int32(5)))
    assert (b == (np.arange(1, 6) @ a)[::-1]).all()
