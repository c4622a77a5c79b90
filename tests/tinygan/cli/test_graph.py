"""`tinygan graph`: the game of a run, drawn by its own moves."""

import numpy as np
import pytest
from quick_endings import end_quickly

from tinygan.cli import graph as command
from tinygan.cli import main
from tinygan.engine.tensor import gradients


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run on ring, and one of a game of pairs that unrolls, packs and adds noise."""
    here = tmp_path_factory.mktemp("runs")
    fast = ("--steps", "2", "--batch", "4", "--backend", "reference", "--hidden", "4", "--z", "2")
    more = ("--objective", "relativistic", "--unroll", "1", "--pack", "2", "--noise", "0.1", "--gp", "1")
    with pytest.MonkeyPatch.context() as patch:
        end_quickly(patch)
        assert main.run(["train", "ring", *fast, "--out", str(here / "ring")]) == 0
        assert main.run(["train", "ring", *fast, *more, "--out", str(here / "much")]) == 0
    return here


@pytest.mark.parametrize("run", ["ring", "much"])
def test_both_graphs_are_printed_and_the_run_stays_as_it_is(place, run, capsys):
    before = {p.name: p.read_bytes() for p in (place / run).iterdir()}
    assert main.run(["graph", str(place / run), "--batch", "4"]) == 0
    said = capsys.readouterr().out
    assert "what D ascends" in said and "what G descends" in said and "D.1" in said and "G" in said
    assert {p.name: p.read_bytes() for p in (place / run).iterdir()} == before


def test_what_is_drawn_is_the_moves_goal_and_loss_with_their_gradients(place):
    game, x, z = command._game_of(place / "ring", 4, 0)
    drawn = command._drawn(place / "ring", "d", 4, 0)
    x, z = game._tensors(x, z)
    goal = game.judged(x, game.G(z)).goal
    assert float(drawn.nodes[-1].tensor) == float(goal)
    for name, theta in game.D.parameters().items():
        (slope,) = gradients(goal, [theta])
        np.testing.assert_allclose(drawn.named(f"D.{name}").cotangent.numpy(), slope.numpy(), rtol=1e-5, atol=1e-7)
    with game.answered(z) as seen:
        assert float(command._drawn(place / "ring", "g", 4, 0).nodes[-1].tensor) == float(seen.loss)


def test_a_node_is_told_with_its_verdicts(place, capsys):
    assert main.run(["graph", str(place / "ring"), "--of", "r1", "--node", "4", "--batch", "2"]) == 0
    said = capsys.readouterr().out
    assert "node 4: linear" in said and "kernels: matmul" in said and said.count("gradcheck: linear") == 2 and "FAILED" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--of", "x"], "--of is 'x', it has to be d, g or r1"),
        (["--node", "2"], "--node is for one graph; say which by --of d, --of g or --of r1"),
        (["--of", "d", "--node", "999"], "--node: there is no node 999"),
        (["--of", "d", "--save", "a.png"], "as .svg, .html or .txt, not as .png"),
    ],
)
def test_what_is_wrong_is_one_line(place, options, message, capsys):
    assert main.run(["graph", str(place / "ring"), *options]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""


def test_batches_fit_the_packs(place, capsys):
    assert main.run(["graph", str(place / "much"), "--batch", "3"]) == 2
    assert "judges 2 samples together" in capsys.readouterr().err


def test_a_drawing_is_saved(place, tmp_path, capsys):
    path = tmp_path / "d.txt"
    assert main.run(["graph", str(place / "ring"), "--of", "d", "--depth", "0", "--save", str(path), "--batch", "2"]) == 0
    assert "layers are closed" in path.read_text() and str(path) in capsys.readouterr().out.replace("\n", "")
