"""The script that measures how many mutants the tests kill: what it leaves alone, what it counts, and the list of survivors."""

import ast
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from weakref import WeakKeyDictionary

import pytest

from benchmarks.docs.mutation_tables import mutation_section, planted_section
from benchmarks.quality import mutation, mutation_session
from benchmarks.quality.planted.__main__ import every

LISTED = json.loads(mutation.SURVIVORS.read_text())
RECORD = json.loads(mutation.RECORD.read_text())
SOURCES = {source: name for name, group in mutation.GROUPS.items() for source in group.sources}


def change(before, after="x", function="tinygan.optim.f"):
    return {"function": function, "before": before, "after": after}


def listed(*entries):
    return {"a.py": {mutation.key(each): entry for entry in entries for each in entry["mutants"]}}


def row(mutants, killed, *survivors):
    return {"mutants": mutants, "killed": killed, "survivors": list(survivors)}


# ---- what is counted ------------------------------------------------------------------------------------------------------------


def test_equivalent_mutants_do_not_count_and_others_do():
    one, two = change("a"), change("b")
    table = listed({"reason": "the same", "equivalent": True, "mutants": [one]}, {"reason": "rare", "mutants": [two]})
    assert mutation.score({"a.py": row(10, 8, one, two)}, table) == pytest.approx(8 / 9)
    assert mutation.score({"a.py": row(10, 8, one, two)}, {}) == pytest.approx(8 / 10)
    assert mutation.score({"a.py": row(10, 10), "b.py": row(30, 20, *[two] * 10)}, table) == pytest.approx(30 / 40)


def test_each_problem_has_a_line():
    one, two, gone = change("a"), change("b", "c"), change("d")
    table = listed({"reason": "the same", "equivalent": True, "mutants": [one, gone]})
    assert mutation.problems_of("g", {"a.py": row(100, 98, one, two)}, table) == [
        "a.py: survives and is not listed in survivors.json: b -> c",
        "a.py: is listed in survivors.json and does not survive: d -> x",
    ]  # fmt: skip
    assert mutation.problems_of("g", {"a.py": row(100, 98, one, gone)}, table) == []
    (line,) = mutation.problems_of("g", {"b.py": row(100, 94)}, table)
    assert line == "g: 94.0% of the mutants are killed, it has to be 95%"
    assert mutation.problems_of("g", {"b.py": row(100, 95)}, table) == []


def test_mutants_of_a_file_are_counted_from_what_mutmut_says(monkeypatch):
    said = {
        "run": "",
        "show tinygan.optim.x_f__mutmut_2": "# f\n--- a\n+++ b\n@@ -1 +1 @@\n def f():\n-    return 1\n+    return 2",
        "show tinygan.optim.xǁAdamǁstep__mutmut_1": "--- a\n+++ b\n-    a = [\n-        1]\n+    a = [\n+        2]",
        "results": "    tinygan.optim.x_f__mutmut_1: killed\n    tinygan.optim.x_f__mutmut_2: survived\n"
                   "    tinygan.optim.x_f__mutmut_3: timeout\n    tinygan.optim.xǁAdamǁstep__mutmut_1: no tests\n",
    }  # fmt: skip
    monkeypatch.setattr(mutation.Copy, "make", lambda self: None)
    monkeypatch.setattr(mutation.Copy, "mutmut", lambda _, *words: said[" ".join(words) if words[0] == "show" else words[0]])
    found = mutation.measured("optim", ["tinygan/optim.py"])["tinygan/optim.py"]
    assert (found["mutants"], found["killed"], found["group"]) == (4, 2, "optim") and found["commit"]
    assert found["survivors"] == [change("return 1", "return 2"), change("a = [ 1]", "a = [ 2]", "tinygan.optim.Adam.step")]


# ---- a sample -------------------------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_at_random_and_the_same_for_the_same_seed():
    names = [f"m{i:03}" for i in range(100)]
    one = mutation.drawn(names, 30, 1)
    assert one == mutation.drawn(reversed(names), 30, 1) and len(set(one)) == 30 and set(one) < set(names)
    assert one != mutation.drawn(names, 30, 2) and mutation.drawn(names, 500, 1) == names
    often = Counter(name for seed in range(400) for name in mutation.drawn(names, 30, seed))
    assert len(often) == 100 and min(often.values()) > 80 and max(often.values()) < 165  # 120 each, but for chance


def test_the_interval_is_wilsons():
    """The bounds are the shares p for which the count is 1.96 standard deviations of p's own from what p gives."""
    for killed, tried in ((0, 10), (7, 10), (300, 300), (240, 300)):
        for bound in mutation.interval(killed, tried):
            assert (killed - tried * bound) ** 2 == pytest.approx(1.959964**2 * tried * bound * (1 - bound), abs=1e-9)
    low, high = mutation.interval(240, 300)
    assert low < 0.8 < high


@pytest.fixture
def small_sample(monkeypatch, tmp_path):
    """A mutmut with four mutants in two files, of which it kills those in `kills`."""
    kills = {"tinygan.optim.x_f__mutmut_1"}
    names = {"optim": ["tinygan.optim.x_f__mutmut_1", "tinygan.optim.x_f__mutmut_2"],
             "checkpoint": ["tinygan.training.state.x_g__mutmut_1", "tinygan.training.state.x_g__mutmut_2"]}  # fmt: skip
    states = lambda mutants: {m: "killed" if m in kills else "survived" for m in mutants}  # noqa: E731
    monkeypatch.setattr(mutation.Copy, "__init__", lambda self, name, sources: setattr(self, "name", name))
    monkeypatch.setattr(mutation.Copy, "make", lambda self: None)
    monkeypatch.setattr(mutation.Copy, "names", lambda self: names[self.name])
    monkeypatch.setattr(mutation.Copy, "tried", lambda self, mutants, children: states(mutants))
    monkeypatch.setattr(mutation.Copy, "change", lambda self, mutant: change(mutant))
    return kills, tmp_path / "record.json"


def test_a_sample_and_its_survivors_are_recorded_and_tried_again(small_sample, capsys):
    kills, path = small_sample
    wanted = {"optim": ["tinygan/optim.py"], "checkpoint": ["tinygan/training/state.py"]}
    assert mutation.sampled(wanted, 4, 1, 1, path) == 1
    assert "1 of 4 killed, 25.0%" in capsys.readouterr().out
    rows = json.loads(path.read_text())["sample"]["files"]
    assert [(row["mutants"], row["tried"], row["killed"], row["group"]) for row in rows.values()] == [
        (2, 2, 1, "optim"), (2, 2, 0, "checkpoint")]  # fmt: skip
    kills |= {"tinygan.training.state.x_g__mutmut_2"}
    assert mutation.again(1, path) == 1
    said = capsys.readouterr().out
    assert "1 of 4 killed, 25.0%" in said and "1 of the others by tests that were added since" in said
    assert said.count("survives and is not listed") == 2
    record = json.loads(path.read_text())
    assert [bool(each["killed_since"]) for row in record["sample"]["files"].values() for each in row["survivors"]] == [
        False, False, True]  # fmt: skip
    text = mutation_section({"files": {}, "sample": record["sample"]})
    assert "a random sample of 4 was tried: 1 of the 4 that are not equivalent" in text and "kill 1 of the 3 survivors" in text
    assert "| no reason is listed | no | 2 |" in text  # of those that survive still
    mutation.sampled(wanted, 3, 1, 1, path)
    assert sum(row["tried"] for row in json.loads(path.read_text())["sample"]["files"].values()) == 3


def test_survivors_of_code_that_has_changed_are_not_tried_again(small_sample, monkeypatch):
    """mutmut numbers its mutants: the same name may stand for another change."""
    _, path = small_sample
    with pytest.raises(SystemExit, match="has no sample yet"):
        mutation.again(1, path)
    mutation.sampled({"optim": ["tinygan/optim.py"]}, 4, 1, 1, path)
    before = path.read_text()
    monkeypatch.setattr(mutation.Copy, "change", lambda self, mutant: change("x = 1", "x = 2"))
    with pytest.raises(SystemExit, match=r"^tinygan/optim.py has changed since the sample was drawn: .*x_f__mutmut_2 is another"):
        mutation.again(1, path)
    assert path.read_text() == before


def test_a_sample_of_equivalent_mutants_alone_is_told(small_sample):
    assert mutation.interval(0, 0) == (0, 1)
    row = {"group": "optim", "mutants": 9, "tried": 0, "killed": 0, "survivors": []}
    sample = {"stamp": {"commit": "c"}, "seconds": 1, "files": {"tinygan/optim.py": row}}
    assert "0 of 0 killed" in mutation.told_of_sample(sample)
    assert "Of the 9 mutants of the files below (optim)" in mutation_section({"files": {}, "sample": sample})


@pytest.mark.parametrize("words", ["--again --sample 3", "--again sanitizer", "--sample 0", "--sample -1", "--children 0"])
def test_options_of_a_sample_that_say_nothing_are_refused(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mutation", *words.split()])
    with pytest.raises(SystemExit):
        mutation.main()
    assert "error: --" in capsys.readouterr().err


# ---- the session of one mutant --------------------------------------------------------------------------------------------------


def test_what_changed_modules_remember_is_forgotten():
    """A result that was found with the unchanged code would hide every mutant of the function that found it."""
    module, key = ModuleType("changed"), type("Kernel", (), {})()
    module.KNOWN, module.found = WeakKeyDictionary({key: 1}), lru_cache(lambda: object())
    module.TABLE = {1: 2}
    before = module.found()
    assert module.found() is before
    mutation_session.forget([module])
    assert not module.KNOWN and module.found() is not before and module.TABLE == {1: 2}


def test_the_quickest_tests_come_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    items = [SimpleNamespace(nodeid=name) for name in ("slow", "quick", "new")]
    mutation_session.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["slow", "quick", "new"]
    mutation_session.TIMES.write_text(json.dumps({"duration_by_test": {"slow": 3.0, "quick": 0.5}}))
    mutation_session.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["new", "quick", "slow"]


def test_a_test_that_a_mutant_makes_endless_ends_the_process(tmp_path):
    session = Path(mutation_session.__file__).read_text().replace("SECONDS_MORE = 10, 10", "SECONDS_MORE = 10, 0")
    (tmp_path / "conftest.py").write_text(session)
    (tmp_path / "test_t.py").write_text("def test_endless():\n    while True:\n        pass\n")
    (tmp_path / mutation_session.TIMES).write_text(json.dumps({"duration_by_test": {"test_t.py::test_endless": 0.0}}))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, check=False,
                          env={**os.environ, mutation_session.CHANGED: ""}, capture_output=True)
    assert done.returncode == -signal.SIGXCPU


@pytest.mark.parametrize(("before", "limit"), [((-1, -1), 131), ((500, 501), 131), ((90, 91), 90)])
def test_a_test_has_a_limit_of_its_own_within_that_of_all(before, limit, monkeypatch, tmp_path):
    """The process has used 100.5 seconds; the test took 2. One of which that is not known has no limit."""
    monkeypatch.chdir(tmp_path)
    mutation_session.TIMES.write_text(json.dumps({"duration_by_test": {"known": 2.0}}))
    said = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: before)
    monkeypatch.setattr(resource, "getrusage", lambda who: (100.0, 0.5))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: said.append((kind, *limits)))
    of_all = (resource.RLIMIT_CPU, *before)
    for name, expected in (("known", [(resource.RLIMIT_CPU, limit, before[1]), of_all]), ("new", [of_all])):
        said.clear()
        wrapper = mutation_session.pytest_runtest_protocol(SimpleNamespace(nodeid=name))
        next(wrapper)
        with pytest.raises(StopIteration, match=r"^done$"):
            wrapper.send("done")
        assert said == expected


# ---- what is left alone ---------------------------------------------------------------------------------------------------------

SOURCE = '''
class A:
    def __repr__(self):
        return "an A"

    def f(self, x):
        if x < 0:
            raise ValueError(
                f"x is {x}")
        return x
'''


def test_messages_and_reprs_are_marked_and_nothing_else_is():
    marked = mutation.with_pragmas(SOURCE)
    assert ast.dump(ast.parse(marked)) == ast.dump(ast.parse(SOURCE))
    spans = re.findall(r"# pragma: no mutate start\n(.*?)\s*# pragma: no mutate end", marked, re.DOTALL)
    assert [span.strip().splitlines()[0] for span in spans] == ['return "an A"', "raise ValueError("] and "x is" in spans[1]


def test_settings_are_toml_and_name_the_files_as_they_lie_in_the_copy():
    tomllib = pytest.importorskip("tomllib", reason="tomllib is part of Python from 3.11 on")
    group = mutation.GROUPS["sanitizer"]
    settings = tomllib.loads(mutation.Copy("sanitizer", list(group.sources)).settings)["tool"]["mutmut"]
    assert settings["only_mutate"][0] == "tinygan_kernels/emulator/sanitizer/chunk.py"
    pattern = re.compile(settings["do_not_mutate_patterns"][0])
    assert pattern.match('        f"x is {x}, it has to be",') and not pattern.match('        name = "word"')


# ---- the list and the record ----------------------------------------------------------------------------------------------------


def test_files_and_tests_of_all_groups_are_there():
    for group in mutation.GROUPS.values():
        assert all((mutation.ROOT / path).exists() for path in (*group.sources, *group.tests))
    assert mutation.module_of("kernels/tinygan_kernels/emulator/x.py") == "tinygan_kernels.emulator.x"


@pytest.mark.parametrize("source", LISTED)
def test_listed_survivors_have_a_reason_and_change_a_line_that_is_there(source):
    """A line that was changed since is another mutant's: measure the file anew, and list what survives then."""
    text = " ".join((mutation.ROOT / source).read_text().split())
    for entry in LISTED[source]:
        assert set(entry) == {"reason", "equivalent", "mutants"} and len(entry["reason"].split()) > 3
        for each in entry["mutants"]:
            assert set(each) == {"function", "before", "after"} and each["before"] != each["after"]
            assert " ".join(each["before"].split()) in text, f"{source} has no line {each['before']!r} any more"
            assert each["function"].startswith(mutation.module_of(source))
    assert source in SOURCES


def test_no_mutant_is_listed_twice():
    for entries in LISTED.values():
        keys = [mutation.key(each) for entry in entries for each in entry["mutants"]]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("source", RECORD["files"])
def test_the_record_agrees_with_the_list(source):
    """Whoever measures a file anew lists what survives. A group's score is looked at once all of its files are measured."""
    row, name = RECORD["files"][source], SOURCES[source]
    assert row["group"] == name and row["mutants"] == row["killed"] + len(row["survivors"])
    assert [line for line in mutation.problems_of(name, {source: row}, mutation.reasons()) if "survive" in line] == []
    rows = {other: RECORD["files"].get(other) for other in mutation.GROUPS[name].sources}
    if all(rows.values()):
        assert mutation.problems_of(name, rows, mutation.reasons()) == []


def test_tables_are_made_of_the_record():
    text = mutation_section(RECORD)
    assert all(f"`{source}`" in text for source in SOURCES) and "no reason is listed" not in text
    path = "tinygan/optim.py"
    there = sum(fault.path == path for fault, _ in every())
    faults = [{"path": path, "fault": "a sign", "noticed_by": "test_a", "commit": "abc"},
              {"path": path, "fault": "a place", "noticed_by": None, "commit": "abd"}]
    text = planted_section({"faults": faults})
    assert f"| `{path}` | {there} | 2 | 1 |" in text and "1 of the 2 that were tried are noticed; tried at commit abc, abd." in text
    assert f"- `{path}`: a place" in text and "a sign" not in text
