"""Write tinygan/engine/ops/__init__.pyi, which tells type checkers how users call the ops: `python -m benchmarks.docs.stubs`

An op's function takes tensors, and users may hand in numbers and arrays in their place (tinygan/engine/ops/front.py). So the stub
has the signature of every op with `Operand` where its function says `Tensor`. A test fails when the file is out of date.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygan import ops

PATH = Path(inspect.getfile(ops)).with_suffix(".pyi")
HEADER = '''"""How users call the ops, for type checkers: with plain data too where the functions beside this file take a tensor.

Written by `python -m benchmarks.docs.stubs`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tinygan.engine.operations import Axes, Plain
from tinygan.engine.tensor import BackendMismatch as BackendMismatch
from tinygan.engine.tensor import Tensor

from .door import as_tensor as as_tensor
from .door import launch as launch

Operand = Tensor | Plain

__all__: list[str]
'''


def signature(op: Any) -> str:
    """Return the signature of an op as users call it."""
    found, parts = inspect.signature(op), []
    for p in found.parameters.values():
        kind = re.sub(r"\bTensor( \| Number)?", "Operand", p.annotation)
        default = json.dumps(p.default) if isinstance(p.default, str) else repr(p.default)  # for the quotes of this project
        parts.append(f"{p.name}: {kind}" + ("" if p.default is p.empty else f" = {default}"))
    return f"({', '.join(parts)}) -> {found.return_annotation}"


def lines() -> Iterator[str]:
    """Yield the lines of the stub: the ops by the modules that define them, in the order in which `ops.__all__` has them."""
    yield HEADER.rstrip("\n")
    module = ""
    for name in ops.__all__:
        op = getattr(ops, name)
        if hasattr(op, "__wrapped__"):  # as `front` makes it; the others are imported by the header
            if op.__module__ != module:
                module = op.__module__
                yield f"\n# ---- {module.rpartition('.')[2]}\n"
            yield f"def {name}{signature(op)}: ..."


def text() -> str:
    """Return the whole file."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
    print(f"written: {PATH.name}")
