"""The recipe "An option of a run" in CONTRIBUTING.md: its example, put into a copy of the project, works as the recipe says."""

import json
import re

import pytest
from project_copy import ROOT, copy_of, pytest_in, python

CONFIG, RUN = "tinygan/training/config.py", "tinygan/training/run.py"
OPTIONS, OLDER = "tests/tinygan/test_options.py", "tests/tinygan/training/test_older_runs.py"


def blocks():
    """The code blocks of the recipe, by the place that their first line names."""
    recipe = re.search(r"^## An option of a run\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    return dict(re.findall(r"```python\n# (\S+\.py).*?\n(.*?)```", recipe, re.DOTALL))


@pytest.fixture
def copy(tmp_path):
    """A copy of the project to which the recipe was applied."""
    places = blocks()
    assert set(places) == {CONFIG, RUN}
    copy_of(tmp_path, ("tinygan", "tests/support", "tests/tinygan/training"), ("pyproject.toml", OPTIONS))
    substitute(tmp_path / CONFIG, r"(class RunOptions.*?    save_every: .*?\n)", lambda m: m[1] + places[CONFIG])
    substitute(tmp_path / RUN, r" +if self\.step % READ_EVERY == 0 .*?\n", lambda m: places[RUN])
    return tmp_path


def substitute(path, pattern, new):
    text, count = re.subn(pattern, new, path.read_text(), flags=re.DOTALL)
    assert count == 1, f"{path.name} has {count} times {pattern!r}"
    path.write_text(text)


USE = """
import pytest
from quick_endings import measure_less
from tinygan.cli.main import run
measure_less(pytest.MonkeyPatch())
small = "train ring --batch 4 --hidden 4 --backend reference --out run "
assert run("train --help".split()) == 0
assert run((small + "--read-every 0").split()) == 2
assert run((small + "--steps 4 --read-every 2").split()) == 0
assert run((small + "--steps 7 --read-every 3 --resume").split()) == 0
assert run("train ring --out tests/support/run_of_0_1_0 --resume".split()) == 0
"""


def steps(run):
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_example_works_from_its_flag_to_older_checkpoints(copy):
    done = python(copy, "-c", f"import sys; sys.path.append('tests/support')\n{USE}", COLUMNS="140")
    assert done.returncode == 0, done.stdout + done.stderr
    panel = done.stdout.split("─ The run ─")[1].split("╰")[0]
    assert "--read-every " in panel and "Steps between readings of the losses." in panel
    assert "--read-every is 0, it has to be at least 1" in done.stderr
    assert steps(copy / "run") == [2, 4, 6, 7]
    assert json.loads((copy / "run/config.json").read_text())["read_every"] == 3
    assert steps(copy / "tests/support/run_of_0_1_0") == [10, 12], "an earlier run goes on with the neutral value"


FORGOTTEN = {
    "neutral": (CONFIG, r", neutral=10", "", OLDER, "read_every: give it neutral=... in RunOptions"),
    "option": (CONFIG, r"read_every: int = option\(.*?\)\n", "read_every: int = 10\n", OPTIONS,
               "read_every of RunOptions has no option(...)"),
    "use": (RUN, r"self\.config\.read_every", "READ_EVERY", OPTIONS,
            "nothing in tinygan/ reads read_every, which RunOptions declares"),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_what_was_forgotten_is_named(copy, what):
    path, pattern, new, test, message = FORGOTTEN[what]
    substitute(copy / path, pattern, new)
    done = pytest_in(copy, test, "-k", "since or made_of or is_used")
    assert done.returncode == 1 and message in done.stdout, done.stdout[-3000:]


def test_the_example_passes_the_tests_that_name_what_was_forgotten(copy):
    done = pytest_in(copy, OPTIONS, OLDER)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:]
