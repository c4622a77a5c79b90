"""Expressions written as text, such as `sum(g * y) / n`, evaluated without Python's own evaluation: only what is listed here."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "sign": np.sign,
    "sigmoid": _sigmoid,
    "softplus": lambda x: np.logaddexp(0, x),
    "relu": lambda x: np.maximum(x, 0),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "dot": np.dot,
    "outer": np.outer,
    "trace": np.trace,
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "transpose": np.transpose,
    "diag": np.diag,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "where": np.where,
    "norm": np.linalg.norm,
}
CONSTANTS = {"pi": np.pi, "e": np.e}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.MatMult: lambda a, b: a @ b,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b,
    ast.Gt: lambda a, b: a > b,
    ast.LtE: lambda a, b: a <= b,
    ast.GtE: lambda a, b: a >= b,
}
LARGEST_POWER = 64


class ExpressionError(ValueError):
    """An expression cannot be read: it uses something that is not listed. The message says what."""


def names_of(text: str) -> list[str]:
    """Return the variables of an expression, in the order in which they appear. Raises ExpressionError."""
    found = [n.id for n in ast.walk(_parsed(text)) if isinstance(n, ast.Name)]
    return [n for n in dict.fromkeys(found) if n not in FUNCTIONS and n not in CONSTANTS]


def evaluated(text: str, values: Mapping[str, Any]) -> np.ndarray:
    """Return the value of an expression for these values of its variables. Raises ExpressionError."""
    with np.errstate(all="ignore"):
        return np.asarray(_value(_parsed(text), values, text))


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text.strip()!r} is no expression: {getattr(error, 'msg', error)}") from error


def _value(node: ast.expr, values: Mapping[str, Any], text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id in values:
            return values[node.id]
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        raise ExpressionError(
            f"{text.strip()!r} has a variable {node.id!r} without a value; there are {', '.join(values) or 'none'}"
        )
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, values, text), _value(node.right, values, text)
        if isinstance(node.op, ast.Pow):
            if np.max(np.abs(right)) > LARGEST_POWER:
                raise ExpressionError(f"{text.strip()!r} has a power above {LARGEST_POWER}")
            return np.asarray(left, np.float64) ** right
        if type(node.op) in _BINARY:
            return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _value(node.operand, values, text)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        return _COMPARE[type(node.ops[0])](_value(node.left, values, text), _value(node.comparators[0], values, text))
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return np.transpose(_value(node.value, values, text))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        return _called(node, values, text)
    raise ExpressionError(
        f"{text.strip()!r} uses {ast.unparse(node)!r}, which is not among what is understood: + - * / @ ^, comparisons, x.T, "
        f"{', '.join(FUNCTIONS)}"
    )


def _called(node: ast.Call, values: Mapping[str, Any], text: str) -> Any:
    assert isinstance(node.func, ast.Name)
    named: dict[str, Any] = {}
    for keyword in node.keywords:
        constant = isinstance(keyword.value, (ast.Constant, ast.UnaryOp))
        if keyword.arg not in ("axis", "keepdims") or not constant:
            raise ExpressionError(f"{text.strip()!r}: {node.func.id} takes axis=number and keepdims=True")
        value = ast.literal_eval(keyword.value)
        named[keyword.arg] = value
    try:
        return FUNCTIONS[node.func.id](*(_value(a, values, text) for a in node.args), **named)
    except (TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise ExpressionError(f"{text.strip()!r}: {node.func.id} fails: {error}") from error
