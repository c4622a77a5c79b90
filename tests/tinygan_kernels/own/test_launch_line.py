"""Launch lines: what is computed from them, and in which words others are refused."""

import numpy as np
import pytest
from tinygan_kernels import ContractError
from tinygan_kernels.own.launch_line import CUDA, NUMBA, TRITON, example, kernel_in, lines_in, parse

VALUES = {"a": np.zeros((7, 5)), "M": 70, "N": 33, "K": 5, "slope": 0.5}


def evaluated(text, language=CUDA):
    return parse(text, "here", language).evaluated(VALUES)


@pytest.mark.parametrize("text, grid, block, shared", [
    ("mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 8)>>>(a)", (2, 3), (32, 8), 0),
    ("mm<<<ceil_div(M * N, 256), 256, 2 * 32 * sizeof(float)>>>(a);", (10,), (256,), 256),
    ("mm<float, 32><<<(int)ceil(M / 32.0f), dim3(4, 4, 4)>>>(a)", (3,), (4, 4, 4), 0),
    ("mm<<<(K - 6) / 32 + 1, (3 - K) % 4 + 3, 4 - (-7) / 2>>>(a)", (1,), (1,), 7),
    ("mm<<<(int)ceil((float)M / 32), (unsigned int)(N / 2.0), (int)((double)a.shape[1] / 2) * 8>>>(a)", (3,), (16,), 16),
    ("mm<<<ceil(N / (float)(K * 2)), (size_t)min(N, (int)slope + 3), (long long)-1.5 + 9>>>(a)", (4,), (3,), 8),
    ("mm<<<a.shape[0], max(1, min(N, 1024) >> 1), a.size % 8>>>(a)", (7,), (16,), 3),
])
def test_cuda_lines_compute_as_c_does(text, grid, block, shared):
    found = evaluated(text)
    assert (found.grid, found.block, found.shared) == (grid, block, shared)
    assert found.arguments == (VALUES["a"],)


@pytest.mark.parametrize("text, grid, block, shared", [
    ("mm[(math.ceil(N / 16), (M + 15) // 16), (16, 16)](a)", (3, 5), (16, 16), 0),
    ("mm[M, 64, 0, 4 * N](a)", (70,), (64,), 132),
])
def test_python_lines_compute_as_python_does(text, grid, block, shared):
    found = evaluated(text, NUMBA)
    assert (found.grid, found.block, found.shared) == (grid, block, shared)


def test_arguments_are_values_in_the_order_of_the_line():
    assert evaluated("mm<<<1, 1>>>(M, 2 * K + 1, slope, -N)").arguments == (70, 11, 0.5, -33)
    line = parse("mm<<<1, 1>>>(a, M, N)", "here", CUDA)
    assert line.with_signature("N M a").argument_texts == ("N", "M", "a")
    assert line.with_signature("(N, K * 2)").evaluated(VALUES).arguments == (33, 10)
    assert line.names == {"a", "M", "N"}


@pytest.mark.parametrize("text, language, said", [
    ("mm<<<1>>>(a)", CUDA, "is no launch; write it such as mm<<<dim3"),
    ("mm(a)", CUDA, "is no launch"),
    pytest.param(f"mm<<<{'-' * 100000}1, 1>>>(a)", CUDA, "is no launch", id="deep"),
    ("mm[1, 2](a", NUMBA, "is no launch; write it such as mm[(math"),
    ("mm<<<1, 2>>>(a)", NUMBA, "is no launch"),
    ("mm<<<P, 32>>>(a)", CUDA, "here names P, which is not known here; known are a, M, N, K, slope"),
    ("mm[N / 16, 16](a)", NUMBA, "the grid comes to 2.0625, it has to be one to three whole numbers; in Python `/` gives"),
    ("mm<<<-1, 16>>>(a)", CUDA, "the grid comes to -1"),
    ("mm<<<1, dim3(1, 2, 3, 4)>>>(a)", CUDA, "the block comes to (1, 2, 3, 4)"),
    ("mm<<<1 / 0, 1>>>(a)", CUDA, "cannot be computed"),
    ("mm<<<1e999, 1>>>(a)", CUDA, "the grid comes to inf"),
    ("mm<<<1 << 2000, 1>>>(a)", CUDA, "it has to be one to three whole numbers"),
    ("mm[(1 << 2000) / 3, 1](a)", NUMBA, "cannot be computed"),
    ("mm<<<open('x'), 1>>>(a)", CUDA, "is no function that is known here"),
    ("mm<<<a.__class__, 1>>>(a)", CUDA, "is not understood"),
    ("mm<<<a + 1, 1>>>(a)", CUDA, "computes with an array"),
    ("mm<<<a.shape[5], 1>>>(a)", CUDA, "not a size of an array"),
    ("mm<<<sizeof(int8), 1>>>(a)", CUDA, "sizeof takes float"),
])
def test_what_is_no_launch_is_refused_in_one_line(text, language, said):
    with pytest.raises(ContractError) as refused:
        evaluated(text, language)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_lines_are_found_in_comments():
    text = ("// launch: mm<<<1, 2>>>(a)\nint x; // re-launch: no\n/* launch: k<<<3, 4>>>(b) */\nauto launched = 1;\n"
            "# launch: n[1, 2](a)\n")  # fmt: skip
    assert lines_in(text) == {1: "mm<<<1, 2>>>(a)", 3: "k<<<3, 4>>>(b)", 5: "n[1, 2](a)"}


@pytest.mark.parametrize("language", [CUDA, NUMBA])
def test_the_example_is_a_launch_line(language):
    values = VALUES | {"b": np.zeros(2), "c": np.zeros(2)}
    assert parse(example(language), "here", language).evaluated(values).grid in ((2, 3), (3, 5))


# ---- Triton ---------------------------------------------------------------------------------------------------------------------


def grid(text, meta):
    return evaluated(text, TRITON).grid_of(meta)


def test_a_triton_line_has_a_grid_of_meta_parameters_and_names_arguments():
    line = parse("mm[(triton.cdiv(M, BM), N)](a, K, a.stride(0), BM=32, act='relu', bias=None, num_warps=2)", "here", TRITON)
    found = line.evaluated(VALUES)
    assert found.arguments == (VALUES["a"], 5, 5) and found.named == {"BM": 32, "act": "relu", "bias": None, "num_warps": 2}
    assert found.grid_of({"BM": 32, "a": VALUES["a"]}) == (3, 33) and line.kernel == "mm" and kernel_in("mm[1](a)") == "mm"
    assert line.names >= {"M", "N", "K", "a"} and line.with_signature("K a").argument_texts == ("K", "a")
    assert grid("mm[lambda META: (cdiv(M, META['B']) * 2, 1)](a, B=7)", {"B": 7}) == (20, 1)
    assert grid("mm[M](a)", {"M": 3}) == (70,), "the contract's sizes come before a kernel's arguments of the same name"
    assert evaluated(example(TRITON).replace("b, c", "a, a"), TRITON).named == {"BLOCK": 32, "num_warps": 4}


@pytest.mark.parametrize("text, said", [
    ("mm(a)", "is no launch of a Triton kernel; write it such as mm[(triton.cdiv"),
    ("mm<<<1, 2>>>(a)", "is no launch of a Triton kernel"),
    ("mm[(1,)](*a)", "is no launch of a Triton kernel"),
    ("mm[(1,)](a, **options)", "is no launch of a Triton kernel"),
    ("mm[lambda: (1,)](a)", "a lambda in the grid takes the meta-parameters alone"),
    ("mm[lambda META, more: (1,)](a)", "a lambda in the grid takes the meta-parameters alone"),
    ("mm[lambda META: (META['B'],)](a)", "META['B'] is no number that the launch gives; give it such as B=32"),
    ("mm[(a['B'],)](a)", "names one by a string"),
    ("mm[(1.5,)](a)", "the grid comes to (1.5,)"),
    ("mm[(1, 2, 3, 4)](a)", "the grid comes to (1, 2, 3, 4)"),
    ("mm[(P,)](a)", "here names P, which is not known here"),
    ("mm[(1,)](a.stride(2))", "is no stride of an array with 2 axes"),
    ("mm[(1,)](a, B=open('x'))", "is no function that is known here"),
    ("mm[(1,)](a, type=tl.float32)", "is not understood"),
])
def test_what_is_no_triton_launch_is_refused_in_one_line(text, said):
    with pytest.raises(ContractError) as refused:
        grid(text, {})
    assert said in str(refused.value) and "\n" not in str(refused.value)
