"""The solved set of puzzles trains a GAN: every launch is judged, and the game is that of the contract's own kernels."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from puzzle_answers import SOLUTIONS
from tinygan_kernels import ContractError, load
from tinygan_kernels.puzzles import PUZZLES
from tinygan_kernels.puzzles.answers import WrongAnswer, backend_of, read_answers

from tinygan.exercises.tiny_game import play


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """All twelve, compiled once."""
    folder = tmp_path_factory.mktemp("answers")
    for name, texts in SOLUTIONS.items():
        (folder / f"{name.replace('-', '_')}.cu").write_text(texts[".cu"])
    return read_answers(folder)


@pytest.fixture
def changed(answers, tmp_path):
    """A function that returns the answers, one of them with another text in place of a piece of it."""

    def change(name, piece, other):
        assert piece in SOLUTIONS[name][".cu"]
        (tmp_path / f"{name.replace('-', '_')}.cu").write_text(SOLUTIONS[name][".cu"].replace(piece, other))
        return answers | read_answers(tmp_path)

    return change


def test_all_twelve_run_in_every_step_and_the_game_is_the_references(answers):
    backend, record = backend_of(answers, load("reference"))
    played, right = play(backend, steps=2), play(load("reference"), steps=2)
    assert set(record.launches) == set(PUZZLES) and min(record.launches.values()) >= 2
    assert all(0 <= worst <= 1 for worst in record.worst.values()) and record.worst["adam"] > 0
    assert "launches, at most" in str(record) and str(record).count("\n") == 11
    assert 0 < played.apart(right) < 1e-4, "the numbers are near, and those of other kernels"
    np.testing.assert_allclose(played.values, right.values, rtol=1e-4)
    assert played.values[0] != played.values[1], "the players moved"
    assert play(load("reference"), steps=2, seed=1).apart(right) > 0.01, "another game ends elsewhere"


def test_a_wrong_kernel_ends_the_training_at_its_launch(changed):
    backend, record = backend_of(changed("conv", "i * stride + u - pad", "i * stride + u"), load("reference"))
    with pytest.raises(WrongAnswer, match=r"conv.cu:conv, launched as conv on x \(16, 6, 6, 1\) and w .*times its bound"):
        play(backend, steps=1)
    assert "conv" not in record.launches and record.launches["matmul-async"] == 2


def test_a_race_that_left_the_numbers_right_ends_it_too(changed):
    backend, _ = backend_of(changed("sum", "        __syncthreads();\n", ""), load("reference"))
    with pytest.raises(WrongAnswer, match=r"sum.cu:sum, launched as sum on x .*racecheck"):
        play(backend, steps=1)


def test_an_assertion_of_a_kernel_that_fails_ends_it_too(changed):
    backend, _ = backend_of(changed("sum", "    float own", "    assert(n < 10);\n    float own"), load("reference"))
    with pytest.raises(WrongAnswer, match=r"sum.cu:sum, launched as sum on x .*n < 10"):
        play(backend, steps=1)


def test_adam_goes_on_when_its_correction_has_become_1(answers):
    """1 - 0.5^t is 1 in float32 from t = 25 on."""
    backend, record = backend_of({"adam": answers["adam"]}, load("reference"))
    g = np.linspace(-1, 1, 5, dtype=np.float32)
    for t in (0, 23, 24, 25, 999, 10**6):
        state = [g.copy(), 0.1 * g, np.square(g), np.asarray(t, np.float32)]
        backend.launch("adam", (g, np.float32(0.01)), out=tuple(state), sign=-1, beta1=0.5, beta2=0.9375, eps=1e-4)
        assert state[3] == t + 1
    assert record.launches == {"adam": 6} and 0 < record.worst["adam"] <= 1


def test_kernels_that_are_missing_are_those_of_the_rest(answers):
    some = ("transpose", "matmul-tiled", "leaky-grad")
    backend, record = backend_of({name: answers[name] for name in some}, load("reference"))
    assert play(backend, steps=1).apart(play(load("reference"), steps=1)) < 1e-4
    assert set(record.launches) == set(some)


@pytest.mark.parametrize("name", ["leaky-grad", "sum", "bce-forward", "transpose", "matmul-registers"])
def test_each_answer_runs_without_the_others(answers, name):
    backend, record = backend_of({name: answers[name]}, load("reference"))
    play(backend, steps=1)
    assert set(record.launches) == {name}


def test_float64_is_left_to_the_rest(answers):
    backend, record = backend_of(answers, load("reference"))
    a = np.arange(6.0).reshape(2, 3)
    assert backend.launch("matmul", (a, a), trans_b=True).dtype == np.float64 and not record.launches


def test_a_folder_without_answers_and_one_with_two_of_a_puzzle(tmp_path):
    with pytest.raises(ContractError, match="there is no answer in it; `tinygan puzzles start bias-act"):
        read_answers(tmp_path)
    for name in ("bias_act.cu", "bias-act.py"):
        (tmp_path / name).write_text("")
    with pytest.raises(ContractError, match=r"bias_act.cu and bias-act.py both answer bias-act; keep one"):
        read_answers(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_answers(tmp_path / "none")
