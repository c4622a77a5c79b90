"""The recipes "An op", "An objective" and "A layer" in CONTRIBUTING.md: their examples work, and a forgotten place is found."""

import re

import pytest
from project_copy import ROOT, copy_of, pytest_in, python

OPS, CASES, OPS_TESTS = "tinygan/engine/ops/elementwise.py", "tinygan/theory/gradient_cases.py", "tests/tinygan/engine/test_ops.py"
STUB, OPERATIONS_TESTS = "tinygan/engine/ops/__init__.pyi", "tests/tinygan/engine/test_operations.py"
OBJECTIVES, FORMULAS = "tinygan/game/objectives.py", "tests/tinygan/game/test_objectives.py"
MOVES = "tests/tinygan/game/test_moves.py"


def blocks(recipe):
    """The code blocks of a recipe, by their first line, which names the place."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.search(rf"^## {recipe}\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)[1]
    return dict(re.findall(r"```python\n# (\S+\.py.*?)\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def copy(tmp_path):
    folders = ("tinygan", "benchmarks/docs", "tests/support", "tests/tinygan/engine", "tests/tinygan/game")
    return copy_of(tmp_path, folders, ("pyproject.toml", "setup.py", "benchmarks/__init__.py"))


def insert(path, after, text):
    """Put text behind the only line that begins with `after`."""
    lines = path.read_text().splitlines(keepends=True)
    at = [i for i, line in enumerate(lines) if line.startswith(after)]
    assert len(at) == 1, f"{path.name} has {len(at)} lines that begin with {after!r}"
    path.write_text("".join([*lines[: at[0] + 1], text, *lines[at[0] + 1 :]]))


def append(path, text):
    path.write_text(f"{path.read_text()}\n\n{text}")


def passed(done, path):
    """Return how many tests of a file passed, of a pytest with -rp."""
    return len(re.findall(rf"^PASSED {path}::", done.stdout, re.MULTILINE))


# ---- an op ----------------------------------------------------------------------------------------------------------------------


def add_op(copy, text):
    append(copy / OPS, text)


def test_an_op_takes_two_places(copy):
    """Two of its tests are those of the stub, which a command writes."""
    places = blocks("An op")
    assert set(places) == {OPS, f"{CASES}: _numbers"}
    add_op(copy, places[OPS])
    insert(copy / CASES, '    """Tensors with Python numbers on either side', places[f"{CASES}: _numbers"])
    done = python(copy, "-m", "benchmarks.docs.stubs")
    assert done.returncode == 0 and "def cubed(x: Operand) -> Tensor: ...\n" in (copy / STUB).read_text(), done.stderr
    done = pytest_in(copy, OPS_TESTS, OPERATIONS_TESTS, "-k", "without_a_case or cubed or stub", "-rp")
    assert done.returncode == 0 and passed(done, OPS_TESTS) == 8 and passed(done, OPERATIONS_TESTS), done.stdout + done.stderr
    use = "from tinygan.ops import cubed; import tinygan; print(tinygan.ops.cubed is cubed)"
    assert python(copy, "-c", use).stdout == "True\n"


def test_an_op_without_its_case_and_its_stub_fails_a_test_for_each_that_names_what_to_do(copy):
    """A case of its derivative is added to a file, and the stub, from which type checkers know of it, is written by a command."""
    add_op(copy, blocks("An op")[OPS])
    done = pytest_in(copy, OPS_TESTS, OPERATIONS_TESTS, "-k", "test_no_op_is_without_a_case or up_to_date")
    assert done.returncode == 1 and "2 failed" in done.stdout, done.stdout
    assert re.search(r"no gradient check for cubed: add a case .* to \S*theory/gradient_cases\.py", done.stdout), done.stdout
    assert "out of date; run python -m benchmarks.docs.stubs" in done.stdout, done.stdout


def test_a_wrong_vjp_in_the_example_fails_its_case(copy):
    places = blocks("An op")
    add_op(copy, places[OPS].replace("3.0 * g * x", "3.001 * g * x"))
    insert(copy / CASES, '    """Tensors with Python numbers on either side', places[f"{CASES}: _numbers"])
    done = pytest_in(copy, OPS_TESTS, "-k", "cubed and first_and_second_order")
    assert done.returncode == 1 and "cubed: (3, 4), order 1: FAILED" in done.stdout, done.stdout


# ---- an objective ---------------------------------------------------------------------------------------------------------------


def add_objective(copy, places):
    path = copy / OBJECTIVES
    path.write_text(path.read_text().replace("\n\ndef _margin(", f"\n\n{places[OBJECTIVES]}\n\ndef _margin("))
    insert(path, "OBJECTIVES: dict[str, Objective] = {", places[f"{OBJECTIVES}: OBJECTIVES"])


def test_an_objective_takes_two_places(copy):
    places = blocks("An objective")
    assert set(places) == {OBJECTIVES, f"{OBJECTIVES}: OBJECTIVES", f"{FORMULAS}: FORMULAS"}
    add_objective(copy, places)
    insert(copy / FORMULAS, '    "relativistic": (', places[f"{FORMULAS}: FORMULAS"])
    done = pytest_in(copy, FORMULAS, MOVES, "-k", "test_objectives or relativistic-hinge", "-rp")
    assert done.returncode == 0 and passed(done, FORMULAS) and passed(done, MOVES), done.stdout + done.stderr
    (copy / "t.csv").write_text("a,b\n1,2\n3,5\n4,4\n6,1\n2,2\n7,3\n")
    train = ["train", "t.csv", "--objective", "relativistic-hinge", "--steps", "3", "--batch", "4", "--backend", "reference"]
    done = python(copy, "-m", "tinygan", *train)
    assert done.returncode == 0 and "step 3" in done.stdout, done.stdout + done.stderr


def test_an_objective_without_its_formula_fails_a_test_that_names_the_place(copy):
    add_objective(copy, blocks("An objective"))
    done = pytest_in(copy, FORMULAS)
    assert done.returncode == 1 and "1 failed" in done.stdout, "one test says it, and no other fails beside it"
    assert re.search(r"\['relativistic-hinge'\] has no formula: .* to FORMULAS in \S*test_objectives\.py", done.stdout), done.stdout


# ---- a layer --------------------------------------------------------------------------------------------------------------------

USE = """
from tinygan import Tensor
draw = lambda: Tensor(made["rng"].standard_normal((4, 2), np.float32), made["backend"])
values = lambda: [t.numpy().copy() for player in (D, G) for t in player.parameters().values()]
before = values()
game.alternating_step(draw, draw)
print([bool((new != old).any()) for new, old in zip(values(), before, strict=True)])
"""


def test_a_layer_that_holds_layers_takes_no_place(tmp_path):
    places = blocks("A layer")
    assert set(places) == {"residual.py"}
    (tmp_path / "residual.py").write_text(places["residual.py"] + USE)
    done = python(ROOT, tmp_path / "residual.py")
    names = re.search(r"print\(\*D\.parameters\(\)\)  # (.*)", places["residual.py"])[1]
    moved = [True] * (6 + 4)  # all parameters of D, all of G
    assert done.stdout.splitlines() == [names, str(moved)], done.stdout + done.stderr
