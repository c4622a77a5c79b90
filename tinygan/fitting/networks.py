"""The networks that `fit` is given: what they must be, whether they fit the data and each other, and who moves them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from tinygan_kernels import Backend, ContractError

from tinygan.data import Dataset
from tinygan.engine.conversion import described
from tinygan.engine.tensor import Tensor, wrap
from tinygan.game.packing import packed
from tinygan.game.penalties import Penalty
from tinygan.nn.blueprint import BlueprintError, describe, differences
from tinygan.nn.layers import Linear
from tinygan.nn.sources import seeded
from tinygan.nn.tree import Layer, all_layers
from tinygan.optim import Optimiser
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.config import Config
from tinygan.training.players import Players, adam
from tinygan.training.samples import evaluating


def check_networks(G: Any, D: Any) -> Backend:
    """Return the backend that both networks are on. Raises TypeError for what is no Layer, ValueError for one that cannot learn."""
    for name, network in (("G", G), ("D", D)):
        if not isinstance(network, Layer):
            what = "a class: make one of it first" if isinstance(network, type) else f"a {type(network).__name__}"
            raise TypeError(f"{name} is {what}; it has to be a Layer: one of tinygan.nn, or an object of a class of your own, "
                            f"class Mine(Layer), that holds its tensors and layers in attributes and computes in __call__(self, x)")
        found = network.parameters()
        if not found:
            raise ValueError(f"{name} has no parameters to train: hold layers, or tensors that require a gradient, in attributes")
        odd = next((key for key, t in found.items() if t.dtype != np.float32), None)
        if odd:
            raise ValueError(f"{name}.{odd} is {found[odd].dtype}, and fit trains in float32; build {name} with dtype=np.float32")
        if len({id(t.backend) for t in found.values()}) > 1:
            raise ValueError(f"the parameters of {name} are on several backends; build all its layers on one")
    backends = [next(iter(network.parameters().values())).backend for network in (G, D)]
    if backends[0] is not backends[1]:
        raise ValueError("G and D are on two backends; load one, backend = tinygan_kernels.load(...), and build both on it")
    if {id(t) for t in G.parameters().values()} & {id(t) for t in D.parameters().values()}:
        raise ValueError("G and D share parameters; each player has to have its own")
    return backends[0]


def width_of_noise(G: Layer) -> int | None:
    """Return the length of the noise that G's first layer takes, where that is a Linear one; None where it cannot be seen."""
    first = next((layer for layer in all_layers(G) if isinstance(layer, Linear)), None) if _begins_with_linear(G) else None
    return None if first is None else first.w.shape[0]


def _begins_with_linear(layer: Layer) -> bool:
    while not isinstance(layer, Linear):
        inner = next(iter(layer.inner_layers()), None)
        if inner is None:
            return False
        layer = inner
    return True


def try_networks(G: Layer, D: Layer, config: Config, dataset: Dataset, backend: Backend) -> None:
    """Run both networks once, in eval mode, on a batch of their sizes, and leave them as they were. Raises ValueError.

    Layers that make tensors in their first call have them afterwards, and no launch of this changes a running statistic.
    """
    shape, m, rng = dataset.codec.shape, config.batch, np.random.default_rng(0)
    z = rng.standard_normal((m, config.z), np.float32)
    x = np.resize(dataset.some(dataset.at_most(m), rng), (m, *shape))
    x = packed(wrap(backend.asarray(x), backend), config.pack).numpy()
    for name, network, rows in (("G", G, m), ("D", D, len(x))):
        if network.couples and rows == 1:
            raise ValueError(f"batch is {m}, so {name} sees one sample at a time, and it normalises over its batch, as BatchNorm "
                             f"does: a single sample has no spread; take a larger batch")
    with evaluating(G), evaluating(D), seeded(G, rng), seeded(D, rng), _buffers_kept(G, D):
        fake = _called("G", G, z, backend, f"noise (batch, z) = {z.shape}; z= gives its length")
        if fake.shape != (m, *shape):
            raise ValueError(f"G makes samples of shape {fake.shape} of a batch of {m}, and the data have {(m, *shape)}; "
                             f"G has to end with a sample's shape, {shape}{_channels(fake.shape[1:], shape)}")
        pack = f", {config.pack} samples joined" if config.pack > 1 else ""
        logits = _called("D", D, x, backend, f"a batch of data of shape {x.shape}{pack}")
        if logits.shape != (len(x), 1):
            raise ValueError(f"D gives {logits.shape} for a batch of {len(x)}; it has to give logits {(len(x), 1)}, one a sample")


@contextmanager
def _buffers_kept(*networks: Layer) -> Iterator[None]:
    """Put the networks' buffers back to what they were before the `with`."""
    kept = [(t, t.numpy().copy()) for network in networks for t in network.buffers().values()]
    try:
        yield
    finally:
        for tensor, before in kept:
            tensor.array[...] = tensor.backend.asarray(before)


def _channels(made: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    first = len(made) == 3 and (made[1], made[2], made[0]) == wanted
    return "; images are NHWC here, with the channels last" if first else ""


def _called(name: str, network: Layer, values: np.ndarray, backend: Backend, what: str) -> Tensor:
    """Return what a network makes of these values. Raises ValueError where it cannot take them or gives no tensor."""
    try:
        made = network(wrap(backend.asarray(values), backend))
    except (ContractError, ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{name} cannot take {what}: {' '.join(str(error).split())}") from error
    if not isinstance(made, Tensor):
        raise TypeError(f"{name} returns a {type(made).__name__}; a layer computes with tensors and returns one")
    return made


def players(
    G: Layer, D: Layer, penalties: Sequence[Penalty], optim_d: Any, optim_g: Any
) -> Callable[[Config], Players]:
    """Return a function that makes the players of a run with these networks, once its options are known."""

    def made(config: Config) -> Players:
        average = _copy_of(G) if config.ema else None
        d = optim_d or adam(config, D, config.lr_d)
        g = optim_g or adam(config, G, config.lr_g)
        rates = (optim_d.rate if optim_d else config.lr_d, optim_g.rate if optim_g else config.lr_g)
        return Players(D, G, average, d, g, penalties, rates)

    return made


def check_optimiser(name: str, optimiser: Any, network: Layer, player: str) -> None:
    """Raise TypeError for what is no optimiser, ValueError for one that does not move this network, and nothing else."""
    if optimiser is None:
        return
    if not isinstance(optimiser, Optimiser):
        raise TypeError(f"{name} is {optimiser!r}; it has to be an optimiser of {player}, such as SGD({player}.parameters(), 0.01)")
    if {id(t) for t in optimiser.parameters} != {id(t) for t in network.parameters().values()}:
        raise ValueError(f"{name} does not move the parameters of {player}; make it of {player}.parameters()")


def checked_penalties(penalties: Any) -> list[Penalty]:
    """Return the penalties as a list. Raises TypeError for what is none."""
    if not isinstance(penalties, Iterable):
        raise TypeError(f"penalties is {described(penalties)}; it has to be a list of penalties: penalties=[R2(1.0)]")
    given = list(penalties)
    for i, penalty in enumerate(given):
        if isinstance(penalty, type) or not callable(penalty) or not hasattr(penalty, "at"):
            raise TypeError(f"penalties[{i}] is {described(penalty)}; a penalty is an object that is called as (D, real, fake) and "
                            f"says where D's slope counts: at = 'real', 'fake' or 'between' (tinygan/game/penalties.py)")
    return given


def check_structure(G: Layer, D: Layer, saved: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Check networks against what a checkpoint says of those that it goes on with, as the shapes of arrays do not tell all.

    Raises CheckpointError where a layer of tinygan's is another one, or has other settings. Of an attribute of the user's own
    classes that is different, a line is said: it may be a count of steps, which starts again here.
    """
    for name, network in (("G", G), ("D", D)):
        if name not in saved:
            continue
        try:
            found = differences(saved[name], describe(network), name)
        except BlueprintError:
            continue
        for difference in found:
            if difference.known:
                raise CheckpointError(f"the networks are not the run's: {difference}; build them as they were, or start a new run")
            say(f"note: {difference}, and the run goes on with that")


def _copy_of(G: Layer) -> Layer:
    """Return a G of the same structure, with tensors and generators of its own. Raises ValueError where G cannot be copied."""
    backends = {id(t.backend): t.backend for t in (G.parameters() | G.buffers()).values()}
    try:
        copied = copy.deepcopy(G, dict(backends))
    except Exception as error:
        raise ValueError(f"the average of G needs a copy of G, which cannot be made ({type(error).__name__}: {error}); give ema=0, "
                         f"or hold in G what copy.deepcopy can copy") from error
    own, other = ((n.parameters() | n.buffers()) for n in (G, copied))
    if list(own) != list(other) or {id(t) for t in own.values()} & {id(t) for t in other.values()}:
        raise ValueError("the average of G needs a copy of G, and copy.deepcopy(G) shares tensors with it; give ema=0")
    return copied
