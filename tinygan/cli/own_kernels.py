"""`tinygan kernels explain | trace | bench`: what a kernel does line by line, step by step, and how fast it is on a GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tinygan_kernels import BackendError, ContractError

from .apart import Seconds, executed, in_time
from .console import out, require_page, tell
from .kernels import As, LaunchText, Params, Signature, is_own, own_file, require_nothing, require_options, values_of
from .keys import typed_commands

if TYPE_CHECKING:
    from tinygan_kernels.emulator import Trace
    from tinygan_kernels.own.subjects import Subject

Which = Annotated[str, typer.Argument(metavar="FILE[:KERNEL]|NAME", show_default=False,
                                      help="A kernel of your own in a .cu, .ptx or .py file, or one of the project's: matmul.")]
Version = Annotated[int | None, typer.Option("--version", show_default=False,
                                             help="Of one of the project's: rung of the ladder; the best if not given.")]
Backend = Annotated[str, typer.Option("--backend", show_default="cupy",
                                      help="Of one of the project's: cupy (CUDA C++) or numba-cuda.")]
Shape = Annotated[list[int] | None, typer.Option("--shape", help="Sizes, such as M N K of a product.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to those of `tinygan kernels`."""
    app.command(epilog="Examples:  tinygan kernels explain mm.cu --as matmul --line 6 --shape 64 64 64   |   "
                "tinygan kernels explain mm.cu --as matmul --html mm.html   |   "
                "tinygan kernels explain matmul --version 3 --shape 64 64 64")(explain)  # fmt: skip
    app.command(epilog="Examples:  tinygan kernels trace mm.cu --as matmul --warp 1   |   "
                "tinygan kernels trace mm.cu --as matmul --do \"line 6; print sum; back\"")(trace)  # fmt: skip
    app.command(epilog="Examples:  tinygan kernels bench mm.cu --as matmul --shape 1024 1024 1024 --against 5")(bench)


def explain(
    which: Which,
    as_: As = "",
    line: Annotated[int | None, typer.Option("--line", help="The source line; the one with most to gain if not given.",
                                             show_default=False)] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="OUT.html", show_default=False,
                                              help="Write a page of all lines, with time travel, for any browser.")] = None,
    version: Version = None,
    backend: Backend = "",
    shape: Shape = None,
    launch: LaunchText = "",
    signature: Signature = "",
    param: Params = None,
    seconds: Seconds = None,
) -> int:
    """Draw what the 32 lanes of a warp do on a source line: the banks or sectors that they meet, what collides, where they part.

    The worst request of each instruction is drawn, and where lanes collide in shared memory it is worked out what a pad and a
    swizzle would do, on this line and on the others. The page of --html has the source with counters beside each line, these
    pictures of each, and a warp's steps forward and back.
    """
    from tinygan_kernels.own.explain import explained

    require_page(html, "--html")
    if (code := in_time(which, seconds)) is not None:
        return code
    subject = _subject(which, as_, version, backend, shape, launch, signature, param)
    found = explained(subject)
    if html is None:
        tell(out, str(found.line(line)))
        return 0
    from tinygan_kernels.own.page import MOST_STEPS, page_of

    recorded, why_not = None, ""
    try:
        recorded = _traced(_subject(which, as_, version, backend, None, launch, signature, param, debug=True), 4 * MOST_STEPS)
    except ContractError as error:  # such as a kernel that does not run when it is compiled for a debugger
        why_not = f"It could not be traced: {error}"
    html.write_text(page_of(found, line, recorded, why_not), encoding="utf-8")
    tell(out, f"wrote {html}")
    return 0


def trace(
    which: Which,
    as_: As = "",
    warp: Annotated[int, typer.Option("--warp", help="The warp of the thread block that is followed.", min=0)] = 0,
    block: Annotated[list[int] | None, typer.Option("--block", show_default=False,
                                                    help="The thread block: its number, or x y z; 0 if not given.")] = None,
    do: Annotated[list[str] | None, typer.Option("--do", metavar="COMMANDS", show_default=False,
                                                 help="Commands to carry out, with ; between them.")] = None,
    steps: Annotated[int, typer.Option("--steps", help="How many steps of the thread block are recorded at most.", min=1)] = 20_000,
    version: Version = None,
    backend: Backend = "",
    shape: Shape = None,
    launch: LaunchText = "",
    signature: Signature = "",
    param: Params = None,
    seconds: Seconds = None,
) -> int:
    """Step through a kernel, forward and back by source line: a warp's variables, its mask, shared memory.

    The kernel runs once in the emulator, on small arrays unless --shape says otherwise, and what one thread block does is recorded.
    Then commands move through it: next, back, line N, print NAME; `help` lists them all. They are typed, or come from --do or a
    pipe. CUDA C++ is compiled for a debugger, so that variables have their names; of Numba and PTX, registers are shown.
    """
    from tinygan_kernels.emulator.stepping.session import CommandError, Session

    if (code := in_time(which, seconds)) is not None:
        return code
    subject = _subject(which, as_, version, backend, shape, launch, signature, param, debug=True)
    place: int | Sequence[int] = (block[0] if len(block) == 1 else block) if block else 0
    session = Session(_traced(subject, steps, place, warp))
    executed()
    where = f"warp {warp} of {session.trace.warps} in thread block {session.trace.thread_block}"
    tell(out, f"{subject.title}, {subject.sizes}; {where}")
    if session.trace.cut:
        tell(out, session.trace.cut)
    tell(out, session.shown())
    asked = bool(do) or not _typed()
    for command in _commands(do):
        try:
            said = session.run(command)
        except CommandError as error:
            if asked:
                raise ContractError(f"{command}: {error}") from None
            said = str(error)
        if session.ended:
            return 0
        if asked:
            tell(out, f"> {command}")
        tell(out, said)
    return 0


def bench(
    file: Annotated[str, typer.Argument(metavar="FILE[:KERNEL]", help="A kernel of your own in a .cu, .ptx or .py file.",
                                        show_default=False)],
    as_: As = "",
    against: Annotated[int | None, typer.Option("--against", show_default=False,
                                                help="The version of the project's that it races; the best if not given.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="How many pairs of calls are timed.", min=1)] = 20,
    shape: Shape = None,
    launch: LaunchText = "",
    signature: Signature = "",
    param: Params = None,
    seconds: Seconds = None,
) -> int:
    """Race a kernel of your own on a GPU against a version of the project's: paired, on fresh inputs, every timed call verified.

    The L2 cache is flushed before each call, the time is that between two events, and outputs are fetched as soon as the second has
    happened. A kernel is refused that keeps results, leaves work to another stream, changes its inputs or is wrong. Exit code 1 if
    one is refused, 2 without a GPU.
    """
    from tinygan_kernels.own.gpu_race import bench as raced

    if (code := in_time(file, seconds)) is not None:
        return code
    found = raced(own_file(file, as_), as_, against=against, shape=shape, launch=launch, signature=signature,
                  params=values_of(param), rounds=rounds)  # fmt: skip
    tell(out, str(found))
    return 0 if found.ok else 1


def _typed() -> bool:
    """Return whether commands are typed in a terminal. There may be no standard input at all."""
    return sys.stdin is not None and sys.stdin.isatty()


def _commands(do: list[str] | None) -> Iterator[str]:
    """Yield commands: those given, else those typed in a terminal, else the lines of a pipe."""
    if do:
        yield from (part.strip() for text in do for part in text.split(";"))
    elif _typed():
        yield from typed_commands()
    elif sys.stdin is not None:
        yield from (line.strip() for line in sys.stdin)


def _subject(
    which: str, as_: str, version: int | None, backend: str, shape: list[int] | None, launch: str, signature: str,
    param: list[str] | None, debug: bool = False,
) -> Subject:  # fmt: skip
    """Return the kernel that is meant: of one's own, with --as, or a version of the project's. Raises BadParameter for options of
    the other kind.
    """
    from tinygan_kernels.own.subjects import ladder_subject, own_subject

    own = bool(as_) or is_own(which)
    require_options(own, version, launch=launch, signature=signature, param=param)
    if own:
        require_nothing("it is for a kernel of the project's, not for a file", backend=backend)
        return own_subject(own_file(which, as_), as_, shape=shape, launch=launch, signature=signature, params=values_of(param),
                           debug=debug)  # fmt: skip
    return ladder_subject(which, version, shape=shape, backend=backend or "cupy", debug=debug)


def _traced(subject: Subject, steps: int, block: int | Sequence[int] = 0, warp: int = 0) -> Trace:
    """Run a kernel and record it. Raises ContractError; BackendError where the emulator cannot run it."""
    from tinygan_kernels.emulator import EmulatorError
    from tinygan_kernels.own.traced import traced

    try:
        return traced(subject, thread_block=block, warp=warp, most_steps=steps)
    except EmulatorError as error:
        raise BackendError(str(error).splitlines()[0]) from None


