"""`tinygan derive`: exit codes, and a line for what cannot be judged."""

import pytest

from tinygan.cli.main import run

SOURCE = """
import numpy as np

def square(x):
    return x ** 2

def square_vjp(g, x):
    return 2 * g * x

def half(g, x):
    return g * x

def drawn(x):
    return x * np.random.default_rng().random()

def inputs(rng):
    return rng.normal(size=(3, 4))

def nothing():
    pass
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_exit_codes(file, tmp_path, capsys):
    assert run(["derive", "check", f"{file}:square"]) == 0
    assert "square: right" in capsys.readouterr().out
    told, drawn = tmp_path / "report.json", tmp_path / "report.png"
    assert run(["derive", "check", f"{file}:square", "--vjp", "half", "--json", str(told), "--picture", str(drawn)]) == 1
    assert "the factor" in capsys.readouterr().out and told.exists() and drawn.exists()


@pytest.mark.parametrize(("arguments", "said"), [
    (["mine.py:square"], "there is no file"), (["square"], "names no function"), ([":none"], "has no 'none'"),
    ([":drawn", "--vjp", "half"], "fix its seed"),
    ([":square", "--inputs", "inputs_"], "has no 'inputs_'"), ([":nothing"], "claimed gradient"),
])
def test_what_cannot_be_judged_is_one_line_and_exit_code_2(file, arguments, said, capsys, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    target = f"{file}{arguments[0]}" if arguments[0].startswith(":") else arguments[0]
    assert run(["derive", "check", target, *arguments[1:]]) == 2
    written = capsys.readouterr().err
    assert said in written and written.count("\n") == 1


def test_lines(tmp_path, capsys):
    path = tmp_path / "proof.txt"
    path.write_text("(a + b)^2\n= a^2 + b^2\n")
    assert run(["derive", "lines", str(path)]) == 1
    assert "line 2 does not equal line 1" in capsys.readouterr().out
    path.write_text("(a + b)^2\n= a^2 + 2*a*b + b^2\n")
    assert run(["derive", "lines", str(path)]) == 0
    path.write_text("open(a)\n")
    assert run(["derive", "lines", str(path)]) == 2


def test_both_formulas_on_request(file, capsys):
    pytest.importorskip("sympy", reason="SymPy, of the extras [derive] and [test], is not installed")
    small = file.with_name("small.py")
    small.write_text(SOURCE.replace("size=(3, 4)", "size=2"))
    assert run(["derive", "check", f"{small}:square", "--vjp", "half", "--symbolic"]) == 1
    assert "claimed = 1/2 times right" in capsys.readouterr().out


def test_the_help_names_the_extra(capsys):
    """Square brackets are markup in a help text, and would not be shown."""
    assert run(["derive", "check", "--help"]) == 0
    assert "extra derive" in " ".join(capsys.readouterr().out.split()).replace("│ ", "").replace(" │", "")
