"""The findings of the sanitizer, and the switches of its checks. Names are those of NVIDIA's compute-sanitizer and its tools."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tinygan_kernels.emulator.errors import EmulatorError

_ON: ContextVar[bool] = ContextVar("checks", default=True)
_COLLECTED: ContextVar[list | None] = ContextVar("findings", default=None)
_SCHEDULES: ContextVar[bool | None] = ContextVar("schedules", default=None)


@dataclass
class Finding:
    """One kind of fault at one source line. `count` says how often it was found; the other fields describe the first time.

    Of a race, `schedules` says what the launch gives in two orders of its two threads, where that was tried: pairs of (who goes
    first, the result). `order` is empty for what was found in the usual order of threads, else it says in which.
    """

    tool: str  # memcheck, initcheck, racecheck, synccheck
    message: str
    kernel: str
    source: str  # "file.cu:12"
    ptx_line: int
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    address: int | None = None
    space: str = ""  # global, shared, local, ...
    count: int = 1
    schedules: tuple[tuple[str, str], ...] = ()
    order: str = ""
    sides: tuple[int, int] | None = None  # of a race, the numbers of both threads: block in the grid << 10 | thread in the block

    def __str__(self) -> str:
        where = "" if self.address is None else f" at {self.space} address {self.address:#x}"
        times = "" if self.count == 1 else f" ({self.count} times)"
        return (
            f"{self.tool}: {self.message}{where} by thread {self.thread} of block {self.block} in {self.kernel}, "
            f"{self.source} (PTX line {self.ptx_line}){times}{self._in_orders()}"
        )

    def _in_orders(self) -> str:
        """Return what is known of other orders of the threads, as the end of a sentence."""
        text = f"; found when {self.order}" if self.order else ""
        if len({result for _, result in self.schedules}) == 1:
            return f"{text}; with {' or '.join(who for who, _ in self.schedules)} first {self.schedules[0][1]}"
        return text + "".join(f"; {who} first: {result}" for who, result in self.schedules)


@dataclass
class StreamFinding(Finding):
    """A race between two streams, or between a stream and the host: a fault of the program that launches, at one line of it.

    kernel: what the stream was given, "" for the host. block, thread and the line of PTX say nothing here.
    """

    def __str__(self) -> str:
        return f"{self.tool}: {self.message}, {self.source}"


class SanitizerError(EmulatorError):
    """Raised at the end of a launch in which the sanitizer found something; `findings` lists what."""

    def __init__(self, findings: list[Finding]):
        self.findings = findings
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        super().__init__(f"{findings[0]}{more}")


@contextmanager
def checks(on: bool, schedules: bool | None = None):
    """Turn the sanitizer on or off for the launches inside the `with` block (on is the default).

    Without it kernels run several times faster; accesses outside of every array still raise, as they cannot be carried out.

    schedules: whether launches are run again in other orders of their threads. A kernel that passes messages through memory
    (locks, flags) is checked in a second order too, as what one order hides another may show; and for each race found the launch
    is run in two orders of its two threads, whose results the finding gives. None: where the launch is small; True: always; False:
    never. Memory is afterwards what the first run made of it, and only that prints.
    """
    tokens = _ON.set(on), _SCHEDULES.set(schedules)
    try:
        yield
    finally:
        _ON.reset(tokens[0])
        _SCHEDULES.reset(tokens[1])


@contextmanager
def sanitize(schedules: bool | None = None):
    """Turn the sanitizer on, and collect findings in a list instead of raising: `with sanitize() as findings: kernel(...)`.

    schedules: as `checks` takes it.
    """
    findings: list[Finding] = []
    tokens = _COLLECTED.set(findings), _ON.set(True), _SCHEDULES.set(schedules)
    try:
        yield findings
    finally:
        _COLLECTED.reset(tokens[0])
        _ON.reset(tokens[1])
        _SCHEDULES.reset(tokens[2])


def checking() -> bool:
    """Say whether the sanitizer is on for a launch made here."""
    return _ON.get()


def schedules_wanted() -> bool | None:
    """Return whether launches made here are to be run in other orders too; None: where they are small."""
    return _SCHEDULES.get()


def deliver(findings: list[Finding]) -> None:
    """Hand findings to the `sanitize()` around the call, or raise SanitizerError where there is none, and there are findings."""
    collected = _COLLECTED.get()
    if collected is not None:
        collected += findings
    elif findings:
        raise SanitizerError(findings)


class Report:
    """The findings of one launch: one for each tool, message and source line."""

    def __init__(self, kernel: str):
        self.kernel = kernel
        self.findings: dict[tuple, Finding] = {}

    def add(
        self,
        tool: str,
        message: str,
        site,
        machine,
        lane: int,
        address: int | None = None,
        space: str = "",
        count: int = 1,
        sides: tuple[int, int] | None = None,
    ) -> None:
        """Note a fault of `count` threads, of which the first is that of lane `lane`; site: the instruction; sides: of a race."""
        key = (tool, message.split(";")[0], site.line if site.line[1] else site.ptx_line)
        if key in self.findings:
            self.findings[key].count += count
            return
        block, thread = machine.position(int(lane))
        self.findings[key] = Finding(
            tool,
            message,
            self.kernel,
            site.source,
            site.ptx_line,
            block,
            thread,
            None if address is None else int(address) % (1 << 64),
            space,
            count,
            sides=sides,
        )

    def add_from(self, other: Report, order: str) -> None:
        """Add what was found in another order of the threads, and not in this one, at the same line."""
        lines = {(f.tool, f.source, f.ptx_line if f.source == "no source line" else 0) for f in self.findings.values()}
        for key, finding in other.findings.items():
            where = (finding.tool, finding.source, finding.ptx_line if finding.source == "no source line" else 0)
            if where not in lines:
                self.findings[key] = finding
                finding.order = order

    def deliver(self) -> None:
        """Hand the findings to the `sanitize()` around the launch, or raise SanitizerError if there is none."""
        deliver(list(self.findings.values()))


class PrivateReport(Report):
    """The findings of a run that is made for comparison: they are looked at, and not handed to anybody."""

    def deliver(self) -> None:
        """Do nothing."""
