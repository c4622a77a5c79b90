"""Clusters of blocks: distributed shared memory, the barrier of a cluster, and the instructions around them."""

import numpy as np
import pytest
from ptx_snippets import run
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError
from tinygan_kernels.emulator.host.launch import run_kernel

HEAD = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 p) CLUSTER
{ .reg .b32 %r<20>;
.reg .b64 %q<9>;
.reg .pred %p<3>;
.shared .align 8 .b32 box[32];
mov.u32 %r0, %tid.x;
ld.param.u64 %q0, [p];
mov.u32 %r1, %ctaid.x;
mov.u32 %r2, %ntid.x;
mad.lo.u32 %r3, %r1, %r2, %r0;
mad.wide.u32 %q1, %r3, 4, %q0;
mov.u32 %r4, %cluster_ctarank;
mov.u32 %r5, %cluster_nctarank;
"""
RING = """mov.u32 %r6, box;
shl.b32 %r7, %r0, 2;
add.u32 %r6, %r6, %r7;
mad.lo.u32 %r8, %r1, 100, %r0;
st.shared.u32 [%r6], %r8;
barrier.cluster.arrive.release;
barrier.cluster.wait.acquire;
add.u32 %r9, %r4, 1;
rem.u32 %r9, %r9, %r5;
mapa.shared::cluster.u32 %r10, %r6, %r9;
getctarank.shared::cluster.u32 %r11, %r10;
ld.shared::cluster.u32 %r12, [%r10];
mad.lo.u32 %r12, %r11, 10000, %r12;
st.global.u32 [%q1], %r12;
barrier.cluster.arrive;
barrier.cluster.wait;
"""


def launched(body: str, grid: int, threads: int, cluster: int, size: int | None = None) -> np.ndarray:
    out = np.full(size or grid * threads, -1, "i4")
    text = HEAD.replace("CLUSTER", f".reqnctapercluster {cluster}") + body + "ret;\n}"
    emulator.RawModule(code=text).get_function("k")((grid,), (threads,), (out,))
    return out


@pytest.mark.parametrize("cluster", [1, 2, 4])
def test_blocks_read_the_shared_memory_of_their_neighbours(cluster):
    out = launched(RING, 8, 32, cluster).reshape(8, 32)
    block, lane = np.arange(8)[:, None], np.arange(32)
    other = block // cluster * cluster + (block % cluster + 1) % cluster
    assert (out == 100 * other + lane + 10000 * (other % cluster)).all()


def test_many_clusters_and_generic_addresses():
    """More threads than one chunk has; and addresses as C++ has them, by cvta and 64-bit mapa."""
    generic = RING.replace("mapa.shared::cluster.u32 %r10, %r6, %r9;", "cvt.u64.u32 %q2, %r6;\ncvta.shared.u64 %q3, %q2;\n"
                           "mapa.u64 %q4, %q3, %r9;")  # fmt: skip
    generic = generic.replace("getctarank.shared::cluster.u32 %r11, %r10;", "getctarank.u64 %r11, %q4;")
    generic = generic.replace("ld.shared::cluster.u32 %r12, [%r10];", "ld.u32 %r12, [%q4];")
    out = launched(generic, 600, 32, 3).reshape(600, 32)
    block, lane = np.arange(600)[:, None], np.arange(32)
    other = block // 3 * 3 + (block % 3 + 1) % 3
    assert (out == 100 * other + lane + 10000 * (other % 3)).all()


def test_the_windows_of_shared_memory():
    text = """mov.u64 %q2, box;
cvta.shared.u64 %q3, %q2;
mapa.u64 %q4, %q3, 1;
isspacep.shared %p0, %q4;
selp.u32 %r6, 1, 0, %p0;
isspacep.shared::cluster %p0, %q4;
selp.u32 %r7, 2, 0, %p0;
isspacep.shared::cta %p0, %q4;
selp.u32 %r8, 4, 0, %p0;
isspacep.shared::cta %p0, %q3;
selp.u32 %r9, 8, 0, %p0;
add.u32 %r6, %r6, %r7;
add.u32 %r6, %r6, %r8;
add.u32 %r6, %r6, %r9;
getctarank.u64 %r10, %q3;
mad.lo.u32 %r6, %r10, 100, %r6;
st.global.u32 [%q1], %r6;
"""
    assert launched(text, 2, 1, 2).tolist() == [11, 111]


def test_atomics_on_another_block():
    text = """setp.ne.u32 %p0, %r0, 0;
@%p0 bra WAIT;
mov.u32 %r6, box;
st.shared.u32 [%r6], 0;
WAIT:
barrier.cluster.arrive;
barrier.cluster.wait;
mapa.shared::cluster.u32 %r7, box, 0;
red.shared::cluster.add.u32 [%r7], %r1;
barrier.cluster.arrive;
barrier.cluster.wait;
@%p0 bra END;
ld.shared.u32 %r8, [box];
st.global.u32 [%q1], %r8;
END:
"""
    out = launched(text, 4, 32, 4).reshape(4, 32)
    assert out[0, 0] == 32 * (0 + 1 + 2 + 3)
    assert (out[:, 1:] == -1).all()


@pytest.mark.parametrize(("without", "message"), [
    ("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n", "racecheck|initcheck"),
    ("barrier.cluster.wait.acquire;\n", "racecheck|initcheck|synccheck"),
])  # fmt: skip
def test_without_the_barrier_it_is_a_race(without, message):
    with pytest.raises(SanitizerError, match=message):
        launched(RING.replace(without, "", 1), 4, 32, 4)


def test_a_relaxed_arrival_orders_nothing():
    with pytest.raises(SanitizerError, match=r"racecheck: shared-memory race: .* another block"):
        launched(RING.replace("arrive.release", "arrive.relaxed"), 4, 32, 4)


def test_a_block_may_not_end_while_others_read_it():
    early = RING.replace("barrier.cluster.arrive;\nbarrier.cluster.wait;\n", "")
    with pytest.raises(SanitizerError, match="out-of-bounds read of 4 bytes in the shared memory of block 1 of the cluster"):
        launched(early.replace("add.u32 %r9, %r4, 1;", "setp.eq.u32 %p1, %r4, 1;\n@%p1 ret;\nadd.u32 %r9, %r4, 1;"), 2, 32, 2)


def test_what_a_cluster_does_not_have():
    with pytest.raises(SanitizerError, match="memory of block 7 of the cluster, which has ended or has no such bytes"):
        launched(RING.replace("rem.u32 %r9, %r9, %r5;", "mov.u32 %r9, 7;"), 2, 32, 2)
    with pytest.raises(EmulatorError, match=r"the grid \(3, 1, 1\) is no multiple of the cluster \(2, 1, 1\)"):
        launched(RING, 3, 32, 2)
    with pytest.raises(EmulatorError, match=r"a cluster of \(17, 1, 1\) blocks, of which 1 to 16 are possible"):
        launched(RING, 17, 32, 17)
    with pytest.raises(SanitizerError, match="the thread has arrived already"):
        launched("barrier.cluster.arrive;\nbarrier.cluster.arrive;\nbarrier.cluster.wait;\n", 2, 32, 2)


def test_a_thread_that_does_not_arrive_and_one_that_exited():
    """Threads that have exited are not waited for; those that never arrive are."""
    half = "setp.eq.u32 %p0, %r4, 1;\n@%p0 ret;\nbarrier.cluster.arrive;\nbarrier.cluster.wait;\nst.global.u32 [%q1], 5;\n"
    assert launched(half, 2, 1, 2).tolist() == [5, -1]
    stuck = "setp.eq.u32 %p0, %r4, 1;\n@%p0 bra ON;\nbarrier.cluster.arrive;\nbarrier.cluster.wait;\nON:\nbar.sync 0, 64;\n"
    with pytest.raises((EmulatorError, SanitizerError), match="deadlock"):
        launched(stuck, 2, 32, 2)


def test_a_cluster_of_one_block_does_not_wait_for_threads_that_exit_later():
    text = "setp.lt.u32 %p0, %r0, 32;\n@%p0 bra FEW;\n{}FEW:\nbarrier.cluster.arrive;\nbarrier.cluster.wait;\n"
    text += "st.global.u32 [%q1], 5;\n"
    assert launched(text.format("ret;\n"), 1, 64, 1).tolist() == [5] * 32 + [-1] * 32
    late = "mov.u32 %r6, 0;\nL:\nadd.u32 %r6, %r6, 1;\nsetp.lt.u32 %p1, %r6, 9000;\n@%p1 bra L;\nret;\n"  # longer than patience
    assert launched(text.format(late), 1, 64, 1).tolist() == [5] * 32 + [-1] * 32


@pytest.mark.parametrize("least", [0, 5, 31, 32])
def test_arrivals_with_a_guard(least):
    """Every thread arrives once, by one of two instructions, and each goes on once."""
    text = f"""setp.ge.u32 %p0, %r0, {least};
@%p0 barrier.cluster.arrive;
@!%p0 barrier.cluster.arrive;
st.global.u32 [%q1], 5;
barrier.cluster.wait;
"""
    assert launched(text, 4, 32, 2).tolist() == [5] * 128


def test_blocks_arrive_at_an_mbarrier_of_another_block():
    text = """or.b32 %r6, %r4, %r0;
setp.ne.u32 %p0, %r6, 0;
@%p0 bra READY;
mbarrier.init.shared::cta.b64 [box], 128;
READY:
barrier.cluster.arrive;
barrier.cluster.wait;
mapa.shared::cluster.u32 %r7, box, 0;
mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r7];
setp.ne.u32 %p0, %r4, 0;
@%p0 bra END;
WAIT:
mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [box], 0;
@!%p1 bra WAIT;
st.global.u32 [%q1], 7;
END:
barrier.cluster.arrive;
barrier.cluster.wait;
"""
    assert launched(text, 4, 32, 4).tolist() == [7] * 32 + [-1] * 96


def test_places_in_clusters_of_two_dimensions():
    names = [f"{name}.{axis}" for name in ("clusterid", "nclusterid", "cluster_ctaid", "cluster_nctaid") for axis in "xy"]
    text = f"""mov.u32 %r6, %ctaid.y;
mov.u32 %r7, %nctaid.x;
mad.lo.u32 %r6, %r6, %r7, %r1;
mad.wide.u32 %q1, %r6, {4 * (len(names) + 3)}, %q0;
{"".join(f"mov.u32 %r8, %{name};{chr(10)}st.global.u32 [%q1+{4 * i}], %r8;{chr(10)}" for i, name in enumerate(names))}
st.global.u32 [%q1+{4 * len(names)}], %r4;
st.global.u32 [%q1+{4 * len(names) + 4}], %r5;
mov.pred %p0, %is_explicit_cluster;
selp.u32 %r8, 1, 0, %p0;
st.global.u32 [%q1+{4 * len(names) + 8}], %r8;
"""
    out = np.zeros((6, 4, len(names) + 3), "i4")
    kernel = emulator.RawModule(code=HEAD.replace("CLUSTER", "") + text + "ret;\n}").get_function("k")
    run_kernel(kernel.translated, kernel.variables, (4, 6, 1), (32, 1, 1), (out,), cluster=(2, 3, 1))
    for y in range(6):
        for x in range(4):
            assert out[y, x].tolist() == [x // 2, y // 3, 2, 2, x % 2, y % 3, 2, 3, x % 2 + 2 * (y % 3), 6, 1]
    with pytest.raises(EmulatorError, match=r"is compiled for clusters of \(2, 1, 1\) blocks, not \(4, 1, 1\)"):
        fixed = emulator.RawModule(code=HEAD.replace("CLUSTER", ".reqnctapercluster 2") + "ret;\n}").get_function("k")
        run_kernel(fixed.translated, fixed.variables, (4, 1, 1), (32, 1, 1), (out,), cluster=(4, 1, 1))


def test_elect_chooses_one_lane_of_the_mask():
    lane = np.arange(64, dtype="u4")
    text = "setp.ge.u32 %p1, %a, 5; @!%p1 bra END; elect.sync %x|%p0, 0xffffffe0; selp.u32 %y, 1, 0, %p0; END:"
    x, y = run(text, [("u32", lane % 32)], "u32", ("u32",))
    assert (x[lane % 32 >= 5] == 5).all() and y.tolist() == (lane % 32 == 5).astype(int).tolist()


def test_hints_and_proxies_change_nothing():
    text = """
setmaxnreg.inc.sync.aligned.u32 96; setmaxnreg.dec.sync.aligned.u32 40; griddepcontrol.wait;
griddepcontrol.launch_dependents;
fence.proxy.async; fence.proxy.async.shared::cta; fence.mbarrier_init.release.cluster; fence.acq_rel.cluster; add.u32 %x, %a, 1;"""
    assert (run(text, [("u32", np.arange(64, dtype="u4"))]) == np.arange(1, 65)).all()


CPP = r"""
#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void __cluster_dims__(4, 1, 1) histogram(const int* in, int* out, int n) {
    extern __shared__ int bins[];
    cg::cluster_group cluster = cg::this_cluster();
    for (int i = threadIdx.x; i < 16; i += blockDim.x) bins[i] = 0;
    cluster.sync();
    for (int i = cg::this_grid().thread_rank(); i < n; i += gridDim.x * blockDim.x)
        atomicAdd(cluster.map_shared_rank(bins, in[i] / 16) + in[i] % 16, 1);
    cluster.sync();
    for (int i = threadIdx.x; i < 16; i += blockDim.x) atomicAdd(&out[cluster.block_rank() * 16 + i], bins[i]);
}
"""


def test_a_histogram_in_distributed_shared_memory():
    pytest.importorskip("cuda.bindings", reason="needs NVRTC: pip install -e '.[emulator]'")
    module = emulator.RawModule(code=CPP, arch="compute_90")
    x, out = np.random.default_rng(0).integers(0, 64, 3000).astype("i4"), np.zeros(64, "i4")
    module.get_function("histogram")((8,), (64,), (x, out, np.int32(3000)), shared_mem=64)
    assert (out == np.bincount(x, minlength=64)).all()


REMOTE_ARRIVALS = """__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) k(int* y) {
  __shared__ __align__(8) unsigned long long bar;
  __shared__ int mine[64];
  int t = threadIdx.x;
  unsigned rank, remote;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], 64;" :: "r"(at(&bar)) : "memory");
  asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(at(&bar)), "r"(rank ^ 1));
  mine[t] = t;
  asm volatile("mbarrier.arrive.release.cluster.shared.b64 _, [%0];" :: "r"(remote) : "memory");
  int done = 0;
  while (!done)
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done) : "r"(at(&bar)) : "memory");
  ORDER
  y[blockIdx.x * 64 + t] = mine[63 - t];
  asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
}"""


DRAINED = """__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
extern "C" __global__ void __cluster_dims__(2, 1, 1) k(int* y, int waiter) {
  __shared__ __align__(8) unsigned long long bar;
  __shared__ int mine[64];
  int t = threadIdx.x, v;
  unsigned rank, theirs, remote;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (t == 0) asm volatile("mbarrier.init.shared.b64 [%0], 64;" :: "r"(at(&bar)) : "memory");
  mine[t] = t;
  asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(theirs) : "r"(at(mine + 63 - t)), "r"(rank ^ 1));
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(at(&bar)), "r"(rank ^ 1));
  asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(v) : "r"(theirs) : "memory");
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" :: "r"(remote) : "memory");
  y[blockIdx.x * 64 + t] = v;
  if (t / 32 == waiter) {
    int done = 0;
    while (!done)
      asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                   : "=r"(done) : "r"(at(&bar)) : "memory");
    asm volatile("exit;");
  } else for (int i = 0; i < 20; i++) y[128 + blockIdx.x * 64 + t] += i;
}"""


def test_one_warp_that_waits_for_the_readers_of_its_block_is_enough_whichever_warp_ends_last():
    kernel = emulator.RawModule(code=DRAINED, arch="compute_90").get_function("k")
    for waiter in (0, 1, 2):  # of which there is no warp 2
        y = np.zeros(256, np.int32)
        with emulator.sanitize() as found:
            kernel((2,), (64,), (y, np.int32(waiter)))
        told = ["access to the shared memory of block" in f.message and "may have ended" in f.message for f in found]
        assert told == [True] * (2 if waiter == 2 else 0), waiter
        assert (y[:128] == np.tile(63 - np.arange(64), 2)).all()


def test_arrivals_of_all_threads_of_another_block_order_nothing_within_the_own_one():
    for order, tools in (("", ["racecheck"]), ("__syncthreads();", [])):
        kernel = emulator.RawModule(code=REMOTE_ARRIVALS.replace("ORDER", order), arch="compute_90").get_function("k")
        y = np.zeros(128, np.int32)
        with emulator.sanitize() as found:
            kernel((2,), (64,), (y,))
        assert [f.tool for f in found] == tools and (y == np.tile(63 - np.arange(64), 2)).all()
