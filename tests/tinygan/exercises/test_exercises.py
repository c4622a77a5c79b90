"""Exercises: a solution of each passes, its usual mistakes are answered rightly, and files that misbehave are told in a line."""

import os
import signal
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest

from tinygan.cli import main
from tinygan.exercises import EXERCISES, check, games
from tinygan.exercises.child import judged
from tinygan.exercises.exercise import Wrong, numeric, options
from tinygan.theory.collapse import Outcome

SOLUTIONS = {
    "collapse": 'OPTIONS = {"lr_g": 0.003, "lr_d": 0.0002, "k": 1, "r1": 0, "pack": 1}',
    "tanh-vjp": "def tanh_vjp(g, y, x): return g * (1 - y**2)",
    "broadcast-vjp": "def add_bias_vjp(g, x, b): return g, g.sum(axis=0)",
    "bce-logits": "def bce(s, t): return np.mean(np.maximum(s, 0) - t * s + np.log1p(np.exp(-np.abs(s))))",
    "g-step": """
        def g_step(theta, s, ds, rate):
            return theta + rate * (1 / (1 + np.exp(s))) @ ds / len(s)
        """,
    "best-d": """
        def normal(x, m, s): return np.exp(-((x - m) / s)**2 / 2) / s
        def best_d(x): return normal(x, 0, 1) / (normal(x, 0, 1) + normal(x, 1, 2))
        """,
    "r1-gradient": """
        def r1_gradient(w, b, v, x, gamma):
            h = np.tanh(x * w + b)
            k = 1 - h**2
            slope = v * w * k
            through_h = -2 * v * w * h * k
            return (gamma * np.mean(slope * (v * k + through_h * x)), gamma * np.mean(slope * through_h),
                    gamma * np.mean(slope * w * k))
        """,
    "d-step": """
        from tinygan import stop
        from tinygan.game import value
        def goal_of_d(D, G, x, z): return value(D(x), D(stop(G(z))))
        """,
}
NORMAL = "def n(x, m, s): return np.exp(-((x - m) / s)**2 / 2) / s\n"
MISTAKES = [
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 - y)", "the y is not squared"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 - x**2)", "taken at the input"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return 1 - y**2", "times g"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * y * (1 - y)", "the derivative of the sigmoid"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 + y**2)", "the sign of y^2"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return -g * (1 - y**2)", "tanh rises"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 - np.tanh(y)**2)", "a second time"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 - y**2) * 1.01", "the result[", ),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return float((g * (1 - y**2)).sum())", "the result has shape (), it has to be (4,)"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): g * (1 - y**2)", "returns None"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return 'steep'", "returns a str, where numbers are wanted"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return g * (1 - y**2) + 1j", "one array of shape (4,) and dtype complex128"),
    ("tanh-vjp", "def tanh_vjp(g, y, x): return (g * (1 - y**2)).astype(str)", "and dtype <U32, where numbers"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g, g", "g.sum(axis=0)"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g, g.mean(axis=0)", "not averaged"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g, g.sum()", "all of g is summed"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g, g.sum(axis=1)", "over the columns"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g, g[0]", "only the first row"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g.sum(axis=0), g", "swapped"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g * x, (g * b).sum(axis=0)", "multiplied"),
    ("broadcast-vjp", "def add_bias_vjp(g, x, b): return g", "has to return 2 results (dL/dx, dL/db), and returns one array"),
    ("bce-logits", EXERCISES["bce-logits"].skeleton, "rounded to 0 or 1"),
    ("bce-logits", EXERCISES["bce-logits"].skeleton.replace("np.log(p)", "np.log(p + 1e-8)").replace("- p)", "- p + 1e-8)"),
     "a small number added"),
    ("bce-logits", """
        def bce(s, t):
            p = np.clip(1/(1+np.exp(-s)), 1e-12, 1 - 1e-12)
            return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
        """, "or a clip, bends it"),
    ("bce-logits", "def bce(s, t): return np.sum(np.logaddexp(0, s) - t * s)", "the batch is summed"),
    ("bce-logits", "def bce(s, t): return np.mean(np.logaddexp(0, s) - (1 - t) * s)", "the labels are swapped"),
    ("bce-logits", "def bce(s, t): return -np.mean(np.logaddexp(0, s) - t * s)", "at least 0"),
    ("bce-logits", "def bce(s, t): return np.mean(t * np.logaddexp(0, -s))", "the part of the fakes"),
    ("g-step", EXERCISES["g-step"].skeleton, "it still climbs"),
    ("g-step", "def g_step(t, s, ds, r): return t + r / (1 + np.exp(-s)) @ ds / len(s)", "the saturating loss, whose slope"),
    ("g-step", "def g_step(t, s, ds, r): return t - r / (1 + np.exp(-s)) @ ds / len(s)", "its sign is turned as well"),
    ("g-step", "def g_step(t, s, ds, r): return t + r / (1 + np.exp(s)) @ ds", "the mean is lost"),
    ("g-step", "def g_step(t, s, ds, r): return t + r * (1 + np.exp(-s)) @ ds / len(s)", "the derivative in D"),
    ("g-step", "def g_step(t, s, ds, r): return t", "the step is missing"),
    ("best-d", NORMAL + "def best_d(x): return n(x,1,2)/(n(x,0,1)+n(x,1,2))", "being made by G"),
    ("best-d", NORMAL + "def best_d(x): return n(x,0,1)/n(x,1,2)", "no probability"),
    ("best-d", NORMAL + "def best_d(x): return np.log(n(x,0,1)/n(x,1,2))", "the logit of D*"),
    ("best-d", NORMAL.replace("/ 2) / s", "/ 2)") + "def best_d(x): return n(x,0,1)/(n(x,0,1)+n(x,1,2))", "factors 1/std"),
    ("best-d", NORMAL + "def best_d(x): return n(x,0,1)/(n(x,0,1)+n(x,1,2**.5))", "the variance of p_g"),
    ("best-d", NORMAL + "def best_d(x): return n(x,0,1)/(n(x,0,1)+n(x,1,4))", "4 is taken"),
    ("best-d", "def best_d(x): return 0.5 * np.ones_like(x)", "both densities are the same"),
    ("best-d", "def best_d(x): return np.exp(-x**2/2) / (2*np.pi)**.5", "p_data alone"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("-2 * v * w * h * k", "0 * h"), "through h too"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("return", "gamma = gamma / 2\n            return"), "a factor 2 is missing"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("return", "gamma = gamma * 2\n            return"), "a factor 2 too much"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("np.mean", "np.sum"), "the batch is summed"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("return", "gamma = -gamma\n            return"), "P itself is asked for"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("v * k + through_h * x", "through_h * x"), "has v (1 - h^2) too"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("slope = v * w * k", "slope = np.mean(v * w * k)"),
     "the mean of their squares"),
    ("r1-gradient", SOLUTIONS["r1-gradient"].replace("slope * w * k", "slope * k"), "dP/dv is"),
    ("d-step", EXERCISES["d-step"].skeleton, "a gradient still reaches theta_g"),
    ("d-step", SOLUTIONS["d-step"].replace("D(stop(G(z)))", "stop(D(G(z)))"), "D learns from data alone"),
    ("d-step", SOLUTIONS["d-step"].replace("D(x)", "stop(D(x))"), "D learns from fakes alone"),
    ("d-step", SOLUTIONS["d-step"].replace("return value", "return stop(value").replace("G(z))))", "G(z)))))"),
     "no gradient reaches theta_d"),
    ("d-step", SOLUTIONS["d-step"].replace("return value", "return float(value").replace("G(z))))", "G(z)))))"), "returns a float"),
    ("d-step", SOLUTIONS["d-step"].replace("return value", "return -value"), "stop() changes no value"),
]  # fmt: skip


def written(tmp_path, text):
    path = tmp_path / "answer.py"
    path.write_text(f"import numpy as np\n{textwrap.dedent(text)}")
    return path


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_solution_passes(name, tmp_path, monkeypatch):
    monkeypatch.setattr(games, "SEEDS", (0, 1))  # two of the three games that show a collapse
    verdict = judged(EXERCISES[name], written(tmp_path, SOLUTIONS[name]))
    assert verdict.passed and verdict.message == EXERCISES[name].praise


@pytest.mark.parametrize(("name", "text", "said"), MISTAKES, ids=[f"{i}-{m[0]}" for i, m in enumerate(MISTAKES)])
def test_a_usual_mistake_is_answered(name, text, said, tmp_path):
    verdict = judged(EXERCISES[name], written(tmp_path, text))
    assert not verdict.passed and said in verdict.message, verdict.message


def test_a_function_can_be_judged_where_it_is_written():
    """As in a notebook: an error of one's own shows its traceback there."""
    exercise = EXERCISES["tanh-vjp"]
    assert repr(exercise.verdict(lambda g, y, x: g * (1 - y**2))) == f"solved. {exercise.praise}"
    assert str(exercise.verdict(lambda g, y, x: -g * (1 - y**2))).startswith("not yet. the sign is wrong")
    with pytest.raises(ZeroDivisionError):
        exercise.verdict(lambda g, y, x: 1 / 0)


def test_every_exercise_has_a_solution_mistakes_and_a_skeleton_that_is_not_solved(tmp_path):
    assert set(SOLUTIONS) == set(EXERCISES) and {m[0] for m in MISTAKES} | {"collapse"} == set(EXERCISES)
    for name, exercise in EXERCISES.items():
        if name != "collapse":  # its skeleton is a run: see below
            (tmp_path / "start.py").write_text(exercise.skeleton)
            assert not judged(exercise, tmp_path / "start.py").passed


def test_collapse_is_judged_by_what_g_leaves_out(monkeypatch, tmp_path):
    """The runs are replaced by outcomes, as three real ones take some seconds; `tinygan theory` makes those that pass."""

    def outcome(modes, missed, collapsed):
        return Outcome(SimpleNamespace(modes=modes), SimpleNamespace(missed=missed, collapsed=collapsed))

    asked, made = [], []
    monkeypatch.setattr(games, "play", lambda setting, backend, seed: asked.append(setting) or made[-1])
    exercise = EXERCISES["collapse"]
    for of_run, passed, said in (
        (outcome(3, 0.6, True), True, "G outran D"), (outcome(8, 0.01, False), False, "not collapsed. with k = 5"),
        (outcome(2, 0.5, False), False, "not collapsed"),
    ):
        made.append(of_run)
        verdict = judged(exercise, written(tmp_path, 'OPTIONS = {"lr_g": 0.003, "k": 5}'))
        assert verdict.passed == passed and said in verdict.message
    assert asked[0].k == 5 and asked[0].lr_g == 0.003 and isinstance(asked[0].k, int)
    made.append(outcome(8, 0.01, False))
    for text, said in (('{"r1": 2.0}', "R1 of weight 2"), ('{"pack": 4}', "packing 4"), ('{"lr_g": 0.0002}', "1 times D's")):
        assert said in judged(exercise, written(tmp_path, f"OPTIONS = {text}")).message
    for text, said in (
        ('{"lr": 1}', "unknown: lr"), ("[1]", "has to be a dictionary"), ('{"lr_g": 1.0}', "between 1e-05 and 0.02"),
        ('{"k": True}', "k is True"),
    ):
        assert said in judged(exercise, written(tmp_path, f"OPTIONS = {text}")).message


# ---- in a process of its own --------------------------------------------------------------------------------------------------


def test_a_file_is_judged_in_a_process_of_its_own(tmp_path):
    (tmp_path / "part.py").write_text("def slope(y): return 1 - y**2")
    (tmp_path / "json.py").write_text("raise SystemExit")  # what the judge itself imports is not taken from there
    text = "import part\nprint('noise ' * 1000 + 'ends')\ndef tanh_vjp(g, y, x): return g * part.slope(y)"
    solved = check("tanh-vjp", written(tmp_path, text))
    assert solved.passed and solved.printed.endswith("noise ends") and len(solved.printed) <= 4000
    wrong = check("tanh-vjp", written(tmp_path, MISTAKES[0][1]))
    assert not wrong.passed and MISTAKES[0][2] in wrong.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("while True: pass", "not done after 2 seconds, and was ended"),
        ("while True: print('a' * 10**5)", "not done after 2 seconds, and was ended"),
        ("import os; os._exit(3)", "its process ended before there was a verdict (exit code 3)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "its process ended before there was a verdict (exit code -11)"),
    ],
    ids=["hangs", "prints", "exits", "crashes"],
)
def test_a_file_that_hangs_or_crashes_is_answered_in_a_sentence(text, said, tmp_path):
    verdict = check("tanh-vjp", written(tmp_path, text), seconds=2 if "while" in text else 60)
    assert not verdict.passed and said in verdict.message and "\n" not in verdict.message


def test_a_process_that_an_answer_leaves_behind_does_not_delay_the_verdict(tmp_path):
    start = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])"
    text = f"import subprocess, sys\nprint({start}.pid, flush=True)\n{SOLUTIONS['tanh-vjp']}"
    verdict = check("tanh-vjp", written(tmp_path, text), seconds=60)
    os.kill(int(verdict.printed), signal.SIGKILL)
    assert verdict.passed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def tanh_vjp(g, y, x):\n    return 1 / 0", "it raises ZeroDivisionError: division by zero (line 3)"),
        ("def tanh_vjp(g, y, x:\n    pass", "it raises SyntaxError: "),
        ("import sys; sys.exit(0)", "it raises SystemExit: 0 (line 2)"),
        ("def other(): pass", "it defines no tanh_vjp"), ("def tanh_vjp(g): return g", "it raises TypeError"),
        ("tanh_vjp = 3", "it raises TypeError"),
    ],
    ids=["raises", "syntax", "exit", "other", "arguments", "number"],
)
def test_what_a_file_raises_is_told_with_its_line(text, said, tmp_path):
    verdict = judged(EXERCISES["tanh-vjp"], written(tmp_path, text))
    assert not verdict.passed and verdict.message.startswith(said)


def test_arguments_that_are_changed_in_place_change_nothing_for_the_judge(tmp_path):
    text = "def tanh_vjp(g, y, x):\n    out = g * (1 - y**2)\n    g[...] = y[...] = x[...] = 0\n    return out"
    assert judged(EXERCISES["tanh-vjp"], written(tmp_path, text)).passed


def test_numeric_derivatives_are_right():
    x = np.array([0.3, -1.2])
    np.testing.assert_allclose(numeric(lambda x: float(np.sin(x).sum()), [x], 0), np.cos(x), rtol=1e-9)
    with pytest.raises(Wrong, match="between"):
        options({"a": 3}, {"a": (0, 1)})


# ---- the command line ---------------------------------------------------------------------------------------------------------


def test_an_exercise_is_listed_started_and_judged(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.run(["exercises"]) == 0
    said = capsys.readouterr().out
    assert main.run(["exercises", "list"]) == 0 and capsys.readouterr().out == said
    assert all(f"{name} " in said and exercise.title in said for name, exercise in EXERCISES.items())
    assert main.run(["exercises", "start", "tanh-vjp"]) == 0
    assert (tmp_path / "tanh_vjp.py").read_text() == EXERCISES["tanh-vjp"].skeleton
    assert main.run(["exercises", "start", "tanh-vjp"]) == 2  # nothing of a learner's is overwritten
    assert "is there already" in capsys.readouterr().err
    assert main.run(["exercises", "check", "tanh-vjp", "tanh_vjp.py"]) == 1
    assert "not yet. tanh_vjp is not written yet" in capsys.readouterr().out.replace("\n", " ")
    (tmp_path / "mine.py").write_text("def tanh_vjp(g, y, x):\n    print('seen', g.shape)\n    return g * (1 - y**2)")
    assert main.run(["exercises", "check", "tanh-vjp", "mine.py"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("tanh-vjp: solved. ") and said.out.count("\n") == 1 and said.err == "seen (4,)\nseen (3, 2)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nix", "a.py"], "there is no exercise 'nix'; there are tanh-vjp"),
        (["start", "nix"], "there is no exercise 'nix'"),
        (["check", "tanh-vjp", "a.py"], "there is no file a.py"), (["check", "tanh-vjp", "."], ". is a folder"),
    ],
)
def test_wrong_input_is_one_line(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.run(["exercises", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
