"""The README tells the truth: its snippet prints what it says, its links lead somewhere, its commands exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.S)


WITH_OUTPUT = [i for i, (kind, text) in enumerate(BLOCKS) if kind == "python" and "print(" in text and BLOCKS[i + 1][0] == ""
               and "import numpy" in text]


@pytest.mark.parametrize("at", WITH_OUTPUT)
def test_snippets_print_what_stands_below_them(at):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(BLOCKS[at][1], "README.md", "exec"), {})
    assert printed.getvalue() == BLOCKS[at + 1][1]


def test_both_snippets_are_run():
    assert len(WITH_OUTPUT) == 2


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)", README))
def test_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), f"the README names make {target}"


def test_commands_exist():
    from tinygan.cli.main import run

    for command in re.findall(r"`tinygan ([a-z]+(?: list| verify| profile)?)", README):
        words = command.split() if command.startswith("kernels") else command.split()[:1]
        with contextlib.redirect_stdout(io.StringIO()):
            assert run([*words, "--help"]) == 0, command


def test_measured_sections_are_filled():
    for name in ("digits", "steps"):
        assert len(re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.S).group(1)) > 100
