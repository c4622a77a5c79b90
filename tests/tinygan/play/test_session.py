"""A session against runs of training, to the bit: its steps, going back, forks, changes on the way, and slow motion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from played_sessions import CPU, bits, kept, session, trained

from tinygan.options import OptionError
from tinygan.play.densities import drawn
from tinygan.play.moves import LINES, SlowStep, line_of
from tinygan.play.session import FIRST_INTERVAL, checked
from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT
from tinygan.training.run import Run

OPTIONS = [
    {}, {"k": 3, "r1": 0.0}, {"update": "simultaneous"}, {"pack": 2, "noise": 0.1}, {"unroll": 2}, {"decay": 0.5, "steps": 300},
    {"objective": "relativistic"}, {"data": "digits", "arch": "mlp"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=[",".join(o) or "usual" for o in OPTIONS])
def test_going_back_and_on_is_the_run_from_that_checkpoint(tmp_path, options):
    """Back to steps before, at and between kept moments; then the same steps as training, resumed from a file of that step."""
    options = dict(options)
    played = session(options.pop("data", "ring"), **options)
    last = 2 * FIRST_INTERVAL + 13
    played.play(last)
    assert len(played.kept) == 3
    whole = trained(played.config, played.dataset, last)
    assert bits(played.run) == bits(whole)
    for step in (last - 1, 2 * FIRST_INTERVAL, FIRST_INTERVAL + 7, 1, 0):
        played.back(step)
        there = trained(played.config, played.dataset, step)
        assert played.step == step and bits(played.run) == bits(there)
        if step == FIRST_INTERVAL + 7:
            checkpoint.save(tmp_path / CHECKPOINT, there.saved_arrays(), there.state())
            resumed = Run.resume(played.dataset, CPU, tmp_path, {})
            played.play(9)
            for _ in range(9):
                resumed.make_step()
                resumed.step += 1
            assert bits(played.run) == bits(resumed)


def test_a_fork_is_a_run_with_other_options_from_that_checkpoint():
    played = session()
    played.play(80)
    played.back(60)
    start = kept(trained(played.config, played.dataset, 60))
    assert not played.change({"r1": 2.0, "k": 2, "objective": "minimax", "lr_g": 0.01})
    played.play(15)
    other = replace(played.config)
    assert (other.r1, other.k, other.objective, other.lr_g) == (2.0, 2, "minimax", 0.01)
    assert bits(played.run) == bits(trained(other, played.dataset, 75, start))
    plain = session()
    plain.play(75)
    assert bits(plain.run) != bits(played.run)


def test_back_over_changes_and_lone_moves_plays_them_again():
    """Every step of a game in which everything happened is reached again, from beyond its end, to the bit."""
    played, seen = session(), []

    todo = {20: lambda: played.change({"lr_d": 0.01}), 30: lambda: played.change({"pack": 2}), 31: played.make_d_constant,
            45: lambda: played.change({"ema": 0.0}), 52: lambda: played.change({"ema": 0.5, "pack": 1})}
    while played.step < 70:
        todo.pop(played.step, lambda: None)()
        seen.append(bits(played.run))  # as the game leaves this step
        move = {25: played.move_d, 26: played.move_g, 50: played.move_d}.get(played.step, played.play)
        move()
    configs = {}
    for step in (69, 53, 51, 50, 32, 31, 26, 25, 10, 0):
        played.back(step)
        assert (played.step, bits(played.run)) == (step, seen[step]), step
        configs[step] = played.config
    assert (configs[69].pack, configs[69].ema, configs[51].ema, configs[32].pack, configs[26].lr_d) == (1, 0.5, 0.0, 2, 0.01)
    assert configs[10].lr_d == session().config.lr_d
    played.play(3)
    assert bits(played.run) == seen[3]


def test_moments_are_thinned_and_going_back_still_works():
    played = session()
    played.most = 4
    played.play(6 * FIRST_INTERVAL + 3)
    assert played.interval == 2 * FIRST_INTERVAL and [k.moment.step for k in played.kept] == [0, 100, 200, 300]
    played.back(131)
    assert bits(played.run) == bits(trained(played.config, played.dataset, 131))


def test_options_of_the_networks_begin_anew():
    played = session()
    played.play(5)
    assert played.change({"hidden": [4]}) and played.step == 0 and played.config.hidden == (4,)
    assert bits(played.run) == bits(trained(played.config, played.dataset, 0))
    assert not played.change({"hidden": [4]})


@pytest.mark.parametrize(("changes", "words"), [
    ({"k": 0}, "k"), ({"lr_d": float("nan")}, "lr_d"), ({"data": "grid"}, "data"), ({"out": "/tmp/x"}, "out"), ({"k": "2"}, "k"),
    ({"objective": "x"}, "objective"), ({"steps": 3}, "step"), ({"hidden": [1, "a"]}, "hidden"),
    ({"smooth": 0.1, "objective": "hinge"}, "smooth"),
    ({"backend": "reference"}, "backend"), ({"batch": 10**12}, "batch")], ids=str)  # fmt: skip
def test_what_cannot_be_changed_is_refused_and_nothing_has_changed(changes, words):
    played = session()
    played.play(5)
    before, config = bits(played.run), played.config
    with pytest.raises((OptionError, ValueError), match=words):
        played.change(changes)
    assert bits(played.run) == before and played.config == config and not played.events


def test_the_end_of_a_game_and_steps_that_are_not_there():
    played = session(steps=3)
    played.play(3)
    for beyond in (played.play, played.move_d, played.move_g, lambda: SlowStep(played), lambda: played.back(4),
                   lambda: played.back(-1)):
        with pytest.raises(OptionError):
            beyond()
    assert played.step == 3 and not played.events


def test_numbers_of_json_are_taken_as_the_kind_that_the_option_has():
    assert checked({"r1": 1, "hidden": [3, 4], "k": 2}) == {"r1": 1.0, "hidden": (3, 4), "k": 2}
    assert isinstance(checked({"r1": 1})["r1"], float)


# ---- slow motion ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [
    {}, {"k": 2, "noise": 0.1}, {"objective": "relativistic"}, {"pack": 2, "ema": 0.0}, {"unroll": 2}], ids=str)
def test_slow_motion_is_the_step_that_it_takes_apart(options):
    slowly, fast = session(**options), session(**options)
    slowly.play(7)
    fast.play(7)
    before = bits(slowly.run)
    slow = SlowStep(slowly)
    assert len(slow.moves) == 5 * slowly.config.k + 1
    slow.show(0)
    assert {n: a for n, a in bits(slowly.run)[0].items() if n[:2] in ("D.", "G.")} == {
        n: a for n, a in before[0].items() if n[:2] in ("D.", "G.")}
    slow.show(len(slow.moves) - 2)  # D has moved, G has not
    fast.play()
    of = {player: {n: a for n, a in bits(slowly.run)[0].items() if n.startswith(player)} for player in ("D.", "G.")}
    assert of["D."] == {n: a for n, a in bits(fast.run)[0].items() if n.startswith("D.")} or options.get("unroll")
    assert of["G."] == {n: a for n, a in before[0].items() if n.startswith("G.")}
    slow.finish()
    assert bits(slowly.run) == bits(fast.run)
    slowly.play(5)
    fast.play(5)
    assert bits(slowly.run) == bits(fast.run)


def test_the_numbers_of_the_moves_are_those_of_the_step():
    played, same = session(r1=0.5), session(r1=0.5)
    played.play(4)
    same.play(4)
    moves = {move.title: move for move in SlowStep(played).moves}
    assert list(moves) == ["draw z", "make fakes", "take data", "D judges both", "D moves up", "fresh z, G moves down"]
    same.play()
    reading = same.logits.read(same.config.objective)
    told = {number.label: number.value for move in moves.values() for number in move.numbers}
    wanted = {"V(D, G)": reading.v, "what D ascends": -reading.d_loss, "mean D(x)": reading.d_real,
              "G's loss before": reading.g_loss}
    assert {label: told[label] for label in wanted} == pytest.approx(wanted, abs=1e-6)
    assert told["what D ascends"] < told["V(D, G)"]  # R1
    fakes = moves["make fakes"]
    assert fakes.fake.shape == (8, 2) and len(moves["draw z"].fake) == 0 and len(moves["take data"].real) == 8


@pytest.mark.parametrize("key", LINES)
def test_the_lines_of_code_that_moves_name_are_there(key):
    line = line_of(*LINES[key])
    text = (Path(__file__).parents[3] / line.file).read_text().splitlines()[line.number - 1]
    assert text.strip() == line.text and LINES[key][1] in text


def test_a_line_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="has no line"):
        line_of(Run.prepare, "self.nothing_of_the_kind(")


@pytest.mark.parametrize("options", [{}, {"objective": "minimax", "r1": 0.5}, {"r2": 0.3, "ema": 0.0}], ids=str)
def test_simultaneous_players_move_on_gradients_from_before_either_moved(options):
    """Between the moves of D and G, D is where the step takes it and G is where it was; then G has gone the same way too."""
    played, same = session(update="simultaneous", **options), session(update="simultaneous", **options)
    played.play(6)
    same.play(6)
    before = bits(played.run)[0]
    slow = SlowStep(played)
    titles = ["draw z", "make fakes", "take data", "D judges both", "D moves up", "G moves down"]
    assert [move.title for move in slow.moves] == titles
    same.play()
    after = bits(same.run)[0]
    for number, (of_d, of_g) in enumerate([(before, before)] * 4 + [(after, before), (after, after)]):
        slow.show(number)
        found = bits(played.run)[0]
        assert {n: b for n, b in found.items() if n.startswith("D.")} == {n: b for n, b in of_d.items() if n.startswith("D.")}
        assert {n: b for n, b in found.items() if n[0] in "Ga"} == {n: b for n, b in of_g.items() if n[0] in "Ga"}
    slow.finish()
    assert bits(played.run) == bits(same.run)
    told = {number.label: number.value for move in slow.moves for number in move.numbers}
    reading = same.logits.read(same.config.objective)
    assert told["G's loss before"] == pytest.approx(reading.g_loss, abs=1e-6)
    assert told["what D ascends"] == pytest.approx(-reading.d_loss, abs=1e-6)
    assert "no longer" not in slow.moves[1].text and "stop()" not in slow.moves[1].text
    assert (slow.moves[-1].d_fake == slow.moves[3].d_fake).all() and slow.moves[-1].line.file == "tinygan/game/moves.py"


def test_the_fakes_that_slow_motion_shows_are_those_that_d_judged():
    """With batch normalisation G makes other samples in training than afterwards; D judges the former."""
    played = session(batch_norm=True)
    played.play(3)
    slow = SlowStep(played)
    at_judging = slow.show(3)
    judged = played.run.game.D(played.tensor(at_judging.fake)).numpy().reshape(-1)
    assert 1 / (1 + np.exp(-judged)) == pytest.approx(at_judging.d_fake, abs=1e-6)


# ---- data -----------------------------------------------------------------------------------------------------------------------

def test_drawn_data_are_the_mixture_around_the_dabs():
    dataset = drawn([[0, 0], [1, -1]])
    x = dataset.codec.decode(dataset.some(4000, np.random.default_rng(0)))
    near = np.abs(x[:, None] - np.array([[0, 0], [1, -1]])).max(axis=2) < 0.4
    assert near.any(axis=1).all() and 0.45 < near[:, 0].mean() < 0.55 and 0.07 < x[near[:, 0], 0].std() < 0.09


NO_DRAWINGS = {
    "nothing": [], "None": None, "text": "abc", "1-D": [[0]], "3-D": [[0, 0, 0]], "outside": [[0, 3]], "nan": [[0, float("nan")]],
    "too many": [[0, 0]] * 601, "a record": {"a": 1}, "names": [["a", "b"]],
}


@pytest.mark.parametrize("dabs", NO_DRAWINGS.values(), ids=NO_DRAWINGS)
def test_what_is_no_drawing_is_refused(dabs):
    with pytest.raises(ValueError, match="what was drawn"):
        drawn(dabs)
