"""The hints that say how to install an optional dependency: one place, extras that exist, a command that works."""

import ast
from pathlib import Path

import pytest
from tinygan_kernels import extras

ROOT = Path(__file__).resolve().parents[2]


def extras_of_setup() -> set[str]:
    """The keys of extras_require in setup.py, which is read and not run."""
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    keywords = {keyword.arg: keyword.value for call in calls for keyword in call.keywords}
    return {key.value for key in keywords["extras_require"].keys}


def test_the_extras_are_those_of_setup():
    assert set(extras.EXTRAS) == extras_of_setup()


def test_an_extra_that_does_not_exist_is_refused():
    assert extras.install("gpu") == "pip install -e '.[gpu]'"
    with pytest.raises(ValueError, match=r"no extra 'cuda'; setup\.py has emulator, gpu"):
        extras.install("cuda")


def test_no_hint_installs_from_an_index_that_does_not_have_the_package():
    sources = [path for folder in ("kernels", "tinygan", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    for path in sources:
        for extra in extras.EXTRAS:
            hint = f"{path} has a hint of its own; use tinygan_kernels.extras.install"
            assert f'"tinygan[{extra}]"' not in path.read_text(), hint
