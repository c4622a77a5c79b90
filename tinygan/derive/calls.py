"""f and its claimed gradient, called with NumPy arrays: in which order arguments are handed over, and what comes back.

Whatever framework the two are written for, the rest of the checker sees two functions: `value(arrays)`, all outputs of f as one
vector, and `claim(arrays, u)`, the claimed gradient of <u, f> in every input that has one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .frameworks import Framework

COTANGENTS = {
    "g", "gy", "dy", "dout", "dl", "dz", "dloss", "dldy", "dl_dy", "dl_dout", "u", "v", "ct", "cot", "cotangent",
    "cotangents", "grad", "grads", "grad_out", "grad_output", "grad_outputs", "gout", "g_out", "g_y", "upstream", "y_bar",
    "ybar", "seed", "delta", "dupstream",
}  # fmt: skip
OUTPUTS = {"y", "out", "output", "outputs", "result", "z", "f_x", "fx"}
CACHES = {"cache", "ctx", "saved", "residuals", "res", "state", "memo"}
STYLES = {
    "first": "vjp(g, *inputs)",
    "last": "vjp(*inputs, g)",
    "output": "vjp(g, y, *inputs)",
    "only": "vjp(g), after f(*inputs)",
    "cache": "vjp(g, cache)",
    "none": "vjp(*inputs), the gradient of a single number",
    "first-floats": "vjp(g, *inputs with a gradient)",
    "spread": "vjp(g1, g2, ..., *inputs)",
}


class DerivationInputError(ValueError):
    """What was handed to the checker cannot be judged; the message says why, and what to write instead."""


@dataclass
class Calls:
    """f and the claimed VJP as functions of NumPy arrays. `notes` gathers what was noticed on the way."""

    f: Callable[..., Any]
    vjp: Callable[..., Any] | None
    framework: Framework
    arrays: list[np.ndarray]
    style: str = "first"
    notes: list[str] = field(default_factory=list)
    out_shapes: list[tuple[int, ...]] = field(default_factory=list)
    several: bool = False
    single: bool = False  # f computes in float32
    claimed_single: bool = False
    misshapen: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def floats(self) -> list[int]:
        """Return the positions of the inputs that can have a gradient: those of floats."""
        return [i for i, a in enumerate(self.arrays) if a.dtype.kind == "f"]

    @property
    def names(self) -> list[str]:
        """Return what the inputs are called: f's parameters where they have names, else x0, x1."""
        found = positional_names(self.f)
        if found is not None and len(found) == len(self.arrays):
            return found
        return ["x"] if len(self.arrays) == 1 else [f"x{i}" for i in range(len(self.arrays))]

    @property
    def cotangent_name(self) -> str:
        """Return what the cotangent is called: "g", unless an input is called so, or like one of several, "g0"."""
        return "cotangent" if any((name[0] == "g" and name[1:].isdigit()) or name == "g" for name in self.names) else "g"

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # ---- f ----------------------------------------------------------------------------------------------------------------------

    def value(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return all outputs of f as one vector (m,) of float64. Raises DerivationInputError, TypeError."""
        return np.concatenate([np.asarray(part, np.float64).reshape(-1) for part in self.outputs(arrays)])

    def outputs(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        parts, _ = self._parts(self._call(self.f, arrays, "f"))
        self.out_shapes = [part.shape for part in parts]
        return parts

    def _call(self, function: Callable[..., Any], arrays: Sequence[np.ndarray], name: str) -> Any:
        copies = [a.copy() for a in arrays]
        result = self._guarded(function, self.framework.wrapped(copies), name, " when it is called as f(*inputs)")
        self._in_place(copies, arrays, name)
        return result

    def _guarded(self, function: Callable[..., Any], handed: Sequence[Any], name: str, how: str) -> Any:
        try:
            with np.errstate(all="ignore"):
                return function(*handed)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, AssertionError) as error:
            said = " ".join(str(error).split())[:300]
            raise DerivationInputError(f"check_derivation: {name} raises {type(error).__name__}{how}: {said}") from error

    def _in_place(self, copies: Sequence[np.ndarray], arrays: Sequence[np.ndarray], name: str) -> None:
        for i, (copy, a) in enumerate(zip(copies, arrays, strict=True)):
            if copy.dtype.kind != "O" and not np.array_equal(copy, a, equal_nan=copy.dtype.kind == "f"):
                self.note(
                    f"{name} changes input {i} ({self.names[i]}) in place, so whoever calls it loses the input; it should work "
                    "on a copy. It was handed copies here."
                )

    def _parts(self, result: Any) -> tuple[list[np.ndarray], Any]:
        """Return f's outputs as arrays, and the cache beside them where f returns (output, cache)."""
        cache = None
        if isinstance(result, dict):
            result = list(result.values())
        if isinstance(result, (tuple, list)) and self.style == "cache" and len(result) == 2:
            result, cache = result
        self.several = isinstance(result, (tuple, list)) and not _is_numbers(result)
        parts = [self._array(part, "f") for part in (result if self.several else [result])]
        if not parts:
            raise TypeError("check_derivation: f returned nothing to differentiate: an empty list")
        return parts, cache

    def _array(self, value: Any, who: str) -> np.ndarray:
        if value is None:
            raise TypeError(f"check_derivation: {who} returned None; it has to return an array, a number, or several in a tuple")
        array = np.asarray(self.framework.unwrapped(value))
        if array.dtype.kind == "c":
            raise TypeError(
                f"check_derivation: {who} returned complex numbers ({array.dtype}); only real functions are checked: "
                "take real and imaginary part as two outputs"
            )
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"check_derivation: {who} returned {_told(value)}; it has to return an array, a number, or several in a tuple"
            )
        if who == "f" and array.dtype.kind != "f":
            raise TypeError(f"check_derivation: f returned {array.dtype}, which has no derivative; it has to return floats")
        if array.dtype.itemsize < 8 and array.dtype.kind == "f":
            self.single, self.claimed_single = self.single or who == "f", self.claimed_single or who != "f"
        return array

    # ---- its claimed VJP --------------------------------------------------------------------------------------------------------

    def claim(self, arrays: Sequence[np.ndarray], u: np.ndarray) -> list[np.ndarray | None]:
        """Return the claimed gradient of <u, f> in each input with floats; None where vjp returns None. u: (m,).

        An array may have another shape than its input. Raises DerivationInputError, TypeError.
        """
        given = self._claimed(arrays, u)
        return [None if part is None else self._array(part, "vjp") for part in self.one_for_each(given)]

    def _claimed(self, arrays: Sequence[np.ndarray], u: np.ndarray) -> Any:
        if self.vjp is None:
            return self.framework.own_vjp(self.f, [a.copy() for a in arrays], self.cotangents(arrays, u), self.floats)
        copies = [a.copy() for a in arrays]
        inputs = self.framework.wrapped(copies)
        parts = self.cotangents(arrays, u)
        untouched = [part.copy() for part in parts]
        g = self.framework.wrapped(parts)
        one: Any = tuple(g) if self.several else g[0]
        scale = 1.0
        if self.style in ("only", "cache", "output"):
            y = self._guarded(self.f, inputs, "f", " when it is called as f(*inputs)")
        if self.style == "first":
            handed = [one, *inputs]
        elif self.style == "last":
            handed = [*inputs, one]
        elif self.style == "spread":
            handed = [*g, *inputs]
        elif self.style == "output":
            handed = [one, y, *inputs]
        elif self.style == "only":
            handed = [one]
        elif self.style == "cache":
            handed = [one, y[1]]
        elif self.style == "first-floats":
            handed = [one, *(inputs[i] for i in self.floats)]
        else:
            handed, scale = list(inputs), float(u[0])
        result = self._guarded(self.vjp, handed, "vjp", f" when it is called as {STYLES[self.style]}")
        self._in_place(copies, arrays, "vjp")
        if any(not np.array_equal(a, b) for a, b in zip(parts, untouched, strict=True)):
            self.note(
                "vjp changes the cotangent g in place, which others may still need; it should work on a copy. "
                "It was handed copies here."
            )
        return result if scale == 1.0 else self._scaled(result, scale)

    def _scaled(self, result: Any, scale: float) -> Any:
        if isinstance(result, dict):
            return {key: self._scaled(part, scale) for key, part in result.items()}
        if isinstance(result, (tuple, list)):
            return [self._scaled(part, scale) for part in result]
        return None if result is None else scale * self._array(result, "vjp")

    def cotangents(self, arrays: Sequence[np.ndarray], u: np.ndarray) -> list[np.ndarray]:
        """Return the vector u (m,) in pieces of the shapes of f's outputs."""
        if not self.out_shapes:
            self.outputs(arrays)
        ends = np.cumsum([0, *(int(np.prod(s)) for s in self.out_shapes)])
        kind = np.float32 if self.single and self.framework.strict else np.float64
        return [u[a:b].astype(kind).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], self.out_shapes, strict=True)]

    def one_for_each(self, given: Any) -> list[Any]:
        """Return what vjp returned as a list with one entry for every input of floats. Raises DerivationInputError."""
        floats, names = self.floats, self.names
        if isinstance(given, dict):
            unknown = [key for key in given if key not in names and key not in range(len(names))]
            if unknown:
                raise DerivationInputError(
                    f"check_derivation: vjp returned a gradient for {unknown[0]!r}; f's inputs are {', '.join(names)}"
                )
            return [given.get(names[i], given.get(i)) for i in floats]
        if isinstance(given, (tuple, list)):
            if len(floats) == 1 and len(given) != len(self.arrays) and _is_numbers(given):
                return [given]
            if len(given) == len(self.arrays):
                return [given[i] for i in floats]
            if len(given) == len(floats):
                return list(given)
            if self.style == "output" and len(given) == len(self.arrays) + 1:
                return [given[i + 1] for i in floats]
            wanted = (
                f"{len(floats)}"
                if len(floats) == len(self.arrays)
                else f"{len(floats)} or, with None for the others, {len(self.arrays)}"
            )
            raise DerivationInputError(
                f"check_derivation: vjp returned {len(given)} gradients, f has inputs for {wanted}: "
                f"return them in a tuple, in the order of the inputs ({', '.join(names)})"
            )
        if len(floats) == 1:
            return [given]
        raise DerivationInputError(
            f"check_derivation: vjp returned {_told(given)}, f has {len(floats)} inputs with a gradient "
            f"({', '.join(names[i] for i in floats)}): return a tuple of {len(floats)}"
        )


def _told(value: Any) -> str:
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    return (
        f"one array of shape {tuple(shape)}"
        if shape is not None
        else f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
    )


def _is_numbers(values: Sequence[Any]) -> bool:
    """Return whether a list is a vector written as a list of Python numbers."""
    return (
        bool(values) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) and isinstance(values, list)
    )


# ---- which argument is the cotangent --------------------------------------------------------------------------------------------


def positional_names(function: Any) -> list[str] | None:
    """Return the names of a function's positional parameters, without those that have a default; None where they are open."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def styles_of(vjp: Callable[..., Any], f: Callable[..., Any], inputs: int, floats: int, outputs: int) -> list[str]:
    """Return the ways in which vjp may want its arguments, the likeliest first, from how many it takes and what they are called."""
    names, of_f = positional_names(vjp), positional_names(f) or []
    if names is None:
        return ["first", "last"]
    low = [name.lower() for name in names]
    ct = [name.lower() in COTANGENTS and name not in of_f for name in names]
    count = len(names)
    if count == 2 and low[1] in CACHES:
        return ["cache"]
    if count == 1 and (ct[0] or inputs > 1):
        return ["only", *(["none"] if inputs == 1 else [])]
    found = []
    if count == inputs + 1:
        found = ["last", "first"] if ct[-1] and not ct[0] else ["first", "last"]
    if count == inputs + 2 and outputs == 1:
        found = ["output"]
    if outputs > 1 and count == inputs + outputs:
        found.append("spread")
    if count == inputs:
        found = ["first-floats", "none"] if floats + 1 == count and ct[0] else ["none"]
    elif count == floats + 1 and floats < inputs:
        found.append("first-floats")
    return found or ["first", "last"]
