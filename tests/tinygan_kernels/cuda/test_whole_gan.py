"""Whole GANs on emulated CUDA kernels, in both languages: gradients and training against the reference."""

import numpy as np
import pytest
from tinygan_kernels import emulator, load, why_unavailable

from tinygan.data.datasets import load as load_data
from tinygan.engine.tensor import gradients
from tinygan.theory.gradient_cases import GAME_CASES
from tinygan.training.config import Config
from tinygan.training.run import Run

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=str(why)))
    for name, why in ((name, why_unavailable(name, emulate=True)) for name in ("cupy", "numba-cuda"))
]
GRADIENTS = [case for case in GAME_CASES if case.name.startswith("dV")]


def value_and_gradients(case, backend):
    """The value of a case and its gradient in each parameter: by fused kernels, and by ops, which can be differentiated again."""
    f, theta = case.build(np.random.default_rng(0), load(backend, emulate=backend != "reference"))
    for tensor in theta:
        tensor.requires_grad = True
    value = f(*theta)
    return [value.numpy(), *(g.numpy() for again in (False, True) for g in gradients(value, theta, create_graph=again))]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case.name)
def test_gradients_of_the_value_of_whole_networks(backend, case):
    """Every element of every gradient, in float64, the sanitizer being on.

    Those of the reference are compared with numeric ones for the same cases in tests/tinygan/engine/test_ops.py.
    """
    expected, found = value_and_gradients(case, "reference"), value_and_gradients(case, backend)
    assert len(found) == len(expected) > 8
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11 * np.abs(y).max())


def test_both_networks_and_both_players_are_covered():
    names = " ".join(case.name for case in GRADIENTS)
    assert all(word in names for word in ("mlp", "dcgan", "theta_d", "theta_g"))


def readings(backend, folder, data, options, steps=3):
    """Return the readings of steps on networks small enough to be emulated: the third comes after two of Adam's updates."""
    config = Config(data=data, steps=steps, batch=6, z=4, save_every=100, **options)
    run, seen = Run(config, load_data(data), backend, folder), []
    for _ in range(steps):
        logits = run.make_step()
        run.step += 1
        seen.append(logits.read(config.objective))
    return np.array([[r.v, r.d_real, r.d_fake, r.g_loss] for r in seen])


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("data", "options"), [
    ("ring", {"hidden": (16,), "r1": 0.1}), ("digits", {"arch": "dcgan", "width": 4, "r1": 0.0}),
])
def test_training_follows_the_reference_step_by_step(backend, data, options, tmp_path):
    """float32 on both sides. Adam's first steps are rate * sign(g), which turns rounding of tiny gradients into whole rates."""
    expected = readings(load("reference"), tmp_path / "reference", data, options)
    with emulator.sanitize() as findings:
        found = readings(load(backend, emulate=True), tmp_path / "emulated", data, options)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_allclose(found[0, 0], expected[0, 0], rtol=1e-5)  # before any update
    assert not findings
