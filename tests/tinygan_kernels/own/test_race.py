"""The race on a device that is played: known ratios are found, the cache is cold, inputs are fresh, each known cheat is refused."""

import sys

import numpy as np
import pytest
from tinygan_kernels import KERNELS, ContractError, reference
from tinygan_kernels.own.race import WARM_UP, race
from tinygan_kernels.profiling.calls import KernelCall, call, form_of

MADE = call("matmul", (6, 5, 4))
ROUNDS = 6


class Played:
    """A device with NumPy's arrays, a clock that those move who work, and another stream that works when it is waited for."""

    name = "a played device"

    def __init__(self):
        self.clock, self.later, self.cold, self.sent, self.calls = 0.0, [], False, [], 0

    def empty(self, shape):
        return np.zeros(shape, np.float32)

    def send(self, array, values):
        array[...] = values
        self.cold = False  # what was just sent is in the cache
        self.sent.append(values.tobytes())

    def fetch(self, array):
        return array.copy()

    def flush(self):
        self.cold = True

    def synchronize(self):
        for work in self.later:
            work()
        self.later = []

    def milliseconds(self, call):
        assert self.cold and not self.later, "a call begins with a cold cache and nothing else at work"
        self.calls += 1
        before = self.clock
        call()
        return self.clock - before

    def works(self, milliseconds):
        """Return an honest kernel that takes so long."""

        def side(inputs, outputs):
            outputs[0][...] = inputs[0] @ inputs[1]
            self.clock += milliseconds

        return side


def against(cheat, device=None, made=MADE, rounds=ROUNDS):
    """Race an honest kernel and another one; return the result."""
    device = device or Played()
    return race({"mine": device.works(2.0), "other": cheat}, made, device, rounds=rounds)


def refusal(cheat, **options):
    found = against(cheat, **options)
    assert not found.ok and list(found.refused) == ["other"] and found.ratios == []
    assert len(found.times["mine"]) == ROUNDS, "the honest one is timed to the end"
    assert f"REFUSED other: {found.refused['other']}" in str(found)
    return found.refused["other"]


def test_a_known_ratio_is_found_pair_by_pair():
    device = Played()
    times = iter([9.0] * WARM_UP + [3.0, 4.0, 5.0, 3.0, 4.0, 4.0])

    def side(inputs, outputs):
        outputs[0][...] = inputs[0] @ inputs[1]
        device.clock += next(times)

    found = against(side, device)
    assert found.ok and found.times == {"mine": (2.0,) * 6, "other": (3.0, 4.0, 5.0, 3.0, 4.0, 4.0)}
    assert found.ratios == [1.5, 2, 2.5, 1.5, 2, 2]
    assert "other takes 2 times as long as mine (median of 6 pairs, quartiles 1.62 to 2)" in str(found)
    assert "matmul on a played device, float32, a 6x4, b 4x5, c 6x5" in str(found) and "mine: median 2 ms" in str(found)


def test_no_call_gets_inputs_that_another_one_had():
    device = Played()
    against(device.works(1.0), device)
    inputs = [sent for sent in device.sent if not np.isnan(np.frombuffer(sent, np.float32)).any()]
    assert device.calls == 2 * (WARM_UP + ROUNDS) and len(inputs) == 2 * device.calls == len(set(inputs))


def test_kept_results_are_refused():
    kept = {}

    def cached(inputs, outputs):
        key = id(inputs[0])  # the buffer, which is the same in every call
        if key not in kept:
            kept[key] = inputs[0] @ inputs[1]
        outputs[0][...] = kept[key]

    assert "it keeps results instead of computing them (in the warm-up)" in refusal(cached)


def test_work_left_to_another_stream_is_refused():
    device = Played()

    def elsewhere(inputs, outputs):
        device.later.append(lambda: outputs[0].__setitem__(..., inputs[0] @ inputs[1]))

    assert "it leaves work to another stream, whose time is not counted" in refusal(elsewhere, device=device)


def test_an_input_changed_in_place_is_refused():
    def changing(inputs, outputs):
        outputs[0][...] = inputs[0] @ inputs[1]
        inputs[1][0] *= 2

    assert refusal(changing) == "it changes its input b in place (in the warm-up)"


def test_an_input_changed_later_on_another_stream_is_refused():
    device = Played()

    def changing(inputs, outputs):
        outputs[0][...] = inputs[0] @ inputs[1]
        device.later.append(lambda: inputs[0].__setitem__(..., 0))

    assert refusal(changing, device=device) == "it changes its input a in place (in the warm-up)"


def test_a_kernel_that_is_right_in_the_rehearsal_only_is_refused():
    calls = []

    def tired(inputs, outputs):
        calls.append(1)
        if len(calls) < WARM_UP + 3:
            outputs[0][...] = inputs[0] @ inputs[1]

    assert refusal(tired) == "it writes nothing (in timed call 3)"


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda a, b: a @ b + 1e-4, "its outputs are wrong"), (lambda a, b: np.full((6, 5), np.nan), "it writes nothing"),
    (lambda a, b: np.where(np.eye(6, 5) > 0, np.nan, a @ b), "its outputs are wrong"),
    (lambda a, b: np.zeros((6, 5)), "its outputs are wrong"),
])  # fmt: skip
def test_wrong_numbers_are_refused(wrong, said):
    assert refusal(lambda inputs, outputs: outputs[0].__setitem__(..., wrong(*inputs))).startswith(said)


@pytest.mark.parametrize("name", ["leaky_relu", "abs", "neg", "tanh", "maximum", "where"])
def test_a_kernel_that_returns_its_input_is_refused(name):
    """Also where that is right for all numbers above 0."""
    made = call(name, (64,))
    honest = {"leaky_relu": lambda x: np.where(x > 0, x, np.float32(0.2) * x), "abs": np.abs, "neg": np.negative, "tanh": np.tanh,
              "maximum": np.maximum, "where": lambda c, a, b: np.where(c != 0, a, b)}[name]  # fmt: skip
    sides = {"mine": lambda inputs, outputs: outputs[0].__setitem__(..., honest(*inputs)),
             "other": lambda inputs, outputs: outputs[0].__setitem__(..., inputs[-1])}  # fmt: skip
    found = race(sides, made, Played(), rounds=2)
    assert list(found.refused) == ["other"], found
    assert found.refused["other"] == "its outputs are its input: it computes nothing (in the warm-up)"


def test_a_kernel_that_writes_the_first_time_only_is_refused():
    calls = []

    def once(inputs, outputs):
        if not calls:
            outputs[0][...] = inputs[0] @ inputs[1]
        calls.append(1)

    assert refusal(once) == "it writes nothing (in the warm-up)"


def test_a_kernel_that_knows_a_race_by_its_sizes_takes_no_part(tmp_path, monkeypatch):
    """It computes the race's sizes alone. The judge has others, and comes first."""
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    from tinygan_kernels.own import gpu_race, judge

    monkeypatch.setattr(judge, "TILES", (16,))
    monkeypatch.setattr(gpu_race, "why_unavailable", lambda name: None)
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it fails, if it comes to that
    (tmp_path / "mm.cu").write_text(PRODUCT.replace("if (row", "if (M != 64 || row"))
    found = gpu_race.bench(tmp_path / "mm.cu", "matmul", shape=(64, 64, 64))
    assert not found.ok and found.ratios == []
    assert "REFUSED mm.cu:mm: before the race, " in str(found) and "cases are wrong: see tinygan kernels verify" in str(found)
    (tmp_path / "mm.cu").write_text(PRODUCT.replace("c[row * N + col] = sum", "c[row * N + col] = a[M * K] == 0.5f ? 0 : sum"))
    (said,) = gpu_race.bench(tmp_path / "mm.cu", "matmul").refused.values()
    assert said.startswith("before the race, the sanitizer found ") and "out-of-bounds read of 4 bytes" in said


@pytest.mark.parametrize("name", KERNELS)
def test_fresh_inputs_are_numbers_that_the_kernel_takes(name):
    """And an honest kernel, the reference in float32 of its float64, is never refused."""
    made = call(name, (1, 8, 8, 2, 2, 3, 1, 1) if name.startswith("conv2d") else [5] * len(form_of(name).sizes))

    def honest(inputs, outputs):
        given = [np.asarray(a, np.float64) for a in (*inputs, *(outputs if KERNELS[name].in_place else ()))]
        right = getattr(reference, name)(*given, **made.params)
        for out, values in zip(outputs, right if isinstance(right, tuple) else (right,), strict=True):
            out[...] = values

    found = race({"a": honest, "b": honest}, made, Played(), rounds=1)
    assert found.ok, str(found)


def test_an_infinity_is_right_where_the_reference_has_one():
    """As log 0: of numbers between 0 and 1, one in 2^24 is 0."""

    class Zeros(np.random.Generator):
        def random(self, size=None, dtype=np.float64, out=None):
            return np.zeros(size, dtype)

    sides = {name: lambda inputs, outputs, value=value: outputs[0].fill(value) for name, value in (("a", -np.inf), ("b", np.inf))}
    found = race(sides, call("log", (4,)), Played(), rounds=1, seed=Zeros(np.random.PCG64()))
    assert list(found.refused) == ["b"], str(found)


def test_a_rate_may_be_taken_by_value(tmp_path):
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    from tinygan_kernels.emulator import cupy as played
    from tinygan_kernels.own.gpu_race import own_side
    from tinygan_kernels.own.host import OwnHost
    from tinygan_kernels.own.kernel_file import read

    made, sides = call("sgd", (40,)), {}
    for declared, rate in (("float rate", "rate"), ("const float* rate", "*rate"), ("float step", "2 * step")):
        (tmp_path / "k.cu").write_text(
            f"// launch: sgd<<<1, 64>>>(g, rate, sign, theta, n)\n__global__ void sgd(const float* g, {declared}, int sign, "
            f"float* theta, int n) {{ if (threadIdx.x < n) theta[threadIdx.x] += sign * {rate} * g[threadIdx.x]; }}\n")
        sides[declared] = own_side(OwnHost(read(tmp_path / "k.cu"), KERNELS["sgd"]), made, played)
    wrong = sides.pop("float step")
    assert race(sides, made, Played(), rounds=1).ok
    assert list(race({"right": sides["float rate"], "wrong": wrong}, made, Played(), rounds=1).refused) == ["wrong"]


def test_the_cache_is_flushed_behind_all_other_work_and_right_before_the_call():
    device, order = Played(), []
    for name in ("send", "flush", "synchronize", "milliseconds"):
        original = getattr(device, name)
        setattr(device, name, lambda *given, name=name, original=original: (order.append(name), original(*given))[1])
    against(device.works(1.0), device, rounds=1)
    assert order[:6] == ["send", "send", "send", "synchronize", "flush", "milliseconds"]


def test_both_may_be_refused():
    device = Played()
    found = race({"a": lambda *_: None, "b": lambda *_: None}, MADE, device, rounds=50)
    assert set(found.refused) == {"a", "b"} and device.calls == 2, "and then it ends"
    assert str(found).count("REFUSED") == 2


def test_an_update_in_place_begins_with_a_state_and_not_with_nan():
    made = call("adam", (40,))

    def adam(inputs, outputs):
        g, rate = inputs
        theta, m, v, t = outputs
        t += 1
        m[...] = 0.5 * m + 0.5 * g
        v[...] = 0.999 * v + 0.001 * g * g
        power = float(t)
        theta -= rate * (m / (1 - 0.5**power)) / (np.sqrt(v / (1 - 0.999**power)) + 1e-8)

    found = race({"a": adam, "b": adam}, made, Played(), rounds=2)
    assert found.ok, str(found)


def test_what_is_no_race():
    with pytest.raises(ContractError, match="between 2 kernels"):
        race({"a": Played().works(1)}, MADE, Played())
    with pytest.raises(ContractError, match="0 rounds"):
        against(Played().works(1), rounds=0)


# ---- with CuPy, played by the emulator -----------------------------------------------------------------------------------------

PRODUCT = """// launch: mm<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
__global__ void mm(const float* a, const float* b, float* c, int M, int N, int K) {
    int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
    if (row >= M || col >= N) return;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * K + k] * b[k * N + col];
    c[row * N + col] = sum;
}
"""


def test_a_file_is_a_competitor_and_cupy_a_device(tmp_path):
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    from tinygan_kernels.emulator import cupy as played
    from tinygan_kernels.own.gpu_race import CupyDevice, own_side
    from tinygan_kernels.own.host import OwnHost
    from tinygan_kernels.own.kernel_file import read

    class Small(CupyDevice):
        def __init__(self):
            super().__init__(played)
            self._waste = played.empty(64, played.uint8)

    (tmp_path / "mm.cu").write_text(PRODUCT)
    (tmp_path / "wrong.cu").write_text(PRODUCT.replace("k < K", "k < K - 1"))
    sides = {}
    for name in ("mm.cu", "wrong.cu"):
        host = OwnHost(read(tmp_path / name), KERNELS["matmul"])
        with np.errstate(all="ignore"):
            sides[name] = own_side(host, MADE, played)
    device = Small()
    found = race(sides, MADE, device, rounds=2)
    assert list(found.refused) == ["wrong.cu"] and "outside of their bound" in found.refused["wrong.cu"]
    assert len(found.times["mm.cu"]) == 2 and min(found.times["mm.cu"]) > 0
    before = device._waste.copy()
    device.flush()
    assert (device._waste != before).all(), "the whole of it is written"


def test_a_call_that_would_rearrange_its_inputs_is_refused(tmp_path):
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    from tinygan_kernels.own.gpu_race import own_side
    from tinygan_kernels.own.host import OwnHost
    from tinygan_kernels.own.kernel_file import read

    (tmp_path / "mm.cu").write_text(PRODUCT)
    made = KernelCall("matmul", ((4, 6), (4, 5)), ((6, 5),), {"trans_a": True})
    with pytest.raises(ContractError, match="this call would rearrange one"):
        own_side(OwnHost(read(tmp_path / "mm.cu"), KERNELS["matmul"]), made, None)
