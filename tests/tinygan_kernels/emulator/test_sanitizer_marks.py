"""Marks of unwritten bytes, as copies carry them along, against a model with a flag for each byte, in registers too."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="the emulator is not installed; run: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.execute.lanes import Lanes
from tinygan_kernels.emulator.execute.memory import UNWRITTEN, Memory
from tinygan_kernels.emulator.sanitizer.initialisation import ChecksInitialisation, Copies
from tinygan_kernels.emulator.translate.kernel import Site

WIDTH, BYTES = 64, 256
BASES = {"shared": 0, "local": 0, "global": 1 << 20, "array": 1 << 30}  # the marks of an array are not kept
LOADS = {"a": ("u4", 1), "bc": ("u4", 2), "d": ("u1", 1), "ef": ("f4", 2), "g": ("u8", 1), "p": ("u4", 1), "hijk": ("u4", 4),
         "l": ("u2", 1), "mn": ("u1", 2)}  # fmt: skip
NARROW = ("a", "u2")  # a register that is stored in half too, by an instruction of its own
BESIDE = ("az", "f4")  # and stored beside one that no load has given
PLAIN, DROPPED, HALF, MIXED = range(90, 94)  # lines of PTX: of what copies nothing, of a load whose values may be dropped, ...


def names(registers: str) -> tuple:
    return tuple(("k", name) for name in registers)


def address_of(position: int, lane: int) -> int:
    """Return an address from which it can be told whose it is."""
    return int(position) + 1000 * int(lane)


class Marks(ChecksInitialisation):
    """The checks under test, and the model. Loads have lines from 1 on, the stores of their registers lines from 51 on."""

    def __init__(self, seed: int):
        self.random, self.said = np.random.default_rng(seed), []
        loads = {i: names(each) for i, each in enumerate(LOADS, 1)}
        stores = {50 + i: held for i, held in loads.items()} | {HALF: names(NARROW[0]), MIXED: names(BESIDE[0])}
        self.copies = Copies(loads, stores, bool(seed % 2), frozenset(names("p")), frozenset([DROPPED]))
        self.memories = {name: Memory(np.zeros(BYTES, np.uint8), base) for name, base in BASES.items()}
        for name, memory in self.memories.items():
            some = self.random.random(BYTES) < 0.6
            memory.unwritten = None if name == "array" else np.where(some, np.uint8(UNWRITTEN), np.uint8(0))
        self.flags = {name: m.unwritten != 0 for name, m in self.memories.items() if m.unwritten is not None}
        self.shared, self.local = self.memories["shared"], self.memories["local"]
        self.frames, self.machine = SimpleNamespace(ends=False), SimpleNamespace(shape=SimpleNamespace(width=WIDTH))
        self.marks, self.unwritten_registers = {}, {}
        self.report = SimpleNamespace(add=lambda *said: self.said.append(said))
        self.held: dict[tuple[str, int], tuple] = {}  # (register, lane) -> its bytes' flags, the line and the address of the load

    def own_address(self, memory, position, lane):
        return address_of(position, lane)

    # -- the model ----------------------------------------------------------------------------------------------
    def whole(self, site: Site, elements: list[tuple]) -> list[bool]:
        """Return which elements of a copy have no written byte at all; short vectors of integers are one element."""
        each = [all(flags) for flags in elements]
        if site.code == "u1" and not self.copies.bytes:
            return [False] * len(each)
        return [all(each)] * len(each) if site.code[0] == "u" and site.bytes <= 8 else each

    def load(self) -> None:
        kind = int(self.random.integers(-1, len(LOADS) + 1))
        code, count = list(LOADS.values())[kind - 1] if kind > 0 else (("u4", 1), ("f4", 4))[self.random.integers(2)]
        line = {0: PLAIN, -1: DROPPED}.get(kind, kind)
        site, space, lanes, positions = self.drawn(code, count, line, ["local", "shared", "global"])
        self.initialised(site, self.memories[space], positions, lanes)
        found, registers = [], "" if kind < 1 else list(LOADS)[kind - 1]
        for lane, position in zip(lanes.index.tolist(), positions.tolist(), strict=True):
            elements, at = self.elements(site, space, position), position - BASES[space]
            whole = [any(map(any, elements))]
            if registers:
                whole = [False] * count if space == "local" else self.whole(site, elements)
                if registers == "p":
                    whole = [whole[0] and bool(self.flags[space][at // 8 * 8 :][:8].all())]
                for name, flags, gone in zip(registers, elements, whole, strict=True):
                    kept = (False,) * len(flags) if gone else flags
                    self.held[name, lane] = (kept, site.ptx_line, address_of(position, lane))
            if any(whole) and not (space == "shared" and kind == -1):
                found.append((lane, position))
        self.compare([(space, site.ptx_line, *found[0], len(found))] if found else [])

    def store(self) -> None:
        kind = int(self.random.integers(-2, len(LOADS) + 1))
        code, count = {0: ("u4", 2), -1: (NARROW[1], 1), -2: (BESIDE[1], 2)}.get(kind) or list(LOADS.values())[kind - 1]
        line = {0: PLAIN, -1: HALF, -2: MIXED}.get(kind, 50 + kind)
        site, space, lanes, positions = self.drawn(code, count, line, list(BASES), distinct=True)
        self.written(site, self.memories[space], positions, lanes)
        registers = {0: "", -1: NARROW[0], -2: BESIDE[0]}.get(kind, list(LOADS)[kind - 1])
        found: dict[str, list] = {}
        for lane, position in zip(lanes.index.tolist(), positions.tolist(), strict=True):
            held = [self.held.get((name, lane), ((False,) * site.size, 0, 0)) for name in registers]
            elements = [flags for flags, _, _ in held] or [(False,) * site.size] * count
            if space in self.flags:
                flags = sum(elements, ()) if kind != -1 else (False,) * site.size  # a part of a register is not followed
                self.flags[space][position - BASES[space] :][: site.bytes] = flags
            if registers and (space == "array" or kind == -1):
                for name, gone, (_, line, address) in zip(registers, self.whole(site, elements), held, strict=True):
                    if gone and name != "p":
                        found.setdefault(name, []).append((line, lane, address))
        self.compare([("local", each[0][0], each[0][1], None, len(each), each[0][2]) for each in found.values()])

    def drawn(self, code: str, count: int, line: int, spaces: list[str], distinct: bool = False):
        """Return an instruction, a memory, some lanes, and the place of each; no lane is at the place of another if `distinct`."""
        site = Site("", line, "", (1, 0), "", code, int(code[1]), count)
        mask = self.random.random(WIDTH) < 0.1
        mask[self.random.integers(WIDTH)] = True
        lanes, places = Lanes(mask), BYTES // site.bytes
        space = spaces[self.random.integers(len(spaces))]
        chosen = self.random.permutation(places)[: lanes.count] if distinct else self.random.integers(places, size=lanes.count)
        if chosen.size < lanes.count:
            lanes = Lanes(np.isin(np.arange(WIDTH), lanes.index[: chosen.size]))
        return site, space, lanes, BASES[space] + chosen * site.bytes

    def elements(self, site: Site, space: str, position: int) -> list[tuple]:
        """Return the flags of the bytes of each element."""
        flags = self.flags[space][position - BASES[space] :][: site.bytes].tolist()
        return [tuple(flags[i : i + site.size]) for i in range(0, site.bytes, site.size)]

    def compare(self, expected: list[tuple]) -> None:
        """expected: space, line, lane, position, count, and the address where that is not the position's."""
        said, self.said = self.said, []
        message = "read of uninitialised {} memory"
        assert [(tool, text, site.ptx_line, *rest) for tool, text, site, _, *rest in said] == [
            ("initcheck", message.format(space), line, lane, *(more or [address_of(position, lane)]), space, count)
            for space, line, lane, position, count, *more in expected]  # fmt: skip
        for name, flags in self.flags.items():
            assert ((self.memories[name].unwritten != 0) == flags).all(), name


@pytest.mark.parametrize("seed", range(20))
def test_marks_are_those_of_the_model(seed):
    both = Marks(seed)
    for _ in range(150):
        (both.load if both.random.random() < 0.5 else both.store)()
        if both.random.random() < 0.1:  # other bytes become unwritten, as of a function that is called
            space, at = ("local", "shared", "global")[both.random.integers(3)], int(both.random.integers(BYTES // 16)) * 16
            both.memories[space].unwritten[at : at + 16] = UNWRITTEN
            both.flags[space][at : at + 16] = True
