"""Numba CUDA programs as they are: inside emulator.numba(), by python -m tinygan_kernels.emulator, and options of @cuda.jit."""

import enum
import gc
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba import cuda, guvectorize, vectorize
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.__main__ import IMPORTS_TRITON, main
from tinygan_kernels.emulator.host.numba_context import numba_is_replaceable
from tinygan_kernels.emulator.host.ptx_linking import joined

OTHER = "this numba-cuda has other internals than those that emulator.numba() replaces"
pytestmark = pytest.mark.skipif(not numba_is_replaceable(), reason=OTHER)


@cuda.jit
def axpy(a, x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] += a * x[i]


@pytest.fixture(autouse=True)
def on_the_emulator():
    with emulator.numba():
        yield


# ---- launches and memory --------------------------------------------------------------------------------------------


def test_a_launch_with_host_arrays_of_any_strides():
    x, y = np.arange(40, dtype="f4").reshape(4, 10)[:, ::2], np.ones((5, 4), "f4").T
    before = x.copy()

    @cuda.jit
    def kernel(x, y):
        i, j = cuda.grid(2)
        if i < x.shape[0] and j < x.shape[1]:
            y[i, j] = 2 * x[i, j]

    kernel[(1, 1), (4, 8)](x, y)
    assert (y == 2 * before).all() and (x == before).all()


@pytest.mark.parametrize("turned", [False, True])
def test_two_arrays_that_begin_at_the_same_address(turned):
    x, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)

    @cuda.jit
    def add(a, b, out):
        i = cuda.grid(1)
        out[i] = a[i % a.size] + b[i % b.size]

    with emulator.numba():
        add[1, 64](*((x[:1], x) if turned else (x, x[:1])), out)
    np.testing.assert_array_equal(out, x + x[0])


def test_device_arrays_streams_and_events_in_order():
    x = np.arange(100, dtype="f4")
    stream, start, end = cuda.stream(), cuda.event(), cuda.event()
    with stream.auto_synchronize():
        start.record(stream)
        d, e = cuda.to_device(x, stream=stream), cuda.device_array_like(x, stream=stream)
        e.copy_to_device(np.ones_like(x), stream=stream)
        axpy[4, 32, stream](2.0, d, e)
        axpy[4, 32, stream](1.0, d, e)
        end.record(stream)
        end.synchronize()
    out = np.empty_like(x)
    e.copy_to_host(out, stream=stream)
    assert (out == 1 + 3 * x).all() and end.query() and start.elapsed_time(end) >= 0
    assert e[7] == out[7] and (e[10:20:3].copy_to_host() == out[10:20:3]).all() and (d.copy_to_host() == x).all()
    e[:5] = 0
    assert (e.copy_to_host()[:6] == [0, 0, 0, 0, 0, out[5]]).all()
    happened = []
    stream.add_callback(lambda stream, status, given: happened.append((status, given)), "arg")
    cuda.synchronize()
    assert happened == [(0, "arg")]


def test_pinned_mapped_and_managed_arrays():
    for made in (cuda.mapped_array(8, "f4"), cuda.managed_array(8, "f4"), cuda.pinned_array(8, "f4")):
        made[:] = np.arange(8)
        axpy[1, 8](2.0, made, made)
        assert made.tolist() == (3 * np.arange(8)).tolist()
    host = np.arange(4, dtype="f4")
    with cuda.pinned(host):
        assert (cuda.to_device(host).copy_to_host() == host).all()
    with cuda.mapped(host) as mapped:
        axpy[1, 4](1.0, mapped, mapped)
    assert host.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("made", [cuda.mapped_array, cuda.managed_array])
def test_a_view_of_a_mapped_array_has_no_address(made):
    """Numba keeps the address of the whole array alone, and cuda.core refuses what has none with a TypeError too."""
    whole, y = made(8, "f4"), np.zeros(8, "f4")
    whole[:] = 1
    with pytest.raises(TypeError, match="view of a mapped or managed array"):
        axpy[1, 8](1.0, whole[2:], y)
    axpy[1, 8](1.0, np.asarray(whole[2:]), y)
    assert y.tolist() == [1] * 6 + [0] * 2


def test_arrays_that_are_not_aligned_are_written_back():
    raw = np.zeros(5 * 8 + 8, "u1")
    start = -raw.ctypes.data % 8 + 4
    odd = raw[start : start + 40].view("f8")
    odd[:] = np.arange(5)
    assert not odd.flags.aligned
    axpy[1, 8](2.0, np.ones(5), odd)
    assert odd.tolist() == [2, 3, 4, 5, 6]
    axpy[1, 8](1.0, cuda.In(odd), y := np.zeros(5))
    assert y.tolist() == odd.tolist()


def test_hints_of_arguments():
    x, y = np.ones(4, "f4"), np.ones(4, "f4")

    @cuda.jit
    def kernel(x, y):
        x[cuda.threadIdx.x], y[cuda.threadIdx.x] = 5, 6

    kernel[1, 4](cuda.In(x), cuda.InOut(y))
    assert x.tolist() == [1] * 4 and y.tolist() == [6] * 4


def test_copies_of_host_arrays_are_warned_of_where_the_program_wants_that(monkeypatch):
    x, y = np.ones(8, "f4"), np.ones(8, "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axpy[1, 8](1.0, x, y)
        monkeypatch.setattr(cuda.config, "CUDA_WARN_ON_IMPLICIT_COPY", 1)
        axpy[1, 8](1.0, cuda.to_device(x), cuda.mapped_array_like(y))
    with pytest.warns(Warning, match="Host array used in CUDA kernel will incur copy overhead"):
        axpy[1, 8](1.0, cuda.to_device(x), y)


def test_memory_is_given_back_and_device_arrays_last_until_the_next_block():
    before = cuda.current_context().get_memory_info().free
    a = cuda.device_array(1 << 20, "u1")
    assert cuda.current_context().get_memory_info().free <= before - (1 << 20)
    del a
    gc.collect()
    cuda.current_context().memory_manager.deallocations.clear()  # Numba frees a few arrays together
    assert cuda.current_context().get_memory_info().free >= before - 1024
    before = cuda.current_context().get_memory_info().free
    pinned = cuda.pinned_array(1 << 20, "u1")
    assert cuda.current_context().get_memory_info().free == before and pinned.size, "which is the host's"
    kept = cuda.to_device(np.arange(3))
    with emulator.numba():  # inside of one another, too
        assert kept.copy_to_host().tolist() == [0, 1, 2]


def test_what_is_put_off_is_freed_when_the_block_ends():
    program = """
import numpy as np
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator.host import numba_context

with emulator.numba():
    queue = cuda.current_context().memory_manager.deallocations
    with cuda.defer_cleanup():
        for _ in range(30):
            cuda.to_device(np.arange(100))
        assert len(queue) == 30
    queue.clear()
    assert len(queue) == 0
    cuda.to_device(np.arange(100))
    kept = cuda.to_device(np.arange(5))
    assert len(queue) == 1
assert len(queue) == 0
memory = numba_context._device().host.allocations.arrays
assert len(memory) == 1
del kept
assert not memory
"""
    _run_python(program)


def test_launches_that_are_too_large_are_errors_of_cuda_too():
    from cuda.core._utils.cuda_utils import CUDAError

    @cuda.jit(launch_bounds=128)
    def bounded():
        pass

    bounded[1, 128]()
    with pytest.raises(CUDAError, match=r"CUDA_ERROR_INVALID_VALUE: kernel .* is not compiled for blocks of 256 threads"):
        bounded[1, 256]()
    with pytest.raises(EmulatorError, match="1025 threads"):
        axpy[1, 1025](1.0, np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("name, text, error, words", [
    ("missing.cu", None, "LinkerError", "missing.cu not found"),
    ("header.cuh", None, "RuntimeError", "Don't know how to link file with extension .cuh"),
    ("data", None, "RuntimeError", "Don't know how to link file with no extension"),
    ("wrong.cu", "SYNTAX", "NVRTCError", r"(?s)NVRTC_ERROR_COMPILATION.*wrong.cu"),
])  # fmt: skip
def test_links_that_fail_raise_what_numba_raises(tmp_path, name, text, error, words):
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(EmulatorError, match=words) as caught:
        cuda.jit("void()", link=[str(tmp_path / name)])(_nothing)
    assert error in [c.__name__ for c in type(caught.value).__mro__]


def _nothing():
    pass


def test_a_void_function_may_be_declared_with_a_result(tmp_path):
    (tmp_path / "put.cu").write_text('extern "C" __device__ void put(int* p) { *p = 42; }')
    put = cuda.declare_device("put", "void(CPointer(int32))", link=str(tmp_path / "put.cu"), abi="c")

    @cuda.jit("void(CPointer(int32))")
    def kernel(p):
        put(p)

    x = cuda.to_device(np.zeros(1, "i4"))
    kernel[1, 1](x.__cuda_array_interface__["data"][0])
    assert x.copy_to_host()[0] == 42


def test_modules_of_ptx_and_what_is_called_when_a_module_is_loaded():
    from cuda.core import ObjectCode

    seen = []
    module = cuda.current_context().create_module_ptx(b".version 8.0\n.target sm_80\n.address_size 64\n.global .u32 word = 7;\n")
    memory, size = module.get_global_symbol("word")
    assert size == 4 and memory.size == 4
    source = cuda.CUSource("__device__ int unused;", setup_callback=seen.append)

    @cuda.jit("void()", link=[source])
    def kernel():
        pass

    kernel[1, 1]()
    assert len(seen) == 1 and isinstance(seen[0], ObjectCode)


def test_the_counts_of_what_kernels_allocate_last_from_block_to_block():
    program = """
from numba.cuda.memory_management.nrt import rtsys
from tinygan_kernels import emulator

with emulator.numba():
    rtsys.memsys_enable_stats()
    assert rtsys.get_allocation_stats() == (0, 0, 0, 0)
assert rtsys._memsys_module is None and not rtsys._initialized
with emulator.numba():
    assert rtsys.memsys_stats_enabled()
    rtsys.memsys_disable_stats()
    assert not rtsys.memsys_stats_enabled()
"""
    _run_python(program)


def test_after_the_block_numba_is_as_it_was():
    program = """
import numpy as np
from numba import cuda
from numba.cuda.cudadrv import driver, devices, devicearray
from numba.cuda import dispatcher, codegen
from tinygan_kernels import emulator
owners = (driver, driver.Driver, driver.Stream, driver._ActiveContext, devices._DeviceList, devices._runtime, devicearray,
          dispatcher, dispatcher._Kernel, codegen.CUDACodeLibrary)
made_once = {"_memory_manager", "__warningregistry__", "_logger"}  # by Numba itself, when it is first asked for a context
state = lambda: [{k: v for k, v in vars(owner).items() if k not in made_once} for owner in (*owners, driver.driver)]
before = state()
with emulator.numba():
    kept = cuda.to_device(np.ones(3)), cuda.stream(), cuda.event(), cuda.mapped_array(3)
    cuda.jit(lambda x: None)[1, 1](kept[0])
for now, then in zip(state(), before):
    assert now == then, {k for k in {*now, *then} if now.get(k) is not then.get(k)}
print("the same")
"""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, env=environment())
    assert ran.stdout == "the same\n" and ran.stderr == ""


# ---- types and options ----------------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 3


def test_float16_complex_records_tuples_and_enums():
    @cuda.jit
    def kernel(half, out, number, nested, record, colour):
        half[0] = half[0] * half[1] + half[2]
        out[0] = number * nested[1][0] + nested[0]
        record.a = record.a + 5
        out[1] = colour + Colour.RED

    half, out = np.array([1.5, 2, 0.25], "f2"), np.zeros(2, "c16")
    records = np.array([(1, 2.5), (2, 3.5)], [("a", "i4"), ("b", "f8")])
    kernel[1, 1](half, out, 1 + 2j, (2, (3.5, 1)), records[1], Colour.RED)
    assert half[0] == 3.25 and out.tolist() == [5.5 + 7j, 6] and records.tolist() == [(1, 2.5), (7, 3.5)]


def test_eager_signatures_forall_reduce_vectorize_and_guvectorize():
    @cuda.jit("void(float32[:])")
    def eager(z):
        z[cuda.threadIdx.x] = 7

    eager[1, 3](z := np.zeros(3, "f4"))
    axpy.forall(3)(1.0, z, z)
    assert z.tolist() == [14, 14, 14]
    assert cuda.reduce(lambda a, b: a + b)(np.arange(1000.0)) == 499500

    @vectorize(["float32(float32, float32)"], target="cuda")
    def product(a, b):
        return a * b

    @guvectorize(["(float32[:], float32[:])"], "(n)->()", target="cuda")
    def total(a, out):
        out[0] = 0
        for i in range(a.size):
            out[0] += a[i]

    x = np.arange(12, dtype="f4").reshape(3, 4)
    assert (product(x, x) == x * x).all() and total(x).tolist() == x.sum(1).tolist()


def test_a_kernel_of_empty_tuples():
    """Numba cannot describe its line, so that findings in it have none."""

    @cuda.jit
    def kernel(t, out):
        out[0] = len(t)

    kernel[1, 1](((), (), ()), out := np.zeros(1))
    assert out[0] == 3


def test_a_device_array_captured_from_global_scope():
    table = cuda.to_device(np.array([10, 20, 30]))

    @cuda.jit
    def kernel(out):
        out[cuda.threadIdx.x] = table[2 - cuda.threadIdx.x]

    kernel[1, 3](out := np.zeros(3, "i8"))
    assert out.tolist() == [30, 20, 10]


def debugging(function):
    return cuda.jit(debug=True, opt=False)(function)


@debugging
def raises(o):
    if cuda.threadIdx.x == 1:
        raise ValueError("bad")


@debugging
def asserts(o):
    if cuda.threadIdx.x >= 1:  # an assert statement is rewritten by pytest
        raise AssertionError("not so")


@debugging
def divides(o):
    o[0] = 5 // int(o[1])


@pytest.mark.parametrize("kernel, error", [(raises, ValueError), (asserts, AssertionError), (divides, ZeroDivisionError)])
@pytest.mark.parametrize("way", ["launch", "brackets"])
def test_debug_raises_what_the_kernel_raises(kernel, error, way):
    with pytest.raises(error, match=r"tid=\[0, 0, [01]\] ctaid=\[0, 0, 0\]"):
        if way == "launch":
            emulator.launch(kernel, 1, 2, np.zeros(4, "f4"))
        else:
            kernel[1, 2](np.zeros(4, "f4"))


def test_launch_bounds_and_links(tmp_path):
    @cuda.jit(launch_bounds=(32,))
    def bounded(o):
        o[0] = 1

    bounded[1, 32](np.zeros(1))
    for start in (lambda: bounded[1, 64](np.zeros(1)), lambda: emulator.launch(bounded, 1, 64, np.zeros(1))):
        with pytest.raises(EmulatorError, match="not compiled for blocks of 64 threads"):
            start()

    (tmp_path / "own.cu").write_text('extern "C" __device__ int thrice(int* result, int x) { *result = 3 * x; return 0; }')
    (tmp_path / "own.o").write_bytes(b"\x7fELF")
    thrice = cuda.declare_device("thrice", "int32(int32)")
    for name in ("own.cu", "own.o"):

        @cuda.jit(link=[str(tmp_path / name)])
        def linked(o):
            o[0] = thrice(o[0])

        if name == "own.o":
            with pytest.raises(EmulatorError, match=r"links own\.o, which is machine code"):
                linked[1, 1](np.array([14], "i4"))
        else:
            linked[1, 1](o := np.array([14], "i4"))
            assert o[0] == 42


def test_what_launch_takes_besides_plain_arrays():
    @cuda.jit
    def scalar(o, s):
        o[0] = s

    emulator.launch(scalar, 1, 1, c := np.zeros(1, "c16"), 2j)
    emulator.launch(scalar, 1, 1, u := np.zeros(1, "u8"), 2**63)
    emulator.launch(scalar, 1, 1, h := np.zeros(1, "f2"), np.float16(1.5))
    assert (c[0], u[0], h[0]) == (2j, 2**63, 1.5)

    @cuda.jit
    def returns(o):
        return o[0]

    for kernel, args, message in [
        (returns, (np.zeros(1),), "must have void return type"),
        (scalar, (np.zeros(1, ">f8"), 1), "no type"),
        (scalar, (np.zeros(1), "text"), r"Numba cannot (launch|compile) scalar"),
    ]:
        with pytest.raises(EmulatorError, match=message):
            emulator.launch(kernel, 1, 1, *args)
    with pytest.raises(EmulatorError, match=r"compute capability 8\.0 only"):
        emulator.launch(scalar, 1, 1, c, 2j, capability=(9, 0))


# ---- findings -------------------------------------------------------------------------------------------------------


def test_findings_name_the_line_of_the_program():
    with pytest.raises(emulator.SanitizerError, match="out-of-bounds read of 4 bytes; 0 bytes after the end of the array of f"):
        axpy[1, 8](1.0, np.ones(8, "f4"), np.ones(3, "f4"))
    with emulator.sanitize() as findings:
        axpy[1, 8](1.0, cuda.device_array(8, "f4"), cuda.to_device(np.zeros(8, "f4")))
    assert [f.tool for f in findings] == ["initcheck"] and findings[0].source.startswith("test_numba_programs.py:")


def test_what_the_device_lacks_is_named():
    cuda.current_context().synchronize()
    with pytest.raises(EmulatorError, match="has no cuIpcGetMemHandle"):
        cuda.to_device(np.zeros(4)).get_ipc_handle()
    assert cuda.is_available() and len(cuda.gpus) == 1 and cuda.get_current_device().compute_capability == (8, 0)
    assert cuda.get_current_device().WARP_SIZE == 32


def test_threads_have_arguments_of_their_own():
    results = {}

    def work(n):
        with emulator.numba():
            out = np.zeros(32, "f4")
            for _ in range(5):
                axpy[1, 32](float(n), np.ones(32, "f4"), out)
            results[n] = out

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {n: set(out.tolist()) for n, out in results.items()} == {n: {5.0 * n} for n in range(3)}


# ---- the command ----------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    paths = [str(Path(emulator.__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _run_python(program: str) -> None:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, env=environment())
    assert ran.returncode == 0, ran.stderr


def command(*arguments: str) -> subprocess.CompletedProcess:
    started = [sys.executable, "-m", "tinygan_kernels.emulator", *arguments]
    return subprocess.run(started, capture_output=True, text=True, env=environment())


SCRIPT = """
import sys
import numpy as np
from numba import cuda
import beside

@cuda.jit
def add(x, n):
    i = cuda.grid(1)
    if i < n:
        x[i] += beside.ONE

if __name__ == "__main__":
    d = cuda.to_device(np.zeros(64))
    add[2, 32](d, int(sys.argv[1]))
    print(d.copy_to_host().sum(), sys.argv[1:])
    add[3, 32](d, 96)
"""


def test_the_command_runs_a_script_unchanged(tmp_path):
    (tmp_path / "beside.py").write_text("ONE = 1")
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = command(str(tmp_path / "script.py"), "50", "--flag")
    assert ran.stdout == "50.0 ['50', '--flag']\n" and ran.returncode == 1
    assert "line 17, in <module>" in ran.stderr and "SanitizerError: memcheck: out-of-bounds" in ran.stderr


@pytest.mark.parametrize("script, message", [("missing.py", "there is no script"), ("missing.cu", "there is no script or")])
def test_the_command_says_what_it_cannot_run(script, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([script])
    assert stopped.value.code == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


@pytest.mark.parametrize(
    ("line", "imports"),
    [
        ("import triton", True), ("import torch, triton, triton.language as tl", True), ("    from triton import jit", True),
        ("import numpy as np, triton.language", True), ("import tritonclient", False), ("from torch import triton", False),
        ("# import triton", False), ("import numpy as triton", False), ("import os\ntriton = 3", False),
    ],
)  # fmt: skip
def test_which_scripts_import_triton(line, imports):
    assert (re.search(IMPORTS_TRITON, f"x = 1\n{line}\n".encode(), re.MULTILINE) is not None) == imports


# ---- linking --------------------------------------------------------------------------------------------------------


def test_joined_texts_keep_their_own_names_and_files_apart():
    head = ".version {}\n.target sm_80\n.address_size 64\n"
    table = ".global .align 4 .u32 own[1] = {{{}}};\n.file 1 \"{}\"\n"
    first = head.format("8.0") + table.format(5, "a.py") + """.extern .func (.param .b32 r) other;
.visible .entry k(.param .u64 p) { .reg .b32 %r<4>; .reg .b64 %d<2>; .param .b32 got;
ld.param.u64 %d1, [p]; call (got), other; ld.param.b32 %r1, [got]; ld.global.u32 %r2, [own];
add.u32 %r3, %r1, %r2; .loc 1 7 0
st.global.u32 [%d1], %r3; ret; }"""
    second = head.format("8.4") + table.format(70, "b.cu") + """.visible .func (.param .b32 r) other() { .reg .b32 %r<2>;
.loc 1 3 0
ld.global.u32 %r1, [own]; st.param.b32 [r], %r1; ret; }"""
    text = joined([first, second])
    assert text.count(".version") == 1 and ".version 8.4" in text and '.file 2 "b.cu"' in text and ".loc 2 3 0" in text
    emulator.RawModule(code=text).get_function("k")((1,), (1,), (out := np.zeros(1, "u4"),))
    assert out[0] == 75
