"""What a kernel costs, without a GPU: counters of its execution, its hot lines, its compiled code, and the bound that a GPU sets.

    from tinygan_kernels import profile, profile_view
    reports = profile.report("matmul", shape=(512, 512, 512), backend="cupy", compare=[3, 4])
    profile_view.render(reports)

Counters come from the emulator, under Nsight Compute's names. Counting 4096 x 4096 x 4096 one instruction at a time would take
hours, so large shapes are counted on smaller ones: a size counts linearly once it is whole tiles beyond another, since each further
tile executes the same instructions. `Counted.how` says what was done, and on how many further shapes the extension was found exact.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tinygan_kernels import CUDA_BACKENDS, load
from tinygan_kernels.contract import KERNELS, Version
from tinygan_kernels.cuda import cpp_backend, numba_backend
from tinygan_kernels.cuda.device import Started
from tinygan_kernels.profiling import machine_code, roofline
from tinygan_kernels.shapes import ContractError, conv_size

ITEM = 4  # bytes of a float32: what is profiled
MOST_WORK = 1 << 24  # multiply-adds (or elements, 8 multiply-adds each) that are counted on the very shape
PATIENCE = 16  # so many times MOST_WORK is still counted where the extension from smaller shapes is not exact
ALIGNMENT = 256  # of the arrays, as GPU allocators place them: sectors depend on it

UNKNOWN = (
    "time, and so throughput: they need a GPU; the roofline says only what cannot be beaten",
    "achieved occupancy (sm__warps_active): it depends on when blocks start, stall and end",
    "hits in the L1 and L2 caches, and traffic to DRAM: the emulator has no caches, its sectors are requests to L1",
    "stalls and latencies: cycles here are the compiler's schedule, without a wait for memory",
    "the number of machine instructions: counters are of PTX, which ptxas shortens or expands by some per cent",
)


# ---- what is to be profiled ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A kernel's call: shapes of inputs and outputs, parameters, and the arithmetic that the mathematics asks for.

    flops: 2 for a multiply-add; None where the count of what was executed has to serve (elementwise work).
    """

    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    params: Mapping[str, Any]
    flops: float | None

    @property
    def bytes(self) -> int:
        """What has to be moved at least: every input read once, every output written once."""
        return ITEM * sum(math.prod(shape) for shape in (*self.inputs, *self.outputs))

    @property
    def work(self) -> float:
        """Effort to emulate it, in multiply-adds."""
        return self.flops / 2 if self.flops is not None else 8 * max(math.prod(shape) for shape in self.outputs)


def _matmul(m: int, n: int, k: int) -> Problem:
    return Problem(((m, k), (k, n)), ((m, n),), {}, 2.0 * m * n * k)


def _convolution(kernel: str, images, height, width, c_in, c_out, side, stride, pad) -> Problem:
    x, w = (images, height, width, c_in), (side, side, c_in, c_out)
    y = (images, conv_size(height, side, stride, pad), conv_size(width, side, stride, pad), c_out)
    params, flops = {"stride": stride, "pad": pad}, 2.0 * math.prod(y) * side * side * c_in
    if kernel == "conv2d":
        return Problem((x, w), (y,), params, flops)
    if kernel == "conv2d_dx":
        return Problem((y, w), (x,), params | {"height": height, "width": width}, flops)
    return Problem((x, y), (w,), params | {"kh": side, "kw": side}, flops)


def _bce_logits(n: int) -> Problem:
    return Problem(((n,), (n,)), ((), (n,)), {}, None)


def _bias_act(rows: int, channels: int) -> Problem:
    return Problem(((rows, channels), (channels,)), ((rows, channels),), {"act": "leaky_relu", "slope": 0.2}, None)


def _bias_act_grad(rows: int, channels: int) -> Problem:
    shape = (rows, channels)
    return Problem((shape, shape), (shape, (channels,)), {"act": "leaky_relu", "slope": 0.2}, None)


def _adam(n: int) -> Problem:
    return Problem(((n,), ()), ((n,), (n,), (n,), ()), {"sign": -1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}, None)


@dataclass(frozen=True)
class Profiled:
    """How a kernel's shape is given: the names of its sizes, an example, and `period`: {index of a size: after how many more of it
    the work of a block repeats}; the sizes that it leaves out are never made smaller."""

    sizes: tuple[str, ...]
    example: tuple[int, ...]
    problem: Callable[..., Problem]
    period: Callable[..., dict[int, int]]


def _whole_tiles(images, height, width, c_in, c_out, side, stride, pad) -> dict[int, int]:
    """So many images that their pixels, in and out, are whole tiles of 128 rows."""
    pixels = conv_size(height, side, stride, pad) * conv_size(width, side, stride, pad)
    return {0: math.lcm(128 // math.gcd(128, max(1, pixels)), 128 // math.gcd(128, height * width))}


_CONVOLUTION = ("images", "height", "width", "C_in", "C_out", "filter", "stride", "pad")
_LAYER = (64, 16, 16, 32, 64, 4, 2, 1)
PROFILED: dict[str, Profiled] = {
    "matmul": Profiled(("M", "N", "K"), (512, 512, 512), _matmul, lambda *_: {0: 128, 1: 128, 2: 64}),
    **{
        kernel: Profiled(_CONVOLUTION, _LAYER, functools.partial(_convolution, kernel), _whole_tiles)
        for kernel in ("conv2d", "conv2d_dx", "conv2d_dw")
    },
    "bce_logits": Profiled(("n",), (256,), _bce_logits, lambda *_: {0: 1 << 18}),
    "bias_act": Profiled(("rows", "channels"), (4096, 256), _bias_act, lambda *_: {0: 1024}),
    "bias_act_grad": Profiled(("rows", "channels"), (4096, 256), _bias_act_grad, lambda *_: {0: 1024}),
    "adam": Profiled(("n",), (1 << 16,), _adam, lambda *_: {0: 1024}),
}


def problem(kernel: str, shape: Sequence[int] | None = None) -> Problem:
    """The call that a shape stands for. Raises ContractError saying what the numbers of a shape are."""
    if kernel not in KERNELS:
        raise ContractError(f"there is no kernel {kernel!r}; the contract has {', '.join(KERNELS)}")
    if kernel not in PROFILED:
        raise ContractError(f"{kernel} is left to array functions; there are kernels to profile for {', '.join(PROFILED)}")
    form = PROFILED[kernel]
    shape = form.example if shape is None else tuple(shape)
    if len(shape) != len(form.sizes) or min(shape, default=0) < 0:
        numbers = f"{len(form.sizes)} number{'s' if len(form.sizes) > 1 else ''}"
        raise ContractError(f"the shape of {kernel} is {numbers}: {' '.join(form.sizes)}, such as {_spaced(form.example)}")
    made = form.problem(*shape)
    KERNELS[kernel].shapes(*made.inputs, **made.params)
    return made


def _spaced(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


# ---- counting -----------------------------------------------------------------------------------------------------------------

Key = tuple[str, int, str]  # kernel, source line (WHOLE: all of the kernel), metric
WHOLE = -1


@dataclass(frozen=True)
class Counted:
    """Counters by kernel, source line and metric (line WHOLE is all of the kernel), and in one sentence how they were found."""

    values: Mapping[Key, float]
    how: str

    def total(self, metric: str, kernel: str | None = None) -> float:
        """A metric over all launches, or over those of one kernel."""
        return sum(v for (name, line, m), v in self.values.items() if line == WHOLE and m == metric and kernel in (None, name))

    def kernels(self) -> list[str]:
        return list(dict.fromkeys(name for name, _, _ in self.values))

    def lines(self, kernel: str) -> dict[int, dict[str, float]]:
        found: dict[int, dict[str, float]] = {}
        for (name, line, metric), value in self.values.items():
            if name == kernel and line != WHOLE:
                found.setdefault(line, {})[metric] = value
        return found


def count(kernel: str, number: int, shape: Sequence[int], backend: str) -> Counted:
    """Execute a version under the emulator and count, on `shape` or on smaller ones. Raises ContractError if it is too large."""
    made, form = problem(kernel, shape), PROFILED[kernel]
    execute = functools.partial(_execute, kernel, number, backend)
    samples = _samples(shape, form.period(*shape)) if made.work > MOST_WORK else {}
    values, corners = _extend(execute, shape, samples)
    if any(problem(kernel, corner).work > PATIENCE * MOST_WORK for corner in corners):
        raise ContractError(f"{kernel} {_spaced(shape)} is too large to count here; give smaller sizes")
    if not samples:
        return Counted(execute(shape), f"counted on this very shape, {_spaced(shape)}")
    worst = max(_deviations(execute, values, shape, samples))
    if worst and made.work <= PATIENCE * MOST_WORK:
        return Counted(execute(shape), f"counted on this very shape, {_spaced(shape)}, as they do not grow linearly")
    return Counted(values(shape), _how(corners, worst, len(samples)))


def _samples(shape: Sequence[int], period: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """For each size that is worth it: (a small size congruent to it, the period), so that size = small + whole periods."""
    return {axis: (step + shape[axis] % step, step) for axis, step in period.items() if shape[axis] >= 3 * step}


def _extend(execute, shape, samples):
    """The counts as a function of shape: linear in each sampled size, through the counts at its small size and one period more."""
    axes = list(samples)
    corners = [_at(shape, samples, steps) for steps in itertools.product((0, 1), repeat=len(axes))]
    tables: list[Mapping[Key, float]] = []

    def values(wanted: Sequence[int]) -> dict[Key, float]:
        if not tables:
            tables.extend(execute(corner) for corner in corners)
        parts = [Fraction(wanted[axis] - samples[axis][0], samples[axis][1]) for axis in axes]
        weights = [math.prod(p if step else 1 - p for p, step in zip(parts, steps, strict=True))
                   for steps in itertools.product((0, 1), repeat=len(axes))]  # fmt: skip
        keys = dict.fromkeys(key for table in tables for key in table)
        return {key: float(sum(w * Fraction(t.get(key, 0)) for w, t in zip(weights, tables, strict=True))) for key in keys}

    return values, corners


def _at(shape: Sequence[int], samples: Mapping[int, tuple[int, int]], steps: Sequence[int]) -> tuple[int, ...]:
    """The shape with its sampled sizes at small + steps periods."""
    at = dict(zip(samples, steps, strict=True))
    return tuple(samples[axis][0] + at[axis] * samples[axis][1] if axis in at else size for axis, size in enumerate(shape))


def _deviations(execute, values, shape, samples) -> list[float]:
    """For each sampled size, two periods on (the others small): the extension's largest relative deviation from a real count."""
    deviations = []
    for axis in samples:
        further = _at(shape, samples, [2 if other == axis else 0 for other in samples])
        real, extended = execute(further), values(further)
        keys = [key for key in {**real, **extended} if key[1] == WHOLE]
        deviations.append(max(abs(real.get(k, 0) - extended.get(k, 0)) / max(1, abs(real.get(k, 0))) for k in keys))
    return deviations


def _how(corners: list[tuple[int, ...]], worst: float, checks: int) -> str:
    further = f"{checks} further shape{'s' if checks > 1 else ''}"
    shapes = f"counted on {len(corners)} smaller shapes up to {_spaced(corners[-1])} and extended linearly in each size"
    return f"{shapes}; AN ESTIMATE: off by up to {100 * worst:.2g} % on {further}" if worst else f"{shapes}; exact on {further}"


def _execute(kernel: str, number: int, backend: str, shape: Sequence[int]) -> dict[Key, float]:
    from tinygan_kernels.emulator import checks
    from tinygan_kernels.emulator import count as counting

    made, loaded = problem(kernel, shape), load(backend, emulate=True, versions={kernel: number})
    rng = np.random.default_rng(0)
    inputs, outputs = [_placed(s, rng) for s in made.inputs], tuple(_placed(s, rng) for s in made.outputs)
    with counting() as counts, checks(False):
        loaded.launch(kernel, inputs, out=outputs, **made.params)
    values: dict[Key, float] = {}
    for name in counts.kernels():
        values |= {(name, WHOLE, metric): value for metric, value in counts.kernel(name).metrics().items()}
        for line, metrics in counts.lines(name).items():
            values |= {(name, line, metric): value for metric, value in metrics.items()}
    return {key: value for key, value in values.items() if key[2] != "arithmetic_intensity"}


def _placed(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random float32 between 0 and 1 at an address that is a multiple of ALIGNMENT."""
    size = ITEM * math.prod(shape)
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    array = raw[start : start + size].view(np.float32).reshape(shape)
    array[...] = rng.random(shape, np.float32)
    return array


# ---- the report ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HotLine:
    """A source line and its share of the warp instructions that its kernel executed; sectors: of global memory, in and out."""

    kernel: str
    file: str
    line: int
    text: str
    share: float
    sectors: float
    bank_conflicts: float


@dataclass(frozen=True)
class Report:
    """One version of one kernel on one shape. compiled: a row for each kernel that it launches; not_compiled: why there is none.

    flops: that the mathematics asks for (or, for elementwise work, that were executed); bytes: moved at least.
    """

    backend: str
    version: Version
    shape: tuple[int, ...]
    sizes: tuple[str, ...]
    arch: str
    launches: tuple[Started, ...]
    counted: Counted
    hot: tuple[HotLine, ...]
    compiled: tuple[machine_code.Compiled, ...]
    not_compiled: str
    flops: float
    bytes: int
    bounds: tuple[roofline.Bound, ...]
    unknown: tuple[str, ...] = UNKNOWN


def report(
    kernel: str,
    version: int | None = None,
    shape: Sequence[int] | None = None,
    backend: str = "cupy",
    arch: str = "sm_90",
    compare: Sequence[int] | None = None,
) -> list[Report]:
    """Profile a version of a kernel (the best one, unless given), or each of `compare`, in float32.

    shape: as PROFILED[kernel].sizes names its numbers, by default its example. arch: what the code is compiled for, such as
    "sm_90". Raises BackendError, ContractError; InspectionError if the code does not compile for `arch`.
    """
    if backend not in CUDA_BACKENDS:
        raise ContractError(f"backend {backend!r} has no CUDA kernels to profile; those with are {', '.join(CUDA_BACKENDS)}")
    problem(kernel, shape)
    loaded = load(backend, emulate=True)
    rows = {row.number: row for row in loaded.versions if row.kernel == kernel and "float32" in row.dtypes}
    best = max(number for number, row in rows.items() if not row.rule)
    chosen = list(compare) if compare else [best if version is None else version]
    for number in chosen:
        if number not in rows:
            raise ContractError(f"{backend}: {kernel} has versions {', '.join(map(str, rows))}; {number!r} is not one")
    return [_report(rows[number], tuple(shape or PROFILED[kernel].example), backend, arch) for number in chosen]


def _report(version: Version, shape: tuple[int, ...], backend: str, arch: str) -> Report:
    made = problem(version.kernel, shape)
    counted = count(version.kernel, version.number, shape, backend)
    launches = recorded(version, made, backend)
    distinct = {started.kernel: started for started in launches}
    compiled = tuple(machine_code.inspect(started, arch) for started in distinct.values())
    flops = made.flops if made.flops is not None else counted.total("flop")
    bounds = tuple(roofline.bound(gpu, flops, made.bytes) for gpu in roofline.GPUS)
    hot = tuple(line for started in distinct.values() for line in _hot_lines(counted, started))
    missing = next((c.missing for c in compiled if c.missing), "")
    return Report(
        backend, version, shape, PROFILED[version.kernel].sizes, arch, tuple(launches), counted, hot, compiled, missing, flops,
        made.bytes, bounds,
    )  # fmt: skip


def recorded(version: Version, made: Problem, backend: str) -> list[Started]:
    """The launches that the very shape would start; np.zeros takes no memory until it is touched, and nobody touches it."""
    arrays = [np.zeros(shape, np.float32) for shape in (*made.inputs, *made.outputs)]
    module = {"cupy": cpp_backend, "numba-cuda": numba_backend}[backend]
    return module.record(version.kernel, version.number, tuple(arrays), made.params)


def _hot_lines(counted: Counted, started: Started, most: int = 6) -> list[HotLine]:
    text = started.source.read_text().splitlines()
    whole = counted.total("smsp__inst_executed.sum", started.kernel)
    found = []
    for line, metrics in counted.lines(started.kernel).items():
        sectors = sum(metrics.get(f"l1tex__t_sectors_pipe_lsu_mem_global_op_{op}.sum", 0) for op in ("ld", "st"))
        conflicts = metrics.get("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", 0)
        share = metrics.get("smsp__inst_executed.sum", 0) / whole if whole else 0.0
        code = text[line - 1].strip() if 0 < line <= len(text) else "(no source line)"
        found.append(HotLine(started.kernel, started.source.name, line, code, share, sectors, conflicts))
    return sorted(found, key=lambda h: -h.share)[:most]
