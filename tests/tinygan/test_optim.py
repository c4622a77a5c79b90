"""Ascent is plus, descent is minus, and each rule is the one of its paper: against scalar computations over several steps."""

import math

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, launches, names
from tinygan_kernels import load

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.engine.tensor import ChangedArray
from tinygan.nn.layers import Linear, Sequential
from tinygan.optim import SGD, Adam, Momentum, assert_disjoint

START, RATE = [2.0, -1.0, 0.5], 0.1
GRADIENTS = [[1.0, -2.0, 0.0], [0.5, 4.0, -1e-3], [-3.0, 0.25, 7.0], [2.0, 2.0, 2.0]]


def parameters(values=START, backend=REFERENCE, dtype=np.float64):
    """Return two parameters of different shapes."""
    values = np.array(values, dtype)
    return {"w": Tensor(values[:2].reshape(1, 2).copy(), backend, True), "b": Tensor(values[2:].copy(), backend, True)}


def as_gradients(values, backend=REFERENCE, dtype=np.float64):
    values = np.array(values, dtype)
    return [Tensor(values[:2].reshape(1, 2), backend), Tensor(values[2:], backend)]


def values_of(optimiser):
    return np.concatenate([t.numpy().ravel() for t in optimiser.parameters])


# ---- the rules, one number at a time --------------------------------------------------------------------------------------------


def sgd(theta, gradients, sign):
    for g in gradients:
        theta = theta + sign * RATE * g
    return theta


def momentum(theta, gradients, sign, mu=0.8):
    velocity = 0.0
    for g in gradients:
        velocity = mu * velocity + g
        theta = theta + sign * RATE * velocity
    return theta


def adam(theta, gradients, sign, beta1=0.6, beta2=0.9, eps=0.01):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta = theta + sign * RATE * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return theta


RULES = {
    "sgd": (lambda p: SGD(p, RATE), sgd), "momentum": (lambda p: Momentum(p, RATE, mu=0.8), momentum),
    "adam": (lambda p: Adam(p, RATE, 0.6, 0.9, 0.01), adam),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("direction", ["ascend", "descend"])
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_its_formula_over_several_steps(rule, direction, backend):
    make, by_hand = RULES[rule]
    place = load(backend)
    optimiser = make(parameters(backend=place))
    for g in GRADIENTS:
        getattr(optimiser, direction)(as_gradients(g, place))
    signed = {"ascend": (+1, -1), "descend": (-1, +1)}[direction]
    right, wrong = ([by_hand(theta, [g[i] for g in GRADIENTS], sign) for i, theta in enumerate(START)] for sign in signed)
    np.testing.assert_allclose(values_of(optimiser), right, rtol=1e-13)
    assert not np.isclose(values_of(optimiser), wrong).any()


@pytest.mark.parametrize("rule", RULES)
def test_ascending_raises_a_function_and_descending_lowers_it(rule):
    for direction, sign in (("ascend", 1), ("descend", -1)):
        optimiser = RULES[rule][0](parameters())
        f = lambda w, b: ops.sum(ops.tanh(w)) + ops.sum(b * b)  # noqa: E731
        before = f(*optimiser.parameters)
        getattr(optimiser, direction)(gradients(before, optimiser.parameters))
        assert sign * (float(f(*optimiser.parameters)) - float(before)) > 0.01


def test_the_first_step_of_adam_is_as_long_as_the_rate_whatever_the_gradient():
    for scale in (1e-3, 1.0, 1e3):
        optimiser = Adam(parameters(), RATE)
        optimiser.ascend(as_gradients(np.array([1.0, -1.0, 1.0]) * scale))
        np.testing.assert_allclose(values_of(optimiser) - START, [RATE, -RATE, RATE], rtol=1e-4)


# ---- what an optimiser owns -----------------------------------------------------------------------------------------------------


def test_one_launch_updates_a_whole_network():
    network = Sequential(*(Linear(2, 2, backend=REFERENCE, rng=np.random.default_rng(0)) for _ in range(3)))
    optimiser = Adam(network.parameters(), 1e-3)
    g = [Tensor(np.ones(t.shape, np.float32), REFERENCE) for t in optimiser.parameters]
    with launches() as seen:
        optimiser.ascend(g)
    assert [name for name in names(seen) if name != "copy"] == ["adam"]
    assert seen[-1].params["sign"] == 1


def test_states_start_at_zero_count_steps_and_take_the_dtype_of_the_network():
    for dtype in (np.float32, np.float64):
        optimiser = Adam(parameters(dtype=dtype), RATE)
        assert {name: (a.shape, a.dtype) for name, a in optimiser.states.items()} == {
            "m": ((3,), dtype), "v": ((3,), dtype), "t": ((), dtype)
        }
        assert all((a == 0).all() for a in optimiser.states.values())
        for g in GRADIENTS:
            optimiser.descend(as_gradients(g, dtype=dtype))
        assert float(optimiser.states["t"]) == len(GRADIENTS) and values_of(optimiser).dtype == dtype
    assert list(SGD(parameters(), RATE).states) == [] and list(Momentum(parameters(), RATE).states) == ["velocity"]


def test_the_rate_can_be_changed_between_steps():
    optimiser = SGD(parameters(), 1.0)
    optimiser.ascend(as_gradients([1.0, 1.0, 1.0]))
    array = optimiser._rate
    optimiser.rate = 0.25
    assert optimiser.rate == 0.25 and optimiser._rate is array, "in place: recorded launches read it anew"
    optimiser.ascend(as_gradients([1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(values_of(optimiser), np.array(START) + 1.25)


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan"), float("inf")])
def test_rates_that_do_not_move_forward_are_refused(rate):
    with pytest.raises(ValueError, match="it has to be positive"):
        SGD(parameters(), rate)


OUT_OF_RANGE = {
    "beta1": (1.0, 1.5, -0.1, float("nan")), "beta2": (1.0, 1.5, -0.1, float("nan")), "eps": (-1e-8, float("inf"), float("nan")),
    "mu": (-1.0, 1.0, 1.5, -1.5, float("nan")),
}  # fmt: skip
AT_THE_EDGE = {"beta1": (0, 0.0, 0.999), "beta2": (0.0, 1 - 1e-9), "eps": (0.0, 1e-30, 5.0), "mu": (0.0, -0.999, 0.999)}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_a_constant_out_of_its_range_is_named_with_its_optimiser(name):
    kind = Momentum if name == "mu" else Adam
    for odd in OUT_OF_RANGE[name]:
        with pytest.raises(ValueError, match=f"^{kind.__name__}: {name} is {odd}, it has to"):
            kind(parameters(), RATE, **{name: odd})
    for odd in ("0.5", None, True):
        with pytest.raises(TypeError, match=rf"^{kind.__name__}: {name} is .*, it has to be a number$"):
            kind(parameters(), RATE, **{name: odd})
    for fine in AT_THE_EDGE[name]:
        assert kind(parameters(), RATE, **{name: fine}).constants[name] == fine


def test_defaults_are_those_that_are_documented():
    adam, momentum = Adam(parameters()), Momentum(parameters(), RATE)
    assert adam.rate == 0.001 and adam.constants == {"beta1": 0.5, "beta2": 0.999, "eps": 1e-8}
    assert momentum.constants == {"mu": 0.9} and SGD(parameters(), RATE).constants == {}


# ---- in what shapes parameters and gradients may come ---------------------------------------------------------------------------


def test_parameters_are_named_by_where_they_stand():
    """A layer's and a dictionary's by their names, pairs by theirs, a list's and a single one's by position."""
    w, b = parameters().values()
    layer = Linear(2, 1, backend=REFERENCE, rng=0)
    for given, wanted in (
        (layer, list(layer.parameters())), ({"w": w, "b": b}, ["w", "b"]), ([w, b], ["0", "1"]), (w, ["0"]),
        ((t for t in (w, b)), ["0", "1"]), ([("one", w), ("two", b)], ["one", "two"]), ([("one", w), b], ["one", "1"]),
    ):  # fmt: skip
        optimiser = SGD(given, RATE)
        assert list(optimiser.flat.parameters) == wanted
        assert all(t.requires_grad for t in optimiser.parameters)


@pytest.mark.parametrize(("given", "said"), [
    (3, r"SGD: parameters is 3 \(int\), it has to be G\.parameters\(\)"), ("w", "SGD: parameters is 'w'"),
    (np.ones(3), "SGD: parameters is .*it has to be G.parameters"), (["w"], "SGD: parameters holds the name 'w'; write G.param"),
    ([np.ones(2)], r"SGD: the parameter 0 is .*, it has to be a Tensor"), ({"w": 3}, r"SGD: the parameter w is 3 \(int\)"),
    ([(1, 2, 3)], r"SGD: the parameter 0 is .*, it has to be a Tensor"), ([{}], "SGD: parameters holds .*one optimiser for each"),
])  # fmt: skip
def test_what_is_no_parameter_is_named(given, said):
    with pytest.raises(TypeError, match=f"^{said}"):
        SGD(given, RATE)


def test_what_cannot_be_trained_is_named():
    w, fixed = parameters()["w"], constant([1.0])
    for given, said in (([w, fixed], "Momentum: the parameter 1 does not require a gradient"),
                        ({"w": w, "c": fixed}, "Momentum: the parameter c does not"), ([w, w], "Momentum: one tensor is twice")):
        with pytest.raises(ValueError, match=f"^{said}"):
            Momentum(given, RATE)


def test_gradients_may_come_from_a_generator_and_a_single_tensor_is_none():
    """A tensor is iterable too: its rows would be taken for the gradients of parameters."""
    optimiser = SGD(parameters(), RATE)
    optimiser.ascend(g for g in as_gradients([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(values_of(optimiser), np.array(START) + RATE, rtol=1e-15)
    square = SGD({"a": Tensor(np.zeros(2), REFERENCE, True), "b": Tensor(np.zeros(2), REFERENCE, True)}, RATE)
    with pytest.raises(TypeError, match="gradients is one tensor; pass one gradient for each parameter"):
        square.ascend(constant(np.ones((2, 2))))
    assert not values_of(square).any()


def test_gradients_that_do_not_belong_are_refused_and_nothing_moves():
    optimiser = SGD(parameters(), RATE)
    for wrong in ([constant([[1.0, 1.0]])], [constant([1.0, 1.0]), constant([1.0])]):
        with pytest.raises(ValueError, match="gradient"):
            optimiser.ascend(wrong)
    np.testing.assert_array_equal(values_of(optimiser), START)


# ---- two players ----------------------------------------------------------------------------------------------------------------


def test_players_with_parameters_of_their_own_are_disjoint():
    assert_disjoint(SGD(parameters(), RATE), SGD(parameters(), RATE))


def test_a_shared_tensor_is_found_whoever_came_first():
    d, g = parameters(), parameters()
    g["shared"] = d["b"]
    first, second = SGD(d, RATE), SGD(g, RATE)
    for pair in ((first, second), (second, first)):
        with pytest.raises(ValueError, match="theta_d and theta_g share parameters"):
            assert_disjoint(*pair)


def test_shared_memory_is_found_behind_tensors_of_their_own():
    d, g = SGD(parameters(), RATE), SGD(parameters(), RATE)
    g.flat.theta = d.flat.theta[1:]
    with pytest.raises(ValueError, match="share parameters"):
        assert_disjoint(d, g)


@pytest.mark.parametrize("rate", [-1e-3, float("nan"), float("inf")])
def test_a_rate_that_would_turn_the_step_round_is_refused_later_too(rate):
    sgd = SGD({"w": Tensor(np.ones(2), REFERENCE, requires_grad=True)}, 0.1)
    with pytest.raises(ValueError, match=f"the learning rate is {rate}, it has to be at least 0"):
        sgd.rate = rate
    sgd.rate = 0.0
    assert sgd.rate == 0.0


# ---- parameters that are no longer where the optimiser put them -----------------------------------------------------------------


def moved_by(optimiser):
    before = values_of(optimiser)
    optimiser.descend(as_gradients([1.0, 1.0, 1.0]))
    return values_of(optimiser) - before


def test_two_optimisers_of_the_same_parameters_both_move_them():
    theta = parameters()
    first = SGD(theta, RATE)
    second = SGD(theta, 2 * RATE)
    assert np.allclose(moved_by(first), -RATE) and np.allclose(moved_by(second), -2 * RATE) and np.allclose(moved_by(first), -RATE)
    assert np.allclose(values_of(first), np.array(START) - 4 * RATE)


def test_an_optimiser_of_some_parameters_leaves_the_others_to_the_first():
    theta = parameters()
    both, one = SGD(theta, RATE), SGD([theta["b"]], RATE)
    assert np.allclose(moved_by(both), -RATE)
    one.descend([Tensor(np.ones(1), REFERENCE)])
    assert np.allclose(moved_by(both), -RATE) and np.allclose(theta["b"].numpy(), START[2] - 3 * RATE)


def test_values_set_after_the_optimiser_was_made_are_trained_on():
    theta = parameters()
    optimiser = Adam(theta, RATE)
    theta["w"].array = np.array([[5.0, 6.0]])
    assert np.all(moved_by(optimiser) < 0)
    assert np.all(theta["w"].numpy() < [[5.0, 6.0]]) and np.all(theta["w"].numpy() > [[4.5, 5.5]])


@pytest.mark.parametrize("odd", [np.zeros((2, 2)), np.zeros((1, 2), np.float32)])
def test_values_of_another_shape_or_dtype_are_refused_by_the_optimiser(odd):
    theta = parameters()
    optimiser = SGD(theta, RATE)
    theta["w"].array = odd
    with pytest.raises(ValueError, match=r"the parameter w is .* now, and was float64 of shape"):
        optimiser.descend(as_gradients([1.0, 1.0, 1.0]))


def test_a_gradient_of_values_that_were_replaced_is_refused_after_they_came_home():
    theta = parameters()
    optimiser = SGD(theta, RATE)
    loss = ops.sum(theta["w"] * theta["w"])
    theta["w"].array = np.array([[5.0, 6.0]])
    optimiser.descend(as_gradients([0.0, 0.0, 0.0]))
    with pytest.raises(ChangedArray):
        gradients(loss, [theta["w"]])


# ---- what would be set or handed over without a word ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [("lr", "write optimiser.rate"), ("param_groups", "optimiser.rate"),
                                            ("beta1", "stays what it was made with")])
def test_a_setting_that_nothing_would_read_is_refused(name, said):
    optimiser = Adam(parameters(), RATE)
    with pytest.raises(AttributeError, match=said):
        setattr(optimiser, name, 0.5)
    optimiser.rate = 0.5
    assert optimiser.rate == 0.5
    with pytest.raises(TypeError, match=r"learning rate is '0.1'"):
        optimiser.rate = "0.1"


@pytest.mark.parametrize("odd", [[1.0, 2.0], [np.ones((1, 2)), np.ones(1)], {"w": 1.0, "b": 2.0}])
def test_gradients_that_are_no_tensors_are_refused(odd):
    with pytest.raises(TypeError, match="pass a list of tensors"):
        SGD(parameters(), RATE).descend(odd)
