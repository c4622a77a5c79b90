"""cub's algorithms of a whole device in the host code of programs, against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")


def test_algorithms_of_a_whole_device_give_what_numpy_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Sums of bytes are sums of ints, -0.0 and 0.0 are equal keys, and samples are compared with levels of another type."""
    assert Program(Path(__file__).parent / "cub.cu").run() == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    got = [[float(number) for number in line.split()] for line in lines[:-1]]
    flags = (np.arange(600) % 3 != 0).astype(int)
    keys = np.array([3, -0.0, 2.5, 0, -1, np.inf, -0.0])
    order, words = np.argsort(keys, kind="stable"), np.array([0x31, 0x12, 0x33, 0x11])
    runs = np.array([5, 5, 2, 7, 7, 7, 5])
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    wanted = [
        [flags.sum()],
        (flags.cumsum() - flags)[297:301],
        flags.cumsum()[596:],
        flags.cumsum().cumsum()[598:],
        keys[order],
        order,
        np.argsort(-keys, kind="stable"),
        words[np.argsort(words >> 4, kind="stable")],
        [-1],
        [np.inf],
        [words.prod() / 2],
        [0.5],
        runs[runs % 2 != 0],
        runs[flags[:7] != 0],
        runs[starts],
        np.diff(starts, append=7),
        np.histogram([0, 0.5, 9.99, 4.75], 20, (0, 10))[0],
    ]
    assert len(got) == len(wanted)
    for line, values in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(line, values)
    assert lines[-1] == "cudaErrorStreamCaptureUnsupported cudaErrorStreamCaptureInvalidated -1"
    assert "cannot be called while a stream is being captured" in printed.err
