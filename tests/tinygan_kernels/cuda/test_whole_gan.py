"""Whole GANs on emulated CUDA kernels, in both languages: gradients against numeric ones, and training against the reference."""

from dataclasses import replace

import numpy as np
import pytest
from tinygan_kernels import emulator, load, why_unavailable

from tinygan.data.datasets import load as load_data
from tinygan.theory.gradient_cases import GAME_CASES
from tinygan.theory.gradient_cases import run as check
from tinygan.training.config import Config
from tinygan.training.run import Run

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(bool(why), reason=str(why)))
    for name, why in ((name, why_unavailable(name, emulate=True)) for name in ("cupy", "numba-cuda"))
]
GRADIENTS = [case for case in GAME_CASES if case.name.startswith("dV")]


def in_both_languages():
    """Every case in CUDA C++; in Numba, whose kernels take several times as long, one player of each architecture."""
    for case in GRADIENTS:
        for backend in BACKENDS:
            if "cupy" in backend.values or any(word in case.name for word in ("theta_d: mlp", "theta_g: dcgan")):
                yield pytest.param(*backend.values, case, marks=backend.marks, id=f"{case.name}-{backend.values[0]}")


@pytest.mark.parametrize(("backend", "case"), list(in_both_languages()))
def test_gradients_of_the_value_of_whole_networks(backend, case):
    """One element of each parameter, and a random direction in all of them at once; float64 kernels, sanitizer on."""
    (report,) = check(replace(case, elements=1, orders=(1,)), load(backend, emulate=True), np.random.default_rng(0))
    assert report.passed, str(report)


def test_both_networks_and_both_players_are_covered():
    names = " ".join(case.name for case in GRADIENTS)
    assert all(word in names for word in ("mlp", "dcgan", "theta_d", "theta_g"))


def readings(backend, folder, data, options, steps=4):
    """Return the readings of four training steps on networks small enough to be emulated."""
    config = Config(data=data, steps=steps, batch=8, z=4, save_every=100, **options)
    run, seen = Run(config, load_data(data), backend, folder), []
    for _ in range(steps):
        logits = run.make_step()
        run.step += 1
        seen.append(logits.read(config.objective))
    return np.array([[r.v, r.d_real, r.d_fake, r.g_loss] for r in seen])


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("data", "options"), [
    ("ring", {"hidden": (16, 16), "r1": 0.1}), ("digits", {"arch": "dcgan", "width": 4, "r1": 0.0}),
])
def test_training_follows_the_reference_step_by_step(backend, data, options, tmp_path):
    """float32 on both sides. Adam's first steps are rate * sign(g), which turns rounding of tiny gradients into whole rates."""
    expected = readings(load("reference"), tmp_path / "reference", data, options)
    with emulator.sanitize() as findings:
        found = readings(load(backend, emulate=True), tmp_path / "emulated", data, options)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_allclose(found[0, 0], expected[0, 0], rtol=1e-5)  # before any update
    assert not findings
