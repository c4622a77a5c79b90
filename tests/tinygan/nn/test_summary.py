"""What networks print: their repr, and the table of their layers."""

import numpy as np
import pytest

from tinygan import Tensor, nn, optim


def network() -> nn.Sequential:
    made = {"backend": "reference", "rng": np.random.default_rng(0)}
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 1, 1, act="relu", **made), nn.BatchNorm(4, backend="reference"), nn.Dropout(0.5, 0),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 1, **made)),
    )


TABLE = """
layer          output        parameters
---------------------------------------
input          (m, 4, 4, 1)
0 Conv2d       (m, 4, 4, 4)          40
1 BatchNorm    (m, 4, 4, 4)           8
2 Dropout      (m, 4, 4, 4)           0
3.0 Flatten    (m, 64)                0
3.1 Linear     (m, 1)                65
---------------------------------------
total                               113
"""


def table(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines() if "---" not in line]


def test_a_summary_lists_layers_shapes_and_parameters():
    G = network()
    G[1].train(False)
    before = {name: b.numpy().copy() for name, b in G.buffers().items()}
    modes = [layer.training for layer in G]
    state = G[2].draws.rng.bit_generator.state
    for sample in ((4, 4, 1), [4, 4, 1], np.zeros((3, 4, 4, 1)), Tensor(np.zeros((3, 4, 4, 1), np.float32), "reference")):
        assert table(nn.summary(G, sample)) == table(TABLE)
    assert [layer.training for layer in G] == modes == [True, False, True, True]
    assert G[2].draws.rng.bit_generator.state == state
    for name, b in G.buffers().items():
        np.testing.assert_array_equal(b.numpy(), before[name])


def test_the_columns_of_a_summary_stand_below_each_other():
    lines = nn.summary(network(), (4, 4, 1)).splitlines()
    assert len({len(line) for line in lines if line.split()[-1].isdigit() or line.startswith("---")}) == 1


def test_a_summary_takes_a_length_and_functions_among_the_layers():
    def double(x):
        return x * 2.0

    G = nn.Sequential(nn.Linear(3, 2, backend="reference", rng=0), double)
    assert table(nn.summary(G, 3))[1:] == ["input (m, 3)", "0 Linear (m, 2) 8", "1 double (m, 2) 0", "total 8"]
    assert table(nn.summary(G[0], 3))[2] == "Linear (m, 2) 8"


@pytest.mark.parametrize(("sample", "error", "said"), [
    ((5, 5, 1), ValueError, r"layer 3\.1 Linear does not take \(m, 100\)"),
    (3, ValueError, r"layer 0 Conv2d does not take \(m, 3\)"),
    ((1, 28, 28), ValueError, "NHWC"), ("28", TypeError, "a side of sample is '28'"),
    ((28, 0, 1), ValueError, "a side of sample is 0"),
    (2.5, TypeError, "a side of sample is 2.5"), (np.float32(1), TypeError, "a side of sample"), (None, TypeError, "None"),
])
def test_a_sample_that_does_not_fit_is_refused_by_the_layers_name(sample, error, said):
    G = network()
    with pytest.raises(error, match=said):
        nn.summary(G, sample)
    assert all(layer.training for layer in G)


def test_what_is_no_layer_has_no_summary():
    with pytest.raises(TypeError, match="summary: layer is"):
        nn.summary(lambda x: x, 2)
    with pytest.raises(TypeError, match="layer 0 <lambda> gives"):
        nn.summary(nn.Sequential(lambda x: 3.0), 2)


def test_a_repr_shows_settings_shapes_and_counts():
    assert repr(network()) == """Sequential(): 113 parameters
  0: Conv2d(stride=1, pad=1, act='leaky_relu', slope=0.0, w (3, 3, 1, 4), b (4,)): 40 parameters
  1: BatchNorm(momentum=0.1, eps=1e-05, act='linear', slope=0.0, gamma (4,), beta (4,), mean (4,), var (4,)): 8 parameters
  2: Dropout(p=0.5): 0 parameters
  3: Sequential(): 65 parameters
    0: Flatten(): 0 parameters
    1: Linear(act='linear', slope=0.0, w (64, 1), b (1,)): 65 parameters"""
    assert repr(nn.Reshape(2, 2)) == "Reshape(shape=(2, 2)): 0 parameters"
    assert repr(optim.SGD(network(), 0.5)) == "SGD(113 parameters, rate=0.5)"


def test_a_repr_ends_though_layers_hold_one_another():
    class Loop(nn.Layer):
        def __init__(self) -> None:
            self.back: nn.Layer = self
            self.blocks = [nn.ReLU(), nn.ReLU()]

    text = repr(Loop())
    assert text.count("Loop") == 1 and "blocks.1: ReLU" in text
