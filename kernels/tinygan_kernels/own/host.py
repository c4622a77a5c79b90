"""The host's side of a kernel of one's own: a call of the contract becomes a launch, on arrays as a GPU would have them.

Inputs are copied to addresses that are multiples of 256 bytes, as cudaMalloc gives them, and may not be written to; outputs begin
uninitialised, so that the sanitizer finds a number that is read before it is written. What the contract has and most kernels of
one's own leave out is done here: inputs of elementwise kernels are broadcast to the shape of the output, and the operands of a
product are transposed in memory where the launch line does not name `trans_a` and `trans_b`. A Numba kernel, which indexes by
dimensions, is given flat arrays where the contract computes element by element (and for losses and updates), and (rows, channels)
for bias_act and batch_norm. A Triton kernel takes pointers, as CUDA C++ does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygan_kernels import emulator
from tinygan_kernels.contract import Kernel
from tinygan_kernels.cuda.cpp.hosts import geometry
from tinygan_kernels.emulator.execute.memory import unwritten_bytes
from tinygan_kernels.parameters import REQUIRED
from tinygan_kernels.shapes import ACTIVATIONS, ContractError, Shape
from tinygan_kernels.verification.cases import Case

from . import triton_kernel
from .kernel_file import OwnKernel
from .launch_line import CUDA, Evaluated

_FLAGS = ("trans_a", "trans_b")
_SIZES = ("height", "width", "kh", "kw")  # parameters of convolutions that are also sizes: H, W, KH, KW
ALIGNMENT = 256
Arrays = tuple[np.ndarray, ...]
Sizes = Callable[[Kernel, Arrays, Mapping[str, Any]], dict[str, int]]


class OwnHost:
    """Launches a kernel of one's own as a kernel of the contract: called with inputs, outputs and parameters, it fills the outputs.

    fixed: values of parameters that the launch line does not name. sizes: gives the sizes that the launch line may name, for a
    kernel that the contract does not have; `sizes_of` by default. Raises ContractError, when it is made, where the launch line
    leaves out an array or a parameter that nothing else decides, and where the kernel takes another number of arguments.
    """

    def __init__(
        self, own: OwnKernel, kernel: Kernel, fixed: Mapping[str, Any] | None = None, sizes: Sizes | None = None
    ) -> None:
        self.own, self.kernel, self.fixed, self.sizes = own, kernel, dict(fixed or {}), sizes or sizes_of
        self.overwritten: set[str] = set()  # inputs that the kernel has written to
        self.unwritten: tuple[np.ndarray, ...] = ()  # of the last launch: the elements of each output that it did not write
        for name in self.fixed:
            if name not in {p.name for p in kernel.params}:
                given = ", ".join(p.name for p in kernel.params) or "none"
                raise ContractError(f"{kernel.name} has no parameter {name!r}; it has {given}")
        self._check_line()

    def _check_line(self) -> None:
        line, kernel, own = self.own.line, self.kernel, self.own
        missing = [name for name in (*kernel.inputs, *kernel.outputs) if name not in line.names]
        if missing:
            takes = f"{kernel.name} takes {', '.join(kernel.inputs)} and gives {', '.join(kernel.outputs)}"
            raise ContractError(f"{line.where}: the launch of {own.name} does not name {' and '.join(missing)}; {takes}")
        own.require_arguments()
        for parameter in kernel.params:
            named = parameter.name in line.names or parameter.name in self.fixed
            if not named and parameter.default is REQUIRED and parameter.name not in _SIZES:
                fix = f"pass it to the kernel, or fix it with --param {parameter.name}=VALUE"
                raise ContractError(f"{line.where}: the launch of {own.name} does not name {parameter.name}, a parameter of "
                                    f"{kernel.name}; {fix}")  # fmt: skip

    def suited(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Yield the cases that the kernel can be asked for: those that have the values of the parameters that are fixed, then the
        shapes that only others have, with these values in place of theirs.
        """
        found, seen = list(cases), set()
        for case in sorted(found, key=lambda c: not self._fits(c)):
            params = {**case.params, **self.fixed}
            shapes = tuple(a.shape for a in case.inputs)
            if not self._takes(params) or not self._allowed(shapes, params):
                continue
            if self._fits(case):
                seen.add((shapes, case.check))
                yield replace(case, label=self._label(case))
            elif (shapes, case.check) not in seen:
                seen.add((shapes, case.check))
                fixed = " and ".join(f"{name} {value}" for name, value in self.fixed.items())
                yield replace(case, label=f"{case.label}; but {fixed}", params=params)

    def _fits(self, case: Case) -> bool:
        return all(case.params.get(name) == value for name, value in self.fixed.items())

    def _allowed(self, shapes: tuple[Shape, ...], params: Mapping[str, Any]) -> bool:
        try:
            self.kernel.shapes(*shapes, **params)
        except ContractError:
            return False
        return True

    def _label(self, case: Case) -> str:
        """Return a case's label; for operands that are transposed before the kernel sees them, without that word."""
        return case.label if case.kernel != "matmul" or set(_FLAGS) & self.own.line.names else case.label.replace(" transposed", "")

    def _takes(self, params: Mapping[str, Any]) -> bool:
        """Return whether parameters that the launch line does not name have the values that the kernel computes with."""
        free = {p.name: p.default for p in self.kernel.params if p.name not in self.own.line.names and p.name not in self.fixed}
        decided = (*_FLAGS, *_SIZES, "keepdims")  # by the arrays that the kernel is given
        return all(params.get(name, default) == default for name, default in free.items() if name not in decided)

    def __call__(self, *arrays: np.ndarray, **params: Any) -> None:
        """Launch the kernel on NumPy arrays, inputs then outputs. Raises ContractError and what the emulator raises."""
        count = len(self.kernel.inputs)
        inputs, outputs = self._laid_out(arrays[:count], arrays[count:], params), arrays[count:]
        sent = [_aligned(a, read_only=not self.own.numba) for a in inputs]
        received = [self._output(a) for a in outputs]
        self._launch(*self._evaluated((*sent, *received), params))
        for array, result in zip(outputs, received, strict=True):
            array[...] = result
        self.unwritten = tuple(map(_unwritten, received))
        for name, before, after in zip(self.kernel.inputs, inputs, sent, strict=True):
            if not np.array_equal(before, after, equal_nan=True):
                self.overwritten.add(name)

    def arguments_of(self, arrays: Sequence[np.ndarray], params: Mapping[str, Any]) -> tuple[Evaluated, tuple[Any, ...]]:
        """Return the launch of a call (inputs, then outputs), and its arguments as the kernel takes them. Raises ContractError."""
        count = len(self.kernel.inputs)
        return self._evaluated((*self._laid_out(tuple(arrays[:count]), tuple(arrays[count:]), params), *arrays[count:]), params)

    def _evaluated(self, arrays: Arrays, params: Mapping[str, Any]) -> tuple[Evaluated, tuple[Any, ...]]:
        """Return the launch and its arguments. arrays: inputs in the form that the kernel takes, then outputs."""
        names = (*self.kernel.inputs, *self.kernel.outputs)
        passed = arrays if self.own.language == CUDA else map(self._in_pythons_form, names, arrays)
        values: dict[str, Any] = dict(zip(names, passed, strict=True))
        values |= {p.name: _number(params.get(p.name, p.default)) for p in self.kernel.params}
        turned = self._turned(params)
        sizes = self.sizes(self.kernel, arrays, {n: v for n, v in params.items() if n not in turned})
        line = self.own.line.evaluated(values | sizes)
        return line, tuple(self._argument(i, value) for i, value in enumerate(line.arguments))

    def _launch(self, line: Evaluated, arguments: tuple[Any, ...]) -> None:
        """Launch the kernel. A grid without blocks is left out, as in host code."""
        if self.own.triton:
            triton_kernel.launch(self.own.function, line, arguments)
            return
        if math.prod(line.grid) == 0:
            return
        if self.own.numba:
            emulator.launch(self.own.function, line.grid, line.block, *arguments, shared_mem=line.shared)
        else:
            self.own.function(line.grid, line.block, arguments, shared_mem=line.shared)

    def _laid_out(self, inputs: Arrays, outputs: Arrays, params: Mapping[str, Any]) -> list[np.ndarray]:
        """Return the inputs in the form in which the kernel takes them."""
        if self.kernel.elementwise and not self.kernel.in_place:
            return [np.ascontiguousarray(np.broadcast_to(a, outputs[0].shape)) for a in inputs]
        if self.kernel.name != "matmul":
            return [np.ascontiguousarray(a).reshape(a.shape) for a in inputs]
        turned = self._turned(params)
        return [np.ascontiguousarray(a.T if flag in turned else a) for a, flag in zip(inputs, _FLAGS, strict=True)]

    def _turned(self, params: Mapping[str, Any]) -> set[str]:
        """Return the flags of a product whose operand is transposed here, as the launch line does not name them."""
        return {flag for flag in _FLAGS if params.get(flag, False) and flag not in self.own.line.names}

    def _in_pythons_form(self, name: str, array: np.ndarray) -> Any:
        """Return an argument for a Numba or a Triton kernel. A rate is a number.

        The indices of Numba kernels go by dimensions: arrays are flat, or have rows and channels. Triton takes them as pointers.
        """
        kernel = self.kernel
        if name == "rate":
            return array.reshape(-1)[0] if self.own.numba else array.item()
        if self.own.triton:
            return array
        if kernel.elementwise or kernel.in_place or kernel.name == "bce_logits":
            return array.reshape(-1)
        if kernel.name.startswith(("bias_act", "batch_norm")) and array.ndim > 1:
            return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
        return array

    def _output(self, array: np.ndarray) -> np.ndarray:
        """Return the array that the kernel writes: what it held before, for an update in place, else uninitialised memory."""
        return _aligned(array, read_only=False) if self.kernel.in_place else emulator.empty(array.shape, array.dtype)

    def _argument(self, number: int, value: Any) -> Any:
        """Return an argument in the type that the kernel declares. Raises ContractError where it is of another kind."""
        if self.own.language != CUDA:
            return value
        variable = self.own.function.translated.entry.params[number]
        declared = self.own.parameters[number] if self.own.parameters else ""
        if isinstance(value, np.ndarray):
            if variable.size == 8 and variable.type[0] != "f" and ("*" in declared or "[" in declared or not declared):
                return value
            if value.size == 1:
                return self._scalar(number, value.reshape(-1)[0].item(), variable, declared)
            raise self._mismatch(number, "an array", declared or f"a number of {variable.size} bytes")
        if isinstance(value, tuple) or "*" in declared or "[" in declared:
            raise self._mismatch(number, "a tuple" if isinstance(value, tuple) else f"the number {value!r}", declared or "a number")
        return self._scalar(number, value, variable, declared)

    def _scalar(self, number: int, value: Any, variable: Any, declared: str) -> np.generic:
        """Return a number as a NumPy scalar of the declared type."""
        if variable.type[0] == "f":
            return np.dtype(f"f{variable.size}").type(value)
        if value != int(value):
            raise self._mismatch(number, f"the number {value!r}", declared or "a whole number")
        unsigned = "unsigned" in declared or "size_t" in declared or variable.size == 1
        try:
            return np.dtype(f"{'u' if unsigned else 'i'}{variable.size}").type(int(value))
        except OverflowError:
            raise self._mismatch(number, f"the number {value!r}", declared or f"a number of {variable.size} bytes") from None

    def _mismatch(self, number: int, given: str, declared: str) -> ContractError:
        text = self.own.line.argument_texts[number]
        advice = "give the arguments in the kernel's order, in the launch line or with --signature"
        return ContractError(f"{self.own.line.where}: argument {number} of {self.own.name} is {text}, {given}, and the kernel "
                             f"declares {declared}; {advice}")  # fmt: skip


def _unwritten(array: np.ndarray) -> np.ndarray:
    """Return a mask of the elements that nothing has written."""
    marks = unwritten_bytes(array)
    if marks is None:
        return np.zeros(array.shape, bool)
    return np.asarray(marks.reshape(*array.shape, array.itemsize).all(axis=-1))


def _aligned(array: np.ndarray, read_only: bool) -> np.ndarray:
    """Return a copy at an address that is a multiple of ALIGNMENT bytes."""
    raw = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    copy = np.ndarray(array.shape, array.dtype, raw, -raw.ctypes.data % ALIGNMENT)
    copy[...] = array
    copy.flags.writeable = not read_only
    return copy


def _number(value: Any) -> Any:
    """Return a parameter as a number, as CUDA kernels take it: an activation by its place in ACTIVATIONS, True as 1."""
    if isinstance(value, str) and value in ACTIVATIONS:
        return ACTIVATIONS.index(value)
    return int(value) if isinstance(value, bool) else value


def sizes_of(kernel: Kernel, arrays: Arrays, params: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that a launch line may name, for a call with these arrays (inputs, then outputs)."""
    shapes = [a.shape for a in arrays]
    if kernel.name == "matmul":
        (m, n), k = shapes[2], shapes[0][0 if params.get("trans_a") else 1]
        return {"M": m, "N": n, "K": k}
    if kernel.name.startswith("conv2d"):
        roles = {"conv2d": (0, 1, 2), "conv2d_dx": (2, 1, 0), "conv2d_dw": (0, 2, 1)}[kernel.name]
        x, w, y = (arrays[role] for role in roles)
        found = geometry(x, w, y, params["stride"], params["pad"])
        return {name: int(value) for name, value in found._asdict().items() if name not in ("stride", "pad")}
    first = arrays[0]
    sizes = {"n": arrays[len(kernel.inputs)].size if kernel.elementwise else first.size}
    if kernel.name.startswith(("bias_act", "batch_norm")):
        sizes |= {"channels": first.shape[-1], "rows": first.size // first.shape[-1] if first.shape[-1] else 0}
    return sizes
