"""The lines with which `tinygan train` ends on a mixture."""

from types import SimpleNamespace

import numpy as np
import pytest
from tinygan_kernels import load as load_backend

from tinygan.cli import train
from tinygan.data import load
from tinygan.measure import report
from tinygan.measure.mixture_quality import mixture_quality
from tinygan.play.densities import data_of
from tinygan.training import samples


def ending(monkeypatch, dataset, width: float, fourier: int = 0) -> list[str]:
    """Return the last lines of a run whose modes are at the right places, have equal shares, and `width` times the true width."""
    rng = np.random.default_rng(0)
    centres = np.repeat(dataset.centres, 20, axis=0)
    found = mixture_quality(centres + width * dataset.std * rng.standard_normal(centres.shape), dataset.centres, dataset.std, rng)
    monkeypatch.setattr(report, "quality_of_mixture", lambda *_: found)
    monkeypatch.setattr(samples, "load_generator", lambda *_: None)
    config = SimpleNamespace(data=dataset.name, fourier=fourier, seed=0)
    return train._judged(SimpleNamespace(config=config, dataset=dataset, out=None, backend=load_backend("cpu"))).splitlines()


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_narrow_modes_end_with_the_preset_that_is_for_them(monkeypatch, name):
    first, *more = ending(monkeypatch, load(name), 0.5)
    assert first.startswith(f"{name}: {len(load(name).centres)} of") and len(more) == 1
    assert more[0].endswith(f"tinygan train {name} --preset density")


@pytest.mark.parametrize(("name", "width", "fourier"), [("ring", 2.0, 0), ("ring", 0.5, 64), ("moons", 0.5, 0)])
def test_there_is_no_such_line_where_it_would_not_help(monkeypatch, name, width, fourier):
    """Modes that are not narrow, a run that has what the preset has, and data that the preset is not for."""
    dataset = load(name) if name == "ring" else data_of(name, ())
    assert len(ending(monkeypatch, dataset, width, fourier)) == 1
