"""`draw`: nodes, cotangents, layers, and what a node tells: against gradients computed otherwise, and numbers worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan import Tensor, draw, gradients, ops
from tinygan.drawing.recompute import CannotRecompute
from tinygan.engine.gradcheck import KinkError
from tinygan.engine.tensor import guards, record
from tinygan.game import V, gradient_penalty
from tinygan.nn import Linear, Sequential

CPU = load("reference")


def leaf(values):
    return Tensor(np.array(values, np.float64), CPU, requires_grad=True)


def networks(seed=0):
    made = {"backend": CPU, "rng": np.random.default_rng(seed), "dtype": np.float64}
    G = Sequential(Linear(2, 4, act="tanh", **made), Linear(4, 1, **made))
    D = Sequential(Linear(1, 4, act="leaky_relu", slope=0.2, **made), Linear(4, 1, **made))
    return D, G, Tensor(made["rng"].normal(size=(6, 1)), CPU), Tensor(made["rng"].normal(size=(6, 2)), CPU)


def worked():
    """Return L = softplus(-tanh(x w + b) v) at the point of docs/autodiff.md, and its leaves."""
    x, w, b, v = Tensor(np.array([[2.0]]), CPU), *(leaf([[value]]) for value in (0.5, -0.5, 3.0))
    return ops.mean(ops.softplus(-(ops.tanh(x @ w + b) @ v))), {"w": w, "b": b, "v": v}


def test_the_worked_graph_is_that_of_the_page():
    L, leaves = worked()
    graph = draw(L, names={**leaves, "L": L})
    assert [n.op for n in graph if n.tensor.parents] == ["matmul", "add", "tanh", "matmul", "neg", "softplus", "sum", "div"]
    slopes = {name: round(float(graph.named(name).cotangent), 6) for name in leaves}
    assert slopes == {"w": -0.943694, "b": -0.471847, "v": -0.092419}
    edges = {(graph.node(e.source).op, graph.node(e.target).op): e.flows for e in graph.edges}
    assert edges["tanh", "matmul"] == pytest.approx(0.599973, abs=1e-6)
    assert edges["constant", "matmul"] is None  # nothing flows to x
    assert graph.outputs == (len(graph),) and graph.named("L").value == "0.2231"


def test_cotangents_are_those_of_the_engine_where_paths_meet():
    a, b = leaf([1.0, -2.0]), leaf([[3.0], [0.5]])
    c = a * b
    outputs = [ops.sum(c * c + a), ops.tanh(c)]
    graph = draw(outputs)
    wrt = [node.tensor for node in graph if node.tensor.tracked]
    total = ops.sum(outputs[0]) + ops.sum(outputs[1])
    for node, g in zip([n for n in graph if n.tensor.tracked], gradients(total, wrt), strict=True):
        np.testing.assert_allclose(node.cotangent.numpy(), g.numpy(), rtol=1e-14)
    squared = next(e for e in graph.edges if graph.node(e.source).tensor is c and graph.node(e.target).op == "mul")
    assert squared.flows == pytest.approx(np.linalg.norm(c.numpy()))  # each factor of c c takes g c


def test_variables_of_the_caller_are_names_and_given_names_come_in_their_place():
    w = leaf([2.0])
    loss = ops.sum(w**2)
    assert draw(loss).named("w").tensor is w and draw(loss).named("loss").tensor is loss
    assert [n.name for n in draw(loss, names={"theta": w})] == ["theta", "", ""]
    with pytest.raises(LookupError, match="no node is called 'w'; names are theta"):
        draw(loss, names={"theta": w}).named("w")


def test_a_function_is_drawn_with_its_layers_and_calls():
    D, G, x, z = networks()
    graph = draw(lambda: V(D, G, x, z), depth=0)
    titles = [box.title for box in graph.picture.boxes]
    assert [t for t in titles if t[0] in "DGp"] == ["parameters of D", "G", "D, call 2", "D, call 1"]
    assert {n.modules[-1][0] for n in graph if n.modules} == {"D.0", "D.1", "G.0", "G.1"}
    assert sum(len(box.nodes) for box in graph.picture.boxes) == len(graph) - 4  # of which 4 are constants
    assert len(graph.opened(None).picture.boxes) == len(graph) - 4
    assert "nn/layers.py" in graph.node(next(n.number for n in graph if n.op == "linear")).called_from
    assert graph.levels == 2 and guards == []


def test_the_flow_into_a_closed_layer_is_that_of_all_its_ops():
    D, G, x, z = networks()
    graph = draw(lambda: V(D, G, x, z), depth=0)
    theta = list(D.parameters().values())
    parameters = next(box for box in graph.picture.boxes if box.title == "parameters of D")
    expected = np.sqrt(sum((g.numpy() ** 2).sum() for g in gradients(V(D, G, x, z), theta)))
    assert parameters.flow == pytest.approx(expected, rel=1e-12)


def test_r1_shows_the_derivative_of_d_as_a_layer_of_its_own():
    D, _, x, _ = networks()
    graph = draw(lambda: gradient_penalty(D, x, 0.3))
    assert {n.op for n in graph if n.in_vjp} == {"matmul", "leaky_relu_grad"}
    assert {n.modules[-1][0] for n in graph if n.in_vjp} == {"D.0'", "D.1'"}
    of = next(n for n in graph if n.op == "leaky_relu_grad")
    assert graph.node(of.derivative_of).op == "linear"
    penalty = gradient_penalty(D, x, 0.3)
    (slope,) = gradients(penalty, [D.layers[0].w])
    np.testing.assert_allclose(graph.named("D.0.w").cotangent.numpy(), slope.numpy(), rtol=1e-12)


def test_a_network_that_calls_another_between_its_own_layers_is_opened():
    """A closed box would stand before and after the other one; it is opened, and the picture has no circle."""
    _, G, _, z = networks()
    other = Linear(4, 4, backend=CPU, rng=np.random.default_rng(1), dtype=np.float64)
    first, second = G.layers

    class Sandwich(Linear):
        def __call__(self, x):
            return second(other(first(x)) * first(x)[:, :1])

    s = Sandwich(1, 1, backend=CPU, rng=np.random.default_rng(1), dtype=np.float64)
    for depth in (0, 1, None):
        picture = draw(lambda: ops.sum(second(s(z) * first(z))), depth=depth).picture
        assert all(a.source < a.target for a in picture.arrows) or depth == 0
    inner = draw(lambda: ops.sum(G(z)), depth=0)
    inside = {n.number for box in inner.picture.boxes if len(box.nodes) > 1 for n in box.nodes}
    assert inside == {n.number for n in inner if n.modules or (n.op == "leaf")}


@pytest.mark.parametrize("order", [1, 2])
def test_every_node_of_a_game_is_checked_against_numeric_derivatives(order):
    D, G, x, z = networks()
    graph = draw(lambda: V(D, G, x, z) - gradient_penalty(D, x, 0.3))
    verdicts = [node.check(order) for node in graph if node.tensor.parents and node.op not in ("leaky_relu_grad", "bce_logits")]
    assert len(verdicts) > 12 and all(v.passed for v in verdicts)


def test_a_wrong_vjp_is_found_at_its_node():
    w = leaf([1.0, 2.0])
    graph = draw(lambda: ops.sum(doubled(w) * w))
    assert all(n.check().passed for n in graph if n.op in ("mul", "sum"))
    report = next(n for n in graph if n.op == "doubled").check()
    assert not report.passed and report.worst.analytic == pytest.approx(3 / 2 * report.worst.numeric, rel=1e-6)


def test_an_op_that_its_name_does_not_lead_to_is_not_guessed():
    def nested(x):
        return record(CPU.launch("add", [x.array, x.array]), (x,), (lambda g, y, x: g * 2.0,))

    w = leaf([1.0, 2.0])
    node = draw(lambda: nested(w)).node(2)
    with pytest.raises(CannotRecompute, match="is not found by its name"):
        node.check()
    assert "is not found by its name" in node.describe()


def doubled(x):
    """y = 2 x    dx = 3 g, which is wrong"""
    return record(CPU.launch("add", [x.array, x.array]), (x,), (lambda g, y, x: g * 3.0,))


def test_a_node_tells_its_formula_lines_and_kernels():
    w = leaf([[0.3, -0.2]])
    node = draw(lambda: ops.tanh(w)).node(2)
    assert node.formula == "t = tanh x dx = g (1 - t^2)" and node.kernels == ["tanh (1, 2) -> (1, 2)"]
    assert node.source.startswith("engine/ops/elementwise.py:") and node.called_from.startswith("tinygan/drawing/test_graph.py:")
    line = int(node.vjp_source[0].rpartition(":")[2])
    source = Path(ops.tanh.__wrapped__.__code__.co_filename).read_text().splitlines()
    assert "tanh_grad(g, t)" in source[line - 1]
    assert "kernels: tanh" in node.describe() and "cotangent" in node.describe()


def test_ops_of_a_tensor_that_was_made_before_are_run_again_only_where_the_result_is_the_same():
    x = leaf([[1.0, -2.0], [0.5, 3.0]])
    for y in (ops.leaky_relu(x, 0.3), ops.sum(x, 0), x.T, x[:, 1:], ops.matmul(x, x, trans_a=True), ops.concat([x, x]), x**3):
        node = next(n for n in draw(y) if n.tensor is y)
        assert node.check().passed, node.op
    for guess, known in ((lambda: ops.clip(x, -1.5, 0.9), 1), (lambda: ops.concat([x, x], 1), 2)):
        unknown = draw(guess())
        with pytest.raises(CannotRecompute):
            unknown.node(len(unknown)).check()  # borders and axis are not known: defaults have other values
        graph = draw(guess)
        assert graph.node(len(graph)).check(known).passed


def test_a_kink_is_said():
    x = leaf([0.0, 1.0])
    with pytest.raises(KinkError):
        draw(lambda: ops.relu(x)).node(2).check()


def test_a_graph_whose_arrays_were_changed_is_drawn_without_cotangents():
    w = leaf([2.0])
    L = ops.sum(w**2)
    w.array = np.array([3.0])
    graph = draw(L)
    assert all(n.cotangent is None for n in graph) and "no cotangents" in graph.note and "no cotangents" in str(graph)


def test_a_constant_has_a_drawing_too():
    graph = draw(Tensor([1.0, 2.0], CPU))
    assert [n.op for n in graph] == ["constant"] and "nothing here takes a gradient" in str(graph)
    with pytest.raises(CannotRecompute, match="no op made it"):
        graph.node(1).check()


def test_a_thousand_nodes_in_a_row_are_drawn():
    x = leaf([0.1])
    y = x
    for _ in range(1000):
        y = ops.sin(y)
    graph = draw(y)
    assert len(graph) == 1001 and len(str(graph).splitlines()) == 1003


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: draw(3.0), TypeError, "it has to be a Tensor, a list of them, or a function"),
        (lambda: draw([]), ValueError, "at least one Tensor"),
        (lambda: draw(lambda: 3.0), TypeError, "lambda> returned 3.0"),
        (lambda: draw(leaf([1.0]), 2), TypeError, r"write draw\(\[a, b\]\)"),
        (lambda: draw(leaf([1.0]), depth="deep"), ValueError, "'auto', a whole number, or None"),
        (lambda: draw(leaf([1.0]), depth=-1), ValueError, "depth is -1"),
        (lambda: draw(leaf([1.0]), depth=1.5), TypeError, "depth is 1.5"),
        (lambda: draw(leaf([1.0])).node(0), LookupError, "there is no node 0"),
        (lambda: draw(leaf([1.0])).save("a.png"), ValueError, ".svg, .html or .txt, not as .png"),
    ],
)
def test_what_cannot_be_drawn(given, error, message):
    with pytest.raises(error, match=message):
        given()


def test_nothing_is_noted_when_a_drawn_function_fails():
    def fails():
        ops.tanh(leaf([1.0]))
        raise RuntimeError("as planned")

    with pytest.raises(RuntimeError, match="as planned"):
        draw(fails)
    assert guards == []


def test_drawing_changes_no_value_and_no_gradient():
    D, G, x, z = networks()
    theta = list(D.parameters().values())
    before = [g.numpy().copy() for g in gradients(V(D, G, x, z), theta)]
    made = []
    draw(lambda: made.append(V(D, G, x, z)) or made[0])
    assert float(made[0]) == float(V(D, G, x, z))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, gradients(made[0], theta), strict=True))
