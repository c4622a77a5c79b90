"""What may be handed to a tensor and to ops: every kind of number and array with its value, everything else with a sentence."""

import datetime
import decimal
import fractions

import numpy as np
import pytest
from engine_parts import REFERENCE, constant, leaf
from tinygan_kernels import BackendError, ContractError, load, shared

from tinygan import Tensor, gradients
from tinygan.engine import ops

# ---- data of a tensor -----------------------------------------------------------------------------------------------------------

INTEGERS = [np.dtype(order + kind + str(size)) for kind in "iu" for size in (1, 2, 4, 8) for order in "<>"]
BASE = np.arange(24.0).reshape(4, 6)


@pytest.mark.parametrize("dtype", [*INTEGERS, np.dtype(bool), np.dtype("<f2"), np.dtype(">f2")], ids=str)
def test_integers_bools_and_halves_become_float32(dtype):
    data = np.array([[0, 1, 1], [1, 0, 100 % 2**dtype.itemsize]]).astype(dtype)
    x = Tensor(data, REFERENCE)
    assert x.dtype == np.float32 and x.dtype.isnative
    np.testing.assert_array_equal(x.numpy(), data)


@pytest.mark.parametrize(("given", "kept"), [("<f4", "f4"), (">f4", "f4"), ("<f8", "f8"), (">f8", "f8"), ("g", "f8")])
def test_floats_keep_their_width_and_become_native(given, kept):
    data = np.array([0.1, -2.5, np.inf, np.nan], "f4").astype(given)
    x = Tensor(data, REFERENCE)
    assert x.dtype == np.dtype(kept) and x.dtype.isnative
    np.testing.assert_array_equal(x.numpy(), data.astype(kept))
    np.testing.assert_array_equal((x + 1.0).numpy(), data.astype(kept) + np.dtype(kept).type(1))


LAYOUTS = {
    "strided": BASE[::2, ::3], "negative strides": BASE[::-1, ::-2], "Fortran order": np.asfortranarray(BASE), "transposed": BASE.T,
    "read-only": np.broadcast_to(BASE[0], (3, 6)), "0-d": BASE[0, 0, ...], "empty": BASE[:0],
    "of another class": BASE.view(np.recarray),
    "unaligned": np.frombuffer(b"x" + BASE.tobytes(), np.float64, offset=1).reshape(4, 6),
    "a field": np.ones((2, 3), [("tag", "i1"), ("x", "f8")])["x"], "masked nowhere": np.ma.array(BASE, mask=False),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_every_layout_of_memory_is_taken(name, backend):
    data = LAYOUTS[name]
    x = Tensor(data, backend, requires_grad=True)
    y = (x * 2.0 + data) @ np.ones((x.shape[-1], 2)) if x.ndim else x * 3.0
    values = np.asarray(data)
    np.testing.assert_allclose(y.numpy(), (3 * values) @ np.ones((x.shape[-1], 2)) if x.ndim else 3 * values, rtol=1e-14)
    assert gradients(ops.sum(y), [x])[0].shape == values.shape


@pytest.mark.parametrize("data", [
    3, 3.0, True, np.int8(3), np.float16(3), np.longdouble(3), np.bool_(True), fractions.Fraction(1, 4), [1, 2.5], (1, 2),
    [[1], [2]], range(4), [], [np.float32(1), np.int64(2)], np.arange(3), memoryview(np.arange(3.0)),
], ids=lambda data: "memoryview" if isinstance(data, memoryview) else repr(data))
def test_numbers_lists_and_what_numpy_takes_for_an_array_are_taken(data):
    x = Tensor(data, REFERENCE)
    expected = float(data) if isinstance(data, fractions.Fraction) else data
    np.testing.assert_array_equal(x.numpy(), np.asarray(expected).astype(x.dtype))
    assert x.shape == np.shape(expected)


NOT_NUMBERS = {
    "None": (None, "None"), "text": ("3", "text"), "bytes": (b"3", "bytes"), "complex": (1j, "complex"),
    "date": (datetime.date(2020, 1, 1), "date"),
    "complex array": (np.array([1 + 2j]), "complex"), "complex without an imaginary part": (np.array([1 + 0j]), "complex"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "dates"), "durations": (np.array([3], "m8[s]"), "durations"),
    "objects": ([1.0, None], "None"), "an object": (object(), "a object"), "a set": ({1.0}, "set"), "a dict": ({"a": 1.0}, "dict"),
    "a generator": ((i for i in range(3)), "generator"), "decimals": ([decimal.Decimal(1)], "Decimal"),
    "a function": (abs, "builtin"),
    "records": (np.zeros(2, [("a", "f4")]), "records"), "strings": (["1.5", "2"], "text"), "a type": (float, "type"),
    "numbers as objects": (np.array([1.0, 2], object), "objects"), "beyond 64 bits": ([10**30], "objects"),
}


@pytest.mark.parametrize("name", NOT_NUMBERS)
def test_what_is_no_real_number_is_refused(name):
    data, said = NOT_NUMBERS[name]
    with pytest.raises(TypeError, match=said):
        Tensor(data, REFERENCE)
    if name != "a generator":  # which is used up
        for op in (lambda t: t + data, lambda t: ops.maximum(data, t), lambda t: t**data, lambda t: data * t, lambda t: t @ data):
            with pytest.raises(TypeError):
                op(leaf([1.0, 2.0]))


@pytest.mark.parametrize(("data", "said"), [
    ([[1.0, 2.0], [3.0]], "ragged"), (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked"),
    (np.array([2**24 + 1]), "float32 has not got"),
    ([2**24 + 1], "has not got"), (np.array([2**63 - 1]), "has not got"), (np.array([2**64 - 1], np.uint64), "has not got"),
    ([1e300], "too large for float32"), (1e39, "too large"),
])
def test_values_that_would_change_are_refused(data, said):
    with pytest.raises(ValueError, match=said):
        Tensor(data, REFERENCE)


def test_whole_numbers_that_are_exact_are_taken_whatever_their_size():
    data = np.array([2**24, 2**30, -(2**62), 2**63 - 2**39])
    np.testing.assert_array_equal(Tensor(data, REFERENCE).numpy().astype(np.int64), data)
    assert float(Tensor(2**64 - 2**40, REFERENCE)) == 2.0**64 - 2.0**40
    assert float(Tensor(np.array(2**53 - 1), REFERENCE, dtype=np.float64)) == 2.0**53 - 1
    with pytest.raises(ValueError, match="float64 has not got"):
        Tensor(np.array([2**63 - 1]), REFERENCE, dtype=np.float64)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 on this machine")
def test_a_longdouble_is_taken_where_float64_has_the_number():
    with pytest.raises(ValueError, match="has not got"):
        Tensor(np.longdouble(1) / 3, REFERENCE)
    assert Tensor(np.array([0.5], np.longdouble), REFERENCE).dtype == np.float64


def test_the_dtype_may_be_given():
    assert Tensor(0.1, REFERENCE, dtype="float64").numpy() == 0.1
    assert Tensor(np.ones(2), REFERENCE, dtype=np.float32).dtype == np.float32
    with pytest.raises(TypeError, match="dtype is float16, it has to be"):
        Tensor(1.0, REFERENCE, dtype=np.float16)
    for wrong in (np.int32, "half", "float16", "x", None.__class__):
        with pytest.raises(TypeError, match="float32 or float64"):
            Tensor(1.0, REFERENCE, dtype=wrong)


def test_a_list_with_tensors_is_refused_as_it_would_be_cut_from_them():
    a, b = leaf(1.0), constant(2.0)
    for data in ([a, b], [b], (b,), [[1.0, b]], [[1.0], (a,)]):
        with pytest.raises(TypeError, match=r"cut from their graph.*concat"):
            Tensor(data)
        with pytest.raises(TypeError, match="cut from their graph"):
            constant([1.0, 2.0]) + data


def test_a_constant_tensor_as_data_gives_its_values_and_a_tracked_one_is_refused():
    x = constant([1.0, 2.0])
    again = Tensor(x, requires_grad=True)
    assert (again.backend is REFERENCE, again.dtype, again.requires_grad) == (True, np.float64, True)
    moved = Tensor(x, "cpu", dtype=np.float32)
    assert moved.backend is shared("cpu") and moved.dtype == np.float32
    np.testing.assert_array_equal(moved.numpy(), [1.0, 2.0])
    for tracked in (leaf([1.0]), leaf([1.0]) * 2.0):
        with pytest.raises(TypeError, match=r"stop\(x\)"):
            Tensor(tracked)


# ---- backends -------------------------------------------------------------------------------------------------------------------


def test_a_backend_may_be_named_and_plain_data_lives_on_cpu():
    assert Tensor(3.0).backend is Tensor([1.0], "cpu").backend is shared("cpu") is shared()
    assert Tensor(3.0, "reference").backend is shared("reference") is not REFERENCE
    assert float(Tensor(1.0, "cpu") + Tensor(2.0)) == 3.0
    assert load("cpu") is not shared("cpu")


@pytest.mark.parametrize(("backend", "error", "said"), [
    ("cuda", BackendError, "no backend 'cuda'"), (True, TypeError, "backend is True"), (np.float32, TypeError, "backend is"),
    (3, TypeError, "backend is 3"),
])
def test_what_is_no_backend_is_refused(backend, error, said):
    with pytest.raises(error, match=said):
        Tensor([1.0], backend)


def test_requires_grad_is_true_or_false():
    with pytest.raises(TypeError, match="requires_grad is 'yes'"):
        Tensor([1.0], REFERENCE, "yes")


# ---- operands -------------------------------------------------------------------------------------------------------------------

OPERANDS = [
    2, 2.0, True, np.int64(2), np.uint8(2), np.float32(2), np.float16(2), np.float64(2), np.longdouble(2), np.bool_(True),
    fractions.Fraction(2), np.array(2), np.array(2.0, ">f8"), np.array([2, 3]), np.array([2.0, 3.0], np.float32),
    [2, 3], (2.0, 3.0),
    np.array([[2.0], [3.0]]), np.array([True, False]), np.array([3.0, 0.0, 2.0])[::-2], range(2, 4),
]
BINARY = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "maximum": None,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("operand", OPERANDS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_operand_of_any_kind_has_its_value_on_either_side(name, operand, dtype):
    values = np.asarray(float(operand) if isinstance(operand, fractions.Fraction) else operand).astype(dtype)
    t = Tensor(np.array([4.0, 5.0], dtype), REFERENCE, requires_grad=True)
    mine, theirs = (ops.maximum, np.maximum) if name == "maximum" else (BINARY[name],) * 2
    for y, expected in ((mine(t, operand), theirs(t.numpy(), values)), (mine(operand, t), theirs(values, t.numpy()))):
        assert isinstance(y, Tensor) and y.dtype == dtype and y.tracked
        np.testing.assert_array_equal(y.numpy(), expected)


def test_a_product_takes_an_array_on_either_side():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12).reshape(3, 4)
    for y in (Tensor(a, REFERENCE) @ b, a @ Tensor(b.astype(float), REFERENCE), a.tolist() @ Tensor(b.astype(float), REFERENCE)):
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.numpy(), a @ b)


def test_two_tensors_of_different_dtypes_are_refused_by_every_operator():
    a, b = Tensor(np.ones((2, 2), np.float32), REFERENCE), Tensor(np.ones((2, 2)), REFERENCE)
    for op in (lambda: a + b, lambda: a * b, lambda: a - b, lambda: a / b, lambda: a**b, lambda: a @ b, lambda: ops.concat([a, b])):
        with pytest.raises(ContractError, match=r"is float(64|32), but"):
            op()


def test_a_finite_number_that_float32_has_not_got_is_refused():
    x = Tensor([1.0], REFERENCE)
    for number in (1e39, -1e300, 10**400, np.float64(1e40), np.array([1e40]), [1e40]):
        with pytest.raises(ValueError, match=r"too large|no float can hold"):
            x + number
    np.testing.assert_array_equal((x * np.inf).numpy(), [np.inf])
    assert np.isnan((x + float("nan")).numpy()).all()
    assert (constant([1.0]) * 1e300).numpy() == [1e300]


TWO = [2, 2.0, np.int64(2), np.float32(2), np.array(2), np.array([2.0, 2.0]), [2], fractions.Fraction(2)]


@pytest.mark.parametrize("exponent", TWO, ids=repr)
def test_powers_by_one_number_of_any_kind(exponent):
    x = leaf([-3.0, 0.0, 2.0]) if np.shape(exponent) != (2,) else leaf([-3.0, 2.0])
    y = x**exponent
    np.testing.assert_array_equal(y.numpy(), x.numpy() ** 2)
    np.testing.assert_array_equal(gradients(ops.sum(y), [x])[0].numpy(), 2 * x.numpy())


@pytest.mark.parametrize("base", [2, 2.0, np.float32(2), np.array(2), [2.0, 2.0], np.array([2, 2])], ids=repr)
def test_powers_of_a_number_of_any_kind(base):
    b = leaf([1.0, 3.0])
    y = base**b
    np.testing.assert_allclose(y.numpy(), [2.0, 8.0], rtol=1e-14)
    np.testing.assert_allclose(gradients(ops.sum(y), [b])[0].numpy(), np.array([2.0, 8.0]) * np.log(2), rtol=1e-14)


# ---- axes, shapes, indices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [np.int64(1), np.uint8(1), np.array(1), np.int16(-1)], ids=repr)
def test_axes_may_be_whole_numbers_of_any_kind(one):
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    for y, expected in (
        (x.sum(axis=one), [3, 8]), (x.mean(one), [1.5, 4]), (x.max(one), [2, 5]), (ops.var(x, one), [0.25, 1]),
        (x.sum([one]), [3, 8]),
        (x.sum(np.array([0, int(one)])), 11), (ops.concat([x, x], one), [[1, 2, 1, 2], [3, 5, 3, 5]]),
    ):
        np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("wrong", [1.0, "0", [0.5], np.float64(1), object()], ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_axis_is_refused(wrong):
    x = leaf([[1.0, 2.0]])
    for op in (x.sum, x.mean, x.max, lambda axis: ops.concat([x, x], axis)):
        with pytest.raises(ContractError, match="axis is"):
            op(wrong)


def test_strides_paddings_and_sides_may_be_numpys():
    x, w = constant(np.arange(32.0).reshape(1, 4, 4, 2)), constant(np.ones((2, 2, 2, 3)))
    one, two = np.int64(1), np.int32(2)
    np.testing.assert_array_equal(ops.conv2d(x, w, two, one).numpy(), ops.conv2d(x, w, 2, 1).numpy())
    up = constant(np.ones((2, 2, 3, 2)))
    np.testing.assert_array_equal(ops.conv_transpose2d(x, up, two, one).numpy(), ops.conv_transpose2d(x, up, 2, 1).numpy())
    long = constant(np.arange(600.0).reshape(1, 150, 2, 2))
    grown = ops.conv_transpose2d(long, up, np.int8(2), np.uint8(1))
    assert grown.shape == ops.conv_transpose2d(long, up, 2, 1).shape == (1, 298, 2, 3)
    assert ops.pad(x, [(np.int64(0), one), (one, 0), (0, two), (0, 0)]).shape == (1 + 1, 5, 6, 2)


@pytest.mark.parametrize("shape", [((3, 2),), (3, 2), ([3, -1],), (np.int64(3), -1), (np.array([3, 2]),)], ids=repr)
def test_reshape_takes_a_shape_or_its_sides(shape):
    x = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(x.reshape(*shape).numpy(), [[1, 2], [3, 4], [5, 6]])


def test_reshape_and_transpose_say_what_does_not_fit():
    x = leaf(np.zeros((2, 3, 4)))
    assert x.reshape(-1).shape == x.reshape(24).shape == ops.reshape(x, np.int64(24)).shape == (24,)
    assert x.transpose(0, 2, 1).shape == x.transpose((0, 2, 1)).shape == x.transpose([0, -1, 1]).shape == (2, 4, 3)
    assert x.transpose().shape == x.T.shape == (4, 3, 2)
    unfit, fractional = "do not fill", "whole numbers"
    for wrong, said in (((5, 5), unfit), ((-1, -1), unfit), ((2.0, 12), fractional), (("24",), fractional)):
        with pytest.raises((TypeError, ValueError), match=said):
            x.reshape(*wrong)
    for wrong in ((0, 1), (0, 0, 1), (0, 1, 5)):
        with pytest.raises(ValueError, match="name every axis once"):
            x.transpose(*wrong)


def test_an_index_may_be_numpys_and_may_add_an_axis():
    x = leaf(np.arange(6.0).reshape(2, 3))
    values = x.numpy()
    every = slice(None)
    for index in (np.int64(1), (np.int8(-1), 2), (every, np.uint16(0)), None, (every, None, 1), (..., None), np.array(1)):
        y = x[index]
        np.testing.assert_array_equal(y.numpy(), values[index])
        g = gradients(ops.sum(y * y), [x])[0].numpy()
        expected = np.zeros((2, 3))
        expected[index] = 2 * values[index]
        np.testing.assert_array_equal(g, expected)
    for wrong in (True, np.bool_(True), "0", 1.0, constant(1.0)):
        with pytest.raises(TypeError, match="indexed by ints"):
            x[wrong]
    with pytest.raises(IndexError, match=r"x has shape \(2, 3\)"):
        x[5]


def test_concat_takes_what_is_beside_a_tensor():
    x = leaf([[1.0, 2.0]])
    y = ops.concat(part for part in ([[3, 4]], x, np.array([[5, 6]])))
    np.testing.assert_array_equal(y.numpy(), [[3, 4], [1, 2], [5, 6]])
    np.testing.assert_array_equal(gradients(ops.sum(y * y), [x])[0].numpy(), [[2, 4]])
    for wrong, error in ((x, TypeError), ([], ValueError), ([leaf(1.0), leaf(2.0)], ValueError)):
        with pytest.raises(error, match="concat"):
            ops.concat(wrong)
