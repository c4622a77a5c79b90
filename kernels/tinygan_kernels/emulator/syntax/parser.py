"""Parse PTX text into a Module. This is syntax alone: nothing here knows what an opcode means.

Grammar: "Parallel Thread Execution ISA", chapters 4 (syntax), 5 (state spaces, types, variables), 10-11 (directives).
Names declared inside nested `{ }` scopes (inline assembly does that) are made unique, so that later stages see flat
names.
"""

from __future__ import annotations

from tinygan_kernels.emulator.errors import EmulatorError, UnsupportedInstruction

from .declarations import Declarations
from .ptx import (
    WARP_SIZE,
    Address,
    Function,
    Immediate,
    Instruction,
    Label,
    Module,
    Not,
    Pair,
    Register,
    Special,
    Symbol,
    Variable,
    Vector,
)
from .tokens import literal

_SPACES = {".global", ".const", ".shared", ".local", ".param"}
_NONSENSE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
_MOST_REGISTERS = 1 << 20  # more than any GPU has of one name
_SIZES = {".maxntid", ".reqntid", ".reqnctapercluster"}
_LINKAGE = {".visible", ".extern", ".weak", ".common"}


def parse(text: str) -> Module:
    """Parse PTX text. Raises EmulatorError, naming the line, for text that is not PTX and for declarations not supported."""
    parser = _Parser(text)
    try:
        return parser.module()
    except _NONSENSE as error:  # what no check below names: a statement that is not made as PTX makes it
        raise EmulatorError(f"not PTX: the statement at line {parser.line()} is not complete or not in order") from error


class _Parser(Declarations):
    """Recursive descent over the tokens. Every method consumes the part of the text that its name says."""

    def __init__(self, text: str):
        super().__init__(text)
        self.unit = Module(text=text)
        self.location, self.origin = (0, 0), 0
        self.refusal = ""  # what is not supported in the head of the function at hand

    # -- module -----------------------------------------------------------------------------------------------
    def module(self) -> Module:
        if ".version" not in self.tokens[:1]:
            raise EmulatorError("not PTX: the text does not begin with .version")
        while self.at < len(self.tokens):
            self.module_item()
        return self.unit

    def module_item(self) -> None:
        word = self.peek()
        if word in _LINKAGE:
            self.take()
        elif word in (".entry", ".func"):
            self.function()
        elif word in _SPACES:
            for variable in self.variable():
                self.unit.variables[variable.name] = variable
        elif word == ".file":
            self.file()
        elif word == ".section":
            self.section()
        elif word == ".target":
            self.take()
            self.unit.target = self.take()
            while self.accept(","):
                self.take()
        elif word in (".version", ".address_size"):
            self.at += 2
        elif word in (".pragma", ".alias"):
            self.skip_statement()
        elif not self.accept(";"):
            raise EmulatorError(f"not PTX: unexpected {word!r} at line {self.line()}")

    def file(self) -> None:
        self.take()
        number = self.integer()
        self.unit.files[number] = self.take().strip('"')
        while self.accept(","):
            self.take()

    def section(self) -> None:
        while self.take() != "{":
            pass
        while self.take() != "}":
            pass

    def function(self) -> None:
        is_entry, self.refusal = self.take() == ".entry", ""
        returns = self.parameters() if self.peek() == "(" else []
        name = self.take()
        params = self.parameters() if self.peek() == "(" else []
        function = Function(name, is_entry, params, returns, refused=self.refusal)
        self.directives(function)
        if self.take() == "{":
            self.body(function)
            function.has_body = True
        if function.has_body or name not in self.unit.functions:
            self.unit.functions[name] = function

    def body(self, function: Function) -> None:
        """Read a function's body after its opening brace. What is not supported in it concerns this function alone."""
        start = self.at
        try:
            _Body(self, function).parse()
        except UnsupportedInstruction as error:
            function.refused, function.body = str(error), []
            self.at, depth = start, 1
            while depth:
                token = self.take()
                depth += (token == "{") - (token == "}")

    def directives(self, function: Function) -> None:
        """Read the directives between the head of a function and its body: .noreturn, .maxntid 256, 1, 1, .minnctapersm 2."""
        while self.peek() not in ("{", ";"):
            word, numbers = self.take(), []
            while self.kind() == "number":
                numbers.append(self.integer())
                self.accept(",")
            if word in _SIZES and not (1 <= len(numbers) <= 3 and min(numbers) > 0):
                raise EmulatorError(f"not PTX: {word} has one to three sizes from 1 on, at line {self.line()}")
            function.limits[word[1:]] = tuple(numbers)

    def parameters(self) -> list[Variable]:
        self.expect("(")
        found = []
        while not self.accept(")"):
            found += self.declaration(self.take())
            self.accept(",")
        return found


class _Body:
    """Reads the statements of one function, and makes the names of nested scopes unique."""

    def __init__(self, parser: _Parser, function: Function):
        self.p = parser
        self.function = function
        self.scopes = [{v.name: Symbol(v.name) for v in function.params + function.returns}]
        self.count = 0
        self.belonging: dict[tuple[int, int, int], tuple[int, int]] = {}  # place of a .loc -> the line that its code belongs to

    def parse(self) -> None:
        """Read the statements up to the end of the body."""
        p = self.p
        self.scan_labels()
        while True:
            word = p.peek()
            if p.accept("{"):
                self.scopes.append({})
                self.scan_labels()
            elif p.accept("}"):
                self.scopes.pop()
                if not self.scopes:
                    return
            else:
                self.statement(word)

    def scan_labels(self) -> None:
        """Declare the labels of the scope that begins here: a branch may name one before its place is reached."""
        tokens, kinds, depth = self.p.tokens, self.p.kinds, 0
        for i in range(self.p.at, len(tokens)):
            token = tokens[i]
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                if depth < 0:
                    return
            elif token == ":" and depth == 0 and kinds[i - 1] == "word":
                self.declare(tokens[i - 1], Label)

    def declare(self, name: str, make) -> str:
        """Give a name of the innermost scope its meaning, make(unique name); return the unique name."""
        unique = name if len(self.scopes) == 1 else f"{name}@{self.count}"
        self.count += 1
        self.scopes[-1][name] = make(unique)
        return unique

    def lookup(self, name: str):
        """Return what a name stands for, from the innermost scope outward; None if nothing declares it."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def statement(self, word: str) -> None:
        p = self.p
        if word == ".reg":
            self.registers()
        elif word in _SPACES:
            self.variables()
        elif word == ".loc":
            self.loc()
        elif word in (".pragma", ".file"):
            p.skip_statement() if word == ".pragma" else p.file()
        elif p.peek(1) == ":":
            self.label()
        elif not p.accept(";") and word not in _LINKAGE:
            self.instruction()
        elif word in _LINKAGE:
            p.take()

    def registers(self) -> None:
        p = self.p
        p.take()
        kind, lanes = p.take()[1:], 1
        if kind in ("v2", "v4"):
            raise UnsupportedInstruction(f"not supported: vector registers (.reg .{kind}) at line {p.line()}")
        p.check_type(kind)
        while True:
            name = p.take()
            names = [name]
            if p.accept("<"):
                count = p.integer()
                if not 0 <= count <= _MOST_REGISTERS:
                    most = f"from 0 to {_MOST_REGISTERS} are possible"
                    raise EmulatorError(f"{count} registers named {name}: {most}, at line {p.line()}")
                names = [f"{name}{i}" for i in range(count)]
                p.expect(">")
            for each in names * lanes:
                unique = self.declare(each, lambda n: Register(n, kind))
                self.function.registers[unique] = Register(unique, kind)
            if not p.accept(","):
                break
        p.expect(";")

    def variables(self) -> None:
        for variable in self.p.variable():
            variable.name = self.declare(variable.name, Symbol)
            self.function.variables[variable.name] = variable

    def loc(self) -> None:
        """Read `.loc file line column`. Code inlined out of another file (a header) belongs to the line that called it, through as
        many headers as lie between; the .loc of each caller precedes."""
        p = self.p
        p.take()
        place = (p.integer(), p.integer(), p.integer())
        p.location, p.origin = place[:2], place[0]
        while p.peek() == ",":  # , function_name X + n, inlined_at f l c
            p.take()
            if p.take() == "function_name":
                p.take()
                if p.accept("+"):
                    p.take()
                continue
            caller = (p.integer(), p.integer(), p.integer())
            belongs = self.belonging.get(caller, caller[:2])
            if belongs[0] != p.location[0]:
                p.location = belongs
        self.belonging[place] = p.location

    def label(self) -> None:
        p = self.p
        name = p.take()
        p.expect(":")
        if p.peek() == ".branchtargets":
            p.take()
            self.function.targets[self.lookup(name).name] = tuple(item.name for item in self.operand_list())
            p.expect(";")
        elif p.peek() in (".callprototype", ".calltargets"):
            p.skip_statement()
        else:
            target = self.lookup(name)
            if not isinstance(target, Label):
                raise EmulatorError(f"not PTX: {name!r} is no name for a label, at line {p.line()}")
            self.function.body.append(target)

    def instruction(self) -> None:
        p = self.p
        line, guard, negated = p.line(), None, False
        if p.accept("@"):
            negated = p.accept("!")
            guard = self.lookup(p.take())
        opcode, *modifiers = p.take().split(".")
        operands = () if p.peek() == ";" else self.operand_list()
        p.expect(";")
        self.function.body.append(Instruction(opcode, tuple(modifiers), operands, guard, negated, line, p.location, p.origin))

    def operand_list(self) -> tuple:
        items = [self.operand()]
        while self.p.accept(","):
            items.append(self.operand())
        return tuple(items)

    def operand(self):
        p = self.p
        if p.kind() == "mark":
            if p.accept("{"):
                items = Vector(self.until("}"))
                return Pair(items, self.atom()) if p.accept("|") else items
            if p.accept("("):
                return Vector(self.until(")"))
            if p.accept("["):
                return self.address()
            if p.accept("!"):
                return Not(self.lookup(p.take()))
        first = self.atom()
        if p.accept("|"):
            return Pair(first, self.atom())
        if isinstance(first, Symbol) and p.peek() in ("+", "-"):
            sign = 1 if p.take() == "+" else -1
            return Symbol(first.name, first.offset + sign * p.integer())
        return first

    def until(self, close: str) -> tuple:
        items = []
        while not self.p.accept(close):
            items.append(self.operand())
            if not self.p.accept(","):
                self.p.expect(close)
                break
        return tuple(items)

    def address(self) -> Address:
        p = self.p
        base, offset = None, 0
        if p.kind() == "word":
            base = self.atom()
            if p.peek() in ("+", "-"):
                sign = 1 if p.take() == "+" else -1
                offset = sign * p.integer()
        else:
            offset = p.integer()
        more = self.until("]") if p.accept(",") else p.expect("]") or ()
        return Address(base, offset, more)

    def atom(self):
        p = self.p
        negative = p.accept("-")
        token, kind = p.take(), p.kinds[p.at - 1]
        if kind == "number":
            return literal(token).negated() if negative else literal(token)
        if token == "_":
            return None
        if token == "WARP_SZ":
            return Immediate(-WARP_SIZE if negative else WARP_SIZE)
        return self.lookup(token) or (Special(token) if token.startswith("%") else Symbol(token))
