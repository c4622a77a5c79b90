"""What would go wrong in `fit` without a word: other networks on resuming, parameters that moved, data that are no numbers."""

from collections import OrderedDict

import numpy as np
import pytest
from fit_parts import SILENT, bits, networks, points
from tiny_runs import refusal

from tinygan import fit, load_generator, optim, stop
from tinygan.data import DataError
from tinygan.nn import Layer, Sequential, Tanh
from tinygan.training import CheckpointError

RUN = {"steps": 12, "batch": 8, **SILENT}


class Scaled(Layer):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


class Remembers(Layer):
    """Keeps what it saw last, in a tensor that counts as a buffer."""

    def __init__(self):
        self.last = None

    def __call__(self, x):
        self.last = stop(x)
        return x * 1.0


# ---- networks that are not the run's --------------------------------------------------------------------------------------------


def with_slope(slope):
    G, D = networks()
    D.layers[0].slope = slope
    return G, D


def with_tanh():
    G, D = networks()
    return Sequential(G.layers[0], Tanh(), G.layers[1]), D


@pytest.mark.parametrize("others, said", [(lambda: with_slope(0.3), "D.layers[0].slope is 0.3 here and 0.2 in the checkpoint"),
                                          (with_tanh, "G.layers[1]")])
def test_a_run_goes_on_with_the_layers_that_it_began_with(tmp_path, others, said):
    fit(*networks(), points(), out=tmp_path, **RUN)
    assert said in refusal(fit, *others(), points(), out=tmp_path, resume=True, **RUN | {"steps": 20}, error=CheckpointError)


def test_another_attribute_of_a_users_layer_is_said(tmp_path):
    said = []
    fit(*networks(Scaled(2.0)), points(), out=tmp_path, **RUN)
    fit(*networks(Scaled(3.0)), points(), out=tmp_path, resume=True, **RUN | {"steps": 14, "say": said.append})
    assert any("G.layers[1].factor is 3.0 here and 2.0 in the checkpoint" in line for line in said)
    said.clear()
    fit(*networks(Scaled(3.0)), points(), out=tmp_path, resume=True, **RUN | {"steps": 16, "say": said.append})
    assert not any("factor" in line for line in said)


def test_a_generator_to_be_filled_is_built_as_the_runs_was(tmp_path):
    fit(*networks(), points(), out=tmp_path, **RUN)
    G, _ = networks()
    load_generator(tmp_path, "reference", G=G)
    G.layers[0].act = "tanh"
    message = refusal(load_generator, tmp_path, "reference", G=G, error=CheckpointError)
    assert "G.layers[0].act is 'tanh' here and 'leaky_relu' in the checkpoint" in message


# ---- parameters that are elsewhere ----------------------------------------------------------------------------------------------


def halved_in_place(moment):
    for t in moment.D.parameters().values():
        t.array *= 0.5


def halved_in_new_arrays(moment):
    for t in moment.D.parameters().values():
        t.array = t.array * 0.5


def halved_under_another_optimiser(moment):
    optim.SGD(moment.D, 0.1)  # the parameters become views of its buffer
    halved_in_place(moment)


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_parameters_that_a_callback_moves_are_trained_on(name):
    runs = [fit(*networks(name=name), points(), callback=change, every=5, replay=replay, **RUN)
            for change, replay in ((halved_in_place, True), (halved_in_new_arrays, True), (halved_in_new_arrays, False),
                                   (halved_under_another_optimiser, True))]
    untouched = fit(*networks(name=name), points(), **RUN)
    assert bits(runs[0]) != bits(untouched)
    assert all(bits(run) == bits(runs[0]) for run in runs[1:])


def test_a_run_whose_networks_went_on_is_not_saved_as_it_was(tmp_path):
    G, D = networks()
    first = fit(G, D, points(), **RUN)
    first.save(tmp_path / "before")
    second = fit(G, D, points(), **RUN)
    assert "G.0.w has changed" in refusal(first.save, tmp_path / "after", error=CheckpointError)
    assert not (tmp_path / "after").exists()
    second.save(tmp_path / "second")


def test_a_layer_of_g_may_keep_what_it_saw_last():
    runs = [fit(*networks(Remembers()), points(), callback=lambda moment: len(moment.sample(3)) == 0, every=2, replay=replay, **RUN)
            for replay in (True, False)]
    assert bits(runs[0]) == bits(runs[1]) and runs[0].step == RUN["steps"]


# ---- data -----------------------------------------------------------------------------------------------------------------------

MIXED = np.array([[1, 2.5], [3, "x"]], object)


@pytest.mark.parametrize("data, said", [
    (np.ma.masked_array(np.ones((9, 2)), mask=np.eye(9, 2, dtype=bool)), "masked"),
    ((row for row in np.ones((9, 2))), "np.array(list(data))"),
    (OrderedDict(a=np.ones(9), b=np.ones(9)), "np.column_stack(list(data.values()))"),
    (None, "data is None"),
    (MIXED, "holds 'x' (str) at [1, 1]"),
    (np.ones((9, 2), object), "data.astype(float)"),
])
def test_data_that_are_no_numbers_are_named(data, said):
    assert said in refusal(fit, *networks(), data, **RUN, error=DataError)


def test_a_masked_array_without_masked_elements_is_an_array():
    a, b = (fit(*networks(), data, **RUN) for data in (points(), np.ma.masked_array(points())))
    assert bits(a) == bits(b)


# ---- arguments ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given, said", [
    ({"penalties": 5}, "penalties is 5"), ({"penalties": [lambda D, real, fake: 0]}, "penalties[0] is a function"),
    ({"out": 5}, "out is 5"), ({"callback": lambda moment: np.ones(1000), "every": 5}, "the callback returned a ndarray"),
])
def test_arguments_of_other_types_are_named(given, said):
    message = refusal(fit, *networks(), points(), **RUN, **given, error=TypeError)
    assert said in message and len(message) < 250


def test_a_comparison_of_numpys_ends_a_run():
    run = fit(*networks(), points(), callback=lambda moment: np.float64(1) > 0, every=5, **RUN)
    assert run.step == 5 and run.interrupted


def test_an_unknown_layer_is_a_difference_of_the_networks(tmp_path):
    fit(*networks(Scaled(2.0)), points(), out=tmp_path, **RUN)
    message = refusal(fit, *networks(Tanh()), points(), out=tmp_path, resume=True, **RUN, error=CheckpointError)
    assert "G.layers[1] is a Tanh here and a Scaled in the checkpoint" in message
