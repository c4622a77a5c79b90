"""cuRAND's functions of the host, and Sobol' sequences in kernels, against the recurrences and against SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")

from tinygan_kernels.emulator import RawModule
from tinygan_kernels.emulator.host import nvrtc, toolkit
from tinygan_kernels.emulator.program.program import Program
from tinygan_kernels.emulator.program.random_numbers import RandomNumbers

N = 16
SUBSEQUENCES = r"""
#include <curand_kernel.h>
extern "C" __global__ void k(unsigned* out) {
    curandState s;
    curand_init(1234, threadIdx.x, 0, &s);
    out[threadIdx.x] = curand(&s);
}
"""


def test_numbers_are_those_of_curand(capsys: pytest.CaptureFixture[str]) -> None:
    """Element n of XORWOW's is the first number of the sequence's part n mod 4096 (cuRAND's documentation, "Order")."""
    if toolkit.library_file("curand", nvrtc.version()) is None:
        pytest.skip("needs cuRAND's library: pip install 'cuda-toolkit[curand]'")
    assert Program(Path(__file__).parent / "random.cu").run() == 0
    printed = capsys.readouterr()
    first, *lines, last = printed.out.splitlines()
    assert first == "1"
    got = {name: np.array([float(number) for number in numbers]) for name, *numbers in map(str.split, lines)}
    parts = np.zeros(N + 1, np.uint32)
    RawModule(code=SUBSEQUENCES).get_function("k")((1,), (N + 1,), (parts,))
    assert got["xorwow"].tolist() == parts[1:].tolist(), "from the offset 1 on"
    normal, poisson = got["normal"], got["poisson"]
    assert abs(normal.mean() - 5) < 4 * 0.5 / 1000**0.5 and abs(normal.std() - 0.5) < 0.05 and len(set(normal)) > 990
    assert abs(poisson.mean() - 7.5) < 4 * (7.5 / 64) ** 0.5 and (poisson == poisson.astype(int)).all()
    points = qmc.Sobol(2, scramble=False, bits=32).random(2 * N)[: N + 2] * 2.0**32
    assert got["sobol"].reshape(2, N) == pytest.approx((points[:N].T + 1) / 2**32, abs=0), "dimension after dimension, never 0"
    of_kernel = got["kernel"].reshape(2, N).astype(np.uint32)
    assert (of_kernel == points[2:].T).all(), "from the offset 2 on"
    scrambled, constants = got["scrambled"].reshape(2, N).astype(np.uint32), got["constants"].astype(np.uint32)
    assert (scrambled == of_kernel ^ constants[:, None]).all() and constants.all()
    assert got["mtgp32"].tolist() == got["library"].tolist() and len(set(got["mtgp32"])) > 250
    assert last == "105 201 201 201 101", "not a multiple, launch failures, not initialised"
    assert "random.cu:87: curandGenerate: the output of curandGenerate should be memory of the device" in printed.err
    assert "random.cu:88: curandGenerate: 260 bytes are wanted, 256 are left there" in printed.err
    assert f"random.cu:89: curandGenerate: {2**62} bytes are wanted, 256 are left there" in printed.err
    assert "random.cu:91: curandGenerate: the generator is not one that curandCreateGenerator made" in printed.err


def test_without_curands_library_the_first_call_says_what_to_install(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if toolkit.library_file("curand", nvrtc.version()) is None:
        pytest.skip("needs cuRAND's headers: pip install 'cuda-toolkit[curand]'")
    source = tmp_path / "asks.cu"
    source.write_text("""#include <curand.h>
int main() {
    curandGenerator_t g;
    return curandCreateGenerator(&g, CURAND_RNG_PSEUDO_DEFAULT) == CURAND_STATUS_INITIALIZATION_FAILED ? 7 : 0;
}
""")
    program, broken = Program(source), tmp_path / "libcurand.so.10"
    broken.write_text("no library")
    for file, says in ((None, "cuRAND is not installed: pip install"), (broken, f"{broken} cannot be loaded (")):
        monkeypatch.setattr(toolkit, "library_file", lambda name, version, file=file: file)
        assert program.run() == 7
        told = capsys.readouterr().err
        assert f"asks.cu:4: curandCreateGeneratorHost: {says}" in told and "pip install" in told and "curand" in told
    calls = []

    def made(numbers: RandomNumbers, name: str, *arguments: Any) -> int:
        calls.append(name)
        if name.startswith("Create"):
            arguments[0]._obj.value = 4096
        return 0

    monkeypatch.setattr(RandomNumbers, "_call", made)
    assert program.run() == 0
    assert calls == ["CreateGeneratorHost", "DestroyGenerator"], "the program has not destroyed it"
