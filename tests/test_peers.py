"""The benchmark's workloads against PyTorch and JAX: from the same weights, on the same data and noise, the same losses.

In float64 nothing is left between tinygan and PyTorch but rounding, for all four. In float32 that holds for the MLPs over 50 steps.
A DCGAN amplifies rounding: an activation so near to 0 that its sign is rounding's changes slope, which moves a gradient in its
third digit, and Adam's first steps are the gradient's signs. After five steps of dcgan64, PyTorch's own two layouts, contiguous and
channels_last, are percents apart. So DCGANs are compared in float32 with the peer put on tinygan's weights before each step.
"""

from functools import partial

import numpy as np
import pytest
from tinygan_kernels import load

from benchmarks.speed.workloads import WORKLOADS, build

pytestmark = pytest.mark.peers

MLPS, DCGANS, STEPS = ("ring", "mlp28"), ("dcgan28", "dcgan64"), 50


def in_torch(workload, dtype=np.float32, m=None, variant="eager"):
    """The workload in PyTorch; skips the test where that is not installed."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[peers]'")
    from benchmarks.speed.peers.torch_step import TorchStep

    return TorchStep(workload, dtype=dtype, m=m, variant=variant)


def in_jax(workload, dtype=np.float32, m=None):
    """The workload in JAX, which computes in float32; skips the test where that is not installed."""
    pytest.importorskip("jax", reason="needs JAX: pip install -e '.[peers]'")
    from benchmarks.speed.peers.jax_step import JaxStep

    assert dtype == np.float32
    return JaxStep(workload, m=m)


def batches(workload, m, dtype, steps, seed=1):
    """x, z_d and z_g of each step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        x = rng.uniform(-1, 1, (m, *workload.sample)).astype(dtype)
        yield x, *(rng.standard_normal((m, workload.z)).astype(dtype) for _ in range(2))


def curves(name, dtype, steps, m=None, every_step=False, spoil=lambda values: values, peer=in_torch):
    """(tinygan's losses, the peer's), each (steps, 2): D's and G's. every_step: the peer is on tinygan's weights before each."""
    workload = WORKLOADS[name]
    ours, theirs = build(name, load("cpu"), seed=0, dtype=dtype, m=m), peer(workload, dtype=dtype, m=m)
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


@pytest.mark.parametrize("variant", ["compile", "compile channels_last", "channels_last"])
def test_what_is_compiled_and_channels_last_computes_the_same(variant):
    compiled = partial(in_torch, variant=variant)
    assert apart(*curves("dcgan28", np.float32, 3, m=4, every_step=True, peer=compiled)).max() < 1e-3


def test_bfloat16_is_near_and_not_the_same():
    near = apart(*curves("mlp28", np.float32, 5, peer=partial(in_torch, variant="bfloat16")))
    assert 1e-6 < near.max() < 0.05


def test_variants_that_are_unknown_are_refused():
    with pytest.raises(ValueError, match="there is no 'quick'"):
        in_torch(WORKLOADS["ring"], variant="quick")


@pytest.mark.parametrize("name", MLPS)
def test_mlps_in_jax(name):
    assert apart(*curves(name, np.float32, STEPS, peer=in_jax)).max() < 1e-3


@pytest.mark.parametrize("name", DCGANS)
def test_dcgans_in_jax_from_the_same_weights_at_every_step(name):
    """Small batches. The transposed convolutions, written as products, are among what is compared."""
    assert apart(*curves(name, np.float32, 3, m=4, every_step=True, peer=in_jax)).max() < 1e-3


def test_one_weight_that_is_off_by_a_thousandth_is_seen():
    """The comparison on trial: one entry of D's first layer in PyTorch, which every sample passes through."""

    def spoil(values):
        values[0].flat[0] *= 1.001
        return values

    assert apart(*curves("ring", np.float64, 5, spoil=spoil)).max() > 1e-9
