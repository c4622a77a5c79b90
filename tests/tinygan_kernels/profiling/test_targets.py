"""The static targets: met by the best kernels, missed by those that a ladder leaves behind, and never silently unmeasured."""

import dataclasses

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.cuda import numba_backend
from tinygan_kernels.profiling import counts, machine_code, targets, view
from tinygan_kernels.profiling.targets import Step


def _version(kernel: str, number: int):
    return next(row for row in numba_backend.LADDERS if (row.kernel, row.number) == (kernel, number))


@pytest.mark.parametrize("kernel, number, ok", [
    ("matmul", 4, True), ("matmul", 1, False), ("bias_act", 1, True), ("adam", 1, True),
])  # fmt: skip
def test_coalescing_tells_the_best_kernel_from_the_naive_one(kernel, number, ok):
    row = targets.coalescing("numba-cuda", _version(kernel, number))
    assert row.ok is ok, row
    if not ok:
        # a load of A touches 32 sectors for 32 numbers, the one of B on the same line 1 sector for all lanes
        assert row.value == f"{2 * 32 * 4 / (33 * 32):.0%} of each sector used"


def test_steps_that_improve_are_met_and_the_same_steps_backwards_are_missed():
    step = Step("matmul", 1, 2, targets._SECTORS, "sectors")
    (row,) = step.rows("numba-cuda", numba_backend.LADDERS)
    (back,) = dataclasses.replace(step, before=2, after=1).rows("numba-cuda", numba_backend.LADDERS)
    assert row.ok is True and back.ok is False
    assert list(dataclasses.replace(step, after=9).rows("numba-cuda", numba_backend.LADDERS)) == []


def test_every_two_neighbours_on_a_ladder_have_a_step():
    numbers = {(step.kernel, step.before, step.after) for step in targets.STEPS}
    for row in numba_backend.LADDERS:
        if row.number > 1:
            assert (row.kernel, row.number - 1, row.number) in numbers


def test_conflicts_and_spills_of_the_numba_kernels():
    assert targets.conflicts("numba-cuda", _version("matmul", 4)).ok is True
    row = targets.spills("numba-cuda", [_version("bce_logits", 1), _version("adam", 1)], "sm_90")
    assert row.ok is True and row.where == "5 kernels, sm_90"


def test_spilling_is_reported_with_the_kernels_name(monkeypatch):
    monkeypatch.setattr(machine_code, "resources", lambda started, arch: {"spill_stores": 8, "spill_loads": 4})
    row = targets.spills("numba-cuda", [_version("matmul", 4)], "sm_80")
    assert row.ok is False and row.value == "register_tile_kernel 12"


def _code(multiply_adds: int, cycles: int) -> machine_code.Code:
    loop = machine_code.Loop(1, (1, 2), 999, multiply_adds, cycles)
    return machine_code.Code(0.25, 2, "registers", 1, 0, 10, 0, (loop,))


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


def test_the_shapes_of_the_targets_are_counted_themselves_or_extended_exactly():
    assert set(targets.SHAPES) == set(counts.PROFILED)
    for kernel, shape in targets.SHAPES.items():
        assert counts.problem(kernel, shape).work <= counts.MOST_WORK, kernel
