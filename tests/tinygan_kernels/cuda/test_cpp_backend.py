"""The CUDA C++ kernels, executed by the emulator with its sanitizer on: every version on hard shapes, inside its derived bound.

A launch in which the sanitizer finds anything (out of bounds, races, uninitialised reads, bad barriers) raises.
"""

import ast
import inspect
import itertools
import re
import sys
import types
from importlib.util import find_spec

import numpy as np
import pytest
from tinygan_kernels import KERNELS, ContractError, Launch, emulator, reference
from tinygan_kernels.cuda import array_kernels, cpp_backend
from tinygan_kernels.cuda.cpp import hosts
from tinygan_kernels.cuda.cpp.entries import Instance
from tinygan_kernels.cuda.device import NUMPY, CudaLaunch, gpu_capability
from tinygan_kernels.cuda.ladder import needs
from tinygan_kernels.verification import bounds, cases

F64_STRIDE = 4  # the emulator computes fma.f64 exactly, which takes time: every fourth case, after all of them in float32
ROWS = [(row, dtype) for row in cpp_backend.LADDERS for dtype in row.dtypes]
GPU_MISSING = cpp_backend.why_unavailable()
compiles = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="needs Numba CUDA: pip install -e '.[emulator]'")


def version_cases(row, dtype):
    found = list(cases.cases(row.kernel, np.dtype(dtype), tuple(sorted(set(row.tile))) if row.kernel == "matmul" else (16, 64)))
    return found if dtype == "float32" else found[::F64_STRIDE]


def judge(backend, row, inputs, states=(), **params):
    return bounds.verify(backend.implementations[row.kernel], row.kernel, inputs, states, rule=row.rule, **params)


def emulated(kernel, number):
    return cpp_backend.backend(emulate=True, versions={kernel: number})


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# ---- right on every shape -----------------------------------------------------------------------------------------------------


@compiles
@pytest.mark.parametrize(("row", "dtype"), ROWS, ids=lambda v: v if isinstance(v, str) else f"{v.kernel}-{v.number}")
def test_every_version_is_inside_its_bound(row, dtype):
    backend = emulated(row.kernel, row.number)
    for case in version_cases(row, dtype):
        assert judge(backend, row, case.inputs, case.states, **case.params) <= 1, case.label


# images, height, width, c_in, c_out, filter height and width, stride, pad: tiles of 64 pixels or taps by 64 channels, met in each
# of the three products exactly full, one short, one over, and followed by another; phases of unequal size; sums in parts
WIDE = (
    (1, 9, 15, 5, 67, 3, 3, 1, 1),
    (2, 8, 4, 67, 63, 1, 1, 1, 0),
    (1, 13, 11, 64, 65, 3, 2, 2, 1),
    (2, 16, 16, 2, 3, 5, 4, 3, 2),
    (1, 113, 115, 1, 1, 1, 1, 1, 0),  # conv2d_dw in 101 parts, of which the last find no pixels left
)


@compiles
@pytest.mark.parametrize("kernel", ["conv2d", "conv2d_dx", "conv2d_dw"])
@pytest.mark.parametrize("sizes", WIDE, ids=str)
def test_implicit_gemm_at_the_edges_of_its_tiles(kernel, sizes, rng):
    maker = cases._convolution_maker(kernel, *sizes)
    inputs, _, params = maker(cases.Draw(rng, np.dtype(np.float32)))
    assert judge(emulated(kernel, 2), cpp_backend.find(kernel, 2), inputs, **params) <= 1


@compiles
@pytest.mark.parametrize("number", [1, 2])
def test_loss_over_many_blocks(number, rng):
    s, t = (3 * rng.standard_normal(5003)).astype(np.float32), rng.uniform(0, 1, 5003).astype(np.float32)
    assert judge(emulated("bce_logits", number), cpp_backend.find("bce_logits", number), (s, t)) <= 1


@compiles
@pytest.mark.parametrize("number", [1, 2])
def test_a_nan_logit_reaches_the_loss(number):
    s, t = np.array([0.5, np.nan, -1], np.float32), np.full(3, 0.5, np.float32)
    loss, ds = emulated("bce_logits", number).launch("bce_logits", (s, t))
    assert np.isnan(loss)
    assert np.isnan(ds).tolist() == [False, True, False]


@compiles
def test_tf32_rounds_and_so_is_off_unless_asked_for(rng):
    a, b = rng.standard_normal((2, 16, 16)).astype(np.float32)
    row = cpp_backend.find("matmul", 6)
    assert judge(emulated("matmul", 6), row, (a, b)) <= 1
    assert bounds.verify(emulated("matmul", 6).implementations["matmul"], "matmul", (a, b)) > 1
    assert {dtype: choice.rung.number for dtype, choice in cpp_backend.choose()["matmul"].items()} == {"float32": 5, "float64": 3}


@pytest.mark.parametrize("kernel", [name for name in KERNELS if name not in (*cpp_backend.choose(), "fill")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_array_kernels_are_inside_their_bounds(kernel, dtype):
    backend = cpp_backend.backend(emulate=True)
    for case in cases.cases(kernel, np.dtype(dtype)):
        share = bounds.verify(backend.implementations[kernel], kernel, case.inputs, case.states, **case.params)
        assert share <= 1, case.label


ELEMENTWISE = [n for n in array_kernels.implementations(np) if KERNELS[n].strided and n not in ("sum", "max", "fill")]


@pytest.mark.parametrize("kernel", ELEMENTWISE)
def test_an_elementwise_output_may_be_any_of_the_inputs(kernel):
    implementation = array_kernels.implementations(np)[kernel]
    for case in cases.cases(kernel):
        with np.errstate(all="ignore"):
            expected = getattr(reference, kernel)(*case.inputs, **case.params)
            for at in [i for i, x in enumerate(case.inputs) if np.shape(x) == np.shape(expected)]:
                inputs = [np.array(x) for x in case.inputs]
                implementation(*inputs, inputs[at], **case.params)
                np.testing.assert_allclose(inputs[at], expected, rtol=1e-5, err_msg=case.label)


def test_fill_fills_every_shape_and_view():
    for shape in ((), (0,), (33, 5)):
        y = np.full(shape, np.nan, np.float32)
        assert (cpp_backend.backend(emulate=True).launch("fill", (), out=y, value=0.75) == 0.75).all()
    y = np.zeros((4, 6))
    cpp_backend.backend(emulate=True).launch("fill", (), out=y[::2, 1:3], value=2)
    assert y.sum() == 8


# ---- replay: same memory, same bits ---------------------------------------------------------------------------------------------


@pytest.fixture
def buffers(monkeypatch):
    """A function that gives the identities of all workspace taken since the test began."""
    made, original = [], array_kernels.Workspace.__init__

    def init(self, xp):
        original(self, xp)
        made.append(self)

    monkeypatch.setattr(array_kernels.Workspace, "__init__", init)
    return lambda: sorted(id(buffer) for workspace in made for buffer in workspace._buffers.values())


def workspace_users(rng):
    """A call of each kernel that keeps workspace: (kernel, inputs, outputs, params)."""

    def f(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    yield "bce_logits", (f(3000), np.abs(np.tanh(f(3000)))), (f(1)[0:1].reshape(()), f(3000)), {}
    yield "bias_act_grad", (f(300, 5), f(300, 5)), (f(300, 5), f(5)), {"act": "tanh"}
    yield "conv2d_dw", (f(2, 16, 16, 2), f(2, 16, 16, 3)), (f(3, 3, 2, 3),), {"stride": 1, "pad": 1, "kh": 3, "kw": 3}
    yield "batch_norm", (f(40, 3), f(3), f(3)), (f(40, 3), f(3), f(3)), {"eps": 1e-5}


@compiles
def test_a_replay_takes_no_new_workspace_and_gives_the_same_bits(rng, buffers):
    backend = cpp_backend.backend(emulate=True)
    launches = [Launch(KERNELS[k], backend.implementations[k], i, o, p) for k, i, o, p in workspace_users(rng)]
    for launch in launches:
        launch.run()
    taken, first = buffers(), [[out.copy() for out in launch.outputs] for launch in launches]
    for launch in launches:
        for out in launch.outputs:
            out.fill(np.nan)
        backend.bind(launch)()
    assert len(taken) >= len(launches)
    assert buffers() == taken
    for launch, expected in zip(launches, first, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(launch.outputs, expected, strict=True)), launch.kernel.name


@compiles
def test_a_replayed_adam_counts_on_and_reads_its_rate_anew(rng):
    g, theta, m, v = rng.standard_normal((4, 33)).astype(np.float32)
    v = np.abs(v)
    rate, t = np.array(0.1, np.float32), np.array(0, np.float32)
    params = {"sign": 1, "beta1": 0.5, "beta2": 0.99, "eps": 1e-8}
    launch = Launch(
        KERNELS["adam"], cpp_backend.backend(emulate=True).implementations["adam"], (g, rate), (theta, m, v, t), params
    )
    launch.run()
    once = theta.copy()
    rate.fill(0)
    launch.run()
    assert t == 2
    assert np.array_equal(theta, once)


class Listener(cpp_backend.CppDevice):
    """A listener that notes what it is asked to start and starts nothing."""

    def __init__(self):
        super().__init__(NUMPY)

    def start(self, launch):
        self.entry = launch.kernel.name


@pytest.mark.parametrize(("side", "entry"), [(128, "matmul_v4_nn"), (1152, "matmul_v4_nn"), (1153, "matmul_v5_nn")])
def test_small_products_run_in_smaller_tiles_unless_a_version_is_asked_for(side, entry, monkeypatch):
    device = Listener()
    monkeypatch.setattr(cpp_backend, "emulated", lambda: device)
    a = np.empty((side, side), np.float32)
    cpp_backend.backend(emulate=True).launch("matmul", (a, a))
    assert device.entry == entry
    emulated("matmul", 5).launch("matmul", (a, a))
    assert device.entry == "matmul_v5_nn"


def test_matmul_with_rows_too_long_for_32_bit_offsets_runs_version_4():
    device, long = Listener(), 1 << 23
    a, b, c = np.empty((1, long), np.float32), np.empty((long, 1), np.float32), np.empty((1, 1), np.float32)
    rung = cpp_backend.find("matmul", 5)
    for inner, name in ((long, "matmul_v4_nn"), (long - 1, "matmul_v5_nn")):
        (launch,) = rung.host(device, rung, a[:, :inner], b[:inner], c)
        assert launch.kernel.name == name


# ---- what is refused ------------------------------------------------------------------------------------------------------------

A, B, C = np.zeros((4, 3), np.float32), np.zeros((3, 5), np.float32), np.zeros((4, 5), np.float32)
WRONG_CALLS = {
    "arity": ((A, B), {}, "takes 3 arrays"),
    "dtype of one": ((A, B.astype(np.float64), C), {}, "b is float64, but a is float32"),
    "integers": ((A.astype(np.int32), B, C), {}, "a is int32"),
    "a list": (([[1.0]], B, C), {}, "a is a list"),
    "inner length": ((A, B, C), {"trans_a": True}, "inner lengths"),
    "output shape": ((A, B, C.T.copy()), {}, "out c has shape"),
    "output dtype": ((A, B, C.astype(np.float64)), {}, "out c is float64"),
    "strides": ((np.zeros((3, 4), np.float32).T, B, C), {}, "a has strides"),
    "output strides": ((A, B, np.zeros((4, 10), np.float32)[:, ::2]), {}, "out c has strides"),
    "overlap": ((np.zeros((3, 3), np.float32),) * 3, {}, "overlaps"),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_arrays_are_refused_with_the_name_of_the_argument(name):
    arrays, params, sentence = WRONG_CALLS[name]
    with pytest.raises(ContractError, match=re.escape(sentence)):
        cpp_backend.backend(emulate=True).implementations["matmul"](*arrays, **params)


SIZES = (np.int32(4), np.int32(5), np.int32(3))


def matmul_5() -> Instance:
    return cpp_backend.find("matmul", 5).declared[0].instance(operands="nn")


WRONG_LAUNCHES = {
    "too few": ((A, B, C, *SIZES[:2]), "takes 6 arguments"),
    "a Python int": ((A, B, C, 4, *SIZES[1:]), "M is a int"),
    "64-bit": ((A, B, C, np.int64(4), *SIZES[1:]), "M is int64, it has to be int32"),
    "a float": ((A, B, C, np.float32(4), *SIZES[1:]), "M is float32"),
    "a 0-d array": ((A, B, C, np.array(4, np.int32), *SIZES[1:]), "M is int32, it has to be a NumPy scalar"),
    "a scalar for an array": ((A, np.float32(1), C, *SIZES), "b is a numpy.float32"),
    "other dtype": ((A, B.astype(np.float64), C, *SIZES), "b is float64"),
    "strides": ((A, B[:, ::2], C, *SIZES), "b has strides"),
    "float64 throughout": ((*(x.astype(np.float64) for x in (A, B, C)), *SIZES), "a is float64, it has to be float32"),
    "a list": (([1.0], B, C, *SIZES), "a is a list"),
}


@pytest.mark.parametrize("name", WRONG_LAUNCHES)
def test_a_launch_refuses_what_the_c_declaration_does_not_take(name):
    args, sentence = WRONG_LAUNCHES[name]
    with pytest.raises(ContractError, match=re.escape(sentence)):
        cpp_backend.emulated().run([CudaLaunch(matmul_5(), 1, (256,), args)])


@pytest.mark.parametrize("versions", [{"matmul": 7}, {"matmul": 0}, {"matmul": "5"}, {"exp": 1}, {"nonsense": 1}], ids=str)
def test_a_version_that_does_not_exist_is_refused(versions):
    with pytest.raises(ContractError, match=next(iter(versions))):
        cpp_backend.backend(emulate=True, versions=versions)


def test_a_version_asked_for_is_never_replaced_because_of_the_dtype():
    with pytest.raises(ContractError, match="computes in float32, not float64"):
        emulated("matmul", 5).launch("matmul", (A.astype(np.float64), B.astype(np.float64)))


def test_counts_beyond_32_bits_are_refused():
    assert hosts.int32(0x7FFFFFFF, "size") == 0x7FFFFFFF
    with pytest.raises(ContractError, match="size would be 2147483648"):
        hosts.int32(0x80000000, "size")


def test_every_function_of_the_array_module_that_is_used_exists_in_cupy():
    pytest.importorskip("cupy", reason="CuPy is not installed: its names cannot be compared")
    import cupy

    tree = ast.parse(inspect.getsource(array_kernels))
    modules = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and re.fullmatch(r"(self\.)?_?xp", ast.unparse(n.value))]
    names = {n.attr for n in modules}
    assert "logaddexp" in names
    assert not [name for name in names if not hasattr(cupy, name)]


# ---- the GPU's path -------------------------------------------------------------------------------------------------------------

# What CuPy adds to the options of a RawModule (cupy/cuda/compiler.py, 13.6 and 14.2: _compile_with_cache_cuda and
# _compile_using_nvrtc_no_warning): denormal numbers are flushed to zero, and functions without an annotation are the device's.
ADDED_BY_CUPY = ("-ftz=true", "--device-as-default-execution-space")


@compiles
@pytest.mark.parametrize("row", cpp_backend.LADDERS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_what_cupy_adds_to_the_options_leaves_every_version_inside_its_bound(monkeypatch, row):
    monkeypatch.setattr(cpp_backend, "OPTIONS", (*cpp_backend.OPTIONS, *ADDED_BY_CUPY))
    backend, found = emulated(row.kernel, row.number), version_cases(row, "float32")
    for case in found[:: -(len(found) // -4)]:
        assert judge(backend, row, case.inputs, case.states, **case.params) <= 1, case.label



@compiles
def test_the_path_to_a_gpu_passes_what_cupy_takes(monkeypatch, rng):
    """CuPy is played by NumPy and the emulator, whose RawModule has CuPy's calling convention."""
    cupy = types.ModuleType("cupy")
    cupy.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    cupy.RawModule, cupy.asnumpy = emulator.RawModule, np.asarray
    cupy.cuda = types.SimpleNamespace(Device=lambda: types.SimpleNamespace(compute_capability="75"))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    backend = cpp_backend.backend()
    assert backend.xp is cupy
    case = next(itertools.islice(cases.cases("matmul"), 5, None))
    assert judge(backend, cpp_backend.find("matmul", 5), case.inputs, **case.params) <= 1
    with pytest.raises(ContractError, match=r"this GPU has 7\.5"):
        cpp_backend.backend(versions={"matmul": 6})


@pytest.mark.gpu
@pytest.mark.skipif(GPU_MISSING is not None, reason=str(GPU_MISSING))
@pytest.mark.parametrize(("row", "dtype"), ROWS, ids=lambda v: v if isinstance(v, str) else f"{v.kernel}-{v.number}")
def test_every_version_is_inside_its_bound_on_a_gpu(row, dtype):
    if row.capability > gpu_capability():
        pytest.skip(f"{needs(row)}, which this GPU lacks")
    backend = cpp_backend.backend(versions={row.kernel: row.number})

    def on_gpu(*arrays, **params):
        there = [backend.asarray(a) for a in arrays]
        backend.implementations[row.kernel](*there, **params)
        for here, result in zip(arrays, there, strict=True):
            here[...] = backend.to_numpy(result)

    for case in version_cases(row, dtype):
        share = bounds.verify(on_gpu, row.kernel, case.inputs, case.states, rule=row.rule, **case.params)
        assert share <= 1, case.label
