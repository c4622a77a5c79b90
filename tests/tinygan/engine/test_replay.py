"""Replay does what the step did: bit for bit against eager steps for every kind of game, then the economies one by one, on
recordings made by hand where an economy would be wrong, and at last on random programs.

Between replays the plan's own memory is filled with NaN: whatever a step left behind there must not be needed by the next.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import backend, start
from tinygan_kernels import KERNELS, Launch, load

from tinygan.engine import economies, ops
from tinygan.engine.changes import detect_changes
from tinygan.engine.economies import ALIGNMENT
from tinygan.engine.replay import Plan, Recorder, Replayed
from tinygan.engine.tensor import ValuesNotThere, gradients, wrap
from tinygan.game.moves import Game
from tinygan.nn.layers import Linear, Sequential
from tinygan.optim import SGD, Momentum

CPU = backend("cpu")


def own_memory(plan):
    """Return the pool that the plan keeps its buffers in, as bytes; empty if it has none."""
    arrays = [a for launch in plan.launches for a in (*launch.inputs, *launch.outputs)]
    pools = [a.base for a in arrays if a.base is not None and a.base.dtype == np.uint8]
    return pools[0] if pools else np.empty(0, np.uint8)


class Poisoned(Replayed):
    """A replayed step that finds NaN in the plan's own memory at every call."""

    def __call__(self, *arrays):
        if self.plan is not None:
            own_memory(self.plan)[...] = 0xFF
        return super().__call__(*arrays)


class Eager:
    """A step that is run without replay, to compare with."""

    plan = None

    def __init__(self, step, backend):
        self.step, self.backend = step, backend

    def __call__(self, *arrays):
        return self.step(*(wrap(self.backend.asarray(a).copy(), self.backend) for a in arrays))


def bits(arrays):
    return [(a.dtype.str, a.shape, a.tobytes()) for a in arrays]


# ---- whole games ----------------------------------------------------------------------------------------------------------------

GAMES = {
    "plain": {"r1": 0.0, "ema": 0.0},
    "R1 and EMA": {"r1": 0.3, "ema": 0.9},
    "minimax": {"objective": "minimax"},
    "R1 and R2, simultaneous": {"r1": 0.3, "r2": 0.2, "update": "simultaneous"},
    "two steps of D": {"k": 2},
    "falling rates": {"decay": 1.0},
    "DCGAN": {"arch": "dcgan", "r1": 0.0},
    "DCGAN, R1": {"arch": "dcgan", "r1": 0.3},
    "DCGAN, simultaneous": {"arch": "dcgan", "update": "simultaneous"},
    "DCGAN, spectral": {"arch": "dcgan", "spectral": True},
    "batch norm": {"batch_norm": True},
    "maxout and dropout": {"maxout": 3, "dropout": 0.4},
    "noise that fades": {"noise": 0.5},
    "dropout, noise, k = 2": {"dropout": 0.4, "noise": 0.5, "k": 2},
    "penalty between": {"gp": 2.0, "noise": 0.1},
    "packed, smoothed": {"pack": 2, "smooth": 0.1},
    "unrolled": {"unroll": 2, "r1": 0.0},
    "unrolled, spectral": {"unroll": 1, "r1": 0.0, "spectral": True},
}


def one_step(run):
    """Return all that a step shows and leaves behind, to the bit."""
    logits = run.make_step()
    run.step += 1
    shown = [t.numpy() for t in (logits.real, logits.fake, logits.fake_of_g)]
    return bits([*shown, *run.saved_arrays().values()]), {name: rng.bit_generator.state for name, rng in run.rngs.items()}


@pytest.mark.parametrize("game", GAMES)
def test_replayed_steps_are_eager_steps_to_the_last_bit(game, tmp_path):
    replayed, eager = (start(tmp_path / name, **{"backend": "cpu", **GAMES[game]}) for name in ("replayed", "eager"))
    replayed._replayed, eager._replayed = Poisoned(replayed.play, CPU), Eager(eager.play, CPU)
    moments = []
    for step in range(6):
        moments.append(one_step(replayed))
        assert moments[-1] == one_step(eager), f"step {step}"
    assert replayed._replayed.plan is not None and len({str(m) for m in moments}) == 6


@pytest.mark.parametrize("rule", [lambda p: SGD(p, 0.1), lambda p: Momentum(p, 0.1, 0.9)], ids=["sgd", "momentum"])
@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_other_rules_on_other_backends(rule, name):
    """Losses and parameters of five steps with a rate that changes in between."""

    def trained(kind):
        place, rng = load(name), np.random.default_rng(0)
        made = {"backend": place, "rng": rng, "dtype": np.float64}
        G = Sequential(Linear(2, 5, act="tanh", **made), Linear(5, 3, **made))
        D = Sequential(Linear(3, 5, act="leaky_relu", slope=0.2, **made), Linear(5, 1, **made))
        game = Game(D, G, rule(D.parameters()), rule(G.parameters()), r1=0.5)
        step, curve = kind(game.play, place), []
        for rate in (0.1, 0.1, 0.05, 0.2, 0.1):
            game.optim_d.rate = rate
            curve += bits([t.numpy() for t in step(*(rng.standard_normal((4, n)) for n in (3, 2, 2)))])
        return curve, bits([game.optim_d.flat.theta, game.optim_g.flat.theta, *game.optim_g.states.values()])

    assert trained(Poisoned) == trained(Eager)


# ---- inputs and outputs ---------------------------------------------------------------------------------------------------------


def test_inputs_are_taken_anew_and_left_as_they_were():
    step = Replayed(lambda x, y: (x * y + x,), CPU)
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((2, 4, 3)).astype(np.float32) for _ in range(3)]
    kept = [pair.copy() for pair in given]
    for x, y in given:
        np.testing.assert_array_equal(step(x, y)[0].numpy(), x * y + x)
    np.testing.assert_array_equal(given, kept)


def test_a_caller_that_changes_its_array_does_not_change_what_was_recorded():
    x = np.ones(3, np.float32)
    step = Replayed(lambda t: (t + t,), CPU)
    (y,) = step(x)
    x[...] = 5
    np.testing.assert_array_equal(y.numpy(), [2, 2, 2])


def test_outputs_are_the_same_tensors_with_new_values_and_no_graph():
    weight = wrap(np.full(3, 2.0, np.float32), CPU)
    weight.requires_grad = True
    step = Replayed(lambda x: (x * weight, ops.sum(x * weight)), CPU)
    first = step(np.ones(3, np.float32))
    again = step(np.full(3, 4, np.float32))
    assert all(a is b or a.array is b.array for a, b in zip(first, again, strict=True))
    assert not any(t.tracked for t in first)
    np.testing.assert_array_equal(again[0].numpy(), [8, 8, 8])
    assert float(again[1]) == 24


def test_outputs_outlive_what_runs_after_them():
    """No later buffer is laid over an output that is computed early, nor over one whose views are outputs too."""

    def step(x):
        early = ops.exp(x)
        view = ops.transpose(early)
        later = x
        for _ in range(6):
            later = ops.tanh(later + x)
        return early, view, later

    rng, replayed = np.random.default_rng(1), Poisoned(step, CPU)
    for _ in range(3):
        x = rng.standard_normal((5, 5)).astype(np.float32)
        early, view, later = replayed(x)
        expected = step(wrap(x, CPU))
        for found, wanted in zip((early, view, later), expected, strict=True):
            np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.parametrize("other", [np.ones((5, 3), np.float32), np.ones((4, 3), np.float64), np.ones((3, 4), np.float32)])
def test_other_shapes_and_dtypes_run_eagerly_and_say_so_once(other):
    said, calls = [], []
    step = Replayed(lambda x: calls.append(x) or (x + x,), CPU, said.append)
    usual = np.ones((4, 3), np.float32)
    step(usual)
    assert said == [] and len(calls) == 1
    for _ in range(2):
        (y,) = step(other)
        assert y.shape == other.shape and y.dtype == other.dtype and (y.numpy() == 2).all()
    assert len(said) == 1 and str(other.shape) in said[0] and "\n" not in said[0]
    (y,) = step(3 * usual)  # the recording is still there
    assert len(calls) == 3 and (y.numpy() == 6).all()


def test_a_step_that_fails_while_it_is_recorded_leaves_the_backend_as_it_was():
    place = load("cpu")
    allocate, step = place.allocate, Replayed(lambda x: (ops.matmul(x, x),), place)
    with pytest.raises(ValueError, match="inner lengths"):
        step(np.ones((2, 3), np.float32))
    assert place.allocate == allocate and place.watchers == [] and step.plan is None
    assert step(np.ones((3, 3), np.float32)) is not None


LOOKS = {
    "numpy": lambda x: x.numpy(), "float": lambda x: float(x.sum()), "if": lambda x: bool(x.sum()), "comparison": lambda x: x > 0,
    "where": lambda x: ops.where(x > 0, x, 0), "asarray": np.asarray, "tolist": lambda x: x.tolist(), "in": lambda x: 1.0 in x,
    "format": lambda x: f"{x.sum():.2f}",
}


@pytest.mark.parametrize("name", ["cpu", "reference"])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_step_that_looks_at_values_cannot_be_recorded(look, name):
    """A recorded step has no values yet, so whoever asks for them gets an error and no empty memory; eagerly the step is right."""
    place = load(name)

    def step(x):
        look(x * 2)
        return (x + 1,)

    with pytest.raises(ValuesNotThere, match="recorded for replay"):
        Replayed(step, place)(np.ones(3))
    assert (Eager(step, place)(np.ones(3))[0].numpy() == 2).all(), "the backend is not as it was"


def test_a_recording_leaves_checksums_out():
    with detect_changes():
        def step(x):
            x.requires_grad = True
            return gradients((x * x).sum(), [x])

        replayed = Replayed(step, CPU)
        assert (replayed(np.ones(2))[0].numpy() == 2).all()
        assert (replayed(np.full(2, 3.0))[0].numpy() == 6).all()


# ---- what never changes is not run again ----------------------------------------------------------------------------------------


def kernels(replayed):
    return [launch.kernel.name for launch in replayed.plan.launches]


def test_constants_are_computed_once():
    """In 2 x exp(0) + x the fills and the exponential run once, when the step is recorded; only what depends on x is replayed."""

    def step(x):
        zero = ops.as_tensor(0.0, x)
        return ((ops.exp(zero) + ops.exp(zero)) * x + x,)

    replayed = Poisoned(step, CPU)
    for value in (1.0, 2.0, 5.0):
        np.testing.assert_array_equal(replayed(np.full(3, value, np.float32))[0].numpy(), [3 * value] * 3)
    assert kernels(replayed) == ["mul", "add"]


def test_what_only_looks_constant_is_run_again():
    """A buffer of zeros into which x is copied; one that a parameter update writes; a fill of memory that is not the step's own."""
    state, outside = np.zeros(3, np.float32), np.zeros(3, np.float32)

    def step(x):
        zeros = CPU.empty((3,), np.float32)
        CPU.launch("fill", (), out=zeros, value=0.0)
        CPU.launch("copy", (x.array[:1],), out=zeros[1:2])
        CPU.launch("fill", (), out=outside, value=7.0)
        ones = CPU.empty((3,), np.float32)
        CPU.launch("fill", (), out=ones, value=1.0)
        CPU.launch("ema", (ones,), out=state, decay=0.5)
        return ops.exp(wrap(zeros, CPU)), wrap(CPU.launch("neg", (state,)), CPU)

    replayed = Poisoned(step, CPU)
    for i, value in enumerate((1.0, 2.0, 3.0), 1):
        outside[...] = -1
        exponential, negative = replayed(np.full(3, value, np.float32))
        np.testing.assert_array_equal(exponential.numpy(), np.exp(np.array([0, value, 0], np.float32)))
        np.testing.assert_array_equal(negative.numpy(), [0.5**i - 1] * 3)
        assert (outside == 7).all()
    assert kernels(replayed).count("fill") == 2  # zeros and outside


# ---- copies: who may write to the destination at once ---------------------------------------------------------------------------


def put(name, *inputs, out=None, **params):
    return CPU.launch(name, inputs, out=out, **params)


def plain(x, d):
    put("copy", put("neg", x), out=d)


def product(x, d):
    put("copy", put("matmul", x, x), out=d)


def of_one_output(x, d):
    dx, _ = put("bias_act_grad", x, x, act="tanh")
    put("copy", dx, out=d)


def reshaped(x, d):
    put("copy", put("neg", x).reshape(2, 8), out=d.reshape(2, 8))


def read_later(x, d):
    s = put("neg", x)
    put("copy", s, out=d)
    put("ema", s, out=x, decay=0.5)


def read_earlier(x, d):
    s = put("neg", x)
    put("ema", s, out=x, decay=0.5)
    put("copy", s, out=d)


def copied_twice(x, d):
    s = put("neg", x)
    put("copy", s, out=d)
    put("copy", s, out=x)


def destination_read_between(x, d):
    s = put("neg", x)
    put("ema", d, out=x, decay=0.5)
    put("copy", s, out=d)


def destination_written_between(x, d):
    s = put("neg", x)
    put("fill", out=d[1:2], value=3.0)
    put("copy", s, out=d)


def destination_read_by_the_producer(x, d):
    put("copy", put("matmul", d, x), out=d)


def part_of_the_source(x, d):
    put("copy", put("neg", x)[:2], out=d[:2])


def source_transposed(x, d):
    put("copy", put("neg", x).T, out=d)


def destination_transposed(x, d):
    put("copy", put("neg", x), out=d.T)


def written_transposed(x, d):
    s = CPU.empty((4, 4), np.float32)
    put("neg", x, out=s.T)
    put("copy", s, out=d)


def written_in_pieces(x, d):
    s = CPU.empty((4, 4), np.float32)
    put("neg", x[:2], out=s[:2])
    put("exp", x[2:], out=s[2:])
    put("copy", s, out=d)


def written_in_place(x, d):
    s = put("neg", x)
    put("ema", x, out=s, decay=0.25)
    put("copy", s, out=d)


def within_one_buffer(x, d):
    s = CPU.empty((8, 4), np.float32)
    put("neg", x, out=s[:4])
    put("copy", s[:4], out=s[2:6])
    put("exp", s[2:6], out=d)


def over_its_own_source(x, d):
    s = put("neg", x)
    put("copy", s, out=s)
    put("exp", s, out=d)


def of_a_state(x, d):
    put("copy", x, out=d)


def two_to_one_place(x, d):
    """Build a step that copies two buffers to one place. Eagerly d holds the second copy, so the producer that runs first must not
    write to d.
    """
    second, first = put("exp", x), put("neg", x)
    put("copy", first, out=d)
    put("copy", second, out=d)


def outputs_to_places_that_overlap(x, d):
    dx, db = put("bias_act_grad", x, x, act="tanh")
    put("copy", dx, out=d)
    put("copy", db, out=d[0])


MAY_GO = {
    **dict.fromkeys((plain, product, of_one_output, reshaped, read_earlier), 0),
    **dict.fromkeys((written_transposed, written_in_pieces, written_in_place), 0),
    two_to_one_place: 1, outputs_to_places_that_overlap: 1,
}
HAVE_TO_STAY = (
    read_later, copied_twice, destination_read_between, destination_written_between, destination_read_by_the_producer,
    part_of_the_source, source_transposed, destination_transposed, within_one_buffer, over_its_own_source, of_a_state,
)
COPIES = {**MAY_GO, **dict.fromkeys(HAVE_TO_STAY, 1), copied_twice: 2}


@pytest.mark.parametrize("program", COPIES, ids=lambda p: p.__name__)
def test_copies_go_where_they_may_and_never_change_a_result(program):
    seen = {}
    for kind in (Poisoned, Eager):
        state, destination = np.zeros((4, 4), np.float32), np.full((4, 4), 0.5, np.float32)

        def step(x, state=state, destination=destination):
            put("ema", x.array, out=state, decay=0.5)
            program(state, destination)
            return ()

        run, rng, seen[kind] = kind(step, CPU), np.random.default_rng(0), []
        for _ in range(4):
            run(rng.standard_normal((4, 4)).astype(np.float32))
            seen[kind] += bits([state, destination])
        if kind is Poisoned:
            assert kernels(run).count("copy") == COPIES[program]
    assert seen[Poisoned] == seen[Eager]


def test_an_input_that_is_copied_is_put_where_the_copy_was_to_go():
    """Real and fake samples side by side, as D sees them: neither is copied. What is read again, or shown, stays where it is."""

    def beside(x, keep):
        both = CPU.empty((6, 4), np.float32)
        put("copy", x.array, out=both[:3])
        put("copy", put("exp", x.array if keep else both[:3]), out=both[3:])
        return wrap(put("neg", both), CPU), *((x,) if keep == "shown" else ())

    x = np.random.default_rng(0).standard_normal((5, 3, 4)).astype(np.float32)
    for keep, copies in (("", 0), ("read", 1), ("shown", 1)):
        replayed = Poisoned(lambda x, keep=keep: beside(x, keep), CPU)
        for values in x:
            np.testing.assert_array_equal(replayed(values)[0].numpy(), -np.concatenate([values, np.exp(values)]))
            assert np.may_share_memory(replayed.inputs[0].array, own_memory(replayed.plan)) == (not copies)
        assert kernels(replayed).count("copy") == copies


def test_what_is_overwritten_is_not_needed_again():
    """bias_act and its gradient write over their first input where it is a buffer of the plan's own that nothing reads later."""

    def step(x, read_again):
        sums = put("neg", x.array)
        y = put("bias_act", sums, np.zeros(4, np.float32), act="tanh")
        dx, db = put("bias_act_grad", put("exp", y), y, act="tanh")
        return tuple(wrap(a, CPU) for a in (put("neg", dx), db, put("neg", sums if read_again else y)))

    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for read_again in (False, True):
        replayed = Poisoned(lambda x, again=read_again: step(x, again), CPU)
        for values in (x, -x, 2 * x):
            found, wanted = (run(values) for run in (replayed, Eager(lambda x, again=read_again: step(x, again), CPU)))
            assert bits([t.numpy() for t in found]) == bits([t.numpy() for t in wanted])
        in_place = {launch.kernel.name for launch in replayed.plan.launches
                    if launch.inputs and launch.inputs[0].ctypes.data == launch.outputs[0].ctypes.data}
        assert in_place == ({"bias_act_grad"} if read_again else {"bias_act", "bias_act_grad"})


def test_a_source_that_is_an_output_stays():
    d = np.zeros(3, np.float32)

    def step(x):
        s = put("neg", x.array)
        put("copy", s, out=d)
        return (wrap(s, CPU),)

    replayed = Replayed(step, CPU)
    for value in (1.0, 2.0):
        assert (replayed(np.full(3, value, np.float32))[0].numpy() == -value).all() and (d == -value).all()


@pytest.mark.parametrize("d", [np.empty((4, 4)), np.empty((2, 8), np.float32)], ids=["dtype", "shape"])
def test_a_destination_of_another_kind_is_not_written_by_the_producer(d):
    """The contract has no copy between dtypes, and the planner must be right without relying on that."""
    x, s = np.ones((2, 4, 4), np.float32)[0], np.empty((4, 4), np.float32)
    launches = [Launch(KERNELS["neg"], np.negative, (x,), (s,), {}), Launch(KERNELS["copy"], np.copyto, (s,), (d,), {})]
    private = {economies.memory_id(s)}
    assert not economies.may_move(launches, 1, private)
    alike = [launches[0], replace(launches[1], outputs=(np.empty_like(s),))]
    assert economies.may_move(alike, 1, private) and not economies.may_move(alike, 1, set())


# ---- buffers that share memory --------------------------------------------------------------------------------------------------


def recording(step, *arrays):
    """Return (launches, private buffers) as the planner sees them before it lays out memory."""
    recorder = Recorder(CPU)
    with recorder:
        outputs = step(*(wrap(a, CPU) for a in arrays))
    private = {economies.memory_id(a) for a in recorder.allocated if a.size} - {economies.memory_id(t.array) for t in outputs}
    return recorder.launches, private


def span_of(array):
    """Return the addresses between the first and behind the last byte of an array, whatever its strides. Empty arrays have none."""
    first, steps = array.ctypes.data, [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    if not array.size:
        return range(first, first)
    return range(first + sum(min(s, 0) for s in steps), first + sum(max(s, 0) for s in steps) + array.itemsize)


def lives_and_places(before, after, private):
    """Return for every private buffer its launches, from the first use to the last, and the bytes that its uses cover."""
    found = {}
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        for a, b in zip((*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=True):
            if economies.memory_id(a) not in private:
                assert a is b
                continue
            life, place, _ = found.get(economies.memory_id(a), (range(i, i + 1), span_of(b), None))
            joined = range(min(place.start, span_of(b).start), max(place.stop, span_of(b).stop))
            found[economies.memory_id(a)] = range(life.start, i + 1), joined, economies.owner_of(a).nbytes
    return found


def meet(a, b):
    return a.start < b.stop and b.start < a.stop


@pytest.mark.parametrize("game", ["plain", "DCGAN, R1", "unrolled", "R1 and R2, simultaneous"])
def test_buffers_that_live_at_once_lie_apart(game, tmp_path):
    run = start(tmp_path, **{"backend": "cpu", **GAMES[game]})
    rng = np.random.default_rng(0)
    before, private = recording(run.play, *(rng.standard_normal(a.shape).astype(np.float32) for a in (run._x, run._z)))
    after, size = economies.share_memory(before, private, CPU)
    buffers = list(lives_and_places(before, after, private).values())
    assert len(buffers) > 20 and any(meet(a[0], b[0]) for a, b in combinations(buffers, 2))
    for (life, place, nbytes), (other_life, other_place, _) in combinations(buffers, 2):
        assert len(place) <= nbytes
        assert not (meet(life, other_life) and meet(place, other_place))
    together = sum(nbytes for _, _, nbytes in buffers)
    pool = own_memory(Plan(after, [], [], (), size))
    assert size < together / 2 and pool.nbytes <= size + ALIGNMENT
    assert all(place.start >= span_of(pool).start and place.stop <= span_of(pool).stop for _, place, _ in buffers)
    assert all(place.start % ALIGNMENT == 0 for _, place, _ in buffers)


def test_the_check_of_lives_sees_a_buffer_that_is_laid_over_another():
    """A planted fault cuts the lives of buffers short by one launch; the check above must object."""
    x = np.ones((4, 4), np.float32)
    before, private = recording(lambda t: (ops.exp(t + t) + t,), x)
    after = [
        replace(launch, inputs=tuple(before[0].outputs[0] if economies.memory_id(a) in private else a for a in launch.inputs),
                outputs=tuple(before[0].outputs[0] if economies.memory_id(a) in private else a for a in launch.outputs))
        for launch in before
    ]
    buffers = list(lives_and_places(before, after, private).values())
    assert any(meet(a[0], b[0]) and meet(a[1], b[1]) for a, b in combinations(buffers, 2))


def test_a_chain_needs_two_buffers():
    """Each link is read by the next alone, so memory for two is enough, however long the chain."""

    def step(x):
        for _ in range(10):
            x = ops.exp(-x)
        return (ops.sum(x),)

    replayed = Replayed(step, CPU)
    replayed(np.ones(1024, np.float32))
    assert replayed.plan.buffer_bytes == 2 * 4096


def test_views_move_with_their_buffer():
    """Transposed, reversed, cut and repeated views of shared memory keep their shape and strides."""

    def step(x):
        y = ops.exp(x)
        flipped = wrap(y.array[::-1, 1:], CPU)
        wide = ops.broadcast_to(ops.reshape(ops.sum(y, 1), (4, 1)), (4, 4))
        return (ops.tanh(flipped) + 0.5, ops.transpose(y) * wide, ops.exp(wrap(y.array[2:2], CPU)) + 1.0)

    rng, replayed = np.random.default_rng(1), Poisoned(step, CPU)
    for _ in range(3):
        x = rng.standard_normal((4, 4)).astype(np.float32)
        found = bits([t.numpy() for t in replayed(x)])
        assert found == bits([t.numpy() for t in step(wrap(x, CPU))])


# ---- repeated launches ----------------------------------------------------------------------------------------------------------


def kernels_of(step, *arrays):
    """Return (names of the launches that are replayed, a Poisoned run of the step after its first call)"""
    replayed = Poisoned(step, CPU)
    replayed(*arrays)
    return [launch.kernel.name for launch in replayed.plan.launches], replayed


def test_what_was_computed_already_is_not_computed_again():
    """Repeated launches share one buffer, repeats of repeats too, and both results of the step are still right."""

    def step(x):
        return ops.exp(ops.tanh(x)) + 1.0, ops.exp(ops.tanh(x)) * 2.0, ops.exp(ops.tanh(x)), ops.exp(ops.tanh(x))

    x = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    names, replayed = kernels_of(step, x)
    assert sorted(names) == ["add", "exp", "mul", "tanh"]
    for factor in (1, -3):
        assert bits([t.numpy() for t in replayed(factor * x)]) == bits([t.numpy() for t in step(wrap(factor * x, CPU))])


def test_other_parameters_views_or_kernels_are_no_repeat():
    def step(x):
        once = ops.leaky_relu(x, 0.1), ops.leaky_relu(x, 0.2), ops.exp(x), ops.tanh(x)
        return *once, ops.exp(wrap(x.array[::-1], CPU)), ops.exp(wrap(x.array.T, CPU)), ops.exp(wrap(x.array[:2], CPU))

    names, _ = kernels_of(step, np.ones((4, 4), np.float32))
    assert len(names) == 7


def test_what_changed_in_between_is_computed_again():
    """An input written over, wholly or in part, between the two; and a result that is written over after the first."""
    state = np.ones(3, np.float32)

    def updated(x):
        first = ops.exp(wrap(state, CPU))
        CPU.launch("ema", (x.array,), out=state, decay=0.5)
        return first, ops.exp(wrap(state, CPU))

    def in_part(x):
        y = ops.tanh(x)
        first = ops.exp(y)
        CPU.launch("copy", (x.array[:1],), out=y.array[2:])
        return first, ops.exp(y)

    def written_over(x):
        first, second = ops.exp(x), ops.exp(x)
        CPU.launch("neg", (x.array,), out=first.array)
        return first, second

    for step, count in ((updated, 3), (in_part, 4), (written_over, 3)):
        x = np.float32([1, 2, 4])
        state[...] = 1
        names, replayed = kernels_of(step, x)
        assert len(names) == count
        before = state.copy()
        found = bits([t.numpy() for t in replayed(2 * x)])
        state[...] = before
        assert found == bits([t.numpy() for t in step(wrap(2 * x, CPU))])


# ---- two launches as one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["linear", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(("k", "n"), [(20, 64), (2, 64), (20, 5)])
def test_a_linear_layer_is_one_call_where_tiles_fit(act, k, n):
    """matmul and bias_act become one call with the bits of two launches; a product of 5 columns is too thin and stays two."""
    rng = np.random.default_rng(0)
    w, b = wrap(rng.standard_normal((k, n)).astype(np.float32), CPU), wrap(rng.standard_normal(n).astype(np.float32), CPU)

    def step(x):
        return (ops.linear(x, w, b, act, 0.2 if act == "leaky_relu" else 0.0),)

    x = rng.standard_normal((48, k)).astype(np.float32)
    names, replayed = kernels_of(step, x)
    assert names == ["matmul", "bias_act"] and len(replayed.plan.calls) == (1 if n == 64 else 2)
    for factor in (1, -2):
        assert bits([t.numpy() for t in replayed(factor * x)]) == bits([t.numpy() for t in step(wrap(factor * x, CPU))])


def test_a_product_that_is_read_again_is_not_taken_for_a_layer():
    """A product that is read again besides the bias must not be fused away: its bare values are still needed."""
    rng = np.random.default_rng(0)
    w, b = (wrap(rng.standard_normal(s).astype(np.float32), CPU) for s in ((20, 64), (64,)))

    def step(x):
        y = ops.matmul(x, w)
        return ops.bias_act(y, b), y

    x = rng.standard_normal((48, 20)).astype(np.float32)
    _, replayed = kernels_of(step, x)
    assert len(replayed.plan.calls) == 2
    assert bits([t.numpy() for t in replayed(-x)]) == bits([t.numpy() for t in step(wrap(-x, CPU))])


# ---- random programs ------------------------------------------------------------------------------------------------------------

N = 4
VIEWS = {
    "itself": lambda a: a, "transposed": lambda a: a.T, "upside down": lambda a: a[::-1],
    "one row": lambda a: np.broadcast_to(a[1], (N, N)), "one column": lambda a: np.broadcast_to(a[:, 2:3], (N, N)),
}
WRITABLE = ("itself", "transposed", "upside down")


def whole(a):
    return a if a.flags.c_contiguous else put("copy", a)


def new(kernel, *views, **params):
    """Return an instruction of a program: a launch whose result gets memory of its own."""
    return lambda run: run.keep(put(kernel, *(run.view(v) for v in views), **params))


def onto(kernel, target, *views, **params):
    """Return an instruction of a program: a launch whose result is written over an earlier array, or over a view of it."""
    return lambda run: put(kernel, *(run.view(v) for v in views), out=run.view(target), **params)


def multiplied(a, b, trans):
    return lambda run: run.keep(put("matmul", whole(run.view(a)), whole(run.view(b)), trans_a=trans))


def activated(a, act, over):
    def instruction(run):
        x = whole(run.view(a))
        y = put("bias_act", x, put("copy", run.view(a)[0]), out=x if over else None, act=act)
        run.keep(y)
        run.keep(put("bias_act_grad", y, y, act=act)[0])

    return instruction


def embedded(a, rows):
    def instruction(run):
        y = CPU.empty((N, N), np.float32)
        put("fill", out=y, value=0.25)
        put("copy", run.view(a)[:rows], out=y[N - rows :])
        run.keep(y)

    return instruction


def constant(value):
    def instruction(run):
        y = CPU.empty((N, N), np.float32)
        put("fill", out=y, value=value)
        run.keep(put("exp", y))

    return instruction


def moved_rows(target, a, rows):
    return lambda run: put("copy", run.view(a)[:rows], out=run.view(target)[N - rows :])


def update(state, a):
    return lambda run: put("ema", put("copy", run.view(a)), out=run.states[state], decay=0.75)


def noted(state, a):
    return lambda run: put("copy", run.view(a), out=run.states[state])


SEEN = st.tuples(st.integers(0, 30), st.sampled_from(sorted(VIEWS)))
TARGET = st.tuples(st.integers(0, 30), st.sampled_from(WRITABLE))
STATE = st.integers(0, 1)
INSTRUCTIONS = st.one_of(
    st.builds(new, st.sampled_from(("neg", "tanh", "abs", "copy", "sigmoid")), SEEN),
    st.builds(new, st.sampled_from(("add", "maximum", "tanh_grad")), SEEN, SEEN),
    st.builds(onto, st.sampled_from(("neg", "tanh", "copy")), TARGET, SEEN),
    st.builds(onto, st.sampled_from(("add", "maximum")), TARGET, SEEN, SEEN),
    st.builds(multiplied, SEEN, SEEN, st.booleans()),
    st.builds(activated, SEEN, st.sampled_from(("linear", "leaky_relu", "tanh")), st.booleans()),
    st.builds(embedded, SEEN, st.integers(0, N)),
    st.builds(constant, st.sampled_from((0.0, 0.5))),
    st.builds(moved_rows, TARGET, SEEN, st.integers(0, N)),
    st.builds(update, STATE, SEEN),
    st.builds(noted, STATE, SEEN),
)


class Program:
    """Launches in a straight line over numbered arrays: two inputs, two states that outlive the step, and what the step makes."""

    def __init__(self, instructions, outputs):
        self.instructions, self.outputs = instructions, outputs
        self.states = [np.full((N, N), value, np.float32) for value in (0.0, 0.5)]

    def keep(self, array):
        self.arrays.append(array)

    def view(self, at):
        number, form = at
        return VIEWS[form](self.arrays[number % len(self.arrays)])

    def __call__(self, *inputs):
        self.arrays = [*(x.array for x in inputs), *self.states]
        for instruction in self.instructions:
            instruction(self)
        made = self.arrays[4:]
        return tuple(wrap(made[i % len(made)], CPU) for i in self.outputs) if made else ()


@settings(max_examples=150, deadline=None)
@given(
    instructions=st.lists(INSTRUCTIONS, min_size=1, max_size=14), outputs=st.lists(st.integers(0, 30), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_programs_replay_as_they_ran(instructions, outputs, seed):
    seen = {}
    for kind in (Poisoned, Eager):
        program, rng = Program(instructions, outputs), np.random.default_rng(seed)
        run, seen[kind] = kind(program, CPU), []
        for _ in range(4):
            with np.errstate(all="ignore"):
                shown = run(*rng.standard_normal((2, N, N)).astype(np.float32))
            seen[kind].append(bits([*(t.numpy() for t in shown), *program.states]))
    assert seen[Poisoned] == seen[Eager]
