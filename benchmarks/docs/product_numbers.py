"""The numbers of docs/kernels.md about one matrix product, followed from the door to the registers.

What is chosen depends on the machine's vector registers; the page shows a machine that has 32 of them with 64 bytes each (AVX-512),
and these blocks are written and checked on such machines alone.
"""

from __future__ import annotations

import numpy as np
from tinygan_kernels import load
from tinygan_kernels.cpu.ladder import choose
from tinygan_kernels.cpu.matmul.blocking import choose_blocking
from tinygan_kernels.cpu.matmul.choice import RUNGS, Product
from tinygan_kernels.cpu.runtime.simd import register_bytes, registers

from benchmarks.docs.markdown import table
from benchmarks.docs.product_figures import CUT

AVX_512 = registers() == 32 and register_bytes() == 64
# M, K, N of the products whose way is shown, and what is special about each
SHAPES = {
    (2, 4, 3): "the product above", (256, 3, 64): "sums of three terms", (CUT.m, CUT.k, CUT.n): "the product below",
    (128, 512, 784): "large enough to look for zeros in A",
}


def small_product() -> str:
    """Return a 2x3 product as a program and what it prints."""
    program = '''import numpy as np
from tinygan_kernels import load

a = np.arange(1, 9, dtype=np.float32).reshape(2, 4)      # M = 2, K = 4
b = np.arange(12, dtype=np.float32).reshape(4, 3)        # K = 4, N = 3
print(load("cpu").launch("matmul", (a, b)))              # C (M, N) = A B'''
    a, b = np.arange(1, 9, dtype=np.float32).reshape(2, 4), np.arange(12, dtype=np.float32).reshape(4, 3)
    return f"```python\n{program}\n```\n```\n{load('cpu').launch('matmul', (a, b))}\n```"


def rung_of(m: int, k: int, n: int) -> int:
    """Return the number of the rung that the CPU's matmul ladder takes for a product of float32."""
    a, b, c = (np.empty(shape, np.float32) for shape in ((m, k), (k, n), (m, n)))
    return choose(RUNGS, Product(a, b, c)).number


def route() -> str:
    """Return which rung each of SHAPES takes."""
    titles = {rung.number: rung.title for rung in RUNGS}
    rows = []
    for (m, k, n), what in SHAPES.items():
        number = rung_of(m, k, n)
        rows.append([f"{m}, {k}, {n}", what, f"{number}: {titles[number]}"])
    return table(["M, K, N", "", "rung"], rows)


def blocking() -> str:
    """Return how the product of the pictures is cut for two threads: each number, and the function that decides it."""
    chosen = choose_blocking(CUT.m, CUT.n, CUT.k, 4, CUT.jobs, 4 * CUT.n)
    jobs = chosen.regions(CUT.m, CUT.n)
    rows, columns = jobs[0][1] - jobs[0][0], jobs[0][3] - jobs[0][2]
    panels, tiles = -(-columns // chosen.width), -(-rows // chosen.height)
    tiles_in_all = len(jobs) * panels * tiles
    terms, loads = chosen.height * chosen.across, chosen.height + chosen.across
    return table(["what", "here", "decided in"], [
        ["tile", f"{chosen.height} rows x {chosen.across} registers of {CUT.lanes} = {chosen.width} columns",
         "`choose_blocking`: the cheapest of `TILES`"],
        ["jobs", f"{len(jobs)}, each {rows} x {columns} of C", "`Blocking.regions`"],
        ["panels of B in a job", f"{panels}, {'packed' if chosen.pack_b else 'not packed'}", "`choose_blocking`: `pack_b`"],
        ["block of k", f"{chosen.block} of {CUT.k} terms", "`choose_blocking`: `PANEL_BYTES`"],
        ["block of A's rows", f"{min(chosen.block_rows, rows)} of {rows} rows", "`choose_blocking`: `BLOCK_BYTES`"],
        ["tiles along a panel", f"{tiles}", "`_compute_panel`"],
        ["for each k in a tile", f"{loads} loads, {terms} multiply-adds of {CUT.lanes} numbers", "`compute_tile`"],
        ["in all", f"{tiles_in_all} tiles, {tiles_in_all * CUT.k * terms:,} multiply-adds", "one `run_job` a job"],
    ])
