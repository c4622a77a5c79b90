"""Basic blocks, and the order in which diverged lanes run them.

Lanes that took different sides of a branch wait for one another by one rule: of all groups of lanes, the one whose
block comes first in the list runs next, and groups that meet at a block merge. So the order of the list decides where
lanes reconverge: every block between a branch and its immediate post-dominator must come before that post-dominator, and
the whole of a loop before what follows the loop. A reverse post-order that leaves loops as late as possible has both
properties.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tinygan_kernels.emulator.errors import EmulatorError

from .ptx import Function, Instruction, Label


@dataclass
class BasicBlock:
    """Instructions that run one after the other. `end` says how lanes leave the block, in a kernel or device function.

    end         action of the lanes for which the guard holds            other lanes
    fall        -                                                        `after`
    branch      go to `targets[0]`                                       `after`
    switch      go to `targets[register]`                                `after`
    barrier     wait for the block's other threads, then `after`         `after`
    cluster_arrive, cluster_wait   arrive at, or wait for, the barrier of the cluster, then `after`
    call        run the callee, then `after`                             `after`
    return      return to the caller (a kernel: exit)                    `after`
    exit        exit                                                     `after`
    """

    label: str
    instructions: list[Instruction] = field(default_factory=list)
    end: str = "fall"
    terminator: Instruction | None = None
    targets: tuple[int, ...] = ()
    after: int = -1  # index into the list of blocks, -1: none
    meets: Instruction | None = None  # the collective this block begins with

    def successors(self) -> list[int]:
        """Return the blocks that lanes can go on to, inside the function."""
        stops = self.end in ("return", "exit") or (self.end in ("branch", "switch"))
        guarded = self.terminator is not None and self.terminator.guard is not None
        falls = [self.after] if self.after >= 0 and (guarded or not stops) else []
        return list(self.targets) + falls


def blocks_of(function: Function, collectives: Collection[str] = ()) -> list[BasicBlock]:
    """Return the basic blocks of a function in the order described above; unreachable ones are left out.

    collectives: opcodes in which lanes of a warp meet. A block begins at each, so that lanes can wait for one another there.
    """
    blocks = _split(function, collectives)
    order = _order(blocks)
    place = {old: new for new, old in enumerate(order)}
    for block in blocks:
        block.targets = tuple(place.get(t, -1) for t in block.targets)
        block.after = place.get(block.after, -1)
    return [blocks[i] for i in order]


def _end_of(instruction: Instruction) -> str | None:
    """Return how the instruction ends a basic block (BasicBlock.end), None if it does not end one."""
    opcode, modifiers = instruction.opcode, instruction.modifiers
    if opcode in ("bra", "brx"):
        return "branch" if opcode == "bra" else "switch"
    if opcode in ("bar", "barrier"):
        if "cluster" in modifiers:
            return "cluster_arrive" if "arrive" in modifiers else "cluster_wait"
        return None if "warp" in modifiers else "barrier"
    return {"ret": "return", "exit": "exit", "call": "call", "trap": "exit"}.get(opcode)


def _split(function: Function, collectives: Collection[str]) -> list[BasicBlock]:
    """Cut a function's body into basic blocks, in the order of the text."""
    blocks, labels = [BasicBlock("entry")], {}
    for item in function.body:
        current = blocks[-1]
        if isinstance(item, Label):
            if current.instructions or current.terminator:
                blocks.append(BasicBlock(item.name))
            labels[item.name] = len(blocks) - 1
            continue
        end = _end_of(item)
        meets = end is None and item.opcode in collectives
        if current.terminator or (meets and current.instructions):
            current = BasicBlock("")
            blocks.append(current)
        if end:
            current.end, current.terminator = end, item
            continue
        if meets:
            current.meets = item
        current.instructions.append(item)
    blocks.append(BasicBlock("", end="exit"))  # running off the end of a function ends the thread
    _link(function, blocks, labels)
    return blocks


def _link(function: Function, blocks: list[BasicBlock], labels: dict[str, int]) -> None:
    """Set `after` and `targets` of the blocks, as indices into the list. labels: the block that each label begins."""
    for i, block in enumerate(blocks[:-1]):
        block.after = i + 1
        names = ()
        if block.end == "branch":
            names = (_label_of(block.terminator, 0),)
        elif block.end == "switch":
            names = function.targets.get(_label_of(block.terminator, 1), ())
        missing = [n for n in names if n not in labels]
        if missing:
            raise EmulatorError(f"branch to unknown label {missing[0]} at PTX line {block.terminator.ptx_line}")
        block.targets = tuple(labels[n] for n in names)


def _label_of(terminator: Instruction, at: int) -> str:
    """Return the name of the label that a branch has as an operand. Raises EmulatorError where it has none there."""
    name = getattr(terminator.operands[at], "name", None) if at < len(terminator.operands) else None
    if name is None:
        raise EmulatorError(f"not PTX: {terminator.name} without a label at PTX line {terminator.ptx_line}")
    return str(name)


def _order(blocks: list[BasicBlock]) -> list[int]:
    """Return a reverse post-order in which, of two successors, the one inside more of the node's loops comes first."""
    successors = [b.successors() for b in blocks]
    loops = _loops(successors)

    def shared_loops(a: int, b: int) -> int:
        return sum(a in body and b in body for body in loops)

    seen, post, stack = {0}, [], [(0, None)]
    while stack:
        node, pending = stack.pop()
        if pending is None:  # who is visited last comes first in the order: visit successors outside of loops before the others
            pending = sorted(successors[node], key=lambda s: -shared_loops(node, s))
        while pending and pending[-1] in seen:
            pending.pop()
        if pending:
            child = pending.pop()
            seen.add(child)
            stack += [(node, pending), (child, None)]
        else:
            post.append(node)
    return post[::-1]


def _loops(successors: list[list[int]]) -> list[set[int]]:
    """Return the natural loops: for each back edge tail -> head, the blocks that reach tail without passing head."""
    dominators = _dominators(successors)
    before = _predecessors(successors)
    bodies: dict[int, set[int]] = {}
    for tail, heads in enumerate(successors):
        for head in heads:
            if dominators[tail] is None or head not in dominators[tail]:
                continue
            body, work = bodies.setdefault(head, {head}), [tail]
            while work:
                node = work.pop()
                if node not in body:
                    body.add(node)
                    work += before[node]
    return list(bodies.values())


def _predecessors(successors: list[list[int]]) -> list[list[int]]:
    """Return, for each block, the blocks that lead to it."""
    before: list[list[int]] = [[] for _ in successors]
    for node, following in enumerate(successors):
        for s in following:
            before[s].append(node)
    return before


def _dominators(successors: list[list[int]]) -> list[set[int] | None]:
    """Return, for each block b, the blocks that every path from the entry to b passes (b included); None if there is none."""
    before = _predecessors(successors)
    found: list[set[int] | None] = [None] * len(successors)
    found[0] = {0}
    changed = True
    while changed:
        changed = False
        for node in range(1, len(successors)):
            known = [found[p] for p in before[node] if found[p] is not None]
            if known:
                new = set.intersection(*known) | {node}
                if new != found[node]:
                    found[node], changed = new, True
    return found
