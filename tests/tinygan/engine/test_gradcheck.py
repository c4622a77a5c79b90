"""The checker is checked: wrong derivatives are planted and have to be caught, kinks have to be refused."""

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf

from tinygan import Tensor, gradients
from tinygan.engine import ops
from tinygan.engine.gradcheck import GradcheckComparison, GradcheckReport, KinkError, gradcheck
from tinygan.engine.tensor import record, stop, wrap
from tinygan.theory.gradient_cases import Case, run

RNG = np.random.default_rng(3)
X = RNG.uniform(0.5, 1.5, (3, 4))


def planted(forward, *vjps):
    """Return an op with the given VJP, right or wrong, in the place of its own."""

    def op(*inputs):
        return record(forward(*(stop(x) for x in inputs)).array, inputs, vjps)

    return op


# ---- right derivatives pass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
def test_a_right_derivative_passes_at_any_scale(order):
    for scale in (1e-3, 1.0, 1e3):
        report = gradcheck(lambda x, s=scale: s * ops.tanh(x) ** 3, leaf(X), order=order)
        assert report.passed, str(report)


def test_every_element_and_a_random_direction_are_compared():
    report = gradcheck(lambda a, b: ops.sum(a) * ops.sum(b * b), leaf(X), leaf([2.0]))
    assert [c.where for c in report.comparisons] == [
        *[f"input 0[{i}, {j}]" for i in range(3) for j in range(4)], "input 1[0]", "a random direction",
    ]
    assert len(gradcheck(ops.exp, leaf(np.ones((30, 30))), elements=5).comparisons) == 6


def test_an_error_in_an_element_that_is_not_sampled_shows_along_the_random_direction():
    mask = np.ones(200)
    mask[123] = 1.5
    wrong = planted(ops.exp, lambda g, y, x: g * y * constant(mask))
    report = gradcheck(wrong, leaf(np.linspace(-1, 1, 200)), elements=1)
    assert not report.passed and report.worst.where == "a random direction"


# ---- planted bugs ---------------------------------------------------------------------------------------------------------------

TRANSPOSED = lambda x: ops.transpose(x)  # noqa: E731
ROLLED = lambda x: ops.concat([x[1:], x[:1]])  # noqa: E731
A, B = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))  # square, so that wrong products fit

FIRST_ORDER = {
    "wrong by 0.1 %": (planted(ops.exp, lambda g, y, x: g * y * 1.001), [X]),
    "wrong by 0.001 %": (planted(ops.exp, lambda g, y, x: g * y * 1.00001), [X]),
    "zero": (planted(ops.exp, lambda g, y, x: g * 0.0), [X]),
    "none at all": (planted(ops.exp, None), [X]),
    "zero where f is nearly flat": (planted(lambda x: ops.log(x + 1e5), lambda g, y, x: g * 0.0), [X]),
    "of the wrong sign": (planted(ops.neg, lambda g, y, x: g), [X]),
    "not weighed by the cotangent": (planted(ops.exp, lambda g, y, x: y), [X]),
    "one element wrong": (planted(ops.exp, lambda g, y, x: g * y * constant(np.eye(3, 4) * 0.01 + 1)), [X]),
    "dA and dB swapped": (planted(ops.matmul, lambda g, c, a, b: a.T @ g, lambda g, c, a, b: g @ b.T), [A, B]),
    "a transpose dropped": (planted(ops.matmul, lambda g, c, a, b: g @ b, lambda g, c, a, b: a.T @ g), [A, B]),
    "the other transpose dropped": (planted(ops.matmul, lambda g, c, a, b: g @ b.T, lambda g, c, a, b: a @ g), [A, B]),
    # an all-ones cotangent is the same in any order, and would see nothing wrong in these
    "a permutation not undone": (planted(TRANSPOSED, lambda g, y, x: g), [A]),
    "a permutation undone the wrong way": (planted(ROLLED, lambda g, y, x: ROLLED(g)), [X]),
    "rows reversed": (planted(ops.neg, lambda g, y, x: -g[::-1]), [X]),
    "NaN": (planted(ops.exp, lambda g, y, x: g * y + float("nan")), [X]),
    "NaN in one element": (planted(ops.exp, lambda g, y, x: g * y + constant(np.where(np.eye(3, 4), np.nan, 0))), [X]),
    "infinite in a single number": (planted(ops.exp, lambda g, y, x: g * y + float("inf")), [X[:1, :1]]),
    "infinite": (planted(ops.exp, lambda g, y, x: g * y + float("inf")), [X]),
    "half of a shared input's": (planted(lambda x: x * x, lambda g, y, x: g * x), [X]),
    "mean as if it were a sum": (planted(ops.mean, lambda g, y, x: ops.broadcast_to(g, x.shape)), [X]),
    "not summed over what was repeated": (
        planted(lambda a, b: a + b, lambda g, y, a, b: g, lambda g, y, a, b: g[:1]), [X, X[:1]]
    ),
    "summed over the wrong axis": (
        planted(lambda a, b: a * b, lambda g, y, a, b: g * b, lambda g, y, a, b: ops.sum(g * a, 1)), [A, A[0]]
    ),
}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_wrong_first_derivative_is_caught(name):
    f, points = FIRST_ORDER[name]
    report = gradcheck(f, *[leaf(p) for p in points])
    assert not report.passed, str(report)
    assert not report.flat


def test_the_planted_permutations_would_pass_with_a_cotangent_of_ones():
    """A cotangent of ones cannot tell these permutations from the right VJP, so the checker draws a random cotangent."""
    for name in ("a permutation not undone", "a permutation undone the wrong way", "rows reversed"):
        f, (point,) = FIRST_ORDER[name]
        report = gradcheck(lambda x, f=f: ops.sum(f(x)), leaf(point))
        assert report.passed, name


CUBE = lambda x: x * x * x  # noqa: E731
SECOND_ORDER = {
    "wrong by 0.1 %": planted(CUBE, lambda g, y, x: g * planted(lambda x: 3.0 * x * x, lambda g, y, x: g * x * 6.006)(x)),
    "zero": planted(CUBE, lambda g, y, x: g * stop(3.0 * x * x)),
    "lost with the graph": planted(CUBE, lambda g, y, x: g * constant(3.0 * x.numpy() ** 2)),
    "of the cotangent lost": planted(CUBE, lambda g, y, x: stop(g) * x * x * 3.0),
}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_a_wrong_second_derivative_is_caught_behind_a_right_first_one(name):
    assert gradcheck(SECOND_ORDER[name], leaf(X)).passed
    report = gradcheck(SECOND_ORDER[name], leaf(X), order=2)
    assert not report.passed, str(report)


def test_second_order_needs_the_graph_and_has_it():
    f = planted(CUBE, lambda g, y, x: g * planted(lambda x: 3.0 * x * x, lambda g, y, x: g * x * 6.0)(x))
    assert gradcheck(f, leaf(X), order=2).passed


@pytest.mark.parametrize("wrong_when", ["fused", "differentiable"])
def test_both_forms_of_a_vjp_are_checked(wrong_when):
    """One kernel where nobody differentiates the VJP again, ops where somebody does; each form is consistent in itself."""

    def vjp(g, y, x):
        form = "differentiable" if y.tracked else "fused"
        return g * y * (1.001 if form == wrong_when else 1.0)

    report = gradcheck(planted(ops.exp, vjp), leaf(X))
    assert not report.passed and abs(report.worst.analytic / report.worst.numeric - 1.001) < 1e-8


# ---- kinks ----------------------------------------------------------------------------------------------------------------------

OFFSETS = [0.0, 1e-9, -1e-9, 3e-8, -3e-8, 8e-8, -8e-8, 1.2e-7, -1.2e-7, 1.9e-7, -1.9e-7]  # the shortest step there is 2e-7
BESIDE = [8e-7, -8e-7, 3e-6, -3e-6, 1.2e-5, -1.2e-5, 1.9e-5, -1.9e-5]  # within the longest, 2e-5
KINKS = {
    "relu": ops.relu, "leaky_relu": ops.leaky_relu, "abs": ops.abs, "maximum with a number": lambda x: ops.maximum(x, 0.0),
    "a tie of maximum": lambda x: ops.maximum(x, -x), "relu behind an op": lambda x: ops.exp(ops.relu(x * 1.0)),
    "relu of the other side": lambda x: ops.relu(-x), "a jump": ops.sign,
    "bias_act": lambda x: ops.bias_act(x, x[:1] * 0.0, "leaky_relu"),
}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_refused_at_and_near_them(name, offset):
    with pytest.raises(KinkError, match="kink within"):
        gradcheck(KINKS[name], leaf([offset]))


@pytest.mark.parametrize("offset", BESIDE)
@pytest.mark.parametrize("name", KINKS)
def test_beside_a_kink_the_derivative_of_that_side_is_measured(name, offset):
    report = gradcheck(KINKS[name], leaf([offset]))
    assert report.passed or report.flat, str(report)


@pytest.mark.parametrize("offset", BESIDE)
def test_beside_a_kink_the_derivative_of_the_other_side_is_caught(offset):
    swapped = planted(ops.abs, lambda g, y, x: g * -ops.sign(x))
    assert not gradcheck(swapped, leaf([offset])).passed


@pytest.mark.parametrize("offset", [1e5, 1e6, 1e7, 3e7])
def test_a_kink_is_no_wrong_derivative_where_rounding_could_hide_it_at_a_shorter_step(offset):
    """A large constant makes differences inexact, the more so the shorter the step; the derivative at a kink stays undecided."""
    with pytest.raises(KinkError):
        gradcheck(lambda x: ops.sum(ops.relu(x)) + offset, leaf([0.0, 1.0]))


def test_one_kink_among_many_smooth_elements_is_refused():
    point = X.copy()
    point[1, 2] = 0.0
    with pytest.raises(KinkError, match=r"of input 0\[1, 2\]"):
        gradcheck(lambda x: ops.relu(x) + ops.tanh(x), leaf(point))


def test_ties_are_refused():
    with pytest.raises(KinkError):
        gradcheck(ops.maximum, leaf([1.0, 2.0]), leaf([0.0, 2.0]))
    with pytest.raises(KinkError):
        gradcheck(lambda x: ops.max(x, 1), leaf([[1.0, 2.0, 2.0]]))


def test_second_derivatives_are_refused_at_their_kinks():
    squared_relu = lambda x: ops.relu(x) * ops.relu(x)  # noqa: E731  smooth once, but not twice
    assert gradcheck(squared_relu, leaf([0.01, 1.0]), order=2).passed
    with pytest.raises(KinkError):
        gradcheck(squared_relu, leaf([0.0, 1.0]), order=2)


def test_the_smooth_sides_of_a_kink_pass():
    for f in (ops.relu, ops.abs, ops.leaky_relu):
        assert gradcheck(f, leaf([0.01, 0.5, -0.5])).passed


def test_steep_but_smooth_functions_are_no_kinks():
    for f in (lambda x: ops.exp(x * 20.0), lambda x: ops.sigmoid(x * 50.0), lambda x: x**-6, lambda x: ops.tanh(x * x * 30.0),
              lambda x: ops.sin(x * 2e4)):
        assert gradcheck(f, leaf([0.3, 0.1])).passed


# ---- what checks nothing does not pass ------------------------------------------------------------------------------------------


def test_flat_functions_do_not_pass():
    for f in (lambda x: x * 0.0, lambda x: ops.relu(x - 10.0), lambda x: ops.sign(x) + 1.0, lambda x: constant(np.ones(2))):
        report = gradcheck(f, leaf([0.5, 1.5]))
        assert report.flat and not report.passed
        assert "all are zero here, which checks nothing" in str(report)


def test_no_elements_do_not_pass():
    report = gradcheck(ops.exp, leaf(np.empty((0, 3))))
    assert not report.passed and "nothing was checked" in str(report)


def test_only_float64_is_checked():
    single = Tensor(np.ones(2, np.float32), REFERENCE)
    with pytest.raises(ValueError, match="input 1 is float32; differences need float64"):
        gradcheck(ops.mul, leaf([1.0, 1.0]), single)
    with pytest.raises(ValueError, match="order is 3"):
        gradcheck(ops.exp, leaf([1.0]), order=3)


def test_a_function_that_leaves_its_domain_does_not_pass():
    with np.errstate(invalid="ignore"):
        report = gradcheck(lambda x: ops.sqrt(x - 1.0), leaf([1.000001, 2.0]))
    assert not report.passed


# ---- what is left behind, and what is reported ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
def test_inputs_are_restored_to_the_bit_also_after_a_kink_or_an_error(order):
    point = np.array([[0.1, -0.7], [1 / 3, 2.0]])

    def failing(x):
        if (x.numpy() != point).any():
            raise RuntimeError("the function's own error")
        return ops.exp(x)

    for f, error in ((ops.exp, None), (lambda x: ops.relu(x - 0.1) + x * x, KinkError), (failing, RuntimeError)):
        x = constant(point)
        try:
            gradcheck(f, x, order=order)
        except (KinkError, RuntimeError) as caught:
            assert type(caught) is error
        else:
            assert error is None
        np.testing.assert_array_equal(x.numpy(), point)
        assert not x.requires_grad and x.grad is None


def test_views_are_moved_in_place_and_put_back():
    whole = np.arange(1.0, 13.0).reshape(4, 3)
    x = wrap(whole[::-2].T, REFERENCE)
    assert gradcheck(lambda x: ops.exp(x * 0.1), x).passed
    np.testing.assert_array_equal(whole, np.arange(1.0, 13.0).reshape(4, 3))


class ViewingArray(np.ndarray):
    """Indexing an element gives a 0-d view of it rather than a number, as GPU array libraries do."""

    def __getitem__(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(parts if Ellipsis in parts else (*parts, ...))


def test_an_element_is_copied_before_it_is_moved():
    x = leaf([0.5, 1.5])
    x.array = x.array.view(ViewingArray)
    assert gradcheck(ops.exp, x).passed
    np.testing.assert_array_equal(x.numpy(), [0.5, 1.5])


def test_the_report_names_the_worst_element_with_both_values():
    wrong = planted(lambda x: x * x, lambda g, y, x: g * x * constant([[2.0, 2.0], [2.002, 2.0001]]))
    report = gradcheck(wrong, leaf([[1.0, 2.0], [3.0, 4.0]]), name="square", elements=4)
    worst = report.worst
    assert worst.where == "input 0[1, 0]" and not report.passed
    assert abs(worst.analytic / worst.numeric - 1.001) < 1e-8
    text = str(report)
    assert text.startswith("square, order 1: FAILED, 5 derivatives; worst at input 0[1, 0]: analytic ") and "\n" not in text
    assert f"{worst.analytic:.12g}" in text and f"{worst.numeric:.12g}" in text
    good = str(gradcheck(ops.exp, leaf([1.0]), order=2))
    assert good.startswith("exp, order 2: passed, 3 derivatives; worst at ")


def test_nan_counts_as_the_worst():
    fine, bad = GradcheckComparison("a", 1.0, 1.5, 0.1), GradcheckComparison("b", float("nan"), 1.0, 0.1)
    report = GradcheckReport("f", 1, [fine, bad, fine])
    assert report.worst is bad and not bad.passed and not report.passed


def test_draws_come_from_the_generator_that_is_given():
    numbers = [[c.analytic for c in gradcheck(ops.exp, leaf(X), rng=np.random.default_rng(s)).comparisons] for s in (1, 1, 2)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_parameters_may_be_reached_from_elsewhere():
    w = leaf([2.0, 3.0])
    assert gradcheck(lambda _: ops.tanh(w) * w, w, order=2).passed


def test_a_case_is_checked_at_each_of_its_orders():
    case = Case("exp: one number", lambda rng, backend: (ops.exp, [Tensor(rng.standard_normal(1), backend)]), orders=(2, 1))
    reports = run(case, REFERENCE, np.random.default_rng(0))
    assert [(r.name, r.order, r.passed) for r in reports] == [("exp: one number", 2, True), ("exp: one number", 1, True)]
    assert case.op == "exp"


def test_gradients_asked_of_a_planted_op_go_through_its_vjp():
    """The planting itself works: what gradcheck judges is what gradients computes."""
    x = leaf([2.0])
    assert float(gradients(planted(ops.exp, lambda g, y, x: g * 7.0)(x), [x])[0]) == 7.0


# ---- what cannot be checked is refused ------------------------------------------------------------------------------------------

POOL = np.arange(1.0, 9.0)
DRAWN = np.random.default_rng(0)
UNFIT = {
    "one tensor twice": (lambda a, b: a * b, [W := leaf([1.0, 2.0]), W], ValueError, "inputs 0 and 1 share memory"),
    "two views of one buffer": (ops.mul, [wrap(POOL[:4], REFERENCE), wrap(POOL[2:6], REFERENCE)], ValueError, "share memory"),
    "a read-only view": (ops.exp, [wrap(np.broadcast_to(np.ones(1), (2,)), REFERENCE)], ValueError, "input 0 is a read-only"),
    "what was computed": (ops.exp, [leaf([1.0]) * 2.0], ValueError, "input 0 was computed from other tensors"),
    "a list of tensors": (ops.mul, [[leaf([1.0]), leaf([2.0])]], TypeError, "input 0 is a list of tensors; pass each"),
    "text": (ops.mul, [leaf([1.0]), "2"], TypeError, "gradcheck: input 1: .*text"),
    "rows of different lengths": (ops.exp, [[1.0, [2.0]]], ValueError, "gradcheck: input 0: "),
    "no input": (lambda: leaf([1.0]), [], TypeError, "no inputs"),
    "a list from f": (lambda a: [a], [leaf([1.0])], TypeError, "f returned a list, it has to return one Tensor; join several"),
    "a number from f": (lambda a: 3.0, [leaf([1.0])], TypeError, "f returned a float, it has to return one Tensor$"),
    "random numbers in f": (lambda a: a * float(DRAWN.normal()), [leaf([1.0])], ValueError, "different values for the same input"),
    "float32 from f": (lambda a: Tensor(np.ones(2, np.float32), REFERENCE), [leaf([1.0])], ValueError, "f returned float32"),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", UNFIT)
def test_what_has_no_numeric_derivative_is_refused_in_a_sentence(name, order):
    f, inputs, error, message = UNFIT[name]
    with pytest.raises(error, match=message):
        gradcheck(f, *inputs, order=order)


def test_neighbours_in_one_buffer_can_be_checked():
    """Also views whose elements take turns: they lie in one stretch of memory and share none of it."""
    for a, b in ((POOL[:4], POOL[4:]), (POOL[::2], POOL[1::2])):
        report = gradcheck(ops.mul, wrap(a, REFERENCE), wrap(b, REFERENCE), order=2)
        assert report.passed, str(report)


def test_plain_data_becomes_tensors_and_stays_as_it_was():
    array = np.array([1.0, 2.0], np.float32)
    seen = []

    def f(x, y, z):
        seen.append({x.dtype, y.dtype, z.dtype})
        return x * y + z

    report = gradcheck(f, array, [3.0, 4.0], 5, order=2)
    assert report.passed and len(report.comparisons) > 5, str(report)
    assert all(dtypes == {np.dtype(np.float64)} for dtypes in seen)
    assert array.tolist() == [1, 2] and array.dtype == np.float32
    own = np.array([1.0, 2.0])
    assert gradcheck(lambda x: x * float(own[0]), own).passed  # what f reads of the caller's array does not move with x


def test_a_wrong_vjp_fails_on_plain_data_too():
    assert not gradcheck(planted(ops.exp, lambda g, y, x: g * 7.0), np.array([1.0, 2.0])).passed


def test_a_seed_inside_f_is_enough_for_random_numbers():
    f = lambda a: a * a * float(np.random.default_rng(0).normal())  # noqa: E731
    assert gradcheck(f, leaf([1.0, 2.0])).passed


def test_an_input_that_f_does_not_use_has_a_zero_that_is_compared():
    a, b = leaf([1.0, 2.0]), leaf([3.0])
    assert gradcheck(lambda a, b: a * a, a, b).passed
    cut = gradcheck(lambda a, b: a * a * stop(b), a, b)
    assert not cut.passed and "input 1" in cut.worst.where
