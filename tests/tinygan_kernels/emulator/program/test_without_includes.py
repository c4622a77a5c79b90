"""Programs that include nothing: nvcc includes CUDA's headers and some of C's, and takes whole numbers in calls of <math.h>."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tinygan_kernels.emulator import EmulatorError, SanitizerError
from tinygan_kernels.emulator.program.program import Program
from tinygan_kernels.emulator.program.sources import headers_of_the_runtime

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
N, M, U, F = 8, 3, 27, 1.5
ROOTS = [math.sqrt(N), 3.0, 256.0, 512.0, 2.0, math.atan2(N, U), 8.0, 8.0, 8.0, 1.5, F**2, math.hypot(N, U), 3.0, 3.0]
OF_48_BITS = "3.907985046680551e-14 0.74452500006100664 735945821 477107655 0.44199632268870914 565063343 -1485464893"
"""What g++ 12 with the GNU C library 2.36 prints of the same calls in the same order."""


@pytest.fixture(scope="module")
def made() -> Program:
    return Program(Path(__file__).parent / "without_includes.cu")


def test_host_code_and_kernels_take_whole_numbers_for_doubles_and_the_program_exits(made, capsys):
    assert made.run(["2"]) == 3
    *rows, random, total = capsys.readouterr().out.splitlines()
    for row, expected in zip(rows, ROOTS, strict=True):
        assert list(map(float, row.split())) == pytest.approx([expected] * 2, rel=1e-11), row
    assert random == OF_48_BITS
    assert total == str(sum(int(root + 0.25) for root in ROOTS))


def test_managed_memory_that_nobody_has_written_is_reported_and_what_the_host_wrote_is_not(made, capsys):
    """The kernel reads y, which another kernel has written, and adds to *sum, which nobody has."""
    with pytest.raises(SanitizerError) as caught:
        made.run([])
    (finding,) = caught.value.findings
    assert (finding.tool, finding.source) == ("initcheck", "without_includes.cu:8")
    assert finding.count == len(ROOTS)


def test_a_kernel_that_launches_a_kernel_is_refused_by_what_it_does(made):
    with pytest.raises(EmulatorError, match=r"kernel parent launches a kernel, at .*: dynamic parallelism is not supported; let "):
        made.run(["1"])


def test_headers_of_c_are_included_for_the_names_that_a_program_uses():
    assert headers_of_the_runtime("int main() { exit(0); }") == ["stdlib.h"]
    assert headers_of_the_runtime("int main() { free(malloc(3)); memset(p, 0, 3); }") == []
    assert headers_of_the_runtime("", "strlen(s); clock();") == ["string.h", "time.h"]
