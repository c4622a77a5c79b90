"""The profile of a kernel of one's own: counters, hot lines, registers and rooflines, beside those of the ladder's rungs.

    from tinygan_kernels.own import profile
    from tinygan_kernels.profiling import view
    view.render(profile("mm.cu", "matmul", shape=(512, 512, 512), compare=[1, 2, 3]))
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.cuda.numba_backend import compile_ptx as compile_numba
from tinygan_kernels.emulator import EmulatorError, step_budget
from tinygan_kernels.emulator.host import nvrtc
from tinygan_kernels.emulator.host.triton_context import CAPABILITY
from tinygan_kernels.profiling import report, time_model
from tinygan_kernels.profiling.architectures import capability_of
from tinygan_kernels.profiling.calls import KernelCall, call, form_of, require_ladder
from tinygan_kernels.profiling.counts import Key, count_executions, counted_call
from tinygan_kernels.shapes import ContractError

from . import triton_kernel
from .host import OwnHost
from .judge import checked_name, require_float32, turns_for_work
from .kernel_file import OPTIONS, OwnKernel, one_line, read
from .launch_line import Evaluated


def profile(
    file: str | Path,
    as_: str,
    *,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
    backend: str = "cupy",
    arch: str = "sm_90",
    compare: Sequence[int] | None = None,
) -> list[report.KernelProfile]:
    """Profile a kernel of one's own, in float32, and the versions `compare` of the contract's kernel `as_` on `backend` beside it.

    shape: the sizes that the kernel is profiled at, M N K of a product, by default those of `profiling.calls`. The other arguments
    are those of `verify` and of `profiling.report.profile`. Raises ContractError, OSError, BackendError as they do; InspectionError
    where the code does not compile for `arch`.
    """
    contract = checked_name(as_)
    made = call(as_, shape)
    if compare:
        require_ladder(as_)
    capability_of(arch)
    own = read(file, launch, signature)
    require_float32(own)
    host = OwnHost(own, contract, params)
    made = made.with_params(host.fixed)
    sizes = tuple(shape or form_of(as_).example)
    try:
        counted = count_executions(functools.partial(_counts, host), as_, sizes)
        found = report.profiled(made, own.title, "your kernel", sizes, backend, arch, counted, [_recorded(host, made)])
    except EmulatorError as error:
        raise ContractError(f"{own.title}: {one_line(str(error))}") from None
    beside = report.profile(as_, None, sizes, backend, arch, compare) if compare else []
    return [found, *beside]


def modelled_time(
    file: str | Path,
    as_: str,
    gpu: str,
    *,
    shape: Sequence[int] | None = None,
    launch: str = "",
    signature: str = "",
    params: Mapping[str, Any] | None = None,
) -> tuple[list[time_model.KernelTime], str]:
    """Return the modelled times of a kernel of one's own on a named GPU, and the same in words.

    gpu: one of `profiling.time_model.GPUS`. The other arguments are those of `profile`, whose errors it raises.
    """
    model, contract = time_model.gpu_named(gpu), checked_name(as_)
    sizes = tuple(shape or form_of(as_).example)
    made = call(as_, sizes)
    own = read(file, launch, signature)
    require_float32(own)
    host = OwnHost(own, contract, params)
    made = made.with_params(host.fixed)
    try:
        with step_budget(turns_for_work(made.work)):
            found, counted = time_model.modelled(model, as_, sizes, lambda made: functools.partial(_launched, host, made),
                                                 [_recorded(host, made)], host.fixed)  # fmt: skip
    except EmulatorError as error:
        raise ContractError(f"{own.title}: {one_line(str(error))}") from None
    return found, time_model.text(model, found, made.flops if made.flops is not None else counted.total("flop"))


def _launched(host: OwnHost, made: KernelCall, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """Launch a kernel on a call's arrays."""
    host(*inputs, *outputs, **made.params)


def _counts(host: OwnHost, shape: Sequence[int]) -> dict[Key, float]:
    """Run the kernel once on these sizes, and return its counters."""
    made = call(host.kernel.name, shape).with_params(host.fixed)
    with step_budget(turns_for_work(made.work)):
        return counted_call(made, lambda inputs, outputs: host(*inputs, *outputs, **made.params))


def _recorded(host: OwnHost, made: KernelCall) -> RecordedLaunch:
    """Return the kernel's launch on a call, not started."""
    line, arguments = host.arguments_of(made.zeros(), made.params)
    own = host.own
    assert own.path is not None
    if own.triton:
        return _recorded_triton(own, own.path, line, arguments)
    ptx = functools.partial(_ptx, own, arguments)
    return RecordedLaunch(own.name, math.prod(line.grid), math.prod(line.block), own.path, ptx, line.shared)


def _recorded_triton(own: OwnKernel, path: Path, line: Evaluated, arguments: tuple[Any, ...]) -> RecordedLaunch:
    """Return the launch of a Triton kernel, which Triton compiles anew for each architecture."""
    at = functools.lru_cache(maxsize=4)(functools.partial(triton_kernel.compiled, own.function, line, arguments))
    emulated = at(CAPABILITY)

    def ptx(arch: str) -> tuple[str, str]:
        found = at(capability_of(arch))
        return found.ptx, found.name

    return RecordedLaunch(emulated.name, math.prod(emulated.grid), emulated.threads, path, ptx, emulated.shared)


def _ptx(own: OwnKernel, arguments: tuple[Any, ...], arch: str) -> tuple[str, str]:
    """Return the kernel's PTX for an architecture, and the name of its entry."""
    if own.numba:
        return compile_numba(own.function, arguments, arch)
    entry = own.function.name
    assert own.path is not None
    if own.path.suffix == ".ptx":
        return own.text, entry
    names = (own.name,) if entry != own.name else ()
    return nvrtc.compile_ptx(own.text, OPTIONS, arch.replace("sm_", "compute_"), names, own.path.name)[0], entry
