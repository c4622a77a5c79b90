"""What the views compute, against the same by other ways: eigenvalues by differences, JSD of exact samples."""

import numpy as np
import pytest
from played_sessions import CPU, bits, session

from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import Tensor, gradients
from tinygan.play.densities import data_of
from tinygan.play.rotation import MOST, PRODUCTS, SETTLED, WHOLE, GameField
from tinygan.play.views import CELLS, MANY, Views

PENALTIES = {"none": {"r1": 0.0}, "R1": {"r1": 2.0}, "R2": {"r1": 0.0, "r2": 2.0}, "WGAN-GP": {"r1": 0.0, "gp": 2.0},
             "all, in packs": {"r1": 1.0, "r2": 1.0, "gp": 1.0, "pack": 2},
             "fallen": {"r1": 4.0, "r2": 4.0, "gp": 4.0, "penalty_fall": 10.0, "steps": 100}}


@pytest.mark.parametrize("options", PENALTIES.values(), ids=PENALTIES)
def test_the_jacobian_is_how_the_gradients_with_all_penalties_change(options, monkeypatch):
    """Differences of the two players' gradients, as training takes them (fakes held in D's goal), give the same matrix.

    The networks have kinks, which a difference meets now and then: on few samples, with a small step, few entries can differ.
    """
    played = session(hidden=(3,), hidden_d=(3,), z=1, ema=0.0, **options)
    played.play(60)
    views, game = Views(played.run), played.run.game
    views.gradient_norms()  # from here on penalties count as at step 60
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
    views._rng = np.random.default_rng(5)
    spectrum = finished(views.spectrum(WHOLE))
    found, values = spectrum.matrix(), spectrum.eigenvalues()
    off = np.abs(found - np.stack(columns, axis=1))
    assert (off < 5e-3).mean() > 0.95, np.sort(off.reshape(-1))[::-20]
    assert values.sum() == pytest.approx(np.trace(found), abs=1e-3) and (np.diff(values.real) <= 0).all()


def finished(spectrum, between=lambda: None):
    """Return a spectrum with all its products made; between: what happens between two of them."""
    while not spectrum.done:
        spectrum.advance()
        between()
    return spectrum


def test_the_outermost_eigenvalues_are_those_of_the_whole_matrix():
    """Arnoldi's method on players whose matrix is known: what it shows is there, and the largest parts are not missed."""
    played = session(hidden=(9, 9), hidden_d=(9, 9))
    played.play(200)
    views = Views(played.run)
    probe = views._probe()
    views._probe = lambda: probe
    every = finished(views.spectrum(WHOLE)).eigenvalues()
    outer = finished(views.spectrum(0))
    found, allowed = outer.eigenvalues(), 5 * SETTLED * np.abs(every).max()
    assert len(every) == outer.size > 2 * PRODUCTS > len(found) > 10 and outer.products == PRODUCTS and not outer.whole
    assert max(np.abs(every - one).min() for one in found) < allowed
    assert found.real.max() == pytest.approx(every.real.max(), abs=allowed)
    assert found.imag.max() == pytest.approx(every.imag.max(), abs=allowed)
    assert np.abs(found).max() == pytest.approx(np.abs(every).max(), abs=allowed)


def test_a_few_parameters_are_exhausted_by_fewer_products_than_are_allowed():
    played = session(hidden=(2,), hidden_d=(2,), z=1)
    played.play(5)
    views = Views(played.run)
    outer = finished(views.spectrum(0))
    assert outer.products <= outer.size < PRODUCTS and len(outer.eigenvalues()) == outer.products


@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "spectral": True}, {"r1": 2.0, "penalty_fall": 10.0, "steps": 130}],
                         ids=["plain", "with buffers", "with penalties that fall"])
def test_eigenvalues_are_of_the_step_at_which_they_were_begun(options):
    """The game is played between the products: nothing of that is seen, not even in running statistics."""
    played, still = session(**options), session(**options)
    found = []
    for one, between in ((played, played.play), (still, lambda: None)):
        one.play(20)
        found.append(finished(Views(one.run).spectrum(50), between))
    assert (found[0].eigenvalues() == found[1].eigenvalues()).all() and found[0].step == 20
    still.play(found[0].products)
    assert bits(played.run) == bits(still.run)  # and the game sees nothing of the products


def test_penalties_count_as_at_the_step_that_is_looked_at():
    """Also after going back, and after a change of options, which make no step that would set their share."""
    def share():
        Views(played.run).gradient_norms()
        return played.run.game.penalty_share

    played = session(r1=2.0, penalty_fall=10.0, steps=100)
    played.play(90)
    assert share() == pytest.approx(0.1)
    played.change({"lr_d": 1e-4})
    assert share() == pytest.approx(0.1)
    played.back(10)
    assert share() == 1.0


def test_players_that_are_too_large_for_eigenvalues_are_told():
    views = Views(session().run)
    views._game_field = GameField(views.run)
    views._game_field.size = MOST + 1
    with pytest.raises(ValueError, match="take smaller --hidden"):
        views.spectrum(WHOLE)


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
