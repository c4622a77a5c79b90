"""Scripts that give work to several streams through CuPy and Numba, with a bug in the order each, and their right twins.

A script is written once, with `{{wrong|right}}` where the two versions differ, and lines that the finding may point at end in
`# BUG`. It finds `cp`, `cupyx`, `cuda`, `np` and two kernels that add a number to each of 64 floats: `add`, a RawKernel, and
`nadd`, one of Numba's.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numba import cuda
from tinygan_kernels import emulator
from tinygan_kernels.emulator import cupy as cp

from .case import CHOICE, Runnable

ADD = 'extern "C" __global__ void add(float* x, float a) { x[threadIdx.x] += a; }'
FREE = "s1, s2 = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)\n"
ARRAY = 'x = cp.zeros(64, "f4")\ncp.cuda.Device().synchronize()\n'
BOTH = "s1, s2 = cuda.stream(), cuda.stream()\n"
DEVICE = 'd = cuda.to_device(np.zeros(64, "f4"))\n'


@cuda.jit
def nadd(x, a):
    i = cuda.grid(1)
    if i < x.size:
        x[i] += a


@cache
def names() -> dict[str, Any]:
    """Return what scripts find, with kernels that are compiled once."""
    return {"cp": cp, "cupyx": cp.cupyx, "cuda": cuda, "np": np, "add": cp.RawKernel(ADD, "add"), "nadd": nadd}


@dataclass(frozen=True)
class Script(Runnable):
    """A script with a bug in the order of its streams. tool: which of the sanitizer's tools has to find it."""

    name: str
    body: str
    tool: str = "racecheck"

    mark = "# BUG"
    file = "script.py"

    def source(self, wrong: bool) -> str:
        """Return the script with its bug, or its twin."""
        return CHOICE.sub(lambda m: m[1 if wrong else 2], self.body)

    def run(self, wrong: bool) -> tuple[list[emulator.Finding], dict[str, np.ndarray]]:
        """Run one version of the script. Return what the sanitizer finds, and no arrays, as no finding names an address."""
        with emulator.numba(), TemporaryDirectory() as folder, emulator.sanitize() as found:
            path = Path(folder, self.file)
            path.write_text(self.source(wrong))
            runpy.run_path(str(path), names())
            cp.cuda.Device().synchronize()
        return found, {}


CUPY = (
    Script("two kernels of two streams of CuPy's",
           f"{FREE}{ARRAY}with s1:\n    add((1,), (64,), (x, np.float32(1)))\n{{{{|s2.wait_event(s1.record())}}}}\n"
           "with s2:\n    add((1,), (64,), (x, np.float32(2)))  # BUG"),
    Script("a non-blocking stream, and an array that the default stream fills",
           's = cp.cuda.Stream(non_blocking={{True|False}})\nx = cp.zeros(64, "f4")\nwith s:\n'
           "    add((1,), (64,), (x, np.float32(1)))  # BUG"),
    Script("get in the default stream of what a non-blocking stream computes",
           f"{FREE}{ARRAY}with s1:\n    add((1,), (64,), (x, np.float32(1)))\n{{{{|s1.synchronize()}}}}\nh = x.get()  # BUG"),
    Script("get that does not block, and a host that does not wait",
           f"{FREE}{ARRAY}h = x.get(stream=s1, blocking=False)\n{{{{s2|s1}}}}.synchronize()\ntotal = h.sum()  # BUG"),
    Script("a pinned buffer that is filled anew while a stream copies from it",
           f'{FREE}{ARRAY}h = cupyx.zeros_pinned(64, "f4")\nx.set(h, stream=s1)\n{{{{|s1.synchronize()}}}}\nh[3] = 5  # BUG'),
    Script("an event that is recorded before the kernel that it stands for",
           f"{FREE}{ARRAY}e = cp.cuda.Event()\nwith s1:\n    {{{{e.record()|}}}}\n    add((1,), (64,), (x, np.float32(1)))\n"
           "    {{|e.record()}}\ns2.wait_event(e)\nwith s2:\n    add((1,), (64,), (x, np.float32(2)))  # BUG"),
    Script("an expression in one stream, and a sum in place in another",
           f"{FREE}{ARRAY}with s1:\n    y = x * 2\n{{{{|s2.wait_event(s1.record())}}}}\nwith s2:\n    x += 1  # BUG"),
    Script("memcpyAsync in another stream than the kernel before it",
           f"{FREE}{ARRAY}y = cp.empty_like(x)\nwith s1:\n    add((1,), (64,), (x, np.float32(1)))\n"
           "cp.cuda.runtime.memcpyAsync(y.data.ptr, x.data.ptr, 256, cp.cuda.runtime.memcpyDeviceToDevice, {{s2|s1}}.ptr)  # BUG"),
    Script("an array that is freed while another stream reads it, and whose block the pool gives out anew",
           f'{FREE}with s1:\n    x = cp.zeros(64, "f4")\ns2.wait_event(s1.record())\nwith s2:\n'
           "    add((1,), (64,), (x, np.float32(1)))\n{{|s1.wait_event(s2.record())}}\ndel x\n"
           'with s1:\n    y = cp.full(64, 3, "f4")  # BUG'),
    Script("a graph that is launched beside the kernel that makes its input",
           f"{FREE}{ARRAY}with s1:\n    s1.begin_capture()\n    add((1,), (64,), (x, np.float32(1)))\n    g = s1.end_capture()\n"
           "    x[...] = 5\ng.launch({{s2|s1}})  # BUG"),
    Script("the default stream of a thread, which waits for no other stream",
           f"s = cp.cuda.Stream()\n{ARRAY}with s:\n    add((1,), (64,), (x, np.float32(1)))\n"
           "with cp.cuda.Stream.{{ptds|null}}:\n    add((1,), (64,), (x, np.float32(2)))  # BUG"),
)  # fmt: skip
NUMBA = (
    Script("two kernels of two streams of Numba's",
           f"{BOTH}{DEVICE}e = cuda.event()\nnadd[1, 64, s1](d, 1)\n{{{{|e.record(s1)}}}}\n{{{{|e.wait(s2)}}}}\n"
           "nadd[1, 64, s2](d, 2)  # BUG"),
    Script("copy_to_host in a stream, and a host that does not wait",
           f"{BOTH}{DEVICE}h = d.copy_to_host(stream=s1)\n{{{{|s1.synchronize()}}}}\ntotal = h.sum()  # BUG"),
    Script("copy_to_host in another stream than the kernel's",
           f"{BOTH}{DEVICE}nadd[1, 64, s1](d, 1)\nh = d.copy_to_host(stream={{{{s2|s1}}}})  # BUG"),
    Script("to_device in one stream, and a kernel in another",
           f'{BOTH}p = cuda.pinned_array(64, "f4")\nd = cuda.to_device(p, stream=s1)\nnadd[1, 64, {{{{s2|s1}}}}](d, 2)  # BUG'),
    Script("a pinned array that is overwritten while a stream copies from it",
           f'{BOTH}p = cuda.pinned_array(64, "f4")\np[:] = 1\nd = cuda.to_device(p, stream=s1)\n{{{{|s1.synchronize()}}}}\n'
           "p[:] = 2  # BUG"),
    Script("an event that is recorded in the stream that waits for it",
           f"{BOTH}{DEVICE}e = cuda.event()\nnadd[1, 64, s1](d, 1)\ne.record({{{{s2|s1}}}})\ne.wait(s2)\n"
           "nadd[1, 64, s2](d, 2)  # BUG"),
    Script("a managed array that the host reads while a kernel may write it",
           f"{BOTH}m = cuda.managed_array(64, 'f4')\nm[:] = 0\nnadd[1, 64, s1](m, 1)\n{{{{|s1.synchronize()}}}}\n"
           "first = m[0]  # BUG"),
    Script("a kernel of Numba's beside the stream of CuPy's that computes its input",
           f"{FREE}{ARRAY}with s1:\n    add((1,), (64,), (x, np.float32(1)))\nwith {{{{s2|s1}}}}:\n    nadd[1, 64](x, 2)  # BUG"),
)  # fmt: skip
CASES = (*CUPY, *NUMBA)
