"""Lists of tensors and masked arrays in NumPy's hands: in a graph they are joined, refused, or values."""

import numpy as np
import pytest
from engine_parts import constant, leaf

from tinygan import Tensor, gradients, ops
from tinygan.engine import numpy_callers

X = leaf([[1.0, 2.0], [3.0, 4.0]])
Y, C = X * 2.0, constant([[5.0, 6.0], [7.0, 8.0]])
LOSSES = [(X * k).sum() for k in range(3)]
COMPUTE = {
    "mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod, "var": np.var, "std": np.std,
    "median": np.median, "average": np.average, "cumsum": np.cumsum, "round": np.round,
    "percentile": lambda a: np.percentile(a, 50),
    "full": lambda a: np.full((2, *np.shape(a)), a),
}


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize("values", [[Y, Y], [C, Y], (Y, 1.0), [[Y, Y], [Y, Y]]], ids=["list", "one of two", "a number", "nested"])
def test_a_function_that_computes_on_a_list_is_refused_in_a_graph(name, values):
    values = [Y[0, 0], 1.0] if isinstance(values, tuple) else values
    with pytest.raises(TypeError, match=rf"np\.{name} is given tensors that gradients flow through.*ops\.stack"):
        COMPUTE[name](values)


@pytest.mark.parametrize("name", COMPUTE)
def test_of_constants_it_is_computed(name):
    np.testing.assert_array_equal(COMPUTE[name]([C, C]), COMPUTE[name]([C.numpy(), C.numpy()]))


def test_what_the_refusal_says_keeps_the_graph():
    np.testing.assert_array_equal(gradients(np.mean(ops.stack([Y, X])), [X])[0].numpy(), np.full((2, 2), 3 / 8))


@pytest.mark.parametrize("join", [np.stack, np.concatenate, lambda ts: np.stack(ts, axis=1)])
def test_functions_that_numpy_hands_over_keep_the_graph(join):
    joined = join([Y, C])
    np.testing.assert_array_equal(joined.numpy(), join([Y.numpy(), C.numpy()]))
    np.testing.assert_array_equal(gradients(joined.sum(), [X])[0].numpy(), np.full((2, 2), 2.0))


def test_an_array_is_values_of_one_tensor_and_of_a_list():
    """What is guaranteed for np.array: the values, as of x.numpy(). A plotting library asks in the same way."""
    for made in (np.array([Y, Y]), np.asarray([Y, Y]), np.asarray((Y, Y), np.float64), np.stack([np.asarray(Y), np.array(Y)])):
        assert type(made) is np.ndarray
        np.testing.assert_array_equal(made, [Y.numpy(), Y.numpy()])
    np.testing.assert_array_equal(np.array(LOSSES), [0.0, 10.0, 20.0])


PLACES = {
    "argmax": np.argmax, "argsort": np.argsort, "any": np.any, "all": np.all, "nonzero": lambda a: np.nonzero(a)[0],
    "zeros_like": np.zeros_like, "isnan": np.isnan, "isfinite": np.isfinite, "where": lambda a: np.where(a)[0],
    "count_nonzero": np.count_nonzero, "logical_not": np.logical_not, "histogram": lambda a: np.histogram(a)[0],
    "copy": np.copy, "shape": np.shape, "isclose": lambda a: np.isclose(a, 2.0), "array_equal": lambda a: np.array_equal(a, a),
    "broadcast_arrays": lambda a: np.broadcast_arrays(np.asarray(a), 1.0)[0],
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("values", [Y, LOSSES], ids=["a tensor", "a list"])
def test_places_truths_and_looks_are_given_in_a_graph_too(name, values):
    wanted = PLACES[name](values.numpy() if isinstance(values, Tensor) else [float(t) for t in values])
    np.testing.assert_array_equal(PLACES[name](values), wanted)


def test_every_function_that_only_looks_is_one_of_numpys():
    assert not [name for name in numpy_callers.LOOKING if not callable(getattr(np, name, None))]


def test_plots_of_tensors_in_a_graph_are_drawn():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    (line,) = axes.plot(LOSSES)
    np.testing.assert_array_equal(line.get_ydata(), [0.0, 10.0, 20.0])
    axes.plot(Y)
    axes.scatter(Y[0], Y[1])
    axes.bar(range(3), LOSSES)
    axes.imshow(Y)
    axes.set_xlim(LOSSES[0], LOSSES[2])
    counts, _, _ = axes.hist(LOSSES, bins=2)
    np.testing.assert_array_equal(counts, [1, 2])


def test_numpys_own_tests_look():
    np.testing.assert_allclose([Y, Y], [Y.numpy(), Y.numpy()])
    np.testing.assert_array_equal(LOSSES, LOSSES)


def test_an_output_that_numpy_made_is_answered():
    with pytest.raises(TypeError, match=r"output is a ndarray.*np\.exp\(\[a, b\]\), give values: join by ops\.stack"):
        gradients(np.exp([Y, Y]), [X])
    with pytest.raises(TypeError, match=r"output is a list.*add several outputs up"):
        gradients(LOSSES, [X])
    with pytest.raises(ValueError, match=r"the way was cut by stop\(\), numpy\(\), float\(\), np\.array\(\)"):
        gradients(Tensor(np.array([Y, Y]), X.backend).sum(), [X])


# ---- masked arrays --------------------------------------------------------------------------------------------------------------

MASKED = np.ma.array([[1.0, 9.0], [3.0, 9.0]], mask=[[True, False], [False, False]])
ARITHMETIC = [lambda a, t: a + t, lambda a, t: a - t, lambda a, t: a * t, lambda a, t: a / t, lambda a, t: a**t, np.ma.add]


@pytest.mark.parametrize("compute", ARITHMETIC)
def test_a_masked_array_and_a_tensor_in_a_graph_are_refused_from_either_side(compute):
    with pytest.raises(TypeError, match="a masked array does not hold a tensor that gradients flow through"):
        compute(MASKED.copy(), Y)
    with pytest.raises((TypeError, ValueError), match="masked"):
        compute(Y, MASKED)


@pytest.mark.parametrize("compute", ARITHMETIC)
def test_with_a_constant_the_mask_stays(compute):
    found = compute(MASKED.copy(), C)
    wanted = compute(MASKED.copy(), C.numpy())
    assert isinstance(found, np.ma.MaskedArray) and (found.mask == wanted.mask).all() and found.mask.any()
    np.testing.assert_array_equal(found.filled(0), wanted.filled(0))


@pytest.mark.parametrize("compare", [lambda a, b: a > b, lambda a, b: a == b, lambda a, b: a <= b, lambda a, b: a != b])
def test_comparisons_keep_the_mask(compare):
    for found, wanted in ((compare(Y, MASKED), compare(Y.numpy(), MASKED)), (compare(MASKED, Y), compare(MASKED, Y.numpy()))):
        np.testing.assert_array_equal(found.mask, MASKED.mask)
        np.testing.assert_array_equal(found.filled(False), wanted.filled(False))


def test_masked_indices_are_refused():
    places = np.ma.array([0, 1], mask=[False, True])
    for pick in (lambda: Y[places], lambda: Y[MASKED > 0], lambda: Y.take(places, 0), lambda: np.take(Y, places, 0)):
        with pytest.raises(ValueError, match="masked elements; fill them first"):
            pick()
    np.testing.assert_array_equal(Y[np.ma.array([1, 0])].numpy(), Y.numpy()[[1, 0]])


def test_a_masked_array_may_be_made_of_a_tensor():
    np.testing.assert_array_equal(np.ma.masked_greater(np.ma.array(Y), 5.0).mask, [[False, False], [True, True]])
