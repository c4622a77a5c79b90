"""`tinygan kernels list | verify | profile | targets | doctor`: which kernels there are, whether they are right, what they need."""

from __future__ import annotations

import ast
from typing import Annotated, Any

import typer
from tinygan_kernels import CUDA_BACKENDS, KERNELS, BackendError, ContractError, load, names, why_unavailable

from .apart import Seconds, in_time
from .console import Emulate, out, tell

As = Annotated[str, typer.Option("--as", metavar="NAME", show_default=False,
                                 help="The kernel of the contract that your own is to be, such as matmul.")]
LaunchText = Annotated[str, typer.Option("--launch", help="How your kernel is launched, instead of the launch line in its file.",
                                         show_default=False)]
Signature = Annotated[str, typer.Option("--signature", show_default=False,
                                        help="Your kernel's arguments in its order, such as \"c a b M N K\".")]
Params = Annotated[list[str] | None, typer.Option("--param", metavar="NAME=VALUE", show_default=False,
                                                  help="A parameter of the contract that your kernel does not take.")]

app = typer.Typer(no_args_is_help=True, help="The kernels: which there are, whether they are right, what they do to memory.")


@app.command("list", epilog="Examples:  tinygan kernels list")
def list_kernels() -> None:
    """List every kernel of the contract, its versions on every backend, and where they can run."""
    found = {name: _versions(name) for name in names()}
    for name, kernel in KERNELS.items():
        tell(out, f"{name}: {kernel.formula}")
        for backend, versions in found.items():
            for version in versions.get(name, []):
                tell(out, f"    {backend:10s} {version}")
    for name in names():
        tell(out, f"{name}: {_where(name)}")


def _versions(backend: str) -> dict[str, list[str]]:
    """Return the versions that a backend has of each kernel, a line each, by the kernel's name.

    Without a GPU, those of a CUDA backend are the ones that the emulator would run.
    """
    emulate = why_unavailable(backend) is not None
    if emulate and why_unavailable(backend, emulate=True) is not None:
        return {}
    found: dict[str, list[str]] = {}
    for version in load(backend, emulate).versions:
        found.setdefault(version.kernel, []).append(f"{version.number} {version.title}")
    return found


def _where(backend: str) -> str:
    """Say whether the backend can run here, and if not, why."""
    reason = why_unavailable(backend)
    if reason is None:
        return "available"
    emulated = why_unavailable(backend, emulate=True)
    if emulated is None:
        return f"with --emulate; without, {reason}"
    return reason if backend == "cpu" else f"{reason}; with --emulate, {emulated}"


@app.command(
    epilog="Examples:  tinygan kernels verify   |   tinygan kernels verify leaky_relu   |   "
    "tinygan kernels verify --backend cupy --emulate --only matmul   |   tinygan kernels verify mm.cu:mm --as matmul"
)
def verify(
    what: Annotated[str, typer.Argument(metavar="[NAME|FILE[:KERNEL]]", show_default=False,
                                        help="A kernel of the contract, or a kernel of your own in a .cu, .ptx or .py file.")] = "",
    as_: As = "",
    launch: LaunchText = "",
    signature: Signature = "",
    param: Params = None,
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or float64, for a kernel of your own.", show_default=False)] = "",
    backend: Annotated[str, typer.Option("--backend", show_default="cpu",
                                         help=f"Where the project's kernels run: {', '.join(names())}.")] = "",
    emulate: Emulate = False,
    only: Annotated[str, typer.Option("--only", help="Only kernels whose name contains this.", show_default=False)] = "",
    seconds: Seconds = None,
) -> int:
    """Run every version of every kernel on hard shapes: error as a share of its bound, and what the sanitizer finds.

    A kernel of your own is judged in the same way by the kernel of the contract that --as names, in the emulator; a comment line in
    its file says how it is launched: // launch: mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 32)>>>(a, b, c, M, N, K).
    A .py file has kernels of Numba CUDA or Triton, and is executed.
    Outputs are poisoned with NaN first. Exit code 1 if anything is wrong.
    """
    if (code := in_time(what, seconds)) is not None:
        return code
    if as_ or is_own(what):
        require_nothing("it is for the project's kernels; one of your own runs in the emulator", backend=backend)
        require_nothing("it chooses among the project's kernels, and a file with --as is one kernel of your own", only=only)
        return _verify_own(own_file(what, as_), as_, launch, signature, dtype, param)
    require_options(own=False, launch=launch, signature=signature, param=param, dtype=dtype)
    return _verify_versions(_chosen(what, only), backend or "cpu", emulate)


def _chosen(what: str, only: str) -> list[str]:
    """Return the kernels of the contract that are asked for. Raises BadParameter where there is none."""
    if what and what not in KERNELS:
        raise ContractError(f"there is no kernel {what!r}; the contract has {', '.join(KERNELS)}; a kernel of your own is given by "
                            "its file (.cu, .ptx, .py), and --as")  # fmt: skip
    chosen = [name for name in KERNELS if only in name and what in ("", name)]
    if not chosen:
        raise typer.BadParameter(f"no kernel has {only!r} in its name; there are {', '.join(KERNELS)}", param_hint="--only")
    return chosen


def _verify_versions(chosen: list[str], backend: str, emulate: bool) -> int:
    """Verify every version of these kernels, a line each, and return the exit code."""
    from tinygan_kernels.verification import verify as verification

    count = wrong = 0
    for verdict in verification.verdicts(backend, emulate, chosen):
        tell(out, str(verdict))
        count, wrong = count + (not verdict.lacks), wrong + (not verdict.ok)
    for line in verification.left_out(backend, emulate, chosen):
        tell(out, line)
    tell(out, f"{count - wrong} of {count} right")
    return 1 if wrong else 0


# ---- a kernel of one's own -----------------------------------------------------------------------------------------------------


def is_own(what: str) -> bool:
    """Return whether a word means the file of a kernel of one's own."""
    return what.partition(":")[0].endswith((".cu", ".ptx", ".py")) or "/" in what or "\\" in what


def own_file(what: str, as_: str) -> str:
    """Return the file that is meant. Raises BadParameter where file or --as is missing."""
    if not what:
        raise typer.BadParameter("say which file the kernel is in: FILE or FILE:KERNEL", param_hint="--as")
    if not as_:
        raise ContractError(f"{what}: say which kernel of the contract it is to be, such as --as matmul; `tinygan kernels list` "
                            "lists them")  # fmt: skip
    return what


def require_options(own: bool, version: int | None = None, **of_own: Any) -> None:
    """Raise BadParameter for --version with a kernel of one's own, and for an option of `of_own` with one of the project's."""
    if own and version is not None:
        raise typer.BadParameter("it is for a kernel of the project's, not for a file", param_hint="--version")
    given = [name for name, value in of_own.items() if value]
    if given and not own:
        raise typer.BadParameter("it is for a kernel of your own: give its file, and --as", param_hint=f"--{given[0]}")


def require_nothing(why: str, **options: Any) -> None:
    """Raise BadParameter, saying why, for the first of these options that was given: it would say nothing."""
    for name, value in options.items():
        if value not in (None, "", [], False):
            raise typer.BadParameter(why, param_hint=f"--{name}")


def _verify_own(file: str, as_: str, launch: str, signature: str, dtype: str, param: list[str] | None) -> int:
    """Judge a kernel of one's own, print the verdict and return the exit code."""
    from tinygan_kernels.own.judge import verify as judge

    verdict = judge(file, as_, launch=launch, signature=signature, dtype=dtype, params=values_of(param))
    tell(out, str(verdict))
    return 0 if verdict.ok else 1


def values_of(given: list[str] | None) -> dict[str, Any]:
    """Return {name: value} of the NAME=VALUE that --param was given."""
    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as slope=0.2", param_hint="--param")
        try:
            found[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            found[name.strip()] = value.strip()
    return found


@app.command(
    epilog="Examples:  tinygan kernels profile matmul --version 4 --shape 512 512 512   |   "
    "tinygan kernels profile matmul --compare 3 --compare 4   |   tinygan kernels profile mm.cu --as matmul --compare 1 2 3"
)
def profile(
    kernel: Annotated[str, typer.Argument(metavar="NAME|FILE[:KERNEL]", show_default=False,
                                          help="Such as matmul, conv2d, bce_logits, or a kernel of your own in a file.")],
    as_: As = "",
    launch: LaunchText = "",
    signature: Signature = "",
    param: Params = None,
    version: Annotated[int | None, typer.Option("--version", help="Rung of the ladder; the best if not given.")] = None,
    shape: Annotated[list[int] | None, typer.Option("--shape", help="Sizes: M N K of a product, N H W C_in C_out K stride pad of "
                                                                     "a convolution, n of the rest.", show_default=False)] = None,
    compare: Annotated[list[int] | None, typer.Option("--compare", help="Versions side by side.", show_default=False)] = None,
    backend: Annotated[str, typer.Option("--backend", show_default="cupy", help="cupy (CUDA C++) or numba-cuda.")] = "",
    arch: Annotated[str, typer.Option("--arch", help="What to compile for: sm_80, sm_86, sm_89, sm_90, ...")] = "sm_90",
    gpu: Annotated[str, typer.Option("--gpu", show_default=False,
                                     help="Model the time on this GPU as well: t4, a100, a6000, 4090, h100, h200.")] = "",
    seconds: Seconds = None,
) -> int:
    """Show what a CUDA kernel does, without a GPU: Nsight Compute's counters, hot lines, registers, spills, occupancy, roofline.

    A kernel of your own is shown in the same way, as the kernel of the contract that --as names; --compare puts versions of the
    project's ladder beside it. The time of --gpu is that of a model, with its parts: nothing is measured.
    """
    from tinygan_kernels.emulator import EmulatorError
    from tinygan_kernels.profiling import report, view
    from tinygan_kernels.profiling.machine_code import InspectionError

    if (code := in_time(kernel, seconds)) is not None:
        return code
    own = bool(as_) or is_own(kernel)
    require_options(own, version, launch=launch, signature=signature, param=param)
    if own and not compare:
        require_nothing("it says whose versions --compare puts beside a kernel of your own", backend=backend)
    if compare:
        require_nothing("--compare names the versions already", version=version)
    backend = backend or "cupy"
    try:
        if own:
            from tinygan_kernels.own.profiles import modelled_time
            from tinygan_kernels.own.profiles import profile as profile_own

            told = [modelled_time(own_file(kernel, as_), as_, gpu, launch=launch, signature=signature,
                                  params=values_of(param), shape=shape)[1]] if gpu else []  # fmt: skip
            profiles = profile_own(own_file(kernel, as_), as_, launch=launch, signature=signature, params=values_of(param),
                                   shape=shape, backend=backend, arch=arch, compare=compare)  # fmt: skip
        else:
            numbers: list[int | None] = [*compare] if compare else [version]
            told = [report.modelled_time(kernel, gpu, number, shape, backend)[1] for number in numbers] if gpu else []
            profiles = report.profile(kernel, version, shape, backend, arch, compare)
    except (InspectionError, EmulatorError) as error:
        raise BackendError(str(error).splitlines()[0]) from None
    view.render(profiles, out)
    for said in told:
        tell(out, said)
    return 0


@app.command(epilog="Examples:  tinygan kernels targets   |   tinygan kernels targets --backend cupy")
def targets(
    backend: Annotated[list[str] | None, typer.Option("--backend", help="cupy, numba-cuda; both if not given.",
                                                      show_default=False)] = None,
    arch: Annotated[list[str] | None, typer.Option("--arch", help="What to compile for; sm_80 and sm_90 if not given.",
                                                   show_default=False)] = None,
) -> int:
    """Check the CUDA kernels' targets without a GPU: no spills, coalesced access, no bank conflicts, a busy inner loop.

    Each kernel has to stay within the architecture's limits and to be launched as its launch bounds say, and each rung of a ladder
    has to improve the counter that it was written for. Takes a minute or two; exit code 1 if a target is missed.
    """
    from tinygan_kernels.emulator import EmulatorError
    from tinygan_kernels.profiling import targets as static_targets
    from tinygan_kernels.profiling.machine_code import InspectionError

    backends = tuple(backend or CUDA_BACKENDS)
    for name in backends:
        if name not in CUDA_BACKENDS:
            raise BackendError(f"backend {name!r} has no CUDA kernels; those with are {', '.join(CUDA_BACKENDS)}")
        if reason := why_unavailable(name, emulate=True):
            raise BackendError(f"backend {name!r} cannot be emulated: {reason}")
    try:
        results = list(static_targets.measure(backends, tuple(arch or static_targets.ARCHS)))
    except (InspectionError, EmulatorError) as error:
        raise BackendError(str(error).splitlines()[0]) from None
    out.print(static_targets.table(results))
    return 1 if any(result.ok is False for result in results) else 0


@app.command(epilog="Examples:  tinygan kernels doctor")
def doctor() -> int:
    """Look at what is installed for CUDA: driver, CuPy, Numba CUDA, compilers; what does not fit together, and what to install.

    Nothing is downloaded or changed. Without a GPU it says whether the emulator has what it needs. Exit code 1 if there is a
    problem.
    """
    from tinygan_kernels.doctor.diagnoses import PROBLEM, diagnose, summary
    from tinygan_kernels.doctor.installed import look

    findings = diagnose(look())
    for finding in findings:
        tell(out, str(finding))
    tell(out, summary(findings))
    return 1 if any(finding.state == PROBLEM for finding in findings) else 0


NUMBERS = ("--shape", "--compare", "--block")  # the options that take several numbers


def spread(arguments: list[str]) -> list[str]:
    """Repeat --shape, --compare and --block before each of their numbers, as the parser takes one value an option.

    `--shape 512 256` becomes `--shape 512 --shape 256`.
    """
    spread_out: list[str] = []
    repeating = ""
    for argument in arguments:
        number = argument.lstrip("-").isdecimal()
        if repeating and number and spread_out[-1] != repeating:
            spread_out.append(repeating)
        repeating = argument if argument in NUMBERS else repeating if number else ""
        spread_out.append(argument)
    return spread_out
