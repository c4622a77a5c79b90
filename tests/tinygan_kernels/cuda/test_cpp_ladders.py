"""What the CUDA C++ ladders claim: each step improves the counter that its comment names, the best versions waste nothing,
bugs planted in the sources are found, and the compiled code meets its targets."""

import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import KERNELS, emulator
from tinygan_kernels.cuda import array_kernels, cpp_backend
from tinygan_kernels.emulator.host import nvrtc, ptx_cache
from tinygan_kernels.profiling import machine_code
from tinygan_kernels.verification import bounds, cases

SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_{}.sum"
REQUESTS = "l1tex__t_requests_pipe_lsu_mem_global_op_{}.sum"
CONFLICTS = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"
SHARED_LOADS = "smsp__inst_executed_op_shared_ld.sum"
FFMA = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
INSTRUCTIONS = "smsp__inst_executed.sum"


def aligned(*shape):
    """Random float32 whose memory begins at a multiple of 128 bytes, as a GPU's allocations do."""
    size = int(np.prod(shape))
    raw = np.empty(4 * size + 128, np.uint8)
    start = -raw.ctypes.data % 128
    array = raw[start : start + 4 * size].view(np.float32).reshape(shape)
    array[...] = np.random.default_rng(size).standard_normal(shape)
    return array


IMAGES, FILTERS, OUTPUTS = (4, 16, 16, 32), (4, 4, 32, 64), (4, 8, 8, 64)  # stride 2, pad 1
LAYER = {"stride": 2, "pad": 1}
CALLS = {
    "matmul": lambda: ((aligned(128, 128), aligned(128, 128)), {}),
    "conv2d": lambda: ((aligned(*IMAGES), aligned(*FILTERS)), LAYER),
    "conv2d_dx": lambda: ((aligned(*OUTPUTS), aligned(*FILTERS)), LAYER | {"height": 16, "width": 16}),
    "conv2d_dw": lambda: ((aligned(*IMAGES), aligned(*OUTPUTS)), LAYER | {"kh": 4, "kw": 4}),
    "bce_logits": lambda: ((aligned(4096), aligned(4096)), {}),
    "bias_act": lambda: ((aligned(128, 64), aligned(64)), {"act": "tanh"}),
    "bias_act_grad": lambda: ((aligned(128, 64), aligned(128, 64)), {"act": "tanh"}),
    "adam": lambda: ((aligned(256), aligned(1).reshape(())), {"sign": -1, "beta1": 0.5, "beta2": 0.99, "eps": 1e-8}),
}


def outputs_of(kernel, inputs, params):
    arrays = [aligned(*shape) for shape in KERNELS[kernel].shapes(*[a.shape for a in inputs], **params)]
    for array in arrays:
        np.abs(array, out=array)  # they are also the states of adam, which takes the root of one
    return arrays


@pytest.fixture(autouse=True)
def aligned_workspace(monkeypatch):
    monkeypatch.setattr(array_kernels.Workspace, "take", lambda self, use, shape, dtype: aligned(*shape))


@pytest.fixture(autouse=True)
def nothing_kept_on_disk(monkeypatch):
    """Have NVRTC compile whenever it is asked to, as `counted_at_best` wants."""
    monkeypatch.setattr(ptx_cache, "key", lambda *_: None)


def counted(kernel, number):
    """The counters of one launch of a version on aligned arrays."""
    inputs, params = CALLS[kernel]()
    implementation = cpp_backend.backend(emulate=True, versions={kernel: number}).implementations[kernel]
    with emulator.checks(False), emulator.count() as counts:
        implementation(*inputs, *outputs_of(kernel, inputs, params), **params)
    return counts


def counted_at_best(kernel, number, compilations=5):
    """The counters of one launch of a version; where it has bank conflicts, of the compilation with the fewest of several.

    NVRTC compiles conv2d.cu in several ways, from one compilation to the next, in one process too; 12.9 and 13.5 do. In about one
    of 60 compilations with 12.9, `multiply` reads a number of a float4 that it has loaded once more, by itself, and half of the
    warp waits for the other. That is no fault of the source. A source that has conflicts has them in every compilation.
    """
    counts = counted(kernel, number)
    for _ in range(compilations - 1):
        if counts[CONFLICTS]:
            nvrtc.compile_ptx.cache_clear()
            counts = min(counts, counted(kernel, number), key=lambda c: c[CONFLICTS])
    return counts


def sectors_a_load(c):
    return c[SECTORS.format("ld")] / c[REQUESTS.format("ld")]


def loads(c):
    return c[REQUESTS.format("ld")]


def shared_loads_an_ffma(c):
    return c[SHARED_LOADS] / (c[FFMA] / 32)


# kernel, version, counter, its value in the version before / in this one is at least
STEPS = (
    ("matmul", 2, sectors_a_load, 6),
    ("matmul", 3, loads, 30),
    ("matmul", 4, shared_loads_an_ffma, 10),
    ("matmul", 5, shared_loads_an_ffma, 1.7),
    ("matmul", 6, lambda c: c[INSTRUCTIONS], 2.5),
    ("conv2d", 2, loads, 50),
    ("conv2d_dx", 2, loads, 30),
    ("conv2d_dx", 2, sectors_a_load, 4),
    ("conv2d_dw", 2, loads, 40),
    ("bce_logits", 2, lambda c: c["global_bytes"], 1.6),
    ("bce_logits", 2, lambda c: c["launches"], 2),
)


@pytest.mark.parametrize(("kernel", "number", "counter", "factor"), STEPS, ids=[f"{k}-{n}" for k, n, *_ in STEPS])
def test_a_step_improves_the_counter_that_it_is_for(kernel, number, counter, factor):
    assert counter(counted(kernel, number - 1)) >= factor * counter(counted(kernel, number))


def test_only_the_register_tile_has_bank_conflicts_and_the_warp_tile_ends_them():
    conflicts = {number: counted("matmul", number)[CONFLICTS] for number in (3, 4, 5, 6)}
    assert conflicts.pop(4) > 0
    assert set(conflicts.values()) == {0}


@pytest.mark.parametrize("kernel", CALLS)
def test_the_best_version_is_coalesced_and_free_of_bank_conflicts(kernel):
    """A request of 32 floats takes 4 sectors, or fewer where lanes share; conv2d_dx reads filters a pixel's channels at a time."""
    counts = counted_at_best(kernel, cpp_backend.choose()[kernel]["float32"].rung.number)
    for way in ("ld", "st"):
        assert counts[SECTORS.format(way)] <= 4 * counts[REQUESTS.format(way)], way
    assert counts[CONFLICTS] == 0


@pytest.mark.parametrize("everywhere", [True, False])
def test_conflicts_of_a_source_are_seen_and_those_of_one_compilation_are_not_held_against_it(everywhere, monkeypatch):
    """The rows of a tile begin in the same bank, in every compilation or in the first alone."""
    original, compilations = cpp_backend.source_text, []

    def text(source):
        compilations.append(source)
        planted = everywhere or len(compilations) == 1
        return original(source).replace("PITCH = TILE + 4", "PITCH = TILE" if planted else "PITCH = TILE + 4")

    monkeypatch.setattr(cpp_backend, "source_text", text)
    counts = counted_at_best("conv2d_dx", 2, compilations=2 if everywhere else 5)
    assert (counts[CONFLICTS] > 0) == everywhere and len(compilations) >= 2


def test_counting_sees_an_uncoalesced_kernel():
    """The naive product is uncoalesced, so the counters of the test above must tell it from the best version."""
    counts = counted("matmul", 1)
    assert counts[SECTORS.format("st")] == 32 * counts[REQUESTS.format("st")]


# ---- planted bugs ---------------------------------------------------------------------------------------------------------------

PLANTED = {
    "rows of C unchecked": ("matmul", 5, "if (row < M && col + lane < N)", "if (col + lane < N)"),
    "k unchecked": ("matmul", 5, "from, k + 2 * n < left)", "from, true)"),
    "a barrier too few": ("matmul", 3, "sum += as[ty][k] * bs[k][tx];\n        __syncthreads();", None),
    "a transpose forgotten": ("matmul", 2, "b_k = trans_b ? 1 : N", "b_k = N"),
    "a fragment exchanged": ("matmul", 6, '"r"(a[0]), "r"(a[1])', '"r"(a[1]), "r"(a[0])'),
    "padding forgotten": ("conv2d", 2, "nij.mid * s.stride - s.pad", "nij.mid * s.stride"),
    "an odometer that carries late": ("conv2d", 2, "if (d.lo >= lo_end)", "if (d.lo > lo_end)"),
    "a phase that begins elsewhere": ("conv2d_dx", 2, "nyx.mid + (first_y + s.pad) / s.stride", "nyx.mid + first_y / s.stride"),
    "half of a warp lost": ("bce_logits", 2, "int apart = 16", "int apart = 8"),
    "a row of the block lost": ("bias_act_grad", 1, "other < 8", "other < 7"),
    "a step not counted": ("adam", 1, "(double)*t + 1", "(double)*t"),
}


def caught(kernel, number):
    """Return whether any hard case finds the kernel wrong, by its numbers or by the sanitizer."""
    row = cpp_backend.find(kernel, number)
    implementation = cpp_backend.backend(emulate=True, versions={kernel: number}).implementations[kernel]
    for case in sorted(cases.cases(kernel, np.float32, (128,) if number > 4 else (32,)), key=lambda case: case.size):
        try:
            if bounds.verify(implementation, kernel, case.inputs, case.states, rule=row.rule, **case.params) > 1:
                return True
        except emulator.SanitizerError:
            return True
    return False


def alone(text, number):
    """A source without what its macros make of other versions: kernels that nobody launches here take NVRTC seconds to compile."""
    return re.sub(rf"^[A-Z]+\(\w+_v(?!{number})\d\w*,.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug, monkeypatch):
    kernel, number, right, wrong = PLANTED[bug]
    original = cpp_backend.source_text

    def planted(file):
        text = original(file)
        changed = text.replace(right, right.replace("__syncthreads();", "") if wrong is None else wrong)
        assert (changed != text) == (file == KERNEL_FILES.get(kernel, kernel))
        return alone(changed, number)

    monkeypatch.setattr(cpp_backend, "source_text", planted)
    assert caught(kernel, number)


def test_a_version_without_planted_bugs_is_not_caught(monkeypatch):
    """Else a source that is cut too short would count as a bug that was found."""
    original = cpp_backend.source_text
    monkeypatch.setattr(cpp_backend, "source_text", lambda file: alone(original(file), 3))
    assert "matmul_v3_f32" in cpp_backend.source_text("matmul") and "matmul_v5" not in cpp_backend.source_text("matmul")
    assert not caught("matmul", 3)


KERNEL_FILES = {"conv2d_dx": "conv2d", "conv2d_dw": "conv2d", "bias_act_grad": "bias_act"}


# ---- the compiled code ----------------------------------------------------------------------------------------------------------

PIPE = {"sm_80": 0.5, "sm_90": 1.0}  # FFMA that a scheduler's pipe accepts in a cycle: 16 lanes on sm_80, 32 on sm_90


def compiled(kernel, number, arch):
    inputs, params = CALLS[kernel]()
    launches = cpp_backend.find(kernel, number).record((*inputs, *outputs_of(kernel, inputs, params)), params)
    return [machine_code.inspect(launch, arch) for launch in launches]


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("row", cpp_backend.LADDERS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_nothing_spills(row, arch, monkeypatch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "the compiler's log is enough here")
    for kernel in compiled(row.kernel, row.number, arch):
        assert kernel.spill_stores == kernel.spill_loads == 0, kernel.kernel


@pytest.mark.skipif(bool(machine_code.why_no_code()), reason=machine_code.why_no_code() or "nothing is missing")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_the_inner_loop_of_the_best_matmul_keeps_the_ffma_pipe_busy(arch):
    (kernel,) = compiled("matmul", 5, arch)
    assert kernel.code.inner_loop().multiply_adds_per_cycle >= 0.8 * PIPE[arch]
    assert kernel.code.bank_conflicts == 1
    assert kernel.code.uncoalesced == 0
