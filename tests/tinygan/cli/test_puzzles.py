"""`tinygan puzzles`: what is said, where files go, and that whatever cannot be judged is told in one line, with exit code 2."""

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from puzzle_answers import SOLUTIONS
from tinygan_kernels.puzzles import PUZZLES

from tinygan.cli import run

SUM = SOLUTIONS["sum"][".cu"]
LINE, BODY = SUM.split("\n", 1)
BODY_OF_TWO = SUM.replace("float* y, int n) {", "float* y) { const int n = 3;")


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def by(*words):
        code = run(["puzzles", *words])
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return by


def test_the_list_names_all_in_their_order(said):
    code, out, _ = said()
    assert code == 0 and out == said("list")[1]
    assert [line.split()[0] for line in out.splitlines()[: len(PUZZLES)]] == list(PUZZLES)


@pytest.mark.parametrize("name", PUZZLES)
def test_show_has_task_picture_and_limits_and_no_hints(said, name):
    puzzle = PUZZLES[name]
    code, out, _ = said("show", name)
    assert code == 0 and puzzle.task in out and str(puzzle.picture) in out and all(limit.rule in out for limit in puzzle.limits)
    assert ("Numba CUDA has no instruction for it" in out) == (".py" not in puzzle.skeletons)
    assert puzzle.hints and not any(hint in out for hint in puzzle.hints)


@pytest.mark.parametrize("name", ["bias-act", "matmul-async"])
def test_hints_come_one_by_one(said, name):
    puzzle = PUZZLES[name]
    for number, hint in enumerate(puzzle.hints, 1):
        code, out, _ = said("hint", name, *((str(number),) if number > 1 else ()))
        assert code == 0 and out.startswith(f"{number} of {len(puzzle.hints)}: {hint}\n")
        assert not any(other in out for other in puzzle.hints if other != hint)
        assert (f"hint {name} {number + 1}" in out) == (number < len(puzzle.hints))
    assert said("hint", name, str(len(puzzle.hints) + 1))[0] == 2


def test_start_writes_the_skeleton_and_never_over_a_file(said, tmp_path):
    assert said("start", "bias-act")[0] == 0
    assert (tmp_path / "bias_act.cu").read_text() == PUZZLES["bias-act"].skeletons[".cu"]
    code, _, err = said("start", "bias-act")
    assert code == 2 and err == "tinygan: bias_act.cu is there already, and is left as it is; name another file\n"
    assert said("start", "sum", "mine.py")[0] == 0
    assert (tmp_path / "mine.py").read_text() == PUZZLES["sum"].skeletons[".py"]
    code, _, err = said("start", "matmul-async", "mm.py")
    assert code == 2 and "matmul-async is written in CUDA C++ (.cu)" in err and not (tmp_path / "mm.py").exists()


def test_a_solution_is_solved_and_a_wrong_answer_is_not_yet(said, tmp_path):
    (tmp_path / "a.cu").write_text(SUM)
    assert said("check", "sum", "a.cu") == (0, f"sum: solved. {PUZZLES['sum'].praise}\n", "")
    (tmp_path / "a.cu").write_text(SUM.replace("half = 128", "half = 64"))
    code, out, err = said("check", "sum", "a.cu")
    assert code == 1 and out.startswith("sum: not yet. ") and "the upper half of the tile is left out" in out and not err


@pytest.mark.parametrize(("name", "file", "text", "words"), [
    ("add", "a.cu", SUM, "there is no puzzle 'add'; there are bias-act, "),
    ("sum", "none.cu", None, "none.cu: No such file"),
    ("sum", "a.txt", SUM, "a kernel's file is CUDA C++ (.cu), PTX (.ptx) or Python"),
    ("sum", "a.cu", "int main() {}", "there is no kernel"),
    ("sum", "a.cu", BODY, "no line says how sum is launched"),
    ("sum", "a.cu", SUM.replace("+= x[i]", "+= x[i"), "error: "),
    ("sum", "a.cu", BODY_OF_TWO, "takes 2 arguments"),
    ("sum", "a.cu", SUM.replace("(x, y, n)", "(x, n, y)"), "argument 1 of sum is n"),
    ("sum", "a.cu", SUM.replace("(x, y, n)", "(x, z, n)"), "does not name y"),
    ("sum", "a.cu", SUM.replace("float", "double"), "arrays of float64"),
    ("sum", "a.cu:product", SUM, "there is no kernel 'product'"),
    ("sum", "a.cu", LINE + "\n" + BODY.replace("i += 256", "i += 0"), "a.cu:sum, at n = 1"),
], ids=lambda value: value[:20] if isinstance(value, str) and value.isascii() and "\n" not in value else "text")  # fmt: skip
def test_what_cannot_be_judged_is_told_in_one_line(said, tmp_path, name, file, text, words):
    if text is not None:
        (tmp_path / file.partition(":")[0]).write_text(text)
    code, out, err = said("check", name, file)
    assert (code, out) == (2, "") and words in err and err.startswith("tinygan: ") and err.count("\n") == 1, err


def test_a_python_file_that_never_ends_is_ended_and_what_it_prints_is_shown(said, tmp_path):
    (tmp_path / "a.py").write_text("import time; time.sleep(99)")
    code, _, err = said("check", "sum", "a.py", "--seconds", "1")
    assert code == 2 and "a.py: it was not done after 1 seconds, and was ended" in err
    (tmp_path / "a.py").write_text("print('here')\n" + PUZZLES["sum"].skeletons[".py"])
    code, out, err = said("check", "sum", "a.py")
    assert (code, err) == (1, "here\n") and out.startswith("sum: not yet. ")


def test_train_ends_a_python_file_that_never_ends_or_ends_the_process(said, tmp_path):
    (tmp_path / "sum.py").write_text("import time; time.sleep(99)")
    code, _, err = said("train", ".", "--seconds", "1")
    assert code == 2 and err.startswith("tinygan: sum.py: it was not done after 1 seconds, and was ended") and err.count("\n") == 1
    (tmp_path / "leaky_grad.py").write_text("a file without a kernel")
    (tmp_path / "sum.py").write_text("import os; os._exit(3)")
    code, _, err = said("train", ".")
    assert code == 2 and err == "tinygan: sum.py: its process ended before its kernel was read (exit code 3)\n"


def test_train_says_which_kernels_are_missing_and_which_is_wrong(said, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygan_kernels.load", lambda name: pytest.importorskip("tinygan_kernels.reference").backend())
    (tmp_path / "sum.cu").write_text(SUM)
    code, out, _ = said("train", ".", "--steps", "1")
    assert code == 1 and "not yet. 1 of 12 kernels are yours" in out and out.startswith("sum     2 launches, ")
    (tmp_path / "sum.cu").write_text(SUM.replace("half = 128", "half = 4"))
    code, out, _ = said("train", ".", "--steps", "1")
    assert code == 1 and out.startswith("not yet. sum.cu:sum, launched as sum on x (16,): an error of")
    for name, answers in SOLUTIONS.items():
        (tmp_path / f"{name.replace('-', '_')}.cu").write_text(answers[".cu"])
    code, out, _ = said("train", ".", "--steps", "1")
    assert code == 0 and out.endswith("solved. A GAN was trained by your kernels.\n") and "V at each step" in out
    code, _, err = said("train", ".", "--steps", "0")
    assert code == 2 and err.count("\n") == 1
    code, _, err = said("train", "none")
    assert code == 2 and "none: No such file or directory" in err
