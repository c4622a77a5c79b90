"""The check of the model of time: the kernels are right, and the page says what the record has, also where the goal is missed."""

import json

import numpy as np
import pytest
from tinygan_kernels import KERNELS, why_unavailable

from benchmarks.docs import results
from benchmarks.docs.time_tables import time_section
from benchmarks.speed import time_model

emulated = pytest.mark.skipif(
    why_unavailable("cupy", emulate=True) is not None, reason="needs Numba CUDA: pip install -e '.[emulator]'"
)


@emulated
@pytest.mark.parametrize("kernel", time_model.PUBLISHED)
def test_kernels_of_the_published_ladder_are_right(kernel):
    from tinygan_kernels.own.host import OwnHost
    from tinygan_kernels.own.kernel_file import read

    rng = np.random.default_rng(0)
    a, b, c = rng.random((128, 64), np.float32), rng.random((64, 256), np.float32), np.zeros((128, 256), np.float32)
    OwnHost(read(f"{time_model.SOURCE}:{kernel}"), KERNELS["matmul"])(a, b, c)
    np.testing.assert_allclose(c, a @ b, rtol=1e-5)


def _row(title, published, modelled, **more):
    parts = dict.fromkeys(("issue", "arithmetic", "load_store", "latency", "l2", "dram", "total"), 1500.0)
    return {"title": title, "published": published, "modelled": modelled, "factor": time_model.factor(modelled, published),
            "factor_at_base_clock": 1.4, "limit": "issue", "resident": 1, "parts": parts, **more}  # fmt: skip


def _record(*rows):
    stamp = {"cpu": "a CPU", "cores": 2, "python": "3.11", "versions": {"numpy": "2.4"}, "commit": "abc", "date": "2026-01-01"}
    return {"stamp": stamp, "size": 4096, "gpu": "RTX A6000", "clock": 1.8, "base_clock": 1.41, "goal": 1.5, "rows": rows,
            "not_in_order": time_model.order_kept(list(rows))}  # fmt: skip


def test_the_page_says_whether_the_goal_was_reached_and_the_order_kept():
    good = time_section(_record(_row("1: a", 100, 90), _row("2: b", 200, 250)))
    assert "Each is within a factor of 1.5" in good and "the worst is 2: b, 1.25" in good
    assert "but for" not in good and "so is each" in good
    assert "| 2: b | 200 | 250 | 1.25 | 1.40 | issue | 1.50 |" in good
    bad = time_section(_record(_row("1: a", 100, 160), _row("2: b", 200, 160), _row("3: c", 300, 150, factor_at_base_clock=2.6)))
    assert "is missed by 1: a, 3: c." in bad and "3: c would miss it" in bad
    assert "but for 1: a = 2: b; 2: b > 3: c." in bad


def test_gpus_that_were_looked_at_later_are_told_with_what_they_miss():
    rows = [_row("1: a", 100, 160), _row("2: b", 200, 150)]
    later = {"gpu": "A100", "measured_on": "an A100", "source": "somebody", "clock": 1.41, "rows": rows,
             "not_in_order": time_model.order_kept(rows)}  # fmt: skip
    said = time_section(_record(_row("1: a", 100, 90)) | {"later": [later]})
    assert "| 1: a | 100 | 160 | 1.60 | issue |" in said and "Beyond a factor of 1.5: 1: a (1.60)." in said
    assert "Not in the published order: 1: a > 2: b." in said and "measured by others: somebody" in said


def test_the_record_is_of_every_published_rung():
    record = json.loads((results.RESULTS / "time_model.json").read_text())
    assert [(r["title"], r["published"]) for r in record["rows"]] == list(time_model.PUBLISHED.values())
    for row in record["rows"]:
        assert row["factor"] == pytest.approx(time_model.factor(row["modelled"], row["published"]))
        assert row["factor"] <= record["goal"]
        assert row["modelled"] == pytest.approx(2 * record["size"] ** 3 / row["parts"]["total"] / 1e3)
