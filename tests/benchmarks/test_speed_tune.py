"""The script that measures the constants of the CPU's choices: none is left out, what it changes it puts back, and its judgement is
right on times made up for it. What it measures depends on the machine, so no test asks for certain values.
"""

import ast
import json
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tinygan_kernels import winograd_formulas
from tinygan_kernels.cpu.conv import direct, im2col, winograd
from tinygan_kernels.cpu.matmul import blocking, choice, jobs, skinny, zero_skipping
from tinygan_kernels.cpu.runtime import stages

from benchmarks.speed import tune
from benchmarks.speed.tuning import teams, trials, zeros
from benchmarks.speed.tuning.trials import Bench, Tuned, around, changed, judge, judge_choice

ROOT = Path(__file__).resolve().parents[2]
CHOOSING = (blocking, jobs, skinny, zero_skipping, direct, im2col, winograd, winograd_formulas, stages)
MEASURED = [constant for _, names in tune.MEASUREMENTS for constant in names]


def constants_of(source: str) -> dict[str, int]:
    """Return {name: line} of the constants that a module's text binds: public names in capitals, alone or in a tuple."""
    found = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for name in (n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)):
            if name.id.isupper() and not name.id.startswith("_"):
                found[name.id] = node.lineno
    return found


# ---- none is left out -----------------------------------------------------------------------------------------------------------


def test_the_search_for_constants_finds_them():
    assert constants_of("A, B = 1, 2\nC: int = 3\n_D = 4\ne = F = 5\ndef g():\n    H = 6\n") == {"A": 1, "B": 1, "C": 2, "F": 4}


@pytest.mark.parametrize("module", CHOOSING, ids=lambda module: module.__name__)
def test_every_constant_of_the_choice_is_measured(module):
    excused = {name for of, name in tune.NOT_MEASURED if of is module}
    known = {name for of, name in MEASURED if of is module}
    missing = set(constants_of(Path(module.__file__).read_text())) - known - excused
    assert not missing, (
        f"{module.__file__} has {', '.join(sorted(missing))}; give it a measurement in benchmarks/speed/tuning, or say in "
        "NOT_MEASURED of benchmarks/speed/tune.py what it is"
    )


@pytest.mark.parametrize(("module", "name"), [*MEASURED, *tune.NOT_MEASURED], ids=lambda v: getattr(v, "__name__", v))
def test_what_the_script_names_exists(module, name):
    assert hasattr(module, name)


@pytest.mark.parametrize(("module", "name"), MEASURED, ids=lambda v: getattr(v, "__name__", v))
def test_every_measured_constant_has_a_comment_and_names_the_script(module, name):
    source = Path(module.__file__).read_text()
    assert "python -m benchmarks.speed.tune" in source
    lines, line = source.splitlines(), constants_of(source)[name]
    assert "#" in lines[line - 1] or lines[line - 2].startswith(("#", ")")) or name == "TILES", f"{name} has no comment"


def test_a_measurement_that_forgets_a_constant_is_an_error():
    def forgetful(bench):
        return [Tuned(blocking, "FLAT", None, None, None, "made up")]

    wanted = [(blocking, "FLAT"), (blocking, "FAR")]
    with pytest.raises(RuntimeError, match=r"forgetful measures other constants .*blocking\.py: FAR"):
        tune.measure(Bench(0), [(forgetful, wanted)])
    assert [f.name for f in tune.measure(Bench(0), [(forgetful, wanted[:1])])] == ["FLAT"]


@pytest.mark.long
def test_every_measurement_binds_its_workloads_and_gives_the_constants_it_promises(monkeypatch):
    """All but those of teams of threads, with times made up instead of measured, so that nothing is compiled.

    As nothing runs, what the arrays hold does not matter: they are memory that is never touched, and each call is bound once.
    """
    rng = np.random.default_rng(0)
    monkeypatch.setattr(Bench, "normal", lambda self, *shape: np.zeros(shape, np.float32))
    monkeypatch.setattr(trials, "PLACES", 1)
    monkeypatch.setattr(Bench, "compare", lambda self, calls, *clock, **patience: {key: rng.uniform(1, 2) for key in calls})
    alone = [row for row in tune.MEASUREMENTS if row[0] is not teams.all_constants]
    rows = [tune.as_row(finding) for finding in tune.measure(Bench(0), alone)]
    assert len(rows) == sum(len(names) for _, names in alone)
    for row in rows:
        assert row["how"] and row["cost"] >= 0 and "the set value costs" in tune.line_of(row)
        assert row["name"] == "TILES" or row["good"] is not None


# ---- constants changed for a while ----------------------------------------------------------------------------------------------


def test_constants_are_put_back_even_after_an_error():
    before = blocking.TILES
    with pytest.raises(ZeroDivisionError), changed(blocking, TILES=()):
        assert blocking.TILES == ()
        raise ZeroDivisionError
    assert blocking.TILES is before


def test_a_changed_constant_is_seen_by_plans_made_before():
    """Plans are kept: without forgetting them, the product below would still go by the tile that it had."""
    a, b, c = (np.ones((48, 48), np.float32) for _ in range(3))
    tiles = []
    for tile in (blocking.TILES[0], blocking.TILES[1]):
        with changed(blocking, TILES=(tile,)):
            tiles.append(choice.plan_of(a[None], b[None], c[None]).blocking.height)
    assert tiles == [blocking.TILES[0][0], blocking.TILES[1][0]]


# ---- the judgement --------------------------------------------------------------------------------------------------------------


def test_the_judgement_goes_by_the_workload_where_a_value_does_worst():
    times = {"small": {1: 1.0, 2: 1.02, 3: 2.0}, "large": {1: 1.5, 2: 1.0, 3: 1.0}}
    assert judge(times, 2).good == (2, 2) and judge(times, 2).cost == 0 and judge(times, 2).where == "small"
    assert judge(times, 1).cost == pytest.approx(1.5 / 1.02 - 1) and judge(times, 1).where == "large"
    assert judge(times, 3).cost == pytest.approx(2.0 / 1.02 - 1) and judge(times, 3).where == "small"


def test_a_flat_optimum_is_a_range():
    times = {"only": {1: 1.2, 2: 1.0, 4: 1.01, 8: 1.029, 16: 1.04}}
    assert judge(times, 16).good == (2, 8) and judge(times, 16).cost == pytest.approx(0.04)


def test_a_threshold_is_judged_by_the_ways_it_takes():
    """The second way is faster from 40 on. A threshold of 10 takes it at 20, where it is twice as slow."""
    ways = {size: {False: 1.0, True: 2.0 if size < 40 else 0.5} for size in (10, 20, 40, 80)}
    verdict = judge_choice(ways, [0, 10, 20, 40, 80, 160], 20, lambda v, size: size >= v)
    assert verdict.good == (40, 40) and verdict.cost == 1 and verdict.where == 20
    assert judge_choice(ways, [0, 40], 40, lambda v, size: size >= v).cost == 0


def test_the_set_value_is_always_tried():
    assert around(10, (0.5, 2)) == [5, 10, 20]
    assert judge_choice({1: {0: 1.0, 1: 2.0}}, [5], 7, lambda v, _: int(v == 7)).cost == 1


def test_a_constant_is_timed_under_every_value(monkeypatch):
    """A sweep binds each workload under each value; here the value is how long the call takes."""
    module = SimpleNamespace(SIZE=2)
    bench = Bench(0)
    monkeypatch.setattr(bench, "compare", lambda calls, patience: {key: call() for key, call in calls.items()})

    def bind():
        size = module.SIZE
        return lambda: float(size)

    found = bench.sweep(module, "SIZE", (1, 2, 4), {"only": bind})
    assert found.good == (1, 1) and found.cost == 1 and module.SIZE == 2


def test_the_place_where_a_workload_is_fastest_counts():
    """Each binding lies at another place; the first way is fast at one of them alone, and still the faster one."""
    takes = {"first": iter([9.0, 9.0, 2.0, 9.0]), "second": iter([3.0, 4.0, 5.0, 6.0])}
    bench, bound = Bench(0), []

    def bind(way):
        taken = next(takes[way])
        bound.append(way)
        return lambda: taken

    bench.compare = lambda calls, patience: {key: call() for key, call in calls.items()}
    assert bench.compare_bound({way: partial(bind, way) for way in takes}) == {"first": 2.0, "second": 3.0}
    assert bound == ["first", "second"] * trials.PLACES


def test_times_are_the_least_of_several_calls_in_turn():
    """Each call adds to a clock of its own: the first 5, 3 and 4 units, the second 9, 2 and 7. Two calls each only prepare."""
    now, order = [0.0], []
    takes = {"a": iter([1, 1, 5, 3, 4]), "b": iter([1, 1, 9, 2, 7])}

    def call(name):
        order.append(name)
        now[0] += next(takes[name])
        if len(order) <= 4:
            time.sleep(2e-4)  # so that each is timed by itself, not several at a time

    found = Bench(0).compare({name: partial(call, name) for name in "ab"}, clock=lambda: now[0])
    assert found == {"a": 3, "b": 2} and order == [*"aabb", *"ababab"]


# ---- the model of the sample ----------------------------------------------------------------------------------------------------


def test_the_choice_between_lists_and_tiles_is_that_of_the_backend():
    """With half of A kept and no cost of listing, lists take 0.1 + 0.5 (1.28 - 0.1) of the time of tiles."""
    assert zero_skipping.listed_time.py_func(20, 0.5, 0.1, 1.28, 0.0) == pytest.approx(20 * 0.69)
    assert zeros.takes_lists((0.5, 20, False), 0.1, 1.28, (0.0, 0.0)) == 3
    assert zeros.takes_lists((0.5, 20, False), 0.1, 1.28, (7.0, 0.0)) == 2
    assert zeros.takes_lists((0.5, 20, True), 0.1, 1.28, (7.0, 0.0)) == 3


def test_values_are_rounded_wherever_they_stand():
    assert tune.rounded({"a": [0.123456, 7], "b": None}) == {"a": [0.123, 7], "b": None}


def test_the_committed_report_has_every_constant_and_its_machine():
    report = json.loads((ROOT / "benchmarks" / "results" / "tune.json").read_text())
    assert report["stamp"]["cpu"] and report["stamp"]["commit"]
    named = {(row["file"], row["name"]) for row in report["constants"]}
    wanted = {(Tuned(module, name, None, None, None, "").file, name) for module, name in MEASURED}
    assert named == wanted, "run python -m benchmarks.speed.tune --json benchmarks/results/tune.json"
