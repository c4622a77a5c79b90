"""A derivation line by line: the first false equality, at small integers; text is read without executing it."""

import numpy as np
import pytest

from tinygan.derive import check_lines, read_lines
from tinygan.derive.expressions import ExpressionError, evaluated


def test_right_derivations_pass():
    assert check_lines(["(a + b)^2", "a^2 + 2*a*b + b^2", "a*(a + b) + b*(a + b)"]) is None
    assert check_lines([lambda x: np.tanh(x), lambda x: 2 / (1 + np.exp(-2 * x)) - 1], np.ones((2, 3))) is None
    assert check_lines(["sum(g * y) / 3", "mean(g * y)"], np.arange(3.0), np.ones(3), names=["g", "y"]) is None


def test_the_first_false_equality_is_shown_at_small_integers():
    found = check_lines(["(a + b)^2", "a^2 + 2*a*b + b^2", "a^2 + b^2", "a^2 + b^2 + 1"])
    assert (found.above, found.below) == (2, 3)
    assert all(float(v).is_integer() and abs(v) <= 2 for v in found.values.values())
    assert "line 3 does not equal line 2: for a = " in str(found)


def test_a_false_matrix_identity_has_a_counter_example():
    found = check_lines([lambda a, b: (a @ b).T, lambda a, b: a.T @ b.T], np.ones((2, 2)), np.ones((2, 2)))
    assert found is not None and all(np.array_equal(v, np.rint(v)) for v in found.values.values())


def test_files_are_read_line_by_line():
    assert read_lines("# a proof\na + a = 2*a   # trivial\n\n= a*2\nsum(x, axis=0)\n") == ["a + a", "2*a", "a*2", "sum(x, axis=0)"]


@pytest.mark.parametrize("text", [
    "__import__('os')", "a.__class__", "open('x')", "(lambda: 1)()", "[a for a in b]", "a if a else b", "f'{a}'", "a[0]", "9**9**9",
    "exp",
    "sum(a, out=b)", "a; b", "import os", "'a' * 3", "getattr(a, 'T')", "a.shape",
])
def test_nothing_but_expressions_is_understood(text):
    with pytest.raises(ExpressionError):
        evaluated(text, {"a": np.ones(2), "b": np.ones(2)})


def test_variables_without_a_value_are_named():
    with pytest.raises(ExpressionError, match="'c'"):
        evaluated("a + c", {"a": 1.0})
