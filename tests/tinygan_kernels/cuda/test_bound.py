"""Launches that are bound for replay do what unbound ones do, bit for bit, on both CUDA backends, and check nothing again."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels import CUDA_BACKENDS, KERNELS, ContractError, Launch, ladder, load, reference
from tinygan_kernels.cuda.device import NUMPY, CudaLaunch, Device
from tinygan_kernels.verification.cases import cases

RUNGS = [(name, rung, dtype) for name in CUDA_BACKENDS for rung in ladder(name) for dtype in rung.dtypes]


def outputs_of(case, dtype):
    """Fresh outputs of a case: copies of its states, or NaN."""
    if case.states:
        return tuple(np.array(state) for state in case.states)
    found = getattr(reference, case.kernel)(*case.inputs, **case.params)
    return tuple(np.full(np.shape(y), np.nan, dtype) for y in (found if isinstance(found, tuple) else (found,)))


def launch_of(backend, case, outputs):
    return Launch(KERNELS[case.kernel], backend.implementations[case.kernel], tuple(case.inputs), outputs, case.params)


@pytest.mark.parametrize("name, rung, dtype", RUNGS, ids=lambda v: f"{v.kernel}-{v.number}" if hasattr(v, "kernel") else v)
def test_a_bound_launch_gives_the_bits_of_an_unbound_one_each_time(name, rung, dtype):
    """Two calls: states move on from one to the other, and other outputs are written anew."""
    backend = load(name, emulate=True, versions={rung.kernel: rung.number})
    found = list(cases(rung.kernel, dtype, (16,)))
    chosen = found[1 :: min(6, len(found) // 2)]
    assert len(chosen) > 1
    for case in chosen:
        plain, bound = outputs_of(case, dtype), outputs_of(case, dtype)
        run, call = launch_of(backend, case, plain).run, backend.bind(launch_of(backend, case, bound))
        for again in (False, True):
            if not again or case.states:
                run()
            if again and not case.states:
                for y in bound:
                    y.fill(np.nan)
            call()
            assert all(a.tobytes() == b.tobytes() for a, b in zip(plain, bound, strict=True)), case.label


@pytest.mark.parametrize("name", CUDA_BACKENDS)
def test_sums_over_no_rows_are_zero_bound_or_not(name):
    backend = load(name, emulate=True)
    for shape in ((0, 5), (3, 0)):
        db = np.full(shape[1], np.nan, np.float32)
        arrays = (np.zeros(shape, np.float32),) * 2
        launch = Launch(KERNELS["bias_act_grad"], backend.implementations["bias_act_grad"], arrays,
                        (np.zeros(shape, np.float32), db), {"act": "tanh"})  # fmt: skip
        for run in (launch.run, backend.bind(launch)):
            db.fill(np.nan)
            run()
            assert (db == 0).all()


@pytest.mark.parametrize("name", CUDA_BACKENDS)
def test_a_bound_call_works_out_and_checks_nothing_again(name, monkeypatch):
    backend = load(name, emulate=True)
    a, b, c = np.eye(3, dtype=np.float32), np.arange(9, dtype=np.float32).reshape(3, 3), np.zeros((3, 3), np.float32)
    call = backend.bind(Launch(KERNELS["matmul"], backend.implementations["matmul"], (a, b), (c,), {}))
    monkeypatch.setattr(Device, "checked", lambda *_: pytest.fail("checked again"))
    call()
    assert np.array_equal(c, b)
    b += 1
    call()
    assert np.array_equal(c, b), "the arrays' contents are read anew"


@pytest.mark.parametrize("name", CUDA_BACKENDS)
def test_kernels_without_a_ladder_are_bound_as_they_are(name):
    backend = load(name, emulate=True)
    launch = Launch(KERNELS["neg"], backend.implementations["neg"], (np.ones(3),), (np.zeros(3),), {})
    backend.bind(launch)()
    assert launch.outputs[0].tolist() == [-1, -1, -1]


def test_a_dtype_that_the_version_does_not_compute_in_is_refused_when_bound():
    backend = load("cupy", emulate=True, versions={"matmul": 5})
    a = np.zeros((2, 2))
    with pytest.raises(ContractError, match="computes in float32, not float64"):
        backend.bind(Launch(KERNELS["matmul"], backend.implementations["matmul"], (a, a), (np.zeros((2, 2)),), {}))


class Noting(Device):
    """A device that passes every argument, and notes what it starts."""

    def __init__(self):
        super().__init__(NUMPY)
        self.started = []

    def check(self, launch):
        if launch.kernel == "wrong":
            raise ContractError("wrong is wrong")

    def start(self, launch):
        self.started.append(launch.kernel)


def test_nothing_is_started_unless_all_launches_pass_and_no_blocks_are_no_work():
    device = Noting()
    launches = [CudaLaunch(name, blocks, (1,), ()) for name, blocks in (("one", 1), ("empty", 0), ("two", 3))]
    device.run(launches)
    assert device.started == ["one", "two"]
    with pytest.raises(ContractError, match="wrong is wrong"):
        device.run([*launches, CudaLaunch("wrong", 1, (1,), ())])
    assert device.started == ["one", "two"]


def test_a_grid_that_cuda_cannot_number_is_refused():
    device = Noting()
    device.run([CudaLaunch("largest", 0x7FFFFFFF, (1,), ())])
    with pytest.raises(ContractError, match="a grid of 2147483648 blocks is too large"):
        device.run([CudaLaunch("larger", 0x80000000, (1,), ())])
