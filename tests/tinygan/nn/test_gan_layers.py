"""Maxout, Dropout, spectral normalisation, Fourier features and signs: formulas, gradients, and what eval does differently."""

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan.engine import ops
from tinygan.engine.gradcheck import gradcheck
from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import Tensor, gradients
from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.nn.gan_layers import Dropout, FourierFeatures, Maxout, Signs, SpectralNorm
from tinygan.nn.layers import Conv2d, Linear

CPU = load("cpu")


def _made(seed=0):
    return {"backend": CPU, "rng": np.random.default_rng(seed), "dtype": np.float64}


def _x(*shape, seed=1):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), CPU)


def test_maxout_is_the_largest_of_its_pieces():
    layer, x = Maxout(3, 4, 5, **_made()), _x(7, 3)
    layer.product.b.array[...] = np.random.default_rng(2).standard_normal(20)
    w, b = (t.numpy() for t in layer.parameters().values())
    expected = np.empty((7, 4))
    for j in range(4):
        expected[:, j] = (x.numpy() @ w[:, 5 * j : 5 * j + 5] + b[5 * j : 5 * j + 5]).max(axis=1)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)


def test_maxout_gradients():
    layer, x = Maxout(3, 2, 3, **_made(3)), _x(4, 3)
    for order in (1, 2):
        report = gradcheck(lambda x, *_: layer(x), x, *layer.parameters().values(), order=order, name="maxout")
        assert report.passed, report


def test_dropout_keeps_the_mean_and_drops_its_share():
    layer = Dropout(0.3, Draws(np.random.default_rng(0)))
    y = layer(Tensor(np.ones((200, 200)), CPU)).numpy()
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)  # 4 standard errors: 0.0092
    layer.eval()
    x = _x(3, 3)
    assert layer(x) is x


def test_dropout_sends_gradients_through_what_it_kept():
    x = _x(5, 6)
    report = gradcheck(lambda x: Dropout(0.5, Draws(np.random.default_rng(4)))(x), x, name="dropout")
    assert report.passed, report


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range(p):
    with pytest.raises(ValueError, match="dropout probability"):
        Dropout(p, Draws(np.random.default_rng(0)))


def _settled(layer, x, steps=200):
    for _ in range(steps):
        layer(x)
    return layer.eval()


def test_spectral_norm_divides_by_the_largest_singular_value():
    inner = Linear(5, 4, **_made(6))
    layer = _settled(SpectralNorm(inner, np.random.default_rng(0)), _x(2, 5))
    sigma = np.linalg.svd(inner.w.numpy(), compute_uv=False)[0]
    x = _x(3, 5, seed=8)
    np.testing.assert_allclose(layer(x).numpy(), x.numpy() @ inner.w.numpy() / sigma, rtol=1e-9)


def test_spectral_norm_of_a_convolution_is_that_of_its_matrix():
    inner = Conv2d(2, 3, 2, **_made(6))
    x = _x(1, 4, 4, 2)
    layer = _settled(SpectralNorm(inner, np.random.default_rng(0)), x)
    sigma = np.linalg.svd(inner.w.numpy().reshape(8, 3), compute_uv=False)[0]
    np.testing.assert_allclose(layer(x).numpy(), inner(x).numpy() / sigma, rtol=1e-9)


def test_spectral_norm_gradient():
    """In eval, u and v are constants of the point that numeric differences are taken at, up to second order in the step."""
    inner = Linear(4, 3, act="tanh", **_made(7))
    x = _x(5, 4)
    layer = _settled(SpectralNorm(inner, np.random.default_rng(0)), x)
    report = gradcheck(lambda x, *_: layer(x), x, inner.w, inner.b, name="spectral")
    assert report.passed, report


def test_training_moves_u_and_eval_does_not():
    layer = SpectralNorm(Linear(5, 4, **_made()), np.random.default_rng(0))
    before = layer.u.numpy().copy()
    layer.eval()(_x(2, 5))
    np.testing.assert_array_equal(layer.u.numpy(), before)
    layer.train()(_x(2, 5))
    assert np.abs(layer.u.numpy() - before).max() > 1e-3
    assert layer.buffers()["u"] is layer.u and np.linalg.norm(layer.u.numpy()) == pytest.approx(1)


def test_networks_with_everything():
    a = Architecture(arch="mlp", sample=(6,), bounded=False, z=4, hidden=(8, 8), hidden_d=(5, 7), maxout=3,
                     dropout=0.2, batch_norm=True, pack=2)
    rng = np.random.default_rng(0)
    G, D = generator(a, CPU, rng), discriminator(a, CPU, rng, draws=Draws(rng))
    fake = G(Tensor(rng.standard_normal((10, 4), np.float32), CPU))
    assert fake.shape == (10, 6)
    assert D(Tensor(np.zeros((5, 12), np.float32), CPU)).shape == (5, 1)
    assert [t.shape for n, t in D.parameters().items() if n.endswith("w")] == [(12, 15), (5, 21), (7, 1)]
    assert sum(n.endswith("gamma") for n in G.parameters()) == 2


def test_spectral_dcgan_has_no_batch_normalisation_in_d():
    a = Architecture(arch="dcgan", sample=(8, 8, 1), bounded=True, z=4, width=4, spectral=True, pack=2)
    D = discriminator(a, CPU, np.random.default_rng(0))
    assert D(Tensor(np.zeros((3, 8, 8, 2), np.float32), CPU)).shape == (3, 1)
    assert not any(n.endswith("gamma") for n in D.parameters())
    assert sum(n.endswith("u") for n in D.buffers()) == len(a.sample) - 1


@pytest.mark.parametrize(("wrong", "message"), [
    ({"arch": "dcgan", "sample": (8, 8, 1), "maxout": 2}, "options of the mlp"),
    ({"maxout": 1}, "at least 2 pieces"),
    ({"dropout": 1.0}, r"dropout is 1\.0, it has to be at least 0 and below 1"),
    ({"maxout": 2, "spectral": True}, "leave out maxout or spectral"),
])
def test_architectures_that_do_not_fit(wrong, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**{"arch": "mlp", "sample": (2,), "bounded": False, "z": 2, **wrong})


# ---- Fourier features and signs -------------------------------------------------------------------------------------------------


def test_fourier_features_are_the_input_and_sines_of_it():
    layer, x = FourierFeatures(3, 5, 20.0, **_made()), _x(4, 3)
    w, b = layer.w.numpy(), layer.b.numpy()
    np.testing.assert_allclose(layer(x).numpy(), np.hstack([x.numpy(), np.sin(x.numpy() @ w + b)]), rtol=1e-12, atol=1e-15)
    assert layer.parameters() == {} and set(layer.buffers()) == {"w", "b"}


def test_fourier_features_have_frequencies_of_every_size_and_direction():
    """Lengths are uniform in their logarithm between the two limits, directions and phases uniform too."""
    layer = FourierFeatures(2, 20_000, 100.0, 0.01, **_made())
    w, b = layer.w.numpy(), layer.b.numpy()
    lengths = np.log(np.linalg.norm(w, axis=0))
    for values, low, high in ((lengths, np.log(0.01), np.log(100.0)), (np.arctan2(*w), -np.pi, np.pi), (b, 0, 2 * np.pi)):
        counts = np.histogram(values, 10, (low, high))[0]
        assert counts.sum() == 20_000 and np.abs(counts - 2000).max() < 5 * 2000**0.5


@pytest.mark.parametrize("order", [1, 2])
def test_fourier_features_gradients(order):
    layer = FourierFeatures(3, 4, 3.0, **_made())
    report = gradcheck(layer, _x(4, 3), order=order, name="FourierFeatures")
    assert report.passed, report


@pytest.mark.parametrize(("arguments", "error", "said"), [
    ((0, 3, 9.0), ValueError, "n_in is 0"), ((2, 1.5, 9.0), TypeError, "FourierFeatures: n "),
    ((2, 3, "a"), TypeError, "highest is 'a'"), ((2, 3, 0.5), ValueError, "frequencies from 1.0 to 0.5"),
    ((2, 3, float("inf")), ValueError, "positive, finite and in this order"), ((2, 3, 1.0, 0.0), ValueError, "from 0.0 to 1.0"),
])
def test_fourier_features_out_of_range(arguments, error, said):
    with pytest.raises(error, match=said):
        FourierFeatures(*arguments, **_made())


def test_signs_leave_the_other_numbers_alone():
    z = _x(6, 4)
    z.array[0, 0] = 0.0
    y = Signs(2)(z).numpy()
    np.testing.assert_array_equal(y, np.hstack([np.sign(z.numpy()[:, :2]), z.numpy()[:, 2:]]))
    np.testing.assert_array_equal(Signs(4)(z).numpy(), np.sign(z.numpy()))


def test_signs_send_gradients_to_the_other_numbers_alone():
    z = Tensor(np.random.default_rng(0).standard_normal((5, 4)), CPU, requires_grad=True)
    g = np.random.default_rng(1).standard_normal((5, 4))
    (dz,) = gradients(ops.sum(Signs(3)(z) * Tensor(g, CPU)), [z])
    np.testing.assert_array_equal(dz.numpy(), np.hstack([np.zeros((5, 3)), g[:, 3:]]))


def test_signs_refuse_narrower_noise():
    with pytest.raises(ValueError, match=r"z has shape \(2, 3\), .* at least n = 4"):
        Signs(4)(_x(2, 3))
    with pytest.raises(ValueError, match="Signs: n is 0"):
        Signs(0)
