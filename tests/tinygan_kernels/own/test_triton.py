"""Triton kernels of one's own: judged, profiled, explained, traced and raced; what cannot be is said in one line."""

import numpy as np
import pytest
from tinygan_kernels import KERNELS, ContractError

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.own import diagnosis, judge, kernel_file, read, triton_kernel, verify
from tinygan_kernels.verification.cases import Case

FILE = """
import triton
import triton.language as tl

# launch: add[(triton.cdiv(n, BLOCK),)](a, b, y, n, BLOCK=64, num_warps=2)
@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


# launch: tuned[lambda META: (triton.cdiv(n, META["BLOCK"]),)](a, b, y, n)
@triton.autotune(configs=[triton.Config({"BLOCK": 64}, num_warps=2), triton.Config({"BLOCK": 128})], key=["n"])
@triton.heuristics({"EVEN": lambda given: given["n"] % given["BLOCK"] == 0})
@triton.jit
def tuned(x, y, out, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if EVEN:
        tl.store(out + at, tl.load(x + at) + tl.load(y + at))
    else:
        tl.store(out + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


# launch: sgd[(triton.cdiv(n, 128),)](g, rate, sign, theta, n, BLOCK=128)
@triton.jit
def sgd(g, rate, sign, theta, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(theta + at, tl.load(theta + at, mask=at < n) + sign * rate * tl.load(g + at, mask=at < n), mask=at < n)


# launch: mm[(triton.cdiv(M, 16), triton.cdiv(N, 16))](a, b, c, M, N, K, a.stride(0), b.stride(0), N, BLOCK=16, num_warps=1)
@triton.jit
def mm(a, b, c, m, n, k, sa, sb, sc, BLOCK: tl.constexpr):
    row, inner = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, BLOCK)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, k, BLOCK):
        at = start + inner
        left = tl.load(a + row[:, None] * sa + at[None, :], mask=(row[:, None] < m) & (at[None, :] < k), other=0.0)
        right = tl.load(b + at[:, None] * sb + column[None, :], mask=(at[:, None] < k) & (column[None, :] < n), other=0.0)
        total += tl.dot(left, right, input_precision="ieee")
    tl.store(c + row[:, None] * sc + column[None, :], total, mask=(row[:, None] < m) & (column[None, :] < n))
"""


@pytest.fixture
def file(tmp_path):
    def write(*pieces, text=FILE):
        for piece, other in pieces:
            assert piece in text
            text = text.replace(piece, other, 1)
        path = tmp_path / "k.py"
        path.write_text(text)
        return path

    return write


needs_triton = pytest.mark.skipif(kernel_file.find_spec("triton") is None, reason="needs Triton: the extra [triton]")


@needs_triton
def test_right_kernels_pass_with_meta_parameters_autotuner_heuristics_and_updates_in_place(file):
    path = file()
    for name, kernel in (("add", "add"), ("tuned", "add"), ("sgd", "sgd")):
        verdict = verify(f"{path}:{name}", as_=kernel)
        assert verdict.ok and verdict.cases >= 9, str(verdict)
    kernel = read(f"{path}:add").function
    assert verify(kernel, as_="add", launch="add[(cdiv(n, 32),)](a, b, y, n, BLOCK=32, num_warps=1)").ok


@needs_triton
@pytest.mark.parametrize("name, kernel, pieces, said", [
    ("add", "add", [("+ tl.load(y", "- tl.load(y")], "elements are wrong"),
    ("add", "add", [("tl.load(x + at, mask=at < n)", "tl.load(x + at)")], "memcheck: out-of-bounds read of 4 bytes"),
    ("mm", "matmul", [(', input_precision="ieee"', "")], "the operands are rounded to TF32, as on tensor cores"),
    ("sgd", "sgd", [("128),)](g, rate, sign, theta, n, BLOCK=128)", "64),)](g, rate, sign, theta, n, BLOCK=64)")],
     "give the launch fewer warps, or a larger tile"),
])
def test_wrong_kernels_are_named(file, monkeypatch, name, kernel, pieces, said):
    monkeypatch.setattr(judge, "TILES", (16,))
    verdict = verify(f"{file(*pieces)}:{name}", as_=kernel)
    assert not verdict.ok and said in str(verdict)


@needs_triton
def test_a_product_is_profiled_explained_and_traced(file):
    from tinygan_kernels.own import explain_line, own_subject, profile, traced
    from tinygan_kernels.own.profiles import modelled_time

    path = f"{file()}:mm"
    (found,) = profile(path, "matmul", shape=(32, 32, 32), arch="sm_86")
    (launch,) = found.launches
    assert (launch.blocks, launch.threads) == (4, 32) and found.compiled[0].registers > 0
    assert found.compiled[0].shared == launch.dynamic_shared > 0, "tl.dot has its operands in shared memory"
    assert any("tl.dot" in line.text for line in found.hot)
    (time,), said = modelled_time(path, "matmul", "h100", shape=(32, 32, 32))
    assert time.total > 0 and time.blocks == 4 and "H100 SXM" in said, "which is compiled for sm_90a"
    assert "tl.load(a +" in explain_line(path, "matmul", line=39, shape=(32, 32, 32)).text
    trace = traced(own_subject(path, "matmul", shape=(32, 32, 32), debug=True))
    assert trace.warps == 1 and trace.to_line(40) and trace.line == 40


@needs_triton
def test_a_race_launches_it_by_tritons_own_driver_on_arrays_with_an_address(file, monkeypatch):
    from tinygan_kernels import emulator
    from tinygan_kernels.own.gpu_race import own_side
    from tinygan_kernels.own.host import OwnHost
    from tinygan_kernels.profiling.calls import KernelCall

    class Addressed:
        """An array of a GPU, which NumPy cannot take for one of its own."""

        def __init__(self, array):
            self.array, self.dtype, self.shape = array, array.dtype, array.shape
            self.__cuda_array_interface__ = array.__array_interface__

        def reshape(self, shape):
            return Addressed(self.array.reshape(shape))

    made = KernelCall("add", ((100,), (100,)), ((100,),), {})
    side = own_side(OwnHost(read(f"{file()}:add"), KERNELS["add"]), made, None)
    a, b, y = (np.arange(100, dtype=np.float32) + i for i in range(3))
    monkeypatch.setattr("tinygan_kernels.emulator.host.triton_context._address", addressed)
    with emulator.triton():
        side([Addressed(a), Addressed(b)], [Addressed(y)])
    np.testing.assert_array_equal(y, a + b)


def addressed(name, value, arrays):
    """Stand for a driver that takes an address and looks no further."""
    arrays.append((value.array.array, name))
    return np.uint64(value.data_ptr())


@needs_triton
@pytest.mark.parametrize("pieces, name, options, said", [
    ([("# launch: add", "# add")], "add", {},
     "no line says how add is launched; write one such as '# launch: add[(triton.cdiv(M, 32)"),
    ([(", BLOCK=64, num_warps=2)", ")")], "add", {}, "takes (x, y, out, n, BLOCK), and k.py:5 gives no BLOCK"),
    ([("n, BLOCK=64", "n, 64, BLOCK=64")], "add", {}, "and k.py:5 gives BLOCK twice"),
    ([("n, BLOCK=64", "n, 64, 3, 4")], "add", {}, "and k.py:5 gives 7 arguments (a, b, y, n, 64, 3, 4)"),
    ([("num_warps=2", "num_warp=2")], "add", {}, "Keyword argument num_warp was specified but unrecognised"),
    ([("num_warps=2", "num_warps=3")], "add", {}, "Triton cannot launch add: "),
    ([("tl.load(x + at, mask=at < n)", "tl.load(x + at, mask=at < n).no")], "add", {}, "'tensor' object has no attribute 'no'"),
    ([("[(triton.cdiv(n, BLOCK),)]", "[(n / 2,)]")], "add", {}, "the grid comes to (0.5,)"),
    ([], "", {}, "several launch lines fit (add, tuned, sgd, mm); say which kernel is meant"),
    ([], "other", {}, "there is no kernel 'other' in it; it has add, tuned, sgd, mm"),
    ([], "add", {"signature": "a b y"}, "gives no n"),
    ([("    at = tl.program_id", "    while tl.load(out, volatile=True) != 7.0:\n        pass\n    at = tl.program_id")], "add", {},
     "does not end, k.py:"),
    ([("import triton\n", "import triton\nraise OSError('gone')\n")], "add", {}, "k.py:3: OSError: gone"),
])
def test_what_cannot_be_judged_is_said_in_one_line(file, pieces, name, options, said):
    path = file(*pieces)
    with pytest.raises(ContractError) as refused:
        verify(f"{path}:{name}" if name else path, as_="add", **options)
    assert "\n" not in str(refused.value) and said in str(refused.value)


@needs_triton
def test_an_interpreted_kernel_is_refused(file, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ContractError, match="TRITON_INTERPRET is set, so that Triton compiles nothing"):
        read(f"{file()}:add")


def test_without_triton_one_line_says_what_to_install(file, monkeypatch):
    monkeypatch.setattr(kernel_file, "find_spec", lambda name: None)
    with pytest.raises(ContractError, match=r"k.py: Triton kernels need Triton: pip install -e '.\[triton\]'"):
        verify(f"{file()}:add", as_="add")


def test_nothing_is_a_triton_kernel_where_nothing_has_imported_it(monkeypatch):
    monkeypatch.delitem(triton_kernel.sys.modules, "triton.runtime.jit", raising=False)
    assert not triton_kernel.is_triton(test_without_triton_one_line_says_what_to_install)


def test_products_in_tf32_are_told_from_others():
    """With NumPy alone: operands that keep 10 bits, cut off and rounded."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((8, 8), np.float32) for _ in range(2))
    for half in (0, 1 << 12):
        kept = [((x.view(np.uint32).astype(np.int64) + half) & ~0x1FFF).astype(np.uint32).view(np.float32) for x in (a, b)]
        for flag in (False, True):
            left = kept[0].T if flag else kept[0]
            case = Case("matmul", "", (a, b), params={"trans_a": flag})
            assert "rounded to TF32" in diagnosis.diagnosis(case, [left @ kept[1]])[1]
            (only,) = diagnosis.diagnosis(case, [np.float32(1.001) * (left @ kept[1])])
            assert "elements are wrong" in only
