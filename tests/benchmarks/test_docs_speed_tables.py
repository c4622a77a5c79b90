"""The tables of speed are made of the records of measurements; a peer that was not measured has no cell."""

from pathlib import Path

import pytest

from benchmarks.docs import results, speed_tables
from benchmarks.speed.gan_step import PEERS
from tests.support.measured_records import STAMP, steps_of_sides

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def test_a_peer_that_is_missing_is_told_below_the_table():
    sides = {"tinygan": 2.0, "torch": 5.0}
    workloads = {"ring": steps_of_sides(sides), "dcgan28": steps_of_sides({**sides, "torch, channels_last": 4.0}, by_zero=0.2)}
    text = speed_tables.steps_section({"stamp": STAMP, "peers": ["torch", "torch-compile", "jax"], "workloads": workloads})
    head, _, row, *_ = text.splitlines()
    assert head == "| workload | tinygan, ms | torch, ms | best peer / tinygan | share of the floor |"
    assert row == "| ring | 2 | 5 | **2.50** | 50 % |"
    assert "`torch, channels_last` takes 4 ms on dcgan28." in text
    assert "Not measured, as not installed there: torch-compile, jax." in text
    assert "20 % on dcgan28" in text


def test_every_peer_that_was_measured_has_its_columns_and_an_older_record_says_that_it_is_one():
    sides = {"tinygan": 2.0, "torch": 5.0, "torch.compile": 4.0, "torch, bfloat16": 3.0, "torch.compile, bfloat16": 3.0, "jax": 6.0}
    report = {"stamp": STAMP, "peers": list(PEERS), "workloads": {"ring": steps_of_sides(sides)}}
    text = speed_tables.steps_section(report)
    assert "Not measured" not in text and "torch, bfloat16, ms" in text and speed_tables.OF_EARLIER_PEERS in text
    report["workloads"]["ring"]["share_of_peak"] = 0.25
    text = speed_tables.steps_section(report)
    assert "| share of the peak |" in text and "| 25 % |" in text and speed_tables.OF_EARLIER_PEERS not in text
    assert set(speed_tables.FIRST_SIDES) == set(PEERS)


def test_without_peers_there_is_no_ratio():
    alone = {**steps_of_sides({"tinygan": 2.0}), "best_peer": None, "ratio": None}
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
