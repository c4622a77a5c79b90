"""The CPU backend, the default: every kernel as a pipeline of compiled loops that threads share, or, where that is enough, in
NumPy.

Products and convolutions have ladders (`matmul.choice`, `conv.choice`): several ways to compute them, of which a launch takes the
best one for its shapes. `bindings` says how each of the other kernels is computed. A launch is bound to its arrays and then run,
once or many times. Run alone or replayed in a recorded step it goes through the same code, but for `add`, `mul` and `neg`, which
NumPy computes when they run alone (the same bits), and for pairs of launches that a recorded step computes in one pass
(`bind_pair`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tinygan_kernels.backend import Backend, Call, Launch
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.conv import choice as conv_choice
from tinygan_kernels.cpu.matmul import choice as matmul_choice
from tinygan_kernels.cpu.runtime.stages import Pipeline, joined
from tinygan_kernels.cpu.runtime.workers import shares
from tinygan_kernels.shapes import ContractError

from .bindings import BINDERS, SAME_BITS, activation_stages, bind_batch_norm, bind_batch_norm_grad, contiguous, flat, fused_slope
from .memory import Scratch, empty

_ABSENT = set(KERNELS) - {*BINDERS, "matmul", "conv2d", "conv2d_dx", "conv2d_dw"}
_PAIRS = {("matmul", "bias_act"), ("batch_norm", "leaky_relu"), ("leaky_relu_grad", "batch_norm_grad")}
_CONVOLUTIONS = ("conv2d", "conv2d_dx", "conv2d_dw")
_BY_NUMPY = ("maximum", "equal", "exp", "log", "sqrt", "abs", "sign", "sin", "cos")


def announce_compilation(say: Callable[[str], None]) -> None:
    """Call `say(message)` once, when Numba first compiles anything in this process. Loading from its disk cache is not compiling.
    """
    from numba.core import event

    class Announcer(event.Listener):
        told = False

        def on_start(self, _event):
            if not self.told:
                self.told = True
                say("compiling the CPU kernels for this machine; this happens once and is then cached")

        def on_end(self, _event):
            pass

    event.register("numba:compile", Announcer())


def ladders() -> tuple[Version, ...]:
    """Return the versions of the kernels that have several: the rungs of `matmul.choice` and `conv.choice`."""
    products = [
        Version(
            "matmul", rung.number, rung.title, rule=rung.rule, suits=partial(matmul_choice.suits, rung.number), lacks=rung.lacks,
        )
        for rung in matmul_choice.RUNGS
    ]
    convolutions = [
        Version(
            kernel, rung.number, rung.title, rule=rung.rule and f"{kernel}_{rung.rule}",
            suits=partial(conv_choice.suits, kernel, rung.number), lacks=rung.lacks,
        )
        for kernel in _CONVOLUTIONS
        for rung in conv_choice.RUNGS
    ]
    return (*products, *convolutions)


LADDERS = ladders()


def all_versions() -> tuple[Version, ...]:
    """Return the versions of all kernels: those of LADDERS, and one of each other kernel."""
    single = [name for name in KERNELS if name not in ("matmul", *_CONVOLUTIONS)]
    return LADDERS + tuple(Version(name, 1, "NumPy" if name in _BY_NUMPY else "compiled loops") for name in single)


VERSIONS = all_versions()


def check_versions(wanted: Mapping[str, int] | None) -> dict[str, int]:
    """Check that every kernel and version exists. Returns {kernel: the version to force}. Raises ContractError."""
    for kernel, number in (wanted or {}).items():
        if kernel not in KERNELS:
            raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
        have = [row.number for row in VERSIONS if row.kernel == kernel]
        if number not in have:
            raise ContractError(f"cpu: {kernel} has versions {', '.join(map(str, have))}; {number!r} is not one")
    return dict(wanted or {})


def _out(function: np.ufunc) -> Callable[..., None]:
    """Return a function that takes inputs and the output, and applies a ufunc."""

    def run(*arrays: np.ndarray) -> None:
        function(*arrays[:-1], out=arrays[-1])

    return run


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are the same memory in the same shape."""
    return a.shape == b.shape and a.ctypes.data == b.ctypes.data


def _refill(target: np.ndarray) -> tuple[Call, Callable[[np.ndarray], None]]:
    """Return (a call that copies to `target`, a function to be told from which array): both are contiguous. The caller keeps the
    source alive.
    """
    stage = elementwise.copy.over(target.size, flat(target), flat(target))

    def copy_from(source: np.ndarray) -> None:
        stage.block[0] = source.__array_interface__["data"][0]  # the first word of an array argument is its address

    return Pipeline([stage]), copy_from


# ---- the backend ----------------------------------------------------------------------------------------------------------------


def backend(versions: Mapping[str, int] | None = None) -> Backend:
    """Return a CPU backend with scratch memory of its own. Its calls are not for several threads at once.

    versions: the rung to take for kernels that have a ladder, such as {"conv2d": 3}; where none is forced, each launch takes the
    best one for its shapes. Raises ContractError for kernels and versions that do not exist; a launch raises it where the forced
    version does not suit its shapes.
    """
    forced, scratch = check_versions(versions), Scratch()

    if _ABSENT:
        raise LookupError(f"cpu/bindings.py: BINDERS has no line for {min(_ABSENT)}, and cpu/elementwise.py no loop of that name")

    def bind(launch: Launch) -> Call:
        """Return the launch as a call without arguments, with everything decided beforehand that shapes decide."""
        name, arrays, params = launch.kernel.name, (*launch.inputs, *launch.outputs), launch.params
        if name == "matmul":
            return matmul_choice.bind_product(*arrays, **params, take=scratch.take, version=forced.get(name))
        if name in _CONVOLUTIONS:
            return conv_choice.bind_convolution(name, *arrays, **params, take=scratch.take, version=forced.get(name))
        return BINDERS[name](launch)

    def bind_pair(first: Launch, second: Launch) -> Call | None:
        """Return two launches in one pass, where the second overwrites what the first made: a product with bias and activation as
        its epilogue, batch normalisation and its activation, and their gradients. None for other pairs.
        """
        names = first.kernel.name, second.kernel.name
        if names not in _PAIRS or not (_same(first.outputs[0], second.inputs[0]) and _same(first.outputs[0], second.outputs[0])):
            return None
        if names == ("batch_norm", "leaky_relu"):
            return bind_batch_norm(first, second.params["slope"])
        if names == ("leaky_relu_grad", "batch_norm_grad"):
            alike = contiguous(*first.inputs) and all(a.shape == first.outputs[0].shape for a in first.inputs)
            return bind_batch_norm_grad(second, first) if alike else None
        (a, b), (c,), (_, bias), (y,) = first.inputs, first.outputs, second.inputs, second.outputs
        made = matmul_choice.bind_linear(
            a, b, c, bias, fused_slope(second), **first.params, take=scratch.take, version=forced.get("matmul")
        )
        return made and Pipeline([*made.stages, *activation_stages(y, second.params["act"])])

    def at_once(name: str) -> Callable[..., None]:
        def run(*arrays: np.ndarray, **params) -> None:
            count = len(KERNELS[name].inputs)
            bind(Launch(KERNELS[name], run, arrays[:count], arrays[count:], params))()

        return run

    # Where NumPy gives the same bits it is taken, as it starts faster than a pipeline: this counts for the small arrays of a game
    # that is played step by step.
    numpy_first = {name: _out(function) for name, function in SAME_BITS.items()}
    implementations = {name: numpy_first.get(name) or at_once(name) for name in KERNELS}
    made = Backend(
        "cpu", implementations, bind=bind, bind_pair=bind_pair, join=joined, bind_refill=_refill, versions=VERSIONS, shares=shares
    )
    made.allocate = empty
    return made
