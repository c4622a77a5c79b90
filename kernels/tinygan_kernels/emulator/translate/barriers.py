"""Lowering of mbarrier: barriers in shared memory, which threads arrive at and test. (PTX ISA, 9.7.13.15)"""

from __future__ import annotations

from tinygan_kernels.emulator.semantics import mbarriers
from tinygan_kernels.emulator.syntax.ptx import Address, Instruction

from .emitter import Emitter
from .memory import space_of


def mbarrier(e: Emitter, ins: Instruction) -> None:
    form = ins.modifiers[0]
    if form == "pending_count":
        e.write(ins.operands[0], "u32", e.call(mbarriers.pending_count, e.read(ins.operands[1], "b64")))
        return
    at = next(i for i, operand in enumerate(ins.operands) if isinstance(operand, Address))
    target, rest = ins.operands[0] if at else None, ins.operands[at + 1 :]
    place = f"{e.bind(e.site_of(ins, space_of(e, ins), 'u8', 8))}, {e.address(ins.operands[at])}"
    ordered = "relaxed" not in ins.modifiers
    if form in ("init", "inval"):
        e.line(f"mbarriers.init({place}, {e.read(rest[0], 'u32') if rest else '0'}, {e.lanes})")
    elif form in ("arrive", "arrive_drop"):
        expects = "expect_tx" in ins.modifiers
        count = "1" if expects or not rest else e.read(rest[0], "u32")
        more = e.read(rest[0], "u32") if expects else "0"
        result = "None" if target is None else e.target(target, "b64")
        e.line(f"mbarriers.arrive({place}, {count}, {result}, {e.lanes}, {more}, {form == 'arrive_drop'}, {ordered})")
    elif form in ("expect_tx", "complete_tx"):
        e.line(f"mbarriers.transact({place}, {e.read(rest[0], 'u32')}, {1 if form == 'expect_tx' else -1}, {e.lanes})")
    elif form in ("test_wait", "try_wait"):
        parity = "parity" in ins.modifiers
        asked = e.read(rest[0], "u32" if parity else "b64")
        result = "None" if target is None else e.target(target, "pred")
        e.line(f"mbarriers.wait({place}, {asked}, {parity}, {result}, {e.lanes}, {ordered})")
    else:
        raise e.unsupported("there is no such operation")
