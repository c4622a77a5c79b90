"""Parse the declarations of PTX: variables and parameters, with their types, alignments and initial values.

Grammar: "Parallel Thread Execution ISA", chapter 5 (state spaces, types, variables).
"""

from __future__ import annotations

from tinygan_kernels.emulator.errors import EmulatorError, UnsupportedInstruction

from .ptx import OPAQUE, WARP_SIZE, WIDTH, Immediate, Symbol, Variable
from .tokens import Tokens, literal

_MOST_BYTES = 2**31 - 1  # more than any GPU gives to one variable


class Declarations(Tokens):
    """Recursive descent over the declarations in a text's tokens. Every method consumes the part that its name says."""

    refusal: str  # what is not supported in the head of the function at hand

    def variable(self) -> list[Variable]:
        space = self.take()
        found = self.declaration(space)
        while self.accept(","):
            more = self.declared_name(found[0])
            found.append(more)
        self.expect(";")
        return found

    def declaration(self, space: str) -> list[Variable]:
        """Read `.align 16 .b8 name[64] = {...}`, which follows the state space."""
        align, kind, lanes = 0, "", 1
        if space == ".reg":
            self.refusal = f"not supported: register parameters, at line {self.line()}"
        while self.peek().startswith("."):
            word = self.take()[1:]
            if word == "align":
                align = self.integer()
            elif word in ("v2", "v4"):
                lanes = int(word[1])
            elif word == "ptr":
                self.pointer_attributes()
            elif word in WIDTH:
                kind = word
            elif word in OPAQUE:
                kind = "b64"
            elif word == "attribute":
                self.parameters_text()
        self.check_type(kind)
        if align < 0 or align & (align - 1) or align > 1 << 16:
            raise EmulatorError(f"not PTX: an alignment is a power of two, not {align}, at line {self.line()}")
        template = Variable("", space[1:], kind, align or WIDTH[kind] * lanes, WIDTH[kind] * lanes)
        return [self.declared_name(template)]

    def check_type(self, kind: str) -> None:
        """Raise EmulatorError where `kind` is not the type of a variable or a register."""
        if kind not in WIDTH:
            raise EmulatorError(f"not PTX: {kind!r} is no type, at line {self.line()}" if kind else
                                f"not PTX: a declaration without a type, at line {self.line()}")

    def pointer_attributes(self) -> None:
        """Read what follows `.ptr`: where the pointer leads to, and the alignment of what lies there, not of the parameter."""
        while self.peek() in (".global", ".const", ".shared", ".local"):
            self.take()
        if self.accept(".align"):
            self.integer()

    def parameters_text(self) -> None:
        self.expect("(")
        while self.take() != ")":
            pass

    def declared_name(self, like: Variable) -> Variable:
        name, count = self.take(), 1
        if self.accept("<"):
            raise UnsupportedInstruction(f"not supported: parameterised variable {name}<n> at line {self.line()}")
        while self.accept("["):
            count *= 0 if self.peek() == "]" else self.integer()
            self.expect("]")
        initial = self.initializer() if self.accept("=") else []
        size = WIDTH[like.type] * (like.size // WIDTH[like.type]) * count
        if not 0 <= size <= _MOST_BYTES:
            raise EmulatorError(f"variable {name} has {size} bytes, from 0 to {_MOST_BYTES} are possible, at line {self.line()}")
        if len(initial) > count > 0:
            many = f"{len(initial)} values for a variable with room for {count}"
            raise EmulatorError(f"not PTX: {many}, {name}, at line {self.line()}")
        return Variable(name, like.space, like.type, like.align, size or len(initial) * WIDTH[like.type], initial)

    def initializer(self) -> list[Immediate | Symbol]:
        if not self.accept("{"):
            return [self.initial_value()]
        values: list[Immediate | Symbol] = []
        while not self.accept("}"):
            values += self.initializer() if self.peek() == "{" else [self.initial_value()]
            self.accept(",")
        return values

    def initial_value(self) -> Immediate | Symbol:
        negative = self.accept("-")
        token = self.take()
        if self.kinds[self.at - 1] == "number":
            return literal(token).negated() if negative else literal(token)
        if token == "WARP_SZ":
            return Immediate(-WARP_SIZE if negative else WARP_SIZE)
        if self.accept("("):  # generic(name)
            token = self.take()
            self.expect(")")
        return Symbol(token, self.integer() if self.accept("+") else 0)
