"""The loop that measures the peak of multiply-adds computes what it should, so that nothing of it was left out."""

import numpy as np
import pytest

from benchmarks.speed import peak


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_the_loop_does_all_its_multiply_adds(turns):
    factor, term = np.float32(0.5), np.float32(0.25)
    values = factor * np.arange(peak.LATENCY_HIDDEN, dtype=np.float32)
    for _ in range(turns):
        values = values * factor + term
    assert peak._alone(turns, factor, term) == pytest.approx(values.sum(), rel=1e-6)


def test_the_rate_counts_two_operations_a_multiply_add(monkeypatch):
    """The clock is a fake one: every call takes a quarter of a second."""
    now = iter(np.arange(100) / 4)
    monkeypatch.setattr(peak.time, "perf_counter", lambda: next(now))
    threads = peak.numba.get_num_threads()
    assert peak.fma_rate(turns=10, calls=2) == 4 * 2 * peak.LATENCY_HIDDEN * peak.lanes(4) * 10 * threads


def test_a_target_with_few_registers_is_refused(monkeypatch):
    monkeypatch.setattr(peak, "registers", lambda: 8)
    with pytest.raises(RuntimeError, match="14 vector registers, the target has 8"):
        peak.fma_rate(turns=1, calls=1)
