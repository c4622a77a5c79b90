"""cub's algorithms of a whole device in the host code of programs, against NumPy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels.emulator.program.program import HostFault, Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")


def test_algorithms_of_a_whole_device_give_what_numpy_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Sums of bytes are sums of ints, -0.0 and 0.0 are equal keys, and samples are compared with levels of another type."""
    assert Program(Path(__file__).parent / "cub.cu").run() == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    required = "no requirements" not in lines  # by an environment, as DeviceTopK wants it from CCCL 3.2 on
    lines = [line for line in lines if line != "no requirements"]
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
        *reductions(),
        *scans(),
        *sorts(),
        *selections(),
        *histograms(),
        *elements(),
        *(searches() if required else searches()[:5]),
    ]
    assert len(got) == len(wanted)
    for line, values in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(line, values)
    assert lines[-1] == "cudaErrorStreamCaptureUnsupported cudaErrorStreamCaptureInvalidated -1"
    assert re.search(r"cub\.cu:\d+: cudaNotCaptured: .* cannot be called while a stream is being captured", printed.err)


def test_what_an_algorithm_touches_beyond_its_arrays_and_storage_is_reported_at_its_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "short.cu"
    source.write_text("""#include <cub/device/device_scan.cuh>
int main(int argc, char**) {
    int *p; char* storage; size_t bytes; cudaMalloc(&p, 12); cudaMemset(p, 0, 12);
    cub::DeviceScan::InclusiveSum(nullptr, bytes, p, 3);
    cudaMalloc(&storage, bytes);
    cub::DeviceScan::InclusiveSum(storage, bytes, p, 3);
    if (argc > 1) cub::DeviceScan::InclusiveSum(storage + 1, bytes, p, 3);
    bytes--;
    if (cub::DeviceScan::InclusiveSum(storage, bytes, p, 3) != cudaErrorInvalidValue) return 1;
    bytes++;
    cub::DeviceScan::InclusiveSum(storage, bytes, p, 4);
}
""")
    program = Program(source)
    with pytest.raises(HostFault, match=r"reads 4 bytes .*; short\.cu:11$"):
        program.run()
    told = "short.cu:9: cudaTemporaryStorage: invalid argument: temporary storage of 255 bytes is given, 256 are needed"
    assert told in capsys.readouterr().err
    with pytest.raises(HostFault, match=r"writes its temporary storage: 256 bytes are wanted, 255 are left .*; short\.cu:7$"):
        program.run(["x"])


# The arrays of cub.cu, and what its functions print of them.
N = 40
DATA = (np.arange(N) * 37 + 11) % 101 - 50
OTHERS = np.arange(N) ** 2 % 23 // 6
BEGINS, ENDS = [0, 7, 7, 9, 38], [7, 7, 9, 38, 40]
SEGMENTS = [slice(*ends) for ends in zip(BEGINS, ENDS, strict=True)]
STARTS = np.flatnonzero(np.diff(OTHERS, prepend=-1))
RUNS = [slice(*ends) for ends in zip(STARTS, [*STARTS[1:], N], strict=True)]


def best(values: np.ndarray) -> list[int]:
    """Return the place and the value of the largest element, as cub gives them; of none, 1 and the least int."""
    return [values.argmax(), values.max()] if values.size else [1, -(2**31)]


def reductions() -> list:
    least = [min(DATA[s], default=2147480000) for s in SEGMENTS]  # printed with six digits
    return [
        [DATA.argmin(), DATA.min(), DATA.argmax(), DATA.max(), 1, 2**31 - 1],
        [7 + (DATA**2).sum()],
        OTHERS[STARTS],
        [200 * (run.stop - run.start) for run in RUNS],
        [DATA[s].sum() for s in SEGMENTS],
        least,
        DATA.reshape(5, 8).max(axis=1),
        [1000 + DATA[s].sum() for s in SEGMENTS],
        np.concatenate([best(DATA[s]) for s in SEGMENTS]),
    ]


def scans() -> list:
    inclusive = np.concatenate([DATA[run].cumsum() for run in RUNS])
    changes = np.flatnonzero([i == 0 or not OTHERS[i - 1] % 2 < OTHERS[i] % 2 for i in range(N)])
    of_parity = np.concatenate([100 + DATA[i:j].cumsum() - DATA[i:j] for i, j in zip(changes, [*changes[1:], N], strict=True)])
    total = DATA.cumsum()
    return [inclusive - DATA, inclusive, of_parity, 100 + total, total - DATA, BEGINS[1] + total - DATA]


def sorts() -> list:
    ascending = np.concatenate([np.sort(DATA[s]) for s in SEGMENTS])
    down = np.concatenate([s.start + np.argsort(-DATA[s], kind="stable") for s in SEGMENTS])
    up = SEGMENTS[3].start + np.argsort(DATA[SEGMENTS[3]], kind="stable")
    return [
        ascending,
        DATA[down],
        OTHERS[down],
        OTHERS[up],
        np.sort(DATA),
        DATA[np.argsort(OTHERS % 2, kind="stable")],
        [1, 2, 3, 3, 3, 9, 10],
        [OTHERS[0], DATA[0], OTHERS[1], OTHERS[2], DATA[1], OTHERS[3], DATA[2]],
        [1.5, 0.25, -2, -65504, -128, -1, 0, 127],
    ]


def selections() -> list:
    odd, flags = DATA % 2 != 0, OTHERS != 0
    long_runs = [run for run in RUNS if run.stop - run.start > 1]
    return [
        [*DATA[odd], *DATA[~odd][::-1]],
        DATA[DATA > 40],
        DATA[DATA < -40],
        DATA[abs(DATA) <= 40],
        [*DATA[flags], *DATA[~flags][::-1]],
        DATA[OTHERS % 2 != 0],
        DATA[STARTS],
        DATA[DATA > 40],
        [run.start for run in long_runs],
        [run.stop - run.start for run in long_runs],
    ]


def histograms() -> list:
    pixels, of_rows = DATA.reshape(-1, 4), DATA.reshape(5, 8)[:4, :3]
    inside = [row[row < 40] for row in (of_rows, pixels[:, 0])]  # the last bin of NumPy's includes its end
    second = pixels[:, 1][pixels[:, 1] < 60]
    return [
        [((low <= DATA) & (high > DATA)).sum() for low, high in ((-50, -10), (-10, 0), (0, 1), (1, 60))],
        *(np.histogram(values, 4, (-40, 40))[0] for values in inside),
        np.histogram(second, 3, (-60, 60))[0],
    ]


def elements() -> list:
    left = np.diff(DATA, prepend=0)
    right = left + np.append(left[1:], 0)
    last = np.fmod(right, 10)
    copied = DATA * 10 + OTHERS
    joined = [*copied[:3], *DATA[:2], *copied[5:10], *DATA[30:33], copied[13]]
    return [left, right, last, last + 100 * np.arange(N), copied, joined]


def searches() -> list:
    """With more elements asked for than there are, all of them are given, in the order of the input."""
    order = np.sort(OTHERS)
    least = np.argsort(DATA, kind="stable")[:3]
    return [
        [np.flatnonzero(DATA > 40)[0]],
        [0],
        np.searchsorted(order, DATA, "left"),
        np.searchsorted(order, OTHERS, "right"),
        [0, 0],
        np.sort(DATA)[-5:],
        np.sort(100 * DATA[least] + OTHERS[least]),
        [2, -0.0, np.inf, 0, -3],
    ]
