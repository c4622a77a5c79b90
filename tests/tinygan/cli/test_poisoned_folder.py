"""Commands beside planted modules and settings: nothing of the working directory is run as code.

A `python -m tinygan` is Python's own: it looks in the working directory first. The console script, which is tested here, does not.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tinygan_kernels
import typer
from tinygan_kernels import why_unavailable
from tinygan_kernels.child_process import python_command

import tinygan
from tinygan.cli import main

SHADOWED = ("numba", "numpy", "json", "llvmlite", "tinygan_kernels", "tinygan", "scipy", "sklearn", "matplotlib", "PIL", "yaml",
            "safetensors", "typer", "rich", "cupy", "cuda", "cuxray", "csv", "gzip", "wave", "latex_backend", "sitecustomize")
FAST = "--steps 2 --batch 4 --backend reference"
COMMANDS = (
    f"train points.csv {FAST} --out run", "train points.csv --steps 3 --out run --resume", "presets",
    "sample run -n 2 -o samples.csv --backend reference", "evaluate run --backend reference",
    "gradcheck --only softplus --backend reference", "theory --only nothing", "kernels list", "kernels doctor",
    f"play points.csv {FAST} --export page.html",
    "kernels verify --only neg --backend reference", "kernels targets --backend numba-cuda --arch sm_1", "kernels profile nothing",
    "graph run", "step points.csv --backend reference", "derive check mine.py:square", "derive lines proof.txt",
    "exercises list", "exercises start tanh-vjp", "exercises check tanh-vjp tanh_vjp.py",
    "puzzles list", "puzzles show bias-act", "puzzles hint bias-act", "puzzles start bias-act tile.py",
    "puzzles check bias-act tile.py", "puzzles train .", "kernels explain tile.py --as bias_act",
    "kernels trace tile.py --as bias_act --do next", "kernels bench tile.py --as bias_act",
)
SCRIPT = """
import sys
from tinygan.cli import main
for line in sys.argv[1:]:
    code = main.run(line.split())
    print(line, "=>", code, flush=True)
# the helper that compiles, and the process that is asked about a processor
from tinygan_kernels.cpu import elementwise
from tinygan_kernels.cpu.runtime import compile_helper, target
import numba, numpy
names = elementwise.add.stage(1, *[numpy.zeros(4, numpy.float32)] * 3).names
print("helper =>", compile_helper._helper([(elementwise.add, names)]).wait())
numba.config.CPU_NAME = "generic"
print("target =>", target.why_unusable())
"""


@pytest.fixture
def poisoned(tmp_path):
    """Return a folder with a CSV file, beside modules, packages and settings each of which would leave a mark."""
    mark = f"open({str(tmp_path / 'MARK')!r}, 'a').write(__name__ + ' ')\n"
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(mark)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(mark)
        (tmp_path / name / "__main__.py").write_text(mark)
    (tmp_path / "matplotlibrc").write_text("backend: module://latex_backend\ntext.usetex: True\n")
    latex = tmp_path / "latex"
    latex.mkdir()
    for script in (latex / "latex", *(tmp_path / name for name in ("dvipng", "pdflatex", "kpsewhich", "nvidia-smi", "nvcc"))):
        script.write_text(f"#!/bin/sh\necho {script.name} >> {tmp_path}/MARK\n")
        script.chmod(0o755)
    (tmp_path / "points.csv").write_text("".join(f"{i % 5},{i % 7}\n" for i in range(40)))
    (tmp_path / "proof.txt").write_text("x * x\nx ** 2\n")
    (tmp_path / "mine.py").write_text("import numpy, json\ndef square(x): return x * x\ndef square_vjp(dy, x): return 2 * x * dy\n"
                                      "inputs = (numpy.ones(3),)\n")
    return tmp_path


def test_every_command_is_tried():
    """A command that is new is entered in COMMANDS."""
    def names(command, before=""):
        inner = getattr(command, "commands", None)
        return [before] if inner is None else [name for key in inner for name in names(inner[key], f"{before} {key}".strip())]

    every = names(typer.main.get_command(main.app))
    assert len(every) > 20 and not [name for name in every if not any(f"{line} ".startswith(f"{name} ") for line in COMMANDS)]


@pytest.mark.skipif(os.name != "posix", reason="programs are planted as shell scripts")
def test_no_command_runs_what_lies_beside_the_data(poisoned, tmp_path_factory, monkeypatch):
    """Also with the folder on PATH, by an empty entry."""
    monkeypatch.chdir(poisoned)
    cache = tmp_path_factory.mktemp("cache")
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PATH": f"{os.environ['PATH']}:"}
    done = subprocess.run(python_command(SCRIPT, COMMANDS), env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.partition(" => ")[0] for line in done.stdout.splitlines() if "=>" in line] == [*COMMANDS, "helper", "target"]
    found = dict(line.split(" => ") for line in done.stdout.splitlines() if "=>" in line)
    right = [*COMMANDS[:5], *(c for c in COMMANDS if c.startswith(("graph", "step", "derive", "exercises start", "puzzles s")))]
    assert {name: found[name] for name in (*right, "helper", "target")} == {
        **dict.fromkeys(right, "0"), "helper": "0", "target": "None"}, done.stderr
    assert found["exercises check tanh-vjp tanh_vjp.py"] == "1", "what an exercise begins with is wrong"
    assert found["puzzles check bias-act tile.py"] == ("2" if why_unavailable("numba-cuda", emulate=True) else "1"), done.stderr
    assert "Traceback" not in done.stderr and (poisoned / "run" / "samples.png").exists()
    assert list(cache.rglob("*.nbc")), "the helper has compiled nothing"
    assert not (poisoned / "MARK").exists(), (poisoned / "MARK").read_text()


@pytest.mark.skipif(os.name != "posix", reason="programs are planted as shell scripts")
@pytest.mark.parametrize("where", ["{old}:", ":{old}", "relative:{old}", ".:{old}", "{here}:{old}"])
def test_play_opens_the_installed_browser_and_none_that_lies_beside_the_data(poisoned, tmp_path_factory, monkeypatch, where):
    """And hands it the address with its token. Browsers and what looks for them are planted under the names that Python tries."""
    installed, opened = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("opened") / "OPENED"
    (poisoned / "relative").mkdir()
    names = ("www-browser", "x-www-browser", "xdg-open", "xdg-settings", "firefox", "chromium", "links", "w3m")
    for script in [folder / name for folder in (poisoned, poisoned / "relative") for name in names]:
        script.write_text(f"#!/bin/sh\necho {script.name} $1 >> {poisoned}/MARK\n")
        script.chmod(0o755)
    (installed / "www-browser").write_text(f"#!/bin/sh\necho $1 > {opened}.new && {shutil.which('mv')} {opened}.new {opened}\n")
    (installed / "www-browser").chmod(0o755)
    monkeypatch.chdir(poisoned)
    variables = {name: value for name, value in os.environ.items() if name not in ("BROWSER", "WAYLAND_DISPLAY")}
    variables |= {"PATH": where.format(old=installed, here=poisoned), "DISPLAY": ":99" if where == ":{old}" else "",
                  "TERM": "xterm"}  # without a terminal Python knows no browser that runs in one
    if sys.platform == "darwin":  # which would take its own browser
        variables["BROWSER"] = "www-browser"
    command = python_command("from tinygan.cli.play import open_browser\nopen_browser('http://127.0.0.1:1/token/')\n"
                             "import os\nprint(os.environ['PATH'])")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, variables["PATH"]), done.stderr
    assert not (poisoned / "MARK").exists(), (poisoned / "MARK").read_text()
    until = time.monotonic() + 60  # the browser is a process of its own, which nobody waits for
    while not opened.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert opened.read_text() == "http://127.0.0.1:1/token/\n"


def calls(path: Path):
    """Yield the calls of subprocess in a module, as text."""
    text = path.read_text(encoding="utf-8")
    if not re.search(r"\bsubprocess\b", text):
        return  # as most modules, which need not be parsed
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and re.match(r"subprocess\.[a-z_]*(run|Popen|call|output)\b", ast.unparse(node.func)):
            yield ast.unparse(node)


def test_every_child_is_started_in_the_one_way():
    """No module but child_process names the interpreter, and none starts a program through a shell or by another door.

    Programs that are started by their path: nvidia-smi and nvcc, which `find_program` has found.
    """
    sources = [path for package in (tinygan, tinygan_kernels) for path in Path(package.__file__).parent.rglob("*.py")]
    allowed, count = ("subprocess.run(command", "subprocess.Popen(command", "subprocess.run(python_command",
                      "subprocess.run(arguments", "subprocess.run([program"), 0
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert "sys.executable" not in text or path.name == "child_process.py", path
        for word in ("multiprocessing", "os.system", "os.popen", "os.exec", "os.spawn", "posix_spawn", "shell=True", "os.fork("):
            assert word not in text, f"{path} has {word}"
        for call in calls(path):
            count += 1
            assert call.startswith(allowed), f"{path}: {call}"
    assert count >= 5
