"""What CUDA C++ declares for the parameters of a kernel, so far as PTX no longer says it: the element types of pointers.

PTX has one type for all pointers, so a float64 array for a float* would be read as other numbers without a word. The types are
read from the source. What is not known there (a template's T*, a typedef) is not checked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError


class Pointee(NamedTuple):
    """The type of a pointer's elements: its kinds as NumPy names them ("f", "iu" ...), and the bytes of its scalar parts."""

    declared: str
    kinds: str
    size: int


_INTEGERS = {"char": 0, "short": 2, "int": 4, "long long": 8, "size_t": 8, "ptrdiff_t": 8}
"""Integer types and their bytes. char stands for raw bytes as well, so that an array of any type may be given for it."""
_SCALARS: dict[str, tuple[str, int]] = {
    "float": ("f", 4), "double": ("f", 8), "__half": ("f", 2), "half": ("f", 2), "bool": ("b", 1),
    "cuComplex": ("c", 4), "cuFloatComplex": ("c", 4), "cuDoubleComplex": ("c", 8),
    **{name: ("iu", size) for name, size in _INTEGERS.items() if size},
    **{f"{sign}int{8 * size}_t": ("iu", size) for sign in ("", "u") for size in (2, 4, 8)},
}  # fmt: skip
_KINDS_FOR = {"f": "fc", "c": "fc", "iu": "iu", "b": "biu"}
_VECTORS = {"float": ("f", 4), "double": ("f", 8), "int": ("iu", 4), "uint": ("iu", 4), "short": ("iu", 2), "ushort": ("iu", 2),
            "longlong": ("iu", 8), "ulonglong": ("iu", 8)}  # fmt: skip
_IGNORED = re.compile(r"\b(const|volatile|struct|__restrict__|__restrict|restrict|__grid_constant__|std::|signed)(\b|(?<=::))")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@lru_cache(maxsize=256)
def pointees(source: str, name: str) -> tuple[Pointee | None, ...]:
    """Return, for each parameter of a kernel, what its pointer points to; None for a value and for what is not known.

    source: the CUDA C++; name: the kernel's own name, without namespaces. The result is () where the kernel is not found, or is
    declared more than once with different parameters.
    """
    text = _COMMENT.sub(" ", source)
    found = {_parameters(text, match.end()) for match in re.finditer(rf"__global__[^;{{}}=]*?\b{re.escape(name)}\s*\(", text)}
    if len(found) != 1:
        return ()
    return tuple(_pointee(parameter) for parameter in found.pop())


def _parameters(text: str, start: int) -> tuple[str, ...]:
    """Return the parameters of a list that begins at `start`, after its opening parenthesis."""
    parts, depth, current = [], 0, ""
    for letter in text[start:]:
        if letter in "(<[{":
            depth += 1
        elif letter in ")>]}":
            depth -= 1
            if depth < 0:
                break
        if letter == "," and not depth:
            parts.append(current)
            current = ""
        else:
            current += letter
    return (*parts, current) if current.strip() else tuple(parts)


def _pointee(parameter: str) -> Pointee | None:
    """Return what a parameter, such as `const float* __restrict__ x`, points to; None if it is no pointer or not known."""
    plain = " ".join(_IGNORED.sub(" ", parameter.split("=")[0]).split())
    match = re.fullmatch(r"((?:unsigned )?[A-Za-z_][\w:]*(?: long| int)*(?: ?< ?\w+ ?>)?) ?(?:\* ?\w*|\w+ ?\[ ?\w* ?\])", plain)
    if not match:
        return None
    kind = match[1].strip()
    if kind in ("unsigned", "unsigned int"):
        kind = "int"
    kind = kind.removeprefix("unsigned ")
    if kind in _SCALARS:
        return Pointee(kind, *_SCALARS[kind])
    vector = re.fullmatch(r"([a-z]+)[1234]", kind)
    if vector and vector[1] in _VECTORS:
        return Pointee(kind, *_VECTORS[vector[1]])
    complex_ = re.search(r"complex ?< ?(float|double) ?>$", kind)
    return Pointee(kind, "c", 4 if complex_[1] == "float" else 8) if complex_ else None


def check(declared: tuple[Pointee | None, ...], args: tuple, kernel: str) -> None:
    """Raise EmulatorError for an array among the arguments whose elements or whose order a kernel would misread.

    An array may have elements of the declared type, vectors and complex numbers counting as their parts, or be a structured one.
    It has to be C-contiguous: a kernel gets the address of its first element and no strides, unless they are among the other
    arguments.
    """
    for i, argument in enumerate(args):
        if not isinstance(argument, np.ndarray) or argument.dtype.hasobject:
            continue
        if i < len(declared) and declared[i] is not None:
            _check_elements(declared[i], argument, f"argument {i} of kernel {kernel}")
        if not argument.flags.c_contiguous and not _strides_are_passed(argument, args):
            _refuse_order(argument, f"argument {i} of kernel {kernel}")


def _check_elements(declared: Pointee, array: np.ndarray, what: str) -> None:
    """Raise EmulatorError where an array's elements are not of the declared type."""
    dtype = array.dtype
    size = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    same_kind = dtype.kind in _KINDS_FOR[declared.kinds] and size == declared.size
    fits = dtype.kind == "V" or (same_kind and dtype.isnative)
    if not fits:
        order = "" if dtype.isnative else "big-endian " if dtype.byteorder == ">" else "little-endian "
        raise EmulatorError(
            f"{what} is an array of {order}{dtype.newbyteorder('=').name}, but the kernel declares {declared.declared}*: it would "
            f"read the bytes as other numbers; convert it with .astype(...), or say that this is meant with .view(...)"
        )


def _strides_are_passed(array: np.ndarray, args: tuple) -> bool:
    """Return whether each stride of a view with gaps is among the arguments, in elements or in bytes (a pitch, an increment)."""
    strides = {s for n, s in zip(array.shape, array.strides, strict=True) if n > 1 and abs(s) != array.itemsize}
    if array.flags.f_contiguous or not strides or 0 in strides:
        return False
    numbers = {int(a) for a in args if isinstance(a, (int, np.integer)) and not isinstance(a, (bool, np.bool_))}
    return all(s in numbers or (s % array.itemsize == 0 and s // array.itemsize in numbers) for s in strides)


def _refuse_order(array: np.ndarray, what: str) -> None:
    """Raise EmulatorError for an array that is not C-contiguous."""
    if array.flags.f_contiguous:
        kind, meant = "is transposed (Fortran order)", "if the kernel is to see that order, pass its .T"
    elif 0 in array.strides:
        kind, meant = "is a broadcast view", "its elements share memory"
    else:
        kind, meant = "is a view with gaps", "if the kernel knows the strides, pass them too, or the array behind the view"
    raise EmulatorError(
        f"{what} {kind} of strides {array.strides}, of which the kernel gets the address alone, so that it reads other elements: "
        f"pass np.ascontiguousarray(...), and copy back what it writes; {meant}"
    )
