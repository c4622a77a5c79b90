"""The README tells the truth: its snippets print what it says, its links lead somewhere, its commands and its layout exist."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest

from tinygan.cli.main import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
SNIPPETS = [i for i, (language, _) in enumerate(BLOCKS) if language == "python"]
COMMANDS = [line.split("#")[0].strip() for language, text in BLOCKS if language == "" for line in text.splitlines()]
TREES = {"kernels/tinygan_kernels/", "tinygan/"}


def _printed(code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), names)
    return printed.getvalue()


# ---- snippets -------------------------------------------------------------------------------------------------------------------


def test_the_game_prints_what_stands_below_it():
    first = SNIPPETS[0]
    assert "V(D, G, x, z)" in BLOCKS[first][1] and BLOCKS[first + 1][0] == ""
    assert _printed(BLOCKS[first][1], {}) == BLOCKS[first + 1][1]


def test_the_product_of_the_kernels_page_prints_what_stands_below_it():
    blocks = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "docs" / "kernels.md").read_text(), re.S)
    (at,) = (i for i, (language, text) in enumerate(blocks) if language == "python" and text.startswith("import numpy"))
    assert _printed(blocks[at][1], {}) == blocks[at + 1][1] == "[[ 60.  70.  80.]\n [132. 158. 184.]]\n"


def test_the_check_of_a_derivation_passes():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    given = {"f": lambda x, w: x @ w, "x": x, "w": w}
    assert ": right" in _printed(BLOCKS[SNIPPETS[1]][1], given | {"vjp": lambda g, x, w: (g @ w.T, x.T @ g)})
    assert ": WRONG" in _printed(BLOCKS[SNIPPETS[1]][1], given | {"vjp": lambda g, x, w: (g @ w.T, 2 * x.T @ g)})


def test_the_fit_prints_what_its_comment_says(capsys):
    code = BLOCKS[SNIPPETS[2]][1]
    assert _printed(code, {}) == code.rsplit("# ", 1)[1]


def test_every_snippet_is_run():
    assert len(SNIPPETS) == 3


# ---- links and commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)", README))
def test_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make (\w+)", README, re.M))
    assert {"train", "test", "bench", "gpu"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), f"the README names make {target}"


def test_commands_exist():
    lines = (re.fullmatch(r"(?:python -m )?tinygan (.+)", line) for line in COMMANDS)
    found = 0
    for command in {*re.findall(r"`tinygan ([^`]+)`", README), *(line[1] for line in lines if line)}:
        words = re.match(r"(kernels (?:list|verify|profile|targets|doctor)|[a-z]+)(?= |$)", command)
        if words and words[1] != "COMMAND":
            help_ = io.StringIO()
            with contextlib.redirect_stdout(help_):
                assert run([*words[1].split(), "--help"]) == 0, command
            for option in re.findall(r"--[a-z-]+", command):
                assert option in help_.getvalue(), f"tinygan {command}"
            found += 1
    assert found >= 8


# ---- the layout -----------------------------------------------------------------------------------------------------------------


def rooms(tree):
    """The paths that the drawn tree names: each line's first column, below the line that is indented less."""
    found, parents = [], [""]
    for line in tree.splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        depth = (len(line) - len(line.lstrip())) // 2
        found += [parents[depth] + name for name in names]
        parents[depth + 1 :] = [parents[depth] + names[0]]
    return found


def existing():
    """Folders of both packages, two deep, and the modules beside them."""
    for top in (ROOT / tree for tree in TREES):
        for path in [*top.iterdir(), *(inner for folder in top.iterdir() if folder.is_dir() for inner in folder.iterdir())]:
            inner = path.parent != top
            if path.is_dir() and path.name != "__pycache__":
                yield f"{path.relative_to(ROOT)}/"
            elif path.suffix == ".py" and path.stem not in ("__init__", "__main__", "version") and not inner:
                yield str(path.relative_to(ROOT))


def test_the_layout_names_every_room_that_exists_and_no_other():
    (tree,) = (text for language, text in BLOCKS if language == "" and "kernels/tinygan_kernels/" in text)
    named = rooms(tree)
    assert len(named) == len(set(named))
    inside = {path for path in named if path.startswith(tuple(TREES)) and path not in TREES}
    assert inside == set(existing())
    for path in named:
        assert (ROOT / path).exists(), path


def test_a_room_imports_only_from_those_above_it():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "tests" / "test_architecture.py")
    architecture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(architecture)
    (tree,) = (text for language, text in BLOCKS if language == "" and "kernels/tinygan_kernels/" in text)
    drawn = [path.removeprefix("kernels/").strip("/").removesuffix(".py").replace("/", ".") for path in rooms(tree)]
    above = [room for room in drawn if room.count(".") == 1]
    assert len(above) > 15

    def place(module):
        return above.index(".".join(module.split(".")[:2]))

    for module, others in architecture.graph().items():
        for other in others:
            if {".".join(m.split(".")[:2]) for m in (module, other)} <= set(above):
                assert place(other) <= place(module), f"{module} imports {other}, which the README draws below it"


def test_a_room_that_is_not_drawn_would_be_seen():
    assert rooms("a/   x\n  b/ c.py   y\n    d/   z\n  e/\nf/") == ["a/", "a/b/", "a/c.py", "a/b/d/", "a/e/", "f/"]


def test_the_first_screen_and_the_length():
    assert README.count("\n") <= 150
    top = README.splitlines()[:20]
    assert any(line.startswith("make train") for line in top) and any(line.startswith("![") for line in top)
