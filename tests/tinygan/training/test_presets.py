"""Presets are valid and do what they say; options are refused in one line; a run with every remedy resumes bit for bit."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from tinygan_kernels import load

from benchmarks.docs import preset_tables, readme
from benchmarks.quality.presets import TABLES, keep, measure, run_row, summary, write
from tinygan.cli.main import run
from tinygan.data.datasets import load as load_data
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.gan_layers import Maxout, SpectralNorm
from tinygan.options import OptionError
from tinygan.training.config import Config, defaults
from tinygan.training.presets import PRESETS, PresetError, options_of
from tinygan.training.run import Run
from tinygan.training.samples import load_generator

CPU = load("cpu")
EVERYTHING = {
    "steps": 20, "batch": 12, "z": 3, "hidden": (8, 8), "hidden_d": (6,), "r1": 0.1, "r2": 0.1, "gp": 1.0, "smooth": 0.1,
    "noise": 0.2, "pack": 2, "unroll": 1, "dropout": 0.2, "maxout": 2, "batch_norm": True, "k": 2, "ema": 0.9,
}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("data", ["ring", "digits"])
def test_every_preset_makes_a_run(name, data, tmp_path):
    preset, dataset = PRESETS[name], load_data(data)
    if preset.data and data not in preset.data:
        with pytest.raises(PresetError, match=f"is for {preset.data[0]}"):
            options_of(name, data)
        return
    config = Config(data=data, **{**defaults(dataset, None), **options_of(name, data)})
    assert {key: getattr(config, key) for key in preset.options} == preset.options  # nothing is lost on the way
    assert Config.from_json(json.loads(json.dumps(asdict(config)))) == config
    job = Run(config, dataset, CPU, tmp_path)
    assert (job.game.r1 == 0) == (config.r1 == 0) and job.game.remedies.pack == config.pack


def test_presets_build_the_networks_of_their_papers():
    dataset = load_data("ring")
    job = Run(Config(data="ring", **{**defaults(dataset, None), **options_of("pacgan2", "ring")}), dataset, CPU, ".")
    widths = [t.shape for name, t in job.game.D.parameters().items() if name.endswith("w")]
    assert widths == [(4, 1000), (200, 1000), (200, 1000), (200, 1)]  # three maxout layers of 200 units with 5 pieces, packs of 2
    assert sum(isinstance(layer, Maxout) for layer in job.game.D) == 3
    assert [t.shape for name, t in job.game.G.parameters().items() if name.endswith("w")] == [
        (2, 400), (400, 400), (400, 400), (400, 400), (400, 2)]
    assert sum(name.endswith("gamma") for name in job.game.G.parameters()) == 4
    for network in (job.game.G, job.game.D):  # all weights N(0, 0.02^2)
        for name, t in network.parameters().items():
            assert not name.endswith("w") or 0.9 * 0.02 < t.numpy().std() < 1.1 * 0.02 or t.size < 1000, name
    spectral = Run(Config(data="ring", **{**defaults(dataset, None), **options_of("sngan", "ring")}), dataset, CPU, ".")
    assert all(isinstance(layer, SpectralNorm) for layer in spectral.game.D)


def test_resume_with_every_remedy_is_bit_for_bit(tmp_path):
    """Masks, instance noise and interpolation points come from a generator whose state is in the checkpoint."""
    dataset = load_data("ring")
    whole = Run(Config(data="ring", **EVERYTHING), dataset, CPU, tmp_path / "whole")
    whole.train()
    parts = Run(Config(data="ring", **EVERYTHING), dataset, CPU, tmp_path / "parts")
    count = iter(range(100))
    assert not parts.train(stopping=lambda: next(count) == 8)
    parts = Run.resume(dataset, CPU, tmp_path / "parts", {})
    assert parts.step == 9
    parts.train()
    for name, array in whole._live().items():
        np.testing.assert_array_equal(array, parts._live()[name], err_msg=name)


@pytest.mark.parametrize(("arch", "data"), [("mlp", "ring"), ("mlp", "digits"), ("dcgan", "digits")])
def test_weights_start_as_told(arch, data):
    """Else each layer has its own: he_normal, and N(0, 0.02^2) in a DCGAN."""
    sample = load_data(data).codec.shape
    for init in ("", "lecun_uniform", "dcgan_normal"):
        a = Architecture(arch=arch, sample=sample, bounded=True, z=4, init=init)
        for w in (t.numpy() for build in (generator, discriminator) for name, t in
                  build(a, CPU, np.random.default_rng(0)).parameters().items() if name.endswith("w") and t.size > 1000):
            small = init == "dcgan_normal" or (not init and arch == "dcgan")
            uniform = init == "lecun_uniform"
            assert (np.abs(w).max() < 1.8 * w.std()) == uniform  # whose reach is sqrt(3) std
            assert uniform or (0.018 < w.std() < 0.022) == small


def test_spectral_norm_resumes_too(tmp_path):
    dataset, options = load_data("ring"), {"steps": 10, "batch": 8, "z": 3, "hidden": (8,), "spectral": True, "objective": "hinge"}
    whole = Run(Config(data="ring", **options), dataset, CPU, tmp_path / "whole")
    whole.train()
    parts = Run(Config(data="ring", **options), dataset, CPU, tmp_path / "parts")
    count = iter(range(100))
    parts.train(stopping=lambda: next(count) == 4)
    parts = Run.resume(dataset, CPU, tmp_path / "parts", {})
    parts.train()
    assert any(name.endswith(".u") for name in whole._live())
    for name, array in whole._live().items():
        np.testing.assert_array_equal(array, parts._live()[name], err_msg=name)


@pytest.mark.parametrize(("options", "message"), [
    ({"pack": 3, "batch": 128}, "--batch is 128, --pack 3 has to divide it"),
    ({"smooth": 0.1, "objective": "hinge"}, "--smooth is for objectives with labels"),
    ({"unroll": 1, "update": "simultaneous"}, "--unroll looks ahead"),
    ({"smooth": 0.7}, "--smooth is 0.7"),
    ({"noise": -1.0}, "--noise is -1.0"),
    ({"unroll_rate": -1.0}, "--unroll-rate is -1.0"),
])
def test_options_that_do_not_fit(options, message):
    with pytest.raises(OptionError, match=message):
        Config(data="ring", **options)


@pytest.mark.parametrize(("arguments", "message"), [
    (["ring", "--preset", "nope"], "--preset is 'nope', it has to be one of best"),
    (["digits", "--preset", "pacgan2"], "--preset pacgan2 is for ring and grid, not for digits"),
    (["ring", "--hidden", "8,x"], "'8,x' is no list of widths"),
    (["ring", "--pack", "0"], "--pack is 0, it has to be at least 1"),
    (["ring", "--init", "nope"], "--init is 'nope', it has to be one of he_normal"),
    (["ring", "--maxout", "1"], "at least 2 pieces"),
    (["ring", "--arch", "dcgan"], "dcgan wants images"),
])
def test_the_command_line_refuses_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_options_come_on_top_of_a_preset(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--steps", "5", "--hidden", "8", "--batch", "8"]
    assert run(["train", "ring", "--preset", "sngan", "--objective", "least-squares", *small]) == 0
    config = json.loads((tmp_path / "runs/ring/config.json").read_text())
    assert (config["objective"], config["spectral"], config["hidden"]) == ("least-squares", True, [8])
    assert run(["train", "ring", "--resume", "--steps", "8", "--preset", "pack"]) == 2  # the run was another one
    assert "--pack is 2" in capsys.readouterr().err
    assert run(["presets"]) == 0
    assert "pacgan4" in capsys.readouterr().out


# ---- the script that measures them ----------------------------------------------------------------------------------------------


def test_tables_name_presets_that_there_are():
    for rows in TABLES.values():
        for row in rows:
            options_of(row.preset, row.data)
    assert {row.preset for row in TABLES["remedies"]} == set(PRESETS) - {"pacgan-gan", "pacgan2", "pacgan4"}


def test_a_row_is_trained_and_measured():
    row = run_row(TABLES["results"][0], seeds=1, steps=20)
    (numbers,) = row["runs"]
    assert {"modes", "hq", "reverse_kl", "jsd", "seconds", "steps", "alarm_collapse"} <= set(numbers)
    assert numbers["steps"] == 20 and 0 < numbers["jsd"] <= np.log(2)


def test_digits_are_measured(tmp_path):
    dataset = load_data("digits")
    Run(Config(data="digits", steps=1, hidden=(8,), z=4, batch=8), dataset, CPU, tmp_path).train()
    numbers = measure(dataset, load_generator(tmp_path, CPU), seed=0)
    assert numbers["recall"] < 0.1 and numbers["frechet_pca32"] > 1  # one step makes no digits, and the numbers say so


def test_rows_are_measured_anew_in_place():
    rows = []
    for n, (data, preset) in enumerate([("ring", "best"), ("grid", "best"), ("ring", "best")]):
        keep(rows, {"data": data, "preset": preset, "runs": [n]})
    assert [(row["data"], row["runs"]) for row in rows] == [("ring", [2]), ("grid", [1])]


def test_rows_are_written_beside_those_of_other_jobs(tmp_path):
    path = tmp_path / "results" / "presets.json"
    for table, data in (("results", "ring"), ("remedies", "ring"), ("results", "grid")):
        write(path, table, {"data": data, "preset": "best", "runs": []})
    record = json.loads(path.read_text())
    assert {table: [row["data"] for row in rows] for table, rows in record["tables"].items()} == {
        "results": ["ring", "grid"], "remedies": ["ring"]}
    assert record["stamp"]["cores"] >= 1


def test_summary():
    found = summary([{"a": 1.0}, {"a": 2.0}, {"a": 6.0}])
    assert found["a"] == (3.0, pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3)))


# ---- the README's tables, from records ------------------------------------------------------------------------------------------


def _record():
    mixture = {"seconds": 40.0, "steps": 100, "alarm_collapse": 0.0, "looks": 30, "looks_collapsed": 1, "modes": 8, "hq": 0.975,
               "reverse_kl": 0.004, "jsd": 0.01}
    other = {**mixture, "modes": 7, "hq": 0.985, "reverse_kl": 0.002}
    digits = {"seconds": 50.0, "steps": 200, "alarm_collapse": 1.0, "looks": 30, "looks_collapsed": 3, "precision": 0.95,
              "recall": 0.87, "density": 1.2, "coverage": 0.98, "frechet_pca32": 0.51}
    return {"cpus": 2, "tables": {
        "results": [{"data": "ring", "preset": "best", "runs": [mixture, other], "diverged": 0},
                    {"data": "digits", "preset": "best", "runs": [digits], "diverged": 0}],
        "pacgan": [{"data": "ring", "preset": "pacgan-gan", "runs": [mixture], "diverged": 0}],
        "remedies": [{"data": "ring", "preset": "pack", "runs": [mixture, other], "diverged": 1},
                     {"data": "grid", "preset": "pack", "runs": [], "diverged": 3}],
    }}


def test_tables_are_made_of_the_record():
    text = preset_tables.results_section(_record())
    assert "modes / HQ % / reverse KL: 7.5±0.5 / 98.0±0.5 / 0.003±0.001" in text and "recall 0.87" in text
    assert "1 of these 3 healthy runs (5 of 90 looks)" in text
    text = preset_tables.pacgan_section(_record())
    assert "| ring | `--preset pacgan-gan` | 8.0 / 97.5 / 0.004 | 6.3±0.5 / 98.2 / 0.45 |" in text
    assert "| grid | `--preset pacgan2` | - | 23.8±0.7 / 91.3 / 0.13 |" in text and text.endswith("A dash: not run.")
    (row,) = (line for line in preset_tables.remedies_section(_record()).splitlines() if "PacGAN" in line)
    assert "7.5±0.5 / 98.0±0.5 / 0.003±0.001; 1 diverged" in row and "diverged, 3 of 3" in row


def test_every_remedy_is_described():
    assert set(preset_tables.REMEDIES) == {row.preset for row in TABLES["remedies"]}
    text = preset_tables.remedies_section(_record())
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {6}


def test_seconds_that_were_not_taken_are_not_shown():
    assert "| 40±0 |" in preset_tables.results_section(_record())
    record = _record()
    for row in record["tables"]["results"]:
        row["runs"] = [{name: v for name, v in run.items() if name != "seconds"} for run in row["runs"]]
    assert preset_tables.results_section(record).count("| - |") == 2


def test_a_section_is_filled_when_its_table_is_there(tmp_path, monkeypatch, capsys):
    """Only results are measured: their table goes in, what stands between the other markers stays."""
    text = "".join(f"<!-- {name} -->\nold {name}\n<!-- /{name} -->\n" for name in readme.SECTIONS)
    page, record = tmp_path / "README.md", _record()
    page.write_text(text)
    record["tables"], record["stamp"] = {"results": record["tables"]["results"]}, {"cpu": "a CPU", "cores": 2}
    (tmp_path / "presets.json").write_text(json.dumps(record))
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    monkeypatch.setattr(readme, "README", page)
    readme.main()
    filled = page.read_text()
    assert preset_tables.results_section(record) in filled and "old results" not in filled
    assert "Seconds on a CPU, 2 cores." in filled
    assert all(f"old {name}\n" in filled for name in set(readme.SECTIONS) - {"results"})
    assert "presets.json has no such table; section 'pacgan'" in capsys.readouterr().out


STAMP = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"numpy": "2.4"}, "commit": "abc", "date": "2026-01-01"}


def test_a_peer_that_is_missing_is_a_gap_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "DOCS", tmp_path)
    sides = {"tinygan": {"median": 2.0}, "torch": {"median": 5.0}}
    workload = {"sides": sides, "best_peer": "torch", "ratio": 2.5, "share_of_floor": 0.5}
    report = {"stamp": STAMP, "peers": ["torch", "torch-compile", "jax"], "workloads": {"ring": workload}}
    head, _, row, *_ = readme.steps_section(report).splitlines()
    assert head.split(" | ")[1:5] == ["tinygan, ms", "torch, ms", "torch.compile, ms", "jax, ms"]
    assert row == "| ring | 2 | 5 | - | - | **2.50** | 50 % |"


@pytest.mark.parametrize("peer", [True, False])
def test_kernels_are_told_from_their_record(peer):
    def case(gflop, mine, theirs):
        return {"gflop": gflop, "sides": {"tinygan": {"median": mine}, **({"torch": {"median": theirs}} if peer else {})}}

    cases = {"matmul a": case(1.0, 10.0, 15.0), "matmul b": case(1.0, 5.0, 5.0), "conv2d_dx c": case(3.0, 10.0, 40.0)}
    text = readme.kernels_section({"stamp": STAMP, "sgemm_gflops": 200.0, "cases": cases})
    assert "matrix products 50 to 100 % and convolutions 150 to 150 %" in text
    assert f"| matmul a | 10 | 100 | 50 % | {'1.50' if peer else '-'} |" in text
    assert f"| conv2d_dx c | 10 | 300 | 150 % | {'4.00' if peer else '-'} |" in text


def test_the_faces_are_told_from_their_record():
    text = readme.faces_section({
        "photographs": 400, "side": 32, "steps": 9000, "precision": 0.9, "recall": 0.8, "density": 1.1, "coverage": 0.7,
        "distinct": 210, "distinct_by_chance": 252.8, "ratio": 0.94, "frechet_pca32": 5.4321, "alarms": [],
        "stamp": STAMP, "seconds": 601.0})
    for part in ("400 photographs", "--steps 9000` (10 minutes)",
                 "recall 0.80", "5.43", "210 different", "(253 for", "0.94 times", ": none"):
        assert part in text, part
