"""The formulas beside a wrong gradient: each is right where the numbers are, and none is shown that is not."""

import builtins
import json

import numpy as np
import pytest

from tinygan import check_derivation
from tinygan.derive import symbolic

pytest.importorskip("sympy", reason="SymPy, of the extras [derive] and [test], is not installed")


def lines(f, vjp, *shapes, seed=0):
    """Return the witness of the first wrong input."""
    rng = np.random.default_rng(seed)
    report = check_derivation(f, vjp, *(rng.normal(size=shape) for shape in shapes), symbolic=True, diagnose=False)
    return next(v.witness for v in report.inputs if v.verdict == "WRONG")


def test_both_formulas_and_their_difference():
    found = lines(lambda a, b: a @ b, lambda g, a, b: (g @ b, a.T @ g), (2, 2), (2, 2))
    assert found == (
        "right:   dL/da[1, 0] = b[0, 0]*g[1, 0] + b[0, 1]*g[1, 1]",
        "claimed: dL/da[1, 0] = b[0, 0]*g[1, 0] + b[1, 0]*g[1, 1]",
        "claimed - right = g[1, 1]*(-b[0, 1] + b[1, 0])",
    )


def test_a_ratio_that_is_a_number_is_told():
    found = lines(lambda x: (x * x).mean(), lambda x: 2 * x, (3,))
    assert found[2] == "claimed = 3 times right" and found[0].endswith("= 2*x[2]/3")


# f and a wrong gradient of it, in which what is named is computed: its formula is compared with the measured derivative.
FUNCTIONS = {
    "a choice by max": lambda x: x - x.max(-1, keepdims=True),
    "a choice by max over all": lambda x: x * np.max(x),
    "axes by name": lambda x: np.exp(x - x.max(axis=-1, keepdims=True)) * np.min(x, axis=0),
    "several axes": lambda x: x * x.max((0, 1)) + np.max(x, axis=(-1, 0), keepdims=True),
    "limits by name": lambda x: np.clip(x, a_min=-0.5, a_max=0.7) * 3,
    "min": lambda x: np.exp(x) * x.min(0),
    "maximum": lambda x: np.maximum(x, 0.2 * x) ** 2,
    "minimum": lambda x: np.minimum(x**2, 0.5),
    "clip": lambda x: np.clip(x, -0.5, 0.7) * 3,
    "abs and sign": lambda x: np.abs(x) * np.sign(x) * x,
    "where": lambda x: np.where(x > 0, x**3, 0.1 * x),
    "std": lambda x: x / x.std(-1, keepdims=True),
    "var with ddof": lambda x: np.var(x, axis=0, ddof=1),
    "logarithms": lambda x: np.log1p(x**2) + np.log2(2 + x**2) + np.log10(3 + x**2),
    "powers": lambda x: np.exp2(x) + np.expm1(x) + np.square(x) + (x**2 + 1) ** -0.5,
    "inverse functions": lambda x: np.arctan(x) + np.arcsinh(x) + np.tanh(x),
    "softplus": lambda x: np.logaddexp(0, x) + np.logaddexp(x, -x),
    "movements": lambda x: np.concatenate([x.T.reshape(-1), x[0, 1:]]) * 2,
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "sum and mean": lambda x: x.sum(0) * x.mean(),
    "several outputs": lambda x: (np.sin(x), x.sum()),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_right_formula_gives_the_measured_number(name):
    f = FUNCTIONS[name]
    right, claimed = lines(f, lambda x, g: 7 * x + np.pi, (2, 3))[:2]
    assert right.startswith("right:   dL/dx[") and claimed.startswith("claimed: dL/dx["), (right, claimed)
    assert "Heaviside" not in right and "Derivative" not in right


def test_an_input_with_the_cotangents_name_is_not_the_cotangent():
    def scaled(x, g):
        return x * g

    found = lines(scaled, lambda dout, x, g: (dout * x, dout * x), (2,), (2,))
    assert found[0].startswith("right:   dL/dx[") and "*g[" in found[0] and "cotangent[" in found[0], found


def test_a_formula_that_does_not_give_the_number_is_not_shown(monkeypatch):
    """A planted fault: the symbolic exp is another function, as if a step had been noted wrongly."""
    made = symbolic._smooth

    def faulty():
        return made() | {"exp": np.frompyfunc(lambda x: x**2, 1, 1)}

    monkeypatch.setattr(symbolic, "_smooth", faulty)
    found = lines(np.exp, lambda g, x: g * x, (3,))
    assert len(found) == 1 and found[0].startswith("no formula: the formula does not give the computed number")


@pytest.mark.parametrize("f, vjp, shape, why", [
    (np.exp, lambda g, x: g * x, (65,), "the inputs have more than 64 elements; pass smaller ones"),
    (lambda x: np.sort(x) ** 2, lambda g, x: g * x, (3,), "`np.sort`"),
    (lambda x: np.array([float(x[0]) ** 2]), lambda g, x: np.array([g[0], 0.0]), (2,), "float() was taken of an array"),
])  # fmt: skip
def test_why_there_is_none(f, vjp, shape, why):
    (line,) = lines(f, vjp, shape)
    assert line.startswith("no formula: ") and why in line


def test_a_right_gradient_has_no_witness_and_json_has_it_otherwise():
    x = np.linspace(0.1, 1, 3)
    right = check_derivation(np.exp, lambda g, x: g * np.exp(x), x, symbolic=True)
    assert right.passed and right.inputs[0].witness == ()
    wrong = check_derivation(np.exp, lambda g, x: g * x, x, symbolic=True)
    (told,) = json.loads(wrong.to_json())["inputs"]
    assert told["witness"] == list(wrong.inputs[0].witness) and told["witness"][0] in str(wrong)


def test_without_sympy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(symbolic.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"SymPy; run: pip install -e '\.\[derive\]'"):
        check_derivation(np.exp, lambda g, x: g, np.ones(2), symbolic=True)


def test_sympy_is_not_imported_where_nobody_asks(monkeypatch):
    imported = builtins.__import__

    def refusing(name, *rest):
        assert not name.startswith("sympy"), "check_derivation imports SymPy"
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refusing)
    assert not check_derivation(np.exp, lambda g, x: g * x, np.ones(2)).passed
