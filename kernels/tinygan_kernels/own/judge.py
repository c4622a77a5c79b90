"""The judge of a kernel of one's own: the contract's hard cases, its derived bounds, and the emulator's sanitizer.

    from tinygan_kernels.own import verify
    verdict = verify("mm.cu:mm", as_="matmul")
    print(verdict)                    # what was verified, how near to the bound it came, and everything that is wrong
    assert verdict.ok
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels import BackendError, emulator, why_unavailable
from tinygan_kernels.contract import KERNELS, Kernel
from tinygan_kernels.shapes import DTYPES, ContractError
from tinygan_kernels.verification.cases import TILES, Case, cases
from tinygan_kernels.verification.extremes import extreme_cases
from tinygan_kernels.verification.verify import measure

from .diagnosis import ZERO, diagnosis
from .host import OwnHost
from .kernel_file import OwnKernel, language_of, one_line, read
from .launch_line import CUDA, example, parse
from .triton_kernel import is_triton

_POINTED = {"float": "float32", "double": "float64", "float4": "float32", "float2": "float32", "double2": "float64"}
REPLICAS = ("; of a tile with fewer elements than a block has threads (32 num_warps), Triton gives each to several threads, all "
            "of which load it: give the launch fewer warps, or a larger tile")  # fmt: skip
MOST_SHOWN, MOST_DIAGNOSED = 3, 12  # wrong cases that are described, and that are looked at for something new to describe


@dataclass(frozen=True)
class WrongCase:
    """A case that went wrong. share: the largest error as a share of its bound, inf where an output is not even finite."""

    label: str
    share: float
    said: tuple[str, ...]

    def __str__(self) -> str:
        much = "outside of any bound" if math.isinf(self.share) else f"{self.share:.3g} times the bound"
        return "\n".join([f"  {self.label}: {much}", *(f"    {line}" for line in self.said)])


@dataclass(frozen=True)
class KernelVerdict:
    """The verdict on a kernel of one's own.

    kernel: the contract's kernel that it was judged as. cases: how many hard cases were run, of which `wrong` are outside of their
    bound; `described` has small ones, one for each mistake that is known. worst: the largest error as a share of its bound
    among the cases that are right, reached in `worst_case`. findings: what the sanitizer found, and in how many cases.
    error: an assertion of the kernel that failed, or "".
    """

    title: str
    kernel: str
    dtype: str
    cases: int
    worst: float
    worst_case: str
    wrong: int
    described: tuple[WrongCase, ...] = ()
    findings: tuple[str, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """True if every case is inside its bound, the sanitizer found nothing and no assertion failed."""
        return not self.wrong and not self.findings and not self.error

    def __str__(self) -> str:
        head = f"{'ok   ' if self.ok else 'WRONG'} {self.title} as {self.kernel}, {self.dtype}: "
        near = f", at most {self.worst:.2f} of the bound" + (f" ({self.worst_case})" if self.worst_case else "")
        if self.wrong:
            lines = [f"{head}{self.wrong} of {self.cases} cases are wrong, such as"]
        else:
            lines = [f"{head}{self.cases} cases{'' if self.ok else ' have the right numbers'}{near}"]
        lines += map(str, self.described)
        if self.findings:
            lines += ["the sanitizer found:", *(f"  {finding}" for finding in self.findings)]
        return "\n".join([*lines, *([self.error] if self.error else [])])


def verify(
    kernel: Any,
    as_: str,
    *,
    launch: str = "",
    signature: str = "",
    dtype: str = "",
    params: Mapping[str, Any] | None = None,
) -> KernelVerdict:
    """Judge a kernel of one's own by the contract's kernel `as_`: on hard shapes, with the sanitizer, each error inside its bound.

    kernel: a path "mm.cu", "mm.cu:name", ".ptx" or ".py"; or what `emulator.RawModule.get_function` returned, or a function
    decorated with `numba.cuda.jit` or `triton.jit`, all three with `launch`; or a Python function that is called with NumPy
    arrays, inputs then outputs, and with the contract's parameters by name, and that launches whatever it likes.
    launch: a launch line, such as
    "mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 32)>>>(a, b, c, M, N, K)", instead of that in the file. signature: the
    arguments alone, in the kernel's order. dtype: "float32", "float64", by default that of the pointers in a .cu file, else
    float32. params: values of the contract's parameters that the kernel does not take.

    Raises ContractError for a wrong name, file, launch or signature, and for a kernel that does not end; OSError for a file that
    cannot be read; BackendError where the emulator cannot run.
    """
    contract = checked_name(as_)
    if _is_function(kernel):
        if launch or signature or params:
            raise ContractError("a Python function launches its kernels itself; leave out launch, signature and params")
        title = getattr(kernel, "__name__", type(kernel).__name__)
        return _judged(title, contract, _FunctionHost(kernel), _checked_dtype(dtype or "float32"), lambda found: found)
    own = _own(kernel, launch, signature)
    host = OwnHost(own, contract, params)
    return _judged(own.title, contract, host, dtype_of(own, _checked_dtype(dtype)), host.suited)


def checked_name(name: str) -> Kernel:
    """Return the kernel of the contract that is to be judged by. Raises ContractError; BackendError where nothing can run."""
    if name not in KERNELS:
        raise ContractError(f"there is no kernel {name!r} to judge by; the contract has {', '.join(KERNELS)}")
    if reason := why_unavailable("cupy", emulate=True):
        raise BackendError(f"kernels cannot be executed here: {reason}")
    return KERNELS[name]


def _is_function(kernel: Any) -> bool:
    """Return whether a kernel was given as a Python function that launches it."""
    launched = isinstance(kernel, emulator.RawKernel) or hasattr(kernel, "py_func") or is_triton(kernel)
    return callable(kernel) and not launched


def _own(kernel: Any, launch: str, signature: str) -> OwnKernel:
    """Return a kernel of any kind with its launch line. Raises ContractError where it has none."""
    if isinstance(kernel, (str, Path)):
        return read(kernel, launch, signature)
    if not hasattr(kernel, "py_func") and not isinstance(kernel, emulator.RawKernel) and not is_triton(kernel):
        raise TypeError(f"kernel is a {type(kernel).__name__}; give a path, a kernel of emulator.RawModule, numba.cuda.jit or "
                        "triton.jit, or a function that launches one")  # fmt: skip
    language = language_of(kernel)
    if not launch:
        raise ContractError(f"say how the kernel is launched: launch={example(language)!r}")
    line = parse(launch, f"the launch {launch!r}", language)
    line = line.with_signature(signature) if signature else line
    return OwnKernel(line.kernel, None, kernel.source or "" if language == CUDA else "", kernel, line)


def dtype_of(own: OwnKernel, asked: str) -> str:
    """Return the dtype of the arrays: that which a kernel's pointers declare, else what was asked for. Raises ContractError."""
    pointers = [] if own.language != CUDA else [p for p in own.parameters if "*" in p or "[" in p]
    kinds = {_POINTED.get(re.sub(r"\b(const|volatile|__restrict__|restrict|\w+$)|[*\[\]\s]", "", p), "") for p in pointers}
    if "" in kinds and "template" in own.text and len(kinds) == 1:  # pointers to T
        kinds = set()
    if "" in kinds or len(kinds) > 1:
        declared = ", ".join(own.parameters)
        raise ContractError(f"{own.title} takes ({declared}); the contract's arrays are all float, or all double")
    declared = next(iter(kinds), asked or _dtype_in_code(own))
    if asked not in ("", declared):
        raise ContractError(f"{own.title} takes arrays of {declared} ({', '.join(own.parameters)}), not {asked}")
    return declared


def require_float32(own: OwnKernel) -> None:
    """Raise ContractError for a kernel of float64 arrays: `profile` and `explain_line` run kernels on float32."""
    if dtype_of(own, "") != "float32":
        raise ContractError(f"{own.title} takes arrays of float64, and profiles are of float32")


def _dtype_in_code(own: OwnKernel) -> str:
    """Return float64 for code that moves 8 bytes at a time between global memory and registers, and float32 for all else."""
    sizes = set() if own.language != CUDA else {site.size for site in own.function.translated.sites if site.space == "global"}
    return "float64" if sizes == {8} else "float32"


def _checked_dtype(dtype: str) -> str:
    if dtype and dtype not in DTYPES:
        raise ContractError(f"dtype is {dtype!r}, it has to be one of {', '.join(DTYPES)}")
    return dtype


class _FunctionHost:
    """A Python function that launches a kernel, as the judge calls it. overwritten: inputs that it changed."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.overwritten: set[str] = set()
        self.unwritten: tuple[np.ndarray, ...] = ()

    def __call__(self, *arrays: np.ndarray, **params: Any) -> None:
        self.function(*arrays, **params)


def _judged(
    title: str, contract: Kernel, host: Any, dtype: str, suited: Callable[[Iterator[Case]], Iterable[Case]]
) -> KernelVerdict:
    """Run all cases, the smallest first and extremes last, and return the verdict. Raises ContractError where no case suits."""
    found = suited(chain(cases(contract.name, dtype, TILES), extreme_cases(contract.name, dtype)))
    chosen = sorted(found, key=lambda case: (case.check != "bound", case.size))
    if not chosen:
        raise ContractError(f"no hard case of {contract.name} suits {title} with these parameters")
    tally = _Tally(title, contract, host)
    for case in chosen:
        tally.run(case)
        if tally.error:
            break
    said = [f"{title} writes to its input {name}" for name in sorted(host.overwritten)]
    found_in = sorted(tally.findings.values(), key=lambda pair: -pair[1])
    findings = tuple(said + [f"{text}{'' if count == 1 else f' ({count} cases)'}" for text, count in found_in])
    return KernelVerdict(title, contract.name, dtype, tally.count, tally.worst, tally.worst_case, tally.wrong,
                         tally.described(), findings, tally.error)  # fmt: skip


class _Tally:
    """Runs case after case and keeps what the verdict is made of."""

    def __init__(self, title: str, contract: Kernel, host: Any) -> None:
        self.title, self.contract, self.host = title, contract, host
        self.count, self.wrong = 0, 0
        self.worst, self.worst_case, self.error = 0.0, "", ""
        self.diagnosed: list[WrongCase] = []
        self.findings: dict[tuple[str, ...], tuple[str, int]] = {}
        self.outputs: tuple[np.ndarray, ...] = ()

    def run(self, case: Case) -> None:
        """Run one case. Raises ContractError where the kernel cannot be launched, or does not end."""
        self.count += 1
        try:
            with emulator.sanitize() as findings, emulator.step_budget(turns_for(case)):
                share = measure(self._keeping_outputs, case)
        except emulator.KernelAssertion as error:
            self.error = f"{case.label}: {' '.join(str(error).split())}"
            return
        except emulator.EmulatorError as error:
            raise ContractError(f"{self.title}, at the case {case.label}: {one_line(str(error))}") from None
        self._note(findings)
        if share <= 1:
            if share > self.worst or not self.worst_case:
                self.worst, self.worst_case = share, case.label
            return
        self.wrong += 1
        if self.wrong <= MOST_DIAGNOSED:
            with np.errstate(all="ignore"):
                said = diagnosis(case, self.outputs, self.host.unwritten) if self.outputs else []
            self.diagnosed.append(WrongCase(case.label, share, tuple(said)))

    def described(self) -> tuple[WrongCase, ...]:
        """Return the smallest case that shows each mistake; where none is known, the smallest of all."""
        first: dict[str, WrongCase] = {}
        for wrong in self.diagnosed:
            for line in wrong.said[1:]:
                first.setdefault(re.sub(r"\d+", "", line), wrong)
        named = [wrong for line, wrong in first.items() if not line.endswith(ZERO)] or list(first.values()) or self.diagnosed[:1]
        return tuple(named[:MOST_SHOWN])

    def _keeping_outputs(self, *arrays: np.ndarray, **params: Any) -> None:
        self.host(*arrays, **params)
        self.outputs = tuple(a.copy() for a in arrays[len(self.contract.inputs) :])

    def _note(self, findings: list[Any]) -> None:
        """Keep the first finding of each kind and line, and in how many cases it was found."""
        for key, finding in {(f.tool, f.message.split(";")[0], f.source): f for f in reversed(findings)}.items():
            first, count = self.findings.get(key, (self._sentence(finding), 0))
            self.findings[key] = first, count + 1

    def _sentence(self, finding: Any) -> str:
        own = self.host.own if isinstance(self.host, OwnHost) else None
        told = finding_told(finding, own.line.argument_texts if own else ())
        return told + REPLICAS if own and own.triton and "global-memory race within a block" in told else told


def finding_told(finding: Any, names: Sequence[str]) -> str:
    """Return a finding without addresses, which differ from run to run, and with the names of the arguments."""
    message = re.sub(r"argument (\d+)", lambda m: names[int(m[1])] if int(m[1]) < len(names) else m[0], finding.message)
    message = re.sub(r" at (shared address )?0x[0-9a-f]+", "", message)
    return f"{finding.source}: {finding.tool}: {message}, by thread {finding.thread} of block {finding.block}"


def turns_for(case: Case) -> int:
    """Return how many basic blocks a launch may run before it counts as one that does not end: far more than one thread needs."""
    work = KERNELS[case.kernel].flops
    shapes = [a.shape for a in case.inputs]
    size = sum(map(math.prod, shapes))
    if work:
        outputs = KERNELS[case.kernel].shapes(*shapes, **case.params)
        size += work(*shapes, *outputs, **case.params)
    return turns_for_work(size)


def turns_for_work(operations: float) -> int:
    """Return how many basic blocks a launch may run that has to carry out so many operations, or move so many numbers."""
    return 20_000 + 16 * int(operations)
