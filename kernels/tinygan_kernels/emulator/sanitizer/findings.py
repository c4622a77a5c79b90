"""The findings of the sanitizer, and the switches of its checks. Names are those of NVIDIA's compute-sanitizer and its tools."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tinygan_kernels.emulator.errors import EmulatorError

_ON: ContextVar[bool] = ContextVar("checks", default=True)
_COLLECTED: ContextVar[list | None] = ContextVar("findings", default=None)


@dataclass
class Finding:
    """One kind of fault at one source line. `count` says how often it was found; the other fields describe the first time."""

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

    def __str__(self) -> str:
        where = "" if self.address is None else f" at {self.space} address {self.address:#x}"
        times = "" if self.count == 1 else f" ({self.count} times)"
        return (
            f"{self.tool}: {self.message}{where} by thread {self.thread} of block {self.block} in {self.kernel}, "
            f"{self.source} (PTX line {self.ptx_line}){times}"
        )


class SanitizerError(EmulatorError):
    """Raised at the end of a launch in which the sanitizer found something; `findings` lists what."""

    def __init__(self, findings: list[Finding]):
        self.findings = findings
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        super().__init__(f"{findings[0]}{more}")


@contextmanager
def checks(on: bool):
    """Turn the sanitizer on or off for the launches inside the `with` block (on is the default).

    Without it kernels run several times faster; accesses outside of every array still raise, as they cannot be carried out.
    """
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


@contextmanager
def sanitize():
    """Turn the sanitizer on, and collect findings in a list instead of raising: `with sanitize() as findings: kernel(...)`."""
    findings: list[Finding] = []
    tokens = _COLLECTED.set(findings), _ON.set(True)
    try:
        yield findings
    finally:
        _COLLECTED.reset(tokens[0])
        _ON.reset(tokens[1])


def checking() -> bool:
    """Say whether the sanitizer is on for a launch made here."""
    return _ON.get()


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
    ) -> None:
        """Note a fault of `count` threads, of which the first is that of lane `lane`; site: the instruction."""
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
        )

    def deliver(self) -> None:
        """Hand the findings to the `sanitize()` around the launch, or raise SanitizerError if there is none."""
        findings = list(self.findings.values())
        collected = _COLLECTED.get()
        if collected is not None:
            collected += findings
        elif findings:
            raise SanitizerError(findings)
