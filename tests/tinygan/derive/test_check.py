"""check_derivation: right gradients are right however they are called, wrong ones are wrong, and what cannot be judged is told."""

import json

import numpy as np
import pytest

import tinygan
from tinygan import assert_gradients, check_derivation
from tinygan.derive import DerivationInputError

RNG = np.random.default_rng(3)
X, W = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))


def dense(x, w):
    return np.tanh(x @ w)


def back(g, x, w):
    d = g * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


def test_a_right_gradient_is_right():
    report = check_derivation(dense, back, X, W)
    assert report.passed and report.verdict == "right" and not report.mistakes and "20 derivatives in x and w" in str(report)
    assert repr(report) == str(report)  # what a prompt or a notebook shows


class Layer:
    def forward(self, x, w):
        self.seen = x, w
        return dense(x, w)

    def backward(self, dout):
        return back(dout, *self.seen)


LAYER = Layer()
STYLES = {
    "the cotangent last": (dense, lambda x, w, g: back(g, x, w)),
    "the cotangent last, without names that say so": (dense, lambda a, b, c: back(c, a, b)),
    "with the output": (dense, lambda g, y, x, w: back(g, x, w)),
    "a layer with a state": (LAYER.forward, LAYER.backward),
    "a cache": (lambda x, w: (dense(x, w), {"x": x, "w": w}), lambda g, cache: back(g, cache["x"], cache["w"])),
    "a dictionary": (dense, lambda g, x, w: dict(zip("xw", back(g, x, w), strict=True))),
    "several outputs": (lambda x, w: (dense(x, w), x.sum()), lambda g, x, w: (back(g[0], x, w)[0] + g[1], back(g[0], x, w)[1])),
    "several outputs, handed over one by one": (
        lambda x, w: (dense(x, w), x.sum()), lambda g, h, x, w: (back(g, x, w)[0] + h, back(g, x, w)[1])),
    "the gradient of a single number": (lambda x, w: dense(x, w).sum(), lambda x, w: back(np.ones((3, 2)), x, w)),
}


@pytest.mark.parametrize("name", STYLES)
def test_gradients_are_called_as_they_want_to_be(name):
    report = check_derivation(*STYLES[name], X, W)
    assert report.passed, str(report)


def test_integers_have_no_gradient():
    labels = np.array([0, 1, 1])
    f = lambda x, labels: x[np.arange(3), labels]  # noqa: E731

    def vjp(g, x, labels):
        dx = np.zeros_like(x)
        dx[np.arange(3), labels] = g
        return dx

    assert check_derivation(f, vjp, X, labels).passed
    assert check_derivation(f, lambda g, x, labels: (vjp(g, x, labels), None), X, labels).passed


@pytest.mark.parametrize("wrong", [1.001, 1.00001, 0.0, float("nan"), -1.0])
def test_a_wrong_gradient_is_wrong(wrong):
    report = check_derivation(dense, lambda g, x, w: (back(g, x, w)[0] * wrong, back(g, x, w)[1]), X, W, diagnose=False)
    assert [v.verdict for v in report.inputs] == ["WRONG", "right"]


def test_one_wrong_element_is_wrong_and_no_mistake_is_invented():
    def vjp(g, x, w):
        dx, dw = back(g, x, w)
        dx[1, 2] *= 1.01
        return dx, dw

    report = check_derivation(dense, vjp, X, W)
    assert report.inputs[0].where == (1, 2) and report.inputs[0].mistake is None
    assert "no known mistake fits" in str(report)


def test_an_error_in_an_element_that_was_not_measured_shows_along_a_direction():
    x, mask = np.linspace(0.1, 1, 200), np.ones(200)
    mask[123] = 1.5
    report = check_derivation(np.exp, lambda g, x: g * np.exp(x) * mask, x, elements=1, diagnose=False)
    assert not report.passed and report.checks[0].name.startswith("a random direction")


# ---- what cannot be judged -----------------------------------------------------------------------------------------------------


def test_random_functions_are_recognised():
    rng = np.random.default_rng(0)
    with pytest.raises(DerivationInputError, match=r"f gives different values for the same input.*fix its seed"):
        check_derivation(lambda x: x * rng.random(), lambda g, x: g, X)
    with pytest.raises(DerivationInputError, match="vjp gives different values"):
        check_derivation(np.exp, lambda g, x: g * rng.random(), X)


def test_float32_is_told_and_is_no_kink():
    report = check_derivation(np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2), X.astype(np.float32))
    assert report.passed and "the numbers are float32" in report.notes[0]
    f = lambda x: np.tanh(x.astype(np.float32))  # noqa: E731
    report = check_derivation(f, lambda g, x: g * (1 - np.tanh(x) ** 2), X)
    assert report.passed and "tolerances are those of float32" in report.notes[0]
    hidden = lambda x: np.tanh(x.astype(np.float32)).astype(np.float64)  # noqa: E731
    report = check_derivation(hidden, lambda g, x: g * (1 - np.tanh(x) ** 2), X)
    assert report.passed and "f rounds to float32 inside" in report.notes[0]
    assert check_derivation(f, lambda g, x: 1.05 * g * (1 - np.tanh(x) ** 2), X).verdict == "WRONG"


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="input 0 is complex"):
        check_derivation(np.exp, lambda g, x: g, X + 1j)
    with pytest.raises(TypeError, match="f returned complex numbers"):
        check_derivation(lambda x: x + 1j, lambda g, x: g, X)


def test_shapes_types_and_counts_are_told():
    with pytest.raises(DerivationInputError, match=r"vjp returned 3 gradients, f has inputs for 2"):
        check_derivation(dense, lambda g, x, w: (x, w, g), X, W)
    with pytest.raises(DerivationInputError, match=r"vjp returned one array of shape \(3, 4\), f has 2 inputs"):
        check_derivation(dense, lambda g, x, w: x, X, W)
    with pytest.raises(TypeError, match="vjp returned a str"):
        check_derivation(np.exp, lambda g, x: "g", X)
    with pytest.raises(DerivationInputError, match="vjp raises ZeroDivisionError"):
        check_derivation(np.exp, lambda g, x: 1 / 0, X)
    with pytest.raises(TypeError, match="the claimed gradient is missing"):
        check_derivation(np.exp, None, X)
    assert "shape (3,) for it, its shape is (3, 4)" in str(check_derivation(np.exp, lambda g, x: g.sum(1), X))


def test_kinks_are_undecided_with_their_sides():
    report = check_derivation(lambda x: np.maximum(x, 0).sum(), lambda x: 1.0 * (x >= 0), np.array([0.0, 1.0]))
    assert report.verdict == "undecided"
    for piece in ("a kink within", "x[0]", "to the left the slope is", "that of the right side"):
        assert piece in str(report).replace("\n", " "), str(report)


def test_flat_points_check_nothing():
    report = check_derivation(lambda x: np.maximum(x, 0), lambda g, x: 0 * g, np.array([-1.0, -2.0]))
    assert report.verdict == "undecided" and "checks nothing" in str(report)


def test_changes_in_place_are_noted_and_do_no_harm():
    x = X.copy()

    def f(x):
        x *= 2
        return np.exp(x)

    def vjp(g, x):
        g *= 2
        return g * np.exp(2 * x)

    report = check_derivation(f, vjp, x)
    assert report.passed and np.array_equal(x, X)
    assert "f changes input 0" in report.notes[0] and "vjp changes the cotangent" in report.notes[1]


def test_functions_that_are_hard_to_measure_convict_no_right_gradient():
    x = np.array([1e-4, 3.0, 40.0])
    slope = lambda x: 20 * np.cos(20 * x) / x - np.sin(20 * x) / x**2  # noqa: E731
    assert check_derivation(lambda x: np.sin(20 * x) / x, lambda g, x: g * slope(x), x[1:]).passed
    assert check_derivation(lambda x: np.sin(20 * x) / x, lambda g, x: 1.001 * g * slope(x), x[1:]).verdict == "WRONG"
    assert check_derivation(lambda x: 1e8 + x**2, lambda g, x: 2 * g * x, x).passed


# ---- beyond the VJP ------------------------------------------------------------------------------------------------------------


def test_forward_mode_is_judged_beside_reverse():
    right = lambda x, w, tx, tw: (1 - dense(x, w) ** 2) * (tx @ w + x @ tw)  # noqa: E731
    assert check_derivation(dense, back, X, W, jvp=right).passed
    report = check_derivation(dense, back, X, W, jvp=lambda x, w, tx, tw: (1 - dense(x, w) ** 2) * (tx @ w))
    assert report.verdict == "WRONG" and report.checks[-1].name == "jvp"


def test_second_order_is_judged():
    f, vjp = lambda x: x**3, lambda g, x: 3 * g * x**2
    right = lambda x, g, d: (6 * g * x * d, 3 * x**2 * d)  # noqa: E731
    assert check_derivation(f, vjp, X, order=2, second=right).passed
    assert not check_derivation(f, vjp, X, order=2, second=lambda x, g, d: (3 * g * x * d, 3 * x**2 * d)).passed
    with pytest.raises(DerivationInputError, match="f is linear in them"):
        check_derivation(lambda x: 2 * x, lambda g, x: 2 * g, X, order=2, second=right)
    with pytest.raises(DerivationInputError, match="second=function"):
        check_derivation(f, vjp, X, order=2)


def test_functions_of_tensors_are_judged():
    x = tinygan.Tensor(X, dtype=np.float64)
    assert check_derivation(lambda t: tinygan.ops.tanh(t), None, x, order=2).passed
    assert check_derivation(lambda t: tinygan.ops.tanh(t), lambda g, t: g * (1 - tinygan.ops.tanh(t) ** 2), x).passed
    assert check_derivation(lambda t: tinygan.ops.tanh(t), lambda g, t: g * 2.0, x).verdict == "WRONG"


def test_other_inputs_are_made_and_tried():
    sizes = []

    def make(rng):
        n = int(rng.integers(2, 6))
        sizes.append(n)
        return rng.normal(size=(n, 3))

    wrong_but_for_two = lambda g, x: np.ones_like(x) * g / 2  # noqa: E731
    assert check_derivation(lambda x: x.sum(), lambda g, x: np.ones_like(x) * g, make=make).passed and len(set(sizes)) > 1
    assert not check_derivation(lambda x: x.mean(0).sum(), wrong_but_for_two, X[:2], make=make, rng=1).passed


# ---- reports -------------------------------------------------------------------------------------------------------------------


def test_reports_as_text_json_and_picture(tmp_path):
    report = check_derivation(dense, lambda g, x, w: (-back(g, x, w)[0], back(g, x, w)[1]), X, W)
    told = json.loads(report.to_json(tmp_path / "report.json"))
    assert told == json.loads((tmp_path / "report.json").read_text())
    assert told["verdict"] == "wrong" and told["inputs"][0]["mistake"]["kind"] == "sign" and told["inputs"][1]["verdict"] == "right"
    report.picture(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG" == report._repr_png_()[:4]


def test_assert_gradients_fails_with_the_report():
    assert_gradients(dense, back, X, W)
    with pytest.raises(AssertionError, match=r"(?s)dense: WRONG.*mistake \(high confidence\): sign"):
        assert_gradients(dense, lambda g, x, w: (-back(g, x, w)[0], back(g, x, w)[1]), X, W)


@pytest.mark.parametrize("steep", [10.0, 1e4, 3e5])
def test_a_steep_function_is_no_kink_forwards_either(steep):
    x = np.array([0.3, -0.2]) / steep

    def f(x):
        return np.tanh(steep * x)

    def slope(x):
        return steep * (1 - np.tanh(steep * x) ** 2)

    right = check_derivation(f, lambda g, x: g * slope(x), x, jvp=lambda x, t: slope(x) * t)
    assert right.passed, str(right)
    wrong = check_derivation(f, lambda g, x: g * slope(x), x, jvp=lambda x, t: 2 * slope(x) * t)
    assert [v.verdict for v in wrong.checks] == ["WRONG"], str(wrong)
