"""Programs with textures and surfaces, of the kind of CUDA's samples: their results against NumPy, and faults."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from texture_reference import WRAP, fetched
from tinygan_kernels.emulator import SanitizerError
from tinygan_kernels.emulator.program.process import HostFault
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
W, H, D = 16, 12, 5
PICTURE = (np.arange(W * H) ** 2 % 97).astype("f4").reshape(H, W)
VOLUME = (np.arange(W * H * D) * 7 % 101).astype("f4").reshape(D, H, W)
Y, X = np.mgrid[:H, :W]


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(Path(__file__).parent / "textures.cu")


def rotated() -> np.ndarray:
    u, v = ((X + np.float32(0.5)) / np.float32(W) - np.float32(0.5)), ((Y + np.float32(0.5)) / np.float32(H) - np.float32(0.5))
    c, s, half = np.float32(0.8), np.float32(0.6), np.float32(0.5)
    a, b = (u * c - v * s + half).astype("f4").ravel(), (v * c + u * s + half).astype("f4").ravel()
    return np.array([fetched(PICTURE, p, (WRAP, WRAP), True, True) for p in zip(a, b, strict=True)])


def bicubic() -> np.ndarray:
    """The uniform cubic B-spline over 4 x 4 elements, those outside being the nearest inside."""
    out = np.zeros((H, W))
    for y in range(H):
        for x in range(W):
            ax, ay = 0.75 * x, 0.75 * y
            weights = [[(1 - a) ** 3, 3 * a**3 - 6 * a**2 + 4, -3 * a**3 + 3 * a**2 + 3 * a + 1, a**3] for a in (ax % 1, ay % 1)]
            i, j = (np.clip(int(a) + np.arange(4) - 1, 0, n - 1) for a, n in ((ax, W), (ay, H)))
            out[y, x] = np.array(weights[1]) @ PICTURE[np.ix_(j, i)] @ np.array(weights[0]) / 36
    return out


def test_results_are_those_of_numpy_and_wrong_calls_say_why(program, capsys):
    assert program.run(["5"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    got = {name: float(value) for name, value in (line.split() for line in lines if re.fullmatch(r"\w+ \S+", line))}
    wanted = {
        "rotate": rotated(),
        "bicubic": bicubic(),
        "layers": np.arange(D)[:, None, None] - VOLUME,
        "middle": (VOLUME[1] + VOLUME[2]) / 2,
        "colours": X + 2 * Y + 4 * (X + Y) + 8 * 255,
        "by_number": 2 * PICTURE[0, ::-1],
    }
    assert got.keys() == wanted.keys()
    for name, values in wanted.items():
        weighted = np.arange(1, values.size + 1) * values.ravel()
        assert got[name] == pytest.approx(weighted.sum(), abs=1e-6 * np.abs(weighted).sum()), name
    assert lines[5] == "1 3 4 255 2 3 5 255 1 4 5 255 2 4 6 255 ", "two elements of rows 3 and 4"
    assert lines[7:] == ["32 0 2, 16 12 5, 1", "1 1 400 1 1 0 400 1 12 "]
    for why in ("are not all in the CUDA array of 16 x 12 x 0", "where nothing was allocated", "is no mipmapped array",
                "cudaArraySurfaceLoadStore", "is no handle of a surface object", "was freed at textures.cu",
                "more than the source has in each, 11 (its ysize)", "more than the pitch of the source, 60"):  # fmt: skip
        assert why in printed.err


def test_a_copy_in_a_stream_that_is_captured_is_done_by_the_graph(program, capsys):
    """And one that waits ends the capture; who reads the last element that an asynchronous copy writes has to wait for it."""
    with pytest.raises(HostFault, match=r"reads 4 bytes of 256 bytes of cudaMallocHost .* the host has not waited"):
        program.run(["6"])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["7 8 9 3 900 901"]
    assert "a copy that waits cannot be called while a stream" in printed.err


@pytest.mark.parametrize(("fault", "error", "said", "line"), [
    (1, SanitizerError, r"texture access to the CUDA array of 16 x 12 x 0 elements made at \S+:\d+, which was freed at", "tex2D"),
    (3, SanitizerError, "out-of-bounds read of 4 bytes; this is freed memory: 64 bytes of cudaMalloc", "tex1Dfetch"),
    (4, HostFault, "initcheck: a copy reads memory of the device that nothing has written; textures.cu", "FromArray(picture, 64"),
], ids=["an-array", "memory", "a-copy"])  # fmt: skip
def test_faults_are_found_at_their_lines(program, fault, error, said, line):
    with pytest.raises(error, match=said) as raised:
        program.run([str(fault)])
    lines = (Path(__file__).parent / "textures.cu").read_text().splitlines()
    places = [int(n) for n in re.findall(r"textures\.cu:(\d+)", str(raised.value))]
    assert line in lines[places[-1] - 1]
