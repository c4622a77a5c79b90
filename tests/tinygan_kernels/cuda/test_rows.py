"""Rows and sources agree: every CUDA kernel of a source file has a row that launches it, and every row's kernel is in its file."""

import dataclasses
import importlib
import re

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import KERNELS, ContractError, ladder
from tinygan_kernels.cuda import array_kernels, cpp_backend, numba_backend
from tinygan_kernels.cuda.cpp import entries
from tinygan_kernels.cuda.device import NUMPY
from tinygan_kernels.cuda.numba_kernels import hosts as numba_hosts
from tinygan_kernels.emulator.host.nvrtc import compile_ptx
from tinygan_kernels.profiling import calls


def exported(text):
    """{kernel: the PTX types of its parameters} of the text of a .cu file."""
    ptx, _ = compile_ptx(text, cpp_backend.OPTIONS)
    kernels = re.findall(r"\.entry (\w+)\((.*?)\)", ptx, re.DOTALL)
    return {name: re.findall(r"\.param \.(\w+)", body) for name, body in kernels}


def disagreements(file, found, rungs):
    """In sentences: what a source file has and no row names, and what the rows name and the file does not have.

    found: the names of the kernels in the file. rungs: [(row, the names that it launches)] of the rows with this source.
    """
    named = {name for _, names in rungs for name in names}
    unnamed = [f"{file} has {name}, which no row launches: add it to the entries of its row" for name in sorted(set(found) - named)]
    absent = [
        f"the row of {rung.kernel} {rung.number} launches {name}, which {file} does not have"
        for rung, names in rungs
        for name in names
        if name not in found
    ]
    return unnamed + absent


# ---- CUDA C++ -------------------------------------------------------------------------------------------------------------------

CU_FILES = sorted(path.stem for path in entries.FOLDER.glob("*.cu"))


def cpp_rows(source, rungs=cpp_backend.LADDERS):
    return [(r, [i.name for e in r.declared for i in e.instances()]) for r in rungs if r.source == source]


@pytest.mark.parametrize("source", CU_FILES)
def test_the_kernels_of_a_cu_file_are_those_that_rows_launch(source):
    wrong = disagreements(f"cuda/cpp/{source}.cu", exported(cpp_backend.source_text(source)), cpp_rows(source))
    assert not wrong, "; ".join(wrong)


def test_every_row_in_cuda_cpp_names_a_file_that_exists():
    assert {rung.source for rung in cpp_backend.LADDERS} == set(CU_FILES)


PTX_TYPES = {"int32": "u32", "uint32": "u32", "float32": "f32", "float64": "f64"}


@pytest.mark.parametrize("source", CU_FILES)
def test_declared_parameters_are_those_of_the_compiled_kernels(source):
    found = exported(cpp_backend.source_text(source))
    instances = [i for rung in cpp_backend.LADDERS if rung.source == source for e in rung.declared for i in e.instances()]
    assert len(instances) > 1
    for instance in instances:
        declared = ["u64" if p.pointer else PTX_TYPES[p.dtype.name] for p in instance.parameters]
        assert declared == found[instance.name], f"the row that launches {instance.name} declares other parameters than {source}.cu"


def test_a_kernel_without_a_row_and_a_row_without_its_kernel_are_found():
    text = cpp_backend.source_text("adam")
    planted = text + 'extern "C" __global__ void adam_v2(float* x) { *x = 0; }\n'
    (message,) = disagreements("cuda/cpp/adam.cu", exported(planted), cpp_rows("adam"))
    assert message == "cuda/cpp/adam.cu has adam_v2, which no row launches: add it to the entries of its row"
    wrong = dataclasses.replace(cpp_backend.find("adam", 1), number=2, entries=("adam_v2(T* x)",))
    (message,) = disagreements("cuda/cpp/adam.cu", exported(text), cpp_rows("adam", (*cpp_backend.LADDERS, wrong)))
    assert message == "the row of adam 2 launches adam_v2, which cuda/cpp/adam.cu does not have"


@pytest.mark.parametrize("declaration", ["no_parameters", "open(T* x", "f(T*)", "f()"])
def test_what_is_not_a_declaration_is_refused(declaration):
    with pytest.raises(ValueError, match=r"adam\.cu: .* is not a declaration"):
        entries.entry("adam", declaration)


# ---- Numba CUDA -----------------------------------------------------------------------------------------------------------------

NUMBA_FOLDER = entries.FOLDER.parent / "numba_kernels"
NUMBA_FILES = sorted({path.stem for path in NUMBA_FOLDER.glob("*.py")} - {"__init__", "hosts"})


def numba_kernels(module):
    """The names of a module's kernels: what cuda.jit decorates, device functions apart."""
    from numba.cuda.dispatcher import CUDADispatcher

    found = {name: value for name, value in vars(module).items() if isinstance(value, CUDADispatcher)}
    return [name for name, kernel in found.items() if not kernel.targetoptions.get("device")]


def numba_rows(source, rungs=numba_backend.LADDERS):
    return [(rung, rung.entries) for rung in rungs if rung.source == source]


@pytest.mark.parametrize("source", NUMBA_FILES)
def test_the_kernels_of_a_numba_module_are_those_that_rows_launch(source):
    module = importlib.import_module(f"{numba_backend.KERNELS_PACKAGE}.{source}")
    wrong = disagreements(f"cuda/numba_kernels/{source}.py", numba_kernels(module), numba_rows(source))
    assert numba_rows(source) and not wrong, "; ".join(wrong)


def test_every_numba_row_names_a_module_that_exists():
    assert {rung.source for rung in numba_backend.LADDERS} == set(NUMBA_FILES)


def test_a_numba_kernel_without_a_row_and_a_row_without_its_kernel_are_found(monkeypatch):
    from numba import cuda
    from tinygan_kernels.cuda.numba_kernels import fused

    monkeypatch.setattr(fused, "planted_kernel", cuda.jit(lambda x: None), raising=False)
    (message,) = disagreements("cuda/numba_kernels/fused.py", numba_kernels(fused), numba_rows("fused"))
    assert message == "cuda/numba_kernels/fused.py has planted_kernel, which no row launches: add it to the entries of its row"
    wrong = dataclasses.replace(numba_backend.find("adam", 1), number=2, entries=("absent_kernel",))
    with pytest.raises(ContractError, match=r"adam version 2 names absent_kernel, which numba_kernels/fused\.py lacks"):
        assert wrong.kernels


# ---- numbers --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [cpp_backend, numba_backend])
def test_a_kernels_numbers_begin_at_1_and_leave_none_out(backend):
    numbers = {}
    for rung in backend.LADDERS:
        numbers.setdefault(rung.kernel, []).append(rung.number)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values()), numbers


@pytest.mark.parametrize("backend, known", [(cpp_backend, "1, 2, 3, 4, 5, 6"), (numba_backend, "1, 2, 3, 4")])
def test_an_unknown_number_names_the_kernel_and_the_numbers_that_there_are(backend, known):
    with pytest.raises(ContractError, match=f"matmul has versions {known}; 7 is not one"):
        backend.find("matmul", 7)
    with pytest.raises(ContractError, match="exp has no version in "):
        backend.find("exp", 1)
    with pytest.raises(ContractError, match="there is no kernel 'matmull'"):
        backend.find("matmull", 1)


def test_a_third_convolution_is_launched_as_itself():
    """A third version of a convolution launches the kernel and the grid of its own row, not those of the second version."""
    second = cpp_backend.find("conv2d", 2)
    declaration = second.entries[0].replace("_v2", "_v3")
    third = dataclasses.replace(second, number=3, entries=(declaration,), tile=(128, 64), threads=(128,))
    x, w, y = (np.zeros(shape, np.float32) for shape in ((2, 8, 8, 3), (3, 3, 3, 65), (2, 8, 8, 65)))
    for rung, blocks, threads in ((second, 4, 256), (third, 2, 128)):
        (launch,) = rung.record((x, w, y), {"stride": 1, "pad": 1})
        assert (launch.kernel, launch.blocks, launch.threads) == (f"conv2d_v{rung.number}", blocks, threads)
    second = numba_backend.find("conv2d", 2)
    third = dataclasses.replace(second, number=3, entries=("gemm_dx_kernel",), tile=(32, 16))
    (launch,) = third.host(numba_backend.NumbaDevice(NUMPY), third, x, w, y, 1, 1)
    assert launch.kernel is third.kernels[0] and launch.blocks == 4 * 5


@pytest.mark.parametrize("backend", [cpp_backend, numba_backend])
def test_every_kernel_of_the_contract_has_a_row_or_an_array_function(backend):
    """`Ladders.versions` says "array functions" of each kernel without a row."""
    rows, functions = {rung.kernel for rung in backend.LADDERS}, set(array_kernels.implementations(np))
    assert rows | functions == set(KERNELS), f"{(rows | functions) ^ set(KERNELS)}: see array_kernels.py and {backend.__name__}"
    assert not rows & functions, "a kernel with a row needs no array function"


@pytest.mark.parametrize("backend", [cpp_backend, numba_backend])
def test_every_kernel_with_a_row_can_be_profiled(backend):
    missing = {rung.kernel for rung in backend.LADDERS} ^ set(calls.PROFILED)
    assert not missing, f"profiling/calls.py: PROFILED says not how a call of {missing} is given, or has more than the ladders"


def test_the_ladder_of_a_backend():
    assert ladder("cupy") == cpp_backend.LADDERS and ladder("numba-cuda") == numba_backend.LADDERS
    assert ladder("reference") == ()
    with pytest.raises(ValueError, match="there is no backend 'gpu'"):
        ladder("gpu")


def test_the_constants_of_kernels_are_those_of_their_rows():
    """A kernel finds its tile by constants of its own file, and its grid is made from the row."""
    from tinygan_kernels.cuda.numba_kernels import bce, conv2d, fused, matmul

    tiles = {("matmul", 3): (matmul.TILE,) * 2, ("matmul", 4): (matmul.SIDE,) * 2,
             ("bias_act_grad", 1): (fused.ROWS_PER_BLOCK, fused.THREADS)}  # fmt: skip
    tiles |= {(kernel, 2): (conv2d.TILE,) * 2 for kernel in ("conv2d", "conv2d_dx", "conv2d_dw")}
    for (kernel, number), tile in tiles.items():
        assert numba_backend.find(kernel, number).tile == tile
    assert numba_backend.find("matmul", 4).threads == (matmul.LANES**2,)
    assert {numba_backend.find("bce_logits", number).threads for number in (1, 2)} == {(bce.THREADS,)}
    assert numba_hosts.WARP == bce.WARP
