"""Source lines in what Numba compiles: findings name them, and whoever did not ask Numba for them does not see them.

Every kernel that has source is compiled with `lineinfo=True`, and says of itself what its program asked for (`kernel.lineinfo`);
without that, its LLVM IR and its PTX are shown as Numba makes them without lines, and link-time optimisation is given IR without
lines, which it refuses next to the CUDA C++ that Numba links.
"""

from __future__ import annotations

import linecache
import re
from types import ModuleType
from typing import Any

_LINE_OF_PTX = re.compile(r"^[ \t]*\.(?:loc|file)\b.*\n?", re.MULTILINE)
_ATTACHED = re.compile(r",? !dbg !\d+")
_NODE = re.compile(r"^!(\d+) = (.*)$")
_LIST = re.compile(r"^(!llvm\.[\w.]+ = )!\{(.*)\}$")
_OF_LINES = re.compile(r'(?:distinct )?!DI|!\{.*!"(?:Debug Info|Dwarf) Version"')


def with_lines(dispatcher: ModuleType) -> list[tuple[Any, str, Any]]:
    """Return what is replaced of kernels in `numba.cuda.dispatcher`: (owner, name, replacement).

    What a version of Numba does not have is left out.
    """
    kernels = dispatcher._Kernel
    names = "__init__", "inspect_llvm", "inspect_asm", "inspect_lto_ptx"
    real: dict[str, Any] = {name: getattr(kernels, name, None) for name in names}

    def init(kernel: Any, function: Any, *args: Any, **options: Any) -> None:
        """Ask for source lines, where there is source to be had."""
        if options.get("debug") or not linecache.getlines(function.__code__.co_filename):
            real["__init__"](kernel, function, *args, **options)
            return
        try:
            real["__init__"](kernel, function, *args, **{**options, "lineinfo": True})
            kernel.lineinfo = bool(options.get("lineinfo"))
        except ArithmeticError:  # Numba divides by 0 where it describes the line of an empty tuple
            real["__init__"](kernel, function, *args, **options)

    def inspect_llvm(kernel: Any) -> str:
        modules: list[str] = kernel.library.llvm_strs
        return "\n\n".join(modules if _asked(kernel) else map(ir_without_lines, modules))

    def inspect_asm(kernel: Any, cc: Any) -> str:
        text: str = real["inspect_asm"](kernel, cc)
        return text if _asked(kernel) else ptx_without_lines(text)

    def inspect_lto_ptx(kernel: Any, cc: Any) -> str:
        library = kernel.library
        with_them = library.llvm_strs
        library._llvm_strs = with_them if _asked(kernel) else list(map(ir_without_lines, with_them))
        try:
            text: str = real["inspect_lto_ptx"](kernel, cc)
            return text
        finally:
            library._llvm_strs = with_them

    replaced = {"__init__": init, "inspect_llvm": inspect_llvm, "inspect_asm": inspect_asm, "inspect_lto_ptx": inspect_lto_ptx}
    return [(kernels, name, function) for name, function in replaced.items() if real[name] is not None]


def _asked(kernel: Any) -> bool:
    """Return whether a kernel's program wants source lines in it."""
    return bool(kernel.debug or kernel.lineinfo)


def ptx_without_lines(text: str) -> str:
    """Return PTX without its directives of source lines and files."""
    return _LINE_OF_PTX.sub("", text)


def ir_without_lines(text: str) -> str:
    """Return a module of LLVM IR without its debug information: the nodes, what refers to them, and the flags of their version.

    The text is valid IR again: a node that lists one of those that go, goes as well, and a named list loses it.
    """
    lines = _ATTACHED.sub("", text).split("\n")
    nodes = {match[1]: match[2] for match in map(_NODE.match, lines) if match}
    gone = {number for number, node in nodes.items() if _OF_LINES.match(node)}
    while True:
        more = {number for number, node in nodes.items() if number not in gone and gone & set(re.findall(r"!(\d+)", node))}
        if not more:
            break
        gone |= more
    kept = (_listed(line, gone) for line in lines if not ((node := _NODE.match(line)) and node[1] in gone))
    return "\n".join(line for line in kept if line is not None)


def _listed(line: str, gone: set[str]) -> str | None:
    """Return a line of IR with nodes left out of the list that it may be; None for a list of which nothing is left."""
    match = _LIST.match(line)
    if match is None:
        return line
    left = [node for node in re.findall(r"!\d+", match[2]) if node[1:] not in gone]
    return f"{match[1]}!{{ {', '.join(left)} }}" if left else None
