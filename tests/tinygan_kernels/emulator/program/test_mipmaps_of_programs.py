"""A program with a mipmapped array, of the kind of CUDA's sample bindlessTexture: its results against NumPy, and faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels.emulator import SanitizerError
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
W, H = 16, 8


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(Path(__file__).parent / "mipmaps.cu")


def pyramid() -> list[np.ndarray]:
    """Return the levels, each the mean of squares of the one before; of a level of one row, of pairs."""
    levels = [(np.arange(W * H) ** 2 % 64).astype("f8").reshape(H, W)]
    while levels[-1].size > 1:
        last = levels[-1]
        columns = last.reshape(last.shape[0], -1, 2).mean(axis=2)
        levels.append(columns.reshape(-1, 2, columns.shape[1]).mean(axis=1) if len(columns) > 1 else columns)
    return levels


def at(level: np.ndarray, x: float, y: float = 0.5) -> float:
    """Return the value between elements of a level at normalized coordinates; outside, the nearest."""
    total = 0.0
    (i, a), (j, b) = (divmod(float(np.float32(c)) * n - 0.5, 1) for c, n in ((x, level.shape[1]), (y, level.shape[0])))
    a, b = (np.floor(v * 256 + 0.5) / 256 for v in (a, b))
    for di, u in ((0, 1 - a), (1, a)):
        for dj, v in ((0, 1 - b), (1, b)):
            row, column = (int(np.clip(p, 0, n - 1)) for p, n in zip((j + dj, i + di), level.shape, strict=True))
            total += u * v * level[row, column]
    return total


def between(levels: list[np.ndarray], detail: float, x: float) -> float:
    """Return the value of a fetch with a bias of 1/4, clamps of 1/2 and 7/2, and a linear filter between levels."""
    detail = min(max(detail + 0.25, 0.5), 3.5)
    lower = int(detail)
    return (1 - detail % 1) * at(levels[lower], x) + (detail % 1) * at(levels[lower + 1], x)


def test_fetches_between_levels_calls_that_cuda_refuses_and_a_pyramid_that_was_freed(program, capsys):
    """Levels by number and by gradients (4 rows of 8 to an element: level 2), beyond the clamps, and the largest by tex2D."""
    with pytest.raises(SanitizerError, match=r"access to level 0 of the mipmapped array of 16 x 8 x 0 elements.* was freed at"):
        program.run(["1"])
    printed = capsys.readouterr()
    size, values, codes = printed.out.splitlines()
    assert (size, codes) == ("1 1", "1 1 1 400 0 400")
    got, levels = np.array(values.split(), "f8").reshape(W, 4), pyramid()
    assert len(levels) == 5
    for i in range(W):
        x = (i + 0.5) / W
        want = between(levels, 0.375 * i, x), at(levels[0], x), between(levels, 2.0, x), between(levels, -3.0, x)
        np.testing.assert_allclose(got[i], want, rtol=2e-7)
    for why in ("coordinates of a mipmapped array are normalized", "a surface is one of a level", "which has 5",
                "given back with cudaFreeMipmappedArray", "was freed at mipmaps.cu"):  # fmt: skip
        assert why in printed.err
