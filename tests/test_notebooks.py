"""The notebooks of docs/notebooks: each runs in a fresh kernel and shows what is stored in it; and the check of that can fail."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient, of the extras [notebooks] and [test], is not installed")
pytest.importorskip("nbclient", reason="nbclient, of the extras [notebooks] and [test], is not installed")

from benchmarks.docs import notebooks  # noqa: E402

ROOT = Path(__file__).parents[1]
NAMES = ("derivations", "game", "kernels")
SHOWN = {
    "game": ("draw(L)", "V(D, G, x, z)", "# D ascends V", "# G descends V", "explain(", "EXERCISES"),
    "kernels": ("emulator.RawModule", "emulator.sanitize", "emulator.count", "report.profile", "run.profile(", "bounds.verify"),
    "derivations": ("check_derivation(", "check_lines(", "gradcheck(", "create_graph=True", "jacobian(", "judge(", "EXERCISES"),
}


def stored(name):
    return notebooks.read(notebooks.FOLDER / f"{name}.ipynb")


def check(*given):
    command = [sys.executable, "-m", "benchmarks.docs.notebooks", "--check", *map(str, given)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_what_is_stored_in_it(name):
    """Run `python -m benchmarks.docs.notebooks` where this fails after a change of code."""
    if name != "kernels":
        pytest.importorskip("igraph", reason="igraph, of the extras [draw], [notebooks] and [test], is not installed")
    else:
        pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")
    done = check(name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_whole(name):
    found = stored(name)
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"], "a cell warns or fails"
    assert (notebooks.FOLDER / f"{name}.ipynb").stat().st_size < 250_000
    source = "\n".join(cell.source for cell in code)
    assert [words for words in SHOWN[name] if words not in source] == []
    assert len([cell for cell in code if notebooks.VARIES in cell.metadata.get("tags", ())]) <= 3, "most cells are compared"


def test_all_notebooks_are_checked_and_named_where_visitors_look():
    assert tuple(notebooks.names()) == NAMES == tuple(sorted(SHOWN))
    for name in NAMES:
        assert f"(docs/notebooks/{name}.ipynb)" in (ROOT / "README.md").read_text()
        assert f"(notebooks/{name}.ipynb)" in (ROOT / "docs" / f"{name}.md").read_text()


def broken(notebook, folder):
    """Return the links of a notebook's text that lead to no file, or to none of its headings as Jupyter and GitHub name them."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    anchors = {heading.strip().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    links = [target.partition("#") for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [path + mark + anchor for path, mark, anchor in links
            if (not path and anchor not in anchors) or (path and not (folder / path).exists())]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    assert broken(stored(name), notebooks.FOLDER) == []
    text = "# 1. A\n[a](#1.-A) [b](#1-a) [c](no.md) [d](game.ipynb)"
    wrong = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    assert broken(wrong, notebooks.FOLDER) == ["#1-a", "no.md"]


# ---- what the check sees, and what it lets pass ---------------------------------------------------------------------------------


def first_with(notebook, kind):
    """Return the first output of a notebook that is printed text (kind "text"), or that has such data."""
    return next(o for cell in notebook.cells for o in cell.get("outputs", ())
                if ("text" in o if kind == "text" else kind in o.get("data", {})))


def test_a_changed_number_a_lost_picture_and_a_new_warning_are_seen():
    game = stored("game")
    assert notebooks.differences(game, copy.deepcopy(game)) == []
    changed = copy.deepcopy(game)
    printed = first_with(changed, "text")
    assert printed.text == "L = 0.223132\n"
    printed.text = "L = 0.223133\n"
    (said,) = notebooks.differences(game, changed)
    assert said.startswith("cell 4 shows\n[stdout] L = 0.223133") and "stored is\n[stdout] L = 0.223132" in said
    lost = copy.deepcopy(game)
    del first_with(lost, "image/png").data["image/png"]
    assert len(notebooks.differences(game, lost)) == 1
    warned = copy.deepcopy(game)
    warned.cells[1].outputs.append(nbformat.v4.new_output("stream", name="stderr", text="DeprecationWarning"))
    assert len(notebooks.differences(game, warned)) == 1


def test_moved_lines_of_source_and_cells_that_measure_may_differ():
    game, kernels = stored("game"), stored("kernels")
    moved = copy.deepcopy(game)
    (account,) = (o for cell in moved.cells for o in cell.get("outputs", ()) if "moves.py:" in o.get("text", ""))
    account.text = re.sub(r"\.py:\d+", ".py:1", account.text)
    assert notebooks.differences(game, moved) == []
    measured = copy.deepcopy(kernels)
    cell = next(cell for cell in measured.cells if notebooks.VARIES in cell.metadata.get("tags", ()))
    cell.outputs[0].text = "another time"
    assert notebooks.differences(kernels, measured) == []
    cell.outputs.clear()
    assert len(notebooks.differences(kernels, measured)) == 1


def test_a_notebook_is_stored_without_what_differs_from_run_to_run():
    made = nbformat.v4.new_notebook(metadata={"made": "today"}, cells=[nbformat.v4.new_code_cell(
        "1", execution_count=1, metadata={"execution": {"began": "now"}, "tags": ["varies"]}, outputs=[
            nbformat.v4.new_output("stream", name="stdout", text="a"), nbformat.v4.new_output("stream", name="stdout", text="b"),
            nbformat.v4.new_output("stream", name="stderr", text="c"),
            nbformat.v4.new_output("display_data", {"text/plain": "in /tmp/ipykernel_12/34.py:5"}, metadata={"width": 3})])])
    cell = notebooks.tidied(made).cells[0]
    assert made.metadata == notebooks.METADATA and cell.metadata == {"tags": ["varies"]} and cell.id == "cell-1"
    assert [output.get("text") for output in cell.outputs] == ["ab", "c", None]
    assert cell.outputs[2].data == {"text/plain": "in this notebook:5"} and cell.outputs[2].metadata == {}


def test_a_wrong_output_and_a_cell_that_raises_fail_the_check(tmp_path):
    written = {"wrong": "print(1 + 1)", "raises": "x = 1\n1 / 0"}
    for name, source in written.items():
        cell = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", name="stdout", text="3\n")])
        notebooks.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), cell]), tmp_path / f"{name}.ipynb")
    before = (tmp_path / "wrong.ipynb").read_bytes()
    done = check(tmp_path / "wrong.ipynb", tmp_path / "raises.ipynb")
    assert done.returncode == 1
    assert "wrong, cell 2 shows\n[stdout] 2" in done.stdout
    assert "raises, cell 2: ZeroDivisionError: division by zero\nx = 1\n1 / 0" in done.stdout
    assert (tmp_path / "wrong.ipynb").read_bytes() == before, "--check writes nothing"
