"""Lowering of min and max, with their modifiers for NaN, signs and magnitudes. (PTX ISA, 9.7.1.12, 9.7.3.11 and 9.7.4.6)"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from tinygan_kernels.emulator.semantics import floats, pairs
from tinygan_kernels.emulator.syntax.ptx import Instruction

from .arithmetic import float_result
from .emitter import Emitter
from .types import FLOAT, PACKED

_SIGNED = ("s32", "s16x2")


def min_max(e: Emitter, ins: Instruction) -> None:
    kind, words = e.kind_of(ins), set(ins.modifiers)
    if kind in FLOAT or kind in PACKED:
        _of_floats(e, ins, kind, words)
        return
    if words & {"NaN", "abs", "xorsign"} or ("relu" in words and kind not in _SIGNED) or len(ins.operands) != 3:
        raise e.unsupported(f"min and max of {kind} have two operands and no modifiers, but .relu of {' and '.join(_SIGNED)}")
    function: Callable[..., np.ndarray] = np.minimum if ins.opcode == "min" else np.maximum
    if "relu" in words:
        function = _not_negative(function)
    if kind in pairs.CODES:
        function = pairs.by_parts(function, kind)
    e.apply(ins.operands[0], kind, function, *(e.read(o, kind) for o in ins.operands[1:]))


def _not_negative(inner: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Return the function that gives 0 where another one gives less (.relu)."""
    return lambda a, b: np.maximum(inner(a, b), np.zeros((), np.asarray(a).dtype))


def _of_floats(e: Emitter, ins: Instruction, kind: str, words: set[str]) -> None:
    """Lower min and max of floats, of two operands or, of f32, of three."""
    single, three = PACKED.get(kind, kind), len(ins.operands) == 4
    lone_abs, signs = "abs" in words and "xorsign" not in words, "xorsign" in words
    if "relu" in words or (three and (kind != "f32" or signs)) or (lone_abs and not three) or (signs and "abs" not in words):
        raise e.unsupported("of floats, min and max have two operands and .NaN or .xorsign.abs, or of f32 three and .NaN or .abs")
    if kind == "f64" and words & {"NaN", "abs", "xorsign"}:
        raise e.unsupported(f"modifier .{sorted(words & {'NaN', 'abs', 'xorsign'})[0]} is not supported for f64")
    pick = floats.extremum(ins.opcode, single, "NaN" in words)
    if signs:
        pick = floats.with_signs(pick, single)
    elif lone_abs:
        pick = floats.of_magnitudes(pick)
    float_result(e, ins, kind, (lambda *v: reduce(pick, v)) if three and not lone_abs else pick, *ins.operands[1:])
