"""Small PTX kernels for tests: one instruction (or a few) applied to every thread's own inputs."""

import numpy as np
from tinygan_kernels import emulator

DTYPE = {
    "u16": "u2",
    "s16": "i2",
    "b16": "u2",
    "f16": "f2",
    "bf16": "u2",
    "u32": "u4",
    "s32": "i4",
    "b32": "u4",
    "f32": "f4",
    "u64": "u8",
    "s64": "i8",
    "b64": "u8",
    "f64": "f8",
    "f16x2": "u4",
    "bf16x2": "u4",
}


def bits(kind: str) -> int:
    return 8 * np.dtype(DTYPE[kind]).itemsize


def kernel_text(body: str, inputs: list[str], results: list[str], declarations: str = "") -> str:
    """Return the PTX of a kernel that loads %a, %b, ... of the input types, runs `body`, stores %x, %y, ... of the result types."""
    names_in, names_out = "abcdef"[: len(inputs)], "xyz"[: len(results)]
    lines = [".version 8.0", ".target sm_80", ".address_size 64", declarations]
    params = [f".param .u64 p{n}" for n in names_in + names_out]
    lines += [
        ".visible .entry k(",
        ", ".join(params),
        ")",
        "{",
        ".reg .b64 %pt<3>;",
        ".reg .b32 %i;",
        ".reg .pred %p<4>;",
    ]
    for n, kind in [*zip(names_in, inputs, strict=True), *zip(names_out, results, strict=True)]:
        lines.append(f".reg .b{bits(kind)} %{n};")
    lines += ["mov.u32 %i, %tid.x;"]
    for n, kind in zip(names_in, inputs, strict=True):
        lines += [
            f"ld.param.u64 %pt0, [p{n}];",
            f"mad.wide.u32 %pt1, %i, {bits(kind) // 8}, %pt0;",
            f"ld.global.b{bits(kind)} %{n}, [%pt1];",
        ]
    lines.append(body)
    for n, kind in zip(names_out, results, strict=True):
        lines += [
            f"ld.param.u64 %pt0, [p{n}];",
            f"mad.wide.u32 %pt1, %i, {bits(kind) // 8}, %pt0;",
            f"st.global.b{bits(kind)} [%pt1], %{n};",
        ]
    return "\n".join([*lines, "ret;", "}"])


def run(
    body: str, inputs: list[tuple[str, object]], result: str = "u32", more: tuple[str, ...] = (), declarations: str = ""
):
    """Return the values of %x (and %y, %z for `more`) after `body`, for each position of the input vectors."""
    arrays = [
        np.atleast_1d(np.asarray(values)).astype(DTYPE[kind]) if not _is(values, kind) else values
        for kind, values in inputs
    ]
    n = len(arrays[0]) if arrays else 32
    outputs = [np.zeros(n, DTYPE[kind]) for kind in (result, *more)]
    text = kernel_text(body, [kind for kind, _ in inputs], [result, *more], declarations)
    emulator.RawModule(code=text).get_function("k")((1,), (n,), (*arrays, *outputs))
    return outputs if more else outputs[0]


def _is(values, kind: str) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == DTYPE[kind] and values.ndim == 1
