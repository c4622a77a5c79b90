"""`tinygan kernels` on kernels of one's own: exit codes, and one line for whatever is wrong with the input."""

import pytest
from tinygan_kernels import why_unavailable

from tinygan.cli.main import run

pytestmark = pytest.mark.skipif(
    why_unavailable("cupy", emulate=True) is not None, reason="needs Numba CUDA: pip install -e '.[emulator]'"
)

ADD = """// launch: add<<<(n + 63) / 64, 64>>>(a, b, y, n)
__global__ void add(const float* a, const float* b, float* y, int n) {
    int i = blockIdx.x * 64 + threadIdx.x;
    if (i < n) y[i] = a[i] + b[i];
}
"""


@pytest.fixture
def tinygan(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with add.cu, which is right, and wrong.cu; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "add.cu").write_text(ADD)
    (tmp_path / "wrong.cu").write_text(ADD.replace("+ b[i]", "- b[i]"))
    (tmp_path / "hang.cu").write_text(ADD.replace("if (i < n)", "while (*(volatile float*)y != 7) { } if (i < n)"))

    def command(*words):
        code = run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_right_kernel_exits_with_0_and_a_wrong_one_with_1(tinygan):
    code, out, err = tinygan("kernels", "verify", "add.cu", "--as", "add")
    assert (code, err) == (0, "") and out.startswith("ok    add.cu:add as add, float32: 9 cases, at most ")
    code, out, err = tinygan("kernels", "verify", "wrong.cu:add", "--as", "add")
    assert (code, err) == (1, "") and out.startswith("WRONG wrong.cu:add as add, float32: ") and "elements are wrong" in out


def test_signature_launch_and_parameters_reach_the_judge(tinygan):
    assert tinygan("kernels", "verify", "add.cu", "--as", "add", "--signature", "b a y n")[0] == 0
    assert tinygan("kernels", "verify", "add.cu", "--as", "add", "--launch", "add<<<n, 64>>>(a, b, y, n)")[0] == 0
    launch = "add<<<(n + 63) / 64, 64>>>(x, x, y, n)"
    code, out, _ = tinygan("kernels", "verify", "add.cu", "--as", "power", "--launch", launch, "--param", "exponent=1")
    assert code == 1 and "but exponent 1" in out


def test_a_line_is_explained(tinygan):
    launch = "add<<<(n + 63) / 64, 64>>>(s, t, ds, n) "
    code, out, err = tinygan("kernels", "explain", "add.cu", "--as", "bce_logits", "--launch", launch + ";", "--shape", "40")
    assert (code, out) == (2, "") and "does not name loss" in err
    launch = "add<<<(n + 63) / 64, 64>>>(s, t, ds, loss.size * n)"
    code, out, _ = tinygan("kernels", "explain", "add.cu", "--as", "bce_logits", "--launch", launch, "--shape", "40", "--line", "4")
    assert code == 0 and out.startswith("add.cu:add, line 4: if (i < n) y[i] = a[i] + b[i];")
    assert out.count("4 bytes a lane: 4 sectors where 4 would do") == 2, "loads, which are alike, and a store"


def test_a_kernel_of_the_project_is_verified_by_its_name(tinygan):
    code, out, _ = tinygan("kernels", "verify", "neg", "--backend", "reference")
    assert code == 0 and out.splitlines()[-1] == "2 of 2 right" and "neg 1 float32" in out


@pytest.mark.parametrize("words, said", [
    ("verify none.cu --as add", "none.cu: No such file"),
    ("verify . --as add", "a kernel's file is CUDA C++ (.cu)"),
    ("verify add.cu", "add.cu: say which kernel of the contract it is to be, such as --as matmul"),
    ("verify add.cu --as sum2", "there is no kernel 'sum2' to judge by"),
    ("verify add.cu:sub --as add", "there is no kernel 'sub' in it; it has add"),
    ("verify add.cu --as matmul", "the launch of add does not name c"),
    ("verify add.cu --as add --signature a,b,y", "and add.cu:1 gives 3 (a, b, y)"),
    ("verify add.cu --as add --param slope", "'slope' is not NAME=VALUE"),
    ("verify hang.cu --as add", "kernel add does not end, hang.cu:4: endless loop"),
    ("profile add.cu --as add", "add is left to array functions"),
    ("profile none.cu --as matmul", "none.cu: No such file"),
    ("profile add.cu", "say which kernel of the contract it is to be"),
    ("explain none.cu --as matmul", "none.cu: No such file"),
    ("explain add.cu", "say which kernel of the contract it is to be"),
    ("explain add.cu --as matmul --shape 3 4", "the shape of matmul is 3 numbers"),
    ("verify nothing", "there is no kernel 'nothing'; the contract has"),
    ("verify nothing --as add", "a kernel's file is CUDA C++"),
    ("verify --as add", "say which file the kernel is in"),
    ("verify add --signature a,b", "it is for a kernel of your own"),
    ("verify add --only mul", "no kernel has 'mul' in its name"),
])
def test_wrong_input_is_one_line_and_exit_code_2(tinygan, words, said):
    code, out, err = tinygan("kernels", *words.split())
    assert (code, out) == (2, "") and err.startswith("tinygan: ") and err.count("\n") == 1 and said in err, err
