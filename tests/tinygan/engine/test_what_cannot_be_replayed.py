"""What Python does within a recorded step, a replay does not do again: it is refilled, kept right, or refused."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from engine_parts import REFERENCE, leaf
from tinygan_kernels import load

from tinygan import Tensor, gradients, nn, ops, optim
from tinygan.engine import Draws, NotReplayable, Replayed, ValuesNotThere
from tinygan.engine.randomness import standard_normal
from tinygan.engine.tensor import wrap

ONES = np.ones(3)
SHARED = np.random  # what a step is not to draw from


def eager(step):
    return lambda a: step(Tensor(a, REFERENCE))


def calls(step, n=4, given=ONES):
    return [[t.numpy().copy() for t in step(given)] for _ in range(n)]


# ---- random numbers -------------------------------------------------------------------------------------------------------------


def dropping(replay):
    layer = nn.Dropout(0.5, np.random.default_rng(0))
    step = lambda x: (layer(x), layer(x * 2.0))  # noqa: E731
    return Replayed(step, REFERENCE) if replay else eager(step)


def test_dropout_is_drawn_anew_for_each_replay_as_an_eager_step_draws_it():
    for one, other in zip(calls(dropping(True), given=np.ones(50)), calls(dropping(False), given=np.ones(50)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_steps_and_an_eager_call_draw_from_one_source_in_turn():
    def play(wrapped):
        draws = Draws(0)
        one, other = (wrapped(lambda x, s=s: (x * draws(standard_normal, x) * s,)) for s in (1.0, 2.0))
        found = []
        for _ in range(3):
            found += [*one(ONES), *other(ONES), draws(standard_normal, Tensor(ONES, REFERENCE))]
            found = [t if isinstance(t, np.ndarray) else t.numpy().copy() for t in found]
        return found

    np.testing.assert_array_equal(play(lambda step: Replayed(step, REFERENCE)), play(eager))


GENERATOR, STATE, OTHER = np.random.default_rng(0), SHARED.RandomState(0), random.Random(0)


def enclosed():
    rng = np.random.default_rng(0)
    return lambda x: (x * rng.random(),)


class Method:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def step(self, x):
        return (x * self.rng.random(),)


HIDDEN = {
    "np.random": lambda x: (x * SHARED.rand(3),),
    "random": lambda x: (x * random.random(),),
    "GENERATOR": lambda x: (x + GENERATOR.normal(size=3),), "STATE": lambda x: (x * STATE.rand(),),
    "OTHER": lambda x: (x * OTHER.random(),),
    "rng": enclosed(), "rng of its object": Method().step,
}


@pytest.mark.parametrize("name", HIDDEN)
def test_numbers_that_no_draws_refills_are_refused(name, monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(NotReplayable, match=rf"draws random numbers from {name.split()[0]}, .*Draws"):
        Replayed(HIDDEN[name], REFERENCE)(ONES)


@pytest.fixture
def beside():
    """Another thread, which calls what it is given; call(f) returns when that is done."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda f: pool.submit(f).result()


@pytest.mark.parametrize("draw", [random.random, lambda: SHARED.rand(3)], ids=["random", "np.random"])
def test_a_recording_beside_which_another_thread_drew_is_used_once_and_made_anew(draw, beside):
    calls_of_python, draws = [], Draws(0)

    def step(x):
        calls_of_python.append(len(calls_of_python))
        if len(calls_of_python) < 3:
            beside(draw)
        return (x * draws(standard_normal, x),)

    by_hand, replayed = Draws(0), Replayed(step, REFERENCE)
    found = [replayed(ONES)[0].numpy().copy() for _ in range(6)]
    np.testing.assert_array_equal(found, [by_hand(standard_normal, Tensor(ONES, REFERENCE)).numpy() for _ in range(6)])
    assert calls_of_python == [0, 1, 2], "two recordings were dropped, the third was kept"


@pytest.mark.parametrize("name", ["np.random", "random"])
def test_a_step_that_draws_is_refused_beside_other_threads_too(name, beside):
    beside(int)  # a thread is there from the first task on
    replayed = Replayed(HIDDEN[name], REFERENCE)
    found = [float(replayed(ONES)[0].numpy()[0]) for _ in range(2)]
    assert found[0] != found[1], "each of the recordings that were dropped drew numbers of its own"
    with pytest.raises(NotReplayable, match=f"draws random numbers from {name}"):
        replayed(ONES)


def drawing_from_both(x):
    random.random()
    return (x * GENERATOR.normal(),)


def with_pythons_name_for_its_own():
    random = np.random.default_rng(0)
    return lambda x: (x * random.normal(),)


@pytest.mark.parametrize(("step", "name"), [(drawing_from_both, "GENERATOR"), (with_pythons_name_for_its_own(), "random")])
def test_a_generator_of_the_step_itself_is_refused_at_once_beside_other_threads_too(step, name, beside):
    beside(int)
    with pytest.raises(NotReplayable, match=f"draws random numbers from {name},"):
        Replayed(step, REFERENCE)(ONES)


def test_a_generator_that_was_only_named_or_that_a_draws_uses_is_none_of_that():
    rng = np.random.default_rng(0)
    draws = Draws(rng)

    def step(x):
        assert rng is not None and GENERATOR is not None
        return (x * draws(standard_normal, x),)

    one, other = calls(Replayed(step, REFERENCE), 2)
    assert (one[0] != other[0]).all()


# ---- writes by Python -----------------------------------------------------------------------------------------------------------


def new_array(w, g):
    w.array = w.array - 0.1 * g.array


def in_place(w, g):
    w.array -= 0.1 * g.array


def into_its_elements(w, g):
    w.array[...] = w.array - 0.1 * g.array


def into_one_element(w, g):
    w.array[0] = 7.0


@pytest.mark.parametrize("update", [new_array, in_place, into_its_elements, into_one_element])
def test_an_update_by_numpy_within_the_step_is_refused(update):
    w = leaf([1.0, 2.0, 3.0])

    def step(x):
        loss = ops.sum(w * w * x)
        update(w, gradients(loss, [w])[0])
        return (loss,)

    with pytest.raises(NotReplayable, match=r"runs launches alone, would not do it again; update by an optimiser"):
        Replayed(step, REFERENCE)(ONES)
    assert w.tolist() == [1.0, 2.0, 3.0], "nothing was written"
    w.array[...] = 5.0
    w.array = np.array([1.0, 2.0, 3.0])  # outside of a recording it is set as ever
    assert w.tolist() == [1.0, 2.0, 3.0]


def trained(replay, change, when):
    """Return the losses of a few steps between which, or before which, a parameter is changed."""
    layer = nn.Linear(3, 1, backend=REFERENCE, rng=0, dtype=np.float64)
    sgd = optim.SGD(layer, 0.1)

    def step(x):
        loss = ops.mean(layer(ops.reshape(x, (1, 3))) ** 2)
        sgd.descend(gradients(loss, sgd.parameters))
        return (loss,)

    play, losses = Replayed(step, REFERENCE) if replay else eager(step), []
    for n in range(6):
        if n == when:
            change(layer.w)
        losses.append(float(play(ONES)[0]))
    return losses


def given_an_array(w):
    w.array = np.full((3, 1), 2.0)


def halved(w):
    w.array /= 2


def written_to(w):
    w.array[...] = 2.0


@pytest.mark.parametrize("change", [given_an_array, halved, written_to])
@pytest.mark.parametrize("when", [1, 3])
def test_a_parameter_that_is_changed_between_replays_is_read_as_it_is(change, when):
    found, wanted = trained(True, change, when), trained(False, change, when)
    assert found == wanted and found != trained(True, lambda w: None, when)


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:], lambda a: a.reshape(3)], ids=["itself", "a slice", "a shape"])
def test_a_launch_into_what_the_step_has_read_is_replayed(view):
    total = Tensor(np.zeros(3), REFERENCE)

    def step(x):
        seen = total[:] + x
        seen = total + x + 0.0 * seen
        REFERENCE.launch("copy", (seen.array,), out=view(total.array))
        return (seen * 1.0,)

    assert [y[0].tolist() for y in calls(Replayed(step, REFERENCE), 3)] == [[n] * 3 for n in (1.0, 2.0, 3.0)]
    assert total.array.flags.writeable


def test_a_write_through_another_view_is_refused_too():
    buffer = np.arange(1.0, 4.0)
    w = wrap(buffer.view(), REFERENCE)

    def step(x):
        y = w * x
        buffer[0] = 9.0
        return (y,)

    with pytest.raises(NotReplayable, match=r"writes by NumPy into an array, float64 of shape \(3,\)"):
        Replayed(step, REFERENCE)(ONES)


def test_a_parameter_that_lies_elsewhere_when_the_step_is_recorded_is_named():
    with pytest.raises(NotReplayable, match=r"the parameter w was given another array.*p\.array\[\.\.\.\] = values"):
        trained(True, given_an_array, 0)
    assert trained(True, written_to, 0) == trained(False, written_to, 0)


def test_an_array_of_another_shape_is_not_written_into_the_recorded_one():
    w = leaf([1.0, 2.0, 3.0])
    step = Replayed(lambda x: (w * x,), REFERENCE)
    step(ONES)
    w.array = np.ones(5)
    assert w.shape == (5,)


# ---- what goes in and comes out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_lists_whole_numbers_and_tensors_are_inputs_too(backend):
    step = Replayed(lambda x: (x * 2.0,), backend)
    for given in ([1, 2], np.array([1, 2]), np.array([1.0, 2.0], np.float32), Tensor([1.0, 2.0], backend),
                  Tensor([1.0, 2.0], "reference")):
        assert step(given)[0].tolist() == [2.0, 4.0]
    assert step.plan is not None and step([[1.0]])[0].tolist() == [[2.0]]


REFUSED = {
    "no function": (lambda: Replayed(3, REFERENCE), "step is 3"),
    "no backend": (lambda: Replayed(lambda x: (x,), 3), "backend is 3"),
    "a tensor out": (lambda: Replayed(lambda x: x, REFERENCE)(ONES), r"the step returned a Tensor.*return \(loss,\)"),
    "None out": (lambda: Replayed(lambda x: None, REFERENCE)(ONES), "the step returned None"),
    "a dictionary out": (lambda: Replayed(lambda x: {"y": 1}, REFERENCE)(ONES), "the step returned {'y': 1}"),
    "a number out": (lambda: Replayed(lambda x: (x, 3.0), REFERENCE)(ONES), "output 1 of the step is 3.0"),
    "another backend's out": (lambda: Replayed(lambda x: (Tensor(1.0, load("cpu")),), REFERENCE)(ONES), "output 0 .* on the"),
    "a tensor in a graph": (lambda: Replayed(lambda x: (x,), REFERENCE)(leaf(1.0)), "input 0 .* gradients flow through"),
    "text": (lambda: Replayed(lambda x: (x,), REFERENCE)("abc"), "input 0 of the step"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_step_or_no_array_is_refused(case):
    call, said = REFUSED[case]
    with pytest.raises(TypeError, match=said):
        call()


def test_another_number_of_inputs_is_refused():
    step = Replayed(lambda *x: (x[0],), REFERENCE)
    step(ONES, ONES)
    for given in ((), (ONES,), (ONES, ONES, ONES)):
        with pytest.raises(TypeError, match=f"recorded with 2 inputs, it is called with {len(given)}"):
            step(*given)


def test_whoever_waits_for_one_class_of_error_gets_all():
    assert issubclass(ValuesNotThere, NotReplayable)
