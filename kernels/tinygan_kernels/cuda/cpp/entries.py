"""The exported kernels of cuda/cpp/*.cu as Python knows them: which file, which name, which parameters.

An entry is declared as a string, in C's words: `matmul_v1_{dtype}(T* a, T* b, T* c, int M)`. Its name has a gap for each way in
which the source makes instances of it: {dtype} is f32 or f64, and then T is float or double; {operands} is nn, nt, tn or tt, a
letter for each operand of a product, t where it is transposed. Without {dtype}, T is float.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
DTYPES = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
GAPS = {"dtype": tuple(DTYPES), "operands": ("nn", "nt", "tn", "tt")}
C_TYPES = {"int": np.dtype(np.int32), "unsigned": np.dtype(np.uint32), "double": np.dtype(np.float64)}


def source_path(source: str) -> Path:
    """Return the path of a .cu file, given its stem."""
    return FOLDER / f"{source}.cu"


class EntryParameter(NamedTuple):
    """A parameter of an instance: an array of `dtype` where `pointer`, else a NumPy scalar of that type."""

    name: str
    dtype: np.dtype
    pointer: bool


class Instance(NamedTuple):
    """A kernel that a .cu file exports: the file's stem, the exported name, and the parameters in order."""

    source: str
    name: str
    parameters: tuple[EntryParameter, ...]


@dataclass(frozen=True, eq=False)
class Entry:
    """A declared kernel: the file's stem, the name with its gaps, and the parameters as (C type, name)."""

    source: str
    name: str
    parameters: tuple[tuple[str, str], ...]

    @functools.cache  # noqa: B019  (entries are the rows of a table: few, and kept for good)
    def instance(self, dtype: str = "f32", operands: str = "nn") -> Instance:
        """Return the instance for arrays of a dtype (f32, f64), or for a product's operands."""
        real = DTYPES[dtype if "{dtype}" in self.name else "f32"]
        found = tuple(EntryParameter(name, C_TYPES.get(c.rstrip("*"), real), c.endswith("*")) for c, name in self.parameters)
        return Instance(self.source, self.name.format(dtype=dtype, operands=operands), found)

    def of(self, array: Any) -> Instance:
        """Return the instance for arrays like this one."""
        return self.instance("f64" if array.dtype == np.float64 else "f32")

    def instances(self) -> list[Instance]:
        """Return every instance that the source has to export."""
        gaps = [gap for gap in GAPS if f"{{{gap}}}" in self.name]
        return [self.instance(**dict(zip(gaps, values, strict=True))) for values in itertools.product(*(GAPS[g] for g in gaps))]


@functools.cache
def entry(source: str, declaration: str) -> Entry:
    """Return the entry that a declaration such as `sum_{dtype}(T* x, int n)` stands for. Raises ValueError where it is not one."""
    name, bracket, rest = declaration.partition("(")
    parameters = tuple(tuple(parameter.rsplit(" ", 1)) for parameter in rest.removesuffix(")").split(", "))
    if not bracket or not rest.endswith(")") or any(len(parameter) != 2 for parameter in parameters):
        raise ValueError(f"{source}.cu: {declaration!r} is not a declaration such as 'sum_{{dtype}}(T* x, int n)'")
    return Entry(source, name, parameters)
