"""The tables of what samples and remedies reach are made of the records of measurements."""

import json
from pathlib import Path

import pytest

from benchmarks.docs import density_tables, measured_rows, quality_tables, remedy_tables
from benchmarks.quality import presets
from benchmarks.quality.alarms import jobs, judged
from benchmarks.quality.papers import PAPERS
from benchmarks.quality.presets import TABLES
from tests.support.measured_records import STAMP, density_record, row_of, small_record, with_densities
from tinygan.training.presets import options_of_preset

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def test_tables_are_made_of_the_record():
    text = quality_tables.results_section(small_record())
    assert "modes / HQ % / reverse KL: 7.5±0.5 / 98.0±0.5 / 0.003±0.001" in text and "recall 0.87" in text
    assert "1 of these 5 healthy runs (7 of 150 looks)" in text and "(a CPU, 2 cores, 2026-01-01)" in text
    assert "recall 0.87, density 1.20, coverage 0.98, frechet 0.51 | 50 | abc |" in text
    text = quality_tables.pacgan_section(small_record())
    assert "| ring | `--preset pacgan-gan --steps 100` | 8.0 / 97.5 / 0.004 | 6.3±0.5 / 98.2 / 0.45 | abc |" in text
    record, run = small_record(), small_record()["tables"]["pacgan"][0]["runs"][0]
    for steps, shown in ((20_000, " --steps 20000"), (80_000, "")):
        record["tables"]["pacgan"][1:] = [row_of("grid", "pacgan-gan", {**run, "steps": steps})]
        text = quality_tables.pacgan_section(record)
        assert f"| grid | `--preset pacgan-gan{shown}` | 8.0 / 97.5 / 0.004 |" in text and f"100 (ring), {steps:,} (grid)." in text
    record["tables"]["pacgan"].append(row_of("grid", "pacgan4", {**run, "steps": 20_000}))
    assert "100 (ring), 20,000 or 80,000 (grid)." in quality_tables.pacgan_section(record)
    (row,) = (line for line in remedy_tables.remedies_section(small_record()).splitlines() if "PacGAN" in line)
    assert "7.5±0.5 / 98.0±0.5 / 0.003±0.001; 1 diverged" in row and "diverged, 3 of 3" in row


def test_every_table_of_mixtures_shows_the_densities():
    """The widths are those of the extreme modes of any seed, the JSD is a mean, and p is counted up to 0.05."""
    record = with_densities(small_record())
    cells = "0.28 to 0.62 | 0.44 | 0.010±0.000 (0.003) | 1 of 2 |"
    for line in (f"| ring | best | {cells}", f"| grid | best | {cells}"):
        assert line in quality_tables.results_section(record)
    assert "| digits | best |" not in quality_tables.results_section(record)
    assert "| ring | pacgan-gan | 0.30 to 0.62 | 0.40 | 0.010 (0.002) | 1 of 1 |" in quality_tables.pacgan_section(record)
    rows = record["tables"]["remedies"]
    rows[1] = {**rows[0], "data": "grid"}
    packed = cells.replace(" | ", " / ")
    assert f"| packing (PacGAN), `--pack` | {packed[:-2]} | {packed[:-2]} |" in remedy_tables.remedies_section(record)
    text = "".join(section(small_record()) for section in (quality_tables.results_section, quality_tables.pacgan_section,
                                                      remedy_tables.remedies_section))
    assert "std ratio" not in text, "rows of early records do not have it"


def test_a_run_without_samples_at_any_mode_has_no_widths():
    lost = {"std_ratio_min": float("nan"), "std_ratio_max": float("nan"), "shift_max": float("nan"), "exact_jsd": 0.001,
            "jsd": 0.69, "mmd_p": 0.005}
    seen = {**lost, "std_ratio_min": 0.5, "std_ratio_max": 0.7, "shift_max": 0.1}
    assert measured_rows.density_cells(row_of("ring", "a", lost, seen))[:2] == ["0.50 to 0.70", "0.10"]
    assert measured_rows.density_cells(row_of("ring", "a", lost)) == ["none", "none", "0.690 (0.001)", "1 of 1"]
    for row in (row_of("ring", "a", {"jsd": 0.69}), row_of("ring", "a")):
        assert not measured_rows.has_densities(row)


def test_held_out_digits_stand_beside_real_ones():
    def run(nearer, **scores):
        beside = {f"{prefix}{name}": value for name, value in scores.items() for prefix in quality_tables.BESIDE}
        wider = {}
        for std, recall in ((1.1, 0.9), (1.2, 0.93), (1.3, 0.94)):
            wider |= {f"z{std:g}_held_out_precision": 0.95, f"z{std:g}_held_out_recall": recall}
        return {**beside, **wider, "real_recall": 0.969, "nearer_training": nearer}

    scores = {"precision": 0.97, "recall": 0.88, "density": 1.3, "coverage": 0.96, "frechet": 0.2}
    other = "with R2, half the steps"
    rows = [{**row_of("digits", other, run(0.7, **scores)), "options": {"steps": 16_000, "r1": 0.1, "penalty_fall": 8.0}},
            {**row_of("digits", "defaults", run(0.6, **scores), run(0.64, **{**scores, "recall": 0.9})),
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
    text = quality_tables.pacgan_section(small_record())
    assert "| grid |" not in text and "Not run here; the paper has for them:" in text
    assert "pacgan2 on grid 23.8±0.7 / 91.3 / 0.13" in text
    assert "| R2" not in remedy_tables.remedies_section(small_record()), "r2 was run on ring alone"


def test_densities_are_shown_seed_by_seed_and_the_ablation_row_by_row():
    record = density_record()
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
    row = row_of("ring", "best", {}, {}, {}, diverged=1, commits=("abc", "def", "abc"))
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
    record = density_record()
    ring = record["tables"]["density"][0]
    run = {**ring["runs"][0], "modes": 25, "hq": 0.97, "reverse_kl": 0.0062, "exact_reverse_kl": 0.0048}
    large = {**run, "hq_of_all": 0.982, "reverse_kl_of_all": 0.003, "exact_reverse_kl_of_all": 0.0005}
    uneven = {**large, "reverse_kl": 0.004, "reverse_kl_of_all": 0.0055, "seed": 4}
    record["tables"]["density"].append(row_of("grid", "density", large, uneven, diverged=3, commits=("abc",) * 4 + ("def",)))
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
    record = density_record()
    run = {**record["tables"]["density"][0]["runs"][0], "modes": 25, "hq_of_all": 0.98}
    grid = row_of("grid", "a smaller gamma", *({**run, "reverse_kl_of_all": kl} for kl in (0.0029, 0.0092, 0.0034)))
    few = row_of("grid", "as on ring", *({name: run[name] for name in run if name != "hq_of_all"} for _ in range(2)))
    text = density_tables.density_section({"tables": {**record["tables"], "ablation-grid": [grid, few]}})
    assert "the reverse KL of a smaller gamma is 0.0029 to 0.0092, and 2 of 3 runs have all" in text
    assert "reverse KL of as on ring" not in text, "its runs have none"


def test_every_remedy_is_described():
    described = set(remedy_tables.REMEDIES) | {paper.label for paper in PAPERS.values()}
    assert described == {row.row for row in TABLES["remedies"]}
    text = remedy_tables.remedies_section(small_record())
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {8}


def test_rows_with_the_settings_of_papers_have_a_table_and_those_that_were_not_run_a_sentence():
    record, plain = small_record(), {"r1": 0.0, "lr_d": 2e-3, "lr_g": 2e-3}
    text = remedy_tables.remedies_section(record)
    assert "settings of |" not in text and 'Not measured on both yet, of the settings of papers: the rows "none, DCGAN' in text
    paper, rows = PAPERS["ttur"], record["tables"]["remedies"]
    run = record["tables"]["results"][0]["runs"][0]
    for data, commit in (("ring", "abc"), ("grid", "def")):
        rows.append({**row_of(data, "vanilla", run), "options": plain})
        rows.append({**row_of(data, paper.label, run, commits=(commit,)), "options": {**plain, **paper.options}})
    text = remedy_tables.remedies_section(record)
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {paper.label} |"))
    options = "--objective wasserstein --r1 0 --gp 10 --lr-d 0.0001 --lr-g 0.0003 --beta1 0 --beta2 0.9"
    assert row.startswith(f"| {paper.label} | {paper.source} | `{options}` | 8.0 / 97.5 / 0.004 |")
    assert row.endswith("| ring abc; grid def |") and f'"{paper.label}"' not in text


def test_rows_say_the_options_that_they_ran_with():
    """A row that was called "no average of G" had run with one: options come from the record, not from a name."""
    record = small_record()
    plain = {"r1": 0.0, "ema": 0.999, "lr_d": 2e-3, "lr_g": 2e-3, "hidden": [128, 128]}
    rows = record["tables"]["remedies"]
    rows[0]["options"], rows[1]["options"] = {**plain, "pack": 2}, {**plain, "pack": 3, "lr_g": 1e-4}
    rows += [{**row_of(data, "vanilla", *rows[0]["runs"]), "options": plain} for data in ("ring", "grid")]
    text = remedy_tables.remedies_section(record)
    (row,) = (line for line in text.splitlines() if "PacGAN" in line)
    assert "| `--r1 0 --pack 2 / 3 --lr-g 0.002 / 0.0001` |" in row
    (row,) = (line for line in text.splitlines() if line.startswith("| none |"))
    assert "| `--r1 0` |" in row
    assert "ring lr_d 0.002, lr_g 0.002, ema 0.999, hidden 128-128; grid" in text and "average of G" in text
    assert "| not recorded |" in remedy_tables.remedies_section(small_record())


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
    assert "| 40±0 |" in quality_tables.results_section(small_record())
    record = small_record()
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
