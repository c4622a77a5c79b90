"""Which function writes an instruction of PTX as LLVM IR, by its opcode."""

from __future__ import annotations

from collections.abc import Callable

from . import arithmetic, comparisons, conversions
from .writer import Writer

TABLE: dict[str, Callable[[Writer], None]] = {
    "add": arithmetic.add,
    "sub": arithmetic.add,
    "addc": arithmetic.add,
    "subc": arithmetic.add,
    "mul": arithmetic.multiply,
    "mad": arithmetic.multiply_add,
    "madc": arithmetic.multiply_add,
    "fma": arithmetic.fma,
    "div": arithmetic.binary("div", "fdiv"),
    "rem": arithmetic.binary("rem"),
    "and": arithmetic.logic("and"),
    "or": arithmetic.logic("or"),
    "xor": arithmetic.logic("xor"),
    "not": arithmetic.logic("not"),
    "shl": arithmetic.shift,
    "shr": arithmetic.shift,
    "shf": arithmetic.funnel,
    "bfe": arithmetic.field,
    "bfi": arithmetic.field,
    "popc": arithmetic.count_bits,
    "clz": arithmetic.count_bits,
    "brev": arithmetic.count_bits,
    "bfind": arithmetic.find_bit,
    "prmt": arithmetic.permute,
    "lop3": arithmetic.lookup,
    "min": arithmetic.least,
    "max": arithmetic.least,
    "abs": arithmetic.absolute,
    "neg": arithmetic.negate,
    "setp": comparisons.set_predicate,
    "set": comparisons.set_number,
    "selp": comparisons.select,
    "copysign": comparisons.copy_sign,
    "testp": comparisons.test_number,
    "cvt": conversions.convert,
    "mov": conversions.move,
    "cvta": conversions.same_address,
    "sqrt": conversions.approximated("sqrt"),
    "rsqrt": conversions.approximated("rsqrt"),
    "rcp": conversions.approximated("rcp"),
    "ex2": conversions.approximated("exp2"),
    "lg2": conversions.approximated("log2"),
    "sin": conversions.approximated("sin"),
    "cos": conversions.approximated("cos"),
    "tanh": conversions.approximated("tanh"),
}
"""{opcode: function that writes it}."""
