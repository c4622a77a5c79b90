"""The constants by which a convolution chooses its way and its pieces (cpu/conv/ and winograd_formulas.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from tinygan_kernels import winograd_formulas
from tinygan_kernels.cpu.conv import choice, direct, im2col, winograd
from tinygan_kernels.cpu.runtime.simd import lanes
from tinygan_kernels.cpu.runtime.stages import Pipeline

from .trials import Bench, Tuned, around, changed, changing, judge_choice

LANES = lanes(4)
KERNELS = ("conv2d", "conv2d_dx", "conv2d_dw")


def bind(
    bench: Bench, kernel: str, n: int, side: int, c: int, c_out: int, version: int | None, size: int = 4, stride: int = 2
) -> Pipeline:
    """Bind a convolution of size x size filters, pad 1, on n images of side x side pixels, by a row of the ladder."""
    made = (side + 2 - size) // stride + 1
    image, filters, pixels = (n, side, side, c), (size, size, c, c_out), (n, made, made, c_out)
    first, second, out = {
        "conv2d": (image, filters, pixels), "conv2d_dx": (pixels, filters, image), "conv2d_dw": (image, pixels, filters),
    }[kernel]
    x, y = bench.normal(*first), bench.normal(*second)
    return choice.bind_convolution(kernel, x, y, np.empty(out, np.float32), stride, 1, version=version)


def few_registers(bench: Bench) -> list[Tuned]:
    """FEW_REGISTERS: the direct way next to im2col, by how many registers a filter row's taps fill. Filters of 3x3, stride 1, and
    those of 4x4, stride 2, with so few channels that Winograd is not considered.
    """
    filled, ways = (1, 2, 4, 8, 16), {}
    for registers in filled:
        for kernel in KERNELS:
            for size, stride in ((3, 1), (4, 2)):
                c = registers * LANES // size
                if size == 3 or c < winograd.LEAST_CHANNELS:
                    binds = {way: partial(bind, bench, kernel, 4, 24, c, 64, way, size, stride) for way in (1, 2)}
                    ways[registers, kernel, size] = bench.compare_bound(binds)
    verdict = judge_choice(ways, [0, *filled], direct.FEW_REGISTERS, lambda v, w: 2 if w[0] <= v else 1)
    how = f"(registers, kernel, filter's side): 4 images of 24x24 pixels, 64 channels out, taps of {filled} registers, both ways"
    return [Tuned.judged(direct, "FEW_REGISTERS", verdict, how)]


def winograd_from(bench: Bench) -> list[Tuned]:
    """LEAST_CHANNELS and LEAST_PIXELS: Winograd next to the way that is taken without it."""
    channels = [c for c in (16, 24, 32, 48, 64) if c >= LANES]
    pixels = (64, 256, 512, 1024, 2048)

    def both(n: int, side: int, c: int, kernel: str) -> dict[bool, float]:
        without = 2 if direct.pays((4, 4, c, c), 4) else 1
        return bench.compare({taken: bind(bench, kernel, n, side, c, c, 3 if taken else without) for taken in (False, True)})

    by_channels = {(c, kernel): both(16, 32, c, kernel) for c in channels for kernel in KERNELS}
    by_pixels = {(n, kernel): both(n // 64, 16, 64, kernel) for n in pixels for kernel in KERNELS}
    rows = []
    for name, ways, values, how in (
        ("LEAST_CHANNELS", by_channels, channels, "4096 output pixels, as many channels in as out"),
        ("LEAST_PIXELS", by_pixels, pixels, "64 channels in and out"),
    ):
        verdict = judge_choice(ways, [*values, 2 * values[-1]], getattr(winograd, name), lambda v, w: w[0] >= v)
        rows.append(Tuned.judged(winograd, name, verdict, f"{how}, {tuple(values)}, three kernels, with Winograd and without"))
    return rows


def moved(bench: Bench) -> list[Tuned]:
    """MOVED: the tiles m = 2, 3 and 4 for several numbers of images, output sizes and channels."""
    ways: dict[tuple[int, int, int], dict[int, float]] = {}
    for side, c in ((8, 64), (8, 128), (16, 64)):
        for n in (2, 8, 32, 64):
            whole = partial(bind, bench, "conv2d", n, side, c, c, 3)
            binds = {m: changing(winograd, "best_tile", lambda *sizes, m=m: m, whole) for m in (2, 3, 4)}
            ways[n, side, c] = bench.compare_bound(binds)

    def pick(value: float, workload: tuple[int, int, int]) -> int:
        n, side, c = workload
        with changed(winograd_formulas, MOVED=value):
            return winograd_formulas.best_tile(n, side // 2, side // 2, c, c)

    values = [0, *around(winograd_formulas.MOVED, (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4))]
    verdict = judge_choice(ways, values, winograd_formulas.MOVED, pick)
    how = f"(images, their side, channels): the m chosen for {len(ways)} convolutions"
    return [Tuned.judged(winograd_formulas, "MOVED", verdict, how)]


def pieces(bench: Bench) -> list[Tuned]:
    """The bytes of patches or tiles that are made at a time: large convolutions under several values."""

    def workload(kernel: str, n: int, side: int, c: int, c_out: int, version: int) -> Callable[[], Pipeline]:
        return lambda: bind(bench, kernel, n, side, c, c_out, version)

    def workloads(version: int, c: int, kernels: tuple[str, ...]) -> dict[str, Callable[[], Pipeline]]:
        return {f"{kernel} of 32 images of 32x32x{c}": workload(kernel, 32, 32, c, 64, version) for kernel in kernels}

    return [
        bench.sweep(im2col, "PATCH_BYTES", around(im2col.PATCH_BYTES), workloads(1, 32, KERNELS)),
        bench.sweep(direct, "PATCH_BYTES", around(direct.PATCH_BYTES), workloads(2, 3, ("conv2d_dx",))),
        bench.sweep(winograd, "CHUNK_BYTES", around(winograd.CHUNK_BYTES), workloads(3, 64, KERNELS)),
    ]
