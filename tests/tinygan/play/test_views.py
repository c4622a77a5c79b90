"""What the views compute, against the same by other ways: eigenvalues by differences, JSD of exact samples."""

import numpy as np
import pytest
from played_sessions import CPU, session

from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import Tensor, gradients
from tinygan.play.densities import data_of
from tinygan.play.views import CELLS, MANY, Views
from tinygan.theory.vector_field import jacobian

PENALTIES = {"none": {"r1": 0.0}, "R1": {"r1": 2.0}, "R2": {"r1": 0.0, "r2": 2.0}, "WGAN-GP": {"r1": 0.0, "gp": 2.0},
             "all, in packs": {"r1": 1.0, "r2": 1.0, "gp": 1.0, "pack": 2}}


@pytest.mark.parametrize("options", PENALTIES.values(), ids=PENALTIES)
def test_the_jacobian_is_how_the_gradients_with_all_penalties_change(options, monkeypatch):
    """Differences of the two players' gradients, as training takes them (fakes held in D's goal), give the same matrix.

    The networks have kinks, which a difference meets now and then: on few samples, with a small step, few entries can differ.
    """
    played = session(hidden=(3,), hidden_d=(3,), z=1, ema=0.0, **options)
    played.play(60)
    views, game = Views(played.run), played.run.game
    x, z = (array[:24] for array in views._probe())
    monkeypatch.setattr(views, "_probe", lambda: (x, z))

    def velocity():
        views._rng = np.random.default_rng(5)  # the same points between data and fakes each time
        up, down, theta_d, theta_g = views._both_goals(Tensor(x, CPU), Tensor(z, CPU), Draws(views._rng))
        parts = [*gradients(up, theta_d), *(-g for g in gradients(down, theta_g))]
        return np.concatenate([part.numpy().reshape(-1) for part in parts]).astype(np.float64)

    columns, h = [], np.float32(2**-11)
    for theta in (t.array.reshape(-1) for o in (game.optim_d, game.optim_g) for t in o.parameters):
        for i, kept in enumerate(theta.copy()):
            theta[i] = kept + h
            above, above_at = velocity(), theta[i]
            theta[i] = kept - h
            columns.append((above - velocity()) / (above_at - theta[i]))
            theta[i] = kept
    found = []
    monkeypatch.setattr("tinygan.play.views.jacobian", lambda v, theta: found.append(jacobian(v, theta)) or found[-1])
    views._rng = np.random.default_rng(5)
    values = views.eigenvalues()
    off = np.abs(found[0] - np.stack(columns, axis=1))
    assert (off < 5e-3).mean() > 0.95, np.sort(off.reshape(-1))[::-20]
    assert values.sum() == pytest.approx(np.trace(found[0]), abs=1e-3) and (np.diff(values.real) <= 0).all()


@pytest.mark.parametrize(("name", "least", "most"), [("ring", 0.0008, 0.0016), ("circle", 0.024, 0.033)])
def test_a_sample_makes_the_jsd_too_large_as_the_page_says(name, least, most):
    """Exact samples of the data in the place of G's: the JSD that is left at the equilibrium, about c / (8 n) in c cells."""
    views, dataset = Views(session(name).run), data_of(name)
    found = [views.optimum(dataset.some(MANY, np.random.default_rng(seed)))[1] for seed in range(3)]
    assert least < np.mean(found) < most, found
    occupied = (views._p * MANY > 0.5).sum()
    assert occupied < CELLS**2 and 0.4 < np.mean(found) / (occupied / (8 * MANY)) < 1.6


def test_no_data_of_the_page_have_more_left_than_the_page_says():
    for name in ("wide-ring", "grid", "line", "moons"):
        views = Views(session(name).run)
        assert 0 < views.optimum(data_of(name).some(MANY, np.random.default_rng(0)))[1] < 0.031, name
