"""The recipe "A kind of data" in CONTRIBUTING.md: its example, put into a copy of the project, works as the recipe says."""

import re

import pytest
from project_copy import ROOT, copy_of, pytest_in, python

KINDS, TESTS = "tinygan/data/kinds/__init__.py", "tests/tinygan/data/test_kinds.py"


def blocks():
    """The code blocks of the recipe, by the place that their first line names."""
    recipe = re.search(r"^## A kind of data\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    found = re.findall(r"```python\n# (\S+\.py).*?\n(.*?)```", recipe, re.DOTALL)
    return dict(found)


@pytest.fixture
def copy(tmp_path):
    """A copy of the project to which the recipe was applied."""
    places = blocks()
    assert set(places) == {"tinygan/data/kinds/dice.py", KINDS, TESTS}
    copy_of(tmp_path, ("tinygan", "tests/support", "tests/tinygan/data"), ("pyproject.toml",))
    (tmp_path / "tinygan/data/kinds/dice.py").write_text(places["tinygan/data/kinds/dice.py"])
    added, line = places[KINDS].strip().split("\n\n")
    replace(tmp_path / KINDS, line.replace(", Dice)", ")"), line)
    replace(tmp_path / KINDS, "from .images", f"{added}\nfrom .images")
    replace(tmp_path / TESTS, "EXAMPLES = {\n", f"EXAMPLES = {{\n{places[TESTS]}")
    return tmp_path


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new))


USE = """
from tinygan.cli.main import run
from tinygan.data import known_data
assert run("train a.dice --throws 2 --steps 3 --batch 4 --backend reference --out run".split()) == 0
assert run("sample run -n 5 -o b.dice --backend reference".split()) == 0
assert run("evaluate run --backend reference".split()) == 0
assert run("train ring --throws 2".split()) == 2
assert run("train a.dice --throws 0".split()) == 2
assert run("train --help".split()) == 0
print(known_data())
"""


def test_the_example_works_from_training_to_pictures(copy):
    (copy / "a.dice").write_text("1 2 3\n6 5 4\n" * 10)
    done = python(copy, "-c", USE)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (copy / "b.dice").read_text().splitlines()
    assert len(lines) == 5 and all(re.fullmatch("[1-6] [1-6]", line) for line in lines)
    assert (copy / "run/samples.png").read_bytes().startswith(b"\x89PNG")
    assert "precision" in done.stdout and "--throws" in done.stdout and ".wav, .dice" in done.stdout
    assert "--throws is for dice, this is points" in done.stderr and "--throws is 0, it has to be at least 1" in done.stderr


def test_the_tests_of_every_kind_take_the_example(copy):
    done = pytest_in(copy, TESTS, "-k", "dice or whole or needs")
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:]


def test_a_place_that_was_forgotten_is_named(copy):
    """Without the line in KINDS, and without the line in EXAMPLES."""
    replace(copy / TESTS, blocks()[TESTS], "")
    done = pytest_in(copy, TESTS, "-k", "whole")
    assert done.returncode == 1 and f"{TESTS}: EXAMPLES has no dice" in done.stdout
    replace(copy / KINDS, ", Dice)", ")")
    done = pytest_in(copy, TESTS, "-k", "whole")
    assert done.returncode == 1 and f"{KINDS}: KINDS lacks ['Dice']" in done.stdout
