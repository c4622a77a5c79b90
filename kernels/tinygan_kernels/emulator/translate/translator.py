"""Translate a kernel of a module into a TranslatedKernel: a Python function for every basic block.

Each function takes the set of lanes that run the block, and holds one or two NumPy statements per instruction. Registers are
vectors over all lanes, changed in place: `add(r1_i4, r2_i4, out=r3_i4, where=w)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.syntax import cfg
from tinygan_kernels.emulator.syntax.ptx import Address, Instruction, Module

from . import opcodes, operands, terminators, textures, warpgroups
from .emitter import RESERVED_BYTES, RESERVED_SHARED, Emitter
from .kernel import PythonLine, SourceFiles, TranslatedBlock, TranslatedKernel
from .layout import Layout
from .names import Names


def translate(module: Module, name: str, addresses: dict[str, int], title: str = "") -> TranslatedKernel:
    """Translate the kernel `name` of a module.

    addresses: where the module's global and constant variables lie; title: what reports call the kernel (its name, if not
    given). Raises EmulatorError for a kernel that the module does not have, UnsupportedInstruction (an EmulatorError) for
    an instruction that the emulator does not execute.
    """
    if name not in module.functions or not module.functions[name].is_entry:
        known = ", ".join(n for n, f in module.functions.items() if f.is_entry) or "none"
        raise EmulatorError(f"no kernel named {name!r} in the module; its kernels: {known}")
    entry, title = module.functions[name], title or name
    files = SourceFiles(module, entry)
    layout, names = Layout(module, entry, title, addresses), Names(title, files)
    blocks, lines = _all_blocks(layout, names)
    return TranslatedKernel(
        name=name,
        title=title,
        entry=entry,
        module=module,
        files=files,
        basic_blocks=blocks,
        lines=lines,
        bytecode=compile("\n".join(line.text for line in lines), f"<PTX of {name}>", "exec"),
        sites=names.sites,
        constants=names.constants,
        registers=names.register_tables(),
        register_names=names.register_names(entry),
        specials=names.specials,
        lane_params=names.lane_params,
        params=layout.params,
        param_buffer=layout.param_buffer,
        offsets=layout.offsets,
        static_shared=layout.static_shared,
        reserved_shared=RESERVED_BYTES if RESERVED_SHARED in names.specials else 0,
        local_bytes=layout.local_bytes,
        stack_start=layout.stack_start,
        frames=names.frames,
        held=len(names.held),
        states={name: names.state_of(name) for name in layout.cycles},
    )


def _all_blocks(layout: Layout, names: Names) -> tuple[list[TranslatedBlock], list[PythonLine]]:
    """Translate the blocks of the kernel, then those of each function it calls, numbered through."""
    graphs = {f.name: cfg.blocks_of(f, opcodes.collectives()) for f in layout.functions}
    first, at = {}, 0
    for name, graph in graphs.items():
        first[name], at = at, at + len(graph)
    blocks, lines = [], []
    for function in layout.functions:
        read, held = opcodes.registers_read(function), warpgroups.held_by_products(function)
        for i, block in enumerate(graphs[function.name]):
            emitter = Emitter(names, layout, function, read, held)
            blocks.append(_one_block(emitter, block, first, i))
            lines += emitter.lines + emitter.extra
    return blocks, lines


def _one_block(e: Emitter, block: cfg.BasicBlock, first: dict[str, int], i: int) -> TranslatedBlock:
    """Translate a basic block, number `i` of its function. first: the number of each function's first block."""
    base = first[e.function.name]
    targets = tuple(_renumbered(t, base) for t in block.targets)
    made = TranslatedBlock(base + i, block.end, _renumbered(block.after, base), targets)
    made.instructions, made.function = list(block.instructions), e.function.name
    e.open_block(made.number)
    for instruction in block.instructions:
        _one_instruction(e, instruction)
    if block.meets:
        terminators.members(e, made, block.meets, opcodes.OPCODES[block.meets.opcode])
    if block.terminator is None:
        terminators.finish(e, made, block, first)
        return made
    with _operands_fit(block.terminator):
        terminators.finish(e, made, block, first)
    made.instructions.append(block.terminator)
    return made


def _one_instruction(e: Emitter, ins: Instruction) -> None:
    """Translate an instruction inside a block, by the row of its opcode."""
    e.begin(ins)
    row = opcodes.OPCODES.get(ins.opcode)
    if row is None or row.lower is None:
        raise e.unsupported(opcodes.unknown(ins.opcode))
    opcodes.check_modifiers(e, ins)
    several = row.several or row.lower.__module__ == textures.__name__
    if not several and any(isinstance(o, Address) and o.more for o in ins.operands):
        raise e.unsupported("an address of several parts, as textures, surfaces and tensor maps have, is not supported")
    with _operands_fit(ins), e.under_guard(ins):
        row.lower(e, ins)
        warpgroups.note(e, ins)
        operands.check(ins)
    opcodes.check_destination(e, ins, row)


@contextmanager
def _operands_fit(ins: Instruction) -> Iterator[None]:
    """Raise EmulatorError, naming the line, for an instruction whose operands its opcode cannot have: too few, of another kind."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration) as error:
        operands.check_count(ins)
        what = "cannot have the operands or modifiers that it has"
        raise EmulatorError(f"not PTX: {ins.opcode} {what} at PTX line {ins.ptx_line}") from error


def _renumbered(block: int, base: int) -> int:
    """Turn a block's number in its function into its number in the kernel; -1 (none) stays -1."""
    return base + block if block >= 0 else -1
