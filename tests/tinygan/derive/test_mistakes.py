"""Mistakes are named by fitting: planted ones rightly, unknown ones not at all."""

import numpy as np
import pytest

from benchmarks.quality.derivations.case import planted
from benchmarks.quality.derivations.table import CASES, judged, right_called_wrong
from tinygan import check_derivation
from tinygan.derive import KINDS

BY_NAME = {case.name: case for case in CASES}
# every kind is among these, and every family of candidates that names it
CHOSEN = [
    ("tanh", "y for x"), ("tanh", "y for x 2"), ("sigmoid", "other activation"), ("softplus", "cotangent ignored"),
    ("GELU", "dropped term"), ("leaky ReLU", "other activation 2"), ("add a bias", "broadcast not summed"),
    ("add a bias", "broadcast not summed 2"), ("add a bias", "mean for sum"), ("divide", "missing chain factor"),
    ("layer norm", "dropped term"), ("layer norm", "sum for mean"), ("layer norm", "sign 2"),
    ("layer norm", "missing chain factor"), ("batch norm", "detached 2"), ("softmax", "dropped term"),
    ("cross-entropy", "sum for mean"), ("square matmul", "transpose"), ("square matmul", "any: another input"),
    ("matmul", "any: sign"), ("mean squared error", "any: not detached"), ("mean", "any: constant factor"),
    ("conv1d", "off by one 2"), ("embedding", "broadcast not summed"), ("step of Adam", "dropped term"),
    ("variance", "constant factor 3"), ("L2 norm", "any: detached"),
]


@pytest.mark.parametrize(("name", "label"), CHOSEN)
def test_a_planted_mistake_is_named(name, label):
    answer = judged(next(p for p in planted(BY_NAME[name]) if p.label == label))
    assert answer.found and answer.rightly, answer


def test_the_suite_is_large_enough_and_has_every_kind():
    every = [p for case in CASES for p in planted(case)]
    assert len(CASES) >= 40 and {p.kind for p in every} >= set(KINDS) - {"wrong axis"} and len(every) > 480


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_right_gradient_is_called_wrong(case):
    assert right_called_wrong([case], [7]) == []


UNKNOWN = {
    "noise": lambda g, x: g * np.exp(x) * (1 + 0.1 * np.sin(37 * np.arange(12).reshape(3, 4))),
    "one row": lambda g, x: g * np.exp(x) * np.array([[1], [1.7], [1]]),
    "shifted by a number": lambda g, x: g * np.exp(x) + 0.3,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_no_known_mistake_gets_no_name(name):
    report = check_derivation(np.exp, UNKNOWN[name], np.random.default_rng(0).normal(size=(3, 4)))
    assert report.verdict == "WRONG" and report.inputs[0].mistake is None, str(report)


def test_a_factor_of_two_is_told_from_a_length_of_two():
    x = np.random.default_rng(0).normal(size=(2, 3))
    two = check_derivation(lambda x: (x**2).sum(0), lambda g, x: 4 * g * x, x).mistakes[0]
    length = check_derivation(lambda x: (x**2).mean(0), lambda g, x: 2 * g * x, x).mistakes[0]
    assert two.kind in ("constant factor", "missing chain factor") and "n = 2" not in two.sentence
    assert length.kind == "sum for mean" and "n = 2" in length.sentence


def test_the_line_of_the_mistake_is_told():
    def f(x):
        mean = x.mean(0)
        return x - mean

    mistake = check_derivation(f, lambda g, x: g, np.random.default_rng(0).normal(size=(3, 4))).mistakes[0]
    assert "mean = x.mean(0)" in " ".join([mistake.sentence, *mistake.readings])
    assert {"detached", "dropped term"} <= {mistake.kind, *mistake.also}


def test_steps_that_cannot_be_noted_may_be_written_down():
    def f(x):
        return np.array([[float(v) - float(x[:, k].mean()) for k, v in enumerate(row)] for row in x])

    steps = [("mean", lambda x: x.mean(0)), ("y", lambda x, mean: x - mean)]
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert check_derivation(f, lambda g, x: g, x).mistakes == []
    mistake = check_derivation(f, lambda g, x: g, x, steps=steps).mistakes[0]
    assert mistake.kind in ("dropped term", "detached") and "`mean`" in " ".join([mistake.sentence, *mistake.readings])


def test_the_transposed_gradient_of_another_input_is_named_where_neither_is_square():
    rng = np.random.default_rng(0)

    def f(a, b):
        return np.sin(a) * np.exp(b).sum()

    def mixed_up(g, a, b):
        to_b = np.sum(g * np.sin(a)) * np.exp(b)
        return to_b.T, to_b  # a takes the gradient of b, whose shape is a's, transposed

    found = check_derivation(f, mixed_up, rng.normal(size=(2, 3)), rng.normal(size=(3, 2))).mistakes
    assert [(m.kind, "is that of b, transposed" in m.sentence) for m in found] == [("another input", True)]


FACTORS = {  # f, its derivative without a factor that it needs, and the factor as the report tells it
    "3 / x": (lambda x: 3 / x, lambda x: -1 / x**2, "the factor 3 "),
    "x / 3": (lambda x: x / 3, np.ones_like, "1/3"),
    "2^x": (lambda x: np.power(2.0, x), lambda x: 2.0**x, "the factor log 2 "),
    "-3 sin x, without both": (lambda x: -3 * np.sin(x), np.cos, "the factor -3 "),
    "-3 sin x, with the sign": (lambda x: -3 * np.sin(x), lambda x: -np.cos(x), "only the sign is left"),
}


@pytest.mark.parametrize("name", FACTORS)
def test_a_constant_of_f_is_named_as_the_factor_that_it_gives_to_the_derivative(name):
    f, without, told = FACTORS[name]
    x = 1 + np.random.default_rng(0).random((3, 4))
    (mistake,) = check_derivation(lambda x: np.exp(f(x)), lambda g, x: g * np.exp(f(x)) * without(x), x).mistakes
    assert any(told in sentence for sentence in (mistake.sentence, *mistake.readings)), mistake


SINGLE = {  # a step with one element, whose derivative was left out: the only factor that it has differs from point to point
    "log-sum-exp": (lambda x: np.log(np.exp(x).sum()), lambda g, x: g * np.exp(x), "np.log"),
    "norm": (lambda x: np.sqrt((x * x).sum()), lambda g, x: 2 * g * x, "np.sqrt"),
}


@pytest.mark.parametrize("name", SINGLE)
def test_the_derivative_of_a_step_with_one_element_is_missed_too(name):
    f, vjp, step = SINGLE[name]
    (mistake,) = check_derivation(f, vjp, np.random.default_rng(0).normal(size=3)).mistakes
    assert mistake.kind == "missing chain factor" and step in mistake.sentence, mistake
