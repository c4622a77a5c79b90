"""`tinygan kernels` on kernels of one's own: exit codes, and one line for whatever is wrong with the input."""

import io

import pytest
from tinygan_kernels import why_unavailable

from tinygan.cli.keys import Keyboard, command_of
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


def test_a_page_is_written_and_the_projects_versions_are_explained_too(tinygan, tmp_path):
    code, out, err = tinygan("kernels", "explain", "add.cu", "--as", "add", "--html", "add.html")
    assert (code, out, err) == (0, "wrote add.html\n", "")
    text = (tmp_path / "add.html").read_text()
    assert "add.cu:add" in text and 'id="line-4"' in text and '"steps":[{' in text
    code, out, _ = tinygan("kernels", "explain", "bce_logits", "--version", "1", "--shape", "64")
    assert code == 0 and out.startswith("bce_logits, version 1 of cupy: ")
    code, out, err = tinygan("kernels", "explain", "add.cu", "--as", "add", "--html", "none/add.html")
    assert (code, out) == (2, "") and "none/add.html: No such file or directory" in err
    before = (tmp_path / "add.cu").read_text()
    code, out, err = tinygan("kernels", "explain", "add.cu", "--as", "add", "--html", "add.cu")
    assert (code, out) == (2, "") and "--html: add.cu is no name of a page, which ends in .html" in err
    assert (tmp_path / "add.cu").read_text() == before


def test_a_kernel_is_stepped_through(tinygan, monkeypatch):
    code, out, err = tinygan("kernels", "trace", "add.cu", "--as", "add", "--warp", "1", "--block", "2", "0", "0",
                             "--do", "line 4; print i", "--do", "back; end")  # fmt: skip
    assert (code, err) == (0, "")
    assert out.startswith("add.cu:add, a 256, b 256, y 256; warp 1 of 2 in thread block (2, 0, 0)\n[0/")
    assert "> line 4\n" in out and "  0: 160  161  162" in out and out.rstrip().endswith("the warp has ended")
    monkeypatch.setattr("sys.stdin", io.StringIO("next 2\nquit\nnext\n"))
    code, out, _ = tinygan("kernels", "trace", "add.cu", "--as", "add")
    assert code == 0 and out.count("\n> ") == 1 and "[2/" in out
    code, out, _ = tinygan("kernels", "trace", "add.cu", "--as", "add", "--steps", "2", "--do", "end")
    assert code == 0 and "the recording ends at its limit of 2 steps" in out
    code, _, err = tinygan("kernels", "trace", "add.cu", "--as", "add", "--do", "jump")
    assert code == 2 and err.startswith("tinygan: jump: there is no command 'jump'; there are next,") and err.count("\n") == 1


def test_time_is_modelled_and_said_to_be(tinygan):
    launch = "add<<<1, 64>>>(x, b, y, channels)"
    code, out, err = tinygan("kernels", "profile", "add.cu", "--as", "bias_act", "--launch", launch, "--shape", "64", "8",
                             "--param", "act=linear", "--gpu", "a6000")  # fmt: skip
    assert (code, err) == (0, "") and "Modelled time on one RTX A6000 at 1.80 GHz" in out and "A model, not a measurement." in out


def test_a_race_needs_a_gpu(tinygan):
    if reason := why_unavailable("cupy"):
        code, out, err = tinygan("kernels", "bench", "add.cu", "--as", "bias_act", "--param", "act=linear", "--launch",
                                 "add<<<1, 64>>>(x, b, y, rows)")  # fmt: skip
        assert (code, out) == (2, "") and err.startswith("tinygan: a race needs a GPU: ") and "--emulate" not in err, reason


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
    ("profile add", "add is left to array functions"),
    ("profile add.cu --as add --compare 1", "add is left to array functions"),
    ("explain add", "add is left to array functions"),
    ("profile add.cu --as add --shape 3 4", "the shape of add is 1 number: n, such as 65536"),
    ("profile add.cu --as add --backend cupy", "--backend: it says whose versions --compare puts beside a kernel of your own"),
    ("profile matmul --version 2 --compare 3", "--version: --compare names the versions already"),
    ("explain add.cu --as add --backend cupy", "--backend: it is for a kernel of the project's, not for a file"),
    ("trace add.cu --as add --backend cupy", "--backend: it is for a kernel of the project's, not for a file"),
    ("verify add.cu --as add --backend cpu", "--backend: it is for the project's kernels; one of your own runs in the emulator"),
    ("verify add.cu --as add --only add", "--only: it chooses among the project's kernels"),
    ("profile none.cu --as matmul", "none.cu: No such file"),
    ("profile add.cu", "say which kernel of the contract it is to be"),
    ("explain none.cu --as matmul", "none.cu: No such file"),
    ("explain matmull", "there is no kernel 'matmull'"),
    ("explain matmul --version 9", "matmul has versions 1, 2, 3, 4, 5, 6; 9 is not one"),
    ("explain add.cu --as add --version 1", "it is for a kernel of the project's, not for a file"),
    ("explain matmul --launch add<<<1,1>>>(a)", "it is for a kernel of your own"),
    ("explain add.cu --as add --shape 3 4", "the shape of add is 1 number"),
    ("explain add.cu --as add --line 2", "no warp parts there; lines that do: 4"),
    ("trace add.cu --as add --warp 2", "there is no warp 2; the block has warps 0 to 1"),
    ("trace add.cu --as add --block 4", "there is no thread block 4 in the grid (4, 1, 1)"),
    ("trace hang.cu --as add --do end", "does not end"),
    ("trace none.cu --as add", "none.cu: No such file"),
    ("profile add.cu --as bias_act --gpu 3090", "there is no GPU '3090' in the model of time; there are t4"),
    ("profile matmul --gpu 3090", "there is no GPU '3090' in the model of time"),
    ("bench add.cu --as matmull", "there is no kernel 'matmull'"),
    ("bench none.cu --as matmul", "none.cu: No such file"),
    ("explain add.cu", "say which kernel of the contract it is to be"),
    ("explain add.cu --as matmul --shape 3 4", "the shape of matmul is 3 numbers"),
    ("verify nothing", "there is no kernel 'nothing'; the contract has"),
    ("verify nothing --as add", "a kernel's file is CUDA C++"),
    ("verify --as add", "say which file the kernel is in"),
    ("verify add --signature a,b", "it is for a kernel of your own"),
    ("verify add --only mul", "no kernel has 'mul' in its name"),
    ("explain add.cu --as add --shape 4000000000000000000", "is too large for this machine's memory; give smaller sizes"),
    ("profile add.cu --as bias_act --launch add<<<1,1>>>(x,b,y,rows) --param act=linear --shape 4000000000000000000 4",
     "is too large for this machine's memory; give smaller sizes"),
    ("explain add.cu --as add --shape 0", "no global or shared memory is touched and no warp parts; no line of it does"),
    ("profile add.cu --as add --version 2", "it is for a kernel of the project's, not for a file"),
    ("profile matmul --launch mm", "it is for a kernel of your own: give its file, and --as"),
])
def test_wrong_input_is_one_line_and_exit_code_2(tinygan, words, said):
    code, out, err = tinygan("kernels", *words.split())
    assert (code, out) == (2, "") and err.startswith("tinygan: ") and err.count("\n") == 1 and said in err, err


@pytest.mark.parametrize(("keys", "command"), [
    (["\x1b[C"], "next"), (["\x1b[D"], "back"), (["\x1bOC"], "next"), (["\n"], ""), (list("line 9\n"), "line 9"),
    (["p", "x", "\x7f", " ", "i", "\r"], "p i"), (["\x7f", "n", "\n"], "n"), (["n", "\x1b[C", "\n"], "n"),
    (["\x1b[A", "b", "\n"], "b"), ([""], None), (["\x04"], None), (["n", "\x04", "\n"], "n"),
])  # fmt: skip
def test_keys_become_commands(keys, command):
    pressed = iter(keys)
    assert command_of(lambda: next(pressed), lambda text: None) == command


def test_what_is_pasted_is_read_key_by_key_and_nothing_of_it_is_lost():
    read = iter([b"line 9\nprint \xc3\xa4\n\x1b[C\x1b[C\x1b[5~ne", b"xt 2\n", b""])
    keyboard = Keyboard(lambda: next(read))
    commands = iter(lambda: command_of(keyboard.key, lambda text: None), None)
    assert list(commands) == ["line 9", "print \xe4", "next", "next", "next 2"]
