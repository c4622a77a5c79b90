"""The runner of the fuzzers on trial: it finds them, repeats a seed, and says what failed."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

_spec = importlib.util.spec_from_file_location("attack_runner", Path(__file__).with_name("__main__.py"))
runner = importlib.util.module_from_spec(_spec)
sys.modules["attack_runner"] = runner
_spec.loader.exec_module(runner)

PLANTED = (
    "def attack(rng, count):\n"
    "    for at in range(count):\n"
    "        assert rng.random() < {most}, f'case {{at}}'\n"
    "    return count\n"
)


def _folder(tmp_path, **most):
    for name, value in most.items():
        (tmp_path / f"test_{name}.py").write_text(PLANTED.format(most=value))
    return runner.doors(tmp_path)


def test_every_fuzzer_of_this_folder_is_found():
    here = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    found = {door.name for door in runner.doors()}
    assert "launch" in found and "runner" not in found and found <= here


def test_a_right_door_is_entered_and_a_wrong_one_fails_with_a_seed_that_repeats_it(tmp_path, capsys):
    right, wrong = _folder(tmp_path, right=2, wrong=0.9)
    for seed in range(20):
        runner.enter(right, seed, 5)
        runner.enter(wrong, seed, 5)
    said = capsys.readouterr().out
    assert right.tried == 100 and not right.failed and wrong.failed
    seed = int(said.split("wrong FAILED, seed ")[1].split(":")[0])
    again = runner.Door("wrong", wrong.attack)
    runner.enter(again, seed, 5)
    assert again.failed == wrong.failed[:1]
    assert f"python -m tests.attack --door wrong --seed {seed} --count 5" in said
    assert runner.told([right]) == 0 and runner.told([right, wrong]) == 1 and runner.told([]) == 1


def test_all_doors_get_time(tmp_path):
    found = _folder(tmp_path, one=2, two=2)
    assert runner.run(found, 0.002, 5) == 0
    assert all(door.tried for door in found)


def test_fresh_seeds_differ(tmp_path):
    seen = []
    door = runner.Door("seeds", lambda rng, count: seen.append(rng.integers(2**62)) or count)
    runner.run([door], 0.0005, 1)
    assert len(seen) > 1 and len(set(seen)) == len(seen) and isinstance(seen[0], np.integer)
