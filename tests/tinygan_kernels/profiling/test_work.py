"""FLOPs and bytes of launches against counts by hand: of every kernel of the contract, and of one whole step of a workload."""

import math

import numpy as np
import pytest
from tiny_runs import backend
from tinygan_kernels import KERNELS, Launch, load
from tinygan_kernels.profiling import work
from tinygan_kernels.verification.cases import cases

ITEM = 4  # bytes of a float32

# kernel: (shapes of inputs, shapes of outputs updated in place, parameters, FLOPs, elements moved)
BY_HAND = {
    **dict.fromkeys(("add", "mul", "div", "maximum", "equal", "tanh_grad", "sigmoid_grad"), (((5, 7), (5, 7)), (), {}, 0, 3 * 35)),
    **dict.fromkeys(("neg", "exp", "log", "sqrt", "abs", "sign", "tanh", "sigmoid", "softplus"), (((5, 7),), (), {}, 0, 70)),
    **dict.fromkeys(("sin", "cos"), (((5, 7),), (), {}, 0, 70)),
    "pow": (((5, 7), (5, 7)), (), {}, 0, 3 * 35),
    "where": (((5, 7), (5, 7), (5, 7)), (), {}, 0, 4 * 35),
    "copy": (((5, 7),), (), {}, 0, 70),
    "power": (((5, 7),), (), {"exponent": 2}, 0, 70),
    "leaky_relu": (((5, 7),), (), {"slope": 0.2}, 0, 70),
    "leaky_relu_grad": (((5, 7), (5, 7)), (), {"slope": 0.2}, 0, 3 * 35),
    "sum": (((5, 7),), (), {"axes": (0,)}, 0, 35 + 7),
    "max": (((5, 7),), (), {"axes": (1,)}, 0, 35 + 5),
    "fill": ((), ((5, 7),), {"value": 1.0}, 0, 35),  # written, not read
    "matmul": (((5, 7), (7, 3)), (), {}, 2 * 5 * 7 * 3, 35 + 21 + 15),
    # 2x3 filters of stride 2 on 6x7 images padded by 1: 4x4 outputs, each a sum of 2*3*4 products for each of 5 channels
    "conv2d": (((3, 6, 7, 4), (2, 3, 4, 5)), (), {"stride": 2, "pad": 1}, 2 * 3 * 16 * 5 * 24, 504 + 120 + 240),
    "conv2d_dx": (((3, 4, 4, 5), (2, 3, 4, 5)), (), {"stride": 2, "pad": 1, "height": 6, "width": 7},
                  2 * 3 * 16 * 5 * 24, 240 + 120 + 504),
    "conv2d_dw": (((3, 6, 7, 4), (3, 4, 4, 5)), (), {"stride": 2, "pad": 1, "kh": 2, "kw": 3},
                  2 * 3 * 16 * 5 * 24, 504 + 240 + 120),
    "bce_logits": (((9,), (9,)), (), {}, 0, 18 + 1 + 9),
    "batch_norm": (((6, 4), (4,), (4,)), (), {"eps": 1e-5}, 0, 24 + 8 + 24 + 8),
    "batch_norm_grad": (((6, 4), (6, 4), (4,), (4,), (4,)), (), {}, 0, 48 + 12 + 24 + 8),
    "bias_act": (((6, 4), (4,)), (), {"act": "tanh"}, 0, 24 + 4 + 24),
    "bias_act_grad": (((6, 4), (6, 4)), (), {"act": "tanh"}, 0, 48 + 24 + 4),
    "sgd": (((9,), ()), ((9,),), {"sign": 1}, 0, 9 + 1 + 2 * 9),  # theta is read and written
    "momentum": (((9,), ()), ((9,), (9,)), {"sign": 1, "mu": 0.9}, 0, 9 + 1 + 2 * 18),
    "adam": (((9,), ()), ((9,), (9,), (9,), ()), {"sign": 1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-8}, 0, 9 + 1 + 2 * 28),
    "ema": (((9,),), ((9,),), {"decay": 0.9}, 0, 9 + 2 * 9),
}


def launched(kernel, inputs, states=(), **params):
    """The launch of a kernel on arrays of ones."""
    seen, place = [], load("reference")
    with place.watch(lambda launch, proceed: seen.append(launch)):
        place.launch(kernel, inputs, out=states or None, **params)
    return seen[0]


def ones(shapes, dtype=np.float32):
    return tuple(np.ones(shape, dtype) for shape in shapes)


def by_hand(kernel):
    """The row of BY_HAND; for a kernel without one, no FLOPs and every array once, on the largest of its contiguous hard cases."""
    if kernel in BY_HAND:
        return BY_HAND[kernel]
    assert KERNELS[kernel].flops is None, f"tests/tinygan_kernels/profiling/test_work.py: count {kernel}'s FLOPs in BY_HAND"
    whole = [c for c in cases(kernel) if len({a.shape for a in c.inputs}) == 1 and all(a.flags.c_contiguous for a in c.inputs)]
    case = max(whole, key=lambda case: case.size)
    inputs, states = [a.shape for a in case.inputs], [a.shape for a in case.states]
    outputs = KERNELS[kernel].shapes(*inputs, **case.params)
    return inputs, states, case.params, 0, case.size + sum(map(math.prod, outputs))


def test_a_kernel_without_a_row_is_counted_on_its_hard_cases(monkeypatch):
    """The largest contiguous case of softplus has 1025 numbers, which are read once and written once."""
    monkeypatch.delitem(BY_HAND, "softplus")
    assert by_hand("softplus") == ([(1025,)], [], {}, 0, 2050)
    monkeypatch.delitem(BY_HAND, "matmul")
    with pytest.raises(AssertionError, match=r"test_work.py: count matmul's FLOPs in BY_HAND"):
        by_hand("matmul")


@pytest.mark.parametrize("kernel", KERNELS)
def test_flops_and_bytes_of_every_kernel(kernel):
    inputs, states, params, flops, elements = by_hand(kernel)
    for dtype, item in ((np.float32, ITEM), (np.float64, 2 * ITEM)):
        launch = launched(kernel, ones(inputs, dtype), ones(states, dtype), **params)
        assert (work.flops(launch), work.moved(launch)) == (flops, item * elements)


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_transposition_changes_no_count(trans_a, trans_b):
    a, b = ones([(7, 5) if trans_a else (5, 7), (3, 7) if trans_b else (7, 3)])
    launch = launched("matmul", (a, b), trans_a=trans_a, trans_b=trans_b)
    assert (work.flops(launch), work.moved(launch)) == (2 * 5 * 7 * 3, ITEM * 71)


@pytest.mark.parametrize("view,stored", [
    (np.broadcast_to(np.ones((5, 1), np.float32), (5, 7)), 5),
    (np.broadcast_to(np.ones((), np.float32), (5, 7)), 1),
    (np.broadcast_to(np.ones((1, 7), np.float32), (0, 7)), 0),
    (np.ones((7, 5), np.float32).T, 35),
    (np.ones((10, 7), np.float32)[::-2], 35),
    (np.ones((5, 0), np.float32), 0),
], ids=["column", "number", "none of a row", "transposed", "every other row", "empty"])
def test_what_is_seen_many_times_is_read_once(view, stored):
    assert work.moved(launched("neg", (view,))) == ITEM * (stored + view.size)


def test_a_step_of_the_ring():
    """m = 256. Multiplications a sample: g = 16*128 + 128*128 + 128*2 in G, d = 2*128 + 128*128 + 128 in D; twice that in FLOPs.

    D's step: G forward on m; D forward on 2m, its weights' gradients, its inputs' but those of the first layer.
    G's step: G forward; D forward; D's inputs' gradients, not its weights'; G's weights' and all but its first inputs'.
    """
    from benchmarks.speed.workloads import build

    step = build("ring", backend("cpu"))
    step.step()
    g, d = 16 * 128 + 128 * 128 + 128 * 2, 2 * 128 + 128 * 128 + 128
    of_d = g + 2 * d + 2 * d + 2 * (d - 2 * 128)
    of_g = g + d + d + g + (g - 16 * 128)
    assert sum(map(work.flops, step.replayed.plan.launches)) == 2 * 256 * (of_d + of_g)


def test_what_stays_between_two_launches_that_run_as_one_is_not_moved():
    """matmul leaves c to bias_act, which overwrites it: a, b and the bias are read, y is written, c goes nowhere in between."""
    a, b, c, bias = (np.zeros(shape, np.float32) for shape in ((4, 3), (3, 5), (4, 5), (5,)))
    backend = load("cpu")
    product = Launch(KERNELS["matmul"], backend.implementations["matmul"], (a, b), (c,), {})
    act = Launch(KERNELS["bias_act"], backend.implementations["bias_act"], (c, bias), (c,), {"act": "linear"})
    assert work.moved_together((product, act)) == a.nbytes + b.nbytes + bias.nbytes + c.nbytes
    assert work.moved_together((product,)) == work.moved(product)
