"""Exceptions in machine code: which objects of functions exist, where a `try` begins a second time, how functions are left.

Compilers describe in tables what has to be destroyed where a function is left by an exception. NVRTC writes none, but, with
--device-debug, every constructor and destructor that it calls stays a call. So host code keeps a list of its own (`objects`), of
the objects of functions that have not ended: a constructor's call adds its object, where that lies in the frame of the caller (a
local variable, a temporary), where a function returns it, or where it is a part of what the calling constructor makes; a
destructor's call takes it away. What lies on the heap is its owner's. A class without a constructor has a member that tells
(`host_mark`). `throw` looks for a clause, destroys what came after its `try`, last first, and sets `ended` to UNWINDING, at which
functions return, up to the one with the `try` (`include/thrown.h`).
"""

from __future__ import annotations

import re

import numpy as np

from tinygan_kernels.emulator.syntax.ptx import Function, Instruction, Module, Symbol

from .calls import offsets_of_objects, registers_written_again
from .memory import STACK
from .symbols import Symbols
from .writer import OPAQUE_POINTERS, Writer, pointer, quoted

UNWINDING = 2
"""The value of `ended` while functions are left on the way to a clause."""
MOST_OBJECTS = 1 << 22
MOST_TRIES = 1 << 17
WORDS = ("made", "handlers", "frame", "clause", "made_before", "site", "objects", "tries", "caught", "handled")
"""The state, as `host_unwinding` of `include/thrown.h` declares it: a 64-bit word each."""
_CONSTRUCTOR = re.compile(r"C([12])[EI]|CI([12])[\dNS]")  # the second form: one that is inherited (`using Base::Base`)
_DESTRUCTOR = re.compile(r"(.*D)[12]Ev")


def without_debug_information(ptx: str) -> str:
    """Return PTX of --device-debug without the tables for a debugger, and without locations that name no line."""
    code = re.split(r"^\s*\.section\b", ptx, maxsplit=1, flags=re.MULTILINE)[0]
    return re.sub(r"^\s*\.loc\s+\d+ 0 \d+[^\n]*\n", "", code, flags=re.MULTILINE)


class State:
    """The lists at run time, in memory that the program may touch. `arrays` lists it."""

    def __init__(self) -> None:
        self.words = np.zeros(len(WORDS), np.int64)
        self.objects = np.zeros(2 * MOST_OBJECTS, np.int64)
        self.tries = np.zeros(4 * MOST_TRIES, np.int64)
        self.words[WORDS.index("objects")] = self.objects.ctypes.data
        self.words[WORDS.index("tries")] = self.tries.ctypes.data
        self.arrays = (self.words, self.objects, self.tries)

    def cells(self) -> dict[str, int]:
        """Return the addresses of the words and of the lists, by their names in the IR of machine code (`symbols`)."""
        at = {name: int(self.words.ctypes.data) + 8 * i for i, name in enumerate(WORDS)}
        at |= {"objects": int(self.objects.ctypes.data), "tries": int(self.tries.ctypes.data)}
        return {f"unwinding.{name}": address for name, address in at.items()}


class Unwinding:
    """Writes what exceptions need into the IR of a program that catches some.

    module: the program's PTX, of --device-debug; symbols: gets the names of the cells that the IR uses.
    """

    def __init__(self, module: Module, symbols: Symbols):
        self.module, self.symbols = module, symbols
        self.destroyed = {m[1]: "" for name in module.functions if (m := _DESTRUCTOR.fullmatch(name))}
        self.sites: dict[str, int] = {}
        self.number = 0

    # -- which calls make and destroy objects -----------------------------------------------------------------------------------
    def destructor_of(self, callee: str) -> str | None:
        """Return the destructor of the class that a constructor makes an object of; None for another function."""
        for match in _CONSTRUCTOR.finditer(callee):
            stem = callee[: match.start()] + "D"
            if stem in self.destroyed:
                order = ("1", "2") if "1" in (match[1], match[2]) else ("2", "1")
                names = [f"{stem}{n}Ev" for n in order if self._has_body(f"{stem}{n}Ev")]
                return names[0] if names else None
        return None

    def _has_body(self, name: str) -> bool:
        function = self.module.functions.get(name)
        return function is not None and function.has_body

    def twins(self, destructor: str) -> list[str]:
        """Return a destructor's two names, of the whole object and of a base, as far as they have bodies."""
        match = _DESTRUCTOR.fullmatch(destructor)
        return [name for n in "12" if match and self._has_body(name := f"{match[1]}{n}Ev")]

    def also_reached(self, function: Function) -> list[str]:
        """Return the destructors of what a function makes, and both names of those that it calls."""
        names = [i.operands for i in function.body if isinstance(i, Instruction) and i.opcode == "call"]
        made = [self.destructor_of(o.name) for operands in names for o in operands if isinstance(o, Symbol)]
        called = [o.name for operands in names for o in operands if isinstance(o, Symbol) and _DESTRUCTOR.fullmatch(o.name)]
        return [name for name in made if name is not None] + [twin for name in called for twin in self.twins(name)]

    # -- IR ---------------------------------------------------------------------------------------------------------------------
    def cell(self, name: str, kind: str = "i64") -> str:
        return self.symbols.at(f"unwinding.{name}", kind)

    def helpers(self) -> str:
        """Return the functions that the others call: of the list of objects, its last ones that are gone already are taken off.

        `Process.fault` ends the program where the list is full.
        """
        p, state, ended = pointer("i64"), self.cell("made"), self.symbols.at("cell.ended", "i8")
        kind, fault = pointer("i64 (i64, i64)"), self.symbols.address("extern.host_fault")
        objects, destructors = (self.symbols.address("unwinding.objects", offset) for offset in (0, 8))
        return f"""
define internal void @host_trim() {{
entry:
  br label %look
look:
  %n = load i64, {state}
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %last
last:
  %m = sub i64 %n, 1
  %o = shl i64 %m, 4
  %a = add i64 %o, {destructors}
  %q = inttoptr i64 %a to {p}
  %d = load i64, {p} %q
  %gone = icmp eq i64 %d, 0
  br i1 %gone, label %off, label %done
off:
  store i64 %m, {state}
  br label %look
done:
  ret void
}}
define internal void @host_made(i64 %object, i64 %destroy) {{
  call void @host_trim()
  %n = load i64, {state}
  %full = icmp uge i64 %n, {MOST_OBJECTS}
  br i1 %full, label %end, label %add
end:
  %f = call i64 inttoptr (i64 {fault} to {kind})(i64 5, i64 -1)
  br label %done
add:
  %o = shl i64 %n, 4
  %a = add i64 %o, {objects}
  %q = inttoptr i64 %a to {p}
  store i64 %object, {p} %q
  %b = add i64 %o, {destructors}
  %r = inttoptr i64 %b to {p}
  store i64 %destroy, {p} %r
  %m = add i64 %n, 1
  store i64 %m, {state}
  br label %done
done:
  ret void
}}
define internal void @host_unmade(i64 %object, i64 %one, i64 %other) {{
entry:
  %n = load i64, {state}
  br label %look
look:
  %i = phi i64 [ %n, %entry ], [ %j, %next ], [ %j, %same ]
  %none = icmp eq i64 %i, 0
  br i1 %none, label %done, label %next
next:
  %j = sub i64 %i, 1
  %o = shl i64 %j, 4
  %a = add i64 %o, {objects}
  %q = inttoptr i64 %a to {p}
  %x = load i64, {p} %q
  %is = icmp eq i64 %x, %object
  br i1 %is, label %same, label %look
same:
  %b = add i64 %o, {destructors}
  %r = inttoptr i64 %b to {p}
  %d = load i64, {p} %r
  %is1 = icmp eq i64 %d, %one
  %is2 = icmp eq i64 %d, %other
  %found = or i1 %is1, %is2
  br i1 %found, label %take, label %look
take:
  store i64 0, {p} %r
  br label %done
done:
  ret void
}}
define internal void @host_forget(i64 %frame, i64 %size) {{
entry:
  br label %look
look:
  %n = load i64, {state}
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %last
last:
  %m = sub i64 %n, 1
  %o = shl i64 %m, 4
  %a = add i64 %o, {objects}
  %q = inttoptr i64 %a to {p}
  %x = load i64, {p} %q
  %in = sub i64 %x, %frame
  %own = icmp ult i64 %in, %size
  br i1 %own, label %off, label %done
off:
  store i64 %m, {state}
  br label %look
done:
  ret void
}}
define internal i1 @host_handles(i64 %frame) {{
  %e = load volatile i8, {ended}
  %on = icmp eq i8 %e, {UNWINDING}
  %f = load i64, {self.cell("frame")}
  %own = icmp eq i64 %f, %frame
  %yes = and i1 %on, %own
  ret i1 %yes
}}
"""

    def begin(self, w: Writer) -> None:
        """Begin a function: one that constructs notes how many objects there are, as its parts are none of their own later."""
        w.tries, w.origins, w.changing = [], offsets_of_objects(w.function), registers_written_again(w.function)
        w.constructs = self.destructor_of(w.function.name) is not None
        if w.constructs:
            w.line("call void @host_trim()")
            w.line(f"%made.before = load i64, {self.cell('made')}")

    def after_call(self, w: Writer, callee: str, first: str | None) -> None:
        """Note what a call has made or destroyed. first: the parameter that holds its first argument."""
        if first is None or not callee.startswith("_Z"):
            return
        destructor = self.destructor_of(callee)
        if destructor is not None:
            self._made(w, first, destructor)
        elif _DESTRUCTOR.fullmatch(callee) and self._has_body(callee):
            address = self._argument(w, first)
            names = self.twins(callee)
            one, other = (f"ptrtoint ({self._type(n)} @{quoted(n)} to i64)" for n in (names[0], names[-1]))
            self._if_on_stack(w, address, f"call void @host_unmade(i64 {address}, i64 {one}, i64 {other})")

    def _type(self, name: str) -> str:
        function = self.module.functions[name]
        return "ptr" if OPAQUE_POINTERS else f"void ({', '.join(['i8*'] * (len(function.returns) + len(function.params)))})*"

    def _argument(self, w: Writer, name: str) -> str:
        place = w.parameter(name) or ""
        place = place if OPAQUE_POINTERS else w.value(f"bitcast i8* {place} to i64*")
        return w.value(f"load i64, {pointer('i64')} {place}")

    def _made(self, w: Writer, first: str, destructor: str) -> None:
        address, origin = self._argument(w, first), w.origins.get(id(w.ins))
        destroy = f"ptrtoint ({self._type(destructor)} @{quoted(destructor)} to i64)"
        line = f"call void @host_made(i64 {address}, i64 {destroy})"
        if w.constructs and origin is not None:
            w.line(line)
        elif origin == 0 and not w.function.returns and not _DESTRUCTOR.fullmatch(w.function.name):  # what the function returns
            self._if_on_stack(w, address, line)
        else:
            offset = w.value(f"sub i64 {address}, %frame")
            self._if(w, w.value(f"icmp ult i64 {offset}, {w.frame}"), line)

    def writes_call(self, w: Writer, callee: str, returns: list[str], arguments: list[str]) -> bool:
        """Write a call of a function that `include/thrown.h` declares and that is written here; return whether it is one."""
        if callee == "host_try":
            self.begin_try(w, returns[0], arguments[1])
        elif callee == "host_leave_try":
            depth = w.value(f"load i64, {self.cell('handlers')}")
            w.line(f"store i64 {w.value(f'sub i64 {depth}, 1')}, {self.cell('handlers')}")
        elif callee == "host_unwinding_state":
            place = w.parameter(returns[0]) or ""
            place = place if OPAQUE_POINTERS else w.value(f"bitcast i8* {place} to i64*")
            w.line(f"store i64 {self.symbols.address('unwinding.made')}, {pointer('i64')} {place}")
        elif callee in ("host_object", "host_no_object"):
            address, destroy = (self._argument(w, name) for name in arguments)
            again = f", i64 {destroy}" if callee == "host_no_object" else ""
            self._if_on_stack(w, address, f"call void @host_{'unmade' if again else 'made'}(i64 {address}, i64 {destroy}{again})")
        else:
            return False
        return True

    def _if_on_stack(self, w: Writer, address: str, line: str) -> None:
        """Write a line that is executed where an address is that of a local object."""
        offset = w.value(f"sub i64 {address}, {self.symbols.address('cell.stack_begin')}")
        self._if(w, w.value(f"icmp ult i64 {offset}, {STACK}"), line)

    def _if(self, w: Writer, condition: str, line: str) -> None:
        do, on = w.fresh(), w.fresh()
        w.line(f"br i1 {condition}, label %{do}, label %{on}")
        w.label(do)
        w.line(line)
        w.line(f"br label %{on}")
        w.label(on)

    def begin_try(self, w: Writer, returned: str, which: str) -> None:
        """Write host_try: 0 is its result, and, when an exception comes back here, the number of a clause.

        returned: the parameter of its result; which: the one of the function that finds a clause. Registers get the values again
        that they had when the `try` began, as the compiler knows nothing of the second return.
        """
        self.number += 1
        number, p = self.number, pointer("i64")
        w.line("call void @host_trim()")
        depth = w.value(f"load i64, {self.cell('handlers')}")
        full, fine, deep = w.value(f"icmp uge i64 {depth}, {MOST_TRIES}"), w.fresh(), w.fresh()
        w.line(f"br i1 {full}, label %{deep}, label %{fine}")
        w.label(deep)
        w.program.fault(w, 1)
        w.label(fine)
        offset = w.value(f"shl i64 {depth}, 5")
        made = w.value(f"load i64, {self.cell('made')}")
        for i, value in enumerate(("%frame", self._argument(w, which), made, str(number))):
            at = w.value(f"add i64 {offset}, {self.symbols.address('unwinding.tries', 8 * i)}")
            w.line(f"store i64 {value}, {p} {w.value(f'inttoptr i64 {at} to {p}')}")
        w.line(f"store i64 {w.value(f'add i64 {depth}, 1')}, {self.cell('handlers')}")
        w.tries.append((number, returned))
        for register in w.changing:
            w.keep(register, number)
        result = self._result(w, returned)
        w.line(f"store i32 0, {pointer('i32')} {result}")
        w.line(f"br label %tried.{number}")
        w.label(f"tried.{number}")

    def _result(self, w: Writer, name: str) -> str:
        place = w.parameter(name) or ""
        return place if OPAQUE_POINTERS else w.value(f"bitcast i8* {place} to i32*")

    def leave(self, w: Writer, top: str, after: str) -> None:
        """Write the end of a function: one with a `try` may go on at a clause.

        top: the cell of the stack's top; after: its value in this function.
        """
        if w.constructs:
            w.line(f"store i64 %made.before, {self.cell('made')}")
        if w.frame:
            w.line(f"call void @host_forget(i64 %frame, i64 {w.frame})")
        if not w.tries:
            return
        mine, again, out = w.value("call i1 @host_handles(i64 %frame)"), w.fresh(), w.fresh()
        w.line(f"br i1 {mine}, label %{again}, label %{out}")
        w.label(again)
        w.line(f"store i8 0, {self.symbols.at('cell.ended', 'i8')}")
        w.line(f"store i64 {after}, {top}")
        w.line(f"store i64 {w.value('load i64, ' + self.cell('made_before'))}, {self.cell('made')}")
        w.line(f"store i64 0, {self.cell('frame')}")
        site = w.value(f"load i64, {self.cell('site')}")
        cases = " ".join(f"i64 {number}, label %again.{number}" for number, _ in w.tries)
        w.line(f"switch i64 {site}, label %{out} [{cases}]")
        for number, returned in w.tries:
            w.label(f"again.{number}")
            for register in w.changing:
                w.restore(register, number)
            clause = w.value(f"trunc i64 {w.value('load i64, ' + self.cell('clause'))} to i32")
            w.line(f"store i32 {clause}, {pointer('i32')} {self._result(w, returned)}")
            w.line(f"br label %tried.{number}")
        w.label(out)
