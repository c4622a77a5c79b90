"""Rows of measurements: which one stays, where a job that was cut short goes on, and on which commit each seed ran."""

import contextlib
import json
import threading

import pytest

from benchmarks.quality import presets, row_records
from benchmarks.quality.row_records import begun, finish, finished, growing_file, keep, put_aside, seeds_of, steps_of, with_seed

STAMP = {"cpu": "a CPU", "commit": "abc", "date": "2026-01-01"}


def row(seeds, steps=100, data="ring", preset="best", diverged=0, jsd=0.5, **options):
    return {"data": data, "preset": preset, "options": {"steps": steps, **options}, "runs": [{"steps": steps, "jsd": jsd}] * seeds,
            "diverged": diverged, "stamps": [{**STAMP, "seeds": seeds + diverged}]}


def record_of(path):
    return json.loads(path.read_text())["tables"]


@pytest.mark.parametrize("whole_rows", [True, False])
def test_jobs_that_write_a_record_at_once_lose_no_row(tmp_path, monkeypatch, whole_rows):
    """The second job begins when the first has read the record and is about to write it."""
    path, write, second = tmp_path / "rows.json", row_records._write, []

    def put(preset):
        put_row = finish if whole_rows else put_aside
        put_row(path, "table", row(1, preset=preset))

    def slow(*arguments):
        if not second:
            second.append(threading.Thread(target=put, args=("second",)))
            second[0].start()
            second[0].join(0.2)  # it would be done by then if nothing kept it from it
        write(*arguments)

    monkeypatch.setattr(row_records, "_write", slow)
    put("first")
    second[0].join()
    of = path if whole_rows else growing_file(path)
    assert [one["preset"] for one in record_of(of)["table"]] == ["first", "second"]


def test_rows_are_measured_anew_in_place():
    rows = []
    for n, (data, preset) in enumerate([("ring", "best"), ("grid", "best"), ("ring", "best")]):
        keep(rows, row(1, data=data, preset=preset, jsd=n))
    assert [(one["data"], one["runs"][0]["jsd"]) for one in rows] == [("ring", 2), ("grid", 1)]


@pytest.mark.parametrize(("measured", "whole", "stays"), [
    (row(2, jsd=0.1), True, False), (row(3, jsd=0.1), True, True), (row(2, diverged=1), True, True),
    (row(5, steps=10), False, False),  # a full row of fewer steps: the set-up has more, so this one was cut
    (row(3, steps=100), False, True), (row(3, steps=200), False, True),
    (row(3, steps=10), True, True),  # the set-up itself has fewer steps by now
], ids=["fewer seeds", "as many", "one diverged", "cut steps", "same steps", "more steps", "a set-up of fewer steps"])
def test_which_of_two_rows_stays(measured, whole, stays):
    earlier = row(3)
    rows = [row(1, data="grid"), earlier]
    assert keep(rows, measured, whole) is (measured if stays else earlier)
    assert rows[1] is (measured if stays else earlier) and len(rows) == 2


def test_the_record_is_untouched_by_a_row_that_does_not_stay(tmp_path):
    path = tmp_path / "results" / "presets.json"
    finish(path, "results", row(3))
    before = path.read_text()
    assert finish(path, "results", row(2))["runs"] == row(3)["runs"] and path.read_text() == before


def test_rows_are_written_beside_those_of_other_jobs(tmp_path):
    path = tmp_path / "presets.json"
    for table, data in (("results", "ring"), ("remedies", "ring"), ("results", "grid")):
        finish(path, table, row(1, data=data))
    assert {table: [one["data"] for one in rows] for table, rows in record_of(path).items()} == {
        "results": ["ring", "grid"], "remedies": ["ring"]}
    assert json.loads(path.read_text())["stamp"] == STAMP


def test_a_row_under_way_is_found_again_by_its_options_and_leaves_the_record_alone(tmp_path):
    path, wanted = tmp_path / "presets.json", {"steps": 100, "hidden": (8, 8)}
    finish(path, "results", row(1, hidden=[8, 8], jsd=0.9))
    put_aside(path, "results", row(1, hidden=(8, 8)))
    put_aside(path, "results", row(2, hidden=(8, 8)))
    put_aside(path, "results", row(1, data="grid", hidden=(8, 8)))
    assert begun(path, "results", row(0), wanted)["runs"] == row(2)["runs"]
    for table, place, options in (("results", row(0), {**wanted, "steps": 50}), ("remedies", row(0), wanted),
                                  ("results", row(0, preset="r2"), wanted)):
        assert begun(path, table, place, options) is None
    assert record_of(path) == {"results": [row(1, hidden=[8, 8], jsd=0.9)]}
    finish(path, "results", row(3, hidden=(8, 8)))
    assert begun(path, "results", row(0), wanted) is None and seeds_of(record_of(path)["results"][0]) == 3
    finish(path, "results", row(3, data="grid", hidden=(8, 8)))
    assert not growing_file(path).exists(), "the file goes with the last row under way"


def test_what_is_finished(tmp_path):
    path = tmp_path / "presets.json"
    assert not finished(path, "results", row(0), {"steps": 100}, 1)
    finish(path, "results", row(2, diverged=1))
    assert finished(path, "results", row(0), {"steps": 100}, 3) and not finished(path, "results", row(0), {"steps": 100}, 4)
    assert not finished(path, "results", row(0), {"steps": 90}, 3) and not finished(path, "pacgan", row(0), {"steps": 100}, 3)
    assert not finished(path, "results", row(0, data="grid"), {"steps": 100}, 3)


def test_steps_of_rows_that_diverged():
    assert steps_of(row(1, 50)) == steps_of(row(0, 50, diverged=2)) == 50 and steps_of({"runs": [], "diverged": 1}) == 0


def test_stamps_count_seeds_by_commit():
    stamps = []
    for commit in ("abc", "abc", "def", "abc"):
        stamps = with_seed(stamps, {**STAMP, "commit": commit})
    assert [(stamp["commit"], stamp["seeds"]) for stamp in stamps] == [("abc", 2), ("def", 1), ("abc", 1)]


# ---- the command ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, tmp_path):
    """The command, with runs that take no time: seed 2 diverges, and once `command.stop` seeds ran the job is cut short."""
    ran = []

    def train(set_up, seed, steps, folder):
        if len(ran) == run.stop:
            raise KeyboardInterrupt
        ran.append(seed)
        if seed == 2:
            raise FloatingPointError("no longer finite")
        return {"seconds": 1.0, "steps": steps or 1}, None, None

    def run(*arguments):
        ran.clear()
        monkeypatch.setattr("sys.argv", ["presets", "results", "--only", "ring", *arguments])
        with contextlib.suppress(KeyboardInterrupt):
            presets.main()
        return list(ran)

    run.stop = None
    monkeypatch.setattr(presets, "train", train)
    monkeypatch.setattr(presets, "measure", lambda *_: {"modes": 8})
    monkeypatch.setattr(presets, "stamp", lambda: STAMP)
    monkeypatch.setattr(presets, "RESULTS", tmp_path)
    return run


def test_a_job_that_was_cut_short_goes_on_with_its_next_seed(command, tmp_path):
    path = tmp_path / "presets.json"
    command.stop = 3
    assert command("--seeds", "5") == [0, 1, 2] and not path.exists()
    command.stop = None
    assert command("--seeds", "5", "--untimed") == [3, 4]
    (only,) = record_of(path)["results"]
    assert only["runs"] == [{"seed": seed, "steps": 1, "modes": 8} for seed in (0, 1, 3, 4)]
    assert only["diverged"] == 1 and not growing_file(path).exists()
    assert only["stamps"] == [{**STAMP, "seeds": 5}]
    assert command("--seeds", "5", "--missing") == [] and command("--seeds", "5") == [0, 1, 2, 3, 4]


def test_a_row_goes_on_without_seconds_if_it_began_so(command, tmp_path):
    command.stop = 1
    command("--seeds", "2", "--untimed")
    command.stop = None
    assert command("--seeds", "2") == [1]
    assert record_of(tmp_path / "presets.json")["results"][0]["runs"] == [{"seed": seed, "steps": 1, "modes": 8} for seed in (0, 1)]


def test_a_row_of_more_seeds_stays_and_the_command_says_so(command, tmp_path, capsys):
    command("--seeds", "2")
    command("--seeds", "1")
    assert "presets.json keeps its row of 2 seeds and 1 steps; another --json takes this one" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "says"), [
    (["--only", "rings"], "--only is 'rings', which is no data or preset, nor both, of a row of results"),
    (["--seeds", "0"], "--seeds is 0, it has to be at least 1"), (["--steps", "0"], "--steps is 0, it has to be at least 1"),
])
def test_what_would_measure_nothing_is_refused(command, arguments, says, capsys):
    with pytest.raises(SystemExit):
        command(*arguments)
    assert says in capsys.readouterr().err


def test_fewer_steps_want_a_file_of_their_own(command, tmp_path, capsys):
    """A full row of a few steps once took the place of one of all steps in the record."""
    for more in ([], ["--json", str(tmp_path / "presets.json")]):
        with pytest.raises(SystemExit):
            command("--seeds", "1", "--steps", "5", *more)
        assert "--steps makes other rows than those of the tables" in capsys.readouterr().err
    own = tmp_path / "short.json"
    assert command("--seeds", "1", "--steps", "5", "--json", str(own)) == [0]
    assert command("--seeds", "1", "--steps", "3", "--json", str(own)) == [0]
    assert record_of(own)["results"][0]["options"]["steps"] == 5
