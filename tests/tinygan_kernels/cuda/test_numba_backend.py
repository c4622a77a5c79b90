"""The Numba CUDA kernels, executed by the emulator with its sanitizer on, and on a GPU where there is one."""

import subprocess
import sys
import types

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from numba import cuda
from tinygan_kernels import BackendError, ContractError, Version, load, reference, why_unavailable
from tinygan_kernels.cuda import device, numba_backend
from tinygan_kernels.cuda.device import CudaLaunch
from tinygan_kernels.cuda.numba_kernels.matmul import shared_tile_kernel
from tinygan_kernels.emulator import checks, count, counters, launch
from tinygan_kernels.verification import verify
from tinygan_kernels.verification.cases import Case, cases, edges

LADDERS, ALL = numba_backend.LADDERS, numba_backend.VERSIONS


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def _cases(version: Version, dtype: str):
    """All hard cases in float32; in float64, in which Numba compiles the very same lines, every third one."""
    found = list(cases(version.kernel, dtype, (64,) if getattr(version, "tile", ()) == (64, 64) else (16,)))
    return found if dtype == "float32" else found[1::3]


def _verified(version: Version, dtype: str) -> verify.VersionVerdict:
    chosen = {version.kernel: version.number} if version in LADDERS else {}
    backend = load("numba-cuda", emulate=True, versions=chosen)
    return verify.verify_version(backend, version, dtype, _cases(version, dtype), emulate=True)


# ---- every version, on hard shapes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("version", LADDERS, ids=lambda v: f"{v.kernel}-{v.number}")
def test_a_version_is_right_on_hard_shapes_and_clean(version, dtype):
    row = _verified(version, dtype)
    assert row.ok, row
    assert row.cases >= (6 if dtype == "float32" else 2)
    assert row.worst > 0, "a bound that is never approached says that nothing was compared"


@pytest.mark.parametrize("version", [v for v in ALL if v not in LADDERS], ids=lambda v: v.kernel)
def test_the_kernels_without_a_ladder_are_right_too(version):
    row = _verified(version, "float32")
    assert row.ok, row


def test_the_cases_meet_every_edge_of_a_tile_in_every_place():
    met = [set(), set(), set()]
    for case in cases("matmul", tiles=(64,)):
        a, b = (x.T if case.params[f"trans_{n}"] else x for x, n in zip(case.inputs, "ab", strict=True))
        for seen, size in zip(met, (a.shape[0], b.shape[1], a.shape[1]), strict=True):
            seen.add(size)
    assert met[0] >= set(edges(64)) and met[1] >= set(edges(64)) and met[2] >= set(edges(16))


def test_more_logits_than_all_blocks_hold_at_once(rng):
    """From 1024 blocks on, threads walk on to further elements, and the partial sums are added up in strides."""
    n = 1024 * 256 + 77
    s, t = rng.standard_normal(n).astype("f4"), rng.uniform(0, 1, n).astype("f4")
    backend = load("numba-cuda", emulate=True)
    with checks(False):
        share = verify.measure(backend.implementations["bce_logits"], Case("bce_logits", "many", (s, t)))
    assert share <= 1


def test_the_loss_does_not_change_from_run_to_run(rng):
    s, t = rng.standard_normal(3001).astype("f4"), rng.uniform(0, 1, 3001).astype("f4")
    backend = load("numba-cuda", emulate=True)
    assert len({backend.launch("bce_logits", (s, t))[0].tobytes() for _ in range(3)}) == 1


@pytest.mark.parametrize("shape", [(3, 5), (300, 33)])
def test_bias_and_activation_may_overwrite_their_input(rng, shape):
    x, b = rng.standard_normal(shape).astype("f4"), rng.standard_normal(shape[-1]).astype("f4")
    backend, params = load("numba-cuda", emulate=True), {"act": "leaky_relu", "slope": 0.2}
    y = backend.launch("bias_act", (x, b), **params)
    dx, db = backend.launch("bias_act_grad", (x, y), **params)
    over_x, over_g = x.copy(), x.copy()
    backend.launch("bias_act", (over_x, b), out=over_x, **params)
    again = backend.launch("bias_act_grad", (over_g, y), out=(over_g, np.empty_like(db)), **params)
    assert np.array_equal(over_x, y) and np.array_equal(again[0], dx) and np.array_equal(again[1], db)


def test_several_steps_of_adam_follow_the_reference(rng):
    """t lives on the device and is read anew at each launch: the third step must correct for three steps."""
    g, rate = rng.standard_normal(70), np.array(0.01)
    wide = [rng.standard_normal(70), np.zeros(70), np.zeros(70), np.zeros(())]
    state = [a.astype("f4") for a in wide]
    params = {"sign": -1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}
    backend = load("numba-cuda", emulate=True)
    for _ in range(3):
        wide = [np.asarray(a) for a in reference.adam(g, rate, *wide, **params)]
        backend.launch("adam", (g.astype("f4"), rate.astype("f4")), out=state, **params)
    assert state[3] == 3
    assert np.allclose(state[0], wide[0], rtol=0, atol=2e-6) and np.allclose(state[2], wide[2], rtol=1e-5)


# ---- each step of a ladder improves what its docstring says -------------------------------------------------------------------


def _counts(kernel: str, number: int, inputs, outputs, **params) -> dict[str, float]:
    """The counters of one launch, its arrays zero and placed at multiples of 256 bytes, as GPU allocators place them."""
    backend = load("numba-cuda", emulate=True, versions={kernel: number})
    with count() as counted, checks(False):
        backend.launch(kernel, [_placed(s) for s in inputs], out=tuple(_placed(s) for s in outputs), **params)
    counts = dict.fromkeys(counters.KNOWN, 0.0) | counted.metrics()
    loads = counts["l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"]
    sectors = counts["l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"]
    stored = counts["l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"]
    stores = counts["l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"]
    shares = {"sectors a load": sectors / loads, "sectors a store": stored / stores}
    return counts | shares | {"loads": loads, "sectors": sectors + stored}


def _placed(shape: tuple[int, ...]) -> np.ndarray:
    size = 4 * int(np.prod(shape))
    raw = np.zeros(size + 256, np.uint8)
    start = -raw.ctypes.data % 256
    return raw[start : start + size].view(np.float32).reshape(shape)


FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
INSTRUCTIONS = "smsp__inst_executed.sum"
SHARED_LOADS = "smsp__inst_executed_op_shared_ld.sum"
CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
SQUARE = ([(128, 64), (64, 128)], [(128, 128)])


def test_the_matmul_ladder_improves_the_counters_that_it_names():
    naive, coalesced, shared, register = (_counts("matmul", number, *SQUARE) for number in (1, 2, 3, 4))
    assert naive["sectors a store"] == 32 and coalesced["sectors a store"] == 4
    assert naive["sectors a load"] == (32 + 1) / 2 and coalesced["sectors a load"] == (4 + 1) / 2
    # 1/16 of the elements fetched; each request is used in full now, where a broadcast used 4 of its 32 bytes
    assert shared["loads"] == coalesced["loads"] / 16
    assert shared["sectors a load"] == 4 and shared["sectors"] < coalesced["sectors"] / 8
    assert [32 * c[SHARED_LOADS] / c[FFMA] for c in (shared, register)] == [2, 16 / 64]
    assert register["sectors"] < shared["sectors"] / 2 and register["sectors a load"] == 4
    shares = [c[FFMA] / 32 / c[INSTRUCTIONS] for c in (coalesced, shared, register)]
    assert shares[0] < shares[1] / 2 < shares[2] / 4 and shares[2] > 0.5
    assert shared[CONFLICTS] == register[CONFLICTS] == 0


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_the_best_matmul_is_coalesced_and_free_of_conflicts_whichever_way_round(trans_a, trans_b):
    inputs = [(64, 128) if trans_a else (128, 64), (128, 64) if trans_b else (64, 128)]
    counts = _counts("matmul", 4, inputs, [(128, 128)], trans_a=trans_a, trans_b=trans_b)
    assert counts["sectors a load"] == counts["sectors a store"] == 4 and counts[CONFLICTS] == 0


@pytest.mark.parametrize("kernel, inputs, outputs, params", [
    ("conv2d", [(2, 8, 8, 16), (3, 3, 16, 32)], [(2, 8, 8, 32)], {}),
    ("conv2d_dx", [(2, 8, 8, 32), (3, 3, 16, 32)], [(2, 8, 8, 16)], {"height": 8, "width": 8}),
    ("conv2d_dw", [(2, 8, 8, 16), (2, 8, 8, 32)], [(3, 3, 16, 32)], {"kh": 3, "kw": 3}),
])  # fmt: skip
def test_the_implicit_gemm_fetches_less_and_in_whole_pieces(kernel, inputs, outputs, params):
    direct, gemm = (_counts(kernel, number, inputs, outputs, stride=1, pad=1, **params) for number in (1, 2))
    assert gemm["sectors"] < direct["sectors"] / 8
    assert gemm["sectors a load"] <= 4 and gemm["sectors a store"] == 4 and gemm[CONFLICTS] == 0


def test_the_one_pass_loss_reads_half_and_launches_once():
    two, one = (_counts("bce_logits", number, [(256,), (256,)], [(), (256,)]) for number in (1, 2))
    assert (two["launches"], one["launches"]) == (3, 1)
    reads = [c["l1tex__t_bytes_pipe_lsu_mem_global_op_ld.sum"] for c in (two, one)]
    assert reads[1] == 2 * 256 * 4 and reads[0] >= 2 * reads[1]
    assert one[INSTRUCTIONS] < 0.75 * two[INSTRUCTIONS] and one[SHARED_LOADS] < two[SHARED_LOADS] / 4


# ---- Numba's own traps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", LADDERS, ids=lambda v: f"{v.kernel}-{v.number}")
def test_float32_kernels_compute_in_float32_and_in_registers(version):
    """In Numba a bare 1 beside a float32 makes float64 of both: right, but 2 to 64 times slower on a GPU."""
    case = next(c for c in cases(version.kernel) if all(a.size for a in c.inputs))
    values = getattr(reference, version.kernel)(*case.inputs, *case.states, **case.params)
    outputs = case.states or tuple(np.asarray(v, "f4") for v in (values if isinstance(values, tuple) else (values,)))
    started = version.record((*case.inputs, *outputs), case.params)
    assert started
    for one in started:
        ptx, entry = one.ptx("sm_80")
        assert one.kernel in entry
        if one.kernel != "adam_corrections_kernel":  # one thread that has to compute 1 - beta^t, which cancels
            assert ".f64" not in ptx, one.kernel
            assert ".local" not in ptx, f"{one.kernel} keeps an array in memory"


def test_importing_the_backend_imports_neither_numba_cuda_nor_cupy():
    """What packages load by themselves when Python starts, as CUDA 12's bindings do, does not count."""
    code = """import sys
before = set(sys.modules)
import tinygan_kernels.cuda.numba_backend
print([m for m in ('numba.cuda', 'cupy', 'cuda', 'cuda.bindings') if m in sys.modules and m not in before])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- what is refused ----------------------------------------------------------------------------------------------------------


@cuda.jit
def double_kernel(x, factor, y):
    y[0] = x[0] * factor


@pytest.mark.parametrize("args, sentence", [
    ((np.zeros(1, "f4"), np.float32(1)), "takes 3 arguments"),
    ((np.zeros(1, "f4"), 2.0, np.zeros(1, "f4")), "factor is a float"),
    ((np.zeros(1, "f4"), np.float32(1), [0.0]), "y is a list"),
    ((np.zeros(1, "f4"), np.float32(1), np.zeros(1)), "y is float64"),
    ((np.zeros(1, "i4"), np.float32(1), np.zeros(1, "i4")), "x is int32"),
])  # fmt: skip
def test_a_launch_says_which_argument_is_wrong(args, sentence):
    with pytest.raises(ContractError, match=sentence):
        numba_backend.Emulated().run([CudaLaunch(double_kernel, 1, (1,), args)])


@pytest.mark.parametrize("inputs, out, sentence", [
    ([(3, 4), (5, 6)], None, "inner lengths"),
    ([(3, 4), (4, 6)], (3, 5), r"out c has shape \(3, 5\)"),
    ([(3, 4)], None, "takes 2 arrays"),
])  # fmt: skip
def test_the_door_refuses_arrays_that_do_not_fit(inputs, out, sentence):
    backend = load("numba-cuda", emulate=True)
    with pytest.raises(ContractError, match=sentence):
        backend.launch("matmul", [np.zeros(s, "f4") for s in inputs], out=None if out is None else np.zeros(out, "f4"))


def test_the_door_refuses_views_and_mixed_types():
    backend, a = load("numba-cuda", emulate=True), np.zeros((4, 4), "f4")
    with pytest.raises(ContractError, match="b has strides"):
        backend.launch("matmul", (a, a.T))
    with pytest.raises(ContractError, match="b is float64"):
        backend.launch("matmul", (a, np.zeros((4, 4))))


def test_versions_and_backends_that_do_not_exist_are_refused():
    with pytest.raises(ContractError, match="matmul has versions 1, 2, 3, 4; 9 is not one"):
        load("numba-cuda", emulate=True, versions={"matmul": 9})
    with pytest.raises(ContractError, match="no kernel 'matmull'"):
        load("numba-cuda", emulate=True, versions={"matmull": 1})
    with pytest.raises(BackendError, match="nothing to emulate"):
        load("cpu", emulate=True)


def test_without_numba_cuda_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    reason = why_unavailable("numba-cuda", emulate=True)
    assert reason == "Numba CUDA, which brings NVIDIA's compiler, is not installed; run: pip install -e '.[emulator]'"
    with pytest.raises(BackendError, match="pip install"):
        load("numba-cuda", emulate=True)


# ---- the checks can fail ------------------------------------------------------------------------------------------------------


@cuda.jit
def no_guard_kernel(a, b, c):
    cell = cuda.grid(1)
    row, column = cell // c.shape[1], cell % c.shape[1]
    total = c.dtype.type(0)
    for k in range(a.shape[1]):
        total += a[row, k] * b[k, column]
    c[row, column] = total


@cuda.jit
def last_k_missing_kernel(a, b, c):
    cell = cuda.grid(1)
    if cell < c.size:
        total = c.dtype.type(0)
        for k in range(a.shape[1] - 1):
            total += a[cell // c.shape[1], k] * b[k, cell % c.shape[1]]
        c[cell // c.shape[1], cell % c.shape[1]] = total


@cuda.jit
def last_column_missing_kernel(a, b, c):
    cell = cuda.grid(1)
    if cell < c.size and cell % c.shape[1] < c.shape[1] - 1:
        total = c.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[cell // c.shape[1], k] * b[k, cell % c.shape[1]]
        c[cell // c.shape[1], cell % c.shape[1]] = total


@cuda.jit
def one_barrier_kernel(a, b, c):
    """Version 3 without its second barrier: a fast warp overwrites the tile that a slow one still reads."""
    a_tile, b_tile = cuda.shared.array((16, 16), c.dtype), cuda.shared.array((16, 16), c.dtype)
    zero, (rows, columns), depth = c.dtype.type(0), c.shape, a.shape[1]
    i, j = cuda.threadIdx.x // 16, cuda.threadIdx.x % 16
    across = (columns + 15) // 16
    row, column, total = cuda.blockIdx.x // across * 16 + i, cuda.blockIdx.x % across * 16 + j, zero
    for start in range(0, depth, 16):
        a_tile[i, j] = a[row, start + j] if row < rows and start + j < depth else zero
        b_tile[i, j] = b[start + i, column] if start + i < depth and column < columns else zero
        cuda.syncthreads()
        for k in range(16):
            total += a_tile[i, k] * b_tile[k, j]
    if row < rows and column < columns:
        c[row, column] = total


@pytest.mark.parametrize("kernel, symptom", [
    (no_guard_kernel, "memcheck"),
    (last_k_missing_kernel, "worst"),
    (last_column_missing_kernel, "worst"),
    (one_barrier_kernel, "racecheck"),
])  # fmt: skip
def test_verification_catches_planted_bugs(kernel, symptom):
    backend = load("numba-cuda", emulate=True)
    emulated = numba_backend.Emulated()

    def planted(a, b, c, trans_a=False, trans_b=False):
        blocks = -(-c.shape[0] // 16) * -(-c.shape[1] // 16)
        emulated.run([CudaLaunch(kernel, blocks, (256,), (a.T if trans_a else a, b.T if trans_b else b, c))])

    backend.implementations["matmul"] = planted
    row = verify.verify_version(backend, LADDERS[2], "float32", cases("matmul", tiles=(16,)), emulate=True)
    assert not row.ok
    if symptom == "worst":
        assert row.worst > 1, row
    else:
        assert any(symptom in text for text in (*row.findings, row.error)), row


# ---- on a GPU -----------------------------------------------------------------------------------------------------------------


def test_the_path_to_a_gpu_keeps_to_the_current_stream_and_does_not_wait(monkeypatch, rng):
    """Without a GPU: stand-ins for CuPy and for Numba's driver calls, which note what they are asked, over the emulator."""
    cupy = types.ModuleType("cupy")
    cupy.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    current = {"get_current_stream": lambda: types.SimpleNamespace(ptr=stream)}
    cupy.asnumpy = np.asarray
    cupy.cuda = types.SimpleNamespace(Device=lambda: types.SimpleNamespace(compute_capability="120"), **current)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    asked = []

    class Kernel:
        def __init__(self, kernel):
            self.kernel, self.py_func = kernel, kernel.py_func

        def __getitem__(self, configuration):
            asked.append(configuration)
            return lambda *args: launch(self.kernel, *configuration[:2], *args)

    def view(array, sync):
        assert sync is False
        return array

    stream, gpu = 7, numba_backend.OnGpu()
    assert gpu.capability == 120
    streams = {"external_stream": lambda ptr: f"stream {ptr}", "default_stream": lambda: "null"}
    gpu._cuda = types.SimpleNamespace(as_cuda_array=view, **streams)
    a, b, c = rng.standard_normal((16, 16)).astype("f4"), np.eye(16, dtype="f4"), np.full((16, 16), np.nan, "f4")
    kernel = Kernel(shared_tile_kernel)
    gpu.run([CudaLaunch(kernel, 1, (256,), (a, b, c))])
    stream = 0
    gpu.run([CudaLaunch(kernel, 1, (256,), (a, b, c))])
    gpu.run([CudaLaunch(kernel, 1, (256,), (a, b, c))])
    assert asked == [(1, (256,), "stream 7"), (1, (256,), "null")], "a configuration is made once"
    assert np.array_equal(a, c)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("version", ALL, ids=lambda v: f"{v.kernel}-{v.number}")
def test_a_version_is_right_on_a_gpu(version, dtype):
    reason = why_unavailable("numba-cuda")
    if reason:
        pytest.skip(reason)
    backend = load("numba-cuda", versions={version.kernel: version.number} if version in LADDERS else {})
    row = verify.verify_version(backend, version, dtype, cases(version.kernel, dtype), emulate=False)
    assert row.ok, row
