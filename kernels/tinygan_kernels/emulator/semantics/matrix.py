"""The tensor cores' instructions mma and ldmatrix, a warp at a time. (PTX ISA, 9.7.14)

Which lane holds which element follows one rule for every shape with 32-bit registers. With g = lane // 4, t = lane %
4 and p elements in a register: register r, element i of A is A[g + 8 (r % 2), t p + i + 4 p (r // 2)], of B it is B[t
p + i + 4 p r, g], and the accumulator is C[g + 8 (r // 2), 2 t + r % 2]. Products are exact, sums are formed in
float64 and rounded once: hardware adds in an order of its own, with at least as large an error.
"""

from __future__ import annotations

import re

import numpy as np

from . import floats
from .warps import WARP

_LANE = np.arange(WARP)
_G, _T = _LANE // 4, _LANE % 4
_TF32_BITS = np.uint32(0xFFFFE000)  # the low 13 bits do not take part
SUPPORTED = {
    ("tf32", 16, 8, 4),
    ("tf32", 16, 8, 8),
    ("f16", 16, 8, 8),
    ("f16", 16, 8, 16),
    ("bf16", 16, 8, 8),
    ("bf16", 16, 8, 16),
    ("s8", 16, 8, 16),
    ("s8", 16, 8, 32),
    ("u8", 16, 8, 16),
    ("u8", 16, 8, 32),
    ("f64", 8, 8, 4),
}


def shape_of(modifiers) -> tuple[int, int, int]:
    """Return (m, n, k) of the modifier "m16n8k8"."""
    match = next(m for m in (re.fullmatch(r"m(\d+)n(\d+)k(\d+)", text) for text in modifiers) if m)
    return int(match[1]), int(match[2]), int(match[3])


def _elements(register, kind: str):
    """Return the (warps, 32, p) elements in a register of every lane, as float64 (exact for every type)."""
    rows = register.reshape(-1, WARP)
    if kind == "f64":
        return rows.view("f8")[..., None]
    if kind == "tf32":
        return (rows & _TF32_BITS).view("f4").astype("f8")[..., None]
    code = {"f16": "f2", "bf16": "u2", "s8": "i1", "u8": "u1"}[kind]
    parts = rows.view(code).reshape(*rows.shape, -1)
    return floats.widen_half(parts, kind) if kind in ("f16", "bf16") else parts.astype("f8")


def multiply(kinds: tuple[str, str, str, str], shape: tuple[int, int, int], a, b, c):
    """Compute D = A B + C and return D's registers.

    kinds: types of D, A, B, C; shape: (m, n, k); a, b, c: the registers, unsigned vectors over all lanes.
    """
    m, n, k = shape
    warps = a[0].size // WARP
    left, right = np.zeros((warps, m, k)), np.zeros((warps, k, n))
    for r, register in enumerate(a):
        values = _elements(register, kinds[1])
        p = values.shape[2]
        for i in range(p):
            left[:, _G + 8 * (r % 2), _T * p + i + 4 * p * (r // 2)] = values[:, :, i]
    for r, register in enumerate(b):
        values = _elements(register, kinds[2])
        p = values.shape[2]
        for i in range(p):
            right[:, _T * p + i + 4 * p * r, _G] = values[:, :, i]
    product = left @ right
    return [_accumulate(product, register, r, kinds[3], kinds[0]) for r, register in enumerate(c)]


def _accumulate(product, register, r: int, kind: str, result: str):
    """Return register r of D: the elements of register r of C plus the same elements of the product."""
    rows = register.reshape(-1, WARP)
    code = {"f32": "f4", "f16": "f2", "s32": "i4", "f64": "f8"}[kind]
    values = rows.view(code).reshape(*rows.shape, -1)
    count = values.shape[2]
    place = [count * r + i for i in range(count)]
    own = np.stack([product[:, _G + 8 * (e // 2), 2 * _T + e % 2] for e in place], axis=2)
    if kind == "s32":
        total = (own.astype("i8") + values).astype("i4")
    else:
        total = (own + values).astype({"f32": "f4", "f16": "f2", "f64": "f8"}[result])
    return np.ascontiguousarray(total).reshape(len(rows), -1).view(register.dtype).ravel()


def distribute(rows, count: int, transposed: bool):
    """Return ldmatrix's registers, from the 16 bytes at each lane's address (lane 8 j + i: row i of matrix j)."""
    matrices = rows.view("u2").reshape(-1, WARP, 8)
    registers = []
    for j in range(count):
        matrix = matrices[:, 8 * j : 8 * j + 8]
        pair = [matrix[:, 2 * _T + i, _G] if transposed else matrix[:, _G, 2 * _T + i] for i in (0, 1)]
        registers.append((pair[0].astype("u4") | pair[1].astype("u4") << np.uint32(16)).ravel())
    return registers
