"""The static targets: met by the best kernels, missed by those that a ladder leaves behind, and never silently unmeasured."""

import dataclasses

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.cuda import cpp_backend, numba_backend
from tinygan_kernels.profiling import calls, counts, machine_code, targets, view


@pytest.mark.parametrize("kernel, number, ok", [
    ("matmul", 4, True), ("matmul", 1, False), ("bias_act", 1, True), ("adam", 1, True),
])  # fmt: skip
def test_coalescing_tells_the_best_kernel_from_the_naive_one(kernel, number, ok):
    row = targets.coalescing("numba-cuda", numba_backend.find(kernel, number))
    assert row.ok is ok, row
    if not ok:
        # a load of A touches 32 sectors for 32 numbers, the one of B on the same line 1 sector for all lanes
        assert row.value == f"{2 * 32 * 4 / (33 * 32):.0%} of each sector used"


def test_steps_that_improve_are_met_and_the_same_steps_backwards_are_missed():
    naive, coalesced = (numba_backend.find("matmul", number) for number in (1, 2))
    better = targets.improvement("numba-cuda", naive, coalesced)
    worse = targets.improvement("numba-cuda", coalesced, dataclasses.replace(naive, improves="sectors"))
    assert better.ok is True and better.where == "matmul 1 to 2" and better.value.startswith("sectors ")
    assert worse.ok is False


@pytest.mark.parametrize("backend", [cpp_backend, numba_backend])
def test_every_version_but_the_first_is_measured_against_the_one_before(backend):
    steps = targets.steps(backend.LADDERS)
    assert [(after.kernel, after.number) for _, after in steps] == [(r.kernel, r.number) for r in backend.LADDERS if r.number > 1]
    for before, after in steps:
        assert (before.kernel, before.number + 1) == (after.kernel, after.number)
        assert after.improves in targets.IMPROVEMENTS, f"{backend.__name__}: {after.kernel} {after.number} says not what improves"


def test_conflicts_and_spills_of_the_numba_kernels():
    assert targets.conflicts("numba-cuda", numba_backend.find("matmul", 4)).ok is True
    row = targets.spills("numba-cuda", [numba_backend.find("bce_logits", 1), numba_backend.find("adam", 1)], "sm_90")
    assert row.ok is True and row.where == "5 kernels, sm_90"


def test_spilling_is_reported_with_the_kernels_name(monkeypatch):
    monkeypatch.setattr(machine_code, "resources", lambda started, arch: {"spill_stores": 8, "spill_loads": 4})
    row = targets.spills("numba-cuda", [numba_backend.find("matmul", 4)], "sm_80")
    assert row.ok is False and row.value == "register_tile_kernel 12"


def _code(multiply_adds: int, cycles: int) -> machine_code.MachineCode:
    loop = machine_code.MachineLoop(1, (1, 2), 999, multiply_adds, cycles)
    return machine_code.MachineCode(0.25, 2, "registers", 1, 0, 10, 0, (loop,))


@pytest.mark.parametrize("arch, cycles, ok", [
    ("sm_90", 128, True), ("sm_90", 190, False), ("sm_80", 300, True), ("sm_80", 330, False),
])  # fmt: skip
def test_the_inner_loop_is_judged_by_what_the_architecture_can_issue(monkeypatch, arch, cycles, ok):
    """128 FFMA: 160 cycles are enough where one is issued in each, 320 on sm_80, which has half the lanes."""
    compiled = machine_code.Compiled("k", arch, 256, 128, 0, 0, 0, 0, _code(128, cycles), "")
    monkeypatch.setattr(machine_code, "inspect", lambda started, arch: compiled)
    assert targets.busy_inner_loop("cupy", arch).ok is ok


def test_without_cuxray_the_inner_loop_is_said_to_be_not_measured(monkeypatch):
    monkeypatch.setattr(machine_code, "why_no_code", lambda: "cuxray is not installed; run: pip install -e '.[inspect]'")
    row = targets.busy_inner_loop("numba-cuda", "sm_90")
    assert row.ok is None and "pip install" in row.value
    shown = view.shown(targets.table([row]), width=300)
    assert "not measured" in shown and "cuxray is not installed" in shown


def test_the_sizes_at_which_targets_are_measured_are_counted_themselves():
    for kernel, profiled in calls.PROFILED.items():
        assert calls.call(kernel, profiled.small).work <= counts.MOST_WORK, kernel


def test_a_kernel_beyond_the_limits_is_reported_and_one_within_them_is_not(monkeypatch):
    """The 1024 threads of the shared-memory tile have 64 registers each, and not one more."""
    rung = cpp_backend.find("matmul", 3)
    right = targets.limits("cupy", [rung], "sm_80")
    assert right.ok is True and right.where == "1 kernels, sm_80"
    told = {"registers": 65, "spill_stores": 0, "spill_loads": 0, "stack": 0, "shared": 8448}
    monkeypatch.setattr(machine_code, "resources", lambda started, arch: told)
    wrong = targets.limits("cupy", [rung], "sm_80")
    assert wrong.ok is False and wrong.value == "matmul_v3_f32: not one block of 1024 threads fits a multiprocessor"


def test_an_architecture_whose_rate_is_unknown_is_not_judged(monkeypatch):
    compiled = machine_code.Compiled("k", "sm_107", 256, 128, 0, 0, 0, 0, _code(128, 128), "")
    monkeypatch.setattr(machine_code, "inspect", lambda started, arch: compiled)
    row = targets.busy_inner_loop("cupy", "sm_107")
    assert row.ok is None and "sm_107" in row.value
