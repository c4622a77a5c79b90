"""A network as a table: its layers in order, the shape of what each gives, and how many parameters it learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygan.engine.conversion import described, whole_number
from tinygan.engine.elsewhere import answers_keywords
from tinygan.engine.tensor import Tensor

from .tree import Layer, Sequential, as_input, count_parameters

Row = tuple[str, str, str]


@answers_keywords
def summary(layer: Layer, sample: int | tuple[int, ...] | Tensor | np.ndarray) -> str:
    """Return a table of a network: each layer, the shape that it gives for a batch of m samples, its number of parameters.

    sample: the shape of one sample, such as (28, 28, 1), or its length, such as that of z; or a batch itself. The layers inside a
    Sequential have rows of their own, those inside another layer are part of its row. The network is run once, in eval mode, on
    zeros or on the batch, and is left as it was. Raises TypeError, ValueError where a layer does not take what it gets, naming it.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"summary: layer is {described(layer)}, it has to be a layer or a network")
    with _in_eval(layer):
        rows: list[Row] = []
        x = _batch(layer, sample)
        _walk(layer, "", x, rows)
    total = f"{count_parameters(layer):,}"
    rows = [("layer", "output", "parameters"), ("input", _shape(x), ""), *rows, ("total", "", total)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}".rstrip() for name, shape, count in rows]
    rule = "-" * (sum(widths) + 4)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _batch(layer: Layer, sample: Any) -> Tensor:
    """Return the batch to run: the given one, or two zeros of the sample's shape."""
    if isinstance(sample, (Tensor, np.ndarray)):
        x = as_input(layer, sample)
        if not x.ndim:
            raise ValueError("summary: sample is a single number; pass the shape of one sample, such as 32 or (28, 28, 1)")
        return x
    sides = sample if isinstance(sample, (tuple, list)) else (sample,)
    shape = tuple(whole_number(side, "summary: a side of sample", 1) for side in sides)
    return as_input(layer, np.zeros((2, *shape), np.float32))


def _walk(layer: Any, path: str, x: Tensor, rows: list[Row]) -> Tensor:
    """Run a layer and add its rows. Returns what it gives."""
    name = type(layer).__name__ if isinstance(layer, Layer) else getattr(layer, "__name__", type(layer).__name__)
    title = f"{path} {name}".strip()
    if type(layer) is Sequential and len(layer):
        for i, inner in enumerate(layer):
            x = _walk(inner, f"{path}.{i}" if path else str(i), x, rows)
        return x
    try:
        y = layer(x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"summary: layer {title} does not take {_shape(x)}: {error}") from error
    if not isinstance(y, Tensor):
        raise TypeError(f"summary: layer {title} gives {described(y)}, it has to give a Tensor")
    rows.append((title, _shape(y), f"{count_parameters(layer):,}" if isinstance(layer, Layer) else "0"))
    return y


def _shape(x: Tensor) -> str:
    """Return the shape of a batch, with m for the number of samples."""
    return f"({', '.join(['m', *map(str, x.shape[1:])])})" if x.ndim else "()"


@contextmanager
def _in_eval(layer: Layer) -> Iterator[None]:
    """Put a network into eval mode, and afterwards every layer of it into the mode that it had."""
    modes = [(inner, inner.training) for inner in _all_layers(layer, set())]
    layer.eval()
    try:
        yield
    finally:
        for inner, training in modes:
            inner.training = training


def _all_layers(layer: Layer, seen: set[int]) -> Iterator[Layer]:
    if id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        for inner in layer.inner_layers():
            yield from _all_layers(inner, seen)
