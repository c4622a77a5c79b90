"""A translated kernel as text: each line of the generated Python beside the PTX instruction that it was written for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygan_kernels.emulator.syntax.ptx import Instruction

from .kernel import TranslatedBlock, TranslatedKernel

WIDEST = 72
"""Columns of Python after which the PTX beside it no longer keeps to its column."""

_HEAD = """\
# {title}: {instructions} PTX instructions in {blocks} basic blocks; a Python function for each, run by a set of lanes `m`.
# r7_f4: a register (a vector with one value a lane), seen as float32.   p_u4, q0_u4: parameters of the kernel, of a call.
# s_tid_x: a special register, %tid.x.   k3: a constant, as below.   site5: a memory access, as reports name it.
# np_*: NumPy's function.   integers_*, floats_* ...: functions of emulator/semantics.   ptx_*: one made for the instruction.
# A block returns (guard of its last instruction, what the scheduler needs to carry that out)."""


def listing(kernel: TranslatedKernel, source_lines: Callable[[int], list[str]]) -> str:
    """Return the Python source of a kernel, which stays valid Python, with its PTX and CUDA source in comments.

    source_lines: the text of the source file with a number (its place in `kernel.module.files`), [] if it is not known.
    """
    instructions = sum(len(block.instructions) for block in kernel.basic_blocks)
    parts = [_HEAD.format(title=kernel.title, instructions=instructions, blocks=len(kernel.basic_blocks))]
    parts += _constants(kernel)
    ptx, blocks = kernel.module.text.split("\n"), iter(kernel.basic_blocks)
    column = 2 + max((len(line.text) for line in kernel.lines if len(line.text) <= WIDEST), default=0)
    last = location = None
    for line in kernel.lines:
        ins = line.instruction
        if line.text.startswith("def block_"):
            parts += ["", f"{line.text:<{column}}# {way_on(next(blocks))}"]
        elif ins is None or ins is last:
            parts.append(line.text)
        else:
            if ins.source != location and ins.source[1]:
                location = ins.source
                parts.append(f"    # {kernel.files.describe(location)}{_source_text(source_lines(location[0]), location[1])}")
            parts.append(f"{line.text + '  ':<{column}}# {ins.ptx_line}: {_statement(ptx, ins)}")
        last = ins
    return "\n".join(parts) + "\n"


def _constants(kernel: TranslatedKernel) -> list[str]:
    """Return the constants as assignments, several to a line."""
    shown = [f"{name} = np.{value.dtype}({value})" for name, value in kernel.constants.items() if isinstance(value, np.generic)]
    shown += [f"{name} = np.dtype('{value}')" for name, value in kernel.constants.items() if isinstance(value, np.dtype)]
    return ["# " + "   ".join(shown[i : i + 6]) for i in range(0, len(shown), 6)]


def way_on(block: TranslatedBlock) -> str:
    """Describe in words where lanes go after a block."""
    after = f"block {block.after}" if block.after >= 0 else "nothing"
    guarded = bool(block.instructions) and block.instructions[-1].guard is not None
    where = f" where the guard holds, else {after}" if guarded else ""
    ends = {
        "fall": after,
        "branch": f"block {block.targets[0] if block.targets else -1}{where}",
        "switch": f"one of blocks {', '.join(map(str, block.targets))}{where}",
        "barrier": f"a barrier, then {after}",
        "call": f"the function that begins at block {block.callee}, then {after}",
        "return": f"return{where}",
        "exit": f"exit{where}",
        "trap": f"trap{where}",
    }
    return f"then {ends[block.end]}"


def _source_text(lines: list[str], number: int) -> str:
    return f": {lines[number - 1].strip()}" if 0 < number <= len(lines) else ""


def _statement(ptx: list[str], ins: Instruction) -> str:
    """Return the PTX statement of an instruction on one line; it begins at ptx_line and may go on below."""
    at = ins.ptx_line - 1
    text = ptx[at]
    while ";" not in text and at + 1 < len(ptx):
        at += 1
        text += " " + ptx[at]
    statements = [" ".join(part.split()) for part in text.split(";")]
    return next((s for s in statements if ins.name in s), statements[0]) + ";"
