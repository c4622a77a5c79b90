"""Kernels of one's own on trial: right ones pass in every language, each usual mistake fails and is named."""

import numpy as np
import pytest
from tinygan_kernels import ContractError

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import emulator, reference
from tinygan_kernels.cuda.cpp.entries import source_path
from tinygan_kernels.own import diagnosis, judge, read, verify
from tinygan_kernels.verification.cases import Case

ADD = """// launch: add<<<(n + 63) / 64, 64>>>(a, b, y, n)
extern "C" __global__ void add(const float* a, const float* b, float* y, int n) {
    int i = blockIdx.x * 64 + threadIdx.x;
    if (i < n) y[i] = a[i] + b[i];
}
"""
TILED = """// launch: mm<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
__global__ void mm(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[16][16], bs[16][16];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, col = blockIdx.x * 16 + x;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += 16) {
        as[y][x] = row < M && k0 + x < K ? a[row * K + k0 + x] : 0;
        bs[y][x] = k0 + y < K && col < N ? b[(k0 + y) * N + col] : 0;
        __syncthreads();
        for (int k = 0; k < 16; ++k) sum += as[y][k] * bs[k][x];
        __syncthreads();
    }
    if (row < M && col < N) c[row * N + col] = sum;
}
"""
NUMBA = """
from numba import cuda

# launch: axpy[(n + 63) // 64, 64](g, rate, sign, theta)
@cuda.jit
def axpy(g, rate, sign, theta):
    i = cuda.grid(1)
    if i < theta.size:
        theta[i] += sign * rate * g[i]
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="k.cu"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def few(monkeypatch):
    """Few shapes of products: the mistakes show on tiles of 16."""
    monkeypatch.setattr(judge, "TILES", (16,))


@pytest.fixture
def no_extremes(monkeypatch):
    """Leave out the cases of huge and tiny numbers, which say nothing of mistakes that any numbers show."""
    monkeypatch.setattr(judge, "extreme_cases", lambda *of: iter(()))


def without(text, *pieces):
    for piece, other in pieces:
        assert piece in text
        text = text.replace(piece, other, 1)
    return text


# ---- right kernels --------------------------------------------------------------------------------------------------------------


def test_a_right_product_passes_every_case(file, few):
    verdict = verify(file(TILED), as_="matmul")
    assert verdict.ok and verdict.cases > 30 and 0 < verdict.worst <= 1
    assert str(verdict).startswith("ok    k.cu:mm as matmul, float32: ") and "of the bound" in str(verdict)


def test_ptx_and_an_extern_c_kernel_pass(file):
    assert verify(file(ADD), as_="add").ok
    ptx = emulator.RawModule(code=ADD).ptx
    assert verify(file("// launch: add<<<(n + 63) / 64, 64>>>(a, b, y, n)\n" + ptx, "k.ptx"), as_="add").ok


def test_a_numba_update_in_place_passes(file):
    assert verify(file(NUMBA, "u.py"), as_="sgd").ok


def test_the_projects_own_kernels_pass_through_macros_and_templates():
    path = source_path("bias_act")
    launch = "bias_act_v1_{}<<<ceil_div(n, 256), 256>>>(x, b, y, n, channels, act, slope)"
    assert verify(path, as_="bias_act", launch=launch.format("f32")).ok
    assert verify(path, as_="bias_act", launch=launch.format("f64")).dtype == "float64", "as its loads are of 8 bytes"


def test_a_function_and_kernels_made_in_python_are_judged(few):
    module = emulator.RawModule(code=ADD)
    kernel = module.get_function("add")
    assert verify(kernel, as_="add", launch="add<<<(n + 63) / 64, 64>>>(a, b, y, n)").ok

    def product(a, b, c, trans_a, trans_b):
        c[...] = reference.matmul(a, b, trans_a, trans_b)

    def forgets_a_flag(a, b, c, trans_a, trans_b):
        product(a, b, c, trans_a, False) if b.shape[0] == b.shape[1] else product(a, b, c, trans_a, trans_b)

    assert verify(product, as_="matmul").ok
    assert not verify(forgets_a_flag, as_="matmul").ok


def test_fixed_parameters_and_scalars_of_one_number_arrays(file):
    text = """// launch: relu<<<(n + 63) / 64, 64>>>(x, y, n, 0.5f)
    __global__ void relu(const float* x, float* y, int n, float s) { int i = blockIdx.x * 64 + threadIdx.x; if (i < n) y[i] = x[i] > 0 ? x[i] : s * x[i]; }
    // launch: sgd<<<(n + 63) / 64, 64>>>(theta, g, rate, sign, n)
    __global__ void sgd(float* p, const float* g, float rate, int sign, int n) { int i = blockIdx.x * 64 + threadIdx.x; if (i < n) p[i] += sign * rate * g[i]; }
    """  # noqa: E501
    path = file(text)
    assert verify(f"{path}:sgd", as_="sgd").ok, "rate is an array of one number in the contract and a number here"
    fixed = verify(f"{path}:relu", as_="leaky_relu", params={"slope": 0.5})
    assert fixed.ok and fixed.cases > 5
    assert not verify(f"{path}:relu", as_="leaky_relu", params={"slope": 0.25}).ok


# ---- wrong kernels --------------------------------------------------------------------------------------------------------------


FROM_C = "sum = row < M && col < N ? c[row * N + col] : 0"
CHANGES_A = "sum; if (row < M) const_cast<float*>(a)[row * K] += 0.5f; sum = 0"
OTHER_THREAD = "racecheck: shared-memory race: read of bytes written by another thread"


@pytest.mark.parametrize("pieces, said", [
    ([("k0 < K", "k0 + 15 < K")], "terms, less than a tile, are left out"),
    ([("sum += as[y][k] * bs[k][x]", "sum = (k ? sum : 0) + as[y][k] * bs[k][x]")], "it begins anew with each tile"),
    ([("c[row * N + col] = sum", "c[row * N + col] = -sum")], "the negative of what is right"),
    ([("if (row < M && col < N) c", "if (row + 1 < M && col < N) c")], "no thread has written these"),
    ([("        __syncthreads();\n        for", "        for")], OTHER_THREAD),
    ([("if (row < M && col < N) c", "c")], "memcheck: out-of-bounds write of 4 bytes; 0 bytes after the end of c"),
    ([("float sum = 0", f"float {FROM_C}")], "initcheck: read of uninitialised global memory"),
    ([("float sum = 0", f"float {CHANGES_A}")], "a read-only array"),
])
def test_usual_mistakes_in_a_product_are_named(file, few, no_extremes, pieces, said):
    verdict = verify(file(without(TILED, *pieces)), as_="matmul")
    assert not verdict.ok and str(verdict).startswith("WRONG") and said in str(verdict)
    assert "address" not in str(verdict), "which differ from run to run"


def test_a_kernel_that_changes_its_input_is_wrong_in_numba_too(file):
    text = NUMBA.replace("theta[i] +=", "g[i] *= 2\n        theta[i] += 0.5 *")
    verdict = verify(file(text, "u.py"), as_="sgd")
    assert not verdict.ok and "writes to its input g" in str(verdict)


def test_right_numbers_with_a_finding_are_wrong(file):
    text = without(ADD, ("if (i < n)", "float before = y[i < n ? i : 0]; if (before == 1e30f || i < n)"))
    verdict = verify(file(text), as_="add")
    assert not verdict.wrong and verdict.findings and not verdict.ok and "have the right numbers" in str(verdict)


def test_a_failed_assertion_is_said(file):
    verdict = verify(file(without(ADD, ("if (i < n)", "assert(n < 5); if (i < n)"))), as_="add")
    assert "assert" in verdict.error and not verdict.ok and verdict.error in str(verdict)


def test_a_case_is_diagnosed_where_rows_and_columns_are_exchanged():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((16, 16), "f4") for _ in range(2))
    case = Case("matmul", "", (a, b))
    assert diagnosis.diagnosis(case, [a @ b]) == []
    assert "rows and columns of the output are swapped" in diagnosis.diagnosis(case, [(a @ b).T.copy()])[1]
    assert "A read as if stored by columns" in diagnosis.diagnosis(case, [a.T @ b])[1]
    wrong = a @ b
    wrong[3:5, 7] += 1
    (only,) = diagnosis.diagnosis(case, [wrong])
    assert only.startswith("c: 2 of 256 elements are wrong, those of rows 3 to 4 and column 7; c[3, 7] is ")


# ---- what is no kernel for the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, text, options, said", [
    ("k.cu", ADD.split("\n", 1)[1], {}, "no line says how add is launched; write one such as '// launch: add<<<dim3"),
    ("k.cu", "int x;", {}, "there is no kernel (a __global__ function) in it"),
    ("k.cu", ADD.replace("n)\n", "m)\n", 1), {}, "names m, which is not known here; known are a, b, y, n"),
    ("k.cu", ADD.replace("a[i] +", "q[i] +"), {}, 'k.cu(4): error: identifier "q" is undefined'),
    ("k.cu", ADD + ADD.replace("add", "more"), {}, "several launch lines fit (add, more); say which kernel is meant"),
    ("k.cu", ADD, {"as_": "matmul"}, "the launch of add does not name c; matmul takes a, b and gives c"),
    ("k.cu", ADD, {"as_": "nothing"}, "there is no kernel 'nothing' to judge by"),
    ("k.cu", ADD, {"signature": "a b y"}, "(const float* a, const float* b, float* y, int n), and k.cu:1 gives 3"),
    ("k.cu", ADD, {"signature": "a b n y"}, "argument 2 of add is n, the number"),
    ("k.cu", ADD, {"launch": "other<<<1, 1>>>(a, b, y, n)"}, "there is no kernel 'other' in it; it has add"),
    ("k.cu", ADD, {"dtype": "float64"}, "takes arrays of float32"),
    ("k.cu", ADD, {"dtype": "int8"}, "dtype is 'int8'"),
    ("k.cu", ADD, {"params": {"slope": 1}}, "add has no parameter 'slope'"),
    ("k.cu", ADD.replace("const float* a", "const int* a"), {}, "arrays are all float, or all double"),
    ("k.cu", ADD.replace("64>>>", "2048>>>"), {}, "has 2048 threads: 1 to 1024 are possible"),
    ("k.cu", ADD.replace("if (i", "while (*(volatile float*)y != 7) { } if (i"), {}, "does not end, k.cu:4: endless loop"),
    ("k.txt", ADD, {}, "a kernel's file is CUDA C++ (.cu), PTX (.ptx) or Python"),
    ("k.py", "x = 1", {}, "there is no function decorated with @cuda.jit or @triton.jit in it"),
    ("k.py", f"SOURCE = '''{ADD}'''", {}, "there is no function decorated with @cuda.jit or @triton.jit in it"),
    ("k.py", "import nothing_of_that_name", {}, "k.py:1: ModuleNotFoundError"),
    ("k.py", "x = (", {}, "k.py:1: SyntaxError"),
    ("k.py", "raise SystemExit(3)", {}, "k.py:1: SystemExit"),
    ("k.py", NUMBA.replace("theta[i] +=", "theta[i] += rate.none *"), {"as_": "sgd"}, "cannot compile axpy: Unknown attribute"),
    ("k.ptx", "// launch: f<<<1, 1>>>(a, b, y)\nnonsense", {}, "k.ptx: "),
])
def test_what_cannot_be_judged_is_said_in_one_line(file, name, text, options, said):
    path = file(text, name)
    with pytest.raises(ContractError) as refused:
        verify(path, **{"as_": "add", **options})
    assert "\n" not in str(refused.value) and said in str(refused.value)


def test_a_python_kernel_is_asked_for_by_its_plain_name(file):
    with pytest.raises(ContractError, match="no line says how axpy<float> is launched; write one such as '# launch: "):
        verify(f"{file(NUMBA, 'k.py')}:axpy<float>", as_="sgd")


def test_a_missing_file_is_an_os_error_and_other_kernels_type_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "none.cu", as_="add")
    with pytest.raises(TypeError, match="kernel is a int"):
        verify(3, as_="add")
    with pytest.raises(ContractError, match="say how the kernel is launched: launch='mm<<<"):
        verify(emulator.RawModule(code=ADD).get_function("add"), as_="add")


def test_turns_leave_one_thread_enough_and_files_are_read_by_name(file):
    """One thread that computes a whole product runs a few basic blocks for each multiply-add."""
    case = Case("matmul", "", (np.zeros((70, 80)), np.zeros((80, 90))))
    assert judge.turns_for(case) > 8 * 70 * 80 * 90
    own = read(f"{file(ADD + ADD.replace('add', 'more'))}:more")
    assert own.name == "more" and own.title == "k.cu:more" and own.parameter_count == 4


def test_an_element_that_depends_on_its_place_is_told_so():
    """As where a vectorised part and its tail round differently: the numbers of one arrangement say nothing of the other's."""

    def first_is_off(x, y):
        np.exp(x, out=y)
        if y.size and np.isfinite(y.flat[0]):
            y.flat[0] = np.nextafter(y.flat[0], np.float32(1))

    assert "the value of an element depends on its place in the array" in str(verify(first_is_off, "exp"))


class Exp:
    """A callable without a name of its own."""

    def __call__(self, x, y):
        np.exp(x, out=y)


def test_any_callable_is_judged_and_params_it_would_not_see_are_refused():
    assert str(verify(Exp(), "exp")).startswith("ok    Exp as exp")
    with pytest.raises(ContractError, match="leave out launch, signature and params"):
        verify(Exp(), "exp", params={"nonsense": 3})


def test_a_template_without_its_arguments_is_told_how_it_is_launched(file):
    text = ADD.replace('extern "C" __global__', "template <typename T> __global__").replace("float", "T")
    with pytest.raises(ContractError, match="is launched by its full name, such as add<float><<<grid, block>>>"):
        verify(file(text), as_="add")
    assert verify(file(text.replace("add<<<", "add<float><<<")), as_="add").ok
