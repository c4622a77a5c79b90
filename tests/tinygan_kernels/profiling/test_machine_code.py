"""Compiled code: nothing spills, shared memory is what the source asks for, and the linker's log is read right."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from linker_log import LOG

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.cuda import numba_backend
from tinygan_kernels.cuda.device import RecordedLaunch
from tinygan_kernels.emulator.host import nvjitlink as linker
from tinygan_kernels.profiling import calls, machine_code, report


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("version", numba_backend.LADDERS, ids=lambda v: f"{v.kernel}-{v.number}")
def test_no_kernel_spills(monkeypatch, version, arch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "not asked for here")
    made = calls.call(version.kernel)
    for started in report.recorded(version, made):
        compiled = machine_code.inspect(started, arch)
        assert compiled.spill_stores == compiled.spill_loads == 0, compiled
        assert 0 < compiled.registers <= 255 and compiled.code is None
        assert compiled.stack == 0, compiled


def test_shared_memory_is_what_the_source_asks_for_on_every_architecture(monkeypatch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "not asked for here")
    (version,) = [v for v in numba_backend.LADDERS if (v.kernel, v.number) == ("matmul", 4)]
    (started,) = report.recorded(version, calls.call("matmul"))
    assert [machine_code.inspect(started, arch).shared for arch in ("sm_80", "sm_90")] == [2 * 8 * 68 * 4] * 2


def test_the_linkers_log_is_read_for_the_kernel_that_is_asked_for():
    expected = {"registers": 128, "spill_stores": 124, "spill_loads": 96, "stack": 224, "shared": 5376}
    assert machine_code._resources(LOG, "mine") == expected
    with pytest.raises(machine_code.InspectionError, match="nothing of absent"):
        machine_code._resources(LOG, "absent")


def test_an_architecture_that_does_not_exist_is_one_line():
    (started,) = report.recorded(numba_backend.LADDERS[0], calls.call("matmul"))
    with pytest.raises(machine_code.InspectionError, match=r"sm_33: .*does not compile") as error:
        machine_code.link(started.ptx("sm_80")[0], "sm_33")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(bool(machine_code.why_no_code()), reason=machine_code.why_no_code() or "-")
def test_cuxray_reads_occupancy_and_the_inner_loop():
    (found,) = report.profile("matmul", 4, (128, 128, 64), "numba-cuda", "sm_90")
    (compiled,) = found.compiled
    assert compiled.code.bank_conflicts == 1 and 0 < compiled.code.occupancy <= 1
    assert compiled.code.inner_loop().multiply_adds == 512


def test_cuxray_finds_no_program_of_the_working_directory(monkeypatch, tmp_path):
    """Neither by an empty entry of PATH nor by its own name, and NVIDIA's tools come first."""
    seen = {}

    def run(arguments, env, **_):
        seen.update(env)
        return subprocess.CompletedProcess(arguments, 0, '{"units": []}', "")

    tools, elsewhere = tmp_path / "tools", tmp_path / "bin"
    for folder in (tools, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "tools", str(tmp_path), str(elsewhere)]))
    monkeypatch.setattr(machine_code, "_tool", lambda name: tools / name)
    monkeypatch.setattr(machine_code.subprocess, "run", run)
    assert machine_code._cuxray("report", tmp_path / "kernel.cubin") == {"units": []}
    assert seen["PATH"] == os.pathsep.join([str(tools), str(elsewhere)]) and seen["NoDefaultCurrentDirectoryInExePath"] == "1"


def test_shared_memory_that_the_launch_gives_counts_for_occupancy():
    code = machine_code.MachineCode(1.0, 16, "registers", 1, 0, 1, 0, ())
    numbers = {"registers": 32, "shared": 40 * 1024, "spill_stores": 0, "spill_loads": 0}
    launch = RecordedLaunch("k", 1, 128, Path("k.cu"), lambda arch: ("", "k"), 40 * 1024)
    found = machine_code._with_dynamic_shared(code, launch, "sm_86", numbers)
    assert (found.blocks_per_multiprocessor, found.limiter) == (2, "shared memory"), "100 KiB hold two blocks of 41 KiB"
    assert found.occupancy == 2 * 128 / 1536
    assert machine_code._with_dynamic_shared(code, replace(launch, dynamic_shared=0), "sm_86", numbers) is code


def test_a_linker_that_is_not_there_is_said(monkeypatch):
    from cuda.bindings import nvjitlink

    def missing(*_):
        raise RuntimeError("Failure finding libnvJitLink\nin many places")

    monkeypatch.setattr(nvjitlink, "create", missing)
    linker.link.cache_clear()
    with pytest.raises(machine_code.InspectionError, match=r"cannot be loaded \(Failure finding libnvJitLink\); run: pip"):
        machine_code.link("", "sm_80")
