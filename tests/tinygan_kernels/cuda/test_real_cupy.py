"""CuPy itself, without a GPU: its arrays, its NVRTC wrapper, its RawModule and its launch are given what the backends give them.

Nothing here stands in for CuPy. Its arrays are made over memory of the host, which works without a driver. Where CuPy asks for the
device, and raises CUDARuntimeError as there is none, the way ends: what was passed until then has been accepted.

    RawModule(...)                 runs; get_function asks for the device
    compiler.compile_using_nvrtc   runs to the machine code, once its cache by device is left out
    function.Function.__call__     checks grid and block; CuPy 13 also converts the arguments, CuPy 14 asks for the device before
"""

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tinygan_kernels.cuda import cpp_backend
from tinygan_kernels.cuda.device import ArrayMemory, CudaLaunch
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.verification import bounds, cases

cupy = pytest.importorskip("cupy", reason="CuPy is not installed; `make beside` runs this with CuPy 13 and 14, for CUDA 12 and 13")
from cupy.cuda import compiler, function, memory  # noqa: E402  (only where there is a CuPy)

ROOT = Path(__file__).resolve().parents[3]
CONVERTS = int(cupy.__version__.split(".")[0]) < 14  # a launch without a device comes as far as the arguments
NoDevice = cupy.cuda.runtime.CUDARuntimeError
SOURCES = sorted({row.source for row in cpp_backend.LADDERS})


def has_device() -> bool:
    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except NoDevice:
        return False


pytestmark = pytest.mark.skipif(has_device(), reason="there is a GPU, so the tests marked gpu run CuPy for good")


# ---- the compiler ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nvrtc():
    """CuPy's NVRTC. CuPy 13 does not look into NVIDIA's wheels, but finds a library that the process has loaded."""
    if CONVERTS:
        pathfinder = pytest.importorskip("cuda.pathfinder", reason="nothing loads NVRTC for CuPy 13")
        pathfinder.load_nvidia_dynamic_lib("nvrtc")
    return cupy.cuda.nvrtc


@pytest.fixture
def compile_source(nvrtc, monkeypatch):
    """Return CuPy's compile function without its cache by device, with the options that it adds to those of a RawModule."""
    by_device = compiler._get_arch_for_options_for_nvrtc
    monkeypatch.setattr(compiler, "_get_arch_for_options_for_nvrtc", by_device.__wrapped__)

    def made(source: str, arch: int, options: tuple[str, ...] = cpp_backend.OPTIONS) -> bytes:
        code, _ = compiler.compile_using_nvrtc(source, (*options, "-ftz=true"), str(arch), "kernel.cu")
        return code

    return made


def architectures(nvrtc) -> list[int]:
    """The oldest and the newest architecture that CuPy gives to this NVRTC."""
    known = [int(arch) for arch in nvrtc.getSupportedArchs()]
    newest = int(compiler._get_max_compute_capability())
    return sorted({max(70, min(known)), max(arch for arch in known if arch <= newest)})


@pytest.mark.parametrize("source", SOURCES)
def test_cupy_compiles_every_source_to_machine_code_with_all_its_kernels(compile_source, nvrtc, source):
    rows = [row for row in cpp_backend.LADDERS if row.source == source]
    entries = {instance.name for row in rows for entry in row.declared for instance in entry.instances()}
    for arch in architectures(nvrtc):
        code = compile_source(cpp_backend.source_text(source), arch)
        assert code[:4] == b"\x7fELF", "machine code"
        assert not [name for name in entries if name.encode() + b"\0" not in code], arch


def test_cupys_compiler_sees_a_planted_mistake(compile_source):
    with pytest.raises(compiler.CompileException, match="undeclared"):
        compile_source('extern "C" __global__ void f(float* x) { x[0] = undeclared; }', 80)
    with pytest.raises(compiler.CompileException, match="std"):
        compile_source('extern "C" __global__ void f() {}', 80, ("--std=c++99",))


# ---- arrays and launches --------------------------------------------------------------------------------------------------------


def host_memory(size: int):
    """Memory of the host for CuPy, at an address that is a multiple of 512 as its own are."""
    raw = np.zeros(size + 512, np.uint8)
    address = raw.ctypes.data - raw.ctypes.data % -512
    return memory.MemoryPointer(memory.UnownedMemory(address, max(size, 1), raw, 0), 0)


def on_host(array: np.ndarray):
    """A CuPy array of that shape and dtype."""
    return cupy.ndarray(array.shape, array.dtype, memptr=host_memory(array.nbytes))


class RecordingModule:
    """A RawModule of CuPy's, whose functions are CuPy's own without the code, which only a device can load."""

    def __init__(self, launched: list, **given) -> None:
        self.module, self.launched = cupy.RawModule(**given), launched

    def get_function(self, name: str):
        unloaded = function.Function.__new__(function.Function)

        def call(*launch) -> None:
            self.launched.append((name, launch))
            with pytest.raises(NoDevice):  # anything that CuPy does not take is a TypeError before that
                unloaded(*launch)

        return call


@pytest.fixture
def device(monkeypatch):
    """The backend's device on CuPy's arrays, and the list of what it launched."""
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)  # CuPy 13 tells that way that there is no current stream
    launched: list = []
    memory_of_host = SimpleNamespace(zeros=lambda n, t: on_host(np.zeros(n, t)), empty=lambda n, t: on_host(np.empty(n, t)))
    described = ArrayMemory(memory_of_host, cupy.ndarray, "a CuPy array", cupy.asnumpy)
    return cpp_backend.CppDevice(described, functools.partial(RecordingModule, launched), 90), launched


@pytest.mark.parametrize("row", cpp_backend.LADDERS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_cupy_takes_every_launch_as_the_backend_gives_it(device, row):
    """On the hard cases of the kernel, in each dtype: arrays, grid, block and scalars, as far as CuPy goes without a device."""
    gpu, launched = device

    def on_cupy(*arrays, **params):
        gpu.run(row.host(gpu, row, *map(on_host, arrays), **params))

    for dtype in row.dtypes:
        before = len(launched)
        for case in list(cases.cases(row.kernel, np.dtype(dtype), (16,)))[:12]:
            bounds.verify(on_cupy, row.kernel, case.inputs, case.states, rule=row.rule, **case.params)
        assert len(launched) > before
        for _, (grid, block, arguments) in launched[before:]:
            assert all(isinstance(side, int) for side in (*grid, *block)) and len(grid) == len(block) == 3
            assert all(isinstance(a, (cupy.ndarray, np.generic)) for a in arguments)


def test_cupys_launch_refuses_what_it_does_not_take(device):
    launch = function.Function.__new__(function.Function)
    x = on_host(np.zeros(3, np.float32))
    for wrong in (([1], (1, 1, 1), (x,)), ((1, 1, 1), [1], (x,))):
        with pytest.raises(TypeError, match="expected tuple"):
            launch(*wrong)
    if CONVERTS:
        for argument in ("text", [1], np.zeros(3), object()):
            with pytest.raises(TypeError, match=r"Unsupported type|pass a cupy\.ndarray"):
                launch((1, 1, 1), (1, 1, 1), (x, argument))


def test_rawmodule_and_rawkernel_are_called_as_cupy_documents():
    documented = cupy.RawKernel.__call__.__doc__.splitlines()[0]
    assert re.search(r"\(self, grid, block, args", documented), documented
    assert re.search(r"get_function\(self, (\w+ )?name\)", cupy.RawModule.get_function.__doc__)
    with pytest.raises(TypeError):
        cupy.RawModule(code="", option=())
    with pytest.raises(TypeError, match="tuple"):
        cupy.RawModule(code="", options=["--std=c++17"])


def test_the_checks_of_the_backend_know_cupys_arrays(device):
    """Real flags, dtypes and strides: a transposed array, another dtype and a NumPy array are refused before CuPy sees them."""
    gpu, launched = device
    row = cpp_backend.find("bias_act", 1)
    x, b = on_host(np.zeros((4, 4), np.float32)), on_host(np.zeros(4, np.float32))
    good = (x, b, x, np.int32(16), np.int32(4), np.int32(0), np.float32(0))
    gpu.run([CudaLaunch(row.declared[0].of(x), 1, (256,), good)])
    planted = ((0, x.T, "C-contiguous"), (1, on_host(np.zeros(4)), "float64"), (2, np.zeros((4, 4), np.float32), "CuPy"))
    for at, wrong, word in planted:
        with pytest.raises(ContractError, match=word):
            gpu.run([CudaLaunch(row.declared[0].of(x), 1, (256,), (*good[:at], wrong, *good[at + 1 :]))])
    assert len(launched) == 1


# ---- names and parameters -------------------------------------------------------------------------------------------------------

# What the sources call on objects that CuPy makes: a stream, a graph, a pool, an event, a device, an array.
METHODS = {
    "begin_capture": cupy.cuda.Stream, "end_capture": cupy.cuda.Stream, "launch": cupy.cuda.graph.Graph,
    "malloc": cupy.cuda.MemoryPool, "record": cupy.cuda.Event, "synchronize": cupy.cuda.Event,
    "compute_capability": cupy.cuda.Device, "ptr": cupy.cuda.Stream.null, "astype": cupy.ndarray, "fill": cupy.ndarray,
    "reshape": cupy.ndarray, "standard_normal": cupy.random.Generator,
}  # fmt: skip
MODULE = re.compile(r"(cupy|self\._cupy|memory\.xp|self\.memory\.xp|self\.xp|self\._xp|xp|runtime|nvrtc)((?:\.\w+)+)")
SHORT = {"runtime": "cuda.runtime", "nvrtc": "cuda.nvrtc"}  # what device.py calls them


def sources() -> list[Path]:
    folder = ROOT / "kernels" / "tinygan_kernels" / "cuda"
    return [*sorted(folder.glob("*.py")), ROOT / "benchmarks" / "speed" / "gpu_matmul.py"]


def uses() -> Iterator[tuple[str, str, ast.Call | None]]:
    """Every name of CuPy's in the sources: (where, name, the call whose function it is)."""
    for path in sources():
        tree = ast.parse(path.read_text())
        called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            match = MODULE.fullmatch(ast.unparse(node)) if isinstance(node, ast.Attribute) else None
            if match:
                prefix = SHORT.get(match[1])
                yield f"{path.name}:{node.lineno}", f"{prefix}{match[2]}" if prefix else match[2][1:], called.get(id(node))


USES = sorted({(name, where): call for where, name, call in uses()}.items(), key=lambda use: use[0])


def found(name: str):
    return functools.reduce(getattr, name.split("."), cupy)


def parameters(of) -> dict[str, bool] | None:
    """The parameters of a function of CuPy's, {name: whether it may be given by position}; None if CuPy does not say.

    Those of Python functions are asked for; compiled ones and ufuncs say them in the first lines of their documentation.
    """
    try:
        declared = inspect.signature(of.__init__ if isinstance(of, type) and of.__init__ is not object.__init__ else of).parameters
        if not {"args", "kwargs"} & set(declared):
            return {name: p.kind is not p.KEYWORD_ONLY for name, p in declared.items() if name != "self"}
    except (TypeError, ValueError):
        pass
    name = r"\w+" if isinstance(of, cupy.ufunc) else of.__name__
    line = next((line for line in (of.__doc__ or "").splitlines() if re.match(rf"(\w+\.)*{name}\(", line)), None)
    if line is None:
        return None
    listed = [part.strip() for part in re.search(r"\((.*)\)", line)[1].replace("\\*", "*").split(",") if part.strip()]
    keyword_only, made = False, {}
    for part in listed:
        keyword_only |= part == "*"
        bare = part.split("=")[0].split(":")[0].split()
        if bare and bare[-1] not in ("*", "/", "self"):
            made[bare[-1]] = not keyword_only
    return made


def complaint(name: str, call: ast.Call) -> str:
    """What is wrong with a call of CuPy's function of that name: a parameter that it has not, or too many. "" if nothing."""
    known = parameters(found(name))
    if known is None:
        return f"{name} does not say its parameters"
    unknown = [keyword.arg for keyword in call.keywords if keyword.arg and keyword.arg not in known]
    positional = sum(not isinstance(argument, ast.Starred) for argument in call.args)
    if unknown or positional > sum(known.values()):
        return f"{name}({', '.join(known)}) has no {unknown or positional}"
    return ""


def test_the_names_were_found():
    names = {name for (name, _), _ in USES}
    some = {"RawModule", "cuda.using_allocator", "cuda.runtime.getDeviceCount", "cuda.nvrtc.getVersion", "logaddexp", "ndarray"}
    assert some <= names
    assert len([call for _, call in USES if call is not None]) > 40


@pytest.mark.parametrize(("name", "where"), [use for use, _ in USES], ids=lambda text: text)
def test_a_name_that_is_used_exists(name, where):
    assert functools.reduce(lambda at, part: at is not None and getattr(at, part, None), name.split("."), cupy) is not None


@pytest.mark.parametrize(("use", "call"), [pytest.param(*use, id="-".join(use[0])) for use in USES if use[1] is not None])
def test_an_argument_that_is_given_exists(use, call):
    assert complaint(use[0], call) == ""


def test_a_name_or_an_argument_that_does_not_exist_would_be_seen():
    planted = {"xp.sum(x, axes=0)": "sum", "xp.multiply(x, y, into=z)": "multiply", "xp.asnumpy(a, 1, 2, 3, 4, 5)": "asnumpy",
               "cupy.RawModule(text='')": "RawModule", "cupy.cuda.get_elapsed_time(a, b, c)": "cuda.get_elapsed_time"}  # fmt: skip
    for text, name in planted.items():
        assert complaint(name, ast.parse(text, mode="eval").body), text
    assert not hasattr(cupy, "no_such_name")


def test_every_method_that_is_called_exists():
    text = "".join(path.read_text() for path in sources())
    for name, owner in METHODS.items():
        assert f".{name}" in text, f"nothing calls {name} any more"
        assert hasattr(owner, name), name
    assert hasattr(cupy.cuda.Stream, "__enter__") and issubclass(NoDevice, RuntimeError), "graph.py catches RuntimeError"
    assert "stream" in parameters(cupy.cuda.graph.Graph.launch)


def test_the_ufuncs_compute_in_the_dtypes_of_the_kernels():
    """A ufunc that lacked a loop for float32 or float64 would be refused at the launch; comparisons end as truth values."""
    names = [name for (name, _), _ in USES if isinstance(getattr(cupy, name, None), cupy.ufunc)]
    assert len(set(names)) > 15
    for name in set(names):
        loops = getattr(cupy, name).types
        for letter in "fd":
            inputs = letter * getattr(cupy, name).nin
            assert any(loop.split("->")[0] == inputs for loop in loops), (name, loops)


def test_the_pool_of_a_captured_step_is_made_and_asked_for_memory():
    """As graph.py does it. The pool and the context of its allocator need no device, memory from it does."""
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc), pytest.raises(NoDevice):
        cupy.empty(3, np.float32)
