"""The workloads of the benchmark against PyTorch, step by step: from the same weights, on the same data and noise, the same losses.

What is left between two right programs is rounding, which a game amplifies from step to step; so float64 has to agree closely, and
float32 as closely as the steps allow. dcgan64 takes fewer steps than the others because each of its steps is a second of work.
"""

import numpy as np
import pytest
from tinygan_kernels import load

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[peers]'")
pytestmark = pytest.mark.peers

STEPS = {"ring": 50, "mlp28": 50, "dcgan28": 50, "dcgan64": 5}


def batches(workload, dtype, steps, seed=1):
    """x, z_d and z_g of each step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        x = rng.uniform(-1, 1, (workload.m, *workload.sample)).astype(dtype)
        yield x, *(rng.standard_normal((workload.m, workload.z)).astype(dtype) for _ in range(2))


def curves(name, dtype, steps, spoil=lambda values: values):
    """(tinygan's losses, PyTorch's losses), each (steps, 2): D's and G's."""
    from benchmarks.peer_torch import TorchStep
    from benchmarks.workloads import WORKLOADS, build

    ours = build(name, load("cpu"), seed=0, dtype=dtype)
    theirs = TorchStep(WORKLOADS[name], dtype=dtype)
    theirs.set_params(spoil(ours.params()))
    pairs = [(ours.step(*batch), theirs.step(*batch)) for batch in batches(WORKLOADS[name], dtype, steps)]
    return tuple(np.array(side) for side in zip(*pairs, strict=True))


def apart(ours, theirs):
    """The largest relative difference of the losses, at every step."""
    assert np.isfinite(ours).all() and np.isfinite(theirs).all()
    return np.abs(ours / theirs - 1).max(axis=1)


@pytest.mark.parametrize("name", STEPS)
def test_losses_in_float32(name):
    ours, theirs = curves(name, np.float32, STEPS[name])
    assert apart(ours, theirs).max() < 1e-3
    assert len(np.unique(ours, axis=0)) == STEPS[name]  # they do move


@pytest.mark.parametrize("name", ["ring", "mlp28"])
def test_losses_in_float64(name):
    assert apart(*curves(name, np.float64, STEPS[name])).max() < 1e-9


def test_one_weight_that_is_off_by_a_thousandth_is_seen():
    """The comparison on trial: one entry of D's first layer in PyTorch, at a place that every sample passes through."""

    def spoil(values):
        values[0].flat[0] *= 1.001
        return values

    assert apart(*curves("ring", np.float64, 5, spoil)).max() > 1e-9
