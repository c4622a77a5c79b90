"""The workloads of the benchmark against PyTorch, step by step: from the same weights, on the same data and noise, the same losses.

In float64 nothing is left between the two but rounding, for all four. In float32 that holds for the MLPs over 50 steps. A DCGAN
amplifies rounding: an activation so near to 0 that its sign is rounding's changes slope, which moves a gradient in its third digit,
and Adam's first steps are the gradient's signs. After five steps of dcgan64, PyTorch's own two layouts, contiguous and
channels_last, are percents apart. So DCGANs are compared in float32 with PyTorch put on tinygan's weights before each of 50 steps.
"""

import numpy as np
import pytest
from tinygan_kernels import load

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[peers]'")
pytestmark = pytest.mark.peers

MLPS, DCGANS, STEPS = ("ring", "mlp28"), ("dcgan28", "dcgan64"), 50


def batches(workload, m, dtype, steps, seed=1):
    """x, z_d and z_g of each step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        x = rng.uniform(-1, 1, (m, *workload.sample)).astype(dtype)
        yield x, *(rng.standard_normal((m, workload.z)).astype(dtype) for _ in range(2))


def curves(name, dtype, steps, m=None, every_step=False, spoil=lambda values: values):
    """(tinygan's losses, PyTorch's losses), each (steps, 2): D's and G's. every_step: PyTorch on tinygan's weights before each."""
    from benchmarks.speed.peer_torch import TorchStep
    from benchmarks.speed.workloads import WORKLOADS, build

    workload = WORKLOADS[name]
    ours, theirs = build(name, load("cpu"), seed=0, dtype=dtype, m=m), TorchStep(workload, dtype=dtype, m=m)
    theirs.set_params(spoil(ours.params()))
    pairs = []
    for batch in batches(workload, m or workload.m, dtype, steps):
        if every_step:
            theirs.set_params(ours.params())
        pairs.append((ours.step(*batch), theirs.step(*batch)))
    return tuple(np.array(side) for side in zip(*pairs, strict=True))


def apart(ours, theirs):
    """The largest relative difference of the losses, at every step."""
    assert np.isfinite(ours).all() and np.isfinite(theirs).all()
    assert len(np.unique(ours, axis=0)) == len(ours)  # they do move
    return np.abs(ours / theirs - 1).max(axis=1)


@pytest.mark.parametrize("name", MLPS)
def test_mlps_in_float32(name):
    assert apart(*curves(name, np.float32, STEPS)).max() < 1e-3


@pytest.mark.parametrize("name", MLPS)
def test_mlps_in_float64(name):
    assert apart(*curves(name, np.float64, STEPS)).max() < 1e-9


@pytest.mark.parametrize("name,steps", [("dcgan28", 10), ("dcgan64", 3)])
def test_dcgans_in_float64(name, steps):
    """Small batches, as this checks what is computed and not how fast."""
    assert apart(*curves(name, np.float64, steps, m=8)).max() < 1e-9


@pytest.mark.parametrize("name", DCGANS)
def test_dcgans_in_float32_from_the_same_weights_at_every_step(name):
    assert apart(*curves(name, np.float32, STEPS, every_step=True)).max() < 1e-3


def test_one_weight_that_is_off_by_a_thousandth_is_seen():
    """The comparison on trial: one entry of D's first layer in PyTorch, which every sample passes through."""

    def spoil(values):
        values[0].flat[0] *= 1.001
        return values

    assert apart(*curves("ring", np.float64, 5, spoil=spoil)).max() > 1e-9
