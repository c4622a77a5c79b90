"""The machine code of a kernel: registers, spills, shared memory, and, by cuxray, occupancy and the inner loop's schedule.

PTX becomes machine code through nvJitLink, which comes with the [emulator] extra and needs no driver; its log tells registers and
spills. What lies in the code itself is read by cuxray with NVIDIA's disassembler, both of the [inspect] extra; without them
`Compiled.code` is None and `Compiled.missing` says what to install.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinygan_kernels.child_process import installed_programs_alone, python_command
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.host import nvjitlink
from tinygan_kernels.extras import install

from .architectures import ARCHITECTURES, WARP, KernelResources, capability_of, resident_blocks

RESERVED_FROM = 90  # from sm_90 on, the linker counts 1 KiB of shared memory that the system keeps for itself
RESERVED = 1024


class InspectionError(RuntimeError):
    """The kernel could not be compiled for that architecture. The message is one line."""


@dataclass(frozen=True)
class MachineLoop:
    """A loop of the machine code, counted for one iteration. lines: the first and the last source line, if the code says so.

    cycles: what the compiler's own schedule takes to issue the instructions, without waiting for memory (cuxray's estimate).
    """

    depth: int
    lines: tuple[int, int] | None
    instructions: int
    multiply_adds: int
    cycles: int

    @property
    def multiply_adds_per_cycle(self) -> float:
        return self.multiply_adds / self.cycles if self.cycles else 0.0


@dataclass(frozen=True)
class MachineCode:
    """A kernel's machine code, by cuxray. occupancy: the share of a multiprocessor's warps that can be resident, at most."""

    occupancy: float
    blocks_per_multiprocessor: int
    limiter: str
    bank_conflicts: int  # the worst number of ways among the shared accesses that could be analysed; 1 is none
    uncoalesced: int
    analysed: int  # accesses whose addresses cuxray could follow
    not_analysed: int
    loops: tuple[MachineLoop, ...]

    def inner_loop(self) -> MachineLoop | None:
        """Return the loop with the most multiply-adds per cycle, in which a product spends its time; None if no loop has any."""
        busy = [loop for loop in self.loops if loop.multiply_adds]
        return max(busy, key=lambda loop: loop.multiply_adds_per_cycle, default=None)


@dataclass(frozen=True)
class Compiled:
    """A kernel compiled for an architecture. Registers are per thread; spills, stack and shared memory in bytes.

    code: None where the machine code could not be read, and `missing` says what to install.
    """

    kernel: str
    arch: str
    threads: int
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int
    code: MachineCode | None
    missing: str


def link(ptx: str, arch: str) -> tuple[bytes, str]:
    """Compile PTX for `arch` (such as "sm_90"). Returns the cubin and the linker's log. Raises InspectionError."""
    try:
        return nvjitlink.link(ptx, arch)
    except nvjitlink.LinkError as error:
        raise InspectionError(str(error)) from None


def inspect(launch: RecordedLaunch, arch: str) -> Compiled:
    """Compile the kernel of a launch for `arch` and read what became of it. Raises InspectionError."""
    cubin, numbers, entry = _compiled(launch, arch)
    missing = why_no_code()
    code = None if missing else _with_dynamic_shared(_code(cubin, entry, launch.threads), launch, arch, numbers)
    return Compiled(launch.kernel, arch, launch.threads, **numbers, code=code, missing=missing)


def _with_dynamic_shared(code: MachineCode, launch: RecordedLaunch, arch: str, numbers: dict[str, int]) -> MachineCode:
    """Return machine code with the occupancy that a launch's dynamic shared memory leaves, of which cuxray does not know."""
    if not launch.dynamic_shared:
        return code
    capability = capability_of(arch)
    kernel = KernelResources(numbers["registers"], numbers["shared"], numbers["spill_stores"], numbers["spill_loads"])
    blocks = resident_blocks(capability, launch.threads, kernel)
    if blocks >= code.blocks_per_multiprocessor:
        return code
    occupancy = blocks * -(-launch.threads // WARP) * WARP / ARCHITECTURES[capability].threads
    return replace(code, occupancy=occupancy, blocks_per_multiprocessor=blocks, limiter="shared memory")


def resources(launch: RecordedLaunch, arch: str) -> dict[str, int]:
    """Return registers, spill_stores, spill_loads, stack and shared of a kernel, as in Compiled. Raises InspectionError."""
    return _compiled(launch, arch)[1]


def _compiled(launch: RecordedLaunch, arch: str) -> tuple[bytes, dict[str, int], str]:
    """Compile a launch's kernel. Returns the cubin, its resources as `resources` gives them, and the name of its entry."""
    ptx, entry = launch.ptx(arch)
    cubin, log = link(ptx, arch)
    numbers = _resources(log, entry)
    if int(arch.removeprefix("sm_").rstrip("af")) >= RESERVED_FROM:
        numbers["shared"] = max(0, numbers["shared"] - RESERVED)
    numbers["shared"] += launch.dynamic_shared
    return cubin, numbers, entry


def _resources(log: str, entry: str) -> dict[str, int]:
    """Read an entry's numbers out of the linker's log. Raises InspectionError where it has none."""
    found = nvjitlink.resources_in(log)
    if entry not in found:
        raise InspectionError(f"the linker's log says nothing of {entry}")
    return found[entry]


# ---- cuxray -------------------------------------------------------------------------------------------------------------------


@functools.cache
def why_no_code() -> str:
    """Return what is missing for a look into the machine code, and what to do, in one line; "" if nothing is."""
    if importlib.util.find_spec("cuxray") is None:
        return f"cuxray is not installed; run: {install('inspect')}"
    absent = [tool for tool in ("nvdisasm", "cuobjdump") if _tool(tool) is None]
    return f"{' and '.join(absent)} not found; run: {install('inspect')}" if absent else ""


def _tool(name: str) -> Path | None:
    """Find one of NVIDIA's binary tools where pip put it; their wheels do not put it on PATH."""
    try:
        files = importlib.metadata.files(f"nvidia-cuda-{name}") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name in (name, f"{name}.exe")), None)


def _cuxray(command: str, cubin: Path, *options: str) -> dict[str, Any]:
    """Run a cuxray command and return its JSON.

    cuxray looks for its tools on PATH, or downloads them, so PATH begins with them. Nothing of the working directory is on it.
    """
    folders = [str(tool.parent) for tool in map(_tool, ("nvdisasm", "cuobjdump")) if tool is not None]
    environment = os.environ | installed_programs_alone(dict.fromkeys(folders))
    run = "import runpy; runpy.run_module('cuxray', run_name='__main__', alter_sys=True)"
    try:
        arguments = python_command(run, [command, "--json", *options, str(cubin)])
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InspectionError(f"cuxray {command} cannot be started: {error}") from error
    if done.returncode:
        raise InspectionError(f"cuxray {command} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def _code(cubin: bytes, entry: str, threads: int) -> MachineCode:
    """Read a kernel's machine code by cuxray's commands `report` and `sched`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        report = _cuxray("report", path, "--no-cache", "--threads", str(threads))
        schedule = _cuxray("sched", path)
    kernel = next(k for k in report["units"][0]["kernels"] if k["name"] == entry)
    loops = [row for result in schedule["results"] if result["kernel"] == entry for row in result["loops"]]
    access, occupancy = kernel["access"], kernel["occupancy"]
    return MachineCode(
        occupancy=occupancy["occupancy_pct"] / 100,
        blocks_per_multiprocessor=occupancy["blocks_per_sm"],
        limiter=occupancy["limiter"],
        bank_conflicts=access["worst_bank_conflict_ways"] or 1,
        uncoalesced=access["uncoalesced_global_accesses"],
        analysed=access["analyzed_count"],
        not_analysed=access["unanalyzed_count"],
        loops=tuple(map(_loop, loops)),
    )


def _loop(row: dict[str, Any]) -> MachineLoop:
    """Return a row of cuxray's schedule as a MachineLoop."""
    multiply_adds = sum(op["count"] for op in row["top_stall_opcodes"] if op["opcode"] in ("FFMA", "DFMA"))
    lines = tuple(row["line_span"]) if row["line_span"] else None
    return MachineLoop(row["loop_depth"], lines, row["instructions"], multiply_adds, row["est_issue_stall_cycles_per_iter"])
