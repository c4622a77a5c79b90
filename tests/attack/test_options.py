"""Command lines that nobody would write: each is refused in one line with exit code 2, or does what it says.

`attack` makes command lines of the options that there are, with values of their types, at their bounds, and of no sense at all. Of
a `train` that is accepted, every option that was given has to be in the run's configuration: none is dropped or read as another.
Nothing is trained or drawn, so that a case is quick; that is what other tests do.
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import typer
from tiny_runs import start

from tinygan.cli import main, train
from tinygan.options import options_of
from tinygan.training import players, samples
from tinygan.training.config import Config

TEXTS = [
    "", " ", "0", "-1", "1", "3", "1.5", "1e3", "1e400", "-0", "nan", "inf", "-inf", "0x10", "1_0", "٣", "True", "None",
    "null", "1" * 30, "9" * 5000, "-" * 50, "--", "-", "=", "a=b", "é", "日本", "\ud800", "\udcff", "\x00", "a\x00b",
    "\n", "a\nb", "\x1b[31m", "[bold]", "%s%n", "{0}", "$HOME", "~", "x" * 300, "x" * 5000, "8,8", "8,x", ",", "8,",
    "8,-1", "1e2,3", "mlp", "dcgan", "cpu", "ring", "none", "😀", "a b",
]  # fmt: skip
FILES = ["t.csv", "no.csv", "empty.csv", "folder", "run", "run/checkpoint.safetensors", "damaged", "ring", "t.npy", "picture.png",
         "sound.wav"]
COMMANDS = ["train"] * 6 + ["sample", "sample", "evaluate"]
CASE = {"code": "", "config": None}


class Accepted(Exception):
    """A command has read and checked all that it was given, and would begin its work."""


def value_of(option, rng):
    """Return a value for an option: most of the time one of its type, near its bounds, and else anything."""
    if rng.random() < 0.3:
        return TEXTS[rng.integers(len(TEXTS))]
    if option.choices and rng.random() < 0.9:
        return option.choices[rng.integers(len(option.choices))]
    bounds = [b for b in (option.at_least, option.at_most, option.above, option.below) if b is not None]
    near = [b + d for b in bounds for d in (0, 1, -1)] + [2, 3, 5]
    number = near[rng.integers(len(near))]
    if option.kind is tuple:
        return ",".join(str(int(number)) if rng.random() < 0.2 else str(rng.integers(1, 9)) for _ in range(rng.integers(1, 5)))
    if option.kind is int:
        return str(number if rng.random() < 0.5 else rng.integers(1, 9))
    if option.kind is float:
        return repr(float(number) if rng.random() < 0.3 else rng.random())
    return TEXTS[rng.integers(len(TEXTS))]


def words_of(rng):
    """Return a command line."""
    command = COMMANDS[rng.integers(len(COMMANDS))]
    words = [command, FILES[rng.integers(len(FILES))] if rng.random() < 0.35 else "t.csv" if command == "train" else "run"]
    known = [o for o in options_of(Config).values() if o.name != "data"]
    for _ in range(rng.integers(5)):
        option = known[rng.integers(len(known))]
        if command == "train":
            if option.kind is bool and rng.random() < 0.8:
                words.append(option.flag if rng.random() < 0.7 else option.flag.replace("--", "--no-", 1))
            else:
                words += [option.flag, value_of(option, rng)] if rng.random() < 0.8 else [f"{option.flag}={value_of(option, rng)}"]
        else:
            flag = ["-n", "--seed", "-o", "--backend", "--data", "--parzen", "--emulate"][rng.integers(7)]
            words += [flag] if flag.startswith(("--p", "--e")) else [flag, TEXTS[rng.integers(len(TEXTS))]]
    if command == "train" and rng.random() < 0.15:
        words += [["--resume", "--out", "run"], ["--preset", "wgan-gp"], ["--preset", TEXTS[rng.integers(len(TEXTS))]],
                  ["--out", TEXTS[rng.integers(len(TEXTS))]]][rng.integers(4)]  # fmt: skip
    if rng.random() < 0.1:
        words.insert(int(rng.integers(len(words) + 1)), TEXTS[rng.integers(len(TEXTS))])
    if rng.random() < 0.05:
        words.append(["--help", "--version", "--nothing", "-x", "-n", "--steps"][rng.integers(6)])
    return words if rng.random() < 0.5 or command == "train" else [*words, "--backend", "reference"]


def small(architecture):
    """Refuse to build what is allowed and large; the command line has taken it by then."""
    if sum(architecture.weights) > 300_000:
        raise Accepted


@contextlib.contextmanager
def a_place():
    """Make a folder with files of every sort the current one, and let commands stop where their work would begin."""

    def built(config, codec, *rest):
        CASE["config"] = config
        small(config.architecture(codec))
        if config.batch * (config.k + 1) > 10**5:
            raise Accepted
        return plain_players(config, codec, *rest)

    def begun(run, diagnosing):
        CASE["config"] = run.config
        raise Accepted

    def drawn(*arguments, **options):
        raise Accepted

    plain_players, before = players.players_of, Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as patches:
        os.chdir(folder)
        patches.callback(os.chdir, before)
        Path("t.csv").write_text("a,b\n1,2\n3,5\n4,4\n6,1\n2,2\n7,3\n")
        Path("empty.csv").write_text("")
        Path("picture.png").write_bytes(b"\x89PNG no more")
        Path("sound.wav").write_bytes(b"RIFF")
        np.save("t.npy", np.arange(12.0).reshape(6, 2))
        for name in ("folder", "damaged"):
            Path(name).mkdir()
        Path("damaged/checkpoint.safetensors").write_bytes(b"\0" * 99)
        start("run", data="ring", steps=2, hidden=(3,)).train()
        patches.enter_context(mock.patch("tinygan.training.run.players_of", built))
        patches.enter_context(mock.patch.object(train, "_finish", begun))
        patches.enter_context(mock.patch.object(samples.Trained, "encoded", drawn))
        patches.enter_context(mock.patch("tinygan.cli.train.load_backend", lambda name, emulate=False: plain_load(name, emulate)))
        yield


def plain_load(name, emulate):
    """Load a backend as the command line does, but the one that compiles nothing in the place of the CPU's."""
    from tinygan.cli import console

    return console.load("reference" if name == "cpu" and not emulate else name, emulate)


def given_in(words):
    """Return the options that a `train` was given, by name, as the parser of the command line itself reads them."""
    command = typer.main.get_command(main.app).commands["train"]
    context = command.make_context("train", list(words[1:]), resilient_parsing=False)
    return {name: value for name, value in context.params.items() if name in options_of(Config) and value is not None}


def assert_right(words):
    """Run one command line and check what comes of it."""
    out, err, accepted = io.StringIO(), io.StringIO(), False
    CASE["config"] = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main.run(words)
        except Accepted:
            accepted, code = True, 0
    said = err.getvalue()
    assert "Traceback" not in said and "Warning" not in said, said
    assert code in (0, 2), code
    if code == 2 and said:
        last = said.splitlines()[-1]
        assert last.startswith("tinygan: ") and len(last) < 6500, said[:300]
    assert code != 2 or said or out.getvalue(), "no word of what is wrong"
    if accepted and words[0] == "train" and CASE["config"] is not None:
        for name, value in given_in(words).items():
            found = getattr(CASE["config"], name)
            assert found == value, (name, found, value)


def attack(rng: np.random.Generator, count: int) -> int:
    """Try `count` command lines; return how many were tried. Raises AssertionError, which names the case."""
    with a_place():
        for _ in range(count):
            seed = int(rng.integers(2**31))
            words = words_of(np.random.default_rng(seed))
            try:
                assert_right(words)
            except Exception as error:
                shown = [word if len(word) < 60 else f"{word[:50]}... {len(word)}" for word in words]
                raise AssertionError(f"seed {seed}, {shown!a}: {type(error).__name__}: {error}") from error
    return count


# ---- bounded, in every run of the tests -----------------------------------------------------------------------------------------


def test_command_lines_are_refused_in_a_line_or_do_what_they_say():
    assert attack(np.random.default_rng(17), 120) == 120


def test_the_attack_would_see_a_traceback_and_an_option_that_is_dropped(monkeypatch):
    def fail(**options):
        raise RuntimeError("a traceback")

    with monkeypatch.context() as patch, pytest.raises(AssertionError, match="RuntimeError: a traceback"):
        patch.setattr(train, "Config", fail)
        attack(np.random.default_rng(17), 120)
    with monkeypatch.context() as patch, pytest.raises(AssertionError, match=r"seed \d+, .*AssertionError: \('"):
        patch.setattr(train, "Config", lambda **options: Config(data=options["data"], backend="reference"))
        attack(np.random.default_rng(17), 120)
