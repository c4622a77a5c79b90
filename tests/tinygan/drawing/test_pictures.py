"""Drawings as SVG, page and text: every box and arrow is there, boxes do not overlap, and what is missing is said."""

import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tinygan_kernels import load

from tinygan import Tensor, draw, ops
from tinygan.drawing.boxes import picture_of
from tinygan.drawing.layout import NoLayout, layers_of, places_of
from tinygan.game import V
from tinygan.nn import Linear, Sequential

CPU = load("reference")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def igraph():
    """Skip where the layout is not installed: the extra [test] has it."""
    return pytest.importorskip("igraph", reason='igraph, of the extras [draw] and [test], is not installed')


def game():
    made = {"backend": CPU, "rng": np.random.default_rng(0), "dtype": np.float64}
    G = Sequential(Linear(2, 4, act="tanh", **made), Linear(4, 1, **made))
    D = Sequential(Linear(1, 4, act="tanh", **made), Linear(4, 1, **made))
    x, z = Tensor(made["rng"].normal(size=(6, 1)), CPU), Tensor(made["rng"].normal(size=(6, 2)), CPU)
    return draw(lambda: V(D, G, x, z), depth=None)


def tangle(n):
    """Return the drawing of n random ops, each on two of the results before it, all of which lead to the output."""
    rng = np.random.default_rng(1)
    made = [Tensor(np.array([0.3, -0.2]), CPU, requires_grad=True)]
    for _ in range(n):
        a, b = (made[-int(rng.integers(1, min(6, len(made) + 1)))] for _ in range(2))
        made.append(ops.sin(a) if rng.random() < 0.5 else a * b)
    return draw(ops.sum(ops.concat(made)), names={})


def rectangles(svg):
    root = ET.fromstring(svg)
    found = [r for g in root.iter(f"{SVG}g") for r in g.iter(f"{SVG}rect")]
    return [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in found]


def overlapping(boxes):
    """Return how many pairs of rectangles overlap."""
    x, y, w, h = np.array(boxes).T
    apart = (x[:, None] + w[:, None] <= x) | (x + w <= x[:, None]) | (y[:, None] + h[:, None] <= y) | (y + h <= y[:, None])
    return int((~apart).sum() - len(boxes)) // 2


@pytest.mark.parametrize("make", [game, lambda: game().opened(0), lambda: tangle(300)], ids=["open", "closed", "tangle"])
def test_boxes_stand_apart_inside_the_canvas_and_every_arrow_is_drawn(igraph, make):
    graph = make()
    svg = graph.svg()
    boxes, picture = rectangles(svg), picture_of(graph)
    assert len(boxes) == len(picture.boxes) and overlapping(boxes) == 0
    root = ET.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    forward = [p for p in root.iter(f"{SVG}path") if (p.get("marker-end") or "").endswith("-h)")]
    assert len(forward) == len(picture.arrows)


def test_overlapping_boxes_would_be_seen():
    assert overlapping([(0, 0, 10, 10), (5, 5, 10, 10), (20, 0, 10, 10)]) == 1


def test_inputs_stand_above_and_a_leaf_right_above_the_first_op_that_takes_it():
    picture = picture_of(game())
    layers = layers_of(picture)
    assert all(layers[a.source] < layers[a.target] for a in picture.arrows)
    for i, box in enumerate(picture.boxes):
        if box.kind == "leaf":
            assert min(layers[a.target] for a in picture.arrows if a.source == i) == layers[i] + 1


def test_arrows_bend_around_the_layers_that_they_pass(igraph):
    picture = picture_of(game())
    layers, places = layers_of(picture), places_of(picture)
    for arrow, bends in zip(picture.arrows, places.bends, strict=True):
        assert [y for _, y in bends] == list(range(layers[arrow.source] + 1, layers[arrow.target]))


def test_a_tensor_that_hundreds_of_ops_share_does_not_fill_the_picture(igraph):
    """An input that every step of a long loop takes: its arrows are short and numbered, and a thousand boxes stay a small file."""
    x = Tensor(np.ones(3), CPU, requires_grad=True)
    y = x
    for _ in range(250):
        y = ops.sin(y) * x
    graph = draw(ops.sum(y), names={"x": x})
    svg, picture = graph.svg(), picture_of(graph)
    far = sum(bends is None for bends in places_of(picture).bends)
    assert 200 < far < 250 and f"{far} arrows from more than 20 layers above are short" in svg
    assert svg.count("<title>from 1 x</title>") == far and svg.count(">1</text>") == far
    assert len(svg) < 1000 * len(picture.boxes) and overlapping(rectangles(svg)) == 0
    width = float(ET.fromstring(svg).get("width"))
    assert width < 3000  # with all arrows it is as wide as there are arrows


def test_numbers_and_tooltips_are_those_of_the_nodes(igraph):
    graph = game()
    svg = graph.svg()
    assert f">cotangent {float(graph.node(len(graph)).cotangent):.4g}<" in svg
    edge = next(e for e in graph.edges if e.flows)
    assert f">{edge.flows:.3g}</text>" in svg
    assert "VJP: engine/ops/fused.py" in svg and "kernels: matmul" in svg
    assert "folded away" in svg and "folded away" not in graph.with_constants().svg()
    assert len(rectangles(graph.with_constants().svg())) == len(graph)


def test_the_page_has_each_depth_once_and_no_script(igraph, tmp_path):
    page = game().save(tmp_path / "g.html").read_text()
    assert page.count("<svg") == 3 and page.count(" checked>") == 1 and "<script" not in page
    assert not re.findall(r'(?:src|href)="?http', page)
    ids = re.findall(r'<marker id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) == 6  # a hidden drawing's arrow heads are not drawn in another one


def test_names_of_variables_are_text_in_the_drawing(igraph):
    w = Tensor(np.array([1.0]), CPU, requires_grad=True)
    svg = draw(ops.sum(w), names={"<b>&": w}).svg()
    ET.fromstring(svg)
    assert "&lt;b&gt;&amp;" in svg


def test_without_a_layout_the_svg_says_what_to_install_and_the_text_still_works(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "igraph", None)
    graph = game()
    (text,) = ET.fromstring(graph.svg()).iter(f"{SVG}text")
    assert 'pip install "igraph>=1.0"' in text.text
    with pytest.raises(NoLayout, match="pip install"):
        graph.save(tmp_path / "g.svg")
    assert list(tmp_path.iterdir()) == [] and graph.save(tmp_path / "g.txt").read_text() == f"{graph}\n"


def test_an_old_layout_is_said_to_be_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", type(sys)("igraph"))
    sys.modules["igraph"].__version__ = "0.11.8"
    assert "igraph 0.11.8 is too old" in game().svg()


def test_the_text_has_a_line_for_each_box_with_its_inputs():
    lines = str(game()).splitlines()
    linear = [line for line in lines if " linear " in line]
    assert len(linear) == 6  # two of G, and two of D for each batch
    assert "layers are closed" in str(game().opened(0)) and "layers are closed" not in str(game())
