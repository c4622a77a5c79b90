"""Samples from the generator that a run has reached, without the run's data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.data.units import Codec
from tinygan.engine.conversion import backend_of, whole_number
from tinygan.engine.tensor import Tensor, wrap
from tinygan.nn.architectures import generator
from tinygan.nn.blueprint import BlueprintError, built, check_blueprint, code_of_others, describe, differences
from tinygan.nn.sources import seeded
from tinygan.nn.tree import Layer, all_layers
from tinygan.optim import Adam

from .checkpoint import CheckpointError
from .config import Config
from .memory_limit import require_memory_of_samples
from .state import RunState, check_arrays, check_ranges, check_weights, read_state

AT_ONCE = 256  # samples that G makes in one go


@dataclass(frozen=True)
class Trained:
    """G of a run, without its data: the average of G if the run kept one.

    config: the run's options. codec: the units of the data. G: a Layer in eval mode, noise (m, z) -> samples (m, *shape) in the
    units of the networks; `generate` gives them in the user's. step: how far it was trained.
    """

    config: Config
    codec: Codec
    G: Layer
    step: int

    @property
    def backend(self) -> Backend:
        return next(iter(self.G.parameters().values())).backend

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """Draw n samples (n, *shape) in the units of the data: float64 for tables and points, uint8 images, int16 sound.

        seed: decides the noise z, and whatever G draws itself. Raises ValueError for an n below 1 or a seed below 0, TypeError for
        what is no whole number.
        """
        return self.codec.decode(self.encoded(whole_number(n, "n", 1), np.random.default_rng(_seed(seed))))

    def latent(self, n: int, seed: int = 0) -> np.ndarray:
        """Draw noise z (n, z) from N(0, 1), float32: the very noise that `sample(n, seed)` is made from."""
        rng = np.random.default_rng(_seed(seed))
        return rng.standard_normal((whole_number(n, "n", 1), self.config.z), np.float32)

    def generate(self, z: Any, seed: int = 0) -> np.ndarray:
        """Return the samples (m, *shape) that G makes from noise z (m, z), in the units of the data.

        z: an array or a Tensor, such as points on the way between two rows of `latent(2)`. seed: decides what G draws itself.
        Raises ValueError for another shape.
        """
        z = np.asarray(z.numpy() if isinstance(z, Tensor) else z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.config.z or not len(z):
            raise ValueError(f"z has shape {z.shape}, it has to be (m, {self.config.z}): a row of noise for each sample")
        return self.codec.decode(self._made_of(z, np.random.default_rng(_seed(seed))))

    def encoded(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n samples (n, *shape), float32, as G gives them; `codec.decode` turns them into user units.

        Raises OptionError where they would not fit into memory.
        """
        require_memory_of_samples(n * (self.config.z + 2 * math.prod(self.codec.shape)), f"{n} samples")
        return self._made_of(rng.standard_normal((n, self.config.z), np.float32), rng)

    def _made_of(self, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return samples_of(self.G, z, self.backend, rng)


def samples_of(G: Layer, z: np.ndarray, backend: Backend, rng: np.random.Generator, at_once: int = AT_ONCE) -> np.ndarray:
    """Return what G makes of noise z (n, z), in eval mode: (n, *shape), float32. rng: decides what G draws itself.

    G is left as it was: each of its layers in its own mode, its generators of random numbers in their states.
    """
    parts = np.array_split(z, max(1, -(-len(z) // at_once)))
    with evaluating(G), seeded(G, rng):
        return np.concatenate([G(wrap(backend.asarray(part), backend)).numpy() for part in parts])


@contextmanager
def evaluating(layer: Layer) -> Iterator[None]:
    """Put a layer and all inside it into eval mode within the `with`; afterwards each is in its own mode again."""
    modes = [(one, one.training) for one in all_layers(layer)]
    layer.eval()
    try:
        yield
    finally:
        for one, training in modes:
            one.training = training


def _seed(value: Any) -> int:
    """Return a seed as an int. Raises TypeError for what is no whole number, ValueError for one below 0."""
    if isinstance(value, np.random.Generator):
        raise TypeError("seed is a generator, it has to be a whole number; encoded(n, rng) takes a generator, and gives samples as "
                        "the networks see them")
    return whole_number(value, "seed", 0)


def load_generator(
    out: str | Path, backend: Backend | str = "cpu", *, classes: Iterable[type[Layer]] = (), G: Layer | None = None
) -> Trained:
    """Load the generator that a run has reached, of `tinygan train`, of `fit`, or of `Fitted.save`.

    out: the run's folder, or a checkpoint file. backend: where G is to be, a backend or its name. classes: the user's own classes
    of layers that G is made of, if it is; a checkpoint holds their names and numbers, and never their code. G: a layer to fill
    instead, built as the run's was, where G holds what a checkpoint cannot describe, such as functions. Raises CheckpointError,
    BackendError.
    """
    arrays, state = read_state(out)
    config, codec = state.config, state.codec
    backend = backend_of(backend)
    given = G
    if G is None:
        G = _built_anew(Path(out), arrays, state, backend, classes)
    source = "average" if config.ema else "G"
    moved_by = state.networks["optimisers"][1]["kind"] if state.networks else Adam.kernel
    stored = {name.removeprefix(f"{source}."): array for name, array in arrays.items()
              if name.startswith(f"{source}.") and not name.startswith(f"{source}.{moved_by}.")}
    tensors = G.parameters() | G.buffers()
    for name, tensor in tensors.items():
        array = stored.get(name)
        if array is None or array.shape != tensor.shape:
            raise CheckpointError(f"the checkpoint in {out} has no {source}.{name} of shape {tensor.shape}")
        check_arrays({f"{source}.{name}": array}, {f"{source}.{name}": tensor}, "this G's")
    if more := next((name for name in stored if name not in tensors), None):
        raise CheckpointError(f"the checkpoint in {out} has {source}.{more}, which this G has not; hand over a G that is built as "
                              f"the run's was")
    check_ranges(arrays, G, source)
    for name, tensor in tensors.items():
        tensor.array[...] = tensor.backend.asarray(stored[name])
    G.eval()
    if given is not None:
        _check_as_built(given, state.networks or {}, out)
    elif state.networks and not code_of_others(G):
        _check_that_it_works(G, state, backend, out)
    return Trained(config, codec, G, state.step)


def _check_as_built(G: Layer, networks: dict[str, Any], out: str | Path) -> None:
    """Raise CheckpointError where a G to be filled has other layers of tinygan's, or others' settings, than the run's."""
    try:
        found = list(differences(networks["G"], describe(G), "G")) if "G" in networks else []
    except BlueprintError:
        return
    for difference in found:
        if difference.known:
            raise CheckpointError(f"{difference} in {out}; hand over a G that is built as the run's was")


def _check_that_it_works(G: Layer, state: RunState, backend: Backend, out: str | Path) -> None:
    """Raise CheckpointError where a G of tinygan's layers, built as a checkpoint says, makes no samples of the data's shape."""
    try:
        made = samples_of(G, np.zeros((2, state.config.z), np.float32), backend, np.random.default_rng(0)).shape
    except Exception as error:  # whatever layers raise whose attributes are not what their own code gives them
        raise CheckpointError(f"the checkpoint in {out} is damaged: it describes a G that does not work ({type(error).__name__}: "
                              f"{' '.join(str(error).split())})") from error
    if made != (2, *state.codec.shape):
        raise CheckpointError(f"the checkpoint in {out} is damaged: it describes a G that makes samples of shape {made[1:]}, and "
                              f"those of the data have {state.codec.shape}")


def _built_anew(
    out: Path, arrays: dict[str, np.ndarray], state: RunState, backend: Backend, classes: Iterable[type[Layer]]
) -> Layer:
    """Return G as a run's checkpoint describes it, without its values. Raises CheckpointError."""
    networks = state.networks
    if networks is None:
        check_weights(state.config, state.codec, arrays, of_d=False)
        return generator(state.config.architecture(state.codec), backend, np.random.default_rng(0))
    if "G" not in networks:
        raise CheckpointError(f"{networks['reason']}, so G of the run in {out} cannot be built from its checkpoint alone; build it "
                              f"and hand it over: load_generator({str(out)!r}, G=...)")
    if check_blueprint(networks["G"]) > sum(array.size for array in arrays.values()):
        raise CheckpointError(f"the checkpoint in {out} is damaged: it describes a G of more numbers than it holds")
    try:
        return built(networks["G"], backend, classes)
    except BlueprintError as error:
        why = " ".join(str(error).split())  # it names classes as the file does, line breaks and all
        raise CheckpointError(f"G of the run in {out}: {why}; in Python: load_generator({str(out)!r}, classes=[...])") from None
