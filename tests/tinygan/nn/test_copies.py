"""Copies of networks, by deepcopy and by pickle: the same values in memory of their own, and the same behaviour."""

import copy
import pickle

import numpy as np
import pytest
from tinygan_kernels import load, shared

from tinygan import Tensor, nn, optim
from tinygan.engine import Draws


class Tied(nn.Layer):
    """A layer of one's own that holds a tensor in two places, a list, a dict, a backend and a generator."""

    def __init__(self) -> None:
        self.first = Tensor([1.0, 2.0], "reference", requires_grad=True)
        self.again = [self.first, {"scale": Tensor([3.0, 4.0], "reference")}]
        self.seen = 0

    def __call__(self, x):
        return x * self.first * self.again[1]["scale"]


def network() -> nn.Sequential:
    made = {"backend": "reference", "rng": np.random.default_rng(0)}
    return nn.Sequential(
        nn.Signs(1), nn.FourierFeatures(2, 3, 4.0, **made), nn.SpectralNorm(nn.Linear(5, 4, **made), 1),
        nn.BatchNorm(4, backend="reference"), nn.Maxout(4, 2, 2, **made),
        nn.Dropout(0.5, 2), Tied(),
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda G: pickle.loads(pickle.dumps(G))], ids=["deepcopy", "pickle"])
def test_a_copied_network_computes_the_same_in_memory_of_its_own(copied):
    G = network()
    x = Tensor(np.random.default_rng(3).normal(size=(8, 2)).astype(np.float32), "reference")
    G(x)  # moves the running statistics and the generator of dropout
    twin = copied(G)
    assert list(twin.parameters()) == list(G.parameters()) and list(twin.buffers()) == list(G.buffers()) and twin.couples
    for name, tensor in {**G.parameters(), **G.buffers()}.items():
        own = {**twin.parameters(), **twin.buffers()}[name]
        assert (own.backend, own.requires_grad) == (tensor.backend, tensor.requires_grad)
        np.testing.assert_array_equal(own.numpy(), tensor.numpy())
        assert not np.shares_memory(own.array, tensor.array)
    np.testing.assert_array_equal(twin(x).numpy(), G(x).numpy())  # the same masks too
    tied = twin[-1]
    assert tied.first is tied.again[0]
    before = [p.numpy().copy() for p in G.parameters().values()]
    optimiser = optim.SGD(twin, 0.1)
    optimiser.descend([Tensor(np.ones(p.shape, np.float32), "reference") for p in optimiser.parameters])
    twin.eval()
    for p, values in zip(G.parameters().values(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), values)
    assert G.training and not twin.training


def test_a_copy_of_a_network_that_an_optimiser_holds_is_free_of_it():
    G = network()
    optimiser = optim.SGD(G, 0.1)
    for twin in (copy.deepcopy(G), pickle.loads(pickle.dumps(G))):
        for p in twin.parameters().values():
            assert not np.shares_memory(p.array, optimiser.flat.theta)


def test_a_copy_by_deepcopy_stays_on_a_backend_that_was_loaded_and_a_pickle_goes_to_the_shared_one():
    own = load("reference")
    layer = nn.Linear(2, 2, backend=own, rng=0)
    assert copy.deepcopy(layer).w.backend is own is copy.deepcopy(own)
    assert pickle.loads(pickle.dumps(layer)).w.backend is shared("reference")


def test_optimisers_are_not_copied():
    G = network()
    for make in (optim.SGD, optim.Momentum, optim.Adam):
        optimiser = make(G, 0.1)
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="make a new one"):
                copied(optimiser)


def test_a_computed_tensor_is_not_pickled():
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Tensor([1.0], "reference", requires_grad=True) * 2.0)


def test_the_generator_of_a_copy_goes_on_by_itself():
    draws = Draws(5)
    twin = copy.deepcopy(draws)
    assert draws.rng.random() == twin.rng.random() and draws.rng is not twin.rng
