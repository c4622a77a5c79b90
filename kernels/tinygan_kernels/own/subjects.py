"""The subjects of explain and trace: a kernel of one's own, or a version of the project's ladders, with a call to run it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinygan_kernels import CUDA_BACKENDS, BackendError, ladder, load, why_unavailable
from tinygan_kernels.cuda.ladder import Rung
from tinygan_kernels.profiling.calls import KernelCall, call, form_of, require_ladder
from tinygan_kernels.profiling.counts import random_array
from tinygan_kernels.profiling.report import recorded
from tinygan_kernels.shapes import ContractError

from .host import OwnHost
from .judge import checked_name, require_float32
from .kernel_file import read
from .race import sizes_told

Arrays = tuple[np.ndarray, ...]
TRACED: Mapping[str, tuple[int, ...]] = {
    "matmul": (64, 64, 64), "conv2d": (1, 8, 8, 4, 4, 3, 1, 1), "conv2d_dx": (1, 8, 8, 4, 4, 3, 1, 1),
    "conv2d_dw": (1, 8, 8, 4, 4, 3, 1, 1), "bce_logits": (256,), "bias_act": (64, 64), "bias_act_grad": (64, 64), "adam": (512,),
}  # fmt: skip
"""The sizes at which a kernel is traced where none are given: small, as every step is kept."""


@dataclass(frozen=True)
class Subject:
    """A kernel and a call of it. source: the text whose lines the debug information names, "" where it is not known.

    launch(inputs, outputs): runs the kernel once. arguments: names of what it is launched with, in order, () where they are not
    known.
    """

    title: str
    made: KernelCall
    source: str
    launch: Callable[[Sequence[np.ndarray], Arrays], Any]
    arguments: tuple[str, ...] = ()

    @property
    def sizes(self) -> str:
        """The shapes of the arrays in words, such as "a 64x32, b 32x64, c 64x64"."""
        return sizes_told(self.made)

    def run(self) -> None:
        """Run the kernel once, on random numbers between 0 and 1 from a fixed seed.

        Raises ContractError where an array is larger than the machine can address, and what the emulator raises.
        """
        self.made.zeros()
        rng = np.random.default_rng(0)
        inputs = [random_array(shape, rng) for shape in self.made.inputs]
        self.launch(inputs, tuple(random_array(shape, rng) for shape in self.made.outputs))


def own_subject(
    file: str | Path,
    as_: str,
    *,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
    debug: bool = False,
) -> Subject:
    """Return a kernel of one's own. The arguments are those of `verify`; debug: compile CUDA C++ with variables kept in registers.

    Raises ContractError, OSError and BackendError as `verify` does.
    """
    contract = checked_name(as_)
    made = call(as_, _sizes(as_, shape, debug))
    own = read(file, launch, signature, debug=debug)
    require_float32(own)
    host = OwnHost(own, contract, params)
    made = made.with_params(host.fixed)
    # the lines of PTX's debug information are those of the source that it was compiled from
    text = "" if own.path is not None and own.path.suffix == ".ptx" else own.text
    return Subject(own.title, made, text, lambda inputs, outputs: host(*inputs, *outputs, **made.params), own.line.argument_texts)


def ladder_subject(
    kernel: str, version: int | None = None, *, shape: Sequence[int] | None = None, backend: str = "cupy", debug: bool = False
) -> Subject:
    """Return a version of a kernel of the project's, by default the best one. debug: whether it is to be traced, at small sizes.

    Raises ContractError for a kernel, a version or sizes that there are not; BackendError where the emulator cannot run.
    """
    if backend not in CUDA_BACKENDS:
        raise ContractError(f"backend {backend!r} has no CUDA kernels; those with are {', '.join(CUDA_BACKENDS)}")
    require_ladder(kernel)
    made = call(kernel, _sizes(kernel, shape, debug))
    if reason := why_unavailable(backend, emulate=True):
        raise BackendError(f"kernels cannot be executed here: {reason}")
    rungs = {r.number: r for r in cast("tuple[Rung, ...]", ladder(backend)) if r.kernel == kernel and "float32" in r.dtypes}
    number = max(n for n, rung in rungs.items() if not rung.rule) if version is None else version
    if number not in rungs:
        raise ContractError(f"{backend}: {kernel} has versions {', '.join(map(str, rungs))}; {number!r} is not one")
    loaded = load(backend, emulate=True, versions={kernel: number})
    source = recorded(rungs[number], made)[0].source.read_text(encoding="utf-8")
    title = f"{kernel}, version {number} of {backend}: {rungs[number].title}"
    return Subject(title, made, source, lambda inputs, outputs: loaded.launch(kernel, inputs, out=outputs, **made.params))


def _sizes(kernel: str, shape: Sequence[int] | None, traced: bool) -> Sequence[int] | None:
    """Return the sizes that were asked for, else those that suit a look at the kernel."""
    if shape is not None:
        return shape
    small = form_of(kernel).small
    return TRACED.get(kernel, small) if traced else small
