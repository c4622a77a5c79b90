"""The PTX types that an instruction names, and the NumPy types that hold their values."""

from __future__ import annotations

from tinygan_kernels.emulator.syntax.ptx import WIDTH, Instruction

FLOAT = ("f16", "bf16", "f32", "f64")
PACKED = {"f16x2": "f16", "bf16x2": "bf16"}
"""Types of two halves in one 32-bit register, with the type of each half."""
SINGLE = {**PACKED, "f32x2": "f32"}
"""Types of two floats in one register, with the type of each."""
ROUNDING = ("rn", "rz", "rm", "rp")


def types_of(ins: Instruction) -> list[str]:
    """Return the types among an instruction's modifiers, in order: ["f32", "s32"] of cvt.rn.f32.s32."""
    return [m for m in ins.modifiers if m in WIDTH]


def rounding_of(ins: Instruction) -> str:
    """Return an instruction's rounding mode, "rn" (nearest even) if it names none."""
    return next((m for m in ins.modifiers if m in ROUNDING), "rn")


def code_of(kind: str) -> str:
    """Return NumPy's letter and bytes for a PTX type: s32 -> i4. Bits, bf16 and packed halves are unsigned integers."""
    if kind == "pred":
        return "b1"
    size = WIDTH[kind]
    if kind[0] == "s":
        return f"i{size}"
    return f"f{size}" if kind in ("f16", "f32", "f64") else f"u{size}"


def wide_of(kind: str) -> str:
    """Return the type twice as wide: u32 -> u64."""
    return f"{kind[0]}{2 * int(kind[1:])}"
