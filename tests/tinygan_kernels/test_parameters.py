"""The parameters of kernels at the door: which values pass, in which type they arrive, and in which words the rest is refused."""

import inspect

import numpy as np
import pytest
from tinygan_kernels import KERNELS, Backend, ContractError, load, reference
from tinygan_kernels.backend import check
from tinygan_kernels.cuda import ladder
from tinygan_kernels.parameters import REQUIRED, described, plain
from tinygan_kernels.verification.cases import cases

PARAMETERS = [(kernel.name, parameter.name) for kernel in KERNELS.values() for parameter in kernel.params]
REQUIRED_ONES = [(k, p.name) for k in KERNELS for p in KERNELS[k].params if p.default is REQUIRED]

NO_NUMBER = ["1", None, (1,), [1], 1j, True, np.True_, np.ones(1), np.ones(()), np.complex64(1), object]
NOT_FINITE = [np.nan, np.inf, -np.inf, np.float32(np.nan), 10**400, -(10**400)]
FLAGS = ([True, False, np.True_, np.False_], [0, 1, 3, 1.0, "True", None, (True,), np.ones(1, bool)])
SLOPES = ([0, 0.2, 1.0, -0.5, 7, np.float32(0.5), np.float64(0.1), np.int64(2)], NO_NUMBER + NOT_FINITE)
BETAS = ([0, 0.0, 0.5, 0.999, np.float32(0.5)], [*NO_NUMBER, *NOT_FINITE, 1, 1.0, -0.1])
SHARES = ([0, 1, 0.0, 1.0, 0.3, np.float32(0.25)], [*NO_NUMBER, *NOT_FINITE, -1e-9, 1.0001, 2])
SIGNS = ([1, -1, np.int64(-1)], [*NO_NUMBER, 0, 2, 1.0, -1.0, np.float64(1)])
ACTS = (["linear", "leaky_relu", "tanh", "sigmoid", np.str_("tanh")], ["gelu", "", None, 0, ("tanh",), np.array(["tanh"])])
AXES = ([(0,), (-1,), (0, 1), (), (np.int64(1),)], [0, None, [0], (0.0,), (True,), ("0",), ((0,),), np.array([0])])


def whole_from(least):
    return [least, least + 1, np.int32(least), np.uint8(least + 1)], [*NO_NUMBER, least - 1, float(least), least + 0.5]


# for each parameter: values that pass, values that are refused
VALUES = {
    "trans_a": FLAGS, "trans_b": FLAGS, "keepdims": FLAGS, "axes": AXES, "sign": SIGNS, "act": ACTS,
    "stride": whole_from(1), "pad": whole_from(0), "height": whole_from(0), "width": whole_from(0),
    "kh": whole_from(1), "kw": whole_from(1),
    "exponent": SLOPES, "slope": SLOPES, "mu": SLOPES, "beta1": BETAS, "beta2": BETAS, "decay": SHARES,
    "eps": ([1e-5, 1, np.float32(0.1)], [*NO_NUMBER, *NOT_FINITE, -1e-5]),
    "value": ([0, 1.5, -2, np.nan, np.inf, np.float32(3)], [*NO_NUMBER, 10**400]),
    ("bias_act", "slope"): SHARES, ("bias_act_grad", "slope"): SHARES,
    ("batch_norm", "eps"): ([1e-5, 1, np.float32(0.1)], [*NO_NUMBER, *NOT_FINITE, 0, 0.0, -1e-5]),
}  # fmt: skip


def values(kernel, name):
    return VALUES.get((kernel, name)) or VALUES[name]


def call(kernel):
    """(inputs, outputs to hand in or None, parameters) of a launch that the contract allows."""
    case = next(case for case in cases(kernel) if all(a.size for a in (*case.inputs, *case.states)))
    return case.inputs, tuple(s.copy() for s in case.states) or None, case.params


def refused(kernel, params) -> str:
    """The sentence in which the door and `check` both refuse these parameters; nothing may have been run."""
    inputs, out, _ = call(kernel)

    def ran(*arrays, **given):
        raise AssertionError(f"{kernel} ran with {given}")

    with pytest.raises(ContractError) as at_the_door:
        Backend("probe", dict.fromkeys(KERNELS, ran)).launch(kernel, inputs, out=out, **params)
    with pytest.raises(ContractError) as at_an_implementation:
        check(kernel, (*inputs, *(out or [inputs[0]] * len(KERNELS[kernel].outputs))), params)
    assert str(at_the_door.value) == str(at_an_implementation.value) and len(str(at_the_door.value).splitlines()) == 1
    return str(at_the_door.value)


def test_the_contract_has_parameters_with_and_without_a_default():
    assert len(REQUIRED_ONES) > 20 and {("matmul", "trans_a"), ("sum", "keepdims")} <= set(PARAMETERS) - set(REQUIRED_ONES)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_parameter_that_the_kernel_does_not_have_is_refused_by_name(kernel):
    sentence = refused(kernel, {**call(kernel)[2], "foo": 1})
    assert sentence.startswith(f"{kernel} has no parameter 'foo'; it takes ")
    assert all(parameter.name in sentence for parameter in KERNELS[kernel].params)


@pytest.mark.parametrize("kernel,name", REQUIRED_ONES)
def test_a_missing_parameter_is_asked_for_by_name(kernel, name):
    params = {key: value for key, value in call(kernel)[2].items() if key != name}
    assert refused(kernel, params).startswith(f"{kernel}: {name} is missing, it has to be ")


@pytest.mark.parametrize("kernel,name", PARAMETERS)
def test_a_wrong_parameter_is_refused_by_name(kernel, name):
    for value in values(kernel, name)[1]:
        sentence = refused(kernel, {**call(kernel)[2], name: value})
        assert sentence.startswith(f"{kernel}: {name} is {described(value)}, it has to be "), sentence


@pytest.mark.parametrize("kernel,name", PARAMETERS)
def test_a_right_parameter_arrives_as_a_plain_python_value(kernel, name):
    for value in values(kernel, name)[0]:
        clean = KERNELS[kernel].checked({**call(kernel)[2], name: value})[name]
        assert type(clean) in (bool, int, float, str, tuple) or type(value) is np.str_
        assert clean == value or clean != clean
        assert not isinstance(clean, tuple) or {type(axis) for axis in clean} <= {int}


def test_implementations_are_given_plain_values_by_the_door():
    seen, implementations = {}, load("reference").implementations
    backend = Backend("probe", {**implementations, "sum": lambda x, y, **params: seen.update(params)})
    backend.launch("sum", (np.zeros((2, 3), np.float32),), axes=(np.int64(1),), keepdims=np.True_)
    assert seen == {"axes": (1,), "keepdims": True} and type(seen["axes"][0]) is int and seen["keepdims"] is True


def test_a_cuda_version_that_is_called_directly_is_given_plain_values_too(monkeypatch):
    pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    seen = {}
    monkeypatch.setattr(ladder.Choice, "launches", lambda choice, device, arrays, params: seen.update(params) or ())
    x, b, y = np.ones((2, 3), np.float32), np.ones(3, np.float32), np.ones((2, 3), np.float32)
    load("numba-cuda", emulate=True).implementations["bias_act"](x, b, y, act="leaky_relu", slope=np.float32(0.5))
    assert seen == {"act": "leaky_relu", "slope": 0.5} and type(seen["slope"]) is float


def test_parameters_without_numpy_scalars_are_handed_on_as_they_are():
    """Parameters without NumPy scalars are handed on uncopied, because the check of a launch in a hot loop must make no object."""
    given = {"trans_a": True, "trans_b": False}
    assert KERNELS["matmul"].checked(given) is given


@pytest.mark.parametrize("kernel", KERNELS)
def test_defaults_are_those_of_the_reference(kernel):
    """The reference has the parameters of the contract, in its order, with the same defaults."""
    listed, entry = inspect.signature(getattr(reference, kernel)).parameters, KERNELS[kernel]
    taken = [(p.name, REQUIRED if p.default is inspect.Parameter.empty else p.default) for p in listed.values()]
    assert taken[len(taken) - len(entry.params) :] == [(p.name, p.default) for p in entry.params]


def test_shapes_are_not_told_for_parameters_that_the_door_would_refuse():
    with pytest.raises(ContractError, match=r"^conv2d: stride is 0, it has to be a whole number of at least 1$"):
        KERNELS["conv2d"].shapes((1, 4, 4, 1), (3, 3, 1, 1), stride=0, pad=0)


def test_plain_and_described():
    assert plain(np.float32(0.5)) == 0.5 and type(plain(np.float32(0.5))) is float
    assert plain((np.int8(3), 4)) == (3, 4) and plain("x") == "x" and plain(None) is None
    assert described(3) == "3" and described("gelu") == "'gelu'"
    assert described(np.zeros((9, 9))) == "of type ndarray" and described(10**5000) == "of type int"
    assert described((1, 10**5000)) == "of type tuple" and described("a\nb") == "'a\\nb'"
