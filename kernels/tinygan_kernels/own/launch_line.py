"""The launch line of a kernel: one line, in a comment of its file, that says how the kernel is launched.

It is written as host code writes a launch. In CUDA C++ and PTX:

    // launch: mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 32)>>>(a, b, c, M, N, K)

and in Python, for Numba CUDA and for Triton:

    # launch: mm[(math.ceil(N / 16), math.ceil(M / 16)), (16, 16)](a, b, c)
    # launch: mm[(triton.cdiv(M, BM), triton.cdiv(N, 32))](a, b, c, M, N, K, BM=32, num_warps=4)

Names are those of the kernel in the contract: its arrays (a, b, c), its parameters (stride, slope), and sizes (M, N, K). Grid and
block are one to three whole numbers each; a third number after them is the bytes of dynamic shared memory (in Numba the fourth, as
the third is the stream). Triton has a grid alone, which may name the kernel's meta-parameters, also those that its autotuner
chooses, or be a lambda of them as in host code: lambda META: (triton.cdiv(n, META["BLOCK"]),). Expressions are read here and never
handed to Python's eval.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygan_kernels.shapes import ContractError

_LINE = re.compile(r"^[^\w\"']*launch:\s*(.+?)\s*(?:\*/)?\s*$")
_CUDA = re.compile(r"^(?P<kernel>[\w:]+(?:<.*?>)?)\s*<<<(?P<configuration>.*)>>>\s*(?P<arguments>\(.*\))\s*;?$")
CUDA, NUMBA, TRITON = "cuda", "numba", "triton"
"""The languages of kernels, whose launch lines differ. CUDA stands for CUDA C++ and PTX."""
_EXAMPLES = {
    CUDA: "mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 32)>>>(a, b, c, M, N, K)",
    NUMBA: "mm[(math.ceil(N / 16), math.ceil(M / 16)), (16, 16)](a, b, c)",
    TRITON: "mm[(triton.cdiv(M, 32), triton.cdiv(N, 32))](a, b, c, M, N, K, BLOCK=32, num_warps=4)",
}
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # of ast.parse; the last three for what no parser takes
_NO_LAMBDA = ("a lambda in the grid takes the meta-parameters alone, and names one by a string: "
              "lambda META: (triton.cdiv(n, META['BLOCK']),)")  # fmt: skip


def example(language: str = CUDA) -> str:
    """Return an example of a launch line's text in a language."""
    return _EXAMPLES[language]


def lines_in(text: str) -> dict[int, str]:
    """Return the launch lines of a file's text, {line number: what stands behind `launch:`}."""
    found = ((number, _LINE.match(line)) for number, line in enumerate(lines_of(text), 1))
    return {number: match[1] for number, match in found if match}


def lines_of(text: str) -> list[str]:
    """Return the lines of a source file as compilers count them: str.splitlines ends one at a form feed or U+2028 too."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


@dataclass(frozen=True)
class LaunchLine:
    """A launch line, parsed. where: what messages call it. language: CUDA, NUMBA or TRITON; `/` divides as it does there.

    configuration: the expressions of grid, block and perhaps more, of Triton the grid alone; arguments: those of the arguments;
    keywords: of Triton, the arguments, meta-parameters and options that are given by name.
    """

    kernel: str
    configuration: tuple[ast.expr, ...]
    arguments: tuple[ast.expr, ...]
    where: str
    language: str
    keywords: tuple[tuple[str, ast.expr], ...] = ()

    @property
    def names(self) -> set[str]:
        """The names that stand in the line."""
        parts = (*self.configuration, *self.arguments, *(value for _, value in self.keywords))
        nodes = (node for part in parts for node in ast.walk(part))
        return {node.id for node in nodes if isinstance(node, ast.Name)}

    @property
    def argument_texts(self) -> tuple[str, ...]:
        """The arguments as they are written, for messages."""
        return tuple(map(ast.unparse, self.arguments))

    def with_signature(self, signature: str) -> LaunchLine:
        """Return the line with other arguments: expressions with commas between them, or names with blanks between them.

        Of Triton, those that the line gives by name stay as they are.

        Raises ContractError where the text is neither.
        """
        text = signature.strip().removeprefix("(").removesuffix(")")
        where = f"the signature {signature!r}"
        return replace(self, arguments=_expressions(text if "," in text else ", ".join(text.split()), where))

    def evaluated(self, values: Mapping[str, Any]) -> Evaluated:
        """Return grid, block, shared memory and arguments for one call. values: arrays, parameters and sizes by their names.

        Raises ContractError for a name that `values` lacks, and for sizes that are no whole numbers.
        """
        known = _Evaluator(values, self.where, self.language)
        arguments = tuple(known.value(part) for part in self.arguments)
        if self.language == TRITON:
            named = {name: known.value(part) for name, part in self.keywords}
            return Evaluated((), (), 0, arguments, named, lambda meta: self.grid(values, meta))
        parts = [known.value(part) for part in self.configuration]
        grid, block = self._sizes(parts[0], "grid"), self._sizes(parts[1], "block")
        rest = parts[3:] if self.language == NUMBA else parts[2:]
        shared = self._sizes(rest[0], "dynamic shared memory")[0] if rest else 0
        return Evaluated(grid, block, shared, arguments)

    def grid(self, values: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the grid of a Triton kernel. values: as for `evaluated`; meta: the kernel's arguments by name, and its options.

        Raises ContractError.
        """
        (expression,) = self.configuration
        if isinstance(expression, ast.Lambda):
            inner = _Evaluator({**values, expression.args.args[0].arg: _Meta(meta)}, self.where, self.language)
            return self._sizes(inner.value(expression.body), "grid")
        numbers = {name: value for name, value in meta.items() if isinstance(value, (int, float))}
        return self._sizes(_Evaluator({**numbers, **values}, self.where, self.language).value(expression), "grid")

    def _sizes(self, value: Any, what: str) -> tuple[int, ...]:
        """Return one to three sizes. Raises ContractError."""
        given = value if isinstance(value, tuple) else (value,)
        if not 1 <= len(given) <= 3 or not all(map(_is_size, given)):
            hint = "; in Python `/` gives fractions: write math.ceil(x / y) or (x + y - 1) // y" if self.language != CUDA else ""
            raise ContractError(f"{self.where}: the {what} comes to {value!r}, it has to be one to three whole numbers{hint}")
        return tuple(map(int, given))


@dataclass(frozen=True)
class Evaluated:
    """A launch line for one call: sizes, and the arguments as arrays and Python numbers.

    Of Triton, grid and block are (), as its compiler decides what a block is: grid_of gives the grid when it is handed the kernel's
    meta-parameters. named: the arguments and options that are given by name.
    """

    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    arguments: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)
    grid_of: Callable[[Mapping[str, Any]], tuple[int, ...]] | None = None


def parse(text: str, where: str, language: str) -> LaunchLine:
    """Return the launch line that a text stands for. Raises ContractError, with an example, where it is none.

    where: what messages call the line. language: CUDA, NUMBA or TRITON.
    """
    if language == TRITON:
        line = _triton_line(text, where)
        if line is None:
            raise ContractError(f"{where}: {text!r} is no launch of a Triton kernel; write it such as {example(TRITON)}")
        return line
    parts = _numba_parts(text) if language == NUMBA else _cuda_parts(text)
    if parts is None or len(parts[1]) < 2 or len(parts[1]) > 4:
        raise ContractError(f"{where}: {text!r} is no launch; write it such as {example(language)}")
    kernel, configuration, arguments = parts
    return LaunchLine(kernel, configuration, arguments, where, language)


def kernel_in(text: str) -> str:
    """Return the name of the kernel that a launch line in Python's form launches, "" where it is none."""
    found = _python_call(text)
    return found[0] if found else ""


Parts = tuple[str, tuple[ast.expr, ...], tuple[ast.expr, ...]]


def _cuda_parts(text: str) -> Parts | None:
    """Return (kernel, configuration, arguments) of `kernel<<<grid, block>>>(arguments)`; None if it is none."""
    match = _CUDA.match(text.strip())
    if not match:
        return None
    try:
        return match["kernel"], _expressions(match["configuration"], text), _expressions(match["arguments"][1:-1], text)
    except ContractError:
        return None


def _python_call(text: str) -> tuple[str, ast.expr, ast.Call] | None:
    """Return (kernel, what stands in brackets, the call) of `kernel[...](...)`; None if it is none."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except _UNREADABLE:
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Subscript) or not isinstance(call.func.value, ast.Name):
        return None
    return call.func.value.id, call.func.slice, call


def _numba_parts(text: str) -> Parts | None:
    """Return (kernel, configuration, arguments) of `kernel[grid, block](arguments)`; None if it is none."""
    found = _python_call(text)
    if found is None or found[2].keywords or not isinstance(found[1], ast.Tuple):
        return None
    return found[0], tuple(found[1].elts), tuple(found[2].args)


def _triton_line(text: str, where: str) -> LaunchLine | None:
    """Return the line of `kernel[grid](arguments, NAME=value)`; None if it is none. Raises ContractError for a wrong lambda."""
    found = _python_call(text)
    if found is None or any(isinstance(a, ast.Starred) for a in found[2].args):
        return None
    name, grid, call = found
    keywords = tuple((k.arg, k.value) for k in call.keywords if k.arg is not None)
    if len(keywords) < len(call.keywords):  # **options
        return None
    if isinstance(grid, ast.Lambda):
        taken = grid.args
        if len(taken.args) != 1 or taken.posonlyargs or taken.kwonlyargs or taken.vararg or taken.kwarg or taken.defaults:
            raise ContractError(f"{where}: {_NO_LAMBDA}")
    return LaunchLine(name, (grid,), tuple(call.args), where, TRITON, keywords)


def _expressions(text: str, where: str) -> tuple[ast.expr, ...]:
    """Return the expressions of a list with commas. C's casts become calls, the f of a float is left out. Raises ContractError."""
    plain = re.sub(r"(\d\.\d*|\.\d+)[fF]\b", r"\1", _with_casts_called(text))
    try:
        tree = ast.parse(f"({plain},)" if plain.strip() else "()", mode="eval").body
    except _UNREADABLE:
        raise ContractError(f"{where}: {text!r} is not a list of expressions with commas between them") from None
    assert isinstance(tree, ast.Tuple)
    return tuple(tree.elts)


_CAST = re.compile(r"(?<!\w)\(\s*(unsigned(?:\s+int)?|int|size_t|float|double|long(?:\s+long)?)\s*\)\s*")


def _with_casts_called(text: str) -> str:
    """Return an expression of C with casts as calls: float(n) / 2 for (float)n / 2, and int(...) for whole numbers of any type."""
    while casts := list(_CAST.finditer(text)):
        cast = casts[-1]
        end = _end_of_operand(text, cast.end())
        if end == cast.end():
            break
        kind = "float" if cast[1] in ("float", "double") else "int"
        text = f"{text[: cast.start()]}{kind}({text[cast.end() : end]}){text[end:]}"
    return text


def _end_of_operand(text: str, at: int) -> int:
    """Return where what a cast applies to ends: a name, a number or what stands in brackets, with the brackets behind it."""
    at += len(text[at:]) - len(text[at:].lstrip("+-"))
    depth = 0
    while at < len(text) and (depth or text[at].isalnum() or text[at] in "_.(["):
        depth += (text[at] in "([") - (text[at] in ")]")
        at += 1
    return at


# ---- the value of an expression --------------------------------------------------------------------------------------------------


def _is_size(value: Any) -> bool:
    """Return whether a value is a whole number of at least 0, as an int or as a float."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and 0 <= value < 2**63 and value == int(value)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _tuple(*sizes: int) -> tuple[int, ...]:
    return sizes


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dim3": _tuple, "ceil_div": _ceil_div, "cdiv": _ceil_div, "min": min, "max": max, "abs": abs, "int": int, "float": float,
    "ceil": math.ceil, "floor": math.floor, "sqrt": math.sqrt, "ceilf": math.ceil, "len": len,
    "int32": np.int32, "int64": np.int64, "float32": np.float32, "float64": np.float64,
}  # fmt: skip
_MODULES = ("math", "np", "numpy", "std", "triton", "tl")
_BYTES = {"float": 4, "double": 8, "int": 4, "unsigned": 4, "char": 1, "half": 2, "__half": 2, "float4": 16, "float2": 8}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.Div: operator.truediv,
}  # fmt: skip


@dataclass(frozen=True)
class _Meta:
    """What a lambda in the grid of a Triton kernel is called with: the kernel's arguments by name."""

    values: Mapping[str, Any]


class _Evaluator:
    """Computes the expressions of a launch line: numbers, names, arithmetic, some functions, shapes of arrays; nothing else."""

    def __init__(self, values: Mapping[str, Any], where: str, language: str) -> None:
        self.values, self.where, self.language = values, where, language

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression. Raises ContractError for what is not known here."""
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.Tuple):
            return tuple(map(self.value, node.elts))
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return -self.value(node.operand) if isinstance(node.op, ast.USub) else self.value(node.operand)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node)
        if isinstance(node, ast.Call) and not node.keywords:
            return self._call(node)
        if isinstance(node, ast.Attribute) and node.attr in ("shape", "size", "ndim", "strides"):
            return getattr(self._array(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            named = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            return self._meta(node) if named else self._item(node)
        if self.language == TRITON and isinstance(node, ast.Constant) and isinstance(node.value, (str, type(None))):
            return node.value  # a meta-parameter such as ACTIVATION="leaky_relu", or no array for an optional pointer
        raise ContractError(f"{self.where}: {ast.unparse(node)!r} is not understood; it may use numbers, names, + - * / %, "
                            f"{', '.join(_FUNCTIONS)}, sizeof, and an array's shape")  # fmt: skip

    def _name(self, name: str) -> Any:
        if name not in self.values:
            raise ContractError(f"{self.where} names {name}, which is not known here; known are {', '.join(self.values)}")
        return self.values[name]

    def _array(self, node: ast.expr) -> np.ndarray:
        value = self.value(node)
        if not isinstance(value, np.ndarray):
            raise ContractError(f"{self.where}: {ast.unparse(node)} is no array")
        return value

    def _item(self, node: ast.Subscript) -> Any:
        value, index = self.value(node.value), self.value(node.slice)
        if not isinstance(value, tuple) or type(index) is not int or not -len(value) <= index < len(value):
            raise ContractError(f"{self.where}: {ast.unparse(node)} is not a size of an array of that shape")
        return value[index]

    def _meta(self, node: ast.Subscript) -> Any:
        """Return a meta-parameter that a lambda in the grid names."""
        assert isinstance(node.slice, ast.Constant)
        meta, name = self.value(node.value), str(node.slice.value)
        if not isinstance(meta, _Meta):
            raise ContractError(f"{self.where}: {ast.unparse(node)}: {_NO_LAMBDA}")
        if not isinstance(meta.values.get(name), (int, float)):
            raise ContractError(f"{self.where}: {ast.unparse(node)} is no number that the launch gives; give it such as {name}=32")
        return meta.values[name]

    def _stride(self, node: ast.Call) -> int:
        """Return array.stride(axis) as PyTorch has it, in elements."""
        assert isinstance(node.func, ast.Attribute)
        array, axis = self._array(node.func.value), self.value(node.args[0]) if len(node.args) == 1 else None
        if type(axis) is not int or not -array.ndim <= axis < array.ndim:
            raise ContractError(f"{self.where}: {ast.unparse(node)} is no stride of an array with {array.ndim} axes")
        return array.strides[axis] // array.itemsize

    def _arithmetic(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray) or isinstance(left, tuple) or isinstance(right, tuple):
            raise ContractError(f"{self.where}: {ast.unparse(node)} computes with an array; arrays are passed whole")
        try:
            whole = isinstance(left, int) and isinstance(right, int)
            if self.language == CUDA and whole and isinstance(node.op, (ast.Div, ast.Mod)):
                quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)  # towards 0, as in C
                return quotient if isinstance(node.op, ast.Div) else left - quotient * right
            return _OPERATORS[type(node.op)](left, right)
        except (KeyError, ArithmeticError, TypeError, ValueError):
            raise ContractError(f"{self.where}: {ast.unparse(node)} cannot be computed (with {left!r} and {right!r})") from None

    def _call(self, node: ast.Call) -> Any:
        name = node.func
        if isinstance(name, ast.Attribute) and name.attr == "stride":
            return self._stride(node)
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id in _MODULES:
            name = ast.Name(name.attr)
        if not isinstance(name, ast.Name) or (name.id not in _FUNCTIONS and name.id != "sizeof"):
            raise ContractError(f"{self.where}: {ast.unparse(node.func)} is no function that is known here; "
                                f"known are {', '.join(_FUNCTIONS)} and sizeof")  # fmt: skip
        if name.id == "sizeof":
            return self._size_of(node)
        try:
            return _FUNCTIONS[name.id](*map(self.value, node.args))
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ContractError(f"{self.where}: {ast.unparse(node)} cannot be computed ({error})") from None

    def _size_of(self, node: ast.Call) -> int:
        kind = node.args[0] if len(node.args) == 1 else None
        if not isinstance(kind, ast.Name) or kind.id not in _BYTES:
            raise ContractError(f"{self.where}: {ast.unparse(node)} is not known; sizeof takes {', '.join(_BYTES)}")
        return _BYTES[kind.id]
