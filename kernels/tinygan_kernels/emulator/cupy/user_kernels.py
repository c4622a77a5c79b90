"""ElementwiseKernel and ReductionKernel of `emulator.cupy`: CUDA C++ written around a user's expression, as CuPy does.

The interface is that of CuPy's documentation ("User-Defined Kernels"). Inputs are broadcast on the host, so that a kernel sees
contiguous arrays; a reduction is done by one thread for each result, from the first element to the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.host.rawmodule import RawKernel
from tinygan_kernels.emulator.host.script_order import ORDER

from .arrays import plain, wrapped
from .memory import uses_the_pool
from .streams import Stream, get_current_stream, in_stream

BLOCK = 128
C_TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long", "uint8": "unsigned char",
    "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long", "float16": "__half", "float32": "float",
    "float64": "double", "complex64": "complex<float>", "complex128": "complex<double>",
}  # fmt: skip
_HEAD = """#include <cstdint>
{includes}
template <typename T, int N> struct CArray {{
    T* data; long long count; long long extents[N];
    static const int ndim = N;
    __device__ T& operator[](long long i) const {{ return data[i]; }}
    template <typename I, int K> __device__ T& operator[](const I (&index)[K]) const {{
        static_assert(K == N, "an index of an array has as many numbers as the array has dimensions");
        long long at = 0;
        for (int k = 0; k < N; ++k) at = at * extents[k] + index[k];
        return data[at];
    }}
    __device__ const long long* shape() const {{ return extents; }}
    __device__ long long size() const {{ return count; }}
}};
struct CIndexer {{ long long count; __device__ long long size() const {{ return count; }} }};
"""


class Parameter(NamedTuple):
    """A declared parameter: its type (a dtype's name, or a letter that stands for one), its name, whether it is raw."""

    kind: str
    name: str
    raw: bool


def declared(text: str) -> list[Parameter]:
    """Return the parameters of a declaration such as "float32 x, raw T y". Raises ValueError for what is not one."""
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(raw\s+)?(\w+)\s+(\w+)", part)
        if not match or (match[2] not in C_TYPES and not re.fullmatch(r"[A-Z]\w*", match[2])):
            raise ValueError(f"{part!r} is no parameter: write a type (float32, or a letter that stands for any) and a name")
        found.append(Parameter(match[2], match[3], bool(match[1])))
    return found


def _axes(axis: int | tuple[int, ...] | None, dimensions: int) -> tuple[int, ...]:
    """Return the axes that `axis` means, counted from 0. Raises ValueError for one that there is not."""
    given = range(dimensions) if axis is None else (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    if any(not -dimensions <= a < dimensions for a in given) or len({a % dimensions for a in given}) < len(given):
        raise ValueError(f"axis is {axis}, for an array of {dimensions} dimensions")
    return tuple(a % dimensions for a in given)


def _is_python_number(value) -> bool:
    return isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic)


class _UserKernel:
    """What both kinds of kernel share: declared parameters, types that follow from the arguments, compiled variants."""

    def __init__(self, in_params: str, out_params: str, name: str, preamble: str, options: tuple[str, ...]):
        self.inputs, self.outputs = declared(in_params), declared(out_params)
        self.name, self.preamble, self.options = name, preamble, tuple(options)
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"name is that of a C function, not {name!r}")
        self._kernels: dict[tuple, RawKernel] = {}

    def _types(self, arrays: list[np.ndarray], given: tuple) -> dict[str, np.dtype]:
        """Return the dtype of each letter. Raises TypeError where arguments disagree with the declaration or with one another."""
        types: dict[str, np.dtype] = {}
        pairs = list(zip([*self.inputs, *self.outputs], arrays, given, strict=False))
        for parameter, array, value in pairs:
            if not _is_python_number(value):
                want = np.dtype(parameter.kind) if parameter.kind in C_TYPES else types.setdefault(parameter.kind, array.dtype)
                if array.dtype != want:
                    raise TypeError(f"kernel {self.name}: {parameter.name} is {array.dtype}, but {parameter.kind} is {want}")
        of_arrays = set(types)
        for parameter, array, value in pairs:  # where no array says what a letter is, Python numbers do
            letter = parameter.kind
            if _is_python_number(value) and letter not in C_TYPES and letter not in of_arrays:
                types[letter] = np.result_type(types.get(letter, array.dtype), array.dtype)
        for parameter, array, value in pairs:
            dtype = np.dtype(parameter.kind) if parameter.kind in C_TYPES else types[parameter.kind]
            if _is_python_number(value) and not np.can_cast(array.dtype, dtype, "same_kind"):
                raise TypeError(f"kernel {self.name}: {parameter.name} is {value}, but {parameter.kind} is {dtype}")
        for parameter in (*self.inputs, *self.outputs):
            if parameter.kind not in C_TYPES and parameter.kind not in types:
                raise TypeError(f"kernel {self.name}: no argument says what type {parameter.kind} is")
        return types

    def _dtype(self, parameter: Parameter, types: dict[str, np.dtype]) -> np.dtype:
        return np.dtype(parameter.kind) if parameter.kind in C_TYPES else types[parameter.kind]

    def _whole(self, parameter: Parameter, types: dict[str, np.dtype], dimensions: dict[str, int]) -> str:
        """Return the declaration of a raw parameter, as a kernel begins with it."""
        c, name, n = C_TYPES[str(self._dtype(parameter, types))], parameter.name, dimensions[parameter.name]
        extents = ", ".join(f"_extent_{k}_of_{name}" for k in range(n))
        return f"CArray<{c}, {n}> {name} = {{_at_{name}, _size_of_{name}, {{{extents}}}}};"

    def _dimensions(self, arrays: Sequence[np.ndarray]) -> dict[str, int]:
        """Return how many dimensions the raw parameters have, of these arrays of all parameters. A number has one."""
        every = zip((*self.inputs, *self.outputs), arrays, strict=False)
        return {p.name: max(a.ndim, 1) for p, a in every if p.raw}

    def _kernel(self, types: dict[str, np.dtype], body: str, dimensions: dict[str, int]) -> RawKernel:
        """Return the compiled kernel for these types. body: what stands between its braces; dimensions: of raw parameters."""
        key = (tuple(sorted((k, str(v)) for k, v in types.items())), body)
        if key not in self._kernels:
            dtypes = [self._dtype(p, types) for p in (*self.inputs, *self.outputs)]
            includes = "#include <cuda_fp16.h>\n" * (np.dtype("f2") in dtypes)
            includes += "#include <complex>\nusing std::complex;\n" * any(d.kind == "c" for d in dtypes)
            aliases = "".join(f"typedef {C_TYPES[str(dtype)]} {letter};\n" for letter, dtype in types.items())
            pointers = ""
            for p, d in zip((*self.inputs, *self.outputs), dtypes, strict=True):
                pointers += f"{C_TYPES[str(d)]}* _at_{p.name}, long long _size_of_{p.name}, "
                pointers += "".join(f"long long _extent_{k}_of_{p.name}, " for k in range(dimensions.get(p.name, 0)))
            head = _HEAD.format(includes=includes)
            code = (f'{head}{aliases}{self.preamble}\nextern "C" __global__ void {self.name}({pointers}'
                    f"long long _all, long long _terms) {{\n{body}\n}}\n")  # fmt: skip
            self._kernels[key] = RawKernel(code, self.name, self.options)
        return self._kernels[key]

    def _note_allocated(self, made: list[np.ndarray], stream: Stream | None) -> None:
        """Note the blocks of the memory pool that outputs are given: those of the current stream, as in CuPy."""
        if ORDER.wanted((stream or get_current_stream()).ptr) and uses_the_pool():
            for array in made:
                ORDER.allocated(array, get_current_stream().ptr)

    def _note_copied(self, given: list[np.ndarray], ready: list[np.ndarray], written: list[np.ndarray]) -> None:
        """Note what the kernel reads and writes in memory that it was not launched on itself, as its arrays were copied for it."""
        reads = [a for a, b in zip(given, ready, strict=True) if not np.may_share_memory(a, b)]
        ORDER.touched(ORDER.current(), f"kernel {self.name}", reads, written)

    def _launch(self, kernel: RawKernel, arrays: list[np.ndarray], n: int, terms: int = 0) -> None:
        if n:
            given = list[np.ndarray | np.int64]()
            for p, array in zip((*self.inputs, *self.outputs), arrays, strict=True):
                given += [array, np.int64(array.size), *map(np.int64, (array.shape or (1,)) * p.raw)]
            kernel((-(-n // BLOCK),), (BLOCK,), (*given, np.int64(n), np.int64(terms)))


class ElementwiseKernel(_UserKernel):
    """A kernel of an expression, run for each element: cupy.ElementwiseKernel(in_params, out_params, operation, name).

    In `operation` a parameter is its element, a raw one the whole array (`x[5]`, `x[index]` for `int index[] = {1, 2}`,
    `x.shape()[0]`), `i` the element's number and `_ind.size()` how many there are. Inputs are broadcast against each other and
    against outputs that are given; others are made. Raises TypeError and ValueError for arguments
    that do not fit the declaration, and what a RawKernel raises.
    """

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", reduce_dims: bool = True, preamble: str = "",
        no_return: bool = False, return_tuple: bool = False, *, loop_prep: str = "", after_loop: str = "", options: tuple = (),
    ):  # fmt: skip
        super().__init__(in_params, out_params, name, preamble, options)
        self.operation, self.no_return, self.return_tuple = operation, no_return, return_tuple
        self.loop_prep, self.after_loop = loop_prep, after_loop

    def __call__(self, *args, size: int | None = None, stream=None, block_size: int = BLOCK):
        every = [*self.inputs, *self.outputs]
        if len(args) not in (len(self.inputs), len(every)):
            many = f"{len(self.inputs)} arguments, or {len(every)} with its outputs"
            raise TypeError(f"kernel {self.name} takes {many}, not {len(args)}")
        arrays = [plain(a, f"argument {i} of kernel {self.name}") for i, a in enumerate(args)]
        types = self._types(arrays, args)
        shape = self._shape(arrays, size)
        made = [np.empty(shape, self._dtype(p, types)) for p in every[len(args):]]
        results = [*(a for a in arrays[len(self.inputs):]), *made]
        self._note_allocated(made, stream)
        dimensions = self._dimensions([*arrays, *made])
        kernel = self._kernel(types, self._body(types, dimensions), dimensions)
        in_stream(lambda: self._compute(kernel, arrays[: len(self.inputs)], results, shape, types), stream)
        out = wrapped(tuple(args[len(self.inputs):]) or tuple(results))
        return None if self.no_return else out if self.return_tuple or len(out) != 1 else out[0]

    def _compute(self, kernel: RawKernel, inputs: list, results: list, shape: tuple[int, ...], types: dict[str, np.dtype]) -> None:
        """Write the results of what the inputs hold now."""
        ready = [self._ready(p, a, shape, types) for p, a in zip(self.inputs, inputs, strict=True)]
        targets = [t if t.flags.c_contiguous else np.array(t, order="C") for t in results]
        self._launch(kernel, [*ready, *targets], int(np.prod(shape)))
        moved = [(r, t) for r, t in zip(results, targets, strict=True) if r is not t]
        for result, target in moved:
            result[...] = target
        self._note_copied(inputs, ready, [result for result, _ in moved])

    def _shape(self, arrays: list[np.ndarray], size: int | None) -> tuple[int, ...]:
        every = list(zip([*self.inputs, *self.outputs], arrays, strict=False))
        shapes = [a.shape for p, a in every if not p.raw]
        if size is not None:
            if any(shapes):
                raise ValueError(f"kernel {self.name}: size is for kernels all of whose arrays are raw")
            return (int(size),)
        if not shapes:
            raise ValueError(f"kernel {self.name}: all arrays are raw, so size= says how many elements there are")
        try:
            shape = np.broadcast_shapes(*shapes)  # outputs among them, so that they may be larger than the inputs
        except ValueError:
            shape = np.broadcast_shapes(*(a.shape for p, a in every[: len(self.inputs)] if not p.raw))
        for p, a in zip(self.outputs, arrays[len(self.inputs):], strict=False):
            if not p.raw and a.shape != shape:
                raise ValueError(f"kernel {self.name}: output {p.name} has shape {a.shape}, the inputs {shape}")
        return shape

    def _ready(self, parameter: Parameter, array: np.ndarray, shape: tuple[int, ...], types: dict[str, np.dtype]) -> np.ndarray:
        dtype = self._dtype(parameter, types)
        return np.ascontiguousarray(array if parameter.raw else np.broadcast_to(array, shape), dtype)

    def _body(self, types: dict[str, np.dtype], dimensions: dict[str, int]) -> str:
        lines, inner = ["CIndexer _ind = {_all};"], []
        for kind, parameters in (("const ", self.inputs), ("", self.outputs)):
            for p in parameters:
                c = C_TYPES[str(self._dtype(p, types))]
                if p.raw:
                    lines.append(self._whole(p, types, dimensions))
                else:
                    inner.append(f"{kind}{c}& {p.name} = _at_{p.name}[i];")
        step = "i += (long long)gridDim.x * blockDim.x"
        loop = f"for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < _all; {step})"
        body = [*lines, f"{self.loop_prep};", f"{loop} {{", *inner, f"{self.operation};", "}", f"{self.after_loop};"]
        return "\n".join(body)


class ReductionKernel(_UserKernel):
    """A reduction of mapped elements: cupy.ReductionKernel(in_params, out_params, map_expr, reduce_expr, post_map_expr, identity).

    map_expr: an expression of one element, in which a raw parameter is a whole array; reduce_expr: one of two mapped values `a` and
    `b`; post_map_expr: a statement that turns `a` into the output; identity: what an empty sum is. Call it with axis= and keepdims=
    as NumPy's sum. Raises TypeError for arguments that do not fit the declaration, ValueError for an empty reduction without an
    identity, and what a RawKernel raises.
    """

    def __init__(
        self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity,
        name: str = "reduce_kernel", reduce_type: str | None = None, reduce_dims: bool = True, preamble: str = "",
        options: tuple = (),
    ):  # fmt: skip
        super().__init__(in_params, out_params, name, preamble, options)
        if len(self.outputs) != 1 or self.outputs[0].raw or all(p.raw for p in self.inputs):
            raise EmulatorError(f"kernel {name}: a reduction with one output, and an input that is not raw, is supported")
        self.map_expr, self.reduce_expr, self.post_map_expr = map_expr, reduce_expr, post_map_expr
        self.identity, self.reduce_type = identity, reduce_type

    def __call__(self, *args, out=None, axis=None, keepdims: bool = False, stream=None):
        if len(args) != len(self.inputs):
            raise TypeError(f"kernel {self.name} takes {len(self.inputs)} arguments, not {len(args)}")
        arrays = [plain(a, f"argument {i} of kernel {self.name}") for i, a in enumerate(args)]
        given = [*arrays, *([np.asarray(out)] if out is not None else [])]
        types = self._types(given, (*args, *([out] if out is not None else [])))
        shape = np.broadcast_shapes(*(a.shape for p, a in zip(self.inputs, arrays, strict=True) if not p.raw))
        axes = _axes(axis, len(shape))
        rest = [i for i in range(len(shape)) if i not in axes]
        kept = tuple(shape[i] for i in rest)
        terms, n = int(np.prod([shape[i] for i in axes])), int(np.prod(kept))
        if terms == 0 and self.identity in (None, ""):
            raise ValueError(f"kernel {self.name}: a reduction of nothing, and no identity")
        order = [*rest, *axes]
        result = np.empty(kept, self._dtype(self.outputs[0], types))
        self._note_allocated([result], stream)
        named = result.reshape([1 if i in axes else shape[i] for i in range(len(shape))]) if keepdims else result
        if out is not None and out.shape != named.shape:
            raise ValueError(f"kernel {self.name}: out has shape {out.shape}, the result {named.shape}")
        dimensions = self._dimensions(arrays)
        kernel = self._kernel(types, self._body(types, dimensions), dimensions)

        def compute() -> None:
            ready = [np.ascontiguousarray(a if p.raw else np.broadcast_to(a, shape).transpose(order), self._dtype(p, types))
                     for p, a in zip(self.inputs, arrays, strict=True)]  # fmt: skip
            self._launch(kernel, [*ready, result], n, terms)
            if out is not None:
                np.asarray(out)[...] = named
            self._note_copied(arrays, ready, [np.asarray(out)] if out is not None else [])

        in_stream(compute, stream)
        return wrapped(named) if out is None else out

    def _body(self, types: dict[str, np.dtype], dimensions: dict[str, int]) -> str:
        output = self.outputs[0]
        of_output = C_TYPES[str(self._dtype(output, types))]
        kind = C_TYPES.get(self.reduce_type or "", self.reduce_type or of_output)
        first = self.identity not in (None, "")
        elements, whole = [], []
        for p in self.inputs:
            c = C_TYPES[str(self._dtype(p, types))]
            whole += [self._whole(p, types, dimensions)] if p.raw else []
            elements += [f"const {c}& {p.name} = _at_{p.name}[i];"] * (not p.raw)
        return "\n".join([
            "typedef " + kind + " _type_reduce;",
            "long long _o = blockIdx.x * (long long)blockDim.x + threadIdx.x; if (_o >= _all) return;", *whole,
            f"_type_reduce a = _type_reduce({self.identity});" if first else "_type_reduce a;",
            "for (long long _J = 0; _J < _terms; ++_J) {", "long long i = _o * _terms + _J;", *elements,
            f"_type_reduce b = static_cast<_type_reduce>({self.map_expr});",
            f"a = {'' if first else '_J == 0 ? b : '}static_cast<_type_reduce>({self.reduce_expr});", "}",
            f"{of_output}& {output.name} = _at_{output.name}[_o];", f"{self.post_map_expr};",
        ])  # fmt: skip
