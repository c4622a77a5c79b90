"""Answers to the puzzles on trial: every solution passes, and every usual wrong answer is refused with the right words.

The solutions are in tests/support/puzzle_answers.py, the wrong answers beside them.
"""

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from puzzle_answers import SOLUTIONS
from tinygan_kernels import ContractError
from tinygan_kernels.puzzles import PUZZLES, check
from tinygan_kernels.puzzles.child import check_apart
from wrong_puzzle_answers import WRONG


def planted(text, changes):
    if isinstance(changes, str):
        return changes
    for piece, other in changes:
        assert piece in text, piece
        text = text.replace(piece, other, 1)
    return text


def judged(name, suffix, text, folder):
    path = folder / f"answer{suffix}"
    path.write_text(text)
    return check(name, path)


ANSWERS = [(name, suffix) for name, answers in SOLUTIONS.items() for suffix in answers]


def test_every_puzzle_has_a_solution_in_each_of_its_languages():
    assert {(name, suffix) for name, puzzle in PUZZLES.items() for suffix in puzzle.skeletons} == set(ANSWERS)


@pytest.mark.parametrize(("name", "suffix"), ANSWERS)
def test_the_solution_passes_and_the_skeleton_does_not(name, suffix, tmp_path):
    verdict = judged(name, suffix, SOLUTIONS[name][suffix], tmp_path)
    assert verdict.passed and str(verdict) == f"solved. {PUZZLES[name].praise}", verdict
    assert not judged(name, suffix, PUZZLES[name].skeletons[suffix], tmp_path).passed


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_answer_is_refused_with_the_right_words(number, tmp_path):
    name, suffix, changes, words = WRONG[number]
    verdict = judged(name, suffix, planted(SOLUTIONS[name][suffix], changes), tmp_path)
    missing = [word for word in words if word not in verdict.message]
    assert not verdict.passed and not missing, f"{verdict}\n{missing}"


@pytest.mark.parametrize("name", PUZZLES)
def test_each_puzzle_refuses_at_least_four_wrong_answers(name):
    assert sum(wrong[0] == name for wrong in WRONG) >= 4


def test_what_numba_does_not_have_is_asked_for_in_cuda(tmp_path):
    with pytest.raises(ContractError, match=r"Numba CUDA does not have what matmul-async is about; write it in CUDA C\+\+"):
        judged("matmul-async", ".py", SOLUTIONS["matmul-tiled"][".py"], tmp_path)


def test_a_process_that_ends_without_a_verdict_is_told(tmp_path):
    (tmp_path / "a.py").write_text("import os; os._exit(3)")
    with pytest.raises(ContractError, match=r"its process ended before there was a verdict \(exit code 3\)"):
        check_apart("sum", tmp_path / "a.py")


@pytest.mark.parametrize("name", PUZZLES)
def test_the_cases_are_of_many_shapes_and_not_always_square(name):
    shapes = {PUZZLES[name].expected(case)[0][0].shape or case.inputs[0].shape for case in PUZZLES[name].cases()}
    assert len(shapes) >= 5 and 1 in {size for shape in shapes for size in shape}
    sides = [shape[1:3] if len(shape) == 4 else shape for shape in shapes if len(shape) > 1]
    assert not sides or (any(high > wide for high, wide in sides) and any(high < wide for high, wide in sides))
