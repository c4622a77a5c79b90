"""docs/results.md and the README's headlines are made of the records of measurements; what was not measured has no cell."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.docs import density_tables, measured_rows, quality_tables, remedy_tables, results, speed_tables
from benchmarks.docs.markdown import blocks, filled
from benchmarks.quality import presets
from benchmarks.quality.alarms import jobs, judged
from benchmarks.quality.papers import PAPERS
from benchmarks.quality.presets import TABLES
from benchmarks.speed.gan_step import PEERS
from tinygan.training.presets import options_of_preset

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
STAMP = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"numpy": "2.4"}, "commit": "abc", "date": "2026-01-01"}


def _record():
    mixture = {"seconds": 40.0, "steps": 100, "alarm_collapse": 0.0, "looks": 30, "looks_collapsed": 1, "modes": 8, "hq": 0.975,
               "reverse_kl": 0.004, "jsd": 0.01}
    other = {**mixture, "modes": 7, "hq": 0.985, "reverse_kl": 0.002}
    digits = {"seconds": 50.0, "steps": 200, "alarm_collapse": 1.0, "looks": 30, "looks_collapsed": 3, "precision": 0.95,
              "recall": 0.87, "density": 1.2, "coverage": 0.98, "frechet_pca32": 0.51}
    return {"stamp": STAMP, "tables": {
        "results": [_row("ring", "best", mixture, other), _row("grid", "best", mixture, other), _row("digits", "best", digits)],
        "pacgan": [_row("ring", "pacgan-gan", mixture)],
        "remedies": [_row("ring", "pack", mixture, other, diverged=1), _row("grid", "pack", diverged=3),
                     _row("ring", "r2", mixture)],
    }}


def _row(data, preset, *runs, diverged=0, commits=("abc",)):
    """A row whose seeds ran on the commits, in turn as many on each as there are, but for the last, which has the others."""
    seeds = len(runs) + diverged
    stamps = [{**STAMP, "commit": commit, "seeds": 1} for commit in commits]
    stamps[-1]["seeds"] += seeds - len(commits)
    return {"data": data, "preset": preset, "runs": list(runs), "diverged": diverged, "stamps": stamps}


def _steps(sides, **more):
    workload = {"sides": {name: {"median": ms} for name, ms in sides.items()}, "best_peer": "torch", "ratio": 2.5}
    return {**workload, "share_of_floor": 0.5, **more}


# ---- the pages ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", results.SECTIONS)
def test_pages_are_those_of_the_records(page):
    """Run `python -m benchmarks.docs.results` where this fails after a measurement."""
    text = (results.ROOT / page).read_text()
    assert blocks(text) == list(results.SECTIONS[page])
    assert results.render(text, page) == text
    wrong = re.sub(r"commit \w{7},", "commit 0000000,", text)
    assert results.render(wrong, page) == text != wrong


@pytest.mark.parametrize("page", results.SECTIONS)
def test_every_block_has_its_numbers_machine_and_commit(page):
    text = (results.ROOT / page).read_text()
    for name in blocks(text):
        content = text.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
        assert len(content) > 100 and "commit" in content, name
        assert "| - |" not in content and "not run." not in content, name


def test_a_block_is_filled_when_its_table_is_there(tmp_path, monkeypatch, capsys):
    """Where only the defaults were measured, their table goes in, and what stands between the other markers stays."""
    names = results.SECTIONS["docs/results.md"]
    text = "".join(f"<!-- begin {name} -->\nold {name}\n<!-- end {name} -->\n" for name in names)
    record = _record()
    record["tables"] = {"results": record["tables"]["results"]}
    (tmp_path / "presets.json").write_text(json.dumps(record))
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    made = results.render(text, "docs/results.md")
    assert quality_tables.results_section(record) in made and "old results" not in made
    assert all(f"old {name}\n" in made for name in set(names) - {"results"})
    assert "presets.json has no such table; block 'pacgan'" in capsys.readouterr().out


def test_markers_have_to_be_there_once():
    with pytest.raises(ValueError, match="markers <!-- begin a --> and <!-- end a --> once each"):
        filled("<!-- begin a -->\n", "a", "text")
    assert filled("x <!-- begin a -->old<!-- end a --> y", "a", "new") == "x <!-- begin a -->\nnew\n<!-- end a --> y"


# ---- quality --------------------------------------------------------------------------------------------------------------------


def test_tables_are_made_of_the_record():
    text = quality_tables.results_section(_record())
    assert "modes / HQ % / reverse KL: 7.5±0.5 / 98.0±0.5 / 0.003±0.001" in text and "recall 0.87" in text
    assert "1 of these 5 healthy runs (7 of 150 looks)" in text and "(a CPU, 2 cores, 2026-01-01)" in text
    assert "recall 0.87, density 1.20, coverage 0.98, frechet 0.51 | 50 | abc |" in text
    text = quality_tables.pacgan_section(_record())
    assert "| ring | `--preset pacgan-gan --steps 100` | 8.0 / 97.5 / 0.004 | 6.3±0.5 / 98.2 / 0.45 | abc |" in text
    record, run = _record(), _record()["tables"]["pacgan"][0]["runs"][0]
    for options, steps, shown in (({}, 20_000, " --scale 4 --steps 20000"), ({"scale": 1.0}, 20_000, " --steps 20000"),
                                  ({"scale": 1.0}, 80_000, "")):
        record["tables"]["pacgan"][1:] = [{**_row("grid", "pacgan-gan", {**run, "steps": steps}), "options": options}]
        text = quality_tables.pacgan_section(record)
        assert f"| grid | `--preset pacgan-gan{shown}` | 8.0 / 97.5 / 0.004 |" in text and f"100 (ring), {steps:,} (grid)." in text
    record["tables"]["pacgan"].append(_row("grid", "pacgan4", {**run, "steps": 20_000}))
    assert "100 (ring), 20,000 or 80,000 (grid)." in quality_tables.pacgan_section(record)
    (row,) = (line for line in remedy_tables.remedies_section(_record()).splitlines() if "PacGAN" in line)
    assert "7.5±0.5 / 98.0±0.5 / 0.003±0.001; 1 diverged" in row and "diverged, 3 of 3" in row


def _with_densities(record):
    """The record with measures of widths in all runs of mixtures: other ones in the second run of a row than in its first."""
    shapes = ({"std_ratio_min": 0.3, "std_ratio_max": 0.62, "shift_max": 0.4, "exact_jsd": 0.002, "mmd_p": 0.05},
              {"std_ratio_min": 0.28, "std_ratio_max": 0.5, "shift_max": 0.44, "exact_jsd": 0.004, "mmd_p": 0.055})
    for rows in record["tables"].values():
        for row in rows:
            row["runs"] = [{**run, **shape} if "modes" in run else run for run, shape in zip(row["runs"], shapes, strict=False)]
    return record


def test_every_table_of_mixtures_shows_the_densities():
    """The widths are those of the extreme modes of any seed, the JSD is a mean, and p is counted up to 0.05."""
    record = _with_densities(_record())
    cells = "0.28 to 0.62 | 0.44 | 0.010±0.000 (0.003) | 1 of 2 |"
    for line in (f"| ring | best | {cells}", f"| grid | best | {cells}"):
        assert line in quality_tables.results_section(record)
    assert "| digits | best |" not in quality_tables.results_section(record)
    assert "| ring | pacgan-gan | 0.30 to 0.62 | 0.40 | 0.010 (0.002) | 1 of 1 |" in quality_tables.pacgan_section(record)
    rows = record["tables"]["remedies"]
    rows[1] = {**rows[0], "data": "grid"}
    packed = cells.replace(" | ", " / ")
    assert f"| packing (PacGAN), `--pack` | {packed[:-2]} | {packed[:-2]} |" in remedy_tables.remedies_section(record)
    text = "".join(section(_record()) for section in (quality_tables.results_section, quality_tables.pacgan_section,
                                                      remedy_tables.remedies_section))
    assert "std ratio" not in text, "rows of early records do not have it"


def test_a_run_without_samples_at_any_mode_has_no_widths():
    lost = {"std_ratio_min": float("nan"), "std_ratio_max": float("nan"), "shift_max": float("nan"), "exact_jsd": 0.001,
            "jsd": 0.69, "mmd_p": 0.005}
    seen = {**lost, "std_ratio_min": 0.5, "std_ratio_max": 0.7, "shift_max": 0.1}
    assert measured_rows.density_cells(_row("ring", "a", lost, seen))[:2] == ["0.50 to 0.70", "0.10"]
    assert measured_rows.density_cells(_row("ring", "a", lost)) == ["none", "none", "0.690 (0.001)", "1 of 1"]
    assert not measured_rows.has_densities(_row("ring", "a", {"jsd": 0.69})) and not measured_rows.has_densities(_row("ring", "a"))


def test_held_out_digits_stand_beside_real_ones():
    def run(nearer, **scores):
        beside = {f"{prefix}{name}": value for name, value in scores.items() for prefix in quality_tables.BESIDE}
        wider = {}
        for std, recall in ((1.1, 0.9), (1.2, 0.93), (1.3, 0.94)):
            wider |= {f"z{std:g}_held_out_precision": 0.95, f"z{std:g}_held_out_recall": recall}
        return {**beside, **wider, "real_recall": 0.969, "nearer_training": nearer}

    scores = {"precision": 0.97, "recall": 0.88, "density": 1.3, "coverage": 0.96, "frechet": 0.2}
    other = "with R2, half the steps"
    rows = [{**_row("digits", other, run(0.7, **scores)), "options": {"steps": 16_000, "r1": 0.1, "penalty_fall": 8.0}},
            {**_row("digits", "defaults", run(0.6, **scores), run(0.64, **{**scores, "recall": 0.9})),
             "options": {"steps": 16_000, "r1": 0.1}}]
    text = quality_tables.held_out_section({"tables": {"held-out": rows}})
    assert "| defaults | samples, against held-out digits | 0.970±0.000 | 0.890±0.010 | 1.300±0.000 |" in text
    assert "| defaults | digits of the training set, against held-out ones | 0.970±0.000 | 0.969±0.000 |" in text
    assert text.index("- defaults") < text.index(f"- {other}"), "others differ from the first row"
    assert "- defaults, 16,000 steps, 2 seeds: 62.0±2.0 % of the samples are nearer" in text
    wider = [line for line in text.splitlines() if line.startswith(f"| {other} | 0.970 / 0.880")]
    assert wider == [f"| {other} | 0.970 / 0.880 | 0.950 / 0.900 | 0.950 / 0.930 | 0.950 / 0.940 |"] and "z of std 1.2" in text
    assert "1 seed: 70.0 %" in text and text.count("beside those of the first row: `--penalty-fall 8`.") == 1


def test_what_was_not_run_is_told_in_a_sentence_or_left_out():
    text = quality_tables.pacgan_section(_record())
    assert "| grid |" not in text and "Not run here; the paper has for them:" in text
    assert "pacgan2 on grid 23.8±0.7 / 91.3 / 0.13" in text
    assert "| R2" not in remedy_tables.remedies_section(_record()), "r2 was run on ring alone"


def _density_record():
    run = {"steps": 100, "modes": 8, "hq": 0.98, "reverse_kl": 0.0012, "exact_reverse_kl": 0.0014, "jsd": 0.0046,
           "exact_jsd": 0.001, "std_ratio_min": 0.94, "std_ratio_max": 1.05, "shift_max": 0.15, "mmd_p": 0.055}
    worse = {**run, "modes": 7, "hq": 0.96, "std_ratio_min": 0.41, "std_ratio_max": 0.8, "jsd": 0.2}
    return {"stamp": STAMP, "tables": {
        "density": [_row("ring", "density", run, worse, commits=("abc", "def"))],
        "ablation": [_row("ring", "no R2", run, worse, run, commits=("abc", "def")), _row("ring", "all of it", diverged=1)],
    }}


def test_densities_are_shown_seed_by_seed_and_the_ablation_row_by_row():
    record = _density_record()
    text = density_tables.density_section(record)
    assert "| ring | 0 | 8 | 98.00 | 0.0012 (0.0014) | 0.0046 (0.0010) | 0.94 to 1.05 | 0.15 | 0.055 | abc |" in text
    assert "| ring | 1 | 7 | 96.00 |" in text and "0.41 to 0.80 | 0.15 | 0.055 | def |" in text
    numbers = "7.7±0.3 / 97.3±0.7 / 0.001±0.000 | 0.070±0.065 | 0.41 to 1.05 | abc (1), def (2)"
    assert f"| no R2 | `--r2 0`: D's slope is free at the fakes | {numbers} |" in text
    assert "| all of it |" not in text, "what has no runs has no cell"
    assert 'Not measured yet: the rows "all of it", "no Fourier features"' in text and '"no R2"' not in text
    del record["tables"]["ablation"]
    assert "R2" not in density_tables.density_section(record)


def test_rows_say_on_which_commits_their_seeds_ran():
    row = _row("ring", "best", {}, {}, {}, diverged=1, commits=("abc", "def", "abc"))
    assert measured_rows.commits_by_seed(row) == ["abc", "def", "abc", "abc"] and measured_rows.commits(row) == "abc (3), def (1)"
    assert measured_rows.measured_where([row, {**row, "stamps": [{**STAMP, "date": "2026-02-01", "cpu": "B", "seeds": 4}]}]) == (
        "a CPU, 2 cores and B, 2 cores, 2026-01-01 to 2026-02-01")
    del row["stamps"]
    assert measured_rows.commits(row) == "not recorded" and len(measured_rows.commits_by_seed(row)) == 4
    assert measured_rows.measured_where([row]) == "machine and date are not recorded"


@pytest.mark.parametrize("file", ["presets.json", "density.json"])
def test_the_commits_of_a_recorded_row_are_those_of_all_its_seeds(file):
    for rows in json.loads((RESULTS / file).read_text())["tables"].values():
        for row in rows:
            assert len(measured_rows.commits_by_seed(row)) == len(row["runs"]) + row["diverged"], (row["data"], row["preset"])


def test_the_goal_of_densities_is_judged_on_as_many_samples_as_there_are():
    """A reverse KL of 0.0062 is chance in 2,500 samples on grid; 25,000 of the same run have 0.003, and that counts."""
    record = _density_record()
    ring = record["tables"]["density"][0]
    run = {**ring["runs"][0], "modes": 25, "hq": 0.97, "reverse_kl": 0.0062, "exact_reverse_kl": 0.0048}
    large = {**run, "hq_of_all": 0.982, "reverse_kl_of_all": 0.003, "exact_reverse_kl_of_all": 0.0005}
    uneven = {**large, "reverse_kl": 0.004, "reverse_kl_of_all": 0.0055, "seed": 4}
    record["tables"]["density"].append(_row("grid", "density", large, uneven, diverged=3, commits=("abc",) * 4 + ("def",)))
    text = density_tables.density_section(record)
    assert "| grid | 0 | 25 | 98.20 | 0.0030 (0.0005) |" in text and "| grid | 4 | 25 | 98.20 | 0.0055 (0.0005) |" in text
    assert [line[-6:] for line in text.splitlines() if line.startswith("| grid |")] == [" abc |", " def |"], "by seed"
    assert "1 of 2 runs on ring (100 steps) and 1 of 2 runs on grid (100 steps) have all of it." in text
    assert "HQ and reverse KL are of 25,000 samples on grid and of 2,500 samples on ring." in text
    record["tables"]["density"][1]["runs"].append(run)
    assert "HQ and reverse KL are of 2,500 samples on ring and grid." in density_tables.density_section(record)


def test_every_row_of_the_ablation_is_described():
    for name, described in (("ablation", density_tables.ABLATION), ("ablation-grid", density_tables.ABLATION_GRID)):
        assert set(described) == {row.row for row in TABLES[name]}
        for row in TABLES[name]:
            shared = presets.SMALLER_GAMMA if row.row not in ("a smaller gamma", "all of it") else ()
            flags = {name: value for name, value in row.options if name != "steps" and (name, value) not in shared}
            assert all(f"--{name.replace('_', '-')} {value:g}" in described[row.row] for name, value in flags.items()), row.row


def test_the_ablation_on_grid_takes_away_what_grid_alone_has():
    """Its row "as on ring" is ring's recipe but for steps, gamma and the fall of the rates; no row changes anything else.

    All have fewer steps than the preset, and the penalties end at the same weight: what differs is how large they are before.
    """
    rows = {row.row: row for row in TABLES["ablation-grid"]}
    as_on_ring, grid = rows.pop("as on ring"), options_of_preset("density", "grid")
    assert as_on_ring.given() == {**options_of_preset("density", "ring"), "steps": 24_000, **dict(presets.SMALLER_GAMMA)}
    assert {name for row in rows.values() for name, _ in row.options} == {name for name, _ in as_on_ring.options}
    first = rows["a smaller gamma"].given()
    assert {name for name in grid if first[name] != grid[name]} == {"steps", "r1", "r2", "penalty_fall", "decay_power"}
    for name in ("r1", "r2"):
        assert first[name] / first["penalty_fall"] == pytest.approx(grid[name] / grid["penalty_fall"])


def test_rows_of_the_ablation_with_more_samples_say_their_reverse_kl():
    record = _density_record()
    run = {**record["tables"]["density"][0]["runs"][0], "modes": 25, "hq_of_all": 0.98}
    grid = _row("grid", "a smaller gamma", *({**run, "reverse_kl_of_all": kl} for kl in (0.0029, 0.0092, 0.0034)))
    few = _row("grid", "as on ring", *({name: run[name] for name in run if name != "hq_of_all"} for _ in range(2)))
    text = density_tables.density_section({"tables": {**record["tables"], "ablation-grid": [grid, few]}})
    assert "the reverse KL of a smaller gamma is 0.0029 to 0.0092, and 2 of 3 runs have all" in text
    assert "reverse KL of as on ring" not in text, "its runs have none"


def test_every_remedy_is_described():
    described = set(remedy_tables.REMEDIES) | {paper.label for paper in PAPERS.values()}
    assert described == {row.row for row in TABLES["remedies"]}
    text = remedy_tables.remedies_section(_record())
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {8}


def test_rows_with_the_settings_of_papers_have_a_table_and_those_that_were_not_run_a_sentence():
    record, plain = _record(), {"r1": 0.0, "lr_d": 2e-3, "lr_g": 2e-3}
    text = remedy_tables.remedies_section(record)
    assert "settings of |" not in text and 'Not measured on both yet, of the settings of papers: the rows "none, DCGAN' in text
    paper, rows = PAPERS["ttur"], record["tables"]["remedies"]
    run = record["tables"]["results"][0]["runs"][0]
    for data, commit in (("ring", "abc"), ("grid", "def")):
        rows.append({**_row(data, "vanilla", run), "options": plain})
        rows.append({**_row(data, paper.label, run, commits=(commit,)), "options": {**plain, **paper.options}})
    text = remedy_tables.remedies_section(record)
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {paper.label} |"))
    options = "--objective wasserstein --r1 0 --gp 10 --lr-d 0.0001 --lr-g 0.0003 --beta1 0 --beta2 0.9"
    assert row.startswith(f"| {paper.label} | {paper.source} | `{options}` | 8.0 / 97.5 / 0.004 |")
    assert row.endswith("| ring abc; grid def |") and f'"{paper.label}"' not in text


def test_rows_say_the_options_that_they_ran_with():
    """A row that was called "no average of G" had run with one: options come from the record, not from a name."""
    record = _record()
    plain = {"r1": 0.0, "ema": 0.999, "lr_d": 2e-3, "lr_g": 2e-3, "hidden": [128, 128]}
    rows = record["tables"]["remedies"]
    rows[0]["options"], rows[1]["options"] = {**plain, "pack": 2}, {**plain, "pack": 3, "lr_g": 1e-4}
    rows += [{**_row(data, "vanilla", *rows[0]["runs"]), "options": plain} for data in ("ring", "grid")]
    text = remedy_tables.remedies_section(record)
    (row,) = (line for line in text.splitlines() if "PacGAN" in line)
    assert "| `--r1 0 --pack 2 / 3 --lr-g 0.002 / 0.0001` |" in row
    (row,) = (line for line in text.splitlines() if line.startswith("| none |"))
    assert "| `--r1 0` |" in row
    assert "ring lr_d 0.002, lr_g 0.002, ema 0.999, hidden 128-128; grid" in text and "average of G" in text
    assert "| not recorded |" in remedy_tables.remedies_section(_record())


def test_a_measured_row_records_its_options(monkeypatch):
    monkeypatch.setattr(presets, "train", lambda *_: ({"steps": 1}, None, None))
    monkeypatch.setattr(presets, "measure", lambda *_: {"modes": 8})
    (paper,) = (row for row in TABLES["remedies"] if row.name == "ring wgan-gp, its paper's Adam")
    row = presets.run_row(paper, 2, None)
    assert row["preset"] == "wgan-gp, its paper's Adam"
    assert row["runs"] == [{"seed": seed, "steps": 1, "modes": 8} for seed in (0, 1)]
    expected = {"objective": "wasserstein", "gp": 10.0, "k": 5, "r1": 0.0, "lr_d": 1e-4, "lr_g": 1e-4, "beta1": 0.0, "beta2": 0.9}
    expected |= {"ema": 0.999, "hidden_d": (128, 128, 128)}
    assert {name: row["options"][name] for name in expected} == expected
    assert [stamp["seeds"] for stamp in row["stamps"]] == [2] and row["stamps"][0]["commit"]
    assert presets.run_row(paper, 1, 7)["options"]["steps"] == 7, "the steps that ran, not those of the set-up"


def test_every_recorded_remedy_has_its_options():
    record = json.loads((RESULTS / "presets.json").read_text())
    for row in record["tables"]["remedies"]:
        assert row["options"]["steps"] == row["runs"][0]["steps"] and row["options"]["ema"] == 0.999, row["preset"]


def test_seconds_that_were_not_taken_are_not_shown():
    assert "| 40±0 |" in quality_tables.results_section(_record())
    record = _record()
    for row in record["tables"]["results"]:
        row["runs"] = [{name: v for name, v in run.items() if name != "seconds"} for run in row["runs"]]
    text = quality_tables.results_section(record)
    assert "| data | reached | commit |\n" in text and "| - |" not in text


def test_the_faces_are_told_from_their_record():
    text = quality_tables.faces_section({
        "photographs": 400, "side": 32, "steps": 9000, "precision": 0.9, "recall": 0.8, "density": 1.1, "coverage": 0.7,
        "distinct": 210, "distinct_by_chance": 252.8, "ratio": 0.94, "frechet_pca32": 5.4321, "alarms": [],
        "stamp": STAMP, "seconds": 601.0})
    for part in ("400 photographs", "--steps 9000` (10 minutes)", "recall 0.80", "5.43", "210 different", "(253 would be, for",
                 "0.94 times", ": none"):
        assert part in text, part


def test_the_rates_of_the_alarms_are_told_from_their_record():
    record = {"healthy": 40, "false_alarms": 3, "false_alarms_not_over": 2, "set_up_to_collapse": 50, "collapsed": 45, "missed": 4,
              "runs": {"healthy": [{"seed": 30}], "collapsing": [{"seed": 31}, {"seed": 44}]}, "stamp": STAMP}
    text = quality_tables.alarms_section(record)
    for part in ("went off in 3 of 40 short healthy runs, and in 2 of them it was not over",
                 "Of 50 runs that were set up to collapse 45 did", "missed 4 of these", "Seeds 30 to 44"):
        assert part in text, part


def test_alarms_are_counted_against_what_became_of_the_runs():
    healthy = [{"alarms": [], "over": []}, {"alarms": ["collapse"], "over": ["collapse"]}, {"alarms": ["strong-d"], "over": []}]
    ended = [(3, ["collapse"]), (6, []), (7, []), (None, [])]  # modes of 8: 7 is no collapse, and None a run that diverged
    collapsing = [{"modes": modes, "of": 8, "alarms": said} for modes, said in ended]
    assert judged(healthy, collapsing) == {"healthy": 3, "false_alarms": 2, "false_alarms_not_over": 1, "set_up_to_collapse": 4,
                                           "collapsed": 2, "missed": 1}
    kinds = (("ring", 5), ("grid", 6))
    assert [job[:3] for job in jobs(kinds, 3, 100, {})] == [("ring", 5, 100), ("grid", 6, 100), ("ring", 5, 101)]


# ---- speed ----------------------------------------------------------------------------------------------------------------------


def test_a_peer_that_is_missing_is_told_below_the_table():
    sides = {"tinygan": 2.0, "torch": 5.0}
    workloads = {"ring": _steps(sides), "dcgan28": _steps({**sides, "torch, channels_last": 4.0}, by_zero=0.2)}
    text = speed_tables.steps_section({"stamp": STAMP, "peers": ["torch", "torch-compile", "jax"], "workloads": workloads})
    head, _, row, *_ = text.splitlines()
    assert head == "| workload | tinygan, ms | torch, ms | best peer / tinygan | share of the floor |"
    assert row == "| ring | 2 | 5 | **2.50** | 50 % |"
    assert "`torch, channels_last` takes 4 ms on dcgan28." in text
    assert "Not measured, as not installed there: torch-compile, jax." in text
    assert "20 % on dcgan28" in text


def test_every_peer_that_was_measured_has_its_columns_and_an_older_record_says_that_it_is_one():
    sides = {"tinygan": 2.0, "torch": 5.0, "torch.compile": 4.0, "torch, bfloat16": 3.0, "torch.compile, bfloat16": 3.0, "jax": 6.0}
    report = {"stamp": STAMP, "peers": list(PEERS), "workloads": {"ring": _steps(sides)}}
    text = speed_tables.steps_section(report)
    assert "Not measured" not in text and "torch, bfloat16, ms" in text and speed_tables.OF_EARLIER_PEERS in text
    report["workloads"]["ring"]["share_of_peak"] = 0.25
    text = speed_tables.steps_section(report)
    assert "| share of the peak |" in text and "| 25 % |" in text and speed_tables.OF_EARLIER_PEERS not in text
    assert set(speed_tables.FIRST_SIDES) == set(PEERS)


def test_without_peers_there_is_no_ratio():
    alone = {**_steps({"tinygan": 2.0}), "best_peer": None, "ratio": None}
    report = {"stamp": STAMP, "workloads": {"ring": alone}}
    assert speed_tables.steps_section(report).startswith("| workload | tinygan, ms | share of the floor |")
    with pytest.raises(ValueError, match="no peer was measured"):
        results.speed_headline(report)


@pytest.mark.parametrize("peer", [True, False])
def test_kernels_are_told_from_their_record(peer):
    def case(gflop, mine, theirs):
        return {"gflop": gflop, "sides": {"tinygan": {"median": mine}, **({"torch": {"median": theirs}} if peer else {})}}

    cases = {"matmul a": case(1.0, 10.0, 15.0), "matmul b": case(1.0, 5.0, 5.0), "conv2d_dx c": case(3.0, 10.0, 40.0)}
    text = speed_tables.kernels_section({"stamp": STAMP, "sgemm_gflops": 200.0, "cases": cases})
    assert "matrix products reach 50 to 100 % and convolutions reach 150 to 150 %" in text
    assert f"| matmul a | 10 | 100 | 50 % |{' 1.50 |' if peer else ''}\n" in text
    assert f"| conv2d_dx c | 10 | 300 | 150 % |{' 4.00 |' if peer else ''}\n" in text


def test_the_headlines():
    report = {"stamp": STAMP, "workloads": {"ring": _steps({"tinygan": 2.0, "torch": 5.0})}}
    assert "takes 2.50 (ring) times as long" in results.speed_headline(report)
    presets_record, density = _with_densities(_record()), _density_record()
    density["tables"]["density"].append(_row("grid", "density", *density["tables"]["density"][0]["runs"][:1], commits=("123",)))
    text = results.quality_headline({"presets": presets_record, "density": density})
    assert "7.5 of 8 modes (ring)" in text and "recall 0.87" in text and "means over 2 seeds" in text
    assert "true ones: 0.28 to 0.62 (ring), 0.28 to 0.62 (grid); with" in text
    assert text.endswith("`--preset density` 0.41 to 1.05 (ring), 0.94 to 1.05 (grid) (commits abc, def, 123).")


@pytest.mark.parametrize("peer", [True, False])
def test_the_busy_machine_is_told_from_its_record(peer):
    def side(idle, busy, **more):
        return {"idle": {"ms": idle, "cpu_ms": 2 * idle}, "busy": {"ms": busy, "cpu_ms": 7.0}, **more}

    sides = {"tinygan": side(1.0, 2.0, **{"four a core": {"ms": 5.0, "cpu_ms": 3.0}}), "tinygan, one thread": side(1.5, 3.0)}
    if peer:
        sides |= {"PyTorch": side(4.0, 40.0), "PyTorch, passive": side(5.0, 8.0)}
    record = {"stamp": STAMP, "loops": {"idle": 0, "busy": 1, "four a core": 4}, "workloads": {"ring": sides}}
    text = speed_tables.busy_section(record)
    assert "| ring | tinygan | 1 | 2 | 5 | 2.00 | 7 |" in text and "| 1.5 | 3 | not measured | 2.00 | 7 |" in text
    assert "busy / idle 2.00, one thread / all, busy 1.50" in text
    assert ("best PyTorch / tinygan, busy 4.00" in text) is peer and ("not installed there: torch" in text) is not peer


def test_seconds_to_a_quality_are_told_by_seed_and_side():
    def side(ms, seconds, steps, start=1.0):
        return {"ms": ms, "seconds": seconds, "steps": steps, "played": 4000, "start": start, "looks": []}

    seeds = [{"tinygan": side(2.0, 6.04, 3000), "torch": side(7.0, None, None)},
             {"tinygan": side(4.0, 8.0, 2250, start=2.3), "torch": side(8.0, 24.0, 3250)}]
    record = {"stamp": STAMP, "every": 250, "limit": 60,
              "data": {"ring": {"goal": "8 modes", "missing": ["jax (No module named 'jax')"], "seeds": seeds}}}
    text = speed_tables.to_quality_section(record)
    assert "| ring | tinygan | 3 | 6.0 (3,000), 8.0 (2,250) | 2.3 |" in text
    assert "| ring | torch | 7.5 | not in 4,000 steps, 24.0 (3,250) | 1.0 |" in text
    assert "- ring: 8 modes. Not measured, as not installed there: jax" in text and "every 250 steps" in text
    record["data"]["ring"]["missing"] = []
    assert "Not measured" not in speed_tables.to_quality_section(record)
